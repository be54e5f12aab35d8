//! The PROXY protocol: the address of a client is the one that a trusted proxy states, and no
//! other.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::{TIMEOUT, TempDir, TestClient, TestServer, wait_until};

const TRUST_LOOPBACK: [&str; 2] = ["--proxy-from", "127.0.0.1"];

/// Returns a header of version 1.
fn v1(ip: &str, port: u16) -> Vec<u8> {
    let family = if ip.contains(':') { "TCP6" } else { "TCP4" };
    format!("PROXY {family} {ip} {ip} {port} 8080\r\n").into()
}

/// Returns a header of version 2.
fn v2(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length[..], content].concat()
}

/// Returns a header of version 2 for an IPv4 client, followed by as many bytes of options.
fn v2_with_options(ip: [u8; 4], port: u16, options: usize) -> Vec<u8> {
    let (port, options) = (port.to_be_bytes(), vec![b'\n'; options]);
    let content = [&ip[..], &[192, 0, 2, 2], &port, &[31, 144], &options];
    v2(0x21, 0x11, &content.concat())
}

fn local() -> Vec<u8> {
    v2(0x20, 0x00, &[])
}

fn hello(name: &str) -> Vec<u8> {
    format!("{}\n", json!({ "hello": { "name": name } })).into()
}

/// Connects, and sends a header and what follows it at once.
fn connect(server: &TestServer, header: &[u8], next: &[u8]) -> TestClient {
    let mut client = server.connect();
    client.send_raw(&[header, next].concat());
    client
}

#[track_caller]
fn assert_welcome(client: &mut TestClient, name: &str) {
    let welcome = client.recv();
    assert_eq!((&welcome["kind"], &welcome["name"]), (&json!("welcome"), &json!(name)));
}

#[test]
fn limits_and_log_use_the_carried_address() {
    let server = TestServer::start(&[&TRUST_LOOPBACK[..], &["--max-per-ip", "1"]].concat());
    let mut alice = connect(&server, &v1("203.0.113.1", 50001), &hello("alice"));
    assert_welcome(&mut alice, "alice");
    server.wait_for_log(&["alice 203.0.113.1:50001 joined"]);
    connect(&server, &v1("203.0.113.1", 50002), b"").expect_bye("full");
    server.wait_for_log(&["203.0.113.1:50002 refused"]);
    // The same address in another version and form.
    connect(&server, &v2_with_options([203, 0, 113, 1], 50003, 0), b"").expect_bye("full");
    connect(&server, &v1("::ffff:203.0.113.1", 50004), b"").expect_bye("full");

    let mut bob = connect(&server, &v2_with_options([203, 0, 113, 2], 7, 0), b"hi\n");
    assert_welcome(&mut bob, "guest-7");
    let mut carol = connect(&server, &v1("2001:db8::1", 50005), &hello("carol"));
    assert_welcome(&mut carol, "carol");
    server.wait_for_log(&["carol [2001:db8::1]:50005 joined"]);
    // The same IPv6 network.
    connect(&server, &v1("2001:db8::2", 50006), b"").expect_bye("full");
    // An address that a proxy carries is not the address of a proxy.
    let mut dave = connect(&server, &v1("127.0.0.1", 50007), &hello("dave"));
    assert_welcome(&mut dave, "dave");
    connect(&server, &v1("127.0.0.1", 50008), b"").expect_bye("full");
}

#[test]
fn rate_of_connections_is_that_of_the_carried_address() {
    let options = [&TRUST_LOOPBACK[..], &["--connect-rate", "1/1"]].concat();
    let server = TestServer::start(&options);
    for number in 1..=20 {
        let name = format!("m{number}");
        let mut client = connect(&server, &v1(&format!("203.0.113.{number}"), 1), &hello(&name));
        assert_welcome(&mut client, &name);
    }
}

#[test]
fn header_may_be_split_anywhere() {
    let server = TestServer::start(&TRUST_LOOPBACK);
    let options = [0, 1, 256, 65_523];
    let v2 = options.map(|count| v2_with_options([203, 0, 113, 1], 50001, count));
    for header in [v1("203.0.113.1", 50001)].iter().chain(&v2) {
        let bytes = [&header[..], &hello("alice"), b"one\ntwo\n"].concat();
        let parts = [1, 13, 16, 20, header.len() - 1, header.len(), header.len() + 1];
        for first in parts {
            let mut alice = server.connect();
            let (first, rest) = bytes.split_at(first.min(header.len() + 1));
            alice.send_raw(first);
            alice.send_raw(rest);
            assert_welcome(&mut alice, "alice");
            for text in ["one", "two"] {
                assert_eq!(alice.recv_kind("chat")["data"], text);
            }
            alice.say("/quit");
            alice.recv_until(|frame| frame["kind"] == "bye");
        }
    }
    let mut single = server.connect();
    for byte in v1("203.0.113.1", 50001).iter().chain(&hello("bob")) {
        single.send_raw(&[*byte]);
    }
    assert_welcome(&mut single, "bob");
}

