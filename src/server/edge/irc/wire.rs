//! The frames of the room as lines of IRC.
//!
//! A [`Variant`] says which tags the lines have. [`Lines::encode`] translates the frames of a batch
//! once for each variant that a client reads, and records where the lines of each frame are.

use std::borrow::Cow;
use std::ops::Range;

use super::output::Departure;
use super::text::{split_long, strip_controls, truncate};
use crate::calendar::civil_from_days;
use crate::protocol::JsonObject;

/// The most bytes of a line to a client, without its tags and with its line end.
const MAX_OUTPUT: usize = 512;
/// The most lines that a frame becomes. The text of a frame can have many more newlines, each of
/// which would cost the bytes of a line.
pub const MAX_LINES: usize = 16;
/// The user of members that are no IRC clients.
pub const USER: &str = "user";
/// The host of all members: their addresses are not shown.
pub const HOST: &str = "smolchat";
/// The user and the host behind a name.
pub const MASK: &str = "!user@smolchat";

/// The keys that are read in frames.
const KEYS: &[&str] =
    &["code", "data", "data_source", "from", "id", "kind", "members", "names", "seq", "time", "to"];

/// A frame of the room.
#[derive(Debug)]
pub struct Frame<'a> {
    object: JsonObject<'a>,
    pub kind: Cow<'a, str>,
    pub source: Cow<'a, str>,
    pub text: Cow<'a, str>,
    pub seq: u64,
    /// Milliseconds since the Unix epoch.
    pub time: u64,
}

impl<'a> Frame<'a> {
    /// Parses a line of the server, or returns `None` if it is not a frame.
    pub fn parse(json: &'a [u8]) -> Option<Self> {
        let object = JsonObject::parse(str::from_utf8(json).ok()?, KEYS).ok()?;
        let integer = |key| object.integer(key).ok().flatten().unwrap_or(0);
        Some(Frame {
            kind: object.string("kind").ok()??,
            source: object.string("data_source").ok()??,
            text: object.string("data").ok()??,
            seq: integer("seq"),
            time: integer("time"),
            object,
        })
    }

    /// Returns the string of a key, if the frame has it.
    pub fn string(&self, key: &str) -> Option<Cow<'a, str>> {
        self.object.string(key).ok().flatten()
    }

    /// Returns the number of a key, or 0.
    pub fn integer(&self, key: &str) -> u64 {
        self.object.integer(key).ok().flatten().unwrap_or(0)
    }

    /// Returns whether the frame is a message or an action of a member.
    pub fn is_chat(&self) -> bool {
        matches!(&*self.kind, "chat" | "action")
    }
}

/// The tags of the lines that a client is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Variant {
    /// The tag `time`.
    pub has_time: bool,
    /// The tag `msgid`.
    pub has_id: bool,
}

impl Variant {
    /// The number of variants.
    pub const COUNT: usize = 4;

    /// Returns the number of the variant, below [`COUNT`](Self::COUNT).
    pub fn index(self) -> usize {
        usize::from(self.has_time) + 2 * usize::from(self.has_id)
    }

    /// Returns the tags of the lines of a frame. `more` is further tags, each with a `;` after it.
    /// `epoch` and `seq` are the parts of the id.
    pub fn tags(self, more: &str, time: u64, id: Option<(&str, u64)>) -> Tags {
        let mut rest = ["@", more].concat().into_bytes();
        if self.has_time {
            rest.extend_from_slice(["time=", &format_time(time), ";"].concat().as_bytes());
        }
        let mut first = rest.clone();
        if self.has_id
            && let Some((epoch, seq)) = id
        {
            first.extend_from_slice(
                ["msgid=", epoch, "-", &seq.to_string(), ";"].concat().as_bytes(),
            );
        }
        for tags in [&mut first, &mut rest] {
            match tags.pop() {
                Some(b';') => tags.push(b' '),
                _ => tags.clear(),
            }
        }
        Tags { first, rest }
    }
}

