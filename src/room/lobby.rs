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
    waiting: VecDeque<(Duration, SilentClient)>,
}

/// A client that has not sent a line.
#[derive(Clone, Copy, Debug)]
pub struct SilentClient {
    /// The number of the client.
    pub id: ClientId,
    /// How often its wait was extended.
    pub looks: u8,
}

impl Lobby {
    /// Adds a client. `deadline` is not before that of any other client.
    pub fn push(&mut self, deadline: Duration, id: ClientId, clients: &ClientTable<Client>) {
        self.waiting.push_back((deadline, SilentClient { id, looks: 0 }));
        if self.waiting.len() > 2 * clients.len() + SLACK {
            self.waiting.retain(|(_, client)| is_waiting(client.id, clients));
        }
    }

    /// Adds a client again, at any place in the queue.
    pub fn extend(&mut self, deadline: Duration, client: SilentClient) {
        let at = self.waiting.partition_point(|(other, _)| *other <= deadline);
        self.waiting.insert(at, (deadline, SilentClient { looks: client.looks + 1, ..client }));
    }

    /// Removes and returns the first client if its deadline is not after `now`.
    pub fn pop_expired(
        &mut self,
        now: Duration,
        clients: &ClientTable<Client>,
    ) -> Option<SilentClient> {
        while self.waiting.pop_front_if(|(_, client)| !is_waiting(client.id, clients)).is_some() {}
        self.waiting.pop_front_if(|(deadline, _)| *deadline <= now).map(|(_, client)| client)
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
