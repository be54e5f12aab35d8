//! The settings of a node in a cluster.

use std::path::PathBuf;

/// The settings of a node in a cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterConfig {
    /// The addresses of the NATS servers: `nats://HOST:PORT` or `tls://HOST:PORT`, with
    /// `USER:PASSWORD@` before the host if the servers need it. All have the same.
    pub servers: Vec<String>,
    /// The name of the room: of the stream with the log.
    pub room: String,
    /// The name of this node.
    pub node: String,
    /// The copies that the servers keep of the log: 1, 3 or 5.
    pub replicas: usize,
    /// The file with the credentials for NATS.
    pub credentials: Option<PathBuf>,
    /// The file with the certificates of the authority that signs those of the NATS servers.
    pub tls_ca: Option<PathBuf>,
    /// The address of this node for clients, which all nodes state in the welcome.
    pub advertise: Option<String>,
}

/// The longest address of a node for clients, in bytes.
pub(super) const MAX_ADDRESS: usize = 259;
/// The most characters of the name of a room or of a node.
const MAX_NAME: usize = 64;

impl ClusterConfig {
    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// Returns the reason why the settings cannot be used.
    pub fn check(&self) -> Result<(), String> {
        if self.servers.is_empty() {
            return Err("no address of a NATS server; expected nats://HOST:PORT".into());
        }
        for (owner, name) in [("room", &self.room), ("node", &self.node)] {
            if !is_name(name) {
                return Err(format!(
                    "name of the {owner} {name:?}; expected 1 to {MAX_NAME} of A-Z, a-z, 0-9, - and _"
                ));
            }
        }
        if let Some(address) = self.advertise.as_ref().filter(|address| !is_address(address)) {
            return Err(format!("address for clients {address:?}; expected HOST:PORT"));
        }
        match self.replicas {
            1 | 3 | 5 => Ok(()),
            count => Err(format!("{count} replicas; expected 1, 3 or 5")),
        }
    }
}

/// Returns whether a text can be the name of a room or of a node. It is a part of subjects, where other
/// characters have a meaning.
pub(super) fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// Returns whether a text can be the address of a node: a host and a port, in ASCII.
pub(super) fn is_address(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte);
    let parts = text.rsplit_once(':');
    text.len() <= MAX_ADDRESS
        && text.bytes().all(is_allowed)
        && parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(room: &str, replicas: usize) -> ClusterConfig {
        ClusterConfig {
            servers: vec!["nats://127.0.0.1:4222".into()],
            room: room.into(),
            node: "a".into(),
            replicas,
            ..ClusterConfig::default()
        }
    }

    #[test]
    fn names_in_subjects_are_checked() {
        assert_eq!(config("my_room-1", 3).check(), Ok(()));
        for room in ["", "a.b", "a b", "*", ">", "\u{e9}", &"x".repeat(65)] {
            assert!(config(room, 3).check().unwrap_err().contains("name of the room"), "{room}");
        }
    }

    #[test]
    fn address_for_clients_is_checked() {
        for address in ["a:1", "10.0.0.1:8080", "[::1]:8080", "my_host.lan:80"] {
            assert!(is_address(address), "{address}");
            let config = ClusterConfig { advertise: Some(address.into()), ..config("a", 3) };
            assert_eq!(config.check(), Ok(()));
        }
        let long = format!("{}:1", "x".repeat(258));
        for address in ["", "a", ":1", "a:", "a:+1", "a:65536", "a b:1", "a;b:1", "\u{e9}:1", &long]
        {
            assert!(!is_address(address), "{address}");
        }
        let config = ClusterConfig { advertise: Some("\u{e9}:1".into()), ..config("a", 3) };
        assert!(config.check().unwrap_err().contains("expected HOST:PORT"));
    }

    #[test]
    fn even_count_of_replicas_is_refused() {
        assert_eq!(config("a", 2).check().unwrap_err(), "2 replicas; expected 1, 3 or 5");
    }
}
