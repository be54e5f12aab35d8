//! The lines that were said and not yet seen to come back.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use serde_json::{Map, Value, json};

use super::link::HEARTBEAT_ID;
use crate::protocol::ClientLine;

/// Lines that are kept at most.
const MAX_LINES: usize = 1024;
/// Bytes of lines beyond which none is taken.
const MAX_BYTES: usize = 1 << 20;

/// Lines in the order in which they were said, until each is answered.
///
/// It does not know why a line is sent, or when it is safe to send it again: that is argued in
/// [`session`](super::session).
#[derive(Debug, Default)]
pub struct PendingLines {
    lines: VecDeque<PendingLine>,
    bytes: usize,
    last_id: u64,
    /// Makes ids that nobody can guess: whoever could, might answer a line that was lost.
    random: RandomState,
    /// What we were called since the oldest of the lines was said.
    own_names: Vec<String>,
}

#[derive(Debug)]
struct PendingLine {
    id: String,
    /// As it goes out, without its newline.
    text: String,
    /// It went out over the present link.
    is_sent: bool,
    /// The id is the application's own, and somebody else may use the same.
    has_own_id: bool,
}

impl PendingLines {
    /// Whether another line is taken.
    pub fn has_capacity(&self) -> bool {
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
        self.insert(&id, text.to_string(), false);
        id
    }

    /// Takes an object as a line, with its own id or else with one that it is given.
    ///
    /// Fails with the reason if the server could not answer it, because it would not understand
    /// so much as the id.
    pub fn push_object(&mut self, mut object: Map<String, Value>) -> Result<String, String> {
        let has_own_id = object.get("id").is_some_and(|id| !id.is_null());
        if !has_own_id {
            object.insert("id".into(), self.next_id().into());
        }
        let id = object.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let text = Value::Object(object).to_string();
        match ClientLine::parse(text.as_bytes()) {
            Err(rejected) if rejected.id.is_none() => return Err(rejected.text),
            _ if id == HEARTBEAT_ID => return Err(format!("the id {id} is taken")),
            _ => self.insert(&id, text, has_own_id),
        }
        Ok(id)
    }

    fn insert(&mut self, id: &str, text: String, has_own_id: bool) {
        self.bytes += text.len();
        self.lines.push_back(PendingLine { id: id.into(), text, is_sent: false, has_own_id });
    }

    /// Takes note of what we are called now.
    pub fn add_own_name(&mut self, name: &str) {
        if self.own_names.last().is_none_or(|last| last != name) {
            if self.lines.is_empty() {
                self.own_names.clear();
            }
            self.own_names.retain(|other| other != name);
            self.own_names.push(name.into());
        }
    }

    /// An id that was not given to any line.
    pub fn next_id(&mut self) -> String {
        self.last_id += 1;
        format!("{:x}-{:016x}", self.last_id, self.random.hash_one(self.last_id))
    }

    /// A frame with this id came, from the one of that name if it is what somebody said: whether
    /// it answers one of these lines, which is then done with.
    pub fn remove_answered(&mut self, id: &str, author: Option<&str>) -> bool {
        let is_ours = author.is_none_or(|author| self.own_names.iter().any(|name| name == author));
        match self.lines.iter().position(|line| line.id == id && (is_ours || !line.has_own_id)) {
            Some(index) => self.remove(index).is_some(),
            None => false,
        }
    }

    /// The server skipped a line of more than `max_line` bytes without reading its id: that was
    /// the first such line.
    pub fn remove_too_long(&mut self, max_line: u32) -> Option<String> {
        let is_too_long = |line: &PendingLine| line.is_sent && line.text.len() > max_line as usize;
        let index = self.lines.iter().position(is_too_long)?;
        self.remove(index)
    }

    fn remove(&mut self, index: usize) -> Option<String> {
        let line = self.lines.remove(index)?;
        self.bytes -= line.text.len();
        Some(line.id)
    }

    /// The lines that did not go out over the present link, and now do.
    pub fn take_unsent(&mut self) -> impl Iterator<Item = &str> {
        // Lines go out in order, so those that did not are at the end.
        let sent = self.lines.partition_point(|line| line.is_sent);
        self.lines.range_mut(sent..).map(|line| {
            line.is_sent = true;
            line.text.as_str()
        })
    }

