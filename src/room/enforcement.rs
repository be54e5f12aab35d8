//! The bans and mutes, applied to the clients of the node.
//!
//! A ban or a mute holds for an address, which only the node of a client knows. So each node finds
//! the addresses of the names that its operators give, and applies bans and mutes to its clients.

use std::borrow::Cow;
use std::cmp::Reverse;

use super::lobby::{Lobby, LobbyClient};
use super::moderation::{Moderation, Restriction, RestrictionKind};
use super::operators::LOCAL_LABEL;
#[cfg(feature = "cluster")]
use super::operators::no_address;
use super::state::RoomState;
use super::{ClientId, Command, Join, LeaveCause, Peer, Room};
use crate::protocol::{
    Body, ByeCode, ClientLine, ErrorCode, Network, ParsedLine, Request, RequestError,
};

/// The user id that stands for all users that are not mapped into the user namespace.
const UNMAPPED_USER: u32 = 65534;

impl Room {
    /// Makes a member an operator. A client that is not a member yet is an operator from its join on.
    pub(super) fn propose_operator(
        &mut self,
        id: ClientId,
        label: Box<str>,
        line_id: Option<Box<str>>,
    ) -> Option<Command> {
        if self.is_unauthenticated(id) {
            self.ask_for_password(id);
        } else if !self.is_waiting(id) {
            return Some(Command::Operator { id, label, line_id });
        } else {
            self.lobby.operators.retain(|(other, _)| *other != id);
            self.lobby.operators.push((id, label));
        }
        None
    }

    /// Finds the addresses of names in commands, and replaces the texts of a muted member by errors.
    pub(super) fn moderate(&self, id: ClientId, mut lines: Vec<ParsedLine>) -> Vec<ParsedLine> {
        let is_waiting = self.is_waiting(id);
        // A server without a password ignores it.
        lines.retain(|line| {
            !is_waiting || !matches!(line, Ok(ClientLine { request: Request::Pass(_), .. }))
        });
        let mute = self.find_mute(id);
        for line in &mut lines {
            let Ok(ClientLine { id: line_id, request }) = line else { continue };
            match request {
                Request::Operator(command) => {
                    // A name may look like an address; then ADDR/32 is the address.
                    if let Some(member) = self.state.find_member(&command.target) {
                        command.network = self.network_of(member);
                    }
                }
                Request::Say(_)
                | Request::Action(_)
                | Request::Private { .. }
                | Request::Nick(_) => {
                    if let Some(error) = &mute {
                        *line = Err(RequestError { id: line_id.take(), ..error.clone() });
                    }
                }
                _ => {}
            }
        }
        lines
    }

    /// Returns the error for a text of a client, if an operator has muted its address.
    pub fn find_mute(&self, id: ClientId) -> Option<RequestError> {
        self.find_restriction(RestrictionKind::Mute, self.lobby.clients.get(id)?.peer)?;
        let error = RequestError::new(ErrorCode::Muted, "an operator has muted you");
        (!self.state.is_operator(id)).then_some(error)
    }

    fn find_restriction(&self, kind: RestrictionKind, peer: Peer) -> Option<&Restriction> {
        let Peer::Inet(ip, _) = peer else { return None };
        self.state.moderation.find(kind, ip, self.lobby.now.unix_seconds())
    }

    fn network_of(&self, id: ClientId) -> Option<Network> {
        match self.lobby.clients.get(id)?.peer {
            Peer::Inet(ip, _) => Some(Network::of_client(ip)),
            Peer::Proxy(..) | Peer::Unix(_) => None,
        }
    }

    /// Returns the text for a client whose address is banned.
    fn find_ban(&self, peer: Peer) -> Option<String> {
        let Restriction { reason, .. } = self.find_restriction(RestrictionKind::Ban, peer)?;
        let text = ByeCode::Banned.text();
        Some(if reason.is_empty() { text.into() } else { format!("{text}: {reason}") })
    }

    /// Returns the text for a new client whose address is banned, unless it may be an operator that
    /// lost its connection. Its first line shows that.
    pub(super) fn find_ban_of_new(&self, peer: Peer) -> Option<String> {
        let origin = self.state.hash_key.origin_key(peer.into());
        self.find_ban(peer).filter(|_| !self.state.has_operator_of(origin))
    }

    /// Returns the text for a client whose address is banned and whose join is not that of an
    /// operator.
    pub(super) fn find_ban_of_join(&self, join: &Join) -> Option<String> {
        let text = self.find_ban(self.lobby.peer_of(join.id)?)?;
        let is_operator = join.operator.is_some()
            || join.proof.is_some_and(|proof| self.state.is_of_operator(&proof));
        (!is_operator).then_some(text)
    }

