//! Members that read slowly or not at all: they delay no other member, cost little memory, and get
//! a `bye`.

use std::collections::BTreeSet;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::observers::Observers;
use crate::common::{
    TempDir, TestClient, TestServer, assert_consecutive, assert_has, long_line, names, parse,
    raise_descriptor_limit, seqs, wait_until,
};

/// Starts a server with a second listener on a unix socket, whose kernel buffer is much smaller
/// than that of TCP.
fn start(dir: &TempDir, options: &[&str]) -> TestServer {
    let common = ["--rate", "0", "--listen", &dir.unix_address("socket")];
    TestServer::start(&[&common, options].concat())
}

/// Sends long lines until members have left. Returns their names.
#[track_caller]
fn talk_until_leaves(talker: &mut TestClient, count: usize) -> Vec<String> {
    let text = long_line();
    let mut left = Vec::new();
    while left.len() < count {
        talker.say(&text);
        talker.recv_until(|frame| {
            left.extend(names(frame, "leave").map(str::to_owned));
            frame["data"] == text.as_str()
        });
    }
    left
}

/// Checks that the frames of a slow member are consecutive, and end with a `bye` that has the
/// number of the last.
#[track_caller]
fn assert_closed_as_slow(frames: &[Value]) {
    let (bye, before) = frames.split_last().unwrap();
    assert_has(bye, json!({ "kind": "bye", "code": "slow" }));
    let seqs = seqs(before);
    assert_consecutive(&seqs);
    assert_eq!(bye["seq"].as_u64(), seqs.last().copied(), "{bye}");
}

