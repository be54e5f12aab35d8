//! The measurements, with their limits.

use std::io;
use std::time::Duration;

use crate::load::Pacing;
use crate::options::Options;
use crate::report::Report;
use crate::room::{NODES, Room, Servers, Window};

/// A measurement.
#[derive(Clone, Copy)]
pub struct Workload {
    /// Name on the command line and in the report.
    pub name: &'static str,
    /// Purpose, for the report.
    pub purpose: &'static str,
    /// Runs the workload and prints its figures.
    pub run: fn(&Options, &mut Report) -> io::Result<()>,
}

/// All workloads, in the order in which they run.
pub const WORKLOADS: [Workload; 6] = [
    Workload { name: "latency", purpose: "12 members, 200 lines a second", run: latency },
    Workload { name: "cost", purpose: "200 members at each node, three replicas", run: cost },
    Workload {
        name: "total",
        purpose: "600 members at one node and at three, three replicas",
        run: total,
    },
    Workload {
        name: "throughput",
        purpose: "20,000 lines a second, 6 members, three replicas",
        run: throughput,
    },
    Workload { name: "idle", purpose: "12 silent members, three replicas", run: idle },
    Workload {
        name: "faults",
        purpose: "12 members, 100 lines a second, three replicas",
        run: faults,
    },
];

/// The duration of a window.
const WINDOW: Duration = Duration::from_secs(1);
/// The time after a fault: longer than an election, and than the lease of a node.
const AFTER_FAULT: Duration = Duration::from_secs(15);
/// The rate of the workload `throughput`.
const LINES_PER_SECOND: u32 = 20_000;
/// The longest pause in seconds that counts as none: far shorter than an election or a lease.
const NO_PAUSE: f64 = 1.0;

/// Microseconds of CPU time for a line that a node may take in addition.
const LINE_US: f64 = 2.0;

/// Compares the time from sending a line to its delivery.
fn latency(options: &Options, report: &mut Report) -> io::Result<()> {
    let start = |servers| Room::start(&options.smolchatd, servers, 12);
    let mut single = start(Servers::Single)?;
    let (mut one, mut three) = (start(Servers::Cluster(1))?, start(Servers::Cluster(3))?);
    let rooms = &mut [&mut single, &mut one, &mut three];
    let windows = in_turn(options, rooms, Pacing::PerSecond(200))?;
    for (room, name, limit) in [
        (0, "a single node", None),
        (1, "one replica", Some(5.0)),
        (2, "three replicas", Some(12.0)),
    ] {
        let (p50, p99) = (|window: &Window| window.p50, |window: &Window| window.p99);
        report.figure(&format!("{name}, p50"), median_of(&windows, room, p50), "ms");
        report.figure(&format!("{name}, p99"), median_of(&windows, room, p99), "ms");
        if let Some(limit) = limit {
            let ratio = median(windows.iter().map(|it| it[room].p50 / it[0].p50));
            report.at_most(&format!("{name}, p50"), ratio, "x single node", limit);
            let ratio = median(windows.iter().map(|it| it[room].p99 / it[0].p99));
            report.figure(&format!("{name}, p99"), ratio, "x single node");
        }
    }
    Ok(())
}

/// Compares the CPU time of a delivery at the same rate, at nodes with as many members each.
fn cost(options: &Options, report: &mut Report) -> io::Result<()> {
    const MEMBERS: usize = 200;
    let mut single = Room::start(&options.smolchatd, Servers::Single, MEMBERS)?;
    let mut cluster = Room::start(&options.smolchatd, Servers::Cluster(3), NODES * MEMBERS)?;
    let cost = |window: &Window| 1000.0 * window.cpu_us / window.deliveries;
    let limit = |single: &Window| 1.1 * cost(single) + 1000.0 * LINE_US / MEMBERS as f64;
    for rate in [100, 1000] {
        let rooms = &mut [&mut single, &mut cluster];
        let windows = in_turn(options, rooms, Pacing::PerSecond(rate))?;
        let ratio = |it: &Vec<Window>| cost(&it[1]) / limit(&it[0]);
        let name = format!("{rate} lines a second, CPU time a delivery");
        report.figure(&format!("{name}, a single node"), median_of(&windows, 0, cost), "ns");
        report.figure(&format!("{name}, three nodes"), median_of(&windows, 1, cost), "ns");
        let ratio = median(windows.iter().map(ratio));
        report.at_most("to 1.1 x single node + 2 us a line", ratio, "x", 1.0);
    }
    Ok(())
}

