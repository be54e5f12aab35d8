//! Join and leave notices.
//!
//! A notice is one frame for all members, so it is expensive in a large room. From
//! [`Config::crowd`](super::Config::crowd) members on, names are gathered into one notice, for a
//! time that grows with the room up to one second. In a smaller room a notice is published at the
//! end of the input that caused it.
//!
//! The notice of a member without a hello waits for up to [`SILENT_NOTICE_DELAY`] until the member
//! says something. So a health check, which says nothing and leaves, causes no notice. A member that
//! asked in its hello to be quiet causes none, whatever it does.

use std::borrow::Cow;
use std::time::Duration;

use log::Level;

use super::state::{RoomState, Visibility};
use super::{ClientId, Now, format_names};
use crate::protocol::{Body, SERVER};

/// The pause between two notices, for each member in the room.
const PAUSE_PER_MEMBER: Duration = Duration::from_micros(200);
/// The longest pause between two notices.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// The time after its welcome at which a member that has said nothing is announced.
pub const SILENT_NOTICE_DELAY: Duration = Duration::from_secs(2);
/// The bytes of names after which a notice is published early, as a multiple of
/// [`Config::crowd`](super::Config::crowd): one notice must not fill an outbox. When 5,000 members
/// joined at once, notices of at most 256 names took more than half of the processor time.
const NAME_BYTES_PER_CROWD: usize = 512;
/// The bytes of a name in a notice, beside its own: two quotation marks and a comma.
const NAME_OVERHEAD: usize = 3;
/// The most names in the text of a notice.
const NAMES_IN_TEXT: usize = 3;

/// The notice that is not published yet.
#[derive(Debug, Default)]
#[cfg_attr(feature = "cluster", derive(Clone, PartialEq, serde::Serialize, serde::Deserialize))]
pub struct PendingNotice {
    change: Option<PresenceChange>,
    /// The names, each followed by a newline.
    names: String,
    /// The bytes of the names in the notice.
    name_bytes: usize,
    /// The time at which the notice is published, if no other event causes that before.
    due: Duration,
}

/// The change that a notice announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub enum PresenceChange {
    Joined,
    Left,
}

impl PendingNotice {
    /// Returns the time at which the notice is due, if there is one.
    pub fn deadline(&self) -> Option<Duration> {
        self.change.map(|_| self.due)
    }

    /// Returns whether the notice announces that `name` joined.
    pub fn has_join_of(&self, name: &str) -> bool {
        self.change == Some(PresenceChange::Joined)
            && self.names.lines().any(|joined| joined == name)
    }
}

impl RoomState {
    /// Announces that a member joined, unless that is announced already or the member is quiet.
    pub(super) fn announce_member(&mut self, id: ClientId) {
        let Some(member) = self.members.get_mut(id) else { return };
        if member.visibility == Visibility::Silent {
            member.visibility = Visibility::Announced;
            let name = member.name.clone();
            self.log(Level::Info, id, &name, " joined");
            self.announce(PresenceChange::Joined, &name);
        }
    }

    /// Tells the other members that a member is there, or that it is not any more.
    #[cfg(any(feature = "irc", feature = "cluster"))]
    pub(super) fn show(&mut self, id: ClientId, is_shown: bool) {
        let Some(member) = self.members.get_mut(id) else { return };
        #[cfg(feature = "cluster")]
        if let Some(profile) = self.profiles.get_mut(&id) {
            profile.is_in_channel = is_shown;
        }
        match (member.visibility, is_shown) {
            (Visibility::Hidden, true) => {
                member.visibility = Visibility::Announced;
                let name = member.name.clone();
                self.announce(PresenceChange::Joined, &name);
            }
            (Visibility::Silent, false) => member.visibility = Visibility::Hidden,
            (Visibility::Announced, false) => {
                member.visibility = Visibility::Hidden;
                let name = member.name.clone();
                self.announce(PresenceChange::Left, &name);
            }
            _ => {}
        }
    }

    /// Adds a name to the notice that is published next.
    pub(super) fn announce(&mut self, change: PresenceChange, name: &str) {
        if self.notice.change != Some(change) {
            self.publish_notice();
            self.notice.change = Some(change);
        }
        self.notice.names.push_str(name);
        self.notice.names.push('\n');
        self.notice.name_bytes += name.len() + NAME_OVERHEAD;
        if self.notice.name_bytes >= NAME_BYTES_PER_CROWD * self.rules.crowd {
            self.publish_notice();
        }
    }

    /// Publishes the notice if it announces `change`.
    pub(super) fn publish_notice_of(&mut self, change: PresenceChange) {
        if self.notice.change == Some(change) {
            self.publish_notice();
        }
    }

    /// Publishes the notice if it is due.
    pub(super) fn publish_due_notice(&mut self, now: Now) {
        self.now = now;
        if self.notice.due <= self.now.uptime {
            self.publish_notice();
        }
    }

    /// Publishes the notice, if there is one.
    pub(super) fn publish_notice(&mut self) {
        let Some(change) = self.notice.change.take() else { return };
        let names = std::mem::take(&mut self.notice.names);
        self.notice.name_bytes = 0;
        let names: Vec<Cow<'_, str>> = names.lines().map(Cow::from).collect();
        let list = format_names(&names, NAMES_IN_TEXT);
        let time = self.now.unix_ms;
        match change {
            PresenceChange::Joined => {
                let data = format!("{list} joined");
                self.publish(SERVER, &data, |seq| Body::Join { seq, time, names });
            }
            PresenceChange::Left => {
                let data = format!("{list} left");
                self.publish(SERVER, &data, |seq| Body::Leave { seq, time, names });
            }
        }
        if self.is_crowded() {
            let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let pause = PAUSE_PER_MEMBER.saturating_mul(count(self.names.len()));
            let min_pause = MAX_PAUSE / count(self.rules.crowd).max(1);
            self.notice.due = self.now.uptime + pause.clamp(min_pause, MAX_PAUSE);
        }
    }

    /// Returns whether names are gathered into one notice.
    pub(super) fn is_crowded(&self) -> bool {
        self.names.len() >= self.rules.crowd
    }
}
