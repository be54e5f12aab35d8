//! Information about frames and members that is not in the room.

use crate::room::MAX_NOTICES;

/// The most members whose last command is kept.
pub const MAX_DEPARTURES: usize = 64;
/// The time in milliseconds for which it is kept: longer than a leave notice waits.
const DEPARTURE_TIMEOUT: u64 = 3000;

/// Information about frames and members that is not in the room.
#[derive(Debug, Default)]
pub struct Notes {
    /// The numbers of the frames that were a `NOTICE`.
    notices: Vec<u64>,
    /// The last commands of members that have left.
    departures: Vec<Departure>,
}

/// The command with which a member has left.
#[derive(Debug)]
pub struct Departure {
    name: Box<str>,
    /// Such as `QUIT :reason`.
    command: Box<str>,
    /// Milliseconds since the Unix epoch.
    time: u64,
}

impl Notes {
    /// Marks the frame with a number as a `NOTICE`.
    pub fn add_notice(&mut self, seq: u64) {
        if self.notices.len() >= MAX_NOTICES {
            self.notices.remove(0);
        }
        self.notices.push(seq);
    }

    /// Returns whether a frame is marked as a `NOTICE`.
    pub fn is_notice(&self, seq: u64) -> bool {
        self.notices.contains(&seq)
    }

    /// Remembers the command with which a member leaves, at a time in milliseconds.
    pub fn add_departure(&mut self, name: &str, command: &str, time: u64) {
        if self.departures.len() >= MAX_DEPARTURES {
            self.departures.remove(0);
        }
        self.departures.push(Departure { name: name.into(), command: command.into(), time });
    }

    /// Returns the command with which a member has left, for a leave notice of this time.
    pub fn departure_of(&self, name: &str, time: u64) -> &str {
        let found =
            self.departures.iter().rev().find(|other| {
                *other.name == *name && time.abs_diff(other.time) < DEPARTURE_TIMEOUT
            });
        found.map_or("QUIT :left", |departure| &departure.command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn departure_is_known_for_seconds() {
        let mut notes = Notes::default();
        notes.add_departure("alice", "QUIT :bye", 10_000);
        assert_eq!(notes.departure_of("alice", 11_000), "QUIT :bye");
        assert_eq!(notes.departure_of("bob", 11_000), "QUIT :left");
        assert_eq!(notes.departure_of("alice", 13_000), "QUIT :left");
        for number in 0..200 {
            notes.add_departure("bob", "QUIT :bye", 20_000 + number);
        }
        assert_eq!(notes.departures.len(), MAX_DEPARTURES);
    }

    #[test]
    fn last_notices_are_known() {
        let mut notes = Notes::default();
        (0..300).for_each(|seq| notes.add_notice(seq));
        assert_eq!((notes.is_notice(43), notes.is_notice(44)), (false, true));
    }
}
