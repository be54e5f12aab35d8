//! Connections that are reset, at whichever step: the room notices each of them once, the others
//! notice nothing else, and nothing is left behind.

use std::thread;
use std::time::{Duration, Instant};

use crate::common::witnesses::Witnesses;
use crate::common::{PATIENCE, TestClient, TestServer, names};
use rustix::process::Signal;
use serde_json::{Value, json};

/// How often each step is tried.
const TIMES: usize = 120;
/// Long lines that are more than the kernel takes for one who does not read.
const LINES: usize = 240;

fn start(options: &[&str]) -> TestServer {
    // A hello that is late on a busy machine is a guest's, which is another matter. At this level
    // no line of the log is left out.
    let common = ["--rate", "0", "--max-per-ip", "0", "--hello-wait", "60000", "--log", "debug"];
    TestServer::start(&[&common, options].concat())
}

/// Takes a step many times, while two others talk, until all who took part are gone. Returns
/// the names that came.
#[track_caller]
fn again_and_again(server: &TestServer, mut step: impl FnMut(usize)) -> Vec<String> {
    let witnesses = Witnesses::call(server);
    (0..TIMES).for_each(&mut step);
    witnesses.stop_when_alone(server)
}

fn hello(name: &str) -> Value {
    json!({ "hello": { "name": name, "history": 1000 } })
}

/// One who has said hello and read nothing yet.
fn visitor(server: &TestServer, n: usize) -> TestClient {
    let mut client = server.connect();
    client.send(&hello(&format!("m-{n}")));
    client
}

fn all() -> Vec<String> {
    (0..TIMES).map(|n| format!("m-{n}")).collect()
}

/// Each name at most once, and none that nobody had.
#[track_caller]
fn assert_some_of_all(came: &[String]) {
    let mut rest = all();
    for name in came {
        let place = rest.iter().position(|one| one == name);
        rest.remove(place.unwrap_or_else(|| panic!("{name} is not one who could come now")));
    }
}

/// Says enough for every one who does not read to fall behind.
fn fill(server: &TestServer) {
    let mut carol = server.join("carol");
    let text = "x".repeat(4000);
    for _ in 0..LINES {
        carol.say(&text);
        carol.recv_kind("chat");
    }
    carol.say("/quit");
    carol.expect_bye("quit");
}

#[test]
fn before_a_byte() {
    let server = start(&["--hello-wait", "20"]);
    let came = again_and_again(&server, |n| {
        let client = server.connect();
        // Every third is a guest by then.
        if n % 3 == 0 {
            thread::sleep(Duration::from_millis(30));
        }
        client.break_off();
    });
    assert!(came.iter().all(|name| name.starts_with("guest-")), "{came:?}");
}

#[test]
fn within_hello() {
    let server = start(&["--hello-wait", "20"]);
    let came = again_and_again(&server, |n| {
        let mut client = server.connect();
        let hello = hello("carol").to_string();
        client.send_raw(&hello.as_bytes()[..1 + n % hello.len()]);
        client.break_off();
    });
    // Half a hello is none.
    assert!(came.iter().all(|name| name.starts_with("guest-")), "{came:?}");
}

#[test]
fn after_hello_and_before_the_welcome_was_read() {
    let server = start(&[]);
    let came = again_and_again(&server, |n| visitor(&server, n).break_off());
    assert_some_of_all(&came);
}

#[test]
fn within_a_replay_and_while_what_waits_is_sent() {
    let server = start(&[]);
    fill(&server);
    let came = again_and_again(&server, |n| {
        let mut client = visitor(&server, n);
        // Most of it waits in the server when the first line is here, and less and less of it
        // later.
        for _ in 0..1 + n * 2 {
            client.line().unwrap();
        }
        client.break_off();
    });
    assert_eq!(came, all());
}

#[test]
fn within_a_line() {
    let server = start(&[]);
    let came = again_and_again(&server, |n| {
        let mut client = server.join(&format!("m-{n}"));
        client.send_raw(&b"half a line".repeat(1 + n * 5));
        client.break_off();
    });
    assert_eq!(came, all());
}

#[test]
fn with_unread_data() {
    let server = start(&[]);
    let came = again_and_again(&server, |n| {
        let mut client = server.join(&format!("m-{n}"));
        client.say("/help");
        client.say(&format!("last words {n}"));
        // The answer is there, and the talk of the others behind it.
        assert_eq!(client.until(|frame| frame["kind"] == "info")["kind"], "info");
        thread::sleep(Duration::from_millis(10));
        client.break_off();
    });
    assert_eq!(came, all());
}

#[test]
fn right_after_quit() {
    let server = start(&[]);
    let came = again_and_again(&server, |n| {
        let mut client = server.join(&format!("m-{n}"));
        client.send_raw(b"/quit\nnot heard any more\n");
        if n % 2 == 0 {
            client.recv_kind("bye");
        }
        client.break_off();
    });
    assert_eq!(came, all());
}

