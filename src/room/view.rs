//! The room for an edge that answers its clients itself: the members, the names and the history that
//! it can read, and its answers.

use super::state::Visibility;
use super::{Chunk, ClientId, ClientStage, Command, Now, Op, Room, Slice, Token};

impl Room {
    /// Sends a client bytes that are not a frame, between the frames of the room. `mark` is a number
    /// for the edge, see [`Slice::mark`].
    pub fn reply(&mut self, id: ClientId, bytes: Chunk, mark: u64) {
        if self.lobby.clients.get(id).is_some() {
            self.state.unicast(id, Op::Send(Slice::raw(bytes).with_mark(mark)));
        }
    }

    /// Starts to count the bytes of the answer to a client. A notice that is due is published, so
    /// that the frame of a line is the last one that the line causes.
    pub fn start_answer(&mut self, id: ClientId, now: Now) {
        self.lobby.now = now;
        self.state.publish_due_notice(now);
        self.state.batch.count_answers_to(id);
    }

    /// Shows a member with a join notice, or hides it with a leave notice. A client that is hidden
    /// before it is a member joins without a notice. Returns whether the member was hidden and is
    /// shown.
    pub fn show(&mut self, id: ClientId, is_shown: bool, now: Now) -> bool {
        let member = self.state.members.get(id);
        let is_hidden = member.is_some_and(|member| member.visibility == Visibility::Hidden);
        if let Some(command) = self.propose_show(id, is_shown) {
            self.commit(command, now);
        }
        is_shown && is_hidden
    }

    /// Shows or hides a client before it is a member, or returns the command that does it later.
    fn propose_show(&mut self, id: ClientId, is_shown: bool) -> Option<Command> {
        let client = self.lobby.clients.get_mut(id)?;
        if !client.is_waiting() {
            return Some(Command::Show { id, is_shown });
        }
        client.stage = if is_shown { ClientStage::Waiting } else { ClientStage::WaitingHidden };
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

    /// Returns the most connections with a place.
    pub fn max_connections(&self) -> usize {
        self.lobby.config.max_connections()
    }

    /// Returns whether the history is written to a file.
    pub fn is_stored(&self) -> bool {
        self.state.answers.limits.stored
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
        let id = self.state.find_member(name)?;
        Some((id, self.name_of(id)?))
    }

    /// Returns the name of a member, and the token with which it can reconnect.
    pub fn identity_of(&self, id: ClientId) -> Option<(&str, Token)> {
        let member = self.state.members.get(id)?;
        let token = match self.lobby.tokens.get(id) {
            Some(token) => *token,
            None => Token(member.credential.0),
        };
        Some((&*member.name, token))
    }

    /// Returns whether there is no place for a client.
    pub fn is_visitor(&self, id: ClientId) -> bool {
        let client = self.lobby.clients.get(id).filter(|client| client.is_visitor);
        client.is_some_and(|client| self.lobby.admission.find_full(client.peer.into()).is_some())
    }

    /// Returns whether a client is an operator.
    pub fn is_operator(&self, id: ClientId) -> bool {
        self.state.is_operator(id)
    }

    /// Returns the topic of the room.
    pub fn topic(&self) -> Option<&str> {
        self.state.moderation.topic.as_deref()
    }

    /// Returns whether a name is taken or reserved.
    pub fn is_name_taken(&self, name: &str) -> bool {
        self.state.find_name_conflict(name).is_some()
    }

    /// Returns whether a token is that of a member or of a reserved name.
    pub fn is_known_token(&self, token: &Token) -> bool {
        self.state.is_known(&(self.lobby.credential_of)(*token))
    }

    /// Returns the number of frames in the history and in the open batch.
    pub fn frame_count(&self) -> usize {
        self.state.history.frame_count() + self.state.batch.frame_count()
    }

    /// Returns one of these frames; the oldest is at 0.
    pub fn frame(&self, at: usize) -> Option<&[u8]> {
        match at.checked_sub(self.state.history.frame_count()) {
            None => self.state.history.frame(at),
            Some(at) => self.state.batch.frame(at),
        }
    }
}
