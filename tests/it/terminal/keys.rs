//! Input that is not a line and not a key: wrong bytes, answers of the terminal, sequences and
//! pastes without their end.

use std::fs;
use std::thread;
use std::time::Duration;

use rustix::termios::SpecialCodeIndex;

use crate::common::terminal::Terminal;
use crate::common::{TestServer, wait_until};

/// The time after which an incomplete sequence is over.
const EXPIRY: Duration = Duration::from_millis(1100);

#[test]
fn bytes_that_are_not_utf8_are_replaced() {
    let (_server, mut bob, mut alice) = Terminal::start_with_bob(&[]);
    alice.type_bytes(b"caf\xe9 noir \xff\xfe\r");
    bob.recv_until(|frame| frame["data"] == "caf\u{fffd} noir \u{fffd}\u{fffd}");
    alice.type_keys("é\r");
    bob.recv_until(|frame| frame["data"] == "é");
}

#[test]
fn sequences_that_are_no_keys_are_dropped() {
    let (_server, mut bob, mut alice) = Terminal::start_with_bob(&[]);
    alice.type_bytes(b"a\x1b[<0;10;20M\x1b[M !!\x1b[?62;1;4c\x1b[>0;276;0c\x1b[I\x1b[O");
    alice.type_keys("\x1b]11;rgb:0000/0000/0000\x07\x1b]4;1;rgb:0/0/0\x1b\\\x1bP1+r544e=78\x1b\\");
    alice.type_keys("\x1b[12;40R\x1b[15~\x1bOP\x1b[[A\x165\x18b\r");
    bob.recv_until(|frame| frame["data"] == "a5b");
}

#[test]
fn incomplete_sequence_hides_nothing_and_ends() {
    let (_server, mut bob, mut alice) = Terminal::start_with_bob(&[]);
    for (number, keys) in
        ["\x1b[", "\x1b[200", "\x1b]11;", "\x1bP", "\x1b5", "\x16", "\x18", "\x11"]
            .into_iter()
            .enumerate()
    {
        alice.type_keys("x");
        alice.wait_for_input("> x", 3);
        alice.type_keys(keys);
        bob.say(&format!("line {number} alice"));
        alice.wait_for_text(&format!("line {number} alice"));
        wait_until("the bell has rung", || alice.bell_count() == number + 1);
        // Without a wait, the sequence is not over.
        alice.type_keys("\x03");
        alice.wait_for_input(">", 2);
    }
    // After a second the letter is no longer part of the sequence.
    wait_until("a letter is typed", || {
        alice.type_keys("\x1b[200");
        thread::sleep(EXPIRY);
        alice.type_keys("y");
        thread::sleep(Duration::from_millis(100));
        alice.screen_text().contains("> y")
    });
}

#[test]
fn paste_without_end_is_over_after_a_second() {
    let (_server, mut bob, mut alice) = Terminal::start_with_bob(&[]);
    alice.type_keys("\x1b[200~abc");
    alice.wait_for_input("> abc", 5);
    bob.say("during the paste");
    alice.wait_for_text("during the paste");
    alice.type_keys("\x03");
    alice.wait_for_input(">", 2);
    alice.type_keys("typed\r");
    bob.recv_until(|frame| frame["data"] == "typed");
    alice.type_keys("\x1b[200~abc");
    alice.wait_for_input("> abc", 5);
    // In a paste, this would only start a second line.
    wait_until("Enter sends", || {
        thread::sleep(EXPIRY);
        alice.type_keys("\r");
        bob.recv_until(|frame| frame["data_source"] == "alice")["data"] == "abc"
    });
}

#[test]
fn interrupt_inside_a_pasted_text_is_text() {
    let (_server, mut bob, mut alice) = Terminal::start_with_bob(&[]);
    alice.type_keys("\x1b[200~one\x03\x1c\x1b[31mtwo\x1b[201~\r");
    bob.recv_until(|frame| frame["data"] == "onetwo");
}

#[test]
fn large_paste_arrives_whole() {
    let (_server, mut bob, mut alice) = Terminal::start_with_bob(&[]);
    let lines: String = (0..5_000).map(|number| format!("pasted 好 {number}\r")).collect();
    alice.type_keys(&format!("\x1b[200~{lines}\x1b[201~"));
    alice.wait_for_text("pasted 好 4999\n\n[5000 lines");
    alice.type_keys("\r");
    alice.type_keys("y");
    // In parts that the server accepts, which end between two lines.
    let mut received = String::new();
    while !received.ends_with("好 4999\n") {
        let frame = bob.recv_until(|frame| frame["data_source"] == "alice");
        received += &format!("{}\n", frame["data"].as_str().unwrap());
    }
    assert_eq!(received, lines.replace('\r', "\n"));
}

#[test]
fn characters_of_stty_act_as_in_the_shell() {
    let server = TestServer::start(&[]);
    let mut terminal = Terminal::prepare(server.address(0), "alice", &[]);
    terminal.modes.special_codes[SpecialCodeIndex::VINTR] = 0x18;
    terminal.modes.special_codes[SpecialCodeIndex::VQUIT] = 0x07;
    let mut alice = terminal.start();
    alice.type_keys("typed");
    alice.wait_for_input("> typed", 7);
    let lines = alice.screen_text().lines().count();
    alice.type_keys("\x18");
    alice.wait_for_input(">", 2);
    assert_eq!(alice.screen_text().lines().count(), lines);
    alice.type_keys("\x1c");
    alice.type_keys("still here\x07");
    assert_eq!(alice.finish().code(), Some(131));
    alice.wait_for_text("> still here\n");
}

#[test]
fn search_shows_what_arrives() {
    let (_server, mut bob, mut alice) = Terminal::start_with_bob(&[]);
    alice.type_keys("first line\r");
    bob.recv_until(|frame| frame["data"] == "first line");
    alice.type_keys("\x12fir");
    alice.wait_for_text("(reverse-i-search)`fir': first line");
    bob.say("during the search");
    alice.wait_for_text("during the search\n(reverse-i-search)`fir': first line");
    alice.type_keys("\x03");
    alice.wait_for_input(">", 2);
}

#[test]
fn invalid_byte_in_the_input_history_hides_no_line() {
    let server = TestServer::start(&[]);
    let terminal = Terminal::prepare(server.address(0), "alice", &[]);
    let folder = terminal.home.path("state/smolchat");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("history"), b"first\ncaf\xe9\nlast\n").unwrap();
    let mut alice = terminal.start();
    alice.type_keys("\x1b[A");
    alice.wait_for_input("> last", 6);
    alice.type_keys("\x1b[A");
    wait_until("the replaced byte is shown", || alice.raw_output().contains("caf\u{fffd}"));
    alice.type_keys("\x1b[A");
    alice.wait_for_input("> first", 7);
}
