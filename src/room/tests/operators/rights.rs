//! The members that are operators, and the places for them.

use super::*;

#[test]
fn operator_is_root_or_the_own_user() {
    let config = Config { operator_user: Some(1000), ..Config::default() };
    for (peer, is_operator) in [
        (Peer::Unix(Some(0)), true),
        (Peer::Unix(Some(1000)), true),
        (Peer::Unix(Some(1001)), false),
        (Peer::Unix(Some(65534)), false),
        (Peer::Unix(None), false),
        (inet("127.0.0.1"), false),
    ] {
        for operator_user in [Some(1000), Some(65534), None] {
            let expected =
                is_operator && (peer != Peer::Unix(Some(1000)) || operator_user == Some(1000));
            let mut harness = RoomHarness::new(Config { operator_user, ..config.clone() });
            harness.join_from(1, "alice", peer);
            harness.say(1, "/bans");
            assert_eq!(harness.last(1) == "info: there are no bans", expected, "{peer:?}");
        }
    }
}

#[test]
fn removed_operator_is_an_ordinary_member() {
    let mut harness = room();
    for (id, label) in [(2, "a"), (3, "b")] {
        harness.make_operator(id, label);
    }
    harness.room.apply(Input::KeepOperators(vec!["b".into()]), harness.now);
    assert_eq!(harness.last(2), "info: you are not an operator any more");
    for id in [1, 3] {
        harness.say(id, "/bans");
        assert_eq!(harness.last(id), "info: there are no bans");
    }
    harness.say(2, "/bans");
    harness.seal();
    assert_eq!(harness.frames(2).last().unwrap()["code"], "not-operator");
}

#[test]
fn removed_operator_that_waits_is_an_ordinary_member() {
    let mut harness = room();
    for (id, label) in [(4, "a"), (5, "b")] {
        harness.connect(id);
        harness.make_operator(id, label);
    }
    harness.room.apply(Input::KeepOperators(vec!["b".into()]), harness.now);
    for (id, answer) in [
        (4, "error: only an operator can do this; /op SECRET makes you one"),
        (5, "info: there are no bans"),
    ] {
        harness.say(id, "/bans");
        assert_eq!(harness.last(id), answer);
    }
}

#[test]
fn ban_applies_to_removed_operators() {
    let mut harness = room();
    harness.connect_from(5, inet("192.0.2.3"));
    harness.say(5, r#"{"hello":{"name":"carol","keep":true}}"#);
    for id in [2, 5] {
        harness.make_operator(id, "a");
    }
    harness.say(1, "/ban 192.0.2.0/24");
    harness.seal();
    let token = text(&harness.frames(5)[0]["token"]).to_owned();
    harness.leave(5, DisconnectReason::Slow);
    assert!(!harness.is_closed_with(2, "banned"));
    harness.room.apply(Input::KeepOperators(Vec::new()), harness.now);
    assert!(harness.is_closed_with(2, "banned"));
    harness.connect_from(6, inet("192.0.2.3"));
    harness.say(6, &format!(r#"{{"hello":{{"token":"{token}"}}}}"#));
    assert!(harness.is_closed_with(6, "banned"));
}

#[test]
fn operator_that_resumes_is_an_ordinary_member() {
    let mut harness = room();
    harness.make_operator(2, "a");
    let token = text(&harness.frames(2)[0]["token"]).to_owned();
    harness.connect(4);
    harness.say(4, &format!(r#"{{"hello":{{"token":"{token}"}}}}"#));
    harness.say(4, "/bans");
    harness.seal();
    assert_eq!(harness.frames(4).last().unwrap()["code"], "not-operator");
}

#[test]
fn full_room_has_places_for_operators() {
    let mut harness = RoomHarness::new(Config { max_clients: 3, ..Config::default() });
    harness.join(1, "alice");
    for id in [2, 3] {
        harness.connect(id);
        harness.say(id, "hi");
    }
    harness.advance(MINUTE);
    harness.say(2, "still here");
    harness.join(4, "late");
    assert!(harness.is_closed_with(4, "full"));
    for id in 5..9 {
        harness.join_from(id, "root", Peer::Unix(Some(0)));
    }
    assert_eq!(harness.room.member_count(), 7);
    // The guest that is silent for the longest time makes place.
    harness.join_from(9, "root", Peer::Unix(Some(0)));
    assert!(harness.is_closed_with(3, "full"));
    assert!(!harness.clients[&1].is_closed && !harness.clients[&2].is_closed);
    // With a secret, before the first line.
    harness.connect(10);
    harness.make_operator(10, "ops");
    harness.say(10, r#"{"hello":{"name":"boss"}}"#);
    harness.seal();
    assert_eq!(harness.transcript(10)[0], "info: you are an operator (ops)");
    assert!(harness.is_closed_with(2, "full"));
    harness.join_from(11, "root", Peer::Unix(Some(0)));
    assert!(harness.is_closed_with(11, "full"), "there are no guests");
}
