//! The requests of members, such as `/nick` and `/history`, and their answers.
//!
//! The commands of the terminal client are in `app/tui/commands.rs`.

use std::borrow::Cow;

use log::Level;

use super::join::describe_invalid_name;
use super::operators::no_such_member;
use super::state::{Author, Member, RoomState, Visibility};
use super::{ClientId, Op, Slice, SliceKind, format_names};
use crate::protocol::{
    Body, ByeCode, ErrorCode, Frame, RequestError, SERVER, Stats, is_valid_name,
};

/// Errors in a row after which a client is closed: it does not speak this protocol.
pub const MAX_ERRORS: u8 = 50;
/// Frames that `/history` sends if it has no number.
const DEFAULT_HISTORY: u64 = 50;
/// The most names in the text of an answer to `/who`. Its key `names` has all that fit.
const NAMES_IN_TEXT: usize = 20;

/// The answer to `/help`: one command on each line, in two columns.
pub(super) const HELP: &str = "\
/nick NAME        changes your name
/me TEXT          sends an action
/msg NAME TEXT    sends a private message
/who              lists the members
/history [N]      shows the last N lines, by default 50
/stats            shows the figures of the server
/topic            shows the topic
/op SECRET        makes you an operator
/help             lists the commands
/quit             leaves
//TEXT            sends a text that begins with /";
/// The end of that answer for an operator. Most of these commands show their arguments if they are
/// missing.
pub(super) const OPERATOR_HELP: &str = "
operators: /kick /ban /unban /bans /mute /unmute /whois /topic TEXT /lock [TIME|off]";

impl RoomState {
    /// Sends a private line to its recipient and back to its author.
    pub(super) fn send_private(
        &mut self,
        author: Author<'_>,
        to: &str,
        text: &str,
    ) -> Result<(), RequestError> {
        let recipient = self.find_member(to).ok_or_else(|| no_such_member(to))?;
        let to = self.name_of(recipient).unwrap_or(to);
        if self.is_absent(recipient) {
            let text = format!("{to} went away; the message was not sent");
            return Err(RequestError::new(ErrorCode::NoSuchUser, text));
        }
        if !self.is_local(author.id) && !self.is_local(recipient) {
            return Ok(());
        }
        let id = author.line_id.map(Cow::from);
        let body = Body::Private { time: self.now.unix_ms, to: to.into(), id };
        let frame = Frame { data_source: author.name.into(), data: text.into(), body };
        let slice = Slice::own(&frame);
        if recipient != author.id {
            self.unicast(recipient, Op::Send(slice.clone()));
        }
        self.unicast(author.id, Op::Send(slice));
        Ok(())
    }

