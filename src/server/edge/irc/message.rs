//! The lines of an IRC client.

use std::borrow::Cow;
use std::iter;

use super::text::{map_chars, split_first};
use crate::protocol::{ClientLine, ErrorCode, ParsedLine, Request, RequestError};

/// The longest message from a client, in bytes without its tags and its line end.
pub const MAX_MESSAGE: usize = 510;
/// The most bytes of the tags from a client, with the `@` before and the space after them.
const MAX_TAGS: usize = 4096;
/// The longest line from a client, in bytes without its line end.
pub const MAX_LINE: usize = MAX_TAGS + MAX_MESSAGE;
/// The most parameters of a message; the last of them has the rest of the line.
const MAX_PARAMETERS: usize = 15;
/// The longest label, in bytes: that of an `id` of a line.
const MAX_LABEL: usize = 64;

/// Parses a line, which is given without its line end. Its tag `label` is the id, and the rest of it
/// a [`Request::Edge`]. An empty line is a heartbeat.
///
/// # Errors
///
/// Returns an error if the line is longer than [`MAX_MESSAGE`] or has more than 4096 bytes of tags,
/// or if it is not UTF-8; then the text of the error is the command. `USER` may have any bytes,
/// because some clients send the name of the user in the encoding of the system.
///
/// # Examples
///
/// ```
/// use smolchat::protocol::Request;
/// use smolchat::server::edge::irc::parse_line;
///
/// let line = parse_line(b"@label=7 PRIVMSG #smol :hello there").unwrap();
/// assert_eq!(line.id.as_deref(), Some("7"));
/// assert_eq!(line.request, Request::Edge("PRIVMSG #smol :hello there".into()));
/// ```
#[inline(never)]
pub fn parse_line(line: &[u8]) -> ParsedLine {
    let (tags, rest) = match line.strip_prefix(b"@") {
        Some(tagged) => split_space(tagged),
        None => (&[][..], line),
    };
    if tags.len() > MAX_TAGS - 2 || rest.len() > MAX_MESSAGE {
        return Err(RequestError::new(ErrorCode::TooLong, ""));
    }
    let id = find_label(tags);
    let rest = match rest.trim_ascii_start().strip_prefix(b":") {
        Some(sourced) => split_space(sourced).1.trim_ascii_start(),
        None => rest.trim_ascii_start(),
    };
    if rest.is_empty() {
        return Ok(ClientLine { id: None, request: Request::Heartbeat });
    }
    let text = String::from_utf8_lossy(rest);
    if matches!(text, Cow::Owned(_)) && IrcCommand::of(&text) != IrcCommand::User {
        let (command, _) = split_first(&text, ' ');
        let is_word = command.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let text = if is_word { command } else { "*" }.into();
        return Err(RequestError { code: ErrorCode::NotUtf8, text, id });
    }
    // A client could take a carriage return for the end of a line.
    let text = map_chars(&text, |c| (!matches!(c, '\r' | '\0')).then_some(c));
    Ok(ClientLine { id, request: Request::Edge(text.into()) })
}

/// A command of an IRC client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the commands")]
pub enum IrcCommand {
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

/// The names of the commands, in the order of [`COMMANDS`].
const NAMES: &str = "ADMIN AWAY CAP CHATHISTORY HELP HELPOP INFO INVITE ISON JOIN KICK LIST \
                     LUSERS MODE MOTD NAMES NICK NOTICE OPER PART PASS PING PONG PRIVMSG QUIT TIME \
                     TOPIC USER USERHOST VERSION WHO WHOIS WHOWAS \
                     CONNECT DIE KILL REHASH RESTART SQUIT WALLOPS";

/// The commands with these names. The names after them are those of operators.
const COMMANDS: [IrcCommand; 33] = [
    IrcCommand::Admin,
    IrcCommand::Away,
    IrcCommand::Cap,
    IrcCommand::ChatHistory,
    IrcCommand::Help,
    IrcCommand::Help,
    IrcCommand::Info,
    IrcCommand::Invite,
    IrcCommand::IsOn,
    IrcCommand::Join,
    IrcCommand::Kick,
    IrcCommand::List,
    IrcCommand::LUsers,
    IrcCommand::Mode,
    IrcCommand::Motd,
    IrcCommand::Names,
    IrcCommand::Nick,
    IrcCommand::Notice,
    IrcCommand::Oper,
    IrcCommand::Part,
    IrcCommand::Pass,
    IrcCommand::Ping,
    IrcCommand::Pong,
    IrcCommand::PrivMsg,
    IrcCommand::Quit,
    IrcCommand::Time,
    IrcCommand::Topic,
    IrcCommand::User,
    IrcCommand::UserHost,
    IrcCommand::Version,
    IrcCommand::Who,
    IrcCommand::WhoIs,
    IrcCommand::WhoWas,
];

impl IrcCommand {
    /// Returns the command of a message, which is its first word in any case.
    pub fn of(text: &str) -> Self {
        let (name, _) = split_first(text, ' ');
        match NAMES.split(' ').position(|known| name.eq_ignore_ascii_case(known)) {
            Some(at) => COMMANDS.get(at).copied().unwrap_or(IrcCommand::Operator),
            None => IrcCommand::Unknown,
        }
    }

