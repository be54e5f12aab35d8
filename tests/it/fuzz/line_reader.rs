//! Bytes in reads of any size give the same lines as in one read.
//!
//! The first line of the input is the plan: its first byte is the limit of a line, each further
//! byte is a read of the rest.

use smolchat::protocol::{LineReader, TooLong};

type Line = Result<Vec<u8>, TooLong>;

/// Numbers of lines that a read may return.
const BUDGETS: [usize; 7] = [usize::MAX, 0, 1, 2, 3, 7, 64];

pub fn run(data: &[u8]) {
    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (plan, text) = data.split_at(end);
    let mut text = text.strip_prefix(b"\n").unwrap_or(text);
    let Some((&max_line, reads)) = plan.split_first() else { return };
    let mut stream = Stream::new(max_line.into());
    for read in reads {
        let length = usize::from(read >> 3).min(text.len());
        let (bytes, rest) = text.split_at(length);
        text = rest;
        match BUDGETS.get(usize::from(read & 7)) {
            Some(&budget) => stream.read(bytes, budget),
            None => stream.clear(),
        }
    }
    stream.read(text, usize::MAX);
    let mut at_once = Stream::new(max_line.into());
    at_once.read(&stream.bytes, usize::MAX);
    assert_eq!(at_once.lines, stream.lines);
}

/// A reader, its input and its output.
struct Stream {
    reader: LineReader,
    max_line: usize,
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

impl Stream {
    fn new(max_line: u32) -> Self {
        let reader = LineReader::new(max_line);
        Stream { reader, max_line: max_line as usize, bytes: Vec::new(), lines: Vec::new() }
    }

    /// Reads as a connection does: returns all whole lines before it reads more.
    fn read(&mut self, bytes: &[u8], budget: usize) {
        self.bytes.extend_from_slice(bytes);
        let expected = split_lines(&self.bytes, self.max_line);
        self.step(bytes, budget, &expected);
        // A line with its carriage return, and new bytes over the budget.
        assert!(self.reader.buffer().len() <= self.max_line + 1 + bytes.len());
        while self.reader.has_more() {
            self.step(&[], budget.max(1), &expected);
        }
        assert!(self.reader.buffer().len() <= self.max_line + 1);
        let is_inside = self.bytes.last().is_some_and(|&byte| byte != b'\n');
        assert_eq!(self.reader.is_inside_line(), is_inside);
    }

    fn step(&mut self, bytes: &[u8], budget: usize, expected: &[Line]) {
        let before = self.lines.len();
        self.reader.read(bytes, |line| {
            let is_taken = self.lines.len() - before < budget;
            self.lines.extend(is_taken.then(|| line.map(<[u8]>::to_vec)));
            is_taken
        });
        let count = expected.len().min(before.saturating_add(budget));
        assert_eq!(self.lines, expected[..count]);
        assert_eq!(self.reader.has_more(), count < expected.len());
    }

    fn clear(&mut self) {
        self.reader.clear();
        assert!(self.reader.buffer().is_empty() && !self.reader.is_inside_line());
        self.bytes.clear();
        self.lines.clear();
    }
}

/// Splits bytes into lines in the simplest way. An unfinished line counts if it is too long.
fn split_lines(bytes: &[u8], max_line: usize) -> Vec<Line> {
    let pieces = bytes.split_inclusive(|&byte| byte == b'\n').filter_map(|piece| {
        let line = piece.strip_suffix(b"\n").unwrap_or(piece);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match line.len() > max_line {
            true => Some(Err(TooLong)),
            false => piece.ends_with(b"\n").then(|| Ok(line.to_vec())),
        }
    });
    pieces.collect()
}
