//! The table of workloads.

use std::time::Duration;

/// A workload, the same for every system.
#[derive(Clone)]
pub struct Workload {
    /// Name on the command line and in the report.
    pub name: &'static str,
    /// Purpose, for the report.
    pub purpose: &'static str,
    /// Members that read everything, senders included.
    pub members: usize,
    /// Further members that never read after they have joined.
    pub stalled: usize,
    /// Whether all members connect at once. Otherwise, as many as the system can queue.
    pub joins_at_once: bool,
    /// Lines that were sent before, and that each member requests when it joins.
    pub history: usize,
    /// Members that send.
    pub senders: usize,
    /// Bytes of a line, without newline and framing.
    pub line_bytes: usize,
    /// When the senders send.
    pub pacing: Pacing,
    /// The longest duration.
    pub duration: Duration,
    /// The most lines from all senders together.
    pub max_lines: u32,
}

/// When a sender sends its next line.
#[derive(Clone, Copy)]
pub enum Pacing {
    /// As soon as fewer than this number of its own lines are outstanding.
    InFlight(u32),
    /// By the clock: lines per second, from all senders together.
    PerSecond(u32),
    Silent,
}

/// Fits into the six hex digits of a payload's counter.
const NO_LIMIT: u32 = 0xf0_0000;

const DEFAULT: Workload = Workload {
    name: "",
    purpose: "",
    members: 200,
    stalled: 0,
    joins_at_once: false,
    history: 0,
    senders: 4,
    line_bytes: 64,
    pacing: Pacing::InFlight(64),
    duration: Duration::from_secs(4),
    max_lines: NO_LIMIT,
};

/// All workloads, in the order in which they run.
pub const WORKLOADS: [Workload; 9] = [
    Workload { name: "flood", purpose: "batching", ..DEFAULT },
    Workload {
        name: "flood-1k",
        purpose: "batching in a larger room",
        members: 1_000,
        senders: 8,
        ..DEFAULT
    },
    Workload {
        name: "flood-8k",
        purpose: "batches of 8 KiB",
        pacing: Pacing::InFlight(16),
        ..DEFAULT
    },
    Workload {
        name: "paced",
        purpose: "latency and cost of a wake-up, nothing to batch",
        pacing: Pacing::PerSecond(100),
        duration: Duration::from_secs(6),
        ..DEFAULT
    },
    Workload {
        name: "big",
        purpose: "a large room, and joining it",
        members: 5_000,
        senders: 2,
        pacing: Pacing::InFlight(8),
        duration: Duration::from_secs(5),
        ..DEFAULT
    },
    Workload {
        name: "join",
        purpose: "cost of joining, each member announced to the others",
        members: 1_000,
        senders: 0,
        pacing: Pacing::Silent,
        duration: Duration::from_secs(1),
        max_lines: 0,
        ..DEFAULT
    },
    Workload {
        name: "idle",
        purpose: "memory per member, wake-ups per second",
        members: 10_000,
        senders: 0,
        pacing: Pacing::Silent,
        duration: Duration::from_secs(6),
        max_lines: 0,
        ..DEFAULT
    },
    Workload {
        name: "restart",
        purpose: "all members connect at once, as after a restart of the server",
        members: 10_000,
        joins_at_once: true,
        senders: 0,
        pacing: Pacing::Silent,
        duration: Duration::from_secs(1),
        max_lines: 0,
        ..DEFAULT
    },
    Workload {
        name: "stall",
        purpose: "cost of slow members",
        members: 100,
        stalled: 100,
        line_bytes: 200,
        pacing: Pacing::InFlight(32),
        duration: Duration::from_secs(25),
        // At least 4 MB for each stalled member: more than the kernel buffers, and little enough
        // for a server that keeps all of it. Most systems finish long before the duration.
        max_lines: 20_000,
        ..DEFAULT
    },
];

impl Workload {
    /// Returns the number of connections.
    pub fn connections(&self) -> usize {
        self.members + self.stalled
    }

    /// Returns the workload without stalled members.
    pub fn without_stalled(&self) -> Self {
        Self { stalled: 0, ..self.clone() }
    }

    /// Returns the workload in a room with a history, which each member requests.
    pub fn with_history(&self, lines: usize) -> Self {
        Self { history: lines, ..self.clone() }
    }

    /// Returns the workload with at most this number of connections.
    pub fn scaled_to(&self, connections: usize) -> Self {
        let members = self.members.min(connections.saturating_sub(self.stalled));
        Self { members, ..self.clone() }
    }

    /// Returns the member that is sender number `sender`. Senders are spread over the room, so that
    /// the order in which a system serves its members has no influence.
    pub fn sender_member(&self, sender: usize) -> usize {
        sender * self.members / self.senders
    }

    /// Describes the workload in one line.
    pub fn describe(&self) -> String {
        let mut text = format!("{} members", self.members);
        if self.stalled > 0 {
            text += &format!(" and {} that never read", self.stalled);
        }
        match self.pacing {
            Pacing::InFlight(lines) => {
                text += &format!(
                    ", {} senders, {}-byte lines, {lines} in flight",
                    self.senders, self.line_bytes
                );
            }
            Pacing::PerSecond(rate) => {
                text += &format!(", {}-byte lines, {rate} per second in total", self.line_bytes);
            }
            Pacing::Silent => text += ", no senders",
        }
        text
    }
}
