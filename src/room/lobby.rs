//! The queue of clients that wait: for their first line, or for their join notice.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Client, ClientId, ClientTable, Input, Now, Room};

/// Entries that may be out of date before the queue is cleaned.
const SLACK: usize = 16;

/// A queue of waiting clients, the earliest deadline first. An entry stays after its client has
/// ceased to wait, until it is at the front, or until more than half of the entries are out of
/// date.
#[derive(Debug)]
pub struct Lobby {
    waiting: VecDeque<(Duration, WaitingClient)>,
    is_waiting: fn(&Client) -> bool,
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

impl Lobby {
    /// Creates an empty queue. `is_waiting` returns whether a client still waits.
    pub fn new(is_waiting: fn(&Client) -> bool) -> Self {
        Lobby { waiting: VecDeque::new(), is_waiting }
    }

    /// Adds a client with the usual wait.
    pub fn push(&mut self, deadline: Duration, id: ClientId, clients: &ClientTable<Client>) {
        self.insert(deadline, WaitingClient { id, extensions: 0, wait: WaitKind::Usual });
        if self.waiting.len() > 2 * clients.len() + SLACK {
            let is_waiting = self.is_waiting;
            self.waiting.retain(|(_, client)| clients.get(client.id).is_some_and(is_waiting));
        }
    }

    /// Adds a client behind all that have the same or an earlier deadline.
    pub fn insert(&mut self, deadline: Duration, client: WaitingClient) {
        let at = self.waiting.partition_point(|(other, _)| *other <= deadline);
        self.waiting.insert(at, (deadline, client));
    }

    /// Removes and returns the first client if its deadline is not after `now`.
    pub fn pop_expired(
        &mut self,
        now: Duration,
        clients: &ClientTable<Client>,
    ) -> Option<WaitingClient> {
        let is_waiting = self.is_waiting;
        let is_outdated =
            |(_, client): &mut (_, WaitingClient)| !clients.get(client.id).is_some_and(is_waiting);
        while self.waiting.pop_front_if(is_outdated).is_some() {}
        // Returns the memory for the entries of a crowd that has joined.
        if self.waiting.len() < self.waiting.capacity() / 4 {
            self.waiting.shrink_to(2 * self.waiting.len());
        }
        self.waiting.pop_front_if(|(deadline, _)| *deadline <= now).map(|(_, client)| client)
    }

    /// Returns the first client that still waits and for which `is_wanted` is true.
    pub fn find(
        &self,
        clients: &ClientTable<Client>,
        is_wanted: impl Fn(&Client) -> bool,
    ) -> Option<ClientId> {
        let is_found = |client: &Client| (self.is_waiting)(client) && is_wanted(client);
        let mut ids = self.waiting.iter().map(|(_, client)| client.id);
        ids.find(|id| clients.get(*id).is_some_and(is_found))
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

impl Room {
    /// Removes and returns a client without a line whose hello wait is over. The caller applies
    /// [`Input::HelloWaitOver`], or [extends](Self::extend_hello_wait) the wait.
    pub fn pop_hello_wait(&mut self, now: Now) -> Option<WaitingClient> {
        self.now = now;
        self.lobby.pop_expired(now.uptime, &self.clients)
    }

    /// Adds a wait for the first line of a client, which is over at `deadline`.
    pub fn extend_hello_wait(&mut self, client: WaitingClient, deadline: Duration) {
        self.lobby.insert(deadline, client);
    }

    /// Announces each member that has said nothing until
    /// [`SILENT_NOTICE_DELAY`](super::presence::SILENT_NOTICE_DELAY) after its welcome, and removes
    /// each absent member that has not returned in time.
    pub fn end_waits(&mut self, now: Now) {
        self.now = now;
        self.remove_overdue_members();
        while let Some(client) = self.silent.pop_expired(now.uptime, &self.clients) {
            self.announce_member(client.id);
        }
    }

    /// Ends every wait that is over, without a check for a hello on its way.
    pub fn tick(&mut self, now: Now) {
        while let Some(client) = self.pop_hello_wait(now) {
            self.apply(Input::HelloWaitOver { id: client.id }, now);
        }
        self.end_waits(now);
    }
}
