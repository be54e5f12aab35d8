//! The lines of connections that speak IRC.

#[cfg(feature = "cluster")]
mod clustered;
#[cfg(feature = "cluster")]
mod line_queue;
#[cfg(feature = "cluster")]
mod log_phase;

use std::rc::Rc;
use std::time::Duration;

use super::Broadcaster;
use crate::protocol::{ClientLine, ParsedLine, Request, RequestError};
#[cfg(feature = "cluster")]
use crate::room::EdgeMessage;
use crate::room::{
    Chunk, ClientId, DisconnectReason, Input, Now, Room, Token, WaitKind, WaitingClient,
};
use crate::server::clients::Clients;
use crate::server::edge::irc::{
    Channel, ChannelMember, IrcCommand, Notes, Profile, Variant, ViewChange, error_line,
    relay_lines,
};

#[cfg(feature = "cluster")]
pub use line_queue::{LineQueues, MAX_WAITING};
#[cfg(feature = "cluster")]
use log_phase::LogPhase;

/// The time that a registration may take.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(60);

/// The room as one IRC client sees it.
struct RoomChannel<'a> {
    id: ClientId,
    now: Now,
    room: &'a mut Room,
    clients: &'a mut Clients,
    /// The profile of the client, whose row of the table is empty meanwhile.
    own_profile: &'a mut Profile,
    /// The bytes of the replies to the lines of one event, and of their texts for other IRC clients.
    replied: usize,
    /// The phase of the line, in a cluster.
    #[cfg(feature = "cluster")]
    phase: Option<LogPhase>,
}

impl RoomChannel<'_> {
    fn member<'a>(&'a self, id: ClientId, name: &'a str) -> ChannelMember<'a> {
        let profile = match id == self.id {
            true => Some(&*self.own_profile),
            #[cfg(feature = "cluster")]
            false if self.phase.is_some() => self.room.profile_of(id),
            false => self.clients.irc_client(id).map(|irc| &irc.profile),
        };
        ChannelMember { id, name, profile }
    }
}

