//! The lines of an IRC client.

use std::iter;

use super::text::replace_chars;

/// The longest message from a client, in bytes without its tags and its line end.
pub const MAX_MESSAGE: usize = 510;
/// The most bytes of the tags from a client, with the `@` before and the space after them.
pub const MAX_TAGS: usize = 4096;
/// The longest line from a client, in bytes without its line end.
pub const MAX_LINE: usize = MAX_TAGS + MAX_MESSAGE;
/// The most parameters of a message; the last of them has the rest of the line.
const MAX_PARAMETERS: usize = 15;
/// The longest label, in bytes: that of an `id` of a line.
const MAX_LABEL: usize = 64;

/// A command of an IRC client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the commands")]
pub enum Command {
    Admin,
    Away,
    Cap,
    ChatHistory,
    Help,
    Info,
    Invite,
    IsOn,
    Join,
    Kick,
    LUsers,
    Links,
    List,
    Mode,
    Motd,
    Names,
    Nick,
    Notice,
    Oper,
    /// A command for operators.
    Operator,
    Part,
    Pass,
    Ping,
    Pong,
    PrivMsg,
    Quit,
    SetName,
    Time,
    Topic,
    User,
    UserHost,
    Version,
    Who,
    WhoIs,
    WhoWas,
    /// No command of this server.
    Unknown,
}

/// The commands by their names, with the least number of their parameters. Those with 0 check their
/// parameters themselves.
const COMMANDS: &[(&str, Command, usize)] = &[
    ("ADMIN", Command::Admin, 0),
    ("AWAY", Command::Away, 0),
    ("CAP", Command::Cap, 0),
    ("CHATHISTORY", Command::ChatHistory, 1),
    ("CONNECT", Command::Operator, 0),
    ("DIE", Command::Operator, 0),
    ("HELP", Command::Help, 0),
    ("HELPOP", Command::Help, 0),
    ("INFO", Command::Info, 0),
    ("INVITE", Command::Invite, 2),
    ("ISON", Command::IsOn, 1),
    ("JOIN", Command::Join, 1),
    ("KICK", Command::Kick, 2),
    ("KILL", Command::Operator, 0),
    ("LINKS", Command::Links, 0),
    ("LIST", Command::List, 0),
    ("LUSERS", Command::LUsers, 0),
    ("MODE", Command::Mode, 1),
    ("MOTD", Command::Motd, 0),
    ("NAMES", Command::Names, 0),
    ("NICK", Command::Nick, 0),
    ("NOTICE", Command::Notice, 0),
    ("OPER", Command::Oper, 2),
    ("PART", Command::Part, 1),
    ("PASS", Command::Pass, 0),
    ("PING", Command::Ping, 0),
    ("PONG", Command::Pong, 0),
    ("PRIVMSG", Command::PrivMsg, 0),
    ("QUIT", Command::Quit, 0),
    ("REHASH", Command::Operator, 0),
    ("RESTART", Command::Operator, 0),
    ("SETNAME", Command::SetName, 1),
    ("SQUIT", Command::Operator, 0),
    ("TIME", Command::Time, 0),
    ("TOPIC", Command::Topic, 1),
    ("USER", Command::User, 0),
    ("USERHOST", Command::UserHost, 1),
    ("VERSION", Command::Version, 0),
    ("WALLOPS", Command::Operator, 0),
    ("WHO", Command::Who, 0),
    ("WHOIS", Command::WhoIs, 0),
    ("WHOWAS", Command::WhoWas, 0),
];

/// A line from an IRC client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The tag `label`, which comes back with the answer.
    pub label: Option<Box<str>>,
    /// The command and its parameters, without tags and source.
    text: Box<str>,
}

/// The error for a line that is not a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// The line is longer than [`MAX_MESSAGE`] or has more than 4096 bytes of tags.
    TooLong,
    /// The line is not UTF-8.
    NotUtf8 {
        /// The command, or `*` if it is not a word.
        command: Box<str>,
        /// The tag `label`.
        label: Option<Box<str>>,
    },
    /// The client sends too fast, and its lines are read more slowly. The text says which rate it
    /// has exceeded.
    TooFast(&'static str),
}

/// A message of a client, or the error that answers its line.
pub type ParsedMessage = Result<Message, MessageError>;

