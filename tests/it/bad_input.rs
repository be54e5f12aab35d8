//! Input that is not what the protocol asks for: it gets an answer, costs nobody else anything,
//! and the connection lives on.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{TestClient, TestServer};
use rustix::net::sockopt;
use serde_json::{Value, json};

type Send = fn(&mut TestClient, &[u8]) -> std::io::Result<()>;

/// How bytes can come: all at once, or one at a time. Either way may fail once the server has
/// closed the connection, which some of these make it do.
const WAYS: [Send; 2] = [TestClient::try_send_raw, |client, bytes| {
    bytes.chunks(1).try_for_each(|byte| client.try_send_raw(byte))
}];

/// Sends each of `bad` as a line between two good ones, in both ways. Its sender gets an error
/// with this code in its place, and the others nothing at all.
#[track_caller]
fn assert_refused(options: &[&str], code: &str, bad: &[&[u8]]) {
    let server = TestServer::start(&[&["--rate", "0"], options].concat());
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    alice.waiting();
    for bad in bad {
        for send in WAYS {
            send(&mut alice, &[b"before\n", *bad, b"\nafter\n"].concat()).unwrap();
            let shown = String::from_utf8_lossy(bad);
            let before = alice.recv();
            assert_eq!((&before["kind"], &before["data"]), (&json!("chat"), &json!("before")));
            let error = alice.recv();
            assert_eq!(error["kind"], "error", "{shown}: {error}");
            assert_eq!(error["code"], code, "{shown}: {error}");
            assert_eq!(error["data_source"], "server");
            assert_ne!(error["data"], "");
            let after = alice.recv();
            assert_eq!((&after["kind"], &after["data"]), (&json!("chat"), &json!("after")));
            assert_eq!(alice.waiting(), [] as [Value; 0], "{shown}");
            assert_eq!(bob.waiting(), [before, after], "{shown}");
        }
    }
}

