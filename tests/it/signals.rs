//! Signals: which end the server, how, and which do not.

use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::common::{TempDir, TestServer, server_with_stalled_member};

/// Starts the server in a session of its own, without a controlling terminal.
#[track_caller]
fn start_without_terminal(prelude: &str) -> TestServer {
    TestServer::start_with_prelude(&format!(r#"{prelude}; exec setsid "$0" "$@""#), &[])
}

/// Starts the server in a session of its own with a pseudo-terminal, and returns the other side of
/// the terminal.
#[track_caller]
fn start_in_terminal() -> (TestServer, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let prelude = format!(r#"exec setsid --ctty "$0" "$@" <{path}"#);
    (TestServer::start_with_prelude(&prelude, &[]), master)
}

#[test]
fn hangup_without_terminal_is_logged_and_ignored() {
    let mut server = start_without_terminal(":");
    let mut alice = server.join("alice");
    for _ in 0..2 {
        server.signal(Signal::HUP);
    }
    server.wait_for_log(&["info SIGHUP: there is nothing to reload"]);
    alice.say_and_recv("still here");
    server.stop();
    alice.expect_bye("shutdown");
}

#[test]
fn closed_terminal_ends_server_in_good_order() {
    let (mut server, master) = start_in_terminal();
    let mut alice = server.join("alice");
    drop(master);
    alice.expect_bye("shutdown");
    assert_eq!(server.wait().code(), Some(0));
    server.wait_for_log(&["info SIGHUP: shutting down"]);
}

#[test]
fn hangup_with_open_terminal_ends_server() {
    let (mut server, _master) = start_in_terminal();
    let mut alice = server.join("alice");
    for _ in 0..3 {
        server.signal(Signal::HUP);
    }
    alice.expect_bye("shutdown");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn interrupt_key_ends_server() {
    let (mut server, master) = start_in_terminal();
    let mut alice = server.join("alice");
    rustix::io::write(&master, b"\x03").unwrap();
    alice.expect_bye("shutdown");
    assert_eq!(server.wait().code(), Some(0));
    server.wait_for_log(&["info SIGINT: shutting down"]);
}

#[test]
fn ignored_hangup_stays_ignored() {
    let mut server = start_without_terminal("trap '' HUP");
    let mut alice = server.join("alice");
    server.signal(Signal::HUP);
    server.signal(Signal::USR1);
    server.wait_for_log(&["\"members\":1"]);
    assert!(!server.log().contains("SIGHUP"), "{}", server.log());
    alice.say_and_recv("still here");
    server.stop();
}

#[test]
fn signal_delivered_twice_does_not_cut_shutdown() {
    let dir = TempDir::new();
    let (mut server, mut alice, mut stalled) = server_with_stalled_member(&dir);
    // Both arrive at the same time.
    for signal in [Signal::STOP, Signal::TERM, Signal::INT, Signal::CONT] {
        server.signal(signal);
    }
    alice.expect_bye("shutdown");
    assert_eq!(stalled.recv_rest().last().unwrap()["code"], "shutdown");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn later_second_signal_ends_server_at_once() {
    let dir = TempDir::new();
    let (mut server, mut alice, _stalled) = server_with_stalled_member(&dir);
    let start = Instant::now();
    server.signal(Signal::INT);
    alice.expect_bye("shutdown");
    // The server read the first signal before it sent the bye.
    thread::sleep(Duration::from_millis(1001));
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(1));
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert!(!dir.path("socket").exists());
}

#[test]
fn timeout_command_ends_server_in_good_order() {
    // timeout(1) passes a signal on to the server, and then to the process group of both.
    let mut server = TestServer::start_with_prelude(r#"exec timeout 60 "$0" "$@""#, &[]);
    let mut alice = server.join("alice");
    server.signal(Signal::TERM);
    alice.expect_bye("shutdown");
    assert_eq!(server.wait().code(), Some(0));
    server.wait_for_log(&["info SIGTERM: shutting down"]);
}
