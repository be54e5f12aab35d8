//! The actions that a message of an IRC client causes.

use super::capabilities::Capabilities;
use super::message::write_tag_value;
use super::session::shown;
use super::wire::{MASK, write_line};
use crate::protocol::{ClientLine, Request};
use crate::room::ClientId;

/// An action that a message of an IRC client causes.
#[derive(Debug)]
pub enum Action {
    /// Sends lines to the client, between the frames of the room.
    Reply {
        lines: Vec<u8>,
        /// The change of the client's view of the channel that these lines tell.
        view: View,
    },
    /// Applies a line to the room.
    Submit {
        line: ClientLine,
        /// IRC clients see the text as a `NOTICE`.
        is_notice: bool,
    },
    /// Sends a text to an IRC client, or to all of them that see the channel.
    Relay { to: Option<ClientId>, command: &'static str, text: Box<str> },
    /// Changes the profile of the client.
    SetProfile(ProfileChange),
    /// Tells the members that the client sees the channel, or that it does not any more.
    Show(bool),
    /// Remembers how the client leaves.
    SetDeparture(Departure),
}

/// A change of the client's view of the channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    #[default]
    Unchanged,
    /// The client sees the channel from here on.
    Opened,
    /// The client does not see the channel from here on.
    Closed,
}

/// The way in which a client leaves the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It closes its connection, with this reason.
    Quit(Box<str>),
    /// It closes its view of the channel.
    Part(Option<Box<str>>),
}

/// A change of a [`Profile`](super::Profile).
#[derive(Debug)]
pub enum ProfileChange {
    User {
        user: Box<str>,
        real_name: Box<str>,
    },
    RealName(Box<str>),
    /// The text of an absent client.
    Away(Option<Box<str>>),
    IsInChannel(bool),
}

/// The collected actions of one message.
#[derive(Debug)]
pub struct Output<'a> {
    server: &'a str,
    /// The name of the client, or `*` before its registration.
    pub nick: String,
    actions: Vec<Action>,
    lines: Vec<u8>,
    view: View,
    /// A later frame of the room answers the message.
    is_answered: bool,
}

impl<'a> Output<'a> {
    /// Creates an output without actions.
    pub fn new(server: &'a str, nick: &str) -> Self {
        let nick = if nick.is_empty() { "*" } else { nick }.into();
        let (actions, lines) = (Vec::new(), Vec::new());
        Output { server, nick, actions, lines, view: View::Unchanged, is_answered: false }
    }

    /// Adds a numeric reply. `parameters` come between the name of the client and `text`.
    pub fn numeric(&mut self, code: u16, parameters: &[&str], text: &str) {
        let mut words = String::new();
        for parameter in parameters {
            words.push_str(parameter);
            words.push(' ');
        }
        self.plain_numeric(code, &[&words, ":", text]);
    }

    /// Adds a numeric reply whose parameters are these parts.
    pub fn plain_numeric(&mut self, code: u16, parts: &[&str]) {
        let nick = self.nick.clone();
        self.server_line(&[&format!("{code:03} "), &nick, " ", &parts.concat()]);
    }

    /// Adds a reply from the server, in parts.
    pub fn server_line(&mut self, parts: &[&str]) {
        write_line(&mut self.lines, b"", &[":", self.server, " ", &parts.concat()]);
    }

    /// Adds a notice from the server, in parts.
    pub fn notice(&mut self, parts: &[&str]) {
        let nick = self.nick.clone();
        self.server_line(&["NOTICE ", &nick, " :", &parts.concat()]);
    }

    /// Adds a reply whose source is the client, in parts.
    pub fn client_line(&mut self, parts: &[&str]) {
        write_line(&mut self.lines, b"", &[":", &self.nick, MASK, " ", &parts.concat()]);
    }

    /// Adds the error for a name that is not that of a member or of the channel.
    pub fn no_such_nick(&mut self, name: &str) {
        self.numeric(401, &[shown(name)], "No such nick/channel");
    }

    /// Adds the error for a channel of another name.
    pub fn no_such_channel(&mut self, name: &str) {
        self.numeric(403, &[shown(name)], "No such channel");
    }