    /// Returns whether the command only shows that the client is there.
    pub fn is_heartbeat(self) -> bool {
        matches!(self, IrcCommand::Ping | IrcCommand::Pong)
    }

    /// Returns whether the command is one of those before a client is a member.
    pub fn is_registration(self) -> bool {
        matches!(self, IrcCommand::Cap | IrcCommand::Nick | IrcCommand::Pass | IrcCommand::User)
    }

    /// Returns whether others are shown the text, beside those of `PART` and `QUIT`.
    pub fn is_seen_by_others(self) -> bool {
        matches!(
            self,
            IrcCommand::Away | IrcCommand::Nick | IrcCommand::Notice | IrcCommand::PrivMsg
        )
    }

    /// Returns whether only the room knows how long the answer is.
    pub fn has_long_answer(self) -> bool {
        use IrcCommand::{Away, Mode, Notice, Part, PrivMsg};
        !self.is_registration() && !matches!(self, Away | Mode | Notice | Part | PrivMsg)
    }
}

/// A message of a client, in its parts.
#[derive(Debug)]
pub struct Message<'a> {
    pub command: IrcCommand,
    /// The command as the client wrote it.
    pub name: &'a str,
    /// The parameters; those that are missing are empty.
    pub parameters: [&'a str; MAX_PARAMETERS],
    /// The last parameter is empty and not missing: the message ends with `:`.
    pub is_last_empty: bool,
}

impl<'a> Message<'a> {
    /// Splits the text of a [`Request::Edge`].
    #[inline(never)]
    pub fn new(text: &'a str) -> Self {
        let (name, mut rest) = split_first(text, ' ');
        let mut parameters = [""; MAX_PARAMETERS];
        let mut is_last_empty = false;
        for parameter in &mut parameters {
            while let Some(trimmed) = rest.strip_prefix(' ') {
                rest = trimmed;
            }
            if let Some(last) = rest.strip_prefix(':') {
                *parameter = last;
                is_last_empty = last.is_empty();
                break;
            }
            (*parameter, rest) = split_first(rest, ' ');
        }
        Message { command: IrcCommand::of(name), name, parameters, is_last_empty }
    }

    /// Returns whether the command needs more parameters than it has. Some commands check them
    /// themselves.
    pub fn lacks_parameters(&self) -> bool {
        use IrcCommand::{
            ChatHistory, Invite, IsOn, Join, Kick, Mode, Oper, Part, Pass, Topic, User, UserHost,
        };
        let needed: usize = match self.command {
            ChatHistory | IsOn | Join | Mode | Part | Pass | Topic | UserHost => 1,
            Invite | Kick | Oper => 2,
            User => 4,
            _ => 0,
        };
        // Only the last parameter can be empty.
        needed > 0 && self.parameters.get(needed - 1).is_none_or(|last| last.is_empty())
    }
}

/// Returns the value of the last tag `label`, unless it is empty or too long.
#[inline(never)]
fn find_label(tags: &[u8]) -> Option<Box<str>> {
    let label = tags.rsplit(|&byte| byte == b';').find_map(|tag| tag.strip_prefix(b"label="))?;
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
pub fn write_tag_value(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            ';' => out.push_str("\\:"),
            ' ' => out.push_str("\\s"),
            '\\' => out.push_str("\\\\"),
            '\r' => out.push_str("\\r"),
            '\n' => out.push_str("\\n"),
            '\0' => {}
            c => out.push(c),
        }
    }
}

