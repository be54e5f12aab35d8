//! Numbers that do not fit into 32 bits. `make test-cross` runs these tests against servers for
//! 32-bit machines.

use std::fs;
use std::process::Output;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::common::{TempDir, TestServer, assert_has, run_server};

/// The first number that 32 bits do not hold.
const BEYOND: u64 = 1 << 32;

#[test]
fn sequence_beyond_32_bits_is_resumed() {
    let dir = TempDir::new();
    let path = dir.path("room");
    let before = BEYOND - 2;
    let header = r#"{"smolchat":"history","version":1,"epoch":"0123456789abcdef","before":"#;
    let end = r#"{"smolchat":"end","seq":"#;
    fs::write(&path, format!("{header}{before}}}\n{end}{before}}}\n")).unwrap();
    let options = ["--history-file", path.to_str().unwrap()];
    let mut server = TestServer::start(&options);
    let mut alice = server.connect();
    let welcome = alice.hello("alice");
    assert_has(&welcome, json!({ "epoch": "0123456789abcdef", "seq": before }));
    for text in ["one", "two", "three"] {
        alice.say(text);
    }
    assert_eq!(alice.recv_kind("join")["seq"], BEYOND - 1);
    for seq in BEYOND..BEYOND + 3 {
        assert_eq!(alice.recv_kind("chat")["seq"], seq);
    }
    drop(alice);
    server.kill();

    let server = TestServer::start(&options);
    let mut alice = server.connect();
    let hello = json!({ "name": "alice", "epoch": welcome["epoch"], "after": BEYOND });
    alice.send_json(&json!({ "hello": hello }));
    assert_eq!(alice.recv_kind("welcome")["resumed"], true);
    for (text, seq) in [("two", BEYOND + 1), ("three", BEYOND + 2)] {
        assert_has(&alice.recv(), json!({ "data": text, "seq": seq }));
    }
}

#[test]
fn time_beyond_32_bits_is_that_of_the_clock() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    let time = alice.say_and_recv("hello")["time"].as_u64().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let now = u64::try_from(now).unwrap();
    assert!(time <= now && now - time < 60_000, "{time} is not {now}");
}

#[test]
fn size_beyond_32_bits_is_used_or_refused() {
    for (size, bytes) in [("4G", BEYOND), ("4294967297", BEYOND + 1), ("17G", 17 << 30)] {
        let output = run_server(&["--outbox", size, "--check"]);
        match output.status.code() {
            Some(0) => {
                let (parts, _) = memory_table(output);
                assert!(parts.iter().any(|&part| part >= 1000 * bytes / 1024), "{parts:?}");
            }
            Some(2) => {
                let error = String::from_utf8(output.stderr).unwrap();
                assert!(error.contains(&format!("--outbox: cannot parse argument {size:?}")));
            }
            code => panic!("{code:?}"),
        }
    }
}

#[test]
fn memory_ceiling_beyond_32_bits_is_printed() {
    for options in [["--max-clients", "10000"], ["--outbox", "3G"]] {
        let output = run_server(&[&options[..], &["--check"]].concat());
        let (parts, sum) = memory_table(output);
        assert!(sum > BEYOND / 1024, "{sum}");
        // Each part is rounded up.
        assert!(parts.iter().sum::<u64>().abs_diff(sum) <= 10, "{parts:?} are {sum}");
    }
}

/// Returns the figures that `--check` prints, in KiB: the parts, and their sum.
fn memory_table(output: Output) -> (Vec<u64>, u64) {
    let table = String::from_utf8(output.stdout).unwrap();
    let words = table.lines().filter_map(|line| line.strip_suffix(" KiB")?.rsplit(' ').next());
    let mut figures: Vec<u64> = words.map(|word| word.parse().unwrap()).collect();
    let sum = figures.pop().unwrap();
    (figures, sum)
}

#[test]
fn number_of_client_may_exceed_32_bits() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    alice.say_and_recv("before");
    let mut bob = server.connect();
    bob.send_json(&json!({ "hello": { "name": "bob", "history": BEYOND + 1, "after": u64::MAX } }));
    assert_eq!(bob.recv_kind("welcome")["name"], "bob");
    assert_eq!(bob.recv_kind("chat")["data"], "before");
    bob.recv_kind("join");
    bob.say(&format!("/history {}", BEYOND + 1));
    assert_eq!(bob.recv_kind("chat")["data"], "before");
}
