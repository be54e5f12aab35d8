//! What a machine that counts in 32 bits could get wrong. All of it has to hold on any machine:
//! `make test-cross` runs this against servers for others.

use std::fs;
use std::process::Output;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::common::{Scratch, TestServer, run_to_end};
use rustix::process::Signal;
use serde_json::json;

/// The first number that 32 bits do not hold.
const BEYOND: u64 = 1 << 32;

#[test]
fn the_sequence_goes_on_past_32_bits_and_can_be_resumed_there() {
    let scratch = Scratch::new();
    let path = scratch.path("room");
    let before = BEYOND - 2;
    let header = r#"{"smolchat":"history","version":1,"epoch":"0123456789abcdef","before":"#;
    let end = r#"{"smolchat":"end","seq":"#;
    fs::write(&path, format!("{header}{before}}}\n{end}{before}}}\n")).unwrap();
    let options = ["--history-file", path.to_str().unwrap()];
    let mut server = TestServer::start(&options);
    let mut alice = server.connect();
    let welcome = alice.hello("alice");
    assert_eq!((&welcome["epoch"], &welcome["seq"]), (&json!("0123456789abcdef"), &json!(before)));
    for text in ["one", "two", "three"] {
        alice.say(text);
    }
    let joined = alice.recv_kind("join");
    assert_eq!(joined["seq"], BEYOND - 1);
    for seq in BEYOND..BEYOND + 3 {
        assert_eq!(alice.recv_kind("chat")["seq"], seq);
    }
    drop(alice);
    server.signal(Signal::KILL);
    server.wait(crate::common::PATIENCE);

    let server = TestServer::start(&options);
    let mut alice = server.connect();
    let comeback = json!({ "name": "alice", "epoch": welcome["epoch"], "after": BEYOND });
    alice.send(&json!({ "hello": comeback }));
    assert_eq!(alice.recv_kind("welcome")["resumed"], true);
    for (text, seq) in [("two", BEYOND + 1), ("three", BEYOND + 2)] {
        let chat = alice.recv();
        assert_eq!((&chat["data"], &chat["seq"]), (&json!(text), &json!(seq)), "{chat}");
    }
}

#[test]
fn the_time_is_told_in_milliseconds_that_32_bits_do_not_hold() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    alice.say("hello");
    let told = alice.recv_kind("chat")["time"].as_u64().unwrap();
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis());
    let now = now.unwrap();
    assert!(told <= now && now - told < 60_000, "{told} is not {now}");
}

#[test]
fn a_size_that_32_bits_do_not_hold_is_refused_or_kept_and_never_cut() {
    for (size, bytes) in [("4G", BEYOND), ("4294967297", BEYOND + 1), ("17G", 17 << 30)] {
        let output = run_to_end(&["--outbox", size, "--check"]);
        match output.status.code() {
            Some(0) => {
                let (parts, _) = ceiling(output);
                assert!(parts.iter().any(|&part| part >= 1000 * bytes / 1024), "{parts:?}");
            }
            Some(2) => {
                let complaint = String::from_utf8(output.stderr).unwrap();
                assert!(complaint.contains(&format!("--outbox: cannot parse argument {size:?}")));
            }
            code => panic!("{code:?}"),
        }
    }
}

#[test]
fn a_ceiling_that_32_bits_do_not_hold_is_told_in_full() {
    for options in [["--max-clients", "10000"], ["--outbox", "3G"]] {
        let output = run_to_end(&[&options[..], &["--check"]].concat());
        let (parts, sum) = ceiling(output);
        assert!(sum > BEYOND / 1024, "{sum}");
        // Each was rounded up for itself.
        assert!(parts.iter().sum::<u64>().abs_diff(sum) <= 10, "{parts:?} are {sum}");
    }
}

/// The figures that `--check` prints, in KiB: each part, and all together.
fn ceiling(output: Output) -> (Vec<u64>, u64) {
    let table = String::from_utf8(output.stdout).unwrap();
    let words = table.lines().filter_map(|line| line.strip_suffix(" KiB")?.rsplit(' ').next());
    let mut figures: Vec<u64> = words.map(|word| word.parse().unwrap()).collect();
    let sum = figures.pop().unwrap();
    (figures, sum)
}

#[test]
fn numbers_from_a_client_may_be_as_large_as_json_says_them() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    alice.say("before");
    alice.recv_kind("chat");
    let mut bob = server.connect();
    bob.send(&json!({ "hello": { "name": "bob", "history": BEYOND + 1, "after": u64::MAX } }));
    assert_eq!(bob.recv_kind("welcome")["name"], "bob");
    assert_eq!(bob.recv_kind("chat")["data"], "before");
    bob.recv_kind("join");
    bob.say(&format!("/history {}", BEYOND + 1));
    assert_eq!(bob.recv_kind("chat")["data"], "before");
}