    /// The link is gone, and nobody knows which of the lines arrived.
    pub fn on_disconnect(&mut self) {
        for line in &mut self.lines {
            line.is_sent = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(pending: &mut PendingLines) -> Vec<String> {
        let text = |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["data"].clone();
        pending.take_unsent().map(|line| text(line).as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_line_goes_out_once_a_link_until_it_is_answered() {
        let mut pending = PendingLines::default();
        let one = pending.push("one", None);
        pending.push("two", Some("bob"));
        assert_eq!(sent(&mut pending), ["one", "two"]);
        assert_eq!(sent(&mut pending), [""; 0]);
        assert!(pending.remove_answered(&one, None));
        assert!(!pending.remove_answered(&one, None));
        pending.push("three", None);
        assert_eq!(sent(&mut pending), ["three"]);
        pending.on_disconnect();
        pending.push("four", None);
        assert_eq!(sent(&mut pending), ["two", "three", "four"]);
    }

    #[test]
    fn what_is_kept_is_bounded_in_lines_and_in_bytes() {
        let mut pending = PendingLines::default();
        let first = pending.push("", None);
        while pending.has_capacity() {
            pending.push("", None);
        }
        assert_eq!(pending.len(), MAX_LINES);
        assert!(pending.remove_answered(&first, None));
        assert!(pending.has_capacity());
        pending.push(&"x".repeat(MAX_BYTES), None);
        assert!(!pending.has_capacity());
    }

    #[test]
    fn a_line_that_was_skipped_is_the_first_that_is_too_long() {
        let mut pending = PendingLines::default();
        pending.push("short", None);
        let long = pending.push(&"x".repeat(200), None);
        assert_eq!(pending.remove_too_long(200), None, "it was not sent yet");
        assert_eq!(sent(&mut pending).len(), 2);
        assert_eq!(pending.remove_too_long(200), Some(long));
        assert_eq!(pending.remove_too_long(200), None);
        assert_eq!(pending.len(), 1);
    }
    fn push_json(pending: &mut PendingLines, object: Value) -> Result<String, String> {
        pending.push_object(object.as_object().unwrap().clone())
    }

    #[test]
    fn an_id_of_the_application_s_own_is_answered_only_by_what_we_said() {
        let mut pending = PendingLines::default();
        pending.add_own_name("alice");
        assert_eq!(push_json(&mut pending, json!({"data": "hi", "id": "1"})), Ok("1".into()));
        pending.add_own_name("carol");
        assert!(!pending.remove_answered("1", Some("bob")));
        assert!(pending.remove_answered("1", Some("alice")), "said before the change of name");
        pending.add_own_name("alice");
        assert_eq!(push_json(&mut pending, json!({"data": "hi", "id": "1"})), Ok("1".into()));
        assert!(!pending.remove_answered("1", Some("carol")));
        assert!(pending.remove_answered("1", None), "what comes to us alone");
    }

    #[test]
    fn an_object_without_an_id_is_given_one() {
        let mut pending = PendingLines::default();
        for object in [json!({"data": "hi", "to": "bob"}), json!({"data": "hi", "id": null})] {
            let id = push_json(&mut pending, object).unwrap();
            let line =
                serde_json::from_str::<Value>(pending.take_unsent().next().unwrap()).unwrap();
            assert_eq!((&line["data"], &line["id"]), (&json!("hi"), &json!(id)));
            assert!(pending.remove_answered(&id, Some("bob")));
        }
    }

    #[test]
    fn what_could_not_be_answered_is_not_taken() {
        let mut pending = PendingLines::default();
        let id = "x".repeat(65);
        for object in [
            json!({"data": "hi", "id": 5}),
            json!({"data": "hi", "id": id}),
            json!({"data": "hi", "id": HEARTBEAT_ID}),
        ] {
            assert!(push_json(&mut pending, object.clone()).is_err(), "{object}");
        }
        assert!(pending.is_empty());
        for object in [json!({"text": "hi"}), json!({"data": 5})] {
            assert!(push_json(&mut pending, object).is_ok(), "the server answers it");
        }
    }
}
