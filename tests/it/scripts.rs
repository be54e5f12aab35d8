//! The program `smolchat` for scripts and bots: `--send`, `--exec`, and JSON in both directions.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::client_process::ClientProcess;
use crate::common::{TempDir, TestClient, TestServer, assert_has, names, parse, wait_until};

/// On a loaded machine a hello can be later than by default. The client would report that it connects
/// again.
const PATIENT: &[&str] = &["--hello-wait", "10000"];

/// Returns the chat lines of a member up to `last`.
#[track_caller]
fn chats_until(client: &mut TestClient, name: &str, last: &str) -> Vec<String> {
    let mut chats = Vec::new();
    client.recv_until(|frame| {
        let is_chat = frame["kind"] == "chat" && frame["data_source"] == name;
        if is_chat {
            chats.push(frame["data"].as_str().unwrap().to_owned());
        }
        is_chat && frame["data"] == last
    });
    chats
}

/// Starts a client with a command, and waits until it has joined as `bot`.
#[track_caller]
fn start_bot(server: &TestServer, observer: &mut TestClient, options: &[&str]) -> ClientProcess {
    let bot = ClientProcess::start(server.address(0), "bot", options);
    observer.recv_until(|frame| frame["data"] == "bot joined");
    bot
}

#[test]
fn send_sends_each_line_and_prints_nothing() {
    let server = TestServer::start(PATIENT);
    let mut bob = server.join("bob");
    let options = ["--send", "one\n\ntwo", "--send", "three"];
    let (code, stdout, stderr) =
        ClientProcess::start(server.address(0), "alice", &options).finish();
    assert_eq!((code, stdout.len(), stderr.as_str()), (0, 0, ""), "{stdout:?}");
    assert_eq!(chats_until(&mut bob, "alice", "three"), ["one", "two", "three"]);
    assert_eq!(bob.members(), ["bob"]);
}

#[test]
fn sent_line_is_seen_without_join_and_leave() {
    let server = TestServer::start(PATIENT);
    let mut bob = server.join("bob");
    let mut expect = |options: &[&str], expected: &[&str]| {
        let (code, ..) = ClientProcess::start(server.address(0), "cron", options).finish();
        assert_eq!(code, 0);
        for text in expected {
            assert_eq!(bob.recv()["data"], *text, "{options:?}");
        }
    };
    expect(&["--send", "one"], &["one"]);
    expect(&["--quiet=off", "--send", "two"], &["cron joined", "two", "cron left"]);
    expect(&["--quiet", "--send", "three"], &["three"]);
    let mut cron = ClientProcess::start(server.address(0), "cron", &["--quiet"]);
    cron.write_input("four\n");
    assert_eq!(cron.finish().0, 0);
    expect(&["--send", "five"], &["four", "five"]);
}

#[test]
fn send_does_not_read_its_input() {
    let server = TestServer::start(PATIENT);
    let mut bob = server.join("bob");
    let mut alice = ClientProcess::start(server.address(0), "alice", &["--send", "one"]);
    // The client ends while its input is open.
    bob.recv_until(|frame| frame["data"] == "one");
    wait_until("the client has left", || bob.members() == ["bob"]);
    let stdin = alice.stdin.take();
    assert_eq!(alice.finish().0, 0);
    drop(stdin);
}

#[test]
fn refused_send_prints_reason_and_fails() {
    let server = TestServer::start(PATIENT);
    let mut bob = server.join("bob");
    let options = ["--send", "/dance", "--send", "after"];
    let (code, stdout, stderr) =
        ClientProcess::start(server.address(0), "alice", &options).finish();
    assert_eq!((code, stdout.len()), (1, 0), "{stdout:?}");
    let errors: Vec<&str> = stderr.lines().collect();
    assert!(errors[0].starts_with("smolchat: ") && errors[0].contains("/dance"), "{stderr}");
    assert_eq!(errors[1..], ["smolchat: one line was not accepted"]);
    assert_eq!(chats_until(&mut bob, "alice", "after"), ["after"]);
}

