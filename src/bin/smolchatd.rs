//! `smolchatd`, the server: arguments to a [`Config`], signals to a shutdown, errors to an exit
//! code.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_signal::{Signal, Signals};
use futures_lite::StreamExt;
use lexopt::{Parser, ValueExt};
use log::LevelFilter;
use rustix::process::{Resource, getrlimit, setrlimit};
use smolchat::cli::{SMOLCHATD, parse_switch};
use smolchat::daemon::notify::Notifier;
use smolchat::daemon::{activation, logger};
use smolchat::os::fresh_epoch;
use smolchat::report_error;
use smolchat::server::memory::{self, Ceiling, Pinned, fit};
use smolchat::server::{self, Config, Control};
use smolchat::server::{Buffers, ListenAddress, Listener};
use smolchat::store::{self, HistoryFile};

fn main() -> ExitCode {
    match parse(Parser::from_env()).and_then(Invocation::settle) {
        Ok(Invocation::Service(options)) => match serve(*options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => report_error(sender(), &*error, 1),
        },
        Ok(Invocation::Text(text)) => {
            // A reader that has gone away has read enough.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => report_error(sender(), &*format_usage(&error), 2),
    }
}

/// Who complains; for the journal, with the priority of an error in front.
fn sender() -> &'static str {
    if logger::goes_to_journal() { "<3>smolchatd" } else { "smolchatd" }
}

enum Invocation {
    /// To print this, and that is all.
    Text(String),
    /// To be a server.
    Service(Box<Options>),
}

impl Invocation {
    /// Fits what was asked for into the memory that there is, and sees that it is not at odds with
    /// itself, where that was asked for.
    fn settle(self) -> Result<Self, lexopt::Error> {
        let Invocation::Service(mut options) = self else { return Ok(self) };
        if let Some(budget) = options.memory {
            options.config = fit(budget, options.config, options.pinned).map_err(|least| {
                format!("--memory: {budget} bytes are not enough, it takes {least}")
            })?;
        }
        if !options.check {
            return Ok(Invocation::Service(options));
        }
        match options.contradiction() {
            Some(contradiction) => Err(contradiction.into()),
            None => Ok(Invocation::Text(format!("{}\n", Ceiling::of(&options.config)))),
        }
    }
}

#[derive(Debug)]
struct Options {
    addresses: Vec<ListenAddress>,
    config: Config,
    log: LevelFilter,
    history_file: Option<PathBuf>,
    file: store::Options,
    /// Some of it was said about a history file.
    tunes_file: bool,
    /// The memory to make do with.
    memory: Option<usize>,
    /// What that must leave as it is.
    pinned: Pinned,
    /// Tell what it takes at worst, and end.
    check: bool,
}

/// What the arguments ask for.
fn parse(arguments: Parser) -> Result<Invocation, lexopt::Error> {
    let mut options = Options {
        addresses: Vec::new(),
        config: Config::default(),
        log: LevelFilter::Info,
        history_file: None,
        file: store::Options::default(),
        tunes_file: false,
        memory: None,
        pinned: Pinned::default(),
        check: false,
    };
    if let Some(text) = SMOLCHATD.parse_args(arguments, |name, value| options.set(name, value))? {
        return Ok(Invocation::Text(text));
    }
    if options.addresses.is_empty() && !activation::is_used() {
        options.addresses.push(ListenAddress::Inet(([0, 0, 0, 0], 8080).into()));
    }
    Ok(Invocation::Service(Box::new(options)))
}

impl Options {
    /// Takes an option and its value.
    fn set(&mut self, option: &str, value: OsString) -> Result<(), lexopt::Error> {
        let seconds = |value: OsString| value.parse::<u32>().map(|n| Duration::from_secs(n.into()));
        let room = &mut self.config.room;
        match option {
            "max-clients" => self.pinned.clients = true,
            "outbox" => self.pinned.outbox = true,
            "history" => self.pinned.history = true,
            "history-bytes" => self.pinned.history_bytes = true,
            "history-file-max" | "sync" => self.tunes_file = true,
            _ => {}
        }
        match option {
            "listen" => self.addresses.push(value.parse()?),
            "max-clients" => room.max_clients = value.parse()?,
            "max-per-ip" => room.max_per_ip = value.parse()?,
            "connect-rate" => {
                (room.connect_rate, room.connect_burst) = value.parse_with(connect_rate)?;
            }
            "max-line" => room.max_line = value.parse_with(max_line)?,
            "outbox" => self.config.outbox = value.parse_with(size)?,
            "history" => room.history = value.parse()?,
            "history-bytes" => room.history_bytes = value.parse_with(history_bytes)?,
            "history-file" => self.history_file = Some(value.into()),
            "history-file-max" => {
                self.file.max_bytes = u64::try_from(value.parse_with(size)?).unwrap_or(u64::MAX);
            }
            "sync" => self.file.sync = seconds(value)?,
            "grace" => room.grace = seconds(value)?,
            "rate" => (room.rate, room.burst) = value.parse_with(rate)?,
            "hello-wait" => room.hello_wait = Duration::from_millis(value.parse::<u32>()?.into()),
            "memory" => self.memory = Some(value.parse_with(size)?),
            "check" => self.check = value.parse_with(parse_switch)?,
            "log" => self.log = value.parse_with(level)?,
            _ => return Err(lexopt::Error::UnexpectedOption(format!("--{option}"))),
        }
        Ok(())
    }
}

