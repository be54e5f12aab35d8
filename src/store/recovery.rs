//! Recovery of a room's state from the lines of its history files.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use super::format::{Record, StoredLine, is_torn_header};
use crate::protocol::escape_terminal_controls;

/// The longest line that is read, in bytes. A client's line has at most 1 MiB, and JSON escapes
/// make it up to six times as long.
const MAX_LINE: usize = 8 << 20;

/// The structure of one file.
#[derive(Debug, Default, PartialEq)]
pub struct FileLayout {
    /// Bytes up to the end of the last valid line.
    pub valid_bytes: u64,
    /// Bytes after the last valid line.
    pub trailing_bytes: u64,
    /// Lines that are complete but damaged.
    pub damaged_lines: u64,
    /// Whether the file has a frame.
    pub has_frames: bool,
}

/// The state of a room, as far as its history files were read.
#[derive(Debug)]
pub struct Recovery {
    /// The epoch of the last header.
    pub epoch: Option<Box<str>>,
    /// The number of the last frame.
    pub seq: u64,
    /// Whether the last line is a clean end.
    pub is_closed: bool,
    /// The boot id in the last header.
    boot: Option<Box<str>>,
    /// Whether the lines show no sign that frames of the epoch are missing at its end.
    is_complete: bool,
    /// The number of frames with consecutive numbers up to `seq`.
    consecutive: usize,
    recent: RecentFrames,
}

#[derive(Clone, Copy, PartialEq)]
enum LineKind {
    Header,
    Marker,
    Frame,
}

impl Recovery {
    /// Creates the state of an empty room, which keeps the newest frames within these bounds.
    pub fn new(max_frames: usize, max_bytes: usize) -> Self {
        let recent =
            RecentFrames { bytes: VecDeque::new(), lens: VecDeque::new(), max_frames, max_bytes };
        Recovery {
            epoch: None,
            seq: 0,
            is_closed: false,
            boot: None,
            is_complete: false,
            consecutive: 0,
            recent,
        }
    }

    /// Returns whether the epoch can continue on a machine with the boot id `boot`.
    pub fn can_continue_epoch(&self, boot: Option<&str>) -> bool {
        let is_same_boot = boot.is_some() && self.boot.as_deref() == boot;
        self.is_complete && (self.is_closed || is_same_boot)
    }

    /// Returns how many of the kept frames have consecutive numbers up to the last.
    pub fn resumable(&self) -> usize {
        self.consecutive.min(self.recent.lens.len())
    }

    /// Returns the kept frames, oldest first.
    pub fn into_frames(self) -> Vec<u8> {
        self.recent.bytes.into()
    }

    /// Reads a file from its start. Files are read in order, oldest first.
    ///
    /// # Errors
    ///
    /// Returns `InvalidData` if the first line is not a header of this version, or the error of
    /// the system if the file cannot be read.
    pub fn read_file(&mut self, file: &File) -> io::Result<FileLayout> {
        let mut lines = FileLines { reader: BufReader::new(file), line: Vec::new(), offset: 0 };
        let mut layout = FileLayout::default();
        loop {
            let kind = match lines.next()? {
                NextLine::EndOfFile => break,
                // A line that was not written completely was not sent to any member.
                NextLine::Torn(line) if layout.valid_bytes > 0 || is_torn_header(line) => break,
                NextLine::Torn(_) | NextLine::TooLong => None,
                NextLine::Complete(line) => self.read_line(line),
            };
            if layout.valid_bytes == 0 && kind != Some(LineKind::Header) {
                let text = "its first line is not a header that this version can read";
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            if kind.is_some() {
                layout.valid_bytes = lines.offset;
                layout.has_frames |= kind == Some(LineKind::Frame);
            } else {
                layout.damaged_lines += 1;
                self.on_missing_frames();
            }
        }
        layout.trailing_bytes = lines.offset - layout.valid_bytes;
        Ok(layout)
    }

    /// Returns `None` if the line is damaged.
    fn read_line(&mut self, line: &[u8]) -> Option<LineKind> {
        Some(match StoredLine::parse(line)? {
            StoredLine::Frame(seq) => {
                self.expect_seq(seq - 1);
                self.seq = seq;
                self.consecutive += 1;
                self.is_closed = false;
                // Older versions wrote these characters as they are.
                let mut frame = line.to_vec();
                escape_terminal_controls(&mut frame, 0);
                self.recent.push(&frame);
                LineKind::Frame
            }
            StoredLine::Record(Record::History { epoch, before, boot, .. }) => {
                if self.epoch.as_deref() == Some(&*epoch) {
                    self.expect_seq(before);
                } else {
                    self.epoch = Some(epoch.into());
                    self.seq = before;
                    self.consecutive = 0;
                    self.is_complete = true;
                }
                self.boot = boot.map(Into::into);
                self.is_closed = false;
                LineKind::Header
            }
            StoredLine::Record(Record::End { seq }) => {
                self.expect_seq(seq);
                self.is_closed = true;
                LineKind::Marker
            }
            StoredLine::Record(Record::Broken) => {
                self.on_missing_frames();
                LineKind::Marker
            }
        })
    }

    /// Continues at the number `seq`, which differs from the last if frames are missing.
    fn expect_seq(&mut self, seq: u64) {
        if seq != self.seq {
            self.consecutive = 0;
            // A gap can be reported to a client that resumes. A number that was used twice cannot.
            self.is_complete &= seq > self.seq;
            self.seq = seq;
        }
    }

    fn on_missing_frames(&mut self) {
        self.consecutive = 0;
        self.is_complete = false;
    }
}

/// The newest frames within bounds.
#[derive(Debug)]
struct RecentFrames {
    bytes: VecDeque<u8>,
    /// The length of each frame in `bytes`.
    lens: VecDeque<usize>,
    max_frames: usize,
    max_bytes: usize,
}

impl RecentFrames {
    /// Adds a frame and removes the oldest ones that exceed the bounds.
    ///
    /// A frame that is larger than the bound removes all others and is not added.
    fn push(&mut self, frame: &[u8]) {
        while !self.has_space_for(frame) {
            let Some(oldest) = self.lens.pop_front() else { return };
            self.bytes.drain(..oldest);
        }
        self.bytes.extend(frame);
        self.lens.push_back(frame.len());
    }

    fn has_space_for(&self, frame: &[u8]) -> bool {
        self.lens.len() < self.max_frames && self.bytes.len() + frame.len() <= self.max_bytes
    }
}

/// A reader for the lines of a file.
struct FileLines<'a> {
    reader: BufReader<&'a File>,
    line: Vec<u8>,
    /// Bytes read so far.
    offset: u64,
}

enum NextLine<'a> {
    EndOfFile,
    /// A line with its newline.
    Complete(&'a [u8]),
    /// The last line of the file, if it has no newline.
    Torn(&'a [u8]),
    TooLong,
}

impl FileLines<'_> {
    fn next(&mut self) -> io::Result<NextLine<'_>> {
        let mut is_too_long = false;
        loop {
            self.line.clear();
            let mut part = (&mut self.reader).take(MAX_LINE as u64);
            let len = part.read_until(b'\n', &mut self.line)?;
            self.offset += len as u64;
            let is_complete = self.line.ends_with(b"\n");
            if is_complete || len < MAX_LINE {
                return Ok(match len {
                    _ if is_too_long => NextLine::TooLong,
                    0 => NextLine::EndOfFile,
                    _ if is_complete => NextLine::Complete(&self.line),
                    _ => NextLine::Torn(&self.line),
                });
            }
            is_too_long = true;
        }
    }
}
