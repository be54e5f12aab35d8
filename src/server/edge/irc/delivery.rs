//! The delivery to one IRC client: which lines of a batch it is sent, and the frames for it alone.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use super::capabilities::Capabilities;
use super::output::{Output, View, label_tag, tagged};
use super::queries::{VERSION, write_lusers, write_motd, write_support};
use super::session::{Session, Settings};
use super::wire::{Frame, Lines, MASK, MAX_LINES, Span, SpanKind, Tags, Text, Variant, write_line};

/// The state of a client after the last batch that it was sent. The state of its session changes with
/// each message, and is ahead by the frames of one batch.
#[derive(Debug, Default)]
pub struct Delivery {
    name: Box<str>,
    is_in_channel: bool,
    /// The frame that tells that the client has joined is still to come. The client is not sent it,
    /// because it has a line for its `JOIN` already.
    pub(super) is_join_due: bool,
    /// The next batch may have frames that the client has caused.
    pub(super) has_own_frames: bool,
}

/// The part of a batch's lines that a client is sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// A range of the shared lines.
    Shared(Range<u32>),
    /// Lines for this client alone.
    Own(Vec<u8>),
}

impl Delivery {
    pub(super) fn on_joined(&mut self, name: &str) {
        self.name = name.into();
    }

    /// Returns whether the client is sent all shared lines of the next batch.
    pub fn is_usual(&self) -> bool {
        self.is_in_channel && !self.is_join_due && !self.has_own_frames
    }

    /// Applies the change of the view that the client is sent.
    pub fn set_view(&mut self, view: View) {
        match view {
            View::Unchanged => {}
            View::Opened => self.is_in_channel = true,
            View::Closed => self.is_in_channel = false,
        }
    }
}

impl Session {
    /// Returns whether the client is sent all shared lines of the next batch.
    pub fn is_usual(&self) -> bool {
        self.delivery.is_usual()
    }

    /// Ends the delivery of a batch.
    pub fn end_batch(&mut self) {
        self.delivery.has_own_frames = false;
    }

    /// Applies the change of the view that the client is sent.
    pub fn set_view(&mut self, view: View) {
        self.delivery.set_view(view);
    }

    /// Returns the parts of the shared lines that the client is sent, for the frames in `range` of
    /// the JSON `frames`.
    pub fn select(
        &mut self,
        frames: &[u8],
        range: Range<u32>,
        lines: &Lines,
        settings: Settings<'_>,
    ) -> Vec<Part> {
        let mut parts = Vec::new();
        let first = lines.spans.partition_point(|span| span.json.start < range.start);
        let (before, spans) = lines.spans.split_at(first);
        let mut start = before.last().map_or(0, |span| span.end);
        for span in spans.iter().take_while(|span| span.json.start < range.end) {
            let shared = start..span.end;
            start = span.end;
            match self.choose(span, frames, settings) {
                Choice::Shared => match parts.last_mut() {
                    Some(Part::Shared(last)) if last.end == shared.start => last.end = shared.end,
                    _ => parts.push(Part::Shared(shared)),
                },
                Choice::Own(lines) => parts.push(Part::Own(lines)),
                Choice::Nothing => {}
            }
        }
        parts
    }

    fn choose(&mut self, span: &Span, frames: &[u8], settings: Settings<'_>) -> Choice {
        let is_seen = match self.delivery.is_in_channel {
            true => Choice::Shared,
            false => Choice::Nothing,
        };
        let is_own = match &span.kind {
            SpanKind::Chat(name) | SpanKind::Join(name) | SpanKind::Name(name, _) => {
                *name == self.delivery.name
            }
            SpanKind::Leave => false,
        };
        match &span.kind {
            _ if !is_own => is_seen,
            SpanKind::Join(_) if std::mem::take(&mut self.delivery.is_join_due) => Choice::Nothing,
            SpanKind::Name(_, to) => {
                self.delivery.name.clone_from(to);
                Choice::Own(self.encode_own(span, frames, settings))
            }
            SpanKind::Chat(_) if !self.has(Capabilities::ECHO_MESSAGE) => Choice::Nothing,
            SpanKind::Chat(_) if self.has(Capabilities::LABELED_RESPONSE) => {
                Choice::Own(self.encode_own(span, frames, settings))
            }
            _ => is_seen,
        }
    }

    /// Returns the lines of a frame that the client has caused, with its label.
    fn encode_own(&self, span: &Span, frames: &[u8], settings: Settings<'_>) -> Vec<u8> {
        let json = frames.get(span.json.start as usize..span.json.end as usize);
        let json = json.unwrap_or_default();
        let label = Frame::parse(json).and_then(|frame| frame.string("id"));
        let encoded = Lines::encode(json, self.variant(), settings.context).bytes;
        self.with_label(encoded, label.as_deref())
    }

