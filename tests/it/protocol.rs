//! The wire, as a client sees it: each kind of line from the server, each line from a client.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::common::{TestServer, assert_consecutive, names, parse, seqs};
use serde_json::{Value, json};

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// A command in the two forms that a client may give it.
fn both_forms(command: &str) -> [String; 2] {
    [command.to_owned(), json!({ "data": command }).to_string()]
}

/// A frame has these keys with these values, and others as it may.
#[track_caller]
fn assert_has(frame: &Value, keys: Value) {
    for (key, value) in keys.as_object().unwrap() {
        assert_eq!(&frame[key], value, "{key} of {frame}");
    }
}

#[test]
fn every_kind_of_line_begins_with_who_said_it_and_what() {
    let server = TestServer::start(&[]);
    let mut alice = server.connect();
    let mut kinds = BTreeSet::new();
    alice.send_raw(
        b"{\"hello\":{\"name\":\"alice\"}}\nhi\n/me waves\n/nick carol\n/msg carol psst\n/who\n\
          /help\n/dance\n",
    );
    let mut bob = server.join("bob");
    bob.say("/quit");
    alice.until(|frame| {
        kinds.insert(frame["kind"].as_str().unwrap().to_owned());
        frame["kind"] == "leave"
    });
    alice.say("/quit");
    kinds.extend(alice.rest().iter().map(|frame| frame["kind"].as_str().unwrap().to_owned()));
    // That each line begins as it should was held against its text when it was read.
    let all = "action bye chat error info join leave name private welcome who";
    assert_eq!(kinds.into_iter().collect::<Vec<_>>().join(" "), all);
}

#[test]
fn a_welcome_says_who_i_am_and_where_the_room_stands() {
    let options = ["--max-line", "1000", "--rate", "5/7", "--history", "12"];
    let server = TestServer::start(&options);
    let mut alice = server.connect();
    let first = alice.hello("alice");
    assert_has(&first, json!({ "data_source": "server", "kind": "welcome", "name": "alice" }));
    assert_has(&first, json!({ "seq": 0, "resumed": false, "members": 1 }));
    assert_has(&first["limits"], json!({ "max_line": 1000, "rate": 5, "burst": 7 }));
    assert_has(&first["limits"], json!({ "history": 12, "stored": false }));
    assert!(first["data"].as_str().unwrap().contains("alice"), "{first}");

    alice.say("a line");
    let last = alice.recv_kind("chat");
    let second = server.connect().hello("bob");
    assert_eq!(second["seq"], last["seq"]);
    assert_has(&second, json!({ "name": "bob", "members": 2 }));
    assert_eq!(second["epoch"], first["epoch"]);
    assert_ne!(second["token"], first["token"]);
    assert!(second["token"].as_str().unwrap().len() >= 16, "{second}");

    let other_run = TestServer::start(&[]).connect().hello("alice");
    assert_ne!(other_run["epoch"], first["epoch"]);
    assert_has(&other_run["limits"], json!({ "max_line": 4096, "rate": 10, "burst": 40 }));
    assert_has(&other_run["limits"], json!({ "history": 1000 }));
}

#[test]
fn the_first_number_i_see_follows_the_one_in_my_welcome() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    for _ in 0..5 {
        alice.say("counting");
        alice.recv_kind("chat");
    }
    let mut bob = server.connect();
    let welcome = bob.hello("bob");
    let join = bob.recv();
    assert_has(&join, json!({ "kind": "join", "data": "bob joined", "names": ["bob"] }));
    assert_eq!(join["seq"].as_u64(), welcome["seq"].as_u64().map(|seq| seq + 1));
    assert_eq!(welcome["seq"], 6);
    assert_eq!(welcome["members"], 2);
}

