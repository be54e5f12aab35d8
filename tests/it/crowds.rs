//! Crowds: those who say nothing, those who never come to the end of a line, those who come and
//! go all at once, and those who do not read while hundreds do.

use std::thread;
use std::time::Duration;

use crate::common::witnesses::Witnesses;
use crate::common::{TestClient, TestServer, eventually, raise_descriptor_limit};
use serde_json::json;

const THOUSAND: usize = 1000;
/// Memory for a connection, in KiB, at most: for one that says nothing, measured at 0.7 to 1.2 with
/// all that grows once, and for one in the middle of a line, at 1.6 to 2.5.
const KIB_SILENT: u64 = 3;
const KIB_HALF_A_LINE: u64 = 6;
/// Processor time for a byte that comes alone, at most; without optimisation it was measured at
/// an eighth of it.
const COST_OF_A_BYTE: Duration = Duration::from_micros(50);

/// A server for crowds from one address.
fn start(options: &[&str]) -> TestServer {
    raise_descriptor_limit();
    let common = ["--rate", "0", "--max-per-ip", "0", "--max-clients", "2000", "--log", "warn"];
    TestServer::start(&[&common, options].concat())
}

fn guests(crowd: &[TestClient]) -> Vec<String> {
    let mut guests: Vec<_> = crowd.iter().map(|one| format!("guest-{}", one.port)).collect();
    guests.sort();
    guests
}

#[test]
fn a_thousand_who_never_say_anything_cost_little_and_disturb_nobody() {
    // They are no members as long as their hello is waited for, and guests after that.
    for (hello_wait, come) in [("600000", false), ("100", true)] {
        let server = start(&["--hello-wait", hello_wait]);
        let descriptors = server.descriptors();
        let before = server.rss();
        let mut witnesses = Witnesses::call(&server);
        let crowd: Vec<TestClient> = (0..THOUSAND).map(|_| server.connect()).collect();
        eventually("they are connected", || server.descriptors() == descriptors + 2 + THOUSAND);
        if come {
            let mut testimony = witnesses.stop();
            testimony.assert_present(&guests(&crowd));
            witnesses = testimony.go_on();
        }
        let growth = server.peak_rss() - before;
        assert!(growth < KIB_SILENT * THOUSAND as u64, "the server grew by {growth} KiB");
        let testimony = witnesses.stop();
        server.assert_idle();
        let witnesses = testimony.go_on();
        let expected = if come { guests(&crowd) } else { Vec::new() };
        drop(crowd);
        let mut came = witnesses.stop_when_alone(&server);
        came.sort();
        assert_eq!(came, expected);
    }
}

#[test]
fn hundreds_who_send_byte_after_byte_and_never_end_their_line_are_waited_for_by_nobody() {
    const EACH: usize = 250;
    const MAX_LINE: usize = 200;
    let server = start(&["--hello-wait", "100", "--max-line", "200"]);
    let before = server.rss();
    let witnesses = Witnesses::call(&server);
    // The first half never gets beyond its hello.
    let mut crowd: Vec<TestClient> = (0..EACH).map(|_| server.connect()).collect();
    crowd.iter_mut().for_each(|one| one.send_raw(b"{\"hello\":{\"name\":\"never-"));
    let mut expected = guests(&crowd);
    for n in 0..EACH {
        let mut client = server.connect();
        // Where the machine is so busy that the hello is late, it is a guest, too.
        let welcome = client.hello(&format!("m-{n}"));
        expected.push(welcome["name"].as_str().unwrap().to_owned());
        crowd.push(client);
    }
    expected.sort();

    // A byte a second for minutes is this, seen from the server: each byte comes on its own, and
    // the next one when the server has long dealt with it. On the way each line becomes too long.
    let used = server.cpu_time();
    for _ in 0..2 * MAX_LINE {
        crowd.iter_mut().for_each(|one| one.send_raw(b"x"));
    }
    let bytes = 2 * MAX_LINE * crowd.len();
    let each = (server.cpu_time() - used) / bytes as u32;
    // The talk of the witnesses, which reaches all of them, is most of it.
    assert!(each < COST_OF_A_BYTE, "{each:?} of processor time a byte");

    let growth = server.peak_rss() - before;
    assert!(growth < KIB_HALF_A_LINE * crowd.len() as u64, "the server grew by {growth} KiB");
    let mut testimony = witnesses.stop();
    testimony.assert_present(&expected);
    // The lines, once they end, were too long, and those who sent them are heard as ever.
    crowd.iter_mut().for_each(|one| one.send_raw(b"\nat last\n"));
    let mut heard: Vec<String> = Vec::new();
    while heard.len() < 2 * EACH {
        let frame = testimony.alice.hear(|frame| frame["kind"] == "chat");
        assert_eq!(frame["data"], "at last");
        heard.push(frame["data_source"].as_str().unwrap().to_owned());
    }
    heard.sort();
    assert_eq!(heard, expected);
    for one in &mut crowd {
        let mut errors = Vec::new();
        one.until(|frame| {
            errors.extend((frame["kind"] == "error").then(|| frame["code"].clone()));
            frame["data"] == "at last"
        });
        errors.retain(|code| code != "late-hello");
        assert_eq!(errors, [json!("too-long")]);
    }
    drop(crowd);
    testimony.go_on().stop_when_alone(&server);
}

#[test]
fn a_byte_costs_the_same_however_much_of_its_line_came_before() {
    const BYTES: usize = 1000;
    let server = start(&["--max-line", "1048576"]);
    let mut alice = server.join("alice");
    let mut eve = server.connect();
    // As the beginning of a first line it could still be another protocol's.
    eve.send_raw(b"GET");
    let mut cost = || {
        let used = server.cpu_time();
        for _ in 0..BYTES {
            eve.send_raw(b"x");
            // It is read on its own, because somebody else is answered first.
            alice.waiting();
        }
        let cost = server.cpu_time() - used;
        eve.send_raw(&vec![b'x'; 1_000_000]);
        cost
    };
    let (short, long) = (cost(), cost());
    assert!(
        long < short * 3 + Duration::from_millis(100),
        "{short:?} at the beginning of a line, {long:?} in the middle of a long one"
    );
}

#[test]
fn a_thousand_who_come_at_once_and_go_at_once_are_told_of_once_each() {
    const TASKS: usize = 4;
    let server = start(&["--hello-wait", "60000"]);
    let witnesses = Witnesses::call(&server);
    let come = |task| {
        let join = |n| {
            let mut client = server.connect();
            client.send(&json!({ "hello": { "name": format!("m-{task}-{n}") } }));
            client
        };
        (0..THOUSAND / TASKS).map(join).collect::<Vec<_>>()
    };
    let crowd: Vec<TestClient> = thread::scope(|scope| {
        let tasks = [0, 1, 2, 3].map(|task| scope.spawn(move || come(task)));
        tasks.into_iter().flat_map(|task| task.join().unwrap()).collect()
    });
    let mut testimony = witnesses.stop();
    let mut expected: Vec<String> = (0..TASKS)
        .flat_map(|task| (0..THOUSAND / TASKS).map(move |n| format!("m-{task}-{n}")))
        .collect();
    expected.sort();
    testimony.assert_present(&expected);
    let witnesses = testimony.go_on();
    drop(crowd);
    let mut came = witnesses.stop_when_alone(&server);
    came.sort();
    assert_eq!(came, expected);
}
