//! The program `smolchat` with pipes: its output, its exit code, and how it reconnects.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::client_process::ClientProcess;
use crate::common::{TempDir, TestServer, assert_consecutive, parse, seqs, wait_until};

#[test]
fn piped_lines_are_sent_and_printed() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let mut alice = ClientProcess::start(server.address(0), "alice", &[]);
    alice.write_input("hello\n\nand goodbye\r\n");
    let (code, stdout, stderr) = alice.finish();
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout:?}");
    let own: Vec<&str> =
        stdout.iter().filter_map(|line| line.split_once("alice  ")).map(|(_, text)| text).collect();
    assert_eq!(own, ["hello", "and goodbye"]);
    bob.recv_until(|frame| frame["data"] == "and goodbye");
    bob.recv_until(|frame| frame["data"] == "alice left");
}

#[test]
fn refused_line_sets_exit_code() {
    let server = TestServer::start(&["--max-line", "100"]);
    for refused in ["/dance", "/msg carol psst", "/nick server"] {
        let mut alice = ClientProcess::start(server.address(0), "alice", &[]);
        alice.write_input(&format!("before\n{refused}\nafter\n"));
        let (code, stdout, stderr) = alice.finish();
        assert_eq!((code, stderr.as_str()), (1, "smolchat: one line was not accepted\n"));
        assert!(stdout.iter().any(|line| line.contains("!!!")), "{stdout:?}");
        assert!(stdout.iter().any(|line| line.ends_with("alice  after")), "{stdout:?}");
    }
}

#[test]
fn quit_ends_client_and_frees_name() {
    let server = TestServer::start(&[]);
    let mut alice = ClientProcess::start(server.address(0), "alice", &[]);
    alice.write_input("hello\n/quit\nnot sent\n");
    alice.wait_for_line("goodbye");
    let (code, stdout, stderr) = alice.finish();
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout:?}");
    server.join("alice");
}

#[test]
fn unreachable_server_is_one_line_of_error() {
    let dir = TempDir::new();
    let alice = ClientProcess::start(&dir.unix_address("missing"), "alice", &[]);
    let (code, stdout, stderr) = alice.finish();
    assert_eq!((code, stdout.len(), stderr.lines().count()), (1, 0, 1), "{stderr}");
    assert!(stderr.starts_with("smolchat: cannot connect to unix:"), "{stderr}");
    assert!(stderr.contains("No such file"), "{stderr}");
}

#[test]
fn full_room_is_one_line_of_error() {
    let server = TestServer::start(&["--max-clients", "1"]);
    let _bob = server.join("bob");
    let (code, _, stderr) = ClientProcess::start(server.address(0), "alice", &[]).finish();
    assert_eq!((code, stderr.lines().count()), (1, 1), "{stderr}");
    assert!(stderr.contains("the server is full: 1 client"), "{stderr}");
}

#[test]
fn json_prints_the_lines_of_the_server() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let mut alice = ClientProcess::start(server.address(0), "alice", &["--json"]);
    alice.write_input("hello\n");
    bob.recv_kind("join");
    let expected = bob.recv_line().unwrap();
    let (code, stdout, _) = alice.finish();
    assert_eq!(code, 0);
    let kinds = stdout.iter().map(|line| parse(line)["kind"].clone()).collect::<Vec<_>>();
    assert_eq!(kinds, ["welcome", "join", "chat", "bye"], "without the answers to heartbeats");
    assert_eq!(stdout[2], expected);
}

#[test]
fn control_characters_are_printed_escaped() {
    let server = TestServer::start(&[]);
    let mut mallory = server.join("mallory");
    let mut alice = ClientProcess::start(server.address(0), "alice", &[]);
    alice.wait_for_line("alice joined");
    mallory.send_json(&json!({"data": "\u{1b}]0;owned\u{7}\u{1b}[2Jbye\r\n-!- \u{202e}hi\tyou"}));
    let line = alice.wait_for_line("owned");
    assert!(line.ends_with("mallory  ^[]0;owned^G^[[2Jbye"), "{line}");
    // Notices of the client are not indented as far.
    assert_eq!(alice.wait_for_line(""), "        -!- <U+202E>hi you");
    assert_eq!(alice.finish().0, 0);
}

