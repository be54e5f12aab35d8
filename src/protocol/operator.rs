//! The commands of operators.

use std::time::Duration;

use super::Network;
use super::escape::replace_controls;
use super::request::split_word;

/// The most bytes of a reason or a topic.
pub const MAX_OPERATOR_TEXT: usize = 300;

/// A command that only operators may use, or `/topic` without a text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub struct OperatorCommand {
    /// The word of the command.
    pub verb: Verb,
    /// A name, or an address with or without `/BITS`; empty for the commands without one.
    pub target: Box<str>,
    /// The network of the target. That of a name is found later.
    pub network: Option<Network>,
    /// The time for which the command has an effect.
    pub time: Option<Duration>,
    /// The reason or the topic, on one line; empty if there is none.
    pub text: Box<str>,
}

/// The word of an [`OperatorCommand`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Verb {
    /// `/kick NAME [REASON]`: ends the connection of a member.
    Kick,
    /// `/ban NAME|ADDR[/BITS] [TIME] [REASON]`: refuses an address.
    Ban,
    /// `/unban NAME|ADDR[/BITS]`: ends a ban.
    Unban,
    /// `/bans`: lists the bans, the mutes and the lock.
    Bans,
    /// `/mute NAME|ADDR[/BITS] [TIME] [REASON]`: the members of an address cannot say anything.
    Mute,
    /// `/unmute NAME|ADDR[/BITS]`: ends a mute.
    Unmute,
    /// `/whois NAME`: shows the address of a member.
    Whois,
    /// `/topic [TEXT]`: shows or sets the topic of the room.
    Topic,
    /// `/lock [TIME]`: admits only members that return.
    Lock,
}

impl OperatorCommand {
    /// Parses the text after the word of a command. Returns `None` if no command has this word.
    ///
    /// # Errors
    ///
    /// Returns the usage of the command if an argument is missing or invalid.
    pub(super) fn parse(word: &str, rest: &str) -> Option<Result<Self, &'static str>> {
        let (verb, usage) = match word {
            "kick" => (Verb::Kick, "/kick NAME [REASON]"),
            "ban" => (Verb::Ban, "/ban NAME|ADDR[/BITS] [TIME] [REASON]"),
            "unban" => (Verb::Unban, "/unban NAME|ADDR[/BITS]"),
            "bans" => (Verb::Bans, "/bans"),
            "mute" => (Verb::Mute, "/mute NAME|ADDR[/BITS] [TIME] [REASON]"),
            "unmute" => (Verb::Unmute, "/unmute NAME|ADDR[/BITS]"),
            "whois" => (Verb::Whois, "/whois NAME"),
            "topic" => (Verb::Topic, "/topic [TEXT]; - removes the topic"),
            "lock" => (Verb::Lock, "/lock [TIME], such as 30m, 2h or 7d; off opens the room"),
            _ => return None,
        };
        use Verb::{Ban, Bans, Kick, Lock, Mute, Topic};
        let has_target = !matches!(verb, Bans | Topic | Lock);
        let has_time = matches!(verb, Ban | Mute | Lock);
        let has_text = matches!(verb, Kick | Ban | Mute | Topic);
        let (target, rest) = if has_target { split_word(rest) } else { ("", rest) };
        let (first, after) = split_word(rest);
        let time = if has_time { parse_time(first) } else { None };
        let text = replace_controls(if time.is_some() { after } else { rest });
        let text = text.trim();
        // Only /lock may have no time.
        let is_invalid = has_target && (target.is_empty() || time == Some(Duration::ZERO))
            || !has_text && !text.is_empty();
        if is_invalid {
            return Some(Err(usage));
        }
        if text.len() > MAX_OPERATOR_TEXT {
            return Some(Err("a reason or a topic of at most 300 bytes"));
        }
        let network = target.parse().ok();
        let (target, text) = (target.into(), text.into());
        Some(Ok(OperatorCommand { verb, target, network, time, text }))
    }
}

