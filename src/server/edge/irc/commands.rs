//! The commands of a client that is a member.

use super::capabilities::Capabilities;
use super::delivery::ViewChange;
use super::message::{IrcCommand, Message};
use super::operators::{operate, write_topic};
use super::replies::relay_lines;
use super::session::{Exchange, IrcSession, bounded};
use super::text::{CTCP, concat, push_word, split_first, strip_formatting};
use super::wire::{MASK, Variant, write_line};
use crate::protocol::Request;
use crate::room::{ClientId, MAX_AWAY};

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
    /// The text is a request of CTCP.
    is_ctcp: bool,
    /// The text is the request `ACTION`, whose text is `plain`.
    is_action: bool,
    is_notice: bool,
}

impl Text {
    #[inline(never)]
    fn new(text: &str, is_notice: bool) -> Self {
        let ctcp = text.strip_prefix(CTCP).map(|request| split_first(request, '\u{1}').0);
        let action = ctcp.map(|request| split_first(request, ' '));
        let action = action.filter(|(command, _)| *command == "ACTION" && !is_notice);
        let action = action.map(|(_, text)| text.trim_start());
        let plain = strip_formatting(action.or(ctcp).unwrap_or(text));
        Text { plain, is_ctcp: ctcp.is_some(), is_action: action.is_some(), is_notice }
    }

    /// Sends the text to an IRC client, or to all others that see the channel. The room knows only
    /// messages and actions. The sender is sent an `echo`.
    fn relay(
        &self,
        to: Option<(ClientId, &str)>,
        echo: Option<Variant>,
        exchange: &mut Exchange<'_>,
    ) {
        let delimiter = if self.is_ctcp { CTCP } else { "" };
        let text = concat(&[delimiter, &self.plain, delimiter]);
        let command = if self.is_notice { "NOTICE" } else { "PRIVMSG" };
        exchange.flush();
        exchange.channel.relay(to.map(|(id, _)| id), command, &text);
        if let Some(variant) = echo {
            let target = to.map_or(&*exchange.out.settings.config.channel, |(_, name)| name);
            let parts = [&*exchange.out.nick, command, target, &text];
            relay_lines(&mut exchange.out.lines, variant, exchange.unix_ms, parts);
        }
    }
}

impl IrcSession {
    /// Handles a command.
    #[inline(never)]
    pub(super) fn on_command(&mut self, message: &Message<'_>, exchange: &mut Exchange<'_>) {
        use IrcCommand::{Notice, PrivMsg};
        let [first, second, ..] = message.parameters;
        match message.command {
            IrcCommand::Join if first == "0" => {
                self.part(&exchange.out.settings.config.channel, "", exchange)
            }
            IrcCommand::Join | IrcCommand::Part => {
                for target in first.split(',').take(4) {
                    match message.command {
                        IrcCommand::Join => self.join(target, exchange),
                        _ => self.part(target, second, exchange),
                    }
                }
            }
            PrivMsg | Notice if first.is_empty() => {
                exchange.out.reply("411 :No recipient given ($1)", &[message.name]);
            }
            PrivMsg | Notice if second.is_empty() => exchange.out.reply(NO_TEXT, &[]),
            PrivMsg | Notice => self.send(message.command == Notice, first, second, exchange),
            IrcCommand::Names => self.names(first, exchange),
            IrcCommand::Topic
                if second.is_empty()
                    && !message.is_last_empty
                    && exchange.is_channel(first)
                    && self.is_in_channel =>
            {
                write_topic(true, exchange);
            }
            IrcCommand::Topic | IrcCommand::Kick | IrcCommand::Mode
                if exchange.is_channel(first)
                    && exchange.channel.is_operator()
                    && operate(message, exchange) => {}
            IrcCommand::Topic | IrcCommand::Kick => self.refuse(first, exchange),
            IrcCommand::Mode => self.mode(message, exchange),
            IrcCommand::Invite => self.invite(first, second, exchange),
            IrcCommand::Away => away(first, exchange),
            IrcCommand::ChatHistory => self.chat_history(message, exchange),
            _ => exchange.on_query(message),
        }
    }

