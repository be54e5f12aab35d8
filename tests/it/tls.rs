//! TLS on the same port.

mod refused;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::common::tls::TlsClient;
use crate::common::{TIMEOUT, TempDir, TestClient, TestServer, long_line, run_server, wait_until};

const LOOPBACK_HEADER: &[u8] = b"PROXY TCP4 127.0.0.1 127.0.0.1 7 8080\r\n";
const REMOTE_HEADER: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.2 7 8080\r\n";

/// A server with a certificate of its own.
struct TlsServer {
    server: TestServer,
    path: String,
    pem: Vec<u8>,
    _dir: TempDir,
}

impl TlsServer {
    #[track_caller]
    fn start(options: &[&str]) -> Self {
        Self::start_with(":", options)
    }

    /// Starts a server from a shell that runs `prelude` first.
    #[track_caller]
    fn start_with(prelude: &str, options: &[&str]) -> Self {
        let dir = TempDir::new();
        let path = dir.path("tls.pem").to_str().unwrap().to_owned();
        // The last one counts.
        let options = [&["--tls", &path, "--hello-wait", "2000"], options].concat();
        let server = TestServer::start_with_prelude(prelude, &options);
        let pem = fs::read(&path).unwrap();
        TlsServer { server, path, pem, _dir: dir }
    }

    #[track_caller]
    fn connect(&self) -> TlsClient {
        TlsClient::connect(self.server.address(0), &self.pem)
    }

    /// Connects, and sends nothing.
    #[track_caller]
    fn begin(&self) -> TlsClient {
        TlsClient::start(self.server.address(0), &self.pem, &[])
    }

    #[track_caller]
    fn join(&self, name: &str) -> TlsClient {
        let mut client = self.connect();
        client.hello(name);
        client
    }

    /// Returns a connection of plain text, from the address in a PROXY header.
    #[track_caller]
    fn connect_plain(&self, header: &[u8]) -> TestClient {
        let mut client = self.server.connect();
        client.send_raw(header);
        client
    }
}

#[test]
fn clients_with_and_without_tls_converse() {
    let server = TlsServer::start(&[]);
    let mut alice = server.join("alice");
    let mut bob = server.server.join("bob");
    alice.say("hello from alice");
    bob.recv_until(|frame| frame["data"] == "hello from alice");
    bob.say("hello from bob");
    alice.recv_until(|frame| frame["data"] == "hello from bob");
    // More than one record, in both directions.
    for _ in 0..8 {
        alice.say(&long_line());
    }
    for _ in 0..8 {
        bob.recv_until(|frame| frame["data"] == long_line());
        alice.recv_until(|frame| frame["data"] == long_line());
    }
    alice.say("/history 8");
    let frames = (0..8).map(|_| alice.recv_until(|frame| frame["data"] == long_line()));
    assert_eq!(frames.count(), 8);
    alice.say("/quit");
    alice.expect_bye("quit");
}

#[test]
fn data_in_the_flight_of_finished_is_read() {
    let server = TlsServer::start(&["--max-per-ip", "0"]);
    let members = (0..50).map(|number| {
        let mut client = server.begin();
        let name = format!("member{number}");
        client.handshake(format!("{}\n", json!({ "hello": { "name": name } })).as_bytes());
        let welcome = client.recv();
        assert_eq!((&welcome["kind"], &welcome["name"]), (&json!("welcome"), &json!(name)));
        client
    });
    assert_eq!(members.collect::<Vec<_>>().len(), 50);
}

#[test]
fn late_hello_is_answered_where_tls_is_required() {
    let server = TlsServer::start(&["--plain", "never", "--hello-wait", "300"]);
    let mut late = server.begin();
    let mut pieces = server.begin();
    let hello = pieces.take_hello();
    for byte in &hello[..20] {
        pieces.stream.write_all(&[*byte]).unwrap();
    }
    // Longer than a silent client has to wait for its welcome.
    thread::sleep(Duration::from_millis(400));
    pieces.stream.write_all(&hello[20..]).unwrap();
    pieces.handshake(b"");
    pieces.hello("bob");
    late.handshake(b"");
    late.hello("alice");
}

