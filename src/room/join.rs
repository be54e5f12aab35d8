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
use super::presence::{PresenceChange, SILENT_NOTICE_DELAY};
use super::{Client, ClientId, Op, Peer, Room, Slice, SliceKind, Token};
use crate::protocol::{
    Body, ByeCode, ErrorCode, Frame, Hello, Limits, MAX_NAME, RequestError, is_valid_name,
};

/// The numbers that are tried after a taken name, in this order, before the client's own number.
const TRIED_NUMBERS: std::ops::Range<u64> = 2..100;

impl Room {
    pub(super) fn connect(&mut self, id: ClientId, peer: Peer, token: Token) {
        if self.is_closed {
            return self.send_bye(id, ByeCode::Shutdown);
        }
        let admitted = match peer {
            _ if self.clients.len() >= self.config.max_clients => Err(Refusal::TooMany),
            Peer::Inet(ip, _) => self.admission.admit(ip, self.now.uptime),
            Peer::Proxy(..) | Peer::Unix => Ok(()),
        };
        match admitted {
            Ok(()) => {}
            Err(Refusal::TooMany) => {
                self.log(Level::Warn, format!("{peer} refused: full"));
                return self.send_bye(id, ByeCode::Full);
            }
            Err(Refusal::TooFast) => {
                self.log(Level::Warn, format!("{peer} refused: too many connections per second"));
                let text = "too many connections per second from your address";
                self.send_error(id, RequestError::new(ErrorCode::TooFast, text));
                return self.send_bye(id, ByeCode::TooFast);
            }
        }
        self.log(Level::Debug, format!("{peer} connected"));
        let client =
            Client { peer, errors: 0, is_name_kept: false, is_announced: false, token, name: None };
        self.clients.insert(id, client);
        self.lobby.push(self.now.uptime + self.config.hello_wait, id, &self.clients);
    }

    /// Makes a client a member. `line_id` is the `id` of its hello.
    ///
    /// A client without a hello is announced when it says something, or after
    /// [`SILENT_NOTICE_DELAY`].
    pub(super) fn join(&mut self, id: ClientId, hello: Option<Hello>, line_id: Option<Box<str>>) {
        // Publish pending leave notices first: the new member must not see them.
        self.publish_notice_of(PresenceChange::Left);
        let has_hello = hello.is_some();
        let hello = hello.unwrap_or_default();
        let proof = hello.token.as_deref().and_then(|token| token.parse().ok());
        let old = proof.and_then(|proof| self.find_by_token(&proof));
        let old = old.and_then(|old| self.take_over(old));
        let is_reconnect = old.is_some();
        let is_announced = old.as_ref().is_some_and(|old| old.is_announced);
        let (name, error) = match old.and_then(|old| old.name) {
            Some(name) => (name.into(), None),
            None => self.choose_name(id, hello.name.as_deref(), proof),
        };
        let Some(client) = self.clients.get_mut(id) else { return };
        let token = client.token;
        client.name = Some(name.as_str().into());
        client.is_name_kept = hello.keep;
        client.is_announced = is_announced;
        self.names.insert(&name, id);
        if is_reconnect {
            self.log(Level::Info, format!("{} reconnected", self.describe(id)));
        }

        let same_epoch = hello.epoch.as_deref() == Some(&*self.epoch);
        let after = hello.after.filter(|after| same_epoch && *after <= self.batch.seq);
        self.send_welcome(id, &name, token, after.is_some());
        if let Some(error) = error {
            self.send_error(id, RequestError { id: line_id, ..error });
        }
        let (from, before) = match after {
            Some(after) => self.replay(id, after),
            None => {
                let from = self.oldest_of_last(hello.history.unwrap_or(0));
                self.send_history(id, from, false)
            }
        };
        self.batch.unicast(id, Op::StartLive { from, before });
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
    }

    /// Returns the member with a token. All tokens are compared, so that the time taken does not
    /// depend on the position of the match.
    fn find_by_token(&self, token: &Token) -> Option<ClientId> {
        self.clients.iter().fold(None, |found, (id, client)| {
            let has_token = client.token.matches(token) && client.name.is_some();
            if has_token { Some(id) } else { found }
        })
    }

    /// Ends the old connection of a member that has reconnected, and returns its row of the table.
    /// There is no leave notice.
    fn take_over(&mut self, old: ClientId) -> Option<Client> {
        let client = self.remove_client(old)?;
        self.counts.evictions.add(ByeCode::Replaced);
        self.batch.unicast(old, Op::Evict(ByeCode::Replaced));
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
        if self.names.get(name).is_some() {
            let text = format!("another member is called {name}");
            Some(RequestError::new(ErrorCode::NameTaken, text))
        } else if self.reserved.contains(name, self.now.uptime) {
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
        // If hundreds of clients request one name, trying every number would take longer for each
        // further client. The client's own number is nearly always free.
        let numbers = TRIED_NUMBERS.chain(id.0.max(TRIED_NUMBERS.end)..);
        let numbered = numbers.map(|number: u64| {
            let number = format!("-{number}");
            let stem: String = name.chars().take(MAX_NAME - number.len()).collect();
            stem + &number
        });
        // There are more numbers than members.
        numbered.into_iter().find(|name| self.find_name_conflict(name).is_none()).unwrap_or(name)
    }

    /// Sends every frame after number `after`, and a gap for those that are lost. Returns the same
    /// as [`send_history`](Self::send_history).
    fn replay(&mut self, id: ClientId, after: u64) -> (u32, u64) {
        let first = self.history.oldest_resumable().max(after + 1);
        if first > after + 1 {
            let (from, to) = (after + 1, first - 1);
            let data = match to - after {
                1 => "one line is lost".into(),
                count => format!("{count} lines are lost"),
            };
            let gap = Slice::own(&Frame::server(data, Body::Gap { from, to }));
            // A replay: a client that is evicted before it received the gap must get it again.
            let gap = gap.with_kind(SliceKind::Replay { before: after });
            self.batch.unicast(id, Op::Send(gap));
        }
        self.send_history(id, first, true)
    }

    /// Sends the frames from number `from` on that are in the history, either as a replay or as
    /// past frames. Returns the byte offset in the open batch at which the rest of them begins, and
    /// the sequence number before it.
    pub(super) fn send_history(&mut self, id: ClientId, from: u64, is_replay: bool) -> (u32, u64) {
        for slice in self.history.slices(from, is_replay) {
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
