//! How a member joins and resumes: the hello, the replay of missed frames, and the lines to send
//! again.

use std::cmp::Ordering;
use std::io;
use std::time::Instant;

use serde_json::json;
use smolchat::protocol::{Body, ByeCode, Frame};

use crate::check::{CheckedLine, ExpectedReply};
use crate::connection::Connection;
use crate::member::{Member, ResumeState, WaitResult};
use crate::sequence::SequencedFrame;
use crate::shared::{ScriptError, TIMEOUT};

impl Member {
    /// Returns the hello with which the member joins or resumes now.
    pub fn hello_line(&self) -> String {
        let (name, keep) = (&self.name, self.keep_name);
        let hello = match &self.resume_state {
            Some(ResumeState { epoch, token, after }) => json!({
                "name": name, "epoch": epoch, "after": after, "token": token, "keep": keep
            }),
            None => json!({ "name": name, "keep": keep, "history": self.history_frames }),
        };
        json!({ "hello": hello }).to_string()
    }

    /// Connects to the server over TCP or its unix socket.
    pub async fn connect(&mut self) -> Result<Connection, ScriptError> {
        let is_tcp = self.transport_rng.one_in(2);
        Ok(Connection::connect(&self.shared, is_tcp, Some(self.index), &self.recent_lines).await?)
    }

    /// Joins or resumes, reads the missed frames, and sends pending lines again.
    pub async fn reconnect(&mut self) -> Result<(), ScriptError> {
        loop {
            let mut connection = self.connect().await?;
            connection.last_seq = self.resume_seq();
            connection.history_frames = self.history_frames;
            connection.send_line(&self.hello_line()).await;
            self.connection = Some(connection);
            self.hello_timed_out = false;
            let is_done = |member: &Self| member.has_caught_up() || member.hello_timed_out;
            let result = self.read_until(Instant::now() + TIMEOUT, is_done).await?;
            if self.hello_timed_out {
                self.shared.totals.borrow_mut().late_hellos += 1;
                self.connection = None;
            } else if result == WaitResult::TimedOut {
                return Err("timed out waiting for missed frames".into());
            } else if result == WaitResult::Done {
                break;
            }
        }
        // All pending lines: after the replay, none of them can be in flight.
        if let Some(connection) = &self.connection {
            for line in &self.pending {
                connection.send_line(&line.text).await;
            }
        }
        self.update_status();
        Ok(())
    }

    /// Returns whether the member has received all frames before its welcome.
    fn has_caught_up(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| {
            connection.welcome_seq.is_some_and(|seq| connection.last_seq >= seq)
        })
    }

    /// Handles the end of the connection.
    pub fn on_close(&mut self, error: Option<&io::Error>) -> Result<(), ScriptError> {
        let Some(connection) = self.detach() else { return Ok(()) };
        if self.shared.is_ending.get() && connection.bye == Some(ByeCode::Shutdown) {
            return Err(ScriptError::ServerShutdown);
        }
        connection.check_end(error)?;
        let (lines, replies) = (self.pending.len(), &connection.expected_replies);
        match connection.bye {
            Some(ByeCode::Slow) => self.shared.totals.borrow_mut().slow_closes += 1,
            Some(ByeCode::Quit) if lines > 0 || !replies.is_empty() => {
                return Err(format!("bye without {lines} lines and the replies {replies:?}").into());
            }
            _ => {}
        }
        Ok(())
    }

    /// Discards the session, so that the next connection joins as a new member.
    pub fn discard_session(&mut self) {
        self.resume_state = None;
        self.update_status();
    }

    /// Checks and handles a line.
    pub fn on_line(&mut self, line: &[u8]) -> Result<(), ScriptError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        match connection.check_line(line)? {
            CheckedLine::Sequenced(entry) => self.on_sequenced(&entry)?,
            CheckedLine::Welcome(frame) => self.on_welcome(*frame)?,
            CheckedLine::Gap => self.discard_pending(),
            CheckedLine::Other => {}
        }
        Ok(())
    }

    /// Discards pending lines: they may have been delivered, so they must not be sent again.
    fn discard_pending(&mut self) {
        self.pending.clear();
        self.shared.sequence.borrow_mut().allow_missing(self.index, self.next_line);
    }

    fn on_welcome(&mut self, frame: Frame<'static>) -> Result<(), ScriptError> {
        let Body::Welcome { name, epoch, seq, token, resumed, .. } = frame.body else {
            return Ok(());
        };
        if name.starts_with("guest-") {
            self.hello_timed_out = true;
            return Ok(());
        }
        let is_same_epoch = self.resume_state.as_ref().is_some_and(|state| state.epoch == epoch);
        if is_same_epoch && !resumed {
            return Err("not resumed in the same epoch".into());
        }
        if epoch != self.shared.sequence.borrow().epoch {
            return Err(format!("epoch {epoch} differs from that of the server").into());
        }
        if self.resume_state.is_some() && !is_same_epoch {
            self.discard_pending();
        }
        self.shared.totals.borrow_mut().resumes += u64::from(is_same_epoch);
        // The current name, or a new one whose confirmation was lost with the old connection.
        let is_own =
            *name == self.name || self.pending.iter().any(|line| line.expected_data == name);
        if !is_own {
            if !self.name_may_change || !name.starts_with(&format!("{}-", self.name)) {
                return Err(format!("welcome to {name}, expected {}", self.name).into());
            }
            self.expect_reply(ExpectedReply::NameError);
        }
        self.name = name.into();
        self.name_may_change = false;
        let after = if is_same_epoch { self.resume_seq() } else { seq };
        self.resume_state = Some(ResumeState { epoch: epoch.into(), token: token.into(), after });
        self.update_status();
        Ok(())
    }

    /// Handles a frame of the sequence: a line of this member must be the first pending one.
    fn on_sequenced(&mut self, entry: &SequencedFrame) -> Result<(), String> {
        let Some((member, number)) = entry.line else { return Ok(()) };
        self.peer_lines += u64::from(Some(member) == self.peer);
        let Some(first) = self.pending.front().filter(|_| member == self.index) else {
            return Ok(());
        };
        match number.cmp(&first.number) {
            Ordering::Less => return Ok(()),
            Ordering::Greater => return Err(format!("line {} was skipped", first.number)),
            Ordering::Equal => {}
        }
        let is_expected = match &entry.frame.body {
            Body::Name { to, .. } => *to == first.expected_data,
            _ => entry.frame.data == first.expected_data,
        };
        if !is_expected {
            return Err(format!("line {number} differs from {}", first.expected_data));
        }
        self.pending.pop_front();
        // In a replay, the name of the welcome is newer.
        let welcome_seq = self.connection.as_ref().and_then(|connection| connection.welcome_seq);
        if let Body::Name { to, seq, .. } = &entry.frame.body
            && Some(*seq) > welcome_seq
        {
            self.name = to.to_string();
            self.update_status();
        }
        Ok(())
    }
}
