//! The frames of the room as lines of IRC.
//!
//! A [`Variant`] says which tags the lines have. [`Lines::encode`] translates the frames of a batch
//! once for each variant that a client reads, and records where the lines of each frame are.

use std::borrow::Cow;
use std::ops::Range;

use super::config::{Config, Settings};
use super::notes::Notes;
use super::text::{CTCP, concat, split_long, strip_controls};
use crate::calendar::Utc;
use crate::protocol::JsonObject;

/// The most bytes of a line to a client, without its tags and its line end.
pub const MAX_OUTPUT: usize = 510;
/// The most lines that a frame becomes. The text of a frame can have many more newlines, each of
/// which would cost the bytes of a line.
pub const MAX_LINES: usize = 16;
/// The user and the host behind a name.
pub const MASK: &str = "!user@smolchat";

/// The keys that are read in frames.
const KEYS: &[&str] =
    &["code", "data", "data_source", "from", "id", "kind", "names", "seq", "time", "to", "topic"];

/// A frame of the room.
#[derive(Debug)]
pub struct RoomFrame<'a> {
    object: JsonObject<'a>,
    pub kind: Cow<'a, str>,
    pub source: Cow<'a, str>,
    pub text: Cow<'a, str>,
    pub seq: u64,
    /// Milliseconds since the Unix epoch.
    pub time: u64,
}

impl<'a> RoomFrame<'a> {
    /// Parses a line of the server, or returns `None` if it is not JSON. Missing values are empty.
    pub fn parse(json: &'a [u8]) -> Option<Self> {
        let object = JsonObject::parse(str::from_utf8(json).ok()?, KEYS).ok()?;
        let integer = |key| object.integer(key).ok().flatten().unwrap_or(0);
        Some(RoomFrame {
            kind: string(&object, "kind"),
            source: string(&object, "data_source"),
            text: string(&object, "data"),
            seq: integer("seq"),
            time: integer("time"),
            object,
        })
    }

    /// Returns the string of a key, or an empty one.
    pub fn string(&self, key: &str) -> Cow<'a, str> {
        string(&self.object, key)
    }

    /// Returns whether the frame is a message or an action of a member.
    pub fn is_chat(&self) -> bool {
        matches!(&*self.kind, "chat" | "action")
    }

    /// Returns the value of the tag `msgid`.
    pub fn id(&self, settings: &Settings) -> String {
        concat(&[&settings.epoch, "-", &self.seq.to_string()])
    }
}

fn string<'a>(object: &JsonObject<'a>, key: &str) -> Cow<'a, str> {
    object.string(key).ok().flatten().unwrap_or_default()
}

/// The tags of the lines that a client is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    #[default]
    Plain,
    /// The tag `time`.
    Time,
    /// The tags `time` and `msgid`.
    Tags,
}

impl Variant {
    /// The number of variants.
    pub const COUNT: usize = 3;

    /// Returns the tags of the lines of a frame. `more` is further tags, each with a `;` after it.
    /// `id` is the id of the frame, or empty.
    pub fn tags(self, more: &str, time: u64, id: &str) -> Tags {
        let mut rest = concat(&["@", more]);
        if self != Variant::Plain {
            rest += "time=";
            rest += &format_time(time);
            rest += ";";
        }
        let mut first = rest.clone();
        if self == Variant::Tags && !id.is_empty() {
            first += "msgid=";
            first += id;
            first += ";";
        }
        Tags { first: enclose(first), rest: enclose(rest) }
    }
}

/// Returns tags with a space in place of the last `;`, or without the `@` if there are none.
fn enclose(mut tags: String) -> String {
    if tags.pop() == Some(';') {
        tags.push(' ');
    }
    tags
}

/// The tags of the lines of a frame.
#[derive(Debug, Default)]
pub struct Tags {
    /// The tags of the first line. They have the id, because clients drop a second line with the same
    /// id.
    pub first: String,
    pub rest: String,
}

