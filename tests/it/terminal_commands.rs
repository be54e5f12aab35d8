//! The commands of the client in a terminal: help, other names of commands, private conversations.

use crate::common::TestServer;
use crate::common::client_process::ClientProcess;
use crate::common::terminal::Terminal;

#[test]
fn help_is_two_columns_on_one_screen() {
    let (_server, _bob, mut alice) = Terminal::start_with_bob(&[]);
    alice.wait_for_text("; /help lists the commands");
    alice.type_keys("/clear\r/help\r");
    alice.wait_for_text("Tab, Ctrl-R");
    alice.wait_for_input(">", 2);
    let screen = alice.screen_text();
    let lines: Vec<&str> = screen.lines().filter(|line| !line.is_empty()).collect();
    assert!(lines.len() < 24 && lines.last().unwrap().trim_end() == "alice>", "{screen}");
    assert!(lines[0].starts_with("      -!- /nick NAME        changes"), "{screen}");
    // The commands of the server come first.
    let position = |command| lines.iter().position(|line| line[10..].starts_with(command)).unwrap();
    assert!(position("/quit") < position("/r TEXT") && position("/quit") < position("/clear"));
    for line in &lines[..lines.len() - 1] {
        let (command, meaning) = line[10..].split_at(18);
        assert!(command.ends_with(' ') && !meaning.starts_with(' '), "{line}");
    }
}

#[test]
fn help_of_the_server_is_one_command_a_line() {
    let server = TestServer::start(&[]);
    let options = ["--send", "/help"];
    let (code, stdout, _) = ClientProcess::start(server.address(0), "alice", &options).finish();
    assert_eq!(code, 0);
    assert!(stdout.len() > 5, "{stdout:?}");
    assert!(stdout.iter().all(|line| line.starts_with('/') && line.len() < 70), "{stdout:?}");
}

#[test]
fn aliases_are_executed() {
    let (server, mut bob, mut alice) = Terminal::start_with_bob(&[]);
    for line in ["/names", "/w"] {
        alice.type_keys(&format!("/clear\r{line}\r"));
        alice.wait_for_text("2 here: bob and alice");
    }
    alice.type_keys("/w bob psst\r");
    assert_eq!(bob.recv_kind("private")["data"], "psst");
    alice.type_keys("/q\r");
    assert_eq!(alice.finish().code(), Some(0));
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    alice.type_keys("/exit\r");
    assert_eq!(alice.finish().code(), Some(0));
    let (code, stdout, _) =
        ClientProcess::start(server.address(0), "carol", &["--send", "/names"]).finish();
    assert_eq!((code, stdout), (0, vec!["2 here: bob and carol".to_owned()]));
}

#[test]
fn query_sends_lines_to_one_member() {
    let (server, mut bob, mut alice) = Terminal::start_with_bob(&[]);
    let mut carol = server.join("carol");
    alice.type_keys("/query bob\r");
    alice.wait_for_text("your lines are sent only to bob");
    alice.type_keys("psst\r//shrug\r");
    assert_eq!(bob.recv_kind("private")["data"], "psst");
    assert_eq!(bob.recv_kind("private")["data"], "/shrug");
    alice.wait_for_text("[alice > bob]  psst");
    alice.type_keys("/me blushes\r");
    alice.wait_for_text("!!! /me is sent to all members");
    bob.say("/nick rob");
    alice.wait_for_text("bob is now rob");
    alice.type_keys("still you?\r");
    assert_eq!(bob.recv_kind("private")["data"], "still you?");
    alice.type_keys("/query\rhello all\r");
    alice.wait_for_text("your lines are sent to all members again");
    let is_chat = |frame: &serde_json::Value| frame["data_source"] == "alice";
    assert_eq!(carol.recv_until(is_chat)["data"], "hello all");
    alice.type_keys("/query rob one more\r");
    assert_eq!(bob.recv_kind("private")["data"], "one more");
    alice.type_keys("/query\r/query\r");
    alice.wait_for_text("usage: /query NAME");
}
