//! The state that all clients of the soak share: the servers' addresses, the phase, the sequence
//! of frames, the status of each member, and the totals.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use smol::Timer;
use smolchat::protocol::{ByeCode, ErrorCode};

use crate::sequence::Sequence;

/// Frames in the server's history: few enough that some members reconnect too late for all of them.
pub const HISTORY_FRAMES: u64 = 1000;
/// Time for which the server reserves names.
pub const GRACE: Duration = Duration::from_secs(45);
/// The longest time for anything that the server does at once.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// Interval in which conditions without an event are checked.
pub const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Number of lines that are kept to be printed after an error.
const MAX_RECENT_LINES: usize = 30;

/// The reason why a member's script ends.
#[derive(Debug)]
pub enum ScriptError {
    /// The server was terminated by the soak and has sent `bye`.
    ServerShutdown,
    /// The server did not do what it promises.
    CheckFailed(String),
}

impl From<String> for ScriptError {
    fn from(text: String) -> Self {
        ScriptError::CheckFailed(text)
    }
}

impl From<&str> for ScriptError {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// The phase of the soak. A checkpoint is the time outside of `Active`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// Members run their scripts.
    Active,
    /// Members reconnect, read what is in flight, and send nothing.
    Draining,
    /// Members ask for the member list.
    Comparing,
}

/// The state of a member, as the other parts of the soak see it.
#[derive(Clone, Default, Debug)]
pub struct MemberStatus {
    /// The name, while the member is in the room.
    pub name: Option<String>,
    /// The id of the connection; 0 without one.
    pub connection: u64,
    /// Whether the server may close the connection before the member notices.
    pub may_disconnect: bool,
    /// The `seq` of the last frame received.
    pub last_seq: u64,
    /// The number of the next line to send.
    pub next_line: u64,
    /// Whether the member is at the checkpoint and has all replies.
    pub is_idle: bool,
    /// Whether the member has asked for the member list at the checkpoint and it was right.
    pub is_checked: bool,
}

/// A private message that is in flight.
pub struct PrivateMessage {
    from: usize,
    to: usize,
    /// The connection of the addressee when the message was sent.
    pub connection: u64,
    /// The frame, as the first of the two members received it.
    bytes: Option<Vec<u8>>,
    is_copied: bool,
    has_arrived: bool,
}

/// Counters for the summary.
#[derive(Default)]
pub struct Totals {
    pub connections: u64,
    pub lines: u64,
    pub frames: u64,
    pub resumes: u64,
    pub gaps: u64,
    pub takeovers: u64,
    pub slow_closes: u64,
    pub caught_up: u64,
    pub private_messages: u64,
    pub reserved_names: u64,
    pub bad_clients: u64,
    pub late_hellos: u64,
    pub kills: u64,
    pub new_epochs: u64,
    pub checkpoints: u64,
    pub errors: BTreeMap<String, u64>,
}

impl Totals {
    /// Counts an `error` frame.
    pub fn count_error(&mut self, code: ErrorCode) {
        *self.errors.entry(wire_name(code)).or_default() += 1;
    }

    /// Counts a `bye` to a bad client.
    pub fn count_bye(&mut self, code: ByeCode) {
        *self.errors.entry(format!("bye-{}", wire_name(code))).or_default() += 1;
    }
}

/// Returns the name of a code on the wire.
fn wire_name(code: impl serde::Serialize) -> String {
    serde_json::to_string(&code).unwrap_or_default().trim_matches('"').to_owned()
}

/// A server, as the clients see it.
#[derive(Clone, Default)]
pub struct NodeStatus {
    /// The addresses, while it runs.
    pub addresses: Option<Addresses>,
    /// How many times the server was killed.
    pub generation: u64,
}

/// The addresses of a server: TCP and unix socket.
pub type Addresses = (SocketAddr, PathBuf);

/// The last lines that a client sent and received, over all its connections.
pub type RecentLines = Rc<RefCell<VecDeque<String>>>;

/// The shared state. All tasks run on one thread, and no borrow is held over an `await`.
pub struct SharedState {
    /// The nodes. A server that is no node of a cluster is the only one.
    pub nodes: RefCell<Vec<NodeStatus>>,
    /// Whether the server was asked to terminate.
    pub is_ending: Cell<bool>,
    pub phase: Cell<Phase>,
    pub sequence: RefCell<Sequence>,
    pub statuses: RefCell<Vec<MemberStatus>>,
    pub private_messages: RefCell<HashMap<String, PrivateMessage>>,
    pub totals: RefCell<Totals>,
    /// Whether the pinger waits for an answer, so that the other one must not pause yet.
    pub is_ping_pending: Cell<bool>,
    /// Round trips of the pinger, in microseconds.
    pub round_trips: RefCell<Histogram<u64>>,
    /// Delay of the soak's own timers, in microseconds. All clients run on one thread.
    pub timer_delay: RefCell<Histogram<u64>>,
    pub open_connections: Cell<u64>,
    pub open_bad_clients: Cell<u64>,
}