#[test]
fn client_reconnects_and_sends_waiting_line() {
    let dir = TempDir::new();
    let address = dir.unix_address("room");
    let server = TestServer::start(&["--listen", &address]);
    let mut alice = ClientProcess::start(&address, "alice", &[]);
    alice.wait_for_line("alice joined");
    drop(server);
    // The time until the first attempt to reconnect.
    alice.wait_for_line(" in 0.");
    alice.write_input("are you there?\n");
    let server = TestServer::start(&["--listen", &address]);
    let mut bob = server.join("bob");
    alice.wait_for_line("up to date again");
    bob.recv_until(|frame| frame["data"] == "are you there?" && frame["data_source"] == "alice");
    let (code, stdout, stderr) = alice.finish();
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout:?}");
    // After the line that was waited for: no second welcome, and no own join.
    assert!(!stdout.iter().any(|line| line.contains("-!-") || line.contains("alice joined")));
    assert!(stdout.iter().any(|line| line.ends_with("alice  are you there?")), "{stdout:?}");
}

#[test]
fn no_reconnect_reports_unconfirmed_lines() {
    let server = TestServer::start(&[]);
    let mut alice = ClientProcess::start(server.address(0), "alice", &["--no-reconnect"]);
    alice.wait_for_line("alice joined");
    server.signal(Signal::STOP);
    alice.write_input("one\ntwo\n");
    let input = alice.stdin.as_ref().unwrap().as_fd().try_clone_to_owned().unwrap();
    wait_until("the input is read", || rustix::io::ioctl_fionread(&input).unwrap() == 0);
    server.signal(Signal::KILL);
    let (code, _, stderr) = alice.finish();
    assert_eq!((code, stderr.lines().count()), (1, 1), "{stderr}");
    assert!(stderr.starts_with("smolchat: 2 lines were not confirmed: "), "{stderr}");
}

#[test]
fn replaced_client_ends_instead_of_reconnecting() {
    let server = TestServer::start(&[]);
    let mut alice = ClientProcess::start(server.address(0), "alice", &["--json"]);
    let welcome = parse(&alice.wait_for_line("welcome"));
    alice.wait_for_line("alice joined");
    let mut other = server.connect();
    other.send_json(&json!({"hello": {"name": "alice", "token": welcome["token"]}}));
    assert_eq!(other.recv_kind("welcome")["name"], "alice");
    alice.wait_for_line("replaced");
    let (code, _, stderr) = alice.finish();
    assert_eq!((code, stderr.lines().count()), (1, 1), "{stderr}");
    assert!(stderr.contains("another connection resumed this session"), "{stderr}");
}

#[test]
fn stopped_client_resumes_without_loss() {
    // More than all buffers hold, so that the server closes the client as slow.
    const LINES: usize = 4000;
    let options = ["--rate", "0", "--history", "9999", "--history-bytes", "16M"];
    let server = TestServer::start(&options);
    let mut alice = ClientProcess::start(server.address(0), "alice", &["--json"]);
    alice.wait_for_line("alice joined");
    alice.signal(Signal::STOP);
    let mut bob = server.join("bob");
    let padding = "x".repeat(3000);
    for number in 0..LINES {
        let line = format!("{number} {padding}");
        bob.say(&line);
        // Bob reads now and then, so that the server does not close him as slow.
        if number % 20 == 19 {
            bob.recv_until(|frame| frame["data"] == line.as_str());
        }
    }
    server.wait_for_log(&["alice", "too slowly"]);
    alice.write_input("back again\n");
    alice.signal(Signal::CONT);
    let mut frames = Vec::new();
    while frames.last().is_none_or(|frame: &Value| frame["data"] != "back again") {
        frames.push(parse(&alice.wait_for_line("")));
    }
    assert_consecutive(&seqs(&frames));
    let chats = frames.iter().filter(|frame| frame["data_source"] == "bob");
    let chats = chats.map(|chat| chat["data"].as_str().unwrap().split(' ').next().unwrap());
    assert!(chats.eq((0..LINES).map(|number| number.to_string())));
    let (code, _, stderr) = alice.finish();
    assert_eq!(code, 0);
    assert!(stderr.contains("up to date again"), "{stderr}");
}

/// Runs a shell command in which `smolchat` joins the server as alice.
fn shell(server: &TestServer, command: &str) -> std::process::Output {
    let client = format!("{} {} --name alice", env!("CARGO_BIN_EXE_smolchat"), server.address(0));
    let mut shell = Command::new("bash");
    shell.args(["-c", &command.replace("smolchat", &client)]).env_remove("SMOLCHAT_NAME");
    shell.env("XDG_STATE_HOME", "/dev/null/none").env_remove("STATE_DIRECTORY");
    shell.env("XDG_CONFIG_HOME", "/dev/null/none").output().unwrap()
}

