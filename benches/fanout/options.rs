//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use crate::system::System;
use crate::workload::{WORKLOADS, Workload};

/// What `--help` prints.
pub const HELP: &str = "\
Does the same work on smolchatd, on two yardsticks and on its peers, and compares the cost.

cargo bench --bench fanout -- [OPTIONS]

  --peers             redis-server, ngircd, mosquitto and nats-server too, where installed
  --quick             a third of the time for each
  --rounds N          do everything so often, and report the median by CPU time [1]
  --seconds S         talk for so long in each work, instead of its own time
  --work NAME,...     only this: flood, flood-1k, paced, big, idle, stall
  --system NAME,...   only these: smolchat, floor, naive, redis, ngircd, mosquitto, nats
  --smolchatd PATH    another smolchatd than the one built with this program
  --json FILE         where the figures go, too [target/fanout.json]
";

/// What is to be done.
pub struct Options {
    /// `cargo bench` asked for it; `cargo test` runs the same program without this.
    pub bench: bool,
    /// Only to say how this is used.
    pub help: bool,
    /// The work, its time already set.
    pub workload: Vec<Workload>,
    /// The systems, in order.
    pub systems: Vec<System>,
    /// Which smolchatd.
    pub smolchatd: Option<PathBuf>,
    /// Where the figures go.
    pub json: PathBuf,
    /// How often everything is done.
    pub rounds: usize,
}

impl Options {
    /// Reads them from the command line.
    pub fn parse() -> Result<Self, lexopt::Error> {
        let mut options = Self {
            bench: false,
            help: false,
            workload: WORKLOADS.to_vec(),
            systems: System::OWN.to_vec(),
            smolchatd: option_env!("CARGO_BIN_EXE_smolchatd").map(PathBuf::from),
            json: PathBuf::from("target/fanout.json"),
            rounds: 1,
        };
        let all = [&System::OWN[..], &System::PEERS[..]].concat();
        let (mut quick, mut seconds, mut peers, mut named) = (false, None, false, None);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("bench") => options.bench = true,
                Long("help") | Short('h') => options.help = true,
                Long("peers") => peers = true,
                Long("quick") => quick = true,
                Long("rounds") => options.rounds = parser.value()?.parse::<usize>()?.max(1),
                Long("seconds") => {
                    seconds = Some(parser.value()?.parse_with(|text| {
                        let seconds = text.parse().map_err(|_| "not a number")?;
                        Duration::try_from_secs_f64(seconds).map_err(|_| "not a length of time")
                    })?);
                }
                Long("work") => {
                    options.workload =
                        pick(&parser.value()?.string()?, &WORKLOADS, |workload| workload.name)?;
                }
                Long("system") => {
                    named = Some(pick(&parser.value()?.string()?, &all, |it| it.name())?);
                }
                Long("smolchatd") => options.smolchatd = Some(parser.value()?.into()),
                Long("json") => options.json = parser.value()?.into(),
                _ => return Err(argument.unexpected()),
            }
        }
        // Systems that are named say more than `--peers` does, wherever that stands.
        if let Some(named) = named {
            options.systems = named;
        } else if peers {
            options.systems = all;
        }
        for workload in &mut options.workload {
            if let Some(seconds) = seconds {
                workload.duration = seconds;
            } else if quick {
                workload.duration /= 3;
            }
        }
        Ok(options)
    }
}

/// The entries of `all` that `names` asks for, in the order of `all`.
fn pick<T: Clone>(
    names: &str,
    all: &[T],
    name_of: impl Fn(&T) -> &'static str,
) -> Result<Vec<T>, lexopt::Error> {
    for name in names.split(',') {
        if !all.iter().any(|it| name_of(it) == name) {
            return Err(format!("there is no {name:?} here").into());
        }
    }
    let wanted = |it: &&T| names.split(',').any(|name| name == name_of(it));
    Ok(all.iter().filter(wanted).cloned().collect())
}
