//! Join and leave notices.

use std::io;

use super::*;
use crate::protocol::MAX_NAME;
use crate::room::presence::SILENT_NOTICE_DELAY;

#[test]
fn joins_after_one_wait_share_a_notice() {
    let mut harness = RoomHarness::new(Config::default());
    for id in 1..=5 {
        harness.connect(id);
    }
    harness.advance(Duration::from_millis(250));
    harness.advance(SILENT_NOTICE_DELAY);
    harness.seal();
    let join = &harness.frames(1)[1];
    assert_eq!(join["data"], "guest-1001, guest-1002 and 3 more joined");
    assert_eq!(join["names"].as_array().map(Vec::len), Some(5));
    assert_eq!(harness.frames(1).len(), 2);
}

#[test]
fn join_and_leave_in_one_batch_are_announced() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.join(2, "bob");
    harness.leave(2, DisconnectReason::Lost(io::ErrorKind::ConnectionReset));
    harness.join(3, "bob");
    harness.seal();
    assert_eq!(
        harness.transcript(1),
        ["join: alice joined", "join: bob joined", "leave: bob left", "join: bob joined"]
    );
    assert_eq!(harness.transcript(3), ["join: bob joined"]);
    assert_eq!(harness.room.state.names.len(), 2);
}

#[test]
fn second_leave_is_ignored() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.join(2, "bob");
    harness.say(2, "/quit");
    harness.leave(2, DisconnectReason::Finished);
    harness.leave(2, DisconnectReason::Slow);
    harness.say(2, "a line after the leave");
    harness.seal();
    assert_eq!(harness.transcript(1)[1..], ["join: bob joined", "leave: bob left"]);
    assert_eq!(harness.transcript(2), ["join: bob joined", "bye: goodbye"]);
    assert_eq!(harness.room.client_count(), 1);
}

#[test]
fn crowd_is_announced_in_few_notices() {
    let config = Config { max_clients: 1000, max_per_ip: 0, connect_rate: 0, ..Config::default() };
    let mut harness = RoomHarness::new(config);
    for id in 0..Config::default().crowd as u64 {
        harness.join(id, &format!("member-{id}"));
    }
    harness.seal();
    assert_eq!(harness.transcript(0).len(), 64);
    for id in 100..300 {
        harness.join(id, &format!("member-{id}"));
        harness.seal();
    }
    assert_eq!(harness.transcript(0).len(), 64);
    harness.say(0, "meanwhile");
    harness.seal();
    harness.say(150, "hello");
    harness.seal();
    assert_eq!(
        harness.transcript(0)[64..],
        ["chat: meanwhile", "join: member-100, member-101 and 198 more joined", "chat: hello"]
    );
    harness.leave(150, DisconnectReason::Finished);
    harness.seal();
    assert_eq!(harness.transcript(0).len(), 67);
    harness.advance(harness.room.deadline().expect("a notice waits") - harness.now.uptime);
    harness.seal();
    assert_eq!(harness.transcript(0)[67..], ["leave: member-150 left"]);
    assert_eq!(harness.room.deadline(), None);
}

#[test]
fn input_of_a_stranger_publishes_a_due_notice() {
    let mut harness = RoomHarness::new(Config { crowd: 1, ..Config::default() });
    for (id, name) in ["alice", "bob", "carol"].into_iter().enumerate() {
        harness.join(id as u64, name);
    }
    harness.seal();
    assert!(harness.room.deadline().is_some(), "a notice waits");
    harness.now.uptime += Duration::from_secs(2);
    harness.connect(9);
    harness.seal();
    assert_eq!(harness.transcript(0).last().expect("a frame"), "join: bob and carol joined");
}

#[test]
#[cfg(feature = "irc")]
fn member_is_in_the_log_once_although_it_hides() {
    let mut harness = RoomHarness::new(Config::default());
    let id = ClientId(1);
    harness.connect(1);
    harness.room.show(id, false, harness.now);
    harness.say(1, r#"{"hello":{"name":"alice"}}"#);
    for is_shown in [true, false, true] {
        harness.room.show(id, is_shown, harness.now);
    }
    harness.leave(1, DisconnectReason::Finished);
    let log = harness.room.seal().log;
    let info: Vec<_> = log.iter().filter(|(level, _)| *level == Some(log::Level::Info)).collect();
    assert!(info[0].1.starts_with("alice ") && info[0].1.ends_with(" joined"), "{info:?}");
    assert!(info.len() == 2 && info[1].1.ends_with(" left: closed its side"), "{info:?}");
}

#[test]
fn notice_has_a_bounded_length() {
    const MEMBERS: u64 = 2000;
    let config = Config { max_clients: 2000, max_per_ip: 0, connect_rate: 0, ..Config::default() };
    let mut harness = RoomHarness::new(config);
    let stem = "界".repeat(MAX_NAME - 4);
    for id in 0..MEMBERS {
        harness.join(id, &format!("{stem}{id:04}"));
    }
    harness.advance(Duration::from_secs(2));
    harness.seal();
    let notices = &harness.frames(0)[1..];
    let names = notices.iter().map(|notice| notice["names"].as_array().expect("names").len());
    assert_eq!(names.sum::<usize>(), MEMBERS as usize);
    // 64 of members that joined before there was a crowd, and 171 KB of names.
    assert_eq!(notices.len(), 64 + 6);
    for notice in notices {
        assert!(notice.to_string().len() < 34_000, "{} bytes", notice.to_string().len());
    }
}

#[test]
fn small_crowd_limit_still_gathers_notices() {
    const CROWD: usize = 5;
    let config = Config { crowd: CROWD, max_per_ip: 0, connect_rate: 0, ..Config::default() };
    let mut harness = RoomHarness::new(config);
    for id in 0..100 {
        harness.join(id, &format!("member-{id}"));
        harness.seal();
        harness.advance(Duration::from_millis(10));
    }
    harness.advance(Duration::from_secs(1));
    harness.seal();
    let notices = harness.transcript(0);
    assert!(notices.len() <= 2 * CROWD + 1, "{notices:?}");
}
