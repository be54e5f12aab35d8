//! The room: its members, their names, and the sequence of its frames.
//!
//! A [`Room`] is pure and has no transport. It takes an [`Input`] and the time, and collects frames
//! to deliver; it does no I/O, awaits nothing and reads no clock. The caller applies inputs,
//! [seals](Room::seal) the result into a [`Batch`], and delivers the batch.
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
#[cfg(feature = "irc")]
mod view;

use std::borrow::Cow;
use std::time::Duration;

use log::Level;

pub(crate) use admission::{Origin, max_addresses, max_connections, max_visitors};
pub use batch::{Batch, Chunk, ClientSlices, End, Op, Position, Slice, SliceKind, Unicast};
pub(crate) use client_table::ClientTable;
pub use config::Config;
pub use history::History;
pub use input::{ClientId, DisconnectReason, Input, Now, Peer, Token};
pub use snapshot::Snapshot;

use admission::Admission;
use batch::BatchBuilder;
use commands::HELP;
use lobby::Lobby;
pub use lobby::{WaitKind, WaitingClient};
use names::NameIndex;
use presence::PendingNotice;
use reserved_names::{ReservedNames, max_reserved};

use crate::protocol::{Body, ByeCode, ClientLine, ErrorCode, Frame, Request, RequestError, Stats};

/// The members, the names, the sequence and the history of one room.
#[derive(Debug)]
pub struct Room {
    config: Config,
    /// The random word that identifies this sequence of numbers.
    epoch: Box<str>,
    clients: ClientTable<Client>,
    /// The clients that have left and whose connections are still ending. Each of them has a place.
    ending: ClientTable<Peer>,
    names: NameIndex,
    reserved: ReservedNames,
    admission: Admission,
    /// The clients that have not sent a line.
    lobby: Lobby,
    /// The members that have not said anything, and are not announced.
    silent: Lobby,
    /// The members whose connections have ended and that may return.
    absent: Lobby,
    history: History,
    /// The server shuts down: no client is admitted.
    is_closed: bool,
    /// The statistics that the room counts.
    counts: Stats,
    /// The statistics that the caller counts.
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
    is_name_kept: bool,
    /// The connection has ended, and the member may return.
    is_absent: bool,
    visibility: Visibility,
    /// There was no place for the client: it becomes a member only with the token of a member, or
    /// if a place is free by then.
    is_visitor: bool,
    /// Proves that a reconnecting client is this member.
    token: Token,
    /// `None` until the client is a member.
    name: Option<Box<str>>,
}

/// Whether the other members are told that a member joins and leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Visibility {
    /// They are told of neither, unless the member says something or stays long enough.
    Silent,
    /// They are told of both: the join notice is published or pending.
    Announced,
    /// They are told of neither, because the member asked for that.
    Quiet,
    /// They are told of neither until the member is shown, see [`Input::Show`].
    #[cfg(feature = "irc")]
    Hidden,
}

/// The author of a line.
#[derive(Clone, Copy)]
struct Author<'a> {
    id: ClientId,
    name: &'a str,
    /// The `id` that the author gave the line.
    line_id: Option<&'a str>,
}

impl Room {
    /// Creates an empty room. `epoch` identifies its sequence.
    pub fn new(config: Config, epoch: Box<str>) -> Self {
        let history = History::new(config.history, config.history_bytes, 0);
        Room {
            history,
            batch: BatchBuilder::new(0),
            admission: config.create_admission(),
            reserved: ReservedNames::new(max_reserved(config.max_clients), config.max_per_ip),
            config,
            epoch,
            clients: ClientTable::new(),
            ending: ClientTable::new(),
            names: NameIndex::default(),
            lobby: Lobby::new(|client| client.name.is_none()),
            silent: Lobby::new(|client| {
                client.name.is_some() && client.visibility == Visibility::Silent
            }),
            absent: Lobby::new(|client| client.is_absent),
            is_closed: false,
            counts: Stats::default(),
            server_stats: Stats::default(),
            now: Now { uptime: Duration::ZERO, unix_ms: 0 },
            notice: PendingNotice::default(),
        }
    }

