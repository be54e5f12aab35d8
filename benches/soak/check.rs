//! What must be true of each line that comes over a link, and of its end.

use std::io;
use std::rc::Rc;
use std::time::Instant;

use smolchat::protocol::{Body, ByeCode, ErrorCode, Frame};

use crate::connection::{Connection, ReadEvent};
use crate::sequence::SequencedFrame;
use crate::shared::{HISTORY_FRAMES, TIMEOUT};

/// Something that was asked over a link. The answers come in the order of the questions.
#[derive(Debug)]
pub enum ExpectedReply {
    /// An `error` with this code and this `id`.
    Error(ErrorCode, Option<String>),
    /// An `error` because the name of a hello was not free.
    NameError,
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
pub enum CheckedLine {
    /// The next frame of the sequence.
    Sequenced(Rc<SequencedFrame>),
    /// The welcome.
    Welcome(Box<Frame<'static>>),
    /// What was missed is not all there.
    Gap,
    /// Something that needs nothing done.
    Other,
}

impl Connection {
    /// Checks that the connection might end as it did.
    pub fn check_end(&self, error: Option<&io::Error>) -> Result<(), String> {
        match (self.bye, error) {
            _ if self.was_server_killed() => Ok(()),
            (Some(ByeCode::Slow), _) if self.may_be_slow => Ok(()),
            (Some(code), _) if Some(code) == self.expected_bye => Ok(()),
            (None, _) => Err(format!("the connection ended without a bye: {error:?}")),
            (Some(code), _) => Err(format!("bye {code:?}, not {:?}", self.expected_bye)),
        }
    }

    /// Listens to the end, which comes by the bye that is expected.
    pub async fn read_to_close(&mut self) -> Result<(), String> {
        let until = Instant::now() + TIMEOUT;
        loop {
            match self.read_line(until).await {
                ReadEvent::Line(line) => drop(self.check_line(&line)?),
                ReadEvent::Timeout => return Err(format!("no bye {:?}", self.expected_bye)),
                ReadEvent::Closed(error) => return self.check_end(error.as_ref()),
            }
        }
    }

