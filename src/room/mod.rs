//! The room: its members, their names, and the sequence of its frames.
//!
//! A [`Room`] is pure and has no transport. It takes an [`Input`] and the time, and collects frames
//! to deliver; it does no I/O, awaits nothing and reads no clock. The caller applies inputs,
//! [seals](Room::seal) the result into a [`Batch`], and delivers the batch.
//!
//! It has two parts: the clients of this server, in `lobby.rs`, and the members, the names and the
//! sequence, in `state.rs`, which a [`Command`] changes. Several nodes that commit the same commands
//! in the same order have the same state.
//!
//! ```
//! use smolchat::protocol::ClientLine;
//! use smolchat::room::{Config, Input, ClientId, Now, Peer, Room, Token};
//! use std::time::Duration;
//!
//! let mut room = Room::new(Config::default(), "epoch".into());
//! let now = Now { uptime: Duration::ZERO, unix_ms: 1_790_000_000_000 };
//! let alice = ClientId(1);
//! let token = Token(*b"sixteen secrets!");
//! room.apply(Input::Connect { id: alice, peer: Peer::Unix(None), token }, now);
//! let line = ClientLine::parse(br#"{"hello":{"name":"alice"}}"#);
//! room.apply(Input::Lines { id: alice, lines: vec![line] }, now);
//!
//! let batch = room.seal();
//! assert!(batch.chunk.starts_with(br#"{"data_source":"server","data":"alice joined","#));
//! ```

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod admission;
mod batch;
mod client_table;
#[cfg(feature = "cluster")]
mod cluster;
mod command;
mod config;
mod credential_index;
mod enforcement;
mod history;
mod input;
mod join;
mod leave;
mod lobby;
mod moderation;
mod names;
mod operators;
mod presence;
#[cfg(any(feature = "irc", feature = "cluster"))]
mod profile;
mod refusal;
#[cfg(feature = "tls")]
mod refused;
#[cfg(all(feature = "irc", feature = "cluster"))]
mod replica_view;
mod requests;
mod reserved_names;
#[cfg(feature = "cluster")]
mod saved_state;
mod snapshot;
mod state;
mod unauthenticated;
#[cfg(feature = "irc")]
mod view;
mod wait_queue;

use std::borrow::Cow;
use std::time::Duration;

pub(crate) use admission::{Origin, max_addresses, max_connections, max_visitors};
pub use batch::{Batch, Chunk, ClientSlices, End, Op, Position, Slice, SliceKind, Unicast};
pub(crate) use client_table::ClientTable;
#[cfg(feature = "cluster")]
pub use cluster::ReplicaConfig;
#[cfg(feature = "cluster")]
pub use command::EdgeMessage;
pub use command::{Command, Join, LeaveCause, Place};
pub use config::{Config, Rules};
pub use history::History;
pub use input::{ClientId, Credential, DisconnectReason, Input, NodeId, Now, Peer, Token};
pub(crate) use moderation::MODERATION_BYTES;
pub use moderation::Moderation;
pub use names::HashKey;
#[cfg(feature = "cluster")]
pub(crate) use profile::PROFILE_BYTES;
#[cfg(any(feature = "irc", feature = "cluster"))]
pub use profile::Profile;
#[cfg(feature = "irc")]
pub(crate) use profile::{MAX_AWAY, MAX_NOTICES, MAX_REAL_NAME, MAX_USER};
#[cfg(feature = "cluster")]
pub(crate) use saved_state::{SAVED_MEMBER_BYTES, SAVED_MODERATION_BYTES, SAVED_NOTICES_BYTES};
#[cfg(feature = "cluster")]
pub use saved_state::{SavedState, UnknownStateVersion};
pub use snapshot::Snapshot;
pub use wait_queue::{WaitKind, WaitingClient};

use crate::protocol::{Body, ByeCode, Frame, ParsedLine, Stats};
#[cfg(feature = "irc")]
use lobby::ClientStage;
use lobby::Lobby;
use state::RoomState;

/// The members, the names, the sequence and the history of one room.
#[derive(Debug)]
pub struct Room {
    lobby: Lobby,
    state: RoomState,
}

impl Room {
    /// Creates an empty room. `epoch` identifies its sequence.
    pub fn new(config: Config, epoch: Box<str>) -> Self {
        let history = History::new(config.history, config.history_bytes, 0);
        Self::with_history(config, epoch, history, 0)
    }

    /// Creates a room that continues from a snapshot.
    pub fn with_snapshot(config: Config, snapshot: Snapshot) -> Self {
        let Snapshot { epoch, seq, frames, resumable } = snapshot;
        let (count, bytes) = (config.history, config.history_bytes);
        let history = History::with_frames(count, bytes, seq, frames, resumable);
        Self::with_history(config, epoch, history, seq)
    }

