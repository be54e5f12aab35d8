//! The session of one IRC client: its registration, and the messages that any client may send.

use std::ops::Deref;

use super::capabilities::Capabilities;
use super::config::Config;
use super::delivery::Delivery;
use super::message::{Command, Message, MessageError};
use super::output::{Action, Departure, Output, ProfileChange, has_labels};
use super::text::{replace_chars, strip_formatting, truncate};
use super::wire::{Context, Variant};
use crate::protocol::{Hello, Request, is_valid_name};
use crate::room::{ClientId, Token};

/// The most bytes of a user, a real name and an away text.
pub const MAX_USER: usize = 32;
pub const MAX_REAL_NAME: usize = 150;
pub const MAX_AWAY: usize = 200;
/// The most bytes of a password.
pub const MAX_PASSWORD: usize = 128;
/// The text of error 433.
const TAKEN: &str = "Nickname is already in use";

/// The members of the room and its history, as an IRC client asks for them.
pub trait Directory {
    /// Returns the member with a name.
    fn find(&self, name: &str) -> Option<Member<'_>>;
    /// Calls `each` for every member until it returns `false`.
    fn members(&self, each: &mut dyn FnMut(Member<'_>) -> bool);
    /// Returns the number of members.
    fn count(&self) -> usize;
    /// Returns the largest number of members that there were.
    fn most(&self) -> usize;
    /// Returns the number of connections that are not members.
    fn unregistered(&self) -> usize;
    /// Returns whether a name is taken or reserved.
    fn is_taken(&self, name: &str) -> bool;
    /// Returns the token that a password is for, if a member or a reserved name has it.
    fn token_of(&self, name: &str, password: &str) -> Option<Token>;
    /// Calls `each` for the frames of the history, in the order of their numbers or the newest
    /// first, until it returns `false`.
    fn history(&self, is_newest_first: bool, each: &mut dyn FnMut(&[u8]) -> bool);
}

/// A member of the room.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    pub id: ClientId,
    pub name: &'a str,
    /// The profile of a member that is an IRC client.
    pub profile: Option<&'a Profile>,
}

impl Member<'_> {
    /// Returns whether the member sees the channel: all that are no IRC clients do.
    pub fn is_in_channel(&self) -> bool {
        self.profile.is_none_or(|profile| profile.is_in_channel)
    }

    /// Returns the away text of the member.
    pub fn away(&self) -> Option<&str> {
        self.profile?.away.as_deref()
    }
}

/// The values that an IRC client states about itself.
#[derive(Debug, Default)]
pub struct Profile {
    pub user: Box<str>,
    pub real_name: Box<str>,
    pub away: Option<Box<str>>,
    pub is_in_channel: bool,
}

impl Profile {
    /// Applies a change.
    pub fn apply(&mut self, change: ProfileChange) {
        match change {
            ProfileChange::User { user, real_name } => {
                (self.user, self.real_name) = (user, real_name);
            }
            ProfileChange::RealName(real_name) => self.real_name = real_name,
            ProfileChange::Away(away) => self.away = away,
            ProfileChange::IsInChannel(is_in_channel) => self.is_in_channel = is_in_channel,
        }
    }
}

/// The settings of the server, and the context of the lines.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    pub config: &'a Config,
    pub motd: Option<&'a str>,
    pub context: Context<'a>,
}

/// The values that a session needs to answer a message.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    pub settings: Settings<'a>,
    pub directory: &'a dyn Directory,
    /// The most bytes of a list.
    pub answer_bytes: usize,
    /// The longest text that a member may send.
    pub max_line: usize,
    /// Milliseconds since the Unix epoch.
    pub unix_ms: u64,
}

impl<'a> Deref for Environment<'a> {
    type Target = Settings<'a>;

    fn deref(&self) -> &Settings<'a> {
        &self.settings
    }
}

/// The session of one IRC client.
#[derive(Debug, Default)]
pub struct Session {
    /// The name that the client asked for; the name of the member once it is one.
    pub(super) name: Box<str>,
    pub(super) password: Option<Box<str>>,
    pub(super) capabilities: Capabilities,
    has_user: bool,
    /// The client has begun to negotiate capabilities and has not ended that.
    is_negotiating: bool,
    pub(super) is_member: bool,
    pub(super) is_in_channel: bool,
    /// The number of the last batch.
    batches: u64,
    pub(super) delivery: Delivery,
}

