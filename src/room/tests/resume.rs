//! Tests of members that reconnect, with and without their token.

use std::io;

use super::*;

/// Returns the hello of a client that was client `old` and received every frame up to `after`.
pub fn hello_of(name: &str, after: u64, old: u64) -> String {
    let token = token(old);
    format!(
        r#"{{"hello":{{"name":"{name}","epoch":"epoch","after":{after},"token":"{token}","keep":true}}}}"#
    )
}

/// Returns the bytes after the welcome.
fn after_welcome(harness: &RoomHarness, id: u64) -> &[u8] {
    let received = &harness.clients[&id].received;
    let end = received.iter().position(|&b| b == b'\n').map_or(0, |end| end + 1);
    &received[end..]
}

#[test]
fn resume_replays_missed_frames_then_live_ones() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.join(2, "bob");
    harness.seal();
    harness.leave(2, DisconnectReason::Lost(io::ErrorKind::ConnectionReset));
    for text in ["one", "two"] {
        harness.say(1, text);
        harness.seal();
    }
    harness.say(1, "three, in the batch in which bob comes back");
    harness.connect(3);
    harness.say(3, &hello_of("bob", 2, 2));
    harness.say(1, "four");
    harness.seal();
    harness.say(1, "five");
    harness.seal();
    assert_eq!(harness.frames(3)[0]["resumed"], true);
    assert_eq!(harness.frames(3)[0]["name"], "bob");
    assert_eq!(harness.seqs(3), [3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(
        after_welcome(&harness, 1)
            [after_welcome(&harness, 1).len() - after_welcome(&harness, 3).len()..],
        *after_welcome(&harness, 3)
    );
}

#[test]
fn token_moves_a_member_without_notices() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.join(2, "bob");
    harness.say(2, "/nick robert");
    harness.seal();
    harness.say(1, "hello");
    harness.connect(3);
    harness.say(3, &hello_of("bob", 3, 2));
    harness.say(2, "the last line of the old connection");
    harness.leave(2, DisconnectReason::Finished);
    harness.say(3, "here again");
    harness.seal();
    assert!(harness.clients[&2].is_closed);
    assert_eq!(harness.transcript(3), ["chat: hello", "chat: here again"]);
    assert_eq!(harness.frames(3)[0]["name"], "robert");
    assert_eq!(harness.transcript(1)[3..], ["chat: hello", "chat: here again"]);
    assert_eq!(harness.room.state.names.len(), 2);
    assert_eq!(harness.room.lobby.admission.clients(), [2]);
}

#[test]
fn old_token_does_not_take_over() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.connect(2);
    harness.say(2, &hello_of("alice", 0, 1));
    harness.connect(3);
    harness.say(3, &hello_of("alice", 0, 1));
    harness.seal();
    assert_eq!(harness.frames(2)[0]["token"], token(2).to_string());
    assert!(!harness.clients[&2].is_closed);
    assert_eq!(harness.frames(3)[0]["name"], "alice-2");
}

#[test]
fn lost_frames_are_named_in_a_gap() {
    let mut harness = RoomHarness::new(Config { history: 2, ..Config::default() });
    harness.join(1, "alice");
    for text in ["one", "two", "three", "four"] {
        harness.say(1, text);
        harness.seal();
    }
    harness.connect(2);
    harness.say(2, &hello_of("bob", 1, 9));
    harness.seal();
    let gap = &harness.frames(2)[1];
    assert_eq!((gap["from"].as_u64(), gap["to"].as_u64()), (Some(2), Some(3)));
    assert_eq!(harness.seqs(2), [4, 5, 6]);
}

#[test]
fn without_history_every_missed_frame_is_a_gap() {
    let mut harness = RoomHarness::new(Config { history: 0, ..Config::default() });
    harness.join(1, "alice");
    harness.say(1, "one");
    harness.seal();
    harness.connect(2);
    harness.say(2, &hello_of("bob", 0, 9));
    harness.seal();
    assert_eq!(harness.frames(2)[1]["to"], 2);
    assert_eq!(harness.seqs(2), [3]);
}

#[test]
fn unknown_epoch_or_number_does_not_resume() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.seal();
    harness.connect(2);
    harness.say(2, &hello_of("alice", 1, 1));
    harness.seal();
    assert_eq!(harness.frames(2)[0]["resumed"], true);
    assert_eq!(harness.transcript(2), [] as [String; 0]);
    harness.connect(3);
    harness.say(3, &hello_of("bob", 2, 9));
    harness.connect(4);
    harness.say(4, &hello_of("carol", 0, 9).replace(r#""epoch":"epoch""#, r#""epoch":"another""#));
    harness.seal();
    let joins = ["join: bob joined", "join: carol joined"];
    for (id, joins) in [(3, &joins[..]), (4, &joins[1..])] {
        assert_eq!(harness.frames(id)[0]["resumed"], false);
        assert_eq!(harness.transcript(id), *joins);
    }
}

#[test]
fn operator_of_a_banned_address_can_return() {
    for reason in [DisconnectReason::Away, DisconnectReason::Slow] {
        let mut harness = super::operators::room();
        harness.connect(4);
        harness.say(4, r#"{"hello":{"name":"carol","keep":true}}"#);
        let input = Input::Operator { id: ClientId(4), label: "a".into(), line_id: None };
        harness.room.apply(input, harness.now);
        harness.say(4, "/ban alice");
        assert!(harness.is_closed_with(2, "banned"));
        harness.leave(4, reason);
        let token = text(&harness.frames(4)[0]["token"]).to_owned();
        let alice = text(&harness.frames(2)[0]["token"]).to_owned();
        for (id, hello) in
            [(5, "hi".to_owned()), (6, format!(r#"{{"hello":{{"token":"{alice}"}}}}"#))]
        {
            harness.connect(id);
            harness.say(id, &hello);
            assert!(harness.is_closed_with(id, "banned"), "{id}");
        }
        harness.connect(7);
        harness.advance(Duration::from_secs(1));
        assert!(harness.is_closed_with(7, "banned"), "silent");
        harness.connect(8);
        harness.say(8, &format!(r#"{{"hello":{{"token":"{token}"}}}}"#));
        harness.seal();
        assert_eq!(harness.frames(8)[0]["name"], "carol", "{reason:?}");
    }
}
