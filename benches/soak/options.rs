//! The command line.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use lexopt::prelude::*;

use crate::actions::FIRST_SCRIPTED;

/// What `--help` prints.
pub const HELP: &str = "\
Hundreds of scripted members against one server, with every promise checked at each of them.

cargo bench --bench soak -- [OPTIONS]

  --minutes M    how long; may be a fraction [10]
  --members N    how many, beside the open_bad_clients [300]
  --seed S       repeats the script of another run
  --smolchatd PATH  another smolchatd than the one built with this program
";

/// What is to be done.
pub struct Options {
    /// `cargo bench` asked for it; `cargo test` runs the same program without this.
    pub bench: bool,
    /// Only to say how this is used.
    pub help: bool,
    /// How long.
    pub time: Duration,
    /// How many members.
    pub members: usize,
    /// What the script is drawn from.
    pub seed: u64,
    /// Which smolchatd.
    pub smolchatd: PathBuf,
}

impl Options {
    /// Reads them from the command line.
    pub fn parse() -> Result<Self, lexopt::Error> {
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut options = Self {
            bench: false,
            help: false,
            time: Duration::from_secs(600),
            members: 300,
            seed: u64::from(clock.subsec_nanos()) ^ clock.as_secs(),
            smolchatd: env!("CARGO_BIN_EXE_smolchatd").into(),
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("bench") => options.bench = true,
                Long("help") | Short('h') => options.help = true,
                Long("minutes") => {
                    let minutes: f64 = parser.value()?.parse()?;
                    options.time = Duration::try_from_secs_f64(minutes * 60.0)
                        .map_err(|_| format!("{minutes} minutes are no length of time"))?;
                }
                Long("members") => options.members = parser.value()?.parse()?,
                Long("seed") => options.seed = parser.value()?.parse()?,
                Long("smolchatd") => options.smolchatd = parser.value()?.into(),
                _ => return Err(argument.unexpected()),
            }
        }
        if options.members <= FIRST_SCRIPTED {
            return Err(format!("more than {FIRST_SCRIPTED} members are needed").into());
        }
        Ok(options)
    }
}