impl Message {
    /// Parses a line, which is given without its line end. Returns `None` for an empty line.
    ///
    /// # Errors
    ///
    /// Returns an error if the line is too long, or is not UTF-8. `USER` may have any bytes, because
    /// some clients send the name of the user in the encoding of the system.
    ///
    /// # Examples
    ///
    /// ```
    /// use smolchat::server::edge::irc::{Command, Message};
    ///
    /// let message = Message::parse(b"@label=7 privmsg #smol :hello there").unwrap().unwrap();
    /// assert_eq!(message.label.as_deref(), Some("7"));
    /// assert_eq!(message.command(), Command::PrivMsg);
    /// assert_eq!(message.parameters(), ["#smol", "hello there"]);
    /// ```
    pub fn parse(line: &[u8]) -> Option<Result<Self, MessageError>> {
        let (tags, rest) = match line.strip_prefix(b"@") {
            Some(tagged) => split_space(tagged),
            None => (&[][..], line),
        };
        if tags.len() > MAX_TAGS - 2 || rest.len() > MAX_MESSAGE {
            return Some(Err(MessageError::TooLong));
        }
        let label = find_label(tags);
        let rest = match trim_start(rest).strip_prefix(b":") {
            Some(sourced) => trim_start(split_space(sourced).1),
            None => trim_start(rest),
        };
        if rest.is_empty() {
            return None;
        }
        let (command, _) = split_space(rest);
        let text = match str::from_utf8(rest) {
            Ok(text) => text.into(),
            Err(_) if command.eq_ignore_ascii_case(b"USER") => String::from_utf8_lossy(rest),
            Err(_) => {
                let is_word = command.iter().all(u8::is_ascii_alphanumeric);
                let command = str::from_utf8(command).ok().filter(|_| is_word).unwrap_or("*");
                let command = command.to_ascii_uppercase().into();
                return Some(Err(MessageError::NotUtf8 { command, label }));
            }
        };
        // A client could take a carriage return for the end of a line.
        let text = replace_chars(&text, &['\r', '\0'], "").into();
        Some(Ok(Message { label, text }))
    }

    /// Returns the command.
    pub fn command(&self) -> Command {
        self.find().0
    }

    /// Returns whether the command needs more parameters than it has.
    pub fn lacks_parameters(&self) -> bool {
        let parameters = self.parameters();
        let least = self.find().1;
        parameters.len() < least || least > 0 && parameters.first() == Some(&"")
    }

    /// Returns the command and the least number of its parameters.
    fn find(&self) -> (Command, usize) {
        let name = self.name();
        let known = COMMANDS.iter().find(|(known, ..)| name.eq_ignore_ascii_case(known));
        known.map_or((Command::Unknown, 0), |&(_, command, least)| (command, least))
    }

    /// Returns the name of the command, as the client wrote it.
    pub fn name(&self) -> &str {
        self.text.split_once(' ').map_or(&*self.text, |(name, _)| name)
    }

    /// Returns the parameters, at most 15.
    pub fn parameters(&self) -> Vec<&str> {
        let mut parameters = Vec::new();
        let mut rest = self.text.split_once(' ').map_or("", |(_, rest)| rest);
        while parameters.len() < MAX_PARAMETERS {
            rest = rest.trim_start_matches(' ');
            if let Some(last) = rest.strip_prefix(':') {
                parameters.push(last);
                break;
            }
            let (parameter, after) = rest.split_once(' ').unwrap_or((rest, ""));
            if parameter.is_empty() {
                break;
            }
            parameters.push(parameter);
            rest = after;
        }
        parameters
    }

    /// Returns the bytes of the command and its parameters.
    pub fn byte_count(&self) -> usize {
        self.text.len()
    }
}

/// Returns the value of the tag `label`, unless it is empty or too long.
fn find_label(tags: &[u8]) -> Option<Box<str>> {
    let label = tags.split(|&byte| byte == b';').find_map(|tag| tag.strip_prefix(b"label="))?;
    let label = unescape(str::from_utf8(label).ok()?);
    (1..=MAX_LABEL).contains(&label.len()).then(|| label.into())
}

