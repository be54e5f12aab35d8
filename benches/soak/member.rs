//! A member: who it is from one link to the next, and what it has said.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use smolchat::protocol::ByeCode;

use crate::check::ExpectedReply;
use crate::connection::{Connection, ReadEvent};
use crate::script::Rng;
use crate::shared::{POLL_INTERVAL, Phase, RecentLines, ScriptError, SharedState, TIMEOUT};

/// How reading went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitResult {
    /// What was waited for is so.
    Done,
    /// The time is over.
    TimedOut,
    /// The link is gone.
    Disconnected,
}

/// A line that was said, and not yet seen in the sequence.
pub struct PendingLine {
    pub number: u64,
    /// As it goes out.
    pub text: String,
    /// What the frame has to say: its `data`, or the new name.
    pub expected_data: String,
}

/// Who one was, to come back.
pub struct ResumeState {
    pub epoch: String,
    pub token: String,
    /// The last number that was seen.
    pub after: u64,
}

/// A scripted member.
pub struct Member {
    pub shared: Rc<SharedState>,
    pub index: usize,
    pub rng: Rng,
    pub name: String,
    pub connection: Option<Connection>,
    pub recent_lines: RecentLines,
    /// Whether to ask that the name be kept.
    pub keep_name: bool,
    /// Past frames to ask for on a fresh start.
    pub history_frames: usize,
    /// The last token may be stale, so the old name may not come back.
    pub name_may_change: bool,
    /// How many lines of [`peer`](Self::peer) were seen.
    pub peer_lines: u64,
    /// A member whose lines are counted.
    pub peer: Option<usize>,
    pub resume_state: Option<ResumeState>,
    pub pending: VecDeque<PendingLine>,
    /// Draws by which way to connect: how often it does is no part of the script.
    pub transport_rng: Rng,
    /// The number of the next line.
    pub next_line: u64,
    names_used: u64,
    queries: u64,
    /// The hello came too late, and somebody else was welcomed.
    pub hello_timed_out: bool,
}

impl Member {
    /// One that has never been in the room.
    pub fn new(shared: &Rc<SharedState>, index: usize, name: String, seed: u64) -> Self {
        Self {
            shared: Rc::clone(shared),
            index,
            rng: Rng::new(seed, index as u64),
            name,
            connection: None,
            recent_lines: RecentLines::default(),
            keep_name: true,
            history_frames: 0,
            name_may_change: false,
            peer_lines: 0,
            peer: None,
            resume_state: None,
            pending: VecDeque::new(),
            transport_rng: Rng::new(!seed, index as u64),
            next_line: 0,
            names_used: 0,
            queries: 0,
            hello_timed_out: false,
        }
    }

    /// Whether all that it said, and asked over this link, is answered.
    pub fn has_all_replies(&self) -> bool {
        self.pending.is_empty()
            && self
                .connection
                .as_ref()
                .is_some_and(|connection| connection.expected_replies.is_empty())
    }

    /// The generation of the server that it is linked to.
    pub fn generation(&self) -> Option<u64> {
        self.connection.as_ref().map(|connection| connection.generation)
    }

    /// Lets the others know how it stands.
    pub fn update_status(&self) {
        let status = &mut self.shared.statuses.borrow_mut()[self.index];
        let connection =
            self.connection.as_ref().filter(|connection| connection.welcome_seq.is_some());
        let number = connection.map_or(0, |connection| connection.number);
        status.may_disconnect &= status.connection == number;
        status.connection = number;
        status.name = connection.map(|_| self.name.clone());
        status.last_seq = connection
            .map_or(self.resume_state.as_ref().map_or(0, |p| p.after), |connection| {
                connection.last_seq
            });
        status.next_line = self.next_line;
        status.is_idle = false;
        status.is_checked = false;
    }

    /// From now on the server may let go of this link before this end of it knows.
    pub fn mark_may_disconnect(&self) {
        self.shared.statuses.borrow_mut()[self.index].may_disconnect = true;
    }

    /// From now on this link may not be read for a while.
    pub fn mark_unread(&mut self) {
        self.mark_may_disconnect();
        if let Some(connection) = &mut self.connection {
            connection.may_be_slow = true;
        }
    }

    /// Says a numbered line, of which the sequence has to show that it `becomes` something.
    pub async fn send_message(&mut self, data: &str, expected_data: &str) {
        let number = self.next_line;
        self.next_line += 1;
        self.shared.totals.borrow_mut().lines += 1;
        let text = json!({ "data": data, "id": format!("{}-{number}", self.index) }).to_string();
        // If the link breaks meanwhile, it is said again when this member is back.
        self.pending.push_back(PendingLine {
            number,
            text: text.clone(),
            expected_data: expected_data.to_owned(),
        });
        if let Some(connection) = &self.connection {
            connection.send_line(&text).await;
        }
    }