    fn with_history(config: Config, epoch: Box<str>, history: History, seq: u64) -> Self {
        let rules = config.rules();
        let answers = config.answers(NodeId::default(), &rules);
        let state = RoomState::new(rules, answers, epoch, HashKey::default(), (history, seq));
        Room { lobby: Lobby::new(config, Credential::from), state }
    }

    /// Applies one input. The result is in the batch that [`seal`](Self::seal) returns.
    ///
    /// An input of a client that the room does not know, or has removed, is ignored.
    pub fn apply(&mut self, input: Input, now: Now) {
        debug_assert!(!self.lobby.is_clustered, "the command has to go through the log");
        match self.propose(input, now) {
            Some(command) => self.commit(command, now),
            None => self.state.publish_due_notice(now),
        }
    }

    /// Applies the part of an input that concerns its client alone, and returns the command for the
    /// rest, if there is one. [`commit`](Self::commit) applies it; other commands may come between.
    pub fn propose(&mut self, input: Input, now: Now) -> Option<Command> {
        self.lobby.now = now;
        #[cfg(feature = "tls")]
        if self.on_refused_input(&input) {
            return None;
        }
        match input {
            Input::Connect { id, peer, token } => self.connect(id, peer, token),
            Input::Lines { id, lines } => {
                self.count_lines(id, lines.len());
                return self.propose_lines(id, lines);
            }
            Input::Authenticated { id, lines } => {
                self.count_lines(id, 1);
                return self.on_authenticated(id, lines);
            }
            Input::Operator { id, label, line_id } => {
                return self.propose_operator(id, label, line_id);
            }
            Input::Refuse { id, code, text } => self.refuse_connected(id, code, &text),
            Input::KeepOperators(labels) => {
                self.lobby.operators.retain(|(_, label)| labels.contains(label));
                return Some(Command::KeepOperators { node: self.state.answers.node, labels });
            }
            Input::Moderation(moderation) => return Some(Command::Moderation(moderation)),
            Input::HelloWaitOver { id } if self.is_unauthenticated(id) => {
                self.ask_silent_client(id)
            }
            Input::HelloWaitOver { id } => {
                if self.is_waiting(id) {
                    return self.propose_join(id, Vec::new());
                }
            }
            Input::OtherProtocol { id, protocol } => {
                if !self.is_waiting(id) {
                    return self.propose_leave(id, LeaveCause::OtherProtocol(protocol));
                }
                let reason = format!("the client spoke {protocol}");
                self.close_waiting(id, protocol.bye_code(), &reason);
            }
            #[cfg(any(feature = "web", feature = "irc", feature = "tls"))]
            Input::Answered { id } => {
                if !self.is_waiting(id) {
                    return self.propose_leave(id, LeaveCause::Answered);
                }
                self.remove_answered(id);
            }
            Input::Disconnect { id, reason } => {
                if !self.is_waiting(id) {
                    return self.propose_leave(id, LeaveCause::Disconnected(reason));
                }
                self.disconnect_waiting(id, reason);
            }
            Input::Shutdown => self.shut_down(),
        }
        None
    }

    fn count_lines(&mut self, id: ClientId, count: usize) {
        self.state.counts.lines_in += count as u64;
        self.state.batch.count_answers_to(id);
    }

    pub(super) fn propose_lines(
        &mut self,
        id: ClientId,
        lines: Vec<ParsedLine>,
    ) -> Option<Command> {
        let now = self.lobby.activity_time();
        let client = self.lobby.clients.get_mut(id)?;
        let is_waiting = client.is_waiting();
        client.active_at = now;
        if is_waiting && self.is_unauthenticated(id) {
            self.on_unauthenticated_lines(id, lines);
            return None;
        }
        let lines = self.moderate(id, lines);
        match is_waiting {
            true if lines.is_empty() => None,
            true => self.propose_join(id, lines),
            false => Some(Command::Lines { id, lines }),
        }
    }

    fn propose_join(&mut self, id: ClientId, lines: Vec<ParsedLine>) -> Option<Command> {
        let join = self.lobby.create_join(id, lines, &self.state)?;
        if let Some(text) = self.find_ban_of_join(&join) {
            self.refuse_waiting(id, ByeCode::Banned, &text);
            return None;
        }
        Some(Command::Join(Box::new(join)))
    }

    fn propose_leave(&self, id: ClientId, cause: LeaveCause) -> Option<Command> {
        self.lobby.clients.get(id).map(|_| Command::Leave { id, cause })
    }

    /// Sends all clients a bye. In a cluster the members stay until the log takes the node out.
    fn shut_down(&mut self) {
        if self.lobby.is_clustered {
            return self.close_lobby(ByeCode::Shutdown);
        }
        self.state.publish_notice();
        self.close_lobby(ByeCode::Shutdown);
        self.state.clear();
    }

    /// Applies a command, of this node or of another.
    pub fn commit(&mut self, command: Command, now: Now) {
        let token = match &command {
            Command::Join(join) => self.lobby.tokens.get(join.id).copied(),
            _ => None,
        };
        self.state.server_stats.connections = self.lobby.admission.len();
        self.state.apply(command, token, now);
        self.handle_effects();
    }