/// The tags of the lines of a frame.
#[derive(Debug, Default)]
pub struct Tags {
    /// Those of the first line. It has the id, because clients drop a second line with the same id.
    first: Vec<u8>,
    rest: Vec<u8>,
}

impl Tags {
    /// Returns the tags of the first line.
    pub fn first(&self) -> &[u8] {
        &self.first
    }
}

/// The names and the memory that are needed to translate frames.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The name of the server.
    pub server: &'a str,
    /// The name of the channel.
    pub channel: &'a str,
    /// The epoch of the room.
    pub epoch: &'a str,
    /// The most bytes of the joins and leaves of one frame, and the bytes of a batch after which a
    /// text becomes one line and a count. A reader with an empty outbox is not evicted by them.
    pub max_bytes: usize,
    /// The numbers of the frames that were a `NOTICE`.
    pub notices: &'a [u64],
    /// The members that have left, and how they did, if that is known.
    pub departures: &'a [(Box<str>, Departure)],
}

impl<'a> Context<'a> {
    /// Returns the parts of the command that tells that a member has left.
    fn departure_of(self, name: &str) -> [&'a str; 4] {
        let found = self.departures.iter().rev().find(|(other, _)| **other == *name);
        match found.map(|(_, departure)| departure) {
            Some(Departure::Quit(reason)) => [" QUIT", "", " :", reason],
            Some(Departure::Part(Some(reason))) => [" PART ", self.channel, " :", reason],
            Some(Departure::Part(None)) => [" PART ", self.channel, "", ""],
            None => [" QUIT", "", " :", "left"],
        }
    }
}

/// The change that a span tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// A message or an action of the member with this name.
    Chat(Box<str>),
    /// The member with this name has joined.
    Join(Box<str>),
    /// A member has another name: the old and the new one.
    Name(Box<str>, Box<str>),
    /// A member has left.
    Leave,
}

/// The lines of a frame, or those for one name in it.
#[derive(Clone, Debug)]
pub struct Span {
    /// The offsets of the frame in the JSON.
    pub json: Range<u32>,
    /// The offset at which the lines end. They begin where those of the span before end.
    pub end: u32,
    pub kind: SpanKind,
}

/// Frames as lines of one variant.
#[derive(Debug, Default)]
pub struct Lines {
    pub bytes: Vec<u8>,
    pub spans: Vec<Span>,
}

impl Lines {
    /// Translates frames of the room's sequence, back to back.
    pub fn encode(frames: &[u8], variant: Variant, context: Context<'_>) -> Self {
        let mut lines = Lines::default();
        let mut start = 0;
        for json in frames.split_inclusive(|&byte| byte == b'\n') {
            let range = start..start + json.len() as u32;
            start = range.end;
            if let Some(frame) = Frame::parse(json) {
                lines.push(&frame, range, variant, context);
            }
        }
        lines
    }

    fn push(
        &mut self,
        frame: &Frame<'_>,
        json: Range<u32>,
        variant: Variant,
        context: Context<'_>,
    ) {
        let tags = variant.tags("", frame.time, Some((context.epoch, frame.seq)));
        match &*frame.kind {
            "chat" | "action" => {
                let is_long = self.bytes.len() > context.max_bytes;
                let max_lines = if is_long { 1 } else { MAX_LINES };
                write_chat(&mut self.bytes, &tags, frame, max_lines, context);
                self.add_span(json, SpanKind::Chat(frame.source.as_ref().into()));
            }
            "join" | "leave" => self.push_names(frame, json, &tags, context),
            "name" => {
                let from = frame.string("from").unwrap_or_default();
                let to = frame.string("to").unwrap_or_default();
                let line = [":", &*from, MASK, " NICK :", &*to];
                write_line(&mut self.bytes, &tags.first, &line);
                self.add_span(json, SpanKind::Name((*from).into(), (*to).into()));
            }
            _ => {}
        }
    }

