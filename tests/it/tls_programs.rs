//! TLS with programs of others: `make test-tls`.

mod scanners;

use std::process::Command;

use crate::common::browser::{Chromium, Tab};
use crate::common::client_process::ClientProcess;
use crate::common::{TempDir, TestClient, TestServer, long_line};
use crate::irc_clients::programs::{
    IrcClient, split, start_irssi_with_tls, start_weechat_with_tls,
};

/// A server that has created its certificate, and a member that speaks plain text.
struct Room {
    server: TestServer,
    bob: TestClient,
    /// The certificate, without its key.
    pem: String,
    _dir: TempDir,
}

impl Room {
    #[track_caller]
    fn start(options: &[&str]) -> Self {
        let dir = TempDir::new();
        let [path, pem] = ["tls.pem", "chat.pem"].map(|name| dir.path(name).display().to_string());
        let tls = ["--tls", &path, "--rate", "0", "--hello-wait", "10000"];
        let server = TestServer::start(&[&tls, options].concat());
        // As docs/deploy.md has it.
        let mut openssl = Command::new("openssl");
        assert!(openssl.args(["x509", "-in", &path, "-out", &pem]).status().unwrap().success());
        let bob = server.join("bob");
        Room { server, bob, pem, _dir: dir }
    }

    fn port(&self) -> &str {
        split(self.server.address(0)).1
    }

    /// Returns a command with `PEM` and `PORT` replaced.
    fn command(&self, line: &str) -> Command {
        let mut words = line.split(' ').map(|word| match word {
            "PEM" => &self.pem,
            _ => word,
        });
        let mut command = Command::new(words.next().unwrap());
        command.args(words.map(|word| word.replace("PORT", self.port())));
        command
    }

    /// Waits until bob has received a text.
    #[track_caller]
    fn recv(&mut self, text: &str) {
        self.bob.recv_until(|frame| frame["data"] == text);
    }
}

const OPENSSL: &str = "openssl s_client -quiet -verify_return_error -x509_strict -CAfile PEM -verify_hostname localhost \
     -connect localhost:PORT";
const NCAT: &str = "ncat --ssl --ssl-verify --ssl-trustfile PEM localhost PORT";
const GNUTLS: &str = "gnutls-cli --x509cafile PEM --port PORT localhost";

/// Joins as alice.
#[track_caller]
fn join(room: &mut Room, line: &str) -> ClientProcess {
    let mut alice = ClientProcess::run(room.command(line));
    alice.write_input("{\"hello\":{\"name\":\"alice\"}}\n");
    alice.wait_for_line("welcome, alice");
    room.recv("alice joined");
    alice
}

