//! One order for all: whoever is in the room sees the same frames, with consecutive numbers.

use std::collections::BTreeMap;
use std::io::Write;
use std::thread;

use crate::common::{TestClient, TestServer, assert_consecutive, names, parse, seqs};
use serde_json::Value;

/// The room's sequence as one member saw it: its lines, unread, with their numbers.
#[derive(Default)]
struct Record(Vec<(u64, String)>);

impl Record {
    /// Reads on until a frame for which it is so, which is the last that is recorded.
    #[track_caller]
    fn until(&mut self, client: &mut TestClient, mut is_so: impl FnMut(&Value) -> bool) {
        loop {
            let line = client.line().expect("a line, but this is the end of the stream");
            let frame = parse(&line);
            for seq in seqs(std::slice::from_ref(&frame)) {
                self.0.push((seq, line.clone()));
            }
            if is_so(&frame) {
                return;
            }
        }
    }

    /// What was recorded is a part of `whole` without a hole.
    #[track_caller]
    fn assert_part_of(&self, whole: &Record) {
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
fn everybody_sees_the_same_frames_in_the_same_order() {
    const TALKERS: usize = 8;
    const LINES: usize = 400;
    const PASSERS: usize = 4;
    const VISITS: usize = 25;

    let server = TestServer::start(&["--rate", "0", "--max-per-ip", "0"]);
    let mut alice = server.connect();
    alice.hello("alice");
    let talkers: Vec<TestClient> =
        (0..TALKERS).map(|n| server.join(&format!("talker-{n}"))).collect();

    let mut whole = Record::default();
    let parts: Vec<Record> = thread::scope(|scope| {
        let mut tasks = Vec::new();
        for mut talker in talkers {
            let mut writer = talker.writer();
            scope.spawn(move || {
                for line in 0..LINES {
                    writer.write_all(format!("{line}\n").as_bytes()).unwrap();
                }
                writer.write_all(b"done\n").unwrap();
            });
            tasks.push(scope.spawn(move || {
                let mut record = Record::default();
                record.until(&mut talker, is_the_end);
                vec![record]
            }));
        }
        // Others come in the middle of it, hear a little, say a word, and go in one of three ways.
        for passer in 0..PASSERS {
            let server = &server;
            tasks.push(scope.spawn(move || {
                let visit = |n: usize| {
                    let mut client = server.connect();
                    let welcome = client.hello(&format!("passer-{passer}-{n}"));
                    let mut record = Record::default();
                    client.say("passing by");
                    record.until(&mut client, |frame| {
                        frame["kind"] == "chat" && frame["data_source"] == welcome["name"]
                    });
                    assert_eq!(Some(record.0[0].0 - 1), welcome["seq"].as_u64());
                    match n % 3 {
                        0 => client.say("/quit"),
                        1 => client.break_off(),
                        _ => drop(client),
                    }
                    record
                };
                (0..VISITS).map(visit).collect()
            }));
        }
        let (mut done, mut gone) = (0, 0);
        whole.until(&mut alice, |frame| {
            done += usize::from(frame["data"] == "done");
            gone += names(frame, "leave").count();
            done == TALKERS && gone == PASSERS * VISITS
        });
        alice.say("the end");
        whole.until(&mut alice, is_the_end);
        tasks.into_iter().flat_map(|task| task.join().unwrap()).collect()
    });

    assert_eq!(whole.0[0].0, 1);
    whole.assert_part_of(&whole);
    assert_eq!(parts.len(), TALKERS + PASSERS * VISITS);
    for part in &parts {
        part.assert_part_of(&whole);
    }

    // All that was said is there, and what each one said in the order in which it said it.
    let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut came, mut went) = (0, 0);
    for (_, line) in &whole.0 {
        let frame = parse(line);
        came += names(&frame, "join").count();
        went += names(&frame, "leave").count();
        if frame["kind"] == "chat" {
            let text = frame["data"].as_str().unwrap().to_owned();
            said.entry(frame["data_source"].as_str().unwrap().to_owned()).or_default().push(text);
        }
    }
    assert_eq!((came, went), (1 + TALKERS + PASSERS * VISITS, PASSERS * VISITS));
    let mut expected: Vec<String> = (0..LINES).map(|line| line.to_string()).collect();
    expected.push("done".into());
    for talker in 0..TALKERS {
        assert_eq!(said[&format!("talker-{talker}")], expected);
    }
}

#[test]
fn what_i_do_is_answered_in_the_order_in_which_i_did_it() {
    let server = TestServer::start(&["--rate", "0"]);
    let mut talkers: Vec<TestClient> =
        (0..4).map(|n| server.join(&format!("talker-{n}"))).collect();
    thread::scope(|scope| {
        for (n, talker) in talkers.iter_mut().enumerate() {
            scope.spawn(move || {
                let name = format!("talker-{n}");
                let mut lines = String::new();
                for n in 0..100 {
                    lines += &format!("{{\"data\":\"said\",\"id\":\"{name} {n} a\"}}\n");
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
                        let own = |frame: &Value| {
                            frame["id"].as_str().is_some_and(|id| id.starts_with(&name))
                        };
                        let answer = talker.until(own);
                        assert_eq!((&answer["id"], &answer["kind"]), (&id.into(), &kind.into()));
                    }
                }
            });
        }
    });
}
