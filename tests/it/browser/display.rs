//! The page as it is shown: on a phone, with much text, and to assistive technology.

use std::fs;

use serde_json::{Value, json};

use super::start_talk;
use crate::common::browser::{Chromium, ChromiumTab, Tab, start_server, tool, url};

const MESSAGE: &str = "document.getElementById('message')";
const LAST_ROW: &str = "[...document.querySelectorAll('#log .text')].at(-1)";

/// Returns whether an element is inside of the window.
fn is_in_view(tab: &ChromiumTab, element: &str) -> bool {
    let inside = format!(
        "(({{ left, top, right, bottom }}) => left >= 0 && top >= 0 && right <= innerWidth \
         && bottom <= innerHeight)({element}.getBoundingClientRect())"
    );
    tab.evaluate(&inside) == true
}

#[track_caller]
fn assert_fits_in_width(tab: &ChromiumTab) {
    let widths = tab.evaluate("[document.documentElement.scrollWidth, innerWidth]");
    assert!(widths[0].as_u64() <= widths[1].as_u64(), "{widths}");
}

#[test]
#[ignore = "needs a browser, see `make test-web`"]
fn phone_joins_and_talks_by_touch() {
    let server = start_server(&[]);
    let mut alice = server.join("alice");
    let tab = Chromium::start().open();
    tab.set_size(360, 640, true);
    tab.navigate(&url(&server));
    tab.click("document.getElementById('name')", true);
    tab.type_text("bob");
    assert_fits_in_width(&tab);
    tab.click("document.querySelector('#join button')", true);
    tab.wait_until_live("bob");
    for number in 0..30 {
        alice.say_and_recv(&format!("line {number} of a conversation with some words in it"));
    }
    tab.wait_for_text("line 29 of a conversation with some words in it");
    tab.click(MESSAGE, true);
    tab.type_text("from the phone");
    // The keyboard is open.
    tab.set_size(360, 320, true);
    tab.wait_for("innerHeight === 320");
    assert_fits_in_width(&tab);
    tab.click("document.querySelector('#room form > button:last-child')", true);
    alice.recv_until(|frame| frame["data"] == "from the phone");
    tab.wait_for_text("from the phone");
    tab.wait_for(&format!("{LAST_ROW}.getBoundingClientRect().bottom <= innerHeight"));
    assert!(is_in_view(&tab, LAST_ROW) && is_in_view(&tab, MESSAGE));
    let targets = tab.evaluate(
        "[...document.querySelectorAll('button, input, textarea, summary, select')].filter((target) \
         => target.offsetParent && target.getBoundingClientRect().height < 24).length",
    );
    assert_eq!(targets, 0, "targets that are too small to touch");
}

#[test]
#[ignore = "needs a browser, see `make test-web`"]
fn room_is_usable_with_keyboard_alone() {
    let (_server, mut alice, tab) = start_talk(&[]);
    assert_eq!(tab.evaluate("document.activeElement.id"), "message");
    tab.type_text("one");
    tab.press("Enter", 13, "\r", 8);
    tab.type_text("two");
    tab.press_enter();
    assert_eq!(alice.recv_kind("chat")["data"], "one\ntwo");
    // Completes the name of a member.
    tab.type_text("hello @al");
    tab.press("Tab", 9, "", 0);
    assert_eq!(tab.evaluate(&format!("{MESSAGE}.value")), "hello alice ");
    tab.press_enter();
    assert_eq!(alice.recv_kind("chat")["data"], "hello alice");
    // Reaches all controls, and stays in none of them.
    let mut reached = Vec::new();
    for _ in 0..20 {
        tab.press("Tab", 9, "", 0);
        reached.push(tab.evaluate("document.activeElement.id"));
    }
    for id in ["message", "scroller", "count"] {
        assert!(reached.contains(&id.into()), "{id}: {reached:?}");
    }
}

#[test]
#[ignore = "needs a browser, see `make test-web`"]
fn ten_thousand_lines_do_not_freeze_page() {
    let options = ["--rate", "0", "--address-rate", "0", "--address-bytes", "0", "--outbox", "16M"];
    let (_server, mut alice, tab) = start_talk(&options);
    tab.evaluate(
        "(() => { let last = performance.now(); window.longest = 0; setInterval(() => { const now = \
         performance.now(); window.longest = Math.max(window.longest, now - last); last = now; }) \
         })()",
    );
    for batch in 0..20 {
        let lines = (0..500).map(|number| format!("line {}\n", batch * 500 + number));
        alice.send_raw(lines.collect::<String>().as_bytes());
        let last = format!("line {}", batch * 500 + 499);
        alice.recv_until(|frame| frame["data"] == *last);
    }
    tab.wait_for_text("line 9999");
    let texts = tab.texts();
    assert!((1000..=2000).contains(&texts.len()), "{}", texts.len());
    let numbers = texts.iter().map(|text| text.trim_start_matches("line ").parse::<u32>().unwrap());
    assert!(numbers.eq(10_000 - texts.len() as u32..10_000), "{texts:?}");
    // The longest time without an answer to the user: 130 ms for 50,000 lines on an idle machine,
    // 1,700 beside other tests.
    let longest = tab.evaluate("window.longest");
    assert!(longest.as_f64() < Some(5_000.0), "{longest} ms");
    tab.say("still usable");
    alice.recv_until(|frame| frame["data"] == "still usable");
}