/// Talks, with more than one record in each direction, and leaves.
fn check_talk(line: &str) {
    let mut room = Room::start(&[]);
    let mut alice = join(&mut room, line);
    alice.write_input("hello from alice\n");
    room.recv("hello from alice");
    room.bob.say("hello from bob");
    alice.wait_for_line("hello from bob");
    for _ in 0..20 {
        alice.write_input(&format!("{}\n", long_line()));
        room.recv(&long_line());
    }
    for _ in 0..20 {
        room.bob.say(&long_line());
    }
    room.bob.say("the last");
    for _ in 0..40 {
        alice.wait_for_line(&long_line());
    }
    alice.wait_for_line("the last");
    alice.write_input("/quit\n");
    alice.wait_for_line(r#""code":"quit""#);
    // The data has ended as TLS demands it.
    let (code, rest, errors) = alice.finish();
    assert_eq!(code, 0, "{rest:?} {errors}");
    room.recv("alice left");
}

#[test]
#[ignore = "needs openssl, see `make test-tls`"]
fn s_client_of_openssl_talks() {
    check_talk(OPENSSL);
}

#[test]
#[ignore = "needs ncat, see `make test-tls`"]
fn ncat_talks() {
    check_talk(NCAT);
}

#[test]
#[ignore = "needs gnutls-cli, see `make test-tls`"]
fn gnutls_cli_talks() {
    check_talk(GNUTLS);
}

/// Changes the keys with a command of the program.
fn check_key_updates(line: &str, command: &str, is_done: impl Fn(&mut ClientProcess)) {
    let mut room = Room::start(&[]);
    let mut alice = join(&mut room, line);
    for round in ["one", "two", "three"] {
        alice.write_input(command);
        is_done(&mut alice);
        alice.write_input(&format!("round {round} of alice\n"));
        room.recv(&format!("round {round} of alice"));
        room.bob.say(&format!("round {round} of bob"));
        alice.wait_for_line(&format!("round {round} of bob"));
    }
}

#[test]
#[ignore = "needs openssl, see `make test-tls`"]
fn openssl_changes_keys_both_ways() {
    // Without `-quiet`, a line `K` changes the keys, and asks for new ones of the server.
    let line = format!("{} -msg", OPENSSL.replace(" -quiet", ""));
    check_key_updates(&line, "K\n", |alice| {
        alice.wait_for_line(">>> TLS 1.3, Handshake [length 0005], KeyUpdate");
        alice.wait_for_line("<<< TLS 1.3, Handshake [length 0005], KeyUpdate");
    });
}

#[test]
#[ignore = "needs gnutls-cli, see `make test-tls`"]
fn gnutls_changes_keys_both_ways() {
    let line = GNUTLS.replace("gnutls-cli", "gnutls-cli --inline-commands");
    check_key_updates(&line, "^rekey^\n", |alice| {
        alice.wait_for_line("Rekey was completed");
    });
}

#[test]
#[ignore = "needs ncat and gnutls-cli, see `make test-tls`"]
fn last_words_of_a_pipe_are_said() {
    for line in [NCAT, GNUTLS] {
        let mut room = Room::start(&[]);
        let mut alice = ClientProcess::run(room.command(line));
        alice.write_input("last words\n");
        let (code, rest, errors) = alice.finish();
        assert_eq!(code, 0, "{line}: {rest:?} {errors}");
        assert!(rest.iter().any(|line| line.contains("last words")), "{rest:?}");
        room.recv("last words");
    }
}

#[test]
#[ignore = "needs Python, see `make test-tls`"]
fn ssl_of_python_talks() {
    let mut room = Room::start(&[]);
    let mut python = room.command("python3 tests/tls_client.py PORT PEM");
    python.current_dir(env!("CARGO_MANIFEST_DIR"));
    let alice = ClientProcess::run(python);
    room.recv("hello from alice");
    room.bob.say("hello from bob");
    let (code, _, errors) = alice.finish();
    assert_eq!(code, 0, "{errors}");
}

#[test]
#[ignore = "needs curl, see `make test-tls`"]
fn curl_gets_the_page() {
    let room = Room::start(&[]);
    let line = "curl --silent --show-error --compressed --cacert PEM https://localhost:PORT/";
    let output = room.command(line).output().unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && page.contains("</noscript>"), "{page}");
}

#[test]
#[ignore = "needs Chromium, see `make test-tls`"]
fn page_and_websocket_work_over_tls_in_chromium() {
    let mut room = Room::start(&[]);
    room.server.wait_for_log(&["tls key SHA256:"]);
    let log = room.server.log();
    let (_, key) = log.split_once("tls key SHA256:").unwrap();
    // Base64, here with its padding.
    let key = format!("--ignore-certificate-errors-spki-list={}=", key.lines().next().unwrap());
    let tab = Chromium::start_with(&[&key]).open();
    tab.navigate(&format!("https://chat.lan:{}/", room.port()));
    tab.fill_in_name("alice");
    tab.wait_until_live("alice");
    room.recv("alice joined");
    assert_eq!(tab.evaluate("[location.protocol, isSecureContext].join()"), "https:,true");
    tab.say("hello from alice");
    room.recv("hello from alice");
    for _ in 0..20 {
        room.bob.say(&long_line());
    }
    room.bob.say("the last");
    tab.wait_for_text("the last");
    assert_eq!(tab.texts().len(), 22);
    tab.reload();
    tab.wait_until_live("alice");
    tab.wait_for_text("the last");
    tab.say("/quit");
    room.recv("alice left");
}

/// Joins with an IRC client, talks and leaves.
fn check_irc(start: fn(&str, &str, &str) -> IrcClient) {
    let dir = TempDir::new();
    let history = dir.path("history").display().to_string();
    let mut room = Room::start(&["--irc", "127.0.0.1:0", "--history-file", &history]);
    let irc_address = room.server.irc_address();
    let address = format!("localhost:{}", split(&irc_address).1);
    let mut alice = start(&address, "alice", &room.pem);
    room.recv("alice joined");
    for _ in 0..20 {
        room.bob.say(&long_line());
    }
    room.bob.say("hello from bob");
    alice.wait_for(&["bob hello from bob"]);
    alice.run("hello from alice");
    room.recv("hello from alice");
    alice.run("/quit see you");
    room.recv("alice left");
}

#[test]
#[ignore = "needs irssi, see `make test-tls`"]
fn irssi_talks_over_tls() {
    check_irc(start_irssi_with_tls);
}

#[test]
#[ignore = "needs WeeChat, see `make test-tls`"]
fn weechat_talks_over_tls() {
    check_irc(start_weechat_with_tls);
}
