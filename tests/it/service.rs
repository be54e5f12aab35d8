//! The server in the hands of a service manager: what it tells it, the sockets that it is given,
//! and how little else it needs.

use std::collections::HashSet;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::smolchat::Smolchat;
use crate::common::{
    PATIENCE, Scratch, TestClient, TestServer, assert_consecutive, eventually, parse,
    run_to_end_after, seqs,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use smolchat::cli::{OptionSpec, SMOLCHATD, Value as Takes};

/// A service manager, as far as a server can tell.
struct Manager {
    socket: UnixDatagram,
    scratch: Scratch,
}

impl Manager {
    fn new() -> Self {
        let scratch = Scratch::new();
        let socket = UnixDatagram::bind(scratch.path("notify")).unwrap();
        Manager { socket: patient(socket), scratch }
    }

    /// What has the shell set up for a server to be under its eyes.
    fn prelude(&self) -> String {
        format!("export NOTIFY_SOCKET={}", self.scratch.path("notify").display())
    }

    /// The next that it is told.
    #[track_caller]
    fn told(&self) -> String {
        receive(&self.socket)
    }
}

fn patient(socket: UnixDatagram) -> UnixDatagram {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

#[track_caller]
fn receive(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let length = socket.recv(&mut buffer).expect("the manager is told something");
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

#[test]
fn the_manager_is_told_when_it_listens_who_is_here_and_when_it_ends() {
    let manager = Manager::new();
    let mut server = TestServer::start_after(&manager.prelude(), &[]);
    assert_eq!(manager.told(), "READY=1\nSTATUS=0 members");
    let _alice = server.join("alice");
    assert_eq!(manager.told(), "STATUS=1 member");
    let told = Instant::now();
    let crowd: Vec<TestClient> = (0..9).map(|n| server.join(&format!("m-{n}"))).collect();
    // Those who come within a second are told of together, however many there are.
    let mut news = 0;
    while manager.told() != "STATUS=10 members" {
        news += 1;
    }
    assert!(news <= told.elapsed().as_secs(), "{news} in {:?}", told.elapsed());
    drop(crowd);
    while manager.told() != "STATUS=1 member" {}
    server.signal(Signal::TERM);
    assert_eq!(manager.told(), "STOPPING=1");
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
}

#[test]
fn a_manager_may_have_a_name_instead_of_a_path() {
    let name = format!("smolchat-service-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = patient(UnixDatagram::bind_addr(&address).unwrap());
    let _server = TestServer::start_after(&format!("export NOTIFY_SOCKET=@{name}"), &[]);
    assert_eq!(receive(&socket), "READY=1\nSTATUS=0 members");
}

#[test]
fn a_manager_that_does_not_listen_or_does_not_read_stops_nobody() {
    for address in ["/nonexistent/notify", "vsock:2:1", "@"] {
        let server = TestServer::start_after(&format!("export NOTIFY_SOCKET={address}"), &[]);
        server.logged(&["cannot tell the service manager"]);
        server.join("alice");
    }
    let manager = Manager::new();
    let prelude = manager.prelude() + " WATCHDOG_USEC=2000";
    let server = TestServer::start_after(&prelude, &[]);
    assert_eq!(manager.told(), "READY=1\nSTATUS=0 members");
    // From here on, nothing more fits into what waits for the manager.
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"x", manager.scratch.path("notify")).is_ok() {}
    let mut alice = server.join("alice");
    alice.say("hello");
    assert_eq!(alice.recv_kind("chat")["data"], "hello");
}

#[test]
fn signs_of_life_come_in_half_the_time_and_nothing_else_wakes_it() {
    const BEAT: Duration = Duration::from_millis(100);
    const BEATS: u32 = 10;
    let manager = Manager::new();
    let watchdog = 2 * BEAT.as_micros();
    let prelude = format!("{} WATCHDOG_USEC={watchdog} WATCHDOG_PID=$$", manager.prelude());
    let server = TestServer::start_after(&prelude, &[]);
    assert_eq!(manager.told(), "READY=1\nSTATUS=0 members");
    // Members who are here and say nothing.
    let _members = ["alice", "bob", "carol"].map(|name| server.join(name));
    while manager.told() != "STATUS=3 members" {}
    for _ in 0..5 {
        assert_eq!(manager.told(), "WATCHDOG=1");
    }
    let (started, sleeps) = (Instant::now(), server.sleeps());
    for _ in 0..BEATS {
        assert_eq!(manager.told(), "WATCHDOG=1");
    }
    let (took, sleeps) = (started.elapsed(), server.sleeps() - sleeps);
    // It may be late, on a machine that is busy, but it does not come early; one may have waited.
    assert!(took >= BEAT * (BEATS - 2), "{BEATS} signs of life in {took:?}");
    // When the one thread has worked, the other looks ten times or so, in twenty milliseconds,
    // whether it has come to rest. Anything else that happened would cost as much again.
    assert!(sleeps <= u64::from(BEATS) * 20, "woken {sleeps} times for {BEATS} signs of life");
}

#[test]
fn nothing_wakes_a_quiet_room_that_nobody_watches() {
    let manager = Manager::new();
    // A watchdog for somebody else is none.
    let prelude = manager.prelude() + " WATCHDOG_USEC=2000 WATCHDOG_PID=1";
    let server = TestServer::start_after(&prelude, &[]);
    let _members = ["alice", "bob", "carol"].map(|name| server.join(name));
    let mut told = Vec::new();
    while told.last().is_none_or(|news| news != "STATUS=3 members") {
        told.push(manager.told());
    }
    assert!(told.iter().all(|news| news != "WATCHDOG=1"), "{told:?}");
    server.assert_idle();
    let sleeps = server.sleeps();
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(server.sleeps() - sleeps, 0);
}

/// Sockets as a manager has them, and a copy of them for a server.
fn sockets() -> (TcpListener, UnixListener, Scratch, impl Fn() -> Vec<OwnedFd>) {
    let scratch = Scratch::new();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let unix = UnixListener::bind(scratch.path("chat")).unwrap();
    let (first, second) = (tcp.try_clone().unwrap(), unix.try_clone().unwrap());
    let copies =
        move || vec![first.try_clone().unwrap().into(), second.try_clone().unwrap().into()];
    (tcp, unix, scratch, copies)
}

#[test]
fn it_serves_the_sockets_that_it_is_given_and_leaves_their_files_alone() {
    let (tcp, _unix, scratch, copies) = sockets();
    let given = [tcp.local_addr().unwrap().to_string(), scratch.address("chat")];
    let mut server = TestServer::start_activated(copies(), &[]);
    assert_eq!([server.address(0), server.address(1)], given);
    let mut alice = server.join_at(0, "alice");
    server.join_at(1, "bob").say("hello");
    assert_eq!(alice.recv_kind("chat")["data"], "hello");
    server.signal(Signal::TERM);
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
    // Nothing but those: there was no line of any other that it listens at.
    assert_eq!(server.rest_of_stdout(), [] as [String; 0]);
    assert!(scratch.path("chat").exists());

    // Where it is told of an address, too, it serves both.
    let own = ["--listen", "127.0.0.1:0"];
    let server = TestServer::start_activated(copies(), &own);
    assert_eq!(server.address(1), given[1]);
    let mut alice = server.join_at(2, "alice");
    server.join_at(0, "bob").say("hello");
    assert_eq!(alice.recv_kind("chat")["data"], "hello");
}

#[test]
fn a_client_that_was_there_before_the_server_is_served_like_any_other() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(socket) = TcpListener::bind(address) else {
            eprintln!("skipped: there is no {address} here");
            continue;
        };
        let address = socket.local_addr().unwrap();
        let mut early = TestClient::connect(&address.to_string());
        let server = TestServer::start_activated(vec![socket.into()], &[]);
        early.hello("alice");
        let late = server.join("bob");
        // The kernel shows who has a timer that asks whether the other end is there still.
        let timers: HashSet<u16> = keepalive_timers(address.port());
        assert_eq!(timers, HashSet::from([early.port, late.port]));
    }
}

/// The remote ports of the connections of a local one whose next timer is that of keepalive
/// (proc_net_tcp: `tr` is 2).
fn keepalive_timers(port: u16) -> HashSet<u16> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let text: String = tables.map(|path| fs::read_to_string(path).unwrap_or_default()).concat();
    let port_of = |field: &str| {
        let (_, port) = field.rsplit_once(':').unwrap();
        u16::from_str_radix(port, 16).unwrap_or_default()
    };
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let lines = lines.filter(|fields| fields.len() > 5 && fields[0] != "sl");
    let ours = lines.filter(|fields| port_of(fields[1]) == port && fields[5].starts_with("02:"));
    ours.map(|fields| port_of(fields[2])).filter(|port| *port != 0).collect()
}

