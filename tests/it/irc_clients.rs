//! IRC clients of others, beside `nc`, `smolchat` and a WebSocket: `make test-irc`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::common::client_process::ClientProcess;
use crate::common::websocket::WebSocket;
use crate::common::{ChildGuard, TempDir, TestServer, wait_until};

/// The time after which a test fails that waits for a client, which may take seconds to start.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(60);

/// A conversation of the year 2020.
const HISTORY: &str = r#"{"smolchat":"history","version":1,"epoch":"0123456789abcdef","before":0}
{"data_source":"erin","data":"long ago","kind":"chat","seq":1,"time":1577934245000}
{"data_source":"erin","data":"waves","kind":"action","seq":2,"time":1577934246000}
{"smolchat":"end","seq":2}
"#;

/// Returns the path of a tool that `tests/irc.sh` has installed.
fn tool(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/irc").join(path)
}

/// A program in which a client can be started.
type Start = fn(address: &str, name: &str) -> IrcClient;

/// An IRC client as a child process. It is killed and reaped when this is dropped.
struct IrcClient {
    process: ChildGuard,
    /// Takes a command a line.
    input: File,
    /// Precedes each command.
    prefix: &'static str,
    /// Has the folder `logs`, where the client writes what it shows.
    home: TempDir,
}

impl IrcClient {
    /// Runs a command, or says a text in the channel.
    #[track_caller]
    fn run(&mut self, command: &str) {
        self.input.write_all(format!("{}{command}\n", self.prefix).as_bytes()).unwrap();
    }

    /// Returns what it has shown, without the marks around names.
    fn shown(&self) -> String {
        let files = fs::read_dir(self.home.path("logs")).unwrap();
        let logs = files.map(|file| fs::read(file.unwrap().path()).unwrap());
        let text: String = logs.map(|log| String::from_utf8_lossy(&log).into_owned()).collect();
        text.replace('\t', " ").replace(['<', '>'], "")
    }