impl Options {
    /// Which options contradict each other, if any do.
    fn contradiction(&self) -> Option<String> {
        if self.tunes_file && self.history_file.is_none() {
            return Some("--history-file-max and --sync say nothing without --history-file".into());
        }
        memory::contradiction(&self.config)
    }
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
    let contradiction = options.contradiction();
    let Options { addresses, mut config, log, history_file, mut file, .. } = options;
    logger::init(log);
    if let Some(contradiction) = contradiction {
        log::warn!("{contradiction}");
    }
    // Before anything else is opened that could be taken for one of them.
    let handed_over = activation::sockets()?;
    raise_descriptor_limit();
    if let Some(path) = history_file {
        file.keep_frames = config.room.history;
        file.keep_bytes = config.room.history_bytes;
        config.room.stored = true;
        config.history = Some(HistoryFile::open(&path, file, fresh_epoch)?);
    }
    // Before anybody is told that we are here, and may want us to go.
    let signals = Signals::new([Signal::Int, Signal::Term, Signal::Usr1])
        .map_err(|error| format!("cannot watch for signals: {error}"))?;
    let listeners = listen(&addresses, handed_over, config.buffers)?;
    let mut stdout = io::stdout();
    for listener in &listeners {
        // Nobody has to read this.
        let _ = writeln!(stdout, "listening on {listener}").and_then(|()| stdout.flush());
    }
    let manager = manager();
    config.observer = manager.clone().map(Notifier::observer);
    let controls = signals.map(move |signal| match signal {
        Ok(Signal::Usr1) => Control::Report,
        _ => {
            if let Some(manager) = &manager {
                let _ = manager.tell("STOPPING=1");
            }
            Control::Shutdown
        }
    });
    Ok(smol::block_on(server::run(listeners, config, controls))?)
}

/// The sockets that were handed over, and those at our own addresses.
fn listen(
    addresses: &[ListenAddress],
    handed_over: Vec<OwnedFd>,
    buffers: Buffers,
) -> Result<Vec<Listener>, String> {
    let mut listeners = Vec::new();
    for (number, socket) in (activation::FIRST..).zip(handed_over) {
        let adopted = Listener::adopt(socket, buffers);
        listeners.push(
            adopted.map_err(|error| format!("cannot listen on descriptor {number}: {error}"))?,
        );
    }
    for address in addresses {
        let bound = Listener::bind(address, buffers);
        listeners.push(bound.map_err(|error| format!("cannot listen on {address}: {error}"))?);
    }
    Ok(listeners)
}

/// The service manager, if there is one, told that clients can connect.
fn manager() -> Option<Arc<Notifier>> {
    let told = Notifier::from_environment().and_then(|manager| {
        if let Some(manager) = &manager {
            manager.tell("READY=1\nSTATUS=0 members")?;
        }
        Ok(manager)
    });
    // Whoever waits for it has to know why it does not come.
    let manager = told.inspect_err(|why| log::warn!("cannot tell the service manager: {why}"));
    manager.ok().flatten().map(Arc::new)
}

/// As many descriptors as the system lets us have: each client takes one.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log::warn!("cannot raise the limit of open files: {error}");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests state what they expect")]

    use super::*;
    use smolchat::cli::ValueKind;

    fn understood(arguments: &[&str]) -> Result<Invocation, lexopt::Error> {
        parse(Parser::from_args(arguments))
    }

    #[test]
    fn each_option_of_the_table_is_understood_and_has_the_default_that_it_says() {
        let Ok(Invocation::Service(plain)) = understood(&[]) else { panic!("no service") };
        for option in SMOLCHATD.options {
            let flag = option.flag();
            if option.value == ValueKind::Switch {
                understood(&[&flag]).unwrap();
                continue;
            }
            assert!(understood(&[&flag]).is_err(), "{flag}");
            if option.default.is_empty() {
                understood(&[&flag, "7"]).unwrap();
                continue;
            }
            let Ok(Invocation::Service(mut set)) = understood(&[&flag, option.default]) else {
                panic!("{flag} {} is not understood", option.default)
            };
            // That it was said at all may count.
            (set.pinned, set.tunes_file) = (plain.pinned, plain.tunes_file);
            assert_eq!(format!("{set:?}"), format!("{plain:?}"), "{flag}");
        }
        assert!(understood(&["--nonsense"]).is_err());
    }

    #[test]
    fn the_readme_lists_each_option_with_its_default() {
        let readme = include_str!("../../README.md");
        let chapter = readme.split("\n## ").find(|text| text.starts_with("The server")).unwrap();
        for option in SMOLCHATD.options {
            let label = format!("`{}`", option.label());
            let line = chapter.lines().find(|line| line.contains(&label));
            let line = line.unwrap_or_else(|| panic!("no {label}"));
            assert!(line.contains(option.default), "{label} {}", option.default);
        }
    }
}
