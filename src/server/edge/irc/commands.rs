//! The commands of a client that is a member.

use super::capabilities::Capabilities;
use super::config::Settings;
use super::delivery::View;
use super::message::{Command, Message};
use super::operators::{operate, write_topic};
use super::output::relay_lines;
use super::session::{Exchange, MAX_AWAY, Session, bounded};
use super::text::{CTCP, push_word, strip_formatting};
use super::wire::{MASK, MAX_OUTPUT, Variant, write_line};
use crate::protocol::Request;
use crate::room::ClientId;

/// A line of a name list.
const NAMES: &str = "353 = $c :$1";
pub(super) const NO_SUCH_NICK: &str = "401 $1 :No such nick/channel";
const NO_SUCH_CHANNEL: &str = "403 $1 :No such channel";
const NOT_ON_CHANNEL: &str = "442 $c :You're not on that channel";
const NO_TEXT: &str = "412 :No text to send";
pub(super) const NO_OPERATOR: &str = "482 $c :You're not channel operator";

/// A text that a client sends, without formatting.
struct Text {
    plain: String,
    /// Whether the text is a request of CTCP.
    is_ctcp: bool,
    /// Whether it is the request `ACTION`, whose text is `plain`.
    is_action: bool,
    is_notice: bool,
}

impl Text {
    fn new(text: &str, is_notice: bool) -> Self {
        let ctcp = text.strip_prefix(CTCP).and_then(|request| request.split('\u{1}').next());
        let action = ctcp.and_then(|request| request.strip_prefix("ACTION"));
        let action =
            action.filter(|text| !is_notice && !text.starts_with(|c: char| c.is_alphanumeric()));
        let action = action.map(|text| text.trim_start_matches(' '));
        let plain = strip_formatting(action.or(ctcp).unwrap_or(text));
        Text { plain, is_ctcp: ctcp.is_some(), is_action: action.is_some(), is_notice }
    }

    /// Sends the text to an IRC client, or to all others that see the channel. The room knows only
    /// messages and actions. The sender is sent an `echo`.
    fn relay(&self, to: Option<(ClientId, &str)>, echo: Option<Variant>, x: &mut Exchange<'_>) {
        let delimiter = if self.is_ctcp { CTCP } else { "" };
        let text = [delimiter, &self.plain, delimiter].concat();
        let command = if self.is_notice { "NOTICE" } else { "PRIVMSG" };
        x.flush();
        x.channel.relay(to.map(|(id, _)| id), command, &text);
        if let Some(variant) = echo {
            let target = to.map_or(&*x.out.settings.config.channel, |(_, name)| name);
            let parts = [&*x.out.nick, command, target, &text];
            x.out.lines.extend(relay_lines(variant, x.unix_ms, parts));
        }
    }
}

impl Session {
    /// Handles a command.
    pub(super) fn on_command(&mut self, message: &Message<'_>, x: &mut Exchange<'_>) {
        use Command::{Notice, PrivMsg};
        let [first, second, ..] = message.parameters;
        match message.command {
            Command::Join if first == "0" => self.part(&x.out.settings.config.channel, "", x),
            Command::Join => first.split(',').take(4).for_each(|target| self.join(target, x)),
            Command::Part => {
                first.split(',').take(4).for_each(|target| self.part(target, second, x));
            }
            PrivMsg | Notice if first.is_empty() => {
                x.out.reply("411 :No recipient given ($1)", &[message.name]);
            }
            PrivMsg | Notice if second.is_empty() => x.out.reply(NO_TEXT, &[]),
            PrivMsg | Notice => self.send(message.command == Notice, first, second, x),
            Command::Names => self.names(first, x),
            Command::Topic if second.is_empty() && x.is_channel(first) && self.is_in_channel => {
                write_topic(true, x);
            }
            Command::Topic | Command::Kick | Command::Mode
                if x.is_channel(first) && x.channel.is_operator() && operate(message, x) => {}
            Command::Topic | Command::Kick => self.refuse(first, x),
            Command::Mode => self.mode(first, second, x),
            Command::Invite => self.invite(first, second, x),
            Command::Away => away(first, x),
            Command::ChatHistory => self.chat_history(message, x),
            _ => x.on_query(message),
        }
    }

