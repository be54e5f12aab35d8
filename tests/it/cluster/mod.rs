//! Nodes of one room on real NATS servers, through faults of the servers and of the network.
//!
//! The tests are ignored because they need nats-server: `make test-cluster` installs it and runs
//! them.

mod faults;
#[cfg(feature = "irc")]
mod irc;
mod latency;
mod link;
mod nats_servers;
#[cfg(feature = "web")]
mod page;
mod room_client;
mod room_clock;
mod room_members;
mod room_nodes;
mod room_operators;
mod rooms;
mod security;
mod snapshots;
mod stepped_clock;
mod test_node;

use std::collections::{BTreeSet, HashSet};
use std::thread;
use std::time::{Duration, Instant};

use nats_servers::NatsServers;
use test_node::TestNode;

use crate::common::TestServer;

/// The time after which a test that waits for something fails: three elections of a leader.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Waits until a condition holds.
#[track_caller]
fn wait_until(condition: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(Instant::now() < deadline, "not reached in {TIMEOUT:?}: {condition}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a server admits clients.
#[track_caller]
fn wait_until_open(server: &TestServer) {
    wait_until("the node is in the room", || {
        let mut client = server.connect();
        client.send_hello("probe");
        client.recv()["kind"] == "welcome"
    });
}

/// Starts three nodes. Each prefers a server of its own.
fn start_nodes(servers: &NatsServers) -> Vec<TestNode> {
    let replicas = servers.count();
    let nodes: Vec<_> = (0..3)
        .map(|index| TestNode::start(servers.addresses(index), &format!("n{index}"), replicas))
        .collect();
    for node in &nodes {
        node.wait_until_inside();
    }
    nodes
}

/// Proposes texts at all nodes, a part each time, and returns them.
fn propose_all(nodes: &[TestNode], batch: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for number in 0..20 {
        for (index, node) in nodes.iter().enumerate() {
            let text = format!("{batch} {index} {number}");
            node.propose(&text);
            texts.push(text);
        }
        thread::sleep(Duration::from_millis(5));
    }
    texts
}

/// Waits until all rooms have exactly these texts, each once and all in the same order.
#[track_caller]
fn assert_rooms(nodes: &[TestNode], expected: &[String]) {
    let expected: HashSet<_> = expected.iter().cloned().collect();
    let mut first: Option<Vec<String>> = None;
    for node in nodes {
        let mut missing = Vec::new();
        let deadline = Instant::now() + TIMEOUT;
        while node.state().room.len() < expected.len() {
            assert!(Instant::now() < deadline, "missing: {missing:?} {:?}", find_forks(nodes));
            thread::sleep(Duration::from_millis(10));
            missing = nodes.iter().map(TestNode::describe).collect();
        }
        let room = node.state().room.clone();
        assert_eq!(room.len(), expected.len(), "a text is in the room twice");
        // Without the rooms in the message: they are long.
        assert!(room.iter().cloned().collect::<HashSet<_>>() == expected, "other texts");
        assert!(*first.get_or_insert(room.clone()) == room, "the rooms differ");
    }
}

/// Checks that all rooms have exactly these texts, after a fault of a leader.
///
/// nats-server 2.9.10 sometimes shows readers a message that it gives up when its leader was stopped
/// by SIGSTOP: two messages have the same number. Nodes cannot prevent that. They have to find it, and
/// to begin a new epoch with equal rooms.
#[track_caller]
fn assert_survived(nodes: &[TestNode], texts: &[String]) {
    let has_all = |node: &TestNode| node.state().room.len() >= texts.len();
    let has_new_epoch = |node: &TestNode| node.state().epochs.len() > 1 && node.is_inside();
    let deadline = Instant::now() + TIMEOUT;
    while !nodes.iter().all(has_all) && !nodes.iter().all(has_new_epoch) {
        let states: String = nodes.iter().map(TestNode::describe).collect();
        assert!(Instant::now() < deadline, "of {} texts:\n{states}", texts.len());
        thread::sleep(Duration::from_millis(10));
    }
    let forks = find_forks(nodes);
    if forks.is_empty() {
        assert_rooms(nodes, texts);
        return assert_one_epoch(nodes);
    }
    eprintln!("the engine forked: {forks:?}");
    wait_until("all nodes are in a new epoch", || nodes.iter().all(has_new_epoch));
    let texts = propose_all(nodes, "after the fork");
    wait_until("the rooms go on and are equal", || {
        let rooms: Vec<_> = nodes.iter().map(|node| node.state().room.clone()).collect();
        let goes_on = texts.iter().all(|text| rooms[0].contains(text));
        goes_on && rooms.iter().all(|room| *room == rooms[0])
    });
}

/// Returns the numbers with which the engine delivered more than one message.
fn find_forks(nodes: &[TestNode]) -> Vec<(u64, u64, u64)> {
    let all: BTreeSet<_> = nodes.iter().flat_map(|node| node.state().log.clone()).collect();
    let all: Vec<_> = all.into_iter().collect();
    let pairs = all.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    pairs.flatten().copied().collect()
}

/// Checks that no node had to begin an epoch or lost its place in the room.
#[track_caller]
fn assert_one_epoch(nodes: &[TestNode]) {
    for node in nodes {
        assert_eq!(node.state().epochs.len(), 1, "{:?}", node.state().failures);
    }
}
