//! The room for an edge that answers its clients itself: the members, the names and the history that
//! it can read, and its answers.

use super::{Chunk, ClientId, Op, Peer, Room, Slice, Token, Visibility};
use crate::protocol::case_fold;

impl Room {
    /// Sends a client bytes that are not a frame.
    pub(super) fn reply(&mut self, id: ClientId, bytes: Chunk, mark: u64) {
        self.batch.count_answers_to(id);
        if self.clients.get(id).is_some() {
            self.batch.unicast(id, Op::Send(Slice::raw(bytes).with_mark(mark)));
        }
    }

    /// Returns the random word that identifies the sequence.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Returns the most bytes of a list of members.
    pub fn max_answer_bytes(&self) -> usize {
        self.config.answer_bytes
    }

    /// Returns the longest line of a client, in bytes.
    pub fn max_line(&self) -> usize {
        self.config.max_line as usize
    }

    /// Returns the message of the day.
    pub fn motd(&self) -> Option<&str> {
        self.config.motd.as_deref()
    }

    /// Returns the member with a name, in any case, and the name as the member has it.
    pub fn find_member(&self, name: &str) -> Option<(ClientId, &str)> {
        let id = self.names.get(name)?;
        let found = self.name_of(id)?;
        (case_fold(found) == case_fold(name)).then_some((id, found))
    }

    /// Returns the name of a member, its address, and the token with which it can reconnect.
    pub fn identity_of(&self, id: ClientId) -> Option<(&str, Peer, Token)> {
        let client = self.clients.get(id)?;
        Some((client.name.as_deref()?, client.peer, client.token))
    }

    /// Returns whether the other members are not told of a member until it is shown.
    pub fn is_hidden(&self, id: ClientId) -> bool {
        self.clients.get(id).is_some_and(|client| client.visibility == Visibility::Hidden)
    }

    /// Returns whether a name is taken or reserved.
    pub fn is_name_taken(&self, name: &str) -> bool {
        self.find_name_conflict(name).is_some()
    }

    /// Returns whether a token is that of a member or of a reserved name.
    pub fn is_known_token(&self, token: &Token) -> bool {
        self.find_by_token(token).is_some() || self.reserved.has_token(token, self.now.uptime)
    }

    /// Calls `each` for the frames of the history and of the open batch, in the order of their
    /// numbers or the newest first, until it returns `false`.
    pub fn visit_history(&self, is_newest_first: bool, each: &mut dyn FnMut(&[u8]) -> bool) {
        let open = self.batch.frames().split_inclusive(|&byte| byte == b'\n');
        let mut frames = self.history.frames().chain(open);
        let mut next = || if is_newest_first { frames.next_back() } else { frames.next() };
        while next().is_some_and(&mut *each) {}
    }
}
