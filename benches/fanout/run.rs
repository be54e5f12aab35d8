//! One piece of work on one system, from the start of the server to its figures.

use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::crowd::Crowd;
use crate::system::{self, System};
use crate::tally::Verdict;
use crate::work::{Pace, Work};

/// Talk before the measured window, so that buffers have grown and caches are warm.
const WARM_UP: Duration = Duration::from_millis(300);
/// What a server may do after its start before it is looked at.
const START_UP: Duration = Duration::from_millis(200);

/// What was measured.
#[derive(Clone)]
pub struct Figures {
    /// What was said, and how it was delivered; nothing if nobody talked.
    pub talk: Option<TalkFigures>,
    /// What a silent room costs; nothing if somebody talked.
    pub idle: Option<IdleFigures>,
    /// Resident memory that each member added, in bytes.
    pub member_bytes: f64,
    /// CPU seconds of the server to let everybody in.
    pub join_cpu: f64,
    /// Threads of the server at the end.
    pub threads: u64,
    /// The most resident memory that the server ever had, in bytes.
    pub peak: u64,
    /// How much more that was than without those who never read.
    pub stalled_bytes: Option<i64>,
    /// Whether everybody got everything.
    pub verdict: Verdict,
}

/// Figures of a room in which somebody talked.
#[derive(Clone)]
pub struct TalkFigures {
    /// Lines times members who got them.
    pub deliveries: u64,
    /// From the first line until the last delivery.
    pub seconds: f64,
    /// CPU nanoseconds of the server a delivery.
    pub cpu_ns: f64,
    /// Bytes that a member read for each delivery.
    pub frame_bytes: f64,
    /// Deliveries that a member found in one read: how far the server batches.
    pub batch: f64,
    /// Latency in nanoseconds: median, 99th and 99.9th percentile.
    pub latency: [u64; 3],
}

/// Figures of a room in which nobody talked.
#[derive(Clone)]
pub struct IdleFigures {
    /// How often a thread of the server was woken, a second.
    pub wakeups: f64,
    /// CPU microseconds of the server, a second.
    pub cpu_us: f64,
}

impl Figures {
    /// What rounds are compared by.
    fn cost(&self) -> f64 {
        self.talk.as_ref().map_or(self.member_bytes, |talk| talk.cpu_ns)
    }

    /// The round of median cost, with the faults of all rounds. None without a round.
    pub fn median(mut rounds: Vec<Self>) -> Option<Self> {
        rounds.sort_by(|a, b| a.cost().total_cmp(&b.cost()));
        let mut median = rounds.get(rounds.len() / 2)?.clone();
        median.verdict = Verdict {
            lost: rounds.iter().map(|it| it.verdict.lost).sum(),
            reordered: rounds.iter().map(|it| it.verdict.reordered).sum(),
            closed: rounds.iter().map(|it| it.verdict.closed).sum(),
            one_order: rounds.iter().all(|it| it.verdict.one_order),
        };
        Some(median)
    }
}

/// Does `work` on `system`; `frame` is the length of smolchat's frames in the same work, if that
/// was measured.
pub fn run(
    system: System,
    program: &Path,
    work: &Work,
    frame: Option<usize>,
) -> io::Result<Figures> {
    if work.connections() > system.largest_room() {
        return Err(io::Error::other("not tried: joining so large a room takes minutes"));
    }
    if work.stalled == 0 {
        return run_once(system, program, work, frame);
    }
    let without = run_once(system, program, &work.without_stalled(), frame)?;
    let mut figures = run_once(system, program, work, frame)?;
    figures.stalled_bytes = Some(figures.peak as i64 - without.peak as i64);
    Ok(figures)
}

fn run_once(
    system: System,
    program: &Path,
    work: &Work,
    frame: Option<usize>,
) -> io::Result<Figures> {
    let server = system.start(program)?;
    let process = server.process();
    thread::sleep(START_UP);
    let (empty, at_start) = (process.resident()?, process.cpu()?);

    let line = match system {
        // The floor adds nothing to a line but the newline; padded, it moves the same bytes.
        System::Floor => frame.unwrap_or_else(|| system::smolchat_frame(work.line)) - 1,
        _ => work.line,
    };
    let mut crowd = Crowd::join(system, server.addr, work, line)?;
    crowd.settle()?;
    let join_cpu = process.cpu()? - at_start;
    let member_bytes = (process.resident()? as f64 - empty as f64) / work.connections() as f64;

    let mut figures = Figures {
        talk: None,
        idle: None,
        member_bytes,
        join_cpu: join_cpu.as_secs_f64(),
        threads: 0,
        peak: 0,
        stalled_bytes: None,
        verdict: Verdict::default(),
    };
    if let Pace::Silent = work.pace {
        let (wakeups, cpu) = (process.wakeups()?, process.cpu()?);
        crowd.idle(work.time)?;
        let seconds = work.time.as_secs_f64();
        figures.idle = Some(IdleFigures {
            wakeups: (process.wakeups()? - wakeups) as f64 / seconds,
            cpu_us: (process.cpu()? - cpu).as_secs_f64() * 1e6 / seconds,
        });
    } else {
        crowd.talk(work.pace, WARM_UP, work.lines / 10)?;
        let cpu = process.cpu()?;
        let tally = crowd.talk(work.pace, work.time, work.lines)?;
        let cpu = process.cpu()? - cpu;
        let deliveries = tally.deliveries.max(1) as f64;
        figures.talk = Some(TalkFigures {
            deliveries: tally.deliveries,
            seconds: (tally.last_delivery - tally.start) as f64 / 1e9,
            cpu_ns: cpu.as_nanos() as f64 / deliveries,
            frame_bytes: tally.bytes as f64 / deliveries,
            batch: tally.deliveries as f64 / tally.reads.max(1) as f64,
            latency: [0.5, 0.99, 0.999].map(|q| tally.latency.value_at_quantile(q)),
        });
    }
    figures.threads = process.threads()?;
    figures.peak = process.peak_resident()?;
    figures.verdict = crowd.verdict();
    Ok(figures)
}
