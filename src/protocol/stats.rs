//! The statistics of a server, as `/stats` and the log show them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use super::{ByeCode, ErrorCode};

/// The statistics of a server since its start.
///
/// Members get them in the answer to `/stats`, and SIGUSR1 writes them to the log. They contain
/// nothing about a single member. The [`Display`](fmt::Display) form is one line of text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Seconds since the start.
    pub uptime: u64,
    /// Members in the room.
    pub members: usize,
    /// Connections in the room, those of clients that are not members yet included.
    pub connections: usize,
    /// Lines received from clients, rejected lines included.
    pub lines_in: u64,
    /// Lines sent to clients, those in an outbox included.
    pub lines_out: u64,
    /// Bytes of the lines received from clients.
    pub bytes_in: u64,
    /// Bytes of the lines sent to clients.
    pub bytes_out: u64,
    /// Connections that the server closed or refused, by reason.
    pub evictions: Counters<ByeCode>,
    /// Errors sent to clients, by code.
    pub errors: Counters<ErrorCode>,
    /// Events that wait for the broadcaster.
    pub events_waiting: usize,
    /// Resident memory in bytes, if the system reports it.
    pub memory: Option<u64>,
    /// The node, if the room is on several servers.
    #[cfg(feature = "cluster")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Box<ClusterStats>>,
}

/// The statistics of a node of a room on several servers.
#[cfg(feature = "cluster")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStats {
    /// The name of this node.
    pub node: String,
    /// The names of all nodes in the room.
    pub nodes: Vec<String>,
    /// The number of the last entry of the log that was applied.
    pub position: u64,
    /// Entries that have arrived and are not applied.
    pub lag: usize,
    /// Milliseconds until the lease ends, unless the node reads an entry of its own before.
    pub lease: u64,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stats { uptime, members, connections, evictions, errors, .. } = self;
        let (hours, minutes, seconds) = (uptime / 3600, uptime / 60 % 60, uptime % 60);
        write!(f, "up {hours}:{minutes:02}:{seconds:02}; ")?;
        write!(f, "members: {members}, connections: {connections}; ")?;
        write!(f, "lines in: {} ({} bytes), ", self.lines_in, self.bytes_in)?;
        write!(f, "out: {} ({} bytes); ", self.lines_out, self.bytes_out)?;
        write!(f, "events waiting: {}; ", self.events_waiting)?;
        write!(f, "evictions: {evictions}; errors: {errors}")?;
        if let Some(bytes) = self.memory {
            write!(f, "; memory: {} KiB", bytes / 1024)?;
        }
        #[cfg(feature = "cluster")]
        if let Some(ClusterStats { node, nodes, position, lag, lease }) = self.cluster.as_deref() {
            let nodes = nodes.join(", ");
            write!(f, "; node {node} of {nodes}; log: {position}, lag: {lag}, lease: {lease} ms")?;
        }
        Ok(())
    }
}

/// A count for each of a few codes.
///
/// The [`Display`](fmt::Display) form is `3 (slow 2, full 1)`; the JSON form is an object.
///
/// It is a sorted list, because a map makes `smolchatd` 5 KB larger.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "BTreeMap<K, u64>", bound(deserialize = "K: Deserialize<'de> + Ord"))]
pub struct Counters<K>(Vec<(K, u64)>);

impl<K: Copy + Ord> Counters<K> {
    /// Adds 1 to the count of `code`.
    pub fn add(&mut self, code: K) {
        match self.0.binary_search_by_key(&code, |(code, _)| *code) {
            Ok(at) => {
                if let Some((_, count)) = self.0.get_mut(at) {
                    *count += 1;
                }
            }
            Err(at) => self.0.insert(at, (code, 1)),
        }
    }
}

impl<K> Default for Counters<K> {
    fn default() -> Self {
        Counters(Vec::new())
    }
}

impl<K> From<BTreeMap<K, u64>> for Counters<K> {
    fn from(counts: BTreeMap<K, u64>) -> Self {
        Counters(counts.into_iter().collect())
    }
}

impl<K: Serialize> Serialize for Counters<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(code, count)| (code, count)))
    }
}

impl<K: Serialize> fmt::Display for Counters<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.iter().map(|(_, count)| count).sum::<u64>())?;
        for (index, (code, count)) in self.0.iter().enumerate() {
            // The text form of a code is its JSON string without the quotes.
            let code = serde_json::to_string(code).map_err(|_| fmt::Error)?;
            let separator = if index == 0 { " (" } else { ", " };
            write!(f, "{separator}{} {count}", code.trim_matches('"'))?;
        }
        f.write_str(if self.0.is_empty() { "" } else { ")" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Body, Frame};

    #[test]
    fn stats_are_the_same_in_text_and_in_json() {
        let stats = Stats {
            uptime: 3_723,
            members: 2,
            connections: 3,
            lines_in: 4,
            lines_out: 8,
            bytes_in: 50,
            bytes_out: 900,
            evictions: BTreeMap::from([(ByeCode::Slow, 2), (ByeCode::Full, 1)]).into(),
            errors: BTreeMap::from([(ErrorCode::TooLong, 7)]).into(),
            events_waiting: 0,
            memory: Some(2048),
            #[cfg(feature = "cluster")]
            cluster: Some(Box::new(ClusterStats {
                node: "n1".into(),
                nodes: vec!["n1".into(), "n2".into()],
                position: 70,
                lag: 0,
                lease: 8_000,
            })),
        };
        let text = "up 1:02:03; members: 2, connections: 3; lines in: 4 (50 bytes), \
                    out: 8 (900 bytes); events waiting: 0; evictions: 3 (slow 2, full 1); \
                    errors: 7 (too-long 7); memory: 2 KiB";
        #[cfg(feature = "cluster")]
        let text = format!("{text}; node n1 of n1, n2; log: 70, lag: 0, lease: 8000 ms");
        assert_eq!(stats.to_string(), text);
        let stats = Some(Box::new(stats));
        let body = Body::Info { seq: None, time: None, topic: None, id: None, stats };
        let mut line = Vec::new();
        let frame = Frame::server(text, body);
        frame.encode(&mut line);
        assert_eq!(Frame::decode(&line).unwrap(), frame);
        assert!(Stats::default().to_string().contains("evictions: 0; errors: 0"));
    }
}
