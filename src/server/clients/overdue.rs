//! The timeouts of connections that are ending.

use std::cmp::Reverse;
use std::io;
use std::time::Duration;

use super::Clients;
use crate::room::DisconnectReason;
use crate::server::client_state::{ClientEvent, ClientState, SHUTDOWN_TIMEOUT};

/// Entries of ended connections that may stay in a queue, beside twice the number of connections.
const SLACK: usize = 16;

impl Clients {
    /// Starts the shutdown: every connection ends within [`SHUTDOWN_TIMEOUT`].
    pub fn on_shutdown(&mut self, now: Duration) {
        self.is_shutting_down = true;
        let latest = now + SHUTDOWN_TIMEOUT;
        let deadlines = std::mem::take(&mut self.deadlines).into_iter();
        let earlier = |Reverse((deadline, id))| Reverse((Duration::min(deadline, latest), id));
        self.deadlines = deadlines.map(earlier).collect();
    }

    /// Returns the time at which [`close_overdue`](Self::close_overdue) has to be called.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadlines.peek().map(|Reverse((deadline, _))| *deadline)
    }

    /// Closes connections whose timeout has passed. If there are too many, closes those that end
    /// without a place. The room admits no client while the others need all places.
    pub fn close_overdue(&mut self, now: Duration) {
        while self.table.len() > self.max_connections
            && let Some(id) = self.ending_without_place.pop_front()
        {
            self.transition(id, ClientEvent::TimedOut, now);
        }
        let (table, most) = (&self.table, 2 * self.table.len() + SLACK);
        if self.ending_without_place.len() > most {
            self.ending_without_place.retain(|id| table.get(*id).is_some());
            self.ending_without_place.shrink_to(most);
        }
        if self.deadlines.len() > most {
            self.deadlines.retain(|Reverse((_, id))| table.get(*id).is_some());
            self.deadlines.shrink_to(most);
        }
        while let Some(&Reverse((deadline, id))) = self.deadlines.peek()
            && deadline <= now
        {
            self.deadlines.pop();
            if self.table.get(id).is_some_and(|client| client.state == ClientState::Broken) {
                let reason = DisconnectReason::Lost(io::ErrorKind::BrokenPipe);
                self.disconnected.push((id, reason));
            }
            self.transition(id, ClientEvent::TimedOut, now);
        }
        // Returns the memory for the deadlines of a crowd that has left.
        if self.deadlines.len() < self.deadlines.capacity() / 4 {
            self.deadlines.shrink_to(2 * self.deadlines.len());
        }
    }
}