/// The kind of the frame of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// A message or an action.
    Chat,
    /// A member has joined.
    Join,
    /// A member has another name.
    Name,
    /// A member has left.
    Leave,
    /// An operator has acted.
    Operator,
    /// More members have joined or left than there are lines for.
    More,
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
    #[inline(never)]
    pub fn encode(frames: &[u8], variant: Variant, settings: &Settings, notes: &Notes) -> Self {
        let mut lines = Lines::default();
        let mut start = 0;
        for json in frames.split_inclusive(|&byte| byte == b'\n') {
            let range = start..start + json.len() as u32;
            start = range.end;
            if let Some(frame) = RoomFrame::parse(json) {
                lines.push(&frame, range, variant, settings, notes);
            }
        }
        lines
    }

    #[inline(never)]
    fn push(
        &mut self,
        frame: &RoomFrame<'_>,
        json: Range<u32>,
        variant: Variant,
        settings: &Settings,
        notes: &Notes,
    ) {
        let tags = variant.tags("", frame.time, &frame.id(settings));
        match &*frame.kind {
            "chat" | "action" => {
                let is_long = self.bytes.len() > settings.answer_bytes;
                let max_lines = if is_long { 1 } else { MAX_LINES };
                write_chat(&mut self.bytes, &tags, frame, max_lines, settings, notes);
                self.add_span(json, SpanKind::Chat);
            }
            "name" => {
                let [from, to] = ["from", "to"].map(|key| frame.string(key));
                write_line(&mut self.bytes, &tags.first, &[":", &from, MASK, " NICK :", &to]);
                self.add_span(json, SpanKind::Name);
            }
            "join" | "leave" => self.push_presence(frame, &json, &tags, settings, notes),
            // An action of an operator.
            "info" => {
                let Config { server, channel, .. } = &settings.config;
                let (command, text) = match frame.object.string("topic") {
                    Ok(Some(topic)) => (" TOPIC ", topic),
                    _ => (" NOTICE ", frame.text.clone()),
                };
                let line = [":", server, command, channel, " :", &text];
                write_line(&mut self.bytes, &tags.first, &line);
                self.add_span(json, SpanKind::Operator);
            }
            _ => {}
        }
    }

    /// Appends the lines of a join or leave notice, one for each name.
    #[inline(never)]
    fn push_presence(
        &mut self,
        frame: &RoomFrame<'_>,
        json: &Range<u32>,
        tags: &Tags,
        settings: &Settings,
        notes: &Notes,
    ) {
        let Config { server, channel, .. } = &settings.config;
        let join = concat(&["JOIN ", channel]);
        let (kind, more) = match &*frame.kind {
            "join" => (SpanKind::Join, " more joined"),
            _ => (SpanKind::Leave, " more left"),
        };
        let end = self.bytes.len() + settings.answer_bytes;
        let names = frame.object.strings("names");
        for (at, name) in names.iter().enumerate() {
            if self.bytes.len() > end {
                let left = (names.len() - at).to_string();
                let line = [":", server, " NOTICE ", channel, " :", &left, more];
                write_line(&mut self.bytes, &tags.rest, &line);
                return self.add_span(json.clone(), SpanKind::More);
            }
            let command = match kind {
                SpanKind::Join => &join,
                _ => notes.departure_of(name, frame.time),
            };
            let tags = if at == 0 { &tags.first } else { &tags.rest };
            write_line(&mut self.bytes, tags, &[":", name, MASK, " ", command]);
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
    frame: &RoomFrame<'_>,
    max_lines: usize,
    settings: &Settings,
    notes: &Notes,
) {
    let command = if notes.is_notice(frame.seq) { "NOTICE" } else { "PRIVMSG" };
    let ctcp = if frame.kind == "action" { "\u{1}ACTION " } else { "" };
    let parts = [&*frame.source, command, &settings.config.channel, ctcp];
    write_text(out, tags, parts, &frame.text, max_lines);
}

/// Appends a text of a member as lines, at least one and at most `max_lines`, and one that counts
/// the others. `ctcp` is the start of a request of CTCP, if the text is one.
pub fn write_text(
    out: &mut Vec<u8>,
    tags: &Tags,
    [source, command, target, ctcp]: [&str; 4],
    text: &str,
    max_lines: usize,
) {
    let start = concat(&[":", source, MASK, " ", command, " ", target, " :", ctcp]);
    let end = if ctcp.is_empty() { "" } else { CTCP };
    let most = MAX_OUTPUT.saturating_sub(start.len() + end.len());
    let mut count = 0;
    for line in strip_controls(text).split('\n') {
        let mut rest = line;
        while let Some(part) = split_long(&mut rest, most) {
            count += 1;
            if count <= max_lines {
                let tags = if count == 1 { &tags.first } else { &tags.rest };
                write_line(out, tags, &[&start, part, end]);
            }
        }
    }
    if count == 0 {
        write_line(out, &tags.first, &[&start, " ", end]);
    } else if count > max_lines {
        let left = (count - max_lines).to_string();
        let text = if count - max_lines == 1 { " more line]" } else { " more lines]" };
        write_line(out, &tags.rest, &[&start, "[", &left, text, end]);
    }
}

/// Appends a line, in parts, with its tags and its line end.
pub fn write_line(out: &mut Vec<u8>, tags: &str, parts: &[&str]) {
    push(out, &[tags]);
    let start = out.len();
    push(out, parts);
    end_line(out, start);
}

/// Ends the line that begins at `start`. A line that is too long loses its end.
pub fn end_line(out: &mut Vec<u8>, start: usize) {
    let mut end = out.len().min(start + MAX_OUTPUT);
    // The line is cut between characters.
    while out.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
        end -= 1;
    }
    out.truncate(end);
    push(out, &["\r\n"]);
}

/// Appends texts.
pub fn push(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Returns a time as `2026-11-25T12:00:00.000Z`.
pub fn format_time(unix_ms: u64) -> String {
    format!("{:.19}.{:03}Z", Utc(unix_ms / 1000).to_string(), unix_ms % 1000)
}

#[cfg(test)]
mod tests;
