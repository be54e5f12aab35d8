//! The settings for TLS.

use std::str::FromStr;

use super::Certificate;
use crate::room::Peer;

/// The settings for TLS.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Config {
    /// The certificate and its key. Default: none, and no handshake is possible.
    pub certificate: Option<Certificate>,
    /// The clients that may speak plain text. Default: local clients.
    pub plain: PlainPolicy,
}

/// The clients that may speak plain text on a port with TLS.
///
/// # Examples
///
/// ```
/// use smolchat::server::edge::tls::PlainPolicy;
///
/// assert_eq!("local".parse(), Ok(PlainPolicy::Local));
/// assert!("loopback".parse::<PlainPolicy>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlainPolicy {
    /// No client.
    Never,
    /// Clients on the same machine: on a loopback address or a unix socket.
    #[default]
    Local,
    /// All clients.
    All,
}

impl PlainPolicy {
    /// Returns whether a client may speak plain text.
    pub(crate) fn permits(self, peer: Peer) -> bool {
        match (self, peer) {
            (PlainPolicy::Never, _) => false,
            (PlainPolicy::All, _) | (PlainPolicy::Local, Peer::Unix(_)) => true,
            (PlainPolicy::Local, Peer::Inet(ip, _) | Peer::Proxy(ip, _)) => ip.is_loopback(),
        }
    }
}

impl FromStr for PlainPolicy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "never" => Ok(PlainPolicy::Never),
            "local" => Ok(PlainPolicy::Local),
            "all" => Ok(PlainPolicy::All),
            _ => Err("expected never, local or all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_permitted_by_address() {
        let ip = |text: &str| Peer::Inet(text.parse().unwrap(), 1);
        let local = [Peer::Unix(Some(0)), Peer::Unix(None), ip("127.0.0.2"), ip("::1")];
        let remote = [ip("192.168.1.2"), ip("2001:db8::1"), ip("0.0.0.0")];
        for peer in local {
            let permitted = [PlainPolicy::Never, PlainPolicy::Local, PlainPolicy::All];
            assert_eq!(permitted.map(|policy| policy.permits(peer)), [false, true, true]);
        }
        for peer in remote {
            let permitted = [PlainPolicy::Never, PlainPolicy::Local, PlainPolicy::All];
            assert_eq!(permitted.map(|policy| policy.permits(peer)), [false, false, true]);
        }
    }
}
