//! Clients that are refused: those with TLS get their bye inside TLS.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use super::TlsServer;
use crate::common::tls::TlsClient;
use crate::common::{TempDir, TestClient};
use crate::password::write_secret;

/// The descriptions of alerts.
const ACCESS_DENIED: u8 = 49;
const INTERNAL_ERROR: u8 = 80;

/// Returns the record of an alert that ends a connection.
pub fn alert(description: u8) -> Vec<u8> {
    vec![0x15, 3, 3, 0, 2, 2, description]
}

/// Sends the first message of a handshake, and returns all that the server sends.
fn answer_to_hello(mut client: TlsClient) -> Vec<u8> {
    let hello = client.take_hello();
    client.stream.write_all(&hello).unwrap();
    read_answer(&mut client)
}

fn read_answer(client: &mut TlsClient) -> Vec<u8> {
    let mut answer = Vec::new();
    client.stream.read_to_end(&mut answer).unwrap();
    answer
}

/// Returns a server with a unix socket, and a ban of the loopback address.
fn server_with_ban(dir: &TempDir) -> (TlsServer, TestClient) {
    let server = TlsServer::start(&["--listen", &dir.unix_address("socket")]);
    let mut root = server.server.join_at(1, "root");
    root.say("/ban 127.0.0.1 1h spam");
    root.recv_until(|frame| frame["data"] == "root banned an address: spam");
    (server, root)
}

#[test]
fn banned_client_gets_bye_inside_tls() {
    let dir = TempDir::new();
    let (server, _root) = server_with_ban(&dir);
    server.connect().expect_bye("banned");
    // Plain text has its bye at the first line, and without one after a second.
    let mut plain = server.server.connect();
    plain.say("hello");
    plain.expect_bye("banned");
    server.server.connect().expect_bye("banned");
}

#[test]
fn banned_address_has_few_handshakes() {
    let dir = TempDir::new();
    let (server, _root) = server_with_ban(&dir);
    (0..4).for_each(|_| server.connect().expect_bye("banned"));
    let mut plain = server.server.connect();
    assert_eq!(answer_to_hello(server.begin()), alert(ACCESS_DENIED));
    // A silent client may speak plain text.
    plain.expect_bye("banned");
}

#[test]
fn alert_before_the_whole_hello_causes_no_reset() {
    let dir = TempDir::new();
    let (server, _root) = server_with_ban(&dir);
    (0..4).for_each(|_| server.connect().expect_bye("banned"));
    let mut client = server.begin();
    let hello = client.take_hello();
    let (first, rest) = hello.split_at(1);
    client.stream.write_all(first).unwrap();
    assert_eq!(read_answer(&mut client), alert(ACCESS_DENIED));
    for part in rest.chunks(16) {
        client.stream.write_all(part).unwrap();
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(client.stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn crowd_that_is_refused_gets_alerts() {
    for options in [&["--max-clients", "1"][..], &["--connect-rate", "1/1", "--plain", "never"]] {
        let server = TlsServer::start(&[options, &["--max-per-ip", "1"]].concat());
        let _alice = server.join("alice");
        let begin = |_| {
            let mut client = server.begin();
            let hello = client.take_hello();
            client.stream.write_all(&hello).unwrap();
            client
        };
        let mut crowd: Vec<TlsClient> = (0..40).map(begin).collect();
        let answers = crowd.iter_mut().map(|client| {
            let mut answer = [0; 7];
            client.stream.read_exact(&mut answer).unwrap();
            assert!(answer.starts_with(&[0x16, 3]) || answer[..] == alert(INTERNAL_ERROR));
            answer
        });
        // The others are without a place, or get their bye inside TLS.
        let alerts = answers.filter(|answer| answer[0] == 0x15).count();
        assert!(alerts >= 20, "{alerts} alerts with {options:?}");
    }
}

#[test]
fn crowd_without_the_password_gets_alerts() {
    let dir = TempDir::new();
    let password = write_secret(&dir, "password", "correct horse battery\n");
    let server = TlsServer::start(&["--password-file", &password, "--max-clients", "8"]);
    let begin = |_| {
        let mut client = server.begin();
        client.stream.write_all(&[0x16]).unwrap();
        client
    };
    let crowd: Vec<TlsClient> = (0..40).map(begin).collect();
    // The oldest go first. Some of them may end a handshake to get their bye.
    let answers = crowd.into_iter().take(16).map(|mut client| read_answer(&mut client));
    answers.for_each(|answer| assert_eq!(answer, alert(INTERNAL_ERROR)));
}

#[test]
fn client_without_a_proxy_header_gets_an_alert() {
    let server = TlsServer::start(&["--proxy-from", "127.0.0.1"]);
    assert_eq!(answer_to_hello(server.begin()), alert(ACCESS_DENIED));
}

#[test]
fn client_without_a_place_gets_bye_inside_tls() {
    let server = TlsServer::start(&["--max-clients", "1"]);
    let _alice = server.join("alice");
    let mut others = [(); 4].map(|()| server.connect());
    for client in &mut others {
        client.send(b"{\"hello\":{}}\n");
        client.expect_bye("full");
    }
}

#[test]
fn throttled_client_gets_error_and_bye_inside_tls() {
    let server = TlsServer::start(&["--connect-rate", "1/2"]);
    let _clients = ["alice", "bob"].map(|name| server.join(name));
    let mut carol = server.connect();
    assert_eq!(carol.recv()["code"], "too-fast");
    carol.expect_bye("too-fast");
}

#[test]
fn closed_address_gets_bye_inside_tls() {
    let dir = TempDir::new();
    let password = write_secret(&dir, "password", "correct horse battery\n");
    let server = TlsServer::start(&["--password-file", &password]);
    for _ in 0..2 {
        let mut guesser = server.connect();
        guesser.send(b"/pass 1\n/pass 2\n/pass 3\n");
        guesser.expect_bye("password");
    }
    server.connect().expect_bye("password");
    let mut plain = server.server.connect();
    plain.say("/pass correct horse battery");
    plain.expect_bye("password");
}
