//! The messages of operators, and the messages with a secret.
//!
//! `KICK`, `TOPIC` and `MODE` become the commands that other clients type; the room answers them.

use super::commands::NO_OPERATOR;
use super::message::{IrcCommand, Message};
use super::session::{Exchange, bounded};
use crate::protocol::{ClientLine, MAX_OPERATOR_TEXT, Secret};

/// Removes the secret from the text of a message. Returns the secret, and whether it is that of an
/// operator (`OPER`) or the password of the room (`PASS`). That is the rest of the line, because irssi
/// sends a password with spaces without a colon.
pub fn take_secret(text: &mut Box<str>) -> Option<(Secret, bool)> {
    let message = Message::new(text);
    let [_, second, ..] = message.parameters;
    let (command, secret) = match message.command {
        IrcCommand::Pass => {
            let rest = text.get(message.name.len()..).unwrap_or_default().trim();
            ("PASS", rest.strip_prefix(':').unwrap_or(rest))
        }
        IrcCommand::Oper => ("OPER", second),
        _ => return None,
    };
    if secret.is_empty() {
        return None;
    }
    let taken = (Secret(secret.into()), message.command == IrcCommand::Oper);
    *text = command.into();
    Some(taken)
}

/// Applies `KICK`, `TOPIC` or `MODE` of an operator to the room. Returns `false` for another mode.
pub fn operate(message: &Message<'_>, exchange: &mut Exchange<'_>) -> bool {
    let [_, second, third, fourth, ..] = message.parameters;
    let last = if message.command == IrcCommand::Mode { fourth } else { third };
    let last = bounded(last, MAX_OPERATOR_TEXT);
    let topic = bounded(second, MAX_OPERATOR_TEXT);
    let topic = if topic.trim().is_empty() { "-" } else { &*topic };
    let command = match (message.command, second) {
        (IrcCommand::Kick, name) => ["/kick ", name, " ", &last],
        (IrcCommand::Topic, _) => ["/topic ", topic, "", ""],
        (_, "b" | "+b") if third.is_empty() => ["/bans", "", "", ""],
        (_, "+b") => ["/ban ", target_of(third), " ", &last],
        (_, "-b") => ["/unban ", target_of(third), "", ""],
        (_, "+m") => ["/mute ", third, " ", &last],
        (_, "-m") => ["/unmute ", third, "", ""],
        _ => return false,
    };
    match ClientLine::parse(command.concat().as_bytes()) {
        Ok(line) => exchange.submit(line.request, false, false),
        Err(_) => exchange.out.reply("461 $1 :Not enough parameters", &[message.name]),
    }
    true
}

/// Writes the topic of the channel.
pub fn write_topic(is_requested: bool, exchange: &mut Exchange<'_>) {
    match exchange.channel.topic() {
        Some(topic) => exchange.out.reply("332 $c :$1", &[topic]),
        None if is_requested => exchange.out.reply("331 $c :No topic is set", &[]),
        None => {}
    }
}

/// Returns the reply to an error of the room that has a number of its own.
pub fn error_number(code: &str) -> Option<&'static str> {
    match code {
        "password-required" | "wrong-password" | "too-many-tries" | "tls-required" => {
            Some("464 :$1")
        }
        "not-operator" => Some(NO_OPERATOR),
        _ => None,
    }
}

/// Returns the name or the address that a mask is for: `bob!*@*`, `*!*@192.0.2.1`, or either alone.
fn target_of(mask: &str) -> &str {
    let (name, rest) = mask.split_once('!').unwrap_or((mask, ""));
    match (name, rest.rsplit_once('@')) {
        ("*", Some((_, host))) => host,
        _ => name.strip_prefix("*@").unwrap_or(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_removed_from_a_message() {
        for (text, secret, rest) in [
            ("PASS secret", Some(("secret", false)), "PASS"),
            ("pass :two words", Some(("two words", false)), "PASS"),
            ("PASS two words", Some(("two words", false)), "PASS"),
            ("OPER root secret", Some(("secret", true)), "OPER"),
            ("OPER root", None, "OPER root"),
            ("PASS", None, "PASS"),
            ("PRIVMSG #smol :PASS secret", None, "PRIVMSG #smol :PASS secret"),
        ] {
            let mut message = Box::from(text);
            let taken = take_secret(&mut message).map(|(secret, is_oper)| (secret.0, is_oper));
            let secret = secret.map(|(secret, is_oper)| (secret.into(), is_oper));
            assert_eq!((taken, &*message), (secret, rest), "{text}");
        }
    }

    #[test]
    fn mask_is_a_name_or_an_address() {
        for (mask, expected) in [
            ("bob", "bob"),
            ("bob!*@*", "bob"),
            ("*!*@192.0.2.1", "192.0.2.1"),
            ("*@2001:db8::/64", "2001:db8::/64"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("*!*@*", "*"),
        ] {
            assert_eq!(target_of(mask), expected, "{mask}");
        }
    }
}
