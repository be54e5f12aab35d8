//! How a member comes into the room, and back into it: who it is then, what it missed, and which
//! of its lines made it.

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
    /// The hello with which it would come back now.
    pub fn hello_line(&self) -> String {
        let hello = match &self.resume_state {
            Some(ResumeState { epoch, token, after }) => json!({
                "name": self.name, "epoch": epoch, "after": after, "token": token, "keep": self.keep_name
            }),
            None => {
                json!({ "name": self.name, "keep": self.keep_name, "history": self.history_frames })
            }
        };
        json!({ "hello": hello }).to_string()
    }

    /// Connects to the server, by one way or the other.
    pub async fn connect(&mut self) -> Result<Connection, ScriptError> {
        let is_tcp = self.transport_rng.one_in(2);
        Ok(Connection::connect(&self.shared, is_tcp, Some(self.index), &self.recent_lines).await?)
    }

    /// Comes into the room, hears what it missed, and says again what did not make it.
    pub async fn reconnect(&mut self) -> Result<(), ScriptError> {
        loop {
            let mut connection = self.connect().await?;
            connection.last_seq =
                self.resume_state.as_ref().map_or(0, |resume_state| resume_state.after);
            connection.history_frames = self.history_frames;
            connection.send_line(&self.hello_line()).await;
            self.connection = Some(connection);
            self.hello_timed_out = false;
            let end = Instant::now() + TIMEOUT;
            let outcome = self
                .read_until(end, |member| member.has_caught_up() || member.hello_timed_out)
                .await?;
            if self.hello_timed_out {
                self.shared.totals.borrow_mut().late_hellos += 1;
                self.connection = None;
            } else if outcome == WaitResult::TimedOut {
                return Err(ScriptError::CheckFailed(
                    "waited in vain for what was missed".to_owned(),
                ));
            } else if outcome == WaitResult::Done {
                break;
            }
        }
        // Nothing of what is pending is on its way any more.
        if let Some(connection) = &self.connection {
            for line in &self.pending {
                connection.send_line(&line.text).await;
            }
        }
        self.update_status();
        Ok(())
    }

    /// Whether it is welcome, and has heard all that was said before.
    fn has_caught_up(&self) -> bool {
        let is_so = |connection: &Connection| {
            connection.welcome_seq.is_some_and(|seq| connection.last_seq >= seq)
        };
        self.connection.as_ref().is_some_and(is_so)
    }

    /// The link came to its end.
    pub fn on_close(&mut self, error: Option<&io::Error>) -> Result<(), ScriptError> {
        let Some(connection) = self.detach() else { return Ok(()) };
        if self.shared.ending.get() && connection.bye == Some(ByeCode::Shutdown) {
            return Err(ScriptError::ServerShutdown);
        }
        connection.check_end(error)?;
        match connection.bye {
            Some(ByeCode::Slow) => self.shared.totals.borrow_mut().slow_closes += 1,
            Some(ByeCode::Quit)
                if !self.pending.is_empty() || !connection.expected_replies.is_empty() =>
            {
                let (lines, expected_replies) = (self.pending.len(), &connection.expected_replies);
                let text =
                    format!("bye, and {lines} lines and {expected_replies:?} are not answered");
                return Err(ScriptError::CheckFailed(text));
            }
            _ => {}
        }
        Ok(())
    }

    /// Is nobody any more; what comes next is a fresh start.
    pub fn forget_session(&mut self) {
        self.resume_state = None;
        self.update_status();
    }

    /// A line came.
    pub fn on_line(&mut self, line: &[u8]) -> Result<(), ScriptError> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        match connection.check_line(line)? {
            CheckedLine::Sequenced(entry) => Ok(self.on_sequenced(&entry)?),
            CheckedLine::Welcome(frame) => self.on_welcome(*frame),
            CheckedLine::Gap => {
                self.discard_pending();
                Ok(())
            }
            CheckedLine::Other => Ok(()),
        }
    }

    /// Whether what is pending was said cannot be known, so it is not said again.
    fn discard_pending(&mut self) {
        self.pending.clear();
        self.shared.sequence.borrow_mut().allow_missing(self.index, self.next_line);
    }

    fn on_welcome(&mut self, frame: Frame<'static>) -> Result<(), ScriptError> {
        let Body::Welcome { name, epoch, seq, token, resumed, .. } = frame.body else {
            return Ok(());
        };
        let was_here =
            self.resume_state.as_ref().is_some_and(|resume_state| resume_state.epoch == epoch);
        if was_here && !resumed || name.starts_with("guest-") {
            self.hello_timed_out = name.starts_with("guest-");
            if !self.hello_timed_out {
                return Err(ScriptError::CheckFailed("not resumed, in the same epoch".to_owned()));
            }
            return Ok(());
        }
        if epoch != self.shared.sequence.borrow().epoch {
            return Err(ScriptError::CheckFailed(format!(
                "epoch {epoch} is another than everybody's"
            )));
        }
        if self.resume_state.is_some() && !was_here {
            self.discard_pending();
        }
        if was_here {
            self.shared.totals.borrow_mut().resumes += 1;
        }
        // Its own, or the one that it asked for before the link was lost.
        let is_own =
            *name == self.name || self.pending.iter().any(|line| line.expected_data == name);
        if !is_own {
            if !self.name_may_change || !name.starts_with(&format!("{}-", self.name)) {
                let text = format!("welcome, {name}, who should be {}", self.name);
                return Err(ScriptError::CheckFailed(text));
            }
            self.expect_reply(ExpectedReply::NameError);
        }
        self.name = name.into();
        self.name_may_change = false;
        let after = if was_here {
            self.resume_state.as_ref().map_or(0, |resume_state| resume_state.after)
        } else {
            seq
        };
        self.resume_state = Some(ResumeState { epoch: epoch.into(), token: token.into(), after });
        self.update_status();
        Ok(())
    }

    /// The next frame of the sequence.
    fn on_sequenced(&mut self, entry: &SequencedFrame) -> Result<(), String> {
        let Some((who, number)) = entry.line else { return Ok(()) };
        self.peer_lines += u64::from(Some(who) == self.peer);
        let Some(first) = self.pending.front().filter(|_| who == self.index) else {
            return Ok(());
        };
        match number.cmp(&first.number) {
            Ordering::Less => return Ok(()),
            Ordering::Greater => return Err(format!("line {} was passed over", first.number)),
            Ordering::Equal => {}
        }
        let is_it = match &entry.frame.body {
            Body::Name { to, .. } => *to == first.expected_data,
            _ => entry.frame.data == first.expected_data,
        };
        if !is_it {
            return Err(format!("line {number} became another than {}", first.expected_data));
        }
        self.pending.pop_front();
        // In a replay, the welcome knew it already.
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