impl Channel for RoomChannel<'_> {
    fn find(&self, name: &str) -> Option<ChannelMember<'_>> {
        let (id, name) = self.room.find_member(name)?;
        Some(self.member(id, name))
    }

    fn members(&self, each: &mut dyn FnMut(ChannelMember<'_>) -> bool) {
        #[cfg(feature = "cluster")]
        if self.is_probed() {
            return;
        }
        let _ = self.room.members().all(|(id, name)| each(self.member(id, name)));
    }

    fn counts(&self) -> [usize; 3] {
        let members = self.room.member_count();
        #[cfg(feature = "cluster")]
        if self.phase.is_some() {
            let most = self.clients.irc.most_members.max(members);
            return [members, most, self.room.waiting_count()];
        }
        let others = self.room.client_count().saturating_sub(members);
        [members, self.clients.irc.most_members.max(members), others]
    }

    fn is_taken(&self, name: &str) -> bool {
        #[cfg(feature = "cluster")]
        if let Some(is_taken) = self.is_taken_by_log() {
            return is_taken;
        }
        // A client without the password is not told the names in the room.
        !self.room.is_unauthenticated(self.id) && self.room.is_name_taken(name)
    }

    fn token_of(&mut self, name: &str, password: &str) -> Option<Token> {
        let origin = self.room.peer_of(self.id)?.into();
        #[cfg(feature = "cluster")]
        if self.phase.is_some() {
            return self.token_of_password(name, password, origin);
        }
        let passwords = &mut self.clients.irc.passwords;
        let token = passwords.get(name, password, origin, self.now.uptime)?;
        self.room.is_known_token(&token).then_some(token)
    }

    fn seq(&self) -> u64 {
        self.room.seq()
    }

    fn frame_count(&self) -> usize {
        #[cfg(feature = "cluster")]
        if self.is_probed() {
            return 0;
        }
        self.room.frame_count()
    }

    fn frame(&self, at: usize) -> Option<&[u8]> {
        self.room.frame(at)
    }

    fn topic(&self) -> Option<&str> {
        self.room.topic()
    }

    fn is_operator(&self) -> bool {
        self.room.is_operator(self.id)
    }

    fn notes(&self) -> &Notes {
        &self.clients.irc.notes
    }

    fn own_name(&self) -> Option<&str> {
        #[cfg(feature = "cluster")]
        if let Some(LogPhase::Probe(probe)) = &self.phase
            && let Some(name) = &probe.joined
        {
            return Some(name);
        }
        self.room.name_of(self.id)
    }

    fn own_profile(&mut self) -> &mut Profile {
        self.own_profile
    }

    fn unread_bytes(&self) -> usize {
        #[cfg(feature = "cluster")]
        if let Some(LogPhase::Run(Some(_))) = &self.phase {
            // The text is in the log.
            return 0;
        }
        self.replied + self.clients.waiting_bytes(self.id)
    }

    fn reply(&mut self, lines: Vec<u8>, view: ViewChange) {
        #[cfg(feature = "cluster")]
        if matches!(self.phase, Some(LogPhase::Probe(_))) {
            return;
        }
        self.replied += lines.len();
        self.room.reply(self.id, lines.into(), view as u64);
    }

    fn submit(&mut self, line: ClientLine, is_notice: bool) {
        let id = self.id;
        #[cfg(feature = "cluster")]
        if self.phase.is_some() {
            return self.submit_to_log(line, is_notice);
        }
        if self.own_name().is_none() && !matches!(line.request, Request::Hello(_)) {
            // A client that leaves before it is a member.
            let reason = DisconnectReason::Finished;
            return self.room.apply(Input::Disconnect { id, reason }, self.now);
        }
        let before = self.room.seq();
        self.room.apply(Input::Lines { id, lines: vec![Ok(line)] }, self.now);
        if is_notice && self.room.seq() > before {
            self.clients.irc.notes.add_notice(self.room.seq());
        }
        let most = &mut self.clients.irc.most_members;
        *most = self.room.member_count().max(*most);
    }

    fn relay(&mut self, to: Option<ClientId>, command: &str, text: &str) {
        #[cfg(feature = "cluster")]
        if self.phase.is_some() {
            return self.relay_to_log(to, command, text);
        }
        self.replied += relay(self.room, self.clients, self.id, to, [command, text], self.now);
    }

    fn show(&mut self, is_shown: bool) -> bool {
        #[cfg(feature = "cluster")]
        if self.phase.is_some() {
            return self.show_in_log(is_shown);
        }
        self.room.show(self.id, is_shown, self.now)
    }

    fn set_departure(&mut self, command: &str) {
        // Without the reason of a client that is muted.
        let command = match self.room.find_mute(self.id) {
            Some(_) => command.split(':').next().unwrap_or_default().trim_end(),
            None => command,
        };
        #[cfg(feature = "cluster")]
        if self.phase.is_some() {
            return self.push_edge_message(EdgeMessage::Departure(command.into()));
        }
        if let Some(name) = self.room.name_of(self.id) {
            self.clients.irc.notes.add_departure(name, command, self.now.unix_ms);
        }
    }

    fn keep_name(&mut self, password: &str) {
        #[cfg(feature = "cluster")]
        if self.phase.is_some() {
            return self.keep_name_in_log(password);
        }
        let Some((name, token)) = self.room.identity_of(self.id) else { return };
        let passwords = &mut self.clients.irc.passwords;
        passwords.insert(self.id, name, password, token, &|token| self.room.is_known_token(token));
    }
}

