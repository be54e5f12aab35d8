//! Clients that join, wait or are refused.

use super::*;

#[test]
fn silent_client_joins_as_guest_after_the_wait() {
    let mut harness = RoomHarness::new(Config::default());
    harness.connect(1);
    harness.connect(2);
    harness.advance(Duration::from_millis(249));
    harness.say(2, "hi");
    harness.seal();
    assert_eq!(harness.frames(1), [] as [Value; 0]);
    assert_eq!(harness.transcript(2), ["join: guest-1002 joined", "chat: hi"]);
    harness.advance(Duration::from_millis(1));
    harness.seal();
    assert_eq!(harness.transcript(1), ["join: guest-1001 joined"]);
    assert_eq!(harness.room.deadline(), None);
}

#[test]
fn wait_that_ends_after_the_first_line_is_ignored() {
    let mut harness = RoomHarness::new(Config::default());
    harness.connect(1);
    harness.now.uptime += Duration::from_secs(1);
    let client = harness.room.pop_silent(harness.now).expect("a silent client");
    harness.say(1, r#"{"hello":{"name":"alice"}}"#);
    harness.room.apply(Input::HelloWaitOver { id: client.id }, harness.now);
    harness.seal();
    assert_eq!(harness.transcript(1), ["join: alice joined"]);
}

#[test]
fn extended_waits_end_in_their_order() {
    let mut harness = RoomHarness::new(Config::default());
    harness.connect(1);
    harness.connect(2);
    harness.now.uptime += Duration::from_millis(250);
    let client = harness.room.pop_silent(harness.now).expect("a silent client");
    harness.connect(3);
    harness.room.wait_for_hello(client, Duration::from_millis(50));
    harness.advance(Duration::from_millis(49));
    harness.advance(Duration::from_millis(1));
    harness.advance(Duration::from_millis(200));
    harness.seal();
    assert_eq!(harness.transcript(2), ["join: guest-1002, guest-1001 and guest-1003 joined"]);
}

#[test]
fn silent_client_that_leaves_is_not_announced() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.connect(2);
    harness.leave(2, DisconnectReason::Finished);
    harness.advance(Duration::from_secs(1));
    harness.seal();
    assert_eq!(harness.transcript(1), ["join: alice joined"]);
    assert_eq!(harness.room.admission.clients(), [1]);
}

#[test]
fn lobby_does_not_grow_with_a_long_hello_wait() {
    let config = Config { hello_wait: Duration::from_secs(3600), ..Config::default() };
    let mut harness = RoomHarness::new(config);
    for id in 0..1000 {
        harness.connect(id);
        harness.leave(id, DisconnectReason::Finished);
        harness.seal();
    }
    assert!(harness.room.lobby.len() < 32, "{} wait", harness.room.lobby.len());
}

#[test]
fn full_room_refuses_and_counts_no_client() {
    let config = Config { max_clients: 3, max_per_ip: 2, ..Config::default() };
    let mut harness = RoomHarness::new(config);
    for id in 1..=3 {
        harness.connect(id);
    }
    harness.seal();
    assert_eq!(harness.frames(3)[0]["code"], "full");
    assert!(harness.clients[&3].is_closed);
    harness.leave(3, DisconnectReason::Finished);
    for id in 4..=5 {
        harness.connect_from(id, Peer::Unix);
    }
    harness.seal();
    assert!(!harness.clients[&4].is_closed, "a unix socket has no address to count");
    assert_eq!(harness.frames(5)[0]["code"], "full");
    harness.leave(1, DisconnectReason::Finished);
    harness.connect(6);
    harness.seal();
    assert!(!harness.clients[&6].is_closed);
}

#[test]
fn address_that_connects_too_fast_is_refused() {
    let mut harness =
        RoomHarness::new(Config { connect_rate: 20, connect_burst: 2, ..Config::default() });
    for id in 1..=3 {
        harness.join(id, "alice");
    }
    harness.seal();
    let frames: Vec<_> = harness.frames(3).iter().map(|frame| frame["kind"].clone()).collect();
    assert_eq!(frames, ["error", "bye"]);
    assert!(harness.frames(3).iter().all(|frame| frame["code"] == "too-fast"));
    assert!(harness.clients[&3].is_closed);
    harness.advance(Duration::from_millis(50));
    harness.join(4, "bob");
    harness.seal();
    assert_eq!(harness.frames(4)[0]["kind"], "welcome");
}
