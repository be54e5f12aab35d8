//! Servers with one room as child processes, twelve clients, and the checker of what they received.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::nats_servers::NatsServers;
use super::room_client::{Addresses, RoomClient};
use super::wait_until;
use crate::common::{TestClient, TestServer};

const CLIENTS: usize = 12;

/// Three servers and twelve clients, four at each.
pub struct RoomNodes {
    // First, so that the clients end before the servers.
    pub clients: Vec<RoomClient>,
    pub servers: Vec<TestServer>,
    options: Vec<Vec<String>>,
    addresses: Addresses,
}

impl RoomNodes {
    /// Starts servers at the NATS servers.
    pub fn start(nats: &NatsServers) -> Self {
        Self::start_padded(nats, 0)
    }

    /// Starts servers at the NATS servers. Each line of a client has `padding` more bytes.
    pub fn start_padded(nats: &NatsServers, padding: usize) -> Self {
        let lists = (0..3).map(|index| nats.addresses(index)).collect();
        Self::start_with(lists, nats.count(), padding)
    }

    /// Starts a server for each list of NATS servers.
    pub fn start_with(lists: Vec<Vec<String>>, replicas: usize, padding: usize) -> Self {
        let options: Vec<Vec<String>> = (0..)
            .zip(lists)
            .map(|(index, list)| {
                let (list, node, replicas) =
                    (list.join(","), format!("n{index}"), replicas.to_string());
                let options = [
                    "--cluster",
                    &list,
                    "--room",
                    "ROOM",
                    "--node",
                    &node,
                    "--cluster-replicas",
                    &replicas,
                    "--rate",
                    "0",
                    "--address-bytes",
                    "0",
                    "--outbox",
                    "4M",
                    "--history",
                    "20000",
                    "--history-bytes",
                    "4M",
                    "--log",
                    "debug",
                ];
                options.map(String::from).into()
            })
            .collect();
        let servers: Vec<_> = options.iter().map(|options| start_server(options)).collect();
        let addresses = servers.iter().map(|server| server.address(0).to_owned()).collect();
        let addresses = Arc::new(Mutex::new(addresses));
        let clients = (0..CLIENTS).map(|index| {
            let name = format!("c{index}");
            RoomClient::start(&name, Arc::clone(&addresses), index % servers.len(), padding)
        });
        let nodes = RoomNodes { clients: clients.collect(), servers, options, addresses };
        nodes.wait_until_live();
        nodes.wait_for_lines(5);
        nodes
    }

    /// Starts a server again that was killed. It has another port.
    pub fn restart(&mut self, index: usize) {
        self.servers[index] = start_server(&self.options[index]);
        self.addresses.lock().unwrap()[index] = self.servers[index].address(0).to_owned();
    }

    #[track_caller]
    pub fn wait_until_live(&self) {
        wait_until("all clients are members", || {
            self.clients.iter().all(|client| client.record().is_live)
        });
    }

    /// Waits until each client has so many more lines in the room.
    #[track_caller]
    pub fn wait_for_lines(&self, count: usize) {
        let acknowledged = |client: &RoomClient| client.record().acknowledged.len();
        let before: Vec<_> = self.clients.iter().map(acknowledged).collect();
        wait_until(&format!("each client says {count} lines"), || {
            let mut pairs = self.clients.iter().zip(&before);
            pairs.all(|(client, before)| acknowledged(client) >= before + count)
        });
    }

    /// Stops the clients and checks their records. Returns the number of epochs.
    #[track_caller]
    pub fn check(&self) -> usize {
        self.check_records(false)
    }

    /// Checks the records after a fault in which nats-server 2.9.10 may show readers a message that it
    /// gives up, see `assert_survived`. Then the frames may differ at the end of an epoch, and another
    /// one has to begin.
    #[track_caller]
    pub fn check_after_fork(&self) -> usize {
        self.check_records(true)
    }

