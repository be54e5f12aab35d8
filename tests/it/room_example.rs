//! Tests `examples/room.rs` with the lab's client: one thread sends, another receives.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test states what it expects")]

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const TIMEOUT: Duration = Duration::from_secs(10);

/// The lab's message. Any other key in a line from the room fails the test.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    data_source: String,
    data: String,
}

impl Message {
    fn new(data_source: &str, data: &str) -> Self {
        Message { data_source: data_source.to_owned(), data: data.to_owned() }
    }

    fn joined(client: &Client) -> Self {
        Message::new("server", &format!("{} joined", client.name))
    }

    fn left(client: &Client) -> Self {
        Message::new("server", &format!("{} left", client.name))
    }

    fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap();
        line.push(b'\n');
        line
    }
}

/// A process that runs the example on a free port. It is killed when this is dropped.
struct Room {
    process: Child,
    address: String,
}

impl Room {
    #[track_caller]
    fn start() -> Self {
        // The test is in target/PROFILE/deps, the example in target/PROFILE/examples.
        let test = env::current_exe().unwrap();
        let example = test.ancestors().nth(2).unwrap().join("examples/room");
        let mut command = Command::new(&example);
        command.arg("127.0.0.1:0").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap_or_else(|error| {
            panic!("{}: {error}; `cargo build --example room` builds it", example.display())
        });
        let stdout = receive_lines(process.stdout.take().unwrap());
        let mut room = Room { process, address: String::new() };
        let line = stdout.recv_timeout(TIMEOUT).unwrap();
        room.address = line.strip_prefix("listening on ").unwrap().to_owned();
        room
    }

    #[track_caller]
    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).unwrap()
    }

    /// Connects a client and waits until it has received its own join notice.
    #[track_caller]
    fn join(&self) -> Client {
        let stream = self.connect();
        let received = receive_lines(stream.try_clone().unwrap());
        let client = Client { name: stream.local_addr().unwrap().to_string(), stream, received };
        client.expect(&Message::joined(&client));
        client
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Client {
    name: String,
    stream: TcpStream,
    received: Receiver<String>,
}

impl Client {
    #[track_caller]
    fn send(&self, data: &str) {
        self.send_bytes(&Message::new("mallory", data).to_line());
    }

    #[track_caller]
    fn send_bytes(&self, bytes: &[u8]) {
        (&self.stream).write_all(bytes).unwrap();
    }

    #[track_caller]
    fn receive(&self) -> Message {
        serde_json::from_str(&self.received.recv_timeout(TIMEOUT).unwrap()).unwrap()
    }

    #[track_caller]
    fn expect(&self, message: &Message) {
        assert_eq!(self.receive(), *message);
    }

    /// Waits for the end of the connection. No line may come before it.
    #[track_caller]
    fn expect_end(&self) {
        assert_eq!(self.received.recv_timeout(TIMEOUT), Err(RecvTimeoutError::Disconnected));
    }
}

/// Receives lines in a thread of its own, until the stream ends or fails.
fn receive_lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[test]
fn joins_messages_and_leaves_reach_every_user() {
    let room = Room::start();
    let alice = room.join();
    let bob = room.join();
    alice.expect(&Message::joined(&bob));

    let (hello, hi) = ("hello", "hi \"alice\"\n\u{1F600}");
    for (sender, data) in [(&alice, hello), (&bob, hi)] {
        sender.send(data);
        for client in [&alice, &bob] {
            client.expect(&Message::new(&sender.name, data));
        }
    }

    bob.send("bye");
    bob.stream.shutdown(Shutdown::Write).unwrap();
    for client in [&alice, &bob] {
        client.expect(&Message::new(&bob.name, "bye"));
    }
    alice.expect(&Message::left(&bob));
    bob.expect_end();
}

#[test]
fn order_of_messages_is_the_same_for_every_user() {
    const LINES: usize = 50;
    let room = Room::start();
    let (alice, bob) = (room.join(), room.join());
    alice.expect(&Message::joined(&bob));
    for line in 0..LINES {
        alice.send(&line.to_string());
        bob.send(&line.to_string());
    }
    let order: Vec<_> = (0..2 * LINES).map(|_| alice.receive()).collect();
    order.iter().for_each(|message| bob.expect(message));
    for sender in [&alice, &bob] {
        let sent = order.iter().filter(|message| message.data_source == sender.name);
        let lines = (0..LINES).map(|line| line.to_string());
        assert!(sent.map(|message| message.data.clone()).eq(lines), "{order:?}");
    }
}

#[test]
fn user_that_does_not_read_is_closed_alone() {
    let room = Room::start();
    let alice = room.join();
    let mut stalled = room.connect();
    let name = stalled.local_addr().unwrap();
    alice.expect(&Message::new("server", &format!("{name} joined")));
    let bob = room.join();
    alice.expect(&Message::joined(&bob));

    // The kernel takes some megabytes for the stalled client before a line does not fit.
    let line = Message::new(&alice.name, &"x".repeat(4000));
    let left = Message::new("server", &format!("{name} left"));
    let mut sent = 0;
    let mut has_left = false;
    while !has_left {
        alice.send(&line.data);
        sent += line.to_line().len();
        for client in [&alice, &bob] {
            let mut message = client.receive();
            if message == left {
                has_left = true;
                message = client.receive();
            }
            assert_eq!(message, line);
        }
        assert!(sent < 100 << 20, "the stalled client is still open after {sent} bytes");
    }

    stalled.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut received = Vec::new();
    stalled.read_to_end(&mut received).unwrap();
    assert!(received.len() < sent, "received {} of {sent} bytes", received.len());
}

#[test]
fn user_that_sends_a_bad_line_is_closed_alone() {
    let room = Room::start();
    let alice = room.join();
    let too_long = Message::new("bob", &"x".repeat(5000)).to_line();
    let wrong_type = br#"{"data_source": "bob", "data": 1}"#;
    for bad in [b"hello", &b""[..], b"{}", wrong_type, b"\xff", &too_long] {
        let bob = room.join();
        alice.expect(&Message::joined(&bob));
        bob.send_bytes(&[bad, b"\n"].concat());
        alice.expect(&Message::left(&bob));
        bob.expect_end();
    }
    alice.send("hello");
    alice.expect(&Message::new(&alice.name, "hello"));
}
