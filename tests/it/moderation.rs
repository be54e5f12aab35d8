//! Operators: their commands, the effects of these, and the lines in the log and the ban file.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::{TempDir, TestClient, TestServer, assert_has, run_server, wait_until};
use crate::password::write_secret;

const SECRET: &str = "0123456789abcdef";

/// A server with a file of operators, a ban file and a unix socket, and the operator root on that.
struct Moderated {
    dir: TempDir,
    server: TestServer,
    root: TestClient,
}

impl Moderated {
    fn start() -> Self {
        let dir = TempDir::new();
        let operators = write_secret(&dir, "operators", &format!("# people\nops {SECRET}\n"));
        let bans = dir.path("bans").into_os_string().into_string().unwrap();
        let unix = dir.unix_address("socket");
        let options = ["--operators", &operators, "--ban-file", &bans, "--listen", &unix];
        let server = TestServer::start_with_prelude(r#"exec setsid "$0" "$@""#, &options);
        let root = server.join_at(1, "root");
        Moderated { dir, server, root }
    }

    fn join_from(&self, ip: &str, name: &str) -> TestClient {
        let mut client = self.connect_from(ip);
        client.hello(name);
        client
    }

    fn connect_from(&self, ip: &str) -> TestClient {
        TestClient::connect_from(ip, 0, self.server.address(0)).expect("a connection")
    }

    /// Sends a command as root, and returns the frame that answers it.
    fn command(&mut self, line: &str) -> Value {
        self.root.send_json(&json!({"data": line, "id": "command"}));
        self.root.recv_until(|frame| frame["id"] == "command")
    }

    fn bans(&self) -> String {
        fs::read_to_string(self.dir.path("bans")).unwrap_or_default()
    }
}

#[test]
fn banned_address_cannot_return_under_another_name() {
    let mut room = Moderated::start();
    let mut alice = room.join_from("127.0.5.1", "alice");
    let mut bob = room.join_from("127.0.5.2", "bob");
    room.command("/ban alice 1h spam");
    alice.recv_kind("bye");
    for name in ["alice", "carol", "bob"] {
        let mut client = room.connect_from("127.0.5.1");
        let _ = client.try_send_raw(format!("/nick {name}\n").as_bytes());
        let bye = client.recv();
        assert_has(&bye, json!({"code": "banned", "data": "your address is banned: spam"}));
    }
    let info = bob.recv_kind("info");
    assert_has(&info, json!({"data": "root banned alice: spam", "seq": 4}));
    assert!(room.bans().contains("ban 127.0.5.1 20"), "{}", room.bans());
    room.server.wait_for_log(&["warn audit: local (root unix) banned alice: ban 127.0.5.1 2"]);
}

#[test]
fn muted_member_cannot_speak_in_any_way() {
    let mut room = Moderated::start();
    let mut alice = room.join_from("127.0.5.1", "alice");
    let mut bob = room.join_from("127.0.5.2", "bob");
    room.command("/mute alice");
    for line in ["one", "/me two", "/msg bob three", "/nick four"] {
        alice.say(line);
        alice.recv_until(|frame| frame["code"] == "muted");
    }
    let mut again = room.join_from("127.0.5.1", "dave");
    again.say("five");
    again.recv_until(|frame| frame["code"] == "muted");
    let seen = bob.pending();
    assert!(seen.iter().all(|frame| frame["data_source"] == "server"), "{seen:?}");
}

#[test]
fn reason_cannot_forge_lines_or_commands() {
    let mut room = Moderated::start();
    let _alice = room.join_from("127.0.5.1", "alice");
    let mut bob = room.join_from("127.0.5.2", "bob");
    let reason = "x\nban 127.0.5.2 - root\r\ntopic owned\u{1b}[2J\u{2028}\u{202e}";
    room.command(&format!("/ban alice 1h {reason}"));
    let info = bob.recv_kind("info");
    let expected = "root banned alice: x ban 127.0.5.2 - root  topic owned [2J";
    assert_has(&info, json!({"data": expected}));
    let bans = room.bans();
    let lines = bans.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(lines.count(), 1, "{bans}");
    room.server.signal(Signal::HUP);
    room.server.wait_for_log(&["SIGHUP: reading"]);
    bob.say_and_recv("still here");
    let log = room.server.log();
    assert!(!log.contains('\u{1b}') && !log.contains("left out"), "{log}");
}

#[test]
fn operator_by_secret_is_revoked_with_its_line() {
    let room = Moderated::start();
    let mut alice = room.join_from("127.0.5.1", "alice");
    alice.say("/op wrong-wrong-wrong");
    alice.recv_until(|frame| frame["code"] == "wrong-password");
    alice.say("/bans");
    alice.recv_until(|frame| frame["code"] == "not-operator");
    alice.say(&format!("/op {SECRET}"));
    assert_has(&alice.recv(), json!({"data": "you are an operator (ops)"}));
    alice.say("/topic mine");
    assert_has(&alice.recv_kind("info"), json!({"topic": "mine"}));
    write_secret(&room.dir, "operators", "ops another-secret-of-ops\n");
    room.server.signal(Signal::HUP);
    assert_has(&alice.recv(), json!({"data": "you are not an operator any more"}));
    for line in ["/topic theirs", "/ban root", &format!("/op {SECRET}")] {
        alice.say(line);
        assert_has(&alice.recv(), json!({"kind": "error"}));
    }
    let log = room.server.log();
    assert!(log.contains("audit: ops (alice 127.0.5.1:"), "{log}");
    assert!(!log.contains(SECRET) && !log.contains("wrong-wrong"), "{log}");
}

#[test]
fn secret_without_operators_is_not_counted_as_guess() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    for _ in 0..6 {
        alice.say("/op guess");
        assert_eq!(alice.recv_kind("error")["code"], "not-operator");
    }
    server.join("bob");
}