    /// Refuses a change of the channel.
    fn refuse(&self, target: &str, x: &mut Exchange<'_>) {
        let error = match (x.is_channel(target), self.is_in_channel) {
            (false, _) => NO_SUCH_CHANNEL,
            (true, false) => NOT_ON_CHANNEL,
            (true, true) => NO_OPERATOR,
        };
        x.out.reply(error, &[target]);
    }

    fn names(&self, targets: &str, x: &mut Exchange<'_>) {
        let target = targets.split(',').next().unwrap_or_default();
        if target.is_empty() || x.is_channel(target) {
            self.write_names(x);
        } else {
            x.out.reply("366 $1 :End of /NAMES list.", &[target]);
        }
    }

    /// Opens the client's view of the channel.
    fn join(&mut self, target: &str, x: &mut Exchange<'_>) {
        if !x.is_channel(target) {
            let is_channel = target.starts_with('#');
            let error = if is_channel { NO_SUCH_CHANNEL } else { "476 $1 :Bad Channel Mask" };
            return x.out.reply(error, &[target]);
        }
        if std::mem::replace(&mut self.is_in_channel, true) {
            return;
        }
        x.flush();
        self.delivery.joins_due += u16::from(x.channel.show(true));
        x.out.reply(":$n!user@smolchat JOIN $c", &[]);
        write_topic(false, x);
        self.write_names(x);
        if self.has(Capabilities::SERVER_TIME) && !self.has(Capabilities::CHAT_HISTORY) {
            self.play_back(x);
        }
        x.out.view = View::Opened;
        x.channel.own_profile().is_in_channel = true;
    }

    /// Closes the client's view of the channel.
    fn part(&mut self, target: &str, reason: &str, x: &mut Exchange<'_>) {
        if !x.is_channel(target) {
            return x.out.reply(NO_SUCH_CHANNEL, &[target]);
        }
        if !std::mem::take(&mut self.is_in_channel) {
            return x.out.reply(NOT_ON_CHANNEL, &[]);
        }
        let mut command = ["PART ", &x.out.settings.config.channel].concat();
        if !reason.is_empty() {
            command += " :";
            command += &bounded(reason, MAX_AWAY);
        }
        x.channel.set_departure(&command);
        write_line(&mut x.out.lines, "", &[":", &x.out.nick, MASK, " ", &command]);
        x.out.view = View::Closed;
        x.channel.own_profile().is_in_channel = false;
    }

    /// Handles `PRIVMSG` and `NOTICE`. A notice causes no errors (RFC 2812, section 3.3.2).
    fn send(&mut self, is_notice: bool, to: &str, text: &str, x: &mut Exchange<'_>) {
        let is_to_channel = x.is_channel(to);
        let is_to_member = !is_to_channel && x.channel.find(to).is_some();
        let error = if to.contains(',') {
            "407 $1 :Too many recipients"
        } else if is_to_channel && !self.is_in_channel {
            "404 $1 :Cannot send to channel"
        } else if !is_to_channel && to.starts_with('#') {
            NO_SUCH_CHANNEL
        } else if !is_to_channel && !is_to_member {
            NO_SUCH_NICK
        } else if text.len() > x.out.settings.max_line {
            "417 $1 :The text is too long"
        } else {
            let text = Text::new(text, is_notice);
            match text.plain.is_empty() {
                false if is_to_channel => return self.speak(text, x),
                false => return self.send_private(to, text, x),
                true => NO_TEXT,
            }
        };
        if !is_notice {
            x.out.reply(error, &[to]);
        }
    }

    /// Sends a text to the channel.
    fn speak(&mut self, text: Text, x: &mut Exchange<'_>) {
        let has_echo = self.has(Capabilities::ECHO_MESSAGE);
        if text.is_ctcp && !text.is_action {
            return text.relay(None, has_echo.then(|| self.variant()), x);
        }
        if self.is_repetition(&text.plain, x) {
            return;
        }
        self.delivery.has_own_frames = true;
        let plain = text.plain.into();
        let request = if text.is_action { Request::Action(plain) } else { Request::Say(plain) };
        x.submit(request, text.is_notice, has_echo);
    }

