//! The arguments of the command line, converted to a [`Config`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "cluster")]
use super::cluster::ClusterOptions;
use lexopt::{Parser, ValueExt};
use log::LevelFilter;
use smolchat::cli::{SMOLCHATD, parse_switch};
use smolchat::daemon::activation;
use smolchat::os::{open_regular, read_bounded};
#[cfg(feature = "irc")]
use smolchat::server::edge::irc::{is_channel_name, is_server_name};
#[cfg(feature = "web")]
use smolchat::server::edge::web::is_host_name;
use smolchat::server::memory::{self, Ceiling, Pinned, fit};
use smolchat::server::{Config, ListenAddress, ListenerProtocol};
use smolchat::store::{self, BanFile};

#[cfg(feature = "tls")]
use crate::tls::TlsOptions;

use super::values::*;

/// The default of `--address-rate`, as a multiple of `--rate`.
const MEMBERS_PER_ADDRESS: u32 = 4;

/// The longest line that fits into an entry of the log, whatever its characters.
#[cfg(feature = "cluster")]
const MAX_CLUSTER_LINE: u32 = 8192;

/// The most bytes of the message of the day.
const MAX_MOTD: usize = 4096;

/// The action that the arguments select.
pub enum Invocation {
    /// Prints a text and exits.
    Text(String),
    /// Runs a server with these options.
    Service(Box<Options>),
}

impl Invocation {
    /// Applies `--memory` and `--check`.
    pub fn resolve(self) -> Result<Self, lexopt::Error> {
        let Invocation::Service(mut options) = self else { return Ok(self) };
        #[cfg(feature = "cluster")]
        options.resolve_cluster()?;
        if let Some(budget) = options.memory {
            options.config = fit(budget, options.config, options.pinned).map_err(|least| {
                format!("--memory: {budget} bytes are not enough, expected at least {least}")
            })?;
        }
        if !options.is_check {
            return Ok(Invocation::Service(options));
        }
        match options.find_contradiction() {
            Some(contradiction) => Err(contradiction.into()),
            None => Ok(Invocation::Text(format!("{}\n", Ceiling::of(&options.config)))),
        }
    }
}

/// The options of the command line.
#[derive(Debug)]
pub struct Options {
    pub addresses: Vec<(ListenAddress, ListenerProtocol)>,
    motd_file: Option<PathBuf>,
    #[cfg(feature = "cluster")]
    cluster: ClusterOptions,
    pub config: Config,
    pub log: LevelFilter,
    #[cfg(feature = "tls")]
    pub tls: TlsOptions,
    pub history_file: Option<PathBuf>,
    pub file: store::Options,
    /// Whether an option of the history file was given.
    has_file_options: bool,
    /// Memory budget in bytes: limits are scaled to fit, except those set explicitly.
    memory: Option<usize>,
    /// Limits set explicitly, which `memory` must not change.
    pinned: Pinned,
    /// Whether to print the memory ceiling and exit.
    is_check: bool,
}

/// Parses the arguments of the command line.
pub fn parse(arguments: Parser) -> Result<Invocation, lexopt::Error> {
    let mut options = Options {
        addresses: Vec::new(),
        motd_file: None,
        #[cfg(feature = "cluster")]
        cluster: ClusterOptions::default(),
        config: Config::default(),
        log: LevelFilter::Info,
        #[cfg(feature = "tls")]
        tls: TlsOptions::default(),
        history_file: None,
        file: store::Options::default(),
        has_file_options: false,
        memory: None,
        pinned: Pinned::default(),
        is_check: false,
    };
    if let Some(text) = SMOLCHATD.parse_args(arguments, |name, value| options.set(name, value))? {
        return Ok(Invocation::Text(text));
    }
    let has_address = options.addresses.iter().any(|(_, protocol)| !protocol.is_irc());
    if !has_address && !activation::is_used() {
        options.addresses.push((ListenAddress::Port(8080), ListenerProtocol::Chat));
    }
    let is_unix = |(address, _): &(ListenAddress, ListenerProtocol)| {
        matches!(address, ListenAddress::Unix { .. })
    };
    // A socket of the service manager may be a unix socket.
    if activation::is_used() || options.addresses.iter().any(is_unix) {
        options.config.room.operator_user = Some(rustix::process::geteuid().as_raw());
    }
    options.derive_address_limits();
    options.config.room.has_password = options.config.secrets.has_password();
    Ok(Invocation::Service(Box::new(options)))
}

impl Options {
    /// Notes an option that `--memory` must not change, or that needs another one.
    fn note_explicit(&mut self, option: &str) {
        match option {
            "max-clients" => self.pinned.is_max_clients_pinned = true,
            "outbox" => self.pinned.is_outbox_pinned = true,
            "history" => self.pinned.is_history_pinned = true,
            "history-bytes" => self.pinned.is_history_bytes_pinned = true,
            "address-rate" => self.pinned.is_address_rate_pinned = true,
            "address-bytes" => self.pinned.is_address_bytes_pinned = true,
            "history-file-max" | "sync" => self.has_file_options = true,
            _ => {}
        }
    }

