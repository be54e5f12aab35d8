//! The commands that the terminal client executes itself, such as `/clear` and `/connect`.
//!
//! All other lines are sent to the server, whose commands are in `room/requests.rs`.

use crate::app::alias::expand_alias;

/// A line that the user has typed, as a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalCommand<'a> {
    /// A message or a command of the server.
    Send(&'a str),
    /// `/help`, which shows the commands of the server and of the client.
    Help,
    /// `/clear`, which clears the screen.
    Clear,
    /// `/ignore`, which lists the ignored members.
    ListIgnored,
    /// `/ignore NAME [forever]`; with `forever`, the name is added to the config file.
    Ignore { name: &'a str, is_forever: bool },
    /// `/unignore NAME`, which shows the messages of a member again.
    Unignore(&'a str),
    /// `/reconnect`, which closes the connection and makes another.
    Reconnect,
    /// `/connect ADDR`, which connects to another server.
    Connect(&'a str),
    /// `/last`, which shows the latest private message again.
    Last,
    /// `/r TEXT`, which answers the latest private message.
    Reply(&'a str),
    /// `/query [NAME [TEXT]]`, which starts a private conversation, or ends it without a name.
    Query(Option<&'a str>, &'a str),
    /// `/time on|off`, which shows or hides the time of each line.
    Time(bool),
    /// A command without its argument, with the correct usage.
    Usage(&'static str),
}

/// The kind of a command's argument, for the completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// No argument, or one that cannot be completed.
    Free,
    /// The name of a member.
    Name,
    /// The name of a member, and then a text.
    NameAndText,
    /// A text, in which names may occur.
    Text,
    /// A word from the list.
    Word(&'static [&'static str]),
}

/// All commands of the server and of the client, sorted by name.
pub const COMMANDS: [(&str, Argument); 17] = [
    ("/clear", Argument::Free),
    ("/connect", Argument::Free),
    ("/help", Argument::Free),
    ("/history", Argument::Free),
    ("/ignore", Argument::Name),
    ("/last", Argument::Free),
    ("/me", Argument::Text),
    ("/msg", Argument::NameAndText),
    ("/nick", Argument::Free),
    ("/query", Argument::NameAndText),
    ("/quit", Argument::Free),
    ("/r", Argument::Text),
    ("/reconnect", Argument::Free),
    ("/stats", Argument::Free),
    ("/time", Argument::Word(&["off", "on"])),
    ("/unignore", Argument::Name),
    ("/who", Argument::Free),
];

/// The text of `/help` about this client, below the answer of the server. Both have the same columns.
pub const HELP: &str = "\
/r TEXT           answers the latest private message
/last             shows that message again
/query [NAME]     sends your lines to NAME, or to all again
/ignore [NAME]    hides NAME; /ignore NAME forever saves it
/unignore NAME    shows them again
/time on|off      shows or hides the time of each line
/clear            clears the screen
/reconnect        closes the connection and reconnects
/connect ADDR     connects to another server
/q /names /w      are also /quit, /who and /msg
Tab, Ctrl-R       complete names, search your lines";

impl<'a> LocalCommand<'a> {
    /// Parses a line that the user has typed.
    pub fn parse(line: &'a str) -> Self {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match (word.to_ascii_lowercase().as_str(), rest) {
            ("/help", _) => LocalCommand::Help,
            ("/clear", _) => LocalCommand::Clear,
            ("/ignore", "") => LocalCommand::ListIgnored,
            ("/ignore", rest) => match rest.split_once(char::is_whitespace) {
                None => LocalCommand::Ignore { name: rest, is_forever: false },
                Some((name, word)) if word.trim_start().eq_ignore_ascii_case("forever") => {
                    LocalCommand::Ignore { name, is_forever: true }
                }
                Some(_) => LocalCommand::Usage("/ignore [NAME [forever]]"),
            },
            ("/unignore", "") => LocalCommand::Usage("/unignore NAME"),
            ("/unignore", name) => LocalCommand::Unignore(name),
            ("/reconnect", _) => LocalCommand::Reconnect,
            ("/connect", "") => LocalCommand::Usage("/connect ADDR"),
            ("/connect", address) => LocalCommand::Connect(address),
            ("/last", _) => LocalCommand::Last,
            ("/r", "") => LocalCommand::Usage("/r TEXT"),
            ("/r", text) => LocalCommand::Reply(text),
            ("/query", "") => LocalCommand::Query(None, ""),
            ("/query", rest) => {
                let (name, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                LocalCommand::Query(Some(name), text.trim_start())
            }
            ("/time", word) if word.eq_ignore_ascii_case("on") => LocalCommand::Time(true),
            ("/time", word) if word.eq_ignore_ascii_case("off") => LocalCommand::Time(false),
            ("/time", _) => LocalCommand::Usage("/time on|off"),
            _ => LocalCommand::Send(line),
        }
    }
}

/// Returns the messages and commands in a text that was typed or pasted.
///
/// Several lines are one message, with their empty lines. If the text begins with a command, each
/// line is executed by itself.
pub fn split_input(text: &str) -> Vec<String> {
    let text = text.trim_end().trim_start_matches(['\r', '\n']);
    let word = text.split(char::is_whitespace).next().unwrap_or_default();
    let word = expand_alias(word);
    let is_command = COMMANDS.iter().any(|(name, _)| word.eq_ignore_ascii_case(name));
    match text {
        "" => Vec::new(),
        text if !text.contains('\n') => vec![text.to_owned()],
        text if is_command => {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            lines.map(str::to_owned).collect()
        }
        // Lines of code may begin with `//` or `/*`.
        text if text.starts_with('/') => vec![format!("/{text}")],
        text => vec![text.to_owned()],
    }
}

/// Returns whether a line is a private message or has a password, so that it must not be stored in
/// the input history.
pub fn is_private(line: &str) -> bool {
    let word = line.split(char::is_whitespace).next().unwrap_or_default();
    ["/msg", "/op", "/pass", "/query", "/r", "/w"]
        .iter()
        .any(|private| word.eq_ignore_ascii_case(private))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_commands_are_sent_to_the_server() {
        for line in ["hello", "/dance", "/who", "/me waves", "//clear", "/msg bob /clear", " /r x"]
        {
            assert_eq!(LocalCommand::parse(line), LocalCommand::Send(line));
        }
    }

    #[test]
    fn client_commands_ignore_case_and_spacing() {
        for (line, command) in [
            ("/clear", LocalCommand::Clear),
            ("/Ignore  bob ", LocalCommand::Ignore { name: "bob", is_forever: false }),
            ("/ignore bob  Forever", LocalCommand::Ignore { name: "bob", is_forever: true }),
            ("/ignore bob now", LocalCommand::Usage("/ignore [NAME [forever]]")),
            ("/ignore", LocalCommand::ListIgnored),
            ("/unignore", LocalCommand::Usage("/unignore NAME")),
            ("/connect router:9", LocalCommand::Connect("router:9")),
            ("/r yes, at noon", LocalCommand::Reply("yes, at noon")),
            ("/query", LocalCommand::Query(None, "")),
            ("/query  bob ", LocalCommand::Query(Some("bob"), "")),
            ("/query bob are you there?", LocalCommand::Query(Some("bob"), "are you there?")),
            ("/time off", LocalCommand::Time(false)),
            ("/time ON", LocalCommand::Time(true)),
            ("/time", LocalCommand::Usage("/time on|off")),
        ] {
            assert_eq!(LocalCommand::parse(line), command);
        }
    }

    #[test]
    fn pasted_lines_are_one_message() {
        assert_eq!(split_input("hello "), ["hello"]);
        assert_eq!(split_input("\n  one\n\n\ttwo\n"), ["  one\n\n\ttwo"]);
        assert_eq!(split_input("/me waves\n\n/who\nhello"), ["/me waves", "/who", "hello"]);
        assert_eq!(split_input("// a comment\nfn main"), ["/// a comment\nfn main"]);
        assert_eq!(split_input("// typed"), ["// typed"]);
        assert_eq!(split_input("/dance\n"), ["/dance"]);
        assert_eq!(split_input(" \n \n"), [""; 0]);
    }

    #[test]
    fn private_messages_are_recognised() {
        assert!(is_private("/msg bob psst") && is_private("/R yes") && is_private("/MSG"));
        assert!(is_private("/w bob psst") && is_private("/query bob psst"));
        assert!(is_private("/op secret") && is_private("/Pass secret"));
        assert!(!is_private("/reconnect") && !is_private("msg bob") && !is_private("/me /msg"));
    }

    #[test]
    fn command_list_is_sorted() {
        assert!(COMMANDS.is_sorted_by_key(|(name, _)| name));
    }
}