#[test]
fn what_is_no_socket_to_listen_at_is_one_clear_error() {
    let connected = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap()
    };
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let not_listening = [OwnedFd::from(connected), datagrams.into()];
    for socket in not_listening {
        let error = refusal("LISTEN_PID=$$ LISTEN_FDS=1", socket.into());
        assert!(error.contains("descriptor 3: it is not a stream socket that listens"), "{error}");
    }
    let error = refusal("LISTEN_PID=$$ LISTEN_FDS=1", Stdio::null());
    assert!(error.contains("descriptor 3: ") && error.contains("os error 88"), "{error}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = refusal("LISTEN_PID=$$ LISTEN_FDS=2", OwnedFd::from(listener).into());
    assert!(error.contains("descriptor 4: "), "{error}");
    let error = refusal("LISTEN_PID=$$ LISTEN_FDS=many", Stdio::null());
    assert!(error.contains("LISTEN_FDS"), "{error}");
}

/// The one line in which a server turns down what it was given as descriptor 3.
#[track_caller]
fn refusal(variables: &str, descriptor: Stdio) -> String {
    let output = run_to_end_after(&format!("exec 3<&0; export {variables}"), descriptor, &[]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

#[test]
fn sockets_for_another_process_are_not_taken() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = ["--listen", "unix:/nonexistent/socket"];
    let prelude = "exec 3<&0; export LISTEN_PID=1 LISTEN_FDS=1";
    let output = run_to_end_after(prelude, OwnedFd::from(socket).into(), &options);
    let error = String::from_utf8(output.stderr).unwrap();
    // It went on to the address that it was told.
    assert!(error.contains("/nonexistent/socket"), "{error}");
}

#[test]
fn who_connects_while_there_is_no_server_is_served_by_the_next() {
    let (tcp, _unix, scratch, copies) = sockets();
    let addresses = [tcp.local_addr().unwrap().to_string(), scratch.address("chat")];
    let mut waiting = Vec::new();
    for round in 0..3 {
        let mut server = TestServer::start_activated(copies(), &[]);
        for (n, client) in waiting.iter_mut().enumerate() {
            let client: &mut TestClient = client;
            assert_eq!(client.recv_kind("welcome")["name"], format!("m-{n}"));
            client.until(|frame| frame["kind"] == "chat" && frame["data"] == format!("line {n}"));
        }
        let mut last = server.join("carol");
        server.signal(Signal::TERM);
        while last.recv()["kind"] != "bye" {}
        // Some connect while it still ends, and others when it has.
        waiting = (0..20)
            .map(|n| {
                if n == 10 {
                    assert_eq!(server.wait(PATIENCE).code(), Some(0), "round {round}");
                }
                let mut client = TestClient::connect(&addresses[n % 2]);
                client.send(&json!({ "hello": { "name": format!("m-{n}") } }));
                client.say(&format!("line {n}"));
                client
            })
            .collect();
    }
}

#[test]
fn a_crowd_that_connects_during_a_restart_is_answered_to_the_last() {
    const CROWD: usize = 600;
    let (tcp, _unix, _scratch, copies) = sockets();
    // As many may wait as a manager lets wait.
    rustix::net::listen(&tcp, 1024).unwrap();
    let address = tcp.local_addr().unwrap().to_string();
    let options = ["--max-per-ip", "0"];
    let mut server = TestServer::start_activated(copies(), &options);
    let mut crowd = Vec::new();
    for n in 0..CROWD {
        crowd.push(TestClient::connect(&address));
        if n == CROWD / 2 {
            server.signal(Signal::TERM);
        }
    }
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
    let _next = TestServer::start_activated(copies(), &options);
    // The first server lets in who came early, and says bye to who was taken and is no member yet;
    // all others are the next one's.
    for (n, client) in crowd.iter_mut().enumerate() {
        let kind = client.recv()["kind"].clone();
        assert!(kind == "welcome" || kind == "bye", "{kind} for client {n}");
    }
}

#[test]
fn a_restart_with_a_history_file_loses_no_line() {
    const LINES: usize = 400;
    let (tcp, _unix, scratch, copies) = sockets();
    let address = tcp.local_addr().unwrap().to_string();
    let file = scratch.path("room");
    let options = ["--rate", "0", "--history-file", file.to_str().unwrap()];
    let mut server = TestServer::start_activated(copies(), &options);
    let mut bob = Smolchat::start(&address, "bob", &["--json"]);
    bob.until("welcome");
    let mut alice = Smolchat::start(&address, "alice", &["--json"]);
    let mut next = 0;
    for _ in 0..4 {
        let lines: Vec<String> = (next..next + LINES / 4).map(|n| format!("line {n}\n")).collect();
        alice.type_in(&lines.concat());
        // In the middle of it all.
        alice.until(&format!(r#""line {}""#, next + 7));
        server.signal(Signal::TERM);
        assert_eq!(server.wait(PATIENCE).code(), Some(0));
        server = TestServer::start_activated(copies(), &options);
        next += LINES / 4;
    }
    let (code, _, complaint) = alice.end();
    assert_eq!(code, 0, "{complaint}");
    // What bob says last is behind all that; then his client ends.
    bob.type_in("done\n");
    let (code, heard, complaint) = bob.end();
    assert_eq!(code, 0, "{complaint}");
    let heard: Vec<Value> = heard.iter().map(|line| parse(line)).collect();
    assert_consecutive(&seqs(&heard));
    let said = heard.iter().filter(|frame| frame["kind"] == "chat");
    let said: Vec<&str> = said.map(|frame| frame["data"].as_str().unwrap()).collect();
    let lines = (0..LINES).map(|n| format!("line {n}"));
    assert_eq!(said, lines.chain(["done".to_owned()]).collect::<Vec<_>>());
}

#[test]
fn the_journal_gets_priorities_and_no_times_and_nobody_else_does() {
    let scratch = Scratch::new();
    let path = scratch.path("log");
    let journal = r#"export JOURNAL_STREAM="$(stat -Lc %d:%i /proc/self/fd/2)""#;
    let to_file = format!("exec 2>'{}'; {journal}", path.display());
    let mut server = TestServer::start_after(&to_file, &["--log", "debug"]);
    server.join("alice").say("/quit");
    server.signal(Signal::USR1);
    eventually("the figures are there", || fs::read_to_string(&path).unwrap().contains('{'));
    server.signal(Signal::TERM);
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
    let lines = fs::read_to_string(&path).unwrap();
    assert!(
        lines.lines().all(|line| line.starts_with("<6>") || line.starts_with("<7>")),
        "{lines}"
    );
    assert!(lines.contains("\n<6>{\""), "{lines}");
    assert!(lines.contains("<6>shutting down\n"), "{lines}");

    let failing = ["--listen", "unix:/nonexistent/socket"];
    let output = run_to_end_after(journal, Stdio::null(), &failing);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("<3>smolchatd: cannot listen"), "{error}");

    // Where the log goes elsewhere, the variable is inherited all the same, and means nothing.
    let server = TestServer::start_after("export JOURNAL_STREAM=8:1", &[]);
    server.join("alice");
    server.logged(&["Z info alice", "joined"]);
}

#[test]
fn it_needs_no_environment_no_folder_and_no_file() {
    let prelude = r#"cd /; umask 777; ulimit -f 0; exec env -i "$0" "$@""#;
    let mut server = TestServer::start_after(prelude, &[]);
    let mut alice = server.join("alice");
    alice.say("hello");
    assert_eq!(alice.recv_kind("chat")["data"], "hello");
    server.signal(Signal::TERM);
    alice.expect_bye("shutdown");
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
}

/// Makes a place in which there is the program and the libraries that it is linked with, and turns
/// into the program there, as nobody if it may.
const NOWHERE: &str = r#"
    mount -t tmpfs none "$ROOT"
    for file in "$0" $(ldd "$0" | grep -o '/[^ ]*'); do
        mkdir -p "$ROOT${file%/*}"
        cp "$file" "$ROOT$file"
    done
    mount -o remount,ro "$ROOT"
    setpriv=$(command -v setpriv) chroot=$(command -v chroot)
    exec env -i "$setpriv" --no-new-privs "$chroot" $AS "$ROOT" "$0" "$@"
"#;

#[test]
fn it_runs_as_nobody_in_a_place_where_there_is_nothing_and_nothing_can_be_written() {
    let scratch = Scratch::new();
    let root = scratch.path("root");
    fs::create_dir(&root).unwrap();
    let (rights, user) = if rustix::process::getuid().is_root() {
        ("--mount", "--userspec=65534:65534 --groups=")
    } else {
        // Root of a name space of its own is nobody in particular outside.
        ("--mount --map-root-user", "")
    };
    let prelude = format!(
        r#"export ROOT='{}' AS='{user}' PATH="$PATH:/usr/sbin:/sbin"
        exec unshare {rights} sh -ec '{}' "$0" "$@""#,
        root.display(),
        NOWHERE.replace('\'', r"'\''")
    );
    let trial = run_to_end_after(&prelude, Stdio::null(), &["--version"]);
    if !trial.status.success() {
        eprintln!("skipped: {}", String::from_utf8_lossy(&trial.stderr).trim());
        return;
    }
    let mut server = TestServer::start_after(&prelude, &[]);
    let mut alice = server.join("alice");
    alice.say("/stats");
    assert_eq!(alice.recv_kind("info")["stats"]["members"], 1);
    server.signal(Signal::TERM);
    alice.expect_bye("shutdown");
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
}

/// What the shell needs to know of OpenWrt to run an init script: a file of UCI as commands, and
/// procd as a list of what it is told.
const OPENWRT: &str = r#"
    config() { :; }
    option() { eval "OPTION_$1=\$2"; }
    list() { LIST="$LIST $2"; }
    config_load() { . "./$1.config"; OPTION_enabled=$ENABLED; }
    config_foreach() { "$1" main; }
    config_get() { eval "$1=\${OPTION_$3-}"; }
    config_get_bool() { config_get "$@"; }
    config_list_foreach() { for item in $LIST; do "$3" "$item"; done; }
    procd_open_instance() { :; }
    procd_close_instance() { :; }
    procd_add_reload_trigger() { :; }
    procd_set_param() { echo "$@"; }
    procd_append_param() { echo "$@"; }
    . ./smolchatd.init
    start_service
"#;

#[test]
fn the_unit_is_as_confined_as_the_readme_says() {
    let mut analyze = Command::new("systemd-analyze");
    // In tenths: at most 2.0.
    analyze.args(["security", "--no-pager", "--offline=true", "--threshold=20"]);
    analyze.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/smolchatd.service"));
    match analyze.output() {
        Err(error) => eprintln!("skipped: systemd-analyze: {error}"),
        // systemd knows how to do that without looking at the machine since version 250.
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("option") => {
            eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

/// What procd is told of a file of settings like the one that comes with the script.
#[track_caller]
fn procd_is_told(enabled: bool, settings: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/openwrt");
    let scratch = Scratch::new();
    let script = fs::read_to_string(folder.join("smolchatd.init")).unwrap();
    fs::write(scratch.path("smolchatd.init"), script).unwrap();
    let config = fs::read_to_string(folder.join("smolchatd.config")).unwrap();
    fs::write(scratch.path("smolchatd.config"), config + settings).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-euc", OPENWRT]).current_dir(scratch.path(""));
    let output = shell.env("ENABLED", if enabled { "1" } else { "0" }).env("LIST", "").output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_script_for_procd_passes_on_each_setting_and_the_server_takes_them() {
    assert_eq!(procd_is_told(false, ""), [] as [String; 0]);
    // All that takes a value and has one without being told, as its own default.
    let rows = SMOLCHATD
        .options
        .iter()
        .filter(|option| option.name != "listen" && !option.default.is_empty());
    let rows = rows.filter(|option| matches!(option.value, Takes::Text(_) | Takes::Choice(..)));
    let script = include_str!("../../deploy/openwrt/smolchatd.init");
    let words = script.split("WORDS=\"").nth(1).unwrap().split('"').next().unwrap();
    let words: HashSet<&str> = words.split_whitespace().collect();
    let has_value =
        |option: &&OptionSpec| !matches!(option.value, Takes::Switch | Takes::Argument(_));
    for option in
        SMOLCHATD.options.iter().filter(has_value).filter(|option| option.name != "listen")
    {
        assert!(
            words.contains(&*option.name.replace('-', "_")),
            "{} is not passed on",
            option.name
        );
    }
    let options: Vec<(&str, &str)> = rows.map(|option| (option.name, option.default)).collect();
    let setting =
        |(name, value): &(&str, &str)| format!("option {} '{value}'\n", name.replace('-', "_"));
    let settings = options.iter().map(setting).collect::<String>();
    let told = procd_is_told(true, &(settings + "list listen '127.0.0.1:0'\n"));
    assert_eq!(told[0], "command /usr/bin/smolchatd");
    let arguments = told.iter().filter_map(|line| line.strip_prefix("command --"));
    let arguments: Vec<(&str, &str)> =
        arguments.map(|line| line.split_once(' ').unwrap()).collect();
    assert_eq!(arguments[..2], [("listen", "0.0.0.0:8080"), ("listen", "127.0.0.1:0")]);
    let passed_on: HashSet<_> = arguments[2..].iter().collect();
    assert_eq!(passed_on, options.iter().collect::<HashSet<_>>());
    for line in ["user nobody", "no_new_privs 1", "stderr 1", "respawn 3600 5 0"] {
        assert!(told.iter().any(|told| told == line), "{line}: {told:?}");
    }
    let arguments =
        arguments[1..].iter().flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]);
    let arguments: Vec<String> = arguments.collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    TestServer::start(&arguments).join("alice");
}
