//! The capabilities of IRCv3 that a client can request.

use super::text::push_word;

/// A set of capabilities, each of which is a bit at the place of its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u16);

/// The names, in the order of `CAP LS`.
const NAMES: [&str; 9] = [
    "server-time",
    "message-tags",
    "echo-message",
    "batch",
    "labeled-response",
    "draft/chathistory",
    "standard-replies",
    "userhost-in-names",
    // Names have no prefixes, so that a list has all of them.
    "multi-prefix",
];

impl Capabilities {
    /// Messages have the time at which they were sent.
    pub const SERVER_TIME: Self = Self(1);
    /// Messages have an id.
    pub const MESSAGE_TAGS: Self = Self(1 << 1);
    /// The client is sent its own messages.
    pub const ECHO_MESSAGE: Self = Self(1 << 2);
    /// Several lines can be one batch.
    pub const BATCH: Self = Self(1 << 3);
    /// An answer has the label of its message.
    pub const LABELED_RESPONSE: Self = Self(1 << 4);
    /// The client asks for the history.
    pub const CHAT_HISTORY: Self = Self(1 << 5);
    /// Names in a list have the user and the host.
    pub const USERHOST_IN_NAMES: Self = Self(1 << 7);
    /// The set of all capabilities.
    pub const ALL: Self = Self((1 << NAMES.len()) - 1);

    /// Returns the names of the capabilities in the set.
    pub fn names(self) -> String {
        let mut names = String::new();
        for (at, name) in NAMES.iter().enumerate() {
            if self.has(Self(1 << at)) {
                push_word(&mut names, name);
            }
        }
        names
    }

    /// Returns whether the set has a capability.
    pub fn has(self, capability: Self) -> bool {
        self.0 & capability.0 != 0
    }

    /// Returns the set after a request such as `server-time -batch`, or `None` if a name in it is
    /// unknown.
    #[inline(never)]
    pub fn after_request(mut self, request: &str) -> Option<Self> {
        for word in request.split(' ').filter(|word| !word.is_empty()) {
            let name = word.strip_prefix('-').unwrap_or(word);
            let bit = 1 << NAMES.iter().position(|known| *known == name)?;
            self.0 = if name == word { self.0 | bit } else { self.0 & !bit };
        }
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_changes_all_or_nothing() {
        let set = Capabilities::default().after_request("batch  server-time").unwrap();
        assert_eq!(set.names(), "server-time batch");
        assert_eq!(set.after_request("-batch").unwrap(), Capabilities::SERVER_TIME);
        assert_eq!(set.after_request("echo-message unknown"), None);
        assert_eq!(Capabilities::ALL.names().split(' ').count(), NAMES.len());
    }
}