    /// Adds a label to the first of these lines.
    fn with_label(&self, lines: Vec<u8>, label: Option<&str>) -> Vec<u8> {
        let Some(label) = label.filter(|_| self.has(Capabilities::LABELED_RESPONSE)) else {
            return lines;
        };
        let mut labeled = Vec::new();
        tagged(&mut labeled, &label_tag(label), &lines);
        labeled
    }

    /// Returns the lines for a frame that the room sends this client alone.
    pub fn on_own_frame(&mut self, json: &[u8], settings: Settings<'_>) -> Vec<u8> {
        let Some(frame) = Frame::parse(json) else { return Vec::new() };
        let mut out = Output::new(&settings.config.server, &self.name);
        match &*frame.kind {
            "welcome" => self.write_welcome(&frame, settings, &mut out),
            "private" => return self.private_lines(&frame),
            "bye" => {
                let other = frame.text.strip_prefix("this port speaks the smolchat protocol");
                let other = other.map(|other| ["this port speaks IRC", other].concat());
                return error_line(other.as_deref().unwrap_or(&frame.text));
            }
            "error" if frame.string("code").as_deref() == Some("no-such-user") => {
                out.no_such_nick(frame.text.rsplit_once(' ').map_or("*", |(_, name)| name));
            }
            // The message of the day, which is a part of the welcome.
            "info" if settings.motd == Some(&*frame.text) => {}
            _ => {
                let start = [":", &settings.config.server, " NOTICE ", &out.nick, " :"].concat();
                text_of(&frame).write(out.lines_mut(), &Tags::default(), &start);
            }
        }
        out.into_lines()
    }

    fn write_welcome(&self, frame: &Frame<'_>, settings: Settings<'_>, out: &mut Output<'_>) {
        let server = &settings.config.server;
        let name = &*self.name;
        out.plain_numeric(1, &[":Welcome to the smolchat network, ", name, MASK]);
        out.plain_numeric(2, &[":Your host is ", server, ", running version ", VERSION]);
        out.plain_numeric(3, &[":The channel is ", &settings.config.channel]);
        out.plain_numeric(4, &[server, " ", VERSION, " i n"]);
        write_support(out);
        write_lusers(frame.integer("members"), 0, out);
        write_motd(settings, out);
        for note in frame.text.split(';') {
            if let Some(note) = note.strip_prefix(" this conversation") {
                out.notice(&["this conversation", note]);
            }
        }
    }

    fn private_lines(&self, frame: &Frame<'_>) -> Vec<u8> {
        let to = frame.string("to").unwrap_or_default();
        let start = [":", &*frame.source, MASK, " PRIVMSG ", &*to, " :"].concat();
        let id = private_id(frame, &to);
        let tags = self.variant().tags("", frame.time, Some(("private", id)));
        let encode = || {
            let mut lines = Vec::new();
            text_of(frame).write(&mut lines, &tags, &start);
            lines
        };
        let mut lines = Vec::new();
        if *frame.source == *self.delivery.name && self.has(Capabilities::ECHO_MESSAGE) {
            lines = self.with_label(encode(), frame.string("id").as_deref());
        }
        if *to == *self.delivery.name {
            lines.append(&mut encode());
        }
        lines
    }
}

/// The lines that a client is sent for a span.
enum Choice {
    Shared,
    Own(Vec<u8>),
    Nothing,
}

fn text_of<'a>(frame: &'a Frame<'_>) -> Text<'a> {
    Text { text: &frame.text, is_action: false, max_lines: MAX_LINES }
}

/// Returns a number for the id of a private message: the same for its sender and its recipient.
fn private_id(frame: &Frame<'_>, to: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&frame.source, to, &frame.text, frame.time).hash(&mut hasher);
    hasher.finish()
}

/// Returns the last line to a client.
pub fn error_line(text: &str) -> Vec<u8> {
    ["ERROR :Closing link: ", text, "\r\n"].concat().into_bytes()
}

/// Returns a line with a text of one IRC client for another, without control characters that could
/// end it. `time` is its time in milliseconds since the Unix epoch, for clients that are told it.
pub fn relay_line(
    source: &str,
    command: &str,
    target: &str,
    text: &str,
    time: Option<u64>,
) -> Vec<u8> {
    let variant = Variant { has_time: time.is_some(), has_id: false };
    let tags = variant.tags("", time.unwrap_or(0), None);
    let mut line = Vec::new();
    let parts = [":", source, MASK, " ", command, " ", target, " :", text];
    write_line(&mut line, tags.first(), &parts);
    line
}