    /// Closes the clients of the node whose addresses are banned, except operators.
    pub(super) fn enforce_bans(&mut self) {
        let clients = self.lobby.clients.iter().filter(|(id, client)| {
            !self.state.is_operator(*id)
                && self.find_restriction(RestrictionKind::Ban, client.peer).is_some()
        });
        for (id, client) in clients.map(|(id, client)| (id, *client)).collect::<Vec<_>>() {
            if client.is_waiting() {
                self.refuse_waiting(id, ByeCode::Banned, ByeCode::Banned.text());
            } else {
                self.submit(Command::Leave { id, cause: LeaveCause::Banned });
            }
        }
    }

    /// Applies a command that follows from another.
    fn submit(&mut self, command: Command) {
        #[cfg(feature = "cluster")]
        if self.lobby.is_clustered {
            return self.lobby.proposals.push(command);
        }
        self.commit(command, self.lobby.now);
    }

    /// Answers an operator with the address of a member.
    pub(super) fn send_whois(
        &mut self,
        to: ClientId,
        line_id: Option<Box<str>>,
        name: &str,
        id: ClientId,
    ) {
        let peer = self.lobby.peer_of(id).map(|peer| peer.to_string());
        let address = peer.unwrap_or_else(|| "gone".into());
        let note = self
            .state
            .label_of(id)
            .map_or_else(String::new, |label| format!("; an operator ({label})"));
        let text = format!("{name} is {address}{note}");
        #[cfg(feature = "cluster")]
        if !self.state.is_local(to) {
            return self.submit(Command::Tell { id: to, text, line_id });
        }
        let body = Body::info(line_id.as_deref().map(Cow::from));
        self.state.send(to, text.into(), body);
    }

    /// Repeats a command of an operator of another node, with the address of a member.
    #[cfg(feature = "cluster")]
    pub(super) fn repeat_with_address(&mut self, to: ClientId, line: ClientLine, id: ClientId) {
        let ClientLine { id: line_id, mut request } = line;
        let Request::Operator(command) = &mut request else { return };
        command.network = self.network_of(id);
        let line = match command.network {
            Some(_) => Ok(ClientLine { id: line_id, request }),
            None => Err(RequestError { id: line_id, ..no_address(&command.target) }),
        };
        self.submit(Command::Lines { id: to, lines: vec![line] });
    }

    /// Returns whether the room has or had bans, mutes, a lock or a topic. If so, it marks them as
    /// changed: the next call of [`take_changed_moderation`](Self::take_changed_moderation) returns
    /// them.
    #[cfg(feature = "cluster")]
    pub fn mark_own_moderation(&mut self) -> bool {
        self.state.is_moderation_changed = self.state.is_moderated;
        self.state.is_moderated
    }

    /// Returns the bans, the mutes, the lock and the topic.
    pub fn moderation(&self) -> &Moderation {
        &self.state.moderation
    }

    /// Returns the moderation if it has changed since the last call.
    pub fn take_changed_moderation(&mut self) -> Option<&Moderation> {
        std::mem::take(&mut self.state.is_moderation_changed).then_some(&self.state.moderation)
    }
}

impl Lobby {
    /// Returns the label of a client that is not a member yet, if it is an operator: it has sent a
    /// secret, or it is a process of root or of the server's own user.
    pub(super) fn take_label(&mut self, id: ClientId) -> Option<Box<str>> {
        if let Some(at) = self.operators.iter().position(|(other, _)| *other == id) {
            return Some(self.operators.swap_remove(at).1);
        }
        self.is_local_operator(self.clients.get(id)?.peer).then(|| LOCAL_LABEL.into())
    }

    /// Returns whether a peer is a process of root or of the server's own user.
    pub(super) fn is_local_operator(&self, peer: Peer) -> bool {
        let Peer::Unix(Some(user)) = peer else { return false };
        user != UNMAPPED_USER && (user == 0 || Some(user) == self.config.operator_user)
    }

    /// Returns the guest that has not sent a line for the longest time.
    pub(super) fn find_silent_guest(&self, state: &RoomState) -> Option<ClientId> {
        let is_guest = |id: &ClientId| {
            state.name_of(*id).is_some_and(|name| name.starts_with("guest-"))
                && !state.is_operator(*id)
        };
        let guests = self.clients.iter().filter(|(id, _)| is_guest(id));
        let silence = |client: &LobbyClient| self.activity_time().wrapping_sub(client.active_at);
        // The first of those that are equal.
        let oldest = guests.min_by_key(|(_, client)| Reverse(silence(client)));
        oldest.map(|(id, _)| id)
    }

    /// Returns the time for [`LobbyClient::active_at`].
    pub(super) fn activity_time(&self) -> u16 {
        // The remainder: it is compared with times of the last 6 days.
        (self.now.uptime.as_secs() / 8) as u16
    }
}
