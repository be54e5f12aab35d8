//! Browsers: the page, and clients that speak WebSocket, on the port of all other clients.

use std::io::Write;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::common::websocket::{
    Message, WebSocket, connect, exchange, frame, get, handshake, parse_response, read_all, request,
};
use crate::common::{TIMEOUT, TestServer};

const GZIP: &str = "Accept-Encoding: gzip, deflate\r\n";

#[test]
fn page_is_served_compressed_and_revalidated() {
    let server = TestServer::start(&[]);
    let address = server.address(0);
    let page = get(address, "/", GZIP);
    assert_eq!((page.status, page.field("content-encoding")), (200, Some("gzip")));
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.field("connection"), Some("close"));
    assert_eq!(page.field("content-length"), Some(&*page.body.len().to_string()));
    assert!(page.field("content-security-policy").unwrap().starts_with("default-src 'none';"));
    let etag = page.field("etag").unwrap();
    let again = get(address, "/", &format!("{GZIP}If-None-Match: {etag}\r\n"));
    assert_eq!((again.status, again.body.len()), (304, 0));
    let head = request(address, &format!("HEAD / HTTP/1.1\r\nHost: {address}\r\n{GZIP}\r\n"));
    assert_eq!((head.status, head.body.len()), (200, 0));
    let plain = get(address, "/", "");
    assert_eq!(plain.status, 200);
    assert_eq!(plain.text().lines().count(), 1, "{}", plain.text());
    for path in ["/app.js", "/style.css", "/icon.svg"] {
        assert_eq!(get(address, path, GZIP).status, 200, "{path}");
    }
}

#[test]
fn wrong_requests_are_answered_in_http() {
    let server = TestServer::start(&["--hello-wait", "600000", "--connect-rate", "0"]);
    let address = server.address(0);
    let mut alice = server.join("alice");
    let long = format!("GET / HTTP/1.1\r\nHost: {address}\r\nX: {}\r\n\r\n", "x".repeat(9000));
    for (status, request) in [
        (404, format!("GET /missing HTTP/1.1\r\nHost: {address}\r\n\r\n")),
        (405, format!("POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: 2\r\n\r\nhi")),
        (426, format!("GET /ws HTTP/1.1\r\nHost: {address}\r\n\r\n")),
        (400, format!("GET / HTTP/1.1\r\nHost: {address}\r\nHost: {address}\r\n\r\n")),
        (400, "GET / HTTP/1.1\r\n\r\n".into()),
        (400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()),
        (403, handshake(address, "Origin: http://example.com\r\n")),
        (421, "GET / HTTP/1.1\r\nHost: chat.example.com\r\n\r\n".into()),
        (431, long),
    ] {
        let whole = parse_response(&exchange(address, request.as_bytes()));
        assert_eq!(whole.status, status, "{request}");
        // In two pieces, of which the second is sent when the first is read.
        let mut client = connect(address);
        client.write_all(&request.as_bytes()[..3]).unwrap();
        alice.pending();
        let _ = client.write_all(&request.as_bytes()[3..]);
        assert_eq!(parse_response(&read_all(&mut client)).status, status, "{request}");
    }
    assert_eq!(alice.members(), ["alice"]);
    assert_eq!(alice.pending().len(), 0);
}

