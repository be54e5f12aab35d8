//! Members that asked in their hello to be quiet.

use std::io;

use super::*;
use crate::room::presence::SILENT_NOTICE_DELAY;

/// Returns a room with alice, and with cron, which is quiet.
fn room_with_quiet_cron() -> RoomHarness {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.seal();
    harness.join_quietly(2, "cron");
    harness.seal();
    harness
}

#[test]
fn quiet_member_is_told_by_its_lines_alone() {
    for reason in [None, Some(DisconnectReason::Finished), Some(DisconnectReason::Slow)] {
        let mut harness = room_with_quiet_cron();
        harness.advance(2 * SILENT_NOTICE_DELAY);
        harness.say(2, "backup done");
        harness.say(2, "/who");
        match reason {
            Some(reason) => harness.leave(2, reason),
            None => harness.say(2, "/quit"),
        }
        harness.advance(2 * SILENT_NOTICE_DELAY);
        harness.seal();
        assert_eq!(harness.sequence(), ["join: alice joined", "chat: backup done"]);
        assert_eq!(harness.transcript(1), harness.sequence());
        assert_eq!((harness.room.member_count(), harness.room.deadline()), (1, None));
    }
}

#[test]
fn quiet_member_gets_history_and_live_lines() {
    let mut harness = room_with_quiet_cron();
    harness.say(1, "one");
    harness.seal();
    harness.connect(3);
    harness.say(3, r#"{"hello":{"name":"dora","quiet":true,"history":9}}"#);
    harness.say(1, "two");
    harness.seal();
    assert_eq!(harness.transcript(2), ["chat: one", "chat: two"]);
    assert_eq!(harness.transcript(3), ["join: alice joined", "chat: one", "chat: two"]);
    assert_eq!(harness.frames(3)[0]["members"], 3);
}

#[test]
fn who_marks_quiet_members() {
    let mut harness = room_with_quiet_cron();
    harness.say(1, "/who");
    harness.seal();
    let frames = harness.frames(1);
    let who = frames.last().expect("an answer");
    assert_eq!(who["data"], "2 here: alice and cron (quiet)");
    assert_eq!(who["names"], serde_json::json!(["alice", "cron"]));
    assert_eq!(who["quiet"], serde_json::json!(["cron"]));
    harness.say(2, "/who");
    harness.seal();
    let who = harness.frames(2).pop().expect("an answer");
    assert_eq!(who["data"], "2 here: alice and cron", "its own name needs no mark");
    assert_eq!(who["quiet"], serde_json::json!(["cron"]));
    harness.say(2, "/quit");
    harness.say(1, "/who");
    harness.seal();
    let who = harness.frames(1).pop().expect("an answer");
    assert_eq!(who["data"], "1 here: alice");
    assert_eq!(who.get("quiet"), None, "no key without a quiet member");
}

#[test]
fn who_counts_quiet_names_twice_against_its_limit() {
    let config = Config { answer_bytes: 70, ..Config::default() };
    let mut harness = RoomHarness::new(config);
    for id in 1..=4 {
        harness.join_quietly(id, &format!("q{id}"));
    }
    harness.say(1, "/who");
    harness.seal();
    let who = harness.frames(1).pop().expect("an answer");
    assert_eq!(who["data"], "4 here: q1, q2 (quiet), q3 (quiet) and q4 (quiet)");
    assert_eq!(who["names"], serde_json::json!(["q1", "q2"]));
    assert_eq!(who["more"], 2);
}

#[test]
fn quiet_member_that_resumes_stays_quiet() {
    for hello in [r#","quiet":true"#, ""] {
        let mut harness = room_with_quiet_cron();
        let token = text(&harness.frames(2)[0]["token"]).to_owned();
        harness.connect(3);
        harness.say(3, &format!(r#"{{"hello":{{"token":"{token}"{hello}}}}}"#));
        harness.advance(2 * SILENT_NOTICE_DELAY);
        harness.say(3, "/quit");
        harness.seal();
        assert_eq!(harness.frames(3)[0]["name"], "cron");
        assert_eq!(harness.sequence(), ["join: alice joined"]);
    }
}

#[test]
fn announced_member_resuming_quietly_causes_a_leave() {
    let mut harness = room_with_quiet_cron();
    let token = text(&harness.frames(1)[0]["token"]).to_owned();
    harness.connect(3);
    harness.say(3, &format!(r#"{{"hello":{{"token":"{token}","quiet":true}}}}"#));
    harness.say(3, "/quit");
    harness.seal();
    assert_eq!(harness.sequence(), ["join: alice joined", "leave: alice left"]);
}

#[test]
fn quiet_name_is_taken_reserved_and_given_back() {
    let mut harness = room_with_quiet_cron();
    harness.connect(3);
    harness.say(3, r#"{"hello":{"name":"dora","keep":true,"quiet":true}}"#);
    harness.seal();
    harness.say(1, "/msg cron psst");
    harness.say(1, "/nick CRON");
    harness.leave(3, DisconnectReason::Lost(io::ErrorKind::ConnectionReset));
    harness.say(1, "/nick dora");
    harness.seal();
    let codes: Vec<Value> = harness.frames(1).iter().map(|frame| frame["code"].clone()).collect();
    assert!(codes.contains(&"name-taken".into()) && codes.contains(&"name-kept".into()));
    assert_eq!(harness.transcript(2), ["private: psst"]);
    let token = text(&harness.frames(3)[0]["token"]).to_owned();
    harness.connect(4);
    harness.say(4, &format!(r#"{{"hello":{{"token":"{token}","quiet":true}}}}"#));
    harness.seal();
    assert_eq!(harness.frames(4)[0]["name"], "dora");
    assert_eq!(harness.sequence(), ["join: alice joined"]);
}

#[test]
fn new_name_of_quiet_member_is_told() {
    let mut harness = room_with_quiet_cron();
    harness.say(2, r#"{"data":"/nick backup","id":"1"}"#);
    harness.say(2, "/quit");
    harness.seal();
    assert_eq!(harness.transcript(1), ["join: alice joined", "name: cron is now backup"]);
    assert_eq!(harness.frames(2)[1]["id"], "1");
}

#[test]
fn quiet_member_of_a_crowd_is_in_no_notice() {
    let mut harness = RoomHarness::new(Config { crowd: 1, ..Config::default() });
    harness.join(1, "alice");
    harness.join_quietly(2, "cron");
    harness.join(3, "bob");
    harness.say(2, "hi");
    harness.say(2, "/quit");
    harness.advance(Duration::from_secs(2));
    harness.seal();
    assert_eq!(harness.sequence(), ["join: alice joined", "chat: hi", "join: bob joined"]);
}