#[test]
fn closed_output_ends_client_in_silent_room() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    for options in ["", "--json"] {
        // The input is open as long as the shell runs.
        let command = format!(
            "set -o pipefail; exec 3< <(sleep 60); smolchat {options} <&3 | head -n 1; echo $?; \
             kill $!"
        );
        let output = shell(&server, &command);
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(stdout.contains("welcome") && stdout.ends_with("\n0\n"), "{stdout}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        bob.recv_until(|frame| frame["data"] == "alice left");
    }
}

#[test]
fn closed_output_loses_no_input() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let output = shell(&server, "set -o pipefail; printf 'one\ntwo\n' | smolchat | true");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    bob.recv_until(|frame| frame["data"] == "one");
    bob.recv_until(|frame| frame["data"] == "two");
    bob.recv_until(|frame| frame["data"] == "alice left");
}

#[test]
fn full_disk_is_one_line_of_error() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    for command in [
        "smolchat <&3 > /dev/full",
        "smolchat --json <&3 > /dev/full",
        "smolchat --quiet=off --send /who > /dev/full",
        "smolchat --help > /dev/full",
    ] {
        let command = format!("exec 3< <(sleep 60); {command}; code=$?; kill $!; exit $code");
        let output = shell(&server, &command);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}: {stderr}");
        let error = "smolchat: cannot write to standard output: No space left on device";
        assert!(stderr.starts_with(error) && stderr.lines().count() == 1, "{command}: {stderr}");
        if !command.contains("help") {
            bob.recv_until(|frame| frame["data"] == "alice left");
        }
    }
}

#[test]
fn slow_reader_of_output_gets_each_line() {
    let server = TestServer::start(&["--rate", "0", "--history-bytes", "16M", "--outbox", "16M"]);
    let mut bob = server.join("bob");
    for number in 0..900 {
        bob.say_and_recv(&format!("{number} {}", "x".repeat(4000)));
    }
    // More than the client keeps before it stops reading from the server.
    let command = "echo /history 1000 | smolchat | (read -r line; sleep 0.5; grep -c xxxx)";
    let output = shell(&server, command);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "900\n");
}

#[test]
fn unreadable_input_is_an_error() {
    let server = TestServer::start(&[]);
    for options in ["", "--json"] {
        let output = shell(&server, &format!("smolchat {options} < /"));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        let error = "smolchat: cannot read standard input: Is a directory";
        assert!(stderr.starts_with(error) && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn nonblocking_files_lose_no_line() {
    let server = TestServer::start(&["--rate", "0", "--outbox", "16M"]);
    let mut bob = server.join("bob");
    for number in 0..100 {
        bob.say_and_recv(&format!("{number} {}", "x".repeat(4000)));
    }
    let (input, mut typed) = std::io::pipe().unwrap();
    let (mut printed, output) = std::io::pipe().unwrap();
    // Another program that uses the same files may do this.
    for file in [input.as_fd(), output.as_fd()] {
        rustix::io::ioctl_fionbio(file, true).unwrap();
    }
    let mut command = ClientProcess::command();
    command.args([server.address(0), "--name", "alice"]);
    let mut alice = ClientProcess::run_with_files(command, input.into(), output.into());
    bob.recv_until(|frame| frame["data"] == "alice joined");
    typed.write_all(b"/history 1000\n").unwrap();
    drop(typed);
    let printed_bytes = || rustix::io::ioctl_fionread(&printed).unwrap();
    wait_until("the pipe is full", || printed_bytes() > 60_000);
    let mut text = String::new();
    printed.read_to_string(&mut text).unwrap();
    assert_eq!(text.matches(" xxxx").count(), 100);
    assert_eq!(alice.wait(), Some(0));
}

#[test]
fn next_server_is_tried_after_one_that_is_gone() {
    let mut first = TestServer::start(&[]);
    let second = TestServer::start(&[]);
    // Port 1 refuses connections.
    let addresses = format!("127.0.0.1:1,{},{}", first.address(0), second.address(0));
    let mut alice = ClientProcess::start(&addresses, "alice", &[]);
    alice.write_input("to the first\n");
    alice.wait_for_line("alice  to the first");
    let mut bob = second.join("bob");
    first.kill();
    bob.recv_until(|frame| frame["data"] == "alice joined");
    alice.write_input("to the second\n");
    bob.recv_until(|frame| frame["data"] == "to the second");
    let (code, stdout, stderr) = alice.finish();
    assert_eq!(code, 0, "{stdout:?} {stderr}");
}
