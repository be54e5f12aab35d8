//! The states of a connection, and how it ends.
//!
//! The broadcaster has one [`ClientState`] for each connection. Only [`ClientState::next`] changes
//! the state, after a [`ClientEvent`].
//!
//! | state      | read from the client            | written to the client        | timeout |
//! |------------|---------------------------------|------------------------------|---------|
//! | `Open`     | lines                           | own frames; if live, shared  | none    |
//! | `Closing`  | lines, which the room ignores   | frames up to the bye         | 120 s; 5 s at shutdown |
//! | `Draining` | lines, which the room ignores   | nothing: write side shut down | 5 s; after `Closing`, the rest of its 120 s |
//! | `Broken`   | lines                           | nothing                      | 5 s     |
//! | `Closed`   | nothing                         | nothing                      | none    |
//!
//! | state      | event                                         | next state              |
//! |------------|-----------------------------------------------|-------------------------|
//! | `Open`     | `StartLive`                                   | `Open`, live            |
//! |            | `ReadClosed`                                  | `Open`, read closed     |
//! |            | `Close`, and frames wait                      | `Closing`               |
//! |            | `Close`, and everything is written            | as `Closing`, `Written` |
//! |            | `WriteFailed`                                 | `Broken`                |
//! |            | `Abort`                                       | `Closed`                |
//! | `Closing`  | `Written`                                     | `Draining`              |
//! |            | `Written`, if read closed or shutting down    | `Closed`                |
//! |            | `ReadClosed`                                  | `Closing`, read closed  |
//! |            | `WriteFailed`, `TimedOut`                     | `Closed`                |
//! | `Draining` | `ReadClosed`, `TimedOut`                      | `Closed`                |
//! | `Broken`   | `ReadClosed`, `Close`, `Abort`, `TimedOut`    | `Closed`                |
//!
//! An event that is not in the table changes nothing.
//!
//! All members may be ending at once (`Closing`, `Draining` or `Broken`). The number of connections,
//! open and ending, is at most [`Config::max_connections`](crate::room::Config::max_connections):
//! the room admits no client while all these places are taken. A client that was refused, and the
//! old connection of a member that has reconnected, have no place. If there are more connections,
//! the timeout of these passes early.
//!
//! `Draining` exists because closing a socket that has unread input resets the connection, and a
//! reset can discard the bye before the client reads it. `Broken` exists because lines that arrived
//! before the write failed still count: the connection task reads all of them and then reports
//! `ReadClosed`.
//!
//! The ways in which a connection ends:
//!
//! | cause                                   | events                                        |
//! |-----------------------------------------|-----------------------------------------------|
//! | `/quit`, too many errors, another protocol, refused, shutdown | the room sends a bye: `Close` |
//! | the client closes its sending side      | `ReadClosed`; the room sends a bye: `Close`    |
//! | the connection is reset                 | `ReadClosed`; the room answers with `Abort`    |
//! | a panic in the connection task          | the same                                      |
//! | a write fails                           | `WriteFailed`, then `ReadClosed` or `TimedOut` |
//! | the client reads too slowly             | its outbox is replaced by a bye: `Close`       |
//! | the member reconnects with its token    | the same                                      |
//! | no random bytes for a token             | `Abort`                                       |
//! | too many connections                    | `TimedOut`, for the oldest without a place    |

use std::time::Duration;

/// The time in which the client has to read everything up to its bye. The kernel gives a client the
/// same time to acknowledge data (`USER_TIMEOUT`).
const WRITE_DRAIN_TIMEOUT: Duration = Duration::from_secs(120);
/// The same while the server shuts down.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// The time in which the client has to close the connection after its bye, if it was never behind,
/// and the connection task has to read to the end after a failed write.
const READ_DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The state of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientState {
    /// The room knows the client.
    Open {
        /// The client is a member and gets shared frames.
        is_live: bool,
        /// The connection task has ended.
        is_read_closed: bool,
    },
    /// The last frame is in the outbox, and the outbox is not empty.
    Closing {
        /// The connection task has ended.
        is_read_closed: bool,
    },
    /// Everything is written. The connection task discards input until the client closes.
    Draining,
    /// A write failed. The connection task reads the input that has arrived.
    Broken,
    /// The connection has ended.
    Closed,
}

/// An event of a connection, which can change its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The client has become a member.
    StartLive,
    /// The last frame was handed to the outbox.
    Close {
        /// The outbox is empty.
        is_written: bool,
    },
    /// The outbox has become empty.
    Written,
    /// The room ends the connection at once, because it is broken.
    Abort,
    /// A write to the socket failed.
    WriteFailed,
    /// The connection task has ended.
    ReadClosed,
    /// The timeout of the state has passed.
    TimedOut,
}

impl ClientState {
    /// The state of a new connection.
    pub const NEW: ClientState = ClientState::Open { is_live: false, is_read_closed: false };

