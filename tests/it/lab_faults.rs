//! The faults of the lab that this program follows, each of which it must not have.

use std::net::TcpListener;
use std::thread;

use crate::common::{PATIENCE, Scratch, TestClient, TestServer, eventually, names, run_to_end};
use rustix::process::Signal;
use serde_json::{Value, json};

#[test]
fn an_address_where_it_cannot_listen_is_told_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run_to_end(&["--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    for part in ["listen", &address, "in use"] {
        assert!(complaint.contains(part), "no {part:?} in: {complaint}");
    }
}

#[test]
fn an_accept_that_failed_is_not_taken_for_a_client() {
    let server = TestServer::start_after("ulimit -n 20", &["--rate", "0"]);
    let mut alice = server.join("alice");
    let descriptors = server.descriptors();
    let crowd: Vec<TestClient> = (0..30).map(|_| server.connect()).collect();
    server.logged(&["cannot accept", "open files"]);
    // Whoever holds a descriptor is a member by now, or will be after the wait; nobody else is.
    eventually("who got in is a member", || {
        alice.who().len() == 1 + server.descriptors() - descriptors
    });
    let members = alice.who();
    assert!((2..20).contains(&members.len()), "{members:?}");
    for name in &members[1..] {
        let guest = |client: &TestClient| *name == format!("guest-{}", client.port);
        assert!(crowd.iter().any(guest), "{name} is nobody who came");
    }
}

#[test]
fn many_come_and_go_at_once_and_the_table_of_users_stays_right() {
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
    let mut gone = 0;
    while gone < 8 * 20 {
        gone += names(&alice.recv_kind("leave"), "leave").count();
    }
    assert_eq!(alice.who(), ["alice"]);
    assert_eq!(server.connect().hello("task-3-7")["name"], "task-3-7");
}

#[test]
fn two_hosts_with_the_same_source_port_are_two_members() {
    let server = TestServer::start(&[]);
    let address = server.address(0);
    // The port is free on one address; on the other it may just be in use by somebody else.
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

    let heard = [one.recv_kind("chat"), one.recv_kind("chat")];
    assert_eq!([&heard[0]["data_source"], &heard[1]["data_source"]], [&first, &second]);
    // One of them goes, and takes the other's place in the table with it no more.
    drop(other);
    assert_eq!(one.recv_kind("leave")["names"], json!([second]));
    one.say("still here");
    assert_eq!(one.recv_kind("chat")["data"], "still here");
}

#[test]
fn an_ipv6_address_is_not_cut_at_its_first_colon() {
    if let Err(error) = TcpListener::bind("[::1]:0") {
        eprintln!("skipped: this machine has no IPv6: {error}");
        return;
    }
    let server = TestServer::start(&["--listen", "[::1]:0"]);
    assert!(server.address(1).starts_with("[::1]:"), "{}", server.address(1));
    let mut alice = server.join_at(1, "alice");
    let mut guest = TestClient::connect(server.address(1));
    guest.say("from afar");
    assert_eq!(guest.recv()["name"], format!("guest-{}", guest.port));
    assert_eq!(alice.recv_kind("chat")["data_source"], format!("guest-{}", guest.port));
    server.logged(&["alice", &format!("[::1]:{}", alice.port), "joined"]);
}

#[test]
fn messages_that_arrive_together_are_still_two() {
    let server = TestServer::start(&[]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    alice.send_raw(b"{\"data_source\":\"a\",\"data\":\"one\"}\n{\"data_source\":\"a\",\"data\":\"two\"}\nthree\n");
    for text in ["one", "two", "three"] {
        assert_eq!(bob.recv_kind("chat")["data"], text);
    }
}

#[test]
fn a_message_that_arrives_in_two_pieces_is_still_one() {
    let server = TestServer::start(&[]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    let line = "{\"data\":\"ein Wörtchen\"}\n".as_bytes();
    for cut in 1..line.len() {
        // Between the pieces the server answers somebody else: it has read the first by then.
        alice.send_raw(&line[..cut]);
        assert_eq!(bob.waiting(), [] as [Value; 0]);
        alice.send_raw(&line[cut..]);
        assert_eq!(bob.recv()["data"], "ein Wörtchen");
    }
}

#[test]
fn one_who_stops_reading_does_not_stop_the_room() {
    let scratch = Scratch::new();
    let server = TestServer::start(&["--rate", "0", "--listen", &scratch.address("socket")]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    let _stalled = [server.join("carol"), server.join_at(1, "dave")];
    let text = "x".repeat(4000);
    // What the two talk about is more than all buffers between them and the others hold.
    for _ in 0..2500 {
        alice.say(&text);
        assert_eq!(bob.recv_kind("chat")["data"], text.as_str());
        alice.recv_kind("chat");
    }
}

#[test]
fn a_server_that_is_gone_is_noticed_as_the_end_of_the_stream() {
    let mut server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    server.signal(Signal::KILL);
    server.wait(PATIENCE);
    alice.expect_eof();
}
