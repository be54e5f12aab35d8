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
pub const HISTORY: u64 = 1000;
/// How long the server keeps names.
pub const GRACE: Duration = Duration::from_secs(45);
/// How long anybody waits for what should come at once.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at something that no frame tells of.
pub const LOOK: Duration = Duration::from_millis(20);
/// Lines of a member's link that are kept to be shown.
const TAIL: usize = 30;

/// Why a member's script comes to its end.
#[derive(Debug)]
pub enum Halt {
    /// The server was asked to end, and has said so.
    Ended,
    /// A promise was broken.
    Broken(String),
}

impl From<String> for Halt {
    fn from(text: String) -> Self {
        Halt::Broken(text)
    }
}

/// What everybody is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// The script goes on.
    Busy,
    /// Everybody comes back, hears what is on its way, and rests.
    Draining,
    /// Everybody asks who is here.
    Comparing,
}

/// How a member stands, for the others to know.
#[derive(Clone, Default, Debug)]
pub struct Standing {
    /// Its name, while it is welcome.
    pub name: Option<String>,
    /// The number of its link.
    pub link: u64,
    /// The server may let go of it before it knows.
    pub is_shaky: bool,
    /// The last number of the sequence that it saw.
    pub seen: u64,
    /// The number of its next line.
    pub said: u64,
    /// It rests, and all that it said is answered.
    pub settled: bool,
    /// It has asked who is here, and the answer was right.
    pub compared: bool,
}

/// A private line that is on its way.
pub struct Private {
    from: usize,
    to: usize,
    /// The link of the addressee when it was sent.
    pub link: u64,
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
    pub slow: u64,
    pub caught_up: u64,
    pub privates: u64,
    pub kept_names: u64,
    pub visits: u64,
    pub late_hellos: u64,
    pub crashes: u64,
    pub new_epochs: u64,
    pub quiet_points: u64,
    pub errors: BTreeMap<String, u64>,
}

impl Totals {
    /// Counts an error.
    pub fn error(&mut self, code: ErrorCode) {
        *self.errors.entry(spelled(code)).or_default() += 1;
    }

    /// Counts a bye with which a visitor was sent away.
    pub fn bye(&mut self, code: ByeCode) {
        *self.errors.entry(format!("bye-{}", spelled(code))).or_default() += 1;
    }
}

/// A code as it is on the wire.
fn spelled(code: impl serde::Serialize) -> String {
    serde_json::to_string(&code).unwrap_or_default().trim_matches('"').to_owned()
}

/// Where a server listens: by TCP, and at a unix socket.
pub type Addresses = (SocketAddr, PathBuf);

/// The last lines of a member, over all its links.
pub type Tail = Rc<RefCell<VecDeque<String>>>;

/// What all share. All of it is on one thread, and no borrow is held while anybody waits.
pub struct World {
    /// Where the server listens, while it runs.
    pub addresses: RefCell<Option<Addresses>>,
    /// How often the server was killed.
    pub generation: Cell<u64>,
    /// The server was asked to end.
    pub ending: Cell<bool>,
    pub phase: Cell<Phase>,
    pub sequence: RefCell<Sequence>,
    pub standings: RefCell<Vec<Standing>>,
    pub privates: RefCell<HashMap<String, Private>>,
    pub totals: RefCell<Totals>,
    /// One witness waits for the other, which therefore must not rest yet.
    pub is_witness_waiting: Cell<bool>,
    /// Between the witnesses, in microseconds.
    pub round_trips: RefCell<Histogram<u64>>,
    /// By how much the soak itself is late, with all its members on one thread.
    pub lateness: RefCell<Histogram<u64>>,
    /// Links that are open.
    pub open: Cell<u64>,
    /// Visitors who are at it.
    pub visitors: Cell<u64>,
}

impl World {
    /// A world of so many members.
    pub fn new(members: usize) -> Rc<Self> {
        Rc::new(Self {
            addresses: RefCell::new(None),
            generation: Cell::new(0),
            ending: Cell::new(false),
            phase: Cell::new(Phase::Busy),
            sequence: RefCell::new(Sequence::new(members)),
            standings: RefCell::new(vec![Standing::default(); members]),
            privates: RefCell::default(),
            totals: RefCell::default(),
            is_witness_waiting: Cell::new(false),
            round_trips: RefCell::new(histogram()),
            lateness: RefCell::new(histogram()),
            open: Cell::new(0),
            visitors: Cell::new(0),
        })
    }

    /// Whether the script goes on.
    pub fn is_busy(&self) -> bool {
        self.phase.get() == Phase::Busy
    }

    /// Waits for so long, or until a quiet point begins.
    pub async fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        while self.is_busy() && Instant::now() < end {
            Timer::at(end.min(Instant::now() + 5 * LOOK)).await;
        }
    }

    /// Measures for ever how late the soak itself is.
    pub async fn measure_lateness(&self) {
        loop {
            let due = Instant::now() + LOOK;
            Timer::at(due).await;
            self.lateness.borrow_mut().saturating_record(micros(due.elapsed()));
        }
    }

    /// Waits until the script goes on.
    pub async fn busy(&self) {
        while !self.is_busy() {
            Timer::after(LOOK).await;
        }
    }

    /// Notes that a private line goes out.
    pub fn expect_private(&self, id: String, from: usize, to: usize) {
        let link = self.standings.borrow()[to].link;
        let private = Private { from, to, link, bytes: None, copied: false, arrived: from == to };
        self.privates.borrow_mut().insert(id, private);
    }

    /// A private line came to `member`, who must be its sender or its addressee.
    pub fn see_private(&self, id: &str, member: Option<usize>, line: &[u8]) -> Result<(), String> {
        let mut privates = self.privates.borrow_mut();
        let private = privates.get_mut(id).ok_or("a private line that nobody sent")?;
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
    pub fn settle_privates(&self) -> Result<(), String> {
        let standings = self.standings.borrow();
        for (id, private) in self.privates.borrow_mut().drain() {
            if private.copied && !private.arrived && standings[private.to].link == private.link {
                return Err(format!("private line {id} did not reach {}", private.to));
            }
            self.totals.borrow_mut().privates += u64::from(private.arrived);
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
            Timer::after(LOOK).await;
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
pub fn note(tail: &Tail, mark: &str, line: &[u8]) {
    let mut tail = tail.borrow_mut();
    if tail.len() == TAIL {
        tail.pop_front();
    }
    let line = &line[..line.len().min(400)];
    tail.push_back(format!("{mark} {}", String::from_utf8_lossy(line).trim_end()));
}
