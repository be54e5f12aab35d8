//! How a server is doing: `/stats` for members, SIGUSR1 for the log.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::{TestClient, TestServer, eventually};

/// The figures as a member is told them.
fn stats(member: &mut TestClient) -> Value {
    member.send(&json!({"data": "/stats", "id": "stats"}));
    let answer = member.recv_kind("info");
    assert_eq!(answer["id"], "stats");
    answer["stats"].clone()
}

#[test]
fn a_member_is_told_what_the_server_did_and_how_it_stands() {
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
    let more = |key: &str| after[key].as_u64().unwrap() - before[key].as_u64().unwrap();
    // From bob a hello, two lines and nothing else; from alice the question.
    let hello = r#"{"hello":{"name":"bob"}}"#.len() + 1;
    let question = json!({"data": "/stats", "id": "stats"}).to_string().len() + 1;
    assert_eq!(more("bytes_in") as usize, hello + b"/dance\nhello\n".len() + question);
    // The first answer, a welcome, two notices that bob is here, a refusal, an error, and what
    // was said to both.
    assert_eq!(more("lines_out"), 8);
    assert!(more("bytes_out") > 500);
    assert!(after["memory"].as_u64().unwrap() > 100_000);
}

#[test]
fn the_figures_are_told_in_their_turn() {
    let server = TestServer::start(&[]);
    let mut once = server.connect();
    once.send_raw(b"/stats\n/help\n/stats\n/quit\n");
    let frames = once.rest();
    let told = frames.iter().filter(|frame| frame["kind"] == "info");
    let has_stats: Vec<bool> = told.map(|frame| frame["stats"].is_object()).collect();
    assert_eq!(has_stats, [true, false, true]);
}

#[test]
fn a_signal_puts_the_figures_on_the_log_as_one_line_of_json_at_every_level() {
    let server = TestServer::start(&["--log", "error"]);
    let mut alice = server.join("alice");
    for reports in 1..=2 {
        server.signal(Signal::USR1);
        eventually("the figures are on the log", || server.log().lines().count() == reports);
    }
    for line in server.log().lines() {
        let stats: Value = serde_json::from_str(line).unwrap();
        assert_eq!(stats["members"], 1);
        assert_eq!(stats["lines_in"], 1);
    }
    // It was no order to end.
    assert_eq!(alice.who(), ["alice"]);
}
