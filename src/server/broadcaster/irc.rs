//! The messages of connections that speak IRC.

use std::time::Duration;

use super::Broadcaster;
use crate::protocol::{ClientLine, Request};
use crate::room::{
    Chunk, ClientId, DisconnectReason, Input, Now, Room, Token, WaitKind, WaitingClient,
};
use crate::server::clients::{IrcClients, mark_of};
use crate::server::edge::irc::{
    Action, Directory, Environment, Member, ParsedMessage, View, error_line, relay_line,
};

/// The time that a registration may take.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(60);

/// The members of the room, with the profiles of the IRC clients among them.
struct RoomDirectory<'a> {
    room: &'a Room,
    irc: &'a IrcClients,
}

impl RoomDirectory<'_> {
    fn member<'a>(&'a self, id: ClientId, name: &'a str) -> Member<'a> {
        Member { id, name, profile: self.irc.profile(id) }
    }
}

impl Directory for RoomDirectory<'_> {
    fn find(&self, name: &str) -> Option<Member<'_>> {
        let (id, name) = self.room.find_member(name)?;
        Some(self.member(id, name))
    }

    fn members(&self, each: &mut dyn FnMut(Member<'_>) -> bool) {
        let _ = self.room.members().all(|(id, name)| each(self.member(id, name)));
    }

    fn count(&self) -> usize {
        self.room.member_count()
    }

    fn most(&self) -> usize {
        self.irc.most_members.max(self.count())
    }

    fn unregistered(&self) -> usize {
        self.room.client_count().saturating_sub(self.room.member_count())
    }

    fn is_taken(&self, name: &str) -> bool {
        self.room.is_name_taken(name)
    }

    fn token_of(&self, name: &str, password: &str) -> Option<Token> {
        let token = self.irc.passwords.get(name, password)?;
        self.room.is_known_token(&token).then_some(token)
    }

    fn history(&self, is_newest_first: bool, each: &mut dyn FnMut(&[u8]) -> bool) {
        self.room.visit_history(is_newest_first, each);
    }
}

impl Broadcaster {
    /// Handles a message of an IRC client.
    pub(super) fn on_irc_message(&mut self, id: ClientId, message: ParsedMessage, now: Now) {
        let Some(mut session) = self.clients.irc.take_session(id) else { return };
        let directory = RoomDirectory { room: &self.room, irc: &self.clients.irc };
        let env = Environment {
            settings: self.clients.irc.settings(),
            directory: &directory,
            answer_bytes: self.room.max_answer_bytes(),
            max_line: self.room.max_line(),
            unix_ms: now.unix_ms,
        };
        let actions = session.on_line(message, &env);
        self.clients.irc.put_session(id, session);
        for action in actions {
            self.apply_irc_action(id, action, now);
        }
        self.clients.update_irc(id);
        let irc = &mut self.clients.irc;
        irc.most_members = irc.most_members.max(self.room.member_count());
    }

    fn apply_irc_action(&mut self, id: ClientId, action: Action, now: Now) {
        match action {
            Action::Reply { lines, view } => self.reply(id, lines.into(), view, now),
            Action::Submit { line, is_notice } => self.submit(id, line, is_notice, now),
            Action::Relay { to, command, text } => self.relay(id, to, command, &text, now),
            Action::SetProfile(change) => {
                if let Some(profile) = self.clients.irc.profile_mut(id) {
                    profile.apply(change);
                }
            }
            Action::SetDeparture(departure) => {
                if let Some(name) = self.room.name_of(id).filter(|_| !self.room.is_muted(id)) {
                    self.clients.irc.add_departure(name, departure, now.uptime);
                }
            }
            Action::Show(is_shown) => {
                let was_hidden = self.room.is_hidden(id);
                self.room.apply(Input::Show { id, is_shown }, now);
                if is_shown
                    && was_hidden
                    && let Some(session) = self.clients.irc.session_mut(id)
                {
                    session.on_shown();
                }
            }
        }
    }

    fn reply(&mut self, id: ClientId, bytes: Chunk, view: View, now: Now) {
        self.room.apply(Input::Reply { id, bytes, mark: mark_of(view) }, now);
    }

    fn submit(&mut self, id: ClientId, line: ClientLine, is_notice: bool, now: Now) {
        let is_member = self.room.name_of(id).is_some();
        let is_hello = matches!(line.request, Request::Hello(_));
        let is_named = is_hello || matches!(line.request, Request::Nick(_));
        if !is_member && !is_hello {
            // A client that leaves before it is a member.
            let reason = DisconnectReason::Finished;
            return self.room.apply(Input::Disconnect { id, reason }, now);
        }
        let before = self.room.seq();
        self.room.apply(Input::Lines { id, lines: vec![Ok(line)] }, now);
        if is_notice && self.room.seq() > before {
            self.clients.irc.add_notice(self.room.seq());
        }
        if is_hello
            && let Some(name) = self.room.name_of(id)
            && let Some(session) = self.clients.irc.session_mut(id)
        {
            session.on_joined(name);
        }
        if is_named {
            self.remember_password(id);
        }
    }

    /// Remembers the password with which a client keeps its name.
    fn remember_password(&mut self, id: ClientId) {
        let Some((name, peer, token)) = self.room.identity_of(id) else { return };
        let irc = &mut self.clients.irc;
        let Some(session) = irc.take_session(id) else { return };
        if let Some(password) = session.password() {
            if irc.passwords.is_full() {
                irc.passwords.retain(|token| self.room.is_known_token(token));
            }
            irc.passwords.insert(id, peer.into(), (name, password), token);
        }
        irc.put_session(id, session);
    }

    /// Sends a text to an IRC client, or to all others that see the channel.
    fn relay(&mut self, id: ClientId, to: Option<ClientId>, command: &str, text: &str, now: Now) {
        if self.room.is_muted(id) {
            return;
        }
        let Some(source) = self.room.name_of(id).map(String::from) else { return };
        let recipients = match to {
            Some(to) => vec![to],
            None => self.clients.irc.in_channel(),
        };
        let channel = self.clients.irc.config.channel.clone();
        let mut lines: [Option<Chunk>; 2] = [None, None];
        for recipient in recipients {
            if to.is_none() && recipient == id {
                continue;
            }
            let Some(session) = self.clients.irc.session_mut(recipient) else { continue };
            let target = if to.is_some() { session.name() } else { &channel };
            let has_time = session.variant().has_time;
            let [plain, timed] = &mut lines;
            let lines = if has_time { timed } else { plain };
            let line = lines.get_or_insert_with(|| {
                let time = has_time.then_some(now.unix_ms);
                relay_line(&source, command, target, text, time).into()
            });
            let line = Chunk::clone(line);
            self.reply(recipient, line, View::Unchanged, now);
        }
    }

    /// Handles the end of the wait of a client, and returns `false` if it does not speak IRC.
    pub(super) fn handle_irc_wait(&mut self, client: WaitingClient, now: Now) -> bool {
        let id = client.id;
        if !self.clients.irc.contains(id) {
            return false;
        }
        if client.wait == WaitKind::Request {
            let line = error_line("the registration took too long");
            self.reply(id, line.into(), View::Unchanged, now);
            self.room.apply(Input::Answered { id }, now);
        } else {
            let client = WaitingClient { wait: WaitKind::Request, ..client };
            self.room.extend_hello_wait(client, REGISTRATION_TIMEOUT);
        }
        true
    }
}
