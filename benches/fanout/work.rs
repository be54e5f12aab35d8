//! The table of work: how many members, who talks, how much.

use std::time::Duration;

/// One kind of work, done alike on every system.
#[derive(Clone)]
pub struct Work {
    /// Its name on the command line and in the report.
    pub name: &'static str,
    /// What a figure of it says.
    pub shows: &'static str,
    /// Members who read all they get; the talkers are among them.
    pub members: usize,
    /// Members beside those who never read once they are in.
    pub stalled: usize,
    /// How many of the members talk.
    pub talkers: usize,
    /// Bytes of one line, without newline or framing.
    pub line: usize,
    /// When the talkers talk.
    pub pace: Pace,
    /// For how long.
    pub time: Duration,
    /// Lines after which it ends even so.
    pub lines: u32,
}

/// When a talker sends its next line.
#[derive(Clone, Copy)]
pub enum Pace {
    /// As soon as fewer than so many of its own have yet to come back.
    InFlight(u32),
    /// By the clock: so many a second from all talkers together.
    PerSecond(u32),
    /// Never.
    Silent,
}

/// Stays below the six hex digits that a payload has for its counter.
const NO_LIMIT: u32 = 0xf0_0000;

/// All work there is, in the order in which it is done.
pub const TABLE: [Work; 6] = [
    Work {
        name: "flood",
        shows: "batching",
        members: 200,
        stalled: 0,
        talkers: 4,
        line: 64,
        pace: Pace::InFlight(64),
        time: Duration::from_secs(4),
        lines: NO_LIMIT,
    },
    Work {
        name: "flood-1k",
        shows: "batching, wider",
        members: 1_000,
        stalled: 0,
        talkers: 8,
        line: 64,
        pace: Pace::InFlight(64),
        time: Duration::from_secs(4),
        lines: NO_LIMIT,
    },
    Work {
        name: "paced",
        shows: "nothing to batch: latency, cost of a wake-up",
        members: 200,
        stalled: 0,
        talkers: 4,
        line: 64,
        pace: Pace::PerSecond(100),
        time: Duration::from_secs(6),
        lines: NO_LIMIT,
    },
    Work {
        name: "big",
        shows: "one large room, and joining it",
        members: 5_000,
        stalled: 0,
        talkers: 2,
        line: 64,
        pace: Pace::InFlight(8),
        time: Duration::from_secs(5),
        lines: NO_LIMIT,
    },
    Work {
        name: "idle",
        shows: "memory a member, wake-ups a second",
        members: 10_000,
        stalled: 0,
        talkers: 0,
        line: 64,
        pace: Pace::Silent,
        time: Duration::from_secs(6),
        lines: 0,
    },
    Work {
        name: "stall",
        shows: "slow members cost others nothing",
        members: 100,
        stalled: 100,
        talkers: 4,
        line: 200,
        pace: Pace::InFlight(32),
        time: Duration::from_secs(25),
        // At least 4 MB to each of those who never read: more than the kernel takes on their
        // behalf, and little enough for a server that keeps all of it. Most systems are done with
        // that long before the time.
        lines: 20_000,
    },
];

impl Work {
    /// All connections of it.
    pub fn connections(&self) -> usize {
        self.members + self.stalled
    }

    /// The same work without those who never read.
    pub fn without_stalled(&self) -> Self {
        Self { stalled: 0, ..self.clone() }
    }

    /// The same work with at most so many connections, if it has more.
    pub fn scaled_to(&self, connections: usize) -> Self {
        let members = self.members.min(connections.saturating_sub(self.stalled));
        Self { members, ..self.clone() }
    }

    /// The member that is talker number `talker`: they sit all over the room, so that it matters
    /// to none of the systems in which order it serves its members.
    pub fn seat(&self, talker: usize) -> usize {
        talker * self.members / self.talkers
    }

    /// One line about it, for the report.
    pub fn describe(&self) -> String {
        let mut text = format!("{} members", self.members);
        if self.stalled > 0 {
            text += &format!(" and {} who never read", self.stalled);
        }
        match self.pace {
            Pace::InFlight(lines) => {
                text += &format!(
                    ", {} talk, {}-byte lines, {lines} in flight",
                    self.talkers, self.line
                );
            }
            Pace::PerSecond(rate) => {
                text += &format!(", {}-byte lines, {rate} a second in all", self.line);
            }
            Pace::Silent => text += ", nobody talks",
        }
        text
    }
}
