//! The cluster bench: runs rooms on several nodes beside one on a single node without a log, in turn
//! within one run, and compares latency, CPU time, throughput and pauses.
//!
//! # Layout
//!
//! - [`options`] parses the command line;
//! - [`workloads`] has the measurements and their limits, and [`report`] prints the figures;
//! - [`room`] starts the nodes and the members of a room;
//! - [`load`] is the load generator. The lines that it sends and the counters of what the members
//!   receive are those of the fan-out bench;
//! - [`harness`] is shared with the other benches, and starts the NATS servers.
//!
//! The NATS servers have their files in the directory for temporary files: with `TMPDIR=/dev/shm`,
//! no disk is measured.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench with an error in its own tables must stop at once"
)]

#[path = "../fanout/counters.rs"]
mod counters;
#[path = "../harness/mod.rs"]
mod harness;
mod load;
mod options;
#[path = "../fanout/payload.rs"]
mod payload;
mod report;
mod room;
mod workloads;

use std::io;
use std::process::ExitCode;
use std::thread;

use crate::harness::cli;
use crate::harness::server::raise_descriptor_limit;
use crate::options::{HELP, Options};
use crate::report::Report;

fn main() -> ExitCode {
    cli::run("cluster", HELP, Options::parse(), |options| bench(&options))
}

/// Runs the workloads and prints their figures.
///
/// # Errors
///
/// Returns an error if a workload failed, or a figure is over its limit.
fn bench(options: &Options) -> io::Result<()> {
    raise_descriptor_limit()?;
    println!("{} CPUs; the ratios compare a cluster with a single node\n", cpus()?);
    let mut report = Report::default();
    for workload in &options.workloads {
        eprintln!("{} ...", workload.name);
        println!("{}: {}", workload.name, workload.purpose);
        (workload.run)(options, &mut report)?;
        println!();
    }
    report.result()
}

/// Returns the number of CPUs.
fn cpus() -> io::Result<usize> {
    Ok(thread::available_parallelism()?.get())
}
