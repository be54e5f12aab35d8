//! The lobby: the connections of a node to the room.
//!
//! It has the addresses of all clients of the node and the limits on them, and the clients that have
//! not sent a line. It turns their [`Input`]s into [`Command`]s, and handles the [`Effect`]s of all
//! commands. Nothing in it is known to other nodes.

use log::Level;

#[cfg(feature = "cluster")]
use super::Command;
use super::admission::{Admission, Origin};
#[cfg(feature = "tls")]
use super::refused::RefusedClients;
use super::state::{Effect, RoomState};
use super::unauthenticated::Unauthenticated;
use super::wait_queue::{WaitQueue, WaitingClient};
use super::{
    ClientId, ClientTable, Config, Credential, DisconnectReason, Join, Now, Op, Peer, Place, Room,
    Token,
};
use crate::protocol::{ByeCode, ClientLine, Hello, ParsedLine, Request};

/// The clients of a node.
#[derive(Debug)]
pub(super) struct Lobby {
    pub config: Config,
    pub clients: ClientTable<LobbyClient>,
    /// The tokens of the clients that are not members; in a cluster those of all clients of the node.
    pub tokens: ClientTable<Token>,
    /// Returns the credential of a token.
    pub credential_of: fn(Token) -> Credential,
    /// The clients that have left and whose connections are still ending. Each of them has a place.
    pub ending: ClientTable<Peer>,
    pub admission: Admission,
    /// The clients that have not sent a line.
    pub waiting: WaitQueue<LobbyClient>,
    /// The clients that are refused, and may speak TLS.
    #[cfg(feature = "tls")]
    pub refused: RefusedClients,
    /// The clients that have not sent the password, the oldest first.
    pub unauthenticated: Vec<Unauthenticated>,
    /// The clients that are not members and have sent the secret of an operator, with its label.
    pub operators: Vec<(ClientId, Box<str>)>,
    /// The commands that follow from others, see [`Room::take_proposals`].
    #[cfg(feature = "cluster")]
    pub proposals: Vec<Command>,
    /// The reason for which no client is admitted.
    pub closed: Option<ByeCode>,
    /// The commands of the clients go through a log.
    pub is_clustered: bool,
    pub now: Now,
}

/// A client of the node.
#[derive(Clone, Copy, Debug)]
pub(super) struct LobbyClient {
    pub peer: Peer,
    pub stage: ClientStage,
    /// There was no place for the client: it becomes a member only with the token of a member, or
    /// if a place is free by then.
    pub is_visitor: bool,
    /// The time of its last lines, in units of 8 seconds.
    pub active_at: u16,
}

/// Whether a client is a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientStage {
    /// It has not sent a line.
    Waiting,
    /// The same, and the other members are not told of it when it joins.
    #[cfg(feature = "irc")]
    WaitingHidden,
    /// It is a member, or its [`Join`] is not applied yet.
    Joined,
}

impl LobbyClient {
    /// Returns whether the client has not sent a line.
    pub fn is_waiting(&self) -> bool {
        self.stage != ClientStage::Joined
    }
}

impl Lobby {
    /// Creates the empty lobby of a node.
    pub fn new(config: Config, credential_of: fn(Token) -> Credential) -> Self {
        Lobby {
            admission: config.create_admission(),
            config,
            clients: ClientTable::new(),
            tokens: ClientTable::new(),
            credential_of,
            ending: ClientTable::new(),
            waiting: WaitQueue::new(LobbyClient::is_waiting),
            #[cfg(feature = "tls")]
            refused: RefusedClients::default(),
            unauthenticated: Vec::new(),
            operators: Vec::new(),
            #[cfg(feature = "cluster")]
            proposals: Vec::new(),
            closed: None,
            is_clustered: false,
            now: Now::default(),
        }
    }

    /// Returns the command that makes a waiting client a member, with its first lines.
    pub fn create_join(
        &mut self,
        id: ClientId,
        mut lines: Vec<ParsedLine>,
        state: &RoomState,
    ) -> Option<Join> {
        let (mut hello, mut line_id) = (None, None);
        if let Some(Ok(ClientLine { request: Request::Hello(_), .. })) = lines.first()
            && let Ok(ClientLine { id, request: Request::Hello(first) }) = lines.remove(0)
        {
            (hello, line_id) = (Some(first), id);
        }
        let operator = self.take_label(id);
        let place = self.find_place(id, operator.is_some(), state);
        let token = *self.tokens.get(id)?;
        let client = self.clients.get_mut(id)?;
        let stage = std::mem::replace(&mut client.stage, ClientStage::Joined);
        Some(Join {
            id,
            credential: (self.credential_of)(token),
            proof: hello.as_deref_mut().and_then(take_token).map(self.credential_of),
            hello,
            line_id,
            port: match client.peer {
                Peer::Inet(_, port) | Peer::Proxy(_, port) => Some(port),
                Peer::Unix(_) => None,
            },
            origin: state.hash_key.origin_key(client.peer.into()),
            is_hidden: stage != ClientStage::Waiting,
            place,
            operator,
            #[cfg(feature = "cluster")]
            is_name_required: false,
            #[cfg(feature = "cluster")]
            profile: None,
            lines,
        })
    }

