//! The answers to requests: files of the page, the upgrade to WebSocket, and errors.

use std::fmt;

use super::assets::{ASSETS, Asset};
use super::handshake::accept_key;
use super::host::{is_same_origin, is_served};
use super::request_head::{Invalid, RequestHead};

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
    Response(Response),
    /// The connection is a WebSocket after this response.
    Upgrade {
        /// The bytes of the response.
        response: Vec<u8>,
        /// Whether the client is a browser: it sent an `Origin`.
        is_browser: bool,
    },
}

/// A response in two parts, so that the files of the page are not copied.
#[derive(Debug)]
pub struct Response {
    /// The head, and after it the body if that is a text.
    pub head: Vec<u8>,
    /// A file of the page, or nothing.
    pub body: &'static [u8],
}

/// A response whose body is one line of text.
struct TextResponse {
    /// The status. Further fields can follow it, each after a line end.
    status: &'static str,
    text: &'static str,
}

/// The response for clients that do not accept gzip.
const ABOUT: TextResponse = TextResponse {
    status: "200 OK",
    text: "this is a smolchat room: open this address in a browser, or connect with the program \
        smolchat or with nc",
};
const UNKNOWN_HOST: TextResponse = TextResponse {
    status: "421 Misdirected Request",
    text: "this server is not for that host; allow it with --web-host NAME",
};
const WRONG_ORIGIN: TextResponse = TextResponse {
    status: "403 Forbidden",
    text: "the Origin is not the Host of the request, which a proxy must forward",
};
const WRONG_METHOD: TextResponse = TextResponse {
    status: "405 Method Not Allowed\r\nAllow: GET, HEAD",
    text: "the method must be GET or HEAD",
};
const NOT_FOUND: TextResponse =
    TextResponse { status: "404 Not Found", text: "there is no such page" };
const NO_UPGRADE: TextResponse = TextResponse {
    status: "426 Upgrade Required\r\n\
        Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
    text: "this is a WebSocket: it needs a WebSocket handshake of version 13",
};
const TIMEOUT: TextResponse =
    TextResponse { status: "408 Request Timeout", text: "the request was not complete in time" };
const TOO_LARGE: TextResponse = TextResponse {
    status: "431 Request Header Fields Too Large",
    text: "the request head has more than 8192 bytes, or than --memory allows",
};
const CUT_OFF: TextResponse = TextResponse {
    status: "400 Bad Request",
    text: "the request head has no empty line at its end",
};
const TOO_LATE: TextResponse = TextResponse {
    status: "408 Request Timeout",
    text: "the connection was silent for too long and is no WebSocket; connect again",
};

impl From<Invalid> for TextResponse {
    fn from(text: Invalid) -> Self {
        TextResponse { status: "400 Bad Request", text }
    }
}

impl TextResponse {
    fn encode(self, is_head: bool) -> Response {
        let TextResponse { status, text } = self;
        let length = text.len() + 1;
        let fields =
            format_args!("Content-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n");
        let mut head = response_head(status, fields);
        if !is_head {
            head.extend_from_slice(text.as_bytes());
            head.push(b'\n');
        }
        Response { head, body: b"" }
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
pub fn timeout() -> Response {
    TIMEOUT.encode(false)
}

/// Returns the response to a request whose head is too long.
pub fn too_large() -> Response {
    TOO_LARGE.encode(false)
}

/// Returns the response to a request whose head was not complete when the client closed its side.
pub fn cut_off() -> Response {
    CUT_OFF.encode(false)
}

/// Returns the response to a WebSocket handshake on a connection that was sent lines before.
pub fn too_late() -> Response {
    TOO_LATE.encode(false)
}

fn answer_request(head: &[u8], hosts: &[String], is_head: bool) -> Result<Answer, TextResponse> {
    let request = RequestHead::parse(head)?;
    let origin = request.origin()?;
    if !is_served(request.host()?, hosts) {
        return Err(UNKNOWN_HOST);
    }
    let is_browser = origin.is_some();
    if origin.is_some_and(|origin| !is_same_origin(&origin, request.authority())) {
        return Err(WRONG_ORIGIN);
    }
    if !is_head && request.method() != b"GET" {
        return Err(WRONG_METHOD);
    }
    if request.has_body() {
        return Err("a request must not have a body here".into());
    }
    if request.path() == SOCKET_PATH {
        if is_head || !request.is_upgrade() {
            return Err(NO_UPGRADE);
        }
        let accept = accept_key(&request.key().unwrap_or_default());
        let accept = accept.ok_or("the Sec-WebSocket-Key is not 16 bytes")?;
        let start = b"HTTP/1.1 101 Switching Protocols\r\n\
            Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
        let response = [start, &accept[..], b"\r\n\r\n"].concat();
        return Ok(Answer::Upgrade { response, is_browser });
    }
    let asset = ASSETS.iter().find(|asset| asset.path.as_bytes() == request.path());
    let asset = asset.ok_or(NOT_FOUND)?;
    if !request.accepts_gzip() {
        return Err(ABOUT);
    }
    Ok(Answer::Response(file_response(&request, asset, is_head)))
}

/// Returns the response with a file of the page.
fn file_response(request: &RequestHead<'_>, asset: &'static Asset, is_head: bool) -> Response {
    let Asset { content_type, etag, gzipped, .. } = *asset;
    if request.has_etag(etag.as_bytes()) {
        let head = response_head("304 Not Modified", format_args!("ETag: {etag}\r\n"));
        return Response { head, body: b"" };
    }
    let length = gzipped.len();
    let fields = format_args!(
        "ETag: {etag}\r\nContent-Type: {content_type}\r\nContent-Encoding: gzip\r\n\
         Content-Length: {length}\r\n"
    );
    let head = response_head("200 OK", fields);
    Response { head, body: if is_head { b"" } else { gzipped } }
}

/// Returns the head of a response, with its empty line.
fn response_head(status: &str, fields: fmt::Arguments<'_>) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{COMMON_FIELDS}{fields}\r\n").into_bytes()
}

#[cfg(test)]
mod tests;
