//! `smolchatd`, the server: converts arguments to a configuration, signals to controls, and errors
//! to an exit code.

#[cfg(feature = "cluster")]
mod cluster;
mod limits;
mod options;
mod signals;
#[cfg(feature = "tls")]
mod tls;
mod values;
#[cfg(feature = "web")]
mod web;

use std::error::Error;
use std::io::{self, Write};
#[cfg(any(feature = "cluster", feature = "web"))]
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use lexopt::Parser;
use log::info;
use smolchat::daemon::notify::Notifier;
use smolchat::daemon::{activation, logger};
use smolchat::os::fresh_epoch;
use smolchat::report_error;
use smolchat::server::{self, Buffers, Config, ListenAddress, Listener, ListenerProtocol};
use smolchat::store::HistoryFile;

use options::{Invocation, Options, parse};

fn main() -> ExitCode {
    match parse(Parser::from_env()).and_then(Invocation::resolve) {
        Ok(Invocation::Service(options)) => match serve(*options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => report_error(program_name(), &*error, 1),
        },
        Ok(Invocation::Text(text)) => {
            // Ignored: the reader may close the pipe early, like `head`.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => report_error(program_name(), &*format_usage_error(&error), 2),
    }
}

/// Returns the name of the program for error messages. For the journal it begins with the priority
/// of an error.
fn program_name() -> &'static str {
    if logger::is_journal() { "<3>smolchatd" } else { "smolchatd" }
}

fn format_usage_error(error: &lexopt::Error) -> Box<dyn Error> {
    format!("{error} (smolchatd --help lists the options)").into()
}

fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let options = options.with_motd()?;
    let contradiction = options.find_contradiction();
    #[cfg(feature = "tls")]
    let tls = options.tls;
    let Options { addresses, mut config, log, history_file, mut file, .. } = options;
    logger::init(log);
    if let Some(contradiction) = contradiction {
        log::warn!("{contradiction}");
    }
    config.secrets.read()?;
    #[cfg(feature = "cluster")]
    config.cluster.as_ref().map_or(Ok(()), smolchat::cluster::engine::check_files)?;
    if let Some(file) = &config.ban_file {
        // The room reads the file. The server must not start without its bans, and must not replace it.
        let failed = |action, error| {
            format!("cannot {action} --ban-file {}: {error}", file.path().display())
        };
        file.check_readable().map_err(|error| failed("read", error))?;
        file.check_writable().map_err(|error| failed("write", error))?;
    }
    // First, because later descriptors could have the numbers of these.
    let activated = activation::copy_sockets()?;
    let descriptors = limits::raise_descriptor_limit();
    if let Some(path) = &history_file {
        file.keep_frames = config.room.history;
        file.keep_bytes = config.room.history_bytes;
        config.history = Some(HistoryFile::open(path, file, fresh_epoch)?);
    }
    #[cfg(feature = "tls")]
    let key = open_certificate(&tls, &mut config)?;
    #[cfg(not(feature = "tls"))]
    let key = None::<String>;
    if config.secrets.has_password() && config.plain.is_none() && key.is_none() {
        log::warn!("without --plain all the password is accepted from this machine alone");
    }
    // Before the service manager is notified, because it may send signals after that.
    let signals = signals::watch()?;
    let listeners = listen(&addresses, activated, config.buffers)?;
    #[cfg(feature = "irc")]
    set_irc_addresses(&mut config, &listeners);
    limits::fit_clients(&mut config, descriptors, listeners.len());
    info!("{}", describe(&config, &listeners, history_file.as_deref()));
    #[cfg(feature = "cluster")]
    if let Some(cluster) = &mut config.cluster
        && cluster.advertise.is_none()
    {
        cluster.advertise = cluster::find_address(&listeners);
        if cluster.advertise.is_none() {
            info!(
                "cluster: clients of other nodes need the address of this one: --advertise HOST:PORT"
            );
        }
    }
    // Ignored: standard output may be closed.
    let _ = print_addresses(&listeners, key);
    let manager = notify_ready();
    config.observer = manager.clone().map(Notifier::into_observer);
    let controls = signals::controls(signals, manager);
    Ok(smol::block_on(server::run(listeners, config, controls))?)
}

