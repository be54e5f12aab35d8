//! The table of work: how many members, who talks, how much.

use std::time::Duration;

/// One kind of work, done alike on every system.
#[derive(Clone)]
pub struct Workload {
    /// Its name on the command line and in the report.
    pub name: &'static str,
    /// What a figure of it says.
    pub purpose: &'static str,
    /// Members who read all they get; the talkers are among them.
    pub members: usize,
    /// Members beside those who never read once they are in.
    pub stalled: usize,
    /// How many of the members talk.
    pub senders: usize,
    /// Bytes of one line, without newline or framing.
    pub line_bytes: usize,
    /// When the talkers talk.
    pub pacing: Pacing,
    /// For how long.
    pub duration: Duration,
    /// Lines after which it ends even so.
    pub max_lines: u32,
}

/// When a talker sends its next line.
#[derive(Clone, Copy)]
pub enum Pacing {
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
pub const WORKLOADS: [Workload; 6] = [
    Workload {
        name: "flood",
        purpose: "batching",
        members: 200,
        stalled: 0,
        senders: 4,
        line_bytes: 64,
        pacing: Pacing::InFlight(64),
        duration: Duration::from_secs(4),
        max_lines: NO_LIMIT,
    },
    Workload {
        name: "flood-1k",
        purpose: "batching, wider",
        members: 1_000,
        stalled: 0,
        senders: 8,
        line_bytes: 64,
        pacing: Pacing::InFlight(64),
        duration: Duration::from_secs(4),
        max_lines: NO_LIMIT,
    },
    Workload {
        name: "paced",
        purpose: "nothing to batch: latency, cost of a wake-up",
        members: 200,
        stalled: 0,
        senders: 4,
        line_bytes: 64,
        pacing: Pacing::PerSecond(100),
        duration: Duration::from_secs(6),
        max_lines: NO_LIMIT,
    },
    Workload {
        name: "big",
        purpose: "one large room, and joining it",
        members: 5_000,
        stalled: 0,
        senders: 2,
        line_bytes: 64,
        pacing: Pacing::InFlight(8),
        duration: Duration::from_secs(5),
        max_lines: NO_LIMIT,
    },
    Workload {
        name: "idle",
        purpose: "memory a member, wake-ups a second",
        members: 10_000,
        stalled: 0,
        senders: 0,
        line_bytes: 64,
        pacing: Pacing::Silent,
        duration: Duration::from_secs(6),
        max_lines: 0,
    },
    Workload {
        name: "stall",
        purpose: "slow members cost others nothing",
        members: 100,
        stalled: 100,
        senders: 4,
        line_bytes: 200,
        pacing: Pacing::InFlight(32),
        duration: Duration::from_secs(25),
        // At least 4 MB to each of those who never read: more than the kernel takes on their
        // behalf, and little enough for a server that keeps all of it. Most systems are done with
        // that long before the time.
        max_lines: 20_000,
    },
];

impl Workload {
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
    pub fn sender_member(&self, sender: usize) -> usize {
        sender * self.members / self.senders
    }

    /// One line about it, for the report.
    pub fn describe(&self) -> String {
        let mut text = format!("{} members", self.members);
        if self.stalled > 0 {
            text += &format!(" and {} who never read", self.stalled);
        }
        match self.pacing {
            Pacing::InFlight(lines) => {
                text += &format!(
                    ", {} talk, {}-byte lines, {lines} in flight",
                    self.senders, self.line_bytes
                );
            }
            Pacing::PerSecond(rate) => {
                text += &format!(", {}-byte lines, {rate} a second in all", self.line_bytes);
            }
            Pacing::Silent => text += ", nobody talks",
        }
        text
    }
}
