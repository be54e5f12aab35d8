//! Commands and their answers.

use std::borrow::Cow;

use log::Level;

use super::join::invalid_name;
use super::{MemberId, Membership, Op, Room, Slice, format_names};
use crate::protocol::{
    Body, ByeCode, ErrorCode, Frame, RequestError, SERVER, Stats, case_fold, is_valid_name,
};

/// Errors in a row after which a client is closed: it does not speak this protocol.
pub const MAX_ERRORS: u8 = 50;
/// Frames that `/history` sends if it has no number.
const DEFAULT_HISTORY: u64 = 50;
/// Names that the text of an answer to `/who` spells out; its `names` has all that fit.
const NAMES_IN_TEXT: usize = 20;

pub(super) const HELP: &str = "/nick NAME changes your name, /me TEXT says what you do, \
    /msg NAME TEXT tells one member, /who lists the members, /history [N] shows the last lines, \
    /stats shows the server's statistics, \
    /quit leaves, // says a literal /, anything else is said to all";

/// The `id` that a client gave its line.
pub(super) type LineId = Option<Box<str>>;

impl Room {
    /// Sends a private line to its recipient and back to its sender.
    pub(super) fn send_private(
        &mut self,
        id: MemberId,
        name: &str,
        to: &str,
        text: &str,
        line_id: LineId,
    ) -> Result<(), RequestError> {
        let found = self.names.get(to).and_then(|id| Some((id, self.member_name(id)?)));
        let found = found.filter(|(_, name)| case_fold(name) == case_fold(to));
        let Some((recipient, to)) = found else {
            let text = format!("no member is called {to}");
            return Err(RequestError { code: ErrorCode::NoSuchUser, text, id: line_id });
        };
        let time = self.now.unix_ms;
        let body = Body::Private { time, to: to.into(), id: line_id.as_deref().map(Cow::from) };
        let frame = Frame { data_source: name.into(), data: text.into(), body };
        let slice = Slice::own(&frame);
        if recipient != id {
            self.batch.unicast(recipient, Op::Send(slice.clone()));
        }
        self.batch.unicast(id, Op::Send(slice));
        Ok(())
    }

    pub(super) fn send_who(&mut self, id: MemberId, line_id: LineId) {
        let mut names: Vec<_> = self.members().map(|(_, name)| name.into()).collect();
        let members = names.len();
        let data = format!("{members} here: {}", format_names(&names, NAMES_IN_TEXT));
        let mut left = self.config.answer_bytes.saturating_sub(data.len());
        let fitting = names.iter().map_while(|name: &Cow<'_, str>| {
            left = left.checked_sub(name.len() + r#""","#.len())?;
            Some(())
        });
        let fitting = fitting.count();
        names.truncate(fitting);
        let more = (fitting < members).then(|| members - fitting);
        let body = Body::Who { names, more, id: line_id.as_deref().map(Cow::from) };
        let slice = Slice::own(&Frame::server(data, body));
        self.batch.unicast(id, Op::Send(slice));
    }

    pub(super) fn show_history(&mut self, id: MemberId, count: Option<u64>, line_id: LineId) {
        let from = self.oldest_of(count.unwrap_or(DEFAULT_HISTORY));
        let data = match self.batch.seq() + 1 - from {
            0 => "the history is empty".into(),
            1 => "the last line:".into(),
            count => format!("the last {count} lines:"),
        };
        self.send_info(id, data, line_id);
        let (start, _) = self.send_history(id, from, false);
        self.batch.unicast(id, Op::Repeat(start, self.batch.position()));
    }

    pub(super) fn rename(
        &mut self,
        id: MemberId,
        name: &str,
        wanted: &str,
        line_id: LineId,
    ) -> Result<(), RequestError> {
        if name == wanted {
            self.send_info(id, format!("your name is {name} already"), line_id);
            return Ok(());
        }
        if !is_valid_name(wanted) {
            let text = invalid_name(wanted);
            return Err(RequestError { code: ErrorCode::BadName, text, id: line_id });
        }
        if self.names.get(wanted) != Some(id)
            && let Some((code, text)) = self.name_conflict(wanted)
        {
            return Err(RequestError { code, text, id: line_id });
        }
        // The last member with this name may have left, and its leave notice comes first.
        self.publish_notice();
        self.names.remove(name);
        self.names.insert(wanted, id);
        let line = format!("{} is now {wanted}", self.describe(id));
        self.batch.log(Level::Info, line);
        if let Some(Membership::Member { name, .. }) =
            self.clients.get_mut(id).map(|client| &mut client.membership)
        {
            *name = wanted.into();
        }
        let data = format!("{name} is now {wanted}");
        let time = self.now.unix_ms;
        self.batch.publish(SERVER, &data, |seq| Body::Name {
            seq,
            time,
            from: name.into(),
            to: wanted.into(),
            id: line_id.as_deref().map(Cow::from),
        });
        Ok(())
    }

    /// Sends an error to a client, and closes the client after too many of them.
    pub(super) fn send_error(&mut self, id: MemberId, error: RequestError) {
        let RequestError { code, text, id: line_id } = error;
        self.counts.errors.add(code);
        let line = format!("{}: {text}", self.describe(id));
        self.batch.log(Level::Debug, line);
        let body = Body::Error { code, id: line_id.map(|id| String::from(id).into()) };
        let error = Slice::own(&Frame::server(text, body));
        self.batch.unicast(id, Op::Send(error));
        let Some(client) = self.clients.get_mut(id) else { return };
        // A client that is too fast may well speak the protocol.
        if code != ErrorCode::TooFast {
            client.errors += 1;
            if client.errors >= MAX_ERRORS {
                self.dismiss(id, ByeCode::Errors, "too many errors in a row");
            }
        }
    }

    /// Sets the statistics that the room cannot count itself, for the next answer to `/stats`.
    pub fn set_server_stats(&mut self, stats: Stats) {
        self.server_stats = stats;
    }

    pub(super) fn send_stats(&mut self, id: MemberId, line_id: LineId) {
        let stats = self.stats(self.server_stats.clone());
        let text = stats.to_string();
        let line_id = line_id.as_deref().map(Cow::from);
        let body = Body::Info { id: line_id, stats: Some(Box::new(stats)) };
        self.batch.unicast(id, Op::Send(Slice::own(&Frame::server(text, body))));
    }

    /// Returns `server_stats` completed with the room's own statistics.
    pub fn stats(&self, server_stats: Stats) -> Stats {
        Stats {
            uptime: self.now.uptime.as_secs(),
            members: self.names.len(),
            connections: self.clients.len(),
            lines_in: self.counts.lines_in,
            evictions: self.counts.evictions.clone(),
            errors: self.counts.errors.clone(),
            ..server_stats
        }
    }

    /// Sends a text from the server to one client.
    pub(super) fn send_info(
        &mut self,
        id: MemberId,
        text: impl Into<Cow<'static, str>>,
        line_id: LineId,
    ) {
        let line_id = line_id.map(|id| String::from(id).into());
        let info = Slice::own(&Frame::server(text, Body::Info { id: line_id, stats: None }));
        self.batch.unicast(id, Op::Send(info));
    }
}
