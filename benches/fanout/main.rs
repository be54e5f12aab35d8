//! The bench: does the same work on smolchatd, on two yardsticks and on its peers, in turn within
//! one run, and compares what it costs them.
//!
//! # Layout
//!
//! - [`options`] reads the command line, [`workload`] is the table of what can be done;
//! - [`system`] describes each server: its start, its hello, its frames. [`peers`] has their
//!   configurations, [`floor`] and [`naive`] are the two yardsticks, servers of our own, which run
//!   as processes of their own by starting this program again with another first argument;
//! - [`run`] does one work on one system: [`harness`] starts the server, [`load`] is the load
//!   generator with all the members, [`payload`] what they say, [`counters`] what they got,
//!   and reads what the kernel says about it;
//! - [`report`] prints it.
//!
//! The figure to trust on a noisy machine is CPU time of the server a delivery, and of that the
//! ratio to the floor within one run.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench that is wrong about its own tables is to stop at once, not to go on"
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

use crate::harness::process;
use crate::harness::server::raise_descriptor_limit;
use crate::options::{HELP, Options};
use crate::report::{SystemResult, WorkloadReport};
use crate::run::{Metrics, run};
use crate::system::System;
use crate::workload::Workload;

/// Descriptors that a process needs beside those of the members.
const OTHER_DESCRIPTORS: u64 = 100;

fn main() -> ExitCode {
    if let Some(argument) = env::args().nth(1)
        && let Err(error) = system::run_baseline(&argument)
    {
        eprintln!("fanout: {argument}: {error}");
        return ExitCode::FAILURE;
    }
    let options = match Options::parse() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("fanout: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    if options.help {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    if !options.bench {
        println!("fanout: nothing to test; `cargo bench` runs it");
        return ExitCode::SUCCESS;
    }
    match bench(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!(
                "fanout: smolchat failed, or did not deliver each line once and in one order"
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("fanout: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does everything, and says whether smolchat kept its promises.
fn bench(options: &Options) -> io::Result<bool> {
    let descriptors = raise_descriptor_limit()?;
    let room =
        usize::try_from(descriptors.saturating_sub(OTHER_DESCRIPTORS)).map_err(io::Error::other)?;
    let cpu_clock =
        if process::has_schedstat() { "/proc/PID/task/*/schedstat" } else { "/proc/PID/stat" };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel = kernel.trim();
    let cpus = thread::available_parallelism()?;
    println!("Linux {kernel}, {cpus} CPUs; CPU time of the servers from {cpu_clock}\n");

    let mut reports = Vec::new();
    let mut passed = true;
    for workload in &options.workload {
        let scaled = workload.scaled_to(room);
        if scaled.members < workload.members {
            println!("{}: scaled down to {descriptors} descriptors", workload.name);
        }
        let report = WorkloadReport { results: compare(options, &scaled), workload: scaled };
        println!("{}", report.table());
        passed &= report.results.iter().all(smolchat_passed);
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
    Ok(passed)
}

/// Writes the report, into a directory that need not be there yet.
fn write_json(path: &Path, report: &Value) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, format!("{report:#}\n"))
}

/// One work on all systems in turn, as many rounds as asked for.
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

/// Whether this is not about smolchat, or it did what it promises.
fn smolchat_passed(result: &SystemResult) -> bool {
    result.system != System::Smolchat
        || result.outcome.as_ref().is_ok_and(|it| it.check.is_complete() && it.check.one_order)
}
