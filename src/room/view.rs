//! The room for an edge that answers its clients itself: the members, the names and the history that
//! it can read, and its answers.

use super::{Chunk, ClientId, Now, Op, Room, Slice, Token};
use crate::protocol::case_fold;

impl Room {
    /// Sends a client bytes that are not a frame, between the frames of the room. `mark` is a number
    /// for the edge, see [`Slice::mark`].
    pub fn reply(&mut self, id: ClientId, bytes: Chunk, mark: u64) {
        if self.clients.get(id).is_some() {
            self.batch.unicast(id, Op::Send(Slice::raw(bytes).with_mark(mark)));
        }
    }

    /// Starts to count the bytes of the answer to a client.
    pub fn start_answer(&mut self, id: ClientId, now: Now) {
        self.now = now;
        self.batch.count_answers_to(id);
    }

    /// Returns the random word that identifies the sequence.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Returns the most bytes of a list of members.
    pub fn max_answer_bytes(&self) -> usize {
        self.config.answer_bytes
    }

    /// Returns the most connections with a place.
    pub fn max_connections(&self) -> usize {
        self.config.max_connections()
    }

    /// Returns whether the history is written to a file.
    pub fn is_stored(&self) -> bool {
        self.config.is_stored
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

    /// Returns the name of a member, and the token with which it can reconnect.
    pub fn identity_of(&self, id: ClientId) -> Option<(&str, Token)> {
        let client = self.clients.get(id)?;
        Some((client.name.as_deref()?, client.token))
    }

    /// Returns whether there was no place for a client.
    pub fn is_visitor(&self, id: ClientId) -> bool {
        self.clients.get(id).is_some_and(|client| client.is_visitor)
    }

    /// Returns whether a name is taken or reserved.
    pub fn is_name_taken(&self, name: &str) -> bool {
        self.find_name_conflict(name).is_some()
    }

    /// Returns whether a token is that of a member or of a reserved name.
    pub fn is_known_token(&self, token: &Token) -> bool {
        self.find_by_token(token).is_some() || self.reserved.has_token(token, self.now.uptime)
    }

    /// Returns the number of frames in the history and in the open batch.
    pub fn frame_count(&self) -> usize {
        self.history.len() + self.batch.len()
    }

    /// Returns one of these frames; the oldest is at 0.
    pub fn frame(&self, at: usize) -> Option<&[u8]> {
        match at.checked_sub(self.history.len()) {
            None => self.history.frame(at),
            Some(at) => self.batch.frame(at),
        }
    }
}
