//! Members on different servers of one room that do the same at the same time.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::nats_servers::NatsServers;
use super::room_nodes::RoomNodes;
use super::wait_until;
use crate::common::{TestClient, TestServer};

/// Starts three servers with a room.
fn start() -> (NatsServers, Vec<TestServer>) {
    let nats = NatsServers::start(1);
    let list = nats.addresses(0).join(",");
    let servers = (0..3).map(|index| {
        let node = format!("n{index}");
        TestServer::start(&["--cluster", &list, "--node", &node, "--cluster-replicas", "1"])
    });
    let servers = servers.collect();
    (nats, servers)
}

fn hello(server: &TestServer, hello: &Value) -> TestClient {
    let mut client = server.connect();
    client.send_json(&json!({ "hello": hello }));
    client
}

#[test]
#[ignore = "needs nats-server"]
fn name_taken_on_all_nodes_at_once_has_one_owner() {
    let (_nats, servers) = start();
    let mut watcher = servers[0].join("watcher");
    let mut clients: Vec<_> =
        (0..30).map(|number| hello(&servers[number % 3], &json!({ "name": "alice" }))).collect();
    let mut names: Vec<_> = clients
        .iter_mut()
        .map(|client| client.recv_kind("welcome")["name"].as_str().unwrap().to_owned())
        .collect();
    let lists: Vec<_> =
        (0..3).map(|index| servers[index].join(&format!("bob{index}")).members()).collect();
    let without = |list: &[String]| -> Vec<_> {
        list.iter().filter(|name| !name.starts_with("bob")).cloned().collect()
    };
    // The order is that of the joins, on all nodes.
    assert_eq!(without(&lists[0]), without(&lists[1]));
    assert_eq!(without(&lists[0]), without(&lists[2]));
    names.push("watcher".to_owned());
    names.sort();
    let mut listed = without(&lists[0]);
    listed.sort();
    assert_eq!(listed, names);
    names.dedup();
    assert_eq!(names.len(), 31, "{names:?}");
    // Renames, too.
    for client in &mut clients {
        client.say("/nick carol");
    }
    let answers: Vec<_> = clients
        .iter_mut()
        .map(|client| client.recv_until(|frame| frame["kind"] == "error" || frame["to"] == "carol"))
        .collect();
    let owner = watcher.recv_until(|frame| frame["kind"] == "name");
    assert!(
        answers.iter().filter(|answer| answer["kind"] == "name").all(|answer| *answer == owner)
    );
    assert!(answers.iter().any(|answer| answer["kind"] == "error"));
}

#[test]
#[ignore = "needs nats-server"]
fn private_line_reaches_one_member_of_another_node() {
    let (_nats, servers) = start();
    let (mut alice, mut bob) = (servers[0].join("alice"), servers[1].join("bob"));
    let (mut carol, mut other) = (servers[1].join("carol"), servers[2].join("dave"));
    for number in 0..20 {
        alice.send_json(
            &json!({ "data": format!("secret {number}"), "to": "bob", "id": format!("a{number}") }),
        );
    }
    alice.say("end");
    for number in 0..20 {
        let copy = alice.recv_kind("private");
        assert_eq!(bob.recv_kind("private"), copy);
        assert_eq!(copy["id"], format!("a{number}"));
    }
    for client in [&mut carol, &mut other] {
        let frame = client.recv_until(|frame| frame["kind"] == "private" || frame["data"] == "end");
        assert_eq!(frame["kind"], "chat");
    }
    bob.say("/quit");
    bob.recv_rest();
    alice.send_json(&json!({ "data": "late", "to": "bob", "id": "late" }));
    assert_eq!(alice.recv_until(|frame| frame["id"] == "late")["code"], "no-such-user");
}

#[test]
#[ignore = "needs nats-server"]
fn token_on_all_nodes_at_once_has_one_connection() {
    let (_nats, servers) = start();
    let mut watcher = servers[0].join("watcher");
    let mut first = hello(&servers[0], &json!({ "name": "alice", "keep": true }));
    let welcome = first.recv_kind("welcome");
    let resume = json!({
        "name": "alice", "keep": true, "token": welcome["token"], "epoch": welcome["epoch"],
        "after": welcome["seq"],
    });
    let mut clients: Vec<_> = (0..30).map(|number| hello(&servers[number % 3], &resume)).collect();
    let names: BTreeSet<_> = clients
        .iter_mut()
        .map(|client| client.recv_kind("welcome")["name"].as_str().unwrap().to_owned())
        .chain(["watcher".to_owned()])
        .collect();
    assert_eq!(first.recv_kind("bye")["code"], "replaced");
    let members = watcher.members();
    assert!(names.contains("alice"));
    // Each name once.
    assert_eq!(members.len(), names.len(), "{members:?}");
    assert_eq!(members.into_iter().collect::<BTreeSet<_>>(), names);
    drop(clients);
    wait_until("all have left", || watcher.members() == ["watcher"]);
}

#[test]
#[ignore = "needs nats-server"]
fn client_that_hops_between_nodes_misses_nothing() {
    let nats = NatsServers::start(1);
    let nodes = RoomNodes::start(&nats);
    let mut state: Option<(Value, u64)> = None;
    let mut token = Value::Null;
    for hop in 0..60 {
        let mut hello_of = json!({ "name": "hopper", "keep": true, "token": token });
        if let Some((epoch, after)) = &state {
            (hello_of["epoch"], hello_of["after"]) = (epoch.clone(), json!(after));
        }
        let mut client = hello(&nodes.servers[hop % 3], &hello_of);
        let welcome = client.recv_kind("welcome");
        assert_eq!(welcome["name"], "hopper", "hop {hop}");
        assert_eq!(welcome["resumed"], hop > 0, "hop {hop}");
        token = welcome["token"].clone();
        let mut after = state.map_or(welcome["seq"].as_u64().unwrap(), |(_, after)| after);
        let id = format!("hop-{hop}");
        client.send_json(&json!({ "data": &id, "id": &id }));
        loop {
            let frame = client.recv();
            let Some(seq) = frame["seq"].as_u64() else { continue };
            after += 1;
            assert_eq!(seq, after, "{frame}");
            if frame["id"] == id.as_str() {
                break;
            }
        }
        state = Some((welcome["epoch"].clone(), after));
        if hop % 2 == 0 {
            client.reset();
        }
    }
    let mut watcher = nodes.servers[1].join("checker");
    wait_until("the hopper is no member", || !watcher.members().contains(&"hopper".to_owned()));
    drop(watcher);
    assert_eq!(nodes.check(), 1);
}
