use super::*;

fn parse(head: &str) -> Option<RequestHead<'_>> {
    RequestHead::parse(head.as_bytes())
}

/// Returns the head of a request with these fields besides `Host`.
fn head(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: chat.lan\r\n{fields}\r\n")
}

#[test]
fn malformed_heads_are_rejected() {
    for head in [
        "",
        "\r\n",
        "GET / HTTP/1.1",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\tb: c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nb: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nb: c\rd\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nb: c\r\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nb\u{e9}: c\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\n",
        "GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://evil.com@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\n\r\n",
    ] {
        assert!(parse(head).is_none_or(|head| head.host().is_none()), "{head:?}");
    }
}

#[test]
fn target_gives_path_and_host() {
    for (target, path, host) in [
        ("/", "/", "chat.lan"),
        ("/?token=1", "/", "chat.lan"),
        ("/app.js?v=1?2", "/app.js", "chat.lan"),
        ("//evil.com/", "//evil.com/", "chat.lan"),
        ("/%2e%2e/", "/%2e%2e/", "chat.lan"),
        ("*", "*", "chat.lan"),
        ("http://router:8080/app.js", "/app.js", "router"),
        ("HTTPS://router", "/", "router"),
        ("http://router?x", "/", "router"),
        ("http://[::1]:8080/ws?x", "/ws", "[::1]"),
    ] {
        let head = format!("GET {target} HTTP/1.1\nHost: chat.lan\n\n");
        let head = parse(&head).unwrap();
        assert_eq!(str::from_utf8(head.path()).unwrap(), path);
        assert_eq!(str::from_utf8(head.host().unwrap()).unwrap(), host);
    }
}

#[test]
fn gzip_is_accepted_by_its_weight() {
    for (value, expected) in [
        ("gzip", true),
        ("GZIP", true),
        ("gzip, deflate, br, zstd", true),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", true),
        ("gzip ; q=0.001", true),
        ("gzip;Q=1", true),
        ("gzip;q=1.000", true),
        ("", false),
        ("identity", false),
        ("deflate, br", false),
        ("gzip;q=0", false),
        ("gzip;q=0.000", false),
        ("*", false),
        ("*, gzip;q=0", false),
        ("gzip;q=0, *", false),
        ("gzip;q=", false),
        ("gzip;q=x", false),
        ("gzip;q=0.", false),
        ("notgzip", false),
        ("gzip2", false),
        ("g zip", false),
    ] {
        let head = head(&format!("Accept-Encoding: {value}\r\n"));
        assert_eq!(parse(&head).unwrap().accepts_gzip(), expected, "{value}");
    }
    let two = head("Accept-Encoding: br\r\naccept-encoding:gzip\r\n");
    assert!(parse(&two).unwrap().accepts_gzip());
    assert!(!parse(&head("")).unwrap().accepts_gzip());
}

#[test]
fn etag_is_found_in_lists() {
    for (value, expected) in [
        ("W/\"a1\"", true),
        ("\"b2\", W/\"a1\" , \"c\"", true),
        (" \tW/\"a1\"\t", true),
        ("W/\"a1\",", true),
        ("a1", false),
        ("W/\"a\"", false),
        ("", false),
        ("W/\"a1", false),
    ] {
        let head = head(&format!("If-None-Match: {value}\r\n"));
        assert_eq!(parse(&head).unwrap().has_etag(b"W/\"a1\""), expected, "{value}");
    }
}

#[test]
fn body_is_recognised() {
    for (field, expected) in [
        ("Content-Length: 0", false),
        ("X: 1", false),
        ("Content-Length: 1", true),
        ("Content-Length: -0", true),
        ("Content-Length: 0, 5", true),
        ("Transfer-Encoding: chunked", true),
        ("Transfer-Encoding: identity", true),
        ("Content-Length: 0\r\nContent-Length: 5", true),
    ] {
        let head = head(&format!("{field}\r\n"));
        assert_eq!(parse(&head).unwrap().has_body(), expected, "{field}");
    }
}

#[test]
fn bytes_after_the_head_are_not_fields() {
    let text = head("") + "Accept-Encoding: gzip\r\nHost: a\r\n\r\n";
    assert!(!parse(&text).unwrap().accepts_gzip());
}

#[test]
fn upgrade_needs_both_fields() {
    for (fields, expected) in [
        ("Upgrade: websocket\r\nConnection: Upgrade\r\n", true),
        ("upgrade:WebSocket\r\nconnection: keep-alive, UPGRADE\r\n", true),
        ("Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: a\r\nConnection: upgrade\r\n", true),
        ("Upgrade: websocket\r\n", false),
        ("Connection: Upgrade\r\n", false),
        ("Upgrade: websockets\r\nConnection: Upgrade\r\n", false),
        ("Upgrade: websocket\r\nConnection: close\r\n", false),
    ] {
        let fields = format!("{fields}Sec-WebSocket-Version: 13\r\n");
        assert_eq!(parse(&head(&fields)).unwrap().is_upgrade(), expected, "{fields}");
    }
    let old = head("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n")
        .replace("/1.1", "/1.0");
    assert!(!parse(&old).unwrap().is_upgrade());
}
