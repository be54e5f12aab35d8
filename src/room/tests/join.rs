//! Clients that join, wait or are refused.

use super::resume::hello_of;
use super::*;
use crate::protocol::OtherProtocol;
use crate::room::presence::SILENT_NOTICE_DELAY;

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
    assert_eq!(harness.frames(1)[0]["name"], "guest-1001");
    assert_eq!(harness.room.member_count(), 2);
}

#[test]
fn wait_that_ends_after_the_first_line_is_ignored() {
    let mut harness = RoomHarness::new(Config::default());
    harness.connect(1);
    harness.now.uptime += Duration::from_secs(1);
    let client = harness.room.pop_hello_wait(harness.now).expect("a silent client");
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
    let client = harness.room.pop_hello_wait(harness.now).expect("a silent client");
    harness.connect(3);
    harness.room.extend_hello_wait(client, harness.now.uptime + Duration::from_millis(50));
    harness.advance(Duration::from_millis(49));
    harness.advance(Duration::from_millis(1));
    harness.advance(Duration::from_millis(200));
    harness.advance(SILENT_NOTICE_DELAY);
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
    assert_eq!(harness.room.lobby.admission.clients(), [1]);
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
    assert!(harness.room.lobby.waiting.len() < 32, "{} wait", harness.room.lobby.waiting.len());
}

#[test]
fn full_room_refuses_after_the_first_line() {
    let config = Config { max_clients: 3, max_per_ip: 2, ..Config::default() };
    let mut harness = RoomHarness::new(config);
    harness.join(1, "alice");
    harness.join(2, "bob");
    harness.join(3, "carol");
    harness.connect_from(4, Peer::Unix(None));
    assert!(!harness.clients[&4].is_closed, "a unix socket has no address to count");
    harness.connect_from(5, Peer::Unix(None));
    harness.connect(6);
    harness.leave(6, DisconnectReason::Finished);
    harness.connect(7);
    harness.seal();
    assert_eq!(harness.frames(5), [] as [Value; 0]);
    harness.say(5, "hello");
    harness.seal();
    for (id, expected) in [
        (3, "too many connections from your address: 2"),
        (5, "the server is full: 3 clients"),
        (6, "the server is full: 3 clients"),
    ] {
        let byes = harness.frames(id);
        assert_eq!((byes.len(), text(&byes[0]["data"])), (1, expected), "client {id}");
        assert_eq!(byes[0]["code"], "full");
    }
    assert_eq!(harness.frames(7), [] as [Value; 0]);
    harness.advance(Duration::from_millis(250));
    harness.seal();
    assert_eq!(harness.frames(7)[0]["code"], "full");
    assert_eq!(harness.transcript(1), ["join: alice joined", "join: bob joined"]);
    assert_eq!(harness.frames(4)[0]["name"], "guest-1");
    assert_eq!(harness.room.client_count(), 3);
    harness.leave(1, DisconnectReason::Finished);
    harness.join(8, "alice");
    harness.seal();
    assert_eq!(harness.frames(8)[0]["name"], "alice");
}

#[test]
fn visitor_gets_a_place_that_is_free_by_then() {
    let mut harness = RoomHarness::new(Config { max_clients: 1, ..Config::default() });
    harness.join(1, "alice");
    harness.connect(2);
    harness.leave(1, DisconnectReason::Slow);
    harness.say(2, r#"{"hello":{"name":"bob"}}"#);
    harness.connect(3);
    harness.say(3, "hello");
    harness.seal();
    assert_eq!(harness.frames(2)[0]["name"], "bob");
    assert_eq!(harness.frames(3)[0]["code"], "full");
    assert_eq!(harness.room.lobby.admission.len(), 1);
}

#[test]
fn takeover_needs_no_free_place() {
    for (max_clients, max_per_ip) in [(2, 0), (10, 2), (2, 2)] {
        let config = Config { max_clients, max_per_ip, connect_rate: 0, ..Config::default() };
        let mut harness = RoomHarness::new(config);
        harness.join(1, "alice");
        harness.join(2, "bob");
        let elsewhere = Peer::Inet(IpAddr::from([192, 0, 2, 2]), 1);
        for id in 3..100 {
            let peer = if id % 7 == 0 { elsewhere } else { Peer::Inet([192, 0, 2, 1].into(), 1) };
            harness.connect_from(id, peer);
            harness.say(id, &hello_of("alice", 0, if id == 3 { 1 } else { id - 1 }));
            harness.seal();
            assert_eq!(harness.frames(id)[0]["name"], "alice", "client {id}");
            assert_eq!(harness.room.lobby.admission.len(), 2);
            assert_eq!(harness.room.client_count(), 2);
        }
        assert_eq!(harness.transcript(2), ["join: bob joined"]);
    }
}

#[test]
fn reserved_name_needs_a_free_place() {
    let mut harness = RoomHarness::new(Config { max_clients: 1, ..Config::default() });
    harness.connect(1);
    harness.say(1, r#"{"hello":{"name":"alice","keep":true}}"#);
    harness.leave(1, DisconnectReason::Slow);
    harness.join(2, "bob");
    harness.connect(3);
    harness.say(3, &hello_of("alice", 0, 1));
    harness.leave(2, DisconnectReason::Slow);
    harness.connect(4);
    harness.say(4, &hello_of("alice", 0, 1));
    harness.seal();
    assert_eq!(harness.frames(3)[0]["code"], "full");
    assert_eq!(harness.frames(4)[0]["name"], "alice");
}

#[test]
fn visitor_with_other_protocol_or_at_shutdown_is_told() {
    let mut harness = RoomHarness::new(Config { max_clients: 1, ..Config::default() });
    harness.join(1, "alice");
    for id in 2..=3 {
        harness.connect(id);
    }
    harness
        .room
        .apply(Input::OtherProtocol { id: ClientId(2), protocol: OtherProtocol::Tls }, harness.now);
    harness.room.apply(Input::Shutdown, harness.now);
    harness.seal();
    assert_eq!(harness.frames(2)[0]["code"], "tls");
    assert_eq!(harness.frames(3)[0]["code"], "shutdown");
    assert_eq!(harness.transcript(1), ["join: alice joined", "bye: the server is shutting down"]);
}

#[test]
fn refusal_in_the_log_names_limit_and_address() {
    let mut harness = RoomHarness::new(Config {
        max_clients: 2,
        max_per_ip: 1,
        connect_burst: 1,
        ..Config::default()
    });
    harness.join(1, "alice");
    harness.connect(2);
    harness.advance(Duration::from_millis(50));
    harness.connect(3);
    harness.say(3, "hello");
    harness.connect_from(4, Peer::Unix(None));
    harness.connect_from(5, Peer::Unix(None));
    harness.say(5, "hello");
    harness.leave(1, DisconnectReason::Slow);
    harness.connect(6);
    let log = harness.room.seal().log;
    let refusals: Vec<&str> =
        log.iter().map(|(_, line)| &**line).filter(|line| line.contains("refused")).collect();
    assert_eq!(
        refusals,
        [
            "192.0.2.1:1002 refused: --max-per-ip 1 is reached",
            "192.0.2.1:1003 refused: --max-per-ip 1 is reached",
            "unix refused: --max-clients 2 is reached",
            "192.0.2.1:1006 refused: --connect-rate 20 is reached",
        ]
    );
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
