//! A queue of clients that wait: for their first line, for their join notice, or to return.

use std::collections::VecDeque;
use std::time::Duration;

use super::{ClientId, ClientTable};

/// Entries that may be out of date before the queue is cleaned.
const SLACK: usize = 16;

/// A queue of waiting clients, the earliest deadline first. An entry stays after its client has
/// ceased to wait, until it is at the front, or until more than half of the entries are out of
/// date.
#[derive(Debug)]
pub struct WaitQueue<T> {
    waiting: VecDeque<(Duration, WaitingClient)>,
    is_waiting: fn(&T) -> bool,
}

/// A client that waits.
#[derive(Clone, Copy, Debug)]
pub struct WaitingClient {
    /// The number of the client.
    pub id: ClientId,
    /// How often its wait was extended because of unread input.
    pub extensions: u8,
    /// The kind of its wait.
    pub wait: WaitKind,
}

/// The kind of a client's wait, for the caller of the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitKind {
    /// The usual wait.
    Usual,
    /// A longer wait for a client that may need more time before its first line.
    Long,
    /// The wait for the rest of a request of another protocol.
    Request,
    /// The wait for the first line after such a request.
    AfterRequest,
    /// The wait for a handshake of TLS.
    #[cfg(feature = "tls")]
    Handshake,
    /// The wait for the first line after such a handshake.
    #[cfg(feature = "tls")]
    AfterHandshake,
}

impl<T> WaitQueue<T> {
    /// Creates an empty queue. `is_waiting` returns whether a client still waits.
    pub fn new(is_waiting: fn(&T) -> bool) -> Self {
        WaitQueue { waiting: VecDeque::new(), is_waiting }
    }

    /// Adds a client with the usual wait.
    pub fn push(&mut self, deadline: Duration, id: ClientId, clients: &ClientTable<T>) {
        self.insert(deadline, WaitingClient { id, extensions: 0, wait: WaitKind::Usual });
        if self.waiting.len() > 2 * clients.len() + SLACK {
            let is_waiting = self.is_waiting;
            self.waiting.retain(|(_, client)| clients.get(client.id).is_some_and(is_waiting));
        }
    }

    /// Adds a client behind all that have the same or an earlier deadline.
    pub fn insert(&mut self, deadline: Duration, client: WaitingClient) {
        insert(&mut self.waiting, deadline, client);
    }

    /// Removes and returns the first client if its deadline is not after `now`.
    pub fn pop_expired(
        &mut self,
        now: Duration,
        clients: &ClientTable<T>,
    ) -> Option<WaitingClient> {
        let is_waiting = self.is_waiting;
        pop(&mut self.waiting, now, &|id| clients.get(id).is_some_and(is_waiting))
    }

    /// Returns the first client that still waits and for which `is_wanted` is true.
    pub fn find(
        &self,
        clients: &ClientTable<T>,
        is_wanted: impl Fn(ClientId, &T) -> bool,
    ) -> Option<ClientId> {
        let is_found = |id, client: &T| (self.is_waiting)(client) && is_wanted(id, client);
        let mut ids = self.waiting.iter().map(|(_, client)| client.id);
        ids.find(|id| clients.get(*id).is_some_and(|client| is_found(*id, client)))
    }

    /// Returns the deadlines of the clients that still wait.
    #[cfg(feature = "cluster")]
    pub fn entries(&self, clients: &ClientTable<T>) -> Vec<(Duration, ClientId)> {
        let is_waiting = |id| clients.get(id).is_some_and(self.is_waiting);
        let waiting = self.waiting.iter().filter(|(_, client)| is_waiting(client.id));
        waiting.map(|(deadline, client)| (*deadline, client.id)).collect()
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

// These are one piece of code for the queues of all types.

fn insert(
    waiting: &mut VecDeque<(Duration, WaitingClient)>,
    deadline: Duration,
    client: WaitingClient,
) {
    let at = waiting.partition_point(|(other, _)| *other <= deadline);
    waiting.insert(at, (deadline, client));
}

fn pop(
    waiting: &mut VecDeque<(Duration, WaitingClient)>,
    now: Duration,
    is_waiting: &dyn Fn(ClientId) -> bool,
) -> Option<WaitingClient> {
    while waiting.pop_front_if(|(_, client)| !is_waiting(client.id)).is_some() {}
    // Returns the memory for the entries of a crowd that has joined.
    if waiting.len() < waiting.capacity() / 4 {
        waiting.shrink_to(2 * waiting.len());
    }
    waiting.pop_front_if(|(deadline, _)| *deadline <= now).map(|(_, client)| client)
}
