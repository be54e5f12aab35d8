//! The checks of every line that a connection receives, and of its end.

use std::io;
use std::rc::Rc;
use std::time::Instant;

use smolchat::protocol::{Body, ByeCode, ErrorCode, Frame};

use crate::connection::{Connection, ReadEvent};
use crate::sequence::SequencedFrame;
use crate::shared::{HISTORY_FRAMES, TIMEOUT};

/// A reply that a client expects. Replies arrive in the order of the requests.
#[derive(Debug)]
pub enum ExpectedReply {
    /// An `error` with this code and `id`.
    Error(ErrorCode, Option<String>),
    /// An `error` because the name of a hello is not free.
    NameError,
    /// An `info` with this `id`.
    Info(String),
    /// An `info` with this `id`, and then the last frames of the sequence.
    History(String, usize),
    /// A `who` with this `id` and exactly the present members.
    Who(String),
    /// The copy of a private message, or an error if the addressee has left.
    Private { id: String, to: usize, name: String },
}

/// The kind of a line that passed the checks.
pub enum CheckedLine {
    /// The next frame of the sequence.
    Sequenced(Rc<SequencedFrame>),
    Welcome(Box<Frame<'static>>),
    /// A gap in the replay.
    Gap,
    Other,
}

impl Connection {
    /// Checks that the connection was closed for an expected reason.
    pub fn check_end(&self, error: Option<&io::Error>) -> Result<(), String> {
        match (self.bye, error) {
            _ if self.was_server_killed() => Ok(()),
            (Some(ByeCode::Slow), _) if self.may_be_slow => Ok(()),
            (Some(code), _) if Some(code) == self.expected_bye => Ok(()),
            (None, _) => Err(format!("the connection was closed without bye: {error:?}")),
            (Some(code), _) => Err(format!("bye {code:?}, expected {:?}", self.expected_bye)),
        }
    }

    /// Reads and checks lines until the server closes the connection.
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

