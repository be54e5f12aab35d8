//! The command line of the fan-out benchmark.

use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use crate::harness::cli::Invocation;
use crate::system::System;
use crate::workload::{WORKLOADS, Workload};

/// Text of `--help`.
pub const HELP: &str = "\
Runs the same workloads on smolchatd, two baselines and other servers, and compares the cost.

cargo bench --bench fanout -- [OPTIONS]

  --peers             add redis-server, ngircd, mosquitto, nats-server and a room on Node's ws, if
                      installed
  --quick             run each workload for a third of its time
  --rounds N          run everything N times and report the median by CPU time [1]
  --seconds S         run each workload for S seconds instead of its own time
  --work NAME,...     run only these: flood, flood-1k, flood-8k, paced, big, join, idle, restart,
                      stall
  --system NAME,...   run only these: smolchat, smolchat-ws, smolchat-irc, tls (in a build with the
                      feature tls), floor, naive, redis, ngircd, mosquitto, nats, node-ws,
                      mosquitto-ws
  --smolchatd PATH    measure this smolchatd instead of the one built with this program
  --json FILE         write the figures to this file, too [target/fanout.json]
";

/// The options of the bench.
pub struct Options {
    /// The workloads, with their durations set.
    pub workloads: Vec<Workload>,
    /// The systems, in the order in which they run.
    pub systems: Vec<System>,
    /// The smolchatd to measure.
    pub smolchatd: Option<PathBuf>,
    /// The file for the report as JSON.
    pub json: PathBuf,
    /// How many times everything runs.
    pub rounds: usize,
}

impl Options {
    /// Parses the command line.
    pub fn parse() -> Result<Invocation<Self>, lexopt::Error> {
        let mut options = Self {
            workloads: WORKLOADS.to_vec(),
            systems: Vec::new(),
            smolchatd: option_env!("CARGO_BIN_EXE_smolchatd").map(PathBuf::from),
            json: PathBuf::from("target/fanout.json"),
            rounds: 1,
        };
        let all = [System::OWN, System::PEERS].concat();
        let (mut is_bench, mut is_help) = (false, false);
        let (mut quick, mut seconds, mut peers, mut named) = (false, None, false, None);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("bench") => is_bench = true,
                Long("help") | Short('h') => is_help = true,
                Long("peers") => peers = true,
                Long("quick") => quick = true,
                Long("rounds") => options.rounds = parser.value()?.parse::<usize>()?.max(1),
                Long("seconds") => {
                    seconds = Some(parser.value()?.parse_with(|text| {
                        let seconds = text.parse().map_err(|_| "not a number")?;
                        Duration::try_from_secs_f64(seconds).map_err(|_| "not a duration")
                    })?);
                }
                Long("work") => {
                    options.workloads =
                        select(&parser.value()?.string()?, &WORKLOADS, |workload| workload.name)?;
                }
                Long("system") => {
                    named = Some(select(&parser.value()?.string()?, &all, |it| it.name())?);
                }
                Long("smolchatd") => options.smolchatd = Some(parser.value()?.into()),
                Long("json") => options.json = parser.value()?.into(),
                _ => return Err(argument.unexpected()),
            }
        }
        // `--system` overrides `--peers`, whatever their order.
        options.systems = named.unwrap_or_else(|| {
            let systems = if peers { &all } else { System::OWN };
            systems.iter().copied().filter(|system| system.is_built()).collect()
        });
        for workload in &mut options.workloads {
            if let Some(seconds) = seconds {
                workload.duration = seconds;
            } else if quick {
                workload.duration /= 3;
            }
        }
        Ok(Invocation::new(is_bench, is_help, options))
    }
}

/// Returns the entries of `all` with these names, in the order of `all`.
fn select<T: Clone>(
    names: &str,
    all: &[T],
    name_of: impl Fn(&T) -> &'static str,
) -> Result<Vec<T>, lexopt::Error> {
    for name in names.split(',') {
        if !all.iter().any(|it| name_of(it) == name) {
            let known: Vec<&str> = all.iter().map(&name_of).collect();
            return Err(format!("unknown name {name:?}: expected {}", known.join(", ")).into());
        }
    }
    let is_named = |it: &&T| names.split(',').any(|name| name == name_of(it));
    Ok(all.iter().filter(is_named).cloned().collect())
}