#[test]
fn further_host_is_accepted_and_named_in_error() {
    let server = TestServer::start(&["--web-host", "chat.example.com"]);
    let address = server.address(0);
    let of = |host: &str| request(address, &format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(of("chat.example.com").status, 200);
    assert_eq!(of("CHAT.example.com:8080").status, 200);
    let refused = of("other.example.com");
    assert_eq!(refused.status, 421);
    assert!(refused.text().contains("--web-host"), "{}", refused.text());
}

#[test]
fn half_a_request_gets_timeout_and_no_line() {
    let server = TestServer::start(&["--hello-wait", "500"]);
    for start in ["G", "GET / HT", "GET / HTTP/1.1\r\nHost: loc"] {
        let began = Instant::now();
        let mut client = connect(server.address(0));
        client.set_read_timeout(Some(2 * TIMEOUT)).unwrap();
        client.write_all(start.as_bytes()).unwrap();
        assert_eq!(parse_response(&read_all(&mut client)).status, 408, "{start}");
        assert!(began.elapsed() > Duration::from_secs(9), "{:?}", began.elapsed());
    }
}

#[test]
fn silent_connection_of_browser_gets_no_welcome() {
    let server = TestServer::start(&["--hello-wait", "1"]);
    // Before the address is known as that of a browser.
    let mut silent = server.connect();
    assert_eq!(silent.recv()["kind"], "welcome");
    assert_eq!(get(server.address(0), "/", GZIP).status, 200);
    let mut early = connect(server.address(0));
    let mut alice = server.join("alice");
    let seen = alice.recv_until(|frame| frame["kind"] == "join" && frame["data"] != "alice joined");
    assert!(seen["data"].as_str().unwrap().starts_with("guest-"), "{seen}");
    early
        .write_all(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", server.address(0)).as_bytes())
        .unwrap();
    assert_eq!(parse_response(&read_all(&mut early)).status, 200);
}

#[test]
fn text_that_begins_like_a_request_is_a_line() {
    let server = TestServer::start(&["--hello-wait", "600000"]);
    let mut alice = server.join("alice");
    for line in
        ["GET", "GET me a beer", "Good morning", "G", "GET /", "POST it", "PUT / there", "H"]
    {
        for split in 1..line.len() {
            let mut client = server.connect();
            client.send_raw(&line.as_bytes()[..split]);
            alice.pending();
            client.send_raw(&line.as_bytes()[split..]);
            client.send_raw(b"\n");
            assert_eq!(client.recv()["kind"], "welcome");
            assert_eq!(alice.recv_kind("chat")["data"], line);
        }
    }
}

#[test]
fn websocket_and_line_clients_talk() {
    let server = TestServer::start(&["--history", "100"]);
    let mut alice = server.join("alice");
    let (mut bob, welcome) = WebSocket::join(server.address(0), "bob");
    assert_eq!(welcome["name"], "bob");
    alice.say("hello bob");
    assert_eq!(bob.recv_kind("chat")["data"], "hello bob");
    bob.send("hello alice");
    alice.recv_until(|frame| frame["data"] == "hello alice");
    bob.send("one\ntwo\r\nthree");
    for text in ["one", "two", "three"] {
        assert_eq!(alice.recv_kind("chat")["data"], text);
    }
    // One message in three frames, with a ping in between, and in single bytes.
    let parts = [
        frame(0x01, "gr".as_bytes()),
        frame(0x89, b"still here?"),
        frame(0x00, "ü\u{df}e".as_bytes()),
        frame(0x80, b""),
    ];
    for byte in parts.concat() {
        bob.send_raw(&[byte]);
    }
    assert_eq!(alice.recv_kind("chat")["data"], "grüße");
    loop {
        match bob.recv_message() {
            Message::Pong(payload) => break assert_eq!(payload, b"still here?"),
            Message::Text(_) => {}
            other => panic!("unexpected {other:?}"),
        }
    }
    bob.send("/quit");
    bob.expect_end("quit", Some(1000));
    assert_eq!(alice.recv_kind("leave")["names"][0], "bob");
}

#[test]
fn websocket_resumes_with_each_frame_once() {
    let server = TestServer::start(&["--rate", "0"]);
    let (mut bob, welcome) = WebSocket::join(server.address(0), "bob");
    let mut alice = server.join("alice");
    for number in 0..300 {
        alice.say_and_recv(&format!("line {number}"));
    }
    bob.send("/quit");
    bob.recv_kind("bye");
    let mut back = WebSocket::open(server.address(0));
    let (epoch, seq) = (&welcome["epoch"], welcome["seq"].as_u64().unwrap());
    back.send(&format!(r#"{{"hello":{{"name":"bob","epoch":{epoch},"after":{seq}}}}}"#));
    assert_eq!(back.recv()["resumed"], true);
    let mut seqs = Vec::new();
    while seqs.len() < 300 {
        let frame = back.recv();
        seqs.push(frame["seq"].as_u64().unwrap());
    }
    assert!(seqs.iter().copied().eq(seq + 1..=seq + 300), "{seqs:?}");
}

#[test]
fn faults_of_websocket_client_have_their_close_codes() {
    let server = TestServer::start(&["--connect-rate", "0"]);
    let address = server.address(0);
    for (code, bytes) in [
        (Some(1000), frame(0x88, &1000_u16.to_be_bytes())),
        (Some(4321), frame(0x88, &4321_u16.to_be_bytes())),
        (None, frame(0x88, b"")),
        (Some(1002), frame(0x88, b"x")),
        (Some(1002), frame(0xF1, b"reserved bits")),
        (Some(1002), frame(0x80, b"continuation of nothing")),
        (Some(1002), vec![0x81, 2, b'h', b'i']),
        (Some(1003), frame(0x82, b"binary")),
        (Some(1007), frame(0x81, b"\xC3\x28")),
        (Some(1009), frame(0x81, &[b'x'; 200_000])),
    ] {
        let (mut client, _) = WebSocket::join(address, "carol");
        client.send_raw(&bytes);
        client.expect_end("quit", code);
    }
}

#[test]
fn long_line_in_websocket_message_is_an_error() {
    let server = TestServer::start(&[]);
    let (mut bob, _) = WebSocket::join(server.address(0), "bob");
    bob.send(&"x".repeat(5000));
    assert_eq!(bob.recv_kind("error")["code"], "too-long");
    bob.send("short");
    assert_eq!(bob.recv_kind("chat")["data"], "short");
}

#[test]
fn shutdown_is_going_away_for_websocket() {
    let server = TestServer::start(&[]);
    let (mut bob, _) = WebSocket::join(server.address(0), "bob");
    server.signal(Signal::TERM);
    bob.expect_end("shutdown", Some(1001));
}

#[test]
fn pings_count_against_the_rate() {
    let server = TestServer::start(&["--rate", "10/20"]);
    let (mut bob, _) = WebSocket::join(server.address(0), "bob");
    let began = Instant::now();
    for _ in 0..40 {
        bob.send_frame(0x89, b"?");
        bob.recv_message();
    }
    assert!(began.elapsed() > Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn slow_websocket_is_cut_between_messages() {
    let server = TestServer::start(&["--rate", "0", "--outbox", "64K"]);
    let (mut bob, _) = WebSocket::join(server.address(0), "bob");
    let mut alice = server.join("alice");
    let line = "x".repeat(3000);
    let mut sent = 0;
    while alice.members().contains(&"bob".to_owned()) {
        for _ in 0..100 {
            alice.say(&line);
        }
        sent += 100;
        assert!(sent < 100_000, "bob is never slow");
    }
    let mut last = 0;
    let bye = loop {
        let frame = bob.recv();
        if frame["kind"] == "bye" {
            break frame;
        }
        last = frame["seq"].as_u64().unwrap_or(last);
    };
    assert_eq!((&bye["code"], bye["seq"].as_u64()), (&"slow".into(), Some(last)));
    assert_eq!(bob.recv_message(), Message::Close(Some(1000)));
}

#[test]
fn message_sent_with_the_handshake_is_read() {
    let server = TestServer::start(&["--hello-wait", "600000"]);
    let mut alice = server.join("alice");
    let mut bytes = handshake(server.address(0), "").into_bytes();
    bytes.extend(frame(0x81, b"early"));
    bytes.extend(frame(0x88, b""));
    for pieces in [1, 7, 1000] {
        let mut client = connect(server.address(0));
        for piece in bytes.chunks(pieces) {
            client.write_all(piece).unwrap();
        }
        assert_eq!(alice.recv_kind("chat")["data"], "early");
        assert!(read_all(&mut client).starts_with(b"HTTP/1.1 101 "));
    }
}

#[test]
fn upload_is_answered_while_it_goes_on() {
    let server = TestServer::start(&[]);
    let mut client = connect(server.address(0));
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
        .unwrap();
    let _ = client.write_all(&[b'x'; 1_000_000]);
    assert_eq!(parse_response(&read_all(&mut client)).status, 405);
}
