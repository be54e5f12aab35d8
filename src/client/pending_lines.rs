//! The lines that were sent, or wait to be sent, and are not yet answered by the server.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use serde_json::{Map, Value, json};

use super::link::HEARTBEAT_ID;
use crate::protocol::ClientLine;

/// The most lines that may be pending.
const MAX_LINES: usize = 1024;
/// The bytes of pending lines above which no line is accepted.
const MAX_BYTES: usize = 1 << 20;

/// The most names of this member that are remembered while lines are pending.
const MAX_OWN_NAMES: usize = 64;

/// A queue of pending lines, in the order in which the application sent them.
///
/// A line is pending until a frame from the server answers it. The queue does not decide when a
/// line may be sent again: see `session/reconnect.rs`.
#[derive(Debug, Default)]
pub struct PendingLines {
    lines: VecDeque<PendingLine>,
    /// The bytes in `lines`.
    bytes: usize,
    /// The number of ids that were generated.
    id_count: u64,
    /// Makes generated ids unpredictable. A member that guesses the id of a lost line could send a
    /// line with the same id, and the session would take that for the answer.
    random: RandomState,
    /// The names of this member since the oldest pending line was sent.
    own_names: Vec<String>,
}

#[derive(Debug)]
struct PendingLine {
    id: String,
    /// The line as it is sent, without its newline.
    text: String,
    /// Whether the line was sent over the present connection.
    is_sent: bool,
    /// Whether the application chose the id. Another member may use the same one.
    has_own_id: bool,
}

impl PendingLines {
    /// Returns whether another line is accepted.
    pub fn has_capacity(&self) -> bool {
        self.lines.len() < MAX_LINES && self.bytes < MAX_BYTES
    }

    /// Returns the number of pending lines.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Returns whether all lines are answered.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds a line with the text `data`, to all members or to one, and returns its new id.
    pub fn push(&mut self, data: &str, to: Option<&str>) -> String {
        let id = self.next_id();
        let text = match to {
            Some(to) => json!({ "data": data, "to": to, "id": id }),
            None => json!({ "data": data, "id": id }),
        };
        self.insert(&id, text.to_string(), false);
        id
    }

    /// Returns how many bytes a line takes besides its text.
    pub fn overhead(&self) -> usize {
        // Later ids may be longer; these are enough for the parts of one text.
        r#"{"data":"","id":""}"#.len() + format_id(self.id_count + (1 << 16), 0).len()
    }

    /// Adds a JSON object as a line. Returns its id, which is generated if the object has none.
    ///
    /// # Errors
    ///
    /// Returns the reason if the `id` is invalid, so that the server could not answer with it.
    pub fn push_object(&mut self, mut object: Map<String, Value>) -> Result<String, String> {
        let has_own_id = object.get("id").is_some_and(|id| !id.is_null());
        if !has_own_id {
            object.insert("id".into(), self.next_id().into());
        }
        // An id that is not a string is an error of the parser below.
        let id = object.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let text = Value::Object(object).to_string();
        match ClientLine::parse(text.as_bytes()) {
            Err(error) if error.id.is_none() => Err(error.text),
            _ if id == HEARTBEAT_ID => Err(format!("the id {id} is reserved, choose another")),
            // The server answers any other error itself.
            _ => {
                self.insert(&id, text, has_own_id);
                Ok(id)
            }
        }
    }

    fn insert(&mut self, id: &str, text: String, has_own_id: bool) {
        self.bytes += text.len();
        self.lines.push_back(PendingLine { id: id.into(), text, is_sent: false, has_own_id });
    }

    /// Stores the present name of this member.
    pub fn add_own_name(&mut self, name: &str) {
        if self.own_names.last().is_none_or(|last| last != name) {
            if self.lines.is_empty() {
                self.own_names.clear();
            }
            self.own_names.retain(|other| other != name);
            if self.own_names.len() == MAX_OWN_NAMES {
                self.own_names.remove(0);
            }
            self.own_names.push(name.into());
        }
    }

