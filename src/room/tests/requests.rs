//! Commands, errors and statistics.

use super::*;
use crate::room::requests::MAX_ERRORS;

#[test]
fn private_line_reaches_recipient_and_sender() {
    let mut harness = RoomHarness::new(Config::default());
    for (id, name) in [(1, "alice"), (2, "bob"), (3, "carol")] {
        harness.join(id, name);
    }
    harness.seal();
    harness.say(1, "/msg BOB psst");
    harness.say(1, r#"{"data":"note","to":"alice","id":"n"}"#);
    harness.say(1, "/msg dave hello");
    harness.seal();
    let last = |id: u64, count: usize| {
        let frames = harness.frames(id);
        frames[frames.len() - count..].to_vec()
    };
    assert_eq!(last(2, 1)[0]["data"], "psst");
    assert_eq!(last(2, 1)[0]["to"], "bob");
    assert_eq!(harness.transcript(3).len(), 1);
    let own = last(1, 3);
    assert_eq!(own[0], last(2, 1)[0]);
    assert_eq!((&own[1]["kind"], &own[1]["id"]), (&"private".into(), &"n".into()));
    assert_eq!(own[2]["code"], "no-such-user");
}

#[test]
fn stats_count_lines_errors_and_evictions() {
    let mut harness = RoomHarness::new(Config { max_clients: 2, ..Config::default() });
    harness.join(1, "alice");
    harness.join(2, "bob");
    harness.connect(3);
    harness.leave(3, DisconnectReason::Finished);
    harness.say(1, "/dance");
    harness.leave(2, DisconnectReason::Slow);
    harness.room.set_server_stats(Stats { events_waiting: 5, ..Stats::default() });
    harness.say(1, r#"{"data":"/stats","id":"s"}"#);
    harness.seal();
    let answer = harness.frames(1).pop().unwrap();
    assert_eq!((text(&answer["kind"]), text(&answer["id"])), ("info", "s"));
    let stats = &answer["stats"];
    for (key, value) in [("members", 1), ("connections", 1), ("lines_in", 4), ("events_waiting", 5)]
    {
        assert_eq!(stats[key], value, "{key} in {stats}");
    }
    assert_eq!(stats["evictions"], serde_json::json!({"full": 1, "slow": 1}));
    assert_eq!(stats["errors"], serde_json::json!({"unknown-command": 1}));
}

#[test]
fn errors_in_a_row_close_the_client() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    for _ in 0..MAX_ERRORS - 1 {
        harness.say(1, "/bad");
    }
    harness.say(1, "good");
    for _ in 0..MAX_ERRORS - 1 {
        harness.say(1, "/bad");
        harness.say(1, "");
    }
    harness.seal();
    assert!(!harness.clients[&1].is_closed);
    harness.say(1, "/bad");
    harness.seal();
    assert!(harness.clients[&1].is_closed);
    assert_eq!(harness.frames(1).pop().expect("a bye")["code"], "errors");
}

#[test]
fn long_who_answer_counts_the_other_members() {
    let config = Config { answer_bytes: 300, max_per_ip: 0, connect_rate: 0, ..Config::default() };
    let mut harness = RoomHarness::new(config);
    for id in 0..50 {
        harness.join(id, &format!("member-{id}"));
    }
    harness.say(0, "/who");
    harness.seal();
    let who = harness.frames(0).pop().expect("an answer");
    let named = who["names"].as_array().expect("names").len() as u64;
    assert!(who["data"].as_str().expect("text").starts_with("50 here: member-0, "));
    assert!((1..50).contains(&named), "{named}");
    assert_eq!(who["more"], 50 - named);
}
