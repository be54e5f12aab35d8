//! The options of a node in a cluster.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::ValueExt;
use smolchat::client::ServerAddress;
use smolchat::cluster::config::ClusterConfig;
use smolchat::cluster::engine::is_server_address;
use smolchat::server::Listener;

use super::find_chat_address;

/// The addresses of NATS servers from which three copies of the log are kept.
const SERVERS_FOR_COPIES: usize = 3;

/// The options of a node, as they are given.
#[derive(Clone, Debug, Default)]
pub struct ClusterOptions {
    servers: Vec<String>,
    room: Option<String>,
    node: Option<String>,
    replicas: Option<usize>,
    credentials: Option<PathBuf>,
    tls_ca: Option<PathBuf>,
    advertise: Option<String>,
    /// The most members of the room.
    pub max_members: Option<usize>,
}

impl ClusterOptions {
    pub fn set(&mut self, option: &str, value: OsString) -> Result<(), lexopt::Error> {
        match option {
            "cluster" => {
                let addresses = value.string()?;
                self.servers.extend(addresses.split(',').map(|address| address.trim().to_owned()));
            }
            "room" => self.room = Some(value.string()?),
            "node" => self.node = Some(value.string()?),
            "cluster-replicas" => self.replicas = Some(value.parse()?),
            "cluster-creds" => self.credentials = Some(value.into()),
            "cluster-ca" => self.tls_ca = Some(value.into()),
            "max-members" => self.max_members = Some(value.parse()?),
            "advertise" => self.advertise = Some(value.string()?),
            _ => {}
        }
        Ok(())
    }

    /// Returns the settings of the node, or `None` without `--cluster`.
    ///
    /// # Errors
    ///
    /// Returns an error if an option is missing or its value cannot be used.
    pub fn into_config(self) -> Result<Option<ClusterConfig>, String> {
        let others = [
            ("--room", self.room.is_some()),
            ("--node", self.node.is_some()),
            ("--cluster-replicas", self.replicas.is_some()),
            ("--cluster-creds", self.credentials.is_some()),
            ("--cluster-ca", self.tls_ca.is_some()),
            ("--advertise", self.advertise.is_some()),
            ("--max-members", self.max_members.is_some()),
        ];
        if self.servers.is_empty() {
            return match others.iter().find(|(_, is_given)| *is_given) {
                Some((option, _)) => Err(format!("{option} has no effect without --cluster")),
                None => Ok(None),
            };
        }
        // The parser of the engine takes an address without a host.
        let is_address = |address: &&String| {
            let host = address.strip_prefix("nats://").or(address.strip_prefix("tls://"));
            host.is_some_and(|host| !host.is_empty()) && is_server_address(address)
        };
        if let Some(address) = self.servers.iter().find(|address| !is_address(address)) {
            return Err(format!(
                "--cluster: {address:?}; expected nats://HOST:PORT or tls://HOST:PORT"
            ));
        }
        let advertise = self.advertise.map(|text| match text.parse() {
            Ok(address @ ServerAddress::Inet(_)) => Ok(address.to_string()),
            _ => Err(format!("--advertise: {text:?}; expected HOST, HOST:PORT or [V6]:PORT")),
        });
        let Some(node) = self.node else {
            return Err("--cluster: --node is missing; each node has a name of its own".into());
        };
        let is_copied = self.servers.len() >= SERVERS_FOR_COPIES;
        let config = ClusterConfig {
            servers: self.servers,
            room: self.room.unwrap_or_else(|| "smolchat".into()),
            node,
            replicas: self.replicas.unwrap_or(if is_copied { SERVERS_FOR_COPIES } else { 1 }),
            credentials: self.credentials,
            tls_ca: self.tls_ca,
            advertise: advertise.transpose()?,
        };
        config.check().map_err(|reason| format!("--cluster: {reason}"))?;
        Ok(Some(config))
    }
}

/// Returns the address for chat clients, if it is not on all addresses of the machine.
pub fn find_address(listeners: &[Listener]) -> Option<String> {
    let address = find_chat_address(listeners)?;
    (!address.ip().is_unspecified()).then(|| address.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may panic")]

    use super::*;

    fn config(options: &[(&str, &str)]) -> Result<Option<ClusterConfig>, String> {
        let mut cluster = ClusterOptions::default();
        for (option, value) in options {
            cluster.set(option, value.into()).unwrap();
        }
        cluster.into_config()
    }

    #[test]
    fn defaults_depend_on_the_number_of_servers() {
        let one = config(&[("cluster", "nats://a:1"), ("node", "n1")]).unwrap().unwrap();
        assert_eq!((one.replicas, &*one.room), (1, "smolchat"));
        let servers = "nats://a:1, nats://b:1,tls://c:1";
        let options = [("cluster", servers), ("node", "n1"), ("advertise", "router")];
        let three = config(&options).unwrap().unwrap();
        assert_eq!((three.replicas, three.servers.len()), (3, 3));
        assert_eq!(three.advertise.as_deref(), Some("router:8080"));
        assert!(config(&[]).unwrap().is_none());
    }

    #[test]
    fn wrong_options_are_errors() {
        for (options, expected) in [
            (&[("node", "n1")][..], "--node has no effect without --cluster"),
            (&[("cluster", "nats://a:1")], "--cluster: --node is missing"),
            (&[("cluster", "a:4222"), ("node", "n1")], "--cluster: \"a:4222\"; expected nats://"),
            (&[("cluster", "nats://a:x"), ("node", "n1")], "--cluster: \"nats://a:x\"; expected"),
            (&[("cluster", "nats://a b"), ("node", "n1")], "--cluster: \"nats://a b\"; expected"),
            (&[("cluster", "tls://"), ("node", "n1")], "--cluster: \"tls://\"; expected"),
            (&[("cluster", "nats://a"), ("node", "a.b")], "--cluster: name of the node"),
            (
                &[("cluster", "nats://a"), ("node", "a"), ("advertise", "http://a")],
                "--advertise: \"http://a\"; expected HOST",
            ),
        ] {
            let error = config(options).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
