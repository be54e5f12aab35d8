//! The session of one IRC client: its registration, and the messages that any client may send.

use std::borrow::Cow;

use super::capabilities::Capabilities;
use super::channel::Channel;
use super::config::Settings;
use super::delivery::{DeliveryState, ViewChange};
use super::history::MAX_FRAMES;
use super::message::{IrcCommand, Message};
use super::queries::{LUSERS, SUPPORT, VERSION};
use super::replies::Replies;
use super::text::{concat, map_chars, strip_formatting, truncate};
use super::wire::{RoomFrame, Variant};
use crate::protocol::{
    ClientLine, ErrorCode, Hello, ParsedLine, Request, RequestError, is_valid_name,
};
use crate::room::{MAX_AWAY, MAX_REAL_NAME, MAX_USER, Token};

/// The most bytes of a password.
pub const MAX_PASSWORD: usize = 128;
/// The number of labelled messages after a reconnect that are compared with earlier ones.
const MAX_REPETITIONS: u8 = 32;
/// The error for a name that is taken.
const TAKEN: &str = "433 $1 :Nickname is already in use";

/// The session of one IRC client.
#[derive(Clone, Debug, Default)]
pub struct IrcSession {
    /// The name that the client asked for; the name of the member once it is one.
    pub(super) name: Box<str>,
    password: Option<Box<str>>,
    capabilities: Capabilities,
    has_user: bool,
    /// The client has begun to negotiate capabilities and has not ended that.
    is_negotiating: bool,
    is_member: bool,
    pub(super) is_in_channel: bool,
    /// The number of the last batch.
    batches: u64,
    /// The number of the last frame before the client reconnected.
    last_seq: u64,
    /// The number of labelled messages that are still compared with earlier ones.
    repetitions: u8,
    pub(super) delivery: DeliveryState,
}

/// A message of a client, and its answer.
pub(super) struct Exchange<'a> {
    pub channel: &'a mut dyn Channel,
    pub out: Replies<'a>,
    label: Option<Box<str>>,
    /// A later frame of the room answers the message.
    is_answered: bool,
    /// Milliseconds since the Unix epoch.
    pub unix_ms: u64,
}

impl Exchange<'_> {
    /// Sends the lines that were written.
    pub fn flush(&mut self) {
        if !self.out.lines.is_empty() {
            let lines = std::mem::take(&mut self.out.lines);
            self.channel.reply(lines, std::mem::take(&mut self.out.view));
        }
    }

    /// Applies a request to the room, after the lines that were written. If `is_answered`, a frame
    /// with the label answers the message.
    pub fn submit(&mut self, request: Request, is_notice: bool, is_answered: bool) {
        self.flush();
        self.is_answered |= is_answered;
        self.channel.submit(ClientLine { id: self.label.clone(), request }, is_notice);
    }
}

impl IrcSession {
    /// Returns the name of the member.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the variant of the lines that the client is sent.
    #[inline(never)]
    pub fn variant(&self) -> Variant {
        match self.capabilities {
            set if set.has(Capabilities::MESSAGE_TAGS) => Variant::Tags,
            set if set.has(Capabilities::SERVER_TIME) => Variant::Time,
            _ => Variant::Plain,
        }
    }

    /// Returns the next number for a batch.
    pub(super) fn next_batch(&mut self) -> u64 {
        self.batches = self.batches.wrapping_add(1);
        self.batches
    }

    /// Returns whether the client has a capability.
    pub(super) fn has(&self, capability: Capabilities) -> bool {
        self.capabilities.has(capability)
    }

    /// Handles a line of the client. `unix_ms` is the time in milliseconds since the Unix epoch.
    #[inline(never)]
    pub fn on_line(
        &mut self,
        mut line: ParsedLine,
        channel: &mut dyn Channel,
        settings: &Settings,
        unix_ms: u64,
    ) {
        let id = match &mut line {
            Ok(line) => &mut line.id,
            Err(error) => &mut error.id,
        };
        let label = id.take().filter(|_| self.has(Capabilities::LABELED_RESPONSE));
        let out = Replies::new(settings, &self.name);
        let mut exchange = Exchange { channel, out, label, is_answered: false, unix_ms };
        match line {
            Ok(ClientLine { request: Request::Edge(text), .. }) => {
                self.on_message(&Message::new(&text), &mut exchange);
            }
            Ok(_) => return,
            Err(RequestError { code: ErrorCode::TooLong, .. }) => {
                exchange.out.reply("417 :Input line was too long", &[]);
            }
            Err(RequestError { code: ErrorCode::NotUtf8, text, .. }) => {
                exchange
                    .out
                    .reply("FAIL $1 INVALID_UTF8 :Message rejected, it is not UTF-8", &[&text]);
            }
            Err(error) => exchange.out.reply("NOTICE $n :$1", &[&error.text]),
        }
        if let Some(label) = &exchange.label {
            exchange.out.add_label(label, self.next_batch(), exchange.is_answered);
        }
        let is_closed = exchange.out.view == ViewChange::Closed;
        exchange.flush();
        if is_closed {
            // After the reply: the client is not sent the notice that it has left.
            exchange.channel.show(false);
        }
    }

