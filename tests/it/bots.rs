//! Clients without a terminal that are ended, killed and restarted: each keeps its name.

use rustix::process::Signal;

use crate::common::TestServer;
use crate::common::client_process::ClientProcess;
use crate::common::scripted_server::ScriptedServer;

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
