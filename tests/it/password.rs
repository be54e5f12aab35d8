//! The password of the room, and guessing it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::common::{TempDir, TestClient, TestServer, assert_has, run_server, wait_until};

const PASSWORD: &str = "correct horse battery";

/// Writes a file that only its owner can read, and returns its path.
pub fn write_secret(dir: &TempDir, name: &str, text: &str) -> String {
    let path = dir.path(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.into_os_string().into_string().unwrap()
}

/// Starts a server with a password and other options, without a controlling terminal.
fn start(dir: &TempDir, options: &[&str]) -> TestServer {
    let path = write_secret(dir, "password", &format!("{PASSWORD}\n"));
    let options = [&["--password-file", &path], options].concat();
    TestServer::start_with_prelude(r#"exec setsid "$0" "$@""#, &options)
}

fn connect_from(ip: &str, server: &TestServer) -> TestClient {
    TestClient::connect_from(ip, 0, server.address(0)).expect("a connection")
}

fn expect_error(client: &mut TestClient, code: &str) {
    assert_has(&client.recv(), json!({"kind": "error", "code": code}));
}

fn join_with_password(server: &TestServer, name: &str) -> TestClient {
    let mut client = server.connect();
    client.send_json(&json!({"hello": {"name": name, "password": PASSWORD}}));
    assert_has(&client.recv(), json!({"kind": "welcome", "name": name}));
    client
}

#[test]
fn outsider_learns_nothing_without_the_password() {
    let dir = TempDir::new();
    let server = start(&dir, &[]);
    let mut alice = join_with_password(&server, "alice");
    alice.say_and_recv("a secret plan");
    let mut outsider = server.connect();
    expect_error(&mut outsider, "password-required");
    for line in ["hello", "/who", "/stats", "/history 9", "/nick x", "/msg alice hi", "/topic"] {
        outsider.say(line);
        expect_error(&mut outsider, "password-required");
    }
    outsider.send_json(&json!({"hello": {"name": "eve", "history": 9, "epoch": "x", "after": 0}}));
    expect_error(&mut outsider, "password-required");
    outsider.shutdown_write();
    outsider.expect_bye("quit");
    alice.say("/who");
    let frame = alice.recv();
    assert_has(&frame, json!({"kind": "who", "names": ["alice"]}));
}

#[test]
fn password_is_taken_from_line_and_from_hello() {
    let dir = TempDir::new();
    let unix = dir.unix_address("socket");
    let server = start(&dir, &["--listen", &unix]);
    let mut nc = server.connect();
    nc.say(&format!("/pass {PASSWORD}"));
    assert_has(&nc.recv(), json!({"kind": "welcome"}));
    let mut bob = TestClient::connect(&unix);
    bob.say(&format!("/pass {PASSWORD}"));
    bob.send_json(&json!({"hello": {"name": "bob"}}));
    assert_has(&bob.recv(), json!({"kind": "welcome", "name": "bob"}));
    // Another try on the same connection, and more lines in the same packet.
    let mut carol = server.connect();
    let hello = |password| json!({"hello": {"name": "carol", "password": password}, "id": "1"});
    let lines = [hello("wrong"), hello(PASSWORD), json!({"data": "hi"})];
    carol.send_raw(lines.map(|line| format!("{line}\n")).concat().as_bytes());
    assert_has(&carol.recv(), json!({"kind": "error", "code": "wrong-password", "id": "1"}));
    assert_has(&carol.recv(), json!({"kind": "welcome", "name": "carol"}));
    carol.recv_until(|frame| frame["data"] == "hi");
}

#[test]
fn lines_before_the_password_are_short() {
    let dir = TempDir::new();
    let server = start(&dir, &[]);
    let mut client = server.connect();
    client.say(&"x".repeat(513));
    expect_error(&mut client, "too-long");
    client.say(&format!("/pass {PASSWORD}"));
    client.say(&"x".repeat(4000));
    client.recv_until(|frame| frame["data"] == "x".repeat(4000));
}

#[test]
fn guessing_closes_the_address_alone() {
    let dir = TempDir::new();
    let server = start(&dir, &["--address-rate", "0", "--address-bytes", "0"]);
    let mut tries = 0;
    while tries < 5 {
        let mut guesser = connect_from("127.0.3.1", &server);
        (0..3).for_each(|n| guesser.say(&format!("/pass guess-{tries}-{n}")));
        let frames = guesser.recv_rest();
        tries += frames.iter().filter(|frame| frame["code"] == "wrong-password").count();
        assert_has(frames.last().unwrap(), json!({"kind": "bye", "code": "password"}));
    }
    assert_eq!(tries, 5);
    // Not even the right password is compared.
    let mut guesser = connect_from("127.0.3.1", &server);
    guesser.say(&format!("/pass {PASSWORD}"));
    let bye = guesser.expect_bye("password");
    assert!(bye["data"].as_str().unwrap().contains("try again in"), "{bye}");
    join_with_password(&server, "alice");
    let log = server.log();
    assert!(!log.contains("guess-") && !log.contains(PASSWORD), "{log}");
}

#[test]
fn raid_without_password_does_not_keep_members_out() {
    let dir = TempDir::new();
    let server = start(&dir, &["--max-clients", "20"]);
    let raid = (0..16).flat_map(|host| {
        let ip = format!("127.0.4.{}", host + 1);
        (0..64).map(|_| connect_from(&ip, &server)).collect::<Vec<TestClient>>()
    });
    let raid: Vec<TestClient> = raid.collect();
    let members: Vec<_> = (0..20).map(|n| join_with_password(&server, &format!("m{n}"))).collect();
    // The listener, the reactor and the standard files.
    let most = 20 + 16 + 24;
    wait_until("the raid is dropped", || server.fd_count() <= most);
    drop((raid, members));
}

#[test]
fn silent_client_is_closed_after_10_seconds() {
    let dir = TempDir::new();
    let server = start(&dir, &[]);
    let start = std::time::Instant::now();
    let mut client = server.connect();
    expect_error(&mut client, "password-required");
    client.expect_bye("password");
    assert!(start.elapsed() >= Duration::from_millis(9900));
}

#[test]
fn password_is_read_again_on_hangup() {
    let dir = TempDir::new();
    let server = start(&dir, &[]);
    write_secret(&dir, "password", "another password\n");
    server.signal(Signal::HUP);
    server.wait_for_log(&["SIGHUP: reading"]);
    let mut client = server.connect();
    client.say(&format!("/pass {PASSWORD}"));
    expect_error(&mut client, "wrong-password");
    client.say("/pass another password");
    assert_has(&client.recv(), json!({"kind": "welcome"}));
    // A file that is not valid changes nothing.
    fs::set_permissions(dir.path("password"), fs::Permissions::from_mode(0o604)).unwrap();
    server.signal(Signal::HUP);
    server.wait_for_log(&["has mode 0604, expected 0600", "the old secrets stay"]);
    let mut client = server.connect();
    client.say("/pass another password");
    assert_has(&client.recv(), json!({"kind": "welcome"}));
}

#[test]
fn file_that_is_not_secret_is_an_error() {
    let dir = TempDir::new();
    let path = write_secret(&dir, "password", "short\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let output = run_server(&["--password-file", &path]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("has mode 0644, expected 0600"), "{error}");
    let path = write_secret(&dir, "operators", "root short\n");
    let output = run_server(&["--operators", &path]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("line 1: expected a label"), "{error}");
}

#[test]
fn short_password_is_logged() {
    let dir = TempDir::new();
    let path = write_secret(&dir, "password", "elf\n");
    let server = TestServer::start(&["--password-file", &path]);
    server.wait_for_log(&["warn the password has fewer than 12 characters"]);
}
