//! Shows frames in a view and checks the output.

use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::client::is_invisible;
use crate::protocol::Frame;

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;
/// 14:03 on 22 November 2026.
const NOW: u64 = 20_779 * DAY + (14 * 60 + 3) * MINUTE;

fn settings(bell: Bell) -> ViewSettings {
    let highlights = vec!["Deploy".into(), "on fire".into()];
    ViewSettings { has_colors: false, bell, has_timestamps: true, highlights, has_presence: true }
}

fn view(bell: Bell) -> View {
    View::new(settings(bell), Clock::default(), 60, NOW)
}

fn received(source: &'static str, data: &'static str, body: Body<'static>) -> ReceivedFrame {
    let frame = Frame { data_source: source.into(), data: data.into(), body };
    ReceivedFrame { frame, line: Vec::new(), is_past: false, in_reply_to: None }
}

fn chat(source: &'static str, text: &'static str) -> ReceivedFrame {
    received(source, text, Body::Chat { seq: 1, time: NOW, id: None })
}

fn join(names: &[&'static str]) -> ReceivedFrame {
    let names = names.iter().map(|name| Cow::from(*name)).collect();
    received("server", "", Body::Join { seq: 1, time: NOW, names })
}

fn at(time: u64, mut chat: ReceivedFrame) -> ReceivedFrame {
    chat.frame.body = Body::Chat { seq: 1, time, id: None };
    chat
}

fn past(received: ReceivedFrame) -> ReceivedFrame {
    ReceivedFrame { is_past: true, ..received }
}

/// Returns the output of the frames for alice.
fn shown_lines(view: &mut View, all: impl IntoIterator<Item = ReceivedFrame>) -> String {
    all.into_iter().for_each(|received| view.show_frame(&received, "alice"));
    view.flush_held();
    view.take_output().0
}

#[test]
fn names_are_aligned_and_own_lines_marked() {
    let lines = [chat("bob", "hi"), chat("alice", "hello"), chat("小明", "你好"), chat("bob", "!")];
    let text = "14:03 bob  hi\n14:03 alice> hello\n14:03 小明   你好\n14:03 bob    !\n";
    assert_eq!(shown_lines(&mut view(Bell::Never), lines), text);
}

#[test]
fn each_kind_of_frame_has_its_own_form() {
    let private = |source, to: &'static str| {
        received(source, "psst", Body::Private { time: NOW, to: to.into(), id: None })
    };
    let name = Body::Name { seq: 1, time: NOW, from: "bob".into(), to: "rob".into(), id: None };
    let code = crate::protocol::ErrorCode::NoSuchUser;
    let frames = [
        received("bob", "waves", Body::Action { seq: 1, time: NOW, id: None }),
        private("bob", "alice"),
        private("alice", "bob"),
        received("server", "bob is now rob", name),
        received("server", "no", Body::Error { code, id: None }),
        received("server", "yes", Body::info(None)),
        received("server", "gone", Body::Gap { from: 1, to: 2 }),
    ];
    let text = "14:03 * bob waves\n14:03>[bob > alice]  psst\n14:03 [alice > bob]  psst\n\
        14:03 --- bob is now rob\n      !!! no\n      -!- yes\n";
    assert_eq!(shown_lines(&mut view(Bell::Never), frames), text);
}

#[test]
fn joins_are_collected_until_the_next_message() {
    let mut view = view(Bell::Never);
    for names in [["alice", "bob"], ["carol", "dave"], ["erin", "frank"]] {
        view.show_frame(&join(&names), "alice");
    }
    assert_eq!(view.take_output().0, "");
    assert!(view.has_held_entries());
    view.show_frame(&chat("bob", "hi"), "alice");
    assert!(!view.has_held_entries());
    assert_eq!(view.take_output().0, "14:03 --> bob, carol and 3 more joined\n14:03 bob  hi\n");
    assert_eq!(shown_lines(&mut view, [join(&["alice"])]), "", "the welcome is shown instead");
}

#[test]
fn return_after_more_than_a_second_is_shown() {
    for (seconds, count) in [(1, 0), (2, 2)] {
        let mut frames = [join(&["erin"]), join(&["erin"])];
        let names = vec!["erin".into()];
        frames[0].frame.body = Body::Leave { seq: 1, time: NOW - seconds * 1000, names };
        let frames = frames.map(past);
        let text = shown_lines(&mut view(Bell::Never), frames);
        assert_eq!(text.matches("erin").count(), count, "{text}");
    }
}

#[test]
fn history_is_marked_and_silent() {
    let text = shown_lines(
        &mut view(Bell::Always),
        [past(chat("bob", "alice?")), past(chat("bob", "hm")), chat("bob", "there")],
    );
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "-- earlier --");
    assert_eq!(lines[3..], ["-- now --", "14:03 bob  there"]);
    let mut quiet = view(Bell::Always);
    shown_lines(&mut quiet, [past(chat("bob", "alice?"))]);
    quiet.show_frame(&past(chat("bob", "alice?")), "alice");
    assert!(!quiet.take_output().1, "history does not ring");
    assert!(quiet.has_held_entries(), "the end of the history is not shown yet");
}

