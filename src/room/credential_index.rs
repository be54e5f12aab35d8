//! The search for a member by its credential.

#[cfg(feature = "cluster")]
use std::collections::BTreeMap;

use super::state::Member;
#[cfg(any(feature = "irc", feature = "cluster"))]
use super::state::RoomState;
use super::{ClientId, ClientTable, Credential};

/// An index of members by credential. It is empty for a room on one node, where a credential is a
/// token, which must be searched for in constant time.
#[derive(Debug, Default)]
pub(super) struct CredentialIndex {
    #[cfg(feature = "cluster")]
    members: Option<BTreeMap<Credential, ClientId>>,
}

#[cfg_attr(not(feature = "cluster"), expect(unused_variables, clippy::unused_self))]
impl CredentialIndex {
    /// Creates an index for credentials that are hashes.
    #[cfg(feature = "cluster")]
    pub fn of_hashes() -> Self {
        CredentialIndex { members: Some(BTreeMap::new()) }
    }

    /// Adds a member.
    pub fn insert(&mut self, credential: Credential, id: ClientId) {
        #[cfg(feature = "cluster")]
        if let Some(members) = &mut self.members {
            members.insert(credential, id);
        }
    }

    /// Removes a member.
    pub fn remove(&mut self, credential: Credential) {
        #[cfg(feature = "cluster")]
        if let Some(members) = &mut self.members {
            members.remove(&credential);
        }
    }

    /// Returns the member with a credential.
    pub fn find(&self, credential: &Credential, members: &ClientTable<Member>) -> Option<ClientId> {
        #[cfg(feature = "cluster")]
        if let Some(members) = &self.members {
            return members.get(credential).copied();
        }
        // All are compared, so that the time taken does not depend on the position of the match.
        members.iter().fold(None, |found, (id, member)| {
            if member.credential.matches(credential) { Some(id) } else { found }
        })
    }
}

#[cfg(any(feature = "irc", feature = "cluster"))]
impl RoomState {
    /// Returns whether a credential is that of a member or of a reserved name.
    pub(super) fn is_known(&self, credential: &Credential) -> bool {
        self.credentials.find(credential, &self.members).is_some()
            || self.reserved.has_credential(credential, self.now.uptime)
    }

    /// Sets the credential of a member that has this name.
    #[cfg(feature = "cluster")]
    pub(super) fn set_credential(&mut self, id: ClientId, name: &str, credential: Credential) {
        if let Some(member) = self.members.get_mut(id).filter(|member| *member.name == *name) {
            self.credentials.remove(std::mem::replace(&mut member.credential, credential));
            self.credentials.insert(credential, id);
        }
    }
}
