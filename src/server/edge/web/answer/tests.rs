use proptest::prelude::*;

use super::*;

const GZIP: &str = "Accept-Encoding: gzip\r\n";
const HANDSHAKE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Returns the head of a request for `chat.lan:8080`.
fn request(line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: chat.lan:8080\r\n{fields}\r\n")
}

/// Returns the status and the head of the response to a request, and its body.
fn respond(request: &str) -> (u16, String, Vec<u8>) {
    let hosts = ["chat.example.com".into()];
    let answer = answer(request.as_bytes(), &hosts);
    #[cfg(feature = "cluster")]
    let answer = answer.in_cluster(&[]);
    match answer {
        Answer::Response(response) | Answer::Upgrade { response, .. } => split(&response),
        #[cfg(feature = "cluster")]
        Answer::UpgradeFrom { .. } => panic!("an answer that is not complete"),
    }
}

fn split(bytes: &[u8]) -> (u16, String, Vec<u8>) {
    let end = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
    (status, head, bytes[end..].to_vec())
}

fn status(line: &str, fields: &str) -> u16 {
    respond(&request(line, fields)).0
}

/// Returns the value of a field of a head.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn files_are_sent_with_their_type_and_tag() {
    for asset in ASSETS {
        let (status, head, body) = respond(&request(&format!("GET {}?v=1", asset.path), GZIP));
        assert_eq!((status, &body[..]), (200, asset.gzipped));
        assert_eq!(field(&head, "Content-Type"), Some(asset.content_type));
        assert_eq!(field(&head, "Content-Encoding"), Some("gzip"));
        assert_eq!(field(&head, "ETag"), Some(ETAG));
        assert_eq!(field(&head, "Content-Length"), Some(&*body.len().to_string()));

        let tag = format!("{GZIP}If-None-Match: \"x\", {ETAG}\r\n");
        let (status, head, body) = respond(&request(&format!("GET {}", asset.path), &tag));
        assert_eq!((status, &body[..]), (304, &b""[..]));
        assert_eq!(field(&head, "ETag"), Some(ETAG));
    }
}

#[test]
fn responses_to_head_have_no_body() {
    for (target, fields) in
        [("/", GZIP), ("/", ""), ("/style.css", ""), ("/none", ""), ("/ws", ""), ("/", "bad\r\n")]
    {
        let (get_status, get_head, get_body) = respond(&request(&format!("GET {target}"), fields));
        let (status, head, body) = respond(&request(&format!("HEAD {target}"), fields));
        assert_eq!((status, &head, &body[..]), (get_status, &get_head, &b""[..]));
        assert_eq!(field(&head, "Content-Length"), Some(&*get_body.len().to_string()));
    }
}

#[test]
fn client_without_gzip_gets_one_line() {
    let (status, head, body) = respond(&request("GET /", "If-None-Match: *\r\n"));
    assert_eq!(status, 200);
    assert_eq!(field(&head, "Content-Type"), Some("text/plain; charset=utf-8"));
    assert!(field(&head, "ETag").is_none() && field(&head, "Content-Encoding").is_none());
    assert_eq!(String::from_utf8(body).unwrap(), format!("{}\n", ABOUT.text));
}

#[test]
fn requests_are_refused_with_their_status() {
    for (line, fields, expected) in [
        ("GET /none", GZIP, 404),
        ("GET /../Cargo.toml", GZIP, 404),
        ("GET /%2e%2e/", GZIP, 404),
        ("GET //", GZIP, 404),
        ("GET *", GZIP, 404),
        ("GET http://chat.lan/none", GZIP, 404),
        ("GET http://evil.com/", GZIP, 421),
        ("POST /", "Content-Length: 5\r\n", 405),
        ("OPTIONS *", "", 405),
        ("PROPFIND /", "", 405),
        ("CONNECT chat.lan:80", "", 405),
        ("get /", "", 405),
        ("GET /", "Content-Length: 5\r\n", 400),
        ("GET /", "Transfer-Encoding: chunked\r\n", 400),
        ("GET /", "Host: chat.lan:8080\r\n", 400),
        ("GET /", "Origin: http://chat.lan:8080\r\nOrigin: http://chat.lan:8080\r\n", 400),
        ("GET /", "Origin: http://evil.com\r\n", 403),
        ("GET /", "Origin: null\r\n", 403),
        ("GET /ws", "", 426),
        ("GET /ws", "Upgrade: websocket\r\n", 426),
    ] {
        let (status, head, body) = respond(&request(line, fields));
        assert_eq!(status, expected, "{line} {fields}");
        assert_eq!(field(&head, "Allow").is_some(), status == 405);
        assert_eq!(field(&head, "Upgrade").is_some(), status == 426);
        assert_eq!(body.iter().filter(|&&byte| byte == b'\n').count(), 1, "{line}");
    }
    assert_eq!(respond("PRI * HTTP/2.0\r\n\r\n").0, 400);
}

