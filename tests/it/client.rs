//! The program `smolchat` from outside: what it prints, when it ends, and how.

use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::smolchat::Smolchat;
use crate::common::{Scratch, TestServer, assert_consecutive, parse, seqs};
use rustix::process::Signal;
use serde_json::{Value, json};

#[test]
fn what_is_piped_in_is_said_and_comes_back() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let mut alice = Smolchat::start(server.address(0), "alice", &[]);
    alice.type_in("hello\n\nand goodbye\r\n");
    let (code, stdout, stderr) = alice.end();
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout:?}");
    let said: Vec<&str> =
        stdout.iter().filter_map(|line| line.split_once("alice  ")).map(|(_, text)| text).collect();
    assert_eq!(said, ["hello", "and goodbye"]);
    bob.until(|frame| frame["data"] == "and goodbye");
    bob.until(|frame| frame["data"] == "alice left");
}

#[test]
fn a_line_that_is_refused_is_counted() {
    let server = TestServer::start(&["--max-line", "100"]);
    for refused in ["/dance", "/msg carol psst", &"x".repeat(101)] {
        let mut alice = Smolchat::start(server.address(0), "alice", &[]);
        alice.type_in(&format!("before\n{refused}\nafter\n"));
        let (code, stdout, stderr) = alice.end();
        assert_eq!((code, stderr.as_str()), (1, "smolchat: one line was not accepted\n"));
        assert!(stdout.iter().any(|line| line.contains("!!!")), "{stdout:?}");
        assert!(stdout.iter().any(|line| line.ends_with("alice  after")), "{stdout:?}");
    }
}

#[test]
fn quit_ends_it_before_the_input_does_and_leaves_the_name_free() {
    let server = TestServer::start(&[]);
    let mut alice = Smolchat::start(server.address(0), "alice", &[]);
    alice.type_in("hello\n/quit\nnever said\n");
    alice.until("goodbye");
    let (code, stdout, stderr) = alice.end();
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout:?}");
    server.join("alice");
}

#[test]
fn a_server_that_cannot_be_reached_is_one_clear_line() {
    let scratch = Scratch::new();
    let alice = Smolchat::start(&scratch.address("nobody"), "alice", &[]);
    let (code, stdout, stderr) = alice.end();
    assert_eq!((code, stdout.len(), stderr.lines().count()), (1, 0, 1), "{stderr}");
    assert!(stderr.starts_with("smolchat: cannot connect to unix:"), "{stderr}");
    assert!(stderr.contains("No such file"), "{stderr}");
}

#[test]
fn a_room_that_is_full_is_one_clear_line() {
    let server = TestServer::start(&["--max-clients", "1"]);
    let _bob = server.join("bob");
    let (code, _, stderr) = Smolchat::start(server.address(0), "alice", &[]).end();
    assert_eq!((code, stderr.lines().count()), (1, 1), "{stderr}");
    assert!(stderr.contains("the room is full"), "{stderr}");
}

#[test]
fn json_is_the_server_s_own_lines() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let mut alice = Smolchat::start(server.address(0), "alice", &["--json"]);
    alice.type_in("hello\n");
    bob.recv_kind("join");
    let theirs = bob.line().unwrap();
    let (code, stdout, _) = alice.end();
    assert_eq!(code, 0);
    let kinds = stdout.iter().map(|line| parse(line)["kind"].clone()).collect::<Vec<_>>();
    assert_eq!(kinds, ["welcome", "join", "chat", "bye"], "heartbeats are its own affair");
    assert_eq!(stdout[2], theirs);
}

#[test]
fn what_others_say_is_shown_and_not_obeyed() {
    let server = TestServer::start(&[]);
    let mut mallory = server.join("mallory");
    let mut alice = Smolchat::start(server.address(0), "alice", &[]);
    alice.until("alice joined");
    mallory.send(&json!({"data": "\u{1b}]0;owned\u{7}\u{1b}[2Jbye\r\nserver  \u{202e}hi"}));
    assert!(alice.until("owned").ends_with("mallory  ^[]0;owned^G^[[2Jbye^M^Jserver  <U+202E>hi"));
    assert_eq!(alice.end().0, 0);
}

