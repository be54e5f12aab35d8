//! The program `smolchat` for programs: `--send`, `--exec` and JSON both ways.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use crate::common::smolchat::Smolchat;
use crate::common::{Scratch, TestClient, TestServer, eventually, parse};
use rustix::process::Signal;
use serde_json::{Value, json};

/// What that member says next, up to this line.
#[track_caller]
fn said_up_to(member: &mut TestClient, name: &str, last: &str) -> Vec<String> {
    let mut said = Vec::new();
    member.until(|frame| {
        let is_theirs = frame["kind"] == "chat" && frame["data_source"] == name;
        if is_theirs {
            said.push(frame["data"].as_str().unwrap().to_owned());
        }
        is_theirs && frame["data"] == last
    });
    said
}

#[test]
fn send_says_each_line_in_order_and_prints_nothing() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let options = ["--send", "one\n\ntwo", "--send", "three"];
    let (code, stdout, stderr) = Smolchat::start(server.address(0), "alice", &options).end();
    assert_eq!((code, stdout.len(), stderr.as_str()), (0, 0, ""), "{stdout:?}");
    assert_eq!(said_up_to(&mut bob, "alice", "three"), ["one", "two", "three"]);
    bob.until(|frame| frame["data"] == "alice left");
}

#[test]
fn send_does_not_read_its_input() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let mut alice = Smolchat::start(server.address(0), "alice", &["--send", "one"]);
    // It ends with its input open.
    bob.until(|frame| frame["data"] == "alice left");
    let stdin = alice.stdin.take();
    assert_eq!(alice.end().0, 0);
    drop(stdin);
}

#[test]
fn send_that_is_refused_says_why_and_fails() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let options = ["--send", "/dance", "--send", "after"];
    let (code, stdout, stderr) = Smolchat::start(server.address(0), "alice", &options).end();
    assert_eq!((code, stdout.len()), (1, 0), "{stdout:?}");
    let complaints: Vec<&str> = stderr.lines().collect();
    assert!(complaints[0].starts_with("smolchat: there is no command /dance"), "{stderr}");
    assert_eq!(complaints[1..], ["smolchat: one line was not accepted"]);
    assert_eq!(said_up_to(&mut bob, "alice", "after"), ["after"]);
}

#[test]
fn send_prints_the_answer_to_what_it_asks() {
    let server = TestServer::start(&[]);
    let _bob = server.join("bob");
    let ask = |options: &[&str]| {
        let (code, stdout, stderr) = Smolchat::start(server.address(0), "alice", options).end();
        assert_eq!((code, stderr.as_str()), (0, ""));
        stdout
    };
    assert_eq!(ask(&["--send", "/who"]), ["2 here: bob and alice"]);
    let answer = ask(&["--json", "--send", "/who"]);
    assert_eq!(parse(&answer[0])["names"], json!(["bob", "alice"]));
    assert_eq!(answer.len(), 1);
    let answer = ask(&["--json", "--send", r#"{"data":"hi","id":"7"}"#]);
    assert_eq!(parse(&answer[0])["id"], "7");
}

/// A server that lets in whoever comes, and goes when they have said something.
fn deaf_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
        let limits = json!({"max_line": 99, "rate": 0, "burst": 0, "history": 0, "stored": false});
        let welcome = json!({
            "data_source": "server", "data": "welcome", "kind": "welcome", "name": "alice",
            "epoch": "e", "seq": 0, "token": "t", "resumed": false, "members": 1, "limits": limits,
        });
        let info = r#"{"data_source":"server","data":"","kind":"info","id":"heartbeat"}"#;
        assert!(lines.next().unwrap().contains("hello"));
        assert!(lines.next().unwrap().contains("heartbeat"));
        stream.write_all(format!("{welcome}\n{info}\n").as_bytes()).unwrap();
        assert!(lines.next().unwrap().contains("one"));
    });
    address
}

#[test]
fn send_that_is_not_confirmed_fails() {
    let options = ["--no-reconnect", "--send", "one"];
    let (code, _, stderr) = Smolchat::start(&deaf_server(), "alice", &options).end();
    assert_eq!((code, stderr.lines().count()), (1, 1), "{stderr}");
    assert!(stderr.starts_with("smolchat: one line was not confirmed: "), "{stderr}");
}