    /// Returns the place for a client if it does not take over that of a member. A visitor gets a
    /// free place. If there is none, it gets the place of the member that is absent for the longest
    /// time; if its address is full, of such a member of the same address.
    fn find_place(&mut self, id: ClientId, is_operator: bool, state: &RoomState) -> Place {
        let Some(origin) = self.take_free_place(id, is_operator) else { return Place::Own };
        let is_address_full = self.admission.find_full_address(origin).is_some();
        let has_place = |id| {
            let is_same = |client: &LobbyClient| Origin::from(client.peer) == origin;
            self.clients.get(id).is_some_and(|client| !is_address_full || is_same(client))
        };
        if let Some(absent) = state.absent.find(&state.members, |id, _| has_place(id)) {
            return Place::OfAbsent(absent);
        }
        let guest = if is_operator { self.find_silent_guest(state) } else { None };
        guest.map_or(Place::Missing, Place::OfGuest)
    }

    /// Counts a client that has become a member.
    fn on_joined(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id)
            && std::mem::take(&mut client.is_visitor)
        {
            self.admission.promote(client.peer.into());
        }
        // In a cluster the credential of the member is not its token.
        if !self.is_clustered {
            self.tokens.remove(id);
        }
    }

    /// Removes a client. Its place is free after [`release`](Self::release).
    pub fn remove(&mut self, id: ClientId) -> Option<LobbyClient> {
        let client = self.clients.remove(id)?;
        self.tokens.remove(id);
        self.operators.retain(|(other, _)| *other != id);
        self.unauthenticated.retain(|client| client.id != id);
        self.ending.insert(id, client.peer);
        self.admission.leave(client.peer.into(), client.is_visitor);
        Some(client)
    }

    /// Frees the place of a client that was removed.
    pub fn release(&mut self, id: ClientId) {
        if let Some(peer) = self.ending.remove(id) {
            self.admission.release(peer.into(), self.now.uptime);
        }
    }

    /// Returns the address of a client.
    pub fn peer_of(&self, id: ClientId) -> Option<Peer> {
        let peer = self.clients.get(id).map(|client| client.peer);
        peer.or_else(|| self.ending.get(id).copied())
    }
}

/// Removes and returns the token of a hello, if it has a valid one.
fn take_token(hello: &mut Hello) -> Option<Token> {
    hello.token.take()?.parse().ok()
}

impl Room {
    pub(super) fn connect(&mut self, id: ClientId, peer: Peer, token: Token) {
        if let Some(code) = self.lobby.closed {
            return self.refuse_new(id, peer, code, code.text());
        }
        if let Some(text) = self.find_ban_of_new(peer) {
            self.log(Level::Warn, format!("{peer} refused: {text}"));
            return self.refuse_new(id, peer, ByeCode::Banned, &text);
        }
        let now = self.lobby.now.uptime;
        let is_visitor = match self.lobby.admission.admit(peer.into(), now) {
            Ok(is_visitor) => is_visitor,
            Err(_)
                if self.lobby.is_local_operator(peer)
                    && self.lobby.admission.admit_operator(peer.into()) =>
            {
                true
            }
            Err(refusal) => return self.refuse(id, peer, refusal),
        };
        self.log(Level::Debug, format!("{peer} connected"));
        let client = LobbyClient {
            peer,
            stage: ClientStage::Waiting,
            is_visitor,
            active_at: self.lobby.activity_time(),
        };
        self.lobby.clients.insert(id, client);
        self.lobby.tokens.insert(id, token);
        if self.lobby.config.has_password {
            self.add_unauthenticated(id);
        }
        let deadline = now + self.lobby.config.hello_wait;
        self.lobby.waiting.push(deadline, id, &self.lobby.clients);
    }

    /// Removes a client that has not sent a line and whose connection has ended.
    pub(super) fn disconnect_waiting(&mut self, id: ClientId, reason: DisconnectReason) {
        if !matches!(reason, DisconnectReason::Finished | DisconnectReason::Away) {
            if reason == DisconnectReason::Slow {
                self.state.count_eviction(id, ByeCode::Slow);
            }
            let is_unauthenticated = self.is_unauthenticated(id);
            self.remove_waiting(id, &reason.to_string());
            if is_unauthenticated {
                // It has no place.
                self.lobby.release(id);
            }
            return self.state.unicast(id, Op::Abort);
        }
        let Some(&LobbyClient { peer, is_visitor, .. }) = self.lobby.clients.get(id) else {
            return;
        };
        let is_unauthenticated = self.is_unauthenticated(id);
        if is_visitor
            && !is_unauthenticated
            && self.lobby.admission.find_full(peer.into()).is_some()
        {
            return self.refuse_visitor(id);
        }
        self.close_waiting(id, ByeCode::Quit, &reason.to_string());
    }

