//! The commands of a client that is a member.

use super::capabilities::Capabilities;
use super::message::{Command, Message};
use super::output::{Action, Departure, Output, ProfileChange, View};
use super::session::{Environment, MAX_AWAY, MAX_REAL_NAME, Member, Session, bounded, shown};
use super::text::{CTCP, push_word, strip_formatting};
use super::wire::MASK;
use crate::protocol::Request;

/// The bytes of a name list in one line, which leaves space for the start of the line.
const NAMES_BYTES: usize = 300;

impl Session {
    /// Handles a command.
    pub(super) fn on_command(
        &mut self,
        message: &Message,
        parameters: &[&str],
        label: Option<&str>,
        env: &Environment<'_>,
        out: &mut Output<'_>,
    ) {
        let channel = &*env.config.channel;
        match (message.command(), parameters) {
            _ if message.lacks_parameters() => out.too_few_parameters(message.name()),
            (Command::Join, ["0", ..]) => self.part(channel, None, env, out),
            (Command::Join, [targets, ..]) => {
                for target in targets.split(',').take(4) {
                    self.join(target, env, out);
                }
            }
            (Command::Part, [targets, rest @ ..]) => {
                for target in targets.split(',').take(4) {
                    self.part(target, rest.first().copied(), env, out);
                }
            }
            (Command::PrivMsg | Command::Notice, [] | ["", ..]) => {
                out.plain_numeric(411, &[":No recipient given (", message.name(), ")"]);
            }
            (Command::PrivMsg | Command::Notice, [_] | [_, "", ..]) => out.no_text(),
            (Command::PrivMsg, [to, text, ..]) => self.send(to, text, false, label, env, out),
            (Command::Notice, [to, text, ..]) => self.send(to, text, true, label, env, out),
            (Command::Names, parameters) => self.names(parameters.first().copied(), env, out),
            (Command::Topic, [target]) if is_channel(target, env) && self.is_in_channel => {
                out.numeric(331, &[channel], "No topic is set");
            }
            (Command::Topic | Command::Kick, [target, ..]) => self.refuse(target, env, out),
            (Command::Mode, [target, rest @ ..]) => self.mode(target, rest, env, out),
            (Command::Invite, [name, target, ..]) => self.invite(name, target, env, out),
            (Command::Away, parameters) => away(parameters.first().copied(), out),
            (Command::SetName, [name, ..]) => self.set_name(name, out),
            (Command::Oper, _) => out.numeric(491, &[], "No operators for your host"),
            (Command::Operator, _) => {
                out.numeric(481, &[], "Permission Denied- You're not an IRC operator");
            }
            (Command::ChatHistory, parameters) => self.chat_history(parameters, env, out),
            _ => self.on_query(message, parameters, env, out),
        }
    }

    /// Refuses a change of the channel.
    fn refuse(&self, target: &str, env: &Environment<'_>, out: &mut Output<'_>) {
        let channel = &*env.config.channel;
        if !is_channel(target, env) {
            out.no_such_channel(target);
        } else if !self.is_in_channel {
            not_on_channel(channel, out);
        } else {
            out.numeric(482, &[channel], "You're not channel operator");
        }
    }

    fn names(&self, target: Option<&str>, env: &Environment<'_>, out: &mut Output<'_>) {
        let channel = &*env.config.channel;
        let target = target.and_then(|targets| targets.split(',').next()).unwrap_or(channel);
        let is_known = is_channel(target, env);
        if is_known {
            self.write_names(env, out);
        }
        end_of_names(if is_known { channel } else { shown(target) }, out);
    }

    fn set_name(&self, name: &str, out: &mut Output<'_>) {
        let name = bounded(name, MAX_REAL_NAME);
        if self.has(Capabilities::SET_NAME) {
            out.client_line(&["SETNAME :", &name]);
        }
        out.act(Action::SetProfile(ProfileChange::RealName(name)));
    }

    /// Opens the client's view of the channel.
    fn join(&mut self, target: &str, env: &Environment<'_>, out: &mut Output<'_>) {
        if !is_channel(target, env) {
            return match target.starts_with('#') {
                true => out.no_such_channel(target),
                false => out.numeric(476, &[shown(target)], "Bad Channel Mask"),
            };
        }
        if std::mem::replace(&mut self.is_in_channel, true) {
            return;
        }
        let channel = &*env.config.channel;
        out.act(Action::Show(true));
        out.client_line(&["JOIN ", channel]);
        self.write_names(env, out);
        end_of_names(channel, out);
        let wants_playback =
            self.has(Capabilities::SERVER_TIME) && !self.has(Capabilities::CHAT_HISTORY);
        if wants_playback && env.config.playback > 0 {
            self.play_back(env, out);
        }
        out.set_view(View::Opened);
        out.act(Action::SetProfile(ProfileChange::IsInChannel(true)));
    }