#[test]
fn send_prints_answer_to_request() {
    let server = TestServer::start(PATIENT);
    let _bob = server.join("bob");
    let run = |options: &[&str]| {
        let (code, stdout, stderr) =
            ClientProcess::start(server.address(0), "alice", options).finish();
        assert_eq!((code, stderr.as_str()), (0, ""));
        stdout
    };
    assert_eq!(run(&["--send", "/who"]), ["2 here: bob and alice"]);
    let answer = run(&["--json", "--send", "/who"]);
    assert_eq!(parse(&answer[0])["names"], json!(["bob", "alice"]));
    assert_eq!(answer.len(), 1);
    let answer = run(&["--json", "--send", r#"{"data":"hi","id":"7"}"#]);
    assert_eq!(parse(&answer[0])["id"], "7");
}

/// Starts a server that accepts one client, and closes the connection after its first line.
fn closing_server() -> String {
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
fn unconfirmed_send_fails() {
    let options = ["--no-reconnect", "--send", "one"];
    let (code, _, stderr) = ClientProcess::start(&closing_server(), "alice", &options).finish();
    assert_eq!((code, stderr.lines().count()), (1, 1), "{stderr}");
    assert!(stderr.starts_with("smolchat: one line was not confirmed: "), "{stderr}");
}

#[test]
fn json_objects_keep_id_and_other_lines_are_text() {
    let server = TestServer::start(PATIENT);
    let mut bob = server.join("bob");
    let mut alice = ClientProcess::start(server.address(0), "alice", &["--json"]);
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
    alice.write_input(&(input.join("\n") + "\n"));
    let (code, stdout, stderr) = alice.finish();
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout:?}");
    let mut received = Vec::new();
    bob.recv_until(|frame| {
        if frame["data_source"] == "alice" {
            received.push(frame.clone());
        }
        frame["data"] == "the end"
    });
    let texts: Vec<&Value> = received.iter().map(|frame| &frame["data"]).collect();
    let expected =
        ["with an id", "without", "psst", "waves", "plain text", "[1, 2]", "{", "the end"];
    assert_eq!(texts, expected);
    assert_eq!(received[0]["id"], "a1");
    assert!(received[1]["id"].is_string());
    assert_has(&received[2], json!({ "kind": "private", "id": "a2" }));
    assert_has(&received[3], json!({ "kind": "action", "id": "a3" }));
    let own = stdout.iter().filter(|line| parse(line)["data_source"] == "alice");
    assert_eq!(own.count(), expected.len(), "{stdout:?}");
}

#[test]
fn refused_json_does_not_stop_the_rest() {
    let server = TestServer::start(PATIENT);
    // The client refuses these, ...
    for (refused, reason) in [
        (r#"{"data":"hi","id":5}"#.to_owned(), "the JSON is not understood"),
        (json!({"data": "hi", "id": "x".repeat(65)}).to_string(), "at most 64 bytes"),
        (r#"{"data":"","id":"heartbeat"}"#.to_owned(), "the id heartbeat is reserved"),
    ] {
        let mut alice = ClientProcess::start(server.address(0), "alice", &["--json"]);
        alice.write_input(&format!("{refused}\nafter\n"));
        let (code, stdout, stderr) = alice.finish();
        assert_eq!((code, stderr.lines().count()), (1, 2), "{stderr}");
        assert!(
            stderr.contains(reason) && stderr.contains("one line was not accepted"),
            "{stderr}"
        );
        assert!(stdout.iter().any(|line| parse(line)["data"] == "after"), "{stdout:?}");
    }
    // ... and the server these.
    let hello = r#"{"hello":{"name":"carol"}}"#;
    for refused in [r#"{"text":"hi"}"#, r#"{"data":5}"#, hello, r#"{"data":"/dance"}"#] {
        let mut alice = ClientProcess::start(server.address(0), "alice", &["--json"]);
        alice.write_input(&format!("{refused}\nafter\n"));
        let (code, stdout, stderr) = alice.finish();
        assert_eq!((code, stderr.as_str()), (1, "smolchat: one line was not accepted\n"));
        assert!(stdout.iter().any(|line| parse(line)["kind"] == "error"), "{stdout:?}");
    }
}

#[test]
fn quit_in_json_ends_client_with_open_input() {
    let server = TestServer::start(PATIENT);
    let mut bob = server.join("bob");
    let mut alice = ClientProcess::start(server.address(0), "alice", &["--json"]);
    alice.write_input("hello\n{\"data\":\"/quit\",\"id\":\"1\"}\n");
    bob.recv_until(|frame| frame["data"] == "alice left");
    let stdin = alice.stdin.take();
    assert_eq!(alice.finish().0, 0);
    drop(stdin);
}

#[test]
fn history_with_the_same_id_confirms_no_line() {
    let server = TestServer::start(PATIENT);
    let line = r#"{"data":"once","id":"1"}"#;
    for _ in 0..2 {
        let options = ["--json", "--history", "9"];
        let mut alice = ClientProcess::start(server.address(0), "alice", &options);
        alice.write_input(&format!("{line}\n"));
        assert_eq!(alice.finish().0, 0);
    }
    let mut bob = server.connect();
    bob.send_json(&json!({"hello": {"name": "bob", "history": 99}}));
    let mut count = 0;
    bob.recv_until(|frame| {
        count += usize::from(frame["data"] == "once");
        names(frame, "join").any(|name| name == "bob")
    });
    assert_eq!(count, 2);
}

const ECHO: &str =
    r#"while IFS="$(printf '\t')" read -r name text; do echo "$name said $text"; done"#;

#[test]
fn exec_connects_command_to_the_room() {
    let server = TestServer::start(PATIENT);
    let mut bob = server.join("bob");
    bob.say("before the bot joined");
    let _bot = start_bot(&server, &mut bob, &["--history", "9", "--exec", ECHO]);
    bob.say("hello");
    assert_eq!(chats_until(&mut bob, "bot", "bob said hello"), ["bob said hello"]);
    // Private lines are left out, and tabs and newlines are escaped.
    bob.say("/msg bot psst");
    bob.send_json(&json!({"data": "two\ncarol\tlines"}));
    bob.say("end");
    let chats = chats_until(&mut bob, "bot", "bob said end");
    assert_eq!(chats, ["bob said two^Jcarol^Ilines", "bob said end"]);
}

#[test]
fn exec_output_is_text_not_commands() {
    let server = TestServer::start(PATIENT);
    let mut bob = server.join("bob");
    let echo = r#"while IFS="$(printf '\t')" read -r name text; do echo "$text"; done"#;
    let _bot = start_bot(&server, &mut bob, &["--exec", echo]);
    for text in ["/quit", "/nick mallory", "//"] {
        bob.say(&format!("/{text}"));
        assert_eq!(chats_until(&mut bob, "bot", text), [text]);
    }
}

#[test]
fn exec_with_json_passes_frames_and_commands() {
    let server = TestServer::start(PATIENT);
    let mut bob = server.join("bob");
    let command = r#"while read -r line; do case $line in
        *'"kind":"welcome"'*) echo ready ;;
        *'"kind":"private"'*) echo '{"data":"/me waves","id":"w1"}' ;;
        *'"kind":"chat"'*|*'"kind":"action"'*) echo '{"data":"a chat","to":"bob"}' ;;
    esac; done"#;
    let options = ["--json", "--exec", command];
    let _bot = ClientProcess::start(server.address(0), "bot", &options);
    bob.recv_until(|frame| frame["data"] == "ready");
    bob.say("/msg bot wave");
    let action = bob.recv_until(|frame| frame["data_source"] == "bot");
    assert_has(&action, json!({ "kind": "action", "data": "waves", "id": "w1" }));
    bob.say("hello");
    let private = bob.recv_until(|frame| frame["data_source"] == "bot");
    assert_has(&private, json!({ "kind": "private", "data": "a chat" }));
    // Its own lines are not passed to it: there is no other answer before this one.
    bob.say("/msg bot wave");
    assert_eq!(bob.recv_until(|frame| frame["data_source"] == "bot")["kind"], "action");
}

#[test]
fn exec_ends_with_its_command() {
    let server = TestServer::start(PATIENT);
    let mut bob = server.join("bob");
    for (command, code, error) in [
        ("echo one; printf two", 0, ""),
        ("echo one; echo two; exit 3", 1, "smolchat: the command failed, with exit status: 3\n"),
        ("echo one; echo two; kill -9 $$", 1, "smolchat: the command failed, with signal: 9"),
    ] {
        let bot = start_bot(&server, &mut bob, &["--exec", command]);
        assert_eq!(chats_until(&mut bob, "bot", "two"), ["one", "two"]);
        // The client ends while its own input is open.
        bob.recv_until(|frame| frame["data"] == "bot left");
        let (actual, stdout, stderr) = bot.finish();
        assert_eq!((actual, stdout.len()), (code, 0), "{command}: {stderr}");
        assert!(stderr.starts_with(error), "{command}: {stderr}");
        assert_eq!(stderr.is_empty(), code == 0, "{command}: {stderr}");
    }
    let bot = ClientProcess::start(server.address(0), "bot", &["--exec", "exec /nonexistent"]);
    assert_eq!(bot.finish().0, 1);
}

#[test]
fn refused_line_of_exec_sets_exit_code() {
    let server = TestServer::start(PATIENT);
    let mut bob = server.join("bob");
    let command = "head -c 2000000 /dev/zero | tr '\\0' x; echo; echo short";
    let bot = ClientProcess::start(server.address(0), "bot", &["--exec", command]);
    assert_eq!(chats_until(&mut bob, "bot", "short"), ["short"]);
    let (code, _, stderr) = bot.finish();
    assert_eq!((code, stderr.lines().count()), (1, 2), "{stderr}");
    assert!(stderr.ends_with("smolchat: one line was not accepted\n"), "{stderr}");
}

#[test]
fn exec_without_output_receives_until_it_ends() {
    let (server, dir) = (TestServer::start(PATIENT), TempDir::new());
    let mut bob = server.join("bob");
    let log = dir.path("log");
    let command = format!("head -n 2 > {}", log.display());
    let bot = start_bot(&server, &mut bob, &["--exec", &command]);
    bob.say("one");
    wait_until("the command runs", || log.exists());
    bob.say("two");
    bob.recv_until(|frame| frame["data"] == "bot left");
    assert_eq!(fs::read_to_string(log).unwrap(), "bob\tone\nbob\ttwo\n");
    assert_eq!(bot.finish().0, 0);
}

#[test]
fn exec_receives_all_lines_of_a_burst() {
    let server = TestServer::start(&["--rate", "0"]);
    let mut bob = server.join("bob");
    let bot = start_bot(&server, &mut bob, &["--exec", "head -n 1000 | sort -u"]);
    bob.send_raw("the same\n".repeat(1000).as_bytes());
    assert_eq!(chats_until(&mut bob, "bot", "bob\tthe same"), ["bob\tthe same"]);
    let (code, _, stderr) = bot.finish();
    assert_eq!((code, stderr.as_str()), (0, ""));
}

#[test]
fn exec_that_does_not_read_leaves_lines_out() {
    let options = ["--rate", "0", "--outbox", "16M"];
    let (server, dir) = (TestServer::start(&options), TempDir::new());
    let mut bob = server.join("bob");
    let file = dir.path("go-on");
    let command = format!("until [ -e {} ]; do sleep 0.05; done; echo still here", file.display());
    let mut bot = start_bot(&server, &mut bob, &["--exec", &command]);
    let flood = format!("{}\n", "x".repeat(200)).repeat(3000);
    let mut socket = bob.clone_socket();
    let flood = thread::spawn(move || socket.write_all(flood.as_bytes()).unwrap());
    bot.wait_for_stderr("the command does not read");
    fs::write(file, "").unwrap();
    bob.recv_until(|frame| frame["data"] == "still here");
    flood.join().unwrap();
    bob.recv_until(|frame| frame["data"] == "bot left");
    let (code, _, stderr) = bot.finish();
    assert_eq!((code, stderr.lines().count()), (0, 1), "{stderr}");
    assert!(stderr.trim_end().ends_with(" dropped"), "{stderr}");
}

#[test]
fn exec_command_ends_with_the_client() {
    // The first ends with its input, the others are killed, also in processes of the shell.
    for command in
        ["PID; cat >&2", "PID; while :; do sleep 0.1; done", "sh -c 'PID; exec sleep 1000 2>&-'; :"]
    {
        let (server, dir) = (TestServer::start(PATIENT), TempDir::new());
        let mut bob = server.join("bob");
        let file = dir.path("pid");
        let command = command.replace("PID", &format!("echo $$ > {}; echo here", file.display()));
        let options = ["--no-reconnect", "--exec", &command];
        let bot = ClientProcess::start(server.address(0), "bot", &options);
        bob.recv_until(|frame| frame["data"] == "here");
        let pid = fs::read_to_string(file).unwrap();
        server.signal(Signal::TERM);
        let (code, _, stderr) = bot.finish();
        assert_eq!((code, stderr.lines().count()), (1, 1), "{stderr}");
        // A process of the shell may wait until its new parent removes it.
        wait_until("the command has ended", || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
            stat.map_or(true, |stat| stat.contains(") Z "))
        });
    }
}

