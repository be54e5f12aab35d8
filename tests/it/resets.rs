//! Connections that are reset at each step: the members see one leave, and nothing stays behind.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::observers::Observers;
use crate::common::{TestClient, TestServer, assert_has, long_line, names};

/// Repetitions of each step.
const TIMES: usize = 120;
/// Long lines of the history: more than the kernel holds for a client that does not read.
const LINES: usize = 240;

fn start(options: &[&str]) -> TestServer {
    // A long wait, since a late hello on a busy machine makes a guest. At level debug, no line of
    // the log is left out.
    let common = ["--rate", "0", "--max-per-ip", "0", "--hello-wait", "60000", "--log", "debug"];
    TestServer::start(&[&common, options].concat())
}

/// Repeats a step while alice and bob talk, until they are alone again. Returns the names that
/// joined.
#[track_caller]
fn repeat(server: &TestServer, mut step: impl FnMut(usize)) -> Vec<String> {
    let observers = Observers::start(server);
    (0..TIMES).for_each(&mut step);
    observers.stop_when_alone(server)
}

fn hello(name: &str) -> Value {
    json!({ "hello": { "name": name, "history": 1000 } })
}

/// Returns a client that has sent a hello and read nothing.
fn greeted(server: &TestServer, n: usize) -> TestClient {
    let mut client = server.connect();
    client.send_json(&hello(&format!("m-{n}")));
    client
}

fn all_names() -> Vec<String> {
    (0..TIMES).map(|n| format!("m-{n}")).collect()
}

/// Checks that each name is one of all, and there once.
#[track_caller]
fn assert_subset_of_all(joined: &[String]) {
    let mut rest = all_names();
    for name in joined {
        let index = rest.iter().position(|one| one == name);
        rest.remove(index.unwrap_or_else(|| panic!("{name} joined twice or is unknown")));
    }
}

/// Fills the history with long lines.
fn fill_history(server: &TestServer) {
    let mut carol = server.join("carol");
    for _ in 0..LINES {
        carol.say_and_recv(&long_line());
    }
    carol.say("/quit");
    carol.expect_bye("quit");
}

#[test]
fn reset_before_first_byte_is_cleaned_up() {
    let server = start(&["--hello-wait", "20"]);
    let joined = repeat(&server, |n| {
        let client = server.connect();
        // Every third is a guest by then.
        if n % 3 == 0 {
            thread::sleep(Duration::from_millis(25));
        }
        client.reset();
    });
    assert!(joined.iter().all(|name| name.starts_with("guest-")), "{joined:?}");
}

#[test]
fn reset_within_hello_is_cleaned_up() {
    let server = start(&["--hello-wait", "20"]);
    let joined = repeat(&server, |n| {
        let mut client = server.connect();
        let hello = hello("carol").to_string();
        client.send_raw(&hello.as_bytes()[..1 + n % hello.len()]);
        client.reset();
    });
    assert!(joined.iter().all(|name| name.starts_with("guest-")), "{joined:?}");
}

#[test]
fn reset_before_welcome_is_read_is_cleaned_up() {
    let server = start(&[]);
    let joined = repeat(&server, |n| greeted(&server, n).reset());
    assert_subset_of_all(&joined);
}

#[test]
fn reset_within_replay_is_cleaned_up() {
    let server = start(&[]);
    fill_history(&server);
    let joined = repeat(&server, |n| {
        let mut client = greeted(&server, n);
        // The rest of the replay is queued in the server; the more is read, the less.
        for _ in 0..1 + n * 2 {
            client.recv_line().unwrap();
        }
        client.reset();
    });
    assert_eq!(joined, all_names());
}

#[test]
fn reset_within_line_is_cleaned_up() {
    let server = start(&[]);
    let joined = repeat(&server, |n| {
        let mut client = server.join(&format!("m-{n}"));
        client.send_raw(&b"half a line".repeat(1 + n * 5));
        client.reset();
    });
    assert_eq!(joined, all_names());
}

#[test]
fn reset_with_unread_data_is_cleaned_up() {
    let server = start(&[]);
    let joined = repeat(&server, |n| {
        let mut client = server.join(&format!("m-{n}"));
        client.say("/help");
        client.say(&format!("line {n}"));
        client.recv_kind("info");
        // Lets some lines of the observers arrive.
        thread::sleep(Duration::from_millis(10));
        client.reset();
    });
    assert_eq!(joined, all_names());
}

#[test]
fn reset_after_quit_is_cleaned_up() {
    let server = start(&[]);
    let joined = repeat(&server, |n| {
        let mut client = server.join(&format!("m-{n}"));
        client.send_raw(b"/quit\ndiscarded\n");
        if n % 2 == 0 {
            client.recv_kind("bye");
        }
        client.reset();
    });
    assert_eq!(joined, all_names());
}

