//! The cost of a delivery to a member of another kind, compared with that of a plain one.
//!
//! Two rooms send in turn, in short windows: one has plain members, the other one members over
//! WebSocket or IRC clients. So the ratio of their costs depends less on other load than that of
//! two rows of the table.

use std::io;
use std::path::Path;

use crate::harness::server::Server;
use crate::load::LoadGenerator;
use crate::run::measure_window;
use crate::system::System;
use crate::workload::Workload;

/// Pairs of windows. In two rooms of the same kind, the median of their ratios was 0.97 to 1.05.
const PAIRS: u32 = 40;

/// A server with its members.
struct Room {
    server: Server,
    load: LoadGenerator,
}

impl Room {
    fn start(system: System, program: &Path, workload: &Workload) -> io::Result<Self> {
        let server = system.start(program)?;
        let load = LoadGenerator::join(system, server.addr, workload, workload.line_bytes)?;
        Ok(Self { server, load })
    }

    /// Sends for one window, and returns the CPU nanoseconds of the server per delivery.
    fn cost(&mut self, workload: &Workload) -> io::Result<f64> {
        let traffic = measure_window(&mut self.load, self.server.process(), workload)?;
        Ok(traffic.cpu_ns_per_delivery)
    }
}

/// Returns the CPU time of a delivery of `system` as a multiple of that of a plain one: the median
/// over all pairs of windows.
///
/// # Errors
///
/// Returns an error if a room did not deliver each line once and in one order.
pub fn ratio_to_plain(system: System, program: &Path, workload: &Workload) -> io::Result<f64> {
    let window = Workload { duration: workload.duration / PAIRS, ..workload.clone() };
    let mut plain = Room::start(System::Smolchat, program, workload)?;
    let mut other = Room::start(system, program, workload)?;
    let mut ratios = Vec::new();
    for pair in 0..PAIRS {
        // Each room is the first one in half of the pairs.
        ratios.push(if pair % 2 == 0 {
            let plain = plain.cost(&window)?;
            other.cost(&window)? / plain
        } else {
            let other = other.cost(&window)?;
            other / plain.cost(&window)?
        });
    }
    for room in [&plain, &other] {
        if !room.load.check().is_as_promised() {
            return Err(io::Error::other("smolchat did not deliver each line once, in one order"));
        }
    }
    ratios.sort_by(f64::total_cmp);
    Ok(ratios[ratios.len() / 2])
}