    /// Checks a line, and says what it is to the member.
    pub fn check_line(&mut self, line: &[u8]) -> Result<CheckedLine, String> {
        self.shared.totals.borrow_mut().frames += 1;
        if let Some(bye) = self.bye {
            return Err(format!("a line behind bye {bye:?}"));
        }
        // Nearly always it is the next of the sequence, and others saw it already.
        if self.welcome_seq.is_some() && self.history_range.is_empty() {
            let entry = self.shared.sequence.borrow().get(self.last_seq + 1).cloned();
            if let Some(entry) = entry.filter(|entry| entry.matches(line)) {
                self.advance_to(self.last_seq + 1);
                return Ok(CheckedLine::Sequenced(entry));
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
        if self.welcome_seq.is_none()
            && !matches!(frame.body, Body::Welcome { .. } | Body::Bye { .. })
        {
            return Err("a line before the welcome".to_owned());
        }
        match frame.body.seq() {
            Some(seq) if Some(seq) == self.history_range.clone().next() => {
                self.history_range.next();
                match self.shared.sequence.borrow().get(seq) {
                    Some(entry) if !entry.matches(line) => {
                        Err(format!("number {seq} was not that"))
                    }
                    _ => Ok(CheckedLine::Other),
                }
            }
            Some(seq) if self.history_range.is_empty() && seq == self.last_seq + 1 => {
                let entry = self.shared.sequence.borrow_mut().record(seq, line, frame)?;
                self.advance_to(seq);
                Ok(CheckedLine::Sequenced(entry))
            }
            Some(seq) => {
                let next = self.history_range.clone().next().unwrap_or(self.last_seq + 1);
                Err(format!("number {seq} came, where {next} was due"))
            }
            None => self.check_unsequenced(line, frame),
        }
    }

    fn advance_to(&mut self, seq: u64) {
        self.last_seq = seq;
        self.is_gap_allowed = false;
    }

    /// A frame that is no part of the sequence.
    fn check_unsequenced(
        &mut self,
        line: &[u8],
        frame: Frame<'static>,
    ) -> Result<CheckedLine, String> {
        match &frame.body {
            Body::Welcome { seq, resumed, .. } => {
                if self.welcome_seq.replace(*seq).is_some() {
                    return Err("a second welcome".to_owned());
                }
                self.is_gap_allowed = *resumed;
                if !resumed {
                    self.last_seq = *seq;
                    self.expect_history(self.history_frames);
                } else if *seq < self.last_seq {
                    return Err(format!(
                        "resumed behind {}, which is not there yet",
                        self.last_seq
                    ));
                }
                return Ok(CheckedLine::Welcome(Box::new(frame)));
            }
            Body::Gap { from, to } => {
                // It names what followed the last that was seen, and nothing that is kept.
                let kept = (self.welcome_seq.unwrap_or(0) + 1).saturating_sub(HISTORY_FRAMES);
                if !self.is_gap_allowed || *from != self.last_seq + 1 || to < from || *to >= kept {
                    return Err(format!("a gap, seen {}, oldest kept {kept}", self.last_seq));
                }
                self.advance_to(*to);
                self.shared.totals.borrow_mut().gaps += 1;
                return Ok(CheckedLine::Gap);
            }
            Body::Bye { code, seq } => {
                self.bye = Some(*code);
                if self.welcome_seq.is_some() && *seq != self.last_seq {
                    return Err(format!("a bye that says {seq}, after number {}", self.last_seq));
                }
                return Ok(CheckedLine::Other);
            }
            Body::Private { id, .. } => {
                let id = id.as_deref().unwrap_or_default();
                self.shared.on_private_message(id, self.member, line)?;
                let is_copy = matches!(self.expected_replies.front(), Some(ExpectedReply::Private { id: own, .. }) if own == id);
                if is_copy {
                    self.expected_replies.pop_front();
                }
                return Ok(CheckedLine::Other);
            }
            // The disk was slow.
            Body::Info { id: None, .. } if frame.data.starts_with("the history ") => {
                return Ok(CheckedLine::Other);
            }
            _ => {}
        }
        let Some(expected) = self.expected_replies.pop_front() else {
            return Err("an answer to nothing".to_owned());
        };
        let id = frame.body.id();
        let fits = match (&expected, &frame.body) {
            (ExpectedReply::Error(code, word), Body::Error { code: came, .. }) => {
                code == came && word.as_deref() == id
            }
            (ExpectedReply::NameError, Body::Error { code, .. }) => {
                matches!(code, ErrorCode::NameTaken | ErrorCode::NameKept)
            }
            (ExpectedReply::Info(word), Body::Info { .. }) => Some(&**word) == id,
            (ExpectedReply::History(word, count), Body::Info { .. }) => {
                self.expect_history(*count);
                Some(&**word) == id
            }
            (ExpectedReply::Who(word), Body::Who { names, .. }) => {
                let mut names: Vec<&str> = names.iter().map(|name| &**name).collect();
                names.sort_unstable();
                Some(&**word) == id && self.shared.sequence.borrow().present().eq(names)
            }
            (ExpectedReply::Private { id: own, to, name }, Body::Error { code, .. }) => {
                *code == ErrorCode::NoSuchUser
                    && Some(&**own) == id
                    && self.may_be_undeliverable(own, *to, name)
            }
            _ => false,
        };
        if let Body::Error { code, .. } = &frame.body {
            self.shared.totals.borrow_mut().count_error(*code);
        }
        if fits {
            Ok(CheckedLine::Other)
        } else {
            Err(format!("the answer to {expected:?} is another"))
        }
    }

    /// Past frames come next: the last so many that are kept.
    fn expect_history(&mut self, count: usize) {
        self.history_range =
            (self.last_seq + 1).saturating_sub(count as u64).max(1)..self.last_seq + 1;
    }

    /// Whether an addressee may have been away, or have another name, since a line went out.
    fn may_be_undeliverable(&self, id: &str, to: usize, name: &str) -> bool {
        let sent = self.shared.private_messages.borrow().get(id).map(|private| private.connection);
        let status = &self.shared.statuses.borrow()[to];
        status.may_disconnect
            || Some(status.connection) != sent
            || status.name.as_deref() != Some(name)
            || self.shared.sequence.borrow().joined_at(name).is_none()
    }
}
