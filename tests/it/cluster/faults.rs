//! Faults of the servers and of the network: no entry is lost, and none is applied twice.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use smolchat::cluster::entry::NodeRules;
use smolchat::cluster::lease::Reach;
use smolchat::cluster::node::NodeState;

use super::link::Link;
use super::nats_servers::NatsServers;
use super::test_node::TestNode;
use super::{
    assert_one_epoch, assert_rooms, assert_survived, propose_all, start_nodes, wait_until,
};

/// Otherwise its replicas have different times of creation, and the room begins an epoch when another
/// of the servers leads it.
#[test]
#[ignore = "needs nats-server"]
fn nodes_that_start_together_create_a_stream_once() {
    let servers = NatsServers::start(3);
    let requests = servers.subscribe("$JS.API.STREAM.CREATE.>");
    assert_one_epoch(&start_nodes(&servers));
    let mut requests = requests();
    requests.sort();
    let expected = ["ROOM", "ROOM_SNAPSHOTS"].map(|name| format!("$JS.API.STREAM.CREATE.{name}"));
    assert_eq!(requests, expected);
}

#[test]
#[ignore = "needs nats-server"]
fn restart_of_one_server_loses_no_entry() {
    let mut servers = NatsServers::start(1);
    let nodes = start_nodes(&servers);
    let mut texts = propose_all(&nodes, "before");
    servers.kill(0);
    texts.extend(propose_all(&nodes, "while"));
    wait_until("the room is out of reach", || nodes[0].state().reach >= Some(Reach::OutOfReach));
    servers.restart(0);
    texts.extend(propose_all(&nodes, "after"));
    assert_rooms(&nodes, &texts);
    assert_one_epoch(&nodes);
}

#[test]
#[ignore = "needs nats-server"]
fn two_killed_leaders_lose_no_entry() {
    let mut servers = NatsServers::start(3);
    let nodes = start_nodes(&servers);
    let mut texts = propose_all(&nodes, "before");
    for round in ["first", "second"] {
        let leader = servers.leader("ROOM");
        servers.kill(leader);
        let killed_at = Instant::now();
        texts.extend(propose_all(&nodes, round));
        assert_rooms(&nodes, &texts);
        eprintln!("{round} leader: a pause of {:?}", killed_at.elapsed());
        servers.restart(leader);
        servers.wait_until_healthy();
    }
    assert_one_epoch(&nodes);
    for node in &nodes {
        assert!(node.state().worst_reach < Some(Reach::Ending));
    }
}

#[test]
#[ignore = "needs nats-server"]
fn restart_of_all_servers_loses_no_entry() {
    let mut servers = NatsServers::start(3);
    let nodes = start_nodes(&servers);
    let mut texts = propose_all(&nodes, "before");
    for index in 0..3 {
        servers.kill(index);
    }
    texts.extend(propose_all(&nodes, "while"));
    for index in 0..3 {
        servers.restart(index);
    }
    texts.extend(propose_all(&nodes, "after"));
    assert_survived(&nodes, &texts);
}

#[test]
#[ignore = "needs nats-server"]
fn stopped_leader_loses_no_entry() {
    let servers = NatsServers::start(3);
    let nodes = start_nodes(&servers);
    let mut texts = propose_all(&nodes, "before");
    let leader = servers.leader("ROOM");
    servers.signal(leader, Signal::STOP);
    texts.extend(propose_all(&nodes, "while"));
    // Longer than a lease.
    thread::sleep(Duration::from_secs(12));
    servers.signal(leader, Signal::CONT);
    texts.extend(propose_all(&nodes, "after"));
    assert_survived(&nodes, &texts);
}

/// Starts two nodes at the server, and one behind a link.
fn start_behind_link(servers: &NatsServers) -> (Vec<TestNode>, Link) {
    let link = Link::start(servers.address(0));
    let mut nodes: Vec<_> =
        ["a", "b"].map(|name| TestNode::start(servers.addresses(0), name, 1)).into();
    nodes.push(TestNode::start(vec![link.address()], "c", 1));
    for node in &nodes {
        node.wait_until_inside();
    }
    (nodes, link)
}

#[test]
#[ignore = "needs nats-server"]
fn short_cut_loses_nothing() {
    let servers = NatsServers::start(1);
    let (nodes, link) = start_behind_link(&servers);
    let mut texts = propose_all(&nodes, "before");
    let node_state = nodes[2].state().node_state.clone();
    link.cut();
    texts.extend(propose_all(&nodes, "while"));
    thread::sleep(Duration::from_secs(3));
    link.mend();
    texts.extend(propose_all(&nodes, "after"));
    assert_rooms(&nodes, &texts);
    link.close();
    link.delay(Duration::from_millis(20));
    texts.extend(propose_all(&nodes, "slow"));
    assert_rooms(&nodes, &texts);
    assert_one_epoch(&nodes);
    assert_eq!(nodes[2].state().node_state, node_state);
}

#[test]
#[ignore = "needs nats-server"]
fn long_cut_ends_before_the_lease() {
    let servers = NatsServers::start(1);
    let (nodes, link) = start_behind_link(&servers);
    let mut texts = propose_all(&nodes, "before");
    assert_rooms(&nodes, &texts);
    let number = nodes[2].number().unwrap();
    link.cut();
    let cut_at = Instant::now();
    nodes[2].propose("too late");
    wait_until("the clients have to go", || nodes[2].state().reach == Some(Reach::Ending));
    let waited = cut_at.elapsed();
    assert!(waited < Duration::from_secs(10), "{waited:?}");
    thread::sleep(Duration::from_secs(15).saturating_sub(cut_at.elapsed()));
    link.mend();
    wait_until("the node is back as another one", || nodes[2].number() > Some(number));
    // The text that was proposed after the cut is applied once: as one of the new node.
    texts.push("too late".into());
    assert_rooms(&nodes, &texts);
    assert_one_epoch(&nodes);
}

#[test]
#[ignore = "needs nats-server"]
fn killed_node_does_not_affect_the_others() {
    let servers = NatsServers::start(1);
    let mut nodes = start_nodes(&servers);
    let mut texts = propose_all(&nodes, "before");
    assert_rooms(&nodes, &texts);
    nodes.pop().unwrap().kill();
    texts.extend(propose_all(&nodes, "without"));
    assert_rooms(&nodes, &texts);
    for node in &nodes {
        assert_eq!(node.state().worst_reach, Some(Reach::Reachable));
    }
    let back = TestNode::start(servers.addresses(0), "n2", 1);
    back.wait_until_inside();
    nodes.push(back);
    texts.extend(propose_all(&nodes, "with"));
    assert_rooms(&nodes, &texts);
    let number = nodes[2].number().unwrap();
    nodes[2].leave();
    wait_until("the node has left and is back", || nodes[2].number() > Some(number));
    assert_one_epoch(&nodes);
}

#[test]
#[ignore = "needs nats-server"]
fn node_with_other_rules_does_not_start() {
    let servers = NatsServers::start(1);
    let nodes = start_nodes(&servers);
    let rules: NodeRules = [("--history".to_owned(), "7".to_owned())].into();
    let other = TestNode::start_with_rules(servers.addresses(0), "other", 1, rules);
    let expected = vec!["--history 7 instead of not set".to_owned()];
    wait_until("the node is refused", || {
        other.state().node_state == Some(NodeState::Refused(expected.clone()))
    });
    assert_rooms(&nodes, &propose_all(&nodes, "after"));
}
