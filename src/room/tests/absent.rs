//! Tests of members that go away for a while, as browsers do.

use super::resume::hello_of;
use super::*;
use crate::protocol::OtherProtocol;

/// Joins with a name that is reserved.
fn join_kept(harness: &mut RoomHarness, id: u64, name: &str) {
    harness.connect(id);
    harness.say(id, &format!(r#"{{"hello":{{"name":"{name}","keep":true}}}}"#));
}

fn room_with_absent_bob() -> RoomHarness {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    join_kept(&mut harness, 2, "bob");
    harness.seal();
    harness.leave(2, DisconnectReason::Away);
    harness.seal();
    assert!(harness.clients[&2].is_closed);
    harness
}

#[test]
fn absent_member_returns_without_notices() {
    let mut harness = room_with_absent_bob();
    harness.advance(Duration::from_secs(59));
    harness.say(1, "hello");
    harness.seal();
    harness.connect(3);
    harness.say(3, &hello_of("bob", 2, 2));
    harness.seal();
    assert_eq!(harness.frames(3)[0]["name"], "bob");
    assert_eq!(harness.transcript(3), ["chat: hello"]);
    harness.advance(Duration::from_secs(100));
    harness.seal();
    assert_eq!(harness.sequence(), ["join: alice joined", "join: bob joined", "chat: hello"]);
    assert_eq!((harness.room.client_count(), harness.room.deadline()), (2, None));
}

#[test]
fn member_absent_for_too_long_leaves_once() {
    let mut harness = room_with_absent_bob();
    harness.advance(Duration::from_secs(61));
    harness.advance(Duration::from_secs(61));
    harness.seal();
    assert_eq!(harness.sequence().last().map(String::as_str), Some("leave: bob left"));
    assert_eq!((harness.room.client_count(), harness.room.ending_count()), (1, 0));
    assert_eq!(harness.room.deadline(), None);
}

#[test]
fn member_that_is_not_kept_leaves_at_once() {
    for grace in [60, 0] {
        let config = Config { grace: Duration::from_secs(grace), ..Config::default() };
        let mut harness = RoomHarness::new(config);
        harness.join(1, "alice");
        match grace {
            0 => join_kept(&mut harness, 2, "bob"),
            _ => harness.join(2, "bob"),
        }
        harness.seal();
        harness.leave(2, DisconnectReason::Away);
        harness.seal();
        assert_eq!(harness.sequence().last().map(String::as_str), Some("leave: bob left"));
    }
}

#[test]
fn input_of_absent_member_is_ignored() {
    let mut harness = room_with_absent_bob();
    harness.advance(Duration::from_secs(30));
    for reason in [DisconnectReason::Finished, DisconnectReason::Away, DisconnectReason::Slow] {
        harness.leave(2, reason);
    }
    let (id, protocol) = (ClientId(2), OtherProtocol::Tls);
    harness.room.apply(Input::OtherProtocol { id, protocol }, harness.now);
    #[cfg(feature = "web")]
    harness.room.apply(Input::Answered { id }, harness.now);
    harness.say(2, "/quit");
    harness.advance(Duration::from_secs(29));
    harness.seal();
    assert_eq!(harness.sequence(), ["join: alice joined", "join: bob joined"]);
    harness.advance(Duration::from_secs(2));
    harness.seal();
    assert_eq!(harness.sequence().len(), 3);
    assert_eq!((harness.room.client_count(), harness.room.ending_count()), (1, 0));
}

#[test]
fn private_line_to_absent_member_is_an_error() {
    let mut harness = room_with_absent_bob();
    harness.say(1, "/msg bob psst");
    harness.seal();
    let error = harness.frames(1).pop().unwrap();
    assert_eq!((&error["kind"], &error["code"]), (&"error".into(), &"no-such-user".into()));
    assert_eq!(error["data"], "bob went away; the message was not sent");
}

#[test]
fn absent_member_returns_to_a_full_room() {
    let mut harness = RoomHarness::new(Config { max_clients: 2, ..Config::default() });
    harness.join(1, "alice");
    join_kept(&mut harness, 2, "bob");
    harness.seal();
    harness.leave(2, DisconnectReason::Away);
    harness.seal();
    // Neither a client without a line nor the returning one needs the place.
    harness.connect(3);
    harness.connect(4);
    harness.leave(3, DisconnectReason::Finished);
    harness.say(4, &hello_of("bob", 2, 2));
    harness.seal();
    assert_eq!(harness.frames(4)[0]["name"], "bob");
    assert_eq!(harness.sequence(), ["join: alice joined", "join: bob joined"]);
}

#[test]
fn full_address_gives_the_place_of_its_absent_member() {
    let mut harness = RoomHarness::new(Config { max_per_ip: 2, ..Config::default() });
    harness.connect_from(1, Peer::Unix(Some(1)));
    harness.say(1, r#"{"hello":{"name":"alice","keep":true}}"#);
    join_kept(&mut harness, 2, "bob");
    join_kept(&mut harness, 3, "carol");
    harness.leave(1, DisconnectReason::Away);
    harness.leave(3, DisconnectReason::Away);
    harness.leave(2, DisconnectReason::Away);
    harness.seal();
    harness.join(4, "dave");
    harness.seal();
    assert_eq!(harness.frames(4)[0]["name"], "dave");
    assert_eq!(harness.sequence()[3..], ["leave: carol left", "join: dave joined"]);
}

#[test]
fn full_room_gives_the_place_of_an_absent_member() {
    let mut harness = RoomHarness::new(Config { max_clients: 2, ..Config::default() });
    harness.join(1, "alice");
    join_kept(&mut harness, 2, "bob");
    harness.leave(2, DisconnectReason::Away);
    harness.seal();
    harness.join(3, "carol");
    harness.seal();
    assert_eq!(harness.frames(3)[0]["name"], "carol");
    let expected = ["alice joined", "bob joined", "bob left", "carol joined"];
    let texts = harness.sequence();
    assert!(texts.iter().map(|text| text.split_once(": ").unwrap().1).eq(expected), "{texts:?}");
}