#[test]
fn guessing_a_secret_closes_the_address() {
    let room = Moderated::start();
    let mut alice = room.join_from("127.0.5.1", "alice");
    for n in 0..5 {
        alice.say(&format!("/op guess-{n}"));
        alice.recv_until(|frame| frame["code"] == "wrong-password");
    }
    room.server.wait_for_log(&["warn alice 127.0.5.1:", ": the secret is wrong"]);
    alice.say(&format!("/op {SECRET}"));
    alice.recv_until(|frame| frame["code"] == "too-many-tries");
    room.connect_from("127.0.5.1").expect_bye("password");
    room.join_from("127.0.5.2", "bob");
}

#[test]
fn ban_file_survives_restart_and_is_read_again() {
    let mut room = Moderated::start();
    room.command("/ban 127.0.5.0/24 1h");
    room.command("/topic be kind");
    room.server.stop();
    let bans = room.dir.path("bans").into_os_string().into_string().unwrap();
    let server = TestServer::start_with_prelude(r#"exec setsid "$0" "$@""#, &["--ban-file", &bans]);
    let connect = || TestClient::connect_from("127.0.5.9", 0, server.address(0)).unwrap();
    connect().expect_bye("banned");
    let mut alice = server.connect();
    assert_has(&alice.hello("alice"), json!({"topic": "be kind"}));
    fs::write(&bans, "topic changed\nnonsense\n").unwrap();
    server.signal(Signal::HUP);
    server.wait_for_log(&["line 2 is invalid; the next write removes it"]);
    wait_until("the ban is gone", || {
        let mut client = connect();
        client.send_hello("bob");
        client.recv()["kind"] == "welcome"
    });
}

#[test]
fn unreadable_ban_file_ends_the_start() {
    let dir = TempDir::new();
    let path = dir.path("bans");
    fs::write(&path, b"topic caf\xe9\n").unwrap();
    let output = run_server(&["--listen", "0", "--ban-file", path.to_str().unwrap()]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("cannot read --ban-file") && error.contains("UTF-8"), "{error}");
}

#[test]
fn ban_file_that_cannot_be_written_ends_the_start() {
    let dir = TempDir::new();
    fs::write(dir.path("file"), "").unwrap();
    fs::create_dir_all(dir.path("bans.new")).unwrap();
    for path in ["missing/bans", "file/bans", "bans"].map(|path| dir.path(path)) {
        let path = path.to_str().unwrap();
        let output = run_server(&["--listen", "0", "--ban-file", path]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("--ban-file") && error.contains(path), "{error}");
    }
    assert_eq!(fs::read_dir(dir.path("bans.new")).unwrap().count(), 0);
}

#[test]
fn raid_is_answered_with_a_lock() {
    let mut room = Moderated::start();
    let mut alice = room.connect_from("127.0.5.1");
    alice.send_json(&json!({"hello": {"name": "alice", "keep": true}}));
    let token = alice.recv()["token"].clone();
    room.command("/lock 10m");
    let raid = (0..16).map(|host| room.connect_from(&format!("127.0.6.{}", host + 1)));
    for mut client in raid.collect::<Vec<_>>() {
        client.send_hello("raider");
        client.expect_bye("locked");
    }
    alice.reset();
    let mut alice = room.connect_from("127.0.5.3");
    alice.send_json(&json!({"hello": {"token": token}}));
    assert_has(&alice.recv(), json!({"kind": "welcome", "name": "alice"}));
    room.command("/lock off");
    room.join_from("127.0.6.1", "raider");
}
