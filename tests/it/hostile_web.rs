//! Clients of HTTP and WebSocket that do not behave like a browser.

use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::common::websocket::{WebSocket, connect, frame, handshake, parse_response, read_all};
use crate::common::{TestServer, wait_until};

#[test]
fn request_after_the_welcome_ends_the_member() {
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".into(), "HTTP/1.1 200 OK"),
        (handshake("localhost", ""), "HTTP/1.1 408 Request Timeout"),
    ] {
        let server = TestServer::start(&["--hello-wait", "1"]);
        let mut alice = server.join("alice");
        let mut client = server.connect();
        assert_eq!(client.recv()["kind"], "welcome");
        // The start of a request does not stop the lines to a member.
        client.send_raw(b"G");
        alice.say_and_recv("hello");
        client.recv_until(|frame| frame["data"] == "hello");
        client.send_raw(&request.as_bytes()[1..]);
        let response =
            std::iter::from_fn(|| client.recv_line()).find(|line| !line.starts_with('{'));
        assert_eq!(response.as_deref().map(str::trim_end), Some(status));
        assert_eq!(alice.members(), ["alice"]);
    }
}

#[test]
fn start_of_a_request_at_the_end_of_input_is_answered() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    for start in ["GET /", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\n", "POST /x HTTP/1.1\r\n"] {
        let mut client = connect(server.address(0));
        client.write_all(start.as_bytes()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(parse_response(&read_all(&mut client)).status, 400, "{start}");
    }
    for word in ["G", "OK", "POST"] {
        let mut client = server.connect();
        client.send_raw(word.as_bytes());
        client.shutdown_write();
        assert_eq!(client.recv()["kind"], "welcome", "{word}");
        assert_eq!(client.recv()["code"], "unfinished", "{word}");
    }
    assert_eq!(alice.members(), ["alice"]);
}

#[test]
fn pings_do_not_keep_a_closed_connection() {
    let server = TestServer::start(&["--rate", "1/5"]);
    let mut alice = server.join("alice");
    let count = server.fd_count();
    let (mut bob, _) = WebSocket::join(server.address(0), "bob");
    let mut bytes = frame(0x81, b"/quit");
    bytes.extend(frame(0x89, b"").repeat(2000));
    bob.send_raw(&bytes);
    bob.recv_kind("bye");
    drop(bob);
    alice.recv_kind("leave");
    wait_until("the connection ends", || server.fd_count() <= count);
}

#[test]
fn sender_of_a_huge_message_gets_its_close_code() {
    let server = TestServer::start(&[]);
    let (mut bob, _) = WebSocket::join(server.address(0), "bob");
    bob.send_raw(&frame(0x81, &[b'x'; 8_000_000]));
    bob.expect_end("quit", Some(1009));
}

#[test]
fn empty_messages_count_against_the_rate() {
    let server = TestServer::start(&["--rate", "10/20"]);
    let (mut bob, _) = WebSocket::join(server.address(0), "bob");
    let began = Instant::now();
    bob.send_raw(&frame(0x81, b"").repeat(40));
    bob.send("done");
    bob.recv_kind("chat");
    assert!(began.elapsed() > Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn endless_empty_fragments_are_too_large() {
    let server = TestServer::start(&[]);
    let (mut bob, _) = WebSocket::join(server.address(0), "bob");
    bob.send_raw(&frame(0x01, b""));
    bob.send_raw(&frame(0x00, b"").repeat(100_000));
    bob.expect_end("quit", Some(1009));
}
