//! One piece of work on one system, from the start of the server to its figures.

use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::counters::DeliveryCheck;
use crate::load::LoadGenerator;
use crate::system::{self, System};
use crate::workload::{Pacing, Workload};

/// Talk before the measured window, so that buffers have grown and caches are warm.
const WARM_UP: Duration = Duration::from_millis(300);
/// What a server may do after its start before it is looked at.
const START_DELAY: Duration = Duration::from_millis(200);

/// What was measured.
#[derive(Clone)]
pub struct Metrics {
    /// What was said, and how it was delivered; nothing if nobody talked.
    pub traffic: Option<TrafficMetrics>,
    /// What a silent room costs; nothing if somebody talked.
    pub idle: Option<IdleMetrics>,
    /// Resident memory that each member added, in bytes.
    pub bytes_per_member: f64,
    /// CPU seconds of the server to let everybody in.
    pub join_cpu_seconds: f64,
    /// Threads of the server at the end.
    pub threads: u64,
    /// The most resident memory that the server ever had, in bytes.
    pub peak_bytes: u64,
    /// How much more that was than without those who never read.
    pub stalled_bytes: Option<i64>,
    /// Whether everybody got everything.
    pub check: DeliveryCheck,
}

/// Figures of a room in which somebody talked.
#[derive(Clone)]
pub struct TrafficMetrics {
    /// Lines times members who got them.
    pub deliveries: u64,
    /// From the first line until the last delivery.
    pub seconds: f64,
    /// CPU nanoseconds of the server a delivery.
    pub cpu_ns_per_delivery: f64,
    /// Bytes that a member read for each delivery.
    pub frame_bytes: f64,
    /// Deliveries that a member found in one read: how far the server batches.
    pub lines_per_read: f64,
    /// Latency in nanoseconds: median, 99th and 99.9th percentile.
    pub latency: [u64; 3],
}

/// Figures of a room in which nobody talked.
#[derive(Clone)]
pub struct IdleMetrics {
    /// How often a thread of the server was woken, a second.
    pub wakeups_per_second: f64,
    /// CPU microseconds of the server, a second.
    pub cpu_us_per_second: f64,
}

impl Metrics {
    /// What rounds are compared by.
    fn cost(&self) -> f64 {
        self.traffic.as_ref().map_or(self.bytes_per_member, |traffic| traffic.cpu_ns_per_delivery)
    }

    /// The round of median cost, with the faults of all rounds. None without a round.
    pub fn median(mut rounds: Vec<Self>) -> Option<Self> {
        rounds.sort_by(|a, b| a.cost().total_cmp(&b.cost()));
        let mut median = rounds.get(rounds.len() / 2)?.clone();
        median.check = DeliveryCheck {
            lost: rounds.iter().map(|it| it.check.lost).sum(),
            reordered: rounds.iter().map(|it| it.check.reordered).sum(),
            closed: rounds.iter().map(|it| it.check.closed).sum(),
            one_order: rounds.iter().all(|it| it.check.one_order),
        };
        Some(median)
    }
}

/// Does `work` on `system`; `frame` is the length of smolchat's frames in the same work, if that
/// was measured.
pub fn run(
    system: System,
    program: &Path,
    workload: &Workload,
    frame: Option<usize>,
) -> io::Result<Metrics> {
    if workload.connections() > system.max_members() {
        return Err(io::Error::other("not tried: joining so large a room takes minutes"));
    }
    if workload.stalled == 0 {
        return run_once(system, program, workload, frame);
    }
    let without = run_once(system, program, &workload.without_stalled(), frame)?;
    let mut metrics = run_once(system, program, workload, frame)?;
    metrics.stalled_bytes = Some(metrics.peak_bytes as i64 - without.peak_bytes as i64);
    Ok(metrics)
}

fn run_once(
    system: System,
    program: &Path,
    workload: &Workload,
    frame: Option<usize>,
) -> io::Result<Metrics> {
    let server = system.start(program)?;
    let process = server.process();
    thread::sleep(START_DELAY);
    let (empty, at_start) = (process.resident()?, process.cpu()?);

    let line = match system {
        // The floor adds nothing to a line but the newline; padded, it moves the same bytes.
        System::Floor => {
            frame.unwrap_or_else(|| system::smolchat_frame_len(workload.line_bytes)) - 1
        }
        _ => workload.line_bytes,
    };
    let mut load = LoadGenerator::join(system, server.addr, workload, line)?;
    load.drain()?;
    let join_cpu_seconds = process.cpu()? - at_start;
    let bytes_per_member =
        (process.resident()? as f64 - empty as f64) / workload.connections() as f64;

    let mut metrics = Metrics {
        traffic: None,
        idle: None,
        bytes_per_member,
        join_cpu_seconds: join_cpu_seconds.as_secs_f64(),
        threads: 0,
        peak_bytes: 0,
        stalled_bytes: None,
        check: DeliveryCheck::default(),
    };
    if let Pacing::Silent = workload.pacing {
        let (wakeups, cpu) = (process.wakeups()?, process.cpu()?);
        load.idle(workload.duration)?;
        let seconds = workload.duration.as_secs_f64();
        metrics.idle = Some(IdleMetrics {
            wakeups_per_second: (process.wakeups()? - wakeups) as f64 / seconds,
            cpu_us_per_second: (process.cpu()? - cpu).as_secs_f64() * 1e6 / seconds,
        });
    } else {
        load.send(workload.pacing, WARM_UP, workload.max_lines / 10)?;
        let cpu = process.cpu()?;
        let counters = load.send(workload.pacing, workload.duration, workload.max_lines)?;
        let cpu = process.cpu()? - cpu;
        let deliveries = counters.deliveries.max(1) as f64;
        metrics.traffic = Some(TrafficMetrics {
            deliveries: counters.deliveries,
            seconds: (counters.last_delivery - counters.start) as f64 / 1e9,
            cpu_ns_per_delivery: cpu.as_nanos() as f64 / deliveries,
            frame_bytes: counters.bytes as f64 / deliveries,
            lines_per_read: counters.deliveries as f64 / counters.reads.max(1) as f64,
            latency: [0.5, 0.99, 0.999].map(|q| counters.latency.value_at_quantile(q)),
        });
    }
    metrics.threads = process.threads()?;
    metrics.peak_bytes = process.peak_resident()?;
    metrics.check = load.check();
    Ok(metrics)
}
