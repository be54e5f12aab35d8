//! The server as a process: its start, its limits, its log and its end.

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::common::{
    TempDir, TestClient, TestServer, assert_consecutive, names, raise_descriptor_limit, run_server,
    seqs, server_with_stalled_member, wait_until,
};

/// Returns the only line of a server that does not start.
#[track_caller]
fn start_error(options: &[&str], code: i32) -> String {
    let output = run_server(options);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{options:?}: {error}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{options:?}");
    assert_eq!(error.lines().count(), 1, "{options:?}: {error}");
    error
}

/// A health check: it connects, sends nothing or empty lines, and goes.
#[test]
fn health_checks_cause_no_notice() {
    let server = TestServer::start(&["--hello-wait", "20", "--connect-rate", "0"]);
    let mut alice = server.join("alice");
    let last = alice.say_and_recv("before")["seq"].as_u64().unwrap();
    for line in ["", "\n", "\r\n", "\n\n\n", "{\"data\":\"\"}\n"] {
        for is_welcomed in [false, true] {
            for has_reset in [false, true] {
                let mut check = server.connect();
                check.send_raw(line.as_bytes());
                if is_welcomed {
                    assert_eq!(check.recv()["kind"], "welcome");
                }
                if has_reset {
                    check.reset();
                } else {
                    check.shutdown_write();
                    let frames = check.recv_rest();
                    assert!(frames.iter().all(|frame| frame["kind"] != "join"), "{frames:?}");
                }
            }
        }
    }
    wait_until("the health checks are gone", || alice.members() == ["alice"]);
    assert_eq!(alice.say_and_recv("after")["seq"], last + 1);
    alice.say("/history");
    let history = alice.pending();
    let guests = history.iter().filter(|frame| frame["data"].as_str().unwrap().contains("guest"));
    assert_eq!(guests.count(), 0, "{history:?}");
}

#[test]
fn stdout_has_one_line_for_each_listener() {
    let dir = TempDir::new();
    let socket = dir.unix_address("socket");
    let mut server = TestServer::start(&["--listen", "127.0.0.1:0", "--listen", &socket]);
    assert_eq!(server.address(2), socket);
    assert_ne!(server.address(0), server.address(1));
    assert!(!server.address(1).ends_with(":0"), "{}", server.address(1));
    // All listeners are one room.
    let mut alice = server.join_at(0, "alice");
    let mut bob = server.join_at(1, "bob");
    let mut carol = server.join_at(2, "carol");
    alice.say("hello");
    for client in [&mut alice, &mut bob, &mut carol] {
        assert_eq!(client.recv_kind("chat")["data"], "hello");
    }
    let url = format!("chat at http://{}", server.address(0));
    server.stop();
    let has_url = usize::from(cfg!(feature = "web"));
    assert_eq!(server.remaining_stdout(), [url][..has_url]);
}

#[test]
fn invalid_option_is_one_line_and_exit_code_2() {
    for (options, named) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["extra"], "extra"),
        (&["--listen"], "--listen"),
        (&["--listen", "80800"], "--listen"),
        (&["--listen", "127.0.0.1:99999"], "--listen"),
        (&["--listen", "::1:80"], "--listen"),
        (&["--listen", "unix:"], "--listen"),
        (&["--listen", "unix:/run/chat,mode=0999"], "0999"),
        (&["--listen", "unix:/run/a,b"], "comma"),
        (&["--max-clients", "many"], "--max-clients"),
        (&["--max-clients", "-1"], "--max-clients"),
        (&["--max-per-ip", ""], "--max-per-ip"),
        (&["--connect-rate", "often"], "--connect-rate"),
        (&["--connect-rate", "20/0"], "--connect-rate"),
        (&["--max-line", "0"], "--max-line"),
        (&["--outbox", "1X"], "--outbox"),
        (&["--outbox", "99999999999999G"], "--outbox"),
        (&["--history", "1.5"], "--history"),
        (&["--rate", "fast"], "--rate"),
        (&["--rate", "10/0"], "--rate"),
        (&["--hello-wait", "soon"], "--hello-wait"),
        (&["--log", "loud"], "--log"),
    ] {
        let error = start_error(options, 2);
        assert!(error.starts_with("smolchatd: "), "{error}");
        let value = options.last().unwrap();
        assert!(error.contains(named) || error.contains(value), "{options:?}: {error}");
    }
}

