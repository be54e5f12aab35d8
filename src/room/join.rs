//! Joining: a client becomes a member, with a name and a position in the sequence.
//!
//! A client that reconnects sends `epoch` and `after`, the last sequence number that it received.
//! It gets every later frame once: first from the history, then from the open batch, then live.
//! A `gap` states the numbers of the frames that the history no longer has.
//!
//! # Exactly once
//!
//! A client that gives each of its lines an `id`, and reconnects with its `token`, can find out
//! which lines arrived. The token moves the member to the new connection. From then on the room
//! ignores the input of the old connection: either it is removed here, or its task had ended
//! before. So no frame after the `seq` of the welcome comes from a line of the old connection. The
//! client can send again the lines that are not among the frames up to that `seq`.
//!
//! This does not cover lines whose answer is not replayed: lines behind a `gap` or in another epoch
//! (`resumed` is false), private lines, and commands whose answer is for their sender alone.

use log::Level;

use super::admission::Refusal;
use super::names::find_free_number;
use super::presence::{PresenceChange, SILENT_NOTICE_DELAY};
use super::{Client, ClientId, Op, Peer, Position, Room, Slice, SliceKind, Token, Visibility};
use crate::protocol::{
    Body, ByeCode, ErrorCode, Frame, Hello, Limits, MAX_NAME, RequestError, is_valid_name,
};

impl Room {
    pub(super) fn connect(&mut self, id: ClientId, peer: Peer, token: Token) {
        if self.is_closed {
            return self.send_refusal(id, ByeCode::Shutdown, ByeCode::Shutdown.text());
        }
        let is_visitor = match self.admission.admit(peer.into(), self.now.uptime) {
            Ok(is_visitor) => is_visitor,
            Err(refusal) => return self.refuse(id, peer, refusal),
        };
        self.log(Level::Debug, format!("{peer} connected"));
        let client = Client {
            peer,
            errors: 0,
            is_name_kept: false,
            is_absent: false,
            visibility: Visibility::Silent,
            is_visitor,
            token,
            name: None,
        };
        self.clients.insert(id, client);
        self.lobby.push(self.now.uptime + self.config.hello_wait, id, &self.clients);
    }

    /// Sends a client the reason for which it is not admitted, and ends its connection.
    fn refuse(&mut self, id: ClientId, peer: Peer, refusal: Refusal) {
        let code = match refusal {
            Refusal::RoomFull(_) | Refusal::AddressFull(_) => ByeCode::Full,
            Refusal::TooFast(_) => ByeCode::TooFast,
        };
        let (option, value) = refusal.option();
        self.log(Level::Warn, format!("{peer} refused: {option} {value} is reached"));
        if code == ByeCode::TooFast {
            self.send_error(id, RequestError::new(ErrorCode::TooFast, refusal.to_string()));
            return self.send_refusal(id, code, code.text());
        }
        self.send_refusal(id, code, &refusal.to_string());
    }

    /// Refuses a visitor for which there is no place, and returns whether it did.
    pub(super) fn refuse_visitor(&mut self, id: ClientId) -> bool {
        let Some(&Client { peer, is_visitor: true, .. }) = self.clients.get(id) else {
            return false;
        };
        let Some(refusal) = self.admission.find_full(peer.into()) else { return false };
        self.remove_client(id);
        // A refused client has no place.
        self.release(id, self.now);
        self.refuse(id, peer, refusal);
        true
    }