    /// Adds the error for a command without a text.
    pub fn no_text(&mut self) {
        self.numeric(412, &[], "No text to send");
    }

    /// Adds the error for a command with too few parameters.
    pub fn too_few_parameters(&mut self, command: &str) {
        self.numeric(461, &[command], "Not enough parameters");
    }

    /// Returns the lines, to append others.
    pub fn lines_mut(&mut self) -> &mut Vec<u8> {
        &mut self.lines
    }

    /// Changes the client's view of the channel with the lines that were added.
    pub fn set_view(&mut self, view: View) {
        self.view = view;
    }

    /// Adds an action. Frames that it causes come after the lines that were added before.
    pub fn act(&mut self, action: Action) {
        if !matches!(action, Action::SetProfile(_) | Action::SetDeparture(_)) {
            self.flush();
        }
        self.actions.push(action);
    }

    /// Adds a request to the room. If `is_answered`, a frame with the label answers the message.
    pub fn submit(&mut self, request: Request, label: Option<&str>, is_answered: bool) {
        self.is_answered |= is_answered;
        let line = ClientLine { id: label.map(Into::into), request };
        self.act(Action::Submit { line, is_notice: false });
    }

    /// Adds a text for all members, which IRC clients see as a `NOTICE`.
    pub fn submit_notice(&mut self, text: &str, label: Option<&str>, is_answered: bool) {
        self.is_answered |= is_answered;
        let line = ClientLine { id: label.map(Into::into), request: Request::Say(text.into()) };
        self.act(Action::Submit { line, is_notice: true });
    }

    /// Returns the lines.
    pub fn into_lines(self) -> Vec<u8> {
        self.lines
    }

    fn flush(&mut self) {
        if !self.lines.is_empty() {
            let lines = std::mem::take(&mut self.lines);
            self.actions.push(Action::Reply { lines, view: std::mem::take(&mut self.view) });
        }
    }

    /// Returns the actions. The lines that were added last get the label of the message, as one
    /// batch if they are several.
    pub fn finish(mut self, label: Option<&str>, number: u64) -> Vec<Action> {
        if let Some(label) = label {
            self.lines = self.labeled(label, number);
        }
        self.flush();
        self.actions
    }

    fn labeled(&self, label: &str, number: u64) -> Vec<u8> {
        let tag = label_tag(label);
        let count = self.lines.iter().filter(|&&byte| byte == b'\n').count();
        let mut out = Vec::new();
        let server = self.server;
        match count {
            0 if self.is_answered => {}
            0 => tagged(&mut out, &tag, [":", server, " ACK\r\n"].concat().as_bytes()),
            1 => tagged(&mut out, &tag, &self.lines),
            _ => {
                let number = number.to_string();
                let start = [":", server, " BATCH +l", &number, " labeled-response\r\n"].concat();
                tagged(&mut out, &tag, start.as_bytes());
                let batch = ["batch=l", &number].concat();
                for line in self.lines.split_inclusive(|&byte| byte == b'\n') {
                    // A line can be in one batch only.
                    if line.starts_with(b"@batch=") {
                        out.extend_from_slice(line);
                    } else {
                        tagged(&mut out, batch.as_bytes(), line);
                    }
                }
                write_line(&mut out, b"", &[":", server, " BATCH -l", &number]);
            }
        }
        out
    }
}

/// Returns the tag with a label.
pub fn label_tag(label: &str) -> Vec<u8> {
    let mut tag = b"label=".to_vec();
    write_tag_value(&mut tag, label);
    tag
}

/// Appends a line with one more tag.
pub fn tagged(out: &mut Vec<u8>, tag: &[u8], line: &[u8]) {
    out.push(b'@');
    out.extend_from_slice(tag);
    match line.strip_prefix(b"@") {
        Some(rest) => {
            out.push(b';');
            out.extend_from_slice(rest);
        }
        None => {
            out.push(b' ');
            out.extend_from_slice(line);
        }
    }
}

/// Returns whether a client with these capabilities gets labels.
pub fn has_labels(capabilities: Capabilities) -> bool {
    capabilities.has(Capabilities::LABELED_RESPONSE)
}