    #[track_caller]
    fn check_records(&self, may_fork: bool) -> usize {
        self.clients.iter().for_each(|client| client.set_posting(false));
        wait_until("all lines are in the room", || {
            self.clients.iter().all(|client| client.record().pending.is_empty())
        });
        self.check_members();
        let last_of = |client: &RoomClient| {
            let record = client.record();
            let (epoch, frames) = record.epochs.last().unwrap();
            (epoch.clone(), *frames.keys().next_back().unwrap())
        };
        wait_until("all clients have received the same", || {
            let lasts: BTreeSet<_> = self.clients.iter().map(last_of).collect();
            lasts.len() == 1
        });
        let last_epoch = self.clients[0].record().epochs.last().unwrap().0.clone();
        let mut epochs: BTreeMap<String, BTreeMap<u64, String>> = BTreeMap::new();
        for client in &self.clients {
            let record = client.record();
            assert!(
                record.mistakes.is_empty(),
                "{}: {:?} {:?}",
                client.name(),
                record.mistakes,
                record.losses
            );
            for (epoch, frames) in &record.epochs {
                let all = epochs.entry(epoch.clone()).or_default();
                for (seq, frame) in frames.iter().filter(|(_, frame)| !frame.is_empty()) {
                    let other = all.entry(*seq).or_insert_with(|| frame.clone());
                    let is_fork = may_fork && *epoch != last_epoch;
                    assert!(is_fork || other == frame, "two frames: {other} {frame} in {epoch}");
                }
            }
        }
        self.check_ids(&epochs);
        epochs.len()
    }

    /// Checks that each id is in an epoch at most once, and in one at least.
    #[track_caller]
    fn check_ids(&self, epochs: &BTreeMap<String, BTreeMap<u64, String>>) {
        let mut found = BTreeSet::new();
        for (epoch, frames) in epochs {
            let mut ids = BTreeSet::new();
            for frame in frames.values() {
                let frame: Value = serde_json::from_str(frame).unwrap();
                if let Some(id) = frame["id"].as_str() {
                    assert!(ids.insert(id.to_owned()), "{id} is twice in epoch {epoch}");
                }
            }
            found.append(&mut ids);
        }
        for client in &self.clients {
            for id in &client.record().acknowledged {
                assert!(found.contains(id), "{id} is missing");
            }
        }
    }

    /// Checks that each server has the twelve members and no other.
    #[track_caller]
    fn check_members(&self) {
        let expected: BTreeSet<_> =
            self.clients.iter().map(|client| client.name().to_owned()).collect();
        for (index, address) in self.addresses.lock().unwrap().iter().enumerate() {
            let mut members = BTreeSet::new();
            wait_until("the members are the clients", || {
                let mut client = TestClient::connect(address);
                client.send_json(
                    &serde_json::json!({ "hello": { "name": "checker", "quiet": true } }),
                );
                if client.recv()["kind"] != "welcome" {
                    return false;
                }
                members = client
                    .members()
                    .into_iter()
                    .filter(|name| !name.starts_with("checker"))
                    .collect();
                if members != expected {
                    eprintln!("server {index}: {members:?}");
                    std::thread::sleep(std::time::Duration::from_secs(1));
                }
                members == expected
            });
        }
    }

    /// Returns the state of each client in one line, for failed assertions.
    pub fn describe(&self) -> String {
        let describe = |client: &RoomClient| {
            let record = client.record();
            let losses = &record.losses[record.losses.len().saturating_sub(2)..];
            format!(
                "{} live {} with {} lines, {losses:?}\n",
                client.name(),
                record.is_live,
                record.acknowledged.len()
            )
        };
        self.clients.iter().map(describe).collect()
    }
}

impl Drop for RoomNodes {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.describe());
            for server in &self.servers {
                let log = server.log();
                let lines: Vec<_> = log.lines().filter(|line| line.contains("cluster")).collect();
                eprintln!("--\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
            }
        }
    }
}

#[track_caller]
fn start_server(options: &[String]) -> TestServer {
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    TestServer::start(&options)
}