    /// Refuses a change of the channel.
    fn refuse(&self, target: &str, exchange: &mut Exchange<'_>) {
        let error = match (exchange.is_channel(target), self.is_in_channel) {
            (false, _) => NO_SUCH_CHANNEL,
            (true, false) => NOT_ON_CHANNEL,
            (true, true) => NO_OPERATOR,
        };
        exchange.out.reply(error, &[target]);
    }

    #[inline(never)]
    fn names(&self, targets: &str, exchange: &mut Exchange<'_>) {
        let (target, _) = split_first(targets, ',');
        if target.is_empty() || exchange.is_channel(target) {
            self.write_names(exchange);
        } else {
            exchange.out.reply("366 $1 :End of /NAMES list.", &[target]);
        }
    }

    /// Opens the client's view of the channel.
    #[inline(never)]
    fn join(&mut self, target: &str, exchange: &mut Exchange<'_>) {
        if !exchange.is_channel(target) {
            let is_channel = target.starts_with('#');
            let error = if is_channel { NO_SUCH_CHANNEL } else { "476 $1 :Bad Channel Mask" };
            return exchange.out.reply(error, &[target]);
        }
        if std::mem::replace(&mut self.is_in_channel, true) {
            return;
        }
        exchange.flush();
        self.delivery.joins_due += u16::from(exchange.channel.show(true));
        exchange.out.reply(":$n!user@smolchat JOIN $c", &[]);
        write_topic(false, exchange);
        self.write_names(exchange);
        if self.has(Capabilities::SERVER_TIME) && !self.has(Capabilities::CHAT_HISTORY) {
            self.play_back(exchange);
        }
        exchange.out.view = ViewChange::Opened;
        exchange.channel.own_profile().is_in_channel = true;
    }

    /// Closes the client's view of the channel.
    fn part(&mut self, target: &str, reason: &str, exchange: &mut Exchange<'_>) {
        if !exchange.is_channel(target) {
            return exchange.out.reply(NO_SUCH_CHANNEL, &[target]);
        }
        if !std::mem::take(&mut self.is_in_channel) {
            return exchange.out.reply(NOT_ON_CHANNEL, &[]);
        }
        let mut command = concat(&["PART ", &exchange.out.settings.config.channel]);
        if !reason.is_empty() {
            command += " :";
            command += &bounded(reason, MAX_AWAY);
        }
        exchange.channel.set_departure(&command);
        write_line(&mut exchange.out.lines, "", &[":", &exchange.out.nick, MASK, " ", &command]);
        exchange.out.view = ViewChange::Closed;
        exchange.channel.own_profile().is_in_channel = false;
    }

    /// Handles `PRIVMSG` and `NOTICE`. A notice causes no errors (RFC 2812, section 3.3.2).
    #[inline(never)]
    fn send(&mut self, is_notice: bool, to: &str, text: &str, exchange: &mut Exchange<'_>) {
        let is_to_channel = exchange.is_channel(to);
        let is_to_member = !is_to_channel && exchange.channel.find(to).is_some();
        let error = if to.contains(',') {
            "407 $1 :Too many recipients"
        } else if is_to_channel && !self.is_in_channel {
            "404 $1 :Cannot send to channel"
        } else if !is_to_channel && to.starts_with('#') {
            NO_SUCH_CHANNEL
        } else if !is_to_channel && !is_to_member {
            NO_SUCH_NICK
        } else if text.len() > exchange.out.settings.max_line {
            "417 $1 :The text is too long"
        } else {
            let text = Text::new(text, is_notice);
            match text.plain.is_empty() {
                false if is_to_channel => return self.speak(text, exchange),
                false => return self.send_private(to, text, exchange),
                true => NO_TEXT,
            }
        };
        if !is_notice {
            exchange.out.reply(error, &[to]);
        }
    }

    /// Sends a text to the channel.
    #[inline(never)]
    fn speak(&mut self, text: Text, exchange: &mut Exchange<'_>) {
        let has_echo = self.has(Capabilities::ECHO_MESSAGE);
        if text.is_ctcp && !text.is_action {
            // Each is a delivery for each of the others.
            if exchange.is_busy("PRIVMSG") {
                return;
            }
            return text.relay(None, has_echo.then(|| self.variant()), exchange);
        }
        if self.is_repetition(&text.plain, exchange) {
            return;
        }
        self.delivery.has_own_frames = true;
        let plain = text.plain.into();
        let request = if text.is_action { Request::Action(plain) } else { Request::Say(plain) };
        exchange.submit(request, text.is_notice, has_echo);
    }

