//! The sequence: one order for all members, history and shutdown.

use super::*;

#[test]
fn all_members_get_the_same_frames_in_order() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.join(2, "bob");
    harness.say(1, "hello");
    harness.say(2, "/me waves");
    harness.seal();
    harness.say(2, "/nick robert");
    harness.leave(2, DisconnectReason::Finished);
    harness.seal();
    assert_eq!(
        harness.transcript(1),
        [
            "join: alice joined",
            "join: bob joined",
            "chat: hello",
            "action: waves",
            "name: bob is now robert",
            "leave: robert left",
        ]
    );
    assert_eq!(harness.transcript(2)[..4], harness.transcript(1)[1..5]);
    assert_eq!(harness.transcript(2)[4], "bye: goodbye");
    let bye = harness.frames(2).pop().expect("a bye");
    assert_eq!((bye["code"].as_str(), bye["seq"].as_u64()), (Some("quit"), Some(5)));
}

#[test]
fn join_inside_a_batch_gets_later_frames() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.seal();
    harness.say(1, "before");
    harness.join(2, "bob");
    harness.say(1, "after");
    harness.seal();
    assert_eq!(harness.transcript(2), ["join: bob joined", "chat: after"]);
    let welcome = &harness.frames(2)[0];
    assert_eq!((welcome["seq"].as_u64(), welcome["members"].as_u64()), (Some(2), Some(2)));
}

#[test]
fn history_repeats_frames_within_its_bound() {
    let mut harness = RoomHarness::new(Config { history: 4, ..Config::default() });
    harness.join(1, "alice");
    for text in ["one", "two", "three"] {
        harness.say(1, text);
    }
    harness.seal();
    harness.say(1, "four");
    harness.connect(2);
    harness.say(2, r#"{"hello":{"name":"bob","history":3}}"#);
    harness.say(1, "/history 9");
    harness.seal();
    assert_eq!(
        harness.transcript(2),
        ["chat: two", "chat: three", "chat: four", "join: bob joined"]
    );
    let own = harness.transcript(1);
    assert_eq!(
        own[own.len() - 5..],
        ["info: the last 4 lines:", "chat: two", "chat: three", "chat: four", "join: bob joined"]
    );
    let seqs = |id| {
        harness
            .frames(id)
            .into_iter()
            .filter_map(|frame| (frame["kind"] == "chat").then(|| frame.to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(seqs(2)[..], seqs(1)[1..4]);
}

#[test]
fn room_without_history_says_that_it_is_empty() {
    let mut harness = RoomHarness::new(Config { history: 0, ..Config::default() });
    harness.join(1, "alice");
    harness.say(1, "/history");
    harness.seal();
    assert_eq!(harness.transcript(1)[1], "info: the history is empty");
}

#[test]
fn shutdown_sends_a_bye_and_refuses_clients() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.connect(2);
    harness.room.apply(Input::Shutdown, harness.now);
    harness.join(3, "carol");
    harness.seal();
    for id in 1..=3 {
        assert_eq!(harness.frames(id).pop().expect("a bye")["code"], "shutdown");
        assert!(harness.clients[&id].is_closed);
    }
}