#[test]
fn around_being_closed_as_slow() {
    const MEMBERS: usize = 24;
    const ROUNDS: usize = 4;
    let server = start(&["--outbox", "32K", "--history", "0"]);
    let witnesses = Witnesses::call(&server);
    let mut talker = server.join("carol");
    let text = "x".repeat(4000);
    let mut expected = vec!["carol".to_owned()];
    for round in 0..ROUNDS {
        // Each has missed a line less than the one before it, so that one after the other ends.
        let mut members = Vec::new();
        for n in 0..MEMBERS {
            if n % 16 == 0 {
                witnesses.catch_up();
            }
            let name = format!("m-{round}-{n}");
            members.push(server.join(&name));
            expected.push(name);
            talker.say(&text);
            talker.until(|frame| frame["data"] == text.as_str());
        }
        let mut gone = 0;
        let mut said = 0;
        while gone < MEMBERS / 2 {
            said += 1;
            if said % 16 == 0 {
                witnesses.catch_up();
            }
            talker.say(&text);
            talker.until(|frame| {
                gone += names(frame, "leave").count();
                frame["data"] == text.as_str()
            });
        }
        // Half of them have been told bye and some have not; none has read it.
        members.into_iter().for_each(TestClient::break_off);
        talker.until(|frame| {
            gone += names(frame, "leave").count();
            gone == MEMBERS
        });
    }
    talker.break_off();
    assert_eq!(witnesses.stop_when_alone(&server), expected);
    let slow = server.log().matches("read too slowly").count();
    assert!((ROUNDS * MEMBERS / 2..ROUNDS * MEMBERS).contains(&slow), "{slow} were slow");
}

#[test]
fn on_either_side_of_a_takeover() {
    let server = start(&[]);
    let came = again_and_again(&server, |n| {
        let mut old = server.connect();
        old.send(&hello(&format!("m-{n}")));
        let welcome = old.recv_kind("welcome");
        old.recv_kind("join");
        let mut new = server.connect();
        let back = json!({ "hello": { "name": welcome["name"], "token": welcome["token"],
            "epoch": welcome["epoch"], "after": welcome["seq"], "keep": true } });
        match n % 3 {
            // The old side goes just before, ...
            0 => {
                old.break_off();
                new.send(&back);
            }
            // ... just after, ...
            1 => {
                new.send(&back);
                old.break_off();
            }
            // ... or it stays and the new one goes.
            _ => {
                new.send(&back);
                new.break_off();
                let last = old.rest();
                let bye = last.last().unwrap();
                assert_eq!((&bye["kind"], &bye["code"]), (&json!("bye"), &json!("replaced")));
                return;
            }
        }
        assert_eq!(new.recv_kind("welcome")["name"], welcome["name"]);
        new.say("/quit");
        new.recv_kind("bye");
    });
    // Who was back before anybody noticed has come once; the others twice.
    let mut once = came;
    once.dedup();
    assert_eq!(once, all());
}

#[test]
fn when_the_server_ends() {
    for round in 0..10 {
        let mut server = start(&[]);
        fill(&server);
        let mut alice = server.join("alice");
        // Some wait for their hello, some are idle, some have not read what there is.
        let mut crowd: Vec<TestClient> = (0..20).map(|_| server.connect()).collect();
        crowd.extend((0..20).map(|n| server.join(&format!("m-{n}"))));
        crowd.extend((20..40).map(|n| visitor(&server, n)));
        alice.until(|frame| names(frame, "join").any(|name| name == "m-39"));
        let late = crowd.split_off(crowd.len() / 2 + round);
        thread::scope(|scope| {
            scope.spawn(|| crowd.into_iter().for_each(TestClient::break_off));
            server.signal(Signal::TERM);
        });
        let bye = alice.until(|frame| frame["kind"] == "bye");
        assert_eq!(bye["code"], "shutdown");
        alice.expect_eof();
        late.into_iter().for_each(TestClient::break_off);
        let start = Instant::now();
        assert_eq!(server.wait(PATIENCE).code(), Some(0));
        // Nobody is waited for who is gone.
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    }
}

/// A way to end a visit.
type End = fn(TestClient);

/// How a visit ends that is over before the server has seen it begin.
const ENDS: [(&str, End); 3] =
    [("close", drop), ("reset", TestClient::break_off), ("quit", |mut client| client.say("/quit"))];

#[test]
fn who_comes_and_goes_in_one_breath_is_told_of_as_both_or_not_at_all() {
    const CROWD: usize = 90;
    let server = start(&[]);
    for round in 0..4 {
        let witnesses = Witnesses::call(&server);
        // While the server stands still, all of it gathers: it is one batch, or a few.
        server.signal(Signal::STOP);
        let mut expected = Vec::new();
        for n in 0..CROWD {
            let (how, end) = ENDS[(n + round) % ENDS.len()];
            let mut client = server.connect();
            client.send(&hello(&format!("{how}-{n}")));
            expected.push(format!("{how}-{n}"));
            end(client);
        }
        server.signal(Signal::CONT);
        server.logged(&[&format!("{}-{} ", ENDS[(CROWD - 1 + round) % 3].0, CROWD - 1), "left"]);
        let mut came = witnesses.stop_when_alone(&server);
        // All that arrived before a reset counts as said, and so does a hello.
        came.sort();
        expected.sort();
        assert_eq!(came, expected);
    }
}
