//! The measurements, with their limits.

use std::io;
use std::time::Duration;

use crate::load::Pacing;
use crate::options::Options;
use crate::report::Report;
use crate::room::{NODES, Room, Servers, Window};

/// A measurement.
#[derive(Clone, Copy)]
pub struct Work {
    /// Name on the command line and in the report.
    pub name: &'static str,
    /// Purpose, for the report.
    pub purpose: &'static str,
    /// Runs the work and prints its figures.
    pub run: fn(&Options, &mut Report) -> io::Result<()>,
}

/// All works, in the order in which they run.
pub const WORKS: [Work; 6] = [
    Work { name: "latency", purpose: "12 members, 200 lines a second", run: latency },
    Work { name: "cost", purpose: "200 members at each node, a flood of lines", run: cost },
    Work { name: "total", purpose: "600 members at one node and at three, a flood", run: total },
    Work {
        name: "throughput",
        purpose: "20,000 lines a second, 6 members, three replicas",
        run: throughput,
    },
    Work { name: "idle", purpose: "12 silent members, three replicas", run: idle },
    Work { name: "faults", purpose: "12 members, 100 lines a second, three replicas", run: faults },
];

/// The duration of a window.
const WINDOW: Duration = Duration::from_secs(1);
/// The time after a fault: longer than an election, and than the lease of a node.
const AFTER_FAULT: Duration = Duration::from_secs(15);
/// The rate of the work `throughput`.
const LINES_PER_SECOND: u32 = 20_000;
/// A longest pause that is none: shorter than an election or a lease by far.
const NO_PAUSE: f64 = 0.5;

/// Microseconds of CPU time for a line that a node may take in addition.
const LINE_US: f64 = 2.0;

/// Compares the time from sending a line to its delivery.
fn latency(options: &Options, report: &mut Report) -> io::Result<()> {
    let pacing = Pacing::PerSecond(200);
    let kinds = [Servers::Single, Servers::Cluster(1), Servers::Cluster(3)];
    let windows = windows(options, &kinds, 12, pacing)?;
    let [single, one, three] = [0, 1, 2].map(|room| {
        [|window: &Window| window.p50, |window: &Window| window.p99]
            .map(|figure| median(windows.iter().map(|windows| figure(&windows[room]))))
    });
    for (name, [p50, p99]) in
        [("a single node", single), ("one replica", one), ("three replicas", three)]
    {
        report.figure(&format!("said to heard, {name}, p50"), p50, "ms");
        report.figure(&format!("said to heard, {name}, p99"), p99, "ms");
    }
    for (name, room, limit) in [("one replica", 1, 5.0), ("three replicas", 2, 12.0)] {
        let ratio = |figure: fn(&Window) -> f64| {
            median(windows.iter().map(|it| figure(&it[room]) / figure(&it[0])))
        };
        report.at_most(&format!("{name}, p50"), ratio(|it| it.p50), "x single node", limit);
        report.figure(&format!("{name}, p99"), ratio(|it| it.p99), "x single node");
    }
    Ok(())
}

/// Compares the CPU time of a delivery, at nodes with as many members each.
fn cost(options: &Options, report: &mut Report) -> io::Result<()> {
    const MEMBERS: usize = 200;
    let pacing = Pacing::InFlight(64);
    let mut single = Room::start(&options.smolchatd, Servers::Single, MEMBERS)?;
    let mut cluster = Room::start(&options.smolchatd, Servers::Cluster(3), NODES * MEMBERS)?;
    let windows = in_turn(options, &mut [&mut single, &mut cluster], pacing)?;
    let cost = |window: &Window| 1000.0 * window.cpu_us / window.deliveries;
    let per_line = 1000.0 * LINE_US / MEMBERS as f64;
    let ratio = |it: &Vec<Window>| cost(&it[1]) / (1.1 * cost(&it[0]) + per_line);
    report.figure("CPU time a delivery, a single node", median_of(&windows, 0, cost), "ns");
    report.figure("CPU time a delivery, three nodes", median_of(&windows, 1, cost), "ns");
    report.at_most(
        "of 1.1 x single node + 2 us a line",
        median(windows.iter().map(ratio)),
        "x",
        1.0,
    );
    Ok(())
}

/// Compares the deliveries of rooms with the same number of members.
fn total(options: &Options, report: &mut Report) -> io::Result<()> {
    let kinds = [Servers::Single, Servers::Cluster(3)];
    let windows = windows(options, &kinds, 600, Pacing::InFlight(64))?;
    let rate = |window: &Window| window.deliveries / window.seconds;
    let by_cpu = |window: &Window| window.deliveries / window.cpu_us;
    report.figure("deliveries, a single node", median_of(&windows, 0, rate), "a second");
    report.figure("deliveries, three nodes", median_of(&windows, 1, rate), "a second");
    let ratio = |figure: fn(&Window) -> f64| {
        median(windows.iter().map(|it| figure(&it[1]) / figure(&it[0])))
    };
    report.at_least("deliveries for the same CPU time", ratio(by_cpu), "x single node", 0.9);
    // The members and the NATS servers need CPUs, too.
    if crate::cpus()? >= 8 {
        report.at_least("deliveries in the same time", ratio(rate), "x single node", 2.5);
    } else {
        report.figure("deliveries in the same time", ratio(rate), "x single node");
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
    report.figure("said to heard, p50", window.p50, "ms");
    report.figure("said to heard, p99", window.p99, "ms");
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

/// Starts rooms with the same number of members, and lets them send in turn.
fn windows(
    options: &Options,
    kinds: &[Servers],
    members: usize,
    pacing: Pacing,
) -> io::Result<Vec<Vec<Window>>> {
    let rooms = kinds.iter().map(|kind| Room::start(&options.smolchatd, *kind, members));
    let mut rooms = rooms.collect::<io::Result<Vec<_>>>()?;
    in_turn(options, &mut rooms.iter_mut().collect::<Vec<_>>(), pacing)
}

/// Lets rooms send in turn, and returns the windows of each round. So the ratios of the rooms
/// depend less on other load than two measurements, one after another.
fn in_turn(
    options: &Options,
    rooms: &mut [&mut Room],
    pacing: Pacing,
) -> io::Result<Vec<Vec<Window>>> {
    for room in &mut *rooms {
        room.warm_up(pacing)?;
    }
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

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