    /// Closes the client's view of the channel.
    fn part(
        &mut self,
        target: &str,
        reason: Option<&str>,
        env: &Environment<'_>,
        out: &mut Output<'_>,
    ) {
        let channel = &*env.config.channel;
        if !is_channel(target, env) {
            return out.no_such_channel(target);
        }
        if !std::mem::take(&mut self.is_in_channel) {
            return not_on_channel(channel, out);
        }
        let reason = reason.map(|reason| bounded(reason, MAX_AWAY));
        match &reason {
            Some(reason) => out.client_line(&["PART ", channel, " :", reason]),
            None => out.client_line(&["PART ", channel]),
        }
        out.set_view(View::Closed);
        out.act(Action::SetDeparture(Departure::Part(reason)));
        out.act(Action::Show(false));
        out.act(Action::SetProfile(ProfileChange::IsInChannel(false)));
    }

    /// Handles `PRIVMSG` and `NOTICE`. A notice causes no errors (RFC 2812, section 3.3.2).
    fn send(
        &mut self,
        to: &str,
        text: &str,
        is_notice: bool,
        label: Option<&str>,
        env: &Environment<'_>,
        out: &mut Output<'_>,
    ) {
        let is_to_channel = is_channel(to, env);
        let member = env.directory.find(to);
        let error = if to.contains(',') {
            (407, "Too many recipients")
        } else if !is_to_channel && to.starts_with('#') {
            (403, "No such channel")
        } else if is_to_channel && !self.is_in_channel {
            (404, "Cannot send to channel")
        } else if !is_to_channel && member.is_none() {
            (401, "No such nick/channel")
        } else if text.len() > env.max_line {
            (417, "The text is too long")
        } else {
            return match member {
                Some(member) if !is_to_channel => {
                    self.send_private(member, text, is_notice, label, out);
                }
                _ => self.send_to_channel(text, is_notice, label, env, out),
            };
        };
        if !is_notice {
            out.numeric(error.0, &[shown(to)], error.1);
        }
    }

    fn send_to_channel(
        &mut self,
        text: &str,
        is_notice: bool,
        label: Option<&str>,
        env: &Environment<'_>,
        out: &mut Output<'_>,
    ) {
        let command = if is_notice { "NOTICE" } else { "PRIVMSG" };
        let is_echoed = self.has(Capabilities::ECHO_MESSAGE);
        if let Some(ctcp) = parse_ctcp(text)
            && (ctcp.0 != "ACTION" || is_notice)
        {
            // Only IRC clients understand other requests.
            if is_echoed {
                out.client_line(&[command, " ", &env.config.channel, " :", text]);
            }
            return out.act(Action::Relay { to: None, command, text: text.into() });
        }
        let action = parse_ctcp(text).map(|(_, text)| strip_formatting(text));
        let plain = strip_formatting(text);
        let is_empty = action.as_ref().unwrap_or(&plain).is_empty();
        if is_empty {
            if !is_notice {
                out.no_text();
            }
            return;
        }
        self.delivery.has_own_frames = true;
        match action {
            Some(action) => out.submit(Request::Action(action.into()), label, is_echoed),
            None if is_notice => out.submit_notice(&plain, label, is_echoed),
            None => out.submit(Request::Say(plain.into()), label, is_echoed),
        }
    }

    fn send_private(
        &mut self,
        to: Member<'_>,
        text: &str,
        is_notice: bool,
        label: Option<&str>,
        out: &mut Output<'_>,
    ) {
        let command = if is_notice { "NOTICE" } else { "PRIVMSG" };
        let is_echoed = self.has(Capabilities::ECHO_MESSAGE);
        let ctcp = parse_ctcp(text);
        if to.profile.is_some() && (is_notice || ctcp.is_some()) {
            // The room knows neither of them.
            out.act(Action::Relay { to: Some(to.id), command, text: text.into() });
            if is_echoed {
                out.client_line(&[command, " ", to.name, " :", text]);
            }
        } else if let Some(text) = ctcp.map_or(Some(text), |(word, text)| {
            // Other requests are for IRC clients only.
            (word == "ACTION").then_some(text)
        }) {
            let mut plain = strip_formatting(text);
            if ctcp.is_some() {
                plain.insert_str(0, "* ");
            }
            if plain.is_empty() {
                return out.no_text();
            }
            let request = Request::Private { to: to.name.into(), text: plain.into() };
            out.submit(request, label, is_echoed);
        }
        if let Some(away) = to.away()
            && !is_notice
        {
            out.numeric(301, &[to.name], away);
        }
    }