/// Parses a time such as `30s`, `10m`, `1h30m` or `7d`, or `off`, which is zero. A number that is
/// too large becomes the largest.
fn parse_time(text: &str) -> Option<Duration> {
    if text.eq_ignore_ascii_case("off") {
        return Some(Duration::ZERO);
    }
    let mut total = 0_u64;
    let mut rest = text;
    loop {
        let (number, after) = rest.split_at_checked(rest.find(|c: char| !c.is_ascii_digit())?)?;
        let seconds = match after.bytes().next()? {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            _ => return None,
        };
        // A word such as +1h is one of the reason.
        if number.is_empty() {
            return None;
        }
        let number: u32 = number.parse().unwrap_or(u32::MAX);
        total = total.saturating_add(u64::from(number) * seconds);
        rest = after.get(1..)?;
        if rest.is_empty() {
            return Some(Duration::from_secs(total));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<OperatorCommand, &'static str> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        OperatorCommand::parse(word, rest).unwrap()
    }

    #[test]
    fn command_has_target_time_and_text() {
        let hour = Some(Duration::from_secs(3600));
        for (line, verb, target, time, text) in [
            ("kick bob", Verb::Kick, "bob", None, ""),
            ("kick bob 1h of spam", Verb::Kick, "bob", None, "1h of spam"),
            ("ban bob", Verb::Ban, "bob", None, ""),
            ("ban  192.0.2.0/24  60m  spam ", Verb::Ban, "192.0.2.0/24", hour, "spam"),
            ("ban bob too loud", Verb::Ban, "bob", None, "too loud"),
            ("ban bob 1h", Verb::Ban, "bob", hour, ""),
            ("ban bob +1h", Verb::Ban, "bob", None, "+1h"),
            ("unban ::1", Verb::Unban, "::1", None, ""),
            ("bans", Verb::Bans, "", None, ""),
            ("mute bob 3600s", Verb::Mute, "bob", hour, ""),
            ("topic be kind", Verb::Topic, "", None, "be kind"),
            ("topic", Verb::Topic, "", None, ""),
            ("lock 1h", Verb::Lock, "", hour, ""),
            ("lock off", Verb::Lock, "", Some(Duration::ZERO), ""),
            ("lock OFF", Verb::Lock, "", Some(Duration::ZERO), ""),
            ("mute bob 0h60m loud", Verb::Mute, "bob", hour, "loud"),
            ("kick bob a\nban x\r\u{202e}", Verb::Kick, "bob", None, "a ban x"),
        ] {
            let network = target.parse().ok();
            let (target, text) = (target.into(), text.into());
            let expected = OperatorCommand { verb, target, network, time, text };
            assert_eq!(parse(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn invalid_argument_returns_usage() {
        for line in [
            "kick",
            "ban",
            "unban",
            "whois",
            "bans x",
            "lock x",
            "unban a b",
            "ban bob 0s",
            "mute bob off",
        ] {
            let word = line.split(' ').next().unwrap();
            assert!(parse(line).unwrap_err().starts_with(&format!("/{word}")), "{line}");
        }
        for start in ["topic ", "kick bob ", "ban bob 1h "] {
            let line = |bytes| [start, &"x".repeat(bytes)].concat();
            assert!(parse(&line(MAX_OPERATOR_TEXT)).is_ok(), "{start}");
            let error = parse(&line(MAX_OPERATOR_TEXT + 1)).unwrap_err();
            assert_eq!(error, "a reason or a topic of at most 300 bytes", "{start}");
        }
        assert!(OperatorCommand::parse("dance", "").is_none());
    }

    #[test]
    fn time_has_a_unit() {
        let longest = Some(Duration::from_secs(4_294_967_295 * 86_400));
        assert_eq!(parse_time("4294967295d"), longest);
        assert_eq!(parse_time("99999999999999999999d"), longest);
        assert_eq!(parse_time("1d2h3m4s"), Some(Duration::from_secs(93_784)));
        assert!(parse_time(&"9999999999d".repeat(100_000)).is_some());
        for text in ["", "m", "5", "5w", "-1m", "1.5h", "é", "5µ", "1h30", "1hm"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