#[test]
fn records_in_pieces_are_read() {
    let server = TlsServer::start(&[]);
    let mut bob = server.server.join("bob");
    let mut alice = server.join("alice");
    let bytes = alice.encrypt(b"in single bytes\n");
    for byte in bytes {
        alice.stream.write_all(&[byte]).unwrap();
    }
    bob.recv_until(|frame| frame["data"] == "in single bytes");
    // Two records in one piece, and one across two.
    let bytes =
        [alice.encrypt(b"one\n"), alice.encrypt(b"two\n"), alice.encrypt(b"three\n")].concat();
    let (first, rest) = bytes.split_at(bytes.len() - 4);
    alice.stream.write_all(first).unwrap();
    bob.recv_until(|frame| frame["data"] == "two");
    alice.stream.write_all(rest).unwrap();
    bob.recv_until(|frame| frame["data"] == "three");
}

#[test]
fn silent_client_joins_after_its_handshake() {
    let server = TlsServer::start(&["--plain", "never"]);
    let mut silent = server.connect();
    assert_eq!(silent.recv()["kind"], "welcome");
}

#[test]
fn plain_text_of_others_is_refused() {
    let server = TlsServer::start(&["--proxy-from", "127.0.0.1"]);
    for first in ["hello\n", "\n", "{\"hello\":{}}\n", "/stats\n", "x"] {
        let mut client = server.connect_plain(REMOTE_HEADER);
        client.send_raw(first.as_bytes());
        let bye = client.expect_bye("tls-required");
        let text = bye["data"].as_str().unwrap();
        assert!(text.contains("tls:") && text.contains("ncat --ssl"), "{text}");
    }
    let mut local = server.connect_plain(LOOPBACK_HEADER);
    local.hello("alice");
    // The header comes before the handshake.
    let mut bob = server.begin();
    bob.stream.write_all(REMOTE_HEADER).unwrap();
    bob.handshake(b"");
    bob.hello("bob");
    server.server.wait_for_log(&["bob 192.0.2.1:7 joined"]);
    assert_eq!(local.members(), ["alice", "bob"]);
}

#[test]
fn plain_text_is_refused_or_permitted_by_policy() {
    for (policy, is_local_permitted, is_remote_permitted) in
        [("never", false, false), ("local", true, false), ("all", true, true)]
    {
        let server = TlsServer::start(&["--proxy-from", "127.0.0.1", "--plain", policy]);
        for (header, is_permitted) in
            [(LOOPBACK_HEADER, is_local_permitted), (REMOTE_HEADER, is_remote_permitted)]
        {
            let mut client = server.connect_plain(header);
            client.send_hello("alice");
            match is_permitted {
                true => assert_eq!(client.recv()["kind"], "welcome"),
                false => drop(client.expect_bye("tls-required")),
            }
        }
    }
}

#[cfg(feature = "web")]
#[test]
fn plain_request_is_answered_with_426() {
    let server = TlsServer::start(&["--plain", "never"]);
    for request in ["GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /ws HTTP/1.1\r\n\r\nhello\n"]
    {
        let mut stream = TcpStream::connect(server.server.address(0)).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 426 "), "{response}");
        assert!(response.contains("requires TLS"), "{response}");
    }
}

#[cfg(feature = "web")]
#[test]
fn websocket_is_served_over_tls() {
    let server = TlsServer::start(&["--plain", "never"]);
    let mut page = server.connect();
    page.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_eq!(page.recv_line().unwrap(), "HTTP/1.1 200 OK\r");
    while page.recv_line().unwrap() != "\r" {}

    let mut socket = server.connect();
    socket.send(
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nOrigin: https://localhost\r\n\
          Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert!(socket.recv_line().unwrap().starts_with("HTTP/1.1 101 "));
    while socket.recv_line().unwrap() != "\r" {}
    let hello = br#"{"hello":{"name":"alice"}}"#;
    socket.send(&[&[0x81, 0x80 | hello.len() as u8, 0, 0, 0, 0][..], hello].concat());
    let mut bob = server.join("bob");
    bob.say(&long_line());
    // Each message has a header.
    loop {
        let header = socket.recv_bytes(2);
        assert_eq!(header[0], 0x81);
        let length = match header[1] {
            126 => usize::from(u16::from_be_bytes(socket.recv_bytes(2).try_into().unwrap())),
            length => length.into(),
        };
        let text = String::from_utf8(socket.recv_bytes(length)).unwrap();
        if text.contains(&long_line()) {
            break;
        }
    }
    // The answer to a close frame, and then the end of the data.
    socket.send(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8]);
    let bye = socket.recv_bytes(2);
    assert_eq!(bye[0], 0x81);
    assert!(String::from_utf8(socket.recv_bytes(bye[1].into())).unwrap().contains("bye"));
    assert_eq!(socket.recv_bytes(4), [0x88, 2, 0x03, 0xE8]);
    assert_eq!(socket.recv_line(), None);
}

