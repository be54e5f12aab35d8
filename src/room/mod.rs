//! The room: its members, their names, and the sequence of everything that is said.
//!
//! A [`Room`] is pure and knows no transport. It takes an [`Input`] and the time, and returns
//! frames to deliver; it does no I/O, awaits nothing and reads no clock. Its owner applies the
//! inputs that wait, [seals](Room::seal) the result into a [`Batch`], and delivers that.
//!
//! ```
//! use smolchat::protocol::ClientLine;
//! use smolchat::room::{Config, Input, MemberId, Now, Peer, Room, Token};
//! use std::time::Duration;
//!
//! let mut room = Room::new(Config::default(), "epoch".into());
//! let now = Now { uptime: Duration::ZERO, unix_ms: 1_790_000_000_000 };
//! let alice = MemberId(1);
//! let token = Token(*b"sixteen secrets!");
//! room.apply(Input::Arrive { id: alice, peer: Peer::Unix, token }, now);
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
mod commands;
mod config;
mod history;
mod input;
mod join;
mod leave;
mod lobby;
mod names;
mod presence;
mod reserved_names;
mod snapshot;

use std::borrow::Cow;
use std::time::Duration;

pub use batch::{Batch, Chunk, ClientSlices, End, Op, Slice, SliceKind, Unicast};
pub use client_table::ClientTable;
pub use config::Config;
pub use history::History;
pub use input::{DisconnectReason, Input, MemberId, Now, Peer, Token};
pub use snapshot::Snapshot;

use admission::Admission;
use batch::BatchBuilder;
use commands::HELP;
use lobby::Lobby;
use names::Names;
use presence::PendingNotice;
use reserved_names::{ReservedNames, max_reserved};

use crate::protocol::{
    Body, ByeCode, ClientLine, ErrorCode, Frame, Hello, OtherProtocol, Request, RequestError, Stats,
};

/// The members, the names, the sequence and the history of one room.
#[derive(Debug)]
pub struct Room {
    config: Config,
    /// Identifies this sequence.
    epoch: Box<str>,
    clients: ClientTable<Client>,
    names: Names,
    reserved: ReservedNames,
    admission: Admission,
    lobby: Lobby,
    history: History,
    /// The server shuts down: no client comes in.
    is_closed: bool,
    /// The statistics that the room counts.
    counts: Stats,
    /// The statistics that the owner counts.
    server_stats: Stats,
    now: Now,
    batch: BatchBuilder,
    notice: PendingNotice,
}

#[derive(Debug)]
struct Client {
    peer: Peer,
    /// Errors in a row.
    errors: u8,
    /// The client asked to have its name reserved if it loses its connection.
    keeps_name: bool,
    membership: Membership,
}

impl Client {
    fn is_silent(&self) -> bool {
        matches!(self.membership, Membership::Silent(_))
    }
}

#[derive(Debug)]
enum Membership {
    /// Connected, and no member before its first line. Holds the token for the welcome.
    Silent(Token),
    Member {
        name: Box<str>,
        token: Token,
    },
}

impl Room {
    /// Creates an empty room. `epoch` identifies its sequence.
    pub fn new(config: Config, epoch: Box<str>) -> Self {
        let history = History::new(config.history, config.history_bytes, 0);
        Room::with_history(config, epoch, history, 0)
    }

    /// Creates a room that continues from a snapshot.
    pub fn with_snapshot(config: Config, snapshot: Snapshot) -> Self {
        let Snapshot { epoch, seq, frames, resumable } = snapshot;
        let (count, bytes) = (config.history, config.history_bytes);
        let history = History::with_frames(count, bytes, seq, frames, resumable);
        Room::with_history(config, epoch, history, seq)
    }

    fn with_history(config: Config, epoch: Box<str>, history: History, seq: u64) -> Self {
        Room {
            history,
            batch: BatchBuilder::new(seq),
            admission: config.admission(),
            reserved: ReservedNames::new(max_reserved(config.max_clients)),
            config,
            epoch,
            clients: ClientTable::default(),
            names: Names::default(),
            lobby: Lobby::default(),
            is_closed: false,
            counts: Stats::default(),
            server_stats: Stats::default(),
            now: Now { uptime: Duration::ZERO, unix_ms: 0 },
            notice: PendingNotice::default(),
        }
    }

    /// Applies one input. The result is in the batch that [`seal`](Self::seal) returns.
    ///
    /// An input of a client that the room does not know, or has removed, is ignored.
    pub fn apply(&mut self, input: Input, now: Now) {
        self.now = now;
        match input {
            Input::Arrive { id, peer, token } => self.arrive(id, peer, token),
            Input::Lines { id, lines } => {
                self.counts.lines_in += lines.len() as u64;
                for line in lines {
                    self.on_line(id, line);
                }
            }
            Input::OtherProtocol { id, protocol } => {
                let code = match protocol {
                    OtherProtocol::Tls => ByeCode::Tls,
                    OtherProtocol::Http => ByeCode::Http,
                };
                self.dismiss(id, code, format_args!("it speaks {protocol:?}"));
            }
            Input::Leave { id, reason } => self.disconnect(id, reason),
            Input::Shutdown => self.shut_down(),
        }
    }

