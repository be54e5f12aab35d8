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

use super::names::find_free_number;
use super::presence::{PresenceChange, SILENT_NOTICE_DELAY};
use super::state::{Effect, Member, RoomState, Visibility};
use super::{ClientId, Credential, Join, Op, Place, Position, Slice, SliceKind, Token};
use crate::protocol::{
    Body, ByeCode, ErrorCode, Frame, Hello, MAX_NAME, RequestError, is_valid_name,
};

impl RoomState {
    /// Makes a client a member, unless there is no place for it, and applies its first lines.
    /// `token` is that of a client of this node.
    ///
    /// A client without a hello is announced when it says something, or after
    /// [`SILENT_NOTICE_DELAY`]. A member that takes over keeps its visibility, so that a leave notice
    /// follows each join notice.
    pub(super) fn join(&mut self, mut join: Join, token: Option<Token>) {
        let Join { id, credential, origin, .. } = join;
        if self.members.get(id).is_some() {
            return;
        }
        self.batch.count_answers_to(id);
        let old = join.proof.and_then(|proof| self.credentials.find(&proof, &self.members));
        #[cfg(feature = "cluster")]
        if self.lacks_name(&join) {
            return self.add_effect(id, Effect::NameTaken(id));
        }
        if old.is_none()
            && let Err(code) = self.admit(&join)
        {
            return self.add_effect(id, Effect::Refused(id, code));
        }
        // Publish pending leave notices first: the new member must not see them.
        self.publish_notice_of(PresenceChange::Left);
        let old = old.and_then(|old| self.take_over(old));
        let has_hello = join.hello.is_some();
        let hello = join.hello.take().map_or_else(Hello::default, |hello| *hello);
        let visibility = visibility_of(&join, &hello, old.as_ref());
        let is_reconnect = old.is_some();
        let (name, error) = match old {
            Some(old) => (old.name, None),
            None => self.choose_name(&join, hello.name.as_deref()),
        };
        let member = Member {
            credential,
            name: name.clone(),
            origin,
            errors: 0,
            is_name_kept: hello.keep,
            is_absent: false,
            visibility,
        };
        self.insert_member(id, member);
        #[cfg(feature = "cluster")]
        if let Some(profile) = join.profile.take() {
            self.set_profile(id, profile);
        }
        self.log_join(id, &name, is_reconnect, (visibility, join.is_hidden));
        let resumes = hello.epoch.as_deref() == Some(&*self.epoch);
        let after = hello.after.filter(|after| resumes && *after <= self.batch.seq);
        if let Some(token) = token {
            self.send_welcome(id, &name, token, after.is_some());
        }
        if let Some(error) = error {
            self.send_error(id, RequestError { id: join.line_id, ..error });
        }
        if token.is_some() {
            self.start_live(id, after, hello.history.unwrap_or(0));
        }
        self.schedule_notice(id, has_hello);
        if let Some(label) = join.operator {
            self.make_operator(id, label, None);
        }
        join.lines.into_iter().for_each(|line| self.on_line(id, line));
    }

    /// Announces a member that has sent a hello at once, and another one later.
    fn schedule_notice(&mut self, id: ClientId, has_hello: bool) {
        if has_hello {
            self.announce_member(id);
        } else {
            let deadline = self.now.uptime.saturating_add(SILENT_NOTICE_DELAY);
            self.silent.push(deadline, id, &self.members);
        }
    }

    /// Writes a line to the log about a member without a join notice.
    fn log_join(
        &mut self,
        id: ClientId,
        name: &str,
        is_reconnect: bool,
        (visibility, is_hidden): (Visibility, bool),
    ) {
        let text = match visibility {
            _ if is_reconnect => " reconnected",
            Visibility::Quiet => " joined quietly",
            _ if is_hidden => " joined",
            _ => return,
        };
        self.log(Level::Info, id, name, text);
    }

    fn insert_member(&mut self, id: ClientId, member: Member) {
        self.credentials.insert(member.credential, id);
        self.names.insert(&member.name, id);
        self.members.insert(id, member);
        self.add_effect(id, Effect::Joined(id));
    }

    /// Returns whether a client is refused because the name that it needs is not free.
    #[cfg(feature = "cluster")]
    pub(super) fn lacks_name(&self, join: &Join) -> bool {
        let name = join.hello.as_ref().and_then(|hello| hello.name.as_deref());
        join.is_name_required
            && !join.proof.is_some_and(|proof| self.is_known(&proof))
            && name.is_none_or(|name| self.find_name_conflict(name).is_some())
    }

    /// Takes a place for a new member. A takeover needs none.
    ///
    /// # Errors
    ///
    /// Returns the code for a client that is refused, or none if there is no place.
    fn admit(&mut self, join: &Join) -> Result<(), Option<ByeCode>> {
        if join.operator.is_none() && self.is_locked_out(join.proof) {
            return Err(Some(ByeCode::Locked));
        }
        if self.take_place(join.place) { Ok(()) } else { Err(None) }
    }

    /// Takes a place for a new member, and returns whether there is one.
    fn take_place(&mut self, place: Place) -> bool {
        match place {
            #[cfg(feature = "cluster")]
            Place::Own => self.members.len() < self.rules.max_members,
            #[cfg(not(feature = "cluster"))]
            Place::Own => true,
            Place::OfAbsent(id) if self.is_absent(id) => {
                self.remove_absent_member(id);
                true
            }
            Place::OfGuest(id) => {
                self.close_member(id, ByeCode::Full, &"an operator needed its place");
                true
            }
            // The member has returned or left since.
            Place::OfAbsent(_) | Place::Missing => false,
        }
    }

