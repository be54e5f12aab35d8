//! The frames of the room as lines of IRC.
//!
//! A [`Variant`] says which tags the lines have. [`Lines::encode`] translates the frames of a batch
//! once for each variant that a client reads, and records where the lines of each frame are.

use std::borrow::Cow;
use std::collections::VecDeque;
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
/// The user and the host of all members. The address of a member is not shown.
pub const USER_HOST: &str = "user@smolchat";

/// The keys that are read in frames.
const KEYS: &[&str] = &[
    "code",
    "data",
    "data_source",
    "epoch",
    "from",
    "id",
    "kind",
    "members",
    "names",
    "seq",
    "time",
    "to",
    "token",
];

/// A frame of the room. All values that a kind does not have are empty.
#[derive(Debug, Default)]
pub struct Frame<'a> {
    pub kind: Cow<'a, str>,
    pub source: Cow<'a, str>,
    pub text: Cow<'a, str>,
    pub seq: u64,
    /// Milliseconds since the Unix epoch.
    pub time: u64,
    pub names: Vec<Cow<'a, str>>,
    pub from: Cow<'a, str>,
    pub to: Cow<'a, str>,
    pub id: Option<Cow<'a, str>>,
    pub code: Cow<'a, str>,
    pub epoch: Cow<'a, str>,
    pub token: Cow<'a, str>,
    pub members: u64,
}

impl<'a> Frame<'a> {
    /// Parses a line of the server, or returns `None` if it is not a frame.
    pub fn parse(json: &'a [u8]) -> Option<Self> {
        let object = JsonObject::parse(str::from_utf8(json).ok()?, KEYS).ok()?;
        let string = |key| object.string(key).ok().flatten();
        let integer = |key| object.integer(key).ok().flatten().unwrap_or(0);
        Some(Frame {
            kind: string("kind")?,
            source: string("data_source")?,
            text: string("data")?,
            seq: integer("seq"),
            time: integer("time"),
            names: object.strings("names"),
            from: string("from").unwrap_or_default(),
            to: string("to").unwrap_or_default(),
            id: string("id"),
            code: string("code").unwrap_or_default(),
            epoch: string("epoch").unwrap_or_default(),
            token: string("token").unwrap_or_default(),
            members: integer("members"),
        })
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

    /// Appends the tags of a line, if there are any. `more` is further tags, each with a `;` after
    /// it. `epoch` and `seq` are the parts of the id.
    pub fn write_tags(self, out: &mut Vec<u8>, more: &str, time: u64, id: Option<(&str, u64)>) {
        let start = out.len();
        out.push(b'@');
        out.extend_from_slice(more.as_bytes());
        if self.has_time {
            out.extend_from_slice(b"time=");
            write_time(out, time);
            out.push(b';');
        }
        if self.has_id
            && let Some((epoch, seq)) = id
        {
            out.extend_from_slice(format!("msgid={epoch}-{seq};").as_bytes());
        }
        match out.pop() {
            Some(b';') => out.push(b' '),
            _ => out.truncate(start),
        }
    }
}

/// What the lines of a frame have beside the frame.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The name of the channel.
    pub channel: &'a str,
    /// The epoch of the room.
    pub epoch: &'a str,
    /// The numbers of the frames that were a `NOTICE`.
    pub notices: &'a VecDeque<u64>,
    /// The members that have left, and how they did, if that is known.
    pub departures: &'a VecDeque<(Box<str>, Departure)>,
}

impl<'a> Context<'a> {
    /// Returns the command that tells that a member has left.
    fn departure_of(self, name: &str) -> String {
        let found = self.departures.iter().rev().find(|(other, _)| **other == *name);
        match found.map(|(_, departure)| departure) {
            Some(Departure::Quit(reason)) => format!("QUIT :{reason}"),
            Some(Departure::Part(Some(reason))) => format!("PART {} :{reason}", self.channel),
            Some(Departure::Part(None)) => format!("PART {}", self.channel),
            None => "QUIT :left".into(),
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
        let mut tags = Vec::new();
        variant.write_tags(&mut tags, "", frame.time, Some((context.epoch, frame.seq)));
        let source = |name: &str| format!(":{name}!{USER_HOST}");
        let out = &mut self.bytes;
        let mut add = |out: &mut Vec<u8>, kind| {
            self.spans.push(Span { json: json.clone(), end: out.len() as u32, kind });
        };
        match &*frame.kind {
            "chat" | "action" => {
                write_chat(out, &tags, frame, context);
                add(out, SpanKind::Chat(frame.source.as_ref().into()));
            }
            "join" => {
                for name in &frame.names {
                    write_line(out, &tags, &format!("{} JOIN {}", source(name), context.channel));
                    add(out, SpanKind::Join(name.as_ref().into()));
                }
            }
            "leave" => {
                for name in &frame.names {
                    let departure = context.departure_of(name);
                    write_line(out, &tags, &format!("{} {departure}", source(name)));
                    add(out, SpanKind::Leave);
                }
            }
            "name" => {
                write_line(out, &tags, &format!("{} NICK :{}", source(&frame.from), frame.to));
                add(out, SpanKind::Name(frame.from.as_ref().into(), frame.to.as_ref().into()));
            }
            _ => {}
        }
    }
}

/// Appends the lines of a chat frame. `tags` are the tags of each line.
pub fn write_chat(out: &mut Vec<u8>, tags: &[u8], frame: &Frame<'_>, context: Context<'_>) {
    let command = if context.notices.contains(&frame.seq) { "NOTICE" } else { "PRIVMSG" };
    let start = format!(":{}!{USER_HOST} {command} {} :", frame.source, context.channel);
    write_text(out, tags, &start, &frame.text, frame.kind == "action");
}

/// Appends the lines of a text: at least one, and at most [`MAX_LINES`] and one that counts the
/// others. `start` is the line up to the text.
pub fn write_text(out: &mut Vec<u8>, tags: &[u8], start: &str, text: &str, is_action: bool) {
    let (before, after) = if is_action { ("\u{1}ACTION ", "\u{1}") } else { ("", "") };
    let fixed = start.len() + before.len() + after.len() + "\r\n".len();
    let most = MAX_OUTPUT.saturating_sub(fixed);
    let plain = text.split('\n').map(strip_controls);
    let plain: Vec<String> = plain.filter(|line| !line.is_empty()).collect();
    let mut parts = plain.iter().flat_map(|line| split_long(line, most));
    let mut write = |part: &str| write_line(out, tags, &format!("{start}{before}{part}{after}"));
    write(parts.next().unwrap_or(" "));
    parts.by_ref().take(MAX_LINES - 1).for_each(&mut write);
    match parts.count() {
        0 => {}
        1 => write("[1 more line]"),
        more => write(&format!("[{more} more lines]")),
    }
}

/// Appends a line with its tags and its line end. A line that is too long loses its end.
pub fn write_line(out: &mut Vec<u8>, tags: &[u8], line: &str) {
    let line = truncate(line, MAX_OUTPUT - 2);
    out.extend_from_slice(tags);
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends a time as `2026-11-25T12:00:00.000Z`.
pub fn write_time(out: &mut Vec<u8>, unix_ms: u64) {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil_from_days(i64::try_from(days).unwrap_or(i64::MAX));
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let time =
        format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z");
    out.extend_from_slice(time.as_bytes());
}
