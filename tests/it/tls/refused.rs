//! Clients that are refused: those with TLS get their bye inside TLS.

use std::io::Read;

use super::TlsServer;
use crate::common::{TempDir, TestClient};
use crate::password::write_secret;

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
    let mut client = server.begin();
    let mut answer = Vec::new();
    client.stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"{"), "{:?}", String::from_utf8_lossy(&answer));
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
