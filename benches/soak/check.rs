//! What must be true of each line that comes over a link, and of its end.

use std::io;
use std::rc::Rc;
use std::time::Instant;

use smolchat::protocol::{Body, ByeCode, ErrorCode, Frame};

use crate::link::{Heard, Link};
use crate::sequence::Entry;
use crate::world::{HISTORY, PATIENCE};

/// Something that was asked over a link. The answers come in the order of the questions.
#[derive(Debug)]
pub enum Ask {
    /// An `error` with this code and this `id`.
    Error(ErrorCode, Option<String>),
    /// An `error` because the name of a hello was not free.
    Complaint,
    /// An `info`.
    Info(String),
    /// An `info`, and behind it the last frames of the sequence.
    History(String, usize),
    /// A `who`, which is as the notices tell.
    Who(String),
    /// The copy of a private line, or an error if the addressee has gone.
    Private { id: String, to: usize, name: String },
}

/// What a line from the server is to the member.
pub enum Took {
    /// The next frame of the sequence.
    Next(Rc<Entry>),
    /// The welcome.
    Welcome(Box<Frame<'static>>),
    /// What was missed is not all there.
    Gap,
    /// Something that needs nothing done.
    Other,
}

impl Link {
    /// Checks that the connection might end as it did.
    pub fn check_end(&self, error: Option<&io::Error>) -> Result<(), String> {
        match (self.bye, error) {
            _ if self.is_of_a_dead_server() => Ok(()),
            (Some(ByeCode::Slow), _) if self.stalled => Ok(()),
            (Some(code), _) if Some(code) == self.expects => Ok(()),
            (None, _) => Err(format!("the connection ended without a bye: {error:?}")),
            (Some(code), _) => Err(format!("bye {code:?}, not {:?}", self.expects)),
        }
    }

    /// Listens to the end, which comes by the bye that is expected.
    pub async fn hear_out(&mut self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.hear(until).await {
                Heard::Line(line) => drop(self.take(&line)?),
                Heard::Nothing => return Err(format!("no bye {:?}", self.expects)),
                Heard::End(error) => return self.check_end(error.as_ref()),
            }
        }
    }

    /// Checks a line, and says what it is to the member.
    pub fn take(&mut self, line: &[u8]) -> Result<Took, String> {
        self.world.totals.borrow_mut().frames += 1;
        if let Some(bye) = self.bye {
            return Err(format!("a line behind bye {bye:?}"));
        }
        // Nearly always it is the next of the sequence, and others saw it already.
        if self.welcomed_at.is_some() && self.past.is_empty() {
            let entry = self.world.sequence.borrow().get(self.seen + 1).cloned();
            if let Some(entry) = entry.filter(|entry| entry.is(line)) {
                self.go_on(self.seen + 1);
                return Ok(Took::Next(entry));
            }
        }
        let frame = Frame::decode(line).map_err(|error| format!("no frame: {error}"))?;
        let mut again = Vec::new();
        frame.encode(&mut again);
        if again != line {
            return Err(format!(
                "not in the form it should have: {}",
                String::from_utf8_lossy(&again)
            ));
        }
        if self.welcomed_at.is_none()
            && !matches!(frame.body, Body::Welcome { .. } | Body::Bye { .. })
        {
            return Err("a line before the welcome".to_owned());
        }
        match frame.body.seq() {
            Some(seq) if Some(seq) == self.past.clone().next() => {
                self.past.next();
                match self.world.sequence.borrow().get(seq) {
                    Some(entry) if !entry.is(line) => Err(format!("number {seq} was not that")),
                    _ => Ok(Took::Other),
                }
            }
            Some(seq) if self.past.is_empty() && seq == self.seen + 1 => {
                let entry = self.world.sequence.borrow_mut().see(seq, line, frame)?;
                self.go_on(seq);
                Ok(Took::Next(entry))
            }
            Some(seq) => {
                let next = self.past.clone().next().unwrap_or(self.seen + 1);
                Err(format!("number {seq} came, where {next} was due"))
            }
            None => self.take_own(line, frame),
        }
    }

