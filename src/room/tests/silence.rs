//! Clients without a hello that say nothing, such as health checks.

use std::io;

use super::*;
use crate::protocol::OtherProtocol;
use crate::room::presence::SILENT_NOTICE_DELAY;

const HELLO_WAIT: Duration = Duration::from_millis(250);
const ALMOST: Duration = SILENT_NOTICE_DELAY.saturating_sub(Duration::from_millis(1));

/// Returns a room with alice, and with client 2, which was welcomed after it had sent nothing.
fn room_with_silent_client() -> RoomHarness {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.seal();
    harness.connect(2);
    harness.advance(HELLO_WAIT);
    harness.seal();
    assert_eq!(harness.frames(2)[0]["name"], "guest-1002");
    harness
}

#[test]
fn longer_wait_of_a_client_does_not_delay_the_next() {
    let mut harness = RoomHarness::new(Config::default());
    harness.connect(2);
    harness.now.uptime += HELLO_WAIT;
    let client = harness.room.pop_hello_wait(harness.now).unwrap();
    harness.room.extend_hello_wait(client, harness.now.uptime + 40 * HELLO_WAIT);
    harness.connect(3);
    harness.now.uptime += HELLO_WAIT;
    let next = harness.room.pop_hello_wait(harness.now);
    assert_eq!(next.map(|client| client.id), Some(ClientId(3)));
}

#[test]
fn silent_member_is_announced_after_the_delay() {
    let mut harness = room_with_silent_client();
    assert_eq!(harness.room.deadline(), Some(harness.now.uptime + SILENT_NOTICE_DELAY));
    harness.advance(ALMOST);
    harness.seal();
    assert_eq!(harness.sequence(), ["join: alice joined"]);
    harness.advance(Duration::from_millis(1));
    harness.seal();
    let expected = ["join: alice joined", "join: guest-1002 joined"];
    assert_eq!(harness.sequence(), expected);
    assert_eq!(harness.transcript(1), expected);
    assert_eq!(harness.transcript(2), expected[1..]);
    assert_eq!(harness.room.deadline(), None);
    harness.leave(2, DisconnectReason::Finished);
    harness.seal();
    assert_eq!(harness.transcript(1)[2..], ["leave: guest-1002 left"]);
}