#[test]
fn new_day_is_a_separator() {
    let midnight = NOW + 10 * 60 * MINUTE;
    let text = shown_lines(
        &mut view(Bell::Never),
        [chat("bob", "late"), at(midnight, chat("bob", "early")), at(midnight, chat("bob", "up"))],
    );
    let day = "-- Monday, 23 November 2026 --";
    let lines = ["14:03 bob  late", day, "00:03 bob  early", "00:03 bob  up", ""];
    assert_eq!(text, lines.join("\n"));
    let text = shown_lines(&mut view(Bell::Never), [past(at(NOW - DAY, chat("bob", "old")))]);
    assert!(text.contains("-- Saturday, 21 November 2026 --\n14:03 bob  old"), "{text}");
}

#[test]
fn bell_follows_the_setting() {
    for (text, bell, rings) in [
        ("hello alice!", Bell::Mention, true),
        ("hello ALICE", Bell::Mention, true),
        ("malice", Bell::Mention, false),
        ("hello", Bell::Mention, false),
        ("hello", Bell::Always, true),
        ("alice", Bell::Never, false),
        ("deploy, please", Bell::Mention, true),
        ("deployed", Bell::Mention, false),
        ("it is ON FIRE", Bell::Mention, true),
    ] {
        let mut view = view(bell);
        view.show_frame(&chat("bob", text), "alice");
        assert_eq!(view.take_output().1, rings, "{text} {bell:?}");
        view.show_frame(&chat("alice", text), "alice");
        assert!(!view.take_output().1, "own lines do not ring");
    }
}

#[test]
fn ignored_member_is_hidden_under_its_new_name() {
    let mut view = view(Bell::Always);
    view.ignored.add("bob");
    let name = |from: &'static str, to: &'static str| {
        let body = Body::Name { seq: 1, time: NOW, from: from.into(), to: to.into(), id: None };
        received("server", "a new name", body)
    };
    let private = Body::Private { time: NOW, to: "alice".into(), id: None };
    let frames = [
        join(&["bob"]),
        past(name("bob", "dave")),
        name("bob", "carol"),
        chat("carol", "hidden"),
        received("carol", "hidden", Body::Action { seq: 1, time: NOW, id: None }),
        received("carol", "hidden", private),
        join(&["carol", "erin"]),
        chat("dave", "shown"),
    ];
    let text = shown_lines(&mut view, frames);
    let expected = "14:03 --- a new name\n14:03 --> erin joined\n14:03 dave  shown\n";
    assert!(text.ends_with(expected), "{text}");
    assert!(!text.contains("hidden") && !text.contains("bob joined"), "{text}");
}

#[test]
fn ignored_member_is_hidden_and_silent() {
    let mut view = view(Bell::Always);
    assert!(view.ignored.add("Mallory"));
    view.show_frame(&chat("mallory", "alice!"), "alice");
    assert_eq!(view.take_output(), (String::new(), false));
    assert_eq!(view.ignored.remove("MALLORY"), ["Mallory"]);
    assert_eq!(shown_lines(&mut view, [chat("mallory", "hi")]), "14:03 mallory  hi\n");
}

#[test]
fn control_characters_are_shown_as_text() {
    let text = "\x1b[2J\x07\r\n\u{202e}evil\u{200b}\u{9b}1m";
    let shown = shown_lines(&mut view(Bell::Never), [chat("mal\x1blory", text)]);
    let first = "14:03 mal^[lory  ^[[2J^G";
    let second = "                 <U+202E>evil<U+200B><U+009B>1m";
    assert_eq!(shown, format!("{first}\n{second}\n"));
    let zalgo: String = std::iter::once('e').chain(std::iter::repeat_n('\u{301}', 100)).collect();
    let shown = sanitize(&zalgo);
    assert!(shown.chars().filter(|c| *c == '\u{301}').count() < 10, "{shown}");
}

/// Returns frames of all kinds with arbitrary texts.
fn any_received() -> impl Strategy<Value = ReceivedFrame> {
    let texts = (any::<String>(), any::<String>(), any::<String>());
    let times = prop_oneof![Just(NOW), any::<u64>()];
    (texts, times, 0..8, any::<bool>()).prop_map(|((source, data, other), time, kind, is_past)| {
        let (seq, id) = (1, None);
        let (names, other) = (vec![other.clone().into(), "bob".into()], Cow::from(other));
        let body = match kind {
            0 => Body::Chat { seq, time, id },
            1 => Body::Action { seq, time, id },
            2 => Body::Join { seq, time, names },
            3 => Body::Leave { seq, time, names },
            4 => Body::Name { seq, time, from: other.clone(), to: other, id },
            5 => Body::Private { time, to: other, id },
            6 => Body::Who { names, more: None, quiet: Vec::new(), id },
            _ => Body::Unknown,
        };
        let frame = Frame { data_source: source.into(), data: data.into(), body };
        ReceivedFrame { frame, line: Vec::new(), is_past, in_reply_to: None }
    })
}

