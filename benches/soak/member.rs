//! A scripted member: its identity over several connections, and the lines that it sends.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use smolchat::protocol::ByeCode;

use crate::check::ExpectedReply;
use crate::connection::{Connection, ReadEvent};
use crate::script::Rng;
use crate::shared::{POLL_INTERVAL, Phase, RecentLines, ScriptError, SharedState, TIMEOUT};

/// The result of waiting for a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitResult {
    /// The condition is true.
    Done,
    TimedOut,
    Disconnected,
}

/// A line that was sent and has not arrived in the sequence yet.
pub struct PendingLine {
    pub number: u64,
    pub text: String,
    /// The `data` of the expected frame, or the new name.
    pub expected_data: String,
}

/// The values with which a session is resumed.
pub struct ResumeState {
    pub epoch: String,
    pub token: String,
    /// The `seq` of the last frame received.
    pub after: u64,
}

/// A scripted member of the room, and the frames that it expects.
pub struct Member {
    pub shared: Rc<SharedState>,
    pub index: usize,
    pub rng: Rng,
    /// Chooses the transport. Not part of the script, because connections may fail.
    pub transport_rng: Rng,
    pub name: String,
    pub connection: Option<Connection>,
    pub recent_lines: RecentLines,
    /// Whether the hello asks the server to reserve the name.
    pub keep_name: bool,
    /// Number of history frames that a hello without resume asks for.
    pub history_frames: usize,
    /// Whether a reset hid a new token, so that the server may assign another name.
    pub name_may_change: bool,
    /// The member whose lines are counted in `peer_lines`.
    pub peer: Option<usize>,
    pub peer_lines: u64,
    pub resume_state: Option<ResumeState>,
    pub pending: VecDeque<PendingLine>,
    /// The number of the next line.
    pub next_line: u64,
    /// Whether the server gave up waiting for the hello and assigned a guest name.
    pub hello_timed_out: bool,
    names_used: u64,
    requests: u64,
}

impl Member {
    /// Returns a member that has not joined yet.
    pub fn new(shared: &Rc<SharedState>, index: usize, seed: u64) -> Self {
        Self {
            shared: Rc::clone(shared),
            index,
            rng: Rng::new(seed, index as u64),
            transport_rng: Rng::new(!seed, index as u64),
            name: format!("m{index}"),
            connection: None,
            recent_lines: RecentLines::default(),
            keep_name: true,
            history_frames: 0,
            name_may_change: false,
            peer: None,
            peer_lines: 0,
            resume_state: None,
            pending: VecDeque::new(),
            next_line: 0,
            hello_timed_out: false,
            names_used: 0,
            requests: 0,
        }
    }

    /// Returns whether all lines have arrived and all replies of this connection.
    pub fn has_all_replies(&self) -> bool {
        let has_replies = |connection: &Connection| connection.expected_replies.is_empty();
        self.pending.is_empty() && self.connection.as_ref().is_some_and(has_replies)
    }

    /// Returns the `seq` of the last frame of the session to resume; 0 without one.
    pub fn resume_seq(&self) -> u64 {
        self.resume_state.as_ref().map_or(0, |state| state.after)
    }

    /// Publishes the status for the other parts of the soak.
    pub fn update_status(&self) {
        let status = &mut self.shared.statuses.borrow_mut()[self.index];
        let connection = self.connection.as_ref().filter(|it| it.welcome_seq.is_some());
        let id = connection.map_or(0, |connection| connection.id);
        status.may_disconnect &= status.connection == id;
        status.connection = id;
        status.name = connection.map(|_| self.name.clone());
        status.last_seq = connection.map_or(self.resume_seq(), |connection| connection.last_seq);
        status.next_line = self.next_line;
        status.is_idle = false;
        status.is_checked = false;
    }

    /// Records that the server may close this connection before the member notices.
    pub fn mark_may_disconnect(&self) {
        self.shared.statuses.borrow_mut()[self.index].may_disconnect = true;
    }

    /// Records that this connection may be closed as slow.
    pub fn mark_may_be_slow(&mut self) {
        self.mark_may_disconnect();
        if let Some(connection) = &mut self.connection {
            connection.may_be_slow = true;
        }
    }

