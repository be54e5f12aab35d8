//! The room for an edge that answers its clients itself: the members, the names and the history that
//! it can read, and its answers.

use super::lobby::LobbyClient;
use super::state::{State, Visibility};
use super::{Chunk, ClientId, Command, Op, Peer, Room, Slice, Stage, Token};
use crate::protocol::case_fold;

impl Room {
    /// Sends a client bytes that are not a frame.
    pub(super) fn reply(&mut self, id: ClientId, bytes: Chunk, mark: u64) {
        self.state.batch.count_answers_to(id);
        if self.lobby.clients.get(id).is_some() {
            self.state.unicast(id, Op::Send(Slice::raw(bytes).with_mark(mark)));
        }
    }

    /// Shows or hides a client before it is a member, or returns the command that does it later.
    pub(super) fn propose_show(&mut self, id: ClientId, is_shown: bool) -> Option<Command> {
        let client = self.lobby.clients.get_mut(id)?;
        if !client.is_waiting() {
            return Some(Command::Show { id, is_shown });
        }
        client.stage = if is_shown { Stage::Waiting } else { Stage::WaitingHidden };
        None
    }

    /// Returns the random word that identifies the sequence.
    pub fn epoch(&self) -> &str {
        &self.state.epoch
    }

    /// Returns the most bytes of a list of members.
    pub fn max_answer_bytes(&self) -> usize {
        self.state.answers.answer_bytes
    }

    /// Returns the longest line of a client, in bytes.
    pub fn max_line(&self) -> usize {
        self.state.answers.limits.max_line as usize
    }

    /// Returns the message of the day.
    pub fn motd(&self) -> Option<&str> {
        self.state.answers.motd.as_deref()
    }

    /// Returns the member with a name, in any case, and the name as the member has it.
    pub fn find_member(&self, name: &str) -> Option<(ClientId, &str)> {
        let id = self.state.names.get(name)?;
        let found = self.name_of(id)?;
        (case_fold(found) == case_fold(name)).then_some((id, found))
    }

    /// Returns the name of a member, its address, and the token with which it can reconnect.
    pub fn identity_of(&self, id: ClientId) -> Option<(&str, Peer, Token)> {
        let member = self.state.members.get(id)?;
        let token = match self.lobby.tokens.get(id) {
            Some(token) => *token,
            None => Token(member.credential.0),
        };
        Some((&*member.name, self.lobby.peer_of(id)?, token))
    }

    /// Returns whether the other members are not told of a member until it is shown.
    pub fn is_hidden(&self, id: ClientId) -> bool {
        let is_hidden = |client: &LobbyClient| client.stage == Stage::WaitingHidden;
        match self.state.members.get(id) {
            Some(member) => member.visibility == Visibility::Hidden,
            None => self.lobby.clients.get(id).is_some_and(is_hidden),
        }
    }

    /// Returns whether a name is taken or reserved.
    pub fn is_name_taken(&self, name: &str) -> bool {
        self.state.find_name_conflict(name).is_some()
    }

    /// Returns whether a token is that of a member or of a reserved name.
    pub fn is_known_token(&self, token: &Token) -> bool {
        let credential = (self.lobby.credential_of)(*token);
        let State { credentials, members, reserved, now, .. } = &self.state;
        credentials.find(&credential, members).is_some()
            || reserved.has_credential(&credential, now.uptime)
    }

    /// Calls `each` for the frames of the history and of the open batch, in the order of their
    /// numbers or the newest first, until it returns `false`.
    pub fn visit_history(&self, is_newest_first: bool, each: &mut dyn FnMut(&[u8]) -> bool) {
        let open = self.state.batch.frames().split_inclusive(|&byte| byte == b'\n');
        let mut frames = self.state.history.frames().chain(open);
        let mut next = || if is_newest_first { frames.next_back() } else { frames.next() };
        while next().is_some_and(&mut *each) {}
    }
}