    /// Sends a new member the frames that it missed, or the last frames of the history, and from
    /// then on all frames.
    fn start_live(&mut self, id: ClientId, after: Option<u64>, history: u64) {
        let start = match after {
            Some(after) => self.replay(id, after),
            None => {
                let from = self.oldest_of_last(history);
                self.send_history(id, from, SliceKind::Past)
            }
        };
        self.unicast(id, Op::StartLive(start));
    }

    fn send_welcome(&mut self, id: ClientId, name: &str, token: Token, resumed: bool) {
        let members = self.names.len();
        let mut data = match members {
            1 => format!("welcome, {name}; nobody else is here"),
            2 => format!("welcome, {name}; one other is here"),
            _ => format!("welcome, {name}; {} others are here", members - 1),
        };
        if let Some(topic) = &self.moderation.topic {
            data.push_str("; topic: ");
            data.push_str(topic);
        }
        let limits = self.answers.limits;
        if limits.stored {
            data.push_str("; this conversation is written to a file");
        }
        if !resumed {
            data.push_str("; /help lists the commands");
        }
        #[cfg(feature = "cluster")]
        let nodes = self.answers.nodes.iter().map(|node| (&**node).into()).collect();
        #[cfg(not(feature = "cluster"))]
        let nodes = Vec::new();
        let welcome = Body::Welcome {
            name: name.into(),
            epoch: (&*self.epoch).into(),
            seq: self.batch.seq,
            token: token.to_string().into(),
            resumed,
            members,
            topic: self.moderation.topic.as_deref().map(Into::into),
            limits,
            nodes,
        };
        let welcome = Slice::own(&Frame::server(data, welcome));
        self.unicast(id, Op::Send(welcome));
        if !resumed && let Some(motd) = self.answers.motd.clone() {
            self.send(id, (&*motd).into(), Body::info(None));
        }
    }

    /// Ends the old connection of a member that has reconnected, and returns its row of the table.
    /// There is no leave notice.
    fn take_over(&mut self, old: ClientId) -> Option<Member> {
        // The new connection has its place.
        let member = self.remove_member(old, true)?;
        if !member.is_absent {
            self.count_eviction(old, ByeCode::Replaced);
            self.unicast(old, Op::Evict(ByeCode::Replaced));
        }
        Some(member)
    }

    /// Returns the name for a new member, and an error if it is not the requested name.
    fn choose_name(
        &mut self,
        join: &Join,
        requested: Option<&str>,
    ) -> (Box<str>, Option<RequestError>) {
        let now = self.now.uptime;
        if let Some(name) = join.proof.and_then(|proof| self.reserved.take(&proof, now)) {
            return (name, None);
        }
        let credential = join.credential;
        let Some(requested) = requested else {
            return (self.choose_guest_name(credential, join.port), None);
        };
        if !is_valid_name(requested) {
            let name = self.choose_guest_name(credential, join.port);
            let text = format!("{}; you are {name}", describe_invalid_name(requested));
            return (name, Some(RequestError::new(ErrorCode::BadName, text)));
        }
        let name = self.find_free_name(credential, requested.into());
        let error = self
            .find_name_conflict(requested)
            .map(|error| RequestError::new(error.code, format!("{}; you are {name}", error.text)));
        (name, error)
    }

    /// Returns the name of a guest, which has the number of its port if it has one.
    fn choose_guest_name(&mut self, credential: Credential, port: Option<u16>) -> Box<str> {
        let number = port.map_or_else(
            || {
                self.guests += 1;
                self.guests
            },
            u64::from,
        );
        self.find_free_name(credential, format!("guest-{number}"))
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
    fn find_free_name(&self, credential: Credential, name: String) -> Box<str> {
        let is_free = |name: &str| self.find_name_conflict(name).is_none();
        match is_free(&name) {
            true => name.into(),
            false => find_free_number(&name, credential, is_free).into(),
        }
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
            self.unicast(id, Op::Send(gap));
        }
        self.send_history(id, first, SliceKind::Replay)
    }

    /// Sends the frames from number `from` on that are in the history. Returns the position in the
    /// open batch at which the rest of them begins.
    pub(super) fn send_history(&mut self, id: ClientId, from: u64, kind: SliceKind) -> Position {
        for slice in self.history.slices(from, kind) {
            self.unicast(id, Op::Send(slice));
        }
        self.batch.position_of(from)
    }

    /// Returns the number of the oldest of the last `count` frames, or of as many as there are.
    pub(super) fn oldest_of_last(&self, count: u64) -> u64 {
        let count = count.min(self.history.max_frames() as u64);
        (self.batch.seq + 1).saturating_sub(count).max(self.history.oldest())
    }
}

/// Returns the visibility of a new member, which may have taken over that of an old one.
fn visibility_of(join: &Join, hello: &Hello, old: Option<&Member>) -> Visibility {
    let new = match join.is_hidden {
        #[cfg(any(feature = "irc", feature = "cluster"))]
        true => Visibility::Hidden,
        _ => Visibility::Silent,
    };
    match old.map_or(new, |old| old.visibility) {
        Visibility::Silent if hello.quiet => Visibility::Quiet,
        visibility => visibility,
    }
}

/// Returns the text of the error for an invalid name.
pub(super) fn describe_invalid_name(requested: &str) -> String {
    format!(
        "{requested:?} cannot be a name: a name has 1 to {MAX_NAME} letters, digits, - _ or . \
         and does not look like server"
    )
}
