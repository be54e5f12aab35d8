//! The history that a client is shown, and messages that it repeats.

use super::*;

#[test]
fn join_shows_names_and_playback() {
    let mut harness = Harness::member("server-time");
    harness.room.names.insert(0, "alice");
    let lines = harness.ask("JOIN #SMOL");
    assert_eq!(
        lines[..3],
        [
            ":alice!user@smolchat JOIN #smol".to_owned(),
            format!("{S} 353 alice = #smol :alice bob carol"),
            format!("{S} 366 alice #smol :End of /NAMES list."),
        ]
    );
    assert_eq!(
        lines[3..],
        [
            "@time=1970-01-01T00:00:01.000Z :bob!user@smolchat PRIVMSG #smol :one",
            "@time=1970-01-01T00:00:03.000Z :bob!user@smolchat PRIVMSG #smol :\u{1}ACTION two\u{1}",
            "@time=1970-01-01T00:00:04.000Z :carol!user@smolchat PRIVMSG #smol :three",
        ]
    );
    assert_eq!(harness.ask("JOIN #smol"), [""; 0]);
    assert_eq!(harness.ask("JOIN #other"), [format!("{S} 403 alice #other :No such channel")]);
    // Bots without `server-time` would take old lines for new ones.
    assert_eq!(Harness::member("").ask("JOIN #smol").len(), 3);
    assert_eq!(Harness::member("server-time draft/chathistory").ask("JOIN #smol").len(), 3);
}

#[test]
fn chat_history_selects_by_id_and_time() {
    let mut harness = Harness::member("message-tags draft/chathistory batch");
    let mut texts = |request: &str| {
        let lines = harness.ask(&format!("CHATHISTORY {request}"));
        let text = |line: &String| {
            let (_, text) = line.split_once(" PRIVMSG #smol :")?;
            assert!(line.starts_with("@batch=h"), "{line}");
            Some(text.trim_matches('\u{1}').trim_start_matches("ACTION ").to_owned())
        };
        lines.iter().filter_map(text).collect::<Vec<_>>().join(" ")
    };
    for (request, expected) in [
        ("LATEST #smol * 10", "one two three"),
        ("LATEST #smol * 2", "two three"),
        ("LATEST #smol msgid=epoch-1 10", "two three"),
        ("BEFORE #smol msgid=epoch-4 1", "two"),
        ("BEFORE #smol timestamp=1970-01-01T00:00:03.000Z 5", "one"),
        ("AFTER #smol msgid=epoch-1 1", "two"),
        ("AFTER #smol timestamp=1970-01-01T00:00:01.000Z 5", "two three"),
        ("BETWEEN #smol msgid=epoch-1 msgid=epoch-4 5", "two"),
        ("BETWEEN #smol msgid=epoch-1 timestamp=1970-01-01T00:00:04.000Z 5", "two"),
        (
            "BETWEEN #smol timestamp=1970-01-01T00:00:04.000Z timestamp=1970-01-01T00:00:00.000Z 1",
            "two",
        ),
        ("BETWEEN #smol msgid=epoch-9 msgid=epoch-0 1", "three"),
    ] {
        assert_eq!(texts(request), expected, "{request}");
    }
    for (request, code) in [
        ("LATEST #smol", "INVALID_PARAMS"),
        ("LATEST #other * 5", "INVALID_TARGET"),
        ("BEFORE #smol msgid=other-1 5", "INVALID_PARAMS"),
        ("AROUND #smol * 5", "INVALID_PARAMS"),
        ("LATEST", "INVALID_PARAMS"),
    ] {
        let lines = harness.ask(&format!("CHATHISTORY {request}"));
        assert!(lines[0].starts_with(&format!("{S} FAIL CHATHISTORY {code}")), "{lines:?}");
    }
}

#[test]
fn chat_history_reads_few_frames_of_many() {
    let mut harness = Harness::member("message-tags draft/chathistory");
    let frame = |seq: u64, data: &str| -> &'static str {
        let kind = if seq.is_multiple_of(5000) { "chat" } else { "join" };
        format!(
            r#"{{"data_source":"bob","data":"{data}","kind":"{kind}","seq":{seq},"time":{seq}}}"#
        )
        .leak()
    };
    harness.room.history = (1..=20_000).map(|seq| frame(seq, &seq.to_string())).collect();
    for (request, messages) in [
        ("AFTER #smol msgid=epoch-9000 10", 1),
        ("AFTER #smol timestamp=9999-01-01T00:00:00.000Z 10", 0),
        ("BEFORE #smol timestamp=1970-01-01T00:00:00.000Z 10", 0),
        ("BETWEEN #smol msgid=epoch-4999 msgid=epoch-6000 10", 1),
        ("LATEST #smol * 10", 1),
    ] {
        harness.room.frames_read.set(0);
        let lines = harness.ask(&format!("CHATHISTORY {request}"));
        assert_eq!(lines.len(), messages, "{request}: {lines:?}");
        assert!(harness.room.frames_read.get() < 2100, "{request}: {:?}", harness.room.frames_read);
    }
}

#[test]
fn chat_history_targets_are_an_empty_batch() {
    let mut harness = Harness::member("batch draft/chathistory");
    let times = "timestamp=2026-11-25T12:00:00.000Z timestamp=2026-11-26T12:00:00.000Z";
    let lines = harness.ask(&format!("CHATHISTORY TARGETS {times} 10"));
    let start = format!("{S} BATCH +t draft/chathistory-targets");
    assert_eq!(lines, [start, format!("{S} BATCH -t")]);
}

#[test]
fn repeated_label_after_reconnecting_posts_once() {
    let mut harness = Harness::new();
    harness.room.history.push(
        r#"{"data_source":"bob","data":"hello","kind":"chat","seq":4,"time":5000,"id":"l1"}"#,
    );
    for line in ["CAP REQ :labeled-response", "PASS secret", "NICK bob", "USER u 0 * :B"] {
        harness.send(line);
    }
    harness.send("CAP END");
    harness.send("JOIN #smol");
    assert_eq!(harness.ask("@label=l1 PRIVMSG #smol :hello"), [format!("@label=l1 {S} ACK")]);
    for line in ["@label=l1 PRIVMSG #smol :other", "@label=l2 PRIVMSG #smol :hello"] {
        assert_eq!(submitted(&harness.send(line)).len(), 1, "{line}");
    }
    // A long history is not searched whole.
    harness.room.history.extend([r#"{"kind":"join","seq":4}"#; 20_000]);
    harness.room.frames_read.set(0);
    assert_eq!(submitted(&harness.send("@label=l1 PRIVMSG #smol :hello")).len(), 1);
    assert!(harness.room.frames_read.get() < 2100);
    // The names of clients that have not reconnected may have been those of others.
    let mut harness = Harness::member("labeled-response");
    harness.send("JOIN #smol");
    harness.room.history.push(
        r#"{"data_source":"alice","data":"hello","kind":"chat","seq":4,"time":5000,"id":"l1"}"#,
    );
    assert_eq!(submitted(&harness.send("@label=l1 PRIVMSG #smol :hello")).len(), 1);
}