#[cfg(feature = "irc")]
#[test]
fn irc_is_served_over_tls() {
    let server = TlsServer::start(&["--plain", "never", "--irc", "127.0.0.1:0"]);
    let address = server.server.irc_address();
    let mut alice = TlsClient::connect(&address, &server.pem);
    alice.send(b"NICK alice\r\nUSER alice 0 * :Alice\r\nJOIN #smol\r\n");
    while !alice.recv_line().unwrap().contains(" 366 alice ") {}
    let mut bob = server.join("bob");
    bob.say("hello alice");
    while !alice.recv_line().unwrap().contains("PRIVMSG #smol :hello alice") {}
    alice.send(b"QUIT\r\n");
    while alice.recv_line().is_some() {}

    let mut plain = TcpStream::connect(address).unwrap();
    plain.set_read_timeout(Some(TIMEOUT)).unwrap();
    plain.write_all(b"NICK carol\r\nUSER carol 0 * :Carol\r\n").unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("ERROR ") && answer.contains("requires TLS"), "{answer}");
}

#[test]
fn keys_are_updated_while_members_talk() {
    let server = TlsServer::start(&["--rate", "0"]);
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    for round in 0..20 {
        alice.update_keys();
        alice.say(&format!("round {round}"));
        for client in [&mut alice, &mut bob] {
            client.recv_until(|frame| frame["data"] == format!("round {round}"));
        }
    }
}

#[test]
fn end_of_data_is_answered_with_bye() {
    let server = TlsServer::start(&[]);
    let mut alice = server.join("alice");
    alice.say("last words");
    alice.close();
    alice.recv_until(|frame| frame["data"] == "last words");
    alice.expect_bye("quit");
    // Without close_notify.
    let mut bob = server.join("bob");
    bob.stream.shutdown(Shutdown::Write).unwrap();
    bob.expect_bye("quit");
}

#[test]
fn shutdown_ends_the_data_after_bye() {
    let mut server = TlsServer::start(&[]);
    let mut alice = server.join("alice");
    let mut handshaking = server.begin();
    let hello = handshaking.take_hello();
    handshaking.stream.write_all(&hello[..10]).unwrap();
    server.server.signal(Signal::TERM);
    alice.expect_bye("shutdown");
    assert_eq!(server.server.wait().code(), Some(0));
}

#[test]
fn slow_member_is_sent_whole_records_and_bye() {
    let server = TlsServer::start(&["--rate", "0", "--outbox", "64K"]);
    let mut slow = server.join("carol");
    let mut alice = server.server.join("alice");
    let mut sent = 0;
    while !server.server.log().contains("left: read too slowly") {
        alice.say_and_recv(&long_line());
        sent += 1;
        assert!(sent < 4000, "{}", server.server.log());
    }
    let mut last = 0;
    let bye = slow.recv_until(|frame| {
        if let Some(seq) = frame["seq"].as_u64() {
            assert!(frame["kind"] == "bye" || last == 0 || seq == last + 1, "{frame}");
            last = seq;
        }
        frame["kind"] == "bye"
    });
    assert_eq!(bye["code"], "slow");
    assert_eq!(slow.recv_line(), None);
}

#[test]
fn invalid_handshake_or_record_costs_nobody_else() {
    let server = TlsServer::start(&["--plain", "never"]);
    let mut alice = server.join("alice");
    for bytes in [
        &b"\x16\x03\x01\x00\x04\x00\x00\x00\x00"[..],
        b"\x16\x03\x01\xFF\xFF",
        &[&b"\x16\x03\x01\x40\x00\x01\x00\x3F\xFC"[..], &[0; 16_380]].concat(),
    ] {
        let mut stream = TcpStream::connect(server.server.address(0)).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"\x15\x03"), "{answer:?}");
    }
    let mut bob = server.join("bob");
    bob.stream.write_all(b"\x17\x03\x03\x00\x11aaaaaaaaaaaaaaaaa").unwrap();
    alice.recv_until(|frame| frame["kind"] == "leave" && frame["names"][0] == "bob");
    // TLS inside of TLS.
    let mut inner = server.connect();
    let hello = server.begin().take_hello();
    inner.send(&hello);
    inner.expect_bye("tls");
}

