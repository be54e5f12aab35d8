//! IRC clients that an operator has muted or banned.

use super::*;

#[test]
fn muted_irc_client_shows_no_text_at_any_node() {
    let mut harness = LogHarness::new();
    let address = Peer::Inet("192.0.2.1".parse().unwrap(), 1000);
    let alice = (0, harness.connect_peer(0, ListenerProtocol::Irc, address));
    harness.irc(alice, "NICK alice\nUSER u 0 * :Real\nJOIN #smol");
    let bob = harness.join(1, "bob", "");
    let root = (1, harness.connect_peer(1, ListenerProtocol::Chat, Peer::Unix(Some(0))));
    harness.say(root, &[r#"{"hello":{"name":"root"}}"#]);
    harness.flush();
    harness.say(root, &["/mute alice"]);
    harness.flush();
    harness.lines(alice);
    harness.lines(bob);
    for line in [
        "PRIVMSG #smol :evade",
        "PRIVMSG #smol :\u{1}ACTION evade\u{1}",
        "PRIVMSG #smol :\u{1}FOO evade\u{1}",
        "NOTICE #smol :\u{1}FOO evade\u{1}",
        "NOTICE bob :evade",
        "PRIVMSG bob :\u{1}PING evade\u{1}",
        "AWAY :evade",
        "NICK evade",
    ] {
        harness.irc(alice, line);
        harness.flush();
        let expected = ":smolchat.local NOTICE alice :an operator has muted you";
        assert_eq!(harness.lines(alice), [expected], "{line}");
    }
    harness.irc(alice, "PART #smol :evade\nJOIN #smol\nPRIVMSG bob :\u{1}PING evade\u{1}\nPING a");
    harness.flush();
    let answers = harness.lines(alice);
    let muted = answers.iter().position(|line| line.contains("muted"));
    assert!(muted.is_some_and(|at| at + 2 == answers.len()), "{answers:?}");
    harness.irc(bob, "WHOIS alice");
    harness.irc(alice, "QUIT :evade");
    harness.flush();
    let seen = harness.lines(bob).join("\n");
    assert!(seen.contains(" QUIT") && !seen.contains("evade"), "{seen}");
}

#[cfg(feature = "tls")]
#[test]
fn refused_irc_client_has_its_bye_at_its_first_line() {
    let mut harness = LogHarness::new();
    let root = (0, harness.connect_peer(0, ListenerProtocol::Chat, Peer::Unix(Some(0))));
    harness.say(root, &[r#"{"hello":{"name":"root"}}"#]);
    harness.flush();
    harness.say(root, &["/ban 192.0.2.1"]);
    harness.flush();
    let address = Peer::Inet("192.0.2.1".parse().unwrap(), 1000);
    let alice = (0, harness.connect_peer(0, ListenerProtocol::Irc, address));
    harness.flush();
    assert_eq!(harness.lines(alice), [""; 0], "it may speak TLS");
    harness.irc(alice, "NICK alice");
    harness.flush();
    let lines = harness.lines(alice);
    assert!(lines.last().is_some_and(|line| line.starts_with("ERROR")), "{lines:?}");
}
