//! Settings of the client in a terminal: highlighted words, presence, the log file, and the rule
//! where the user left off.

use std::fs;

use rustix::process::Signal;

use crate::common::client_process::ClientProcess;
use crate::common::faulty_proxy::FaultyProxy;
use crate::common::terminal::Terminal;
use crate::common::{TempDir, TestServer, wait_until};

#[test]
fn highlighted_words_ring_and_are_marked() {
    let (_server, mut bob, mut alice) =
        Terminal::start_with_bob(&["--highlight", " deploy ,on fire,"]);
    bob.say("redeployed");
    alice.wait_for_text(" bob  redeployed");
    assert_eq!(alice.bell_count(), 0);
    bob.say("The Deploy is ON FIRE");
    alice.wait_for_text(">bob  The Deploy");
    assert_eq!(alice.bell_count(), 1);
}

#[test]
fn presence_off_hides_joins_and_leaves() {
    let (server, mut bob, mut alice) = Terminal::start_with_bob(&["--presence", "off"]);
    let mut plain = ClientProcess::start(server.address(0), "plain", &["--presence", "off"]);
    bob.recv_until(|frame| frame["data"] == "plain joined");
    let mut carol = server.join("carol");
    carol.say("hello");
    carol.say("/quit");
    bob.recv_until(|frame| frame["data"] == "carol left");
    bob.say("/nick rob");
    bob.say("still here");
    alice.wait_for_text("rob    still here");
    let screen = alice.screen_text();
    assert!(!screen.contains("joined") && !screen.contains("left"), "{screen}");
    assert!(screen.contains("bob is now rob"), "{screen}");
    plain.wait_for_line("carol  hello");
    assert!(plain.wait_for_line("").ends_with("--- bob is now rob"));
}

#[test]
fn log_has_each_message_once() {
    let (server, dir) = (TestServer::start(&["--rate", "0"]), TempDir::new());
    let path = dir.path("chat.log");
    let log = path.to_str().unwrap();
    let mut bob = server.join("bob");
    bob.say("from before");
    bob.recv_until(|frame| frame["data"] == "from before");
    let mut alice = Terminal::start(server.address(0), "alice", &["--log", log]);
    bob.say("one");
    bob.say("/msg alice psst");
    alice.wait_for_text("psst");
    alice.type_keys("/reconnect\r");
    alice.wait_for_text("reconnected");
    alice.type_keys("/me waves\r/history\r/last\r");
    alice.wait_for_text("the last ");
    // As logrotate does it.
    fs::rename(&path, dir.path("old.log")).unwrap();
    bob.say("two");
    alice.wait_for_text("two");
    wait_until("the log is written", || path.exists());
    let without_date = |file: &str| {
        let text = fs::read_to_string(dir.path(file)).unwrap();
        let lines = text.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap().to_owned());
        lines.collect::<Vec<_>>()
    };
    assert_eq!(without_date("old.log"), ["bob  one", "[bob > alice]  psst", "* alice waves"]);
    assert_eq!(without_date("chat.log"), ["bob  two"]);
    let mut plain = ClientProcess::start(server.address(0), "plain", &["--log", "/dev/full"]);
    plain.write_input("three\nfour\n");
    plain.wait_for_line("plain  four");
    let (code, _, stderr) = plain.finish();
    assert_eq!((code, stderr.lines().count()), (0, 1), "{stderr}");
    assert!(stderr.starts_with("smolchat: cannot write the log /dev/full: "), "{stderr}");
    alice.wait_for_text("plain  four");
    assert_eq!(without_date("chat.log").last().unwrap(), "plain  four");
}

#[test]
fn unwritable_log_is_reported_once() {
    let (server, dir) = (TestServer::start(&["--rate", "0"]), TempDir::new());
    let mut bob = server.join("bob");
    let log = dir.path("none/chat.log");
    let options = ["--time", "off", "--log", log.to_str().unwrap()];
    let mut alice = Terminal::start(server.address(0), "alice", &options);
    alice.wait_for_text("!!! cannot write the log");
    bob.say("one");
    bob.say("two");
    alice.wait_for_text("bob  two");
    assert_eq!(alice.screen_text().matches("cannot write").count(), 1);
}

#[test]
fn rule_is_where_the_user_left_off() {
    let server = TestServer::start(&["--rate", "0"]);
    let proxy = FaultyProxy::start(server.address(0), 0);
    let mut bob = server.join("bob");
    let mut alice = Terminal::start(proxy.address(), "alice", &[]);
    bob.say("seen");
    alice.wait_for_text("bob  seen");
    for (stop, text) in [(Signal::TSTP, "missed"), (Signal::STOP, "missed again")] {
        alice.signal(stop);
        wait_until("the client is stopped", || alice.state() == 'T');
        if stop == Signal::STOP {
            // An outage: the client reconnects and is sent the missed line.
            proxy.disconnect_all();
        }
        bob.say(text);
        bob.recv_until(|frame| frame["data"] == text);
        alice.signal(Signal::CONT);
        alice.wait_for_screen("the rule above the missed line", |screen| {
            let contents = screen.contents();
            let lines: Vec<&str> = contents.lines().collect();
            let missed = lines.iter().position(|line| line.ends_with(&format!("bob  {text}")));
            let rule = format!("{:-<71}", "-- new ");
            missed.is_some_and(|missed| lines[missed - 1] == rule)
        });
    }
    bob.say("live");
    alice.wait_for_text("bob  live");
    let screen = alice.screen_text();
    let live = screen.lines().position(|line| line.ends_with("bob  live")).unwrap();
    assert!(!screen.lines().nth(live - 1).unwrap().starts_with("-- new"), "{screen}");
}

#[test]
fn rule_is_below_what_was_seen_with_focus() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    // The focus returns before a line arrives: there is no rule.
    alice.type_keys("draft\x1b[O\x1b[I");
    alice.wait_for_text("> draft");
    bob.say("seen");
    alice.wait_for_text("seen");
    alice.type_keys("\x1b[O+");
    alice.wait_for_text("> draft+");
    bob.say("missed");
    alice.wait_for_text("bob  missed");
    let rule = format!("bob  seen\n{:-<71}\n", "-- new ");
    assert!(alice.screen_text().contains(&rule), "{}", alice.screen_text());
    alice.type_keys("\x15\x03");
    alice.finish();
}
