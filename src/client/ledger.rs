//! The lines that were said and not yet seen to come back.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use serde_json::json;

/// Lines that are kept at most.
const MAX_LINES: usize = 1024;
/// Bytes of lines beyond which none is taken.
const MAX_BYTES: usize = 1 << 20;

/// Lines in the order in which they were said, until each is answered.
///
/// It does not know why a line is sent, or when it is safe to send it again: that is argued in
/// [`session`](super::session).
#[derive(Debug, Default)]
pub struct Ledger {
    lines: VecDeque<Line>,
    bytes: usize,
    said: u64,
    /// Makes ids that nobody can guess: whoever could, might answer a line that was lost.
    random: RandomState,
}

#[derive(Debug)]
struct Line {
    id: String,
    /// As it goes out, without its newline.
    text: String,
    /// It went out over the present link.
    is_sent: bool,
}

impl Ledger {
    /// Whether another line is taken.
    pub fn has_room(&self) -> bool {
        self.lines.len() < MAX_LINES && self.bytes < MAX_BYTES
    }

    /// How many lines are not answered.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether all were answered.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Takes a line that says `data`, to one member or to all, and gives it its id.
    pub fn push(&mut self, data: &str, to: Option<&str>) -> String {
        let id = self.next_id();
        let text = match to {
            Some(to) => json!({ "data": data, "to": to, "id": id }),
            None => json!({ "data": data, "id": id }),
        };
        let line = Line { id: id.clone(), text: text.to_string(), is_sent: false };
        self.bytes += line.text.len();
        self.lines.push_back(line);
        id
    }

    /// An id that was not given to any line.
    pub fn next_id(&mut self) -> String {
        self.said += 1;
        format!("{:x}-{:016x}", self.said, self.random.hash_one(self.said))
    }

    /// A frame with this id came: whether it answers one of these lines, which is then done with.
    pub fn answer(&mut self, id: &str) -> bool {
        match self.lines.iter().position(|line| line.id == id) {
            Some(place) => self.remove(place).is_some(),
            None => false,
        }
    }

    /// The server skipped a line of more than `max_line` bytes without reading its id: that was
    /// the first such line.
    pub fn refuse_too_long(&mut self, max_line: u32) -> Option<String> {
        let is_too_long = |line: &Line| line.is_sent && line.text.len() > max_line as usize;
        let place = self.lines.iter().position(is_too_long)?;
        self.remove(place)
    }

    fn remove(&mut self, place: usize) -> Option<String> {
        let line = self.lines.remove(place)?;
        self.bytes -= line.text.len();
        Some(line.id)
    }

    /// The lines that did not go out over the present link, and now do.
    pub fn send(&mut self) -> impl Iterator<Item = &str> {
        // Lines go out in order, so those that did not are at the end.
        let sent = self.lines.partition_point(|line| line.is_sent);
        self.lines.range_mut(sent..).map(|line| {
            line.is_sent = true;
            line.text.as_str()
        })
    }

    /// The link is gone, and nobody knows which of the lines arrived.
    pub fn lose_link(&mut self) {
        for line in &mut self.lines {
            line.is_sent = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(ledger: &mut Ledger) -> Vec<String> {
        let text = |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["data"].clone();
        ledger.send().map(|line| text(line).as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_line_goes_out_once_a_link_until_it_is_answered() {
        let mut ledger = Ledger::default();
        let one = ledger.push("one", None);
        ledger.push("two", Some("bob"));
        assert_eq!(sent(&mut ledger), ["one", "two"]);
        assert_eq!(sent(&mut ledger), [""; 0]);
        assert!(ledger.answer(&one));
        assert!(!ledger.answer(&one));
        ledger.push("three", None);
        assert_eq!(sent(&mut ledger), ["three"]);
        ledger.lose_link();
        ledger.push("four", None);
        assert_eq!(sent(&mut ledger), ["two", "three", "four"]);
    }

    #[test]
    fn what_is_kept_is_bounded_in_lines_and_in_bytes() {
        let mut ledger = Ledger::default();
        let first = ledger.push("", None);
        while ledger.has_room() {
            ledger.push("", None);
        }
        assert_eq!(ledger.len(), MAX_LINES);
        assert!(ledger.answer(&first));
        assert!(ledger.has_room());
        ledger.push(&"x".repeat(MAX_BYTES), None);
        assert!(!ledger.has_room());
    }

    #[test]
    fn a_line_that_was_skipped_is_the_first_that_is_too_long() {
        let mut ledger = Ledger::default();
        ledger.push("short", None);
        let long = ledger.push(&"x".repeat(200), None);
        assert_eq!(ledger.refuse_too_long(200), None, "it was not sent yet");
        assert_eq!(sent(&mut ledger).len(), 2);
        assert_eq!(ledger.refuse_too_long(200), Some(long));
        assert_eq!(ledger.refuse_too_long(200), None);
        assert_eq!(ledger.len(), 1);
    }
}
