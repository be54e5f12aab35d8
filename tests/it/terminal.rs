//! The client in a terminal: the line that is typed stays whole while others arrive, and the
//! terminal is restored at the end.

mod exits;
mod keys;
mod plain;

use std::fs;
use std::io::{Read, Write};
use std::thread;

use rustix::process::Signal;
use serde_json::json;

use crate::common::terminal::Terminal;
use crate::common::{TempDir, TestServer, wait_until};

#[test]
fn typed_line_stays_while_others_arrive() {
    let (_server, mut bob, mut alice) = Terminal::start_with_bob(&[]);
    alice.type_keys("你好，wor");
    alice.wait_for_input("> 你好，wor", 11);
    for number in 0..60 {
        bob.say(&format!("line {number}"));
    }
    alice.wait_for_text("line 59");
    alice.wait_for_input("> 你好，wor", 11);
    alice.type_keys("\x1b[D\x1b[D");
    alice.wait_for_input("> 你好，wor", 9);
    bob.say("one more");
    alice.wait_for_text("one more");
    alice.wait_for_input("> 你好，wor", 9);
    alice.type_keys("XX");
    alice.wait_for_input("> 你好，wXXor", 11);
    alice.type_keys("\r");
    bob.recv_until(|frame| frame["data"] == "你好，wXXor");
    alice.wait_for_input(">", 2);
    alice.wait_for_text("alice> 你好，wXXor");
}

#[test]
fn wide_and_long_lines_keep_the_cursor_right() {
    let (_server, mut bob, mut alice) = Terminal::start_with_bob(&[]);
    for (typed, columns) in [("e\u{301}a\u{308}", 2), ("한국어", 6), ("にほん🎉", 8)] {
        alice.type_keys(typed);
        alice.wait_for_input(&format!("> {typed}"), 2 + columns);
        bob.say("hi");
        alice.wait_for_input(&format!("> {typed}"), 2 + columns);
        alice.type_keys("\x03");
        alice.wait_for_input(">", 2);
    }
    let long = "0123456789".repeat(20);
    alice.type_keys(&long);
    // 207 columns are two full rows and 63 columns.
    alice.wait_for_screen("three rows", |screen| screen.cursor_position().1 == 63);
    bob.say("while it is long");
    alice.wait_for_text("while it is long");
    alice.wait_for_screen("three rows", |screen| screen.cursor_position().1 == 63);
    let screen = alice.screen_text().replace('\n', "");
    assert_eq!(screen.matches(&format!("> {long}")).count(), 1, "{screen}");
    alice.type_keys("\r");
    bob.recv_until(|frame| frame["data"] == *long);
    alice.wait_for_input(">", 2);
    assert!(!alice.screen_text().contains("\nalice> 0123456789"), "the typed line is still shown");
}

#[test]
fn resize_and_back_shows_each_line_once() {
    let (_server, mut bob, mut alice) = Terminal::start_with_bob(&[]);
    for number in 0..5 {
        bob.say(&format!("line {number} of several words that need more than one row"));
    }
    alice.wait_for_text("line 4");
    alice.type_keys("typed before the resize");
    alice.wait_for_input("> typed before the resize", 25);
    alice.resize(20, 24);
    alice.wait_for_screen("rows with a small indent", |screen| {
        let contents = screen.contents();
        contents.contains("\n  row\nalice> typed before the resize")
            && contents.contains("line 3 of\n")
    });
    bob.say("meanwhile");
    alice.wait_for_text("meanwhile");
    alice.resize(72, 24);
    alice.wait_for_screen("the wide screen again", |screen| {
        let contents = screen.contents();
        (0..5).all(|number| contents.matches(&format!("line {number} of")).count() == 1)
            && contents.contains("bob  meanwhile\nalice> typed before the resize")
    });
    alice.wait_for_input("> typed before the resize", 25);
}

