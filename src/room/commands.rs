//! What members ask for, and what they are told.

use std::borrow::Cow;

use log::Level;

use super::join::bad_name;
use super::{MemberId, Membership, Op, Room, Slice, list};
use crate::protocol::{
    Body, ByeCode, ClientLine, ErrorCode, Frame, Hello, Request, RequestError, SERVER, Stats,
    case_fold, is_valid_name,
};

/// Errors in a row after which a client is closed: it is not speaking this protocol.
pub const MAX_ERRORS: u8 = 50;
/// Frames that `/history` shows when it is not told how many.
const HISTORY_SHOWN: u64 = 50;
/// Names that the text of an answer to `/who` spells out; its `names` has all.
const NAMES_SPELLED: usize = 20;

const HELP: &str = "/nick NAME changes your name, /me TEXT says what you do, \
    /msg NAME TEXT tells one member, /who lists the members, /history [N] shows what was said, \
    /stats shows how the server is doing, \
    /quit leaves, // says a literal /, anything else is said to all";

impl Room {
    pub(super) fn line(&mut self, id: MemberId, line: Result<ClientLine, RequestError>) {
        if self.is_silent(id) {
            match line {
                Ok(ClientLine { request: Request::Hello(hello), id: word }) => {
                    return self.join(id, *hello, word);
                }
                _ => self.join(id, Hello::default(), None),
            }
        }
        // The line before this one may have been its last.
        let Some(name) = self.member_name(id).map(Box::from) else { return };
        let is_heartbeat = matches!(&line, Ok(ClientLine { request: Request::Heartbeat, .. }));
        match line.and_then(|line| self.request(id, name, line)) {
            Ok(()) => {
                // A heartbeat shows that somebody is there, not that it speaks the protocol.
                if !is_heartbeat && let Some(client) = self.clients.get_mut(id) {
                    client.errors = 0;
                }
            }
            Err(rejected) => self.reject(id, rejected),
        }
    }

    fn request(
        &mut self,
        id: MemberId,
        name: Box<str>,
        line: ClientLine,
    ) -> Result<(), RequestError> {
        let ClientLine { id: word, request } = line;
        let rejected = |code, text| Err(RequestError { code, text, id: word.clone() });
        // Who does anything that others see has been seen to come.
        let is_seen = !matches!(request, Request::Heartbeat);
        if is_seen && (!self.is_crowded() || self.notice.tells_of(&name)) {
            self.flush_notice();
        }
        match request {
            Request::Heartbeat if word.is_none() => {}
            Request::Heartbeat => self.tell(id, "still here", word),
            Request::Hello(_) => {
                let text = "a hello is for the first line alone, and soon after connecting";
                return rejected(ErrorCode::LateHello, text.into());
            }
            Request::Say(text) => self.publish(&name, &text, |seq, time| Body::Chat {
                seq,
                time,
                id: word.as_deref().map(Cow::from),
            }),
            Request::Act(text) => self.publish(&name, &text, |seq, time| Body::Action {
                seq,
                time,
                id: word.as_deref().map(Cow::from),
            }),
            Request::Private { to, text } => {
                let recipient = self.names.get(&to);
                let found = recipient.and_then(|id| Some((id, self.member_name(id)?)));
                let Some((recipient, to)) =
                    found.filter(|(_, name)| case_fold(name) == case_fold(&to))
                else {
                    return rejected(ErrorCode::NoSuchUser, format!("nobody is called {to}"));
                };
                let time = self.now.unix_ms;
                let body =
                    Body::Private { time, to: to.into(), id: word.as_deref().map(Cow::from) };
                let frame = Frame { data_source: (&*name).into(), data: (&*text).into(), body };
                let slice = Slice::own(&frame);
                if recipient != id {
                    self.unicast(recipient, Op::Send(slice.clone()));
                }
                self.unicast(id, Op::Send(slice));
            }
            Request::Nick(wanted) => return self.rename(id, &name, &wanted, word),
            Request::Who => {
                let mut names: Vec<_> = self.members().map(|(_, name)| name.into()).collect();
                let here = names.len();
                let data = format!("{here} here: {}", list(&names, NAMES_SPELLED));
                let mut left = self.config.answer_bytes.saturating_sub(data.len());
                let fitting = names.iter().map_while(|name: &Cow<'_, str>| {
                    left = left.checked_sub(name.len() + r#""","#.len())?;
                    Some(())
                });
                let fitting = fitting.count();
                names.truncate(fitting);
                let more = (fitting < here).then(|| here - fitting);
                let body = Body::Who { names, more, id: word.as_deref().map(Cow::from) };
                let slice = Slice::own(&Frame::server(data, body));
                self.unicast(id, Op::Send(slice));
            }
            Request::History(count) => {
                let from = self.oldest_of(count.unwrap_or(HISTORY_SHOWN));
                let data = match self.seq + 1 - from {
                    0 => "nothing is kept of what was said".into(),
                    1 => "the last line:".into(),
                    count => format!("the last {count} lines:"),
                };
                self.tell(id, data, word);
                let open = self.show_since(id, from, false);
                self.unicast(id, Op::Repeat(open.0, self.frames.len() as u32));
            }
            Request::Stats => self.tell_stats(id, word),
            Request::Help => self.tell(id, HELP, word),
            Request::Quit => self.dismiss(id, ByeCode::Quit, "quit"),
        }
        Ok(())
    }

