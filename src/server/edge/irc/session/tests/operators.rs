//! The topic of the channel, and the messages of operators.

use super::*;
use crate::protocol::{MAX_OPERATOR_TEXT, OperatorCommand, Verb};

fn operator() -> Harness {
    let mut harness = Harness::member("");
    harness.send("JOIN #smol");
    harness.room.is_operator = true;
    harness
}

/// Sends a message, and returns the command that it became.
fn command_of(harness: &mut Harness, line: &str) -> OperatorCommand {
    let actions = harness.send(line);
    let [Request::Operator(command)] = submitted(&actions)[..] else { panic!("{actions:?}") };
    (**command).clone()
}

#[test]
fn topic_is_listed_and_empty_one_removes_it() {
    let mut harness = Harness::member("");
    harness.room.topic = Some("be kind");
    harness.send("JOIN #smol");
    assert_eq!(harness.ask("LIST")[1], format!("{S} 322 alice #smol 2 :be kind"));
    assert_eq!(harness.ask("TOPIC #smol"), [format!("{S} 332 alice #smol :be kind")]);
    let refused = format!("{S} 482 alice #smol :You're not channel operator");
    assert_eq!(harness.ask("TOPIC #smol :"), [&*refused]);
    harness.room.is_operator = true;
    for line in ["TOPIC #smol :", "TOPIC #smol : ", "TOPIC #smol :\u{2}"] {
        let command = command_of(&mut harness, line);
        assert_eq!((command.verb, &*command.text), (Verb::Topic, "-"), "{line:?}");
    }
}

#[test]
fn long_reason_of_operator_is_cut() {
    let mut harness = operator();
    let long = "x".repeat(MAX_OPERATOR_TEXT + 50);
    for start in ["KICK #smol bob :", "MODE #smol +b bob :", "MODE #smol +m bob :", "TOPIC #smol :"]
    {
        let command = command_of(&mut harness, &[start, &long].concat());
        assert_eq!(command.text.len(), MAX_OPERATOR_TEXT, "{start}");
    }
}

#[test]
fn mode_of_others_is_refused() {
    let mut harness = operator();
    assert_eq!(
        harness.ask("MODE #smol +o bob"),
        [format!("{S} 472 alice +o :is unknown mode char to me")]
    );
    harness.room.is_operator = false;
    for change in ["+b bob!*@*", "-b bob", "+m bob", "+o bob"] {
        assert_eq!(
            harness.ask(&format!("MODE #smol {change}")),
            [format!("{S} 482 alice #smol :You're not channel operator")],
            "{change}"
        );
    }
}
