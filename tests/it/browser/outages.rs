//! Interruptions between the page and the server, and several tabs.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::{assert_no_notice, start_talk};
use crate::common::browser::{Tab, url};

/// The time for which the server is stopped. It is longer than the page waits for an answer.
const STOPPED: Duration = Duration::from_secs(20);

#[test]
#[ignore = "needs a browser, see `make test-web`"]
fn stopped_server_gets_each_line_once() {
    let (server, mut alice, tab) = start_talk(&[]);
    alice.recv_kind("join");
    let start = Instant::now();
    server.signal(Signal::STOP);
    tab.say("into the silence");
    tab.wait_for_part("waiting", "into the silence");
    // The page asks whether the connection still works.
    tab.evaluate("window.dispatchEvent(new Event('focus'))");
    tab.wait_for("document.getElementById('status').textContent");
    tab.say("while away");
    thread::sleep(STOPPED.saturating_sub(start.elapsed()));
    server.signal(Signal::CONT);
    tab.wait_until_live("bob");
    tab.say("after");
    tab.wait_for_text("after");
    let expected = ["into the silence", "while away", "after"];
    assert_eq!(tab.texts(), expected);
    for text in expected {
        assert_eq!(alice.recv()["data"], text);
    }
    assert_no_notice(&mut alice);
}

#[test]
#[ignore = "needs a browser, see `make test-web`"]
fn lines_of_offline_page_are_sent_once_it_is_back() {
    let (_server, mut alice, tab) = start_talk(&[]);
    alice.recv_kind("join");
    for round in ["one", "two"] {
        tab.set_offline(true);
        tab.wait_for("!navigator.onLine");
        tab.say(round);
        tab.wait_for_part("waiting", round);
        alice.say(&format!("missed {round}"));
        tab.set_offline(false);
        tab.wait_until_live("bob");
        tab.wait_for_text(round);
        tab.wait_for_text(&format!("missed {round}"));
    }
    let mut texts = tab.texts();
    texts.sort();
    assert_eq!(texts, ["missed one", "missed two", "one", "two"]);
    assert_no_notice(&mut alice);
}

#[test]
#[ignore = "needs a browser, see `make test-web`"]
fn second_tab_continues_when_user_says_so() {
    let (server, mut alice, first) = start_talk(&[]);
    alice.recv_kind("join");
    alice.say_and_recv("hello");
    let second = first.open_another();
    second.navigate(&url(&server));
    // It asks first.
    second.wait_for_part("note", "another tab");
    first.say("still here");
    alice.recv_until(|frame| frame["data"] == "still here");
    second.fill_in_name("bob");
    second.wait_until_live("bob");
    first.wait_for_part("status", "another tab");
    second.say("from the second");
    assert_eq!(alice.recv_kind("chat")["data"], "from the second");
    first.click("document.querySelector('#status button')", false);
    first.wait_until_live("bob");
    second.wait_for_part("status", "another tab");
    first.say("from the first");
    assert_eq!(alice.recv_kind("chat")["data"], "from the first");
    first.wait_for_text("from the first");
    assert_eq!(first.texts(), ["hello", "still here", "from the second", "from the first"]);
    assert_no_notice(&mut alice);
    assert_eq!(alice.members(), ["alice", "bob"]);
}

#[test]
#[ignore = "needs a browser, see `make test-web`"]
fn paused_page_gets_each_line_once() {
    let options = ["--rate", "0", "--address-rate", "0", "--address-bytes", "0"];
    let history = ["--history", "100000", "--history-bytes", "128M", "--outbox", "64K"];
    let (server, mut alice, tab) = start_talk(&[&options[..], &history].concat());
    tab.call("Debugger.enable", json!({}));
    tab.call("Debugger.pause", json!({}));
    let filler = "x".repeat(3000);
    let mut count = 0;
    while !server.log().contains("read too slowly") {
        alice.say_and_recv(&format!("{count} {filler}"));
        count += 1;
        assert!(count < 50_000, "the server did not close the connection");
    }
    tab.call("Debugger.resume", json!({}));
    tab.call("Debugger.disable", json!({}));
    alice.say_and_recv("the last");
    tab.wait_for_text("the last");
    let texts = tab.texts();
    let shown = texts.iter().filter_map(|text| text.split(' ').next()?.parse::<u32>().ok());
    let shown: Vec<u32> = shown.collect();
    assert!(shown.len() > 1000 || shown.len() == count as usize, "{}", shown.len());
    assert!(shown.iter().copied().eq(shown[0]..count), "{shown:?} of {count}");
}
