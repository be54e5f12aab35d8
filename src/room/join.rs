//! How a client becomes a member: under which name, and from which place in the sequence.
//!
//! A client that comes back says `epoch` and `after`, the last number that it saw, and gets what
//! followed, as it was sent to the others: from the history, then from the open batch, then live,
//! each number once. What the history does not have any more is named in a `gap`.
//!
//! # Exactly once
//!
//! A client that gives each of its lines an `id`, and that comes back with its `token`, can know
//! which of them made it. The token moves the member to the new connection, or gives it its name
//! back if its old connection was gone; either way nothing that the old connection sent is heard
//! any more once the welcome is written: either the room has let go of it here, or its task had
//! come to its end before. So what the replay and the sequence up to the welcome's `seq` show is
//! all there will ever be of the old lines. Those that are in it made it, and the others did not,
//! and can be sent again.
//!
//! This is not promised where the answer is not in the replay: lines behind a `gap`, another
//! epoch (`resumed` is false), private lines, and commands that only their sender sees answered.

use log::Level;

use super::admission::Refusal;
use super::{Client, MemberId, Membership, Notice, Op, Peer, Room, Slice, SliceKind, Token};
use crate::protocol::{
    Body, ByeCode, ErrorCode, Frame, Hello, Limits, MAX_NAME, RequestError, is_valid_name,
};

impl Room {
    pub(super) fn arrive(&mut self, id: MemberId, peer: Peer, token: Token) {
        if self.closed {
            return self.say_bye(id, ByeCode::Shutdown);
        }
        let entered = match peer {
            _ if self.clients.len() >= self.config.max_clients => Err(Refusal::TooMany),
            Peer::Inet(ip, _) => self.addresses.enter(ip, self.now.uptime),
            Peer::Unix => Ok(()),
        };
        match entered {
            Ok(()) => {}
            Err(Refusal::TooMany) => {
                self.log.push((Level::Warn, format!("{peer} turned away: full")));
                return self.say_bye(id, ByeCode::Full);
            }
            Err(Refusal::TooFast) => {
                self.log.push((Level::Warn, format!("{peer} turned away: too fast")));
                let text = "too many connections come from your address";
                self.reject(id, RequestError::new(ErrorCode::TooFast, text));
                return self.say_bye(id, ByeCode::TooFast);
            }
        }
        self.log.push((Level::Debug, format!("{peer} connected")));
        let state = Membership::Silent(token);
        self.clients.insert(id, Client { peer, errors: 0, keeps_name: false, state });
        self.silent.push_back((self.now.uptime + self.config.hello_wait, id));
        // Those who have spoken, or gone, wait for nothing; with a long wait they must not pile up.
        if self.silent.len() > 2 * self.clients.len() + 16 {
            let clients = &self.clients;
            self.silent.retain(|(_, id)| clients.get(*id).is_some_and(Client::is_silent));
        }
    }

    /// Makes a member of a client that was silent so far; `word` is the `id` of its hello.
    pub(super) fn join(&mut self, id: MemberId, hello: Hello, word: Option<Box<str>>) {
        // Who leaves before the welcome is none of the new member's business.
        if matches!(self.notice, Notice::Left(_)) {
            self.flush_notice();
        }
        let proof = hello.token.as_deref().and_then(|token| token.parse().ok());
        let ghost = proof.and_then(|proof| self.holder_of(&proof));
        let (name, complaint) = match ghost.and_then(|ghost| self.take_over(ghost)) {
            Some(name) => (name, None),
            None => self.choose_name(id, hello.name.as_deref(), proof),
        };
        let Some(client) = self.clients.get_mut(id) else { return };
        let Membership::Silent(token) = client.state else { return };
        client.state = Membership::Member { name: name.as_str().into(), token };
        client.keeps_name = hello.keep;
        self.names.insert(&name, id);
        let how = if ghost.is_some() { "came back" } else { "joined" };
        self.log.push((Level::Info, format!("{} {how}", self.describe(id))));

        let same_epoch = hello.epoch.as_deref() == Some(&*self.epoch);
        let after = hello.after.filter(|after| same_epoch && *after <= self.seq);
        self.welcome(id, &name, token, after.is_some());
        if let Some(rejected) = complaint {
            self.reject(id, RequestError { id: word, ..rejected });
        }
        let (from, before) = match after {
            Some(after) => self.replay(id, after),
            None => {
                let from = self.oldest_of(hello.history.unwrap_or(0));
                self.show_since(id, from, false)
            }
        };
        self.unicast(id, Op::StartLive { from, before });
        if ghost.is_none() {
            match &mut self.notice {
                Notice::Joined(names) => names.push(name.into()),
                notice => *notice = Notice::Joined(vec![name.into()]),
            }
            self.flush_full_notice();
        }
    }

    fn welcome(&mut self, id: MemberId, name: &str, token: Token, resumed: bool) {
        let members = self.names.len();
        let mut data = match members {
            1 => format!("welcome, {name}; nobody else is here"),
            2 => format!("welcome, {name}; one other is here"),
            _ => format!("welcome, {name}; {} others are here", members - 1),
        };
        if self.config.stored {
            data.push_str("; what is said here is kept in a file");
        }
        let welcome = Body::Welcome {
            name: name.into(),
            epoch: (&*self.epoch).into(),
            seq: self.seq,
            token: token.to_string().into(),
            resumed,
            members,
            limits: Limits {
                max_line: self.config.max_line,
                rate: self.config.rate,
                burst: self.config.burst,
                history: self.config.history,
                stored: self.config.stored,
            },
        };
        let welcome = Slice::own(&Frame::server(data, welcome));
        self.unicast(id, Op::Send(welcome));
    }

