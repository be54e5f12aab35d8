//! The two phases of a line of an IRC client in a cluster.
//!
//! First the line is probed: a copy of the session handles it, and the commands are collected that it
//! would apply to the room. They go to the log. When the last of them is read back, the session handles
//! the line, and its change of the room is that command. So the answer depends on the state of the room
//! at this position of the log, as on a server without a cluster.

use super::RoomChannel;
use crate::cluster::credential::token_of_password;
use crate::protocol::{ClientLine, Request, case_fold};
use crate::room::{
    ClientId, Command, DisconnectReason, EdgeMessage, HashKey, Input, Origin, Token,
};
use crate::server::edge::irc::Channel;

/// The phase of a line.
#[derive(Debug)]
pub enum LogPhase {
    /// The commands of the line are collected, and nothing is changed.
    Probe(Probe),
    /// The line is answered. It has this command, if it has one that is not committed yet.
    Run(Option<Command>),
}

/// The commands of a line.
#[derive(Debug, Default)]
pub struct Probe {
    pub commands: Vec<Command>,
    /// IRC clients see the text of the line as a `NOTICE`.
    pub is_notice: bool,
    /// The name with which the client becomes a member.
    pub joined: Option<Box<str>>,
    /// The name that the client keeps with a password, and the token for both.
    pub kept: Option<(Box<str>, Token)>,
}

impl RoomChannel<'_> {
    /// Returns whether the line is probed, and is known to have commands.
    pub(super) fn is_probed(&self) -> bool {
        matches!(&self.phase, Some(LogPhase::Probe(probe)) if !probe.commands.is_empty())
    }

    /// Returns whether the name of a client that becomes a member is taken at this position of the log.
    pub(super) fn is_taken_by_log(&self) -> Option<bool> {
        let Some(LogPhase::Run(Some(Command::Join(join)))) = &self.phase else { return None };
        Some(self.room.lacks_name(join) || self.room.gets_name_back(join))
    }

    /// Returns the token for a name that is taken, if the password is for it.
    pub(super) fn token_of_password(
        &mut self,
        name: &str,
        password: &str,
        origin: Origin,
    ) -> Option<Token> {
        if let Some(LogPhase::Run(Some(Command::Join(join)))) = &self.phase {
            // The token is in the command.
            return self.room.gets_name_back(join).then_some(Token([0; 16]));
        }
        let (now, is_probe) = (self.now.uptime, matches!(self.phase, Some(LogPhase::Probe(_))));
        let token = || token_of(self.room.hash_key(), name, password);
        let token = || Some(token()).filter(|token| self.room.is_known_token(token));
        let passwords = &mut self.clients.irc.passwords;
        match is_probe {
            true if passwords.is_limited(origin, now) => None,
            true => token(),
            false => passwords.check(origin, now, token),
        }
    }

    /// Adds a line to the commands, or commits the command that was made of it.
    pub(super) fn submit_to_log(&mut self, line: ClientLine, is_notice: bool) {
        let (id, is_member) = (self.id, self.own_name().is_some());
        let is_hello = matches!(line.request, Request::Hello(_));
        match &mut self.phase {
            Some(LogPhase::Probe(probe)) if is_member || is_hello => {
                if let Request::Hello(hello) = &line.request {
                    probe.joined = hello.name.as_deref().map(Into::into);
                }
                probe.is_notice = is_notice;
                probe.commands.push(Command::Lines { id, lines: vec![Ok(line)] });
            }
            Some(LogPhase::Run(None)) if !is_member && !is_hello => {
                // A client that leaves before it is a member has no command.
                let reason = DisconnectReason::Finished;
                let command = self.room.propose(Input::Disconnect { id, reason }, self.now);
                debug_assert!(command.is_none(), "{command:?}");
            }
            Some(LogPhase::Run(command)) => {
                if let Some(command) = command.take() {
                    self.clients.irc.commit(self.room, command, self.now);
                }
            }
            _ => {}
        }
    }

    /// Adds a text for IRC clients to the commands, or sends it.
    pub(super) fn relay_to_log(&mut self, to: Option<ClientId>, command: &str, text: &str) {
        if let Some(LogPhase::Run(found)) = &mut self.phase {
            if let Some(found) = found.take() {
                self.replied += super::clustered::commit(self.room, self.clients, found, self.now);
            }
            return;
        }
        self.push_edge_message(EdgeMessage::Text {
            to,
            command: command.into(),
            text: text.into(),
        });
    }

    /// Adds a message for the IRC clients of all nodes to the commands.
    pub(super) fn push_edge_message(&mut self, message: EdgeMessage) {
        let (id, is_member) = (self.id, self.own_name().is_some());
        if let Some(LogPhase::Probe(probe)) = &mut self.phase
            && is_member
        {
            probe.commands.push(Command::Edge { id, message });
        }
    }

    /// Adds the change of the channel to the commands, or commits it. A client that is not a member
    /// joins hidden.
    pub(super) fn show_in_log(&mut self, is_shown: bool) -> bool {
        let (id, is_member) = (self.id, self.own_name().is_some());
        match &mut self.phase {
            Some(LogPhase::Probe(probe)) if is_member => {
                probe.commands.push(Command::Show { id, is_shown });
            }
            Some(LogPhase::Run(command)) => {
                if let Some(command) = command.take() {
                    let is_hidden = self.room.is_hidden(id);
                    self.clients.irc.commit(self.room, command, self.now);
                    return is_shown && is_hidden;
                }
            }
            _ => {}
        }
        false
    }

    /// Remembers the token for the name of the client and its password.
    pub(super) fn keep_name_in_log(&mut self, password: &str) {
        let key = self.room.hash_key();
        let Some(LogPhase::Probe(probe)) = &mut self.phase else { return };
        let new_name = probe.commands.iter().find_map(|command| match command {
            Command::Lines { lines, .. } => match lines.first() {
                Some(Ok(ClientLine { request: Request::Nick(name), .. })) => Some(name),
                _ => None,
            },
            _ => None,
        });
        if let Some(name) = probe.joined.as_ref().or(new_name) {
            probe.kept = Some((name.clone(), token_of(key, name, password)));
        }
    }
}

/// Returns the token of a client that keeps a name with a password.
fn token_of(HashKey(first, second): HashKey, name: &str, password: &str) -> Token {
    Token(token_of_password([first, second], &case_fold(name), password))
}
