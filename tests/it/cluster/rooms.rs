//! A room on three servers, with faults: all members receive the same, and each line once.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use smolchat::client::{ReconnectPolicy, Session, SessionConfig, SessionEvent};

use super::link::Link;
use super::nats_servers::NatsServers;
use super::room_nodes::RoomNodes;
use super::wait_until;
use crate::common::run_server;

/// The time after which a fork of the log is found.
const FORK_TIME: Duration = Duration::from_secs(12);
/// The lines that each client says between two faults.
const LINES: usize = 10;

#[test]
#[ignore = "needs nats-server"]
fn room_survives_dead_nats_servers() {
    let mut nats = NatsServers::start(3);
    let nodes = RoomNodes::start(&nats);
    for _ in 0..2 {
        let leader = nats.leader("ROOM");
        nats.kill(leader);
        nodes.wait_for_lines(LINES);
        nats.restart(leader);
        nats.wait_until_healthy();
    }
    assert_eq!(nodes.check(), 1);
}

#[test]
#[ignore = "needs nats-server"]
fn room_survives_the_death_of_all_nats_servers() {
    let mut nats = NatsServers::start(3);
    let nodes = RoomNodes::start(&nats);
    (0..3).for_each(|index| nats.kill(index));
    (0..3).for_each(|index| nats.restart(index));
    thread::sleep(FORK_TIME);
    nodes.wait_for_lines(LINES);
    assert!(nodes.check_after_fork() <= 2);
}

#[test]
#[ignore = "needs nats-server"]
fn room_survives_a_stopped_leader() {
    let nats = NatsServers::start(3);
    let nodes = RoomNodes::start(&nats);
    let leader = nats.leader("ROOM");
    nats.signal(leader, Signal::STOP);
    // Longer than a lease.
    thread::sleep(Duration::from_secs(12));
    nats.signal(leader, Signal::CONT);
    thread::sleep(FORK_TIME);
    nodes.wait_for_lines(LINES);
    assert!(nodes.check_after_fork() <= 2);
}

#[test]
#[ignore = "needs nats-server"]
fn room_survives_dead_and_stopped_nodes() {
    let nats = NatsServers::start(1);
    let mut nodes = RoomNodes::start(&nats);
    nodes.servers[1].kill();
    nodes.wait_for_lines(LINES);
    nodes.restart(1);
    nodes.servers[2].signal(Signal::STOP);
    thread::sleep(Duration::from_secs(13));
    nodes.servers[2].signal(Signal::CONT);
    nodes.wait_for_lines(LINES);
    nodes.servers[0].stop();
    nodes.restart(0);
    nodes.wait_for_lines(LINES);
    assert_eq!(nodes.check(), 1);
}

#[test]
#[ignore = "needs nats-server"]
fn room_survives_a_node_cut_from_its_log() {
    let nats = NatsServers::start(1);
    let link = Link::start(nats.address(0));
    let lists = vec![nats.addresses(0), nats.addresses(0), vec![link.address()]];
    let nodes = RoomNodes::start_with(lists, 1, 0);
    let losses = || nodes.clients.iter().map(|client| client.record().losses.len()).sum::<usize>();
    link.cut();
    thread::sleep(Duration::from_secs(3));
    link.mend();
    nodes.wait_for_lines(LINES);
    assert_eq!(losses(), 0, "a short cut ends no connection: {}", nodes.describe());
    link.cut();
    wait_until("the clients go to other nodes", || losses() >= 4);
    let byes = |text: &String| text.contains("\"unreachable\"");
    assert!(nodes.clients.iter().any(|client| client.record().losses.iter().any(byes)));
    thread::sleep(Duration::from_secs(8));
    link.mend();
    nodes.wait_for_lines(LINES);
    assert_eq!(nodes.check(), 1);
}

