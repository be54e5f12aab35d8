//! Tests of whole clusters without sockets.

mod property;

use std::collections::{BTreeSet, HashSet};

use super::super::entry::{NodeRules, VERSION};
use super::super::membership::LEASE_MS;
use super::super::simulation::{Simulation, WriteResult};
use super::*;

const SECOND: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_millis(LEASE_MS);

fn running(count: usize) -> Simulation {
    let mut cluster = Simulation::new(count);
    cluster.run(SECOND);
    cluster.assert_converged();
    cluster
}

fn number(cluster: &Simulation, index: usize) -> NodeNumber {
    match cluster.nodes[index].node.state() {
        NodeState::Inside(number) => number,
        other => panic!("{other:?}"),
    }
}

/// Counts the epochs that any node has seen.
fn count_epochs(cluster: &Simulation) -> usize {
    cluster.nodes.iter().flat_map(|node| &node.epochs).collect::<HashSet<_>>().len()
}

#[test]
fn nodes_of_an_empty_log_share_one_epoch() {
    let cluster = running(3);
    assert_eq!(cluster.nodes[2].epochs.len(), 1);
    assert_eq!(cluster.nodes[2].node.replica().nodes().count(), 3);
}

#[test]
fn idle_nodes_stay_and_room_time_keeps_up() {
    for count in [1, 3] {
        let mut cluster = running(count);
        let before = (number(&cluster, 0), cluster.nodes[0].node.replica().time().uptime_ms);
        cluster.run(Duration::from_secs(120));
        assert_eq!(number(&cluster, 0), before.0);
        let passed = cluster.nodes[0].node.replica().time().uptime_ms - before.1;
        assert!((115_000..=120_000).contains(&passed), "{count} nodes: {passed} ms");
        assert!(cluster.log.len() < 130 * count, "{} entries", cluster.log.len());
    }
}

#[test]
fn silent_node_is_out_after_its_lease() {
    let mut cluster = running(3);
    let stopped = cluster.nodes.pop().unwrap();
    cluster.run(LEASE - SECOND);
    assert_eq!(cluster.nodes[0].node.replica().nodes().count(), 3);
    cluster.run(5 * SECOND);
    assert_eq!(cluster.nodes[0].node.replica().nodes().count(), 2);
    // It enters again as another incarnation.
    cluster.nodes.push(stopped);
    cluster.run(SECOND);
    assert_eq!(number(&cluster, 2), NodeNumber(4));
    cluster.assert_converged();
}

#[test]
fn entry_of_an_expired_node_does_not_count() {
    let mut cluster = running(2);
    let mut stopped = cluster.nodes.pop().unwrap();
    stopped.node.propose(1u64).unwrap();
    cluster.run(LEASE + 5 * SECOND);
    cluster.nodes.push(stopped);
    // Written before the node reads that it is out.
    assert!(cluster.poll(1, WriteResult::Stored));
    cluster.run(SECOND);
    assert!(cluster.nodes[0].room.is_empty());
    cluster.assert_converged();
}

#[test]
fn pause_of_the_engine_ends_no_lease() {
    let mut cluster = running(3);
    let numbers: Vec<_> = (0..3).map(|index| number(&cluster, index)).collect();
    for offset in [60_000, -3_600_000, 0] {
        // An election, after which another clock counts.
        cluster.now += 20 * SECOND;
        cluster.clock_offset += offset;
        cluster.run(30 * SECOND);
    }
    assert_eq!((0..3).map(|index| number(&cluster, index)).collect::<Vec<_>>(), numbers);
    cluster.assert_converged();
}

#[test]
fn restarted_node_replaces_itself_at_once() {
    let mut cluster = running(3);
    cluster.kill(1);
    cluster.run(SECOND);
    assert_eq!(cluster.nodes[0].node.replica().nodes().count(), 3);
    assert_eq!(number(&cluster, 1), NodeNumber(4));
}

#[test]
fn node_that_leaves_is_out_behind_its_commands() {
    let mut cluster = running(2);
    cluster.nodes[1].node.propose(5u64).unwrap();
    cluster.nodes[1].node.leave();
    while cluster.poll(1, WriteResult::Stored) {
        while cluster.deliver(1) {}
        if cluster.nodes[1].node.state() == NodeState::Outside {
            break;
        }
    }
    while cluster.deliver(0) {}
    assert_eq!(cluster.nodes[0].node.replica().nodes().count(), 1);
    assert_eq!(cluster.nodes[0].room, [5]);
}