    /// An `id` for a question.
    pub fn next_query_id(&mut self) -> String {
        self.queries += 1;
        format!("q{}.{}", self.index, self.queries)
    }

    /// Asks over the present link, if there is one.
    pub async fn send_query(&mut self, line: &[u8], answer: ExpectedReply) {
        if let Some(connection) = &mut self.connection {
            connection.expected_replies.push_back(answer);
            connection.write(&[line, b"\n"].concat()).await;
        }
    }

    /// Lets go of the link, and keeps in mind how far it got.
    pub fn detach(&mut self) -> Option<Connection> {
        let connection = self.connection.take()?;
        if let Some(resume_state) =
            self.resume_state.as_mut().filter(|_| connection.welcome_seq.is_some())
        {
            resume_state.after = connection.last_seq;
        }
        self.update_status();
        Some(connection)
    }

    /// Reads until something is so, the time is over or the link is gone.
    pub async fn read_until(
        &mut self,
        until: Instant,
        done: impl Fn(&Self) -> bool,
    ) -> Result<WaitResult, ScriptError> {
        loop {
            if done(self) {
                return Ok(WaitResult::Done);
            }
            let Some(connection) = &mut self.connection else {
                return Ok(WaitResult::Disconnected);
            };
            match connection.read_line(until).await {
                ReadEvent::Line(line) => self.on_line(&line)?,
                ReadEvent::Timeout => return Ok(WaitResult::TimedOut),
                ReadEvent::Closed(error) => {
                    self.on_close(error.as_ref())?;
                    return Ok(WaitResult::Disconnected);
                }
            }
        }
    }

    /// The same, and comes back as often as the link is lost.
    pub async fn stay_until(
        &mut self,
        until: Instant,
        done: impl Fn(&Self) -> bool,
    ) -> Result<WaitResult, ScriptError> {
        loop {
            match self.read_until(until, &done).await? {
                WaitResult::Disconnected => self.reconnect().await?,
                outcome => return Ok(outcome),
            }
        }
    }

    /// Stays until something is so, which must be so soon.
    pub async fn wait_for(
        &mut self,
        what: &str,
        done: impl Fn(&Self) -> bool,
    ) -> Result<(), ScriptError> {
        match self.stay_until(Instant::now() + TIMEOUT, done).await? {
            WaitResult::Done => Ok(()),
            _ => Err(ScriptError::CheckFailed(format!("waited in vain until {what}"))),
        }
    }

    /// Reads on until the server has closed the link.
    pub async fn expect_bye(&mut self, code: ByeCode) -> Result<(), ScriptError> {
        if let Some(connection) = &mut self.connection {
            connection.expected_bye = Some(code);
        }
        match self.read_until(Instant::now() + TIMEOUT, |_| false).await? {
            WaitResult::Disconnected => Ok(()),
            _ => Err(ScriptError::CheckFailed(format!("waited in vain for bye {code:?}"))),
        }
    }

    /// Rests for so long, unless a quiet point begins.
    pub async fn rest(&mut self, time: Duration) -> Result<(), ScriptError> {
        let shared = Rc::clone(&self.shared);
        self.stay_until(Instant::now() + time, |_| !shared.is_active()).await.map(drop)
    }

    /// Takes part in a quiet point, if there is one.
    pub async fn join_checkpoint(&mut self) -> Result<(), ScriptError> {
        let mut has_asked = false;
        while !self.shared.is_active() {
            if self.shared.phase.get() == Phase::Comparing && !has_asked {
                has_asked = true;
                let id = self.next_query_id();
                let line = json!({ "data": "/who", "id": id }).to_string();
                self.send_query(line.as_bytes(), ExpectedReply::Who(id)).await;
            }
            self.stay_until(Instant::now() + 5 * POLL_INTERVAL, |_| false).await?;
            self.update_status();
            let status = &mut self.shared.statuses.borrow_mut()[self.index];
            status.is_idle = self.has_all_replies();
            status.is_checked = has_asked && status.is_idle;
        }
        self.update_status();
        Ok(())
    }

    /// Takes part in a quiet point by not being there.
    pub fn skip_checkpoint(&mut self) {
        self.update_status();
        let status = &mut self.shared.statuses.borrow_mut()[self.index];
        (status.is_idle, status.is_checked) = (true, true);
    }

    /// A name that nobody ever had.
    pub fn fresh_name(&mut self) -> String {
        self.names_used += 1;
        format!("m{}.{}", self.index, self.names_used)
    }

    /// Something will be answered that no line asks for.
    pub fn expect_reply(&mut self, answer: ExpectedReply) {
        if let Some(connection) = &mut self.connection {
            connection.expected_replies.push_back(answer);
        }
    }
}