/// Prints the addresses of the server, and the fingerprint of its key.
fn print_addresses(listeners: &[Listener], key: Option<String>) -> io::Result<()> {
    let mut stdout = io::stdout();
    for listener in listeners {
        let protocol = if listener.protocol().is_irc() { " for IRC" } else { "" };
        writeln!(stdout, "listening{protocol} on {listener}")?;
    }
    #[cfg(feature = "web")]
    if let Some(address) = find_chat_address(listeners).map(web::browser_address) {
        let scheme = if key.is_some() { "https" } else { "http" };
        writeln!(stdout, "chat at {scheme}://{address}")?;
    }
    if let Some(key) = key {
        writeln!(stdout, "tls key {key}")?;
    }
    stdout.flush()
}

/// Returns the address of the first TCP listener that is not for IRC, if there is one.
#[cfg(any(feature = "cluster", feature = "web"))]
fn find_chat_address(listeners: &[Listener]) -> Option<SocketAddr> {
    let mut chat = listeners.iter().filter(|listener| !listener.protocol().is_irc());
    chat.find_map(|listener| match listener.address() {
        ListenAddress::Inet(address) => Some(*address),
        _ => None,
    })
}

/// Lists the addresses for IRC clients, for the `bye` to a client that uses another port.
#[cfg(feature = "irc")]
#[inline(never)]
fn set_irc_addresses(config: &mut Config, listeners: &[Listener]) {
    let addresses = &mut config.room.irc_addresses;
    for listener in listeners.iter().filter(|listener| listener.protocol().is_irc()) {
        if !addresses.is_empty() {
            *addresses += ", ";
        }
        *addresses += &listener.to_string();
    }
}

/// Returns listeners for the sockets of the service manager and for the addresses.
fn listen(
    addresses: &[(ListenAddress, ListenerProtocol)],
    activated: Vec<OwnedFd>,
    buffers: Buffers,
) -> Result<Vec<Listener>, Box<dyn Error>> {
    let mut listeners = Vec::new();
    for (number, socket) in (activation::FIRST_DESCRIPTOR..).zip(activated) {
        let adopted = Listener::adopt(socket, buffers);
        listeners.push(
            adopted.map_err(|error| format!("cannot listen on descriptor {number}: {error}"))?,
        );
    }
    let bound = Listener::bind_all(addresses, &listeners, buffers)?;
    listeners.extend(bound);
    Ok(listeners)
}

/// Returns the version, the addresses, the limits and the history of a server, for the log. Limits
/// that are 0, which is no limit, are left out.
fn describe(config: &Config, listeners: &[Listener], history_file: Option<&Path>) -> String {
    let room = &config.room;
    let addresses = listeners.iter().map(|listener| match listener.is_dual_stack() {
        true => format!("{listener} (IPv6 and IPv4)"),
        false => listener.to_string(),
    });
    let addresses: Vec<String> = addresses.collect();
    let mut line = format!(
        "smolchatd {} listens on {}: at most {} clients",
        env!("CARGO_PKG_VERSION"),
        addresses.join(", "),
        room.max_clients
    );
    for (limit, unit) in [
        (room.max_per_ip, "per address"),
        (room.connect_rate as usize, "new connections per second per address"),
        (config.address_rate as usize, "lines per second per address"),
        (config.address_bytes as usize, "bytes per second per address"),
        (room.rate as usize, "lines per second per client"),
        (room.max_line as usize, "bytes per line"),
        (config.outbox, "bytes waiting per client"),
    ] {
        if limit > 0 {
            line += &format!(", {limit} {unit}");
        }
    }
    let place = history_file.map_or("memory".into(), |path| path.display().to_string());
    line + &format!(
        "; history of {} lines and {} bytes in {place}",
        room.history, room.history_bytes
    )
}

/// Reads the certificate or creates it, and returns the fingerprint of its key.
#[cfg(feature = "tls")]
fn open_certificate(
    options: &tls::TlsOptions,
    config: &mut Config,
) -> Result<Option<String>, Box<dyn Error>> {
    let Some(tls) = &mut config.tls else { return Ok(None) };
    tls.certificate = options.open_certificate()?;
    let key = tls.certificate.as_ref().map(|certificate| certificate.fingerprint().to_string());
    if let Some(key) = &key {
        info!("tls key {key}");
    }
    Ok(key)
}

/// Notifies the service manager, if there is one, that clients can connect.
fn notify_ready() -> Option<Arc<Notifier>> {
    let notified = Notifier::from_environment().and_then(|manager| {
        if let Some(manager) = &manager {
            manager.notify("READY=1\nSTATUS=0 members")?;
        }
        Ok(manager)
    });
    // A service manager that gets no message waits until its timeout.
    let manager =
        notified.inspect_err(|error| log::warn!("cannot notify the service manager: {error}"));
    manager.ok().flatten().map(Arc::new)
}
