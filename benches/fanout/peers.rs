//! The other servers: each one serves a room on the loopback address, without the limits that would
//! slow down a sender or reject a member. All other settings are the defaults.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::server::{ScratchDir, Server, free_port};

/// Directories with servers that are often not in `PATH`.
const SYSTEM_DIRS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"];

/// The directory in which `make bench-peers` installs packages of npm.
const NODE_MODULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers/node_modules");

/// Returns the path of a program.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(SYSTEM_DIRS.map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

/// Returns whether a package of npm is installed.
pub fn has_node_package(name: &str) -> bool {
    Path::new(NODE_MODULES).join(name).is_dir()
}

/// Starts Redis: without files, and without a limit for the output buffer of a subscriber.
pub fn redis(program: &Path) -> io::Result<Server> {
    let dir = ScratchDir::new("redis")?;
    let port = free_port()?;
    let mut command = Command::new(program);
    command
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", "no"])
        .args(["--maxclients", "19000", "--tcp-backlog", "4096"])
        .args(["--client-output-buffer-limit", "pubsub", "0", "0", "0"])
        .arg("--dir")
        .arg(dir.path());
    Server::spawn_on_port(command, port, dir)
}

/// Starts ngIRCd: without look-ups of clients, limits of connections, and penalties for fast
/// senders. `options` returns the port without TLS and further sections, for the port of the room.
pub fn ngircd(program: &Path, options: impl FnOnce(u16) -> (u16, String)) -> io::Result<Server> {
    spawn_with_config(program, "ngircd", &["--nodaemon", "--config"], |port| {
        let (port, sections) = options(port);
        format!(
            "[Global]\n\
             Name = irc.example.net\n\
             Info = fanout\n\
             Listen = 127.0.0.1\n\
             Ports = {port}\n\
             MotdPhrase = fanout\n\
             [Limits]\n\
             MaxConnections = 0\n\
             MaxConnectionsIP = 0\n\
             MaxPenaltyTime = 0\n\
             PingTimeout = 3600\n\
             [Options]\n\
             DNS = no\n\
             Ident = no\n\
             PAM = no\n\
             {sections}"
        )
    })
}

/// Starts Mosquitto, see [`spawn_mosquitto`].
pub fn mosquitto(program: &Path) -> io::Result<Server> {
    spawn_mosquitto(program, |port| format!("listener {port} 127.0.0.1\n"))
}

/// Starts Mosquitto with WebSockets, see [`spawn_mosquitto`].
pub fn mosquitto_websockets(program: &Path) -> io::Result<Server> {
    // Version 2.0.11 exits if it has no other listener.
    let other_port = free_port()?;
    spawn_mosquitto(program, |port| {
        format!(
            "listener {other_port} 127.0.0.1\n\
             listener {port} 127.0.0.1\n\
             protocol websockets\n"
        )
    })
}

/// Starts Mosquitto: with anonymous clients, and without a limit for queued messages.
fn spawn_mosquitto(program: &Path, listeners: impl FnOnce(u16) -> String) -> io::Result<Server> {
    spawn_with_config(program, "mosquitto", &["-c"], |port| {
        listeners(port)
            + "allow_anonymous true\n\
               persistence false\n\
               log_dest none\n\
               max_connections -1\n\
               max_inflight_messages 0\n\
               max_queued_messages 0\n\
               max_queued_bytes 0\n\
               set_tcp_nodelay true\n"
    })
}

/// Starts NATS: without pings to members during a run, and with further options.
pub fn nats(program: &Path, options: &str) -> io::Result<Server> {
    spawn_with_config(program, "nats", &["--config"], |port| {
        format!(
            "listen: 127.0.0.1:{port}\n\
             max_connections: 20000\n\
             ping_interval: \"1h\"\n\
             logfile: \"/dev/null\"\n\
             {options}"
        )
    })
}

/// Starts the room on `ws`.
pub fn node_ws(program: &Path) -> io::Result<Server> {
    let mut command = Command::new(program);
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/fanout/ws_room.js"))
        .env("NODE_PATH", NODE_MODULES);
    Server::spawn(command)
}

/// Starts a server with a configuration file, the path of which follows `args`.
pub fn spawn_with_config(
    program: &Path,
    name: &str,
    args: &[&str],
    config: impl FnOnce(u16) -> String,
) -> io::Result<Server> {
    let dir = ScratchDir::new(name)?;
    let port = free_port()?;
    let path = dir.write(&format!("{name}.conf"), &config(port))?;
    let mut command = Command::new(program);
    command.args(args).arg(path);
    Server::spawn_on_port(command, port, dir)
}