#[test]
fn connection_without_header_gets_bye() {
    let server = TestServer::start(&TRUST_LOOPBACK);
    let mut alice = connect(&server, &v1("203.0.113.1", 50001), &hello("alice"));
    alice.recv_kind("join");
    let whole: [&[u8]; 6] = [
        b"hello\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"PROXY TCP4 203.0.113.1 203.0.113.2 1 2\nhello\n",
        b"PROXY TCP4 203.0.113.1 203.0.113.2 1 65536\r\nhello\n",
        &v2(0x2f, 0x11, &[0; 12]),
    ];
    for bytes in whole {
        connect(&server, bytes, &[b'x'; 10_000]).expect_bye("proxy-required");
    }
    server.wait_for_log(&["127.0.0.1:", "refused: no PROXY header"]);
    server.wait_for_log(&["127.0.0.1:", "refused: invalid PROXY header"]);
    for unfinished in [&b"PROXY TCP4"[..], &local()[..15], b"\r\n"] {
        let mut client = connect(&server, unfinished, b"");
        client.shutdown_write();
        client.expect_bye("proxy-required");
    }
    let mut silent = server.connect();
    silent.shutdown_write();
    silent.expect_eof();
    assert_eq!(alice.pending(), [] as [Value; 0]);
}

#[cfg(feature = "irc")]
#[test]
fn irc_connection_without_header_gets_error() {
    let options = [&TRUST_LOOPBACK[..], &["--irc", "127.0.0.1:0"]].concat();
    let server = TestServer::start(&options);
    let mut client = TestClient::connect(&server.irc_address());
    client.send_raw(b"NICK alice\r\n");
    let line = client.recv_line().expect("an error");
    assert!(line.starts_with("ERROR :Closing link: connections from your address must"), "{line}");
    client.expect_eof();
}

#[test]
fn header_from_another_address_is_not_trusted() {
    let options = ["--proxy-from", "127.0.0.2", "--max-per-ip", "1", "--log", "debug"];
    let server = TestServer::start(&options);
    let mut alice = server.join("alice");
    connect(&server, &v1("203.0.113.1", 50001), b"hello\n").expect_bye("proxy");
    drop(connect(&server, &v2_with_options([203, 0, 113, 1], 1, 0), b"hello\n"));
    let mut proxied = TestClient::connect_from("127.0.0.2", 0, server.address(0)).unwrap();
    // The second header is from the client.
    let headers = [v1("203.0.113.2", 50002), v1("203.0.113.3", 50003)].concat();
    proxied.send_raw(&[&headers[..], b"hello\n"].concat());
    proxied.expect_bye("proxy");
    server.wait_for_log(&["203.0.113.2:50002"]);
    alice.say_and_recv("done");
    let log = server.log();
    assert!(!log.contains("203.0.113.1") && !log.contains("203.0.113.3"), "{log}");
}

#[test]
fn proxy_itself_has_no_limit() {
    let options = ["--max-per-ip", "1", "--connect-rate", "1/1"];
    let server = TestServer::start(&[&TRUST_LOOPBACK[..], &options].concat());
    let unknown = [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN ffff:: ffff:: 1 2\r\n".to_vec(),
        v2(0x21, 0x00, &[]),
        v2(0x21, 0x31, &[b'/'; 216]),
        v2(0x20, 0x11, &[0; 12]),
        local(),
    ];
    let join = |(number, header): (usize, &Vec<u8>)| {
        let name = format!("m{number}");
        let mut client = connect(&server, header, &hello(&name));
        assert_welcome(&mut client, &name);
        server.wait_for_log(&[&format!("{name} 127.0.0.1:{} joined", client.port)]);
        client
    };
    let members: Vec<_> = unknown.iter().enumerate().map(join).collect();
    // A client without an address may be silent.
    assert_eq!(connect(&server, &unknown[0], b"").recv()["kind"], "welcome");
    drop(members);
}

