//! The faults of the lab course that this program started from. None of them may come back:
//!
//! - a failed bind is ignored: `lifecycle::unavailable_address_is_one_line_of_error`
//! - a failed accept counts as a client: `lifecycle::full_descriptor_table_keeps_members_connected`
//! - one client that does not read stops all: `slow_members::stalled_members_do_not_delay_others`
//! - a lost server goes unnoticed: `client::client_reconnects_and_sends_waiting_line`
//! - the other faults: this module

use std::net::TcpListener;
use std::thread;

use serde_json::Value;

use crate::common::{TestClient, TestServer};

#[test]
fn concurrent_joins_and_leaves_keep_table_right() {
    let server = TestServer::start(&["--rate", "0"]);
    let mut alice = server.join("alice");
    thread::scope(|scope| {
        for task in 0..8 {
            let server = &server;
            scope.spawn(move || {
                for round in 0..20 {
                    let mut client = server.join(&format!("task-{task}-{round}"));
                    client.say(&format!("/nick renamed-{task}-{round}"));
                    client.recv_kind("name");
                    if round % 2 == 0 {
                        client.say("/quit");
                        client.recv_kind("bye");
                    }
                }
            });
        }
    });
    alice.recv_leaves(8 * 20);
    assert_eq!(alice.members(), ["alice"]);
    assert_eq!(server.connect().hello("task-3-7")["name"], "task-3-7");
}

#[test]
fn same_port_of_two_hosts_is_two_members() {
    let server = TestServer::start(&[]);
    let address = server.address(0);
    // The port of the first may be in use on the second address.
    let pair = (0..100).find_map(|_| {
        let one = TestClient::connect_from("127.0.0.1", 0, address).unwrap();
        let other = TestClient::connect_from("127.0.0.2", one.port, address)?;
        Some((one, other))
    });
    let (mut one, mut other) = pair.unwrap();
    assert_eq!(one.port, other.port);
    let guest = format!("guest-{}", one.port);
    one.say("one");
    let first = one.recv()["name"].clone();
    other.say("other");
    let second = other.recv()["name"].clone();
    assert_eq!(first, guest);
    assert!(second.as_str().unwrap().starts_with(&guest) && second != first, "{second}");

    let chats = [one.recv_kind("chat"), one.recv_kind("chat")];
    assert_eq!([&chats[0]["data_source"], &chats[1]["data_source"]], [&first, &second]);
    // The leave of one must not remove the other.
    drop(other);
    assert_eq!(one.recv_leaves(1), [second.as_str().unwrap()]);
    one.say_and_recv("still here");
}

#[test]
fn ipv6_address_is_shown_whole() {
    if let Err(error) = TcpListener::bind("[::1]:0") {
        eprintln!("skipped: this machine has no IPv6: {error}");
        return;
    }
    let server = TestServer::start(&["--listen", "[::1]:0"]);
    assert!(server.address(1).starts_with("[::1]:"), "{}", server.address(1));
    let mut alice = server.join_at(1, "alice");
    let mut guest = TestClient::connect(server.address(1));
    guest.say("hello");
    assert_eq!(guest.recv()["name"], format!("guest-{}", guest.port));
    assert_eq!(alice.recv_kind("chat")["data_source"], format!("guest-{}", guest.port));
    server.wait_for_log(&["alice", &format!("[::1]:{}", alice.port), "joined"]);
}

#[test]
fn lines_in_one_packet_are_split() {
    let server = TestServer::start(&[]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    alice.send_raw(
        b"{\"data_source\":\"a\",\"data\":\"one\"}\n{\"data_source\":\"a\",\"data\":\"two\"}\nthree\n",
    );
    for text in ["one", "two", "three"] {
        assert_eq!(bob.recv_kind("chat")["data"], text);
    }
}

#[test]
fn line_in_two_packets_is_joined() {
    let server = TestServer::start(&[]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    let line = "{\"data\":\"ein Wörtchen\"}\n".as_bytes();
    for cut in 1..line.len() {
        alice.send_raw(&line[..cut]);
        // The answer to bob shows that the server has read the first part.
        assert_eq!(bob.pending(), [] as [Value; 0]);
        alice.send_raw(&line[cut..]);
        assert_eq!(bob.recv()["data"], "ein Wörtchen");
    }
}