#[test]
fn unavailable_address_is_one_line_of_error() {
    let server = TestServer::start(&[]);
    for (address, cause) in [
        (server.address(0), "in use"),
        // An address for documentation, which no machine has.
        ("192.0.2.1:0", "os error 99"),
        ("unix:/nonexistent/socket", "No such file"),
        ("unix:/nonexistent/socket,group=no-such-group", "no group"),
    ] {
        // Another address that is available makes no difference.
        let error = start_error(&["--listen", "127.0.0.1:0", "--listen", address], 1);
        for part in ["smolchatd: ", "listen", address, cause] {
            assert!(error.contains(part), "no {part:?} in: {error}");
        }
    }
}

#[test]
fn socket_file_is_removed_at_the_end() {
    let dir = TempDir::new();
    for signal in [Signal::INT, Signal::TERM] {
        let mut server = TestServer::start(&["--listen", &dir.unix_address("socket")]);
        server.join_at(1, "alice");
        assert!(dir.path("socket").exists());
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
        assert!(!dir.path("socket").exists());
    }
}

#[test]
fn socket_file_of_killed_server_is_replaced() {
    let dir = TempDir::new();
    let address = dir.unix_address("socket");
    let mut server = TestServer::start(&["--listen", &address]);
    server.kill();
    assert!(dir.path("socket").exists());
    let server = TestServer::start(&["--listen", &address]);
    server.join_at(1, "alice");
}

#[test]
fn socket_file_of_running_server_is_an_error() {
    let dir = TempDir::new();
    let address = dir.unix_address("socket");
    let server = TestServer::start(&["--listen", &address]);
    let mut alice = server.join_at(1, "alice");
    let error = start_error(&["--listen", &address], 1);
    assert!(error.contains(&address) && error.contains("in use"), "{error}");
    server.join_at(1, "bob");
    alice.say_and_recv("still here");

    // The same for the socket of another program.
    let _other = UnixListener::bind(dir.path("other")).unwrap();
    run_server(&["--listen", &dir.unix_address("other")]);
    assert!(dir.path("other").exists());
}

#[test]
fn regular_file_at_socket_path_is_kept() {
    let dir = TempDir::new();
    fs::write(dir.path("file"), "data").unwrap();
    start_error(&["--listen", &dir.unix_address("file")], 1);
    assert_eq!(fs::read_to_string(dir.path("file")).unwrap(), "data");
}

#[test]
fn signal_ends_all_connections_with_bye() {
    for signal in [Signal::INT, Signal::TERM] {
        let dir = TempDir::new();
        let options = ["--hello-wait", "600000", "--listen", &dir.unix_address("socket")];
        let mut server = TestServer::start(&options);
        let mut alice = server.join("alice");
        let mut bob = server.join_at(1, "bob");
        let fd_count = server.fd_count();
        let mut silent = server.connect();
        wait_until("the third is accepted", || server.fd_count() > fd_count);
        let last = alice.say_and_recv("hello");
        bob.recv_kind("chat");
        server.signal(signal);
        for client in [&mut alice, &mut bob] {
            let bye = client.expect_bye("shutdown");
            assert_eq!(bye["seq"], last["seq"]);
        }
        // It is not a member.
        assert_eq!(silent.expect_bye("shutdown")["seq"], 0);
        assert_eq!(server.wait().code(), Some(0));
    }
}

#[test]
fn signal_right_after_start_ends_server() {
    let dir = TempDir::new();
    for round in 0..30 {
        let mut server = TestServer::start(&["--listen", &dir.unix_address("socket")]);
        server.signal(Signal::TERM);
        let status = server.wait();
        assert_eq!(status.code(), Some(0), "{status} in round {round}");
        assert!(!dir.path("socket").exists());
    }
}

