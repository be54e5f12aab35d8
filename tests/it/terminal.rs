//! The client at a terminal: what is typed stays whole, and the terminal is as it was in the end.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::common::pty::Terminal;
use crate::common::{Scratch, TestServer, eventually};
use rustix::process::Signal;
use serde_json::json;

const QUICK: &[&str] = &["--rate", "0"];

#[test]
fn what_is_typed_stays_in_place_while_lines_arrive() {
    let server = TestServer::start(QUICK);
    let mut bob = server.join("bob");
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    alice.keys("你好，wor");
    alice.has_typed("> 你好，wor", 11);
    for number in 0..60 {
        bob.say(&format!("line {number}"));
    }
    alice.shows("line 59");
    alice.has_typed("> 你好，wor", 11);
    alice.keys("\x1b[D\x1b[D");
    alice.has_typed("> 你好，wor", 9);
    bob.say("one more");
    alice.shows("one more");
    alice.has_typed("> 你好，wor", 9);
    alice.keys("XX");
    alice.has_typed("> 你好，wXXor", 11);
    alice.keys("\r");
    bob.until(|frame| frame["data"] == "你好，wXXor");
    alice.has_typed(">", 2);
    alice.shows("alice> 你好，wXXor");
}

#[test]
fn combining_marks_emoji_and_lines_longer_than_the_screen_keep_their_place() {
    let server = TestServer::start(QUICK);
    let mut bob = server.join("bob");
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    for (typed, columns) in [("e\u{301}a\u{308}", 2), ("한국어", 6), ("にほん🎉", 8)] {
        alice.keys(typed);
        alice.has_typed(&format!("> {typed}"), 2 + columns);
        bob.say("hi");
        alice.has_typed(&format!("> {typed}"), 2 + columns);
        alice.keys("\x03");
        alice.has_typed(">", 2);
    }
    let long = "0123456789".repeat(20);
    alice.keys(&long);
    // 202 columns are two full rows and 58 columns.
    alice.until("three rows", |screen| screen.cursor_position().1 == 58);
    bob.say("while it is long");
    alice.shows("while it is long");
    alice.until("three rows", |screen| screen.cursor_position().1 == 58);
    let contents = alice.contents().replace('\n', "");
    assert_eq!(contents.matches(&format!("> {long}")).count(), 1, "{contents}");
    alice.keys("\r");
    bob.until(|frame| frame["data"] == *long);
    alice.has_typed(">", 2);
    assert!(!alice.contents().contains("\n> 0123456789"), "the typed line is gone");
}

#[test]
fn a_resize_and_back_leaves_everything_once() {
    let server = TestServer::start(QUICK);
    let mut bob = server.join("bob");
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    for number in 0..5 {
        bob.say(&format!("line {number} of several words that need more than one row"));
    }
    alice.shows("line 4");
    alice.keys("typed before the resize");
    alice.has_typed("> typed before the resize", 25);
    alice.resize(20, 24);
    alice.until("later lines with a small indent", |screen| {
        let contents = screen.contents();
        contents.contains("\n  row\n> typed before the resize") && contents.contains("line 3 of\n")
    });
    bob.say("meanwhile");
    alice.shows("meanwhile");
    alice.resize(72, 24);
    alice.until("the wide screen again", |screen| {
        let contents = screen.contents();
        (0..5).all(|number| contents.matches(&format!("line {number} of")).count() == 1)
            && contents.contains("bob  meanwhile\n> typed before the resize")
    });
    alice.has_typed("> typed before the resize", 25);
}