proptest! {
    /// Apart from the colours of the view, the output has only text and newlines.
    #[test]
    fn no_frame_writes_control_sequences(
        frames in proptest::collection::vec(any_received(), 1..6),
        columns in 1usize..100,
    ) {
        let settings = ViewSettings { has_colors: true, ..settings(Bell::Always) };
        let mut view = View::new(settings, Clock::default(), columns, NOW);
        for text in [shown_lines(&mut view, frames), view.format_screen(50)] {
            let mut parts = text.split("\x1b[");
            let mut plain = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                let (color, rest) = part.split_once('m').expect("a colour");
                prop_assert!(color.chars().all(|c| c.is_ascii_digit() || c == ';'), "{:?}", color);
                plain.push_str(rest);
            }
            let is_active = |c: char| c != '\n' && (c.is_control() || is_invisible(c));
            prop_assert!(!plain.contains(is_active), "{:?}", plain);
        }
    }
}

#[test]
fn screen_has_the_latest_lines_in_new_width() {
    let mut view = view(Bell::Never);
    for number in 0..500 {
        let body = Body::Chat { seq: 1, time: NOW, id: None };
        let data = format!("line {number} of many words").into();
        let frame = Frame { data_source: "bob".into(), data, body };
        let received = ReceivedFrame { frame, line: Vec::new(), is_past: false, in_reply_to: None };
        view.show_frame(&received, "alice");
    }
    view.columns = 25;
    let screen = view.format_screen(4);
    let lines = [
        "14:03 bob  line 498 of",
        "           many words",
        "14:03 bob  line 499 of",
        "           many words",
        "",
    ];
    assert_eq!(screen, lines.join("\n"));
    view.clear();
    assert_eq!(view.format_screen(4), "");
}

#[test]
fn status_fits_into_one_row() {
    let view = view(Bell::Never);
    assert_eq!(view.format_status("no connection for 3 s"), "      -!- no connection for 3 s");
    assert_eq!(view.format_status(&"长".repeat(60)).chars().count(), 10 + 24);
}

#[test]
fn presence_off_hides_joins_and_leaves() {
    let settings = ViewSettings { has_presence: false, ..settings(Bell::Never) };
    let mut view = View::new(settings, Clock::default(), 60, NOW);
    let names = Body::Leave { seq: 2, time: NOW, names: vec!["bob".into()] };
    let frames = [join(&["bob"]), chat("bob", "hi"), received("server", "bob left", names)];
    assert_eq!(shown_lines(&mut view, frames), "14:03 bob  hi\n");
}

#[test]
fn marker_is_above_the_next_line_of_another() {
    let rule = format!("{:-<59}\n", "-- new ");
    let mut view = view(Bell::Never);
    shown_lines(&mut view, [chat("bob", "seen")]);
    view.request_marker(MarkerReason::Outage);
    view.show_notice(EntryKind::Info, "reconnected");
    let shown = shown_lines(&mut view, [join(&["carol"]), chat("bob", "missed"), chat("bob", "!")]);
    let missed = "14:03 --> carol joined\n14:03 bob  missed\n14:03 bob  !\n";
    assert_eq!(shown, format!("      -!- reconnected\n{rule}{missed}"));
    // The screen has only the latest rule.
    view.request_marker(MarkerReason::Stop);
    assert_eq!(shown_lines(&mut view, [chat("bob", "new")]), format!("{rule}14:03 bob  new\n"));
    assert_eq!(view.format_screen(24).matches("-- new").count(), 1);
    assert!(view.format_screen(24).ends_with(&format!("{rule}14:03 bob  new\n")));
}

#[test]
fn marker_is_cancelled_by_return_or_own_line() {
    let mut view = view(Bell::Never);
    view.request_marker(MarkerReason::Stop);
    // The first reason stands.
    view.request_marker(MarkerReason::Outage);
    view.cancel_marker(MarkerReason::Outage);
    assert!(shown_lines(&mut view, [chat("bob", "hi")]).starts_with("-- new"));
    view.request_marker(MarkerReason::Outage);
    view.cancel_marker(MarkerReason::Outage);
    assert_eq!(shown_lines(&mut view, [chat("bob", "hi")]), "14:03 bob  hi\n");
    view.request_marker(MarkerReason::Stop);
    assert!(!shown_lines(&mut view, [chat("alice", "hi"), chat("bob", "yo")]).contains("-- new"));
}