#[test]
#[ignore = "needs a browser, see `make test-web`"]
fn unseen_lines_are_counted_and_marked() {
    let (_server, mut alice, tab) = start_talk(&[]);
    alice.say_and_recv("seen");
    tab.wait_for_text("seen");
    tab.set_focused(false);
    alice.say_and_recv("unseen one");
    alice.say_and_recv("bob: unseen two");
    tab.wait_for("document.title === '(2) smolchat'");
    tab.wait_for("document.querySelector('#log .mention')?.textContent.includes('unseen two')");
    let marked = tab.evaluate("document.querySelector('#log .rule').nextSibling.textContent");
    assert!(marked.as_str().unwrap().ends_with("unseen one"), "{marked}");
    tab.set_focused(true);
    tab.wait_for("document.title === 'smolchat'");
}

#[test]
#[ignore = "needs a browser, see `make test-web`"]
fn axe_finds_nothing() {
    let axe = fs::read_to_string(tool("node_modules/axe-core/axe.min.js")).unwrap();
    let server = start_server(&[]);
    let mut alice = server.join("alice");
    let tab = Chromium::start().open();
    tab.navigate(&url(&server));
    tab.evaluate(&format!("{axe}; 0"));
    tab.focus("name");
    assert_axe_finds_nothing(&tab, "the form of the name");
    tab.fill_in_name("bob");
    tab.wait_until_live("bob");
    for line in ["see https://example.org/a", "/me waves", "bob: for you", "/msg bob in private"] {
        alice.say(line);
    }
    // Each name has one of 24 colours.
    for number in 0..40 {
        server.join(&format!("member-{number}")).say("hello");
    }
    tab.say("an own line");
    tab.wait_for_text("an own line");
    tab.say("/missing");
    tab.wait_for_part("log", "missing");
    assert_axe_finds_nothing(&tab, "the room");
    tab.click("document.getElementById('count')", false);
    assert_axe_finds_nothing(&tab, "the members");
    tab.set_offline(true);
    tab.focus("message");
    tab.evaluate("window.dispatchEvent(new Event('focus'))");
    tab.say("a line that waits");
    tab.wait_for_part("waiting", "a line that waits");
    assert_axe_finds_nothing(&tab, "the room without a connection");
}

/// Runs axe-core on the page in all sizes and colours.
#[track_caller]
fn assert_axe_finds_nothing(tab: &ChromiumTab, state: &str) {
    for (width, height, is_phone) in [(360, 640, true), (1280, 800, false)] {
        for is_dark in [false, true] {
            tab.set_size(width, height, is_phone);
            tab.set_dark(is_dark);
            assert_fits_in_width(tab);
            let found = tab.evaluate(
                "axe.run().then(({ passes, violations }) => ({ passes: passes.map(({ id }) => id), \
                 violations: violations.map(({ id, nodes }) => [id, nodes.map((node) => \
                 `${node.html}: ${node.failureSummary}`).slice(0, 3)]) }))",
            );
            let passes = found["passes"].as_array().unwrap();
            assert!(passes.contains(&"color-contrast".into()), "{found}");
            let violations = &found["violations"];
            assert_eq!(*violations, json!([]), "{state}, {width} pixels, dark: {is_dark}");
        }
    }
}

#[test]
#[ignore = "needs a browser, see `make test-web`"]
fn room_fits_at_twice_the_size() {
    let server = start_server(&[]);
    let tab = Chromium::start().open();
    // 200 % of a window of 640 by 512 pixels.
    tab.set_size(320, 256, false);
    tab.join(&server, "bob");
    tab.say(&"long".repeat(200));
    tab.wait_for_text(&"long".repeat(200));
    assert_fits_in_width(&tab);
    assert!(is_in_view(&tab, MESSAGE));
    assert_ne!(tab.evaluate(&format!("{LAST_ROW}.getBoundingClientRect().height")), Value::from(0));
}

#[test]
#[ignore = "needs a browser, see `make test-web`"]
fn long_text_is_split_and_arrives_whole() {
    let (_server, mut alice, tab) = start_talk(&[]);
    let words: Vec<String> = (0..2_000).map(|number| format!("w\u{F6}rd-{number}")).collect();
    tab.say(&words.join(" "));
    let mut received = Vec::new();
    while received.len() < words.len() {
        let text = alice.recv_kind("chat")["data"].as_str().unwrap().to_owned();
        received.extend(text.split(' ').map(str::to_owned));
    }
    assert_eq!(received, words);
    tab.wait_for("document.getElementById('waiting').childElementCount === 0");
}

#[test]
#[ignore = "needs a browser, see `make test-web`"]
fn page_works_without_storage() {
    let server = start_server(&[]);
    let mut alice = server.join("alice");
    let tab = Chromium::start().open();
    let source = "for (const name of ['localStorage', 'sessionStorage']) { \
         Object.defineProperty(window, name, { get() { throw new DOMException('no', 'SecurityError') } }); }";
    tab.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source }));
    tab.join(&server, "bob");
    tab.say("from a private window");
    alice.recv_until(|frame| frame["data"] == "from a private window");
    tab.wait_for_text("from a private window");
    assert_eq!(tab.log(), [""; 0]);
}