#[test]
fn stalled_members_do_not_delay_others() {
    let dir = TempDir::new();
    let server = start(&dir, &["--max-per-ip", "0"]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    let mut members: Vec<TestClient> =
        (0..80).map(|n| server.join_at(1, &format!("unix-{n}"))).collect();
    members.extend((0..3).map(|n| server.join_at(0, &format!("tcp-{n}"))));
    let mut stalled: BTreeSet<String> = alice.members().into_iter().collect();
    stalled.remove("alice");
    stalled.remove("bob");
    assert_eq!(stalled.len(), 83);

    let before = server.rss();
    let text = long_line();
    let mut round_trips = Vec::new();
    while !stalled.is_empty() {
        assert!(round_trips.len() < 10_000, "these are never closed: {stalled:?}");
        let start = Instant::now();
        alice.say(&text);
        bob.recv_kind("chat");
        alice.recv_until(|frame| {
            for name in names(frame, "leave") {
                assert!(stalled.remove(name), "{name} is not stalled");
            }
            frame["kind"] == "chat"
        });
        round_trips.push(start.elapsed());
    }
    let growth = server.peak_rss().saturating_sub(before);
    // 80 outboxes of 256 KiB are 20 MiB, but share their frames. The history is 1 MiB.
    assert!(growth < 5 * 1024, "the server grew by {growth} KiB");

    round_trips.sort();
    let median = round_trips[round_trips.len() / 2];
    assert!(median < Duration::from_millis(20), "the median round trip took {median:?}");
    let longest = round_trips[round_trips.len() - 1];
    assert!(longest < Duration::from_secs(2), "a round trip took {longest:?}");

    for mut member in members {
        assert_closed_as_slow(&member.recv_rest());
    }
    assert_eq!(alice.members(), ["alice", "bob"]);
}

#[test]
fn member_that_catches_up_misses_nothing() {
    let dir = TempDir::new();
    let server = start(&dir, &["--outbox", "16M"]);
    let mut alice = server.join("alice");
    let mut carol = server.join_at(1, "carol");
    let mut bob = server.join("bob");
    let mut last = 0;
    for _ in 0..500 {
        last = alice.say_and_recv(&long_line())["seq"].as_u64().unwrap();
    }
    bob.say("/msg carol between the lines");
    bob.recv_kind("private");
    alice.say("one more");
    let mut frames = Vec::new();
    carol.recv_until(|frame| {
        frames.push(frame.clone());
        frame["data"] == "one more"
    });
    assert_consecutive(&seqs(&frames));
    assert_eq!(seqs(&frames).last(), Some(&(last + 1)));
    assert_eq!(frames[frames.len() - 2]["kind"], "private");
    carol.say("hello");
    assert_eq!(carol.recv()["data"], "hello");
}

#[test]
fn leave_reaches_stalled_member_in_order() {
    const LINES: usize = 200;
    let dir = TempDir::new();
    let server = start(&dir, &["--outbox", "16M"]);
    let mut alice = server.join("alice");
    let mut carol = server.join_at(1, "carol");
    let mut bob = server.join("bob");
    for _ in 0..LINES {
        alice.say_and_recv(&long_line());
    }
    bob.say("/quit");
    bob.recv_kind("bye");
    assert_eq!(alice.recv_leaves(1), ["bob"]);
    assert_eq!(alice.members(), ["alice", "carol"]);
    let mut chats = 0;
    carol.recv_until(|frame| {
        chats += usize::from(frame["kind"] == "chat");
        frame["kind"] == "leave"
    });
    assert_eq!(chats, LINES);
}

#[test]
fn stalled_member_that_disconnects_is_removed() {
    let dir = TempDir::new();
    let server = start(&dir, &["--outbox", "16M"]);
    let mut alice = server.join("alice");
    let fd_count = server.fd_count();
    let members = [server.join_at(0, "bob"), server.join_at(1, "carol")];
    for _ in 0..1500 {
        alice.say_and_recv(&long_line());
    }
    assert_eq!(alice.members(), ["alice", "bob", "carol"]);
    drop(members);
    alice.recv_leaves(2);
    wait_until("their sockets are closed", || server.fd_count() == fd_count);
}

#[test]
fn closed_slow_member_that_disconnects_is_removed() {
    let dir = TempDir::new();
    let server = start(&dir, &["--outbox", "16K"]);
    let mut alice = server.join("alice");
    let fd_count = server.fd_count();
    let carol = server.join_at(1, "carol");
    assert_eq!(talk_until_leaves(&mut alice, 1), ["carol"]);
    drop(carol);
    wait_until("its socket is closed", || server.fd_count() == fd_count);
    assert_eq!(alice.members(), ["alice"]);
}

#[test]
fn flooding_member_that_never_reads_is_closed() {
    let dir = TempDir::new();
    let server = start(&dir, &[]);
    let mut alice = server.join("alice");
    let mut bob = server.join_at(1, "bob");
    let mut socket = bob.clone_socket();
    let flood = thread::spawn(move || {
        let line = long_line() + "\n";
        // Ends when the server closes the connection.
        (0..2000).try_for_each(|_| socket.write_all(line.as_bytes())).ok()
    });
    assert_eq!(alice.recv_leaves(1), ["bob"]);
    assert_closed_as_slow(&bob.recv_rest());
    flood.join().unwrap();
    assert_eq!(alice.members(), ["alice"]);
}

#[test]
fn slow_member_that_sends_on_still_gets_its_bye() {
    let server = TestServer::start(&["--rate", "0"]);
    let mut alice = server.join("alice");
    let mut carol = server.join("carol");
    talk_until_leaves(&mut alice, 1);
    // Unread input must not make the kernel answer with a reset.
    let mut frames = Vec::new();
    while frames.last().is_none_or(|frame: &Value| frame["kind"] != "bye") {
        carol.say("hello?");
        frames.push(carol.recv());
    }
    assert_closed_as_slow(&frames);
    assert_eq!(alice.members(), ["alice"]);
}

#[test]
fn history_requests_without_reading_end_as_slow() {
    let dir = TempDir::new();
    let server = start(&dir, &[]);
    let mut alice = server.join("alice");
    for n in 0..1000 {
        alice.say_and_recv(&format!("line {n}"));
    }
    let before = server.rss();
    let bob = server.join_at(1, "bob");
    let mut socket = bob.clone_socket();
    let flood = thread::spawn(move || {
        (0..20_000).try_for_each(|_| socket.write_all(b"/history 1000\n")).ok()
    });
    assert_eq!(alice.recv_leaves(1), ["bob"]);
    let growth = server.rss().saturating_sub(before);
    assert!(growth < 16 * 1024, "{growth} KiB more");
    // Requests that the server has not read may make the kernel reset the connection, and bob miss
    // the bye.
    server.wait_for_log(&["bob", "read too slowly"]);
    flood.join().unwrap();
}

#[test]
fn half_closed_client_gets_its_line_and_bye() {
    let dir = TempDir::new();
    let server = TestServer::start(&["--listen", &dir.unix_address("socket")]);
    let mut alice = server.join("alice");
    for listener in 0..2 {
        // As `printf 'hello\n' | nc -N`: all is sent and closed before the first answer.
        let mut client = TestClient::connect(server.address(listener));
        client.send_raw(b"hello\n");
        client.shutdown_write();
        let frames = client.recv_rest();
        let kinds: Vec<_> = frames.iter().map(|frame| frame["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["welcome", "join", "chat", "bye"]);
        let name = &frames[0]["name"];
        assert_has(&frames[2], json!({ "data_source": name, "data": "hello" }));
        assert_has(&frames[3], json!({ "code": "quit", "seq": frames[2]["seq"] }));

        assert_eq!(alice.recv()["names"], json!([name]));
        assert_eq!(alice.recv(), frames[2]);
        assert_has(&alice.recv(), json!({ "kind": "leave", "names": [name] }));
    }
}

#[test]
fn half_closed_stalled_member_gets_all_lines_before() {
    let dir = TempDir::new();
    let server = start(&dir, &["--outbox", "16M"]);
    let mut alice = server.join("alice");
    let mut carol = server.join_at(1, "carol");
    for _ in 0..300 {
        alice.say_and_recv(&long_line());
    }
    carol.say("hello");
    carol.shutdown_write();
    alice.recv_kind("leave");
    alice.say_and_recv("after the leave");
    let frames = carol.recv_rest();
    let chats: Vec<&Value> = frames.iter().filter(|frame| frame["kind"] == "chat").collect();
    assert_eq!(chats.len(), 301);
    assert_eq!(chats[300]["data"], "hello");
    assert_has(frames.last().unwrap(), json!({ "code": "quit", "seq": chats[300]["seq"] }));
}

#[test]
fn reset_member_stops_talking_after_5_seconds() {
    let server = TestServer::start(&["--rate", "10/10"]);
    let mut bob = server.join("bob");
    let mut alice = server.join("alice");
    // More than an hour at this rate.
    alice.send_raw("again and again\n".repeat(50_000).as_bytes());
    bob.recv_kind("chat");
    alice.reset();
    bob.recv_kind("leave");
    wait_until("alice is removed", || bob.members() == ["bob"]);
}

#[test]
fn slow_members_cost_hundreds_of_readers_no_line() {
    const READERS: usize = 300;
    const STALLED: usize = 20;
    raise_descriptor_limit();
    let dir = TempDir::new();
    let server = start(&dir, &["--outbox", "16K"]);
    let mut talker = server.join_at(1, "carol");
    // Stalled members are between readers in the order of delivery.
    let mut readers = Vec::new();
    let mut stalled = Vec::new();
    for n in 0..READERS + STALLED {
        let mut member = TestClient::connect(server.address(1));
        let is_stalled = n % (READERS / STALLED + 1) == 0;
        member.hello(&format!("{}-{n}", if is_stalled { "stalled" } else { "reader" }));
        if is_stalled { &mut stalled } else { &mut readers }.push(member);
    }
    assert_eq!(stalled.len(), STALLED);
    talker.say("all are here");
    for member in readers.iter_mut().chain([&mut talker]) {
        member.recv_until(|frame| frame["data"] == "all are here");
    }

    let text = long_line();
    let (mut sent, mut left) = (0, 0);
    while left < STALLED {
        assert!(sent < 1000, "only {left} stalled members were closed");
        sent += 1;
        let start = Instant::now();
        talker.say(&text);
        loop {
            let line = talker.recv_line().unwrap();
            // Each reader gets the same bytes and no other line.
            for reader in &mut readers {
                assert_eq!(reader.recv_line().as_deref(), Some(&*line));
            }
            let frame = parse(&line);
            for name in names(&frame, "leave") {
                assert!(name.starts_with("stalled-"), "{name} was closed");
                left += 1;
            }
            if frame["data_source"] == "carol" {
                break;
            }
        }
        let took = start.elapsed();
        assert!(took < Duration::from_secs(2), "a line reached the last reader after {took:?}");
    }
    for mut member in stalled {
        assert_closed_as_slow(&member.recv_rest());
    }
    drop(readers);
    wait_until("the readers have left", || talker.members() == ["carol"]);
}

#[test]
fn all_members_may_be_slow_at_once() {
    const SLOW: usize = 399;
    raise_descriptor_limit();
    let dir = TempDir::new();
    let server = start(&dir, &["--outbox", "16K", "--max-clients", "400"]);
    let mut alice = server.join("alice");
    let join = |n| {
        let mut member = TestClient::connect(server.address(1));
        member.hello(&format!("m-{n}"));
        member
    };
    let slow: Vec<TestClient> = (0..SLOW).map(join).collect();
    talk_until_leaves(&mut alice, SLOW);
    // There are places for others meanwhile.
    let mut bob = server.join("bob");
    for mut member in slow {
        assert_closed_as_slow(&member.recv_rest());
    }
    bob.pending();
    assert_eq!(alice.members(), ["alice", "bob"]);
}

#[test]
fn client_that_does_not_read_its_replay_is_closed() {
    let dir = TempDir::new();
    let server = start(&dir, &["--outbox", "16K", "--history-bytes", "2M"]);
    let observers = Observers::start(&server);
    let mut talker = server.join("carol");
    // The joins of alice and bob.
    let first = 2;
    let text = long_line();
    for n in 0..240 {
        if n % 16 == 0 {
            observers.catch_up();
        }
        talker.say_and_recv(&text);
    }
    let epoch = server.connect().hello("epoch")["epoch"].clone();
    let hellos = [
        json!({ "hello": { "name": "dave", "history": 1000 } }),
        json!({ "hello": { "name": "erin", "epoch": epoch, "after": first } }),
    ];
    for (hello, is_resumed) in hellos.iter().zip([false, true]) {
        for listener in 0..2 {
            let mut client = TestClient::connect(server.address(listener));
            client.send_json(hello);
            observers.catch_up();
            let name = hello["hello"]["name"].as_str().unwrap();
            talker.recv_until(|frame| names(frame, "join").any(|joined| joined == name));
            while !talk_until_leaves(&mut talker, 1).iter().any(|left| left == name) {}
            let mut frames = client.recv_rest();
            let bye = frames.pop().unwrap();
            assert_has(&bye, json!({ "kind": "bye", "code": "slow" }));
            let welcome = frames.remove(0);
            assert_eq!(welcome["resumed"], is_resumed);
            let seqs = seqs(&frames);
            assert_consecutive(&seqs);
            // A client that resumes after the number in its bye gets no line twice and misses no
            // line since it joined. It may miss a part of the history that it requested.
            let joined_at = if is_resumed { first } else { welcome["seq"].as_u64().unwrap() };
            let last = seqs.last().copied().unwrap_or(0);
            let bye_seq = bye["seq"].as_u64().unwrap();
            assert!((last..=last.max(joined_at)).contains(&bye_seq), "{bye}: {last}, {welcome}");
            if is_resumed {
                assert_eq!(seqs[0], first + 1);
            }
        }
    }
    drop(talker);
    observers.stop_when_alone(&server);
}

/// Returns a server with alice, and members that were closed as slow and have not read their bye.
fn server_with_closed_members(dir: &TempDir) -> (TestServer, TestClient, Vec<TestClient>) {
    let server = start(dir, &["--outbox", "16K"]);
    let mut alice = server.join("alice");
    let slow: Vec<_> = (0..20).map(|n| server.join_at(n % 2, &format!("m-{n}"))).collect();
    talk_until_leaves(&mut alice, slow.len());
    (server, alice, slow)
}

#[test]
fn ending_server_still_sends_bye_to_slow_members() {
    let dir = TempDir::new();
    let (mut server, mut alice, slow) = server_with_closed_members(&dir);
    let start = Instant::now();
    server.signal(Signal::TERM);
    alice.expect_bye("shutdown");
    for mut member in slow {
        assert_closed_as_slow(&member.recv_rest());
    }
    assert_eq!(server.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[test]
fn ending_server_sends_bye_before_unread_lines() {
    let mut server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    sockopt::set_socket_recv_buffer_size(alice.clone_socket(), 4096).unwrap();
    // The rate allows 40 lines, and the server does not read the others from the socket yet.
    let lines: String = (0..100).map(|n| format!("{n:0600}\n")).collect();
    let mut bob = server.join("bob");
    alice.send_raw(lines.as_bytes());
    bob.recv_until(|frame| frame["data"] == format!("{:0600}", 39));
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let frames = alice.recv_rest();
    assert_has(frames.last().unwrap(), json!({ "kind": "bye", "code": "shutdown" }));
}

#[test]
#[ignore = "slow, see `make test-slow`"]
fn unread_byes_delay_the_end_by_5_seconds() {
    let dir = TempDir::new();
    let (mut server, mut alice, _slow) = server_with_closed_members(&dir);
    let start = Instant::now();
    server.stop();
    alice.expect_bye("shutdown");
    let took = start.elapsed();
    assert!((4..9).contains(&took.as_secs()), "{took:?}");
}