    fn on_line(&mut self, id: MemberId, line: Result<ClientLine, RequestError>) {
        if self.is_silent(id) {
            match line {
                Ok(ClientLine { request: Request::Hello(hello), id: line_id }) => {
                    return self.join(id, *hello, line_id);
                }
                _ => self.join(id, Hello::default(), None),
            }
        }
        // An earlier line of the same input may have removed the client.
        let Some(name) = self.member_name(id).map(Box::from) else { return };
        let is_heartbeat = matches!(&line, Ok(ClientLine { request: Request::Heartbeat, .. }));
        match line.and_then(|line| self.on_request(id, name, line)) {
            // A heartbeat does not show that the client speaks the protocol.
            Ok(()) if is_heartbeat => {}
            Ok(()) => {
                if let Some(client) = self.clients.get_mut(id) {
                    client.errors = 0;
                }
            }
            Err(error) => self.send_error(id, error),
        }
    }

    fn on_request(
        &mut self,
        id: MemberId,
        name: Box<str>,
        line: ClientLine,
    ) -> Result<(), RequestError> {
        let ClientLine { id: line_id, request } = line;
        let is_heartbeat = matches!(request, Request::Heartbeat);
        // The join notice of a member comes before everything that the member does.
        if !is_heartbeat && (!self.is_crowded() || self.notice.announces_join_of(&name)) {
            self.publish_notice();
        }
        let time = self.now.unix_ms;
        match request {
            Request::Heartbeat if line_id.is_none() => {}
            Request::Heartbeat => self.send_info(id, "still here", line_id),
            Request::Hello(_) => {
                let text = "a hello is accepted only as the first line";
                return Err(RequestError {
                    code: ErrorCode::LateHello,
                    text: text.into(),
                    id: line_id,
                });
            }
            Request::Say(text) => self.batch.publish(&name, &text, |seq| Body::Chat {
                seq,
                time,
                id: line_id.as_deref().map(Cow::from),
            }),
            Request::Act(text) => self.batch.publish(&name, &text, |seq| Body::Action {
                seq,
                time,
                id: line_id.as_deref().map(Cow::from),
            }),
            Request::Private { to, text } => {
                return self.send_private(id, &name, &to, &text, line_id);
            }
            Request::Nick(wanted) => return self.rename(id, &name, &wanted, line_id),
            Request::Who => self.send_who(id, line_id),
            Request::History(count) => self.show_history(id, count, line_id),
            Request::Stats => self.send_stats(id, line_id),
            Request::Help => self.send_info(id, HELP, line_id),
            Request::Quit => self.dismiss(id, ByeCode::Quit, "quit"),
        }
        Ok(())
    }

    /// Makes silent clients members whose [`Config::hello_wait`] is over.
    pub fn tick(&mut self, now: Now) {
        self.now = now;
        loop {
            let clients = &self.clients;
            self.lobby.skip(|id| clients.get(id).is_some_and(Client::is_silent));
            let Some(id) = self.lobby.pop_expired(now.uptime) else { return };
            self.join(id, Hello::default(), None);
        }
    }

    /// Returns the time at which [`tick`](Self::tick) or [`seal`](Self::seal) has to be called, if
    /// there is no input before.
    pub fn deadline(&self) -> Option<Duration> {
        [self.lobby.deadline(), self.notice.deadline()].into_iter().flatten().min()
    }

    /// Sends every member a text from the server. It has no place in the sequence.
    pub fn broadcast_info(&mut self, text: &'static str) {
        let info = Slice::own(&Frame::server(text, Body::Info { id: None, stats: None }));
        let members: Vec<MemberId> = self.members().map(|(id, _)| id).collect();
        for id in members {
            self.batch.unicast(id, Op::Send(info.clone()));
        }
    }

    /// Returns everything that the room sends since the last call.
    pub fn seal(&mut self) -> Batch {
        self.publish_due_notice();
        self.batch.seal(&mut self.history)
    }

    /// Returns whether the open batch has an operation on a single client.
    pub fn has_unicasts(&self) -> bool {
        self.batch.has_unicasts()
    }

    /// Returns the bytes of the frames in the open batch, those for single clients included.
    pub fn pending_bytes(&self) -> usize {
        self.batch.bytes()
    }

    /// Returns the number of members.
    pub fn member_count(&self) -> usize {
        self.names.len()
    }

    /// Returns the number of clients, members or not.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Returns whether there are no clients.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Returns the last sequence number that was given out.
    pub fn seq(&self) -> u64 {
        self.batch.seq()
    }

    fn is_silent(&self, id: MemberId) -> bool {
        self.clients.get(id).is_some_and(Client::is_silent)
    }

    fn member_name(&self, id: MemberId) -> Option<&str> {
        match &self.clients.get(id)?.membership {
            Membership::Member { name, .. } => Some(name),
            Membership::Silent(_) => None,
        }
    }

    fn members(&self) -> impl Iterator<Item = (MemberId, &str)> {
        self.clients.iter().filter_map(|(id, client)| match &client.membership {
            Membership::Member { name, .. } => Some((id, &**name)),
            Membership::Silent(_) => None,
        })
    }

    /// Returns a client as the log names it.
    fn describe(&self, id: MemberId) -> String {
        match self.clients.get(id) {
            Some(Client { membership: Membership::Member { name, .. }, peer, .. }) => {
                format!("{name} {peer}")
            }
            Some(Client { peer, .. }) => peer.to_string(),
            None => format!("client {}", id.0),
        }
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
