//! Coming back: nothing is lost, nothing is shown twice, and nobody else notices.

use crate::common::{TestClient, TestServer, assert_consecutive, seqs};
use serde_json::{Value, json};

/// Says hello with all that a client knows of its last visit.
fn come_back(server: &TestServer, welcome: &Value, after: u64) -> (TestClient, Value) {
    let mut client = server.connect();
    client.send(&json!({ "hello": {
        "name": welcome["name"],
        "epoch": welcome["epoch"],
        "token": welcome["token"],
        "after": after,
        "keep": true,
    }}));
    let welcome = client.recv_kind("welcome");
    (client, welcome)
}

/// Joins under a name that is to be kept.
fn arrive(server: &TestServer, name: &str) -> (TestClient, Value) {
    let mut client = server.connect();
    client.send(&json!({ "hello": { "name": name, "keep": true } }));
    let welcome = client.recv_kind("welcome");
    client.recv_kind("join");
    (client, welcome)
}

#[test]
fn the_lines_that_were_missed_come_byte_for_byte_as_the_others_got_them() {
    let server = TestServer::start(&["--rate", "0"]);
    let mut alice = server.join("alice");
    let (bob, welcome) = arrive(&server, "bob");
    alice.recv_kind("join");
    bob.break_off();
    let mut seen = vec![alice.line().unwrap()];
    for n in 0..100 {
        alice.send(&json!({ "data": format!("line {n}"), "id": n.to_string() }));
        seen.push(alice.line().unwrap());
    }
    let after = welcome["seq"].as_u64().unwrap() + 1;
    let (mut bob, welcome) = come_back(&server, &welcome, after);
    assert_eq!((&welcome["resumed"], &welcome["name"]), (&json!(true), &json!("bob")));
    for line in seen {
        assert_eq!(bob.line().unwrap(), line);
    }
    assert_eq!(bob.line(), alice.line());
}

#[test]
fn a_ghost_is_replaced_and_the_others_see_nothing_of_it() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    let (mut ghost, first) = arrive(&server, "bob");
    alice.recv_kind("join");
    let after = first["seq"].as_u64().unwrap() + 1;
    let (mut bob, second) = come_back(&server, &first, after);
    let bye = ghost.expect_bye("replaced");
    assert_eq!(bye["seq"], after);
    assert_ne!(first["token"], second["token"]);
    bob.say("here I am");
    assert_eq!(alice.recv()["data"], "here I am");
    assert_eq!(bob.recv()["seq"], after + 1);
    assert_eq!(alice.who(), ["alice", "bob"]);
}

#[test]
fn a_kept_name_is_refused_to_others_and_given_to_its_owner() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    let (bob, welcome) = arrive(&server, "bob");
    bob.break_off();
    alice.until(|frame| frame["kind"] == "leave");
    let mut thief = server.connect();
    assert_eq!(thief.hello("bob")["name"], "bob-2");
    assert_eq!(thief.recv_kind("error")["code"], "name-kept");
    let (_, again) = come_back(&server, &welcome, 1);
    assert_eq!(again["name"], "bob");
}

#[test]
fn who_did_not_ask_for_it_finds_its_name_free_as_does_everybody_after_grace_zero() {
    for options in [&[][..], &["--grace", "0"][..]] {
        let server = TestServer::start(options);
        let mut alice = server.join("alice");
        let leaver = if options.is_empty() { server.join("bob") } else { arrive(&server, "bob").0 };
        leaver.break_off();
        alice.until(|frame| frame["kind"] == "leave");
        assert_eq!(server.connect().hello("bob")["name"], "bob");
    }
}

#[test]
fn what_the_history_has_lost_is_a_gap_and_never_a_silent_hole() {
    let server = TestServer::start(&["--rate", "0", "--history-bytes", "2K"]);
    let mut alice = server.join("alice");
    let (bob, welcome) = arrive(&server, "bob");
    bob.break_off();
    for n in 0..100 {
        alice.say(&format!("line {n}"));
        alice.until(|frame| frame["data"] == format!("line {n}"));
    }
    let after = welcome["seq"].as_u64().unwrap() + 1;
    let (mut bob, _) = come_back(&server, &welcome, after);
    let gap = bob.recv_kind("gap");
    assert_eq!(gap["from"], after + 1);
    bob.say("whole again");
    let mut rest = vec![bob.recv()];
    while rest.last().unwrap()["data"] != "whole again" {
        rest.push(bob.recv());
    }
    let numbers = seqs(&rest);
    assert_eq!(numbers[0], gap["to"].as_u64().unwrap() + 1);
    assert_consecutive(&numbers);
}

#[test]
fn a_replay_larger_than_the_outbox_is_handed_out_as_it_is_taken() {
    let options = ["--rate", "0", "--outbox", "16K", "--history", "5000", "--history-bytes", "16M"];
    let server = TestServer::start(&options);
    let mut alice = server.join("alice");
    let (bob, welcome) = arrive(&server, "bob");
    bob.break_off();
    let text = "x".repeat(3000);
    for _ in 0..4000 {
        alice.say(&text);
        alice.recv_kind("chat");
    }
    // Twelve megabytes, to one who reads only when all of it is on its way.
    let after = welcome["seq"].as_u64().unwrap() + 1;
    let (mut bob, _) = come_back(&server, &welcome, after);
    alice.say("the end");
    alice.until(|frame| frame["data"] == "the end");
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
fn who_was_closed_as_slow_resumes_where_its_bye_says() {
    let server = TestServer::start(&["--rate", "0", "--outbox", "64K"]);
    let mut alice = server.join("alice");
    let (mut bob, welcome) = arrive(&server, "bob");
    alice.recv_kind("join");
    let text = "x".repeat(4000);
    let mut said = 0;
    loop {
        alice.say(&text);
        said += 1;
        alice.recv_kind("chat");
        if !alice.who().contains(&"bob".to_owned()) {
            break;
        }
    }
    let mut frames = bob.rest();
    let bye = frames.pop().unwrap();
    assert_eq!((&bye["kind"], &bye["code"]), (&json!("bye"), &json!("slow")));
    let last = bye["seq"].as_u64().unwrap();
    assert_eq!(frames.last().unwrap()["seq"], last);
    let (mut bob, again) = come_back(&server, &welcome, last);
    assert_eq!(again["resumed"], true);
    while frames.iter().filter(|frame| frame["kind"] == "chat").count() < said {
        frames.push(bob.recv());
    }
    assert_consecutive(&seqs(&frames));
}

#[test]
fn a_heartbeat_with_an_id_is_answered_and_one_without_is_not() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    alice.send_raw(b"\n\r\n{\"data\":\"\"}\n{\"data\":\"\",\"id\":\"beat\"}\n");
    let answer = alice.recv();
    assert_eq!((&answer["kind"], &answer["id"]), (&json!("info"), &json!("beat")));
    assert_eq!(alice.waiting(), Vec::<Value>::new());
}