#[test]
fn names_and_commands_are_completed() {
    let server = TestServer::start(QUICK);
    let _albert = server.join("albert");
    let _alan = server.join("alan");
    let mut bob = server.join("bob");
    let mut carol = Terminal::start(server.address(0), "carol", &[]);
    bob.until(|frame| frame["data"] == "carol joined");
    carol.keys("bo");
    // Who is here is asked for on arrival, and the answer is not shown.
    eventually("the names are known", || {
        carol.keys("\t");
        carol.contents().contains("> bob: ")
    });
    carol.has_typed("> bob:", 7);
    carol.keys("ask al\t");
    carol.has_typed("> bob: ask albert", 18);
    carol.keys("\t");
    carol.has_typed("> bob: ask alan", 16);
    carol.keys("\t\x03/ni\t");
    carol.has_typed("> /nick", 8);
    carol.keys("\x03/msg b\t");
    carol.has_typed("> /msg bob", 11);
    carol.keys("psst\r");
    assert_eq!(bob.recv_kind("private")["data"], "psst");
}

#[test]
fn a_paste_of_several_lines_is_a_block_and_is_said_after_a_yes() {
    let server = TestServer::start(QUICK);
    let mut bob = server.join("bob");
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    alice.keys("\x1b[200~one\rtwo\rthree\x1b[201~");
    alice.shows("> one\ntwo\nthree\n[3 lines; Enter asks");
    bob.say("while it is there");
    alice.shows("while it is there\n> one\ntwo\nthree");
    alice.keys("\r");
    alice.shows("[say these 3 lines to all?");
    alice.keys("n");
    alice.shows("[3 lines; Enter asks");
    alice.keys("\r");
    alice.shows("[say these 3 lines to all?");
    alice.keys("y");
    for text in ["one", "two", "three"] {
        assert_eq!(bob.until(|frame| frame["data_source"] == "alice")["data"], text);
    }
    alice.shows("alice> three\n>");
}

#[test]
fn history_and_search_but_nothing_private_in_the_file() {
    let server = TestServer::start(QUICK);
    let mut bob = server.join("bob");
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    alice.keys("first line\r/msg bob secret\rsecond line\r");
    bob.until(|frame| frame["data"] == "second line");
    bob.say("/msg alice hm");
    alice.shows("[bob > alice]  hm");
    alice.keys("/r secret too\r");
    bob.until(|frame| frame["data"] == "secret too");
    alice.keys("draft\x1b[A");
    alice.has_typed("> second line", 13);
    alice.keys("\x1b[A");
    alice.has_typed("> first line", 12);
    alice.keys("\x1b[B\x1b[B");
    alice.has_typed("> draft", 7);
    alice.keys("\x03\x12fir");
    alice.shows("(reverse-i-search)`fir': first line");
    bob.say("while alice searches");
    alice.keys("\r");
    alice.has_typed("> first line", 12);
    alice.shows("while alice searches");
    alice.keys("\r");
    bob.until(|frame| frame["data"] == "first line");
    let typed = fs::read_to_string(alice.typed_before()).unwrap();
    assert_eq!(typed, "first line\nsecond line\nfirst line\n");
}

#[test]
fn whoever_ends_it_the_terminal_is_as_it_was() {
    let server = TestServer::start(QUICK);
    for keys in ["/quit\r", "\x04", "\x03", "typed\x03\x03"] {
        let mut alice = Terminal::start(server.address(0), "alice", &[]);
        assert!(!alice.is_as_before(), "the editor has its own modes");
        alice.keys(keys);
        assert_eq!(alice.end().code(), Some(0), "{keys:?}");
        // It left in good order, so that its name is free.
        alice.shows("goodbye");
    }
    for (signal, code) in
        [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129), (Signal::QUIT, 131)]
    {
        let mut alice = Terminal::start(server.address(0), "alice", &[]);
        alice.keys("typed");
        alice.has_typed("> typed", 7);
        alice.signal(signal);
        assert_eq!(alice.end().code(), Some(code), "{signal:?}");
    }
}

#[test]
fn when_the_server_is_gone_for_good_the_terminal_is_as_it_was() {
    let server = TestServer::start(QUICK);
    let mut alice = Terminal::start(server.address(0), "alice", &["--no-reconnect"]);
    alice.keys("typed");
    alice.has_typed("> typed", 7);
    drop(server);
    assert_eq!(alice.end().code(), Some(1));
    alice.shows("\nsmolchat: ");
}