#[test]
fn json_objects_go_out_as_they_are_and_the_rest_as_text() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let mut alice = Smolchat::start(server.address(0), "alice", &["--json"]);
    let input = [
        r#"{"data":"with an id","id":"a1"}"#,
        r#" {"id":null,"data":"without","data_source":"mallory"}"#,
        r#"{"data":"psst","to":"bob","id":"a2"}"#,
        r#"{"data":"/me waves","id":"a3"}"#,
        "plain text",
        "[1, 2]",
        "{",
        r#"{"data":"the end","id":"a1"}"#,
    ];
    alice.type_in(&(input.join("\n") + "\n"));
    let (code, stdout, stderr) = alice.end();
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout:?}");
    let mut heard = Vec::new();
    bob.until(|frame| {
        if frame["data_source"] == "alice" {
            heard.push(frame.clone());
        }
        frame["data"] == "the end"
    });
    let texts: Vec<&Value> = heard.iter().map(|frame| &frame["data"]).collect();
    let expected =
        ["with an id", "without", "psst", "waves", "plain text", "[1, 2]", "{", "the end"];
    assert_eq!(texts, expected);
    assert_eq!(heard[0]["id"], "a1");
    assert!(heard[1]["id"].is_string());
    assert_eq!((&heard[2]["kind"], &heard[2]["id"]), (&json!("private"), &json!("a2")));
    assert_eq!((&heard[3]["kind"], &heard[3]["id"]), (&json!("action"), &json!("a3")));
    let own = stdout.iter().filter(|line| parse(line)["data_source"] == "alice");
    assert_eq!(own.count(), expected.len(), "{stdout:?}");
}

#[test]
fn json_that_cannot_be_answered_is_refused_and_does_not_stop_the_rest() {
    let server = TestServer::start(&[]);
    for (refused, why) in [
        (r#"{"data":"hi","id":5}"#.to_owned(), "the JSON is not understood"),
        (json!({"data": "hi", "id": "x".repeat(65)}).to_string(), "at most 64 bytes"),
        (r#"{"data":"","id":"heartbeat"}"#.to_owned(), "the id heartbeat is taken"),
    ] {
        let mut alice = Smolchat::start(server.address(0), "alice", &["--json"]);
        alice.type_in(&format!("{refused}\nafter\n"));
        let (code, stdout, stderr) = alice.end();
        assert_eq!((code, stderr.lines().count()), (1, 2), "{stderr}");
        assert!(stderr.contains(why) && stderr.contains("one line was not accepted"), "{stderr}");
        assert!(stdout.iter().any(|line| parse(line)["data"] == "after"), "{stdout:?}");
    }
    // The server answers these itself.
    let hello = r#"{"hello":{"name":"carol"}}"#;
    for refused in [r#"{"text":"hi"}"#, r#"{"data":5}"#, hello, r#"{"data":"/dance"}"#] {
        let mut alice = Smolchat::start(server.address(0), "alice", &["--json"]);
        alice.type_in(&format!("{refused}\nafter\n"));
        let (code, stdout, stderr) = alice.end();
        assert_eq!((code, stderr.as_str()), (1, "smolchat: one line was not accepted\n"));
        assert!(stdout.iter().any(|line| parse(line)["kind"] == "error"), "{stdout:?}");
    }
}

#[test]
fn a_quit_in_json_ends_it_before_its_input_does() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let mut alice = Smolchat::start(server.address(0), "alice", &["--json"]);
    alice.type_in("hello\n{\"data\":\"/quit\",\"id\":\"1\"}\n");
    bob.until(|frame| frame["data"] == "alice left");
    let stdin = alice.stdin.take();
    assert_eq!(alice.end().0, 0);
    drop(stdin);
}

/// Whoever uses an id of ours, or shows us what we said before with it, confirms nothing.
#[test]
fn only_its_own_line_answers_a_line() {
    let server = TestServer::start(&[]);
    let line = r#"{"data":"once","id":"1"}"#;
    for _ in 0..2 {
        let mut alice = Smolchat::start(server.address(0), "alice", &["--json", "--history", "9"]);
        alice.type_in(&format!("{line}\n"));
        assert_eq!(alice.end().0, 0);
    }
    let mut bob = server.connect();
    bob.send(&json!({"hello": {"name": "bob", "history": 99}}));
    let mut said = 0;
    bob.until(|frame| {
        said += usize::from(frame["data"] == "once");
        crate::common::names(frame, "join").any(|name| name == "bob")
    });
    assert_eq!(said, 2);
}

const ECHO: &str =
    r#"while IFS="$(printf '\t')" read -r name text; do echo "$name said $text"; done"#;

#[test]
fn exec_feeds_a_command_what_others_say_and_says_what_it_prints() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    bob.say("before it came");
    let _bot = Smolchat::start(server.address(0), "bot", &["--history", "9", "--exec", ECHO]);
    bob.until(|frame| frame["data"] == "bot joined");
    bob.say("hello");
    assert_eq!(said_up_to(&mut bob, "bot", "bob said hello"), ["bob said hello"]);
    // Nobody can speak for somebody else, and nothing private gets out.
    bob.say("/msg bot psst");
    bob.send(&json!({"data": "two\ncarol\tlines"}));
    bob.say("end");
    let said = said_up_to(&mut bob, "bot", "bob said end");
    assert_eq!(said, ["bob said two^Jcarol^Ilines", "bob said end"]);
}

