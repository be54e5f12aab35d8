//! One order for all: each member receives the same frames, with consecutive numbers.

use std::collections::BTreeMap;
use std::io::Write;
use std::thread;

use serde_json::Value;

use crate::common::{TestClient, TestServer, assert_consecutive, names, parse, seqs};

/// The lines of the room's sequence that one member received, unparsed, with their numbers.
#[derive(Default)]
struct Transcript(Vec<(u64, String)>);

impl Transcript {
    /// Reads and keeps lines up to one that matches.
    #[track_caller]
    fn record_until(&mut self, client: &mut TestClient, mut matches: impl FnMut(&Value) -> bool) {
        loop {
            let line = client.recv_line().expect("a line instead of the end of the stream");
            let frame = parse(&line);
            for seq in seqs(std::slice::from_ref(&frame)) {
                self.0.push((seq, line.clone()));
            }
            if matches(&frame) {
                return;
            }
        }
    }

    /// Checks that this is a part of `whole` without a hole.
    #[track_caller]
    fn assert_part_of(&self, whole: &Transcript) {
        let first = self.0.first().unwrap().0;
        let start = (first - whole.0.first().unwrap().0) as usize;
        assert_consecutive(&self.0.iter().map(|(seq, _)| *seq).collect::<Vec<_>>());
        for (own, other) in self.0.iter().zip(&whole.0[start..]) {
            assert_eq!(own, other);
        }
    }
}

fn is_the_end(frame: &Value) -> bool {
    frame["data_source"] == "alice" && frame["data"] == "the end"
}

#[test]
fn all_members_receive_the_same_sequence() {
    const TALKERS: usize = 8;
    const LINES: usize = 400;
    const VISITORS: usize = 4;
    const VISITS: usize = 25;

    let server = TestServer::start(&["--rate", "0", "--max-per-ip", "0"]);
    let mut alice = server.connect();
    alice.hello("alice");
    let talkers: Vec<TestClient> =
        (0..TALKERS).map(|n| server.join(&format!("talker-{n}"))).collect();

    let mut whole = Transcript::default();
    let parts: Vec<Transcript> = thread::scope(|scope| {
        let mut threads = Vec::new();
        for mut talker in talkers {
            let mut socket = talker.clone_socket();
            scope.spawn(move || {
                for line in 0..LINES {
                    socket.write_all(format!("{line}\n").as_bytes()).unwrap();
                }
                socket.write_all(b"done\n").unwrap();
            });
            threads.push(scope.spawn(move || {
                let mut transcript = Transcript::default();
                transcript.record_until(&mut talker, is_the_end);
                vec![transcript]
            }));
        }
        // Visitors join in the middle, send a line, and leave in one of three ways.
        for visitor in 0..VISITORS {
            let server = &server;
            threads.push(scope.spawn(move || {
                let visit = |n: usize| {
                    let mut client = server.connect();
                    let welcome = client.hello(&format!("visitor-{visitor}-{n}"));
                    let mut transcript = Transcript::default();
                    client.say("a visit");
                    transcript.record_until(&mut client, |frame| {
                        frame["kind"] == "chat" && frame["data_source"] == welcome["name"]
                    });
                    assert_eq!(Some(transcript.0[0].0 - 1), welcome["seq"].as_u64());
                    match n % 3 {
                        0 => client.say("/quit"),
                        1 => client.reset(),
                        _ => drop(client),
                    }
                    transcript
                };
                (0..VISITS).map(visit).collect()
            }));
        }
        let (mut done, mut left) = (0, 0);
        whole.record_until(&mut alice, |frame| {
            done += usize::from(frame["data"] == "done");
            left += names(frame, "leave").count();
            done == TALKERS && left == VISITORS * VISITS
        });
        alice.say("the end");
        whole.record_until(&mut alice, is_the_end);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });

    assert_eq!(whole.0[0].0, 1);
    whole.assert_part_of(&whole);
    assert_eq!(parts.len(), TALKERS + VISITORS * VISITS);
    for part in &parts {
        part.assert_part_of(&whole);
    }

    // Each line is there, in the order of its sender.
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut joined, mut left) = (0, 0);
    for (_, line) in &whole.0 {
        let frame = parse(line);
        joined += names(&frame, "join").count();
        left += names(&frame, "leave").count();
        if frame["kind"] == "chat" {
            let text = frame["data"].as_str().unwrap().to_owned();
            lines.entry(frame["data_source"].as_str().unwrap().to_owned()).or_default().push(text);
        }
    }
    assert_eq!((joined, left), (1 + TALKERS + VISITORS * VISITS, VISITORS * VISITS));
    let mut expected: Vec<String> = (0..LINES).map(|line| line.to_string()).collect();
    expected.push("done".into());
    for talker in 0..TALKERS {
        assert_eq!(lines[&format!("talker-{talker}")], expected);
    }
}

#[test]
fn answers_have_the_order_of_the_requests() {
    let server = TestServer::start(&["--rate", "0"]);
    let mut talkers: Vec<TestClient> =
        (0..4).map(|n| server.join(&format!("talker-{n}"))).collect();
    thread::scope(|scope| {
        for (n, talker) in talkers.iter_mut().enumerate() {
            scope.spawn(move || {
                let name = format!("talker-{n}");
                let mut lines = String::new();
                for n in 0..100 {
                    lines += &format!("{{\"data\":\"hello\",\"id\":\"{name} {n} a\"}}\n");
                    lines += &format!("{{\"data\":\"/help\",\"id\":\"{name} {n} b\"}}\n");
                    lines += &format!("{{\"data\":\"/dance\",\"id\":\"{name} {n} c\"}}\n");
                    lines += &format!("{{\"data\":\"/me acts\",\"id\":\"{name} {n} d\"}}\n");
                }
                talker.send_raw(lines.as_bytes());
                for n in 0..100 {
                    for (step, kind) in
                        [("a", "chat"), ("b", "info"), ("c", "error"), ("d", "action")]
                    {
                        let id = format!("{name} {n} {step}");
                        let is_own = |frame: &Value| {
                            frame["id"].as_str().is_some_and(|id| id.starts_with(&name))
                        };
                        let answer = talker.recv_until(is_own);
                        assert_eq!((&answer["id"], &answer["kind"]), (&id.into(), &kind.into()));
                    }
                }
            });
        }
    });
}