#[test]
fn stopped_it_leaves_the_terminal_alone_and_takes_it_again() {
    let server = TestServer::start(QUICK);
    let mut bob = server.join("bob");
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    for stop in ["\x1a", ""] {
        alice.keys("typed");
        alice.has_typed("> typed", 7);
        if stop.is_empty() {
            alice.signal(Signal::TSTP);
        } else {
            alice.keys(stop);
        }
        eventually("it is stopped", || alice.state() == 'T');
        assert!(alice.is_as_before());
        bob.say("while it is stopped");
        alice.signal(Signal::CONT);
        alice.shows("while it is stopped");
        alice.has_typed("> typed", 7);
        alice.keys(" more\r");
        bob.until(|frame| frame["data"] == "typed more");
        alice.has_typed(">", 2);
    }
    alice.keys("\x04");
    assert_eq!(alice.end().code(), Some(0));
}

#[test]
fn a_server_that_is_killed_and_comes_back_while_one_types() {
    let scratch = Scratch::new();
    let address = scratch.address("room");
    let server = TestServer::start(&["--listen", &address]);
    let mut alice = Terminal::start(&address, "alice", &[]);
    alice.keys("half a li");
    alice.has_typed("> half a li", 11);
    drop(server);
    alice.shows("; coming back");
    alice.shows("-!- away for 1 s");
    alice.keys("ne\r");
    alice.shows("  ... alice> half a line");
    alice.shows("; one line waits");
    alice.keys("and an");
    alice.has_typed("> and an", 8);
    let server = TestServer::start(&["--listen", &address]);
    let mut bob = server.join("bob");
    bob.until(|frame| frame["data"] == "half a line" && frame["data_source"] == "alice");
    alice.shows("back after");
    alice.shows("up to date again; one line that waited goes out");
    alice.shows("alice> half a line");
    alice.keys("other\r");
    assert_eq!(bob.until(|frame| frame["data_source"] == "alice")["data"], "and another");
    assert!(!alice.contents().contains("away for"), "{}", alice.contents());
}

#[test]
fn what_others_send_changes_nothing_but_its_own_line() {
    let server = TestServer::start(QUICK);
    let mut mallory = server.join("mallory");
    let mut alice = Terminal::start(server.address(0), "alice", &["--bell", "never"]);
    mallory.say("before");
    alice.keys("typed");
    alice.has_typed("> typed", 7);
    let hostile = [
        "\u{1b}[2J\u{1b}[H\u{1b}]0;owned\u{7}\u{1b}[?1049h\u{1b}c",
        "\u{7}\u{8}\u{8}\u{8}\r\rover\u{b}\u{c}\u{e}",
        "\u{202e}\u{2066}\u{200b}\u{feff}turned\u{9b}31m",
        &format!("e{}", "\u{301}".repeat(500)),
        &"x".repeat(4000),
        &"\u{200d}".repeat(300),
    ];
    for text in hostile {
        mallory.send(&json!({ "data": text }));
    }
    mallory.say("after");
    alice.shows("mallory  after");
    alice.has_typed("> typed", 7);
    alice.resize(72, 200);
    alice.shows("mallory  before");
    let contents = alice.contents();
    assert!(contents.contains("^[[2J^[[H^[]0;owned^G"), "{contents}");
    let letters: String = contents.split_whitespace().collect();
    assert_eq!(letters.matches(&"x".repeat(4000)).count(), 1);
    assert_eq!(alice.bells(), 0);
    assert!(!alice.raw().contains('\u{202e}'));
}

#[test]
fn the_bell_rings_for_mentions_and_private_lines() {
    let server = TestServer::start(QUICK);
    let mut bob = server.join("bob");
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    bob.say("hello all");
    alice.shows("hello all");
    assert_eq!(alice.bells(), 0);
    bob.say("hello Alice");
    alice.shows(">bob  hello Alice");
    assert_eq!(alice.bells(), 1);
    bob.say("/msg alice psst");
    alice.shows(">[bob > alice]  psst");
    assert_eq!(alice.bells(), 2);
}