    /// Generates an id that no other line has.
    pub fn next_id(&mut self) -> String {
        self.id_count += 1;
        format_id(self.id_count, self.random.hash_one(self.id_count))
    }

    /// Removes the line that a frame with this id answers. Returns whether there is one.
    ///
    /// `author` is the member that sent the frame, or `None` if the server sent it to this client.
    /// A line whose id the application chose is answered only by a frame of this member.
    pub fn remove_answered(&mut self, id: &str, author: Option<&str>) -> bool {
        let is_own = author.is_none_or(|author| self.own_names.iter().any(|name| name == author));
        let answered = |line: &PendingLine| line.id == id && (is_own || !line.has_own_id);
        match self.lines.iter().position(answered) {
            Some(index) => self.remove(index).is_some(),
            None => false,
        }
    }

    /// Removes the first sent line of more than `max_line` bytes, and returns its id.
    ///
    /// The server answers such a line with an error without an id, because it does not read it.
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

    /// Returns the lines that were not sent over the present connection, and marks each as sent.
    pub fn take_unsent(&mut self) -> impl Iterator<Item = &str> {
        // Lines are sent in order, so the unsent ones are at the end.
        let sent = self.lines.partition_point(|line| line.is_sent);
        self.lines.range_mut(sent..).map(|line| {
            line.is_sent = true;
            line.text.as_str()
        })
    }

    /// Marks all lines as not sent over the next connection.
    pub fn on_disconnect(&mut self) {
        for line in &mut self.lines {
            line.is_sent = false;
        }
    }
}

fn format_id(count: u64, random: u64) -> String {
    format!("{count:x}-{random:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(pending: &mut PendingLines) -> Vec<String> {
        let text = |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["data"].clone();
        pending.take_unsent().map(|line| text(line).as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn line_is_sent_once_per_connection_until_answered() {
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
    fn overhead_is_that_of_a_line() {
        let mut pending = PendingLines::default();
        let overhead = pending.overhead();
        pending.push("hello", None);
        let line = pending.take_unsent().next().unwrap();
        // The id of the first line is four digits shorter than the longest that is considered.
        assert_eq!(line.len() + 4, overhead + "hello".len());
    }

    #[test]
    fn capacity_is_bounded_in_lines_and_bytes() {
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
    fn too_long_error_removes_first_sent_long_line() {
        let mut pending = PendingLines::default();
        pending.push("short", None);
        let long = pending.push(&"x".repeat(200), None);
        assert_eq!(pending.remove_too_long(200), None, "not sent yet");
        assert_eq!(sent(&mut pending).len(), 2);
        assert_eq!(pending.remove_too_long(200), Some(long));
        assert_eq!(pending.remove_too_long(200), None);
        assert_eq!(pending.len(), 1);
    }

    fn push_json(pending: &mut PendingLines, object: Value) -> Result<String, String> {
        pending.push_object(object.as_object().unwrap().clone())
    }

    #[test]
    fn own_id_is_answered_only_under_an_own_name() {
        let mut pending = PendingLines::default();
        pending.add_own_name("alice");
        assert_eq!(push_json(&mut pending, json!({"data": "hi", "id": "1"})), Ok("1".into()));
        pending.add_own_name("carol");
        assert!(!pending.remove_answered("1", Some("bob")));
        assert!(pending.remove_answered("1", Some("alice")), "sent before the change of name");
        pending.add_own_name("alice");
        assert_eq!(push_json(&mut pending, json!({"data": "hi", "id": "1"})), Ok("1".into()));
        assert!(!pending.remove_answered("1", Some("carol")));
        assert!(pending.remove_answered("1", None), "sent by the server to this client");
    }

    #[test]
    fn object_without_id_gets_generated_id() {
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
    fn object_with_invalid_id_is_rejected() {
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