    pub(super) fn send_who(&mut self, author: Author<'_>) {
        if !self.is_local(author.id) {
            return;
        }
        let is_quiet = |member: &Member| member.visibility == Visibility::Quiet;
        let members = self.members.iter().map(|(_, member)| (&*member.name, is_quiet(member)));
        let members: Vec<(&str, bool)> = members.collect();
        let data = describe_members(&members, author.name);
        let mut left = self.answers.answer_bytes.saturating_sub(data.len());
        let (mut names, mut quiet): (Vec<Cow<'_, str>>, Vec<Cow<'_, str>>) = Default::default();
        for &(name, is_quiet) in &members {
            // A quiet member is in two lists.
            let bytes = (1 + usize::from(is_quiet)) * (name.len() + r#""","#.len());
            let Some(rest) = left.checked_sub(bytes) else { break };
            left = rest;
            names.push(name.into());
            quiet.extend(is_quiet.then_some(Cow::from(name)));
        }
        let more = (names.len() < members.len()).then(|| members.len() - names.len());
        let body = Body::Who { names, more, quiet, id: author.line_id.map(Cow::from) };
        let who = Slice::own(&Frame::server(data, body));
        self.unicast(author.id, Op::Send(who));
    }

    pub(super) fn show_history(&mut self, author: Author<'_>, count: Option<u64>) {
        if !self.is_local(author.id) {
            return;
        }
        let from = self.oldest_of_last(count.unwrap_or(DEFAULT_HISTORY));
        let data = match self.batch.seq + 1 - from {
            0 => "the history is empty".into(),
            1 => "the last line:".into(),
            count => format!("the last {count} lines:"),
        };
        self.send_info(author, &data);
        let start = self.send_history(author.id, from, SliceKind::Past);
        self.unicast(author.id, Op::Repeat(start, self.batch.position()));
    }

    pub(super) fn rename(&mut self, author: Author<'_>, to: &str) -> Result<(), RequestError> {
        let Author { id, name, line_id } = author;
        if name == to {
            self.send_info(author, &format!("your name is {name} already"));
            return Ok(());
        }
        if !is_valid_name(to) {
            return Err(RequestError::new(ErrorCode::BadName, describe_invalid_name(to)));
        }
        if self.names.get(to) != Some(id)
            && let Some(error) = self.find_name_conflict(to)
        {
            return Err(error);
        }
        // The last member with this name may have left, and its leave notice comes first.
        self.publish_notice();
        self.names.remove(name);
        self.names.insert(to, id);
        let data = format!("{name} is now {to}");
        self.log(Level::Info, id, name, &format!(" is now {to}"));
        if let Some(member) = self.members.get_mut(id) {
            member.name = to.into();
        }
        let time = self.now.unix_ms;
        self.publish(SERVER, &data, |seq| {
            let id = line_id.map(Cow::from);
            Body::Name { seq, time, from: name.into(), to: to.into(), id }
        });
        Ok(())
    }

    /// Sends an error to a client, and closes the client after too many of them.
    pub(super) fn send_error(&mut self, id: ClientId, error: RequestError) {
        let RequestError { code, text, id: line_id } = error;
        if self.is_local(id) {
            self.counts.errors.add(code);
        }
        if let Some(name) = self.name_of(id).map(Box::<str>::from) {
            // A guess of the secret of an operator.
            let is_guess = code == ErrorCode::WrongPassword;
            let level = if is_guess { Level::Warn } else { Level::Debug };
            self.log(level, id, &name, &format!(": {text}"));
        }
        let body = Body::Error { code, id: line_id.as_deref().map(Cow::from) };
        self.send(id, text.into(), body);
        let Some(member) = self.members.get_mut(id) else { return };
        // Too many lines are no sign of another protocol.
        if code != ErrorCode::TooFast {
            member.errors += 1;
            if member.errors >= MAX_ERRORS {
                self.close_member(id, ByeCode::Errors, &"too many errors in a row");
            }
        }
    }

    pub(super) fn send_stats(&mut self, author: Author<'_>) {
        if !self.is_local(author.id) {
            return;
        }
        let stats = self.stats(self.server_stats.clone());
        let text = stats.to_string();
        let id = author.line_id.map(Cow::from);
        let stats = Some(Box::new(stats));
        let body = Body::Info { seq: None, time: None, topic: None, id, stats };
        self.send(author.id, text.into(), body);
    }

    /// Returns `server_stats` completed with the statistics of the state.
    pub fn stats(&self, server_stats: Stats) -> Stats {
        Stats {
            uptime: self.now.uptime.as_secs(),
            members: self.names.len(),
            lines_in: self.counts.lines_in,
            evictions: self.counts.evictions.clone(),
            errors: self.counts.errors.clone(),
            ..server_stats
        }
    }

    /// Answers a line with a text.
    pub(super) fn send_info(&mut self, author: Author<'_>, text: &str) {
        let id = author.line_id.map(Cow::from);
        self.send(author.id, text.into(), Body::info(id));
    }
}

/// Returns the text of an answer to `/who`, which marks the quiet members, except its reader. Each
/// member has a name and may be quiet.
fn describe_members(members: &[(&str, bool)], reader: &str) -> String {
    let names = members.iter().map(|&(name, is_quiet)| match is_quiet && name != reader {
        true => format!("{name} (quiet)").into(),
        false => Cow::from(name),
    });
    format!("{} here: {}", members.len(), format_names(&names.collect::<Vec<_>>(), NAMES_IN_TEXT))
}
