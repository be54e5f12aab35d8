//! The capabilities of IRCv3 that a client can request.

use super::text::push_word;

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u16);

/// All capabilities with their names, in the order of `CAP LS`.
const NAMES: &[(&str, Capabilities)] = &[
    ("server-time", Capabilities::SERVER_TIME),
    ("message-tags", Capabilities::MESSAGE_TAGS),
    ("echo-message", Capabilities::ECHO_MESSAGE),
    ("batch", Capabilities::BATCH),
    ("labeled-response", Capabilities::LABELED_RESPONSE),
    ("draft/chathistory", Capabilities::CHAT_HISTORY),
    ("standard-replies", Capabilities::STANDARD_REPLIES),
    ("setname", Capabilities::SET_NAME),
    ("userhost-in-names", Capabilities::USERHOST_IN_NAMES),
    ("multi-prefix", Capabilities::MULTI_PREFIX),
    ("cap-notify", Capabilities::CAP_NOTIFY),
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
    /// Errors without a numeric are `FAIL`.
    pub const STANDARD_REPLIES: Self = Self(1 << 6);
    /// The client changes its real name.
    pub const SET_NAME: Self = Self(1 << 7);
    /// Names in a list have the user and the host.
    pub const USERHOST_IN_NAMES: Self = Self(1 << 8);
    /// Names in a list have all their prefixes; there are none.
    pub const MULTI_PREFIX: Self = Self(1 << 9);
    /// The server says if its capabilities change; they do not.
    pub const CAP_NOTIFY: Self = Self(1 << 10);

    /// Returns the names of the capabilities in the set.
    pub fn names(self) -> String {
        let mut names = String::new();
        for (name, _) in NAMES.iter().filter(|(_, one)| self.has(*one)) {
            push_word(&mut names, name);
        }
        names
    }

    /// The set of all capabilities.
    pub const ALL: Self = Self((1 << 11) - 1);

    /// Returns whether the set has all capabilities of another one.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Adds the capabilities of another set.
    pub fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Returns the set after a request such as `server-time -batch`, or `None` if a name in it is
    /// unknown.
    pub fn after_request(self, request: &str) -> Option<Self> {
        request.split_ascii_whitespace().try_fold(self, |set, word| {
            let name = word.strip_prefix('-');
            let &(_, one) = NAMES.iter().find(|(known, _)| *known == name.unwrap_or(word))?;
            Some(Self(if name.is_some() { set.0 & !one.0 } else { set.0 | one.0 }))
        })
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
