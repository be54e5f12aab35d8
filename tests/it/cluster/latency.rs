//! The time from a proposal to its arrival, printed with `--nocapture`.

use std::thread;
use std::time::{Duration, Instant};

use super::nats_servers::NatsServers;
use super::{assert_rooms, start_nodes};

/// Proposes 200 texts a second for three seconds.
fn measure(servers: &NatsServers) {
    let nodes = start_nodes(servers);
    let mut texts = Vec::new();
    let start = Instant::now();
    for number in 0..600u32 {
        let at = start + number * Duration::from_millis(5);
        thread::sleep(at.saturating_duration_since(Instant::now()));
        let text = format!("text {number}");
        nodes[number as usize % 3].propose(&text);
        texts.push(text);
    }
    assert_rooms(&nodes, &texts);
    let mut latencies: Vec<_> =
        nodes.iter().flat_map(|node| node.state().latencies.clone()).collect();
    latencies.sort();
    let (p50, p99) = (latencies[latencies.len() / 2], latencies[latencies.len() * 99 / 100]);
    println!("{} replicas: append to read p50 {p50:?}, p99 {p99:?}", servers.count());
    let mut texts = Vec::new();
    let start = Instant::now();
    for number in 0..60_000 {
        let text = format!("a line of an ordinary length, as members say it: {number}");
        nodes[number % 3].propose(&text);
        texts.push(text);
    }
    let mut expected = nodes[0].state().room.clone();
    expected.truncate(600);
    expected.extend(texts);
    assert_rooms(&nodes, &expected);
    let rate = 60_000.0 / start.elapsed().as_secs_f64();
    println!("{} replicas: {rate:.0} commands a second", servers.count());
}

#[test]
#[ignore = "needs nats-server"]
fn latency_with_one_replica() {
    measure(&NatsServers::start(1));
}

#[test]
#[ignore = "needs nats-server"]
fn latency_with_three_replicas() {
    measure(&NatsServers::start(3));
}