#[test]
fn stalled_member_delays_the_end_by_5_seconds() {
    let dir = TempDir::new();
    let (mut server, mut alice, _stalled) = server_with_stalled_member(&dir);
    let start = Instant::now();
    server.signal(Signal::TERM);
    alice.expect_bye("shutdown");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(server.is_running());
    assert!(std::net::TcpStream::connect(server.address(0)).is_err(), "still listens");
    assert_eq!(server.wait().code(), Some(0));
    let took = start.elapsed();
    assert!((4..9).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn stalled_member_that_reads_on_misses_nothing() {
    let dir = TempDir::new();
    let (mut server, mut alice, mut stalled) = server_with_stalled_member(&dir);
    let start = Instant::now();
    server.signal(Signal::INT);
    let bye = alice.expect_bye("shutdown");
    let frames = stalled.recv_rest();
    assert_eq!(frames.last(), Some(&bye));
    assert_consecutive(&seqs(&frames));
    assert_eq!(seqs(&frames).last().copied(), bye["seq"].as_u64());
    assert_eq!(server.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

/// The other limits of connections have unit tests in `room`.
#[test]
fn connection_over_limit_of_address_gets_full() {
    let server = TestServer::start(&["--max-per-ip", "3"]);
    let mut alice = server.join("alice");
    let _bob = server.join("bob");
    let silent = server.connect();
    for _ in 0..3 {
        server.connect().expect_bye("full");
    }
    let mut talking = server.connect();
    let _ = talking.try_send_raw(b"{\"hello\":{\"name\":\"carol\"}}\nhello\n");
    assert_eq!(talking.recv()["code"], "full");
    let mut other = TestClient::connect_from("127.0.0.2", 0, server.address(0)).unwrap();
    assert_eq!(other.hello("dave")["name"], "dave");

    alice.recv_until(|frame| names(frame, "join").any(|name| name == "dave"));
    drop(silent);
    wait_until("the place is free", || server.connect().recv()["kind"] == "welcome");
}

#[test]
fn thousands_of_clients_may_connect_at_once() {
    const CROWD: usize = 3000;
    let max = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    if max.trim().parse::<usize>().unwrap() <= CROWD {
        eprintln!("skipped: the queue of a listener has {} entries", max.trim());
        return;
    }
    raise_descriptor_limit();
    let options = ["--max-clients", "4000", "--max-per-ip", "0", "--connect-rate", "0"];
    let server = TestServer::start(&options);
    server.signal(Signal::STOP);
    let connect = |n| {
        let mut client = server.connect();
        client.send_hello(&format!("m-{n}"));
        client
    };
    let mut crowd: Vec<TestClient> = (0..CROWD).map(connect).collect();
    server.signal(Signal::CONT);
    for client in &mut crowd {
        assert_eq!(client.recv()["kind"], "welcome");
    }
}

#[test]
fn refused_clients_do_not_use_up_descriptors() {
    const MAX_CLIENTS: usize = 4;
    let max_clients = MAX_CLIENTS.to_string();
    let server = TestServer::start(&["--max-clients", &max_clients, "--connect-rate", "0"]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    let _members = [server.join("carol"), server.join("dave")];
    let others = server.fd_count() - MAX_CLIENTS;
    let mut refused: Vec<TestClient> = (0..100).map(|_| server.connect()).collect();
    for client in &mut refused {
        client.expect_bye("full");
    }
    // None of the refused clients has closed its connection.
    let most = others + MAX_CLIENTS + 16;
    wait_until("some of them are closed", || server.fd_count() <= most);
    alice.say("still here");
    bob.recv_kind("chat");
}

#[test]
fn crowd_in_kernel_queue_is_announced_once() {
    const CROWD: usize = 300;
    let max = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    if max.trim().parse::<usize>().unwrap() <= CROWD {
        eprintln!("skipped: the queue of a listener has {} entries", max.trim());
        return;
    }
    let server = TestServer::start(&["--max-per-ip", "0"]);
    let mut alice = server.join("alice");
    server.signal(Signal::STOP);
    let mut crowd: Vec<TestClient> = (0..CROWD)
        .map(|n| {
            let mut client = server.connect();
            client.send_hello(&format!("m-{n}"));
            client
        })
        .collect();
    server.signal(Signal::CONT);
    let mut expected: Vec<String> = (0..CROWD).map(|n| format!("m-{n}")).collect();
    expected.sort();

    for (kind, verb) in [("join", "joined"), ("leave", "left")] {
        let mut received: Vec<String> = Vec::new();
        while received.len() < CROWD {
            let notice = alice.recv();
            let names: Vec<&str> = names(&notice, kind).collect();
            let text = match names[..] {
                [one] => format!("{one} {verb}"),
                [one, two] => format!("{one} and {two} {verb}"),
                [one, two, three] => format!("{one}, {two} and {three} {verb}"),
                [one, two, .., _] => format!("{one}, {two} and {} more {verb}", names.len() - 2),
                [] => panic!("unexpected: {notice}"),
            };
            assert_eq!(notice["data"], text);
            received.extend(names.into_iter().map(str::to_owned));
        }
        received.sort();
        assert_eq!(received, expected);
        if kind == "join" {
            crowd.clear();
        }
    }
}

#[test]
fn unread_log_does_not_stop_the_room() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let options = ["--log", "debug", "--rate", "0"];
    let mut server = TestServer::start_with_stderr(writer.into(), &options);
    let mut alice = server.join("alice");
    let bad = "x".repeat(3000);
    // Hundreds of KB of log; a pipe holds 64.
    for n in 0..100 {
        alice.say(&format!("/nick {bad}"));
        assert_eq!(alice.recv()["code"], "bad-name");
        alice.say(&format!("line {n}"));
        assert_eq!(alice.recv()["data"], format!("line {n}"));
    }
    server.stop();
    alice.expect_bye("shutdown");
    let mut log = Vec::new();
    reader.read_to_end(&mut log).unwrap();
    let lines = log.iter().filter(|byte| **byte == b'\n').count();
    assert!((5..100).contains(&lines), "the pipe was not full: {lines} lines of log");
    assert!(log.ends_with(b"\n"));
}

#[test]
fn closed_or_broken_log_does_not_stop_the_room() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let closed = TestServer::start_with_prelude("exec 2>&-", &["--log", "debug"]);
    let broken = TestServer::start_with_stderr(writer.into(), &["--log", "debug"]);
    for mut server in [closed, broken] {
        let mut alice = server.join("alice");
        drop(server.join("bob"));
        alice.recv_kind("leave");
        alice.say_and_recv("hello");
        server.stop();
        alice.expect_bye("shutdown");
    }
}

#[test]
fn log_has_name_and_address_in_one_line() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    let address = format!("127.0.0.1:{}", alice.port);
    alice.say("/nick carol");
    alice.recv_kind("name");
    alice.say("/quit");
    alice.expect_bye("quit");
    server.wait_for_log(&["alice", &address, "joined"]);
    server.wait_for_log(&["alice", "carol", &address]);
    server.wait_for_log(&["carol", &address, "left"]);
    // Newlines and escape sequences from clients are escaped.
    let mut eve = server.connect();
    eve.hello("eve\n1970-01-01T00:00:00Z info root joined\u{1b}[2J");
    server.wait_for_log(&["guest", &eve.port.to_string()]);
    let log = server.log();
    assert!(log.lines().all(|line| !line.starts_with("1970")), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}

#[test]
fn log_begins_with_version_limits_and_history() {
    let dir = TempDir::new();
    let socket = dir.unix_address("socket");
    let file = dir.path("room").display().to_string();
    let options = ["--max-clients", "20", "--max-per-ip", "0", "--history", "70", "--rate", "5"];
    for (place, more) in [("memory", &[][..]), (&file, &["--history-file", &file])] {
        let options = [&options[..], &["--listen", &socket], more].concat();
        let server = TestServer::start(&options);
        server.wait_for_log(&["listens on"]);
        let log = server.log();
        let line = log.lines().next().unwrap();
        let start = format!(
            "Z info smolchatd {} listens on {}, {socket}: at most 20 clients, 20 lines per second per \
             address, 32768 bytes per second per address, 5 lines per second per client, ",
            env!("CARGO_PKG_VERSION"),
            server.address(0)
        );
        assert!(line.contains(&start), "{line}");
        assert!(
            line.ends_with(&format!("; history of 70 lines and 1048576 bytes in {place}")),
            "{line}"
        );
    }
}

#[test]
fn log_of_errors_is_empty_without_errors() {
    let mut server = TestServer::start(&["--log", "error"]);
    let mut alice = server.join("alice");
    server.stop();
    alice.expect_bye("shutdown");
    assert_eq!(server.log(), "");
}

#[test]
fn full_descriptor_table_keeps_members_connected() {
    const CROWD: usize = 24;
    let server = TestServer::start(&["--rate", "0"]);
    // The server fits its limit of clients to the limit at its start.
    server.limit_descriptors(24);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    let fd_count = server.fd_count();
    // The kernel accepts all; those that the server cannot accept wait in the kernel's queue.
    let mut crowd: Vec<TestClient> = (0..CROWD)
        .map(|n| {
            let mut client = server.connect();
            client.send_hello(&format!("m-{n}"));
            client
        })
        .collect();
    server.wait_for_log(&["cannot accept", "os error 24"]);
    let accepted = server.fd_count() - fd_count;
    assert!((1..CROWD).contains(&accepted), "{accepted} are accepted");
    wait_until("each accepted client is a member", || alice.members().len() == 2 + accepted);
    bob.pending();

    // A server that retries without a pause uses all of this time.
    let (start, used) = (Instant::now(), server.cpu_time());
    while start.elapsed() < Duration::from_millis(1500) {
        alice.say("hello");
        assert_eq!(bob.recv_kind("chat")["data"], "hello");
        alice.recv_kind("chat");
        thread::sleep(Duration::from_millis(50));
    }
    let used = server.cpu_time() - used;
    assert!(used < Duration::from_millis(400), "{used:?} of processor time for retries");
    let tries = server.log().lines().filter(|line| line.contains("cannot accept")).count();
    assert!(tries < 30, "{tries} tries");

    // Clients in the queue are accepted in order once descriptors are free.
    let rest = crowd.split_off(accepted);
    drop(crowd);
    for (client, n) in rest.into_iter().zip(accepted..) {
        let mut client = client;
        assert_eq!(client.recv()["name"], format!("m-{n}"));
    }
    alice.recv_leaves(CROWD);
    assert_eq!(alice.members(), ["alice", "bob"]);
}

#[test]
fn client_over_limit_of_descriptors_gets_full() {
    // The burst is larger than the number of descriptors.
    const OTHERS: usize = 80;
    let options = ["--max-per-ip", "0", "--log", "warn"];
    let server = TestServer::start_with_prelude("ulimit -n 64", &options);
    server.wait_for_log(&["warn the limit of 64 open files allows", "clients instead of 1000"]);
    let log = server.log();
    let allowed = log.split_once("allows ").unwrap().1.split(' ').next().unwrap();
    let allowed: usize = allowed.parse().unwrap();
    assert!(allowed >= 20, "{log}");

    let _members: Vec<TestClient> = (0..allowed).map(|n| server.join(&format!("m-{n}"))).collect();
    let others: Vec<TestClient> = (0..OTHERS).map(|_| server.connect()).collect();
    for mut other in others {
        other.expect_bye("full");
    }
}

#[test]
fn server_has_two_threads() {
    let dir = TempDir::new();
    let server = TestServer::start(&["--rate", "0", "--listen", &dir.unix_address("socket")]);
    let clients: Vec<TestClient> =
        (0..20).map(|n| server.join_at(n % 2, &format!("m-{n}"))).collect();
    thread::scope(|scope| {
        for mut client in clients {
            scope.spawn(move || {
                for _ in 0..100 {
                    client.say("busy");
                }
                let mut chats = 0;
                client.recv_until(|frame| {
                    chats += usize::from(frame["kind"] == "chat");
                    chats == 100
                });
            });
        }
        for _ in 0..20 {
            let threads = server.thread_names();
            assert!(threads.len() <= 2, "{threads:?}");
        }
    });
    let mut threads = server.thread_names();
    threads.sort();
    assert_eq!(threads, ["async-io", "smolchatd"]);
}

#[test]
fn thousands_of_visits_leave_nothing_behind() {
    let server = TestServer::start(&["--rate", "0", "--max-per-ip", "0"]);
    let mut alice = server.join("alice");
    let fd_count = server.fd_count();
    let mut visit = |from: u32, to: u32| {
        for n in from..to {
            let mut client = server.connect();
            client.say(&format!("visit {n}"));
            // A line before a reset may be lost.
            match n % 2 {
                0 => client.reset(),
                _ => drop(client),
            }
            if n % 50 == 49 {
                alice.recv_until(|frame| frame["data"] == format!("visit {n}"));
            }
        }
    };
    // Fills the history, and makes all allocations that are made once.
    visit(0, 1500);
    wait_until("all have left", || server.fd_count() == fd_count);
    let memory = server.rss();
    visit(1500, 7500);
    wait_until("all have left", || server.fd_count() == fd_count);
    let growth = server.rss().saturating_sub(memory);
    assert!(growth < 1024, "{growth} KiB more than before");
    assert_eq!(alice.members(), ["alice"]);
    assert_eq!(alice.pending(), [] as [Value; 0]);
}
