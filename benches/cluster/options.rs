//! The command line of the cluster bench.

use std::path::PathBuf;

use lexopt::prelude::*;

use crate::harness::cli::Invocation;
use crate::works::{WORKS, Work};

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
    /// The works to run.
    pub works: Vec<Work>,
    /// The smolchatd to measure.
    pub smolchatd: PathBuf,
    /// How often each work compares its rooms.
    pub rounds: u32,
}

impl Options {
    /// Parses the command line.
    pub fn parse() -> Result<Invocation<Self>, lexopt::Error> {
        let mut options = Self {
            works: WORKS.to_vec(),
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
                Long("work") => options.works = select(&parser.value()?.string()?)?,
                Long("smolchatd") => options.smolchatd = parser.value()?.into(),
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(Invocation::new(is_bench, is_help, options))
    }
}

/// Returns the works with these names.
fn select(names: &str) -> Result<Vec<Work>, lexopt::Error> {
    let find = |name: &str| WORKS.iter().find(|work| work.name == name).copied();
    names
        .split(',')
        .map(|name| {
            let known = || WORKS.map(|work| work.name).join(", ");
            find(name).ok_or_else(|| format!("unknown name {name:?}: expected {}", known()).into())
        })
        .collect()
}