impl Session {
    /// Returns the name of the member.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the password with which the client keeps its name.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// Returns the variant of the lines that the client is sent.
    pub fn variant(&self) -> Variant {
        Variant {
            has_time: self.capabilities.has(Capabilities::SERVER_TIME),
            has_id: self.capabilities.has(Capabilities::MESSAGE_TAGS),
        }
    }

    /// Sets the name of the client, which has become a member.
    pub fn on_joined(&mut self, name: &str) {
        self.name = name.into();
        self.is_member = true;
        self.delivery.on_joined(name);
    }

    /// The members are told that the client has joined.
    pub fn on_shown(&mut self) {
        self.delivery.is_join_due = true;
    }

    /// Returns the next number for a batch.
    pub(super) fn next_batch(&mut self) -> u64 {
        self.batches += 1;
        self.batches
    }

    /// Returns whether a client that is a member has a capability.
    pub(super) fn has(&self, capability: Capabilities) -> bool {
        self.capabilities.has(capability)
    }

    /// Handles a line of the client.
    pub fn on_line(
        &mut self,
        line: Result<Message, MessageError>,
        env: &Environment<'_>,
    ) -> Vec<Action> {
        let mut out = Output::new(&env.config.server, &self.name);
        let label = match line {
            Ok(message) => {
                let label = message.label.clone().filter(|_| has_labels(self.capabilities));
                self.on_message(&message, label.as_deref(), env, &mut out);
                label
            }
            Err(MessageError::TooLong) => {
                out.numeric(417, &[], "Input line was too long");
                None
            }
            Err(MessageError::TooFast(text)) => {
                out.notice(&[text]);
                None
            }
            Err(MessageError::NotUtf8 { command, label }) => {
                let text = "Message rejected, it is not UTF-8";
                out.server_line(&["FAIL ", &command, " INVALID_UTF8 :", text]);
                label.filter(|_| has_labels(self.capabilities))
            }
        };
        let number = self.next_batch();
        out.finish(label.as_deref(), number)
    }

    fn on_message(
        &mut self,
        message: &Message,
        label: Option<&str>,
        env: &Environment<'_>,
        out: &mut Output<'_>,
    ) {
        let command = message.command();
        let parameters = message.parameters();
        match (command, parameters.as_slice()) {
            (Command::Cap, parameters) => self.negotiate(parameters, out),
            (Command::Ping, []) => out.too_few_parameters("PING"),
            (Command::Ping, [token, ..]) => {
                out.server_line(&["PONG ", &env.config.server, " :", token]);
            }
            (Command::Pong, _) => {}
            (Command::Quit, parameters) => quit(parameters.first().copied(), self.is_member, out),
            (Command::Nick, []) | (Command::Nick, ["", ..]) => {
                out.numeric(431, &[], "No nickname given")
            }
            (Command::Nick, [name, ..]) if self.is_member => self.rename(name, label, env, out),
            (Command::Nick, [name, ..]) => self.choose_name(name, env, out),
            (Command::User | Command::Pass, _) if self.is_member => {
                out.numeric(462, &[], "You may not reregister");
            }
            (Command::User, [user, _, _, real_name, ..])
                if !user.is_empty() && !real_name.is_empty() =>
            {
                self.has_user = true;
                let change = ProfileChange::User {
                    user: replace_chars(&bounded(user, MAX_USER), &['@', '!', ' '], "").into(),
                    real_name: bounded(real_name, MAX_REAL_NAME),
                };
                out.act(Action::SetProfile(change));
            }
            (Command::Pass, [password, ..]) if !password.is_empty() => {
                self.password = Some(truncate(password, MAX_PASSWORD).into());
            }
            (Command::User | Command::Pass, _) => {
                out.too_few_parameters(message.name());
            }
            _ if !self.is_member => out.numeric(451, &[], "You have not registered"),
            _ => self.on_command(message, &parameters, label, env, out),
        }
        if !self.is_member {
            self.register(env, out);
        }
    }

