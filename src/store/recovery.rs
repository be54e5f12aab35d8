//! Reading a history file back: its lines, and what they add up to.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use serde::Serialize;

use crate::protocol::JsonObject;

/// The longest line that is read. A client's line has at most 1 MiB, which JSON can make six
/// times as long in a frame.
const MAX_LINE: usize = 8 << 20;
/// Numbers above this are damage: no room gets there, and not every JSON parser either.
const MAX_SEQ: u64 = 1 << 53;
/// The keys of a record, and those of a frame.
const KEYS: &[&str] = &[
    "before",
    "boot",
    "data",
    "data_source",
    "epoch",
    "from",
    "id",
    "kind",
    "names",
    "seq",
    "smolchat",
    "time",
    "to",
    "version",
];
/// How a line of the file's own begins, and how the file does.
const OWN: &[u8] = br#"{"smolchat":"#;
const FIRST: &[u8] = br#"{"smolchat":"history","#;

/// A line of the file's own, as opposed to a frame.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "smolchat", rename_all = "lowercase")]
pub enum Record<'a> {
    /// What follows belongs to this epoch.
    History {
        version: u64,
        epoch: Cow<'a, str>,
        /// The number before the first frame.
        before: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        boot: Option<Cow<'a, str>>,
    },
    /// All that came before is on the disk, up to this number.
    End { seq: u64 },
    /// Frames are missing after this.
    Broken,
}

impl<'a> Record<'a> {
    /// The record that an object is, if it is one.
    fn from_object(mut object: JsonObject<'a>) -> Option<Self> {
        match &*object.take_string("smolchat").ok()?? {
            "history" => Some(Record::History {
                version: object.take_integer("version").ok()??,
                epoch: object.take_string("epoch").ok()??,
                before: object.take_integer("before").ok()??,
                boot: object.take_string("boot").ok()?,
            }),
            "end" => Some(Record::End { seq: object.take_integer("seq").ok()?? }),
            "broken" => Some(Record::Broken),
            _ => None,
        }
    }

    /// This as a line, its newline included.
    pub fn line(&self) -> io::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// The number of a frame that has all that its kind asks for.
fn number_of_frame(mut frame: JsonObject<'_>) -> Option<u64> {
    let kind = frame.take_string("kind").ok()??;
    let mut has_text = |key| matches!(frame.take_string(key), Ok(Some(_)));
    let is_said = has_text("data_source") && has_text("data");
    let is_whole = match &*kind {
        "chat" | "action" => true,
        "join" | "leave" => frame.take_string_list("names"),
        "name" => has_text("from") && has_text("to"),
        _ => false,
    };
    let is_answerable = frame.take_string("id").is_ok();
    let is_timed = matches!(frame.take_integer("time"), Ok(Some(_)));
    let seq = frame.take_integer("seq").ok()??;
    let is_frame = is_said && is_whole && is_answerable && is_timed;
    (is_frame && (1..=MAX_SEQ).contains(&seq)).then_some(seq)
}

/// What one file consists of.
#[derive(Debug, Default, PartialEq)]
pub struct FileLayout {
    /// Bytes up to the end of the last line that could be read.
    pub whole: u64,
    /// Bytes behind that.
    pub rest: u64,
    /// Lines that could not be read though they are whole.
    pub unreadable: u64,
    /// Whether there is any frame.
    pub has_frames: bool,
}

/// What the lines read so far add up to.
#[derive(Debug)]
pub struct Recovery {
    /// The epoch of the last frame.
    pub epoch: Option<Box<str>>,
    /// Its number.
    pub seq: u64,
    /// Nothing follows the last clean end.
    pub ended: bool,
    boot: Option<Box<str>>,
    /// No number of the epoch can have been given out that is not in the file, as far as the lines
    /// themselves tell.
    trusted: bool,
    /// Frames up to `seq` without a hole.
    run: usize,
    kept: Kept,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Header,
    Mark,
    Frame,
}

impl Recovery {
    /// Nothing read so far; the newest frames are kept up to these bounds.
    pub fn new(keep_frames: usize, keep_bytes: usize) -> Self {
        Recovery {
            epoch: None,
            seq: 0,
            ended: false,
            boot: None,
            trusted: false,
            run: 0,
            kept: Kept {
                bytes: VecDeque::new(),
                lengths: VecDeque::new(),
                max_frames: keep_frames,
                max_bytes: keep_bytes,
            },
        }
    }

    /// Whether the epoch can go on if the machine runs under this boot.
    pub fn goes_on(&self, boot: Option<&str>) -> bool {
        let still_runs = boot.is_some() && self.boot.as_deref() == boot;
        self.trusted && (self.ended || still_runs)
    }

    /// How many of the frames that are kept are the last of the epoch, without a hole.
    pub fn resumable(&self) -> usize {
        self.run.min(self.kept.lengths.len())
    }

    /// The frames that are kept, back to back.
    pub fn into_frames(self) -> Vec<u8> {
        self.kept.bytes.into()
    }

