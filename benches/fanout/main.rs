//! The fan-out bench: runs the same workloads on smolchatd, two baselines and other chat servers,
//! in turn within one run, and compares their CPU time, latency and memory.
//!
//! # Layout
//!
//! - [`options`] parses the command line, and [`workload`] is the table of workloads;
//! - [`system`] describes each server: how it starts, how a member joins, how a line is framed.
//!   [`peers`] has the configurations of the other servers, and `ws_room.js` is one of them;
//!   `secure` has those of servers with TLS;
//!   [`floor`] and [`naive`] are the two baselines, for which this program starts itself with
//!   another first argument;
//! - [`run`] runs one workload on one system: [`load`] is the load generator, [`payload`] the lines
//!   that it sends, and [`counters`] counts what the members receive;
//! - [`paired`] compares the cost of a delivery over WebSocket, over TLS, and of one to an IRC
//!   client, with that of a plain one;
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
mod paired;
mod payload;
mod peers;
mod report;
mod run;
#[cfg(feature = "tls")]
mod secure;
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
use crate::paired::ratio_to_plain;
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
    let code = cli::run("fanout", HELP, Options::parse(), |options| bench(&options));
    #[cfg(feature = "tls")]
    secure::remove_certificate();
    code
}

/// Runs all workloads on all systems.
///
/// # Errors
///
/// Returns an error if smolchat failed, delivered anything but each line once and in one order, or
/// is over [`System::max_ratio`] or [`System::max_member_bytes`].
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
    let mut failures = Vec::new();
    for workload in &options.workloads {
        let scaled = workload.scaled_to(max_connections);
        if scaled.members < workload.members {
            println!("{}: scaled down to {descriptors} descriptors", workload.name);
        }
        let report = WorkloadReport {
            results: compare(options, &scaled),
            ratios: compare_in_turn(options, &scaled, max_connections)?,
            workload: scaled,
        };
        println!("{}", report.table());
        failures.extend(failures_of(&report));
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
    if failures.is_empty() { Ok(()) } else { Err(io::Error::other(failures.join("\nfanout: "))) }
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

/// Compares the deliveries of the other kinds of members with plain ones, if the workload has any
/// and both systems are measured.
fn compare_in_turn(
    options: &Options,
    workload: &Workload,
    max_connections: usize,
) -> io::Result<Vec<(System, f64)>> {
    let is_measured = options.systems.contains(&System::Smolchat);
    let has_deliveries = workload.senders > 0 && workload.stalled == 0;
    let Some(program) = System::Smolchat
        .program(options.smolchatd.as_deref())
        .filter(|_| is_measured && has_deliveries)
    else {
        return Ok(Vec::new());
    };
    // Both rooms exist at the same time.
    let workload = workload.scaled_to(max_connections / 2);
    let others = options.systems.iter().filter(|system| system.max_ratio(&workload).is_some());
    others
        .map(|&system| {
            eprintln!("{}: smolchat and {} in turn ...", workload.name, system.name());
            Ok((system, ratio_to_plain(system, &program, &workload)?))
        })
        .collect()
}

/// Returns a message for each result of smolchat that is an error or not as promised, and for a
/// ratio over its limit.
fn failures_of(report: &WorkloadReport) -> Vec<String> {
    let work = report.workload.name;
    let mut failures = Vec::new();
    for result in report.results.iter().filter(|result| result.system.is_smolchat()) {
        let system = result.system.name();
        match &result.outcome {
            Err(error) => failures.push(format!("{work}: {system}: {error}")),
            Ok(metrics) if !metrics.check.is_as_promised() => failures
                .push(format!("{work}: {system} did not deliver each line once and in one order")),
            Ok(metrics) => {
                let bytes = metrics.bytes_per_member;
                let max = result.system.max_member_bytes(&report.workload);
                if let Some(max) = max.filter(|&max| bytes > max) {
                    failures.push(format!(
                        "{work}: {system}: a member takes {bytes:.0} bytes, more than {max}"
                    ));
                }
            }
        }
    }
    for (system, ratio) in &report.ratios {
        if let Some(max) = system.max_ratio(&report.workload).filter(|max| ratio > max) {
            failures.push(format!(
                "{work}: a delivery of {} costs {ratio:.3} times a plain one, more than {max}",
                system.name()
            ));
        }
    }
    failures
}
