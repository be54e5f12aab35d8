//! The fan-out bench: runs the same workloads on smolchatd, two baselines and other chat servers,
//! in turn within one run, and compares their CPU time, latency and memory.
//!
//! # Layout
//!
//! - [`options`] parses the command line, and [`workload`] is the table of workloads;
//! - [`system`] describes each server: how it starts, how a member joins, how a line is framed.
//!   [`peers`] has the configurations of the other servers; [`floor`] and [`naive`] are the two
//!   baselines, for which this program starts itself with another first argument;
//! - [`run`] runs one workload on one system: [`load`] is the load generator, [`payload`] the lines
//!   that it sends, and [`counters`] counts what the members receive;
//! - [`report`] prints the results;
//! - [`harness`] is shared with the other benches.
//!
//! On a noisy machine, the most reliable figure is the server's CPU time per delivery, as a ratio
//! to that of the floor in the same run.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench with an error in its own tables must stop at once"
)]

mod counters;
mod floor;
#[path = "../harness/mod.rs"]
mod harness;
mod load;
mod naive;
mod options;
mod payload;
mod peers;
mod report;
mod run;
mod system;
mod workload;

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use serde_json::{Value, json};

use crate::harness::cli;
use crate::harness::process::has_schedstat;
use crate::harness::server::raise_descriptor_limit;
use crate::options::{HELP, Options};
use crate::report::{SystemResult, WorkloadReport};
use crate::run::{Metrics, run};
use crate::system::System;
use crate::workload::Workload;

/// Descriptors that a process needs in addition to those of the members.
const OTHER_DESCRIPTORS: u64 = 100;

fn main() -> ExitCode {
    if let Some(argument) = env::args().nth(1)
        && let Err(error) = system::run_baseline(&argument)
    {
        eprintln!("fanout: {argument}: {error}");
        return ExitCode::FAILURE;
    }
    cli::run("fanout", HELP, Options::parse(), |options| bench(&options))
}

/// Runs all workloads on all systems.
///
/// # Errors
///
/// Returns an error if smolchat failed or delivered anything but each line once and in one order.
fn bench(options: &Options) -> io::Result<()> {
    let descriptors = raise_descriptor_limit()?;
    let max_connections =
        usize::try_from(descriptors.saturating_sub(OTHER_DESCRIPTORS)).map_err(io::Error::other)?;
    let cpu_clock = if has_schedstat() { "/proc/PID/task/*/schedstat" } else { "/proc/PID/stat" };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel = kernel.trim();
    let cpus = thread::available_parallelism()?;
    println!("Linux {kernel}, {cpus} CPUs; CPU time of the servers from {cpu_clock}\n");

    let mut reports = Vec::new();
    let mut has_passed = true;
    for workload in &options.workloads {
        let scaled = workload.scaled_to(max_connections);
        if scaled.members < workload.members {
            println!("{}: scaled down to {descriptors} descriptors", workload.name);
        }
        let report = WorkloadReport { results: compare(options, &scaled), workload: scaled };
        println!("{}", report.table());
        has_passed &= report.results.iter().all(smolchat_passed);
        reports.push(report.json());
    }
    let report = json!({
        "kernel": kernel,
        "cpus": cpus.get(),
        "cpu_clock": cpu_clock,
        "rounds": options.rounds,
        "work": reports,
    });
    write_json(&options.json, &report)
        .map_err(|error| io::Error::other(format!("{}: {error}", options.json.display())))?;
    if has_passed {
        return Ok(());
    }
    Err(io::Error::other("smolchat failed, or did not deliver each line once and in one order"))
}

/// Writes the report, and creates its directory if it is missing.
fn write_json(path: &Path, report: &Value) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, format!("{report:#}\n"))
}

/// Runs one workload on all systems in turn, for all rounds.
fn compare(options: &Options, workload: &Workload) -> Vec<SystemResult> {
    let mut rounds: Vec<Vec<Metrics>> = vec![Vec::new(); options.systems.len()];
    let mut failures: Vec<Option<String>> = vec![None; options.systems.len()];
    let mut frame = None;
    for _ in 0..options.rounds {
        for (number, &system) in options.systems.iter().enumerate() {
            if failures[number].is_some() {
                continue;
            }
            let Some(program) = system.program(options.smolchatd.as_deref()) else {
                failures[number] = Some("not found on this machine".to_owned());
                continue;
            };
            eprintln!("{}: {} ...", workload.name, system.name());
            match run(system, &program, workload, frame) {
                Ok(metrics) => {
                    if system == System::Smolchat {
                        let traffic = metrics.traffic.as_ref();
                        frame = traffic.map(|traffic| traffic.frame_bytes.round() as usize);
                    }
                    rounds[number].push(metrics);
                }
                Err(error) => failures[number] = Some(error.to_string()),
            }
        }
    }
    let results = options.systems.iter().zip(rounds).zip(failures);
    results
        .map(|((&system, rounds), failure)| SystemResult {
            system,
            outcome: match failure {
                Some(failure) => Err(failure),
                None => Metrics::median(rounds).ok_or_else(|| "nothing was measured".to_owned()),
            },
        })
        .collect()
}

/// Returns false for a result of smolchat with an error or a delivery that was not as promised.
fn smolchat_passed(result: &SystemResult) -> bool {
    result.system != System::Smolchat
        || result.outcome.as_ref().is_ok_and(|it| it.check.is_complete() && it.check.one_order)
}
