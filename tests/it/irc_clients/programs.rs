//! IRC clients as child processes.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::common::{ChildGuard, TempDir, wait_until};

/// The time after which a test fails that waits for a client, which may take seconds to start.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(60);

/// Returns the path of a tool that `tests/irc.sh` has installed.
fn tool(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/irc").join(path)
}

/// Starts a client that joins the channel.
pub type Start = fn(address: &str, name: &str) -> IrcClient;

/// An IRC client as a child process. It is killed and reaped when this is dropped.
pub struct IrcClient {
    process: ChildGuard,
    /// Takes a command a line.
    input: File,
    /// Precedes each command.
    prefix: &'static str,
    /// Has the folder `logs`, where the client writes what it shows.
    home: TempDir,
    _display: Option<Display>,
}

/// An X server for a client that needs one.
struct Display(Child);

impl Drop for Display {
    fn drop(&mut self) {
        // Removes its lock file, which it would not do if it were killed.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

impl IrcClient {
    /// Runs a command, or says a text in the channel.
    #[track_caller]
    pub fn run(&mut self, command: &str) {
        self.input.write_all(format!("{}{command}\n", self.prefix).as_bytes()).unwrap();
    }

    /// Connects with the documented commands, and joins the channel.
    #[track_caller]
    fn connect(&mut self, commands: Vec<String>) {
        for command in commands {
            self.run(&command);
            if command.starts_with("/connect") || command.starts_with("/server") {
                self.wait_for(&["this conversation is written to a file"]);
            }
        }
    }

    /// Returns what it has shown, without the marks around names.
    fn shown(&self) -> String {
        let files = fs::read_dir(self.home.path("logs")).unwrap();
        let logs = files.map(|file| fs::read(file.unwrap().path()).unwrap());
        let text: String = logs.map(|log| String::from_utf8_lossy(&log).into_owned()).collect();
        text.replace('\t', " ").replace(['<', '>'], "")
    }

    /// Stops the process: its connection stays open, and it reads and writes no more.
    pub fn suspend(&self) {
        kill_process(Pid::from_child(&self.process.0), Signal::STOP).unwrap();
    }

    /// Waits until it shows a line with all these parts.
    #[track_caller]
    pub fn wait_for(&self, parts: &[&str]) {
        let deadline = Instant::now() + CLIENT_TIMEOUT;
        let has_parts = |line: &str| parts.iter().all(|part| line.contains(part));
        while !self.shown().lines().any(has_parts) {
            assert!(Instant::now() < deadline, "no line with {parts:?}: {}", self.shown());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Returns the commands in a row of docs/irc.md with which a client connects, for this server and
/// name.
#[track_caller]
fn documented_commands(row: &str, address: &str, name: &str) -> Vec<String> {
    let mut lines = include_str!("../../../docs/irc.md").lines();
    let row = lines.find(|line| line.starts_with(&format!("| {row} |"))).unwrap();
    let (host, port) = split(address);
    let adapt = |command: &str| {
        let command = command.replace("192.0.2.1", host).replace("6667", port);
        let command = command.replace("chat.example.org", host).replace("6697", port);
        command.replace("WORD", "secret").replace("alice", name)
    };
    row.split('`').skip(1).step_by(2).map(adapt).collect()
}

/// Returns the commands with which a client connects over TLS and trusts the certificate in a file.
#[cfg(feature = "tls")]
#[track_caller]
fn commands_with_tls(client: &str, address: &str, name: &str, pem: &str) -> Vec<String> {
    let commands = documented_commands(&format!("{client}, TLS"), address, name);
    commands.into_iter().map(|command| command.replace("chat.pem", pem)).collect()
}

/// Returns a command with a home folder of its own, which has the folder `logs`.
fn command(program: impl AsRef<Path>, home: &TempDir) -> Command {
    fs::create_dir(home.path("logs")).unwrap();
    let mut command = Command::new(program.as_ref());
    command.env("HOME", home.path("")).env("TZ", "UTC").env("LC_ALL", "C.UTF-8");
    command.env_remove("XDG_RUNTIME_DIR").env_remove("NODE_OPTIONS");
    command
}

#[track_caller]
fn spawn(mut command: Command) -> Child {
    command.spawn().unwrap_or_else(|error| {
        panic!("{}: {error}; `tests/irc.sh deps` installs it", command.get_program().display())
    })
}

pub fn start_irssi(address: &str, name: &str) -> IrcClient {
    run_irssi(documented_commands("irssi", address, name))
}

#[cfg(feature = "tls")]
pub fn start_irssi_with_tls(address: &str, name: &str, pem: &str) -> IrcClient {
    run_irssi(commands_with_tls("irssi", address, name, pem))
}

fn run_irssi(commands: Vec<String>) -> IrcClient {
    let home = TempDir::new();
    let logs = home.path("logs/$0.log");
    let config = format!(
        r#"settings = {{
    core = {{ log_timestamp = "%Y-%m-%d %H:%M:%S "; }};
    "irc/core" = {{ cmd_queue_speed = "1msec"; }};
    "fe-common/core" = {{
        autolog = "yes"; autolog_path = "{}"; autolog_level = "all"; autocreate_own_query = "no";
    }};
    "fe-text" = {{ paste_verify_line_count = "0"; }};
}};"#,
        logs.display()
    );
    fs::write(home.path("config"), config).unwrap();

    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let open = || OwnedFd::from(File::options().read(true).write(true).open(&path).unwrap());
    let mut irssi = command("irssi", &home);
    irssi.arg("--home").arg(home.path("")).env("TERM", "xterm");
    irssi.stdin(open()).stdout(open()).stderr(open());
    let process = ChildGuard(spawn(irssi));
    let input = File::from(master);
    let mut screen = input.try_clone().unwrap();
    thread::spawn(move || while screen.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {});

    let mut irssi = IrcClient { process, input, prefix: "", home, _display: None };
    irssi.connect(commands);
    irssi
}

pub fn start_weechat(address: &str, name: &str) -> IrcClient {
    run_weechat(documented_commands("WeeChat", address, name))
}

#[cfg(feature = "tls")]
pub fn start_weechat_with_tls(address: &str, name: &str, pem: &str) -> IrcClient {
    let commands = commands_with_tls("WeeChat", address, name, pem);
    // The name of the option before version 4.0. Unknown options are ignored.
    run_weechat(commands.iter().map(|command| command.replace(" -tls", " -tls -ssl")).collect())
}

fn run_weechat(connect: Vec<String>) -> IrcClient {
    let home = TempDir::new();
    let settings = "[plugin]\nautoload = \"fifo,irc,logger\"\n";
    fs::write(home.path("weechat.conf"), settings).unwrap();
    let mut weechat = command("weechat-headless", &home);
    weechat.arg("--dir").arg(home.path(""));
    let commands = [
        format!("/set logger.file.path {}", home.path("logs").display()),
        "/set logger.file.flush_delay 0".to_owned(),
        "/set irc.server_default.anti_flood_prio_high 0".to_owned(),
        format!("/set fifo.file.path {}", home.path("fifo").display()),
        "/fifo enable".to_owned(),
    ];
    for command in commands.into_iter().chain(connect) {
        weechat.args(["--run-command", &command]);
    }
    weechat.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let process = ChildGuard(spawn(weechat));
    wait_until("WeeChat has its FIFO", || home.path("fifo").exists());
    let input = open_fifo(&home);
    IrcClient { process, input, prefix: "irc.smol.#smol *", home, _display: None }
}

pub fn start_hexchat(address: &str, name: &str) -> IrcClient {
    let home = TempDir::new();
    let mut hexchat = if geteuid().is_root() {
        // As root, HexChat shows a warning and waits for a click.
        let mut setpriv = command("setpriv", &home);
        setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups", "hexchat"]);
        setpriv
    } else {
        command("hexchat", &home)
    };
    let settings = format!(
        "gui_slist_skip = 1\nirc_nick1 = {name}\nirc_logging = 1\nirc_logmask = %s-%c.log\n\
         stamp_log_format = %Y-%m-%d %H:%M:%S \nnet_throttle = 0\n"
    );
    fs::write(home.path("hexchat.conf"), settings).unwrap();
    fs::create_dir(home.path("addons")).unwrap();
    fs::copy(script("hexchat.py"), home.path("addons/fifo.py")).unwrap();
    assert!(Command::new("mkfifo").arg(home.path("fifo")).status().unwrap().success());
    let input = open_fifo(&home);
    if geteuid().is_root() {
        for path in ["", "addons", "fifo", "hexchat.conf", "logs"] {
            chown(home.path(path), Some(65534), Some(65534)).unwrap();
        }
    }

    let mut xvfb = Command::new("Xvfb");
    xvfb.args(["-displayfd", "1", "-nolisten", "tcp"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut display = Display(spawn(xvfb));
    let mut number = String::new();
    BufReader::new(display.0.stdout.take().unwrap()).read_line(&mut number).unwrap();
    hexchat.arg("--cfgdir").arg(home.path("")).env("DISPLAY", format!(":{}", number.trim()));
    hexchat.env("DBUS_SESSION_BUS_ADDRESS", "disabled:").env("NO_AT_BRIDGE", "1");
    hexchat.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let process = ChildGuard(spawn(hexchat));
    let mut hexchat = IrcClient { process, input, prefix: "", home, _display: Some(display) };
    hexchat.connect(documented_commands("HexChat", address, name));
    hexchat
}

/// Opens the FIFO of a client for writing, and for reading, too, which does not wait for the client.
fn open_fifo(home: &TempDir) -> File {
    File::options().read(true).write(true).open(home.path("fifo")).unwrap()
}

/// Returns the path of a file of `tests/irc/`.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/irc").join(name)
}

/// Starts a client of `tests/irc/`.
fn start_bot(program: PathBuf, source: Option<&str>, address: &str, name: &str) -> IrcClient {
    let home = TempDir::new();
    let mut bot = command(program, &home);
    bot.args(source.map(script));
    let (host, port) = split(address);
    let log = File::create(home.path("logs/stdout")).unwrap();
    let errors = File::create(home.path("logs/stderr")).unwrap();
    bot.args([host, port, name, "secret"]).env("NODE_PATH", tool("node_modules"));
    bot.stdin(Stdio::piped()).stdout(log).stderr(errors);
    let mut process = ChildGuard(spawn(bot));
    let input = File::from(OwnedFd::from(process.0.stdin.take().unwrap()));
    IrcClient { process, input, prefix: "", home, _display: None }
}

pub fn start_python(address: &str, name: &str) -> IrcClient {
    start_bot(tool("bin/python"), Some("bot.py"), address, name)
}

pub fn start_node(address: &str, name: &str) -> IrcClient {
    start_bot("node".into(), Some("bot.js"), address, name)
}

pub fn start_rust(address: &str, name: &str) -> IrcClient {
    start_bot(tool("bot/target/debug/bot"), None, address, name)
}

/// Returns the host and the port of an address.
pub fn split(address: &str) -> (&str, &str) {
    address.rsplit_once(':').unwrap()
}