#[test]
fn node_with_other_rules_is_refused() {
    let mut cluster = running(2);
    let rules: NodeRules = [("--history".to_owned(), "5".to_owned())].into();
    let info = NodeInfo { name: "other".into(), version: VERSION, rules, ..NodeInfo::default() };
    cluster.nodes[1].node = Node::new(info, 99, "e".into());
    cluster.open(1);
    cluster.run(SECOND);
    let expected = vec!["--history 5 instead of not set".to_owned()];
    assert_eq!(cluster.nodes[1].node.state(), NodeState::Refused(expected));
    assert_eq!(cluster.nodes[0].node.replica().nodes().count(), 2);
}

#[test]
fn differing_replica_begins_a_new_epoch() {
    let mut cluster = running(3);
    // A fault of one machine.
    cluster.nodes[1].node.add_effects(12345);
    cluster.run(10 * SECOND);
    cluster.assert_converged();
    assert!(cluster.nodes.iter().any(|node| !node.errors.is_empty()));
    assert_eq!(count_epochs(&cluster), 2);
}

#[test]
fn stream_made_anew_begins_a_new_epoch() {
    let mut cluster = running(3);
    cluster.nodes[2].node.propose(1u64).unwrap();
    cluster.run(SECOND);
    cluster.recreate();
    // An entry for the old stream, in the new one.
    cluster.nodes[2].node.propose(2u64).unwrap();
    cluster.poll(2, WriteResult::Stored);
    cluster.open_all();
    cluster.assert_converged();
    assert_eq!(count_epochs(&cluster), 2);
    assert!(cluster.nodes[0].room.is_empty());
}

#[test]
fn node_with_the_wrong_stream_enters_again() {
    let mut cluster = Simulation::new(2);
    let stream = cluster.stream;
    cluster.stream.created += 1;
    cluster.kill(1);
    cluster.stream = stream;
    cluster.run(10 * SECOND);
    cluster.assert_converged();
}

#[test]
fn shorter_stream_begins_a_new_epoch() {
    let mut cluster = running(3);
    for number in 0..20u64 {
        cluster.nodes[0].node.propose(number).unwrap();
        cluster.run(SECOND / 10);
    }
    let kept = cluster.log.len() - 10;
    cluster.log.truncate(kept);
    cluster.stream.last = kept as u64;
    cluster.open_all();
    cluster.assert_converged();
    assert_eq!(count_epochs(&cluster), 2);
}

#[test]
fn fork_is_found_when_a_node_missed_the_loss() {
    let mut cluster = running(3);
    for number in 0..20u64 {
        cluster.nodes[0].node.propose(number).unwrap();
        cluster.run(SECOND / 10);
    }
    // The log loses its end, and grows beyond its earlier length without one of the nodes.
    let away = cluster.nodes.pop().unwrap();
    let kept = cluster.log.len() - 10;
    cluster.log.truncate(kept);
    cluster.stream.last = kept as u64;
    cluster.open(0);
    cluster.open(1);
    cluster.run(40 * SECOND);
    assert!(cluster.stream.last > away.node.position());
    cluster.nodes.push(away);
    cluster.run(10 * SECOND);
    cluster.assert_converged();
    assert!(!cluster.nodes[2].errors.is_empty());
}

#[test]
fn hole_in_the_log_begins_a_new_epoch() {
    let mut cluster = running(2);
    cluster.log.retain(|message| message.seq != 4);
    cluster.kill(1);
    cluster.run(SECOND);
    cluster.assert_converged();
    assert!(matches!(cluster.nodes[1].errors[..], [ReadError::Hole { expected: 4, .. }]));
    assert_eq!(count_epochs(&cluster), 2);
}

#[test]
fn node_behind_a_purge_restores_the_snapshot() {
    let mut cluster = running(2);
    let behind = cluster.nodes.pop().unwrap();
    cluster.nodes[0].node.propose(7u64).unwrap();
    cluster.run(SECOND);
    let node = &cluster.nodes[0];
    cluster.snapshot = Some(encode(1, node.node.replica(), &node.room));
    cluster.purge(cluster.stream.last + 1);
    cluster.run(SECOND);
    cluster.nodes.push(behind);
    cluster.run(SECOND);
    cluster.assert_converged();
    assert_eq!((cluster.nodes[1].room.clone(), count_epochs(&cluster)), (vec![7], 1));
}