    /// Waits until it shows a line with all these parts.
    #[track_caller]
    fn wait_for(&self, parts: &[&str]) {
        let deadline = Instant::now() + CLIENT_TIMEOUT;
        let has_parts = |line: &str| parts.iter().all(|part| line.contains(part));
        while !self.shown().lines().any(has_parts) {
            assert!(Instant::now() < deadline, "no line with {parts:?}: {}", self.shown());
            thread::sleep(Duration::from_millis(20));
        }
    }
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
fn spawn(mut command: Command) -> ChildGuard {
    let process = command.spawn().unwrap_or_else(|error| {
        panic!("{}: {error}; `tests/irc.sh deps` installs it", command.get_program().display())
    });
    ChildGuard(process)
}

fn start_irssi(address: &str, name: &str) -> IrcClient {
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
    let process = spawn(irssi);
    let input = File::from(master);
    let mut screen = input.try_clone().unwrap();
    thread::spawn(move || while screen.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {});

    let mut irssi = IrcClient { process, input, prefix: "", home };
    let address = address.replace(':', " ");
    irssi.run(&format!("/connect {address} secret {name}"));
    irssi.wait_for(&["this conversation is written to a file"]);
    irssi.run("/join #smol");
    irssi
}

fn start_weechat(address: &str, name: &str) -> IrcClient {
    let home = TempDir::new();
    fs::write(
        home.path("weechat.conf"),
        "[plugin]\nautoload = \"fifo,irc,logger\"\n[startup]\ncommand_before_plugins = \"\"\n",
    )
    .unwrap();
    let mut weechat = command("weechat-headless", &home);
    weechat.arg("--dir").arg(home.path(""));
    let settings = [
        format!("/set logger.file.path {}", home.path("logs").display()),
        "/set logger.file.flush_delay 0".to_owned(),
        "/set irc.server_default.anti_flood_prio_high 0".to_owned(),
        format!("/set irc.server_default.nicks {name}"),
        format!("/set fifo.file.path {}", home.path("fifo").display()),
        "/fifo enable".to_owned(),
        format!("/server add smol {}/{} -notls", split(address).0, split(address).1),
        "/set irc.server.smol.password secret".to_owned(),
        "/set irc.server.smol.autojoin #smol".to_owned(),
        "/connect smol".to_owned(),
    ];
    for setting in &settings {
        weechat.args(["--run-command", setting]);
    }
    weechat.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let process = spawn(weechat);
    wait_until("WeeChat has its FIFO", || home.path("fifo").exists());
    // Opened for reading, too, which does not wait for the other side.
    let input = File::options().read(true).write(true).open(home.path("fifo")).unwrap();
    IrcClient { process, input, prefix: "irc.smol.#smol *", home }
}

/// Starts a client of `tests/irc/`.
fn start_bot(program: PathBuf, script: Option<&str>, address: &str, name: &str) -> IrcClient {
    let home = TempDir::new();
    let mut bot = command(program, &home);
    if let Some(script) = script {
        bot.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/irc").join(script));
    }
    let (host, port) = split(address);
    let log = File::create(home.path("logs/stdout")).unwrap();
    let errors = File::create(home.path("logs/stderr")).unwrap();
    bot.args([host, port, name, "secret"]).env("NODE_PATH", tool("node_modules"));
    bot.stdin(Stdio::piped()).stdout(log).stderr(errors);
    let mut process = spawn(bot);
    let input = File::from(OwnedFd::from(process.0.stdin.take().unwrap()));
    IrcClient { process, input, prefix: "", home }
}

fn start_python(address: &str, name: &str) -> IrcClient {
    start_bot(tool("bin/python"), Some("bot.py"), address, name)
}

fn start_node(address: &str, name: &str) -> IrcClient {
    start_bot("node".into(), Some("bot.js"), address, name)
}

fn start_rust(address: &str, name: &str) -> IrcClient {
    start_bot(tool("bot/target/debug/bot"), None, address, name)
}

/// Returns the host and the port of an address.
fn split(address: &str) -> (&str, &str) {
    address.rsplit_once(':').unwrap()
}

/// A server with three members that are no IRC clients: bob, carol and dave.
struct Room {
    irc_address: String,
    bob: ClientProcess,
    carol: ClientProcess,
    dave: WebSocket,
    _server: TestServer,
    _dir: TempDir,
}

impl Room {
    #[track_caller]
    fn start() -> Self {
        let dir = TempDir::new();
        fs::write(dir.path("history"), HISTORY).unwrap();
        let history = dir.path("history").display().to_string();
        let options = ["--irc", "127.0.0.1:0", "--history-file", &history, "--rate", "0"];
        let server = TestServer::start(&options);
        let (host, port) = split(server.address(0));
        let mut nc = Command::new("nc");
        nc.args([host, port]).stdin(Stdio::piped());
        let mut bob = ClientProcess::run(nc);
        bob.write_input("{\"hello\":{\"name\":\"bob\"}}\n");
        bob.wait_for_line("welcome, bob");
        let carol = ClientProcess::start(server.address(0), "carol", &[]);
        bob.wait_for_line("carol joined");
        let (dave, _) = WebSocket::join(server.address(0), "dave");
        bob.wait_for_line("dave joined");
        let irc_address = server.irc_address();
        Room { irc_address, bob, carol, dave, _server: server, _dir: dir }
    }

    /// Waits until bob, carol and dave have received a message of a member.
    #[track_caller]
    fn wait_for(&mut self, name: &str, kind: &str, text: &str) {
        for client in [&mut self.bob, &mut self.carol] {
            let line = client.wait_for_line(text);
            assert!(line.contains(name), "{line}");
        }
        let frame = loop {
            let frame = self.dave.recv();
            if frame["data"].as_str().unwrap().contains(text) {
                break frame;
            }
        };
        assert_eq!((&frame["data_source"], &frame["kind"]), (&name.into(), &kind.into()));
    }

