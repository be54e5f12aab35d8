//! The commands of operators.

mod rights;

use super::*;
use crate::protocol::escaped_len;

const MINUTE: Duration = Duration::from_secs(60);

/// Returns a room with the operator root, and with alice (192.0.2.1) and bob (192.0.2.2).
pub(super) fn room() -> RoomHarness {
    room_of(Config::default())
}

fn room_of(config: Config) -> RoomHarness {
    let mut harness = RoomHarness::new(config);
    harness.join_from(1, "root", Peer::Unix(Some(0)));
    harness.join_from(2, "alice", inet("192.0.2.1"));
    harness.join_from(3, "bob", inet("192.0.2.2"));
    harness.seal();
    harness.sequence.clear();
    harness
}

fn inet(ip: &str) -> Peer {
    Peer::Inet(ip.parse().unwrap(), 5000)
}

impl RoomHarness {
    fn join_from(&mut self, id: u64, name: &str, peer: Peer) {
        self.connect_from(id, peer);
        self.say(id, &format!(r#"{{"hello":{{"name":"{name}"}}}}"#));
    }

    /// Returns the kind and the text of the last frame of a client.
    fn last(&mut self, id: u64) -> String {
        self.seal();
        self.frames(id).last().map(summary).unwrap_or_default()
    }

    pub(super) fn is_closed_with(&mut self, id: u64, code: &str) -> bool {
        self.seal();
        self.clients[&id].is_closed && self.frames(id).last().unwrap()["code"] == code
    }

    /// A client sends the secret of an operator.
    fn make_operator(&mut self, id: u64, label: &str) {
        let input = Input::Operator { id: ClientId(id), label: label.into(), line_id: None };
        self.room.apply(input, self.now);
    }

    fn pass(&mut self, time: Duration) {
        self.now.unix_ms += time.as_millis() as u64;
        self.advance(time);
    }
}

#[test]
fn member_cannot_use_commands_of_operators() {
    let mut harness = room();
    for line in [
        "/kick bob",
        "/ban bob",
        "/unban bob",
        "/bans",
        "/mute bob",
        "/unmute bob",
        "/whois bob",
        "/topic x",
        "/lock",
        "/op 0123456789abcdef",
    ] {
        harness.say(2, line);
        harness.seal();
        assert_eq!(harness.frames(2).last().unwrap()["code"], "not-operator", "{line}");
    }
    harness.say(2, "/topic");
    assert_eq!(harness.last(2), "info: there is no topic");
    assert_eq!((harness.sequence(), harness.room.member_count()), (Vec::new(), 3));
}

#[test]
fn kick_frees_name_and_token_and_states_who_and_why() {
    let mut harness = room();
    let token = text(&harness.frames(2)[0]["token"]).to_owned();
    harness.say(1, "/kick ALICE too\tloud");
    assert!(harness.is_closed_with(2, "kicked"));
    assert_eq!(harness.last(2), "bye: you were kicked: too loud");
    let expected = ["info: root kicked alice: too loud", "leave: alice left"];
    assert_eq!(harness.sequence(), expected);
    assert_eq!(harness.frames(3).last().unwrap()["kind"], "leave");
    harness.connect_from(4, inet("192.0.2.1"));
    let hello = format!(r#"{{"hello":{{"name":"carol","token":"{token}"}}}}"#);
    harness.say(4, &hello);
    harness.seal();
    assert_eq!(harness.frames(4)[0]["name"], "carol");
}

#[test]
fn kick_frees_the_name_of_an_absent_member() {
    for reason in [DisconnectReason::Away, DisconnectReason::Slow] {
        let mut harness = room();
        harness.connect(4);
        harness.say(4, r#"{"hello":{"name":"carol","keep":true}}"#);
        harness.leave(4, reason);
        harness.say(1, "/kick carol");
        harness.say(3, "/nick carol");
        assert_eq!(harness.last(3), "name: bob is now carol");
    }
}

#[test]
fn ban_holds_for_the_address_under_any_name() {
    let mut harness = room();
    harness.say(1, "/ban alice 10m spam");
    assert!(harness.is_closed_with(2, "banned"));
    harness.join_from(4, "carol", inet("192.0.2.1"));
    assert_eq!(harness.last(4), "bye: your address is banned: spam");
    assert_eq!(harness.sequence()[0], "info: root banned alice: spam");
    harness.say(1, "/bans");
    assert!(harness.last(1).starts_with("info: ban 192.0.2.1 2026-09-21T"));
    harness.pass(10 * MINUTE);
    harness.join_from(5, "carol", inet("192.0.2.1"));
    assert_eq!(harness.room.member_count(), 3);
    harness.say(1, "/ban 192.0.2.0/24");
    assert!(harness.is_closed_with(3, "banned") && harness.is_closed_with(5, "banned"));
    harness.say(1, "/unban 192.0.2.0/24");
    harness.join_from(6, "dave", inet("192.0.2.7"));
    assert_eq!(harness.room.member_count(), 2);
}

#[test]
fn ban_of_ipv6_member_holds_for_its_network() {
    let mut harness = room();
    harness.join_from(4, "carol", inet("2001:db8::1"));
    harness.say(1, "/ban carol");
    assert!(harness.is_closed_with(4, "banned"));
    harness.join_from(5, "dave", inet("2001:db8::ffff:1"));
    assert!(harness.is_closed_with(5, "banned"));
    harness.join_from(6, "erin", inet("2001:db8:0:1::1"));
    assert_eq!(harness.last(6), "join: erin joined");
}

#[test]
fn name_that_looks_like_an_address_is_a_name() {
    let mut harness = room();
    harness.join_from(4, "192.0.2.1", inet("198.51.100.1"));
    harness.say(1, "/ban 192.0.2.1");
    assert!(harness.is_closed_with(4, "banned") && !harness.clients[&2].is_closed);
    harness.say(1, "/ban 192.0.2.1/32");
    assert!(harness.is_closed_with(2, "banned"));
}

#[test]
fn ban_closes_clients_without_a_name() {
    let mut harness = room();
    harness.connect_from(4, inet("192.0.2.1"));
    harness.say(1, "/ban alice");
    assert!(harness.is_closed_with(4, "banned"));
    assert_eq!(harness.room.client_count(), 2);
}

#[test]
fn operators_and_unix_peers_are_never_hit() {
    let mut harness = room();
    harness.join_from(4, "cron", Peer::Unix(Some(1000)));
    harness.make_operator(3, "ops");
    for (line, error) in [
        ("/ban cron", "error: cron has no address of its own"),
        ("/mute cron", "error: cron has no address of its own"),
        ("/unban cron", "error: cron has no address of its own"),
        ("/ban bob", "error: bob is an operator"),
        ("/kick bob", "error: bob is an operator"),
        ("/mute root", "error: root is an operator"),
        ("/ban 192.0.0.0/15", "error: 192.0.0.0/15 is wider than /16, or /32 for IPv6"),
        ("/mute ::/31", "error: ::/31 is wider than /16, or /32 for IPv6"),
        ("/ban eve", "error: no member is called eve"),
        ("/unban 192.0.2.1", "error: 192.0.2.1 is not in /bans"),
    ] {
        harness.say(1, line);
        assert_eq!(harness.last(1), error, "{line}");
    }
    harness.say(1, "/ban 192.0.2.0/24");
    harness.say(1, "/mute 192.0.2.0/24");
    harness.say(3, "still here");
    assert_eq!(harness.last(3), "chat: still here");
    assert!(harness.is_closed_with(2, "banned"));
}

#[test]
fn mute_holds_for_the_address_under_any_name() {
    let mut harness = room();
    harness.say(1, "/mute alice 10m");
    harness.say(2, "/who");
    for line in ["hello", "/me waves", "/msg bob psst", "/nick carol", r#"{"data":"x","id":"7"}"#] {
        harness.say(2, line);
        assert_eq!(harness.last(2), "error: an operator has muted you", "{line}");
    }
    assert_eq!(harness.frames(2).last().unwrap()["id"], "7");
    harness.say(2, "/quit");
    harness.join_from(4, "carol", inet("192.0.2.1"));
    harness.say(4, "hello");
    harness.connect_from(5, inet("192.0.2.1"));
    harness.say(5, "as my first line");
    assert_eq!(harness.last(4), "error: an operator has muted you");
    assert_eq!(harness.last(5), "error: an operator has muted you");
    harness.say(1, "/unmute carol");
    harness.say(4, "hello");
    assert_eq!(harness.last(4), "chat: hello");
}

#[test]
fn mute_ends_after_its_time() {
    let mut harness = room();
    harness.say(1, "/mute alice");
    harness.pass(59 * MINUTE);
    harness.say(2, "early");
    harness.pass(MINUTE);
    harness.say(2, "late");
    assert_eq!(harness.last(2), "chat: late");
    assert!(!harness.sequence().contains(&"chat: early".to_owned()));
}

#[test]
fn locked_room_admits_holders_of_tokens() {
    let mut harness = room();
    harness.connect(4);
    harness.say(4, r#"{"hello":{"name":"carol","keep":true}}"#);
    harness.seal();
    let tokens = [2, 4].map(|id| text(&harness.frames(id)[0]["token"]).to_owned());
    harness.leave(4, DisconnectReason::Slow);
    harness.say(1, "/lock 10m");
    harness.join(5, "eve");
    harness.connect(6);
    harness.advance(Duration::from_secs(1));
    assert!(harness.is_closed_with(5, "locked") && harness.is_closed_with(6, "locked"));
    for (id, token) in [(7, &tokens[0]), (8, &tokens[1])] {
        harness.connect(id);
        harness.say(id, &format!(r#"{{"hello":{{"token":"{token}"}}}}"#));
    }
    harness.join_from(9, "boss", Peer::Unix(Some(0)));
    assert_eq!(harness.room.member_count(), 5);
    harness.say(1, "/lock off");
    harness.join(10, "eve");
    assert_eq!(harness.room.member_count(), 6);
    harness.say(1, "/lock");
    harness.pass(60 * MINUTE);
    harness.join(11, "frank");
    assert_eq!(harness.room.member_count(), 7);
}

#[test]
fn topic_is_in_the_welcome() {
    let mut harness = room();
    harness.say(1, "/topic be kind");
    harness.seal();
    let frame = harness.frames(2).pop().unwrap();
    assert_eq!((text(&frame["topic"]), frame["seq"].as_u64()), ("be kind", Some(4)));
    assert_eq!(text(&frame["data"]), "root set the topic: be kind");
    harness.join(4, "carol");
    harness.say(4, "/topic");
    harness.seal();
    let welcome = &harness.frames(4)[0];
    assert_eq!(welcome["topic"], "be kind");
    assert!(text(&welcome["data"]).contains("; topic: be kind; "));
    assert_eq!(harness.last(4), "info: be kind");
    harness.say(1, "/topic -");
    harness.join(5, "dave");
    harness.seal();
    assert_eq!(harness.frames(5)[0].get("topic"), None);
}

#[test]
fn whois_shows_the_address_to_operators() {
    let mut harness = room();
    harness.say(1, r#"{"data":"/whois Alice","id":"1"}"#);
    assert_eq!(harness.last(1), "info: alice is 192.0.2.1:5000");
    assert_eq!(harness.frames(1).last().unwrap()["id"], "1");
    harness.say(1, "/whois root");
    assert_eq!(harness.last(1), "info: root is unix; an operator (local)");
}

#[test]
fn help_names_commands_of_operators_to_them_alone() {
    let mut harness = room();
    for (id, is_named) in [(1, true), (2, false)] {
        harness.say(id, "/help");
        assert_eq!(harness.last(id).contains("/kick"), is_named);
    }
}

#[test]
fn moderation_of_the_file_applies_at_once() {
    let mut harness = room();
    let (moderation, _) =
        Moderation::parse("topic x\nban 192.0.2.1 - root\nmute 192.0.2.2 - root\n", 0);
    harness.room.apply(Input::Moderation(Box::new(moderation.clone())), harness.now);
    assert!(harness.is_closed_with(2, "banned"));
    harness.say(3, "hello");
    assert_eq!(harness.last(3), "error: an operator has muted you");
    assert_eq!(harness.room.take_changed_moderation(), None);
    harness.say(1, "/unmute 192.0.2.2");
    let text = harness.room.take_changed_moderation().unwrap().to_string();
    assert_eq!(text, "topic x\nban 192.0.2.1 - root\n");
    assert_eq!(harness.room.take_changed_moderation(), None);
}

#[test]
fn audit_line_names_operator_and_target() {
    let mut harness = room();
    harness.say(1, "/ban alice 1h a\\u000ab\u{202e}");
    let log = harness.room.seal().log;
    let audit: Vec<&str> =
        log.iter().filter(|(level, _)| level.is_none()).map(|(_, line)| &**line).collect();
    assert_eq!(
        audit,
        ["local (root unix) banned alice: ban 192.0.2.1 2026-09-21T15:13:20Z local a\\u000ab"]
    );
}

#[test]
fn answer_to_bans_with_quotes_is_bounded() {
    let mut harness = room();
    let reason = "\"".repeat(300);
    for host in 0..60 {
        harness.say(1, &format!("/ban 192.0.3.{host} 1d {reason}"));
    }
    harness.seal();
    harness.say(1, "/bans");
    let answer = harness.last(1);
    assert!(answer.ends_with('…'), "{answer}");
    let len = escaped_len(&answer);
    assert!((15_000..16_800).contains(&len), "{len}");
}
