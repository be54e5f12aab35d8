//! Each way to end leaves the terminal as it was, with nothing after the last line of the client.

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::common::scripted_server::ScriptedServer;
use crate::common::terminal::Terminal;
use crate::common::{TestServer, wait_until};

/// A way to end the client.
#[derive(Clone, Copy, Debug)]
enum Exit {
    Keys(&'static str),
    Signal(Signal),
    ServerGone,
}

/// The ways to end the client, with its exit code.
const EXITS: [(Exit, i32); 11] = [
    (Exit::Keys("/quit\r"), 0),
    (Exit::Keys("\x04"), 0),
    (Exit::Keys("\x03"), 0),
    (Exit::Keys("typed\x03\x03"), 0),
    (Exit::Keys("\x1c"), 131),
    (Exit::Keys("\x1b[200~typed\x1c\x03\x03"), 0),
    (Exit::Signal(Signal::INT), 130),
    (Exit::Signal(Signal::TERM), 143),
    (Exit::Signal(Signal::HUP), 129),
    (Exit::Signal(Signal::QUIT), 131),
    (Exit::ServerGone, 1),
];

/// Ends a client while lines arrive, and checks the terminal.
fn end_client(exit: Exit, code: i32, typed: &str) {
    let (server, mut bob, mut alice) = Terminal::start_with_bob(&["--no-reconnect"]);
    assert!(!alice.has_original_modes());
    alice.type_keys(typed);
    alice.wait_for_input(format!("> {typed}").trim_end(), 2 + typed.len() as u16);
    for number in 0..20 {
        bob.say(&format!("line {number}"));
    }
    match exit {
        Exit::Keys(keys) => alice.type_keys(keys),
        Exit::Signal(signal) => alice.signal(signal),
        Exit::ServerGone => drop(server),
    }
    assert_eq!(alice.finish().code(), Some(code), "{exit:?}");
    match exit {
        // The client has sent `/quit`, so that its name is free.
        Exit::Keys(_) | Exit::Signal(_) => alice.wait_for_text("goodbye"),
        Exit::ServerGone => alice.wait_for_text("\nsmolchat: "),
    }
}

/// Ends clients in each way, in several threads.
fn end_clients(times: usize) {
    thread::scope(|scope| {
        for (exit, code) in EXITS {
            scope.spawn(move || {
                for number in 0..times {
                    // A typed line stays on the screen.
                    let is_typed = number % 2 == 1 && !matches!(exit, Exit::Keys(_));
                    end_client(exit, code, if is_typed { "typed" } else { "" });
                }
            });
        }
    });
}

#[test]
fn each_way_to_end_restores_the_terminal() {
    end_clients(2);
}

#[test]
#[ignore = "slow: ends 1,100 clients"]
fn hundred_exits_of_each_kind_restore_the_terminal() {
    end_clients(100);
}

#[test]
fn typed_line_stays_on_the_screen_at_the_end() {
    let server = TestServer::start(&[]);
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    alice.type_keys("not sent\x1b[D\x1b[D");
    alice.wait_for_input("> not sent", 8);
    alice.signal(Signal::TERM);
    assert_eq!(alice.finish().code(), Some(143));
    alice.wait_for_text("> not sent\n$");
}

#[test]
fn hang_up_ends_the_client_at_once() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    let started_at = Instant::now();
    // The terminal also sends the signal.
    assert_eq!(alice.hang_up().code(), Some(129));
    assert!(started_at.elapsed() < Duration::from_secs(2), "{:?}", started_at.elapsed());
    bob.recv_until(|frame| frame["data"] == "alice left");
}

#[test]
fn terminal_that_does_not_read_is_left() {
    let (_server, mut bob, mut alice) = Terminal::start_with_bob(&[]);
    alice.stop_reading();
    for number in 0..200 {
        bob.say(&format!("{number} {}", "x".repeat(1000)));
    }
    bob.recv_until(|frame| frame["data"].as_str().is_some_and(|text| text.starts_with("199 ")));
    alice.signal(Signal::TERM);
    assert_eq!(alice.wait().code(), Some(143));
    assert!(alice.has_original_modes());
    // The end is in the output, although most of what is before it is lost.
    alice.resume_reading();
    wait_until("no mode is set", || alice.open_modes().is_empty());
}

#[test]
fn second_interrupt_does_not_wait_for_the_server() {
    let server = TestServer::start(&[]);
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    server.signal(Signal::STOP);
    alice.type_keys("\x03");
    alice.type_keys("\x03");
    let code = alice.finish().code();
    server.signal(Signal::CONT);
    assert_eq!(code, Some(130));
}

#[test]
fn signal_with_waiting_line_sets_the_exit_code() {
    let server = TestServer::start(&[]);
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    drop(server);
    alice.wait_for_text("no connection for");
    alice.type_keys("waits\r");
    alice.wait_for_text("... alice> waits");
    alice.signal(Signal::TERM);
    assert_eq!(alice.finish().code(), Some(143));
}

#[test]
fn leaving_ends_the_attempt_to_connect() {
    let server = TestServer::start(&[]);
    let (sender, closed) = channel();
    let other = ScriptedServer::start(move |mut connection| {
        while connection.recv().is_some() {}
        let _ = sender.send(());
    });
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    alice.type_keys(&format!("/connect {}\r", other.address()));
    wait_until("the client has connected", || other.connection_count() == 1);
    // The client waits for the answer to its `/quit`, and must not switch to the other server.
    server.signal(Signal::STOP);
    alice.type_keys("\x04");
    // Less than the time that a welcome may take.
    let result = closed.recv_timeout(Duration::from_secs(10));
    alice.type_keys("\x03");
    let code = alice.finish().code();
    server.signal(Signal::CONT);
    assert_eq!((result, code), (Ok(()), Some(130)));
}
