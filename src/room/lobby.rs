//! Queues of clients that wait: for their first line, or for their join notice.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Client, ClientId, ClientTable};

/// Entries that may be out of date before the queue is cleaned.
const SLACK: usize = 16;

/// A queue of waiting clients, the earliest deadline first. An entry stays after its client has
/// ceased to wait, until it is at the front, or until more than half of the entries are out of
/// date.
#[derive(Debug)]
pub struct Lobby {
    waiting: VecDeque<(Duration, ClientId)>,
    is_waiting: fn(&Client) -> bool,
}

impl Lobby {
    /// Creates an empty queue. `is_waiting` returns whether a client still waits.
    pub fn new(is_waiting: fn(&Client) -> bool) -> Self {
        Lobby { waiting: VecDeque::new(), is_waiting }
    }

    /// Adds a client. `deadline` is not before that of any other client.
    pub fn push(&mut self, deadline: Duration, id: ClientId, clients: &ClientTable<Client>) {
        self.waiting.push_back((deadline, id));
        if self.waiting.len() > 2 * clients.len() + SLACK {
            self.waiting.retain(|(_, id)| clients.get(*id).is_some_and(self.is_waiting));
        }
    }

    /// Removes and returns the first client if its deadline is not after `now`.
    pub fn pop_expired(
        &mut self,
        now: Duration,
        clients: &ClientTable<Client>,
    ) -> Option<ClientId> {
        let is_waiting = self.is_waiting;
        let is_outdated = |(_, id): &mut (_, ClientId)| !clients.get(*id).is_some_and(is_waiting);
        while self.waiting.pop_front_if(is_outdated).is_some() {}
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