#[test]
fn a_command_that_repeats_what_it_hears_is_not_commanded() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let echo = r#"while IFS="$(printf '\t')" read -r name text; do echo "$text"; done"#;
    let _bot = Smolchat::start(server.address(0), "bot", &["--exec", echo]);
    bob.until(|frame| frame["data"] == "bot joined");
    for text in ["/quit", "/nick mallory", "//"] {
        bob.say(&format!("/{text}"));
        assert_eq!(said_up_to(&mut bob, "bot", text), [text]);
    }
}

#[test]
fn exec_with_json_is_fed_frames_and_may_give_commands() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let command = r#"while read -r line; do case $line in
        *'"kind":"welcome"'*) echo ready ;;
        *'"kind":"private"'*) echo '{"data":"/me waves","id":"w1"}' ;;
        *'"kind":"chat"'*|*'"kind":"action"'*) echo '{"data":"a chat","to":"bob"}' ;;
    esac; done"#;
    let _bot = Smolchat::start(server.address(0), "bot", &["--json", "--exec", command]);
    bob.until(|frame| frame["data"] == "ready");
    bob.say("/msg bot wave");
    let action = bob.until(|frame| frame["data_source"] == "bot");
    let expected = (&json!("action"), &json!("waves"), &json!("w1"));
    assert_eq!((&action["kind"], &action["data"], &action["id"]), expected);
    bob.say("hello");
    let private = bob.until(|frame| frame["data_source"] == "bot");
    assert_eq!((&private["kind"], &private["data"]), (&json!("private"), &json!("a chat")));
    // What it said itself would have been answered before.
    bob.say("/msg bot wave");
    assert_eq!(bob.until(|frame| frame["data_source"] == "bot")["kind"], "action");
}

#[test]
fn exec_ends_with_its_command_when_all_was_confirmed() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    for (command, code, complaint) in [
        ("echo one; printf two", 0, ""),
        ("echo one; echo two; exit 3", 1, "smolchat: the command failed, with exit status: 3\n"),
        ("echo one; echo two; kill -9 $$", 1, "smolchat: the command failed, with signal: 9"),
    ] {
        let bot = Smolchat::start(server.address(0), "bot", &["--exec", command]);
        // It ends with its own input open.
        bob.until(|frame| frame["data"] == "bot joined");
        assert_eq!(said_up_to(&mut bob, "bot", "two"), ["one", "two"]);
        bob.until(|frame| frame["data"] == "bot left");
        let (ended, stdout, stderr) = bot.end();
        assert_eq!((ended, stdout.len()), (code, 0), "{command}: {stderr}");
        assert!(stderr.starts_with(complaint), "{command}: {stderr}");
        assert_eq!(stderr.is_empty(), code == 0, "{command}: {stderr}");
    }
    let bot = Smolchat::start(server.address(0), "bot", &["--exec", "exec /nonexistent"]);
    assert_eq!(bot.end().0, 1);
}

#[test]
fn a_line_of_a_command_that_is_refused_makes_it_fail() {
    let server = TestServer::start(&["--max-line", "100"]);
    let long = format!("echo {}; echo short", "x".repeat(200));
    let too_long = "head -c 2000000 /dev/zero | tr '\\0' x; echo; echo short";
    for command in [long.as_str(), too_long] {
        let mut bob = server.join("bob");
        let bot = Smolchat::start(server.address(0), "bot", &["--exec", command]);
        assert_eq!(said_up_to(&mut bob, "bot", "short"), ["short"]);
        let (code, _, stderr) = bot.end();
        assert_eq!((code, stderr.lines().count()), (1, 2), "{stderr}");
        assert!(stderr.ends_with("smolchat: one line was not accepted\n"), "{stderr}");
        bob.say("/quit");
        bob.rest();
    }
}