#[test]
fn oldest_of_65_handshakes_is_closed_for_the_last() {
    let server = TlsServer::start(&["--plain", "never", "--max-per-ip", "0"]);
    let begin = || {
        let mut stream = TcpStream::connect(server.server.address(0)).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.write_all(&[0x16]).unwrap();
        stream
    };
    let mut first = begin();
    let others: Vec<_> = (0..63).map(|_| begin()).collect();
    // A handshake that is done counts no more.
    let mut alice = server.join("alice");
    let _last = begin();
    let mut answer = Vec::new();
    first.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, refused::alert(80));
    alice.say("still here");
    alice.recv_until(|frame| frame["data"] == "still here");
    assert_eq!(others.len(), 63);
}

#[test]
fn handshakes_of_a_crowd_wait_for_their_places() {
    let server = TlsServer::start(&["--plain", "never", "--max-per-ip", "0"]);
    let mut crowd: Vec<TlsClient> = (0..100).map(|_| server.begin()).collect();
    for client in &mut crowd {
        let hello = client.take_hello();
        client.stream.write_all(&hello).unwrap();
    }
    for client in &mut crowd {
        client.handshake(b"/quit\n");
    }
    for client in &mut crowd {
        client.expect_bye("quit");
    }
}

#[test]
fn certificate_is_read_again_on_hangup() {
    let server = TlsServer::start_with(r#"exec setsid "$0" "$@""#, &[]);
    server.join("alice");
    fs::write(&server.path, "nonsense").unwrap();
    server.server.signal(Signal::HUP);
    server.server.wait_for_log(&["warn", "the old certificate stays", "has no certificate"]);
    server.join("bob");

    let other = TlsServer::start(&[]);
    fs::write(&server.path, &other.pem).unwrap();
    server.server.signal(Signal::HUP);
    server.server.wait_for_log(&["read the certificate", "tls key SHA256:"]);
    TlsClient::connect(server.server.address(0), &other.pem).hello("carol");
}

#[test]
fn certificate_of_version_1_is_logged() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tls/version1.pem");
    let server = TestServer::start(&["--tls", path]);
    server.wait_for_log(&["warn", "version1.pem: it is not X.509 version 3"]);
}

#[test]
fn certificate_stays_across_restarts() {
    let mut server = TlsServer::start(&[]);
    assert_eq!(fs::metadata(&server.path).unwrap().permissions().mode() & 0o777, 0o600);
    server.server.stop();
    let key = |server: &TestServer| {
        let lines = server.remaining_stdout();
        lines.iter().find(|line| line.starts_with("tls key SHA256:")).unwrap().clone()
    };
    let first = key(&server.server);
    assert_eq!(first.len(), "tls key SHA256:".len() + 43);
    let mut again = TestServer::start(&["--tls", &server.path]);
    TlsClient::connect(again.address(0), &server.pem).hello("alice");
    again.stop();
    assert_eq!(key(&again), first);
}

#[test]
fn wrong_certificate_ends_the_start() {
    let dir = TempDir::new();
    let path = |name| dir.path(name).to_str().unwrap().to_owned();
    let (empty, missing) = (path("empty.pem"), path("missing.pem"));
    fs::write(&empty, "").unwrap();
    for (options, expected) in [
        (vec!["--tls", &empty], "has no certificate"),
        (vec!["--tls", &empty, "--tls-key", &missing], "cannot read"),
        (vec!["--tls", "/proc/none/tls.pem"], "cannot create /proc/none/tls.pem"),
        (vec!["--tls", ""], "--tls: expected the path of a file"),
        (vec!["--plain", "some"], "expected never, local or all"),
        (vec!["--check", "--tls-key", &missing], "--tls-key has no effect without --tls"),
    ] {
        let output = run_server(&[&["--listen", "127.0.0.1:0"], &options[..]].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(expected), "{options:?}: {error}");
    }
    let output = run_server(&["--check", "--tls", &missing]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("TLS keys and records"));
    assert!(!fs::exists(&missing).unwrap());
}

#[test]
fn closed_handshakes_return_their_descriptors() {
    let server = TlsServer::start(&["--plain", "never"]);
    let before = server.server.fd_count();
    for count in [1, 5, 100] {
        let mut client = server.begin();
        let hello = client.take_hello();
        client.stream.write_all(&hello[..hello.len().min(count)]).unwrap();
    }
    wait_until("all sockets are closed", || server.server.fd_count() == before);
}
