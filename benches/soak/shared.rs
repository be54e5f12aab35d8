//! What all who take part share: where the server is, what phase the script is in, what the
//! members have seen together, and the count of it all.

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

/// Frames that the server keeps: few enough that some come back too late for all of them.
pub const HISTORY_FRAMES: u64 = 1000;
/// How long the server keeps names.
pub const GRACE: Duration = Duration::from_secs(45);
/// How long anybody waits for what should come at once.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// Between two looks at something that no frame tells of.
pub const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Lines of a member's link that are kept to be shown.
const MAX_RECENT_LINES: usize = 30;

/// Why a member's script comes to its end.
#[derive(Debug)]
pub enum ScriptError {
    /// The server was asked to end, and has said so.
    ServerShutdown,
    /// A promise was broken.
    CheckFailed(String),
}

impl From<String> for ScriptError {
    fn from(text: String) -> Self {
        ScriptError::CheckFailed(text)
    }
}

/// What everybody is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// The script goes on.
    Active,
    /// Everybody comes back, hears what is on its way, and rests.
    Draining,
    /// Everybody asks who is here.
    Comparing,
}

/// How a member stands, for the others to know.
#[derive(Clone, Default, Debug)]
pub struct MemberStatus {
    /// Its name, while it is welcome.
    pub name: Option<String>,
    /// The number of its link.
    pub connection: u64,
    /// The server may let go of it before it knows.
    pub may_disconnect: bool,
    /// The last number of the sequence that it saw.
    pub last_seq: u64,
    /// The number of its next line.
    pub next_line: u64,
    /// It rests, and all that it said is answered.
    pub is_idle: bool,
    /// It has asked who is here, and the answer was right.
    pub is_checked: bool,
}

/// A private line that is on its way.
pub struct PrivateMessage {
    from: usize,
    to: usize,
    /// The link of the addressee when it was sent.
    pub connection: u64,
    /// That of the copy, or of the other, whichever came first.
    bytes: Option<Vec<u8>>,
    copied: bool,
    arrived: bool,
}

/// What was done, and seen.
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
    /// Counts an error.
    pub fn count_error(&mut self, code: ErrorCode) {
        *self.errors.entry(wire_name(code)).or_default() += 1;
    }

    /// Counts a bye with which a visitor was sent away.
    pub fn count_bye(&mut self, code: ByeCode) {
        *self.errors.entry(format!("bye-{}", wire_name(code))).or_default() += 1;
    }
}

/// A code as it is on the wire.
fn wire_name(code: impl serde::Serialize) -> String {
    serde_json::to_string(&code).unwrap_or_default().trim_matches('"').to_owned()
}

/// Where a server listens: by TCP, and at a unix socket.
pub type Addresses = (SocketAddr, PathBuf);

/// The last lines of a member, over all its links.
pub type RecentLines = Rc<RefCell<VecDeque<String>>>;

/// What all share. All of it is on one thread, and no borrow is held while anybody waits.
pub struct SharedState {
    /// Where the server listens, while it runs.
    pub addresses: RefCell<Option<Addresses>>,
    /// How often the server was killed.
    pub generation: Cell<u64>,
    /// The server was asked to end.
    pub ending: Cell<bool>,
    pub phase: Cell<Phase>,
    pub sequence: RefCell<Sequence>,
    pub statuses: RefCell<Vec<MemberStatus>>,
    pub private_messages: RefCell<HashMap<String, PrivateMessage>>,
    pub totals: RefCell<Totals>,
    /// One witness waits for the other, which therefore must not rest yet.
    pub is_ping_pending: Cell<bool>,
    /// Between the witnesses, in microseconds.
    pub round_trips: RefCell<Histogram<u64>>,
    /// By how much the soak itself is late, with all its members on one thread.
    pub timer_delay: RefCell<Histogram<u64>>,
    /// Links that are open.
    pub open_connections: Cell<u64>,
    /// Visitors who are at it.
    pub open_bad_clients: Cell<u64>,
}

