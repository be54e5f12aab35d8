//! The history file: each line that a member received is still there after the server has ended.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use smolchat::server::{self, Listener, run};
use smolchat::store::{self, HistoryFile};

use crate::common::{
    TIMEOUT, TempDir, TestClient, TestServer, assert_consecutive, parse, run_server,
    run_server_with_prelude,
};

/// A client that sends a line whenever it has received its last one, and keeps all numbered lines
/// of all servers that it connected to.
#[derive(Default)]
struct ResumingClient {
    name: String,
    epoch: Value,
    token: Value,
    last: u64,
    received: BTreeMap<u64, String>,
    sent: usize,
}

impl ResumingClient {
    /// Returns the last line that it sent.
    fn text(&self) -> String {
        format!("{} sends {}", self.name, self.sent)
    }

    /// Connects, resumes if it can, and talks until the connection ends.
    fn run(&mut self, address: &str) {
        // The server may have ended already.
        let Ok(mut stream) = TcpStream::connect(address) else { return };
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
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
            // The last line of a killed server may be incomplete.
            let Ok(frame) = serde_json::from_str::<Value>(&line) else { return };
            let kind = frame["kind"].as_str().unwrap();
            match kind {
                "welcome" if self.epoch.is_null() => {
                    self.epoch = frame["epoch"].clone();
                    self.token = frame["token"].clone();
                    self.last = frame["seq"].as_u64().unwrap();
                }
                "welcome" => {
                    assert_eq!(frame["resumed"], true, "{line}");
                    self.token = frame["token"].clone();
                }
                "gap" => panic!("lines were lost: {line}"),
                _ => {}
            }
            if let Some(seq) = frame["seq"].as_u64().filter(|_| frame.get("time").is_some()) {
                assert_eq!(seq, self.last + 1, "{line}");
                self.last = seq;
                self.received.insert(seq, line);
            }
            if kind == "welcome" || frame["data"] == self.text().as_str() {
                self.sent += 1;
                if stream.write_all((self.text() + "\n").as_bytes()).is_err() {
                    return;
                }
            }
        }
    }
}

fn options(path: &Path) -> [&str; 4] {
    ["--rate", "0", "--history-file", path.to_str().unwrap()]
}