/// Sends a text of a member to an IRC client, or to all others that see the channel. Returns the bytes
/// of the lines.
fn relay(
    room: &mut Room,
    clients: &Clients,
    from: ClientId,
    to: Option<ClientId>,
    [command, text]: [&str; 2],
    now: Now,
) -> usize {
    let recipients = match to {
        Some(to) => vec![to],
        None => clients.irc_clients_in_channel(),
    };
    let channel = &clients.irc.settings.config.channel;
    let target = to.map_or(Some(&**channel), |to| room.name_of(to));
    let parts = [room.name_of(from), Some(command), target, Some(text)];
    let parts = parts.map(Option::unwrap_or_default);
    let [plain, tagged] = [Variant::Plain, Variant::Time].map(|variant| {
        let mut lines = Vec::new();
        relay_lines(&mut lines, variant, now.unix_ms, parts);
        Chunk::from(lines)
    });
    let mut bytes = 0;
    // The row of the member itself is empty: it is sent a text to the channel as an echo only.
    for recipient in recipients {
        let client = clients.irc_client(recipient);
        let line = match client.map(|client| client.session.variant()) {
            None | Some(Variant::Plain) => &plain,
            Some(Variant::Time | Variant::Tags) => &tagged,
        };
        bytes += line.len();
        room.reply(recipient, Chunk::clone(line), ViewChange::Unchanged as u64);
    }
    bytes
}

/// Replaces a line of a muted member by an error, if others would be shown its text. The room does
/// that only for the texts that it publishes.
fn refuse_muted(room: &Room, id: ClientId, line: &mut ParsedLine) {
    if let Ok(ClientLine { id: label, request: Request::Edge(text) }) = line
        && room.name_of(id).is_some()
        && IrcCommand::of(text).is_seen_by_others()
        && let Some(error) = room.find_mute(id)
    {
        *line = Err(RequestError { id: label.take(), ..error });
    }
}

impl Broadcaster {
    /// Handles the lines of an IRC client.
    #[inline(never)]
    pub(super) fn on_irc_lines(&mut self, id: ClientId, lines: Vec<ParsedLine>, now: Now) {
        self.room.start_answer(id, now);
        let settings = Rc::clone(&self.clients.irc.settings);
        let mut replied = 0;
        for mut line in lines {
            refuse_muted(&self.room, id, &mut line);
            // The room counts wrong secrets.
            if line.as_ref().is_err_and(|error| error.code.is_about_secrets()) {
                self.apply(Input::Lines { id, lines: vec![line] }, now);
                continue;
            }
            // The client has left, or has reconnected: it has no name any more.
            if self.room.peer_of(id).is_none() {
                #[cfg(feature = "tls")]
                self.room.finish_refusal(id);
                return;
            }
            let Some(mut client) = self.clients.take_irc_client(id) else { return };
            let (room, clients) = (&mut self.room, &mut self.clients);
            let own_profile = &mut client.profile;
            let mut channel = RoomChannel {
                id,
                now,
                room,
                clients,
                own_profile,
                replied,
                #[cfg(feature = "cluster")]
                phase: None,
            };
            client.session.on_line(line, &mut channel, &settings, now.unix_ms);
            replied = channel.replied;
            self.clients.put_irc_client(id, client);
        }
    }

    /// Handles the password of an IRC client, and registers the client if it waits for that.
    pub(super) fn on_irc_password(&mut self, id: ClientId, now: Now) {
        self.apply(Input::Authenticated { id, lines: Vec::new() }, now);
        let line = ClientLine { id: None, request: Request::Edge("PONG".into()) };
        self.on_irc_lines(id, vec![Ok(line)], now);
    }

    /// Handles the end of the wait of a client, and returns `false` if it does not speak IRC.
    #[inline(never)]
    pub(super) fn handle_irc_wait(&mut self, client: WaitingClient, now: Now) -> bool {
        let id = client.id;
        // A client without a place is refused at once.
        if self.clients.irc_client(id).is_none() || self.room.is_visitor(id) {
            return false;
        }
        if client.wait == WaitKind::Request {
            let line = error_line("the registration took too long");
            self.room.reply(id, line.into(), ViewChange::Unchanged as u64);
            self.apply(Input::Answered { id }, now);
        } else {
            let client = WaitingClient { wait: WaitKind::Request, ..client };
            self.room.extend_hello_wait(client, now.uptime + REGISTRATION_TIMEOUT);
        }
        true
    }
}
