//! The entries of the log, as JSON.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version of the entries that this build writes, and the newest that it reads.
pub const VERSION: u32 = 1;
/// The most bytes of an entry.
pub const MAX_ENTRY: usize = 64 * 1024;

/// A batch of events of one node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct LogEntry<C> {
    /// The version of the format.
    pub v: u32,
    /// The incarnation of the writer: a random number, fresh at each start of a node. So it is
    /// unique also after the log was created anew, where a position in the log is not.
    pub inc: u64,
    /// The number of the entry within its incarnation: 0 for entries of a node that is not in the
    /// room, consecutive from then on.
    pub n: u64,
    /// When the stream that the writer reads was created, in nanoseconds since 1970. Entries for
    /// another stream do not count.
    pub log: i64,
    /// The position that the writer had applied.
    pub at: u64,
    /// The running hash of the writer at that position; 0 if it has no state.
    pub sum: u64,
    /// Empty for a beat.
    pub events: Vec<LogEvent<C>>,
}

/// The state of a replica, as its entries state it: see the fields of [`LogEntry`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Head {
    /// When the stream was created.
    pub log: i64,
    /// The position.
    pub at: u64,
    /// The running hash.
    pub sum: u64,
}

/// A part of an entry.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogEvent<C> {
    /// Empties the room and begins an epoch: the first entry of a log, and the answer to replicas
    /// that differ.
    Reset(Reset),
    /// Asks the nodes in the room for a snapshot, because the log no longer has its beginning.
    Ask,
    /// Adds the writer to the nodes in the room.
    Up(NodeInfo),
    /// Takes the writer and its members out of the room.
    Down,
    /// States that a snapshot is stored.
    Snapshot(SnapshotNotice),
    /// Applies a command to the room.
    Do(C),
}

/// The beginning of an epoch.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Reset {
    /// The new epoch.
    pub epoch: String,
}

/// A snapshot that is stored.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct SnapshotNotice {
    /// The last position in the snapshot.
    pub position: u64,
    /// The bytes of the log up to that position.
    pub bytes: u64,
}

/// The options of a node that matter to the room, by name.
pub type NodeRules = BTreeMap<String, String>;

/// The facts about a node that all nodes have to know.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct NodeInfo {
    /// The name of the node. A node replaces an earlier one of the same name.
    pub name: String,
    /// The newest version of entries that the node reads.
    pub version: u32,
    /// The version of Unicode in the tables of the node.
    pub unicode: String,
    /// The options that all nodes must have in common.
    pub rules: NodeRules,
    /// The address for clients, for the list in the welcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl NodeInfo {
    /// Returns the differences that keep this node out of a room with `other`, or an empty list.
    pub fn differences(&self, other: &NodeInfo) -> Vec<String> {
        let mut found = Vec::new();
        if self.unicode != other.unicode {
            found.push(format!("Unicode {} instead of {}", self.unicode, other.unicode));
        }
        for name in self.rules.keys().chain(other.rules.keys()) {
            let (ours, theirs) = (self.rules.get(name), other.rules.get(name));
            if ours != theirs {
                let value =
                    |value: Option<&String>| value.map_or("not set", |value| value).to_owned();
                found.push(format!("{name} {} instead of {}", value(ours), value(theirs)));
            }
        }
        found.sort();
        found.dedup();
        found
    }
}

/// The reason why a message of the log is not an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum DecodeError {
    /// The entry has a later version. Its rules are unknown, so the node cannot stay.
    UnknownVersion(u64),
    /// The message is no entry. All nodes ignore it.
    Malformed,
}

/// Decodes an entry.
///
/// # Errors
///
/// Returns an error if the message is no entry, is larger than [`MAX_ENTRY`] or has a later version.
pub fn decode<C: DeserializeOwned>(bytes: &[u8]) -> Result<LogEntry<C>, DecodeError> {
    #[derive(Deserialize)]
    struct Version {
        v: u64,
    }
    if bytes.len() > MAX_ENTRY {
        return Err(DecodeError::Malformed);
    }
    match serde_json::from_slice::<LogEntry<C>>(bytes) {
        Ok(entry) if entry.v == VERSION => Ok(entry),
        _ => match serde_json::from_slice::<Version>(bytes) {
            Ok(Version { v }) if v > u64::from(VERSION) => Err(DecodeError::UnknownVersion(v)),
            _ => Err(DecodeError::Malformed),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(events: Vec<LogEvent<String>>) -> LogEntry<String> {
        LogEntry { v: VERSION, inc: u64::MAX, n: 7, log: -1, at: 41, sum: 9, events }
    }

    #[test]
    fn entry_survives_json() {
        let info = NodeInfo { name: "a".into(), version: 1, ..NodeInfo::default() };
        let notice = SnapshotNotice { position: 4, bytes: 90 };
        let entry = entry(vec![
            LogEvent::Reset(Reset { epoch: "e".into() }),
            LogEvent::Ask,
            LogEvent::Up(info),
            LogEvent::Do("x\"\n".into()),
            LogEvent::Snapshot(notice),
            LogEvent::Down,
        ]);
        let bytes = serde_json::to_vec(&entry).unwrap();
        assert_eq!(decode(&bytes), Ok(entry));
    }

    #[test]
    fn unknown_version_is_an_error_of_its_own() {
        for text in
            [r#"{"v":2,"what":[]}"#, r#"{"v":2,"inc":1,"n":1,"log":1,"at":1,"sum":1,"events":[]}"#]
        {
            let decoded = decode::<String>(text.as_bytes());
            assert_eq!(decoded, Err(DecodeError::UnknownVersion(2)), "{text}");
        }
    }

    #[test]
    fn other_bytes_are_malformed() {
        let long = serde_json::to_vec(&entry(vec![LogEvent::Do("x".repeat(MAX_ENTRY))])).unwrap();
        for bytes in
            [&b""[..], b"null", b"\xff", br#"{"v":1}"#, br#"{"v":0}"#, br#"{"v":-1}"#, &long]
        {
            assert_eq!(decode::<String>(bytes), Err(DecodeError::Malformed));
        }
    }

    #[test]
    fn differing_rules_are_named() {
        let rules = |pairs: &[(&str, &str)]| -> NodeRules {
            pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
        };
        let node = |unicode: &str, rules| NodeInfo {
            unicode: unicode.into(),
            rules,
            ..NodeInfo::default()
        };
        let ours = node("16.0", rules(&[("--history", "10"), ("--max-line", "1"), ("--a", "1")]));
        let theirs = node("17.0", rules(&[("--history", "20"), ("--max-line", "1")]));
        let expected = [
            "--a 1 instead of not set",
            "--history 10 instead of 20",
            "Unicode 16.0 instead of 17.0",
        ];
        assert_eq!(ours.differences(&theirs), expected);
        assert!(ours.differences(&ours).is_empty());
    }
}