    /// Returns the state after an event.
    pub fn next(self, event: ClientEvent, is_shutting_down: bool) -> ClientState {
        use ClientEvent::*;
        use ClientState::*;
        let written = |is_read_closed| match is_read_closed || is_shutting_down {
            true => Closed,
            false => Draining,
        };
        match (self, event) {
            (Open { is_read_closed, .. }, StartLive) => Open { is_live: true, is_read_closed },
            (Open { is_live, .. }, ReadClosed) => Open { is_live, is_read_closed: true },
            (Open { is_read_closed, .. }, Close { is_written: true }) => written(is_read_closed),
            (Open { is_read_closed, .. }, Close { is_written: false }) => {
                Closing { is_read_closed }
            }
            (Open { .. }, WriteFailed) => Broken,
            (Open { .. }, Abort) => Closed,
            (Closing { is_read_closed }, Written) => written(is_read_closed),
            (Closing { .. }, ReadClosed) => Closing { is_read_closed: true },
            (Closing { .. }, WriteFailed | TimedOut) => Closed,
            (Draining, ReadClosed | TimedOut) => Closed,
            (Broken, ReadClosed | Close { .. } | Abort | TimedOut) => Closed,
            (state, _) => state,
        }
    }

    /// Returns whether the client gets shared frames.
    pub fn is_live(self) -> bool {
        matches!(self, ClientState::Open { is_live: true, .. })
    }

    /// Returns whether frames may be written to the outbox.
    pub fn is_open(self) -> bool {
        matches!(self, ClientState::Open { .. })
    }

    /// Returns the time after which [`ClientEvent::TimedOut`] ends a connection that has left the
    /// state `Open` for this state.
    pub fn timeout(self, is_shutting_down: bool) -> Option<Duration> {
        match self {
            ClientState::Closing { .. } if is_shutting_down => Some(SHUTDOWN_TIMEOUT),
            ClientState::Closing { .. } => Some(WRITE_DRAIN_TIMEOUT),
            ClientState::Draining | ClientState::Broken => Some(READ_DRAIN_TIMEOUT),
            ClientState::Open { .. } | ClientState::Closed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [ClientState; 9] = [
        ClientState::NEW,
        ClientState::Open { is_live: true, is_read_closed: false },
        ClientState::Open { is_live: false, is_read_closed: true },
        ClientState::Open { is_live: true, is_read_closed: true },
        ClientState::Closing { is_read_closed: false },
        ClientState::Closing { is_read_closed: true },
        ClientState::Draining,
        ClientState::Broken,
        ClientState::Closed,
    ];
    const EVENTS: [ClientEvent; 8] = [
        ClientEvent::StartLive,
        ClientEvent::Close { is_written: true },
        ClientEvent::Close { is_written: false },
        ClientEvent::Written,
        ClientEvent::Abort,
        ClientEvent::WriteFailed,
        ClientEvent::ReadClosed,
        ClientEvent::TimedOut,
    ];

    /// The rows of the module's table: every other event changes nothing.
    #[test]
    fn transitions_are_those_of_the_table() {
        use ClientEvent::*;
        use ClientState::*;
        let open = |is_live, is_read_closed| Open { is_live, is_read_closed };
        let closing = |is_read_closed| Closing { is_read_closed };
        for state in STATES {
            for event in EVENTS {
                let expected = match (state, event) {
                    (Open { is_read_closed, .. }, StartLive) => open(true, is_read_closed),
                    (Open { is_live, .. }, ReadClosed) => open(is_live, true),
                    (Open { .. }, WriteFailed) => Broken,
                    (Open { .. }, Abort) => Closed,
                    (Open { is_read_closed, .. }, Close { is_written: false }) => {
                        closing(is_read_closed)
                    }
                    (Closing { .. }, ReadClosed) => closing(true),
                    (Closing { .. }, WriteFailed | TimedOut) => Closed,
                    (Open { is_read_closed: false, .. }, Close { is_written: true })
                    | (Closing { is_read_closed: false }, Written) => Draining,
                    (Open { is_read_closed: true, .. }, Close { is_written: true })
                    | (Closing { is_read_closed: true }, Written) => Closed,
                    (Draining, ReadClosed | TimedOut) => Closed,
                    (Broken, ReadClosed | Close { .. } | Abort | TimedOut) => Closed,
                    (state, _) => state,
                };
                assert_eq!(state.next(event, false), expected, "{state:?} {event:?}");
                let at_shutdown = if expected == Draining { Closed } else { expected };
                if state != Draining {
                    assert_eq!(state.next(event, true), at_shutdown, "{state:?} {event:?}");
                }
            }
        }
    }

    #[test]
    fn every_state_with_a_timeout_ends_with_it() {
        for state in STATES {
            let ends = state.next(ClientEvent::TimedOut, false) == ClientState::Closed;
            let is_closed = state == ClientState::Closed;
            assert_eq!(ends, state.timeout(false).is_some() || is_closed, "{state:?}");
        }
    }
}
