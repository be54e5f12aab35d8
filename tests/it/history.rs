//! A room that is kept in a file: what anybody was shown survives the server.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::common::{PATIENCE, Scratch, TestServer, parse, run_to_end};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A client that talks as fast as it is answered, until its server is gone, and remembers every
/// numbered line that it was ever shown.
#[derive(Default)]
struct Witness {
    name: String,
    epoch: Value,
    token: Value,
    last: u64,
    shown: BTreeMap<u64, String>,
    said: usize,
}

impl Witness {
    fn visit(&mut self, address: &str) {
        // The server may be gone already.
        let Ok(mut stream) = TcpStream::connect(address) else { return };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let hello = if self.epoch.is_null() {
            json!({ "name": self.name, "keep": true })
        } else {
            json!({ "name": self.name, "epoch": self.epoch, "after": self.last, "token": self.token })
        };
        let mut lines = BufReader::new(stream.try_clone().unwrap()).split(b'\n');
        if stream.write_all(format!("{}\n", json!({ "hello": hello })).as_bytes()).is_err() {
            return;
        }
        while let Some(Ok(line)) = lines.next() {
            let line = String::from_utf8(line).unwrap();
            // The last line of a server that was killed may be cut.
            let Ok(frame) = serde_json::from_str::<Value>(&line) else { return };
            match frame["kind"].as_str().unwrap() {
                "welcome" if self.epoch.is_null() => {
                    self.epoch = frame["epoch"].clone();
                    self.token = frame["token"].clone();
                    self.last = frame["seq"].as_u64().unwrap();
                }
                "welcome" => {
                    assert_eq!(frame["resumed"], true, "{line}");
                    self.token = frame["token"].clone();
                }
                "gap" => panic!("nothing may be gone: {line}"),
                _ => {}
            }
            let Some(seq) = frame["seq"].as_u64().filter(|_| frame.get("time").is_some()) else {
                continue;
            };
            assert_eq!(seq, self.last + 1, "{line}");
            self.last = seq;
            self.shown.insert(seq, line);
            self.said += 1;
            let line = format!("{} says {}\n", self.name, self.said);
            if stream.write_all(line.as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn options(path: &Path) -> [&str; 4] {
    ["--rate", "0", "--history-file", path.to_str().unwrap()]
}

/// The frames in a history file and the one before it, by number.
fn frames_in(path: &Path) -> BTreeMap<u64, String> {
    let older = path.with_extension("1");
    let both = [older, path.to_owned()].map(|path| fs::read_to_string(path).unwrap_or_default());
    let lines = both.iter().flat_map(|text| text.lines());
    let frames = lines.filter(|line| line.starts_with(r#"{"data_source""#));
    frames.map(|line| (parse(line)["seq"].as_u64().unwrap(), line.to_owned())).collect()
}

#[test]
fn what_anybody_was_shown_survives_a_hundred_kills() {
    let scratch = Scratch::new();
    let path = scratch.path("room");
    let mut witnesses =
        ["alice", "bob"].map(|name| Witness { name: name.into(), ..Witness::default() });
    for round in 0..100 {
        // Who finds the server gone already misses a whole round, so more is kept than one.
        let keep = ["--history", "100000", "--history-bytes", "16M"];
        let mut server = TestServer::start(&[&options(&path)[..], &keep].concat());
        let address = server.address(0).to_owned();
        thread::scope(|scope| {
            for witness in &mut witnesses {
                let address = &address;
                scope.spawn(move || witness.visit(address));
            }
            // When the axe falls is what this is about: somewhere in the first 40 ms.
            let delay = 1_000 + round * 7_919 % 39_000;
            thread::sleep(Duration::from_micros(delay));
            server.signal(Signal::KILL);
            server.wait(PATIENCE);
        });
    }
    let kept = frames_in(&path);
    for witness in &witnesses {
        assert!(witness.shown.len() > 100, "{} was shown {}", witness.name, witness.shown.len());
        for (seq, line) in &witness.shown {
            assert_eq!(kept.get(seq), Some(line));
        }
    }
    let numbers: Vec<u64> = kept.keys().copied().collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
fn history_and_sequence_go_on_after_a_clean_end_and_members_are_told_that_they_are_kept() {
    let scratch = Scratch::new();
    let path = scratch.path("room");
    let mut server = TestServer::start(&options(&path));
    let mut alice = server.connect();
    let first = alice.hello("alice");
    assert_eq!(first["limits"]["stored"], true);
    assert!(first["data"].as_str().unwrap().contains("kept in a file"));
    alice.say("remember me");
    let said = alice.recv_kind("chat");
    server.signal(Signal::TERM);
    assert_eq!(server.wait(PATIENCE).code(), Some(0));

    let server = TestServer::start(&options(&path));
    let mut bob = server.connect();
    bob.send(&json!({ "hello": { "name": "bob", "history": 1 } }));
    let second = bob.recv_kind("welcome");
    assert_eq!((&second["epoch"], &second["seq"]), (&first["epoch"], &said["seq"]));
    assert_eq!(bob.recv(), said);
}

#[test]
fn a_file_that_ends_in_the_middle_of_a_line_is_cut_there_and_the_server_starts() {
    let scratch = Scratch::new();
    let path = scratch.path("room");
    let server = TestServer::start(&options(&path));
    let mut alice = server.join("alice");
    for n in 0..20 {
        alice.say(&format!("line {n}"));
        alice.recv_kind("chat");
    }
    server.signal(Signal::KILL);
    drop(server);
    let whole = fs::read(&path).unwrap();
    for cut in (whole.len() - 300..whole.len()).step_by(23) {
        fs::write(&path, &whole[..cut]).unwrap();
        let frames = whole[..cut].split_inclusive(|&b| b == b'\n');
        let mut frames =
            frames.filter(|line| line.ends_with(b"\n") && !line.starts_with(b"{\"smol"));
        let last = parse(std::str::from_utf8(frames.next_back().unwrap()).unwrap().trim());
        let server = TestServer::start(&options(&path));
        assert_eq!(server.connect().hello("bob")["seq"], last["seq"], "cut at {cut}");
    }
}

#[test]
fn a_file_that_is_not_ours_or_is_in_use_is_one_clear_error() {
    let scratch = Scratch::new();
    let foreign = scratch.path("letter");
    fs::write(&foreign, "dear bob,\n").unwrap();
    let path = scratch.path("room");
    let _server = TestServer::start(&options(&path));
    for (path, why) in [(&foreign, "not"), (&path, "use"), (&scratch.path("no/room"), "No such")] {
        let ended = run_to_end(&["--listen", "127.0.0.1:0", options(path)[2], options(path)[3]]);
        let error = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(path.to_str().unwrap()) && error.contains(why), "{error}");
    }
    assert_eq!(fs::read_to_string(&foreign).unwrap(), "dear bob,\n");
}

#[test]
fn a_disk_that_is_full_does_not_stop_the_room_and_members_are_told_once() {
    let scratch = Scratch::new();
    let path = scratch.path("room");
    // A file may have eight blocks of 512 or 1024 bytes, and what is beyond is an error.
    let server = TestServer::start_after("trap '' XFSZ; ulimit -f 8", &options(&path));
    let mut alice = server.join("alice");
    let text = "x".repeat(1000);
    let mut told = 0;
    for n in 0..40 {
        alice.say(&format!("{n} {text}"));
        alice.until(|frame| {
            told += usize::from(frame["kind"] == "info");
            frame["kind"] == "chat"
        });
    }
    told += alice.waiting().iter().filter(|frame| frame["kind"] == "info").count();
    assert_eq!(told, 1);
    server.logged(&["without its history file"]);
}