    #[inline(never)]
    fn on_message(&mut self, message: &Message<'_>, exchange: &mut Exchange<'_>) {
        let [first, second, _, fourth, ..] = message.parameters;
        let is_member = self.is_member;
        match message.command {
            command if (is_member || command.is_registration()) && message.lacks_parameters() => {
                exchange.out.reply("461 $1 :Not enough parameters", &[message.name]);
            }
            IrcCommand::Cap => self.negotiate(first, second, exchange),
            IrcCommand::Ping if first.is_empty() => {
                exchange.out.reply("409 :No origin specified", &[])
            }
            IrcCommand::Ping => exchange.out.reply("PONG $s :$1", &[first]),
            IrcCommand::Pong => {}
            IrcCommand::Quit => quit(first, exchange),
            IrcCommand::Nick => self.set_name(first, exchange),
            IrcCommand::User | IrcCommand::Pass if is_member => {
                exchange.out.reply("462 :You may not reregister", &[]);
            }
            IrcCommand::Pass => self.password = Some(truncate(first, MAX_PASSWORD).into()),
            IrcCommand::User => {
                self.has_user = true;
                let is_allowed = |c| (!matches!(c, '@' | '!' | ':' | ' ')).then_some(c);
                let user = map_chars(&bounded(first, MAX_USER), is_allowed);
                let profile = exchange.channel.own_profile();
                profile.user = if user.is_empty() { "user".into() } else { user.into() };
                profile.real_name = bounded(fourth, MAX_REAL_NAME);
            }
            _ if !is_member => exchange.out.reply("451 :You have not registered", &[]),
            _ => self.on_command(message, exchange),
        }
        if !is_member && !self.name.is_empty() && self.has_user && !self.is_negotiating {
            self.register(exchange);
        }
    }

    #[inline(never)]
    fn negotiate(&mut self, subcommand: &str, request: &str, exchange: &mut Exchange<'_>) {
        match &*subcommand.to_ascii_uppercase() {
            "LS" => {
                self.is_negotiating = !self.is_member;
                exchange.out.reply("CAP $n LS :$1", &[&Capabilities::ALL.names()]);
            }
            "LIST" => exchange.out.reply("CAP $n LIST :$1", &[&self.capabilities.names()]),
            "REQ" => {
                self.is_negotiating = !self.is_member;
                let set = self.capabilities.after_request(request);
                let answer = if set.is_some() { "ACK" } else { "NAK" };
                self.capabilities = set.unwrap_or(self.capabilities);
                exchange.out.reply("CAP $n $1 :$2", &[answer, request]);
            }
            "END" => self.is_negotiating = false,
            _ => exchange.out.reply("410 $1 :Invalid CAP command", &[subcommand]),
        }
    }

    /// Handles `NICK`.
    #[inline(never)]
    fn set_name(&mut self, requested: &str, exchange: &mut Exchange<'_>) {
        let name = &*to_valid_name(requested);
        let is_server = name.eq_ignore_ascii_case(&exchange.out.settings.config.server);
        let holder = exchange.channel.find(name).map(|member| *member.name == *self.name);
        let is_free = self.is_member && holder == Some(true) || !exchange.channel.is_taken(name);
        if requested.is_empty() {
            exchange.out.reply("431 :No nickname given", &[]);
        } else if !is_valid_name(name) || is_server {
            exchange.out.reply("432 $1 :Erroneous nickname", &[requested]);
        } else if !is_free && (self.is_member || self.token_of(name, exchange).is_none()) {
            exchange.out.reply(TAKEN, &[name]);
        } else if !self.is_member || *self.name != *name {
            if name != requested {
                let values = [requested, name];
                exchange.out.reply("NOTICE $n :$1 cannot be a name here; you are $2", &values);
            }
            self.name = name.into();
            exchange.out.nick = name.into();
            if self.is_member {
                self.delivery.has_own_frames = true;
                exchange.submit(Request::Nick(name.into()), false, true);
                self.keep_name(exchange);
            }
        }
    }