    /// Sends a text to a member.
    fn send_private(&mut self, to: &str, text: Text, x: &mut Exchange<'_>) {
        let has_echo = self.has(Capabilities::ECHO_MESSAGE);
        let Some(member) = x.channel.find(to) else { return };
        let (name, away) = (member.name.to_owned(), member.away().to_owned());
        if member.profile.is_some() && (text.is_notice || text.is_ctcp) {
            let id = Some((member.id, &*name));
            text.relay(id, has_echo.then(|| self.variant()), x);
        } else if !text.is_ctcp || text.is_action {
            // Other requests are for IRC clients only.
            let start = if text.is_action { "* " } else { "" };
            let text = [start, &text.plain].concat().into();
            x.submit(Request::Private { to: (&*name).into(), text }, false, has_echo);
        }
        if !away.is_empty() && !text.is_notice {
            x.out.reply("301 $1 :$2", &[&name, &away]);
        }
    }

    fn mode(&self, target: &str, change: &str, x: &mut Exchange<'_>) {
        let reply = match change {
            "" if *target == *self.name => "221 +i",
            "+i" | "-i" if *target == *self.name => return,
            _ if *target == *self.name => "501 :Unknown MODE flag",
            "" if x.is_channel(target) => "324 $c +n",
            "b" | "+b" if x.is_channel(target) => "368 $c :End of channel ban list",
            _ if x.is_channel(target) => NO_OPERATOR,
            _ if target.starts_with('#') => NO_SUCH_CHANNEL,
            _ if x.channel.find(target).is_some() => "502 :Cant change mode for other users",
            _ => NO_SUCH_NICK,
        };
        x.out.reply(reply, &[target]);
    }

    fn invite(&self, name: &str, target: &str, x: &mut Exchange<'_>) {
        match x.channel.find(name) {
            None => x.out.reply(NO_SUCH_NICK, &[name]),
            Some(member)
                if self.is_in_channel && member.is_in_channel() && x.is_channel(target) =>
            {
                x.out.reply("443 $1 $c :is already on channel", &[member.name]);
            }
            Some(_) => self.refuse(target, x),
        }
    }

    /// Writes the names of all members that fit the bound of a list.
    fn write_names(&self, x: &mut Exchange<'_>) {
        if x.is_busy("NAMES") {
            return;
        }
        let Exchange { channel, out, .. } = x;
        let Settings { config, answer_bytes, .. } = out.settings;
        let start = config.server.len() + config.channel.len() + out.nick.len() + NAMES.len();
        let most = MAX_OUTPUT - start;
        let mask = if self.has(Capabilities::USERHOST_IN_NAMES) { MASK } else { "" };
        let mut line = String::new();
        channel.members(&mut |member| {
            if !member.is_in_channel() && *member.name != *self.name {
                return true;
            }
            if line.len() + member.name.len() + mask.len() >= most {
                out.reply(NAMES, &[&line]);
                line.clear();
            }
            push_word(&mut line, member.name);
            line += mask;
            out.lines.len() + line.len() < *answer_bytes
        });
        if !line.is_empty() {
            out.reply(NAMES, &[&line]);
        }
        out.reply("366 $c :End of /NAMES list.", &[]);
    }
}

fn away(text: &str, x: &mut Exchange<'_>) {
    let text = bounded(text, MAX_AWAY);
    x.out.reply(
        match text.is_empty() {
            true => "305 :You are no longer marked as being away",
            false => "306 :You have been marked as being away",
        },
        &[],
    );
    x.channel.own_profile().away = text;
}

impl Exchange<'_> {
    /// Returns whether this is the name of the channel.
    pub fn is_channel(&self, target: &str) -> bool {
        target.eq_ignore_ascii_case(&self.out.settings.config.channel)
    }
}
