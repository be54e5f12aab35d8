//! Clients without a terminal that are ended, killed and restarted: each keeps its name.

use rustix::process::Signal;

use crate::common::client_process::ClientProcess;
use crate::common::scripted_server::ScriptedServer;
use crate::common::{TempDir, TestServer, parse, wait_until};

#[test]
fn signal_frees_name_at_once() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    for options in [&[][..], &["--json"], &["--exec", "cat > /dev/null"]] {
        for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
            let mut alice = ClientProcess::start(server.address(0), "alice", options);
            bob.recv_until(|frame| frame["data"] == "alice joined");
            alice.signal(signal);
            assert_eq!(alice.wait(), Some(128 + signal.as_raw()), "{options:?}");
            bob.recv_until(|frame| frame["data"] == "alice left");
        }
    }
    // The name would be reserved for a minute if one of them had not said `/quit`.
    server.join("alice");
}

#[test]
fn signal_ends_client_of_silent_server() {
    let server = ScriptedServer::start(|mut connection| while connection.recv().is_some() {});
    for options in [&["--json"][..], &["--send", "one"], &["--exec", "cat"]] {
        let mut alice = ClientProcess::start(server.address(), "alice", options);
        alice.wait_until_signals_are_handled();
        alice.signal(Signal::TERM);
        assert_eq!(alice.wait(), Some(143), "{options:?}");
    }
}

#[test]
fn signal_ends_client_whose_output_is_not_read() {
    let server = TestServer::start(&["--rate", "0", "--outbox", "16M"]);
    let mut bob = server.join("bob");
    let mut alice = ClientProcess::start_unread(server.address(0), "alice", &["--json"]);
    bob.recv_until(|frame| frame["data"] == "alice joined");
    for number in 0..1000 {
        bob.say_and_recv(&format!("{number} {}", "x".repeat(4000)));
    }
    alice.signal(Signal::TERM);
    assert_eq!(alice.wait(), Some(143));
    bob.recv_until(|frame| frame["data"] == "alice left");
}

#[test]
fn ignored_signal_stays_ignored() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let client = ClientProcess::command();
    let mut command = std::process::Command::new("nohup");
    command.arg(client.get_program()).envs(client.get_envs().filter_map(|(n, v)| Some((n, v?))));
    command.args([server.address(0), "--name", "alice", "--exec", "cat > /dev/null"]);
    let alice = ClientProcess::run(command);
    bob.recv_until(|frame| frame["data"] == "alice joined");
    alice.signal(Signal::HUP);
    bob.say("/msg alice hi");
    alice.signal(Signal::TERM);
    assert_eq!(bob.recv_until(|frame| frame["kind"] == "leave")["data"], "alice left");
}

/// Starts a client whose state is stored in a directory.
fn start_with_state(server: &TestServer, dir: &TempDir, options: &[&str]) -> ClientProcess {
    let mut command = ClientProcess::command();
    command.env("XDG_STATE_HOME", dir.path("")).args([server.address(0), "--name", "alice"]);
    command.args(options);
    ClientProcess::run(command)
}

#[test]
fn killed_client_gets_its_name_back() {
    let (server, dir) = (TestServer::start(&[]), TempDir::new());
    let sessions = dir.path("smolchat/sessions");
    for options in [&["--json"][..], &["--json", "--exec", "cat > /dev/null"], &[]] {
        let mut bob = server.join("bob");
        let alice = start_with_state(&server, &dir, options);
        bob.recv_until(|frame| frame["data"] == "alice joined");
        wait_until("the token is stored", || {
            let mut files = std::fs::read_dir(&sessions).into_iter().flatten().flatten();
            files.any(|file| file.metadata().is_ok_and(|file| file.len() > 0))
        });
        alice.signal(Signal::KILL);
        bob.recv_until(|frame| frame["data"] == "alice left");
        drop(alice);
        // An earlier client without the token gets another name.
        let mut other = server.connect();
        assert_eq!(other.hello("alice")["name"], "alice-2");
        let mut alice = start_with_state(&server, &dir, &["--json"]);
        assert_eq!(parse(&alice.wait_for_line("welcome"))["name"], "alice");
        alice.signal(Signal::TERM);
        assert_eq!(alice.wait(), Some(143));
        assert_eq!(std::fs::read_dir(&sessions).unwrap().count(), 0, "removed at the end");
        bob.say("/quit");
        bob.recv_rest();
    }
}

#[test]
fn second_client_does_not_take_session_over() {
    let (server, dir) = (TestServer::start(&[]), TempDir::new());
    let mut first = start_with_state(&server, &dir, &["--json"]);
    assert_eq!(parse(&first.wait_for_line("welcome"))["name"], "alice");
    let mut second = start_with_state(&server, &dir, &["--json"]);
    assert_eq!(parse(&second.wait_for_line("welcome"))["name"], "alice-2");
    first.write_input("still here\n");
    first.wait_for_line("still here");
    let (code, _, stderr) = first.finish();
    assert_eq!((code, stderr.as_str()), (0, ""));
    second.wait_for_line(r#""from":"alice-2","to":"alice""#);
}

#[test]
fn taken_name_is_taken_back_when_free() {
    let server = TestServer::start(&[]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    let mut bot = ClientProcess::start(server.address(0), "alice", &["--exec", "cat > /dev/null"]);
    bot.wait_for_stderr("another member is called alice; you are alice-2");
    bob.recv_until(|frame| frame["data"] == "alice-2 joined");
    alice.say("/nick carol");
    bob.recv_until(|frame| frame["from"] == "alice-2" && frame["to"] == "alice");
    bot.wait_for_stderr("smolchat: the name is alice now");
}

#[test]
fn name_chosen_with_nick_is_kept() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    let mut client = ClientProcess::start(server.address(0), "alice", &["--json"]);
    client.wait_for_line("alice-2 joined");
    client.write_input("/nick carol\n");
    client.wait_for_line(r#""to":"carol""#);
    alice.say("/quit");
    client.wait_for_line("alice left");
    client.write_input("hello\n");
    let chat = parse(&client.wait_for_line("hello"));
    assert_eq!(chat["data_source"], "carol");
    let (_, stdout, _) = client.finish();
    assert!(!stdout.iter().any(|line| line.contains(r#""kind":"name""#)), "{stdout:?}");
}

#[test]
fn name_that_must_match_sends_nothing() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    let options = ["--name-must-match", "--quiet=off", "--send", "one"];
    let client = ClientProcess::start(server.address(0), "Alice", &options);
    let (code, stdout, stderr) = client.finish();
    assert_eq!((code, stdout.len()), (1, 0), "{stdout:?}");
    let last = stderr.lines().last().unwrap();
    assert!(last.contains("the name Alice is not free"), "{stderr}");
    alice.recv_until(|frame| frame["data"] == "Alice-2 joined");
    assert_eq!(alice.recv()["data"], "Alice-2 left", "no line between them");
    let options = ["--name-must-match", "--send", "two"];
    let (code, _, stderr) = ClientProcess::start(server.address(0), "bob", &options).finish();
    assert_eq!((code, stderr.as_str()), (0, ""));
}

#[test]
fn taken_name_of_send_is_reported_once() {
    let server = TestServer::start(&[]);
    let _alice = server.join("alice");
    let client = ClientProcess::start(server.address(0), "alice", &["--send", "one"]);
    let (code, _, stderr) = client.finish();
    assert_eq!((code, stderr.lines().count()), (0, 1), "{stderr}");
    assert!(stderr.contains("another member is called alice; you are alice-2"), "{stderr}");
}
