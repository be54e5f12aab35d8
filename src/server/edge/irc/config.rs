//! The configuration of the IRC edge, and the settings of a running server.

/// The configuration of the IRC edge.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The name of the channel, which is the room. Default: `#smol`.
    pub channel: String,
    /// The name of the server, which has a dot. Default: `smolchat.local`.
    pub server: String,
    /// The most chat frames that a client with `server-time` is sent when it joins the channel.
    /// Default: 20.
    pub playback: usize,
    /// Whether a listener for IRC clients is open. Default: false.
    pub is_open: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            channel: "#smol".into(),
            server: "smolchat.local".into(),
            playback: 20,
            is_open: false,
        }
    }
}

/// The settings of a running server.
#[derive(Debug, Default)]
pub struct Settings {
    pub config: Config,
    /// The message of the day.
    pub motd: Option<Box<str>>,
    /// The epoch of the room.
    pub epoch: Box<str>,
    /// Whether the history is written to a file.
    pub is_stored: bool,
    /// The longest text that a member may send, in bytes.
    pub max_line: usize,
    /// The most bytes of a list and of the lines of one join or leave notice. After as many bytes in a
    /// batch, a text becomes one line and a count. A client with an empty outbox is not evicted by
    /// them.
    pub answer_bytes: usize,
}

/// The most bytes of the name of a channel.
pub(super) const MAX_CHANNEL: usize = 50;
/// The most bytes of the name of a server (RFC 1459, section 1.1).
const MAX_SERVER: usize = 63;

/// Returns whether a channel can have this name, as for `--irc-channel`.
pub fn is_channel_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte > b' ' && !matches!(byte, b',' | b':' | b'#' | 0x7F);
    let rest = name.strip_prefix('#').unwrap_or_default();
    !rest.is_empty() && name.len() <= MAX_CHANNEL && rest.bytes().all(is_allowed)
}

/// Returns whether a server can have this name, as for `--irc-name`. Clients tell a server from a
/// member by the dot in its name.
pub fn is_server_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.contains('.') && name.len() <= MAX_SERVER && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_name_begins_with_a_hash() {
        assert!(["#smol", "#a", "#über-uns", "#c++"].into_iter().all(is_channel_name));
        for name in ["", "#", "smol", "#a b", "#a,b", "#a:b", "#a\u{7}", "##a", &"#x".repeat(60)] {
            assert!(!is_channel_name(name), "{name:?}");
        }
    }

    #[test]
    fn server_name_has_a_dot() {
        assert!(["irc.example.org", "My.Little.Server"].into_iter().all(is_server_name));
        for name in ["", "localhost", ".", "a.", ".a", "a b.c", "a.b!", &"a.".repeat(40)] {
            assert!(!is_server_name(name), "{name:?}");
        }
    }
}