#[test]
fn a_line_over_the_limit_is_refused_and_the_next_is_heard() {
    let long = [b'x'; 4097];
    let longer = [b'x'; 50_000];
    let json = [br#"{"data":""#, &longer[..], br#""}"#].concat();
    assert_refused(&[], "too-long", &[&long, &longer, &json]);
}

#[test]
fn a_line_over_the_limit_that_is_cut_inside_a_character_is_only_too_long() {
    // The limit, and any cut at a power of two, falls between the two bytes of an é.
    let letters = "é".repeat(40_000);
    assert_refused(&["--max-line", "101"], "too-long", &[letters.as_bytes()]);
    let shifted = format!("x{letters}");
    assert_refused(&["--max-line", "100"], "too-long", &[shifted.as_bytes()]);
}

#[test]
fn a_line_at_the_limit_is_heard_whatever_its_line_end() {
    let server = TestServer::start(&["--max-line", "100"]);
    let mut alice = server.join("alice");
    let line = "é".repeat(50);
    for send in WAYS {
        for end in ["\n", "\r\n"] {
            send(&mut alice, format!("{line}{end}").as_bytes()).unwrap();
            assert_eq!(alice.recv()["data"], line);
            send(&mut alice, format!("{line}x{end}").as_bytes()).unwrap();
            assert_eq!(alice.recv()["code"], "too-long");
        }
    }
}

#[test]
fn a_line_over_the_limit_is_refused_before_it_ends_and_once() {
    let server = TestServer::start(&["--max-line", "100"]);
    let mut alice = server.join("alice");
    alice.send_raw(&[b'x'; 200]);
    assert_eq!(alice.recv()["code"], "too-long");
    alice.send_raw(&[b'x'; 200]);
    alice.send_raw(b"still the same line\nand this is the next\n");
    assert_eq!(alice.recv()["data"], "and this is the next");
}

#[test]
fn json_that_does_not_parse_is_refused() {
    let deep = [br#"{"data":"#, &[b'['; 3000][..]].concat();
    let bad: &[&[u8]] = &[
        b"{",
        b"{}}",
        br#"{"data":"#,
        br#"{"data":"no end}"#,
        br#"{"data":5}"#,
        br#"{"data":["a"]}"#,
        br#"{"data":"a"} and more"#,
        br#"{"data":"\ud800"}"#,
        br#"{"data":"a","to":7}"#,
        br#"{"data":"a","id":{}}"#,
        br#"{"hello":"alice"}"#,
        b"{hello}",
        &deep,
    ];
    assert_refused(&[], "bad-json", bad);
}

#[test]
fn json_without_a_known_key_is_refused() {
    let bad: &[&[u8]] = &[b"{}", br#"{"text":"hi"}"#, br#"{"to":"bob"}"#, br#"{"Data":"hi"}"#];
    assert_refused(&[], "no-known-key", bad);
}

#[test]
fn a_private_message_without_a_text_is_refused() {
    assert_refused(&[], "empty", &[br#"{"data":"","to":"bob"}"#]);
}

#[test]
fn an_id_over_its_limit_is_refused() {
    let long = format!(r#"{{"data":"hi","id":"{}"}}"#, "x".repeat(65));
    let wide = format!(r#"{{"data":"hi","id":"{}"}}"#, "é".repeat(33));
    assert_refused(&[], "bad-id", &[long.as_bytes(), wide.as_bytes()]);
}

#[test]
fn bytes_that_are_not_utf8_are_refused() {
    let bad: &[&[u8]] = &[
        b"\xff\xfe",
        b"caf\xe9",
        b"half of an e with an accent: \xc3",
        b"\xed\xa0\x80 is half of a pair",
        b"\xc0\xaf is a slash in disguise",
        b"{\"data\":\"\xff\"}",
    ];
    assert_refused(&[], "not-utf8", bad);
}

#[test]
fn an_unknown_command_is_refused() {
    let bad: &[&[u8]] = &[b"/dance", b"/", br#"{"data":"/dance","id":"1"}"#];
    assert_refused(&[], "unknown-command", bad);
}

#[test]
fn a_command_that_lacks_something_is_refused() {
    let bad: &[&[u8]] =
        &[b"/nick", b"/nick ", b"/me", b"/msg", b"/msg bob", b"/history x", b"/history -1"];
    assert_refused(&[], "usage", bad);
}

#[test]
fn a_name_that_is_taken_or_not_allowed_is_refused() {
    assert_refused(&[], "name-taken", &[b"/nick bob", b"/nick BOB", br#"{"data":"/nick Bob"}"#]);
    let bad: &[&[u8]] =
        &[b"/nick two words", b"/nick server", b"/nick \x1b[2J", b"/nick \xe2\x80\xae"];
    assert_refused(&[], "bad-name", bad);
}

#[test]
fn a_line_to_nobody_is_refused() {
    let bad: &[&[u8]] = &[b"/msg nobody hi", br#"{"data":"hi","to":"nobody"}"#];
    assert_refused(&[], "no-such-user", bad);
}

#[test]
fn a_first_line_that_is_wrong_lets_its_sender_in_as_guest() {
    let server = TestServer::start(&["--hello-wait", "600000"]);
    for (bad, code) in [
        (&b"{\"hello\":5}\n"[..], "bad-json"),
        (b"\xff\n", "not-utf8"),
        (b"/dance\n", "unknown-command"),
        (&[b"x".repeat(5000), b"\n".to_vec()].concat(), "too-long"),
    ] {
        for send in WAYS {
            let mut client = server.connect();
            send(&mut client, bad).unwrap();
            let guest = format!("guest-{}", client.port);
            assert_eq!(client.recv()["name"], guest);
            assert_eq!(client.recv_kind("error")["code"], code);
            client.say("here I am");
            let heard = client.recv_kind("chat");
            assert_eq!(heard["data_source"], guest, "{heard}");
        }
    }
}

#[test]
fn a_last_line_without_an_end_is_not_said_and_its_sender_is_told() {
    let server = TestServer::start(&[]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    bob.send_raw(b"whole\nhal");
    bob.half_close();
    assert_eq!(bob.recv_kind("chat")["data"], "whole");
    assert_eq!(bob.recv_kind("error")["code"], "unfinished");
    bob.expect_bye("quit");
    assert_eq!(alice.recv_kind("chat")["data"], "whole");
    assert_eq!(alice.recv()["kind"], "leave");
}

/// The first bytes of what a TLS client sends: a handshake record with a hello in it.
fn tls_hello() -> Vec<u8> {
    let mut hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    // What follows is random to us, newlines and all.
    hello.extend((0..506u32).map(|n| n.wrapping_mul(167) as u8));
    hello
}

#[test]
fn a_tls_hello_gets_one_line_that_says_so_and_is_closed() {
    let server = TestServer::start(&["--hello-wait", "600000"]);
    let mut alice = server.join("alice");
    for send in WAYS {
        let mut client = server.connect();
        // All of it may not be wanted any more.
        let _ = send(&mut client, &tls_hello());
        let bye = client.expect_bye("tls");
        assert!(bye["data"].as_str().unwrap().contains("TLS"), "{bye}");
    }
    assert_eq!(alice.waiting(), [] as [Value; 0]);
}

#[test]
fn an_http_request_gets_one_line_that_says_so_and_is_closed() {
    let server = TestServer::start(&["--hello-wait", "600000"]);
    let mut alice = server.join("alice");
    for request in [
        "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        "POST /say HTTP/1.0\r\nContent-Length: 3\r\n\r\nhi\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        for send in WAYS {
            let mut client = server.connect();
            let _ = send(&mut client, request.as_bytes());
            let bye = client.expect_bye("http");
            assert!(bye["data"].as_str().unwrap().contains("HTTP"), "{bye}");
        }
    }
    assert_eq!(alice.waiting(), [] as [Value; 0]);
}

#[test]
fn an_upload_by_http_is_told_so_too_though_it_goes_on() {
    let server = TestServer::start(&[]);
    let mut client = server.connect();
    client.send_raw(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n");
    // The server has heard enough by then, and need not take all of this.
    let _ = client.try_send_raw(&[b'x'; 1_000_000]);
    client.expect_bye("http");
}

#[test]
fn nothing_but_errors_for_a_while_ends_in_bye() {
    let server = TestServer::start(&["--rate", "0"]);
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    let mut errors = 0;
    // One at a time, so that nothing is on its way when the end comes.
    let bye = loop {
        bob.say("/dance");
        let frame = bob.until(|frame| frame["kind"] == "error" || frame["kind"] == "bye");
        if frame["kind"] == "bye" {
            break frame;
        }
        errors += 1;
        assert!(errors < 1000, "there is no end to it");
        if errors == 50 {
            break bob.recv();
        }
    };
    assert_eq!(bye["code"], "errors", "{bye}");
    assert!(errors >= 10, "{errors} are not a while");
    bob.expect_eof();
    assert_eq!(alice.recv_kind("leave")["names"], json!(["bob"]));
}

#[test]
fn who_makes_a_mistake_now_and_then_stays() {
    let server = TestServer::start(&["--rate", "0"]);
    let mut alice = server.join("alice");
    for _ in 0..20 {
        for _ in 0..9 {
            alice.say("/dance");
        }
        alice.say("sorry");
        assert_eq!(alice.recv_kind("chat")["data"], "sorry");
    }
}

#[test]
fn errors_that_are_sent_all_at_once_end_in_bye_as_well() {
    let server = TestServer::start(&["--rate", "0"]);
    let mut bob = server.join("bob");
    let _ = bob.try_send_raw(&b"/dance\n".repeat(2000));
    let bye = bob.until(|frame| frame["kind"] != "error");
    assert_eq!((&bye["kind"], &bye["code"]), (&json!("bye"), &json!("errors")), "{bye}");
    bob.expect_eof();
}

#[test]
fn endless_lines_from_four_clients_cost_less_than_four_mebibytes() {
    const EACH: usize = 60_000_000;
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    let before = server.rss();
    let piece = vec![b'x'; 1 << 20];
    thread::scope(|scope| {
        for n in 0..4 {
            let (server, piece) = (&server, &piece);
            scope.spawn(move || {
                let mut client = server.join(&format!("flood-{n}"));
                let mut left = EACH;
                while left > 0 {
                    let next = left.min(piece.len());
                    client.send_raw(&piece[..next]);
                    left -= next;
                }
                client.say("");
                client.say("at last");
                assert_eq!(client.recv_kind("error")["code"], "too-long");
                client.until(|frame| frame["data"] == "at last");
            });
        }
        // She is served all the while.
        for _ in 0..10 {
            alice.say("anybody here?");
            alice.recv_kind("chat");
        }
    });
    let growth = server.peak_rss().saturating_sub(before);
    assert!(growth < 4096, "the server grew by {growth} KiB");
}

#[test]
fn who_is_too_fast_is_told_once_and_nothing_is_lost() {
    const LINES: usize = 150;
    let server = TestServer::start(&["--rate", "100/100"]);
    let mut bob = server.join("bob");
    let mut alice = server.join("alice");
    bob.waiting();
    let start = Instant::now();
    let lines: Vec<String> = (0..LINES).map(|n| format!("line {n}")).collect();
    alice.send_raw((lines.join("\n") + "\n").as_bytes());

    let heard: Vec<Value> = (0..LINES).map(|_| bob.recv()).collect();
    // A hundred are free, and a hundred a second is the pace of the rest.
    assert!(start.elapsed() >= Duration::from_millis(450), "{:?}", start.elapsed());
    let heard: Vec<_> = heard.iter().map(|frame| frame["data"].as_str().unwrap()).collect();
    assert_eq!(heard, lines);

    let told = alice.waiting();
    let (errors, chats): (Vec<_>, Vec<_>) = told.iter().partition(|f| f["kind"] == "error");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0]["code"], "too-fast");
    assert_eq!(chats.len(), LINES);
}

#[test]
fn a_line_that_comes_when_the_allowance_is_spent_is_heard_without_another_to_push_it() {
    let server = TestServer::start(&["--rate", "5/3"]);
    let mut alice = server.join("alice");
    // Each comes on its own, after the answer to the one before it.
    for n in 0..6 {
        let text = format!("line {n}");
        alice.say(&text);
        alice.until(|frame| frame["data"] == text);
    }
}

#[test]
fn a_line_that_comes_when_the_allowance_is_spent_is_heard_though_its_sender_closed() {
    let server = TestServer::start(&["--rate", "5/3"]);
    let mut alice = server.join("alice");
    alice.send_raw(b"one\ntwo\n");
    alice.until(|frame| frame["data"] == "two");
    alice.send_raw(b"three\n");
    alice.half_close();
    let frames = alice.rest();
    let said: Vec<_> = frames.iter().filter(|frame| frame["kind"] == "chat").collect();
    assert_eq!(said.len(), 1, "{frames:?}");
    assert_eq!(said[0]["data"], "three");
    assert_eq!(frames.last().unwrap()["code"], "quit");
}

#[test]
fn a_flood_when_the_allowance_is_spent_waits_in_the_kernel_and_not_in_the_server() {
    let server = TestServer::start(&["--rate", "1/1"]);
    let mut alice = server.join("alice");
    let before = server.rss();
    let flood = b"one line after another\n".repeat(4_000_000);
    let mut left = &flood[..];
    let stop = Some(Duration::from_millis(500));
    let mut writer = alice.writer();
    sockopt::set_socket_timeout(&writer, sockopt::Timeout::Send, stop).unwrap();
    // The server stops reading, so that there is no more room at some time.
    while let Ok(sent) = writer.write(left) {
        left = &left[sent..];
        assert!(!left.is_empty(), "the server took all of it");
    }
    assert_eq!(alice.recv_kind("error")["code"], "too-fast");
    let growth = server.peak_rss().saturating_sub(before);
    assert!(growth < 1024, "the server grew by {growth} KiB");
}

#[test]
fn who_is_too_fast_slows_nobody_else() {
    let server = TestServer::start(&["--rate", "2/2"]);
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    alice.send_raw(&b"again and again\n".repeat(500));
    alice.recv_kind("error");
    bob.say("me too");
    let start = Instant::now();
    bob.until(|frame| frame["data"] == "me too");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}
