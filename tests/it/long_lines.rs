//! Texts that are longer than a line of the server: the client splits them, and tells the user.

use serde_json::Value;

use crate::common::client_process::ClientProcess;
#[cfg(feature = "editor")]
use crate::common::terminal::Terminal;
use crate::common::{TestClient, TestServer};

const MAX_LINE: usize = 200;

fn start_server() -> (TestServer, TestClient) {
    let server = TestServer::start(&["--max-line", &MAX_LINE.to_string(), "--rate", "0"]);
    let bob = server.join("bob");
    (server, bob)
}

/// Returns a text of `count` different words.
fn words(count: usize) -> String {
    let words: Vec<String> = (0..count).map(|number| format!("word{number}")).collect();
    words.join(" ")
}

/// Returns the texts of the next frames of alice, up to one that ends with `end`.
fn texts_until(client: &mut TestClient, kind: &str, end: &str) -> Vec<String> {
    let mut texts = Vec::new();
    client.recv_until(|frame| {
        if frame["kind"] == kind && frame["data_source"] == "alice" {
            texts.push(frame["data"].as_str().unwrap().to_owned());
        }
        texts.last().is_some_and(|text| text.ends_with(end))
    });
    texts
}

#[test]
fn long_send_is_split_and_reported() {
    let (server, mut bob) = start_server();
    let text = words(100);
    let (code, stdout, stderr) =
        ClientProcess::start(server.address(0), "alice", &["--send", &text]).finish();
    assert_eq!((code, stdout.len()), (0, 0), "{stderr}");
    let parts = texts_until(&mut bob, "chat", "word99");
    assert_eq!(parts.join(" "), text);
    let message = format!(
        "smolchat: the server accepts lines of {MAX_LINE} bytes; a longer one is sent in {} parts\n",
        parts.len()
    );
    assert_eq!(stderr, message);
}

#[test]
fn long_action_and_private_line_repeat_the_command() {
    let (server, mut bob) = start_server();
    let mut alice = ClientProcess::start(server.address(0), "alice", &[]);
    alice.write_input(&format!("/me {} end\n", words(60)));
    assert_eq!(texts_until(&mut bob, "action", " end").join(" "), words(60) + " end");
    alice.write_input(&format!("/msg bob {} /quit end\n", "好".repeat(300)));
    let parts = texts_until(&mut bob, "private", " end");
    assert_eq!(parts.concat().replace(' ', ""), "好".repeat(300) + "/quitend");
    alice.write_input(&format!("{} /quit\n/history {}\nlast\n", words(40), "9".repeat(200)));
    let parts = texts_until(&mut bob, "chat", "last");
    assert_eq!(parts[..parts.len() - 1].join(" "), words(40) + " /quit");
    let (code, _, stderr) = alice.finish();
    let error = "smolchat: the line is longer than 200 bytes and was not sent\n";
    assert!(code == 1 && stderr.contains(error), "{stderr}");
}

#[test]
fn more_parts_than_may_be_pending_arrive() {
    let server = TestServer::start(&["--max-line", "60", "--rate", "0", "--outbox", "16M"]);
    let mut bob = server.join("bob");
    let text = words(4000);
    let mut alice = ClientProcess::start(server.address(0), "alice", &[]);
    alice.write_input(&format!("{text}\n"));
    let parts = texts_until(&mut bob, "chat", "word3999");
    assert!(parts.len() > 1024, "{}", parts.len());
    assert_eq!(parts.join(" "), text);
    assert_eq!(alice.finish().0, 0);
}

#[test]
fn long_json_object_is_refused_with_the_limit() {
    let (server, _bob) = start_server();
    let mut alice = ClientProcess::start(server.address(0), "alice", &["--json"]);
    alice.write_input(&format!("{{\"data\":\"{}\",\"id\":\"1\"}}\n", words(60)));
    let line = alice.wait_for_line("too-long");
    let error: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(error["data"], "the line is longer than 200 bytes and was skipped");
    assert_eq!(alice.finish().0, 1);
}

#[cfg(feature = "editor")]
#[test]
fn long_typed_line_is_split_and_reported() {
    let (server, mut bob) = start_server();
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    alice.type_keys(&format!("{}\r", words(60)));
    assert_eq!(texts_until(&mut bob, "chat", "word59").join(" "), words(60));
    alice.wait_for_screen("the number of parts", |screen| {
        screen.contents().contains("a longer one is sent in")
    });
    alice.type_keys(&format!("/nick {}\r", "x".repeat(200)));
    alice.wait_for_text("!!! the line is longer than 200 bytes and was not sent");
}
