//! Many clients that send nothing, never finish a line, or join and leave at once.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::common::observers::Observers;
use crate::common::{TestClient, TestServer, raise_descriptor_limit, wait_until};

/// Limits of the memory of a connection, in KiB. Measured: 0.7 to 1.2 for one that sends nothing,
/// 1.6 to 2.5 for one within a line.
const KIB_SILENT: u64 = 3;
const KIB_WITHIN_LINE: u64 = 6;
/// The limit of the processor time for one byte; measured: an eighth, without optimisation.
const CPU_TIME_PER_BYTE: Duration = Duration::from_micros(50);

/// Starts a server that accepts many clients from one address.
fn start(options: &[&str]) -> TestServer {
    raise_descriptor_limit();
    let common = ["--rate", "0", "--max-per-ip", "0", "--max-clients", "2000", "--log", "warn"];
    TestServer::start(&[&common, options].concat())
}

fn guest_names(clients: &[TestClient]) -> Vec<String> {
    let mut names: Vec<_> = clients.iter().map(|one| format!("guest-{}", one.port)).collect();
    names.sort();
    names
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[test]
fn thousand_silent_clients_cost_little() {
    const CLIENTS: usize = 1000;
    for (hello_wait, become_guests) in [("600000", false), ("100", true)] {
        let server = start(&["--hello-wait", hello_wait]);
        let fd_count = server.fd_count();
        let before = server.rss();
        let mut observers = Observers::start(&server);
        let clients: Vec<TestClient> = (0..CLIENTS).map(|_| server.connect()).collect();
        wait_until("all are connected", || server.fd_count() == fd_count + 2 + CLIENTS);
        if become_guests {
            let mut observations = observers.stop();
            observations.assert_present(&guest_names(&clients));
            observers = observations.resume();
        }
        let growth = server.peak_rss() - before;
        assert!(growth < KIB_SILENT * CLIENTS as u64, "the server grew by {growth} KiB");
        let observations = observers.stop();
        server.assert_idle();
        let observers = observations.resume();
        let expected = if become_guests { guest_names(&clients) } else { Vec::new() };
        drop(clients);
        assert_eq!(sorted(observers.stop_when_alone(&server)), expected);
    }
}

#[test]
fn hundreds_of_unfinished_lines_cost_little() {
    const EACH: usize = 250;
    const MAX_LINE: usize = 200;
    let server = start(&["--hello-wait", "100", "--max-line", "200"]);
    let before = server.rss();
    let observers = Observers::start(&server);
    // The first half never finishes the hello.
    let mut clients: Vec<TestClient> = (0..EACH).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|one| one.send_raw(b"{\"hello\":{\"name\":\"never-"));
    let mut expected = guest_names(&clients);
    for n in 0..EACH {
        let mut client = server.connect();
        // On a busy machine the hello is late, and the client is a guest.
        let welcome = client.hello(&format!("m-{n}"));
        expected.push(welcome["name"].as_str().unwrap().to_owned());
        clients.push(client);
    }
    expected.sort();

    // Each byte is one read of the server. Each line becomes too long.
    let used = server.cpu_time();
    for _ in 0..2 * MAX_LINE {
        clients.iter_mut().for_each(|one| one.send_raw(b"x"));
    }
    let bytes = 2 * MAX_LINE * clients.len();
    // Most of it is the delivery of the observers' lines to all members.
    let each = (server.cpu_time() - used) / bytes as u32;
    assert!(each < CPU_TIME_PER_BYTE, "{each:?} of processor time for a byte");

    let growth = server.peak_rss() - before;
    assert!(growth < KIB_WITHIN_LINE * clients.len() as u64, "the server grew by {growth} KiB");
    let mut observations = observers.stop();
    observations.assert_present(&expected);
    clients.iter_mut().for_each(|one| one.send_raw(b"\nthe end\n"));
    let mut senders: Vec<String> = Vec::new();
    while senders.len() < 2 * EACH {
        let frame = observations.alice.record_until(|frame| frame["kind"] == "chat");
        assert_eq!(frame["data"], "the end");
        senders.push(frame["data_source"].as_str().unwrap().to_owned());
    }
    assert_eq!(sorted(senders), expected);
    for one in &mut clients {
        let mut errors = Vec::new();
        one.recv_until(|frame| {
            errors.extend((frame["kind"] == "error").then(|| frame["code"].clone()));
            frame["data"] == "the end"
        });
        errors.retain(|code| code != "late-hello");
        assert_eq!(errors, [json!("too-long")]);
    }
    drop(clients);
    observations.resume().stop_when_alone(&server);
}

#[test]
fn byte_of_long_line_costs_as_much_as_of_short() {
    const BYTES: usize = 1000;
    let server = start(&["--max-line", "1048576"]);
    let mut alice = server.join("alice");
    let mut eve = server.connect();
    // The start of a first line, which the server also compares with other protocols.
    eve.send_raw(b"GET");
    let mut cost = || {
        let used = server.cpu_time();
        for _ in 0..BYTES {
            eve.send_raw(b"x");
            // The answer to alice shows that the server has read the byte.
            alice.pending();
        }
        let cost = server.cpu_time() - used;
        eve.send_raw(&vec![b'x'; 1_000_000]);
        cost
    };
    let (short, long) = (cost(), cost());
    assert!(
        long < short * 3 + Duration::from_millis(100),
        "{short:?} at the start of a line, {long:?} after a megabyte"
    );
}

#[test]
fn thousand_joins_and_leaves_are_each_sent_once() {
    const THREADS: usize = 4;
    const CLIENTS_EACH: usize = 250;
    let server = start(&["--hello-wait", "60000"]);
    let observers = Observers::start(&server);
    let join_all = |thread| {
        let join = |n| {
            let mut client = server.connect();
            client.send_hello(&format!("m-{thread}-{n}"));
            client
        };
        (0..CLIENTS_EACH).map(join).collect::<Vec<_>>()
    };
    let clients: Vec<TestClient> = thread::scope(|scope| {
        let threads = [0, 1, 2, 3].map(|thread| scope.spawn(move || join_all(thread)));
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut observations = observers.stop();
    let names = (0..THREADS).flat_map(|thread| (0..CLIENTS_EACH).map(move |n| (thread, n)));
    let expected = sorted(names.map(|(thread, n)| format!("m-{thread}-{n}")).collect());
    observations.assert_present(&expected);
    let observers = observations.resume();
    drop(clients);
    assert_eq!(sorted(observers.stop_when_alone(&server)), expected);
}
