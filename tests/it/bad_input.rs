//! Invalid input: the sender receives an error, the others receive nothing, and the connection
//! stays open.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use serde_json::{Value, json};

use crate::common::{TestClient, TestServer, assert_has};

type Send = fn(&mut TestClient, &[u8]) -> std::io::Result<()>;

/// Sends all bytes at once, or one at a time. Both may fail if the server closes the connection.
const SEND_ALL_OR_SINGLE: [Send; 2] = [TestClient::try_send_raw, |client, bytes| {
    bytes.chunks(1).try_for_each(|byte| client.try_send_raw(byte))
}];

/// Sends each of `lines` between two valid lines, in both ways. Checks that the sender receives an
/// error with `code` in its place, and that another member receives the two valid lines alone.
#[track_caller]
fn assert_refused(options: &[&str], code: &str, lines: &[&[u8]]) {
    let server = TestServer::start(&[&["--rate", "0"], options].concat());
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    alice.pending();
    for line in lines {
        for send in SEND_ALL_OR_SINGLE {
            send(&mut alice, &[b"before\n", *line, b"\nafter\n"].concat()).unwrap();
            let shown = String::from_utf8_lossy(line);
            let before = alice.recv();
            assert_has(&before, json!({ "kind": "chat", "data": "before" }));
            let error = alice.recv();
            assert_eq!(error["kind"], "error", "{shown}: {error}");
            assert_eq!(error["code"], code, "{shown}: {error}");
            assert_eq!(error["data_source"], "server");
            assert_ne!(error["data"], "");
            let after = alice.recv();
            assert_has(&after, json!({ "kind": "chat", "data": "after" }));
            assert_eq!(alice.pending(), [] as [Value; 0], "{shown}");
            assert_eq!(bob.pending(), [before, after], "{shown}");
        }
    }
}

