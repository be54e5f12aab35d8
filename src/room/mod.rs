//! The room: who is in it, what they are called, what is said and in which order. It knows no
//! transport.
//!
//! A [`Room`] is pure. It takes an [`Input`] and the time and answers with frames to deliver; it
//! does no I/O, awaits nothing and never reads a clock. Its owner applies the events that wait,
//! [seals](Room::seal) what came of them into a [`Batch`], and delivers that.
//!
//! ```
//! use smolchat::protocol::ClientLine;
//! use smolchat::room::{Input, MemberId, Now, Peer, Room, Config, Token};
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
mod history;
mod input;
mod join;
mod names;
mod reserved_names;
mod snapshot;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use log::Level;

pub use batch::{Batch, Chunk, Op, Slice, SliceKind, Unicast};
pub use client_table::ClientTable;
pub use history::History;
pub use input::{Config, DisconnectReason, Input, MemberId, Now, Peer, Token};
pub use snapshot::Snapshot;

use admission::Admission;
use names::Names;
use reserved_names::{ReservedNames, max_reserved};

use crate::protocol::{Body, ByeCode, Frame, Hello, OtherProtocol, SERVER, Stats};

/// In a [crowd](Config::crowd), a notice of who came or went, which costs a delivery to each member,
/// waits for others to join it, unless one of them says something. How long is a multiple of what
/// it costs, so that a crowd of thousands that comes at once is told of in a few notices.
const NOTICE_PAUSE_A_MEMBER: Duration = Duration::from_micros(200);
const NOTICE_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Names in one notice, as a multiple of a crowd, so that it does not fill an outbox by itself.
const NOTICE_NAMES: usize = 4;

/// The user table, the names, the sequence and the history of one room.
#[derive(Debug)]
pub struct Room {
    config: Config,
    epoch: Box<str>,
    clients: ClientTable<Client>,
    names: Names,
    reserved: ReservedNames,
    addresses: Admission,
    /// Clients that have said nothing, and when they become members all the same.
    silent: VecDeque<(Duration, MemberId)>,
    /// The last number of the sequence that was given out.
    seq: u64,
    history: History,
    /// The server ends: nobody comes in any more.
    closed: bool,
    /// What was counted, of all that [`Stats`] has.
    counts: Stats,
    /// What others counted.
    seen: Stats,
    now: Now,

    /// The frames of the open batch, and where each ends.
    frames: Vec<u8>,
    ends: Vec<u32>,
    unicasts: Vec<Unicast>,
    own_bytes: usize,
    log: Vec<(Level, String)>,
    /// Names that came, or went, since the last frame: one notice tells of all.
    notice: Notice,
    /// When the next notice may go out on its own.
    notice_due: Duration,
}

#[derive(Debug)]
struct Client {
    peer: Peer,
    /// Errors in a row.
    errors: u8,
    /// Its name is to be kept if it drops.
    keeps_name: bool,
    state: Membership,
}

impl Client {
    fn is_silent(&self) -> bool {
        matches!(self.state, Membership::Silent(_))
    }
}

#[derive(Debug)]
enum Membership {
    /// Connected, and not a member yet; keeps the token for its welcome.
    Silent(Token),
    Member {
        name: Box<str>,
        token: Token,
    },
}

