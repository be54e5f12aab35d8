//! The command line of the cluster bench.

use std::path::PathBuf;

use lexopt::prelude::*;

use crate::harness::cli::Invocation;
use crate::workloads::{WORKLOADS, Workload};

/// Text of `--help`.
pub const HELP: &str = "\
Runs rooms on several nodes beside one on a single node, and compares them. Needs nats-server.

cargo bench --features cluster --bench cluster -- [OPTIONS]

  --quick             run a third of the rounds
  --work NAME,...     run only these: latency, cost, total, throughput, idle, faults
  --smolchatd PATH    measure this smolchatd instead of the one built with this program
";

/// The options of the bench.
pub struct Options {
    /// The workloads to run.
    pub workloads: Vec<Workload>,
    /// The smolchatd to measure.
    pub smolchatd: PathBuf,
    /// How often each workload compares its rooms.
    pub rounds: u32,
}

impl Options {
    /// Parses the command line.
    pub fn parse() -> Result<Invocation<Self>, lexopt::Error> {
        let mut options = Self {
            workloads: WORKLOADS.to_vec(),
            smolchatd: env!("CARGO_BIN_EXE_smolchatd").into(),
            rounds: 15,
        };
        let (mut is_bench, mut is_help) = (false, false);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("bench") => is_bench = true,
                Long("help") | Short('h') => is_help = true,
                Long("quick") => options.rounds /= 3,
                Long("work") => options.workloads = select(&parser.value()?.string()?)?,
                Long("smolchatd") => options.smolchatd = parser.value()?.into(),
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(Invocation::new(is_bench, is_help, options))
    }
}

/// Returns the workloads with these names.
fn select(names: &str) -> Result<Vec<Workload>, lexopt::Error> {
    let find = |name: &str| WORKLOADS.iter().find(|workload| workload.name == name).copied();
    names
        .split(',')
        .map(|name| {
            let known = || WORKLOADS.map(|workload| workload.name).join(", ");
            find(name).ok_or_else(|| format!("unknown name {name:?}: expected {}", known()).into())
        })
        .collect()
}
