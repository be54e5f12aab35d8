//! A room on three servers while the clock of the log steps.

use std::sync::Arc;

use serde_json::Value;

use super::link::Link;
use super::nats_servers::NatsServers;
use super::room_nodes::RoomNodes;
use super::stepped_clock::SteppedClock;
use super::wait_until;

const HOUR_MS: i64 = 3_600_000;
/// The messages from the death of a leader to the step: more than those on the way.
const MARGIN: u64 = 100;

/// Returns the time of the last frame that a client received.
fn last_time(nodes: &RoomNodes) -> i64 {
    let record = nodes.clients[0].record();
    let (_, frames) = record.epochs.last().unwrap();
    let frame: Value = serde_json::from_str(frames.values().next_back().unwrap()).unwrap();
    frame["time"].as_i64().unwrap()
}

#[test]
#[ignore = "needs nats-server"]
fn room_survives_a_clock_that_steps_at_failover() {
    let mut nats = NatsServers::start(3);
    let clock = Arc::new(SteppedClock::default());
    let links: Vec<_> =
        (0..3).map(|index| Link::start_with_clock(nats.address(index), &clock)).collect();
    let addresses: Vec<_> = links.iter().map(Link::address).collect();
    let nodes = RoomNodes::start_with(vec![addresses; 3], 3, 0);
    let mut error = 0;
    for new_error in [HOUR_MS, -HOUR_MS] {
        let before = last_time(&nodes);
        let leader = nats.leader("ROOM");
        nats.kill(leader);
        let last = nats.stream_state("ROOM")["last_seq"].as_u64().unwrap();
        clock.step(last + MARGIN, new_error);
        let step = new_error - error;
        error = new_error;
        wait_until("the clock has stepped", || {
            ((last_time(&nodes) - before) - step).abs() < HOUR_MS / 2
        });
        nodes.wait_for_lines(10);
        nats.restart(leader);
        nats.wait_until_healthy();
    }
    assert_eq!(nodes.check(), 1);
}
