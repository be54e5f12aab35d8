//! The command line of the soak test.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use lexopt::prelude::*;

use crate::harness::cli::Invocation;
use crate::special_members::FIRST_SCRIPTED;

/// Text of `--help`.
pub const HELP: &str = "\
Runs hundreds of scripted members against one server or a cluster, and checks every line that they receive.

cargo bench --bench soak -- [OPTIONS]

  --minutes M       duration in minutes, also a fraction [10]
  --members N       number of members, in addition to the bad clients [300]
  --seed S          repeat the script of another run
  --cluster N       run N servers as nodes of one room [1: no cluster]
  --nats N          run 1 or 3 NATS servers for the cluster [1]
  --smolchatd PATH  test this smolchatd instead of the one built with this program
";

/// The options of the soak.
pub struct Options {
    pub duration: Duration,
    pub members: usize,
    /// The seed of all scripts.
    pub seed: u64,
    /// The number of servers.
    pub nodes: usize,
    /// The number of NATS servers, if there are several servers.
    pub nats: usize,
    /// The server to test.
    pub smolchatd: PathBuf,
}

impl Options {
    /// Parses the command line.
    pub fn parse() -> Result<Invocation<Self>, lexopt::Error> {
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut options = Self {
            duration: Duration::from_secs(600),
            members: 300,
            seed: u64::from(clock.subsec_nanos()) ^ clock.as_secs(),
            nodes: 1,
            nats: 1,
            smolchatd: env!("CARGO_BIN_EXE_smolchatd").into(),
        };
        let (mut is_bench, mut is_help) = (false, false);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("bench") => is_bench = true,
                Long("help") | Short('h') => is_help = true,
                Long("minutes") => {
                    let minutes: f64 = parser.value()?.parse()?;
                    options.duration = Duration::try_from_secs_f64(minutes * 60.0)
                        .map_err(|_| format!("{minutes} minutes is not a duration"))?;
                }
                Long("members") => options.members = parser.value()?.parse()?,
                Long("seed") => options.seed = parser.value()?.parse()?,
                Long("cluster") => options.nodes = parser.value()?.parse::<usize>()?.max(1),
                Long("nats") => options.nats = parser.value()?.parse()?,
                Long("smolchatd") => options.smolchatd = parser.value()?.into(),
                _ => return Err(argument.unexpected()),
            }
        }
        if options.members <= FIRST_SCRIPTED {
            let members = options.members;
            return Err(format!("{members} members: more than {FIRST_SCRIPTED} expected").into());
        }
        Ok(Invocation::new(is_bench, is_help, options))
    }
}
