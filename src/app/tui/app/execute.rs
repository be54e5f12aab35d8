//! Executes the lines that the user types: the commands of the client (`app/tui/commands.rs`) here,
//! and all others on the server.

use std::io;
use std::path::Path;

use super::{App, UnconfirmedLine};
use crate::app::alias::expand_alias;
use crate::app::config_file;
use crate::app::link_status::describe_split;
use crate::app::tui::commands::{HELP, LocalCommand};
use crate::app::tui::entry::EntryKind;
use crate::client::{ServerAddress, sanitize};
use crate::protocol::{case_fold, is_valid_name};

const NO_PRIVATE: &str = "there is no private message yet";

impl App {
    /// Executes a command of the client, or sends the line to the server.
    pub(super) fn execute(&mut self, line: &str) {
        match LocalCommand::parse(&expand_alias(line)) {
            LocalCommand::Send(line) => self.send_message(line),
            // The server's part comes first, if there is a server.
            LocalCommand::Help if self.session.is_connected() => {
                self.send_part("/help");
                self.help_id = self.unconfirmed_lines.back().map(|line| line.id.clone());
            }
            LocalCommand::Help => self.view.show_notice(EntryKind::Info, HELP),
            LocalCommand::Query(name, text) => self.start_query(name, text),
            LocalCommand::Clear => {
                self.view.clear();
                self.screen.clear();
            }
            LocalCommand::ListIgnored => {
                let text = match self.view.ignored.describe() {
                    None => "no member is ignored".into(),
                    Some(names) => format!("ignored: {names}"),
                };
                self.view.show_notice(EntryKind::Info, &text);
            }
            LocalCommand::Ignore { name, is_forever } => self.ignore(name, is_forever),
            LocalCommand::Unignore(name) => self.unignore(name),
            LocalCommand::Reconnect => self.session.reconnect(),
            LocalCommand::Connect(address) => self.connect(address),
            LocalCommand::Last => match &self.last_private {
                Some(received) => self.view.show_frame(received, self.session.name()),
                None => self.view.show_notice(EntryKind::Error, NO_PRIVATE),
            },
            LocalCommand::Reply(text) => match &self.last_private {
                Some(received) => {
                    let line = format!("/msg {} {text}", received.frame.data_source);
                    self.queue_parts(&line);
                }
                None => self.view.show_notice(EntryKind::Error, NO_PRIVATE),
            },
            LocalCommand::Time(is_on) => {
                self.view.settings.has_timestamps = is_on;
                self.screen.request_redraw();
            }
            LocalCommand::Usage(usage) => {
                self.view.show_notice(EntryKind::Error, &format!("usage: {usage}"));
            }
        }
    }

    /// Starts a private conversation with a member, or ends it.
    fn start_query(&mut self, name: Option<&str>, text: &str) {
        let message = match (name, self.query.take()) {
            (Some(name), _) => {
                self.query = Some(name.to_owned());
                format!("your lines are sent only to {name}; /query ends this")
            }
            (None, Some(_)) => "your lines are sent to all members again".into(),
            (None, None) => "usage: /query NAME".into(),
        };
        self.view.show_notice(EntryKind::Info, &message);
        self.editor.set_private(self.query.is_some());
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
                self.queue_parts(&line);
            }
            Some(_) if is_action => {
                let text = "/me is sent to all members; /query ends the private conversation first";
                self.view.show_notice(EntryKind::Error, text);
            }
            _ => self.queue_parts(line),
        }
    }

    /// Connects to another server, or again to the present one.
    fn connect(&mut self, address: &str) {
        match address.parse::<ServerAddress>() {
            Ok(address) if is_same_server(&address, self.session.address()) => {
                self.server_switch.cancel();
                self.session.reconnect();
            }
            Ok(address) => {
                self.view.show_notice(EntryKind::Info, &format!("connecting to {address}"));
                let name = self.session.requested_name().unwrap_or(self.session.name());
                let config = self.server_switch.config().name(name);
                self.connect_to(address, config);
            }
            Err(error) => self.view.show_notice(EntryKind::Error, &error.to_string()),
        }
    }

    fn ignore(&mut self, name: &str, is_forever: bool) {
        if case_fold(name) == case_fold(self.session.name()) {
            return self.view.show_notice(EntryKind::Error, "your own messages cannot be hidden");
        }
        if !is_valid_name(name) {
            let text = format!("{} cannot be the name of a member", sanitize(name));
            return self.view.show_notice(EntryKind::Error, &text);
        }
        let already = if self.view.ignored.add(name) { "" } else { "already " };
        let kept = if is_forever { ", now and later" } else { "" };
        let text =
            format!("messages of {name} are {already}hidden{kept}; /unignore {name} shows them");
        self.view.show_notice(EntryKind::Info, &text);
        // The client does not know quiet members, and those that joined before its first `/who`.
        if !self.members.contains(name) {
            self.unknown_names.push(name.to_owned());
            self.query_names();
        }
        if is_forever {
            self.edit_config(|path| config_file::add_to_list(path, "ignore", name));
        }
    }

    fn unignore(&mut self, name: &str) {
        let mut names = self.view.ignored.remove(name);
        let text = match names.is_empty() {
            false => format!("messages of {name} are shown again"),
            true => format!("messages of {name} were not hidden"),
        };
        self.view.show_notice(EntryKind::Info, &text);
        // The name in the config file is the one from before the member changed it.
        names.push(name.to_owned());
        for name in names {
            self.edit_config(|path| config_file::remove_from_list(path, "ignore", &name));
        }
    }

    /// Changes the config file, or shows the error.
    fn edit_config(&mut self, edit: impl FnOnce(&Path) -> io::Result<bool>) {
        let Some(path) = config_file::default_path() else {
            let text = "there is no config file, because $HOME is not set";
            return self.view.show_notice(EntryKind::Error, text);
        };
        if let Err(error) = edit(&path) {
            let text = format!("cannot change {}: {error}", path.display());
            self.view.show_notice(EntryKind::Error, &text);
        }
    }

    /// Queues a line, or its parts if it is longer than the server accepts.
    fn queue_parts(&mut self, line: &str) {
        match self.session.split(line) {
            Ok(parts) => {
                if parts.len() > 1 {
                    let text = describe_split(parts.len(), self.session.limits());
                    self.view.show_notice(EntryKind::Info, &text);
                }
                self.unsent_parts.extend(parts);
            }
            Err(error) => self.view.show_notice(EntryKind::Error, &error.to_string()),
        }
    }

    /// Sends a line that is not longer than the server accepts.
    pub(super) fn send_part(&mut self, line: &str) {
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
        self.has_left |= self.session.is_finishing();
    }

    /// Ends the input and finishes the session.
    pub(super) fn leave(&mut self) {
        let unsent = self.typed_lines.len() + self.unsent_parts.len();
        if unsent > 0 && !self.has_left {
            let text = match unsent {
                1 => "one line was not sent".into(),
                _ => format!("{unsent} lines were not sent"),
            };
            self.view.show_notice(EntryKind::Error, &text);
        }
        self.has_left = true;
        self.server_switch.cancel();
        self.session.finish();
    }
}

/// Returns whether two addresses name the same server. The case of a host name does not count.
fn is_same_server(one: &ServerAddress, other: &ServerAddress) -> bool {
    match (one, other) {
        (ServerAddress::Inet(one), ServerAddress::Inet(other))
        | (ServerAddress::Tls(one), ServerAddress::Tls(other)) => one.eq_ignore_ascii_case(other),
        _ => one == other,
    }
}