impl SharedState {
    /// A world of so many members.
    pub fn new(members: usize) -> Rc<Self> {
        Rc::new(Self {
            addresses: RefCell::new(None),
            generation: Cell::new(0),
            ending: Cell::new(false),
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

    /// Whether the script goes on.
    pub fn is_active(&self) -> bool {
        self.phase.get() == Phase::Active
    }

    /// Waits for so long, or until a quiet point begins.
    pub async fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        while self.is_active() && Instant::now() < end {
            Timer::at(end.min(Instant::now() + 5 * POLL_INTERVAL)).await;
        }
    }

    /// Measures for ever how late the soak itself is.
    pub async fn measure_timer_delay(&self) {
        loop {
            let due = Instant::now() + POLL_INTERVAL;
            Timer::at(due).await;
            self.timer_delay.borrow_mut().saturating_record(micros(due.elapsed()));
        }
    }

    /// Waits until the script goes on.
    pub async fn wait_until_active(&self) {
        while !self.is_active() {
            Timer::after(POLL_INTERVAL).await;
        }
    }

    /// Notes that a private line goes out.
    pub fn expect_private(&self, id: String, from: usize, to: usize) {
        let connection = self.statuses.borrow()[to].connection;
        let private = PrivateMessage {
            from,
            to,
            connection,
            bytes: None,
            copied: false,
            arrived: from == to,
        };
        self.private_messages.borrow_mut().insert(id, private);
    }

    /// A private line came to `member`, who must be its sender or its addressee.
    pub fn on_private_message(
        &self,
        id: &str,
        member: Option<usize>,
        line: &[u8],
    ) -> Result<(), String> {
        let mut private_messages = self.private_messages.borrow_mut();
        let private = private_messages.get_mut(id).ok_or("a private line that nobody sent")?;
        if private.bytes.get_or_insert_with(|| line.to_vec()) != line {
            return Err("a private line and its copy differ".to_owned());
        }
        for (party, came) in
            [(private.from, &mut private.copied), (private.to, &mut private.arrived)]
        {
            if member == Some(party) && !*came {
                *came = true;
                return Ok(());
            }
        }
        Err(format!("a private line of {} to {}, or a second one", private.from, private.to))
    }

    /// At a quiet point: each private line whose sender got a copy has reached its addressee, if
    /// that one kept its link. Forgets them.
    pub fn check_private_messages(&self) -> Result<(), String> {
        let statuses = self.statuses.borrow();
        for (id, private) in self.private_messages.borrow_mut().drain() {
            if private.copied
                && !private.arrived
                && statuses[private.to].connection == private.connection
            {
                return Err(format!("private line {id} did not reach {}", private.to));
            }
            self.totals.borrow_mut().private_messages += u64::from(private.arrived);
        }
        Ok(())
    }

    /// Looks until something is so, and then tells what is not.
    pub async fn until(
        &self,
        within: Duration,
        mut missing: impl FnMut() -> Option<String>,
    ) -> Result<(), String> {
        let end = Instant::now() + within;
        while let Some(text) = missing() {
            if Instant::now() > end {
                return Err(format!("after {within:?}: {text}"));
            }
            Timer::after(POLL_INTERVAL).await;
        }
        Ok(())
    }
}

/// A time in microseconds.
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// For times in microseconds, up to a minute.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000, 3).expect("three digits are allowed")
}

/// Keeps a line in a tail.
pub fn record_line(recent_lines: &RecentLines, mark: &str, line: &[u8]) {
    let mut recent_lines = recent_lines.borrow_mut();
    if recent_lines.len() == MAX_RECENT_LINES {
        recent_lines.pop_front();
    }
    let line = &line[..line.len().min(400)];
    recent_lines.push_back(format!("{mark} {}", String::from_utf8_lossy(line).trim_end()));
}
