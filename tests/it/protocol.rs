//! The wire protocol: each kind of frame, and each kind of line from a client.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::common::{TestServer, assert_consecutive, assert_has, names, parse, seqs};

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// Returns a command as plain text and as JSON.
fn both_forms(command: &str) -> [String; 2] {
    [command.to_owned(), json!({ "data": command }).to_string()]
}

#[test]
fn all_kinds_have_the_two_keys_first() {
    let server = TestServer::start(&[]);
    let mut alice = server.connect();
    let mut kinds = BTreeSet::new();
    alice.send_raw(
        b"{\"hello\":{\"name\":\"alice\"}}\nhi\n/me waves\n/nick carol\n/msg carol psst\n/who\n\
          /help\n/dance\n",
    );
    let mut bob = server.join("bob");
    bob.say("/quit");
    // `recv_until` checks the keys of each line.
    alice.recv_until(|frame| {
        kinds.insert(frame["kind"].as_str().unwrap().to_owned());
        frame["kind"] == "leave"
    });
    alice.say("/quit");
    kinds.extend(alice.recv_rest().iter().map(|frame| frame["kind"].as_str().unwrap().to_owned()));
    let all = "action bye chat error info join leave name private welcome who";
    assert_eq!(kinds.into_iter().collect::<Vec<_>>().join(" "), all);
}

#[test]
fn welcome_has_name_limits_and_state_of_the_room() {
    let options = ["--max-line", "1000", "--rate", "5/7", "--history", "12"];
    let server = TestServer::start(&options);
    let mut alice = server.connect();
    let first = alice.hello("alice");
    assert_has(&first, json!({ "data_source": "server", "kind": "welcome", "name": "alice" }));
    assert_has(&first, json!({ "seq": 0, "resumed": false, "members": 1 }));
    assert_has(&first["limits"], json!({ "max_line": 1000, "rate": 5, "burst": 7 }));
    assert_has(&first["limits"], json!({ "history": 12, "stored": false }));
    assert!(first["data"].as_str().unwrap().contains("alice"), "{first}");

    let last = alice.say_and_recv("hello");
    let second = server.connect().hello("bob");
    assert_eq!(second["seq"], last["seq"]);
    assert_has(&second, json!({ "name": "bob", "members": 2 }));
    assert_eq!(second["epoch"], first["epoch"]);
    assert_ne!(second["token"], first["token"]);
    assert!(second["token"].as_str().unwrap().len() >= 16, "{second}");

    let other_server = TestServer::start(&[]).connect().hello("alice");
    assert_ne!(other_server["epoch"], first["epoch"]);
    assert_has(&other_server["limits"], json!({ "max_line": 4096, "rate": 10, "burst": 40 }));
    assert_has(&other_server["limits"], json!({ "history": 1000 }));
}

#[test]
fn first_frame_follows_the_seq_of_the_welcome() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    for n in 0..5 {
        alice.say_and_recv(&format!("line {n}"));
    }
    let mut bob = server.connect();
    let welcome = bob.hello("bob");
    let join = bob.recv();
    assert_has(&join, json!({ "kind": "join", "data": "bob joined", "names": ["bob"] }));
    assert_eq!(join["seq"].as_u64(), welcome["seq"].as_u64().map(|seq| seq + 1));
    assert_has(&welcome, json!({ "seq": 6, "members": 2 }));
}

