//! The facts about members that edges answer with, at all nodes.

#[cfg(feature = "cluster")]
use super::ClientId;
#[cfg(feature = "cluster")]
use super::state::RoomState;

/// The most bytes of a user.
pub const MAX_USER: usize = 32;
/// The most bytes of a real name.
pub const MAX_REAL_NAME: usize = 150;
/// The most bytes of an away text.
pub const MAX_AWAY: usize = 200;
/// The most bytes of a profile in memory: its row in a tree whose nodes can be half empty, and three
/// texts.
#[cfg(feature = "cluster")]
pub const PROFILE_BYTES: usize =
    2 * size_of::<(ClientId, Profile)>() + MAX_USER + MAX_REAL_NAME + MAX_AWAY + 3 * 16;
/// The most frames that are marked as a notice.
pub const MAX_NOTICES: usize = 256;

/// The values that an IRC client states about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub struct Profile {
    pub user: Box<str>,
    pub real_name: Box<str>,
    /// The text of an absent client; empty if it is not absent.
    pub away: Box<str>,
    pub is_in_channel: bool,
}

#[cfg(feature = "cluster")]
impl RoomState {
    /// Sets the profile of a member.
    pub(super) fn set_profile(&mut self, id: ClientId, profile: Profile) {
        if self.members.get(id).is_some() {
            self.profiles.insert(id, profile);
        }
    }

    /// Marks the last frame as a notice.
    pub(super) fn mark_notice(&mut self) {
        if self.notices.len() >= MAX_NOTICES {
            self.notices.pop_front();
        }
        self.notices.push_back(self.batch.seq);
    }
}