#[test]
fn reset_around_close_of_slow_member_is_cleaned_up() {
    const MEMBERS: usize = 24;
    const ROUNDS: usize = 4;
    let server = start(&["--outbox", "32K", "--history", "0"]);
    let observers = Observers::start(&server);
    let mut talker = server.join("carol");
    let text = long_line();
    let mut expected = vec!["carol".to_owned()];
    for round in 0..ROUNDS {
        // Each member joins one line later, so that one after another becomes too slow.
        let mut members = Vec::new();
        for n in 0..MEMBERS {
            if n % 16 == 0 {
                observers.catch_up();
            }
            let name = format!("m-{round}-{n}");
            members.push(server.join(&name));
            expected.push(name);
            talker.say_and_recv(&text);
        }
        let mut left = 0;
        let mut sent = 0;
        while left < MEMBERS / 2 {
            sent += 1;
            if sent % 16 == 0 {
                observers.catch_up();
            }
            talker.say(&text);
            talker.recv_until(|frame| {
                left += names(frame, "leave").count();
                frame["data"] == text.as_str()
            });
        }
        // Half of them are closed as slow, the others are not; none has read its bye.
        members.into_iter().for_each(TestClient::reset);
        talker.recv_leaves(MEMBERS - left);
    }
    talker.reset();
    assert_eq!(observers.stop_when_alone(&server), expected);
    let slow = server.log().matches("read too slowly").count();
    assert!((ROUNDS * MEMBERS / 2..ROUNDS * MEMBERS).contains(&slow), "{slow} were slow");
}

#[test]
fn reset_around_takeover_is_cleaned_up() {
    let server = start(&[]);
    let joined = repeat(&server, |n| {
        let mut old = server.connect();
        old.send_json(&hello(&format!("m-{n}")));
        let welcome = old.recv_kind("welcome");
        old.recv_kind("join");
        let mut new = server.connect();
        let resume = json!({ "hello": { "name": welcome["name"], "token": welcome["token"],
            "epoch": welcome["epoch"], "after": welcome["seq"], "keep": true } });
        match n % 3 {
            // The old connection is reset before the takeover, ...
            0 => {
                old.reset();
                new.send_json(&resume);
            }
            // ... or after it, ...
            1 => {
                new.send_json(&resume);
                old.reset();
            }
            // ... or the new one is reset.
            _ => {
                new.send_json(&resume);
                new.reset();
                let frames = old.recv_rest();
                assert_has(frames.last().unwrap(), json!({ "kind": "bye", "code": "replaced" }));
                return;
            }
        }
        assert_eq!(new.recv_kind("welcome")["name"], welcome["name"]);
        new.say("/quit");
        new.recv_kind("bye");
    });
    // A takeover after the reset was seen is a second join.
    let mut distinct = joined;
    distinct.dedup();
    assert_eq!(distinct, all_names());
}

#[test]
fn reset_while_server_ends_is_cleaned_up() {
    for round in 0..6 {
        let mut server = start(&[]);
        fill_history(&server);
        let mut alice = server.join("alice");
        // Some have sent no hello, some are idle, some have a replay to read.
        let mut clients: Vec<TestClient> = (0..20).map(|_| server.connect()).collect();
        clients.extend((0..20).map(|n| server.join(&format!("m-{n}"))));
        clients.extend((20..40).map(|n| greeted(&server, n)));
        alice.recv_until(|frame| names(frame, "join").any(|name| name == "m-39"));
        let late = clients.split_off(clients.len() / 2 + round);
        thread::scope(|scope| {
            scope.spawn(|| clients.into_iter().for_each(TestClient::reset));
            server.signal(Signal::TERM);
        });
        let bye = alice.recv_until(|frame| frame["kind"] == "bye");
        assert_eq!(bye["code"], "shutdown");
        alice.expect_eof();
        late.into_iter().for_each(TestClient::reset);
        let start = Instant::now();
        assert_eq!(server.wait().code(), Some(0));
        // Shorter than the wait for members that do not read.
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    }
}

/// A way to end a connection.
type End = fn(TestClient);

const ENDS: [(&str, End); 3] =
    [("close", drop), ("reset", TestClient::reset), ("quit", |mut client| client.say("/quit"))];

#[test]
fn join_and_leave_in_one_batch_are_both_sent() {
    const CLIENTS: usize = 90;
    let server = start(&[]);
    for round in 0..4 {
        let observers = Observers::start(&server);
        // The events of a stopped server are one batch, or a few.
        server.signal(Signal::STOP);
        let mut expected = Vec::new();
        for n in 0..CLIENTS {
            let (way, end) = ENDS[(n + round) % ENDS.len()];
            let mut client = server.connect();
            client.send_json(&hello(&format!("{way}-{n}")));
            expected.push(format!("{way}-{n}"));
            end(client);
        }
        server.signal(Signal::CONT);
        let last = CLIENTS - 1;
        server.wait_for_log(&[&format!("{}-{last} ", ENDS[(last + round) % 3].0), "left"]);
        let mut joined = observers.stop_when_alone(&server);
        // The server reads a hello even if a reset follows it.
        joined.sort();
        expected.sort();
        assert_eq!(joined, expected);
    }
}