#[test]
fn tab_completes_names_and_commands() {
    let server = TestServer::start(&["--rate", "0"]);
    let _albert = server.join("albert");
    let _alan = server.join("alan");
    let mut bob = server.join("bob");
    let mut carol = Terminal::start(server.address(0), "carol", &[]);
    bob.recv_until(|frame| frame["data"] == "carol joined");
    carol.type_keys("bo");
    // The client requests the names when it joins, and does not show the answer.
    wait_until("the names are known", || {
        carol.type_keys("\t");
        carol.screen_text().contains("> bob: ")
    });
    carol.wait_for_input("> bob:", 7);
    carol.type_keys("ask al\t");
    carol.wait_for_input("> bob: ask albert", 18);
    carol.type_keys("\t");
    carol.wait_for_input("> bob: ask alan", 16);
    carol.type_keys("\t\x03/ni\t");
    carol.wait_for_input("> /nick", 8);
    carol.type_keys("\x03/msg b\t");
    carol.wait_for_input("> /msg bob", 11);
    carol.type_keys("psst\r");
    assert_eq!(bob.recv_kind("private")["data"], "psst");
}

#[test]
fn pasted_lines_are_sent_after_confirmation() {
    let (_server, mut bob, mut alice) = Terminal::start_with_bob(&[]);
    alice.type_keys("\x1b[200~one\rtwo\rthree\x1b[201~");
    alice.wait_for_text("> one\ntwo\nthree\n[3 lines; Enter to send");
    bob.say("meanwhile");
    alice.wait_for_text("meanwhile\nalice> one\ntwo\nthree");
    alice.type_keys("\r");
    alice.wait_for_text("[send these 3 lines to all?");
    alice.type_keys("n");
    alice.wait_for_text("[3 lines; Enter to send");
    alice.type_keys("\r");
    alice.wait_for_text("[send these 3 lines to all?");
    alice.type_keys("y");
    let frame = bob.recv_until(|frame| frame["data_source"] == "alice" && frame["kind"] == "chat");
    assert_eq!(frame["data"], "one\ntwo\nthree");
    alice.wait_for_text("alice> one\n             two\n             three\nalice>");
}

#[test]
fn pasted_code_keeps_blank_lines_and_indents() {
    let (server, mut bob, mut alice) = Terminal::start_with_bob(&[]);
    let mut carol = Terminal::start(server.address(0), "carol", &[]);
    alice.type_keys("\x1b[200~// main\r\rfn main() {\r\tx();\r}\r\x1b[201~\r");
    alice.wait_for_text("[send these 4 lines to all?");
    alice.type_keys("y");
    let frame = bob.recv_until(|frame| frame["data_source"] == "alice" && frame["kind"] == "chat");
    assert_eq!(frame["data"], "// main\n\nfn main() {\n\tx();\n}");
    let lines = ["// main", "", "fn main() {", "    x();", "}"].map(|line| match line {
        "" => String::new(),
        line => format!("             {line}"),
    });
    alice.wait_for_text(lines.join("\n").trim_start());
    carol.wait_for_text(lines.join("\n").trim_start());
    // Commands are executed one by one.
    alice.type_keys("\x1b[200~/me waves\r/me bows\x1b[201~\ry");
    assert_eq!(bob.recv_kind("action")["data"], "waves");
    assert_eq!(bob.recv_kind("action")["data"], "bows");
}

#[test]
fn input_history_leaves_private_lines_out() {
    let (_server, mut bob, mut alice) = Terminal::start_with_bob(&[]);
    alice.type_keys("first line\r/msg bob secret\rsecond line\r");
    bob.recv_until(|frame| frame["data"] == "second line");
    bob.say("/msg alice hm");
    alice.wait_for_text("[bob > alice]  hm");
    alice.type_keys("/r secret too\r");
    bob.recv_until(|frame| frame["data"] == "secret too");
    alice.type_keys("draft\x1b[A");
    alice.wait_for_input("> second line", 13);
    alice.type_keys("\x1b[A");
    alice.wait_for_input("> first line", 12);
    alice.type_keys("\x1b[B\x1b[B");
    alice.wait_for_input("> draft", 7);
    alice.type_keys("\x03\x12fir");
    alice.wait_for_text("(reverse-i-search)`fir': first line");
    alice.type_keys("\r");
    alice.wait_for_input("> first line", 12);
    alice.type_keys("\r");
    bob.recv_until(|frame| frame["data"] == "first line");
    let stored = fs::read_to_string(alice.input_history_path()).unwrap();
    assert_eq!(stored, "first line\nsecond line\nfirst line\n");
}

