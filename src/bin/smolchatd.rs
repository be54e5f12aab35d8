//! `smolchatd`, the server: arguments to a [`Config`], signals to a shutdown, errors to an exit
//! code.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use async_signal::{Signal, Signals};
use futures_lite::{StreamExt, future};
use lexopt::{Arg, ValueExt};
use log::LevelFilter;
use rustix::process::{Resource, getrlimit, setrlimit};
use smol::LocalExecutor;
use smolchat::broadcaster::fresh_epoch;
use smolchat::history_file::{self, HistoryFile};
use smolchat::listener::{Address, Listener};
use smolchat::server::{self, Config};
use smolchat::{complain, logger};

const HELP: &str = "\
smolchatd: a group-chat room

usage: smolchatd [OPTIONS]

  --listen ADDR       where clients connect: HOST:PORT, [V6]:PORT or unix:PATH;
                      may be given more than once        [0.0.0.0:8080]
  --max-clients N     connections at once                [1000]
  --max-per-ip N      of them from one address; 0 is no limit  [64]
  --connect-rate N[/BURST]  new connections a second from one address, and at
                      once; 0 is no limit                [20/100]
  --max-line BYTES    longest line from a client         [4096]
  --outbox SIZE       bytes that may wait for one member [256K]
  --history N         frames kept, for /history and for those who
                      come back                          [1000]
  --history-bytes SIZE  bytes of them kept               [1M]
  --grace SECS        how long a dropped member's name is kept for it,
                      if it asked for that; 0 is not     [60]
  --history-file PATH   keep the room in this file across restarts
  --history-file-max SIZE  at which the file becomes PATH.1  [8M]
  --sync SECS         how long what was said may wait to be on the disk;
                      0 is not at all                    [1]
  --rate N[/BURST]    lines a second from one member, and at once;
                      0 is no limit                      [10/40]
  --hello-wait MS     how long a silent client is waited for   [250]
  --log LEVEL         error, warn, info or debug         [info]
  --help, --version

A SIZE may end in K, M or G. Each address is told as `listening on ADDR` on
standard output; the log goes to standard error. SIGINT or SIGTERM ends it in
good order, a second one at once; SIGUSR1 writes the figures of /stats to the
log, as JSON.";

fn main() -> ExitCode {
    match options() {
        Ok(Some(options)) => match serve(options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain("smolchatd", &*error, 1),
        },
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => complain("smolchatd", &*format_usage(&error), 2),
    }
}

struct Options {
    addresses: Vec<Address>,
    config: Config,
    log: LevelFilter,
    history_file: Option<PathBuf>,
    file: history_file::Options,
}

/// What the arguments ask for; nothing if they asked for a text that was printed.
fn options() -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options {
        addresses: Vec::new(),
        config: Config::default(),
        log: LevelFilter::Info,
        history_file: None,
        file: history_file::Options::default(),
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        let option = match argument {
            Arg::Long("help") | Arg::Short('h') => return print(HELP),
            Arg::Long("version") | Arg::Short('V') => {
                return print(concat!("smolchatd ", env!("CARGO_PKG_VERSION")));
            }
            Arg::Long(option) => option.to_owned(),
            other => return Err(other.unexpected()),
        };
        options.set(&option, &mut arguments).map_err(|error| match error {
            // Of all errors, this one does not say which option it is about.
            lexopt::Error::ParsingFailed { .. } => format!("--{option}: {error}").into(),
            error => error,
        })?;
    }
    if options.addresses.is_empty() {
        options.addresses.push(Address::Inet("0.0.0.0:8080".into()));
    }
    Ok(Some(options))
}

impl Options {
    /// Takes the value of an option from the arguments.
    fn set(&mut self, option: &str, arguments: &mut lexopt::Parser) -> Result<(), lexopt::Error> {
        let seconds = |value: OsString| value.parse::<u32>().map(|n| Duration::from_secs(n.into()));
        let rules = &mut self.config.rules;
        match option {
            "listen" => self.addresses.push(arguments.value()?.parse()?),
            "max-clients" => rules.max_clients = arguments.value()?.parse()?,
            "max-per-ip" => rules.max_per_ip = arguments.value()?.parse()?,
            "connect-rate" => {
                (rules.connect_rate, rules.connect_burst) =
                    arguments.value()?.parse_with(connect_rate)?;
            }
            "max-line" => rules.max_line = arguments.value()?.parse_with(max_line)?,
            "outbox" => self.config.outbox = arguments.value()?.parse_with(size)?,
            "history" => rules.history = arguments.value()?.parse()?,
            "history-bytes" => {
                rules.history_bytes = arguments.value()?.parse_with(history_bytes)?;
            }
            "history-file" => self.history_file = Some(arguments.value()?.into()),
            "history-file-max" => {
                let size = arguments.value()?.parse_with(size)?;
                self.file.max_bytes = u64::try_from(size).unwrap_or(u64::MAX);
            }
            "sync" => self.file.sync = seconds(arguments.value()?)?,
            "grace" => rules.grace = seconds(arguments.value()?)?,
            "rate" => (rules.rate, rules.burst) = arguments.value()?.parse_with(rate)?,
            "hello-wait" => {
                rules.hello_wait = Duration::from_millis(arguments.value()?.parse::<u32>()?.into());
            }
            "log" => self.log = arguments.value()?.parse_with(level)?,
            _ => return Err(lexopt::Error::UnexpectedOption(format!("--{option}"))),
        }
        Ok(())
    }
}