#[test]
fn it_comes_back_to_a_server_that_was_killed_and_says_what_waited() {
    let scratch = Scratch::new();
    let address = scratch.address("room");
    let server = TestServer::start(&["--listen", &address]);
    let mut alice = Smolchat::start(&address, "alice", &[]);
    alice.until("alice joined");
    drop(server);
    alice.until("next try in");
    alice.type_in("are you there?\n");
    let server = TestServer::start(&["--listen", &address]);
    let mut bob = server.join("bob");
    alice.until("back, but");
    alice.until("up to date again");
    bob.until(|frame| frame["data"] == "are you there?" && frame["data_source"] == "alice");
    let (code, stdout, stderr) = alice.end();
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout:?}");
}

#[test]
fn with_no_reconnect_it_says_how_many_lines_were_not_confirmed() {
    let server = TestServer::start(&[]);
    let mut alice = Smolchat::start(server.address(0), "alice", &["--no-reconnect"]);
    alice.until("alice joined");
    server.signal(Signal::STOP);
    alice.type_in("one\ntwo\n");
    // What was typed is read at once, and then the server never answers.
    let input = alice.stdin.as_ref().unwrap().as_fd().try_clone_to_owned().unwrap();
    crate::common::eventually("the input is read", || {
        rustix::io::ioctl_fionread(&input).unwrap() == 0
    });
    server.signal(Signal::KILL);
    let (code, _, stderr) = alice.end();
    assert_eq!((code, stderr.lines().count()), (1, 1), "{stderr}");
    assert!(stderr.starts_with("smolchat: 2 lines were not confirmed: "), "{stderr}");
}

#[test]
fn whose_place_is_taken_over_does_not_fight_for_it() {
    let server = TestServer::start(&[]);
    let mut alice = Smolchat::start(server.address(0), "alice", &["--json"]);
    let welcome = parse(&alice.until("welcome"));
    alice.until("alice joined");
    let mut other = server.connect();
    other.send(&json!({"hello": {"name": "alice", "token": welcome["token"]}}));
    assert_eq!(other.recv_kind("welcome")["name"], "alice");
    alice.until("replaced");
    let (code, _, stderr) = alice.end();
    assert_eq!((code, stderr.lines().count()), (1, 1), "{stderr}");
    assert!(stderr.contains("took this place in the room over"), "{stderr}");
}

/// Long enough for what is said to fill all buffers on the way, so that it is closed as slow.
#[test]
fn a_client_that_stops_for_five_seconds_hears_each_line_once() {
    const LINES: usize = 4000;
    let options = ["--rate", "0", "--history", "9999", "--history-bytes", "16M"];
    let server = TestServer::start(&options);
    let mut alice = Smolchat::start(server.address(0), "alice", &["--json"]);
    alice.until("alice joined");
    alice.signal(Signal::STOP);
    let stopped = Instant::now();
    let mut bob = server.join("bob");
    let padding = "x".repeat(3000);
    for number in 0..LINES {
        let line = format!("{number} {padding}");
        bob.say(&line);
        // So that he is never let go as slow himself.
        if number % 20 == 19 {
            bob.until(|frame| frame["data"] == line.as_str());
        }
    }
    server.logged(&["alice", "too slowly"]);
    thread::sleep(Duration::from_secs(5).saturating_sub(stopped.elapsed()));
    alice.type_in("I am back\n");
    alice.signal(Signal::CONT);
    let mut frames = Vec::new();
    while frames.last().is_none_or(|frame: &Value| frame["data"] != "I am back") {
        frames.push(parse(&alice.until("")));
    }
    assert_consecutive(&seqs(&frames));
    let chats = frames.iter().filter(|frame| frame["data_source"] == "bob");
    let chats = chats.map(|chat| chat["data"].as_str().unwrap().split(' ').next().unwrap());
    assert!(chats.eq((0..LINES).map(|number| number.to_string())));
    let (code, _, stderr) = alice.end();
    assert_eq!(code, 0);
    assert!(stderr.contains("coming back") && stderr.contains("up to date again"), "{stderr}");
}
