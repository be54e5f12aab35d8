//! The limits on the lines and bytes that the clients of one address cause together.

use std::io::Write;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use rustix::process::Signal;
use serde_json::json;

use crate::common::client_process::ClientProcess;
use crate::common::{TempDir, TestClient, TestServer, assert_has};

/// The bytes per second of a link of 1.5 Mbit/s.
const SLOW_LINK: usize = 187_500;
const ATTACKER: &str = "127.0.9.9";

fn connect_from(ip: &str, server: &TestServer) -> TestClient {
    TestClient::connect_from(ip, 0, server.address(0)).expect("a connection")
}

fn join_from(ip: &str, server: &TestServer, name: &str) -> TestClient {
    let mut client = connect_from(ip, server);
    client.hello(name);
    client
}

/// Reads like a member on a slow link, up to the line `end` or a `bye`. Returns all lines.
fn read_slowly(mut member: TestClient) -> JoinHandle<Vec<String>> {
    thread::spawn(move || {
        let (start, mut read, mut lines) = (Instant::now(), 0, Vec::new());
        while let Some(line) = member.recv_line() {
            read += line.len();
            let is_end = line.contains(r#""data":"end""#) || line.contains(r#""kind":"bye""#);
            lines.push(line);
            if is_end {
                break;
            }
            let due = Duration::from_secs_f64(read as f64 / SLOW_LINK as f64);
            thread::sleep(due.saturating_sub(start.elapsed()));
        }
        lines
    })
}

/// Sends lines of control bytes from some connections of one address, while alice talks to members
/// on slow links. Every member must receive all her lines.
fn attack_with_control_bytes(connections: usize) {
    let server = TestServer::start(&[]);
    let readers = (0..6).map(|n| {
        let member = join_from(&format!("127.0.1.{}", n + 1), &server, &format!("member-{n}"));
        // The kernel would otherwise hold megabytes for a reader.
        sockopt::set_socket_recv_buffer_size(member.clone_socket(), 4096).unwrap();
        read_slowly(member)
    });
    let readers: Vec<_> = readers.collect();
    let mut alice = join_from("127.0.2.1", &server, "alice");
    let attackers = (0..connections).map(|_| {
        let client = connect_from(ATTACKER, &server);
        let mut socket = client.clone_socket();
        let lines = ("\u{1}".repeat(4096) + "\n").repeat(40);
        // Ends with an error when the server is stopped.
        thread::spawn(move || drop(socket.write_all(lines.as_bytes())));
        client
    });
    let attackers: Vec<_> = attackers.collect();
    for number in 0..20 {
        alice.say_and_recv(&format!("line {number}"));
        thread::sleep(Duration::from_millis(100));
    }
    alice.say("end");
    for reader in readers {
        let lines = reader.join().unwrap();
        let honest = lines.iter().filter(|line| line.starts_with(r#"{"data_source":"alice"#));
        assert_eq!(honest.count(), 21, "{:?}", lines.last());
    }
    drop(attackers);
}

#[test]
fn control_bytes_within_the_rate_evict_no_member() {
    attack_with_control_bytes(1);
}

#[test]
fn connections_of_one_address_evict_no_member() {
    attack_with_control_bytes(64);
}

/// Sends 20 lines from each of three clients of an address that may send 5 at once. Each must be
/// told once, and no line may be lost.
fn send_too_fast(mut observer: TestClient, connect: impl Fn(&str) -> TestClient) {
    let mut clients: Vec<_> = ["alice", "bob", "carol"].map(|name| (name, connect(name))).into();
    let start = Instant::now();
    for (name, client) in &mut clients {
        let lines: String = (0..20).map(|number| format!("{name} {number}\n")).collect();
        client.send_raw(lines.as_bytes());
    }
    let mut next = [0; 3];
    while next != [20; 3] {
        let chat = observer.recv_kind("chat");
        let client = clients.iter().position(|(name, _)| chat["data_source"] == *name).unwrap();
        assert_eq!(chat["data"], format!("{} {}", clients[client].0, next[client]));
        next[client] += 1;
    }
    assert!(start.elapsed() > Duration::from_secs(60 - 5 - 1) / 20, "{:?}", start.elapsed());
    for (name, client) in &mut clients {
        let last = format!("{name} 19");
        let mut errors = Vec::new();
        client.recv_until(|frame| {
            errors.extend((frame["kind"] == "error").then(|| frame.clone()));
            frame["data"] == last
        });
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_has(&errors[0], json!({ "code": "too-fast" }));
        assert!(errors[0]["data"].as_str().unwrap().contains("address"), "{errors:?}");
    }
}

#[test]
fn address_that_is_too_fast_is_told_once() {
    let server = TestServer::start(&["--address-rate", "20/5"]);
    let observer = join_from("127.0.1.1", &server, "observer");
    send_too_fast(observer, |name| join_from(ATTACKER, &server, name));
}

#[test]
fn user_of_a_unix_socket_is_one_address() {
    let dir = TempDir::new();
    let unix = dir.unix_address("socket");
    let server = TestServer::start(&["--address-rate", "20/5", "--listen", &unix]);
    send_too_fast(server.join("observer"), |name| server.join_at(1, name));
}

#[test]
fn private_lines_are_charged_to_the_address() {
    let server = TestServer::start(&["--address-bytes", "10K/10K"]);
    let mut bob = join_from("127.0.1.1", &server, "bob");
    let mut alice = join_from(ATTACKER, &server, "alice");
    let start = Instant::now();
    let lines = format!("/msg bob {}\n", "\u{1}".repeat(2000)).repeat(4);
    alice.send_raw(lines.as_bytes());
    for _ in 0..4 {
        bob.recv_kind("private");
    }
    // Three lines of two frames of 12,000 bytes are paid for before the fourth.
    assert!(start.elapsed() > Duration::from_secs(6), "{:?}", start.elapsed());
    assert_has(&alice.recv_kind("error"), json!({ "code": "too-fast" }));
}

#[test]
fn address_that_returns_has_no_new_burst() {
    let server = TestServer::start(&["--address-rate", "1/10"]);
    let mut alice = join_from(ATTACKER, &server, "alice");
    alice.send_raw("hi\n".repeat(20).as_bytes());
    alice.recv_kind("error");
    alice.reset();
    let mut alice = join_from(ATTACKER, &server, "alice-again");
    alice.say("hi");
    assert_has(&alice.recv_kind("error"), json!({ "code": "too-fast" }));
}

#[test]
fn rate_0_is_no_limit_for_the_address() {
    let server = TestServer::start(&["--rate", "0"]);
    let mut alice = server.join("alice");
    alice.send_raw(("x".repeat(1000) + "\n").repeat(200).as_bytes());
    alice.say("end");
    let last = alice.recv_until(|frame| frame["kind"] == "error" || frame["data"] == "end");
    assert_eq!(last["kind"], "chat", "{last}");
}

#[test]
fn heartbeat_of_a_slowed_address_is_answered() {
    let server = TestServer::start(&["--address-rate", "1/5"]);
    let mut bob = join_from(ATTACKER, &server, "bob");
    let mut alice = join_from(ATTACKER, &server, "alice");
    alice.send_raw("hi\n".repeat(30).as_bytes());
    alice.recv_kind("error");
    bob.send_json(&json!({ "data": "", "id": "1" }));
    assert_has(&bob.recv_until(|frame| frame["id"] == "1"), json!({ "kind": "info" }));
}

/// Requests the whole history again and again, and compares the bytes of all answers with those
/// that the address may cause.
fn request_history_too_fast(connections: usize, is_reading: bool) {
    let server = TestServer::start(&[]);
    let mut last = None;
    for n in 1..=26 {
        let mut client = join_from(&format!("127.0.1.{n}"), &server, &format!("member-{n}"));
        client.send_raw(("x".repeat(4000) + "\n").repeat(10).as_bytes());
        client.say_and_recv("done");
        last = Some(client);
    }
    let mut observer = last.unwrap();
    let mut bytes_out = || {
        observer.say("/stats");
        observer.recv_until(|frame| frame["stats"].is_object())["stats"]["bytes_out"]
            .as_u64()
            .unwrap()
    };
    let (start, before) = (Instant::now(), bytes_out());
    let clients = (0..connections).map(|n| {
        let mut client = join_from(ATTACKER, &server, &format!("asker-{n}"));
        client.send_raw("/history 1000\n".repeat(40).as_bytes());
        client
    });
    let clients: Vec<_> = clients.collect();
    let readers: Vec<_> = clients
        .iter()
        .filter(|_| is_reading)
        .map(|client| (client.clone_socket(), std::io::sink()))
        .map(|(mut socket, mut sink)| thread::spawn(move || std::io::copy(&mut socket, &mut sink)))
        .collect();
    thread::sleep(Duration::from_secs(2));
    let sent = bytes_out() - before;
    let (history, rate) = (1_100_000, f64::from(8 * (32 << 10)));
    // A burst, an answer that exceeds it, and the join notices for all members.
    let most =
        f64::from(8 * (128 << 10) + history + 500_000) + rate * start.elapsed().as_secs_f64();
    assert!(sent > 1_000_000, "the history is short: {sent} bytes");
    assert!((sent as f64) < most, "{sent} bytes, at most {most}");
    drop(server);
    for reader in readers {
        let _ = reader.join().unwrap();
    }
}

#[test]
fn answers_to_one_client_are_bounded() {
    request_history_too_fast(1, true);
}

#[test]
fn answers_to_one_address_are_bounded() {
    request_history_too_fast(32, true);
}

#[test]
fn answers_that_are_not_read_are_bounded() {
    request_history_too_fast(32, false);
}

#[test]
fn pipe_client_sends_all_lines_of_a_slowed_address() {
    let server = TestServer::start(&["--rate", "1000", "--address-rate", "40/10"]);
    let mut observer = join_from("127.0.1.1", &server, "observer");
    let mut pipe = ClientProcess::start(server.address(0), "alice", &[]);
    let lines: String = (0..60).map(|number| format!("{number}\n")).collect();
    pipe.write_input(&lines);
    for number in 0..60 {
        assert_eq!(observer.recv_kind("chat")["data"], number.to_string());
    }
    assert_eq!(pipe.finish().0, 0);
}

fn connect_with_hellos(server: &TestServer, count: usize) -> Vec<TestClient> {
    let clients = (0..count).map(|number| {
        let mut client = server.connect();
        client.send_hello(&format!("member-{number}"));
        client
    });
    clients.collect()
}

/// Checks that clients which have sent a hello get the names in it.
fn assert_hellos_keep_their_names(clients: &mut [TestClient]) {
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.recv_kind("welcome")["name"], format!("member-{number}"));
    }
}

#[test]
fn hello_of_a_stopped_server_keeps_its_name() {
    let server = TestServer::start(&["--hello-wait", "0", "--max-per-ip", "0"]);
    server.signal(Signal::STOP);
    let mut clients = connect_with_hellos(&server, 100);
    server.signal(Signal::CONT);
    assert_hellos_keep_their_names(&mut clients);
}

#[test]
fn hello_in_a_flood_keeps_its_name() {
    let options = ["--rate", "0", "--hello-wait", "0", "--max-per-ip", "0", "--outbox", "64M"];
    let server = TestServer::start(&options);
    let flooders = ["alice", "bob", "carol"].map(|name| {
        let flooder = server.connect();
        flooder.clone_socket().write_all(format!("/nick {name}\n").as_bytes()).unwrap();
        let lines = ("x".repeat(4000) + "\n").repeat(10);
        let (mut reading, mut writing) = (flooder.clone_socket(), flooder.clone_socket());
        thread::spawn(move || std::io::copy(&mut reading, &mut std::io::sink()));
        thread::spawn(move || while writing.write_all(lines.as_bytes()).is_ok() {});
        flooder
    });
    for _ in 0..5 {
        server.signal(Signal::STOP);
        let mut clients = connect_with_hellos(&server, 20);
        server.signal(Signal::CONT);
        assert_hellos_keep_their_names(&mut clients);
        for client in &mut clients {
            client.say("/quit");
        }
        clients.iter_mut().for_each(|client| drop(client.recv_kind("bye")));
    }
    drop(flooders);
}

/// Runs a test again in a network namespace of its own, in which each of six addresses has a link of
/// 1.5 Mbit/s. Returns whether this is the second run.
fn is_on_slow_links(test: &str) -> bool {
    const SET_UP: &str = "ip link set lo mtu 1500 up && tc qdisc add dev lo root handle 1: htb && \
        for n in 1 2 3 4 5 6; do \
        tc class add dev lo parent 1: classid 1:$n htb rate 1500kbit burst 16k && \
        tc filter add dev lo parent 1: protocol ip u32 match ip dst 127.0.1.$n flowid 1:$n || exit; \
        done";
    if std::env::var_os("SMOLCHAT_SLOW_LINKS").is_some() {
        return true;
    }
    let run = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rn", "sh", "-c", script, "sh"]).arg(std::env::current_exe().unwrap());
        command.args([test, "--exact", "--ignored", "--nocapture"]).env("SMOLCHAT_SLOW_LINKS", "1");
        command.output()
    };
    match run(SET_UP) {
        Ok(output) if output.status.success() => {
            let output = run(&format!("{SET_UP} && exec \"$@\"")).unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
        Ok(output) => {
            let reason = String::from_utf8_lossy(&output.stderr).into_owned();
            eprintln!("not tested: this machine cannot shape a link: {}", reason.trim());
        }
        Err(error) => eprintln!("not tested: cannot run unshare: {error}"),
    }
    false
}

#[test]
#[ignore = "slow, see `make test-slow`"]
fn attack_on_slow_links_evicts_no_member() {
    if is_on_slow_links("address_limits::attack_on_slow_links_evicts_no_member") {
        for connections in [1, 64] {
            attack_with_control_bytes(connections);
        }
    }
}