    fn go_on(&mut self, seq: u64) {
        self.seen = seq;
        self.may_gap = false;
    }

    /// A frame that is no part of the sequence.
    fn take_own(&mut self, line: &[u8], frame: Frame<'static>) -> Result<Took, String> {
        match &frame.body {
            Body::Welcome { seq, resumed, .. } => {
                if self.welcomed_at.replace(*seq).is_some() {
                    return Err("a second welcome".to_owned());
                }
                self.may_gap = *resumed;
                if !resumed {
                    self.seen = *seq;
                    self.expect_past(self.history);
                } else if *seq < self.seen {
                    return Err(format!("resumed behind {}, which is not there yet", self.seen));
                }
                return Ok(Took::Welcome(Box::new(frame)));
            }
            Body::Gap { from, to } => {
                // It names what followed the last that was seen, and nothing that is kept.
                let kept = (self.welcomed_at.unwrap_or(0) + 1).saturating_sub(HISTORY);
                if !self.may_gap || *from != self.seen + 1 || to < from || *to >= kept {
                    return Err(format!("a gap, seen {}, oldest kept {kept}", self.seen));
                }
                self.go_on(*to);
                self.world.totals.borrow_mut().gaps += 1;
                return Ok(Took::Gap);
            }
            Body::Bye { code, seq } => {
                self.bye = Some(*code);
                if self.welcomed_at.is_some() && *seq != self.seen {
                    return Err(format!("a bye that says {seq}, after number {}", self.seen));
                }
                return Ok(Took::Other);
            }
            Body::Private { id, .. } => {
                let id = id.as_deref().unwrap_or_default();
                self.world.see_private(id, self.member, line)?;
                let is_copy =
                    matches!(self.asked.front(), Some(Ask::Private { id: own, .. }) if own == id);
                if is_copy {
                    self.asked.pop_front();
                }
                return Ok(Took::Other);
            }
            // The disk was slow.
            Body::Info { id: None, .. } if frame.data.starts_with("the history ") => {
                return Ok(Took::Other);
            }
            _ => {}
        }
        let Some(ask) = self.asked.pop_front() else {
            return Err("an answer to nothing".to_owned());
        };
        let id = frame.body.id();
        let fits = match (&ask, &frame.body) {
            (Ask::Error(code, word), Body::Error { code: came, .. }) => {
                code == came && word.as_deref() == id
            }
            (Ask::Complaint, Body::Error { code, .. }) => {
                matches!(code, ErrorCode::NameTaken | ErrorCode::NameKept)
            }
            (Ask::Info(word), Body::Info { .. }) => Some(&**word) == id,
            (Ask::History(word, count), Body::Info { .. }) => {
                self.expect_past(*count);
                Some(&**word) == id
            }
            (Ask::Who(word), Body::Who { names, .. }) => {
                let mut names: Vec<&str> = names.iter().map(|name| &**name).collect();
                names.sort_unstable();
                Some(&**word) == id && self.world.sequence.borrow().present().eq(names)
            }
            (Ask::Private { id: own, to, name }, Body::Error { code, .. }) => {
                *code == ErrorCode::NoSuchUser
                    && Some(&**own) == id
                    && self.may_miss(own, *to, name)
            }
            _ => false,
        };
        if let Body::Error { code, .. } = &frame.body {
            self.world.totals.borrow_mut().error(*code);
        }
        if fits { Ok(Took::Other) } else { Err(format!("the answer to {ask:?} is another")) }
    }

    /// Past frames come next: the last so many that are kept.
    fn expect_past(&mut self, count: usize) {
        self.past = (self.seen + 1).saturating_sub(count as u64).max(1)..self.seen + 1;
    }

    /// Whether an addressee may have been away, or have another name, since a line went out.
    fn may_miss(&self, id: &str, to: usize, name: &str) -> bool {
        let sent = self.world.privates.borrow().get(id).map(|private| private.link);
        let standing = &self.world.standings.borrow()[to];
        standing.is_shaky
            || Some(standing.link) != sent
            || standing.name.as_deref() != Some(name)
            || self.world.sequence.borrow().came_at(name).is_none()
    }
}