    /// Makes a client a member. `line_id` is the `id` of its hello.
    ///
    /// A client without a hello is announced when it says something, or after
    /// [`SILENT_NOTICE_DELAY`]. A member that takes over keeps its visibility, so that a leave notice
    /// follows each join notice.
    pub(super) fn join(&mut self, id: ClientId, hello: Option<Hello>, line_id: Option<Box<str>>) {
        let has_hello = hello.is_some();
        let hello = hello.unwrap_or_default();
        let proof = hello.token.as_deref().and_then(|token| token.parse().ok());
        let old = proof.and_then(|proof| self.find_by_token(&proof));
        // A takeover needs no free place.
        if old.is_none() {
            self.make_place_for(id);
            if self.refuse_visitor(id) {
                return;
            }
        }
        // Publish pending leave notices first: the new member must not see them.
        self.publish_notice_of(PresenceChange::Left);
        let old = old.and_then(|old| self.take_over(old));
        let is_reconnect = old.is_some();
        let new = self.clients.get(id).map_or(Visibility::Silent, |client| client.visibility);
        let visibility = match old.as_ref().map_or(new, |old| old.visibility) {
            Visibility::Silent if hello.quiet => Visibility::Quiet,
            visibility => visibility,
        };
        let (name, error) = match old.and_then(|old| old.name) {
            Some(name) => (name.into(), None),
            None => self.choose_name(id, hello.name.as_deref(), proof),
        };
        let Some(client) = self.clients.get_mut(id) else { return };
        let token = client.token;
        if std::mem::take(&mut client.is_visitor) {
            self.admission.promote(client.peer.into());
        }
        client.name = Some(name.as_str().into());
        client.is_name_kept = hello.keep;
        client.visibility = visibility;
        self.names.insert(&name, id);
        if is_reconnect {
            self.log(Level::Info, format!("{} reconnected", self.describe(id)));
        } else if visibility == Visibility::Quiet {
            self.log(Level::Info, format!("{} joined quietly", self.describe(id)));
        }

        let same_epoch = hello.epoch.as_deref() == Some(&*self.epoch);
        let after = hello.after.filter(|after| same_epoch && *after <= self.batch.seq);
        self.send_welcome(id, &name, token, after.is_some());
        if let Some(error) = error {
            self.send_error(id, RequestError { id: line_id, ..error });
        }
        let start = match after {
            Some(after) => self.replay(id, after),
            None => {
                let from = self.oldest_of_last(hello.history.unwrap_or(0));
                self.send_history(id, from, SliceKind::Past)
            }
        };
        self.batch.unicast(id, Op::StartLive(start));
        if has_hello {
            self.announce_member(id);
        } else {
            self.silent.push(self.now.uptime + SILENT_NOTICE_DELAY, id, &self.clients);
        }
    }

    fn send_welcome(&mut self, id: ClientId, name: &str, token: Token, resumed: bool) {
        let members = self.names.len();
        let mut data = match members {
            1 => format!("welcome, {name}; nobody else is here"),
            2 => format!("welcome, {name}; one other is here"),
            _ => format!("welcome, {name}; {} others are here", members - 1),
        };
        if self.config.is_stored {
            data.push_str("; this conversation is written to a file");
        }
        if !resumed {
            data.push_str("; /help lists the commands");
        }
        let welcome = Body::Welcome {
            name: name.into(),
            epoch: (&*self.epoch).into(),
            seq: self.batch.seq,
            token: token.to_string().into(),
            resumed,
            members,
            limits: Limits {
                max_line: self.config.max_line,
                rate: self.config.rate,
                burst: self.config.burst,
                history: self.config.history,
                stored: self.config.is_stored,
            },
        };
        self.batch.send(id, data, welcome);
        if !resumed && let Some(motd) = &self.config.motd {
            self.batch.send(id, &**motd, Body::Info { id: None, stats: None });
        }
    }

    /// Returns the member with a token. All tokens are compared, so that the time taken does not
    /// depend on the position of the match.
    pub(super) fn find_by_token(&self, token: &Token) -> Option<ClientId> {
        self.clients.iter().fold(None, |found, (id, client)| {
            let has_token = client.token.matches(token) && client.name.is_some();
            if has_token { Some(id) } else { found }
        })
    }

    /// Ends the old connection of a member that has reconnected, and returns its row of the table.
    /// There is no leave notice.
    fn take_over(&mut self, old: ClientId) -> Option<Client> {
        let client = self.remove_client(old)?;
        // The new connection has its place.
        self.release(old, self.now);
        if !client.is_absent {
            self.counts.evictions.add(ByeCode::Replaced);
            self.batch.unicast(old, Op::Evict(ByeCode::Replaced));
        }
        Some(client)
    }

