//! How a server is doing, in figures.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use super::{ByeCode, ErrorCode};

/// What a server has done since it started, and where it stands.
///
/// Members are told with the answer to `/stats`, the log with SIGUSR1. There is nothing in it of
/// any one member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Seconds since the start.
    pub uptime: u64,
    /// Members in the room.
    pub members: usize,
    /// Connections that the room knows, those that are no members yet included.
    pub connections: usize,
    /// Lines that clients sent, whatever became of them.
    pub lines_in: u64,
    /// Lines that were handed on to clients, those included that still wait for them.
    pub lines_out: u64,
    /// Bytes that clients sent, as far as they made up lines.
    pub bytes_in: u64,
    /// Bytes of the lines that were handed on.
    pub bytes_out: u64,
    /// Connections that the server ended, or refused, by reason.
    pub evictions: Counters<ByeCode>,
    /// Errors that clients were told, by code.
    pub errors: Counters<ErrorCode>,
    /// Events that waited for the room when this was asked.
    pub events_waiting: usize,
    /// Resident memory in bytes, where the system tells it.
    pub memory: Option<u64>,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds) =
            (self.uptime / 3600, self.uptime / 60 % 60, self.uptime % 60);
        write!(
            f,
            "up {hours}:{minutes:02}:{seconds:02}; members: {}, connections: {}; \
             lines in: {} ({} bytes), out: {} ({} bytes); events waiting: {}; evictions: ",
            self.members,
            self.connections,
            self.lines_in,
            self.bytes_in,
            self.lines_out,
            self.bytes_out,
            self.events_waiting,
        )?;
        write!(f, "{}; errors: {}", self.evictions, self.errors)?;
        match self.memory {
            Some(bytes) => write!(f, "; memory: {} KiB", bytes / 1024),
            None => Ok(()),
        }
    }
}

/// How often each of a few things happened. To a reader it is `3 (slow 2, full 1)`, in JSON an
/// object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "BTreeMap<K, u64>")]
#[serde(bound(deserialize = "K: Deserialize<'de> + Ord"))]
pub struct Counters<K>(Vec<(K, u64)>);

impl<K: Copy + Ord> Counters<K> {
    /// It happened once more.
    pub fn add(&mut self, what: K) {
        match self.0.binary_search_by_key(&what, |(what, _)| *what) {
            Ok(place) => {
                if let Some((_, count)) = self.0.get_mut(place) {
                    *count += 1;
                }
            }
            Err(place) => self.0.insert(place, (what, 1)),
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
        serializer.collect_map(self.0.iter().map(|(what, count)| (what, count)))
    }
}

impl<K: Serialize> fmt::Display for Counters<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.iter().map(|(_, count)| count).sum::<u64>())?;
        for (place, (code, count)) in self.0.iter().enumerate() {
            // A code is a word in JSON, too.
            let code = serde_json::to_string(code).map_err(|_| fmt::Error)?;
            let before = if place == 0 { " (" } else { ", " };
            write!(f, "{before}{} {count}", code.trim_matches('"'))?;
        }
        f.write_str(if self.0.is_empty() { "" } else { ")" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Body, Frame};

    #[test]
    fn a_reader_gets_the_same_figures_in_words_and_in_json() {
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
        };
        let text = "up 1:02:03; members: 2, connections: 3; lines in: 4 (50 bytes), \
                    out: 8 (900 bytes); events waiting: 0; evictions: 3 (slow 2, full 1); \
                    errors: 7 (too-long 7); memory: 2 KiB";
        assert_eq!(stats.to_string(), text);
        let body = Body::Info { id: None, stats: Some(Box::new(stats)) };
        let mut line = Vec::new();
        let frame = Frame::server(text, body);
        frame.encode(&mut line);
        assert_eq!(Frame::decode(&line).unwrap(), frame);
        assert!(Stats::default().to_string().contains("evictions: 0; errors: 0"));
    }
}