    /// Sends a numbered line and expects it in the sequence.
    pub async fn send_message(&mut self, data: &str, expected_data: &str) {
        let number = self.next_line;
        self.next_line += 1;
        self.shared.totals.borrow_mut().lines += 1;
        let text = json!({ "data": data, "id": format!("{}-{number}", self.index) }).to_string();
        let expected_data = expected_data.to_owned();
        // If the connection breaks, it is sent again after the reconnect.
        self.pending.push_back(PendingLine { number, text: text.clone(), expected_data });
        if let Some(connection) = &self.connection {
            connection.send_line(&text).await;
        }
    }

    /// Returns a new `id` for a request.
    pub fn next_request_id(&mut self) -> String {
        self.requests += 1;
        format!("q{}.{}", self.index, self.requests)
    }

    /// Sends a line and expects a reply, if there is a connection.
    pub async fn send_request(&mut self, line: &[u8], reply: ExpectedReply) {
        if let Some(connection) = &mut self.connection {
            connection.expected_replies.push_back(reply);
            connection.write(&[line, b"\n"].concat()).await;
        }
    }

    /// Expects a reply to something that is not a line.
    pub fn expect_reply(&mut self, reply: ExpectedReply) {
        if let Some(connection) = &mut self.connection {
            connection.expected_replies.push_back(reply);
        }
    }

    /// Removes the connection and saves the state to resume.
    pub fn detach(&mut self) -> Option<Connection> {
        let connection = self.connection.take()?;
        if let Some(state) = &mut self.resume_state
            && connection.welcome_seq.is_some()
        {
            state.after = connection.last_seq;
        }
        self.update_status();
        Some(connection)
    }

    /// Reads until `is_done`, until the time `until`, or until the connection is closed.
    pub async fn read_until(
        &mut self,
        until: Instant,
        is_done: impl Fn(&Self) -> bool,
    ) -> Result<WaitResult, ScriptError> {
        loop {
            if is_done(self) {
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

    /// Reads until `is_done` or the time `until`, and reconnects if the connection is closed.
    pub async fn stay_until(
        &mut self,
        until: Instant,
        is_done: impl Fn(&Self) -> bool,
    ) -> Result<WaitResult, ScriptError> {
        loop {
            match self.read_until(until, &is_done).await? {
                WaitResult::Disconnected => self.reconnect().await?,
                result => return Ok(result),
            }
        }
    }

    /// Stays for `duration` or until a checkpoint begins.
    pub async fn stay_for(&mut self, duration: Duration) -> Result<(), ScriptError> {
        let shared = Rc::clone(&self.shared);
        self.stay_until(Instant::now() + duration, |_| !shared.is_active()).await.map(drop)
    }

    /// Stays until `is_done`. It is an error if that takes longer than the timeout.
    pub async fn wait_for(
        &mut self,
        condition: &str,
        is_done: impl Fn(&Self) -> bool,
    ) -> Result<(), ScriptError> {
        match self.stay_until(Instant::now() + TIMEOUT, is_done).await? {
            WaitResult::Done => Ok(()),
            _ => Err(format!("timed out waiting for {condition}").into()),
        }
    }

    /// Reads until the server closes the connection with this code.
    pub async fn wait_for_bye(&mut self, code: ByeCode) -> Result<(), ScriptError> {
        if let Some(connection) = &mut self.connection {
            connection.expected_bye = Some(code);
        }
        match self.read_until(Instant::now() + TIMEOUT, |_| false).await? {
            WaitResult::Disconnected => Ok(()),
            _ => Err(format!("timed out waiting for bye {code:?}").into()),
        }
    }

    /// Takes part in a checkpoint until it ends. Returns at once if there is none.
    pub async fn stay_during_checkpoint(&mut self) -> Result<(), ScriptError> {
        let mut has_asked = false;
        while !self.shared.is_active() {
            if self.shared.phase.get() == Phase::Comparing && !has_asked {
                has_asked = true;
                let id = self.next_request_id();
                let line = json!({ "data": "/who", "id": id }).to_string();
                self.send_request(line.as_bytes(), ExpectedReply::Who(id)).await;
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

    /// Lets checkpoints pass without this member, which has no connection.
    pub fn skip_checkpoints(&mut self) {
        self.update_status();
        let status = &mut self.shared.statuses.borrow_mut()[self.index];
        (status.is_idle, status.is_checked) = (true, true);
    }

    /// Returns a name that no member has used.
    pub fn next_name(&mut self) -> String {
        self.names_used += 1;
        format!("m{}.{}", self.index, self.names_used)
    }
}