/// Replaces the escapes of the value of a tag.
fn unescape(value: &str) -> String {
    let mut chars = value.chars();
    let next = || {
        Some(match chars.next()? {
            '\\' => match chars.next()? {
                ':' => ';',
                's' => ' ',
                'r' => '\r',
                'n' => '\n',
                c => c,
            },
            c => c,
        })
    };
    iter::from_fn(next).collect()
}

/// Appends the value of a tag to `out`, with escapes.
pub fn write_tag_value(out: &mut Vec<u8>, value: &str) {
    for byte in value.bytes() {
        match byte {
            b';' => out.extend_from_slice(b"\\:"),
            b' ' => out.extend_from_slice(b"\\s"),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0 => {}
            byte => out.push(byte),
        }
    }
}

/// Returns the bytes before the first space and those after it.
fn split_space(bytes: &[u8]) -> (&[u8], &[u8]) {
    let space = bytes.iter().position(|&byte| byte == b' ').unwrap_or(bytes.len());
    let (word, rest) = bytes.split_at(space);
    (word, rest.split_first().map_or(&[], |(_, rest)| rest))
}

fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(b" ") {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(line: &str) -> Message {
        Message::parse(line.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn message_has_label_command_and_parameters() {
        for (line, parameters) in [
            ("PRIVMSG #smol :hello  there", &["#smol", "hello  there"][..]),
            ("  privmsg   #smol   hello", &["#smol", "hello"]),
            (":alice!a@b PRIVMSG #smol ::-)", &["#smol", ":-)"]),
            ("@label=1;+x=y :alice PRIVMSG a :", &["a", ""]),
            ("PRIVMSG a\rb", &["ab"]),
            ("PRIVMSG", &[]),
        ] {
            let message = parse(line);
            assert_eq!(message.command(), Command::PrivMsg, "{line:?}");
            assert_eq!(message.parameters(), parameters, "{line:?}");
        }
        assert_eq!(parse("@a=b;label=x\\:\\s\\y;c NICK a").label.as_deref(), Some("x; y"));
        assert_eq!(parse("@label= NICK a").label, None);
        assert_eq!(parse(&format!("@label={} NICK a", "x".repeat(65))).label, None);
        assert_eq!(parse(&"x ".repeat(30)).parameters().len(), MAX_PARAMETERS);
        for empty in ["", "   ", ":alice", "@label=1", ":alice  "] {
            assert_eq!(Message::parse(empty.as_bytes()), None, "{empty:?}");
        }
    }

    #[test]
    fn line_over_limit_is_too_long() {
        let tags = format!("@{} ", "t".repeat(MAX_TAGS - 2));
        let message = "x".repeat(MAX_MESSAGE);
        let parse = |line: String| Message::parse(line.as_bytes()).unwrap();
        assert!(parse(format!("{tags}{message}")).is_ok());
        assert_eq!(parse(format!("@t{}{message}", &tags[1..])), Err(MessageError::TooLong));
        assert_eq!(parse(format!("{tags}{message}x")), Err(MessageError::TooLong));
    }

    #[test]
    fn line_that_is_not_utf8_names_its_command() {
        let error = |command: &str, label: Option<&str>| {
            Some(Err(MessageError::NotUtf8 {
                command: command.into(),
                label: label.map(Into::into),
            }))
        };
        assert_eq!(Message::parse(b"@label=1 privmsg a \xFF"), error("PRIVMSG", Some("1")));
        assert_eq!(Message::parse(b"\xFFx a"), error("*", None));
        let user = Message::parse(b"USER a 0 * :i\xE8rc").unwrap().unwrap();
        assert_eq!(user.parameters(), ["a", "0", "*", "i\u{FFFD}rc"]);
    }

    proptest! {
        #[test]
        fn parse_any_line_never_panics(line in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Some(Ok(message)) = Message::parse(&line) {
                prop_assert!(message.parameters().len() <= MAX_PARAMETERS);
                prop_assert!(!message.name().is_empty());
            }
        }

        #[test]
        fn tag_value_round_trips(value in "[ -~é;\\\\\r\n]{1,60}") {
            let mut tag = b"label=".to_vec();
            write_tag_value(&mut tag, &value);
            let is_short = value.len() <= MAX_LABEL;
            let found = find_label(&tag);
            prop_assert_eq!(found.as_deref(), is_short.then_some(&*value));
        }
    }
}
