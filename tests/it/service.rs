//! The server under a service manager: notifications, socket activation and the journal.

use std::collections::HashSet;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::common::client_process::ClientProcess;
use crate::common::{
    TIMEOUT, TempDir, TestClient, TestServer, assert_consecutive, parse, run_server_with_prelude,
    seqs, wait_until,
};

/// The notification socket of a service manager.
struct NotifySocket {
    socket: UnixDatagram,
    dir: TempDir,
}

impl NotifySocket {
    fn new() -> Self {
        let dir = TempDir::new();
        let socket = UnixDatagram::bind(dir.path("notify")).unwrap();
        NotifySocket { socket: with_timeout(socket), dir }
    }

    /// Returns the prelude of a server that notifies this socket.
    fn prelude(&self) -> String {
        format!("export NOTIFY_SOCKET={}", self.dir.path("notify").display())
    }

    /// Returns the next notification.
    #[track_caller]
    fn recv(&self) -> String {
        receive(&self.socket)
    }
}

fn with_timeout(socket: UnixDatagram) -> UnixDatagram {
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    socket
}

#[track_caller]
fn receive(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let length = socket.recv(&mut buffer).expect("a notification");
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

#[test]
fn manager_gets_ready_status_and_stopping() {
    let manager = NotifySocket::new();
    let mut server = TestServer::start_with_prelude(&manager.prelude(), &[]);
    assert_eq!(manager.recv(), "READY=1\nSTATUS=0 members");
    let _alice = server.join("alice");
    assert_eq!(manager.recv(), "STATUS=1 member");
    let start = Instant::now();
    let crowd: Vec<TestClient> = (0..9).map(|n| server.join(&format!("m-{n}"))).collect();
    // At most one status per second.
    let mut others = 0;
    while manager.recv() != "STATUS=10 members" {
        others += 1;
    }
    assert!(others <= start.elapsed().as_secs(), "{others} in {:?}", start.elapsed());
    drop(crowd);
    while manager.recv() != "STATUS=1 member" {}
    server.signal(Signal::TERM);
    assert_eq!(manager.recv(), "STOPPING=1");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn abstract_notify_socket_works() {
    let name = format!("smolchat-service-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = with_timeout(UnixDatagram::bind_addr(&address).unwrap());
    let _server = TestServer::start_with_prelude(&format!("export NOTIFY_SOCKET=@{name}"), &[]);
    assert_eq!(receive(&socket), "READY=1\nSTATUS=0 members");
}

#[test]
fn unusable_notify_socket_does_not_stop_the_room() {
    for address in ["/nonexistent/notify", "vsock:2:1", "@"] {
        let server =
            TestServer::start_with_prelude(&format!("export NOTIFY_SOCKET={address}"), &[]);
        server.wait_for_log(&["cannot notify the service manager"]);
        server.join("alice");
    }
    let manager = NotifySocket::new();
    let prelude = manager.prelude() + " WATCHDOG_USEC=2000";
    let server = TestServer::start_with_prelude(&prelude, &[]);
    assert_eq!(manager.recv(), "READY=1\nSTATUS=0 members");
    // Fills the queue of the socket.
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"x", manager.dir.path("notify")).is_ok() {}
    server.join("alice").say_and_recv("hello");
}

#[test]
fn watchdog_is_notified_twice_in_its_time() {
    const INTERVAL: Duration = Duration::from_millis(100);
    const COUNT: u32 = 10;
    let manager = NotifySocket::new();
    let watchdog = 2 * INTERVAL.as_micros();
    let prelude = format!("{} WATCHDOG_USEC={watchdog} WATCHDOG_PID=$$", manager.prelude());
    let server = TestServer::start_with_prelude(&prelude, &[]);
    assert_eq!(manager.recv(), "READY=1\nSTATUS=0 members");
    let _members = ["alice", "bob", "carol"].map(|name| server.join(name));
    while manager.recv() != "STATUS=3 members" {}
    for _ in 0..5 {
        assert_eq!(manager.recv(), "WATCHDOG=1");
    }
    let (start, before) = (Instant::now(), server.context_switches());
    for _ in 0..COUNT {
        assert_eq!(manager.recv(), "WATCHDOG=1");
    }
    let (took, switches) = (start.elapsed(), server.context_switches() - before);
    // Late on a busy machine, but not early; the first may have been queued.
    assert!(took >= INTERVAL * (COUNT - 2), "{COUNT} notifications in {took:?}");
    // After each one, the thread of async-io polls about ten times in 20 ms. Any other event would
    // cost as much again.
    assert!(switches <= u64::from(COUNT) * 20, "{switches} wake-ups for {COUNT} notifications");
}

#[test]
fn idle_server_without_watchdog_never_wakes_up() {
    let manager = NotifySocket::new();
    // A watchdog of another process.
    let prelude = manager.prelude() + " WATCHDOG_USEC=2000 WATCHDOG_PID=1";
    let server = TestServer::start_with_prelude(&prelude, &[]);
    let _members = ["alice", "bob", "carol"].map(|name| server.join(name));
    let mut received = Vec::new();
    while received.last().is_none_or(|last| last != "STATUS=3 members") {
        received.push(manager.recv());
    }
    assert!(received.iter().all(|line| line != "WATCHDOG=1"), "{received:?}");
    server.assert_idle();
    let before = server.context_switches();
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(server.context_switches() - before, 0);
}

/// Returns two listening sockets, and a function that duplicates them for a server.
fn sockets() -> (TcpListener, UnixListener, TempDir, impl Fn() -> Vec<OwnedFd>) {
    let dir = TempDir::new();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let unix = UnixListener::bind(dir.path("chat")).unwrap();
    let (first, second) = (tcp.try_clone().unwrap(), unix.try_clone().unwrap());
    let copies =
        move || vec![first.try_clone().unwrap().into(), second.try_clone().unwrap().into()];
    (tcp, unix, dir, copies)
}

#[test]
fn activated_server_serves_and_keeps_its_sockets() {
    let (tcp, _unix, dir, copies) = sockets();
    let addresses = [tcp.local_addr().unwrap().to_string(), dir.unix_address("chat")];
    let mut server = TestServer::start_activated(copies(), &[]);
    assert_eq!([server.address(0), server.address(1)], addresses);
    let mut alice = server.join_at(0, "alice");
    server.join_at(1, "bob").say("hello");
    assert_eq!(alice.recv_kind("chat")["data"], "hello");
    server.stop();
    // It does not listen at other addresses.
    let stdout = server.remaining_stdout();
    assert!(!stdout.iter().any(|line| line.starts_with("listening on")), "{stdout:?}");
    assert!(dir.path("chat").exists());

    // With `--listen`, it serves both.
    let own = ["--listen", "127.0.0.1:0"];
    let server = TestServer::start_activated(copies(), &own);
    assert_eq!(server.address(1), addresses[1]);
    let mut alice = server.join_at(2, "alice");
    server.join_at(0, "bob").say("hello");
    assert_eq!(alice.recv_kind("chat")["data"], "hello");
}

#[test]
fn client_before_the_server_gets_keepalive() {
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
        let timers: HashSet<u16> = keepalive_timers(address.port());
        assert_eq!(timers, HashSet::from([early.port, late.port]));
    }
}

/// Returns the remote ports of the connections of a local port whose next timer is that of
/// keepalive, which is a `tr` of 2 (proc_net_tcp).
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
fn unusable_descriptor_is_one_line_of_error() {
    let connected = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap()
    };
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let not_listening = [OwnedFd::from(connected), datagrams.into()];
    for socket in not_listening {
        let error = descriptor_error("LISTEN_PID=$$ LISTEN_FDS=1", socket.into());
        assert!(error.contains("descriptor 3: not a listening stream socket"), "{error}");
    }
    let error = descriptor_error("LISTEN_PID=$$ LISTEN_FDS=1", Stdio::null());
    assert!(error.contains("descriptor 3: ") && error.contains("os error 88"), "{error}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = descriptor_error("LISTEN_PID=$$ LISTEN_FDS=2", OwnedFd::from(listener).into());
    assert!(error.contains("descriptor 4: "), "{error}");
    let error = descriptor_error("LISTEN_PID=$$ LISTEN_FDS=many", Stdio::null());
    assert!(error.contains("LISTEN_FDS"), "{error}");
}

/// Returns the only line of a server that refuses descriptor 3.
#[track_caller]
fn descriptor_error(variables: &str, descriptor: Stdio) -> String {
    let output =
        run_server_with_prelude(&format!("exec 3<&0; export {variables}"), descriptor, &[]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

#[test]
fn sockets_of_another_process_are_ignored() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = ["--listen", "unix:/nonexistent/socket"];
    let prelude = "exec 3<&0; export LISTEN_PID=1 LISTEN_FDS=1";
    let output = run_server_with_prelude(prelude, OwnedFd::from(socket).into(), &options);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("/nonexistent/socket"), "{error}");
}

#[test]
fn client_between_two_servers_is_served_by_the_next() {
    let (tcp, _unix, dir, copies) = sockets();
    let addresses = [tcp.local_addr().unwrap().to_string(), dir.unix_address("chat")];
    let mut waiting = Vec::new();
    for round in 0..3 {
        let mut server = TestServer::start_activated(copies(), &[]);
        for (n, client) in waiting.iter_mut().enumerate() {
            let client: &mut TestClient = client;
            assert_eq!(client.recv_kind("welcome")["name"], format!("m-{n}"));
            client.recv_until(|frame| {
                frame["kind"] == "chat" && frame["data"] == format!("line {n}")
            });
        }
        let mut last = server.join("carol");
        server.signal(Signal::TERM);
        while last.recv()["kind"] != "bye" {}
        // Some connect while the server ends, the others after that.
        waiting = (0..20)
            .map(|n| {
                if n == 10 {
                    assert_eq!(server.wait().code(), Some(0), "round {round}");
                }
                let mut client = TestClient::connect(&addresses[n % 2]);
                client.send_hello(&format!("m-{n}"));
                client.say(&format!("line {n}"));
                client
            })
            .collect();
    }
}

#[test]
fn each_client_during_a_restart_is_answered() {
    const CROWD: usize = 600;
    let (tcp, _unix, _dir, copies) = sockets();
    // The backlog of systemd's sockets, if the system allows it.
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
    assert_eq!(server.wait().code(), Some(0));
    let _next = TestServer::start_activated(copies(), &options);
    // The first server sends a welcome or a bye to those that it accepted, the next one serves the
    // others.
    for (n, client) in crowd.iter_mut().enumerate() {
        let kind = client.recv()["kind"].clone();
        assert!(kind == "welcome" || kind == "bye", "{kind} for client {n}");
    }
}

#[test]
fn restarts_with_history_file_lose_no_line() {
    const LINES: usize = 400;
    let (tcp, _unix, dir, copies) = sockets();
    let address = tcp.local_addr().unwrap().to_string();
    let file = dir.path("room");
    let options = ["--rate", "0", "--history-file", file.to_str().unwrap()];
    let mut server = TestServer::start_activated(copies(), &options);
    let mut bob = ClientProcess::start(&address, "bob", &["--json"]);
    bob.wait_for_line("welcome");
    let mut alice = ClientProcess::start(&address, "alice", &["--json"]);
    let mut next = 0;
    for _ in 0..4 {
        let lines: Vec<String> = (next..next + LINES / 4).map(|n| format!("line {n}\n")).collect();
        alice.write_input(&lines.concat());
        // The server ends while it receives the lines.
        alice.wait_for_line(&format!(r#""line {}""#, next + 7));
        server.stop();
        server = TestServer::start_activated(copies(), &options);
        next += LINES / 4;
    }
    let (code, _, stderr) = alice.finish();
    assert_eq!(code, 0, "{stderr}");
    // Bob's client ends after its own line, which follows all others.
    bob.write_input("done\n");
    let (code, stdout, stderr) = bob.finish();
    assert_eq!(code, 0, "{stderr}");
    let frames: Vec<Value> = stdout.iter().map(|line| parse(line)).collect();
    assert_consecutive(&seqs(&frames));
    let chats = frames.iter().filter(|frame| frame["kind"] == "chat");
    let chats: Vec<&str> = chats.map(|frame| frame["data"].as_str().unwrap()).collect();
    let lines = (0..LINES).map(|n| format!("line {n}"));
    assert_eq!(chats, lines.chain(["done".to_owned()]).collect::<Vec<_>>());
}

#[test]
fn journal_gets_priorities_instead_of_times() {
    let dir = TempDir::new();
    let path = dir.path("log");
    let journal = r#"export JOURNAL_STREAM="$(stat -Lc %d:%i /proc/self/fd/2)""#;
    let to_file = format!("exec 2>'{}'; {journal}", path.display());
    let mut server = TestServer::start_with_prelude(&to_file, &["--log", "debug"]);
    server.join("alice").say("/quit");
    server.signal(Signal::USR1);
    wait_until("the stats are logged", || fs::read_to_string(&path).unwrap().contains('{'));
    server.stop();
    let lines = fs::read_to_string(&path).unwrap();
    assert!(
        lines.lines().all(|line| line.starts_with("<6>") || line.starts_with("<7>")),
        "{lines}"
    );
    assert!(lines.contains("\n<6>stats {\""), "{lines}");
    assert!(lines.contains("<6>SIGTERM: shutting down\n"), "{lines}");

    let failing = ["--listen", "unix:/nonexistent/socket"];
    let output = run_server_with_prelude(journal, Stdio::null(), &failing);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("<3>smolchatd: cannot listen"), "{error}");

    // A variable that names another file than standard error.
    let server = TestServer::start_with_prelude("export JOURNAL_STREAM=8:1", &[]);
    server.join("alice");
    server.wait_for_log(&["Z info alice", "joined"]);
}

#[test]
fn server_needs_no_environment_and_no_files() {
    let prelude = r#"cd /; umask 777; ulimit -f 0; exec env -i "$0" "$@""#;
    let mut server = TestServer::start_with_prelude(prelude, &[]);
    let mut alice = server.join("alice");
    alice.say_and_recv("hello");
    server.stop();
    alice.expect_bye("shutdown");
}

/// Runs the server in a read-only root that has the program and its libraries alone, as an
/// unprivileged user if possible.
const EMPTY_ROOT: &str = r#"
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
fn server_runs_in_empty_read_only_root() {
    let dir = TempDir::new();
    let root = dir.path("root");
    fs::create_dir(&root).unwrap();
    let (rights, user) = if rustix::process::getuid().is_root() {
        ("--mount", "--userspec=65534:65534 --groups=")
    } else {
        // Root of a user namespace has no rights outside of it.
        ("--mount --map-root-user", "")
    };
    let prelude = format!(
        r#"export ROOT='{}' AS='{user}' PATH="$PATH:/usr/sbin:/sbin"
        exec unshare {rights} sh -ec '{}' "$0" "$@""#,
        root.display(),
        EMPTY_ROOT.replace('\'', r"'\''")
    );
    let trial = run_server_with_prelude(&prelude, Stdio::null(), &["--version"]);
    if !trial.status.success() {
        eprintln!("skipped: {}", String::from_utf8_lossy(&trial.stderr).trim());
        return;
    }
    let mut server = TestServer::start_with_prelude(&prelude, &[]);
    let mut alice = server.join("alice");
    alice.say("/stats");
    assert_eq!(alice.recv_kind("info")["stats"]["members"], 1);
    server.stop();
    alice.expect_bye("shutdown");
}

#[test]
fn systemd_unit_has_low_exposure() {
    let mut analyze = Command::new("systemd-analyze");
    // In tenths: at most 2.0, as documented.
    analyze.args(["security", "--no-pager", "--offline=true", "--threshold=20"]);
    analyze.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/smolchatd.service"));
    match analyze.output() {
        Err(error) => eprintln!("skipped: systemd-analyze: {error}"),
        // Older than version 250.
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("option") => {
            eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }
}