#[test]
fn stopped_client_restores_the_terminal_and_resumes() {
    let (_server, mut bob, mut alice) = Terminal::start_with_bob(&[]);
    for stop in ["\x1a", ""] {
        alice.type_keys("typed");
        alice.wait_for_input("> typed", 7);
        if stop.is_empty() {
            alice.signal(Signal::TSTP);
        } else {
            alice.type_keys(stop);
        }
        wait_until("the client is stopped", || alice.state() == 'T');
        assert!(alice.has_original_modes());
        bob.say("during the stop");
        alice.signal(Signal::CONT);
        alice.wait_for_text("during the stop");
        alice.wait_for_input("> typed", 7);
        alice.type_keys(" more\r");
        bob.recv_until(|frame| frame["data"] == "typed more");
        alice.wait_for_input(">", 2);
    }
    alice.type_keys("\x04");
    assert_eq!(alice.finish().code(), Some(0));
}

#[test]
fn lines_typed_during_an_outage_are_sent_later() {
    let dir = TempDir::new();
    let address = dir.unix_address("room");
    let server = TestServer::start(&["--listen", &address]);
    let mut alice = Terminal::start(&address, "alice", &[]);
    alice.type_keys("half a li");
    alice.wait_for_input("> half a li", 11);
    drop(server);
    alice.wait_for_text(" for 1 s");
    alice.type_keys("ne\r");
    alice.wait_for_text("  ... alice> half a line");
    alice.wait_for_text("; one line ");
    alice.type_keys("and an");
    alice.wait_for_input("> and an", 8);
    let server = TestServer::start(&["--listen", &address]);
    let mut bob = server.join("bob");
    bob.recv_until(|frame| frame["data"] == "half a line" && frame["data_source"] == "alice");
    alice.wait_for_text("one line that waited");
    alice.wait_for_text("alice> half a line");
    alice.type_keys("other\r");
    assert_eq!(bob.recv_until(|frame| frame["data_source"] == "alice")["data"], "and another");
    // The status row is gone.
    assert!(!alice.screen_text().contains(" for "), "{}", alice.screen_text());
}

#[test]
fn hostile_text_changes_only_its_own_line() {
    let server = TestServer::start(&["--rate", "0"]);
    let mut mallory = server.join("mallory");
    let mut alice = Terminal::start(server.address(0), "alice", &["--bell", "never"]);
    mallory.say("before");
    alice.type_keys("typed");
    alice.wait_for_input("> typed", 7);
    let hostile = [
        "\u{1b}[2J\u{1b}[H\u{1b}]0;owned\u{7}\u{1b}[?1049h\u{1b}c",
        "\u{7}\u{8}\u{8}\u{8}\r\rover\u{b}\u{c}\u{e}",
        "\u{202e}\u{2066}\u{200b}\u{feff}reversed\u{9b}31m",
        &format!("e{}", "\u{301}".repeat(500)),
        &"x".repeat(4000),
        &"\u{200d}".repeat(300),
    ];
    for text in hostile {
        mallory.send_json(&json!({ "data": text }));
    }
    mallory.say("after");
    alice.wait_for_text("mallory  after");
    alice.wait_for_input("> typed", 7);
    alice.resize(72, 200);
    alice.wait_for_text("mallory  before");
    let screen = alice.screen_text();
    assert!(screen.contains("^[[2J^[[H^[]0;owned^G"), "{screen}");
    let letters: String = screen.split_whitespace().collect();
    assert_eq!(letters.matches(&"x".repeat(4000)).count(), 1);
    assert_eq!(alice.bell_count(), 0);
    assert!(!alice.raw_output().contains('\u{202e}'));
}