    /// Reads a file from its beginning. It continues those that were read before.
    ///
    /// # Errors
    ///
    /// `InvalidData` when it does not begin as a history does; what the system says when it cannot
    /// be read.
    pub fn read(&mut self, file: &File) -> io::Result<FileLayout> {
        let mut lines = Lines { reader: BufReader::new(file), line: Vec::new(), offset: 0 };
        let mut layout = FileLayout::default();
        loop {
            let kind = match lines.next()? {
                Line::None => break,
                // Nobody can have been shown it: it was never written in full.
                Line::Torn if layout.whole > 0 || is_torn_header(&lines.line) => break,
                Line::Torn | Line::TooLong => None,
                Line::Whole => self.line(&lines.line),
            };
            if layout.whole == 0 && kind != Some(Kind::Header) {
                let why = "its first line is not that of a history which this version knows";
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            if kind.is_some() {
                layout.whole = lines.offset;
                layout.has_frames |= kind == Some(Kind::Frame);
            } else {
                layout.unreadable += 1;
                self.distrust();
            }
        }
        layout.rest = lines.offset - layout.whole;
        Ok(layout)
    }

    fn line(&mut self, line: &[u8]) -> Option<Kind> {
        let object = JsonObject::parse(str::from_utf8(line).ok()?, KEYS).ok()?;
        if !line.starts_with(OWN) {
            // What no client would understand must not be shown to any.
            let seq = number_of_frame(object)?;
            self.pass_to(seq - 1);
            self.seq = seq;
            self.run += 1;
            self.ended = false;
            self.kept.push(line);
            return Some(Kind::Frame);
        }
        match Record::from_object(object)? {
            Record::History { version: 1, epoch, before: before @ ..=MAX_SEQ, boot } => {
                if self.epoch.as_deref() == Some(&*epoch) {
                    self.pass_to(before);
                } else {
                    self.epoch = Some(epoch.into());
                    self.seq = before;
                    self.run = 0;
                    self.trusted = true;
                }
                self.boot = boot.map(Into::into);
                self.ended = false;
                Some(Kind::Header)
            }
            Record::End { seq: seq @ ..=MAX_SEQ } => {
                self.pass_to(seq);
                self.ended = true;
                Some(Kind::Mark)
            }
            Record::Broken => {
                self.distrust();
                Some(Kind::Mark)
            }
            Record::History { .. } | Record::End { .. } => None,
        }
    }

    /// The last number should be this one.
    fn pass_to(&mut self, seq: u64) {
        if seq != self.seq {
            // Frames are missing, which a client can be told when it resumes; but numbers that
            // come again are not those that it knows.
            self.run = 0;
            self.trusted &= seq > self.seq;
            self.seq = seq;
        }
    }

    fn distrust(&mut self) {
        self.run = 0;
        self.trusted = false;
    }
}

/// Whether this is what remains of the first line when its write was cut short. Some file systems
/// fill with zeros what was on its way to the disk when the power was cut.
fn is_torn_header(line: &[u8]) -> bool {
    line.starts_with(FIRST) || FIRST.starts_with(line) || line.iter().all(|&byte| byte == 0)
}

/// The newest frames within bounds, as the room's own history keeps them.
#[derive(Debug)]
struct Kept {
    bytes: VecDeque<u8>,
    lengths: VecDeque<usize>,
    max_frames: usize,
    max_bytes: usize,
}

impl Kept {
    fn push(&mut self, frame: &[u8]) {
        while !self.has_room_for(frame) {
            let Some(oldest) = self.lengths.pop_front() else { return };
            self.bytes.drain(..oldest);
        }
        self.bytes.extend(frame);
        self.lengths.push_back(frame.len());
    }

    fn has_room_for(&self, frame: &[u8]) -> bool {
        self.lengths.len() < self.max_frames && self.bytes.len() + frame.len() <= self.max_bytes
    }
}

/// The lines of a file, one at a time.
struct Lines<'a> {
    reader: BufReader<&'a File>,
    line: Vec<u8>,
    /// Bytes read so far.
    offset: u64,
}

#[derive(PartialEq)]
enum Line {
    None,
    /// It is in [`Lines::line`], with its newline.
    Whole,
    /// The file ended before the line did.
    Torn,
    TooLong,
}

impl Lines<'_> {
    fn next(&mut self) -> io::Result<Line> {
        let mut is_too_long = false;
        loop {
            self.line.clear();
            let mut part = (&mut self.reader).take(MAX_LINE as u64);
            let count = part.read_until(b'\n', &mut self.line)?;
            self.offset += count as u64;
            let is_end = self.line.ends_with(b"\n");
            if !is_end && count == MAX_LINE {
                is_too_long = true;
                continue;
            }
            return Ok(match count {
                _ if is_too_long => Line::TooLong,
                0 => Line::None,
                _ if is_end => Line::Whole,
                _ => Line::Torn,
            });
        }
    }
}