/// Returns the bytes before the first space and those after it.
pub fn split_space(bytes: &[u8]) -> (&[u8], &[u8]) {
    let space = bytes.iter().position(|&byte| byte == b' ').unwrap_or(bytes.len());
    let (word, rest) = bytes.split_at(space);
    (word, rest.strip_prefix(b" ").unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(line: &str) -> (Option<Box<str>>, String) {
        match parse_line(line.as_bytes()).unwrap() {
            ClientLine { id, request: Request::Edge(text) } => (id, text.into()),
            line => panic!("{line:?}"),
        }
    }

    fn code(line: impl AsRef<[u8]>) -> ErrorCode {
        parse_line(line.as_ref()).unwrap_err().code
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
            let text = parse(line).1;
            let message = Message::new(&text);
            assert_eq!(message.command, IrcCommand::PrivMsg, "{line:?}");
            assert!(message.parameters.starts_with(parameters), "{message:?}");
            assert_eq!(message.parameters.concat(), parameters.concat(), "{message:?}");
        }
        assert_eq!(parse("@a=b;label=x\\:\\s\\y;c NICK a").0.as_deref(), Some("x; y"));
        assert_eq!(parse("@label=1;label=2 NICK a").0.as_deref(), Some("2"));
        assert_eq!(parse("@label= NICK a").0, None);
        assert_eq!(parse(&format!("@label={} NICK a", "x".repeat(65))).0, None);
        assert_eq!(Message::new(&"x ".repeat(30)).parameters, ["x"; MAX_PARAMETERS]);
        for empty in ["", "   ", ":alice", "@label=1", ":alice  "] {
            let line = parse_line(empty.as_bytes()).unwrap();
            assert_eq!(line.request, Request::Heartbeat, "{empty:?}");
        }
    }

    #[test]
    fn line_over_limit_is_too_long() {
        let tags = format!("@{} ", "t".repeat(MAX_TAGS - 2));
        let message = "x".repeat(MAX_MESSAGE);
        assert!(parse_line(format!("{tags}{message}").as_bytes()).is_ok());
        assert_eq!(code(format!("@t{}{message}", &tags[1..])), ErrorCode::TooLong);
        assert_eq!(code(format!("{tags}{message}x")), ErrorCode::TooLong);
    }

    #[test]
    fn line_that_is_not_utf8_names_its_command() {
        let error = parse_line(b"@label=1 PRIVMSG a \xFF").unwrap_err();
        assert_eq!((error.code, &*error.text), (ErrorCode::NotUtf8, "PRIVMSG"));
        assert_eq!(error.id.as_deref(), Some("1"));
        assert_eq!(parse_line(b"\xFF\x1b[2J x").unwrap_err().text, "*");
        let user = parse_line(b"USER a 0 * :i\xE8rc").unwrap();
        assert_eq!(user.request, Request::Edge("USER a 0 * :i\u{FFFD}rc".into()));
    }

    #[test]
    fn every_command_is_found_in_any_case() {
        for (name, command) in NAMES.split(' ').zip(COMMANDS) {
            assert_eq!(IrcCommand::of(&format!("{} x", name.to_lowercase())), command);
            assert!(name.eq_ignore_ascii_case(&format!("{command:?}")) || name == "HELPOP");
        }
        assert_eq!(IrcCommand::of("wallops"), IrcCommand::Operator);
        assert_eq!(IrcCommand::of("NONSENSE"), IrcCommand::Unknown);
    }

    proptest! {
        #[test]
        fn parse_any_line_never_panics(line in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(ClientLine { request: Request::Edge(text), .. }) = parse_line(&line) {
                let _ = Message::new(&text);
            }
        }

        #[test]
        fn tag_value_round_trips(value in "[ -~é;\\\\\r\n]{1,60}") {
            let mut tag = "label=".to_owned();
            write_tag_value(&mut tag, &value);
            let is_short = value.len() <= MAX_LABEL;
            let found = find_label(tag.as_bytes());
            prop_assert_eq!(found.as_deref(), is_short.then_some(&*value));
        }
    }
}
