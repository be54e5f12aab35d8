//! IRC clients that have reconnected or left.

use super::*;

#[test]
fn irc_client_that_has_left_relays_nothing() {
    let mut harness = BroadcasterHarness::with_max_clients(20);
    let [from, to] = [(); 2].map(|()| harness.join_irc(&[]));
    harness.irc(to, &["JOIN #smol"]);
    harness.lines(to);
    let request = format!("PRIVMSG irc-{to} :\u{1}VERSION\u{1}");
    harness.irc(from, &["QUIT", &request, "NOTICE #smol :\u{1}VERSION\u{1}"]);
    assert_eq!(harness.lines(to), [""; 0]);
    let hello = ["PASS secret", "NICK alice", "USER u 0 * :Alice"];
    let [old, _] = [(); 2].map(|()| {
        let id = harness.connect_with(ListenerProtocol::Irc);
        harness.irc(id, &hello);
        id
    });
    harness.irc(old, &[&request]);
    assert_eq!(harness.lines(to), [""; 0]);
}

#[test]
fn password_takes_over_an_old_connection() {
    let mut harness = BroadcasterHarness::with_max_clients(20);
    let hello = ["PASS secret", "NICK alice", "USER u 0 * :Alice"];
    let old = harness.connect_with(ListenerProtocol::Irc);
    harness.irc(old, &hello);
    harness.irc(old, &["JOIN #smol"]);
    harness.lines(old);
    let stranger = harness.connect_with(ListenerProtocol::Irc);
    harness.irc(stranger, &["PASS wrong", "NICK alice"]);
    assert_eq!(
        harness.lines(stranger),
        [":smolchat.local 433 * alice :Nickname is already in use"]
    );
    let new = harness.connect_with(ListenerProtocol::Irc);
    harness.irc(new, &hello);
    assert!(harness.lines(new)[0].starts_with(":smolchat.local 001 alice "));
    assert_eq!(harness.lines(old), ["ERROR :Closing link: you resumed on another connection"]);
    // The connection is lost: the name is reserved.
    harness.end_task(new, DisconnectReason::Lost(ErrorKind::ConnectionReset));
    harness.irc(stranger, &["NICK alice"]);
    assert_eq!(
        harness.lines(stranger),
        [":smolchat.local 433 * alice :Nickname is already in use"]
    );
    let back = harness.connect_with(ListenerProtocol::Irc);
    harness.irc(back, &hello);
    assert!(harness.lines(back)[0].starts_with(":smolchat.local 001 alice "));
}

#[test]
fn repeated_label_of_a_renamed_client_posts_once() {
    let mut harness = BroadcasterHarness::with_max_clients(20);
    let mut register = |name| {
        let id = harness.connect_with(ListenerProtocol::Irc);
        let nick = format!("NICK {name}");
        let hello = ["CAP REQ :labeled-response", "PASS secret", &nick, "USER u 0 * :A"];
        harness.irc(id, &hello);
        harness.irc(id, &["CAP END", "JOIN #smol", "@label=1 PRIVMSG #smol :hello"]);
        harness.irc(id, &["NICK carol"]);
    };
    // The second takes over the connection of the first.
    register("alice");
    register("carol");
    let received = String::from_utf8_lossy(&harness.remotes[&OBSERVER].received);
    assert_eq!(received.matches(r#""data":"hello""#).count(), 1, "{received}");
}