    /// Returns the name for a new member, and an error if it is not the requested name.
    fn choose_name(
        &mut self,
        id: ClientId,
        requested: Option<&str>,
        proof: Option<Token>,
    ) -> (String, Option<RequestError>) {
        if let Some(name) = proof.and_then(|proof| self.reserved.take(&proof, self.now.uptime)) {
            return (name.into(), None);
        }
        let guest = || match self.clients.get(id).map(|client| client.peer) {
            Some(Peer::Inet(_, port) | Peer::Proxy(_, port)) => format!("guest-{port}"),
            _ => format!("guest-{}", id.0),
        };
        let Some(requested) = requested else { return (self.find_free_name(id, guest()), None) };
        if !is_valid_name(requested) {
            let name = self.find_free_name(id, guest());
            let text = format!("{}; you are {name}", describe_invalid_name(requested));
            return (name, Some(RequestError::new(ErrorCode::BadName, text)));
        }
        let name = self.find_free_name(id, requested.into());
        let error = self
            .find_name_conflict(requested)
            .map(|error| RequestError::new(error.code, format!("{}; you are {name}", error.text)));
        (name, error)
    }

    /// Returns the error for a name that is taken or reserved, or `None` if it is free.
    pub(super) fn find_name_conflict(&self, name: &str) -> Option<RequestError> {
        let key = self.names.key(name);
        if self.names.get_key(key).is_some() {
            let text = format!("another member is called {name}");
            Some(RequestError::new(ErrorCode::NameTaken, text))
        } else if self.reserved.contains(key, self.now.uptime) {
            let text = format!("{name} is reserved for a member that lost its connection");
            Some(RequestError::new(ErrorCode::NameKept, text))
        } else {
            None
        }
    }

    /// Returns `name` if it is free, or else `name` with a number that makes it free.
    fn find_free_name(&self, id: ClientId, name: String) -> String {
        if self.find_name_conflict(&name).is_none() {
            return name;
        }
        let Some(client) = self.clients.get(id) else { return name };
        find_free_number(&name, client.token, |name| self.find_name_conflict(name).is_none())
    }

    /// Sends every frame after number `after`, and a gap for those that are lost. Returns the same
    /// as [`send_history`](Self::send_history).
    fn replay(&mut self, id: ClientId, after: u64) -> Position {
        let first = self.history.oldest_resumable().max(after + 1);
        if first > after + 1 {
            let (from, to) = (after + 1, first - 1);
            let data = match to - after {
                1 => "one line is lost".into(),
                count => format!("{count} lines are lost"),
            };
            let gap = Slice::own(&Frame::server(data, Body::Gap { from, to }));
            // A replay: a client that is evicted before it received the gap must get it again.
            let gap = gap.with_kind(SliceKind::Replay, after);
            self.batch.unicast(id, Op::Send(gap));
        }
        self.send_history(id, first, SliceKind::Replay)
    }

    /// Sends the frames from number `from` on that are in the history. Returns the position in the
    /// open batch at which the rest of them begins.
    pub(super) fn send_history(&mut self, id: ClientId, from: u64, kind: SliceKind) -> Position {
        for slice in self.history.slices(from, kind) {
            self.batch.unicast(id, Op::Send(slice));
        }
        self.batch.position_of(from)
    }

    /// Returns the number of the oldest of the last `count` frames, or of as many as there are.
    pub(super) fn oldest_of_last(&self, count: u64) -> u64 {
        let count = count.min(self.history.max_frames() as u64);
        (self.batch.seq + 1).saturating_sub(count).max(self.history.oldest())
    }
}

/// Returns the text of the error for an invalid name.
pub(super) fn describe_invalid_name(requested: &str) -> String {
    format!(
        "{requested:?} cannot be a name: a name has 1 to {MAX_NAME} letters, digits, - _ or . \
         and does not look like server"
    )
}