#[test]
fn colours_are_as_they_were_asked_for() {
    let server = TestServer::start(QUICK);
    let mut bob = server.join("bob");
    for (color, is_on) in [("auto", true), ("always", true), ("never", false)] {
        let mut alice = Terminal::start(server.address(0), "alice", &["--color", color]);
        bob.say("hello");
        alice.shows("bob  hello");
        assert_eq!(alice.raw().contains("\x1b[38;5;"), is_on, "{color}");
        alice.keys("\x04");
        alice.end();
    }
}

#[test]
fn the_client_s_own_commands() {
    let server = TestServer::start(QUICK);
    let mut bob = server.join("bob");
    let mut dan = server.join("dan");
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    alice.keys("/ignore bob\r");
    alice.shows("what bob says is not shown");
    bob.say("unheard");
    bob.until(|frame| frame["data"] == "unheard");
    dan.say("I hear you, bob");
    alice.shows("dan  I hear you, bob");
    alice.keys("/unignore bob\r");
    alice.shows("what bob says is shown again");
    bob.say("heard");
    alice.shows("bob  heard");
    assert!(!alice.contents().contains("unheard"));
    alice.keys("/time off\r");
    alice.until("no time", |screen| screen.contents().contains("\nbob  heard"));
    alice.keys("/dance\r");
    alice.shows("!!! ");
    alice.keys("/reconnect\r");
    alice.shows("back after 0 s");
    alice.keys("/clear\r");
    alice.until("an empty screen", |screen| screen.contents().trim() == ">");
    let other = TestServer::start(QUICK);
    let mut carol = other.join("carol");
    alice.keys(&format!("/connect {}\r", other.address(0)));
    carol.until(|frame| frame["data"] == "alice joined");
    bob.until(|frame| frame["data"] == "alice left");
    alice.shows("welcome, alice; one other is here");
    alice.keys("hello there\r");
    carol.until(|frame| frame["data"] == "hello there");
}

/// The outbox has room for all of it, so that a slow machine does not decide what this shows: that
/// nothing is lost or mixed up on the way from the socket to the screen.
#[test]
fn fifty_thousand_lines_in_a_burst_are_all_shown() {
    const LINES: usize = 50_000;
    let server = TestServer::start(&["--rate", "0", "--outbox", "16M"]);
    let bob = server.join("bob");
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    alice.keys("typed");
    alice.has_typed("> typed", 7);
    let (mut writer, mut reader) = (bob.writer(), bob.writer());
    // Whoever talks must hear as quickly.
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        while let Ok(1..) = std::io::Read::read(&mut reader, &mut buffer) {}
    });
    let text: String = (0..LINES).map(|number| format!("line {number}.\n")).collect();
    std::io::Write::write_all(&mut writer, text.as_bytes()).unwrap();
    alice.shows(&format!("line {}.", LINES - 1));
    alice.has_typed("> typed", 7);
    let raw = alice.raw();
    let shown = raw.match_indices("  line ").filter_map(|(place, found)| {
        raw[place + found.len()..].split('.').next()?.parse::<usize>().ok()
    });
    assert!(shown.eq(0..LINES), "each is shown once, and in order");
}

#[test]
fn idle_it_takes_no_time_and_little_memory() {
    let server = TestServer::start(QUICK);
    let _bob = server.join("bob");
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    alice.shows("welcome");
    // What was held back is shown, and then nothing is left to be done.
    thread::sleep(Duration::from_secs(2));
    let before = alice.cpu_ticks();
    thread::sleep(Duration::from_secs(3));
    assert!(alice.cpu_ticks() - before <= 1, "ticks of 10 ms in 3 s");
    assert!(alice.memory("VmRSS:") < 10 << 10, "{} KiB", alice.memory("VmRSS:"));
}
