//! The part of [`App`] for the lines that the user types at the terminal: it executes the commands
//! of the client (`app/tui/commands.rs`) and sends all other lines to the server.

use super::{App, UnconfirmedLine};
use crate::app::alias::expand_alias;
use crate::app::link_status::describe_split;
use crate::app::tui::commands::{Command, HELP};
use crate::app::tui::entry::EntryKind;
use crate::client::ServerAddress;

const NO_PRIVATE: &str = "there is no private message yet";

impl App {
    /// Executes a command of the client, or sends the line to the server.
    pub(super) fn execute(&mut self, line: &str) {
        match Command::parse(&expand_alias(line)) {
            Command::Send(line) => self.send_message(line),
            // The server's part comes first, if there is a server.
            Command::Help if self.session.is_connected() => {
                self.send_line("/help");
                self.help_query = self.unconfirmed_lines.back().map(|line| line.id.clone());
            }
            Command::Help => self.view.show_notice(EntryKind::Info, HELP),
            Command::Query(name, text) => self.start_query(name, text),
            Command::Clear => {
                self.view.clear();
                self.screen.clear();
            }
            Command::Ignore(None) => self.show_ignored(),
            Command::Ignore(Some(name)) => {
                let already = if self.view.ignore(name) { "" } else { "already " };
                let text =
                    format!("messages of {name} are {already}hidden; /unignore {name} shows them");
                self.view.show_notice(EntryKind::Info, &text);
            }
            Command::Unignore(name) => {
                let text = match self.view.unignore(name) {
                    true => format!("messages of {name} are shown again"),
                    false => format!("messages of {name} were not hidden"),
                };
                self.view.show_notice(EntryKind::Info, &text);
            }
            Command::Reconnect => self.session.reconnect(),
            Command::Connect(address) => match address.parse::<ServerAddress>() {
                Ok(address) => {
                    self.view.show_notice(EntryKind::Info, &format!("connecting to {address}"));
                    self.server_switch.connect(address, self.session.name());
                }
                Err(error) => self.view.show_notice(EntryKind::Error, &error.to_string()),
            },
            Command::Last => match &self.last_private {
                Some(received) => self.view.show_frame(received, self.session.name()),
                None => self.view.show_notice(EntryKind::Error, NO_PRIVATE),
            },
            Command::Reply(text) => match &self.last_private {
                Some(received) => {
                    let line = format!("/msg {} {text}", received.frame.data_source);
                    self.send_line(&line);
                }
                None => self.view.show_notice(EntryKind::Error, NO_PRIVATE),
            },
            Command::Time(is_on) => {
                self.view.settings.has_timestamps = is_on;
                self.screen.request_redraw();
            }
            Command::Usage(usage) => {
                self.view.show_notice(EntryKind::Error, &format!("usage: {usage}"));
            }
        }
    }

    /// Starts a private conversation with a member, or ends it.
    fn start_query(&mut self, name: Option<&str>, text: &str) {
        let message = match (name, self.query.take()) {
            (Some(name), _) => {
                self.query = Some(name.to_owned());
                format!("your lines go to {name} alone; /query ends this")
            }
            (None, Some(_)) => "your lines go to all members again".into(),
            (None, None) => "usage: /query NAME".into(),
        };
        self.view.show_notice(EntryKind::Info, &message);
        if !text.is_empty() {
            self.send_message(text);
        }
    }

    /// Sends a line to all members, or in a private conversation to one.
    fn send_message(&mut self, line: &str) {
        let text = match line.strip_prefix('/') {
            None => line,
            Some(text) if text.starts_with('/') => text,
            Some(_) => "",
        };
        let is_action =
            line.split_whitespace().next().is_some_and(|w| w.eq_ignore_ascii_case("/me"));
        match &self.query {
            Some(name) if !text.is_empty() => {
                let line = format!("/msg {name} {text}");
                self.send_line(&line);
            }
            Some(_) if is_action => {
                let text = "/me goes to all members; /query ends the private conversation first";
                self.view.show_notice(EntryKind::Error, text);
            }
            _ => self.send_line(line),
        }
    }

    fn show_ignored(&mut self) {
        let text = match self.view.ignored_names() {
            [] => "no member is ignored".into(),
            names => format!("ignored: {}", names.join(", ")),
        };
        self.view.show_notice(EntryKind::Info, &text);
    }

    /// Sends a line, or its parts if it is longer than the server accepts.
    fn send_line(&mut self, line: &str) {
        match self.session.split(line) {
            Ok(parts) => {
                if parts.len() > 1 {
                    let text = describe_split(parts.len(), self.session.limits());
                    self.view.show_notice(EntryKind::Info, &text);
                }
                self.unsent_parts.extend(parts);
                self.send_parts();
            }
            Err(error) => self.view.show_notice(EntryKind::Error, &error.to_string()),
        }
    }

    /// Sends the parts that the session accepts.
    pub(super) fn send_parts(&mut self) {
        while self.session.has_capacity()
            && let Some(part) = self.unsent_parts.pop_front()
        {
            self.send_part(&part);
        }
    }

    fn send_part(&mut self, line: &str) {
        let is_shown = !self.session.is_connected();
        match self.session.send(line) {
            Ok(id) => {
                if is_shown && !self.session.is_finishing() {
                    self.view.show_pending(self.session.name(), line);
                }
                let text = line.to_owned();
                self.unconfirmed_lines.push_back(UnconfirmedLine { id, text, is_shown });
            }
            Err(error) => self.view.show_notice(EntryKind::Error, &error.to_string()),
        }
        if self.session.is_finishing() {
            self.user_input = None;
        }
    }

    /// Ends the input and finishes the session.
    pub(super) fn leave(&mut self) {
        if !self.unsent_parts.is_empty() {
            self.unsent_parts.clear();
            self.view.show_notice(EntryKind::Error, "the rest of a long line was not sent");
        }
        self.user_input = None;
        self.session.finish();
    }
}