    /// Makes the client a member, at the end of its registration.
    #[inline(never)]
    fn register(&mut self, exchange: &mut Exchange<'_>) {
        let is_taken = exchange.channel.is_taken(&self.name);
        let token = if is_taken { self.token_of(&self.name, exchange) } else { None };
        // Another client can have taken the name since `NICK`.
        if is_taken && token.is_none() {
            exchange.out.reply(TAKEN, &[&self.name]);
            self.name = "".into();
            return;
        }
        if token.is_some() {
            (self.last_seq, self.repetitions) = (exchange.channel.seq(), MAX_REPETITIONS);
        }
        let hello = Hello {
            name: Some(String::from(&*self.name)),
            token: token.map(|token| token.to_string()),
            keep: self.password.is_some(),
            ..Hello::default()
        };
        // Hidden until it joins the channel.
        exchange.channel.show(false);
        exchange.submit(Request::Hello(Box::new(hello)), false, true);
        let Some(name) = exchange.channel.own_name() else { return };
        self.name = name.into();
        self.is_member = true;
        self.delivery.name = name.into();
        self.keep_name(exchange);
        exchange.out.nick = String::from(&*self.name);
        exchange.out.reply(
            "001 :Welcome to the smolchat network, $n!user@smolchat\n\
             002 :Your host is $s, running version $1\n003 :The channel is $c\n004 $s $1 i n",
            &[VERSION],
        );
        exchange.out.reply(SUPPORT, &[]);
        exchange.write_counts(LUSERS);
        exchange.out.write_motd();
        if exchange.out.settings.is_stored {
            exchange.out.reply("NOTICE $n :this conversation is written to a file", &[]);
        }
    }

    /// Returns the token for a name that is taken, if the password of the client is for it.
    fn token_of(&self, name: &str, exchange: &mut Exchange<'_>) -> Option<Token> {
        exchange.channel.token_of(name, self.password.as_deref()?)
    }

    fn keep_name(&self, exchange: &mut Exchange<'_>) {
        if let Some(password) = &self.password {
            exchange.channel.keep_name(password);
        }
    }

    /// Returns whether the client has sent this message, with its label, before it reconnected.
    #[inline(never)]
    pub(super) fn is_repetition(&mut self, text: &str, exchange: &Exchange<'_>) -> bool {
        let Some(label) = exchange.label.as_deref().filter(|_| self.repetitions > 0) else {
            return false;
        };
        self.repetitions -= 1;
        let mut name = Cow::from(&*self.name);
        let count = exchange.channel.frame_count();
        (count.saturating_sub(MAX_FRAMES)..count).rev().any(|at| {
            exchange.channel.frame(at).and_then(RoomFrame::parse).is_some_and(|frame| {
                if frame.string("to") == name && *frame.kind == *"name" {
                    // The client had this name before.
                    name = frame.string("from");
                }
                frame.seq <= self.last_seq
                    && frame.source == name
                    && frame.text == text
                    && *frame.string("id") == *label
            })
        })
    }
}

fn quit(reason: &str, exchange: &mut Exchange<'_>) {
    if !reason.is_empty() {
        exchange.channel.set_departure(&concat(&["QUIT :Quit: ", &bounded(reason, MAX_AWAY)]));
    }
    exchange.submit(Request::Quit, false, true);
}

/// Returns the start of a text, without formatting.
pub(super) fn bounded(text: &str, most: usize) -> Box<str> {
    truncate(&strip_formatting(text), most).into()
}

/// Returns a name that the room accepts for one that is usual in IRC: `[`, `]`, `\`, `` ` ``, `^`,
/// `{`, `|` and `}` become `_`. irssi gives up after error 432, and WeeChat tries again ten times a
/// second.
#[inline(never)]
fn to_valid_name(requested: &str) -> String {
    let name = map_chars(requested, |c| match c {
        '[' | ']' | '\\' | '`' | '^' | '{' | '|' | '}' => Some('_'),
        c => Some(c),
    });
    match name != requested && !is_valid_name(&name) {
        true => concat(&["irc", &name]),
        false => name,
    }
}

#[cfg(test)]
mod tests;