    /// Says a line, or runs a command, as bob, carol and dave. The text ends with the name.
    fn run(&mut self, command: &str) {
        self.bob.write_input(&format!("{command} bob\n"));
        self.carol.write_input(&format!("{command} carol\n"));
        self.dave.send(&format!("{command} dave"));
    }
}

const OTHERS: [&str; 3] = ["bob", "carol", "dave"];

/// Joins as alice, talks, acts, writes privately, changes the name, and is gone and back.
fn check(start: Start) {
    let mut room = Room::start();
    let mut alice = start(&room.irc_address, "alice");
    room.bob.wait_for_line("alice joined");
    alice.wait_for(&["2020-01-02 03:04:05", "erin", "long ago"]);
    alice.wait_for(&["2020-01-02 03:04:06", "* erin waves"]);

    alice.run("hello, grüße, 早上好");
    room.wait_for("alice", "chat", "hello, grüße, 早上好");
    alice.run("/me waves to all");
    room.wait_for("alice", "action", "waves to all");
    room.run("greetings of");
    room.run("/me nods as");
    for name in OTHERS {
        alice.wait_for(&[&format!("{name} greetings of {name}")]);
        alice.wait_for(&[&format!("* {name} nods as {name}")]);
    }

    alice.run("/msg bob only for bob");
    assert!(room.bob.wait_for_line("only for bob").contains(r#""kind":"private""#));
    alice.run("/msg carol only for carol");
    room.carol.wait_for_line("only for carol");
    alice.run("/msg dave only for dave");
    assert_eq!(room.dave.recv_kind("private")["data"], "only for dave");
    room.run("/msg alice in private from");
    for name in OTHERS {
        alice.wait_for(&[&format!("{name} in private from {name}")]);
    }

    alice.run("/nick alicia");
    room.bob.wait_for_line("alice is now alicia");
    room.bob.write_input("/nick rob\n");
    alice.wait_for(&["bob", "now known as rob"]);
    alice.run("as alicia");
    room.wait_for("alicia", "chat", "as alicia");

    // The name is kept while the client is gone, and given to no other one.
    drop(alice);
    room.bob.wait_for_line("alicia left");
    room.bob.write_input("/nick alicia\n");
    assert!(room.bob.wait_for_line(r#""kind":"error""#).contains("alicia"));
    room.carol.write_input("while alicia is away\n");
    room.wait_for("carol", "chat", "while alicia is away");
    let mut alice = start(&room.irc_address, "alicia");
    room.bob.wait_for_line("alicia joined");
    alice.wait_for(&["carol", "while alicia is away"]);
    alice.run("back again");
    room.wait_for("alicia", "chat", "back again");

    // A connection that hangs is taken over.
    kill_process(Pid::from_child(&alice.process.0), Signal::STOP).unwrap();
    let mut next = start(&room.irc_address, "alicia");
    next.wait_for(&["alicia", "back again"]);
    next.run("from a new connection");
    room.wait_for("alicia", "chat", "from a new connection");
    drop(alice);

    next.run("/quit see you");
    room.bob.wait_for_line("alicia left");
}

/// Runs the check with a client, as a test of its own.
macro_rules! with_clients {
    ($($name:ident: $start:ident,)*) => {$(
        #[test]
        #[ignore = "needs IRC clients, see `make test-irc`"]
        fn $name() {
            check($start);
        }
    )*};
}

with_clients! {
    irssi_talks_and_comes_back: start_irssi,
    weechat_talks_and_comes_back: start_weechat,
    irc_of_python_talks_and_comes_back: start_python,
    irc_framework_talks_and_comes_back: start_node,
    irc_of_rust_talks_and_comes_back: start_rust,
}

#[test]
#[ignore = "needs IRC clients, see `make test-irc`"]
fn all_clients_talk_in_one_room() {
    let mut room = Room::start();
    let starts: [(&str, Start); 5] = [
        ("irssi", start_irssi),
        ("weechat", start_weechat),
        ("python", start_python),
        ("node", start_node),
        ("rust", start_rust),
    ];
    let mut clients = starts.map(|(name, start)| (name, start(&room.irc_address, name)));
    for (_, client) in &clients {
        client.wait_for(&["* erin waves"]);
    }
    for (name, client) in &mut clients {
        client.run(&format!("a line of {name}"));
        room.wait_for(name, "chat", &format!("a line of {name}"));
    }
    room.run("a line of");
    for (own, client) in &clients {
        for name in starts.map(|(name, _)| name).into_iter().chain(OTHERS) {
            if name != *own {
                client.wait_for(&[&format!("{name} a line of {name}")]);
            }
        }
    }
}