impl SharedState {
    /// Returns the state at the start, for a number of members and servers.
    pub fn new(members: usize, servers: usize) -> Rc<Self> {
        Rc::new(Self {
            nodes: RefCell::new(vec![NodeStatus::default(); servers]),
            is_ending: Cell::new(false),
            phase: Cell::new(Phase::Active),
            sequence: RefCell::new(Sequence::new(members)),
            statuses: RefCell::new(vec![MemberStatus::default(); members]),
            private_messages: RefCell::default(),
            totals: RefCell::default(),
            is_ping_pending: Cell::new(false),
            round_trips: RefCell::new(histogram()),
            timer_delay: RefCell::new(histogram()),
            open_connections: Cell::new(0),
            open_bad_clients: Cell::new(0),
        })
    }

    /// Returns how many times a server was killed.
    pub fn generation(&self) -> u64 {
        self.nodes.borrow().iter().map(|node| node.generation).sum()
    }

    /// Returns whether the room is on several servers.
    pub fn is_cluster(&self) -> bool {
        self.nodes.borrow().len() > 1
    }

    /// Returns whether members run their scripts.
    pub fn is_active(&self) -> bool {
        self.phase.get() == Phase::Active
    }

    /// Waits for `duration` or until a checkpoint begins.
    pub async fn pause(&self, duration: Duration) {
        let end = Instant::now() + duration;
        while self.is_active() && Instant::now() < end {
            Timer::at(end.min(Instant::now() + 5 * POLL_INTERVAL)).await;
        }
    }

    /// Measures the delay of timers, and never returns.
    pub async fn measure_timer_delay(&self) {
        loop {
            let due = Instant::now() + POLL_INTERVAL;
            Timer::at(due).await;
            self.timer_delay.borrow_mut().saturating_record(micros(due.elapsed()));
        }
    }

    /// Waits until members run their scripts.
    pub async fn wait_until_active(&self) {
        while !self.is_active() {
            Timer::after(POLL_INTERVAL).await;
        }
    }

    /// Records that a private message is sent.
    pub fn expect_private(&self, id: String, from: usize, to: usize) {
        let connection = self.statuses.borrow()[to].connection;
        let has_arrived = from == to;
        let message =
            PrivateMessage { from, to, connection, bytes: None, is_copied: false, has_arrived };
        self.private_messages.borrow_mut().insert(id, message);
    }

    /// Checks a private message that `member` received: only its sender and its addressee may, each
    /// one once.
    pub fn on_private_message(
        &self,
        id: &str,
        member: Option<usize>,
        line: &[u8],
    ) -> Result<(), String> {
        let mut messages = self.private_messages.borrow_mut();
        let message = messages.get_mut(id).ok_or("private message that no member sent")?;
        if message.bytes.get_or_insert_with(|| line.to_vec()) != line {
            return Err("private message differs from its copy".to_owned());
        }
        for (party, has_received) in
            [(message.from, &mut message.is_copied), (message.to, &mut message.has_arrived)]
        {
            if member == Some(party) && !*has_received {
                *has_received = true;
                return Ok(());
            }
        }
        let (from, to) = (message.from, message.to);
        Err(format!("private message from {from} to {to} received by another member or twice"))
    }

    /// At a checkpoint, checks that each private message whose sender received the copy has reached
    /// its addressee, if that one kept its connection. Clears them.
    pub fn check_private_messages(&self) -> Result<(), String> {
        let statuses = self.statuses.borrow();
        for (id, message) in self.private_messages.borrow_mut().drain() {
            let is_connected = statuses[message.to].connection == message.connection;
            if message.is_copied && !message.has_arrived && is_connected {
                return Err(format!("private message {id} did not reach member {}", message.to));
            }
            self.totals.borrow_mut().private_messages += u64::from(message.has_arrived);
        }
        Ok(())
    }

    /// Waits until `problem` returns `None`.
    ///
    /// # Errors
    ///
    /// Returns the last problem after `timeout`.
    pub async fn wait_for(
        &self,
        timeout: Duration,
        mut problem: impl FnMut() -> Option<String>,
    ) -> Result<(), String> {
        let end = Instant::now() + timeout;
        while let Some(text) = problem() {
            if Instant::now() > end {
                return Err(format!("after {timeout:?}: {text}"));
            }
            Timer::after(POLL_INTERVAL).await;
        }
        Ok(())
    }
}

/// Returns a duration in microseconds.
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Returns a histogram for microseconds, up to a minute.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000, 3).expect("the bounds are valid")
}

/// Records a line, of which at most 400 bytes are kept.
pub fn record_line(recent_lines: &RecentLines, mark: &str, line: &[u8]) {
    let mut recent_lines = recent_lines.borrow_mut();
    if recent_lines.len() == MAX_RECENT_LINES {
        recent_lines.pop_front();
    }
    let line = &line[..line.len().min(400)];
    recent_lines.push_back(format!("{mark} {}", String::from_utf8_lossy(line).trim_end()));
}
