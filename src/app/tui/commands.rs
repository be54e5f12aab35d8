//! What is typed, and what of it is for the client itself.

/// What a typed line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Say it, to the server: what is said to all, and the server's commands.
    Send(&'a str),
    /// `/help`: the server's, and the client's own.
    Help,
    /// Empty the screen.
    Clear,
    /// Show nothing more of what this member says; without a name, tell who is ignored.
    Ignore(Option<&'a str>),
    /// Show it again.
    Unignore(&'a str),
    /// Drop the link and come back.
    Reconnect,
    /// Leave, and go to another server.
    Connect(&'a str),
    /// Show the latest private line again.
    Last,
    /// Tell whoever the latest private line was from.
    Reply(&'a str),
    /// Show the time of day, or not.
    Time(bool),
    /// It lacks what it needs.
    Usage(&'static str),
}

/// What may stand behind a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Nothing that can be completed.
    Free,
    /// The name of a member.
    Name,
    /// The name of a member, and then a text.
    NameAndText,
    /// A text, in which names may occur.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// All commands, those of the server and those of the client, by their names.
pub const COMMANDS: [(&str, Argument); 16] = [
    ("/clear", Argument::Free),
    ("/connect", Argument::Free),
    ("/help", Argument::Free),
    ("/history", Argument::Free),
    ("/ignore", Argument::Name),
    ("/last", Argument::Free),
    ("/me", Argument::Text),
    ("/msg", Argument::NameAndText),
    ("/nick", Argument::Free),
    ("/quit", Argument::Free),
    ("/r", Argument::Text),
    ("/reconnect", Argument::Free),
    ("/stats", Argument::Free),
    ("/time", Argument::Word(&["off", "on"])),
    ("/unignore", Argument::Name),
    ("/who", Argument::Free),
];

/// What `/help` adds to what the server says.
pub const HELP: &str = "and here: /r TEXT answers the latest private line, /last shows it again, \
    /ignore NAME and /unignore NAME hide and redraw what somebody says, /time on|off shows the time, \
    /clear empties the screen, /reconnect drops the link and comes back, /connect ADDR goes to \
    another server; Tab completes, Ctrl-R searches what you typed";

impl<'a> Command<'a> {
    /// Understands a typed line.
    pub fn parse(line: &'a str) -> Self {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match (word.to_ascii_lowercase().as_str(), rest) {
            ("/help", _) => Command::Help,
            ("/clear", _) => Command::Clear,
            ("/ignore", "") => Command::Ignore(None),
            ("/ignore", name) => Command::Ignore(Some(name)),
            ("/unignore", "") => Command::Usage("/unignore NAME"),
            ("/unignore", name) => Command::Unignore(name),
            ("/reconnect", _) => Command::Reconnect,
            ("/connect", "") => Command::Usage("/connect ADDR"),
            ("/connect", address) => Command::Connect(address),
            ("/last", _) => Command::Last,
            ("/r", "") => Command::Usage("/r TEXT"),
            ("/r", text) => Command::Reply(text),
            ("/time", "on") => Command::Time(true),
            ("/time", "off") => Command::Time(false),
            ("/time", _) => Command::Usage("/time on|off"),
            _ => Command::Send(line),
        }
    }
}

/// Whether a typed line is for somebody alone, and so not for the history of typed lines.
pub fn is_private(line: &str) -> bool {
    let word = line.split(char::is_whitespace).next().unwrap_or_default();
    ["/msg", "/r"].iter().any(|private| word.eq_ignore_ascii_case(private))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_does_not_know_goes_to_the_server() {
        for line in ["hello", "/dance", "/who", "/me waves", "//clear", "/msg bob /clear", " /r x"]
        {
            assert_eq!(Command::parse(line), Command::Send(line));
        }
    }

    #[test]
    fn the_client_s_own_commands_are_understood_in_any_case_and_spacing() {
        for (line, command) in [
            ("/clear", Command::Clear),
            ("/Ignore  bob ", Command::Ignore(Some("bob"))),
            ("/ignore", Command::Ignore(None)),
            ("/unignore", Command::Usage("/unignore NAME")),
            ("/connect router:9", Command::Connect("router:9")),
            ("/r yes, at noon", Command::Reply("yes, at noon")),
            ("/time off", Command::Time(false)),
            ("/time", Command::Usage("/time on|off")),
        ] {
            assert_eq!(Command::parse(line), command);
        }
    }

    #[test]
    fn private_lines_are_told_from_others() {
        assert!(is_private("/msg bob psst") && is_private("/R yes") && is_private("/MSG"));
        assert!(!is_private("/reconnect") && !is_private("msg bob") && !is_private("/me /msg"));
    }

    #[test]
    fn the_list_is_sorted_as_the_completer_wants_it() {
        assert!(COMMANDS.is_sorted_by_key(|(name, _)| name));
    }
}