    /// Ends the waits of members that are over, see [`Command::Tick`].
    pub fn end_waits(&mut self, now: Now) {
        debug_assert!(!self.lobby.is_clustered, "the command has to go through the log");
        self.commit(Command::Tick, now);
    }

    /// Ends every wait that is over, without a check for a hello on its way.
    pub fn tick(&mut self, now: Now) {
        while let Some(client) = self.pop_hello_wait(now) {
            self.apply(Input::HelloWaitOver { id: client.id }, now);
        }
        self.end_waits(now);
    }

    /// Returns the time at which [`pop_hello_wait`](Self::pop_hello_wait) and
    /// [`end_waits`](Self::end_waits) have to be called, if there is no input before.
    pub fn deadline(&self) -> Option<Duration> {
        self.hello_deadline().into_iter().chain(self.state.deadline()).min()
    }

    /// Returns the time at which [`pop_hello_wait`](Self::pop_hello_wait) has to be called.
    pub fn hello_deadline(&self) -> Option<Duration> {
        let Lobby { waiting, unauthenticated, .. } = &self.lobby;
        let deadlines = [
            waiting.deadline(),
            unauthenticated.first().map(|client| client.deadline),
            #[cfg(feature = "tls")]
            self.lobby.refused.deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Sends every member a text from the server, outside the sequence.
    pub fn broadcast_info(&mut self, text: &'static str) {
        let info = Slice::own(&Frame::server(text, Body::info(None)));
        let members: Vec<ClientId> = self.members().map(|(id, _)| id).collect();
        for id in members {
            self.state.unicast(id, Op::Send(info.clone()));
        }
    }

    /// Returns all frames and operations since the last call. The frames do not depend on where the
    /// room is sealed.
    pub fn seal(&mut self) -> Batch {
        self.state.batch.seal(&mut self.state.history)
    }

    /// Returns whether the open batch has an operation on a single client.
    pub fn has_unicasts(&self) -> bool {
        self.state.batch.has_unicasts()
    }

    /// Returns the bytes of the frames in the open batch, including those for single clients.
    pub fn pending_bytes(&self) -> usize {
        self.state.batch.bytes()
    }

    /// Returns the bytes that the author of the last lines was sent as answers to them. If the lines
    /// made it a member, that includes earlier frames.
    pub fn answer_bytes(&self) -> usize {
        self.state.batch.answer_bytes
    }

    /// Sets the statistics that the caller counts, for the next answer to `/stats`.
    pub fn set_server_stats(&mut self, stats: Stats) {
        self.state.server_stats = stats;
    }

    /// Returns `server_stats` completed with the room's own statistics.
    pub fn stats(&self, server_stats: Stats) -> Stats {
        self.state.stats(Stats { connections: self.lobby.admission.len(), ..server_stats })
    }

    /// Returns the number of members, those of other nodes included.
    pub fn member_count(&self) -> usize {
        self.state.names.len()
    }

    /// Returns the number of clients of the node, members or not, visitors included.
    pub fn client_count(&self) -> usize {
        self.lobby.clients.len()
    }

    /// Returns whether a client has not sent a line.
    pub fn is_waiting(&self, id: ClientId) -> bool {
        self.lobby.clients.get(id).is_some_and(|client| client.is_waiting())
    }

    /// Returns the number of members whose connections have ended and that may return.
    #[cfg(test)]
    pub fn absent_count(&self) -> usize {
        self.state.members.iter().filter(|(_, member)| member.is_absent).count()
    }

    /// Returns the number of clients that have left and whose connections are still ending.
    #[cfg(test)]
    pub fn ending_count(&self) -> usize {
        self.lobby.ending.len()
    }

    /// Returns the last sequence number that was assigned.
    pub fn seq(&self) -> u64 {
        self.state.batch.seq
    }

    /// Returns the address of a client.
    #[cfg(any(feature = "web", feature = "irc", feature = "tls"))]
    pub fn peer_of(&self, id: ClientId) -> Option<Peer> {
        self.lobby.clients.get(id).map(|client| client.peer)
    }

    /// Returns the name of a member, or `None` for a client that is not a member.
    #[cfg(feature = "irc")]
    pub(crate) fn name_of(&self, id: ClientId) -> Option<&str> {
        self.state.name_of(id)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (ClientId, &str)> {
        self.state.members()
    }
}

/// Formats names as `alice`, `alice and bob`, or `alice, bob and 10 more` if there are more than
/// `max`.
fn format_names(names: &[Cow<'_, str>], max: usize) -> String {
    match names {
        [] => String::new(),
        [name] => name.to_string(),
        [first @ .., last] if names.len() <= max => format!("{} and {last}", first.join(", ")),
        _ => {
            let (first, rest) = names.split_at((max - 1).min(names.len()));
            format!("{} and {} more", first.join(", "), rest.len())
        }
    }
}

#[cfg(test)]
mod tests;