#[test]
fn silent_local_connection_is_not_a_client() {
    let options = [&TRUST_LOOPBACK[..], &["--log", "debug"]].concat();
    let server = TestServer::start(&options);
    let mut alice = connect(&server, &v1("203.0.113.1", 50001), &hello("alice"));
    alice.recv_kind("join");
    for _ in 0..3 {
        let mut check = connect(&server, &local(), b"");
        check.shutdown_write();
        check.expect_eof();
        connect(&server, &local(), b"").reset();
    }
    let mut standing = connect(&server, &local(), b"");
    let mut unfinished = connect(&server, b"PROXY TCP", b"");
    let mut silent = server.connect();
    silent.expect_bye("proxy-required");
    unfinished.expect_bye("proxy-required");
    standing.expect_eof();
    assert_eq!(alice.pending(), [] as [Value; 0]);
    let count = |text: &str| server.log().matches(text).count();
    wait_until("both are logged", || count("no PROXY header within 5 s") == 2);
    assert_eq!(count(" connected"), 1, "{}", server.log());
}

#[test]
fn unix_socket_can_be_trusted() {
    let dir = TempDir::new();
    let unix = dir.unix_address("socket");
    let server = TestServer::start(&["--listen", &unix, "--proxy-from", "unix"]);
    let mut alice = TestClient::connect(&unix);
    alice.send_raw(&[&v1("203.0.113.1", 50001)[..], &hello("alice")].concat());
    assert_welcome(&mut alice, "alice");
    server.wait_for_log(&["alice 203.0.113.1:50001 joined"]);
    let mut bob = TestClient::connect(&unix);
    bob.send_raw(&[&local()[..], &hello("bob")].concat());
    assert_welcome(&mut bob, "bob");
    let mut carol = TestClient::connect(&unix);
    carol.say("hello");
    carol.expect_bye("proxy-required");
    server.join("dave");
}

#[test]
fn unix_proxy_itself_has_no_limit() {
    let dir = TempDir::new();
    let unix = dir.unix_address("socket");
    let options = ["--listen", &unix, "--proxy-from", "unix", "--address-rate", "1/1"];
    let _server = TestServer::start(&options);
    for (name, header) in [("alice", &b"PROXY UNKNOWN\r\n"[..]), ("bob", &local())] {
        let mut client = TestClient::connect(&unix);
        client.send_raw(&[header, &hello(name), b"one\ntwo\n"].concat());
        let frame = client.recv_until(|frame| frame["data"] == "two" || frame["kind"] == "error");
        assert_eq!(frame["kind"], "chat");
    }
}

#[test]
fn waiting_connections_are_bounded() {
    // At most 16 wait.
    let server = TestServer::start(&[&TRUST_LOOPBACK[..], &["--max-clients", "30"]].concat());
    let before = server.fd_count();
    let waiting: Vec<_> = (0..40).map(|_| server.connect()).collect();
    let mut alice = connect(&server, &v1("203.0.113.1", 50001), &hello("alice"));
    wait_until("the queue is full", || server.fd_count() >= before + 16);
    assert!(server.fd_count() <= before + 17, "{} descriptors", server.fd_count() - before);
    assert_welcome(&mut alice, "alice");
    server.wait_for_log(&["too many connections wait for a PROXY header"]);
    drop(waiting);
    wait_until("the queue is empty", || server.fd_count() == before + 1);
}

#[test]
fn crowd_behind_a_proxy_is_admitted() {
    // At most 25 wait for their header.
    let server = TestServer::start(&[&TRUST_LOOPBACK[..], &["--max-clients", "100"]].concat());
    let mut crowd: Vec<_> = (0..100)
        .map(|number| {
            let ip = format!("203.0.113.{number}");
            connect(&server, &v1(&ip, 50001), &hello(&format!("m{number}")))
        })
        .collect();
    for (number, client) in crowd.iter_mut().enumerate() {
        assert_welcome(client, &format!("m{number}"));
    }
}

#[test]
fn shutdown_ends_waiting_connections() {
    let mut server = TestServer::start(&TRUST_LOOPBACK);
    let before = server.fd_count();
    let mut waiting = [server.connect(), connect(&server, &local(), b"")];
    wait_until("both wait", || server.fd_count() == before + 2);
    let start = std::time::Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(start.elapsed() < TIMEOUT / 5, "{:?}", start.elapsed());
    waiting.iter_mut().for_each(TestClient::expect_eof);
}