#[test]
fn version_that_no_node_writes_is_ignored() {
    let mut cluster = running(2);
    cluster.store(br#"{"v":2}"#);
    cluster.store(br#"{"v":0}"#);
    cluster.nodes[0].node.propose(7u64).unwrap();
    cluster.run(SECOND);
    cluster.assert_converged();
    assert_eq!((cluster.nodes[1].room.clone(), count_epochs(&cluster)), (vec![7], 1));
}

#[test]
fn unknown_version_stops_a_node_and_nothing_else() {
    let mut cluster = Simulation::new(1);
    cluster.nodes[0].node.info.version = 2;
    cluster.run(SECOND);
    let (position, head) =
        (cluster.nodes[0].node.position(), cluster.nodes[0].node.replica().head());
    cluster.store(br#"{"v":2}"#);
    for _ in 0..2 {
        cluster.deliver(0);
    }
    assert_eq!(cluster.nodes[0].errors, vec![ReadError::UnknownVersion(2); 2]);
    assert_eq!(
        (cluster.nodes[0].node.position(), cluster.nodes[0].node.replica().head()),
        (position, head)
    );
}

#[test]
fn late_node_waits_for_a_snapshot() {
    let mut cluster = running(2);
    cluster.nodes[0].node.propose(7u64).unwrap();
    cluster.run(SECOND);
    cluster.purge(cluster.stream.last - 1);
    let epoch = cluster.nodes[0].epochs.clone();
    let mut late = Simulation::new(3).nodes.pop().unwrap();
    late.room.clear();
    cluster.nodes.push(late);
    cluster.kill(2);
    cluster.run(5 * SECOND);
    cluster.assert_converged();
    assert_eq!(cluster.nodes[2].room, [7]);
    assert_eq!(cluster.nodes[2].node.replica().epoch(), epoch.first().map(String::as_str));
}

#[test]
fn purged_log_without_nodes_begins_a_new_epoch() {
    let mut cluster = running(1);
    cluster.run(20 * SECOND);
    cluster.purge(cluster.stream.last + 1);
    cluster.kill(0);
    cluster.run(SNAPSHOT_TIMEOUT - SECOND);
    assert_eq!(cluster.nodes[0].node.state(), NodeState::Starting);
    cluster.run(3 * SECOND);
    cluster.assert_converged();
}

#[test]
fn log_shorter_than_the_snapshot_begins_a_new_epoch() {
    let mut cluster = running(1);
    let snapshot = encode(9, cluster.nodes[0].node.replica(), &vec![1u64]);
    cluster.snapshot = Some(snapshot);
    cluster.log.truncate(1);
    cluster.stream.last = 1;
    cluster.kill(0);
    cluster.run(SECOND);
    cluster.assert_converged();
    assert!(cluster.nodes[0].room.is_empty());
    assert_eq!(cluster.log[1].seq, 2);
    assert!(String::from_utf8_lossy(&cluster.log[1].bytes).contains("reset"));
}

#[test]
fn first_node_writes_a_snapshot_each_8_mib() {
    let mut cluster = running(2);
    let mut positions = BTreeSet::new();
    for _ in 0..500 {
        // All bytes of the log count, also those that are no entry.
        cluster.store(&[0; 60_000]);
        cluster.run(SECOND / 20);
        positions.extend(cluster.snapshot.as_ref().map(|snapshot| snapshot.notice.position));
    }
    let bytes: usize = cluster.log.iter().map(|message| message.bytes.len()).sum();
    assert_eq!(positions.len() as u64, bytes as u64 / SNAPSHOT_EVERY, "{bytes} bytes");
    let snapshot = cluster.snapshot.as_ref().unwrap();
    let (replica, _) = super::super::snapshot::decode::<Vec<u64>>(&snapshot.bytes).unwrap();
    assert!(replica.is_snapshot_writer(cluster.nodes[0].node.appender().inc()));
    assert_eq!(replica.position(), snapshot.notice.position);
}
