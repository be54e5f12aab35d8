//! The state of a room as a value to serialise, from which another node continues.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::config::{AnswerConfig, Rules};
use super::credential_index::CredentialIndex;
use super::moderation::MODERATION_BYTES;
use super::names::HashKey;
use super::presence::PendingNotice;
use super::profile::MAX_NOTICES;
use super::reserved_names::ReservedName;
use super::state::{Member, RoomState};
use super::{ClientId, History, Moderation, Now, Profile, Room};

/// The version of the format.
const VERSION: u32 = 1;

/// The most bytes of a member as JSON: with its profile, the end of its wait, and its label as an
/// operator. JSON can take two bytes for each byte of a text.
pub const SAVED_MEMBER_BYTES: usize = 1344;
/// The most bytes of the bans and mutes as JSON.
pub const SAVED_MODERATION_BYTES: usize = 2 * MODERATION_BYTES;
/// The most bytes of the numbers of the last notices as JSON.
pub const SAVED_NOTICES_BYTES: usize = MAX_NOTICES * 21;

/// The state of a room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedState {
    v: u32,
    rules: Rules,
    epoch: Box<str>,
    hash_key: HashKey,
    now: Now,
    guests: u64,
    operators: Vec<(ClientId, Box<str>)>,
    moderation: Moderation,
    is_moderated: bool,
    members: Vec<(ClientId, Member)>,
    profiles: Vec<(ClientId, Profile)>,
    notices: VecDeque<u64>,
    reserved: Vec<ReservedName>,
    silent: Vec<(Duration, ClientId)>,
    absent: Vec<(Duration, ClientId)>,
    notice: PendingNotice,
    seq: u64,
    /// The frames in the history, and those of the open batch.
    frames: String,
    /// The count of the last frames with which a client can resume.
    resumable: u64,
}

/// The error of a saved state of a version that this server does not know.
#[derive(Debug)]
pub struct UnknownStateVersion(u32);

impl fmt::Display for UnknownStateVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the state of the room has version {}, and this server reads {VERSION}", self.0)
    }
}

impl std::error::Error for UnknownStateVersion {}

impl Room {
    /// Returns the state of the room, which is the same for all nodes after the same commands. It
    /// has nothing of the clients of the node alone.
    pub fn save_state(&self) -> SavedState {
        let state = &self.state;
        let members = state.members.iter().map(|(id, member)| (id, member.clone()));
        let mut frames = Vec::new();
        state.history.frames().for_each(|frame| frames.extend_from_slice(frame));
        frames.extend_from_slice(state.batch.frames_from(state.history.dropped_open()));
        SavedState {
            v: VERSION,
            rules: state.rules.clone(),
            epoch: state.epoch.clone(),
            hash_key: state.hash_key,
            now: state.now,
            guests: state.guests,
            operators: state.operators.clone(),
            moderation: state.moderation.clone(),
            is_moderated: state.is_moderated,
            members: members.collect(),
            profiles: state.profiles.iter().map(|(id, profile)| (*id, profile.clone())).collect(),
            notices: state.notices.clone(),
            reserved: state.reserved.iter().cloned().collect(),
            silent: state.silent.entries(&state.members),
            absent: state.absent.entries(&state.members),
            notice: state.notice.clone(),
            seq: state.batch.seq,
            frames: String::from_utf8_lossy(&frames).into_owned(),
            resumable: (state.batch.seq + 1).saturating_sub(state.history.oldest_resumable()),
        }
    }

    /// Replaces the state of the room by a saved one. The clients of the node stay, and the
    /// open batch is discarded.
    ///
    /// # Errors
    ///
    /// Returns an error if the state has another version. Then the room is unchanged.
    pub fn restore_state(&mut self, saved: SavedState) -> Result<(), UnknownStateVersion> {
        if saved.v != VERSION {
            return Err(UnknownStateVersion(saved.v));
        }
        let old = &mut self.state;
        let (counts, stats) = (old.counts.clone(), old.server_stats.clone());
        let mut answers = old.answers.clone();
        answers.limits.history = saved.rules.history;
        self.state = RoomState { counts, server_stats: stats, ..saved.into_state(answers) };
        Ok(())
    }
}

impl SavedState {
    fn into_state(self, answers: AnswerConfig) -> RoomState {
        let SavedState { rules, epoch, hash_key, seq, .. } = self;
        let (count, bytes) = (rules.history, rules.history_bytes);
        let resumable = usize::try_from(self.resumable).unwrap_or(usize::MAX);
        let frames = self.frames.into_bytes();
        let history = History::with_frames(count, bytes, seq, frames, resumable);
        let mut state = RoomState::new(rules, answers, epoch, hash_key, (history, seq));
        state.credentials = CredentialIndex::of_hashes();
        state.now = self.now;
        state.guests = self.guests;
        state.operators = self.operators;
        state.moderation = self.moderation;
        state.is_moderated = self.is_moderated;
        state.notice = self.notice;
        state.profiles = self.profiles.into_iter().collect();
        state.notices = self.notices;
        for (id, member) in self.members {
            state.names.insert(&member.name, id);
            state.credentials.insert(member.credential, id);
            state.members.insert(id, member);
        }
        for held in self.reserved {
            state.reserved.restore(state.names.key(&held.name), held);
        }
        for (queue, entries) in [(&mut state.silent, self.silent), (&mut state.absent, self.absent)]
        {
            for (deadline, id) in entries {
                queue.push(deadline, id, &state.members);
            }
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::MAX_NAME;
    use crate::room::profile::{MAX_AWAY, MAX_REAL_NAME, MAX_USER};
    use crate::room::state::Visibility;
    use crate::room::{Credential, Origin};

    /// Returns the bytes of a value as JSON, with the comma behind it.
    fn saved_bytes(value: impl Serialize) -> usize {
        serde_json::to_string(&value).unwrap().len() + 1
    }

    #[test]
    fn longest_member_fits_its_bytes() {
        let id = ClientId(u64::MAX);
        let quotes = |bytes| "\"".repeat(bytes).into_boxed_str();
        let member = Member {
            credential: Credential([255; 16]),
            name: "\u{10400}".repeat(MAX_NAME).into(),
            origin: HashKey(1, 2).origin_key(Origin::Proxy),
            errors: u8::MAX,
            is_name_kept: false,
            is_absent: false,
            visibility: Visibility::Announced,
        };
        let profile = Profile {
            user: quotes(MAX_USER),
            real_name: quotes(MAX_REAL_NAME),
            away: quotes(MAX_AWAY),
            is_in_channel: false,
        };
        let rows = [
            saved_bytes((id, member)),
            saved_bytes((id, profile)),
            saved_bytes((Duration::MAX, id)),
            saved_bytes((id, quotes(32))),
        ];
        let bytes: usize = rows.iter().sum();
        assert!(bytes <= SAVED_MEMBER_BYTES, "{bytes} bytes: {rows:?}");
        let marks = saved_bytes(VecDeque::from([u64::MAX; MAX_NOTICES]));
        assert!(marks <= SAVED_NOTICES_BYTES + 3, "{marks} bytes");
    }
}