#[test]
fn exec_reconnects_to_restarted_server() {
    let dir = TempDir::new();
    let address = dir.unix_address("room");
    let server = TestServer::start(&["--listen", &address]);
    let mut bob = server.join("bob");
    let command = format!("echo ready; {ECHO}");
    let _bot = ClientProcess::start(&address, "bot", &["--exec", &command]);
    bob.recv_until(|frame| frame["data"] == "ready");
    drop(server);
    let server = TestServer::start(&["--listen", &address]);
    server.wait_for_log(&["bot", "joined"]);
    let mut bob = server.join("bob");
    bob.say("hello");
    // A second "ready" may come before: its first one was not confirmed.
    chats_until(&mut bob, "bot", "bob said hello");
}

#[test]
fn contradicting_options_are_exit_code_2() {
    for options in [
        &["--exec", "cat", "--send", "hi"][..],
        &["--send", ""],
        &["--send", "\n"],
        &["--send"],
        &["--exec"],
        &["--completions", "tcsh"],
        &["--history", "some"],
    ] {
        let (code, stdout, stderr) = ClientProcess::start("127.0.0.1:1", "alice", options).finish();
        assert_eq!((code, stdout.len(), stderr.lines().count()), (2, 0, 1), "{stderr}");
        assert!(stderr.contains(options[0]), "{stderr}");
    }
}

#[test]
fn send_and_exec_wait_for_the_server() {
    let dir = TempDir::new();
    let address = dir.unix_address("room");
    let alice = ClientProcess::start(&address, "alice", &["--send", "one"]);
    let mut bot = ClientProcess::start(&address, "bot", &["--exec", "echo ready; cat > /dev/null"]);
    bot.wait_for_stderr("; trying again");
    let server = TestServer::start(&["--listen", &address]);
    server.wait_for_log(&["bot", "joined"]);
    bot.wait_for_stderr("smolchat: connected");
    let (code, stdout, stderr) = alice.finish();
    assert_eq!((code, stdout.len(), stderr.as_str()), (0, 0, ""));
    let mut bob = server.join("bob");
    bob.say("/history");
    bob.recv_until(|frame| frame["data"] == "one");
}

#[test]
fn send_without_reconnect_tries_once() {
    let dir = TempDir::new();
    let options = ["--no-reconnect", "--send", "one"];
    let alice = ClientProcess::start(&dir.unix_address("missing"), "alice", &options);
    let (code, _, stderr) = alice.finish();
    assert_eq!((code, stderr.lines().count()), (1, 1), "{stderr}");
    assert!(stderr.contains("one line was not confirmed: cannot connect to"), "{stderr}");
}