    fn negotiate(&mut self, parameters: &[&str], out: &mut Output<'_>) {
        let subcommand = parameters.first().copied().unwrap_or_default().to_ascii_uppercase();
        let nick = out.nick.clone();
        match &*subcommand {
            "LS" => {
                self.is_negotiating |= !self.is_member;
                let version = parameters.get(1).and_then(|version| version.parse().ok());
                if version.is_some_and(|version: u32| version >= 302) {
                    self.capabilities.insert(Capabilities::CAP_NOTIFY);
                }
                out.server_line(&["CAP ", &nick, " LS :", &Capabilities::ALL.names()]);
            }
            "LIST" => out.server_line(&["CAP ", &nick, " LIST :", &self.capabilities.names()]),
            "REQ" => {
                self.is_negotiating |= !self.is_member;
                let request = parameters.get(1).copied().unwrap_or_default();
                let answer = match self.capabilities.after_request(request) {
                    Some(capabilities) => {
                        self.capabilities = capabilities;
                        " ACK :"
                    }
                    None => " NAK :",
                };
                out.server_line(&["CAP ", &nick, answer, request]);
            }
            "END" => self.is_negotiating = false,
            _ => {
                let subcommand = parameters.first().copied().filter(|word| !word.is_empty());
                out.numeric(410, &[subcommand.unwrap_or("*")], "Invalid CAP command");
            }
        }
    }

    /// Handles the `NICK` of a client that is not a member.
    fn choose_name(&mut self, requested: &str, env: &Environment<'_>, out: &mut Output<'_>) {
        let name = to_valid_name(requested);
        if !is_valid_name(&name) {
            return out.numeric(432, &[shown(requested)], "Erroneous nickname");
        }
        let is_own = |password: &str| env.directory.token_of(&name, password).is_some();
        if env.directory.is_taken(&name) && !self.password().is_some_and(is_own) {
            return out.numeric(433, &[&name], TAKEN);
        }
        if name != requested {
            out.notice(&[requested, " cannot be a name here; you are ", &name]);
        }
        out.nick = name.clone();
        self.name = name.into();
    }

    /// Makes the client a member, if it has said everything that is needed.
    fn register(&mut self, env: &Environment<'_>, out: &mut Output<'_>) {
        if self.name.is_empty() || !self.has_user || self.is_negotiating {
            return;
        }
        let token =
            self.password().and_then(|password| env.directory.token_of(&self.name, password));
        // Another client can have taken the name since `NICK`.
        if token.is_none() && env.directory.is_taken(&self.name) {
            out.numeric(433, &[&self.name], TAKEN);
            self.name = "".into();
            return;
        }
        let hello = Hello {
            name: Some(self.name.to_string()),
            token: token.map(|token| token.to_string()),
            keep: self.password.is_some(),
            ..Hello::default()
        };
        // The members are told that it joins when it joins the channel.
        out.act(Action::Show(false));
        out.submit(Request::Hello(Box::new(hello)), None, true);
    }

    /// Handles the `NICK` of a member.
    fn rename(
        &mut self,
        to: &str,
        label: Option<&str>,
        env: &Environment<'_>,
        out: &mut Output<'_>,
    ) {
        if *self.name == *to {
            return;
        }
        let is_own = env.directory.find(to).is_some_and(|member| *member.name == *self.name);
        if !is_valid_name(to) {
            out.numeric(432, &[shown(to)], "Erroneous nickname");
        } else if env.directory.is_taken(to) && !is_own {
            out.numeric(433, &[to], TAKEN);
        } else {
            self.name = to.into();
            self.delivery.has_own_frames = true;
            out.submit(Request::Nick(to.into()), label, true);
        }
    }
}

fn quit(reason: Option<&str>, is_member: bool, out: &mut Output<'_>) {
    if let Some(reason) = reason.map(|reason| bounded(reason, MAX_AWAY))
        && is_member
        && !reason.is_empty()
    {
        let reason = ["Quit: ", &reason].concat().into();
        out.act(Action::SetDeparture(Departure::Quit(reason)));
    }
    out.submit(Request::Quit, None, true);
}

/// Returns the start of a text, without formatting.
pub(super) fn bounded(text: &str, most: usize) -> Box<str> {
    let plain = strip_formatting(text);
    truncate(&plain, most).into()
}

/// Returns a word of the client as a parameter of a reply.
pub(super) fn shown(word: &str) -> &str {
    let word = truncate(word, 100);
    match word.is_empty() || word.starts_with(':') || word.contains(' ') {
        true => "*",
        false => word,
    }
}

/// Returns a name that the room accepts for one that is usual in IRC: `[`, `]`, `\`, `` ` ``, `^`,
/// `{`, `|` and `}` become `_`. irssi gives up after error 432, and WeeChat tries again ten times a
/// second.
fn to_valid_name(requested: &str) -> String {
    let name = replace_chars(requested, &['[', ']', '\\', '`', '^', '{', '|', '}'], "_");
    match name != requested && !is_valid_name(&name) {
        true => ["irc", &name].concat(),
        false => name,
    }
}

#[cfg(test)]
mod tests;