    /// Checks a line and returns its kind.
    pub fn check_line(&mut self, line: &[u8]) -> Result<CheckedLine, String> {
        self.shared.totals.borrow_mut().frames += 1;
        if let Some(bye) = self.bye {
            return Err(format!("a line after bye {bye:?}"));
        }
        // The usual case: the next frame of the sequence, which another member has received.
        if self.welcome_seq.is_some() && self.history_range.is_empty() {
            let entry = self.shared.sequence.borrow().get(self.last_seq + 1).cloned();
            if let Some(entry) = entry.filter(|entry| entry.matches(line)) {
                self.advance_to(self.last_seq + 1);
                return Ok(CheckedLine::Sequenced(entry));
            }
        }
        let frame = Frame::decode(line).map_err(|error| format!("cannot decode: {error}"))?;
        let mut encoded = Vec::new();
        frame.encode(&mut encoded);
        if encoded != line {
            let encoded = String::from_utf8_lossy(&encoded);
            return Err(format!("the line differs from its encoded frame: {encoded}"));
        }
        let may_be_first = matches!(frame.body, Body::Welcome { .. } | Body::Bye { .. });
        if self.welcome_seq.is_none() && !may_be_first {
            return Err("a line before the welcome".to_owned());
        }
        match frame.body.seq() {
            Some(seq) if Some(seq) == self.history_range.clone().next() => {
                self.history_range.next();
                match self.shared.sequence.borrow().get(seq) {
                    Some(entry) if !entry.matches(line) => {
                        Err(format!("frame {seq} of the history differs from the one delivered"))
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
                Err(format!("frame {seq}, expected {next}"))
            }
            None => self.check_unsequenced(line, frame),
        }
    }

    fn advance_to(&mut self, seq: u64) {
        self.last_seq = seq;
        self.is_gap_allowed = false;
    }

    /// Checks a frame that is not part of the sequence.
    fn check_unsequenced(
        &mut self,
        line: &[u8],
        frame: Frame<'static>,
    ) -> Result<CheckedLine, String> {
        match &frame.body {
            Body::Welcome { seq, resumed, .. } => {
                self.check_welcome(*seq, *resumed)?;
                Ok(CheckedLine::Welcome(Box::new(frame)))
            }
            Body::Gap { from, to } => {
                self.check_gap(*from, *to)?;
                Ok(CheckedLine::Gap)
            }
            Body::Bye { code, seq } => {
                self.bye = Some(*code);
                if self.welcome_seq.is_some() && *seq != self.last_seq {
                    return Err(format!("bye with seq {seq}, expected {}", self.last_seq));
                }
                Ok(CheckedLine::Other)
            }
            Body::Private { id, .. } => {
                let id = id.as_deref().unwrap_or_default();
                self.shared.on_private_message(id, self.member, line)?;
                if let Some(ExpectedReply::Private { id: own, .. }) = self.expected_replies.front()
                    && own == id
                {
                    self.expected_replies.pop_front();
                }
                Ok(CheckedLine::Other)
            }
            // The server reports a slow disk.
            Body::Info { id: None, .. } if frame.data.contains("history") => Ok(CheckedLine::Other),
            _ => self.check_reply(&frame.body),
        }
    }

    fn check_welcome(&mut self, seq: u64, is_resumed: bool) -> Result<(), String> {
        if self.welcome_seq.replace(seq).is_some() {
            return Err("a second welcome".to_owned());
        }
        self.is_gap_allowed = is_resumed;
        if !is_resumed {
            self.last_seq = seq;
            self.expect_history(self.history_frames);
        } else if seq < self.last_seq {
            return Err(format!("resumed at {seq} after frame {}", self.last_seq));
        }
        Ok(())
    }

    /// Checks that a gap begins after the last frame received and contains no frame that the server
    /// still has.
    fn check_gap(&mut self, from: u64, to: u64) -> Result<(), String> {
        let oldest = (self.welcome_seq.unwrap_or(0) + 1).saturating_sub(HISTORY_FRAMES);
        if !self.is_gap_allowed || from != self.last_seq + 1 || to < from || to >= oldest {
            let last_seq = self.last_seq;
            return Err(format!("gap after frame {last_seq}, oldest frame in history {oldest}"));
        }
        self.advance_to(to);
        self.shared.totals.borrow_mut().gaps += 1;
        Ok(())
    }

    /// Checks that a frame is the next expected reply.
    fn check_reply(&mut self, body: &Body<'static>) -> Result<CheckedLine, String> {
        let Some(expected) = self.expected_replies.pop_front() else {
            return Err("a reply without a request".to_owned());
        };
        let id = body.id();
        let is_expected = match (&expected, body) {
            (ExpectedReply::Error(code, own), Body::Error { code: received, .. }) => {
                code == received && own.as_deref() == id
            }
            (ExpectedReply::NameError, Body::Error { code, .. }) => {
                matches!(code, ErrorCode::NameTaken | ErrorCode::NameKept)
            }
            (ExpectedReply::Info(own), Body::Info { .. }) => Some(&**own) == id,
            (ExpectedReply::History(own, count), Body::Info { .. }) => {
                self.expect_history(*count);
                Some(&**own) == id
            }
            (ExpectedReply::Who(own), Body::Who { names, .. }) => {
                let mut names: Vec<&str> = names.iter().map(|name| &**name).collect();
                names.sort_unstable();
                let sequence = self.shared.sequence.borrow();
                // A guest that has said nothing is listed before its join is announced.
                names.retain(|name| {
                    !name.starts_with("guest-") || sequence.joined_at(name).is_some()
                });
                Some(&**own) == id && sequence.present().eq(names)
            }
            (ExpectedReply::Private { id: own, to, name }, Body::Error { code, .. }) => {
                *code == ErrorCode::NoSuchUser
                    && Some(&**own) == id
                    && self.may_be_undeliverable(own, *to, name)
            }
            _ => false,
        };
        if let Body::Error { code, .. } = body {
            self.shared.totals.borrow_mut().count_error(*code);
        }
        if is_expected { Ok(CheckedLine::Other) } else { Err(format!("expected {expected:?}")) }
    }

    /// Expects the last `count` frames of the history next.
    fn expect_history(&mut self, count: usize) {
        self.history_range =
            (self.last_seq + 1).saturating_sub(count as u64).max(1)..self.last_seq + 1;
    }

    /// Returns whether the addressee of a private message may have left or been renamed since it
    /// was sent.
    fn may_be_undeliverable(&self, id: &str, to: usize, name: &str) -> bool {
        let messages = self.shared.private_messages.borrow();
        let sent_to = messages.get(id).map(|message| message.connection);
        let status = &self.shared.statuses.borrow()[to];
        status.may_disconnect
            || Some(status.connection) != sent_to
            || status.name.as_deref() != Some(name)
            || self.shared.sequence.borrow().joined_at(name).is_none()
    }
}
