//! Texts of a client, for the room and for other IRC clients.

use super::*;

#[test]
fn answers_have_the_label() {
    let mut harness = Harness::member("labeled-response batch message-tags");
    let lines = harness.ask("@label=a;x=y PING 1");
    assert_eq!(lines, [format!("@label=a {S} PONG smolchat.local :1")]);
    assert_eq!(harness.ask("@label=b PONG 1"), [format!("@label=b {S} ACK")]);
    let lines = harness.ask("@label=c JOIN #smol");
    assert!(lines[0].starts_with(&format!("@label=c {S} BATCH +l")), "{lines:?}");
    assert!(lines[1].starts_with("@batch=l") && lines[1].ends_with("JOIN #smol"), "{lines:?}");
    assert!(lines.last().unwrap().starts_with(&format!("{S} BATCH -l")), "{lines:?}");
    let lines = harness.ask("@label=p PART #smol");
    assert_eq!(lines, ["@label=p :alice!user@smolchat PART #smol"]);
    harness.send("JOIN #smol");
    // Without an echo there is no other answer.
    let actions = harness.send("@label=d PRIVMSG #smol :hello");
    assert_eq!(replies(&actions), [format!("@label=d {S} ACK")]);
    let Action::Submit(line, _) = &actions[0] else { panic!("{actions:?}") };
    assert_eq!(line.id.as_deref(), Some("d"));
    assert_eq!(Harness::member("").ask("@label=e PONG 1"), [""; 0]);
}

#[test]
fn text_is_sent_without_formatting() {
    let mut harness = Harness::member("");
    assert_eq!(
        harness.ask("PRIVMSG #smol :x"),
        [format!("{S} 404 alice #smol :Cannot send to channel")]
    );
    harness.send("JOIN #smol");
    for (line, expected) in [
        ("PRIVMSG #smol :/quit \u{2}b\u{3}4,5c", Request::Say("/quit bc".into())),
        ("NOTICE #smol :hi", Request::Say("hi".into())),
        ("PRIVMSG #smol :\u{1}ACTION waves\u{1}", Request::Action("waves".into())),
        ("PRIVMSG bob :hi", Request::Private { to: "bob".into(), text: "hi".into() }),
        (
            "PRIVMSG BOB :\u{1}ACTION w\u{1}",
            Request::Private { to: "bob".into(), text: "* w".into() },
        ),
    ] {
        let actions = harness.send(line);
        assert_eq!(submitted(&actions), [&expected], "{line:?}");
    }
    // Requests of CTCP are for IRC clients: carol is one.
    for (line, to) in [
        ("PRIVMSG #smol :\u{1}VERSION\u{1}", Some(None)),
        ("PRIVMSG carol :\u{1}VERSION\u{1}", Some(Some(ClientId(1)))),
        ("NOTICE carol :\u{1}VERSION x\u{1}", Some(Some(ClientId(1)))),
        ("PRIVMSG #smol :\u{1}ACTIONS x\u{1}", Some(None)),
        ("PRIVMSG bob :\u{1}VERSION\u{1}", None),
    ] {
        let actions = harness.send(line);
        assert!(submitted(&actions).is_empty(), "{actions:?}");
        let relayed = actions.iter().find_map(|action| match action {
            Action::Relay(to, ..) => Some(*to),
            _ => None,
        });
        assert_eq!(relayed, to, "{line:?}");
    }
    for (line, code) in [
        ("PRIVMSG", 411),
        ("PRIVMSG bob", 412),
        ("PRIVMSG bob :\u{2}", 412),
        ("PRIVMSG dave :x", 401),
        ("PRIVMSG #x :x", 403),
        ("PRIVMSG bob,carol :x", 407),
    ] {
        let lines = harness.ask(line);
        assert!(lines[0].starts_with(&format!("{S} {code} alice ")), "{line}: {lines:?}");
    }
    assert_eq!(harness.ask("NOTICE dave :x"), [""; 0]);
}

#[test]
fn relayed_text_has_no_controls() {
    let mut harness = Harness::member("");
    harness.send("JOIN #smol");
    for (line, expected) in [
        ("PRIVMSG #smol :\u{1}X \u{1b}[2J\u{3}4\u{2}\u{1}y", "\u{1}X [2J\u{1}"),
        ("NOTICE carol :\u{1b}[2J\u{3}04red", "[2Jred"),
        ("NOTICE carol :\u{1}VERSION x\u{1}", "\u{1}VERSION x\u{1}"),
    ] {
        let actions = harness.send(line);
        let Action::Relay(_, _, text) = &actions[0] else { panic!("{actions:?}") };
        assert_eq!(text, expected, "{line:?}");
    }
    for text in ["\u{1}", "\u{1}ACTION\u{1}", "\u{1}ACTION \u{1}", "\u{2}"] {
        let lines = harness.ask(&format!("PRIVMSG #smol :{text}"));
        assert_eq!(lines, [format!("{S} 412 alice :No text to send")], "{text:?}");
    }
}

#[test]
fn long_echo_of_relayed_text_is_complete() {
    let mut harness = Harness::member("echo-message");
    harness.send("NICK a-member-with-a-long-name");
    let text = format!("{} end", "word ".repeat(97));
    let start = ":a-member-with-a-long-name!user@smolchat NOTICE carol :";
    let lines = harness.ask(&format!("NOTICE carol :{text}"));
    assert_eq!(lines, [format!("{start}{}", &text[..454]), format!("{start}{}", &text[455..])]);
}

#[test]
fn quit_and_part_say_why() {
    let mut harness = Harness::member("");
    harness.send("JOIN #smol");
    let actions = harness.send("PART #smol :off \u{2}now");
    assert_eq!(actions[0], Action::Departure("PART #smol :off now".into()));
    let part = ":alice!user@smolchat PART #smol :off now\r\n";
    assert_eq!(actions[1], Action::Reply(part.into(), ViewChange::Closed));
    assert_eq!(actions[2], Action::Show(false));
    let actions = harness.send("QUIT :bye");
    assert_eq!(actions[0], Action::Departure("QUIT :Quit: bye".into()));
    assert_eq!(submitted(&actions), [&Request::Quit]);
}