    /// Appends a line for each name of a notice, at most so many bytes as the context says, and a
    /// line that counts the others.
    fn push_names(
        &mut self,
        frame: &Frame<'_>,
        json: Range<u32>,
        tags: &Tags,
        context: Context<'_>,
    ) {
        let names = frame.object.strings("names");
        let is_join = frame.kind == "join";
        let end = self.bytes.len() + context.max_bytes;
        for (at, name) in names.iter().enumerate() {
            if self.bytes.len() > end {
                let left = (names.len() - at).to_string();
                let text = if is_join { " more joined" } else { " more left" };
                let line = [":", context.server, " NOTICE ", context.channel, " :", &left, text];
                write_line(&mut self.bytes, &tags.rest, &line);
                return self.add_span(json, SpanKind::Leave);
            }
            let [command, channel, separator, reason] = match is_join {
                true => [" JOIN ", context.channel, "", ""],
                false => context.departure_of(name),
            };
            let tags = if at == 0 { &tags.first } else { &tags.rest };
            let line = [":", name, MASK, command, channel, separator, reason];
            write_line(&mut self.bytes, tags, &line);
            let kind = if is_join { SpanKind::Join((**name).into()) } else { SpanKind::Leave };
            self.add_span(json.clone(), kind);
        }
    }

    fn add_span(&mut self, json: Range<u32>, kind: SpanKind) {
        self.spans.push(Span { json, end: self.bytes.len() as u32, kind });
    }
}

/// Appends the lines of a chat frame.
pub fn write_chat(
    out: &mut Vec<u8>,
    tags: &Tags,
    frame: &Frame<'_>,
    max_lines: usize,
    context: Context<'_>,
) {
    let command = if context.notices.contains(&frame.seq) { " NOTICE " } else { " PRIVMSG " };
    let start = [":", &*frame.source, MASK, command, context.channel, " :"].concat();
    let is_action = frame.kind == "action";
    Text { text: &frame.text, is_action, max_lines }.write(out, tags, &start);
}

/// A text that becomes lines.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    pub text: &'a str,
    pub is_action: bool,
    /// The most lines, beside one that counts the others.
    pub max_lines: usize,
}

impl Text<'_> {
    /// Appends the lines, at least one. `start` is a line up to the text.
    pub fn write(self, out: &mut Vec<u8>, tags: &Tags, start: &str) {
        let (before, after) = if self.is_action { ("\u{1}ACTION ", "\u{1}") } else { ("", "") };
        let fixed = start.len() + before.len() + after.len() + "\r\n".len();
        let most = MAX_OUTPUT.saturating_sub(fixed);
        let mut write = |is_first: bool, part: &str| {
            let tags = if is_first { &tags.first } else { &tags.rest };
            write_line(out, tags, &[start, before, part, after]);
        };
        let mut count = 0;
        for line in self.text.split('\n') {
            let plain = strip_controls(line);
            let mut rest = &*plain;
            while let Some(part) = split_long(&mut rest, most) {
                count += 1;
                if count <= self.max_lines {
                    write(count == 1, part);
                }
            }
        }
        match count.saturating_sub(self.max_lines) {
            0 if count == 0 => write(true, " "),
            0 => {}
            1 => write(false, "[1 more line]"),
            more => write(false, &["[", &more.to_string(), " more lines]"].concat()),
        }
    }
}

/// Appends a line, in parts, with its tags and its line end. A line that is too long loses its end.
pub fn write_line(out: &mut Vec<u8>, tags: &[u8], parts: &[&str]) {
    let line = parts.concat();
    out.extend_from_slice(tags);
    out.extend_from_slice(truncate(&line, MAX_OUTPUT - 2).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Returns a time as `2026-11-25T12:00:00.000Z`.
pub fn format_time(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil_from_days(i64::try_from(days).unwrap_or(i64::MAX));
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests;