    fn set(&mut self, option: &str, value: OsString) -> Result<(), lexopt::Error> {
        let seconds = |value: OsString| value.parse::<u32>().map(|n| Duration::from_secs(n.into()));
        self.note_explicit(option);
        let room = &mut self.config.room;
        match option {
            "listen" => self.addresses.push((value.parse()?, ListenerProtocol::Chat)),
            "max-clients" => room.max_clients = value.parse()?,
            "max-per-ip" => room.max_per_ip = value.parse()?,
            "connect-rate" => {
                (room.connect_rate, room.connect_burst) = value.parse_with(parse_connect_rate)?;
            }
            "proxy-from" => self.config.trusted_proxies.push(value.parse()?),
            #[cfg(feature = "web")]
            "web-host" => {
                let expected = "expected a name such as chat.example.org";
                self.config.web_hosts.push(parse_name(value, is_host_name, expected)?);
            }
            #[cfg(feature = "irc")]
            "irc" | "irc-channel" | "irc-name" | "irc-playback" => {
                self.set_irc(option, value)?;
            }
            "motd" => self.motd_file = Some(value.into()),
            #[cfg(feature = "tls")]
            "tls" | "tls-key" => self.config.tls = self.tls.set(option, value)?,
            "max-line" => room.max_line = value.parse_with(parse_max_line)?,
            "outbox" => self.config.outbox = value.parse_with(parse_size)?,
            "history" => room.history = value.parse()?,
            "history-bytes" => room.history_bytes = value.parse_with(parse_history_bytes)?,
            file if file.ends_with("-file") || file == "operators" => self.set_file(file, value)?,
            "plain" => self.config.plain = Some(value.parse()?),
            "history-file-max" => {
                self.file.max_bytes =
                    u64::try_from(value.parse_with(parse_size)?).unwrap_or(u64::MAX);
            }
            "sync" => self.file.sync = seconds(value)?,
            "grace" => room.grace = seconds(value)?,
            "rate" => (room.rate, room.burst) = value.parse_with(parse_rate)?,
            "address-rate" => {
                (self.config.address_rate, self.config.address_burst) =
                    value.parse_with(parse_rate)?;
            }
            "address-bytes" => {
                (self.config.address_bytes, self.config.address_bytes_burst) =
                    value.parse_with(parse_byte_rate)?;
            }
            "hello-wait" => room.hello_wait = Duration::from_millis(value.parse::<u32>()?.into()),
            "memory" => self.memory = Some(value.parse_with(parse_size)?),
            "check" => self.is_check = value.parse_with(parse_switch)?,
            "log" => self.log = value.parse_with(parse_level)?,
            #[cfg(feature = "cluster")]
            "cluster" | "room" | "node" | "cluster-replicas" | "cluster-creds" | "cluster-ca"
            | "advertise" | "max-members" => self.cluster.set(option, value)?,
            _ => return Err(lexopt::Error::UnexpectedOption(format!("--{option}"))),
        }
        Ok(())
    }

    fn set_file(&mut self, option: &str, path: OsString) -> Result<(), lexopt::Error> {
        match option {
            _ if path.is_empty() => {
                return Err(format!("--{option}: expected the path of a file").into());
            }
            "history-file" => self.history_file = Some(path.into()),
            "password-file" => self.config.secrets.password_file = Some(path.into()),
            "operators" => self.config.secrets.operators_file = Some(path.into()),
            _ => self.config.ban_file = Some(BanFile::new(path.into())),
        }
        Ok(())
    }

    #[cfg(feature = "irc")]
    #[inline(never)]
    fn set_irc(&mut self, option: &str, value: OsString) -> Result<(), lexopt::Error> {
        let irc = &mut self.config.irc;
        match option {
            "irc" => {
                self.addresses.push((value.parse()?, ListenerProtocol::Irc));
                irc.is_open = true;
            }
            "irc-channel" => {
                let expected = "expected a name such as #smol";
                irc.channel = parse_name(value, is_channel_name, expected)?;
            }
            "irc-name" => {
                let expected = "expected a name with a dot, such as irc.example.org";
                irc.server = parse_name(value, is_server_name, expected)?;
            }
            "irc-playback" => irc.playback = value.parse()?,
            _ => {}
        }
        Ok(())
    }

    /// Sets the settings of the node, if there is one.
    #[cfg(feature = "cluster")]
    fn resolve_cluster(&mut self) -> Result<(), String> {
        self.config.room.max_members = self.cluster.max_members;
        self.config.cluster = std::mem::take(&mut self.cluster).into_config()?;
        if self.config.cluster.is_none() {
            return Ok(());
        }
        if self.config.room.max_members == Some(0) {
            return Err("--max-members 0 admits no client".into());
        }
        let max_line = self.config.room.max_line;
        if max_line > MAX_CLUSTER_LINE {
            return Err(format!(
                "--max-line: {max_line} is too large for --cluster, expected at most {MAX_CLUSTER_LINE}"
            ));
        }
        if self.history_file.is_some() {
            return Err("--history-file and --cluster exclude each other".into());
        }
        Ok(())
    }

