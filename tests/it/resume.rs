//! Resuming over the wire: no line is lost or sent twice, and the others see nothing of it.

use serde_json::{Value, json};

use crate::common::{TestClient, TestServer, assert_consecutive, assert_has, long_line, seqs};

/// Connects with the token and the state of an earlier connection. Returns the new welcome.
fn resume(server: &TestServer, welcome: &Value, after: u64) -> (TestClient, Value) {
    let mut client = server.connect();
    client.send_json(&json!({ "hello": {
        "name": welcome["name"],
        "epoch": welcome["epoch"],
        "token": welcome["token"],
        "after": after,
        "keep": true,
    }}));
    let welcome = client.recv_kind("welcome");
    (client, welcome)
}

/// Joins with a name that is to be reserved.
fn join_reserving(server: &TestServer, name: &str) -> (TestClient, Value) {
    let mut client = server.connect();
    client.send_json(&json!({ "hello": { "name": name, "keep": true } }));
    let welcome = client.recv_kind("welcome");
    client.recv_kind("join");
    (client, welcome)
}

#[test]
fn resume_gets_missed_lines_byte_for_byte() {
    let server = TestServer::start(&["--rate", "0"]);
    let mut alice = server.join("alice");
    let (bob, welcome) = join_reserving(&server, "bob");
    alice.recv_kind("join");
    bob.reset();
    let mut lines = vec![alice.recv_line().unwrap()];
    for n in 0..100 {
        alice.send_json(&json!({ "data": format!("line {n}"), "id": n.to_string() }));
        lines.push(alice.recv_line().unwrap());
    }
    let after = welcome["seq"].as_u64().unwrap() + 1;
    let (mut bob, welcome) = resume(&server, &welcome, after);
    assert_has(&welcome, json!({ "resumed": true, "name": "bob" }));
    for line in lines {
        assert_eq!(bob.recv_line().unwrap(), line);
    }
    assert_eq!(bob.recv_line(), alice.recv_line());
}

/// A member that lost its network comes back while its old connection still stands.
#[test]
fn takeover_succeeds_in_full_room_and_address() {
    for limit in ["--max-clients", "--max-per-ip"] {
        let server = TestServer::start(&[limit, "2"]);
        let mut alice = server.join("alice");
        let (mut old, first) = join_reserving(&server, "bob");
        alice.recv_kind("join");
        let mut silent = server.connect();
        let after = first["seq"].as_u64().unwrap() + 1;
        let (mut bob, _) = resume(&server, &first, after);
        old.expect_bye("replaced");
        let bye = silent.expect_bye("full");
        let text = match limit {
            "--max-clients" => "the server is full: 2 clients",
            _ => "too many connections from your address: 2",
        };
        assert_eq!(bye["data"], text);
        server.wait_for_log(&["127.0.0.1:", &format!("refused: {limit} 2 is reached")]);
        server.connect().expect_bye("full");
        assert_eq!(alice.members(), ["alice", "bob"]);
        bob.say("hello");
        assert_eq!(alice.recv()["data"], "hello");
    }
}

#[test]
fn takeover_replaces_open_connection_silently() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    let (mut old, first) = join_reserving(&server, "bob");
    alice.recv_kind("join");
    let after = first["seq"].as_u64().unwrap() + 1;
    let (mut bob, second) = resume(&server, &first, after);
    let bye = old.expect_bye("replaced");
    assert_eq!(bye["seq"], after);
    assert_ne!(first["token"], second["token"]);
    bob.say("hello");
    assert_eq!(alice.recv()["data"], "hello");
    assert_eq!(bob.recv()["seq"], after + 1);
    assert_eq!(alice.members(), ["alice", "bob"]);
}

#[test]
fn replay_larger_than_outbox_is_sent_in_parts() {
    const LINES: usize = 4000;
    let options = ["--rate", "0", "--outbox", "16K", "--history", "5000", "--history-bytes", "16M"];
    let server = TestServer::start(&options);
    let mut alice = server.join("alice");
    let (bob, welcome) = join_reserving(&server, "bob");
    bob.reset();
    let text = "x".repeat(3000);
    for _ in 0..LINES {
        alice.say(&text);
        alice.recv_kind("chat");
    }
    // 12 MB, read only after the last line was sent.
    let after = welcome["seq"].as_u64().unwrap() + 1;
    let (mut bob, _) = resume(&server, &welcome, after);
    alice.say_and_recv("the end");
    let mut last = after;
    loop {
        let frame = bob.recv();
        assert_eq!(frame["seq"], last + 1, "{}", frame["kind"]);
        last += 1;
        if frame["data"] == "the end" {
            break;
        }
    }
}

#[test]
fn slow_member_resumes_after_the_seq_of_its_bye() {
    let server = TestServer::start(&["--rate", "0", "--outbox", "64K"]);
    let mut alice = server.join("alice");
    let (mut bob, welcome) = join_reserving(&server, "bob");
    alice.recv_kind("join");
    let mut sent = 0;
    while alice.members().len() == 2 {
        alice.say_and_recv(&long_line());
        sent += 1;
    }
    let mut frames = bob.recv_rest();
    let bye = frames.pop().unwrap();
    assert_has(&bye, json!({ "kind": "bye", "code": "slow" }));
    let last = bye["seq"].as_u64().unwrap();
    assert_eq!(frames.last().unwrap()["seq"], last);
    let (mut bob, again) = resume(&server, &welcome, last);
    assert_eq!(again["resumed"], true);
    while frames.iter().filter(|frame| frame["kind"] == "chat").count() < sent {
        frames.push(bob.recv());
    }
    assert_consecutive(&seqs(&frames));
}
