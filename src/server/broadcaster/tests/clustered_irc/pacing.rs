//! A node that was behind the log.

use super::*;

#[test]
fn node_that_was_behind_waits_for_readers() {
    const LINES: usize = 2000;
    let mut harness = LogHarness::new();
    let [alice, bob] = [0, 1].map(|at| (at, harness.connect(at, ListenerProtocol::Chat)));
    harness.say(alice, &["hello"]);
    harness.say(bob, &["hello"]);
    harness.flush();
    harness.lines(alice);
    let line = "x".repeat(1000);
    for _ in 0..LINES / 50 {
        harness.say(bob, &[line.as_str(); 50]);
        while harness.append(1) | harness.read(1) {}
        harness.lines(bob);
    }
    let node = &mut harness.nodes[0];
    for message in &harness.log[node.next.unwrap()..] {
        node.events.try_send(EngineEvent::Message(message.clone())).unwrap();
    }
    let mut received = 0;
    while received < LINES {
        // The node is much faster than its client.
        for _ in 0..20 {
            harness.now.uptime += Duration::from_millis(5);
            harness.turn(0, None);
        }
        let lines = harness.lines(alice);
        assert!(lines.iter().all(|line| line.contains("xxx")), "{:?}", lines.last());
        assert!(!lines.is_empty());
        received += lines.len();
    }
    assert_eq!(received, LINES);
}