    fn mode(&mut self, target: &str, change: &[&str], env: &Environment<'_>, out: &mut Output<'_>) {
        let channel = &*env.config.channel;
        let is_own = target.eq_ignore_ascii_case(&self.name);
        match change {
            _ if is_own => match change {
                [] => out.plain_numeric(221, &["+i"]),
                [modes, ..] if modes.trim_start_matches(['+', '-', 'i']).is_empty() => {}
                _ => out.numeric(501, &[], "Unknown MODE flag"),
            },
            _ if is_channel(target, env) => match change {
                [] => out.plain_numeric(324, &[channel, " +n"]),
                ["b" | "+b"] => out.numeric(368, &[channel], "End of channel ban list"),
                ["e" | "+e"] => out.numeric(349, &[channel], "End of channel exception list"),
                ["I" | "+I"] => out.numeric(347, &[channel], "End of channel invite list"),
                _ => out.numeric(482, &[channel], "You're not channel operator"),
            },
            _ if target.starts_with('#') => out.no_such_channel(target),
            _ if env.directory.find(target).is_some() => {
                out.numeric(502, &[], "Cant change mode for other users");
            }
            _ => out.no_such_nick(target),
        }
    }

    fn invite(&mut self, name: &str, target: &str, env: &Environment<'_>, out: &mut Output<'_>) {
        let channel = &*env.config.channel;
        match env.directory.find(name) {
            None => out.no_such_nick(name),
            Some(_) if !is_channel(target, env) || !self.is_in_channel => {
                self.refuse(target, env, out);
            }
            Some(member) if member.is_in_channel() => {
                out.numeric(443, &[member.name, channel], "is already on channel");
            }
            Some(_) => self.refuse(target, env, out),
        }
    }

    /// Writes the names of all members that fit the bound of a list.
    fn write_names(&self, env: &Environment<'_>, out: &mut Output<'_>) {
        let channel = &*env.config.channel;
        let has_hosts = self.has(Capabilities::USERHOST_IN_NAMES);
        let (mut line, mut left) = (String::new(), env.answer_bytes);
        let mut write = |line: &mut String| {
            if !line.is_empty() {
                out.numeric(353, &["=", channel], line);
                line.clear();
            }
        };
        env.directory.members(&mut |member| {
            if !member.is_in_channel() && *member.name != *self.name {
                return true;
            }
            let mask = if has_hosts { MASK } else { "" };
            let bytes = member.name.len() + mask.len() + 1;
            // The lines have a start, too.
            let Some(rest) = left.checked_sub(2 * bytes) else { return false };
            left = rest;
            if line.len() + bytes > NAMES_BYTES {
                write(&mut line);
            }
            push_word(&mut line, member.name);
            line.push_str(mask);
            true
        });
        write(&mut line);
    }
}

fn away(text: Option<&str>, out: &mut Output<'_>) {
    let text = text.map(|text| bounded(text, MAX_AWAY)).filter(|text| !text.is_empty());
    match text {
        Some(_) => out.numeric(306, &[], "You have been marked as being away"),
        None => out.numeric(305, &[], "You are no longer marked as being away"),
    }
    out.act(Action::SetProfile(ProfileChange::Away(text)));
}

/// Returns whether this is the name of the channel.
pub(super) fn is_channel(target: &str, env: &Environment<'_>) -> bool {
    target.eq_ignore_ascii_case(&env.config.channel)
}

fn end_of_names(channel: &str, out: &mut Output<'_>) {
    out.numeric(366, &[channel], "End of /NAMES list.");
}

fn not_on_channel(channel: &str, out: &mut Output<'_>) {
    out.numeric(442, &[channel], "You're not on that channel");
}

/// Returns the word and the text of a request of CTCP.
fn parse_ctcp(text: &str) -> Option<(&str, &str)> {
    let request = text.strip_prefix(CTCP)?;
    let request = request.strip_suffix(CTCP).unwrap_or(request);
    Some(request.split_once(' ').unwrap_or((request, "")))
}
