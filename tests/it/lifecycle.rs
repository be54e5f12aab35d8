//! The server as a process: how it starts, what it needs, and how it ends.

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{
    PATIENCE, Scratch, TestClient, TestServer, assert_consecutive, eventually, names, run_to_end,
    seqs,
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// The one line in which a server says why it did not start.
#[track_caller]
fn complaint(options: &[&str], code: i32) -> String {
    let output = run_to_end(options);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{options:?}: {complaint}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{options:?}");
    assert_eq!(complaint.lines().count(), 1, "{options:?}: {complaint}");
    complaint
}

#[test]
fn it_says_where_it_listens_and_nothing_more_on_standard_output() {
    let scratch = Scratch::new();
    let socket = scratch.address("socket");
    let mut server = TestServer::start(&["--listen", "127.0.0.1:0", "--listen", &socket]);
    assert_eq!(server.address(2), socket);
    assert_ne!(server.address(0), server.address(1));
    assert!(!server.address(1).ends_with(":0"), "{}", server.address(1));
    // It is one room, wherever one comes in.
    let mut alice = server.join_at(0, "alice");
    let mut bob = server.join_at(1, "bob");
    let mut carol = server.join_at(2, "carol");
    alice.say("hello");
    for client in [&mut alice, &mut bob, &mut carol] {
        assert_eq!(client.recv_kind("chat")["data"], "hello");
    }
    server.signal(Signal::TERM);
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
    assert_eq!(server.rest_of_stdout(), [] as [String; 0]);
}

#[test]
fn help_and_version_are_told_and_that_is_all() {
    let help = run_to_end(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).unwrap();
    for flag in [
        "--listen",
        "--max-clients",
        "--max-per-ip",
        "--max-line",
        "--outbox",
        "--history",
        "--rate",
        "--hello-wait",
        "--log",
        "--version",
    ] {
        assert!(text.contains(flag), "no {flag} in: {text}");
    }
    let version = run_to_end(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    let text = String::from_utf8(version.stdout).unwrap();
    assert_eq!(text, concat!("smolchatd ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_bad_flag_is_one_line_and_exit_code_2() {
    for (options, named) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["extra"], "extra"),
        (&["--listen"], "--listen"),
        (&["--listen", "8080"], "--listen"),
        (&["--listen", "127.0.0.1:99999"], "--listen"),
        (&["--listen", "::1:80"], "--listen"),
        (&["--listen", "unix:"], "--listen"),
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
        let complaint = complaint(options, 2);
        assert!(complaint.starts_with("smolchatd: "), "{complaint}");
        let value = options.last().unwrap();
        assert!(complaint.contains(named) || complaint.contains(value), "{options:?}: {complaint}");
    }
}

#[test]
fn an_address_that_cannot_be_had_is_one_line_and_exit_code_1() {
    let server = TestServer::start(&[]);
    for (address, cause) in [
        (server.address(0), "in use"),
        // An address that is set aside for examples, so that no machine has it.
        ("192.0.2.1:0", "os error 99"),
        ("unix:/nonexistent/socket", "No such file"),
    ] {
        // One that can be had does not make up for one that cannot.
        let complaint = complaint(&["--listen", "127.0.0.1:0", "--listen", address], 1);
        for part in ["smolchatd: ", "listen", address, cause] {
            assert!(complaint.contains(part), "no {part:?} in: {complaint}");
        }
    }
}

#[test]
fn the_file_of_a_unix_socket_goes_when_the_server_ends() {
    let scratch = Scratch::new();
    for signal in [Signal::INT, Signal::TERM] {
        let mut server = TestServer::start(&["--listen", &scratch.address("socket")]);
        server.join_at(1, "alice");
        assert!(scratch.path("socket").exists());
        server.signal(signal);
        assert_eq!(server.wait(PATIENCE).code(), Some(0));
        assert!(!scratch.path("socket").exists());
    }
}

#[test]
fn a_socket_file_that_a_dead_server_left_is_replaced() {
    let scratch = Scratch::new();
    let address = scratch.address("socket");
    let mut server = TestServer::start(&["--listen", &address]);
    server.signal(Signal::KILL);
    server.wait(PATIENCE);
    assert!(scratch.path("socket").exists());
    let server = TestServer::start(&["--listen", &address]);
    server.join_at(1, "alice");
}

#[test]
fn a_socket_file_of_a_living_server_is_an_error() {
    let scratch = Scratch::new();
    let address = scratch.address("socket");
    let server = TestServer::start(&["--listen", &address]);
    let mut alice = server.join_at(1, "alice");
    let complaint = complaint(&["--listen", &address], 1);
    assert!(complaint.contains(&address) && complaint.contains("in use"), "{complaint}");
    // The living one does not suffer from it.
    server.join_at(1, "bob");
    alice.say("still here");
    assert_eq!(alice.recv_kind("chat")["data"], "still here");

    // Nor does any other program's.
    let _other = UnixListener::bind(scratch.path("other")).unwrap();
    run_to_end(&["--listen", &scratch.address("other")]);
    assert!(scratch.path("other").exists());
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let scratch = Scratch::new();
    fs::write(scratch.path("precious"), "data").unwrap();
    complaint(&["--listen", &scratch.address("precious")], 1);
    assert_eq!(fs::read_to_string(scratch.path("precious")).unwrap(), "data");
}

#[test]
fn a_signal_says_bye_to_all_and_ends_the_server_in_good_order() {
    for signal in [Signal::INT, Signal::TERM] {
        let scratch = Scratch::new();
        let options = ["--hello-wait", "600000", "--listen", &scratch.address("socket")];
        let mut server = TestServer::start(&options);
        let mut alice = server.join("alice");
        let mut bob = server.join_at(1, "bob");
        let mut silent = server.connect();
        eventually("the silent one is let in", || server.log().contains("bob"));
        alice.say("last words");
        let last = bob.recv_kind("chat");
        alice.recv_kind("chat");
        server.signal(signal);
        for client in [&mut alice, &mut bob, &mut silent] {
            let bye = client.expect_bye("shutdown");
            assert_eq!(bye["seq"], last["seq"]);
        }
        assert_eq!(server.wait(PATIENCE).code(), Some(0));
    }
}

#[test]
fn a_signal_that_comes_right_after_the_listening_line_is_heeded() {
    let scratch = Scratch::new();
    for round in 0..30 {
        let mut server = TestServer::start(&["--listen", &scratch.address("socket")]);
        server.signal(Signal::TERM);
        let status = server.wait(PATIENCE);
        assert_eq!(status.code(), Some(0), "{status} in round {round}");
        assert!(!scratch.path("socket").exists());
    }
}

/// A room in which one member does not read, and more waits for it than the kernel holds.
fn room_with_a_stalled_member(scratch: &Scratch) -> (TestServer, TestClient, TestClient) {
    let options = ["--rate", "0", "--outbox", "16M", "--listen", &scratch.address("socket")];
    let server = TestServer::start(&options);
    let mut alice = server.join("alice");
    let stalled = server.join_at(1, "carol");
    let text = "x".repeat(4000);
    for _ in 0..300 {
        alice.say(&text);
        alice.recv_kind("chat");
    }
    (server, alice, stalled)
}

#[test]
fn a_stalled_member_delays_the_end_by_five_seconds_and_nobody_elses_bye() {
    let scratch = Scratch::new();
    let (mut server, mut alice, _stalled) = room_with_a_stalled_member(&scratch);
    let start = Instant::now();
    server.signal(Signal::TERM);
    alice.expect_bye("shutdown");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(server.is_running());
    // Nobody gets in any more.
    assert!(std::net::TcpStream::connect(server.address(0)).is_err());
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
    let took = start.elapsed();
    assert!((4..9).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn a_stalled_member_who_reads_again_during_the_end_misses_nothing() {
    let scratch = Scratch::new();
    let (mut server, mut alice, mut stalled) = room_with_a_stalled_member(&scratch);
    let start = Instant::now();
    server.signal(Signal::INT);
    let bye = alice.expect_bye("shutdown");
    let frames = stalled.rest();
    assert_eq!(frames.last(), Some(&bye));
    assert_consecutive(&seqs(&frames));
    assert_eq!(seqs(&frames).last().copied(), bye["seq"].as_u64());
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let scratch = Scratch::new();
    let (mut server, mut alice, _stalled) = room_with_a_stalled_member(&scratch);
    let start = Instant::now();
    server.signal(Signal::INT);
    alice.expect_bye("shutdown");
    server.signal(Signal::TERM);
    server.wait(PATIENCE);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert!(!scratch.path("socket").exists());
}

#[test]
fn one_client_more_than_the_most_is_told_full() {
    let server = TestServer::start(&["--max-clients", "3", "--rate", "0"]);
    let mut alice = server.join("alice");
    let _bob = server.join("bob");
    // One who has said nothing yet takes a place as well.
    let silent = server.connect();
    eventually("the third one is in", || alice.who().len() == 3);
    for _ in 0..3 {
        server.connect().expect_bye("full");
    }
    let mut talkative = server.connect();
    let _ = talkative.try_send_raw(b"{\"hello\":{\"name\":\"carol\"}}\nhello\n");
    assert_eq!(talkative.recv()["code"], "full");

    assert_eq!(alice.who().len(), 3);
    drop(silent);
    alice.recv_kind("leave");
    server.join("carol");
}

#[test]
fn one_client_more_than_an_address_may_have_is_told_full() {
    let server = TestServer::start(&["--max-per-ip", "2"]);
    let mut alice = server.join("alice");
    let bob = server.join("bob");
    server.connect().expect_bye("full");
    // Another address has places of its own.
    let mut other = TestClient::connect_from("127.0.0.2", 0, server.address(0)).unwrap();
    assert_eq!(other.hello("carol")["name"], "carol");
    drop(bob);
    alice.recv_kind("leave");
    let _dave = server.join("dave");
    server.connect().expect_bye("full");
}

#[test]
fn no_limit_for_an_address_is_none() {
    let server = TestServer::start(&["--max-per-ip", "0"]);
    let members: Vec<TestClient> = (0..70).map(|n| server.join(&format!("m-{n}"))).collect();
    let mut last = server.join("alice");
    assert_eq!(last.who().len(), 71);
    drop(members);

    let server = TestServer::start(&[]);
    let _members: Vec<TestClient> = (0..64).map(|n| server.join(&format!("m-{n}"))).collect();
    server.connect().expect_bye("full");
}

#[test]
fn an_address_that_connects_too_fast_is_told_so_and_another_is_not() {
    let server = TestServer::start(&["--connect-rate", "1/3"]);
    let _members = ["alice", "bob", "carol"].map(|name| server.join(name));
    let mut refused = server.connect();
    assert_eq!(refused.recv_kind("error")["code"], "too-fast");
    refused.expect_bye("too-fast");
    let mut other = TestClient::connect_from("127.0.0.2", 0, server.address(0)).unwrap();
    other.hello("dave");
    assert_eq!(other.who().len(), 4);
    eventually("the rate allows another", || {
        let mut client = server.connect();
        client.recv()["kind"] != "error"
    });
}

#[test]
fn a_crowd_that_comes_at_once_gets_in_and_each_is_told_of_once() {
    const CROWD: usize = 300;
    let most = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    if most.trim().parse::<usize>().unwrap() <= CROWD {
        eprintln!("skipped: this system lets no more than {} wait", most.trim());
        return;
    }
    let server = TestServer::start(&["--max-per-ip", "0"]);
    let mut alice = server.join("alice");
    // While the server stands still, those who come have to wait in the kernel's queue.
    server.signal(Signal::STOP);
    let mut crowd: Vec<TestClient> = (0..CROWD)
        .map(|n| {
            let mut client = server.connect();
            client.send(&json!({ "hello": { "name": format!("m-{n}") } }));
            client
        })
        .collect();
    server.signal(Signal::CONT);
    let mut expected: Vec<String> = (0..CROWD).map(|n| format!("m-{n}")).collect();
    expected.sort();

    for (kind, verb) in [("join", "joined"), ("leave", "left")] {
        let mut told: Vec<String> = Vec::new();
        while told.len() < CROWD {
            let notice = alice.recv();
            let names: Vec<&str> = names(&notice, kind).collect();
            let text = match names[..] {
                [one] => format!("{one} {verb}"),
                [one, two] => format!("{one} and {two} {verb}"),
                [one, two, three] => format!("{one}, {two} and {three} {verb}"),
                [one, two, .., _] => format!("{one}, {two} and {} more {verb}", names.len() - 2),
                [] => panic!("not what was expected: {notice}"),
            };
            assert_eq!(notice["data"], text);
            told.extend(names.into_iter().map(str::to_owned));
        }
        told.sort();
        assert_eq!(told, expected);
        if kind == "join" {
            crowd.clear();
        }
    }
}

#[test]
fn a_log_that_nobody_reads_does_not_stop_the_room() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let options = ["--log", "debug", "--rate", "0"];
    let mut server = TestServer::start_logging_to(writer.into(), &options);
    let mut alice = server.join("alice");
    let bad = "x".repeat(3000);
    // Some hundred kilobytes of log: a pipe holds 64.
    for n in 0..100 {
        alice.say(&format!("/nick {bad}"));
        assert_eq!(alice.recv()["code"], "bad-name");
        alice.say(&format!("line {n}"));
        assert_eq!(alice.recv()["data"], format!("line {n}"));
    }
    server.signal(Signal::TERM);
    alice.expect_bye("shutdown");
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
    // It was full indeed.
    let mut log = Vec::new();
    reader.read_to_end(&mut log).unwrap();
    let lines = log.iter().filter(|byte| **byte == b'\n').count();
    assert!((5..100).contains(&lines), "{lines} lines of log");
    assert!(log.ends_with(b"\n"));
}

#[test]
fn a_log_that_nobody_can_read_does_not_stop_the_room() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let closed = TestServer::start_after("exec 2>&-", &["--log", "debug"]);
    let broken = TestServer::start_logging_to(writer.into(), &["--log", "debug"]);
    for mut server in [closed, broken] {
        let mut alice = server.join("alice");
        drop(server.join("bob"));
        alice.recv_kind("leave");
        alice.say("hello");
        assert_eq!(alice.recv_kind("chat")["data"], "hello");
        server.signal(Signal::TERM);
        alice.expect_bye("shutdown");
        assert_eq!(server.wait(PATIENCE).code(), Some(0));
    }
}

#[test]
fn the_log_has_one_line_an_event_with_name_and_address() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    let address = format!("127.0.0.1:{}", alice.port);
    alice.say("/nick carol");
    alice.recv_kind("name");
    alice.say("/quit");
    alice.expect_bye("quit");
    server.logged(&["alice", &address, "joined"]);
    server.logged(&["alice", "carol", &address]);
    server.logged(&["carol", &address, "left"]);
    // Nothing that a client sends makes a line of its own, or is obeyed by a terminal.
    let mut eve = server.connect();
    eve.hello("eve\n1970-01-01T00:00:00Z info root joined\u{1b}[2J");
    server.logged(&["guest", &eve.port.to_string()]);
    let log = server.log();
    assert!(log.lines().all(|line| !line.starts_with("1970")), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}

#[test]
fn a_log_that_is_told_to_be_quiet_is() {
    let mut server = TestServer::start(&["--log", "error"]);
    let mut alice = server.join("alice");
    server.signal(Signal::TERM);
    alice.expect_bye("shutdown");
    server.wait(PATIENCE);
    assert_eq!(server.log(), "");
}

#[test]
fn when_descriptors_run_out_those_inside_talk_on_and_others_get_in_later() {
    let server = TestServer::start_after("ulimit -n 24", &["--rate", "0"]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    let descriptors = server.descriptors();
    // All of them are connected as far as they can tell; the kernel holds the rest in its queue.
    let mut crowd: Vec<TestClient> = (0..40)
        .map(|n| {
            let mut client = server.connect();
            client.send(&json!({ "hello": { "name": format!("m-{n}") } }));
            client
        })
        .collect();
    server.logged(&["cannot accept", "os error 24"]);
    let inside = server.descriptors() - descriptors;
    assert!((1..40).contains(&inside), "{inside} are inside");
    eventually("who got in is a member", || alice.who().len() == 2 + inside);
    bob.waiting();

    // Time is what this is about: a server that tries without end uses all of it.
    let (start, used) = (Instant::now(), server.cpu_time());
    while start.elapsed() < Duration::from_millis(1500) {
        alice.say("we talk on");
        assert_eq!(bob.recv_kind("chat")["data"], "we talk on");
        alice.recv_kind("chat");
        thread::sleep(Duration::from_millis(50));
    }
    let used = server.cpu_time() - used;
    assert!(used < Duration::from_millis(400), "{used:?} of processor time for nothing");
    let tries = server.log().lines().filter(|line| line.contains("cannot accept")).count();
    assert!(tries < 30, "{tries} tries");

    // They wait in line: when those inside go, the next ones come in, in their turn.
    let rest = crowd.split_off(inside);
    drop(crowd);
    for (client, n) in rest.into_iter().zip(inside..) {
        let mut client = client;
        assert_eq!(client.recv()["name"], format!("m-{n}"));
    }
    let mut gone = 0;
    while gone < 40 {
        gone += names(&alice.recv_kind("leave"), "leave").count();
    }
    assert_eq!(alice.who(), ["alice", "bob"]);
}

#[test]
fn one_thread_does_the_work_and_one_waits_beside_it() {
    let scratch = Scratch::new();
    let server = TestServer::start(&["--rate", "0", "--listen", &scratch.address("socket")]);
    let clients: Vec<TestClient> =
        (0..20).map(|n| server.join_at(n % 2, &format!("m-{n}"))).collect();
    thread::scope(|scope| {
        for mut client in clients {
            scope.spawn(move || {
                for _ in 0..100 {
                    client.say("busy");
                }
                let mut heard = 0;
                client.until(|frame| {
                    heard += usize::from(frame["kind"] == "chat");
                    heard == 100
                });
            });
        }
        for _ in 0..20 {
            let threads = server.threads();
            assert!(threads.len() <= 2, "{threads:?}");
        }
    });
    let mut threads = server.threads();
    threads.sort();
    assert_eq!(threads, ["async-io", "smolchatd"]);
}

#[test]
fn six_thousand_who_come_say_a_line_and_vanish_leave_nothing_behind() {
    let server = TestServer::start(&["--rate", "0", "--max-per-ip", "0"]);
    let mut alice = server.join("alice");
    let descriptors = server.descriptors();
    let mut visit = |from: u32, to: u32| {
        for n in from..to {
            let mut client = server.connect();
            client.say(&format!("visit {n}"));
            // Every other one goes with a reset, and may not be heard.
            match n % 2 {
                0 => client.break_off(),
                _ => drop(client),
            }
            if n % 50 == 49 {
                alice.until(|frame| frame["data"] == format!("visit {n}"));
            }
        }
    };
    // The first ones fill the history, and make all that is made once.
    visit(0, 1500);
    eventually("all of them are gone", || server.descriptors() == descriptors);
    let memory = server.rss();
    visit(1500, 7500);
    eventually("all of them are gone", || server.descriptors() == descriptors);
    let growth = server.rss().saturating_sub(memory);
    assert!(growth < 1024, "{growth} KiB more than before");
    assert_eq!(alice.who(), ["alice"]);
    let none: [Value; 0] = [];
    assert_eq!(alice.waiting(), none);
}
