//! Snapshots, full disks, and streams that are purged or created anew.

use std::time::Duration;

use super::nats_servers::NatsServers;
use super::test_node::TestNode;
use super::{assert_one_epoch, assert_rooms, propose_all, start_nodes, wait_until};

#[test]
#[ignore = "needs nats-server"]
fn late_node_starts_from_a_snapshot() {
    let servers = NatsServers::start(1);
    let mut nodes = start_nodes(&servers);
    let mut texts = propose_all(&nodes, "x".repeat(20_000).as_str());
    assert_rooms(&nodes, &texts);
    for round in 0..3 {
        nodes[0].write_snapshot();
        let at = nodes[0].state().position;
        wait_until("the snapshot is stored", || nodes[1].state().snapshot_position >= Some(at));
        let snapshots = servers.stream_state("ROOM_SNAPSHOTS");
        assert!(snapshots["messages"].as_u64() > Some(1), "after snapshot {round}: {snapshots}");
        texts.extend(propose_all(&nodes, &format!("round {round}")));
        assert_rooms(&nodes, &texts);
    }
    // The log before the second snapshot is gone.
    let info = servers.stream_state("ROOM");
    assert!(info["first_seq"].as_u64().unwrap() > 10, "{info}");
    nodes.push(TestNode::start(servers.addresses(0), "late", 1));
    nodes[3].wait_until_inside();
    texts.extend(propose_all(&nodes, "late"));
    assert_rooms(&nodes, &texts);
    // The new one did not read the beginning of the epoch.
    assert!(nodes[3].state().epochs.is_empty());
}

#[test]
#[ignore = "needs nats-server"]
fn purged_log_is_replaced_by_a_snapshot() {
    let servers = NatsServers::start(1);
    let mut nodes = start_nodes(&servers);
    let mut texts = propose_all(&nodes, "before");
    assert_rooms(&nodes, &texts);
    servers.request("$JS.API.STREAM.PURGE.ROOM", "");
    texts.extend(propose_all(&nodes, "purged"));
    assert_rooms(&nodes, &texts);
    nodes.push(TestNode::start(servers.addresses(0), "late", 1));
    nodes[3].wait_until_inside();
    assert_rooms(&nodes, &texts);
    assert_one_epoch(&nodes[..3]);
}

#[test]
#[ignore = "needs nats-server"]
fn deleted_stream_begins_a_new_epoch() {
    let servers = NatsServers::start(1);
    let nodes = start_nodes(&servers);
    let texts = propose_all(&nodes, "before");
    assert_rooms(&nodes, &texts);
    servers.request("$JS.API.STREAM.DELETE.ROOM", "");
    wait_until("all nodes are in a new epoch", || {
        let is_new = |node: &TestNode| node.state().epochs.len() > 1 && node.is_inside();
        nodes.iter().all(is_new)
    });
    let texts = propose_all(&nodes, "after");
    assert_rooms(&nodes, &texts);
}

#[test]
#[ignore = "needs nats-server"]
fn full_disk_holds_entries_back() {
    let servers = NatsServers::start_with_disk(1, "4MB");
    let nodes = start_nodes(&servers);
    let long = "x".repeat(30_000);
    let mut texts = Vec::new();
    // The last entries of each node do not fit.
    for number in 0..50 {
        for (index, node) in nodes.iter().enumerate() {
            let text = format!("{index} {number} {long}");
            node.propose(&text);
            texts.push(text);
        }
    }
    wait_until("the disk is full", || {
        let state = servers.stream_state("ROOM");
        std::thread::sleep(Duration::from_millis(500));
        let bytes = servers.stream_state("ROOM")["bytes"].clone();
        bytes == state["bytes"] && bytes.as_u64().unwrap() > 2_000_000
    });
    assert!(nodes[0].state().room.len() < texts.len());
    // An administrator deletes old entries.
    servers.request("$JS.API.STREAM.PURGE.ROOM", r#"{"keep":10}"#);
    assert_rooms(&nodes, &texts);
    assert_one_epoch(&nodes);
}
