//! The room of a node in a cluster, for an edge whose clients are answered when their commands were
//! read from the log.

use super::lobby::LobbyClient;
use super::state::Visibility;
use super::{ClientId, Command, Credential, HashKey, Join, Now, Profile, Room, Token};

impl Room {
    /// Starts to count the bytes of the answer to a client whose line has no command.
    pub fn count_answers_to(&mut self, id: ClientId) {
        self.state.batch.count_answers_to(id);
    }

    /// Sets the token of a client that is not a member.
    pub fn set_token(&mut self, id: ClientId, token: Token) {
        if let Some(known) = self.lobby.tokens.get_mut(id) {
            *known = token;
        }
    }

    /// Sets the time of the next command.
    pub fn set_time(&mut self, now: Now) {
        self.state.now = now;
    }

    /// Returns whether a client that joins now is refused, because its name is not free.
    pub fn lacks_name(&self, join: &Join) -> bool {
        self.state.lacks_name(join)
    }

    /// Returns whether a client that joins now gets back the name of a member or a reserved name.
    pub fn gets_name_back(&self, join: &Join) -> bool {
        join.proof.is_some_and(|proof| self.state.is_known(&proof))
    }

    /// Returns the credential of a token.
    pub fn credential_of(&self, token: Token) -> Credential {
        (self.lobby.credential_of)(token)
    }

    /// Commits a command of a client that the edge has answered: the client is sent no frame of its
    /// own.
    pub fn commit_unanswered(&mut self, id: ClientId, command: Command, now: Now) {
        let count = self.state.batch.unicast_count();
        self.commit(command, now);
        self.state.batch.discard_frames_to(id, count);
    }

    /// Returns whether the other members were not told of a member.
    pub fn is_hidden(&self, id: ClientId) -> bool {
        let member = self.state.members.get(id);
        member.is_some_and(|member| member.visibility == Visibility::Hidden)
    }

    /// Returns the profile of a member that is an IRC client.
    pub fn profile_of(&self, id: ClientId) -> Option<&Profile> {
        self.state.profiles.get(&id)
    }

    /// Returns the numbers of the last frames that were a notice.
    pub fn notices(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.state.notices.iter().copied()
    }

    /// Returns the number of clients of the node that are not members.
    pub fn waiting_count(&self) -> usize {
        self.lobby.clients.iter().filter(|(_, client)| LobbyClient::is_waiting(client)).count()
    }

    /// Returns the key of the hashes of the room, which all nodes have.
    pub fn hash_key(&self) -> HashKey {
        self.state.hash_key
    }
}