    /// Sends a text to a member.
    #[inline(never)]
    fn send_private(&mut self, to: &str, text: Text, exchange: &mut Exchange<'_>) {
        let has_echo = self.has(Capabilities::ECHO_MESSAGE);
        let Some(member) = exchange.channel.find(to) else { return };
        let (name, away) = (member.name.to_owned(), member.away().to_owned());
        if member.profile.is_some() && (text.is_notice || text.is_ctcp) {
            let id = Some((member.id, &*name));
            text.relay(id, has_echo.then(|| self.variant()), exchange);
        } else if !text.is_ctcp || text.is_action {
            // Other requests are for IRC clients only.
            let start = if text.is_action { "* " } else { "" };
            let text = concat(&[start, &text.plain]).into();
            exchange.submit(Request::Private { to: (&*name).into(), text }, false, has_echo);
        }
        if !away.is_empty() && !text.is_notice {
            exchange.out.reply("301 $1 :$2", &[&name, &away]);
        }
    }

    #[inline(never)]
    fn mode(&self, message: &Message<'_>, exchange: &mut Exchange<'_>) {
        let [target, change, mask, ..] = message.parameters;
        let (is_self, is_channel) = (*target == *self.name, exchange.is_channel(target));
        let reply = match change {
            "" if is_self => "221 +i",
            "+i" | "-i" if is_self => return,
            _ if is_self => "501 :Unknown MODE flag",
            "" if is_channel => "324 $c +n",
            "b" | "+b" if is_channel && mask.is_empty() => "368 $c :End of channel ban list",
            _ if is_channel && exchange.channel.is_operator() => {
                "472 $2 :is unknown mode char to me"
            }
            _ if is_channel => NO_OPERATOR,
            _ if target.starts_with('#') => NO_SUCH_CHANNEL,
            _ if exchange.channel.find(target).is_some() => "502 :Cant change mode for other users",
            _ => NO_SUCH_NICK,
        };
        exchange.out.reply(reply, &[target, change]);
    }

    #[inline(never)]
    fn invite(&self, name: &str, target: &str, exchange: &mut Exchange<'_>) {
        match exchange.channel.find(name) {
            None => exchange.out.reply(NO_SUCH_NICK, &[name]),
            Some(member)
                if self.is_in_channel && member.is_in_channel() && exchange.is_channel(target) =>
            {
                exchange.out.reply("443 $1 $c :is already on channel", &[member.name]);
            }
            Some(_) => self.refuse(target, exchange),
        }
    }

    /// Writes the names of all members that fit the bound of a list.
    fn write_names(&self, exchange: &mut Exchange<'_>) {
        if exchange.is_busy("NAMES") {
            return;
        }
        let Exchange { channel, out, .. } = exchange;
        let (most, answer_bytes) = (out.list_bytes(), out.settings.answer_bytes);
        let mask = if self.has(Capabilities::USERHOST_IN_NAMES) { MASK } else { "" };
        let mut line = String::new();
        channel.members(&mut |member| {
            if !member.is_in_channel() && *member.name != *self.name {
                return true;
            }
            if line.len() + member.name.len() + mask.len() > most {
                out.reply(NAMES, &[&line]);
                line.clear();
            }
            push_word(&mut line, member.name);
            line += mask;
            out.lines.len() + line.len() < answer_bytes
        });
        if !line.is_empty() {
            out.reply(NAMES, &[&line]);
        }
        out.reply("366 $c :End of /NAMES list.", &[]);
    }
}

fn away(text: &str, exchange: &mut Exchange<'_>) {
    let text = bounded(text, MAX_AWAY);
    exchange.out.reply(
        match text.is_empty() {
            true => "305 :You are no longer marked as being away",
            false => "306 :You have been marked as being away",
        },
        &[],
    );
    exchange.channel.own_profile().away = text;
}

impl Exchange<'_> {
    /// Returns whether this is the name of the channel.
    pub fn is_channel(&self, target: &str) -> bool {
        target.eq_ignore_ascii_case(&self.out.settings.config.channel)
    }
}