    /// Creates a room that continues from a snapshot.
    pub fn with_snapshot(config: Config, snapshot: Snapshot) -> Self {
        let Snapshot { epoch, seq, frames, resumable } = snapshot;
        let (count, bytes) = (config.history, config.history_bytes);
        let history = History::with_frames(count, bytes, seq, frames, resumable);
        Room { history, batch: BatchBuilder::new(seq), ..Room::new(config, epoch) }
    }

    /// Applies one input. The result is in the batch that [`seal`](Self::seal) returns.
    ///
    /// An input of a client that the room does not know, or has removed, is ignored.
    pub fn apply(&mut self, input: Input, now: Now) {
        self.now = now;
        match input {
            Input::Connect { id, peer, token } => self.connect(id, peer, token),
            Input::Lines { id, lines } => {
                self.counts.lines_in += lines.len() as u64;
                self.batch.count_answers_to(id);
                for line in lines {
                    self.on_line(id, line);
                }
            }
            Input::HelloWaitOver { id } => {
                if self.clients.get(id).is_some_and(|client| client.name.is_none()) {
                    self.join(id, None, None);
                }
            }
            Input::OtherProtocol { id, protocol } => {
                let reason = format_args!("the client spoke {protocol}");
                self.close_client(id, protocol.bye_code(), reason);
            }
            #[cfg(any(feature = "web", feature = "irc", feature = "tls"))]
            Input::Answered { id } => self.remove_answered(id),
            #[cfg(feature = "irc")]
            Input::Show { id, is_shown } => self.show(id, is_shown),
            #[cfg(feature = "irc")]
            Input::Reply { id, bytes, mark } => self.reply(id, bytes, mark),
            Input::Disconnect { id, reason } => self.disconnect(id, reason, now),
            Input::Shutdown => self.shut_down(),
        }
    }

    fn on_line(&mut self, id: ClientId, line: Result<ClientLine, RequestError>) {
        let Some(client) = self.clients.get(id).filter(|client| !client.is_absent) else { return };
        if client.name.is_none() {
            match line {
                Ok(ClientLine { request: Request::Hello(hello), id: line_id }) => {
                    return self.join(id, Some(*hello), line_id);
                }
                _ => self.join(id, None, None),
            }
        }
        // An earlier line of the same input may have removed the client.
        let Some(name) = self.name_of(id).map(Box::<str>::from) else { return };
        let error = match line {
            Ok(ClientLine { id: line_id, request }) => {
                let author = Author { id, name: &name, line_id: line_id.as_deref() };
                match self.on_request(author, request) {
                    Ok(()) => return,
                    Err(error) => RequestError { id: line_id, ..error },
                }
            }
            Err(error) => error,
        };
        self.send_error(id, error);
    }

    fn on_request(&mut self, author: Author<'_>, request: Request) -> Result<(), RequestError> {
        let Author { id, name, line_id } = author;
        let time = self.now.unix_ms;
        if request == Request::Heartbeat {
            if line_id.is_some() {
                self.send_info(author, "still here");
            }
            return Ok(());
        }
        if !matches!(request, Request::Hello(_)) {
            self.announce_member(id);
        }
        // The join notice of a member comes before everything that the member does.
        if !self.is_crowded() || self.notice.has_join_of(name) {
            self.publish_notice();
        }
        match request {
            Request::Say(text) => self.batch.publish(name, &text, |seq| Body::Chat {
                seq,
                time,
                id: line_id.map(Cow::from),
            }),
            Request::Action(text) => self.batch.publish(name, &text, |seq| Body::Action {
                seq,
                time,
                id: line_id.map(Cow::from),
            }),
            Request::Private { to, text } => self.send_private(author, &to, &text)?,
            Request::Nick(requested) => self.rename(author, &requested)?,
            Request::Who => self.send_who(author),
            Request::History(count) => self.show_history(author, count),
            Request::Stats => self.send_stats(author),
            Request::Help => self.send_info(author, HELP),
            Request::Quit => self.close_client(id, ByeCode::Quit, "quit"),
            Request::Heartbeat | Request::Hello(_) => {
                let text = "a hello is accepted only as the first line";
                return Err(RequestError::new(ErrorCode::LateHello, text));
            }
        }
        // A heartbeat, which returned above, does not show that the client speaks the protocol.
        if let Some(client) = self.clients.get_mut(id) {
            client.errors = 0;
        }
        Ok(())
    }

