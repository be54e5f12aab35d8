//! The statistics of a server: `/stats` for members, SIGUSR1 for the log.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::{TestClient, TestServer, wait_until};

fn stats(member: &mut TestClient) -> Value {
    member.send_json(&json!({"data": "/stats", "id": "stats"}));
    let answer = member.recv_kind("info");
    assert_eq!(answer["id"], "stats");
    answer["stats"].clone()
}

#[test]
fn stats_count_lines_bytes_and_evictions() {
    let server = TestServer::start(&["--max-clients", "2"]);
    let mut alice = server.join("alice");
    let before = stats(&mut alice);
    assert_eq!((&before["members"], &before["lines_in"]), (&json!(1), &json!(2)));
    let mut bob = server.join("bob");
    server.connect().expect_bye("full");
    bob.send_raw(b"/dance\nhello\n");
    bob.recv_kind("chat");
    let after = stats(&mut alice);
    for (key, value) in [("members", 2), ("connections", 2), ("lines_in", 6)] {
        assert_eq!(after[key], value, "{key} in {after}");
    }
    assert_eq!(after["evictions"], json!({"full": 1}));
    assert_eq!(after["errors"], json!({"unknown-command": 1}));
    let added = |key: &str| after[key].as_u64().unwrap() - before[key].as_u64().unwrap();
    // A hello and two lines of bob, and the request of alice.
    let hello = r#"{"hello":{"name":"bob"}}"#.len() + 1;
    let request = json!({"data": "/stats", "id": "stats"}).to_string().len() + 1;
    assert_eq!(added("bytes_in") as usize, hello + b"/dance\nhello\n".len() + request);
    // The first answer, a welcome, the join for two, a bye, an error, and the chat for two.
    assert_eq!(added("lines_out"), 8);
    assert!(added("bytes_out") > 500);
    assert!(after["memory"].as_u64().unwrap() > 100_000);
}

#[test]
fn stats_before_quit_are_answered_in_order() {
    let server = TestServer::start(&[]);
    let mut client = server.connect();
    client.send_raw(b"/stats\n/help\n/stats\n/quit\n");
    let frames = client.recv_rest();
    let answers = frames.iter().filter(|frame| frame["kind"] == "info");
    let has_stats: Vec<bool> = answers.map(|frame| frame["stats"].is_object()).collect();
    assert_eq!(has_stats, [true, false, true]);
}

#[test]
fn sigusr1_logs_stats_at_every_level() {
    let server = TestServer::start(&["--log", "error"]);
    let mut alice = server.join("alice");
    for count in 1..=2 {
        server.signal(Signal::USR1);
        wait_until("the stats are logged", || server.log().lines().count() == count);
    }
    for line in server.log().lines() {
        let (prefix, stats) = line.split_once(" stats ").unwrap();
        assert!(prefix.ends_with("Z info"), "{line}");
        let stats: Value = serde_json::from_str(stats).unwrap();
        assert_eq!(stats["members"], 1);
        assert_eq!(stats["lines_in"], 1);
    }
    assert_eq!(alice.members(), ["alice"]);
}
