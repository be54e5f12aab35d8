//! The clients that have not sent a line.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Client, ClientId, ClientTable};

/// Entries that may be out of date before the queue is cleaned.
const SLACK: usize = 16;

/// A queue of clients that have not sent a line, the earliest deadline first. An entry stays after
/// its client has sent a line or left, until it is at the front, or until more than half of the
/// entries are out of date.
#[derive(Debug, Default)]
pub struct Lobby {
    waiting: VecDeque<(Duration, ClientId)>,
}

impl Lobby {
    /// Adds a client. `deadline` is not before that of any other client.
    pub fn push(&mut self, deadline: Duration, id: ClientId, clients: &ClientTable<Client>) {
        self.waiting.push_back((deadline, id));
        if self.waiting.len() > 2 * clients.len() + SLACK {
            self.waiting.retain(|(_, id)| is_waiting(*id, clients));
        }
    }

    /// Removes and returns the first client if its deadline is not after `now`.
    pub fn pop_expired(
        &mut self,
        now: Duration,
        clients: &ClientTable<Client>,
    ) -> Option<ClientId> {
        while self.waiting.pop_front_if(|(_, id)| !is_waiting(*id, clients)).is_some() {}
        // Returns the memory for the entries of a crowd that has joined.
        if self.waiting.len() < self.waiting.capacity() / 4 {
            self.waiting.shrink_to(2 * self.waiting.len());
        }
        self.waiting.pop_front_if(|(deadline, _)| *deadline <= now).map(|(_, id)| id)
    }

    /// Returns the deadline of the first client.
    pub fn deadline(&self) -> Option<Duration> {
        self.waiting.front().map(|(deadline, _)| *deadline)
    }

    /// Returns the number of entries.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}

fn is_waiting(id: ClientId, clients: &ClientTable<Client>) -> bool {
    clients.get(id).is_some_and(|client| client.name.is_none())
}