#[test]
fn line_over_limit_gets_error() {
    let long = [b'x'; 4097];
    let longer = [b'x'; 50_000];
    let json = [br#"{"data":""#, &longer[..], br#""}"#].concat();
    assert_refused(&[], "too-long", &[&long, &longer, &json]);
}

#[test]
fn line_cut_inside_character_is_too_long_not_invalid() {
    // The limit, and each power of two, is between the two bytes of an é.
    let letters = "é".repeat(40_000);
    assert_refused(&["--max-line", "101"], "too-long", &[letters.as_bytes()]);
    let shifted = format!("x{letters}");
    assert_refused(&["--max-line", "100"], "too-long", &[shifted.as_bytes()]);
}

#[test]
fn line_at_limit_is_accepted_with_both_line_ends() {
    let server = TestServer::start(&["--max-line", "100"]);
    let mut alice = server.join("alice");
    let line = "é".repeat(50);
    for send in SEND_ALL_OR_SINGLE {
        for end in ["\n", "\r\n"] {
            send(&mut alice, format!("{line}{end}").as_bytes()).unwrap();
            assert_eq!(alice.recv()["data"], line);
            send(&mut alice, format!("{line}x{end}").as_bytes()).unwrap();
            assert_eq!(alice.recv()["code"], "too-long");
        }
    }
}

#[test]
fn line_over_limit_gets_one_error_before_its_end() {
    let server = TestServer::start(&["--max-line", "100"]);
    let mut alice = server.join("alice");
    alice.send_raw(&[b'x'; 200]);
    assert_eq!(alice.recv()["code"], "too-long");
    alice.send_raw(&[b'x'; 200]);
    alice.send_raw(b"still the same line\nand this is the next\n");
    assert_eq!(alice.recv()["data"], "and this is the next");
}

#[test]
fn invalid_json_gets_error() {
    let deep = [br#"{"data":"#, &[b'['; 3000][..]].concat();
    let lines: &[&[u8]] = &[
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
    assert_refused(&[], "bad-json", lines);
}

#[test]
fn invalid_utf8_gets_error() {
    let lines: &[&[u8]] = &[
        b"\xff\xfe",
        b"caf\xe9",
        b"the first byte of an e with an accent: \xc3",
        b"\xed\xa0\x80 is a surrogate",
        b"\xc0\xaf is an overlong slash",
        b"{\"data\":\"\xff\"}",
    ];
    assert_refused(&[], "not-utf8", lines);
}

/// A unit test of `protocol::request` has all forms of each.
#[test]
fn other_invalid_lines_get_error() {
    let long_id = format!(r#"{{"data":"hi","id":"{}"}}"#, "é".repeat(33));
    for (line, code) in [
        (r#"{"Data":"hi"}"#, "no-known-key"),
        (r#"{"data":"","to":"bob"}"#, "empty"),
        (&*long_id, "bad-id"),
        (r#"{"data":"/dance","id":"1"}"#, "unknown-command"),
        ("/nick ", "usage"),
        ("/nick BOB", "name-taken"),
        ("/nick \x1b[2J", "bad-name"),
        ("/msg dave hi", "no-such-user"),
    ] {
        assert_refused(&[], code, &[line.as_bytes()]);
    }
}

#[test]
fn invalid_first_line_joins_its_sender_as_guest() {
    let server = TestServer::start(&["--hello-wait", "600000"]);
    for (line, code) in [
        (&b"{\"hello\":5}\n"[..], "bad-json"),
        (b"\xff\n", "not-utf8"),
        (b"/dance\n", "unknown-command"),
        (&[b"x".repeat(5000), b"\n".to_vec()].concat(), "too-long"),
    ] {
        for send in SEND_ALL_OR_SINGLE {
            let mut client = server.connect();
            send(&mut client, line).unwrap();
            let guest = format!("guest-{}", client.port);
            assert_eq!(client.recv()["name"], guest);
            assert_eq!(client.recv_kind("error")["code"], code);
            assert_eq!(client.say_and_recv("hello")["data_source"], guest);
        }
    }
}

#[test]
fn last_line_without_end_is_refused() {
    let server = TestServer::start(&[]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    bob.send_raw(b"whole\nhal");
    bob.shutdown_write();
    assert_eq!(bob.recv_kind("chat")["data"], "whole");
    assert_eq!(bob.recv_kind("error")["code"], "unfinished");
    bob.expect_bye("quit");
    assert_eq!(alice.recv_kind("chat")["data"], "whole");
    assert_eq!(alice.recv()["kind"], "leave");
}

/// Returns the first bytes of a TLS client: a handshake record.
fn tls_hello() -> Vec<u8> {
    let mut hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    // In place of random bytes, newlines included.
    hello.extend((0..506u32).map(|n| n.wrapping_mul(167) as u8));
    hello
}

#[test]
fn tls_client_gets_bye_that_names_tls() {
    let server = TestServer::start(&["--hello-wait", "600000"]);
    let mut alice = server.join("alice");
    for send in SEND_ALL_OR_SINGLE {
        let mut client = server.connect();
        // The server may close the connection before it has read all bytes.
        let _ = send(&mut client, &tls_hello());
        let bye = client.expect_bye("tls");
        assert!(bye["data"].as_str().unwrap().contains("TLS"), "{bye}");
    }
    assert_eq!(alice.pending(), [] as [Value; 0]);
}

#[cfg(not(feature = "web"))]
#[test]
fn http_client_gets_bye_that_names_http() {
    let server = TestServer::start(&["--hello-wait", "600000"]);
    let mut alice = server.join("alice");
    for request in [
        "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        "POST /say HTTP/1.0\r\nContent-Length: 3\r\n\r\nhi\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        for send in SEND_ALL_OR_SINGLE {
            let mut client = server.connect();
            let _ = send(&mut client, request.as_bytes());
            let bye = client.expect_bye("http");
            assert!(bye["data"].as_str().unwrap().contains("HTTP"), "{bye}");
        }
    }
    assert_eq!(alice.pending(), [] as [Value; 0]);
}

#[test]
fn client_of_other_protocol_gets_bye_and_is_not_told() {
    let server = TestServer::start(&["--hello-wait", "600000", "--connect-rate", "0"]);
    let mut alice = server.join("alice");
    let cases: &[(&str, &[u8])] = &[
        ("proxy", b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 8080\r\n{\"hello\":{\"name\":\"bob\"}}\n"),
        ("proxy", b"PROXY UNKNOWN\r\nhello\n"),
        ("proxy", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\xC0\0\x02\x01\xC0\0\x02\x02\xDC\x04\x1F\x90hello\n"),
        ("proxy", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"),
        ("ssh", b"SSH-2.0-OpenSSH_9.9\r\n"),
        ("irc", b"CAP LS 302\r\nNICK bob\r\nUSER bob 0 * :Bob\r\n"),
        ("irc", b"NICK bob\r\nUSER bob 0 * :Bob\r\n"),
        ("irc", b"PASS secret\r\nNICK bob\r\n"),
        ("other-protocol", b"EHLO mail.example.com\r\n"),
        ("other-protocol", b"\x10\x0C\0\x04MQTT\x04\x02\0\x3C\0\0"),
        ("other-protocol", b"\x03\0\0\x13\x0E\xE0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0"),
    ];
    for (code, bytes) in cases {
        for send in SEND_ALL_OR_SINGLE {
            let mut client = server.connect();
            // The server may close the connection before it has read all bytes.
            let _ = send(&mut client, bytes);
            client.expect_bye(code);
        }
    }
    alice.say("/stats");
    let evictions = alice.recv()["stats"]["evictions"].clone();
    assert_has(&evictions, json!({ "proxy": 8, "ssh": 2, "irc": 6, "other-protocol": 6 }));
    assert_eq!(alice.pending(), [] as [Value; 0]);
}

#[test]
fn words_of_other_protocols_are_sent_as_text() {
    let server = TestServer::start(&["--hello-wait", "600000"]);
    let mut alice = server.join("alice");
    for line in ["NICK bob\n", "PASS me the salt\r\n", "CAP\r\n", "GET /\n", "*1\r\n"] {
        let mut client = server.connect();
        client.send_raw(line.as_bytes());
        assert_eq!(alice.recv_kind("chat")["data"], line.trim_end());
        assert_eq!(client.recv_kind("chat")["data"], line.trim_end());
    }
    // Only the first line is looked at.
    alice.send_raw(b"NICK bob\r\nGET / HTTP/1.1\r\n");
    assert_eq!(alice.recv_kind("chat")["data"], "NICK bob");
    assert_eq!(alice.recv_kind("chat")["data"], "GET / HTTP/1.1");
}

#[test]
fn empty_lines_with_carriage_returns_come_first() {
    let server = TestServer::start(&["--hello-wait", "600000"]);
    for start in ["\r\n", "\r\n\r\n"] {
        for send in SEND_ALL_OR_SINGLE {
            let mut client = server.connect();
            send(&mut client, format!("{start}hello\r\n").as_bytes()).unwrap();
            assert_eq!(client.recv_kind("chat")["data"], "hello");
        }
        let mut client = server.connect();
        client.send_raw(start.as_bytes());
        client.shutdown_write();
        client.expect_bye("quit");
    }
}

#[test]
fn byte_order_mark_before_first_line_is_dropped() {
    let server = TestServer::start(&["--hello-wait", "600000", "--max-line", "40"]);
    let mark = "\u{feff}";
    for send in SEND_ALL_OR_SINGLE {
        let mut alice = server.connect();
        send(&mut alice, format!("{mark}{{\"hello\":{{\"name\":\"alice\"}}}}\n").as_bytes())
            .unwrap();
        assert_eq!(alice.recv()["name"], "alice");
        alice.recv_kind("join");
        // Not at the start of the connection.
        alice.say(&format!("{mark}hi"));
        assert_eq!(alice.recv()["data"], format!("{mark}hi"));

        let mut bob = server.connect();
        send(&mut bob, format!("{mark}{mark}hi\n").as_bytes()).unwrap();
        assert_eq!(bob.recv_kind("chat")["data"], format!("{mark}hi"));
        let line = "x".repeat(40);
        let mut carol = server.connect();
        send(&mut carol, format!("{mark}{line}\n").as_bytes()).unwrap();
        assert_eq!(carol.recv_kind("chat")["data"], line);

        let mut silent = server.connect();
        send(&mut silent, mark.as_bytes()).unwrap();
        silent.shutdown_write();
        silent.expect_bye("quit");
        let mut irc = server.connect();
        let _ = send(&mut irc, &[mark.as_bytes(), b"NICK bob\r\n"].concat());
        irc.expect_bye("irc");
    }
}

#[cfg(not(feature = "web"))]
#[test]
fn http_upload_gets_bye_while_it_goes_on() {
    let server = TestServer::start(&[]);
    let mut client = server.connect();
    client.send_raw(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n");
    let _ = client.try_send_raw(&[b'x'; 1_000_000]);
    client.expect_bye("http");
}

#[test]
fn errors_sent_at_once_end_in_bye() {
    let server = TestServer::start(&["--rate", "0"]);
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    let _ = bob.try_send_raw(&b"/dance\n".repeat(2000));
    let bye = bob.recv_until(|frame| frame["kind"] != "error");
    assert_has(&bye, json!({ "kind": "bye", "code": "errors" }));
    bob.expect_eof();
    assert_eq!(alice.recv_leaves(1), ["bob"]);
}

#[test]
fn endless_lines_cost_less_than_4_mib() {
    const BYTES_EACH: usize = 60_000_000;
    let server = TestServer::start(&[]);
    let mut alice = server.join("alice");
    let before = server.rss();
    let piece = vec![b'x'; 1 << 20];
    thread::scope(|scope| {
        for n in 0..4 {
            let (server, piece) = (&server, &piece);
            scope.spawn(move || {
                let mut client = server.join(&format!("flood-{n}"));
                let mut left = BYTES_EACH;
                while left > 0 {
                    let next = left.min(piece.len());
                    client.send_raw(&piece[..next]);
                    left -= next;
                }
                client.say("");
                client.say("the end");
                assert_eq!(client.recv_kind("error")["code"], "too-long");
                client.recv_until(|frame| frame["data"] == "the end");
            });
        }
        for _ in 0..10 {
            alice.say_and_recv("hello");
        }
    });
    let growth = server.peak_rss().saturating_sub(before);
    assert!(growth < 4096, "the server grew by {growth} KiB");
}

#[test]
fn lines_over_rate_get_one_error_and_none_is_lost() {
    const LINES: usize = 150;
    let server = TestServer::start(&["--rate", "100/100"]);
    let mut bob = server.join("bob");
    let mut alice = server.join("alice");
    bob.pending();
    let start = Instant::now();
    let lines: Vec<String> = (0..LINES).map(|n| format!("line {n}")).collect();
    alice.send_raw((lines.join("\n") + "\n").as_bytes());

    let received: Vec<Value> = (0..LINES).map(|_| bob.recv()).collect();
    // 100 lines at once, and 50 more at 100 per second.
    assert!(start.elapsed() >= Duration::from_millis(450), "{:?}", start.elapsed());
    let texts: Vec<_> = received.iter().map(|frame| frame["data"].as_str().unwrap()).collect();
    assert_eq!(texts, lines);

    let own = alice.pending();
    let (errors, chats): (Vec<_>, Vec<_>) = own.iter().partition(|f| f["kind"] == "error");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0]["code"], "too-fast");
    assert_eq!(chats.len(), LINES);
}

#[test]
fn delayed_line_is_sent_without_further_input() {
    let server = TestServer::start(&["--rate", "10/3"]);
    let mut alice = server.join("alice");
    for n in 0..6 {
        alice.say_and_recv(&format!("line {n}"));
    }
}

#[test]
fn delayed_line_is_sent_after_half_close() {
    let server = TestServer::start(&["--rate", "5/3"]);
    let mut alice = server.join("alice");
    alice.send_raw(b"one\ntwo\n");
    alice.recv_until(|frame| frame["data"] == "two");
    alice.send_raw(b"three\n");
    alice.shutdown_write();
    let frames = alice.recv_rest();
    let chats: Vec<_> = frames.iter().filter(|frame| frame["kind"] == "chat").collect();
    assert_eq!(chats.len(), 1, "{frames:?}");
    assert_eq!(chats[0]["data"], "three");
    assert_eq!(frames.last().unwrap()["code"], "quit");
}

#[test]
fn flood_over_rate_stays_in_the_kernel() {
    let server = TestServer::start(&["--rate", "1/1"]);
    let mut alice = server.join("alice");
    let before = server.rss();
    let flood = b"one line after another\n".repeat(4_000_000);
    let mut left = &flood[..];
    let mut socket = alice.clone_socket();
    let timeout = Some(Duration::from_millis(500));
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, timeout).unwrap();
    while let Ok(sent) = socket.write(left) {
        left = &left[sent..];
        assert!(!left.is_empty(), "the server read all of it");
    }
    assert_eq!(alice.recv_kind("error")["code"], "too-fast");
    let growth = server.peak_rss().saturating_sub(before);
    assert!(growth < 1024, "the server grew by {growth} KiB");
}

#[test]
fn flood_over_rate_does_not_delay_others() {
    let server = TestServer::start(&["--rate", "2/2"]);
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    alice.send_raw(&b"again and again\n".repeat(500));
    alice.recv_kind("error");
    let start = Instant::now();
    bob.say_and_recv("me too");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}