    fn rename(
        &mut self,
        id: MemberId,
        name: &str,
        wanted: &str,
        word: Option<Box<str>>,
    ) -> Result<(), RequestError> {
        if name == wanted {
            self.tell(id, format!("you are {name} already"), word);
            return Ok(());
        }
        if !is_valid_name(wanted) {
            return Err(RequestError {
                code: ErrorCode::BadName,
                text: bad_name(wanted),
                id: word,
            });
        }
        if self.names.get(wanted) != Some(id)
            && let Some((code, text)) = self.why_not(wanted)
        {
            return Err(RequestError { code, text, id: word });
        }
        // The name may be that of somebody of whom it is yet to be told that they went.
        self.flush_notice();
        self.names.remove(name);
        self.names.insert(wanted, id);
        self.log.push((Level::Info, format!("{} is now {wanted}", self.describe(id))));
        if let Some(Membership::Member { name, .. }) =
            self.clients.get_mut(id).map(|client| &mut client.state)
        {
            *name = wanted.into();
        }
        let data = format!("{name} is now {wanted}");
        self.publish(SERVER, &data, |seq, time| Body::Name {
            seq,
            time,
            from: name.into(),
            to: wanted.into(),
            id: word.as_deref().map(Cow::from),
        });
        Ok(())
    }

    pub(super) fn reject(&mut self, id: MemberId, rejected: RequestError) {
        let RequestError { code, text, id: word } = rejected;
        self.counts.errors.add(code);
        self.log.push((Level::Debug, format!("{}: {text}", self.describe(id))));
        let body = Body::Error { code, id: word.map(|word| String::from(word).into()) };
        let error = Slice::own(&Frame::server(text, body));
        self.unicast(id, Op::Send(error));
        let Some(client) = self.clients.get_mut(id) else { return };
        // Being too fast is no sign of being wrong.
        if code != ErrorCode::TooFast {
            client.errors += 1;
            if client.errors >= MAX_ERRORS {
                self.dismiss(id, ByeCode::Errors, "nothing but errors");
            }
        }
    }

    /// Takes note of the figures that the room does not see itself, for the answer to `/stats`.
    pub fn set_server_stats(&mut self, seen: Stats) {
        self.seen = seen;
    }

    fn tell_stats(&mut self, id: MemberId, word: Option<Box<str>>) {
        let stats = self.stats(self.seen.clone());
        let word = word.as_deref().map(Cow::from);
        let text = stats.to_string();
        let body = Body::Info { id: word, stats: Some(Box::new(stats)) };
        self.unicast(id, Op::Send(Slice::own(&Frame::server(text, body))));
    }

    /// The figures: what was `seen` outside of the room, and what the room knows.
    pub fn stats(&self, seen: Stats) -> Stats {
        Stats {
            uptime: self.now.uptime.as_secs(),
            members: self.names.len(),
            connections: self.clients.len(),
            lines_in: self.counts.lines_in,
            evictions: self.counts.evictions.clone(),
            errors: self.counts.errors.clone(),
            ..seen
        }
    }

    fn tell(&mut self, id: MemberId, text: impl Into<Cow<'static, str>>, word: Option<Box<str>>) {
        let body = Body::Info { id: word.map(|word| String::from(word).into()), stats: None };
        let info = Slice::own(&Frame::server(text, body));
        self.unicast(id, Op::Send(info));
    }
}