#[derive(Debug, Default)]
enum Notice {
    #[default]
    None,
    Joined(Vec<Cow<'static, str>>),
    Left(Vec<Cow<'static, str>>),
}

impl Notice {
    fn len(&self) -> usize {
        match self {
            Notice::None => 0,
            Notice::Joined(names) | Notice::Left(names) => names.len(),
        }
    }

    /// Whether it is yet to be told that this member came.
    fn tells_of(&self, name: &str) -> bool {
        matches!(self, Notice::Joined(names) if names.iter().any(|joined| joined == name))
    }
}

impl Room {
    /// An empty room. `epoch` tells its sequence from that of any other.
    pub fn new(config: Config, epoch: Box<str>) -> Self {
        Room {
            history: History::new(config.history, config.history_bytes, 0),
            addresses: config.addresses(),
            reserved: ReservedNames::new(max_reserved(config.max_clients)),
            config,
            epoch,
            clients: ClientTable::default(),
            names: Names::default(),
            silent: VecDeque::new(),
            seq: 0,
            closed: false,
            counts: Stats::default(),
            seen: Stats::default(),
            now: Now { uptime: Duration::ZERO, unix_ms: 0 },
            frames: Vec::new(),
            ends: Vec::new(),
            unicasts: Vec::new(),
            own_bytes: 0,
            log: Vec::new(),
            notice: Notice::None,
            notice_due: Duration::ZERO,
        }
    }

    /// Goes on after `past`, which was read from a file.
    pub fn with_snapshot(config: Config, past: Snapshot) -> Self {
        let Snapshot { epoch, seq, frames, resumable } = past;
        let (count, bytes) = (config.history, config.history_bytes);
        let history = History::with_snapshot(count, bytes, seq, frames, resumable);
        Room { history, seq, ..Room::new(config, epoch) }
    }

    /// Tells every member something for the server. It is no part of the sequence.
    pub fn announce(&mut self, text: &'static str) {
        let info = Slice::own(&Frame::server(text, Body::Info { id: None, stats: None }));
        let members: Vec<MemberId> = self.members().map(|(id, _)| id).collect();
        for id in members {
            self.unicast(id, Op::Send(info.clone()));
        }
    }

    /// Lets one event happen. What comes of it waits for [`seal`](Self::seal).
    ///
    /// Events of a client that is not, or no longer, here are ignored.
    pub fn apply(&mut self, input: Input, now: Now) {
        self.now = now;
        match input {
            Input::Arrive { id, peer, token } => self.arrive(id, peer, token),
            Input::Lines { id, lines } => {
                self.counts.lines_in += lines.len() as u64;
                for line in lines {
                    self.line(id, line);
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
            Input::Shutdown => {
                self.flush_notice();
                let everybody: Vec<MemberId> = self.clients.iter().map(|(id, _)| id).collect();
                for id in everybody {
                    self.say_bye(id, ByeCode::Shutdown);
                }
                self.clients = ClientTable::default();
                self.names.clear();
                self.addresses = self.config.addresses();
                self.closed = true;
            }
        }
    }

    /// Lets time pass: clients that were silent for long enough become members.
    pub fn tick(&mut self, now: Now) {
        self.now = now;
        while let Some((deadline, id)) = self.silent.front().copied()
            && (deadline <= now.uptime || !self.is_silent(id))
        {
            self.silent.pop_front();
            if self.is_silent(id) {
                self.join(id, Hello::default(), None);
            }
        }
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub fn deadline(&self) -> Option<Duration> {
        let silent = self.silent.front().map(|(deadline, _)| *deadline);
        let notice = (!matches!(self.notice, Notice::None)).then_some(self.notice_due);
        [silent, notice].into_iter().flatten().min()
    }

    /// Whether the open batch has something for some members already.
    pub fn has_unicasts(&self) -> bool {
        !self.unicasts.is_empty()
    }

    /// Bytes of frames that the open batch has so far, those for single members included.
    pub fn pending_bytes(&self) -> usize {
        self.frames.len() + self.own_bytes
    }

    /// The number of members.
    pub fn member_count(&self) -> usize {
        self.names.len()
    }

    /// The number of connections that the room knows, members or not.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// The last number of the sequence that was given out.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Closes the open batch and hands it out.
    pub fn seal(&mut self) -> Batch {
        if self.notice_due <= self.now.uptime {
            self.flush_notice();
        }
        let chunk = Chunk::from(std::mem::take(&mut self.frames));
        let before = self.seq - self.ends.len() as u64;
        self.history.extend(&chunk, &self.ends);
        self.ends.clear();
        self.own_bytes = 0;
        Batch {
            chunk,
            before,
            unicasts: std::mem::take(&mut self.unicasts),
            log: std::mem::take(&mut self.log),
        }
    }

    /// Says bye to a client, and lets it go once it has all that is on its way.
    fn dismiss(&mut self, id: MemberId, code: ByeCode, why: impl fmt::Display) {
        if self.clients.get(id).is_some() {
            self.flush_joined();
            self.say_bye(id, code);
            self.remove(id, why);
        }
    }

    fn say_bye(&mut self, id: MemberId, code: ByeCode) {
        if !matches!(code, ByeCode::Quit | ByeCode::Shutdown) {
            self.counts.evictions.add(code);
        }
        let bye = Slice::own(&Frame::bye(code, self.seq));
        self.unicast(id, Op::Send(bye));
        self.unicast(id, Op::Close);
    }

    /// Lets go of a client whose connection ended without a word of its own; its name is kept
    /// for it, if it wants that.
    fn disconnect(&mut self, id: MemberId, reason: DisconnectReason) {
        if let Some(Client { keeps_name: true, state: Membership::Member { name, token }, .. }) =
            self.clients.get(id)
            && !self.config.grace.is_zero()
        {
            self.reserved.reserve(name.clone(), *token, self.now.uptime + self.config.grace);
        }
        if reason == DisconnectReason::Finished {
            self.dismiss(id, ByeCode::Quit, reason);
        } else if self.remove(id, reason) {
            if reason == DisconnectReason::Slow {
                self.counts.evictions.add(ByeCode::Slow);
            }
            self.unicast(id, Op::Abort);
        }
    }

    /// Takes a client out of the table; if it was a member, the others are told.
    fn remove(&mut self, id: MemberId, why: impl fmt::Display) -> bool {
        let who = self.describe(id);
        let Some(client) = self.take_out(id) else { return false };
        let Membership::Member { name, .. } = client.state else {
            self.log.push((Level::Debug, format!("{who} went, never a member: {why}")));
            return true;
        };
        self.log.push((Level::Info, format!("{who} left: {why}")));
        self.names.remove(&name);
        self.flush_joined();
        match &mut self.notice {
            Notice::Left(names) => names.push(String::from(name).into()),
            notice => *notice = Notice::Left(vec![String::from(name).into()]),
        }
        self.flush_full_notice();
        true
    }

    /// Takes a client out of the table and off the count of its address. Its name stays.
    fn take_out(&mut self, id: MemberId) -> Option<Client> {
        let client = self.clients.remove(id)?;
        if let Peer::Inet(ip, _) = client.peer {
            self.addresses.leave(ip, self.now.uptime);
        }
        Some(client)
    }

    fn flush_joined(&mut self) {
        if matches!(self.notice, Notice::Joined(_)) {
            self.flush_notice();
        }
    }

    fn flush_full_notice(&mut self) {
        if self.notice.len() >= NOTICE_NAMES * self.config.crowd {
            self.flush_notice();
        }
    }

    fn flush_notice(&mut self) {
        match std::mem::take(&mut self.notice) {
            Notice::None => return,
            Notice::Joined(names) => {
                let data = format!("{} joined", list(&names, 3));
                self.publish(SERVER, &data, |seq, time| Body::Join { seq, time, names });
            }
            Notice::Left(names) => {
                let data = format!("{} left", list(&names, 3));
                self.publish(SERVER, &data, |seq, time| Body::Leave { seq, time, names });
            }
        }
        if self.is_crowded() {
            let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let cost = NOTICE_PAUSE_A_MEMBER.saturating_mul(count(self.names.len()));
            let least = NOTICE_PAUSE_MAX / count(self.config.crowd).max(1);
            self.notice_due = self.now.uptime + cost.clamp(least, NOTICE_PAUSE_MAX);
        }
    }

    fn is_crowded(&self) -> bool {
        self.names.len() >= self.config.crowd
    }

    /// Gives the next number of the sequence to a frame. This alone does.
    fn publish<'a>(
        &mut self,
        source: &'a str,
        data: &'a str,
        body: impl FnOnce(u64, u64) -> Body<'a>,
    ) {
        self.seq += 1;
        let body = body(self.seq, self.now.unix_ms);
        Frame { data_source: source.into(), data: data.into(), body }.encode(&mut self.frames);
        self.ends.push(self.frames.len() as u32);
    }

    fn unicast(&mut self, to: MemberId, op: Op) {
        if let Op::Send(slice) = &op
            && slice.counts()
        {
            self.own_bytes += slice.bytes().len();
        }
        self.unicasts.push(Unicast { to, at: self.frames.len() as u32, op });
    }

    fn is_silent(&self, id: MemberId) -> bool {
        self.clients.get(id).is_some_and(Client::is_silent)
    }

    fn member_name(&self, id: MemberId) -> Option<&str> {
        match &self.clients.get(id)?.state {
            Membership::Member { name, .. } => Some(name),
            Membership::Silent(_) => None,
        }
    }

    fn members(&self) -> impl Iterator<Item = (MemberId, &str)> {
        self.clients.iter().filter_map(|(id, client)| match &client.state {
            Membership::Member { name, .. } => Some((id, &**name)),
            Membership::Silent(_) => None,
        })
    }

    fn describe(&self, id: MemberId) -> String {
        match self.clients.get(id) {
            Some(Client { state: Membership::Member { name, .. }, peer, .. }) => {
                format!("{name} {peer}")
            }
            Some(Client { peer, .. }) => peer.to_string(),
            None => format!("client {}", id.0),
        }
    }
}

/// `alice`, `alice and bob`, or `alice, bob and 10 more` when there are more than `spelled`.
fn list(names: &[Cow<'_, str>], spelled: usize) -> String {
    match names {
        [] => String::new(),
        [name] => name.to_string(),
        [first @ .., last] if names.len() <= spelled => format!("{} and {last}", first.join(", ")),
        _ => {
            let first = names.get(..spelled - 1).unwrap_or(names);
            format!("{} and {} more", first.join(", "), names.len() - first.len())
        }
    }
}

#[cfg(test)]
mod tests;