#[test]
fn chat_reaches_all_members_and_its_sender() {
    let server = TestServer::start(&[]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    let before = unix_ms();
    alice.say("hello there");
    let chat = bob.recv_kind("chat");
    assert_has(&chat, json!({ "data_source": "alice", "data": "hello there" }));
    assert_eq!(chat.get("id"), None);
    let time = chat["time"].as_u64().unwrap();
    assert!((before..=unix_ms()).contains(&time), "{chat}");
    assert_eq!(alice.recv_kind("chat"), chat);
}

#[test]
fn five_kinds_have_consecutive_numbers() {
    let server = TestServer::start(&[]);
    let mut alice = server.connect();
    alice.hello("alice");
    let mut bob = server.join("bob");
    bob.send_raw(b"hi\n/me waves\n/nick carol\n/quit\n");
    let mut frames = Vec::new();
    alice.recv_until(|frame| {
        frames.push(frame.clone());
        frame["kind"] == "leave"
    });
    let kinds: Vec<_> = frames.iter().map(|frame| frame["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["join", "join", "chat", "action", "name", "leave"]);
    assert_eq!(seqs(&frames), [1, 2, 3, 4, 5, 6]);
    assert!(frames.iter().all(|frame| frame["time"].is_u64()), "{frames:?}");
    assert_has(&frames[3], json!({ "data_source": "bob", "data": "waves" }));
    assert_has(&frames[4], json!({ "data_source": "server", "from": "bob", "to": "carol" }));
    assert_has(&frames[5], json!({ "data_source": "server", "data": "carol left" }));
    assert_has(&frames[5], json!({ "names": ["carol"] }));
}

#[test]
fn commands_work_as_text_and_as_json() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    for form in 0..2 {
        let mut alice = server.join("alice");

        alice.say(&both_forms("/me waves")[form]);
        assert_has(&bob.recv_kind("action"), json!({ "data_source": "alice", "data": "waves" }));
        assert_has(&alice.recv(), json!({ "kind": "action", "data": "waves" }));

        alice.say(&both_forms("/msg BOB two  words")[form]);
        let private = bob.recv_kind("private");
        assert_has(&private, json!({ "data_source": "alice", "data": "two  words", "to": "bob" }));
        assert!(private["time"].is_u64() && private.get("seq").is_none(), "{private}");
        assert_eq!(alice.recv(), private);

        alice.say(&both_forms("/who")[form]);
        let who = alice.recv();
        assert_has(&who, json!({ "kind": "who", "names": ["bob", "alice"] }));
        assert!(who["data"].as_str().unwrap().contains("alice"), "{who}");

        alice.say(&both_forms("/help")[form]);
        let help = alice.recv();
        assert_has(&help, json!({ "kind": "info", "data_source": "server" }));
        for command in ["/nick", "/me", "/msg", "/who", "/history", "/quit"] {
            assert!(help["data"].as_str().unwrap().contains(command), "{help}");
        }

        alice.say(&both_forms("/nick carol")[form]);
        let name = bob.recv_kind("name");
        assert_has(&name, json!({ "data_source": "server", "from": "alice", "to": "carol" }));
        assert_eq!(name["data"], "alice is now carol");
        assert_eq!(alice.recv(), name);

        alice.say(&both_forms("/history 1")[form]);
        assert_eq!(alice.recv()["kind"], "info");
        assert_eq!(alice.recv(), name);

        alice.say(&both_forms("/quit")[form]);
        alice.expect_bye("quit");
        assert_has(&bob.recv_kind("leave"), json!({ "names": ["carol"], "data": "carol left" }));
    }
}

#[test]
fn data_of_json_is_sent_like_its_text() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    for (line, text) in [
        (r#"{"data":"hi"}"#, "hi"),
        (r#"{"data":"line one\nline two"}"#, "line one\nline two"),
        (r#"{"data":"//etc"}"#, "/etc"),
        (r#"{"data":"{\"data\":1}"}"#, r#"{"data":1}"#),
        (r#" {"data":"a space makes it text"}"#, r#" {"data":"a space makes it text"}"#),
        ("//quit is a word", "/quit is a word"),
        ("//", "/"),
        ("///x", "//x"),
    ] {
        alice.say(line);
        assert_has(&alice.recv(), json!({ "kind": "chat", "data": text }));
    }
}

#[test]
fn data_source_of_client_is_ignored() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let mut alice = server.join("alice");
    alice.send_json(&json!({ "data_source": "bob", "data": "hello", "kind": "bye", "seq": 1 }));
    let chat = bob.recv_kind("chat");
    assert_has(&chat, json!({ "data_source": "alice", "data": "hello" }));
}

#[test]
fn unknown_key_with_any_valid_value_is_ignored() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    for value in [
        r#""""#,
        r#""blue""#,
        r#""a \" and \\ and \/ and \b\f\n\r\t""#,
        r#""\u00e9 and \ud83d\ude00 and \u0000""#,
        r#""é and 😀""#,
        "0",
        "-1",
        "18446744073709551616",
        "-1.5e-300",
        "1E30",
        "true",
        "false",
        "null",
        "[]",
        r#"[1, "two", [3.0, [null]], {"four": "4"}]"#,
        "{}",
        r#"{"colour": {"data": ["blue"], "hello": "{}"}}"#,
    ] {
        alice.say(&format!(r#"{{"colour":{value},"data":"hi","seq" : {value}}}"#));
        assert_has(&alice.recv(), json!({ "kind": "chat", "data": "hi" }));
    }
    for invalid in
        [r#""blue"#, r#""\x""#, r#""\u12""#, "01", "1.", "-", "tru", "[1,]", "{1:2}", "[}"]
    {
        alice.say(&format!(r#"{{"colour":{invalid},"data":"hi"}}"#));
        assert_has(&alice.recv(), json!({ "kind": "error", "code": "bad-json" }));
    }
}

#[test]
fn lab_message_as_first_line_joins_and_is_sent() {
    let server = TestServer::start(&["--hello-wait", "60000"]);
    let mut client = server.connect();
    client.say(r#"{"data_source":"127.0.0.1","data":"hello"}"#);
    let guest = format!("guest-{}", client.port);
    assert_eq!(client.recv()["name"], guest);
    assert_has(&client.recv_kind("chat"), json!({ "data_source": guest, "data": "hello" }));
}

#[test]
fn id_comes_back_in_each_kind_of_answer() {
    let server = TestServer::start(&["--rate", "0"]);
    let mut bob = server.join("bob");
    let mut alice = server.join("alice");
    let longest = "x".repeat(64);
    for (text, kind) in [
        ("hi", "chat"),
        ("/me waves", "action"),
        ("/msg bob psst", "private"),
        ("/nick carol", "name"),
        ("/who", "who"),
        ("/help", "info"),
        ("/dance", "error"),
        ("/nick bob", "error"),
        ("/msg dave psst", "error"),
    ] {
        for id in ["7", "", "ein Wörtchen \"mit\" {allem}", &longest] {
            alice.send_json(&json!({ "data": text, "id": id }));
            let answer = alice.recv();
            // The second time, the nick is already the name, and the answer is an info.
            assert!(answer["kind"] == kind || text == "/nick carol", "{answer}");
            assert_eq!(answer["id"], id, "{answer}");
        }
    }
    assert_eq!(bob.recv_kind("chat")["id"], "7");
}

#[test]
fn private_line_reaches_its_recipient_alone() {
    let server = TestServer::start(&[]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    let mut carol = server.join("carol");
    alice.pending();
    alice.send_json(&json!({ "data": "psst", "to": "bob", "id": "p" }));
    let private = alice.recv();
    assert_has(&private, json!({ "kind": "private", "data_source": "alice", "data": "psst" }));
    assert_has(&private, json!({ "to": "bob", "id": "p" }));
    assert_eq!(bob.recv_kind("private"), private);
    assert_eq!(carol.pending(), [] as [Value; 0]);
    // Nor is it in the history.
    carol.say("/history");
    let history = carol.pending();
    assert!(history.iter().all(|frame| frame["kind"] != "private"), "{history:?}");
    assert!(history.len() > 1, "{history:?}");
}

#[test]
fn private_line_to_oneself_comes_once() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    alice.say("/msg alice remember the milk");
    alice.send_json(&json!({ "data": "and the bread", "to": "ALICE" }));
    let frames = alice.pending();
    let received: Vec<_> = frames.iter().map(|frame| (&frame["kind"], &frame["data"])).collect();
    let private = json!("private");
    assert_eq!(
        received,
        [(&private, &json!("remember the milk")), (&private, &json!("and the bread"))]
    );
}

#[test]
fn lines_may_end_with_carriage_return() {
    let server = TestServer::start(&[]);
    let mut alice = server.connect();
    alice.send_raw(b"{\"hello\":{\"name\":\"alice\"}}\r\nhello\r\n/me waves\r\n\r\n/nick bob\r\n");
    assert_eq!(alice.recv()["name"], "alice");
    assert_eq!(alice.recv()["kind"], "join");
    assert_has(&alice.recv(), json!({ "kind": "chat", "data": "hello" }));
    assert_has(&alice.recv(), json!({ "kind": "action", "data": "waves" }));
    assert_has(&alice.recv(), json!({ "kind": "name", "to": "bob" }));
}

#[test]
fn heartbeat_is_answered_only_with_an_id() {
    let server = TestServer::start(&[]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    alice.pending();
    alice.send_raw(b"\n\r\n{\"data\":\"\"}\n{\"data\":\"\",\"id\":\"beat\"}\n");
    assert_has(&alice.recv(), json!({ "kind": "info", "id": "beat" }));
    assert_eq!(alice.pending(), [] as [Value; 0]);
    assert_eq!(bob.pending(), [] as [Value; 0]);
}

#[test]
fn terminal_controls_are_escaped_in_every_line() {
    let server = TestServer::start(&["--rate", "0"]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    alice.pending();
    let controls = "\u{1b}[2J \0 \u{7f} \u{9b}31m \u{85} \u{202e} \u{2066} \u{61c} \u{200f} \u{2028} \u{feff} \
                    \u{e0041}";
    for line in [
        json!({ "data": controls, "id": controls }),
        json!({ "data": format!("/me {controls}") }),
        json!({ "data": controls, "to": "bob" }),
        json!({ "data": "hi", "to": controls, "id": controls }),
        json!({ "data": format!("/nick {controls}") }),
        json!({ "data": format!("/{controls}") }),
        json!({ "data": "", "id": controls }),
        json!({ "data": "/history" }),
    ] {
        alice.send_json(&line);
    }
    // The history repeats the joins, the chat and the action.
    for _ in 0..12 {
        let line = alice.recv_line().unwrap();
        assert!(line.is_ascii() && !line.contains(|c: char| c.is_control()), "{line:?}");
        parse(&line);
    }
    assert_eq!(alice.pending(), [] as [Value; 0]);
    assert_has(&bob.recv_kind("chat"), json!({ "data": controls, "id": controls }));
}

#[test]
fn ordinary_text_is_not_escaped() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    let text = "żółw 小明 🦀 👩\u{200d}💻 ❤\u{fe0f} می\u{200c}خواهم “…”";
    alice.say(text);
    let line = alice.recv_line().unwrap();
    assert!(line.contains(text), "{line}");
}

#[test]
fn hello_joins_at_once() {
    let server = TestServer::start(&["--hello-wait", "60000"]);
    let mut alice = server.join("alice");
    let mut bob = server.connect();
    bob.send_json(&json!({ "hello": { "name": "bob", "colour": "blue" }, "since": 1 }));
    assert_eq!(bob.recv()["name"], "bob");
    bob.recv_until(|frame| names(frame, "join").any(|name| name == "bob"));
    let pending = alice.pending();
    assert_eq!(pending.len(), 1, "{pending:?}");
    assert_has(&pending[0], json!({ "kind": "join", "names": ["bob"], "data": "bob joined" }));
}

#[test]
fn silent_client_joins_as_guest_after_the_wait() {
    let server = TestServer::start(&["--hello-wait", "50"]);
    let mut alice = server.join("alice");
    let mut silent = server.connect();
    let guest = format!("guest-{}", silent.port);
    assert_eq!(silent.recv()["name"], guest.as_str());
    assert_has(&silent.recv(), json!({ "kind": "join", "names": [guest] }));
    silent.say("hello");
    assert_eq!(alice.recv()["names"], json!([guest]));
    assert_has(&alice.recv(), json!({ "kind": "chat", "data_source": guest }));
}

#[test]
fn first_line_without_name_joins_as_guest() {
    // Longer than the test: the line makes the client a member.
    let server = TestServer::start(&["--hello-wait", "600000"]);
    for (line, kind) in [
        ("plain text", "chat"),
        ("", "who"),
        ("/me waves", "action"),
        ("/dance", "error"),
        (r#"{"hello":{}}"#, "who"),
    ] {
        let mut client = server.connect();
        client.say(line);
        assert_eq!(client.recv()["name"], format!("guest-{}", client.port), "{line}");
        client.say("/who");
        // The leave of the guest before may come in between.
        let answer = client.recv_until(|frame| frame["kind"] != "join" && frame["kind"] != "leave");
        assert_eq!(answer["kind"], kind, "{line}");
    }
}

#[test]
fn second_hello_is_an_error() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    alice.send_json(&json!({ "hello": { "name": "bob" }, "id": "h" }));
    assert_has(&alice.recv(), json!({ "kind": "error", "code": "late-hello", "id": "h" }));
    assert_eq!(alice.members(), ["alice"]);
}

#[test]
fn hello_with_taken_name_gets_another_and_an_error() {
    let server = TestServer::start(&[]);
    let _alice = server.join("alice");
    for requested in ["alice", "ALICE", "Alice"] {
        let mut other = server.connect();
        let welcome = other.hello(requested);
        let name = welcome["name"].as_str().unwrap();
        assert_ne!(name.to_lowercase(), "alice");
        assert!(name.starts_with(requested), "{name}");
        assert_has(&other.recv(), json!({ "kind": "error", "code": "name-taken" }));
        let join = other.recv();
        assert!(names(&join, "join").any(|joined| joined == name), "{join}");
    }
}

#[test]
fn hello_with_invalid_name_joins_as_guest() {
    let server = TestServer::start(&[]);
    for requested in ["", "a\nb", "server"] {
        let mut client = server.connect();
        let welcome = client.hello(requested);
        assert_eq!(welcome["name"], format!("guest-{}", client.port), "{requested:?}");
        assert_has(&client.recv(), json!({ "kind": "error", "code": "bad-name" }));
    }
    let longest = "ü".repeat(32);
    for requested in ["Żółw-2", "小明", &longest] {
        assert_eq!(server.connect().hello(requested)["name"], requested);
    }
}

#[test]
fn nick_follows_the_rules_of_names() {
    let server = TestServer::start(&[]);
    let _bob = server.join("bob");
    let mut alice = server.join("alice");
    for (nick, code) in [("Bob", "name-taken"), ("two words", "bad-name"), ("SERVER", "bad-name")] {
        alice.say(&format!("/nick {nick}"));
        assert_has(&alice.recv(), json!({ "kind": "error", "code": code }));
    }
    alice.say("/nick ALICE");
    assert_has(&alice.recv(), json!({ "kind": "name", "from": "alice", "to": "ALICE" }));
    assert_eq!(alice.members(), ["bob", "ALICE"]);
    alice.say("/nick carol");
    alice.recv_kind("name");
    assert_eq!(server.connect().hello("alice")["name"], "alice");
}

#[test]
fn hello_with_history_gets_the_newest_frames() {
    let server = TestServer::start(&[]);
    let mut alice = server.connect();
    alice.send_raw(b"{\"hello\":{\"name\":\"alice\"}}\none\n/me two\nthree\n");
    let lines: Vec<String> = (0..5).map(|_| alice.recv_line().unwrap()).collect();
    assert_eq!(parse(&lines[0])["kind"], "welcome");
    for requested in [0, 1, 2, 4, 100] {
        let is_of_alice = |line: &String| parse(line)["data_source"] == "alice";
        let mut bob = server.connect();
        bob.send_json(&json!({ "hello": { "name": "bob", "history": requested } }));
        let last = bob.recv()["seq"].as_u64().unwrap();
        let mut history = Vec::new();
        let join = loop {
            let line = bob.recv_line().unwrap();
            let frame = parse(&line);
            if names(&frame, "join").any(|name| name == "bob") && frame["seq"] == last + 1 {
                break frame;
            }
            history.push(line);
        };
        assert_eq!(history.len() as u64, last.min(requested), "{history:?}");
        let mut numbers = seqs(&history.iter().map(|line| parse(line)).collect::<Vec<_>>());
        numbers.push(join["seq"].as_u64().unwrap());
        assert_consecutive(&numbers);
        // Byte for byte the same as the first time.
        let again: Vec<_> = history.iter().filter(|line| is_of_alice(line)).collect();
        let first: Vec<_> = lines.iter().filter(|line| is_of_alice(line)).collect();
        assert!(first.ends_with(&again), "{again:?} {first:?}");
        bob.say("/quit");
        bob.recv_until(|frame| frame["kind"] == "bye");
    }
}

#[test]
fn history_command_repeats_stored_frames() {
    let server = TestServer::start(&["--history", "3"]);
    let mut alice = server.join("alice");
    alice.send_raw(b"one\ntwo\nthree\nfour\n");
    let chats: Vec<Value> = (0..4).map(|_| alice.recv_kind("chat")).collect();
    for (command, expected) in [
        ("/history", &chats[1..]),
        ("/history 2", &chats[2..]),
        ("/history 3", &chats[1..]),
        ("/history 99999999999", &chats[1..]),
        ("/history 0", &[]),
    ] {
        alice.say(command);
        let answer = alice.pending();
        assert_has(&answer[0], json!({ "kind": "info", "data_source": "server" }));
        assert_eq!(&answer[1..], expected, "{command}");
    }
    let mut bob = server.connect();
    bob.send_json(&json!({ "hello": { "name": "bob", "history": 50 } }));
    let history: Vec<Value> = bob.pending().into_iter().skip(1).take(3).collect();
    assert_eq!(history, chats[1..]);
}

#[test]
fn history_within_one_packet_keeps_the_order() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    alice.send_raw(b"one\ntwo\n/history 1\nthree\n");
    let frames: Vec<Value> = alice.pending();
    let texts: Vec<_> = frames.iter().map(|frame| frame["data"].as_str().unwrap()).collect();
    assert_eq!(texts.len(), 5, "{texts:?}");
    assert_eq!((texts[0], texts[1], texts[3], texts[4]), ("one", "two", "two", "three"));
    assert_eq!(frames[1], frames[3]);
}

#[test]
fn who_lists_members_in_order_of_joining() {
    let server = TestServer::start(&["--hello-wait", "600000"]);
    let _silent = server.connect();
    let members = ["bob", "alice", "carol"].map(|name| server.join(name));
    let [mut bob, alice, _carol] = members;
    assert_eq!(bob.members(), ["bob", "alice", "carol"]);
    drop(alice);
    bob.recv_until(|frame| names(frame, "leave").any(|name| name == "alice"));
    assert_eq!(bob.members(), ["bob", "carol"]);
}

#[test]
fn each_way_to_leave_sends_one_notice() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    for way in 0..3 {
        let mut bob = server.join("bob");
        match way {
            0 => bob.say("/quit"),
            1 => bob.reset(),
            _ => drop(bob),
        }
        let leave = alice.recv_kind("leave");
        assert_has(&leave, json!({ "data_source": "server", "data": "bob left" }));
        assert_has(&leave, json!({ "names": ["bob"] }));
        assert_eq!(alice.pending(), [] as [Value; 0]);
    }
}

#[test]
fn lines_after_quit_are_discarded() {
    let server = TestServer::start(&[]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    bob.send_raw(b"hello\n/quit\ndiscarded\n");
    let last = bob.recv_kind("chat");
    let bye = bob.expect_bye("quit");
    assert_eq!(bye["seq"], last["seq"]);
    alice.recv_kind("leave");
    alice.say("/history");
    let history = alice.pending();
    assert!(history.iter().all(|frame| frame["data"] != "discarded"), "{history:?}");
}