/// Compares the deliveries of rooms with the same number of members: by CPU time at the same rate,
/// because larger batches cost less, and by time in a flood.
fn total(options: &Options, report: &mut Report) -> io::Result<()> {
    const MEMBERS: usize = 600;
    let start = |servers| Room::start(&options.smolchatd, servers, MEMBERS);
    let (mut single, mut cluster) = (start(Servers::Single)?, start(Servers::Cluster(3))?);
    let rooms = &mut [&mut single, &mut cluster];
    let by_cpu = |window: &Window| window.deliveries / window.cpu_us;
    let by_time = |window: &Window| window.deliveries / window.seconds;
    let windows = in_turn(options, rooms, Pacing::PerSecond(100))?;
    let ratio = ratio_of(&windows, by_cpu);
    report.at_least("100 lines a second, for the same CPU time", ratio, "x single node", 0.9);
    let windows = in_turn(options, rooms, Pacing::InFlight(64))?;
    report.figure("flood, a single node", median_of(&windows, 0, by_time), "deliveries/s");
    report.figure("flood, three nodes", median_of(&windows, 1, by_time), "deliveries/s");
    let ratio = ratio_of(&windows, by_cpu);
    report.figure("flood, for the same CPU time", ratio, "x single node");
    let ratio = ratio_of(&windows, by_time);
    // The members and the NATS servers need CPUs, too.
    if crate::cpus()? >= 8 {
        report.at_least("flood, in the same time", ratio, "x single node", 2.5);
    } else {
        report.figure("flood, in the same time", ratio, "x single node");
    }
    Ok(())
}

/// Sends many lines by the clock.
fn throughput(options: &Options, report: &mut Report) -> io::Result<()> {
    let pacing = Pacing::PerSecond(LINES_PER_SECOND);
    let mut room = Room::start(&options.smolchatd, Servers::Cluster(3), 6)?;
    room.warm_up(pacing)?;
    let window = room.window(pacing, WINDOW * options.rounds)?;
    room.check()?;
    let rate = window.lines / window.seconds;
    report.at_least(
        "lines, none lost, in one order",
        rate,
        "a second",
        0.97 * f64::from(LINES_PER_SECOND),
    );
    report.figure("from sending to receiving, p50", window.p50, "ms");
    report.figure("from sending to receiving, p99", window.p99, "ms");
    report.figure("CPU time a line and node", window.cpu_us / window.lines / NODES as f64, "us");
    Ok(())
}

/// Measures nodes whose members are silent.
fn idle(options: &Options, report: &mut Report) -> io::Result<()> {
    let mut room = Room::start(&options.smolchatd, Servers::Cluster(3), 12)?;
    let duration = WINDOW * options.rounds;
    let figures = |room: &Room| {
        let processes = room.nodes.iter().map(|node| node.process());
        processes.map(|it| Ok((it.cpu()?, it.wakeups()?))).collect::<io::Result<Vec<_>>>()
    };
    let before = figures(&room)?;
    room.load.idle(duration)?;
    let after = figures(&room)?;
    let (mut cpu, mut wakeups) = (Duration::ZERO, 0);
    for (before, after) in before.iter().zip(&after) {
        cpu = cpu.max(after.0 - before.0);
        wakeups = wakeups.max(after.1 - before.1);
    }
    let seconds = duration.as_secs_f64();
    report.at_most("CPU time of a node", 100.0 * cpu.as_secs_f64() / seconds, "% of a core", 0.5);
    report.figure("wake-ups of a node", wakeups as f64 / seconds, "a second");
    Ok(())
}

/// Kills the leader of the log, and then a node.
fn faults(options: &Options, report: &mut Report) -> io::Result<()> {
    let pacing = Pacing::PerSecond(100);
    let mut room = Room::start(&options.smolchatd, Servers::Cluster(3), 12)?;
    room.window(pacing, WINDOW)?;
    report.figure("longest pause without a fault", pause(&room, NODES), "s");
    room.kill_leader()?;
    room.window(pacing, AFTER_FAULT)?;
    room.check()?;
    report.at_most("longest pause, the leader of the log killed", pause(&room, NODES), "s", 10.0);
    room.kill_node()?;
    room.window(pacing, AFTER_FAULT)?;
    let others = pause(&room, NODES - 1);
    report.at_most("longest pause of the others, a node killed", others, "s", NO_PAUSE);
    Ok(())
}

fn pause(room: &Room, nodes: usize) -> f64 {
    room.load.longest_pause(nodes).as_secs_f64()
}

/// Lets rooms send in turn, and returns the windows of each round. The ratios of the rooms depend
/// less on other load than with one room after another.
fn in_turn(
    options: &Options,
    rooms: &mut [&mut Room],
    pacing: Pacing,
) -> io::Result<Vec<Vec<Window>>> {
    rooms.iter_mut().try_for_each(|room| room.warm_up(pacing))?;
    let mut windows = Vec::new();
    for _ in 0..options.rounds {
        let round = rooms.iter_mut().map(|room| room.window(pacing, WINDOW));
        windows.push(round.collect::<io::Result<Vec<_>>>()?);
    }
    rooms.iter().try_for_each(|room| room.check())?;
    Ok(windows)
}

/// Returns the median of a figure of one room over all rounds.
fn median_of(windows: &[Vec<Window>], room: usize, figure: impl Fn(&Window) -> f64) -> f64 {
    median(windows.iter().map(|it| figure(&it[room])))
}

/// Returns the median of the ratios of a figure of the second room to that of the first.
fn ratio_of(windows: &[Vec<Window>], figure: impl Fn(&Window) -> f64) -> f64 {
    median(windows.iter().map(|it| figure(&it[1]) / figure(&it[0])))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