#[test]
fn a_command_that_says_nothing_listens_until_it_ends() {
    let (server, scratch) = (TestServer::start(&[]), Scratch::new());
    let mut bob = server.join("bob");
    let log = scratch.path("log");
    let command = format!("head -n 2 > {}", log.display());
    let bot = Smolchat::start(server.address(0), "bot", &["--exec", &command]);
    bob.until(|frame| frame["data"] == "bot joined");
    bob.say("one");
    eventually("it is written down", || log.exists());
    bob.say("two");
    bob.until(|frame| frame["data"] == "bot left");
    assert_eq!(fs::read_to_string(log).unwrap(), "bob\tone\nbob\ttwo\n");
    assert_eq!(bot.end().0, 0);
}

#[test]
fn a_command_that_is_behind_for_a_moment_misses_nothing() {
    let server = TestServer::start(&["--rate", "0"]);
    let mut bob = server.join("bob");
    let bot = Smolchat::start(server.address(0), "bot", &["--exec", "head -n 1000 | sort -u"]);
    bob.until(|frame| frame["data"] == "bot joined");
    bob.send_raw("the same\n".repeat(1000).as_bytes());
    assert_eq!(said_up_to(&mut bob, "bot", "bob\tthe same"), ["bob\tthe same"]);
    let (code, _, stderr) = bot.end();
    assert_eq!((code, stderr.as_str()), (0, ""));
}

#[test]
fn a_command_that_does_not_read_stops_nobody() {
    let options = ["--rate", "0", "--outbox", "16M"];
    let (server, scratch) = (TestServer::start(&options), Scratch::new());
    let mut bob = server.join("bob");
    let sign = scratch.path("sign");
    let command = format!("until [ -e {} ]; do sleep 0.05; done; echo still here", sign.display());
    let mut bot = Smolchat::start(server.address(0), "bot", &["--exec", &command]);
    bob.until(|frame| frame["data"] == "bot joined");
    let flood = format!("{}\n", "x".repeat(200)).repeat(3000);
    let mut writer = bob.writer();
    let flood = thread::spawn(move || writer.write_all(flood.as_bytes()).unwrap());
    bot.complains("the command does not read");
    fs::write(sign, "").unwrap();
    bob.until(|frame| frame["data"] == "still here");
    flood.join().unwrap();
    bob.until(|frame| frame["data"] == "bot left");
    let (code, _, stderr) = bot.end();
    assert_eq!((code, stderr.lines().count()), (0, 1), "{stderr}");
    assert!(stderr.trim_end().ends_with(" left out"), "{stderr}");
}

#[test]
fn a_command_does_not_outlive_the_conversation() {
    // One ends with its input; one does not, and is killed.
    for command in ["cat >&2", "while :; do sleep 0.1; done"] {
        let (server, scratch) = (TestServer::start(&[]), Scratch::new());
        let mut bob = server.join("bob");
        let file = scratch.path("pid");
        let command = format!("echo $$ > {}; echo here; {command}", file.display());
        let options = ["--no-reconnect", "--exec", &command];
        let bot = Smolchat::start(server.address(0), "bot", &options);
        bob.until(|frame| frame["data"] == "here");
        let pid = fs::read_to_string(file).unwrap();
        server.signal(Signal::TERM);
        let (code, _, stderr) = bot.end();
        assert_eq!((code, stderr.lines().count()), (1, 1), "{stderr}");
        assert!(!fs::exists(format!("/proc/{}", pid.trim())).unwrap(), "{command}");
    }
}

#[test]
fn a_bot_comes_back_to_a_server_that_was_killed() {
    let scratch = Scratch::new();
    let address = scratch.address("room");
    let server = TestServer::start(&["--listen", &address]);
    let mut bob = server.join("bob");
    let command = format!("echo ready; {ECHO}");
    let _bot = Smolchat::start(&address, "bot", &["--exec", &command]);
    bob.until(|frame| frame["data"] == "ready");
    drop(server);
    let server = TestServer::start(&["--listen", &address]);
    server.logged(&["bot", "joined"]);
    let mut bob = server.join("bob");
    bob.say("hello");
    // It may say before that it is ready: nobody could tell it that it had been heard.
    said_up_to(&mut bob, "bot", "bob said hello");
}

#[test]
fn what_contradicts_itself_is_exit_code_2() {
    for options in [
        &["--exec", "cat", "--send", "hi"][..],
        &["--send", ""],
        &["--send", "\n"],
        &["--send"],
        &["--exec"],
        &["--completions", "tcsh"],
        &["--history", "some"],
    ] {
        let (code, stdout, stderr) = Smolchat::start("127.0.0.1:1", "alice", options).end();
        assert_eq!((code, stdout.len(), stderr.lines().count()), (2, 0, 1), "{stderr}");
        assert!(stderr.contains(options[0]), "{stderr}");
    }
}