fn print(text: &str) -> Result<Option<Options>, lexopt::Error> {
    // A reader that has gone away has read enough.
    let _ = writeln!(io::stdout(), "{text}");
    Ok(None)
}

fn max_line(text: &str) -> Result<u32, &'static str> {
    match text.parse() {
        // One read holds that much at once already.
        Ok(bytes @ 1..=1_048_576) => Ok(bytes),
        _ => Err("wants bytes, from 1 to 1048576"),
    }
}

/// `4096`, `256K`, `1M` or `1G`.
fn size(text: &str) -> Result<usize, &'static str> {
    let (digits, unit) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 1 << 10),
        None => match text.strip_suffix(['M', 'm']) {
            Some(digits) => (digits, 1 << 20),
            None => match text.strip_suffix(['G', 'g']) {
                Some(digits) => (digits, 1 << 30),
                None => (text, 1),
            },
        },
    };
    let number: Option<usize> = digits.parse().ok();
    number.and_then(|number| number.checked_mul(unit)).ok_or("wants a size, like 4096, 256K or 1M")
}

/// A size that places in one buffer can be counted in 32 bits for.
fn history_bytes(text: &str) -> Result<usize, &'static str> {
    match size(text)? {
        bytes if bytes <= 1 << 30 => Ok(bytes),
        _ => Err("wants at most 1G"),
    }
}

/// `10`, with a burst of four seconds' worth, or `10/40`.
fn rate(text: &str) -> Result<(u32, u32), &'static str> {
    rate_and_burst(text, 4).ok_or("wants lines a second, and perhaps how many at once, like 10/40")
}

/// `20`, with a burst of five seconds' worth, or `20/100`.
fn connect_rate(text: &str) -> Result<(u32, u32), &'static str> {
    rate_and_burst(text, 5)
        .ok_or("wants connections a second, and perhaps how many at once, like 20/100")
}

fn rate_and_burst(text: &str, seconds: u32) -> Option<(u32, u32)> {
    let (rate, burst) = match text.split_once('/') {
        Some((rate, burst)) => (rate.parse(), Some(burst.parse())),
        None => (text.parse(), None),
    };
    match (rate, burst) {
        (Ok(rate @ 0..=1_000_000), None) => Some((rate, rate * seconds)),
        (Ok(rate @ 0..=1_000_000), Some(Ok(burst @ 1..=4_000_000))) => Some((rate, burst)),
        _ => None,
    }
}

fn level(text: &str) -> Result<LevelFilter, &'static str> {
    match text {
        "error" => Ok(LevelFilter::Error),
        "warn" => Ok(LevelFilter::Warn),
        "info" => Ok(LevelFilter::Info),
        "debug" => Ok(LevelFilter::Debug),
        _ => Err("wants error, warn, info or debug"),
    }
}

fn format_usage(error: &lexopt::Error) -> Box<dyn Error> {
    format!("{error} (smolchatd --help lists the options)").into()
}

fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let Options { addresses, mut config, log, history_file, mut file } = options;
    logger::init(log);
    raise_descriptor_limit();
    if let Some(path) = history_file {
        file.keep_frames = config.rules.history;
        file.keep_bytes = config.rules.history_bytes;
        config.rules.stored = true;
        config.past = Some(HistoryFile::open(&path, file, fresh_epoch)?);
    }
    // Before anybody is told that we are here, and may want us to go.
    let mut signals = Signals::new([Signal::Int, Signal::Term, Signal::Usr1])
        .map_err(|error| format!("cannot watch for signals: {error}"))?;
    let mut listeners = Vec::new();
    for address in &addresses {
        let bound = Listener::bind(address);
        listeners.push(bound.map_err(|error| format!("cannot listen on {address}: {error}"))?);
    }
    let mut stdout = io::stdout();
    for listener in &listeners {
        // Nobody has to read this.
        let _ = writeln!(stdout, "listening on {listener}").and_then(|()| stdout.flush());
    }
    let (told, shutdown) = async_channel::bounded::<()>(1);
    let executor = LocalExecutor::new();
    let (report, reports) = async_channel::bounded(1);
    config.reports = Some(reports);
    let impatience = executor.spawn(async move {
        let mut told = Some(told);
        while let Some(signal) = signals.next().await {
            match signal {
                // If one waits already, it has the same to say.
                Ok(Signal::Usr1) => drop(report.try_send(())),
                _ if told.take().is_some() => {}
                _ => return,
            }
        }
    });
    let serve = async {
        let shutdown = async move {
            let _ = shutdown.recv().await;
        };
        Ok(server::run(listeners, config, shutdown).await?)
    };
    let at_once = async {
        impatience.await;
        Err("ended at once, by a second signal".into())
    };
    smol::block_on(executor.run(future::or(serve, at_once)))
}

/// As many descriptors as the system lets us have: each client takes one.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log::warn!("cannot raise the limit of open files: {error}");
    }
}
