//! Many connections that are ending at once.

use super::*;

#[test]
fn all_members_may_be_slow_at_once() {
    let mut harness = BroadcasterHarness::with_max_clients(100);
    let members: Vec<u64> = (1..60).map(|_| harness.join().expect("a member")).collect();
    harness.make_all_slow();
    harness.advance(Duration::from_secs(100));
    for id in members {
        harness.check_bye(id, "slow");
    }
    harness.end_task(OBSERVER, DisconnectReason::Finished);
    harness.check_released();
}

#[test]
fn refused_clients_are_bounded_and_cut_no_line() {
    const MAX_CLIENTS: usize = 8;
    const MAX_CONNECTIONS: usize = MAX_CLIENTS + 16;
    const MAX_VISITORS: usize = 8;
    let mut harness = BroadcasterHarness::with_max_clients(MAX_CLIENTS);
    let mut slow = Vec::new();
    while let Some(id) = harness.join() {
        slow.push(id);
    }
    harness.make_all_slow();
    // These members have left the room, but their connections are ending and keep their places.
    while let Some(id) = harness.join() {
        slow.push(id);
        harness.make_all_slow();
    }
    assert_eq!(slow.len(), MAX_CONNECTIONS - 1);
    let refused: Vec<u64> = (0..100)
        .map(|_| {
            let id = harness.connect();
            assert!(harness.broadcaster.clients.len() <= MAX_CONNECTIONS + MAX_VISITORS);
            id
        })
        .collect();
    harness.advance(HELLO_WAIT);
    for id in refused {
        harness.check_bye(id, "full");
    }
    for id in slow {
        harness.check_bye(id, "slow");
    }
    assert!(harness.join().is_some());
}

#[test]
fn slow_member_that_reads_late_is_not_shut_down() {
    let mut harness = BroadcasterHarness::with_max_clients(8);
    let id = harness.join().expect("a member");
    harness.make_all_slow();
    harness.advance(Duration::from_secs(60));
    harness.remotes.get_mut(&id).expect("a client").read();
    harness.turn(Some(Event::Writable(ClientId(id))));
    // The bye is written. The kernel may still hold lines.
    harness.advance(Duration::from_secs(50));
    assert_eq!(harness.broadcaster.clients.len(), 2);
    harness.advance(Duration::from_secs(10));
    assert_eq!(harness.broadcaster.clients.len(), 1);
}