    /// Sends a bye to a client that has not sent a line, and removes it.
    pub(super) fn close_waiting(&mut self, id: ClientId, code: ByeCode, reason: &str) {
        if self.is_unauthenticated(id) {
            return self.refuse_waiting(id, code, code.text());
        }
        self.state.send_last_frame(id, code, code.text(), Op::Close);
        self.remove_waiting(id, reason);
    }

    /// Removes a client that has got an answer in another protocol instead of a welcome.
    #[cfg(any(feature = "web", feature = "irc", feature = "tls"))]
    pub(super) fn remove_answered(&mut self, id: ClientId) {
        let client = self.remove_waiting(id, "got an answer in another protocol");
        let is_visitor = client.is_some_and(|client| client.is_visitor);
        if is_visitor {
            // It has no place.
            self.lobby.release(id);
        }
        self.state.unicast(id, if is_visitor { Op::Refuse } else { Op::Close });
    }

    pub(super) fn remove_waiting(&mut self, id: ClientId, reason: &str) -> Option<LobbyClient> {
        let client = self.lobby.remove(id)?;
        let line = format!("{} left before it was a member: {reason}", client.peer);
        self.log(Level::Debug, line);
        Some(client)
    }

    /// Sends a bye to every client of the node, and admits no more.
    pub(super) fn close_lobby(&mut self, code: ByeCode) {
        let absent = |id| self.state.is_absent(id);
        let ids = self.lobby.clients.iter().map(|(id, _)| id).filter(|id| !absent(*id));
        for id in ids.collect::<Vec<ClientId>>() {
            self.state.send_last_frame(id, code, code.text(), Op::Close);
        }
        #[cfg(feature = "tls")]
        self.finish_refusals();
        self.lobby.closed = Some(code);
        self.lobby.admission = self.lobby.config.create_admission();
        self.lobby.clients = ClientTable::new();
        self.lobby.tokens = ClientTable::new();
        self.lobby.ending = ClientTable::new();
    }

    /// Handles the effects of a command on the clients of the node.
    pub(super) fn handle_effects(&mut self) {
        let mut effects = std::mem::take(&mut self.state.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Joined(id) => self.lobby.on_joined(id),
                Effect::Refused(id, None) => self.refuse_visitor(id),
                Effect::Refused(id, Some(code)) => {
                    self.lobby.remove(id);
                    self.lobby.release(id);
                    self.send_refusal(id, code, code.text());
                }
                Effect::EnforceBans => self.enforce_bans(),
                Effect::Whois { to, line_id, name, id } => self.send_whois(to, line_id, &name, id),
                #[cfg(feature = "cluster")]
                Effect::FindAddress { to, line, id } => self.repeat_with_address(to, line, id),
                Effect::Audit { id, label, name, text } => {
                    let peer = self.lobby.peer_of(id).map(|peer| peer.to_string());
                    let line = format!("{label} ({name} {}) {text}", peer.unwrap_or_default());
                    self.state.batch.log.push((None, line));
                }
                #[cfg(feature = "cluster")]
                Effect::NameTaken(id) => self.lobby.wait_again(id),
                Effect::Removed { id, is_released } => {
                    self.lobby.remove(id);
                    if is_released {
                        self.lobby.release(id);
                    }
                }
                Effect::Log(level, id, name, text) => {
                    let peer = self.lobby.peer_of(id);
                    let peer = peer.map_or_else(String::new, |peer| format!(" {peer}"));
                    self.log(level, format!("{name}{peer}{text}"));
                }
            }
        }
        self.state.effects = effects;
    }

    /// Removes and returns a client without a line whose hello wait is over. The caller applies
    /// [`Input::HelloWaitOver`](super::Input::HelloWaitOver), or
    /// [extends](Self::extend_hello_wait) the wait.
    pub fn pop_hello_wait(&mut self, now: Now) -> Option<WaitingClient> {
        self.lobby.now = now;
        self.close_late_unauthenticated();
        #[cfg(feature = "tls")]
        self.end_refusal_waits();
        self.lobby.waiting.pop_expired(now.uptime, &self.lobby.clients)
    }

    /// Adds a wait for the first line of a client, which is over at `deadline`.
    pub fn extend_hello_wait(&mut self, client: WaitingClient, deadline: std::time::Duration) {
        self.lobby.waiting.insert(deadline, client);
    }

    /// Frees the place of a client that was removed: its connection has ended.
    pub fn release(&mut self, id: ClientId, now: Now) {
        self.lobby.now = now;
        self.lobby.release(id);
    }

    pub(super) fn log(&mut self, level: Level, line: String) {
        self.state.batch.log.push((Some(level), line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::state::Member;

    #[test]
    fn rows_of_member_are_small() {
        let rows = size_of::<(ClientId, LobbyClient)>() + size_of::<(ClientId, Member)>();
        assert!(rows <= 80, "{rows} bytes");
    }
}