/// Returns the frames of a history file and of the older one, by number.
fn frames_in(path: &Path) -> BTreeMap<u64, String> {
    let older = path.with_extension("1");
    let both = [older, path.to_owned()].map(|path| fs::read_to_string(path).unwrap_or_default());
    let lines = both.iter().flat_map(|text| text.lines());
    let frames = lines.filter(|line| line.starts_with(r#"{"data_source""#));
    frames.map(|line| (parse(line)["seq"].as_u64().unwrap(), line.to_owned())).collect()
}

#[test]
fn received_lines_survive_a_hundred_kills() {
    let dir = TempDir::new();
    let path = dir.path("room");
    let mut clients = ["alice", "bob"]
        .map(|name| ResumingClient { name: name.into(), ..ResumingClient::default() });
    for round in 0..100 {
        // A client that finds the server killed misses a whole round.
        let history = ["--history", "100000", "--history-bytes", "16M"];
        let mut server = TestServer::start(&[&options(&path)[..], &history].concat());
        let address = server.address(0).to_owned();
        thread::scope(|scope| {
            for client in &mut clients {
                let address = &address;
                scope.spawn(move || client.run(address));
            }
            // At another moment of the first 40 ms in each round.
            let delay = 1_000 + round * 7_919 % 39_000;
            thread::sleep(Duration::from_micros(delay));
            server.kill();
        });
    }
    let stored = frames_in(&path);
    for client in &clients {
        assert!(client.received.len() > 100, "{} lines of {}", client.received.len(), client.name);
        for (seq, line) in &client.received {
            assert_eq!(stored.get(seq), Some(line));
        }
    }
    assert_consecutive(&stored.keys().copied().collect::<Vec<u64>>());
}

#[test]
fn restart_continues_epoch_and_sequence() {
    let dir = TempDir::new();
    let path = dir.path("room");
    let mut server = TestServer::start(&options(&path));
    let mut alice = server.connect();
    let first = alice.hello("alice");
    assert_eq!(first["limits"]["stored"], true);
    assert!(first["data"].as_str().unwrap().contains("written to a file"));
    let chat = alice.say_and_recv("hello");
    server.stop();

    let server = TestServer::start(&options(&path));
    let mut bob = server.connect();
    bob.send_json(&json!({ "hello": { "name": "bob", "history": 1 } }));
    let second = bob.recv_kind("welcome");
    assert_eq!((&second["epoch"], &second["seq"]), (&first["epoch"], &chat["seq"]));
    assert_eq!(bob.recv(), chat);
}

#[test]
fn unusable_history_file_is_one_line_of_error() {
    let dir = TempDir::new();
    let letter = dir.path("letter");
    fs::write(&letter, "dear bob,\n").unwrap();
    let path = dir.path("room");
    let _server = TestServer::start(&options(&path));
    for (path, cause) in [(&letter, "not"), (&path, "use"), (&dir.path("no/room"), "No such")] {
        let output = run_server(&["--listen", "127.0.0.1:0", options(path)[2], options(path)[3]]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(path.to_str().unwrap()) && error.contains(cause), "{error}");
    }
    assert_eq!(fs::read_to_string(&letter).unwrap(), "dear bob,\n");
}

#[test]
fn full_disk_sends_one_notice_and_room_continues() {
    let dir = TempDir::new();
    let path = dir.path("room");
    // The limit is eight blocks of 512 or 1024 bytes; without the signal, more is a write error.
    let server = TestServer::start_with_prelude("trap '' XFSZ; ulimit -f 8", &options(&path));
    let mut alice = server.join("alice");
    let text = "x".repeat(1000);
    let is_notice = |frame: &Value| usize::from(frame["kind"] == "info");
    let mut notices = 0;
    for n in 0..40 {
        alice.say(&format!("{n} {text}"));
        alice.recv_until(|frame| {
            notices += is_notice(frame);
            frame["kind"] == "chat"
        });
    }
    notices += alice.pending().iter().map(is_notice).sum::<usize>();
    assert_eq!(notices, 1);
    server.wait_for_log(&["without its history file"]);
}

/// Returns a prelude that gives the server the environment of the systemd unit and its view of
/// /proc. `boot_id` is the boot id that systemd knows.
fn unit_prelude(boot_id: &str) -> String {
    let mut environment = String::new();
    let mut mount_options = Vec::new();
    for line in include_str!("../../deploy/smolchatd.service").lines() {
        match line.split_once('=').unwrap_or_default() {
            ("Environment", setting) => {
                environment += &format!("export {}; ", setting.replace("%b", boot_id));
            }
            ("ProcSubset", subset) => mount_options.push(format!("subset={subset}")),
            ("ProtectProc", access) => mount_options.push(format!("hidepid={access}")),
            _ => {}
        }
    }
    let mount = format!("mount -t proc -o {} proc /proc", mount_options.join(","));
    format!(r#"{environment} exec unshare --mount sh -ec '{mount}; exec "$0" "$@"' "$0" "$@""#)
}

#[test]
fn kill_under_systemd_unit_keeps_epoch() {
    let trial = run_server_with_prelude(&unit_prelude(""), Stdio::null(), &["--version"]);
    if !trial.status.success() {
        eprintln!("skipped: {}", String::from_utf8_lossy(&trial.stderr).trim());
        return;
    }
    let dir = TempDir::new();
    let path = dir.path("room");
    // Starts a server on this boot, says a line and kills the server. Returns the epoch.
    let run = |boot_id: &str, log: &[&str]| {
        let mut server = TestServer::start_with_prelude(&unit_prelude(boot_id), &options(&path));
        if !log.is_empty() {
            server.wait_for_log(log);
        }
        let mut alice = server.connect();
        let epoch = alice.hello("alice")["epoch"].as_str().unwrap().to_owned();
        alice.say_and_recv("hello");
        server.kill();
        epoch
    };
    let boots = ["8f2a1c3e00004000800000000000000d", "8f2a1c3e00004000800000000000000e"];
    let first = run(boots[0], &[]);
    assert_eq!(run(boots[0], &[]), first);
    assert_ne!(run(boots[1], &[]), first);
    // No epoch continues with a value that is not a boot id.
    for malformed in ["", "fixed"] {
        let log = ["clients cannot resume after a crash", "expected 32 hexadecimal digits"];
        assert_ne!(run(malformed, &log), run(malformed, &log));
    }
}

/// Returns a prelude that delays each sync of the server to disk, or nothing if this is not
/// possible here.
fn slow_sync_prelude(delay: Duration) -> Option<String> {
    let prelude = format!(
        r#"exec strace -D -f -qq -o /dev/null -e trace=fdatasync,fsync \
            -e inject=fdatasync,fsync:delay_enter={} "$0" "$@""#,
        delay.as_micros()
    );
    let trial = run_server_with_prelude(&prelude, Stdio::null(), &["--version"]);
    if !trial.status.success() {
        eprintln!("skipped: {}", String::from_utf8_lossy(&trial.stderr).trim());
    }
    trial.status.success().then_some(prelude)
}

#[test]
#[ignore = "slow, see `make test-slow`"]
fn disk_with_slow_syncs_keeps_epoch_in_a_flood() {
    const DELAY: Duration = Duration::from_secs(2);
    let Some(prelude) = slow_sync_prelude(DELAY) else { return };
    let dir = TempDir::new();
    let path = dir.path("room");
    // Large enough for two files in this time.
    let options = [&options(&path)[..], &["--history-file-max", "2M"]].concat();
    let mut server = TestServer::start_with_prelude(&prelude, &options);
    let mut alice = server.connect();
    let epoch = alice.hello("alice")["epoch"].clone();
    let text = "x".repeat(1000);
    let start = Instant::now();
    let mut last = Value::Null;
    let mut quick = 0;
    while start.elapsed() < 5 * DELAY {
        let round = Instant::now();
        for _ in 0..10 {
            alice.say(&text);
        }
        for _ in 0..10 {
            last = alice.recv_until(|frame| {
                assert_ne!(frame["kind"], "info", "{frame}");
                frame["kind"] == "chat"
            });
        }
        quick += usize::from(round.elapsed() < DELAY / 2);
    }
    // Deliveries do not wait for the syncs.
    assert!(quick > 50, "{quick} rounds");
    server.kill();

    let server = TestServer::start(&options);
    let mut bob = server.connect();
    bob.send_json(&json!({ "hello": { "name": "bob", "history": 1 } }));
    let welcome = bob.recv_kind("welcome");
    assert_eq!((&welcome["epoch"], &welcome["seq"]), (&epoch, &last["seq"]));
    assert_eq!(bob.recv(), last);
}

#[test]
#[ignore = "slow, see `make test-slow`"]
fn sync_that_hangs_is_told_after_ten_seconds() {
    static HANGS: AtomicBool = AtomicBool::new(false);
    let sync_file = |_: &File| {
        while HANGS.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    };
    let dir = TempDir::new();
    let options = store::Options { sync_file, ..store::Options::default() };
    let mut config = server::Config::default();
    let opened = HistoryFile::open(&dir.path("room"), options, || Ok("first".into()));
    config.history = Some(opened.unwrap());
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), config.buffers).unwrap();
    let address = listener.to_string();
    thread::spawn(|| smol::block_on(run(vec![listener], config, futures_lite::stream::pending())));

    let mut alice = TestClient::connect(&address);
    alice.hello("alice");
    HANGS.store(true, Ordering::Relaxed);
    alice.say_and_recv("hello");
    let start = Instant::now();
    // No other line is said, so nothing but the sync shows that the disk hangs.
    let notice = alice.recv_kind("info");
    assert!(notice["data"].as_str().unwrap().contains("cannot be written"), "{notice}");
    assert!(start.elapsed() >= Duration::from_secs(9), "{:?}", start.elapsed());
    HANGS.store(false, Ordering::Relaxed);
    alice.say_and_recv("the room continues");
}