#[test]
fn what_one_says_all_get_and_the_one_who_said_it_too() {
    let server = TestServer::start(&[]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    let before = unix_ms();
    alice.say("hello there");
    let heard = bob.recv_kind("chat");
    assert_has(&heard, json!({ "data_source": "alice", "data": "hello there" }));
    assert_eq!(heard.get("id"), None);
    let time = heard["time"].as_u64().unwrap();
    assert!((before..=unix_ms()).contains(&time), "{heard}");
    assert_eq!(alice.recv_kind("chat"), heard);
}

#[test]
fn the_five_kinds_of_the_sequence_have_numbers_without_a_hole() {
    let server = TestServer::start(&[]);
    let mut alice = server.connect();
    alice.hello("alice");
    let mut bob = server.join("bob");
    bob.send_raw(b"hi\n/me waves\n/nick carol\n/quit\n");
    let mut frames = Vec::new();
    alice.until(|frame| {
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
fn each_command_does_the_same_in_plain_text_and_in_json() {
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
fn json_with_data_is_the_same_as_its_text() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    for (line, text) in [
        (r#"{"data":"hi"}"#, "hi"),
        (r#"{"data":"line one\nline two"}"#, "line one\nline two"),
        (r#"{"data":"//etc"}"#, "/etc"),
        (r#"{"data":"{\"data\":1}"}"#, r#"{"data":1}"#),
        (
            r#" {"data":"a space before it makes it text"}"#,
            r#" {"data":"a space before it makes it text"}"#,
        ),
    ] {
        alice.say(line);
        assert_has(&alice.recv(), json!({ "kind": "chat", "data": text }));
    }
}

#[test]
fn only_the_server_says_who_spoke() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let mut alice = server.join("alice");
    alice.send(&json!({ "data_source": "bob", "data": "it was me", "kind": "bye", "seq": 1 }));
    let heard = bob.recv_kind("chat");
    assert_has(&heard, json!({ "data_source": "alice", "data": "it was me" }));
}

#[test]
fn what_a_line_says_beside_is_ignored_whatever_it_is() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    for rotated_path in [
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
        alice.say(&format!(r#"{{"colour":{rotated_path},"data":"hi","seq" : {rotated_path}}}"#));
        assert_has(&alice.recv(), json!({ "kind": "chat", "data": "hi" }));
    }
    for broken in
        [r#""blue"#, r#""\x""#, r#""\u12""#, "01", "1.", "-", "tru", "[1,]", "{1:2}", "[}"]
    {
        alice.say(&format!(r#"{{"colour":{broken},"data":"hi"}}"#));
        assert_has(&alice.recv(), json!({ "kind": "error", "code": "bad-json" }));
    }
}

#[test]
fn a_program_that_knows_only_the_labs_two_keys_can_talk_and_listen() {
    let server = TestServer::start(&["--hello-wait", "60000"]);
    let mut old = server.connect();
    old.say(r#"{"data_source":"127.0.0.1","data":"first words"}"#);
    assert_eq!(old.recv()["name"], format!("guest-{}", old.port));
    let frame = old.recv_kind("chat");
    assert_has(&frame, json!({ "data": "first words" }));
    assert_eq!(frame["data_source"], format!("guest-{}", old.port));
}

#[test]
fn an_id_comes_back_in_the_frame_that_the_line_became() {
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
        ("/msg nobody psst", "error"),
    ] {
        for id in ["7", "", "ein Wörtchen \"mit\" {allem}", &longest] {
            alice.send(&json!({ "data": text, "id": id }));
            let answer = alice.recv();
            // The second time, the name is taken already: by herself, which is worth an info.
            assert!(answer["kind"] == kind || text == "/nick carol", "{answer}");
            assert_eq!(answer["id"], id, "{answer}");
        }
    }
    // Others see the id of what was said, and none where none was given.
    assert_eq!(bob.recv_kind("chat")["id"], "7");
}

#[test]
fn data_with_to_is_for_that_member_alone() {
    let server = TestServer::start(&[]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    let mut carol = server.join("carol");
    alice.waiting();
    alice.send(&json!({ "data": "psst", "to": "bob", "id": "p" }));
    let private = alice.recv();
    assert_has(&private, json!({ "kind": "private", "data_source": "alice", "data": "psst" }));
    assert_has(&private, json!({ "to": "bob", "id": "p" }));
    assert_eq!(bob.recv_kind("private"), private);
    assert_eq!(carol.waiting(), [] as [Value; 0]);
    // What was private is not part of what was said, either.
    carol.say("/history");
    let shown = carol.waiting();
    assert!(shown.iter().all(|frame| frame["kind"] != "private"), "{shown:?}");
    assert!(shown.len() > 1, "{shown:?}");
}

#[test]
fn a_private_line_to_oneself_comes_once() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    alice.say("/msg alice remember the milk");
    alice.send(&json!({ "data": "and the bread", "to": "ALICE" }));
    let frames = alice.waiting();
    let said: Vec<_> = frames.iter().map(|frame| (&frame["kind"], &frame["data"])).collect();
    let private = json!("private");
    assert_eq!(
        said,
        [(&private, &json!("remember the milk")), (&private, &json!("and the bread"))]
    );
}

#[test]
fn lines_may_end_in_carriage_return_and_newline() {
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
fn two_slashes_say_one() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    for (line, text) in [("//quit is a word", "/quit is a word"), ("//", "/"), ("///x", "//x")] {
        alice.say(line);
        assert_has(&alice.recv(), json!({ "kind": "chat", "data": text }));
    }
}

#[test]
fn an_empty_line_is_a_heartbeat_that_nobody_hears() {
    let server = TestServer::start(&[]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    alice.waiting();
    alice.send_raw(b"\n\r\n\n");
    assert_eq!(alice.waiting(), [] as [Value; 0]);
    assert_eq!(bob.waiting(), [] as [Value; 0]);
}

#[test]
fn text_of_any_script_and_control_characters_stay_in_their_line() {
    let server = TestServer::start(&[]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    let text = "żółw 小明 🦀 \u{1b}[2J \u{0} \u{7f} \"}\u{2028}\t\\";
    alice.say(text);
    let line = loop {
        let line = bob.line().unwrap();
        if parse(&line)["kind"] == "chat" {
            break line;
        }
    };
    assert_eq!(parse(&line)["data"], text);
    assert!(line.bytes().all(|byte| byte >= 0x20), "{line:?}");
}

#[test]
fn who_says_hello_joins_at_once_under_that_name_alone() {
    let server = TestServer::start(&["--hello-wait", "60000"]);
    let mut alice = server.join("alice");
    let mut bob = server.connect();
    bob.send(&json!({ "hello": { "name": "bob", "colour": "blue" }, "since": 1 }));
    assert_eq!(bob.recv()["name"], "bob");
    bob.until(|frame| names(frame, "join").any(|name| name == "bob"));
    let told = alice.waiting();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_has(&told[0], json!({ "kind": "join", "names": ["bob"], "data": "bob joined" }));
}

#[test]
fn who_stays_silent_joins_as_guest_after_the_wait_and_is_told_of_once() {
    let server = TestServer::start(&["--hello-wait", "50"]);
    let mut alice = server.join("alice");
    let mut silent = server.connect();
    let guest = format!("guest-{}", silent.port);
    assert_eq!(silent.recv()["name"], guest.as_str());
    assert_has(&silent.recv(), json!({ "kind": "join", "names": [guest] }));
    silent.say("hello after all");
    assert_eq!(alice.recv()["names"], json!([guest]));
    assert_has(&alice.recv(), json!({ "kind": "chat", "data_source": guest }));
}

#[test]
fn who_begins_with_anything_but_hello_joins_as_guest_with_that_line() {
    // Nobody can wait for this long: the line itself is what lets them in.
    let server = TestServer::start(&["--hello-wait", "600000"]);
    for (line, kind) in
        [("plain text", "chat"), ("", "who"), ("/me waves", "action"), ("/dance", "error")]
    {
        let mut client = server.connect();
        client.say(line);
        assert_eq!(client.recv()["name"], format!("guest-{}", client.port), "{line}");
        client.say("/who");
        // The guest before this one may be seen to go in between.
        let answer = client.until(|frame| frame["kind"] != "join" && frame["kind"] != "leave");
        assert_eq!(answer["kind"], kind, "{line}");
    }
}

#[test]
fn a_hello_without_a_name_is_a_guest_too() {
    let server = TestServer::start(&["--hello-wait", "600000"]);
    let mut client = server.connect();
    client.say(r#"{"hello":{}}"#);
    assert_eq!(client.recv()["name"], format!("guest-{}", client.port));
}

#[test]
fn a_hello_that_is_not_the_first_line_is_an_error() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    alice.send(&json!({ "hello": { "name": "bob" }, "id": "h" }));
    assert_has(&alice.recv(), json!({ "kind": "error", "code": "late-hello", "id": "h" }));
    assert_eq!(alice.who(), ["alice"]);
}

#[test]
fn a_name_that_is_taken_gets_a_free_one_and_an_error() {
    let server = TestServer::start(&[]);
    let _alice = server.join("alice");
    for wanted in ["alice", "ALICE", "Alice"] {
        let mut other = server.connect();
        let welcome = other.hello(wanted);
        let name = welcome["name"].as_str().unwrap();
        assert_ne!(name.to_lowercase(), "alice");
        assert!(name.starts_with(wanted), "{name}");
        assert_has(&other.recv(), json!({ "kind": "error", "code": "name-taken" }));
        let join = other.recv();
        assert!(names(&join, "join").any(|joined| joined == name), "{join}");
    }
}

#[test]
fn a_name_that_is_not_allowed_gets_a_free_one_and_an_error() {
    let server = TestServer::start(&[]);
    let too_long = "x".repeat(33);
    for wanted in [
        "",
        "two words",
        "server",
        "Server",
        "a\nb",
        "a\u{202e}b",
        "a\u{200b}b",
        "\u{301}",
        "a\u{1b}[31m",
        "a/b",
        &too_long,
    ] {
        let mut client = server.connect();
        let welcome = client.hello(wanted);
        assert_eq!(welcome["name"], format!("guest-{}", client.port), "{wanted:?}");
        assert_has(&client.recv(), json!({ "kind": "error", "code": "bad-name" }));
    }
}

#[test]
fn letters_and_digits_of_any_script_are_a_name() {
    let server = TestServer::start(&[]);
    let longest = "ü".repeat(32);
    for wanted in ["a", "Żółw-2", "小明", "x_y.z", "अनिरुद्ध", "42", &longest]
    {
        assert_eq!(server.connect().hello(wanted)["name"], wanted);
    }
}

#[test]
fn a_nick_is_held_to_the_same_rules_as_a_name_and_case_is_mine_to_change() {
    let server = TestServer::start(&[]);
    let _bob = server.join("bob");
    let mut alice = server.join("alice");
    for (nick, code) in [("Bob", "name-taken"), ("two words", "bad-name"), ("SERVER", "bad-name")] {
        alice.say(&format!("/nick {nick}"));
        assert_has(&alice.recv(), json!({ "kind": "error", "code": code }));
    }
    alice.say("/nick ALICE");
    assert_has(&alice.recv(), json!({ "kind": "name", "from": "alice", "to": "ALICE" }));
    assert_eq!(alice.who(), ["bob", "ALICE"]);
    // A name that was given up is free for the next one.
    alice.say("/nick carol");
    alice.recv_kind("name");
    assert_eq!(server.connect().hello("alice")["name"], "alice");
}

#[test]
fn a_hello_can_ask_for_what_was_said_before() {
    let server = TestServer::start(&[]);
    let mut alice = server.connect();
    alice.send_raw(b"{\"hello\":{\"name\":\"alice\"}}\none\n/me two\nthree\n");
    let lines: Vec<String> = (0..5).map(|_| alice.line().unwrap()).collect();
    assert_eq!(parse(&lines[0])["kind"], "welcome");
    for asked in [0, 1, 2, 4, 100] {
        let server_has = |line: &String| parse(line)["data_source"] == "alice";
        let mut late = server.connect();
        late.send(&json!({ "hello": { "name": "bob", "history": asked } }));
        let welcome = late.recv();
        let last = welcome["seq"].as_u64().unwrap();
        let mut shown = Vec::new();
        let join = loop {
            let line = late.line().unwrap();
            let frame = parse(&line);
            if names(&frame, "join").any(|name| name == "bob") && frame["seq"] == last + 1 {
                break frame;
            }
            shown.push(line);
        };
        assert_eq!(shown.len() as u64, last.min(asked), "{shown:?}");
        let mut numbers = seqs(&shown.iter().map(|line| parse(line)).collect::<Vec<_>>());
        numbers.push(join["seq"].as_u64().unwrap());
        assert_consecutive(&numbers);
        // What is shown again is what went out the first time, byte for byte.
        let again: Vec<_> = shown.iter().filter(|line| server_has(line)).collect();
        let first: Vec<_> = lines.iter().filter(|line| server_has(line)).collect();
        assert!(first.ends_with(&again), "{again:?} {first:?}");
        late.say("/quit");
        late.until(|frame| frame["kind"] == "bye");
    }
}

#[test]
fn history_shows_what_was_said_and_no_more_than_is_kept() {
    let server = TestServer::start(&["--history", "3"]);
    let mut alice = server.join("alice");
    alice.send_raw(b"one\ntwo\nthree\nfour\n");
    let said: Vec<Value> = (0..4).map(|_| alice.recv_kind("chat")).collect();
    for (command, shown) in [
        ("/history", &said[1..]),
        ("/history 2", &said[2..]),
        ("/history 3", &said[1..]),
        ("/history 99999999999", &said[1..]),
        ("/history 0", &[]),
    ] {
        alice.say(command);
        let answer = alice.waiting();
        assert_has(&answer[0], json!({ "kind": "info", "data_source": "server" }));
        assert_eq!(&answer[1..], shown, "{command}");
    }
    let mut bob = server.connect();
    bob.send(&json!({ "hello": { "name": "bob", "history": 50 } }));
    let shown: Vec<Value> = bob.waiting().into_iter().skip(1).take(3).collect();
    assert_eq!(shown, said[1..]);
}

#[test]
fn history_that_is_turned_off_shows_nothing() {
    let server = TestServer::start(&["--history", "0"]);
    let mut alice = server.join("alice");
    alice.say("hello");
    alice.recv_kind("chat");
    alice.say("/history");
    let answer = alice.waiting();
    assert_eq!(answer.len(), 1, "{answer:?}");
    assert_eq!(answer[0]["kind"], "info");
}

#[test]
fn history_and_what_is_said_in_the_same_breath_come_in_order_and_once() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    alice.send_raw(b"one\ntwo\n/history 1\nthree\n");
    let said: Vec<Value> = alice.waiting();
    let texts: Vec<_> = said.iter().map(|frame| frame["data"].as_str().unwrap()).collect();
    assert_eq!(texts.len(), 5, "{texts:?}");
    assert_eq!((texts[0], texts[1], texts[3], texts[4]), ("one", "two", "two", "three"));
    assert_eq!(said[1], said[3]);
}

#[test]
fn who_lists_all_members_in_the_order_in_which_they_came() {
    let server = TestServer::start(&["--hello-wait", "600000"]);
    let _silent = server.connect();
    let members = ["bob", "alice", "carol"].map(|name| server.join(name));
    let [mut bob, alice, carol] = members;
    assert_eq!(bob.who(), ["bob", "alice", "carol"]);
    drop(alice);
    bob.until(|frame| names(frame, "leave").any(|name| name == "alice"));
    assert_eq!(bob.who(), ["bob", "carol"]);
    drop(carol);
}

#[test]
fn whoever_leaves_the_others_are_told_once() {
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    for way in 0..3 {
        let mut bob = server.join("bob");
        match way {
            0 => bob.say("/quit"),
            1 => bob.break_off(),
            _ => drop(bob),
        }
        let leave = alice.recv_kind("leave");
        assert_has(&leave, json!({ "data_source": "server", "data": "bob left" }));
        assert_has(&leave, json!({ "names": ["bob"] }));
        assert_eq!(alice.waiting(), [] as [Value; 0]);
    }
}

#[test]
fn quit_is_answered_with_bye_and_what_follows_it_is_not_said() {
    let server = TestServer::start(&[]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    bob.send_raw(b"last words\n/quit\nnever said\n");
    let last = bob.recv_kind("chat");
    let bye = bob.expect_bye("quit");
    assert_eq!(bye["seq"], last["seq"]);
    alice.recv_kind("leave");
    alice.say("/history");
    let shown = alice.waiting();
    assert!(shown.iter().all(|frame| frame["data"] != "never said"), "{shown:?}");
}
