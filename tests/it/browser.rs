//! The page in real browsers: `make test-web`.

mod conformance;
mod display;
mod outages;
mod requests;

use crate::common::browser::{Chromium, ChromiumTab, Firefox, Tab, start_server, url};
use crate::common::{TempDir, TestClient, TestServer};

/// Starts a server with two members: alice, and bob in Chromium.
#[track_caller]
fn start_talk(options: &[&str]) -> (TestServer, TestClient, ChromiumTab) {
    let server = start_server(options);
    let alice = server.join("alice");
    let tab = Chromium::start().open();
    tab.join(&server, "bob");
    (server, alice, tab)
}

/// Checks that no coming, going or other name was told to a member.
#[track_caller]
fn assert_no_notice(client: &mut TestClient) {
    let is_notice = |kind: &str| ["join", "leave", "name"].contains(&kind);
    for frame in client.pending() {
        assert!(!is_notice(frame["kind"].as_str().unwrap()), "{frame}");
    }
}

fn check_talk(tab: &impl Tab) {
    let server = start_server(&[]);
    let mut alice = server.join("alice");
    tab.join(&server, "bob");
    alice.recv_kind("join");
    alice.say("hello bob");
    tab.wait_for_text("hello bob");
    tab.say("hello alice");
    assert_eq!(alice.recv_until(|frame| frame["data_source"] == "bob")["data"], "hello alice");
    tab.wait_for_text("hello alice");
    tab.say("/me waves");
    assert_eq!(alice.recv_kind("action")["data"], "waves");
    tab.say("/msg alice only for you");
    assert_eq!(alice.recv_kind("private")["data"], "only for you");
    tab.wait_for_text("only for you");
    assert_eq!(tab.texts(), ["hello bob", "hello alice", "bob waves", "only for you"]);
    assert_eq!(tab.evaluate("isSecureContext"), false);
    tab.say("/quit");
    alice.recv_kind("leave");
}

fn check_history_and_reload(tab: &impl Tab) {
    let server = start_server(&[]);
    let mut alice = server.join("alice");
    alice.say_and_recv("before");
    tab.join(&server, "bob");
    tab.wait_for_text("before");
    tab.say("during");
    alice.recv_until(|frame| frame["data"] == "during");
    for _ in 0..3 {
        tab.reload();
        tab.wait_until_live("bob");
        tab.wait_for_text("during");
        assert_eq!(tab.texts(), ["before", "during"]);
    }
    assert_no_notice(&mut alice);
    tab.say("after");
    assert_eq!(alice.recv_kind("chat")["data"], "after");
    tab.wait_for_text("after");
    assert_eq!(tab.texts(), ["before", "during", "after"]);
}

fn check_restart_of_server(tab: &impl Tab) {
    let dir = TempDir::new();
    let file = dir.path("history").display().to_string();
    let mut server = start_server(&["--history-file", &file]);
    let address = server.address(0).to_owned();
    tab.join(&server, "bob");
    tab.say("before");
    tab.wait_for_text("before");
    for round in ["one", "two"] {
        server.kill();
        tab.wait_for("document.getElementById('status').textContent");
        tab.say(round);
        tab.wait_for_part("waiting", round);
        server = start_server(&["--history-file", &file, "--listen", &address]);
        tab.wait_for_text(round);
        tab.wait_until_live("bob");
    }
    tab.say("after");
    tab.wait_for_text("after");
    let expected = ["before", "one", "two", "after"];
    assert_eq!(tab.texts(), expected);
    assert_eq!(tab.evaluate("document.getElementById('waiting').childElementCount"), 0);
    tab.reload();
    tab.wait_for_text("after");
    assert_eq!(tab.texts(), expected);
}

fn check_taken_name(tab: &impl Tab) {
    let server = start_server(&[]);
    let mut bob = server.join("bob");
    tab.navigate(&url(&server));
    tab.fill_in_name("Bob");
    tab.wait_until_live("Bob-2");
    tab.say("my name is taken");
    assert_eq!(bob.recv_kind("chat")["data_source"], "Bob-2");
    tab.say("/nick carol");
    assert_eq!(bob.recv_kind("name")["to"], "carol");
    tab.wait_until_live("carol");
    tab.reload();
    tab.wait_until_live("carol");
    assert_no_notice(&mut bob);
}

fn check_hostile_texts(tab: &impl Tab) {
    let server = start_server(&["--rate", "0"]);
    let mut alice = server.join("ألف");
    tab.join(&server, "bob");
    let texts = [
        "<img src=x onerror=\"window.isHacked = true\">",
        "<script>window.isHacked = true</script></p></div>",
        "&lt;b&gt; &amp; \\u003cb\\u003e",
        "javascript:alert(1) data:text/html,x https://a\"onmouseover=\"window.isHacked=true",
        "${window.isHacked = true} {{window.isHacked = true}} __proto__ constructor",
        &"Z\u{351}\u{36B}\u{343}".repeat(100),
        &"\u{1F469}\u{200D}\u{1F4BB}".repeat(200),
        &"x".repeat(4000),
        "\u{5E9}\u{5DC}\u{5D5}\u{5DD} english \u{5E2}\u{5D5}\u{5DC}\u{5DD}",
    ];
    for text in texts {
        alice.say_and_recv(text);
        tab.wait_for_text(text);
    }
    assert_eq!(tab.texts(), texts);
    // Shown, but without effect on the text around them.
    alice.say_and_recv("\u{202E}reversed\u{2066}\u{200F}");
    tab.say("the last");
    tab.wait_for_text("the last");
    assert!(!tab.texts()[texts.len()].contains(['\u{202E}', '\u{2066}']));
    let state = tab.evaluate(
        "[window.isHacked, document.querySelectorAll('#log :is(img, script, b, [onmouseover])')\
         .length, [...document.querySelectorAll('#log a')].filter((link) => \
         !/^https?:$/.test(link.protocol)).length, document.documentElement.scrollWidth > innerWidth]",
    );
    assert_eq!(state, serde_json::json!([null, 0, 0, false]));
}

/// Runs a check in Chromium, as a test of its own.
macro_rules! in_chromium {
    ($($name:ident: $check:ident,)*) => {$(
        #[test]
        #[ignore = "needs a browser, see `make test-web`"]
        fn $name() {
            $check(&Chromium::start().open());
        }
    )*};
}

in_chromium! {
    people_talk_in_chromium: check_talk,
    reload_shows_history_and_is_not_told: check_history_and_reload,
    killed_server_loses_no_line_and_repeats_none: check_restart_of_server,
    taken_name_is_replaced_and_can_be_changed: check_taken_name,
    hostile_texts_stay_texts: check_hostile_texts,
}

#[test]
#[ignore = "needs a browser, see `make test-web`"]
fn firefox_passes_same_checks() {
    // In one test, because Firefox takes seconds to start.
    let firefox = Firefox::start();
    check_talk(&firefox);
    check_history_and_reload(&firefox);
    check_restart_of_server(&firefox);
    check_taken_name(&firefox);
    check_hostile_texts(&firefox);
}