#[test]
fn unknown_host_is_told_of_the_option() {
    let request = "GET / HTTP/1.1\r\nHost: evil.example.com:8080\r\n\r\n";
    let (status, _, body) = respond(request);
    assert_eq!(status, 421);
    assert!(String::from_utf8(body).unwrap().contains("--web-host NAME"));
    assert_eq!(respond(&request.replace("evil", "CHAT")).0, 200);
}

#[test]
fn handshake_is_accepted() {
    for (origin, expected) in [("", false), ("Origin: http://chat.lan:8080\r\n", true)] {
        let request = request("GET /ws?x", &format!("{HANDSHAKE}{origin}"));
        let Answer::Upgrade { response, is_browser } = answer(request.as_bytes(), &[]) else {
            panic!("no upgrade")
        };
        assert_eq!(is_browser, expected);
        let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert_eq!(String::from_utf8(response).unwrap(), expected);
    }
}

#[test]
fn invalid_handshake_is_refused() {
    assert_eq!(status("GET /ws", HANDSHAKE), 101);
    for (from, to, expected) in [
        ("websocket", "h2c", 426),
        ("Connection: Upgrade", "Connection: keep-alive", 426),
        ("Version: 13", "Version: 8", 426),
        ("Version: 13", "X: 13", 426),
        ("dGhl", "", 400),
        ("Key: dGhl", "X: dGhl", 400),
        ("Sec-WebSocket-Key", "Sec-WebSocket-Key: x\r\nSec-WebSocket-Key", 400),
        ("Upgrade:", "Origin: http://evil.com\r\nUpgrade:", 403),
        ("Upgrade:", "Origin: http://chat.lan\r\nUpgrade:", 403),
        ("Upgrade:", "Content-Length: 1\r\nUpgrade:", 400),
    ] {
        let handshake = HANDSHAKE.replacen(from, to, 1);
        let (status, head, _) = respond(&request("GET /ws", &handshake));
        assert_eq!(status, expected, "{to}");
        assert_eq!(field(&head, "Sec-WebSocket-Version"), (status == 426).then_some("13"));
    }
    assert_eq!(status("HEAD /ws", HANDSHAKE), 426);
    assert_eq!(status("POST /ws", HANDSHAKE), 405);
    assert_eq!(respond(&request("GET /ws", HANDSHAKE).replace("/1.1", "/1.0")).0, 426);
}

#[test]
fn responses_have_the_fields_of_safety() {
    let heads = [
        respond(&request("GET /", GZIP)).1,
        respond(&request("GET /none", "")).1,
        respond("\r\n\r\n").1,
        split(&timeout_response()).1,
        split(&too_large_response()).1,
    ];
    for (head, status) in heads.iter().zip([200, 404, 400, 408, 431]) {
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        for (name, value) in [
            ("Connection", "close"),
            ("Cache-Control", "no-cache"),
            ("Vary", "Accept-Encoding"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            (
                "Content-Security-Policy",
                "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                 img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            ),
        ] {
            assert_eq!(field(head, name), Some(value));
        }
        assert!(field(head, "Content-Length").is_some());
    }
}

proptest! {
    #[test]
    fn any_request_gets_a_whole_response(
        line in "(GET|HEAD|POST|[A-Z]{0,4}) (/|/ws|/style.css|http://[a-z.@:]{0,8}/|.{0,8}) HTTP/1.[01]",
        fields in "((Host|Origin|Upgrade|Accept-Encoding|If-None-Match|.{0,3}): ?[a-z0-9.:,;=\"*@\\[\\]/]{0,12}\r?\n){0,4}",
        end in "(\r\n)?",
    ) {
        let (status, head, body) = respond(&format!("{line}\r\n{fields}{end}"));
        prop_assert!([101, 200, 304, 400, 403, 404, 405, 421, 426].contains(&status));
        let length = field(&head, "Content-Length").map(|length| length.parse::<usize>().unwrap());
        prop_assert!(line.starts_with("HEAD ") || length.unwrap_or(0) == body.len());
    }
}
