//! Members who read slowly, or not at all: the others never feel it, and it costs the server
//! little.

use std::collections::BTreeSet;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::witnesses::Witnesses;
use crate::common::{
    PATIENCE, Scratch, TestClient, TestServer, assert_consecutive, eventually, names, parse,
    raise_descriptor_limit, seqs,
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A member who reads nothing more, unless the test has it look again.
fn stalled(server: &TestServer, listener: usize, name: &str) -> TestClient {
    server.join_at(listener, name)
}

/// What a member who was let go reads when it looks again: whole lines in order, and a bye with
/// the number of the last.
#[track_caller]
fn assert_ended_slow(mut member: TestClient) {
    assert_end_as_slow(&member.rest());
}

#[track_caller]
fn assert_end_as_slow(frames: &[Value]) {
    let (bye, before) = frames.split_last().unwrap();
    assert_eq!((&bye["kind"], &bye["code"]), (&json!("bye"), &json!("slow")), "{bye}");
    let seqs = seqs(before);
    assert_consecutive(&seqs);
    assert_eq!(bye["seq"].as_u64(), seqs.last().copied(), "{bye}");
}

#[test]
fn stalled_members_slow_nobody_cost_little_and_end_with_bye() {
    let scratch = Scratch::new();
    let options = ["--rate", "0", "--max-per-ip", "0", "--listen", &scratch.address("socket")];
    let server = TestServer::start(&options);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    // The kernel holds some megabytes for a TCP connection, and far less for a unix one.
    let mut members: Vec<TestClient> =
        (0..80).map(|n| stalled(&server, 1, &format!("unix-{n}"))).collect();
    members.extend((0..3).map(|n| stalled(&server, 0, &format!("tcp-{n}"))));
    let mut waiting: BTreeSet<String> = alice.who().into_iter().collect();
    waiting.remove("alice");
    waiting.remove("bob");
    assert_eq!(waiting.len(), 83);

    let before = server.rss();
    let text = "x".repeat(3900);
    let mut trips = Vec::new();
    while !waiting.is_empty() {
        assert!(trips.len() < 10_000, "these are never let go: {waiting:?}");
        let start = Instant::now();
        alice.say(&text);
        bob.recv_kind("chat");
        alice.until(|frame| {
            for name in names(frame, "leave") {
                assert!(waiting.remove(name), "{name} is not one of the stalled");
            }
            frame["kind"] == "chat"
        });
        trips.push(start.elapsed());
    }
    let growth = server.peak_rss().saturating_sub(before);
    // 80 outboxes of 256 KiB each are 20 MiB; what waits in them is held once. The history is
    // a mebibyte of its own.
    assert!(growth < 5 * 1024, "the server grew by {growth} KiB");

    trips.sort();
    let median = trips[trips.len() / 2];
    assert!(median < Duration::from_millis(20), "half of the round trips took {median:?} or more");
    let worst = trips[trips.len() - 1];
    assert!(worst < Duration::from_secs(2), "a round trip took {worst:?}");

    for member in members {
        assert_ended_slow(member);
    }
    assert_eq!(alice.who(), ["alice", "bob"]);
}

#[test]
fn who_falls_behind_and_catches_up_has_missed_nothing() {
    let scratch = Scratch::new();
    let address = scratch.address("socket");
    let server = TestServer::start(&["--rate", "0", "--outbox", "16M", "--listen", &address]);
    let mut alice = server.join("alice");
    let mut carol = stalled(&server, 1, "carol");
    let mut bob = server.join("bob");
    let text = "x".repeat(4000);
    let mut last = 0;
    for _ in 0..500 {
        alice.say(&text);
        last = alice.recv_kind("chat")["seq"].as_u64().unwrap();
    }
    bob.say("/msg carol in the middle of it");
    bob.recv_kind("private");
    alice.say("and one more");
    let mut frames = Vec::new();
    carol.until(|frame| {
        frames.push(frame.clone());
        frame["data"] == "and one more"
    });
    assert_consecutive(&seqs(&frames));
    assert_eq!(seqs(&frames).last(), Some(&(last + 1)));
    // The private one is where it was said, between the lines before and after it.
    assert_eq!(frames[frames.len() - 2]["kind"], "private");
    // She is a member as before.
    carol.say("I am back");
    assert_eq!(carol.recv()["data"], "I am back");
}

#[test]
fn one_who_leaves_is_gone_while_another_does_not_read() {
    let scratch = Scratch::new();
    let address = scratch.address("socket");
    let server = TestServer::start(&["--rate", "0", "--outbox", "16M", "--listen", &address]);
    let mut alice = server.join("alice");
    let mut carol = stalled(&server, 1, "carol");
    let mut bob = server.join("bob");
    let text = "x".repeat(4000);
    for _ in 0..200 {
        alice.say(&text);
        alice.recv_kind("chat");
    }
    bob.say("/quit");
    bob.recv_kind("bye");
    assert_eq!(alice.recv_kind("leave")["names"], json!(["bob"]));
    assert_eq!(alice.who(), ["alice", "carol"]);
    // The one who did not read is told of it in its place.
    let mut before = 0;
    carol.until(|frame| {
        before += usize::from(frame["kind"] == "chat");
        frame["kind"] == "leave"
    });
    assert_eq!(before, 200);
}

#[test]
fn a_stalled_member_who_vanishes_leaves_nothing_behind() {
    let scratch = Scratch::new();
    let address = scratch.address("socket");
    let server = TestServer::start(&["--rate", "0", "--outbox", "16M", "--listen", &address]);
    let mut alice = server.join("alice");
    let descriptors = server.descriptors();
    let members = [stalled(&server, 0, "bob"), stalled(&server, 1, "carol")];
    let text = "x".repeat(4000);
    for _ in 0..1500 {
        alice.say(&text);
        alice.recv_kind("chat");
    }
    assert_eq!(alice.who(), ["alice", "bob", "carol"]);
    drop(members);
    let mut gone = 0;
    while gone < 2 {
        gone += names(&alice.recv_kind("leave"), "leave").count();
    }
    eventually("their sockets are closed", || server.descriptors() == descriptors);
}

#[test]
fn who_was_let_go_as_slow_and_vanishes_leaves_nothing_behind() {
    let scratch = Scratch::new();
    let address = scratch.address("socket");
    let server = TestServer::start(&["--rate", "0", "--outbox", "16K", "--listen", &address]);
    let mut alice = server.join("alice");
    let descriptors = server.descriptors();
    let carol = stalled(&server, 1, "carol");
    let text = "x".repeat(4000);
    let mut is_gone = false;
    while !is_gone {
        alice.say(&text);
        alice.say("/help");
        alice.until(|frame| {
            is_gone |= names(frame, "leave").any(|name| name == "carol");
            frame["kind"] == "info"
        });
    }
    drop(carol);
    eventually("its socket is closed", || server.descriptors() == descriptors);
    assert_eq!(alice.who(), ["alice"]);
}

#[test]
fn who_talks_without_ever_reading_is_let_go_too() {
    let scratch = Scratch::new();
    let server = TestServer::start(&["--rate", "0", "--listen", &scratch.address("socket")]);
    let mut alice = server.join("alice");
    let bob = stalled(&server, 1, "bob");
    let mut writer = bob.writer();
    let flood = thread::spawn(move || {
        let line = "x".repeat(4000) + "\n";
        // It stops where the server has closed the connection.
        (0..2000).try_for_each(|_| writer.write_all(line.as_bytes())).ok()
    });
    alice.until(|frame| names(frame, "leave").any(|name| name == "bob"));
    assert_ended_slow(bob);
    flood.join().unwrap();
    assert_eq!(alice.who(), ["alice"]);
}

#[test]
fn who_talks_on_after_it_was_let_go_still_gets_all_that_was_on_its_way_and_bye() {
    let server = TestServer::start(&["--rate", "0"]);
    let mut alice = server.join("alice");
    let mut carol = server.join("carol");
    let text = "x".repeat(4000);
    let mut is_gone = false;
    while !is_gone {
        alice.say(&text);
        alice.say("/help");
        alice.until(|frame| {
            is_gone |= names(frame, "leave").any(|name| name == "carol");
            frame["kind"] == "info"
        });
    }
    // She does not know yet. To be read into is what the server must not answer with a reset.
    let mut frames = Vec::new();
    while frames.last().is_none_or(|frame: &Value| frame["kind"] != "bye") {
        carol.say("is anybody here?");
        frames.push(carol.recv());
    }
    assert_end_as_slow(&frames);
    assert_eq!(alice.who(), ["alice"]);
}

#[test]
fn who_asks_for_the_history_over_and_over_without_reading_is_let_go() {
    let scratch = Scratch::new();
    let server = TestServer::start(&["--rate", "0", "--listen", &scratch.address("socket")]);
    let mut alice = server.join("alice");
    for _ in 0..1000 {
        alice.say("a line of its own");
        alice.recv_kind("chat");
    }
    let before = server.rss();
    let bob = stalled(&server, 1, "bob");
    let mut writer = bob.writer();
    let flood = thread::spawn(move || {
        (0..20_000).try_for_each(|_| writer.write_all(b"/history 1000\n")).ok()
    });
    alice.until(|frame| names(frame, "leave").any(|name| name == "bob"));
    let grown = server.rss().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB more");
    // What it still had to say when it was let go may cost it its bye: the system answers that
    // with a reset.
    server.logged(&["bob", "read too slowly"]);
    flood.join().unwrap();
}

#[test]
fn who_has_closed_its_way_out_still_gets_its_own_last_line_and_bye() {
    let scratch = Scratch::new();
    let server = TestServer::start(&["--listen", &scratch.address("socket")]);
    let mut alice = server.join("alice");
    for listener in 0..2 {
        // As `printf 'hello\n' | nc -N` does it: all is said and closed before a word came back.
        let mut once = TestClient::connect(server.address(listener));
        once.send_raw(b"hello\n");
        once.half_close();
        let frames = once.rest();
        let kinds: Vec<_> = frames.iter().map(|frame| frame["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["welcome", "join", "chat", "bye"]);
        let name = &frames[0]["name"];
        assert_eq!((&frames[2]["data_source"], &frames[2]["data"]), (name, &json!("hello")));
        assert_eq!((&frames[3]["code"], &frames[3]["seq"]), (&json!("quit"), &frames[2]["seq"]));

        assert_eq!(alice.recv()["names"], json!([name]));
        assert_eq!(alice.recv(), frames[2]);
        let leave = alice.recv();
        assert_eq!((&leave["kind"], &leave["names"]), (&json!("leave"), &json!([name])));
    }
}

#[test]
fn who_has_closed_its_way_out_while_behind_still_gets_all_that_was_said_before() {
    let scratch = Scratch::new();
    let address = scratch.address("socket");
    let server = TestServer::start(&["--rate", "0", "--outbox", "16M", "--listen", &address]);
    let mut alice = server.join("alice");
    let mut carol = stalled(&server, 1, "carol");
    let text = "x".repeat(4000);
    for _ in 0..300 {
        alice.say(&text);
        alice.recv_kind("chat");
    }
    carol.say("my last words");
    carol.half_close();
    alice.recv_kind("leave");
    alice.say("not for her any more");
    alice.recv_kind("chat");
    let frames = carol.rest();
    let said: Vec<&Value> = frames.iter().filter(|frame| frame["kind"] == "chat").collect();
    assert_eq!(said.len(), 301);
    assert_eq!(said[300]["data"], "my last words");
    let bye = frames.last().unwrap();
    assert_eq!((&bye["code"], &bye["seq"]), (&json!("quit"), &said[300]["seq"]));
}

#[test]
fn who_breaks_off_with_much_left_to_say_does_not_go_on_talking_for_long() {
    let server = TestServer::start(&["--rate", "10/10"]);
    let mut bob = server.join("bob");
    let mut alice = server.join("alice");
    // At her pace that is more than an hour.
    alice.send_raw("I could go on for ever\n".repeat(50_000).as_bytes());
    bob.recv_kind("chat");
    alice.break_off();
    bob.recv_kind("leave");
    eventually("her name is free", || bob.who() == ["bob"]);
}

#[test]
fn who_is_let_go_while_hundreds_read_costs_those_no_line() {
    const READERS: usize = 300;
    const STALLED: usize = 20;
    raise_descriptor_limit();
    let scratch = Scratch::new();
    let address = scratch.address("socket");
    let server = TestServer::start(&["--rate", "0", "--outbox", "16K", "--listen", &address]);
    let mut talker = server.join_at(1, "carol");
    // Between those who read there is always one who does not, sooner or later.
    let mut readers = Vec::new();
    let mut slow = Vec::new();
    for n in 0..READERS + STALLED {
        let mut member = TestClient::connect(server.address(1));
        let is_slow = n % (READERS / STALLED + 1) == 0;
        member.hello(&format!("{}-{n}", if is_slow { "slow" } else { "reader" }));
        if is_slow { &mut slow } else { &mut readers }.push(member);
    }
    assert_eq!(slow.len(), STALLED);
    talker.say("all are here");
    for member in readers.iter_mut().chain([&mut talker]) {
        member.until(|frame| frame["data"] == "all are here");
    }

    let text = "x".repeat(4000);
    let (mut said, mut gone) = (0, 0);
    while gone < STALLED {
        assert!(said < 1000, "{gone} of those who do not read were let go");
        said += 1;
        let start = Instant::now();
        talker.say(&text);
        loop {
            let line = talker.line().unwrap();
            // Byte for byte the same, for each of them, and nothing else.
            for reader in &mut readers {
                assert_eq!(reader.line().as_deref(), Some(&*line));
            }
            let frame = parse(&line);
            for name in names(&frame, "leave") {
                assert!(name.starts_with("slow-"), "{name} was let go");
                gone += 1;
            }
            if frame["data_source"] == "carol" {
                break;
            }
        }
        let took = start.elapsed();
        assert!(took < Duration::from_secs(2), "a line reached the last of them after {took:?}");
    }
    slow.into_iter().for_each(assert_ended_slow);
    drop(readers);
    eventually("nobody else is left", || talker.who() == ["carol"]);
}

#[test]
fn who_does_not_read_what_it_asked_for_on_arrival_is_let_go_and_told_where_it_stands() {
    let scratch = Scratch::new();
    let address = scratch.address("socket");
    let options = ["--rate", "0", "--outbox", "16K", "--history-bytes", "2M", "--listen", &address];
    let server = TestServer::start(&options);
    let witnesses = Witnesses::call(&server);
    let mut talker = server.join("carol");
    // When alice and bob had come.
    let first = 2;
    let text = "x".repeat(4000);
    for n in 0..240 {
        if n % 16 == 0 {
            witnesses.catch_up();
        }
        talker.say(&text);
        talker.recv_kind("chat");
    }
    let epoch = server.connect().hello("epoch")["epoch"].clone();
    let hellos = [
        json!({ "hello": { "name": "dave", "history": 1000 } }),
        json!({ "hello": { "name": "erin", "epoch": epoch, "after": first } }),
    ];
    for (hello, is_resumed) in hellos.iter().zip([false, true]) {
        for listener in 0..2 {
            let mut late = TestClient::connect(server.address(listener));
            late.send(hello);
            witnesses.catch_up();
            let name = hello["hello"]["name"].as_str().unwrap();
            talker.until(|frame| names(frame, "join").any(|joined| joined == name));
            let mut is_gone = false;
            while !is_gone {
                talker.say(&text);
                talker.until(|frame| {
                    is_gone |= names(frame, "leave").any(|gone| gone == name);
                    frame["data"] == text.as_str()
                });
            }
            let mut frames = late.rest();
            let bye = frames.pop().unwrap();
            assert_eq!((&bye["kind"], &bye["code"]), (&json!("bye"), &json!("slow")), "{bye}");
            let welcome = frames.remove(0);
            assert_eq!(welcome["resumed"], is_resumed);
            let seqs = seqs(&frames);
            assert_consecutive(&seqs);
            // Who resumes behind the number in its bye gets nothing that it has, and misses nothing
            // that was said since it came; what it asked to be shown of the past may be missed.
            let came = if is_resumed { first } else { welcome["seq"].as_u64().unwrap() };
            let last = seqs.last().copied().unwrap_or(0);
            let told = bye["seq"].as_u64().unwrap();
            assert!((last..=last.max(came)).contains(&told), "{bye} after {last}, {welcome}");
            if is_resumed {
                assert_eq!(seqs[0], first + 1);
            }
        }
    }
    drop(talker);
    witnesses.stop_when_alone(&server);
}

/// A room in which some were told bye as slow, and have not read it.
fn room_that_let_some_go(scratch: &Scratch) -> (TestServer, TestClient, Vec<TestClient>) {
    let address = scratch.address("socket");
    let server = TestServer::start(&["--rate", "0", "--outbox", "16K", "--listen", &address]);
    let mut alice = server.join("alice");
    let slow: Vec<_> = (0..20).map(|n| stalled(&server, n % 2, &format!("m-{n}"))).collect();
    let text = "x".repeat(4000);
    let mut gone = 0;
    while gone < slow.len() {
        alice.say(&text);
        alice.until(|frame| {
            gone += names(frame, "leave").count();
            frame["data"] == text.as_str()
        });
    }
    (server, alice, slow)
}

#[test]
fn a_server_that_ends_still_hands_out_the_bye_of_those_it_let_go() {
    let scratch = Scratch::new();
    let (mut server, mut alice, slow) = room_that_let_some_go(&scratch);
    let start = Instant::now();
    server.signal(Signal::TERM);
    alice.expect_bye("shutdown");
    slow.into_iter().for_each(assert_ended_slow);
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[test]
#[ignore = "takes longer than some seconds: make test-slow"]
fn those_who_were_let_go_and_never_read_it_delay_the_end_by_five_seconds() {
    let scratch = Scratch::new();
    let (mut server, mut alice, _slow) = room_that_let_some_go(&scratch);
    let start = Instant::now();
    server.signal(Signal::TERM);
    alice.expect_bye("shutdown");
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
    let took = start.elapsed();
    assert!((4..9).contains(&took.as_secs()), "{took:?}");
}