    /// Derives the limits of an address from the rate of a member, if they are not given.
    fn derive_address_limits(&mut self) {
        let (rate, burst) = (self.config.room.rate, self.config.room.burst);
        if !self.pinned.is_address_rate_pinned {
            self.config.address_rate = rate.saturating_mul(MEMBERS_PER_ADDRESS);
            self.config.address_burst = burst.saturating_mul(MEMBERS_PER_ADDRESS);
        }
        if rate == 0 && !self.pinned.is_address_bytes_pinned {
            self.config.address_bytes = 0;
        }
    }

    /// Reads the message of the day.
    pub fn with_motd(mut self) -> Result<Self, String> {
        let Some(path) = &self.motd_file else { return Ok(self) };
        let text = open_regular(path).and_then(|file| read_bounded(file, MAX_MOTD));
        let text = text.map_err(|error| format!("--motd {}: {error}", path.display()))?;
        let text = text.trim_ascii_end();
        self.config.room.motd = (!text.is_empty()).then(|| text.into());
        Ok(self)
    }

    /// Returns the contradiction between the options, if there is one.
    pub fn find_contradiction(&self) -> Option<String> {
        if self.has_file_options && self.history_file.is_none() {
            return Some(
                "--history-file-max and --sync have no effect without --history-file".into(),
            );
        }
        #[cfg(feature = "tls")]
        if let Some(contradiction) = self.tls.find_contradiction() {
            return Some(contradiction);
        }
        memory::find_contradiction(&self.config)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

    use super::*;
    use smolchat::cli::ValueKind;

    fn parse_all(arguments: &[&str]) -> Result<Invocation, lexopt::Error> {
        parse(Parser::from_args(arguments))
    }

    #[test]
    fn every_option_of_the_table_is_parsed() {
        let Ok(Invocation::Service(plain)) = parse_all(&[]) else { panic!("no service") };
        for option in SMOLCHATD.options {
            let flag = option.flag();
            if option.value == ValueKind::Switch {
                parse_all(&[&flag]).unwrap();
                continue;
            }
            assert!(parse_all(&[&flag]).is_err(), "{flag}");
            if option.default.is_empty() {
                let value = match option.value {
                    ValueKind::Choice(_, values) => values[0],
                    _ if option.name == "proxy-from" => "192.0.2.7",
                    _ => "7",
                };
                parse_all(&[&flag, value]).unwrap();
                continue;
            }
            let Ok(Invocation::Service(mut set)) = parse_all(&[&flag, option.default]) else {
                panic!("{flag} {} is not parsed", option.default)
            };
            // An option counts as given, even with its default.
            (set.pinned, set.has_file_options) = (plain.pinned, plain.has_file_options);
            assert_eq!(format!("{set:?}"), format!("{plain:?}"), "{flag}");
        }
        assert!(parse_all(&["--nonsense"]).is_err());
    }

    #[test]
    fn error_names_option_value_and_unit() {
        for (arguments, expected) in [
            (["--sync", "1.5"], "--sync: expected a whole number of seconds, found \"1.5\""),
            (["--grace", "soon"], "--grace: expected a whole number of seconds, found \"soon\""),
            (["--hello-wait", "-1"], "--hello-wait: expected a whole number of milliseconds"),
            (["--grace", "99999999999"], "--grace: 99999999999 is too large, expected a whole"),
            (["--outbox", "1T"], "--outbox: cannot parse argument \"1T\": expected a size such"),
            (["--rate", "x"], "--rate: cannot parse argument \"x\": expected lines per second"),
            (["--history-file", ""], "--history-file: expected the path of a file"),
        ] {
            let error = parse_all(&arguments).err().unwrap().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        for (option, expected) in
            [("--outbox", "SIZE"), ("--sync", "SECS"), ("--log", "error, warn, info, debug")]
        {
            let error = parse_all(&[option]).err().unwrap().to_string();
            assert_eq!(error, format!("{option}: the value is missing, expected {expected}"));
        }
    }

    #[test]
    fn documentation_lists_every_option() {
        let page = include_str!("../../../docs/deploy.md");
        let chapter = page.split("\n## ").find(|text| text.starts_with("Options")).unwrap();
        for option in SMOLCHATD.options {
            let label = format!("`{}`", option.label());
            let line = chapter.lines().find(|line| line.contains(&label));
            let line = line.unwrap_or_else(|| panic!("no {label}"));
            assert!(line.contains(option.default), "{label} {}", option.default);
        }
    }
}