#[test]
fn bell_rings_for_mentions_and_private_lines() {
    let (_server, mut bob, mut alice) = Terminal::start_with_bob(&[]);
    bob.say("hello all");
    alice.wait_for_text("hello all");
    assert_eq!(alice.bell_count(), 0);
    bob.say("hello Alice");
    alice.wait_for_text(">bob  hello Alice");
    assert_eq!(alice.bell_count(), 1);
    bob.say("/msg alice psst");
    alice.wait_for_text(">[bob > alice]  psst");
    assert_eq!(alice.bell_count(), 2);
}

#[test]
fn color_option_switches_colours() {
    let server = TestServer::start(&["--rate", "0"]);
    let mut bob = server.join("bob");
    for (color, is_on) in [("auto", true), ("always", true), ("never", false)] {
        let mut alice = Terminal::start(server.address(0), "alice", &["--color", color]);
        bob.say("hello");
        alice.wait_for_text("bob  hello");
        assert_eq!(alice.raw_output().contains("\x1b[38;5;"), is_on, "{color}");
        alice.type_keys("\x04");
        alice.finish();
    }
}

#[test]
fn client_commands_work() {
    let (server, mut bob, mut alice) = Terminal::start_with_bob(&[]);
    let mut dan = server.join("dan");
    alice.type_keys("/ignore bob\r");
    alice.wait_for_text("messages of bob are hidden");
    bob.say("ignored");
    bob.recv_until(|frame| frame["data"] == "ignored");
    dan.say("hello bob");
    alice.wait_for_text("dan  hello bob");
    alice.type_keys("/unignore bob\r");
    alice.wait_for_text("messages of bob are shown again");
    bob.say("hello");
    alice.wait_for_text("bob  hello");
    assert!(!alice.screen_text().contains("ignored"));
    alice.type_keys("/time off\r");
    alice.wait_for_screen("no time", |screen| screen.contents().contains("\nbob  hello"));
    alice.type_keys("/dance\r");
    alice.wait_for_text("!!! ");
    alice.type_keys("/reconnect\r");
    alice.wait_for_text("-!- reconnected after 0 s, up to date again; no line was missed");
    alice.type_keys("/clear\r");
    alice.wait_for_screen("an empty screen", |screen| screen.contents().trim() == "alice>");
    let other = TestServer::start(&["--rate", "0"]);
    let mut carol = other.join("carol");
    alice.type_keys(&format!("/connect {}\r", other.address(0)));
    carol.recv_until(|frame| frame["data"] == "alice joined");
    bob.recv_until(|frame| frame["data"] == "alice left");
    alice.wait_for_text("welcome, alice; one other is here");
    alice.type_keys("hello there\r");
    carol.recv_until(|frame| frame["data"] == "hello there");
}

#[test]
fn burst_of_lines_is_shown_in_order() {
    const LINES: usize = 50_000;
    // The outbox holds all lines: a slow machine must not make alice a slow member.
    let server = TestServer::start(&["--rate", "0", "--outbox", "16M"]);
    let bob = server.join("bob");
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    alice.type_keys("typed");
    alice.wait_for_input("> typed", 7);
    let (mut writer, mut reader) = (bob.clone_socket(), bob.clone_socket());
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        while let Ok(1..) = reader.read(&mut buffer) {}
    });
    let text: String = (0..LINES).map(|number| format!("line {number}.\n")).collect();
    writer.write_all(text.as_bytes()).unwrap();
    alice.wait_for_text(&format!("line {}.", LINES - 1));
    alice.wait_for_input("> typed", 7);
    let raw = alice.raw_output();
    let shown = raw.match_indices("  line ").filter_map(|(index, found)| {
        raw[index + found.len()..].split('.').next()?.parse::<usize>().ok()
    });
    assert!(shown.eq(0..LINES), "each line once and in order");
}

#[test]
fn idle_client_uses_no_processor_time() {
    let (_server, _bob, mut alice) = Terminal::start_with_bob(&[]);
    alice.wait_for_text("welcome");
    alice.assert_idle();
    assert!(alice.rss() < 10 << 10, "{} KiB", alice.rss());
}
