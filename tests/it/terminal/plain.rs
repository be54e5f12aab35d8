//! The client on a terminal without control sequences.

use crate::common::TestServer;
use crate::common::terminal::Terminal;

#[test]
fn terminal_without_sequences_gets_plain_text() {
    let server = TestServer::start(&["--rate", "0"]);
    for term in [Some("dumb"), Some("emacs"), Some("cons25"), Some("DUMB"), Some(""), None] {
        let mut bob = server.join("bob");
        let options = ["--color", "always"];
        let mut terminal = Terminal::prepare(server.address(0), "alice", &options);
        match term {
            Some(term) => terminal.command.env("TERM", term),
            None => terminal.command.env_remove("TERM"),
        };
        let mut alice = terminal.start_without_prompt();
        alice.wait_for_text("welcome, alice");
        assert!(alice.has_original_modes(), "the terminal edits the line");
        alice.type_keys("helo\x7flo\n");
        bob.recv_until(|frame| frame["data"] == "hello");
        bob.say("hi \x1b[2J");
        alice.wait_for_text("bob  hi ^[[2J");
        alice.type_keys("\x04");
        assert_eq!(alice.finish().code(), Some(0), "{term:?}");
        assert!(!alice.raw_output().contains('\x1b'), "{term:?}: {:?}", alice.raw_output());
        bob.say("/quit");
        bob.recv_until(|frame| frame["kind"] == "bye");
    }
}