#[test]
#[ignore = "needs nats-server"]
fn room_survives_a_full_disk() {
    let nats = NatsServers::start_with_disk(1, "6MB");
    let nodes = RoomNodes::start_padded(&nats, 3000);
    wait_until("the disk is full", || {
        let bytes = || nats.stream_state("ROOM")["bytes"].as_u64().unwrap();
        let before = bytes();
        thread::sleep(Duration::from_millis(500));
        bytes() == before && before > 3_000_000
    });
    nodes.clients.iter().for_each(|client| client.set_posting(false));
    thread::sleep(Duration::from_secs(3));
    // An administrator deletes old entries.
    nats.request("$JS.API.STREAM.PURGE.ROOM", r#"{"keep":10}"#);
    assert_eq!(nodes.check(), 1);
}

#[test]
#[ignore = "needs nats-server"]
fn room_survives_a_disk_without_space() {
    let mut nats = NatsServers::start_on_small_disk();
    let nodes = RoomNodes::start(&nats);
    nats.set_disk_full(true);
    let byes = |text: &String| text.contains("\"unreachable\"");
    wait_until("the clients are told to go elsewhere", || {
        nodes.clients.iter().all(|client| client.record().losses.iter().any(byes))
    });
    nats.set_disk_full(false);
    // The NATS server has disabled its streams until the next start.
    nats.kill(0);
    nats.restart(0);
    nodes.wait_for_lines(LINES);
    assert_eq!(nodes.check(), 1);
}

#[test]
#[ignore = "needs nats-server"]
fn late_node_reads_a_snapshot_of_the_room() {
    let nats = NatsServers::start(1);
    let mut nodes = RoomNodes::start_padded(&nats, 3000);
    wait_until("the log before a snapshot is gone", || {
        nats.stream_state("ROOM")["first_seq"].as_u64().unwrap() > 1
    });
    nodes.servers[1].kill();
    nodes.restart(1);
    nodes.wait_for_lines(LINES);
    assert_eq!(nodes.check(), 1);
}

#[test]
#[ignore = "needs nats-server"]
fn purged_and_deleted_log_begins_an_epoch_at_most() {
    let nats = NatsServers::start(1);
    let mut nodes = RoomNodes::start(&nats);
    nats.request("$JS.API.STREAM.PURGE.ROOM", "");
    nodes.wait_for_lines(LINES);
    nodes.servers[1].kill();
    nodes.restart(1);
    nodes.wait_for_lines(LINES);
    nats.request("$JS.API.STREAM.DELETE.ROOM", "");
    nodes.wait_for_lines(LINES);
    assert_eq!(nodes.check(), 2);
}

#[test]
#[ignore = "needs nats-server"]
fn session_goes_to_another_node_and_repeats_no_line() {
    let nats = NatsServers::start(1);
    let mut nodes = RoomNodes::start(&nats);
    // The other addresses are those of the welcome.
    let address = nodes.servers[0].address(0).to_owned();
    let config = SessionConfig::new("alice").keep_name(true);
    let session = Session::connect(address, config, ReconnectPolicy::Always);
    let mut session = smol::block_on(session).unwrap();
    let mut lines = Vec::new();
    let mut is_resumed = false;
    for number in 0..60 {
        if number == 30 {
            nodes.servers[0].kill();
        }
        session.send(&format!("line {number}")).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while lines.len() <= number {
            assert!(Instant::now() < deadline, "line {number} is not said: {session:?}");
            match smol::block_on(session.receive()).unwrap().unwrap() {
                SessionEvent::Received(received) if received.frame.data_source == "alice" => {
                    lines.push(received.frame.data.into_owned());
                }
                SessionEvent::Reconnected { resumed, .. } => is_resumed |= resumed,
                _ => {}
            }
        }
    }
    let expected: Vec<_> = (0..60).map(|number| format!("line {number}")).collect();
    assert_eq!(lines, expected);
    assert!(is_resumed);
}

#[test]
#[ignore = "needs nats-server"]
fn node_with_other_options_ends_and_names_them() {
    let nats = NatsServers::start(1);
    let nodes = RoomNodes::start(&nats);
    let servers = nats.addresses(0).join(",");
    let mut options = vec!["--listen", "127.0.0.1:0", "--cluster", &servers, "--room", "ROOM"];
    options.extend(["--node", "other", "--grace", "7"]);
    let output = run_server(&options);
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("refuses this node: --grace 7 instead of 60"), "{log}");
    assert_eq!(nodes.check(), 1);
}

#[test]
#[ignore = "needs nats-server"]
fn entry_of_a_version_of_no_node_is_ignored() {
    let nats = NatsServers::start(1);
    let nodes = RoomNodes::start(&nats);
    nats.publish("smolchat.ROOM.log", r#"{"v":2,"unknown":[]}"#);
    nodes.wait_for_lines(LINES);
    assert_eq!(nodes.check(), 1);
}

#[test]
#[ignore = "needs nats-server"]
fn room_survives_nodes_killed_in_turn() {
    let nats = NatsServers::start(1);
    let mut nodes = RoomNodes::start(&nats);
    for round in 0..6 {
        // With four lines of each of its clients on the way.
        nodes.servers[round % 3].kill();
        nodes.wait_for_lines(LINES);
        nodes.restart(round % 3);
        nodes.wait_for_lines(LINES);
    }
    assert_eq!(nodes.check(), 1);
}

#[test]
#[ignore = "needs nats-server"]
fn snapshots_are_whole_while_everything_fails() {
    let mut nats = NatsServers::start(3);
    let mut nodes = RoomNodes::start_padded(&nats, 3000);
    // Each snapshot deletes the log up to the one before.
    let first_number =
        |nats: &NatsServers| nats.stream_state("ROOM")["first_seq"].as_u64().unwrap();
    for round in 0..2 {
        let before = first_number(&nats);
        let leader = nats.leader("ROOM");
        nats.kill(leader);
        nodes.servers[round].kill();
        nodes.servers[(round + 1) % 3].signal(Signal::STOP);
        thread::sleep(Duration::from_secs(4));
        nodes.restart(round);
        nodes.servers[(round + 1) % 3].signal(Signal::CONT);
        nats.restart(leader);
        nodes.wait_for_lines(LINES);
        wait_until("a snapshot replaced a part of the log", || first_number(&nats) > before);
        nats.wait_until_healthy();
    }
    assert_eq!(nodes.check(), 1);
}