    /// Returns the time at which [`pop_hello_wait`](Self::pop_hello_wait) and
    /// [`end_waits`](Self::end_waits), or [`seal`](Self::seal), have to be called, if
    /// there is no input before.
    pub fn deadline(&self) -> Option<Duration> {
        let waits = [&self.lobby, &self.silent, &self.absent].map(Lobby::deadline);
        let deadlines = waits.into_iter().chain([self.notice.deadline()]);
        deadlines.flatten().min()
    }

    /// Sends every member a text from the server, outside the sequence.
    pub fn broadcast_info(&mut self, text: &'static str) {
        let info = Slice::own(&Frame::server(text, Body::Info { id: None, stats: None }));
        let members: Vec<ClientId> = self.members().map(|(id, _)| id).collect();
        for id in members {
            self.batch.unicast(id, Op::Send(info.clone()));
        }
    }

    /// Returns all frames and operations since the last call.
    pub fn seal(&mut self) -> Batch {
        self.publish_due_notice();
        self.batch.seal(&mut self.history)
    }

    /// Returns whether the open batch has an operation on a single client.
    pub fn has_unicasts(&self) -> bool {
        self.batch.has_unicasts()
    }

    /// Returns the bytes of the frames in the open batch, including those for single clients.
    pub fn pending_bytes(&self) -> usize {
        self.batch.bytes()
    }

    /// Returns the bytes that the author of the last lines was sent as answers to them. If the lines
    /// made it a member, that includes earlier frames.
    pub fn answer_bytes(&self) -> usize {
        self.batch.answer_bytes
    }

    /// Returns the number of members.
    pub fn member_count(&self) -> usize {
        self.names.len()
    }

    /// Returns the number of clients, members or not, visitors included.
    pub fn client_count(&self) -> usize {
        self.clients.len()
    }

    /// Returns whether a client has not sent a line.
    #[cfg(any(feature = "web", feature = "tls"))]
    pub fn is_waiting(&self, id: ClientId) -> bool {
        self.clients.get(id).is_some_and(|client| client.name.is_none())
    }

    /// Returns the number of members whose connections have ended and that may return.
    #[cfg(test)]
    pub fn absent_count(&self) -> usize {
        self.clients.iter().filter(|(_, client)| client.is_absent).count()
    }

    /// Returns the number of clients that have left and whose connections are still ending.
    #[cfg(test)]
    pub fn ending_count(&self) -> usize {
        self.ending.len()
    }

    /// Returns the last sequence number that was assigned.
    pub fn seq(&self) -> u64 {
        self.batch.seq
    }

    /// Returns the name of a member, or `None` for a client that is not a member.
    pub(crate) fn name_of(&self, id: ClientId) -> Option<&str> {
        self.clients.get(id)?.name.as_deref()
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (ClientId, &str)> {
        self.clients.iter().filter_map(|(id, client)| Some((id, client.name.as_deref()?)))
    }

    fn log(&mut self, level: Level, line: String) {
        self.batch.log.push((level, line));
    }

    /// Returns the text that identifies a client in the log.
    fn describe(&self, id: ClientId) -> String {
        match self.clients.get(id) {
            Some(Client { name: Some(name), peer, .. }) => format!("{name} {peer}"),
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
