//! The servers that a session tries, one after another.

use super::ServerAddress;

/// The most addresses from a welcome that are kept.
const MAX_NODES: usize = 16;
/// The longest address from a welcome, in bytes.
const MAX_ADDRESS: usize = 259;

/// The addresses of the servers of one room, with the one in use.
#[derive(Debug)]
pub struct Targets {
    /// Never empty.
    addresses: Vec<ServerAddress>,
    /// The count of the addresses that the user has given, which are the first.
    given: usize,
    at: usize,
    /// The attempts that failed since a session was live.
    failed: usize,
}

impl Targets {
    /// Creates the targets for an address, which may be a list.
    pub fn new(address: ServerAddress) -> Self {
        let addresses = match address {
            ServerAddress::Several(addresses) if !addresses.is_empty() => addresses,
            address => vec![address],
        };
        Targets { given: addresses.len(), addresses, at: 0, failed: 0 }
    }

    /// Returns the address in use.
    pub fn current(&self) -> &ServerAddress {
        // Invariant: `at` is in the list. The static fallback is never used.
        static NONE: ServerAddress = ServerAddress::Several(Vec::new());
        self.addresses.get(self.at).unwrap_or(&NONE)
    }

    /// Selects the next address. Returns whether it was not tried since a session was live.
    pub fn advance(&mut self) -> bool {
        self.at = (self.at + 1) % self.addresses.len();
        self.failed += 1;
        self.failed < self.addresses.len()
    }

    /// Selects an address, if it is one of these.
    #[cfg(all(feature = "editor", feature = "tls"))]
    pub fn select(&mut self, address: &ServerAddress) {
        let position = self.addresses.iter().position(|other| other == address);
        self.at = position.unwrap_or(self.at);
    }

    /// Returns whether there is more than one address.
    pub fn has_others(&self) -> bool {
        self.addresses.len() > 1
    }

    /// Counts attempts from now on: the session is live.
    pub fn on_live(&mut self) {
        self.failed = 0;
    }

    /// Replaces the addresses of an earlier welcome by those of `nodes`. Addresses that cannot be
    /// used are left out. The connections to them are encrypted if that to the present server is.
    pub fn set_nodes<'a>(&mut self, nodes: impl Iterator<Item = &'a str>) {
        let current = self.current().clone();
        self.addresses.truncate(self.given);
        for node in nodes.filter(|node| node.len() <= MAX_ADDRESS).take(MAX_NODES) {
            let Ok(ServerAddress::Inet(address)) = node.parse() else { continue };
            let address = match current.is_encrypted() {
                true => ServerAddress::Tls(address),
                false => ServerAddress::Inet(address),
            };
            if !self.addresses.contains(&address) {
                self.addresses.push(address);
            }
        }
        let position = self.addresses.iter().position(|address| *address == current);
        self.at = position.unwrap_or_else(|| {
            self.addresses.push(current);
            self.addresses.len() - 1
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_tried_in_turn() {
        let mut targets = Targets::new("alpha,beta:9".into());
        assert_eq!(targets.current().to_string(), "alpha:8080");
        assert!(targets.advance());
        assert_eq!(targets.current().to_string(), "beta:9");
        assert!(!targets.advance());
        targets.on_live();
        assert!(targets.advance());
        assert!(!Targets::new("alpha".into()).advance());
    }

    #[test]
    fn nodes_follow_the_given_addresses() {
        let mut targets = Targets::new("alpha".into());
        targets
            .set_nodes(["beta:1", "alpha:8080", "unix:/run/chat", "http://x", "a,b"].into_iter());
        let known = |targets: &Targets| {
            targets.addresses.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(known(&targets), ["alpha:8080", "beta:1"]);
        targets.advance();
        // The server in use stays, also if it is not in the list.
        targets.set_nodes(["gamma:1"].into_iter());
        assert_eq!(known(&targets), ["alpha:8080", "gamma:1", "beta:1"]);
        assert_eq!(targets.current().to_string(), "beta:1");
        let mut encrypted = Targets::new(ServerAddress::Tls("alpha:1".into()));
        encrypted.set_nodes(["beta:1", "tls:gamma:1"].into_iter());
        assert_eq!(known(&encrypted), ["tls:alpha:1", "tls:beta:1"]);
        let many: Vec<String> = (0..1000).map(|number| format!("host-{number}")).collect();
        targets.set_nodes(many.iter().map(String::as_str));
        assert_eq!(targets.addresses.len(), MAX_NODES + 2);
    }
}
