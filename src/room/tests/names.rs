//! Names: unique, valid, numbered and reserved.

use super::resume::hello_of;
use super::*;
use crate::protocol::{MAX_NAME, case_fold, is_valid_name};

#[test]
fn name_is_unique_regardless_of_case() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.join(2, "ALICE");
    harness.join(3, "two words");
    harness.say(1, "/nick Alice");
    harness.say(2, "/nick alice");
    harness.seal();
    let names: Vec<&str> = harness.room.members().map(|(_, name)| name).collect();
    assert_eq!(names, ["Alice", "ALICE-2", "guest-1003"]);
    let errors = |id| {
        let errors = harness.frames(id).into_iter().filter(|frame| frame["kind"] == "error");
        errors.map(|error| error["code"].as_str().map(String::from)).collect::<Vec<_>>()
    };
    assert_eq!(errors(1), []);
    assert_eq!(errors(2), [Some("name-taken".into()), Some("name-taken".into())]);
    assert_eq!(errors(3), [Some("bad-name".into())]);
}

#[test]
fn error_of_a_hello_has_its_id() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.connect(2);
    harness.say(2, r#"{"hello":{"name":"alice"},"id":"h"}"#);
    harness.seal();
    let error = &harness.frames(2)[1];
    assert_eq!((&error["code"], &error["id"]), (&"name-taken".into(), &"h".into()));
}

#[test]
fn numbered_name_stays_within_the_length_limit() {
    let mut harness = RoomHarness::new(Config::default());
    let name = "x".repeat(MAX_NAME);
    harness.join(1, &name);
    harness.join(2, &name);
    harness.seal();
    assert!(harness.room.members().all(|(_, name)| is_valid_name(name)));
}

#[test]
fn hundreds_of_clients_share_a_stem() {
    let config = Config { max_clients: 1000, max_per_ip: 0, connect_rate: 0, ..Config::default() };
    let mut harness = RoomHarness::new(config);
    for id in 1..=500 {
        harness.join(id, "alice");
    }
    harness.seal();
    let names: Vec<_> = (1..=500).map(|id| harness.frames(id)[0]["name"].clone()).collect();
    assert_eq!(
        (&names[0], &names[1], &names[98]),
        (&"alice".into(), &"alice-2".into(), &"alice-99".into())
    );
    let distinct: std::collections::HashSet<_> =
        names.iter().map(|name| case_fold(text(name))).collect();
    assert_eq!(distinct.len(), 500);
    assert!(distinct.iter().all(|name| is_valid_name(name)));
}

#[test]
fn name_is_reserved_only_on_request() {
    let mut harness = RoomHarness::new(Config::default());
    harness.connect(1);
    harness.say(1, r#"{"hello":{"name":"alice","keep":true}}"#);
    harness.join(2, "bob");
    harness.leave(1, DisconnectReason::Slow);
    harness.leave(2, DisconnectReason::Slow);
    harness.join(3, "bob");
    harness.join(4, "Alice");
    harness.say(4, "/nick ALICE");
    harness.connect(5);
    harness.say(5, &hello_of("whatever", 0, 1));
    harness.seal();
    assert_eq!(harness.frames(3)[0]["name"], "bob");
    assert_eq!(harness.frames(4)[0]["name"], "Alice-2");
    let errors = harness.frames(4).into_iter().filter(|frame| frame["code"] == "name-kept");
    assert_eq!(errors.count(), 2);
    assert_eq!(harness.frames(5)[0]["name"], "alice");
}

#[test]
fn name_is_free_after_grace_or_quit() {
    let mut harness = RoomHarness::new(Config::default());
    for id in [1, 2] {
        harness.connect(id);
        harness.say(id, &format!(r#"{{"hello":{{"name":"name-{id}","keep":true}}}}"#));
    }
    harness.say(1, "/quit");
    harness.leave(2, DisconnectReason::Finished);
    harness.join(3, "name-1");
    harness.advance(Duration::from_secs(59));
    harness.join(4, "name-2");
    harness.advance(Duration::from_secs(1));
    harness.say(4, "/nick name-2");
    harness.seal();
    let names: Vec<&str> = harness.room.members().map(|(_, name)| name).collect();
    assert_eq!(names, ["name-1", "name-2"]);
}

/// 1,001 visits free no name of another address, neither from one address nor from a crowd.
#[test]
fn quick_visits_do_not_free_the_name_of_another() {
    for max_per_ip in [0, 64] {
        let config = Config { max_per_ip, connect_rate: 0, ..Config::default() };
        let mut harness = RoomHarness::new(config);
        let keep = |name: &str| format!(r#"{{"hello":{{"name":"{name}","keep":true}}}}"#);
        harness.connect_from(1, Peer::Inet([192, 0, 2, 9].into(), 1));
        harness.say(1, &keep("alice"));
        harness.leave(1, DisconnectReason::Slow);
        for id in 2..1003 {
            harness.connect(id);
            harness.say(id, &keep(&format!("bob-{id}")));
            harness.leave(id, DisconnectReason::Slow);
            harness.seal();
        }
        harness.join(1003, "alice");
        harness.connect_from(1004, Peer::Inet([198, 51, 100, 7].into(), 1));
        harness.say(1004, &hello_of("whatever", 0, 1));
        harness.seal();
        assert_eq!(harness.frames(1003)[0]["name"], "alice-2");
        assert_eq!(harness.frames(1004)[0]["name"], "alice");
    }
}