    /// The member who has a token, if any. Every member is looked at, so that the time it takes
    /// tells nothing of a token that almost fits.
    fn holder_of(&self, token: &Token) -> Option<MemberId> {
        self.clients.iter().fold(None, |found, (id, client)| match &client.state {
            Membership::Member { token: held, .. } if held.matches(token) => Some(id),
            _ => found,
        })
    }

    /// Ends the old connection of a member who has come back, and returns its name. Nobody is
    /// told: it has not left.
    fn take_over(&mut self, ghost: MemberId) -> Option<String> {
        let client = self.take_out(ghost)?;
        self.counts.evictions.add(ByeCode::Replaced);
        self.unicast(ghost, Op::Evict(ByeCode::Replaced));
        match client.state {
            Membership::Member { name, .. } => Some(name.into()),
            Membership::Silent(_) => None,
        }
    }

    /// The name that a new member gets, and what to tell it if that is not the one it wanted.
    fn choose_name(
        &mut self,
        id: MemberId,
        wanted: Option<&str>,
        proof: Option<Token>,
    ) -> (String, Option<RequestError>) {
        if let Some(kept) = proof.and_then(|proof| self.reserved.take(&proof, self.now.uptime)) {
            return (kept.into(), None);
        }
        let guest = || match self.clients.get(id).map(|client| client.peer) {
            Some(Peer::Inet(_, port)) => format!("guest-{port}"),
            _ => format!("guest-{}", id.0),
        };
        let Some(wanted) = wanted else { return (self.free_name(id, guest()), None) };
        if !is_valid_name(wanted) {
            let name = self.free_name(id, guest());
            let text = format!("{}; you are {name}", bad_name(wanted));
            return (name, Some(RequestError::new(ErrorCode::BadName, text)));
        }
        let name = self.free_name(id, wanted.into());
        let complaint = self.why_not(wanted).map(|(code, why)| {
            let text = format!("{why}; you are {name}");
            RequestError::new(code, text)
        });
        (name, complaint)
    }

    /// Why a name is not free, if it is not.
    pub(super) fn why_not(&self, name: &str) -> Option<(ErrorCode, String)> {
        if self.names.get(name).is_some() {
            Some((ErrorCode::NameTaken, format!("another member is called {name}")))
        } else if self.reserved.holds(name, self.now.uptime) {
            let why = format!("{name} is kept for a member who dropped and may come back");
            Some((ErrorCode::NameKept, why))
        } else {
            None
        }
    }

    /// `name` itself, or with a number behind it that makes it free.
    fn free_name(&self, id: MemberId, name: String) -> String {
        if self.why_not(&name).is_none() {
            return name;
        }
        // Where hundreds want one name, each would look further than the one before it. Its own
        // number, which no other connection has, is free at once, unless somebody is up to mischief.
        let numbers = (2..100).chain(id.0.max(100)..);
        let numbered = numbers.map(|number: u64| {
            let number = format!("-{number}");
            let stem: String = name.chars().take(MAX_NAME - number.len()).collect();
            stem + &number
        });
        // The numbers do not run out before the members do.
        numbered.into_iter().find(|name| self.why_not(name).is_none()).unwrap_or(name)
    }

    /// Shows all that followed number `after`, or says what of it is gone. Returns the same as
    /// [`show_since`](Self::show_since).
    fn replay(&mut self, id: MemberId, after: u64) -> (u32, u64) {
        let first = self.history.oldest_resumable().max(after + 1);
        if first > after + 1 {
            let (from, to) = (after + 1, first - 1);
            let data = match to - after {
                1 => "one line is gone for good".into(),
                count => format!("{count} lines are gone for good"),
            };
            let gap = Slice::own(&Frame::server(data, Body::Gap { from, to }));
            // Who is cut off before the gap is told must be told again.
            self.unicast(id, Op::Send(gap.with_kind(SliceKind::Replay { before: after })));
        }
        self.show_since(id, first, true)
    }

    /// Shows the frames from number `from` on that former batches have, either as the member's
    /// own part of the sequence or as something that is past. Those of the open batch begin at
    /// the returned place, after the returned number.
    pub(super) fn show_since(&mut self, id: MemberId, from: u64, is_replay: bool) -> (u32, u64) {
        for slice in self.history.since(from, is_replay) {
            self.unicast(id, Op::Send(slice));
        }
        let sealed = self.seq - self.ends.len() as u64;
        let skip = from.saturating_sub(sealed + 1).min(self.ends.len() as u64);
        let end = skip.checked_sub(1).and_then(|last| self.ends.get(last as usize));
        (end.copied().unwrap_or(0), sealed + skip)
    }

    /// The number of the oldest of the last `count` frames, or as many as are kept.
    pub(super) fn oldest_of(&self, count: u64) -> u64 {
        let count = count.min(self.history.max_frames() as u64);
        (self.seq + 1).saturating_sub(count).max(self.history.oldest())
    }
}

pub(super) fn bad_name(wanted: &str) -> String {
    format!(
        "{wanted:?} cannot be a name: it takes 1 to {MAX_NAME} letters, digits, - _ or . \
         and cannot be server, nor look like it"
    )
}
