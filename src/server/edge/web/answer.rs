//! The answers to requests: files of the page, the upgrade to WebSocket, and errors.

use std::fmt;

use super::assets::{ASSETS, Asset, ETAG};
use super::handshake::accept_key;
use super::host::{is_same_origin, is_served};
use super::request_head::RequestHead;

/// The path of the WebSocket.
const SOCKET_PATH: &[u8] = b"/ws";
/// The fields of each response except the upgrade.
const COMMON_FIELDS: &str = "Connection: close\r\n\
    Cache-Control: no-cache\r\n\
    Vary: Accept-Encoding\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Referrer-Policy: no-referrer\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n\
    Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'\r\n";

/// The answer to a request.
#[derive(Debug)]
pub enum Answer {
    /// The connection is closed after this response.
    Response(Vec<u8>),
    /// The connection is a WebSocket after this response.
    Upgrade {
        /// The bytes of the response.
        response: Vec<u8>,
        /// Whether the client is a browser: it sent an `Origin`.
        is_browser: bool,
    },
}

/// A response whose body is one line of text.
struct TextResponse {
    /// The status. Further fields can follow it, each after a line end.
    status: &'static str,
    text: &'static str,
}

const BAD_REQUEST: TextResponse = TextResponse {
    status: "400 Bad Request",
    text: "expected HTTP/1.1 with one Host, at most one Origin and no body",
};
const WRONG_KEY: TextResponse =
    TextResponse { status: BAD_REQUEST.status, text: "the Sec-WebSocket-Key is not 16 bytes" };
/// The response for clients that do not accept gzip.
const ABOUT: TextResponse = TextResponse {
    status: "200 OK",
    text: "this is a smolchat room: open it in a browser, or connect with smolchat or nc",
};
const UNKNOWN_HOST: TextResponse = TextResponse {
    status: "421 Misdirected Request",
    text: "unknown host; allow it with --web-host NAME",
};
const WRONG_ORIGIN: TextResponse = TextResponse {
    status: "403 Forbidden",
    text: "the Origin is not the Host, which a proxy must forward",
};
const WRONG_METHOD: TextResponse = TextResponse {
    status: "405 Method Not Allowed\r\nAllow: GET, HEAD",
    text: "expected GET or HEAD",
};
const NOT_FOUND: TextResponse =
    TextResponse { status: "404 Not Found", text: "there is no such page" };
const NO_UPGRADE: TextResponse = TextResponse {
    status: "426 Upgrade Required\r\n\
        Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
    text: "expected a WebSocket handshake of version 13",
};
#[cfg(feature = "tls")]
const TLS_REQUIRED: TextResponse = TextResponse {
    status: "426 Upgrade Required\r\nUpgrade: TLS/1.3",
    text: "this port requires TLS: open https:// in place of http://",
};
const TIMEOUT: TextResponse =
    TextResponse { status: "408 Request Timeout", text: "the request took too long" };
const TOO_LARGE: TextResponse = TextResponse {
    status: "431 Request Header Fields Too Large",
    text: "the head has more than 8192 bytes, or than --memory allows",
};
const CUT_OFF: TextResponse =
    TextResponse { status: BAD_REQUEST.status, text: "the head has no empty line at its end" };
const TOO_LATE: TextResponse = TextResponse {
    status: TIMEOUT.status,
    text: "the connection was silent for too long; connect again",
};

impl TextResponse {
    fn encode(&self, is_head: bool) -> Vec<u8> {
        let TextResponse { status, text } = *self;
        let length = text.len() + 1;
        let fields =
            format_args!("Content-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n");
        let mut response = response_head(status, fields);
        if !is_head {
            response.extend_from_slice(text.as_bytes());
            response.push(b'\n');
        }
        response
    }
}

/// Answers the request with this head. `hosts` are the names under which the server is reached,
/// besides addresses and the names of local networks.
pub fn answer(head: &[u8], hosts: &[String]) -> Answer {
    let is_head = head.starts_with(b"HEAD ");
    answer_request(head, hosts, is_head)
        .unwrap_or_else(|response| Answer::Response(response.encode(is_head)))
}

/// Returns the response to a request whose head was not complete in time.
pub fn timeout_response() -> Vec<u8> {
    TIMEOUT.encode(false)
}

/// Returns the response to a request whose head is too long.
pub fn too_large_response() -> Vec<u8> {
    TOO_LARGE.encode(false)
}

/// Returns the response to a request whose head was not complete when the client closed its side.
pub fn cut_off_response() -> Vec<u8> {
    CUT_OFF.encode(false)
}

/// Returns the response to a WebSocket handshake on a connection that was sent lines before.
pub fn too_late_response() -> Vec<u8> {
    TOO_LATE.encode(false)
}

/// Returns the response to a request of a client that must use TLS.
#[cfg(feature = "tls")]
pub fn tls_required_response() -> Vec<u8> {
    TLS_REQUIRED.encode(false)
}

fn answer_request(
    head: &[u8],
    hosts: &[String],
    is_head: bool,
) -> Result<Answer, &'static TextResponse> {
    let request = RequestHead::parse(head).ok_or(&BAD_REQUEST)?;
    let host = request.host().ok_or(&BAD_REQUEST)?;
    let origin = request.origin();
    if origin.contains(&b',') {
        return Err(&BAD_REQUEST);
    }
    if !is_served(host, hosts) {
        return Err(&UNKNOWN_HOST);
    }
    let is_browser = !origin.is_empty();
    if is_browser && !is_same_origin(&origin, request.authority()) {
        return Err(&WRONG_ORIGIN);
    }
    if !is_head && request.method() != b"GET" {
        return Err(&WRONG_METHOD);
    }
    if request.has_body() {
        return Err(&BAD_REQUEST);
    }
    if request.path() == SOCKET_PATH {
        if is_head || !request.is_upgrade() {
            return Err(&NO_UPGRADE);
        }
        let accept = accept_key(&request.key()).ok_or(&WRONG_KEY)?;
        let start = b"HTTP/1.1 101 Switching Protocols\r\n\
            Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
        let response = [start, &accept[..], b"\r\n\r\n"].concat();
        return Ok(Answer::Upgrade { response, is_browser });
    }
    let asset = ASSETS.iter().find(|asset| asset.path.as_bytes() == request.path());
    let asset = asset.ok_or(&NOT_FOUND)?;
    if !request.accepts_gzip() {
        return Err(&ABOUT);
    }
    Ok(Answer::Response(file_response(&request, asset, is_head)))
}

/// Returns the response with a file of the page.
fn file_response(request: &RequestHead<'_>, asset: &Asset, is_head: bool) -> Vec<u8> {
    let Asset { content_type, gzipped, .. } = *asset;
    if request.has_etag(ETAG.as_bytes()) {
        return response_head("304 Not Modified", format_args!("ETag: {ETAG}\r\n"));
    }
    let length = gzipped.len();
    let fields = format_args!(
        "ETag: {ETAG}\r\nContent-Type: {content_type}\r\nContent-Encoding: gzip\r\n\
         Content-Length: {length}\r\n"
    );
    let mut response = response_head("200 OK", fields);
    if !is_head {
        response.extend_from_slice(gzipped);
    }
    response
}

/// Returns the head of a response, with its empty line.
fn response_head(status: &str, fields: fmt::Arguments<'_>) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{COMMON_FIELDS}{fields}\r\n").into_bytes()
}

#[cfg(test)]
mod tests;
