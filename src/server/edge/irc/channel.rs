//! The room as an IRC client sees it: a channel with members.

use super::delivery::ViewChange;
use super::notes::Notes;
use crate::protocol::ClientLine;
pub use crate::room::Profile;
use crate::room::{ClientId, Token};

/// The room, for the messages of one client.
pub trait Channel {
    /// Returns the member with a name.
    fn find(&self, name: &str) -> Option<ChannelMember<'_>>;
    /// Calls `each` for every member until it returns `false`.
    fn members(&self, each: &mut dyn FnMut(ChannelMember<'_>) -> bool);
    /// Returns the number of members, the largest number that there was, and the number of
    /// connections that are not members.
    fn counts(&self) -> [usize; 3];
    /// Returns whether a name is taken or reserved.
    fn is_taken(&self, name: &str) -> bool;
    /// Returns the token for a name and a password, if a member or a reserved name has it. Returns
    /// `None` after too many wrong passwords, too.
    fn token_of(&mut self, name: &str, password: &str) -> Option<Token>;
    /// Returns the number of the last frame.
    fn seq(&self) -> u64;
    /// Returns the number of frames in the history.
    fn frame_count(&self) -> usize;
    /// Returns a frame of the history; the oldest is at 0.
    fn frame(&self, at: usize) -> Option<&[u8]>;
    /// Returns the topic of the room, if it has one.
    fn topic(&self) -> Option<&str>;
    /// Returns the information about frames and members that is not in the room.
    fn notes(&self) -> &Notes;

    /// Returns the name of the client, if it is a member.
    fn own_name(&self) -> Option<&str>;
    /// Returns whether the client is an operator.
    fn is_operator(&self) -> bool;
    /// Returns the profile of the client.
    fn own_profile(&mut self) -> &mut Profile;
    /// Returns the bytes that the client was sent and that wait in its outbox, and those of its
    /// replies and of its texts for other IRC clients since.
    fn unread_bytes(&self) -> usize;
    /// Sends lines to the client, between the frames of the room, and changes its view.
    fn reply(&mut self, lines: Vec<u8>, view: ViewChange);
    /// Applies a line of the client to the room. Other IRC clients see the text of a notice as a
    /// `NOTICE`.
    fn submit(&mut self, line: ClientLine, is_notice: bool);
    /// Sends a text to an IRC client, or to all others that see the channel.
    fn relay(&mut self, to: Option<ClientId>, command: &str, text: &str);
    /// Announces that the client joins or leaves the channel. Returns whether it was hidden and is
    /// shown.
    fn show(&mut self, is_shown: bool) -> bool;
    /// Remembers the command with which the client leaves, for other IRC clients.
    fn set_departure(&mut self, command: &str);
    /// Remembers the password with which the client keeps its name.
    fn keep_name(&mut self, password: &str);
}

/// A member of the room.
#[derive(Clone, Copy, Debug)]
pub struct ChannelMember<'a> {
    pub id: ClientId,
    pub name: &'a str,
    /// The profile of a member that is an IRC client.
    pub profile: Option<&'a Profile>,
}

impl ChannelMember<'_> {
    /// Returns whether the member sees the channel: all that are no IRC clients do.
    pub fn is_in_channel(&self) -> bool {
        self.profile.is_none_or(|profile| profile.is_in_channel)
    }

    /// Returns the away text of the member, or an empty text.
    pub fn away(&self) -> &str {
        self.profile.map_or("", |profile| &profile.away)
    }
}