#[test]
fn silent_member_that_leaves_is_not_in_history() {
    for reason in [
        DisconnectReason::Finished,
        DisconnectReason::Lost(io::ErrorKind::ConnectionReset),
        DisconnectReason::Slow,
    ] {
        let mut harness = room_with_silent_client();
        harness.say(2, "");
        harness.say(2, r#"{"data":""}"#);
        harness.advance(ALMOST);
        harness.leave(2, reason);
        harness.advance(Duration::from_secs(5));
        harness.seal();
        harness.say(1, "/history");
        harness.seal();
        assert_eq!(harness.sequence(), ["join: alice joined"]);
        let expected = ["join: alice joined", "info: the last line:", "join: alice joined"];
        assert_eq!(harness.transcript(1), expected);
        assert_eq!((harness.room.member_count(), harness.room.deadline()), (1, None));
    }
}

#[test]
fn empty_first_line_joins_without_a_notice() {
    let mut harness = RoomHarness::new(Config::default());
    harness.connect(1);
    harness.say(1, "");
    harness.say(1, r#"{"data":"","id":"beat"}"#);
    harness.seal();
    assert_eq!(harness.frames(1)[0]["kind"], "welcome");
    assert_eq!(harness.transcript(1), ["info: still here"]);
    harness.leave(1, DisconnectReason::Finished);
    harness.seal();
    assert_eq!(harness.sequence(), [] as [&str; 0]);
}

#[test]
fn silent_member_is_announced_before_what_it_does() {
    for (line, expected) in [
        ("hi", &["join: guest-1002 joined", "chat: hi"][..]),
        ("/me waves", &["join: guest-1002 joined", "action: waves"]),
        ("/nick bob", &["join: guest-1002 joined", "name: guest-1002 is now bob"]),
        ("/msg alice psst", &["join: guest-1002 joined", "private: psst"]),
        ("/who", &["join: guest-1002 joined"]),
        ("/quit", &["join: guest-1002 joined", "leave: guest-1002 left"]),
    ] {
        let mut harness = room_with_silent_client();
        harness.say(2, line);
        harness.seal();
        assert_eq!(harness.transcript(1)[1..], *expected, "{line}");
        harness.advance(SILENT_NOTICE_DELAY);
        harness.seal();
        assert_eq!(harness.transcript(1)[1..], *expected, "{line}");
        assert_eq!(harness.room.deadline(), None, "{line}");
    }
}

#[test]
fn refused_line_announces_nothing() {
    let mut harness = room_with_silent_client();
    for line in ["{", "/dance", r#"{"hello":{"name":"bob"}}"#] {
        harness.say(2, line);
    }
    harness.leave(2, DisconnectReason::Finished);
    harness.seal();
    let kinds: Vec<Value> = harness.frames(2).iter().map(|frame| frame["kind"].clone()).collect();
    assert_eq!(kinds, ["welcome", "error", "error", "error", "bye"]);
    assert_eq!(harness.sequence(), ["join: alice joined"]);
}

#[test]
fn other_protocol_after_the_welcome_is_not_announced() {
    let mut harness = room_with_silent_client();
    let protocol = OtherProtocol::Ssh;
    harness.room.apply(Input::OtherProtocol { id: ClientId(2), protocol }, harness.now);
    harness.seal();
    assert_eq!(harness.frames(2)[1]["code"], "ssh");
    assert_eq!(harness.sequence(), ["join: alice joined"]);
}

#[test]
fn silent_member_is_counted_listed_and_reached() {
    let mut harness = room_with_silent_client();
    harness.join(3, "carol");
    harness.say(3, "/who");
    harness.say(3, "/msg guest-1002 psst");
    harness.say(3, "/nick guest-1002");
    harness.seal();
    assert_eq!(harness.frames(3)[0]["members"], 3);
    let transcript = harness.transcript(3);
    assert_eq!(transcript[..2], ["join: carol joined", "who: 3 here: alice, guest-1002 and carol"]);
    assert_eq!(harness.frames(3)[4]["code"], "name-taken");
    assert_eq!(harness.transcript(2), ["join: carol joined", "private: psst"]);
    harness.advance(SILENT_NOTICE_DELAY);
    harness.seal();
    assert_eq!(harness.sequence()[1..], ["join: carol joined", "join: guest-1002 joined"]);
}

#[test]
fn silent_member_that_resumes_is_announced_once() {
    for is_announced in [false, true] {
        let mut harness = room_with_silent_client();
        if is_announced {
            harness.advance(SILENT_NOTICE_DELAY);
            harness.seal();
        }
        harness.connect(3);
        let token = text(&harness.frames(2)[0]["token"]).to_owned();
        harness.say(3, &format!(r#"{{"hello":{{"token":"{token}"}}}}"#));
        harness.seal();
        harness.advance(SILENT_NOTICE_DELAY);
        harness.seal();
        assert_eq!(harness.frames(3)[0]["name"], "guest-1002");
        assert_eq!(harness.sequence()[1..], ["join: guest-1002 joined"]);
    }
}

#[test]
fn hello_without_a_name_is_announced_at_once() {
    let mut harness = RoomHarness::new(Config::default());
    harness.connect(1);
    harness.say(1, r#"{"hello":{}}"#);
    harness.seal();
    assert_eq!(harness.transcript(1), ["join: guest-1001 joined"]);
}

#[test]
fn speaking_guests_leave_no_timer_behind() {
    let mut harness = RoomHarness::new(Config { max_per_ip: 0, ..Config::default() });
    for id in 1..=100 {
        harness.connect(id);
        harness.say(id, "hi");
        harness.advance(Duration::ZERO);
        harness.seal();
        assert_eq!(harness.room.deadline(), None);
    }
}
