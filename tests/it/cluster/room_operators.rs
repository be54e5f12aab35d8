//! Mistakes and restarts of an operator of a room on several servers.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::link::Link;
use super::nats_servers::NatsServers;
use super::room_nodes::RoomNodes;
use super::{wait_until, wait_until_open};
use crate::common::{ChildGuard, TempDir, TestServer, run_server};

const LINES: usize = 10;

/// Starts a server with NATS behind a link.
#[track_caller]
fn start_behind(link: &Link, options: &[&str]) -> TestServer {
    let cluster = ["--cluster", &link.address(), "--node", "a", "--cluster-replicas", "1"];
    TestServer::start(&[&cluster[..], options].concat())
}

#[test]
#[ignore = "needs nats-server"]
fn second_server_of_a_name_replaces_the_first() {
    let nats = NatsServers::start(1);
    let mut nodes = RoomNodes::start(&nats);
    let second = nodes.start_again(1);
    assert_eq!(nodes.servers[1].wait().code(), Some(1));
    let log = nodes.servers[1].log();
    assert!(log.contains("another server is node n1"), "{log}");
    nodes.replace(1, second);
    nodes.wait_for_lines(LINES);
    assert_eq!(nodes.check(), 1);
}

#[test]
#[ignore = "needs nats-server"]
fn epoch_goes_on_after_a_restart_of_all_servers() {
    let mut nats = NatsServers::start(1);
    let mut nodes = RoomNodes::start(&nats);
    nodes.servers.iter().for_each(|server| server.signal(Signal::TERM));
    for server in &mut nodes.servers {
        assert!(server.wait().success(), "{}", server.log());
    }
    nats.kill(0);
    nats.restart(0);
    (0..3).for_each(|index| nodes.restart(index));
    nodes.wait_for_lines(LINES);
    assert_eq!(nodes.check(), 1);
}

#[test]
#[ignore = "needs nats-server"]
fn nats_with_an_empty_store_begins_an_epoch() {
    let mut nats = NatsServers::start(1);
    let nodes = RoomNodes::start(&nats);
    nats.kill(0);
    nats.delete_store(0);
    nats.restart(0);
    nodes.wait_for_lines(LINES);
    assert_eq!(nodes.check(), 2);
}

#[test]
#[ignore = "needs nats-server"]
fn node_without_address_for_clients_is_reported() {
    let folder = TempDir::new();
    let address = folder.unix_address("socket");
    let mut command = Command::new(env!("CARGO_BIN_EXE_smolchatd"));
    command.args(["--listen", &address, "--cluster", "nats://127.0.0.1:1", "--node", "a"]);
    let mut server = ChildGuard(command.stderr(Stdio::piped()).spawn().unwrap());
    let log = BufReader::new(server.0.stderr.take().unwrap());
    assert!(log.lines().map_while(Result::ok).any(|line| line.contains("--advertise HOST:PORT")));
}

#[test]
#[ignore = "needs nats-server"]
fn unreadable_credentials_end_the_server() {
    let folder = TempDir::new();
    let (missing, empty) = (folder.path("missing"), folder.path("empty"));
    std::fs::write(&empty, "").unwrap();
    for (option, path, part) in [
        ("--cluster-creds", &missing, "cannot read the credentials in"),
        ("--cluster-creds", &empty, "cannot read the credentials in"),
        ("--cluster-ca", &missing, "cannot read the certificates in"),
        ("--cluster-ca", &empty, "no certificate in PEM form"),
    ] {
        let path = path.to_str().unwrap();
        let options = ["--listen", "127.0.0.1:0", "--cluster", "nats://127.0.0.1:1", "--node", "a"];
        let output = run_server(&[&options[..], &[option, path]].concat());
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{log}");
        assert!(log.contains(part) && log.contains(path), "{log}");
    }
}

#[test]
#[ignore = "needs nats-server"]
fn node_without_nats_sends_clients_elsewhere_and_ends() {
    let nats = NatsServers::start(1);
    let link = Link::start(nats.address(0));
    link.cut();
    let mut server = start_behind(&link, &[]);
    let mut early = server.connect();
    early.send_hello("alice");
    early.expect_bye("unreachable");
    let mut late = server.connect();
    late.send_hello("alice");
    late.expect_bye("unreachable");
    link.mend();
    wait_until_open(&server);
    link.cut();
    server.signal(Signal::TERM);
    assert!(server.wait().success(), "{}", server.log());
}

#[test]
#[ignore = "needs nats-server"]
fn flood_of_a_node_without_nats_is_bounded() {
    let nats = NatsServers::start(1);
    let link = Link::start(nats.address(0));
    let server = start_behind(&link, &["--rate", "0", "--address-bytes", "0"]);
    let mut clients: Vec<_> = (0..40).map(|index| server.join(&format!("c{index}"))).collect();
    let before = server.rss();
    link.cut();
    let line = format!("{}\n", "x".repeat(4000)).repeat(256);
    let mut senders = Vec::new();
    for client in &mut clients {
        let (mut socket, line) = (client.clone_socket(), line.clone());
        // Blocks when the server takes no more.
        senders.push(std::thread::spawn(move || {
            while std::io::Write::write_all(&mut socket, line.as_bytes()).is_ok() {}
        }));
    }
    let mut client = server.connect();
    client.recv_until(|frame| frame["kind"] == "bye" || frame["code"] == "unreachable");
    let grown = server.rss().saturating_sub(before);
    // The commands that wait, the inputs, and a read buffer for each client.
    assert!(grown < 12 << 20, "{grown} bytes");
    drop(clients);
    link.mend();
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    wait_until_open(&server);
}

#[test]
#[ignore = "needs nats-server"]
fn node_out_of_reach_sends_new_clients_elsewhere() {
    let nats = NatsServers::start(1);
    let link = Link::start(nats.address(0));
    let server = start_behind(&link, &[]);
    let mut alice = server.join("alice");
    link.cut();
    alice.recv_until(|frame| frame["kind"] == "info");
    server.connect().expect_bye("unreachable");
    link.mend();
    alice.recv_until(|frame| frame["kind"] == "info");
    server.join("bob");
    alice.say_and_recv("hello");
}

#[test]
#[ignore = "needs nats-server"]
fn options_changed_while_all_nodes_are_stopped_count() {
    let nats = NatsServers::start(1);
    let address = format!("nats://{}", nats.address(0));
    let mut epochs = Vec::new();
    for history in [3, 30] {
        let history = history.to_string();
        let options = ["--cluster", &address, "--node", "a", "--history", &history];
        let mut server = TestServer::start(&options);
        let mut alice = server.connect();
        alice.send_hello("alice");
        let welcome = alice.recv_until(|frame| frame["kind"] == "welcome");
        epochs.push(welcome["epoch"].clone());
        assert_eq!(welcome["limits"]["history"].to_string(), history);
        server.signal(Signal::TERM);
        assert!(server.wait().success(), "{}", server.log());
    }
    assert_eq!(epochs[0], epochs[1]);
}

#[test]
#[ignore = "needs nats-server"]
fn stream_with_other_settings_is_reported() {
    let nats = NatsServers::start(1);
    let address = format!("nats://{}", nats.address(0));
    let settings = r#"{"name":"smolchat","subjects":["smolchat.smolchat.log"],"max_age":1000000000,
        "retention":"limits","storage":"file","num_replicas":1}"#;
    nats.request("$JS.API.STREAM.CREATE.smolchat", settings);
    let server = TestServer::start(&["--cluster", &address, "--node", "a"]);
    wait_until("the stream is reported", || {
        server.log().contains("the stream smolchat has other settings: max_age")
    });
}
