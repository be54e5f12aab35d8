//! Runs one workload on one system, from the start of the server to its metrics.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::counters::DeliveryCheck;
use crate::harness::process::Process;
use crate::load::LoadGenerator;
use crate::system::{self, System};
use crate::workload::{Pacing, Workload};

/// Time to send before the measured window, so that buffers have grown and caches are warm.
const WARM_UP: Duration = Duration::from_millis(300);
/// Time after the start of a server before it is measured.
const START_DELAY: Duration = Duration::from_millis(200);

/// Lines in the history, and in the request of each member, when memory with a history is measured.
const HISTORY_LINES: usize = 1000;

/// The metrics of one run.
#[derive(Clone)]
pub struct Metrics {
    /// Metrics of the lines sent; `None` for a silent workload.
    pub traffic: Option<TrafficMetrics>,
    /// Metrics of a silent workload.
    pub idle: Option<IdleMetrics>,
    /// Bytes of resident memory that each member added.
    pub bytes_per_member: f64,
    /// The same in a room with a full history, which each member requested; `None` if the system
    /// has none.
    pub bytes_per_member_with_history: Option<f64>,
    /// Seconds until all members had joined.
    pub join_seconds: f64,
    /// CPU seconds of the server until all members had joined.
    pub join_cpu_seconds: f64,
    /// Threads of the server at the end.
    pub threads: u64,
    /// Highest resident memory of the server, in bytes.
    pub peak_bytes: u64,
    /// Difference of `peak_bytes` from a run without stalled members; `None` without such members.
    pub stalled_bytes: Option<i64>,
    /// Whether all lines were delivered.
    pub check: DeliveryCheck,
}

/// Metrics of a workload with senders.
#[derive(Clone)]
pub struct TrafficMetrics {
    /// Lines times the members that received them.
    pub deliveries: u64,
    /// Seconds from the first line to the last delivery.
    pub seconds: f64,
    /// CPU nanoseconds of the server per delivery.
    pub cpu_ns_per_delivery: f64,
    /// Bytes that a member read per delivery.
    pub frame_bytes: f64,
    /// Deliveries per read of a member: the degree of batching.
    pub lines_per_read: f64,
    /// Latency in nanoseconds: median, 99th and 99.9th percentile.
    pub latency: [u64; 3],
}

/// Metrics of a silent workload.
#[derive(Clone)]
pub struct IdleMetrics {
    /// Wake-ups of all threads of the server per second.
    pub wakeups_per_second: f64,
    /// CPU microseconds of the server per second.
    pub cpu_us_per_second: f64,
}

impl Metrics {
    /// Returns the figure by which rounds are compared.
    fn cost(&self) -> f64 {
        self.traffic.as_ref().map_or(self.bytes_per_member, |traffic| traffic.cpu_ns_per_delivery)
    }

    /// Returns the round with the median cost, with the delivery errors of all rounds. `None` if
    /// `rounds` is empty.
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

/// Runs `workload` on `system`. `frame` is the length of smolchat's frames in the same workload, if
/// it was measured.
pub fn run(
    system: System,
    program: &Path,
    workload: &Workload,
    frame: Option<usize>,
) -> io::Result<Metrics> {
    if workload.connections() > system.max_members() {
        return Err(io::Error::other("skipped: joining so large a room takes minutes"));
    }
    if workload.stalled == 0 {
        let mut metrics = run_once(system, program, workload, frame)?;
        if system.has_history() && metrics.idle.is_some() && !workload.joins_at_once {
            let with = run_once(system, program, &workload.with_history(HISTORY_LINES), frame)?;
            metrics.bytes_per_member_with_history = Some(with.bytes_per_member);
        }
        return Ok(metrics);
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
    if workload.history > 0 {
        fill_history(server.addr, workload)?;
    }
    let (empty, cpu) = (process.resident()?, process.cpu()?);

    let line_bytes = match system {
        // The floor adds only the newline to a line, so its lines are padded to the same frames.
        System::Floor => {
            frame.unwrap_or_else(|| system::smolchat_frame_len(workload.line_bytes)) - 1
        }
        _ => workload.line_bytes,
    };
    let mut load = LoadGenerator::join(system, server.addr, workload, line_bytes)?;
    let join_cpu = process.cpu()? - cpu;
    let member_bytes = process.resident()? as f64 - empty as f64;
    let (traffic, idle) = match workload.pacing {
        Pacing::Silent => (None, Some(measure_idle(&mut load, process, workload.duration)?)),
        _ => (Some(measure_traffic(&mut load, process, workload)?), None),
    };
    Ok(Metrics {
        traffic,
        idle,
        bytes_per_member: member_bytes / workload.connections() as f64,
        bytes_per_member_with_history: None,
        join_seconds: load.join_time.as_secs_f64(),
        join_cpu_seconds: join_cpu.as_secs_f64(),
        threads: process.threads()?,
        peak_bytes: process.peak_resident()?,
        stalled_bytes: None,
        check: load.check(),
    })
}

/// Sends as many lines to smolchat as its history has, from a member that then leaves.
fn fill_history(addr: SocketAddr, workload: &Workload) -> io::Result<()> {
    let mut socket = TcpStream::connect(addr)?;
    let text = "x".repeat(workload.line_bytes);
    for _ in 0..workload.history {
        socket.write_all(format!("{text}\n").as_bytes())?;
    }
    socket.write_all(b"/quit\n")?;
    for line in BufReader::new(socket).lines() {
        line?;
    }
    Ok(())
}

fn measure_idle(
    load: &mut LoadGenerator,
    process: Process,
    duration: Duration,
) -> io::Result<IdleMetrics> {
    let (wakeups, cpu) = (process.wakeups()?, process.cpu()?);
    load.idle(duration)?;
    let seconds = duration.as_secs_f64();
    Ok(IdleMetrics {
        wakeups_per_second: (process.wakeups()? - wakeups) as f64 / seconds,
        cpu_us_per_second: (process.cpu()? - cpu).as_secs_f64() * 1e6 / seconds,
    })
}

fn measure_traffic(
    load: &mut LoadGenerator,
    process: Process,
    workload: &Workload,
) -> io::Result<TrafficMetrics> {
    load.send(workload.pacing, WARM_UP, workload.max_lines / 10)?;
    measure_window(load, process, workload)
}

/// Measures while the members send for the duration of a workload.
pub fn measure_window(
    load: &mut LoadGenerator,
    process: Process,
    workload: &Workload,
) -> io::Result<TrafficMetrics> {
    let cpu = process.cpu()?;
    let counters = load.send(workload.pacing, workload.duration, workload.max_lines)?;
    let cpu = process.cpu()? - cpu;
    let deliveries = counters.deliveries.max(1) as f64;
    Ok(TrafficMetrics {
        deliveries: counters.deliveries,
        seconds: (counters.last_delivery - counters.start) as f64 / 1e9,
        cpu_ns_per_delivery: cpu.as_nanos() as f64 / deliveries,
        frame_bytes: counters.bytes as f64 / deliveries,
        lines_per_read: counters.deliveries as f64 / counters.reads.max(1) as f64,
        latency: [0.5, 0.99, 0.999].map(|q| counters.latency.value_at_quantile(q)),
    })
}
