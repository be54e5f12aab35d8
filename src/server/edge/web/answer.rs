//! The answers to requests: files of the page, the upgrade to WebSocket, and errors.

use std::borrow::Cow;

use super::assets::{ASSETS, Asset};
use super::handshake::accept_key;
use super::request_head::{Invalid, RequestHead};

/// The path of the WebSocket.
const SOCKET_PATH: &[u8] = b"/ws";
/// The body of `/` for clients that do not accept gzip.
const ABOUT: &str = "this is a smolchat room: open this address in a browser, or connect with the \
    program smolchat or with nc";
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
/// The fields of a response that asks for an upgrade.
const UPGRADE_FIELDS: &str =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";

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

/// An error response.
struct ErrorResponse {
    status: &'static str,
    /// Further fields, each with its line end.
    fields: &'static str,
    /// What is wrong with the request.
    text: Cow<'static, str>,
}

impl ErrorResponse {
    fn new(status: &'static str, text: &'static str) -> Self {
        ErrorResponse { status, fields: "", text: text.into() }
    }
}

impl From<Invalid> for ErrorResponse {
    fn from(text: Invalid) -> Self {
        ErrorResponse::new("400 Bad Request", text)
    }
}

/// Answers the request with this head. `hosts` are the names under which the server is reached,
/// besides addresses and the names of local networks.
pub fn answer(head: &[u8], hosts: &[String]) -> Answer {
    let is_head = head.starts_with(b"HEAD ");
    answer_request(head, hosts, is_head).unwrap_or_else(|ErrorResponse { status, fields, text }| {
        Answer::Response(text_response(status, fields, &text, is_head))
    })
}

/// Returns the response to a request whose head was not complete in time.
pub fn timeout() -> Response {
    text_response("408 Request Timeout", "", "the request was not complete in time", false)
}

/// Returns the response to a request whose head is longer than `max_bytes`.
pub fn too_large(max_bytes: usize) -> Response {
    let text = format!("the request head has more than {max_bytes} bytes");
    text_response("431 Request Header Fields Too Large", "", &text, false)
}

/// Returns the response to a request whose head was not complete when the client closed its side.
pub fn cut_off() -> Response {
    text_response("400 Bad Request", "", "the request head has no empty line at its end", false)
}

/// Returns the response to a WebSocket handshake on a connection that was sent lines before.
pub fn too_late() -> Response {
    let text = "the connection was silent for too long and is no WebSocket; connect again";
    text_response("408 Request Timeout", "", text, false)
}

fn answer_request(head: &[u8], hosts: &[String], is_head: bool) -> Result<Answer, ErrorResponse> {
    let request = RequestHead::parse(head)?;
    let origin = request.origin()?;
    if !request.host().is_served(hosts) {
        let name = String::from_utf8_lossy(request.host().host());
        let text =
            ["this server is not for the host ", &name, "; allow it with --web-host ", &name];
        let text = text.concat().into();
        return Err(ErrorResponse { status: "421 Misdirected Request", fields: "", text });
    }
    if origin.is_some_and(|origin| !request.host().is_origin(origin)) {
        return Err(ErrorResponse::new(
            "403 Forbidden",
            "the Origin is not the Host of the request, which a proxy must forward",
        ));
    }
    if !is_head && request.method() != b"GET" {
        let (status, text) = ("405 Method Not Allowed", "the method must be GET or HEAD".into());
        return Err(ErrorResponse { status, fields: "Allow: GET, HEAD\r\n", text });
    }
    request.check_body()?;
    if request.path() == SOCKET_PATH {
        let response = upgrade(&request)?;
        return Ok(Answer::Upgrade { response, is_browser: origin.is_some() });
    }
    let asset = ASSETS.iter().find(|asset| asset.path.as_bytes() == request.path());
    let asset =
        asset.ok_or_else(|| ErrorResponse::new("404 Not Found", "there is no such page"))?;
    file_response(&request, asset, is_head).map(Answer::Response)
}

/// Returns the response that accepts the upgrade to WebSocket.
fn upgrade(request: &RequestHead<'_>) -> Result<Vec<u8>, ErrorResponse> {
    let refuse = |text: &'static str| {
        let status = "426 Upgrade Required";
        Err(ErrorResponse { status, fields: UPGRADE_FIELDS, text: text.into() })
    };
    if request.method() != b"GET" || !request.is_upgrade() {
        return refuse("this is a WebSocket: it needs a WebSocket handshake");
    }
    if !request.is_version_13() {
        return refuse("the version of WebSocket must be 13");
    }
    let accept = accept_key(request.key()?).ok_or("the Sec-WebSocket-Key is not 16 bytes")?;
    let start = b"HTTP/1.1 101 Switching Protocols\r\n\
        Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
    Ok([start, &accept[..], b"\r\n\r\n"].concat())
}

/// Returns the response with a file of the page.
fn file_response(
    request: &RequestHead<'_>,
    asset: &'static Asset,
    is_head: bool,
) -> Result<Response, ErrorResponse> {
    if !request.accepts_gzip() {
        if asset.path == "/" {
            return Ok(text_response("200 OK", "", ABOUT, is_head));
        }
        let text = "this file is only sent to clients that accept gzip";
        return Err(ErrorResponse::new("406 Not Acceptable", text));
    }
    if request.has_etag(asset.etag.as_bytes()) {
        let head = response_head("304 Not Modified", "", &[("ETag", asset.etag)]);
        return Ok(Response { head, body: b"" });
    }
    let length = asset.gzipped.len().to_string();
    let head = response_head(
        "200 OK",
        "",
        &[
            ("ETag", asset.etag),
            ("Content-Type", asset.content_type),
            ("Content-Encoding", "gzip"),
            ("Content-Length", &length),
        ],
    );
    Ok(Response { head, body: if is_head { b"" } else { asset.gzipped } })
}

/// Returns a response whose body is one line of text.
fn text_response(status: &str, fields: &str, text: &str, is_head: bool) -> Response {
    let length = (text.len() + 1).to_string();
    let text_fields = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", &*length)];
    let mut head = response_head(status, fields, &text_fields);
    if !is_head {
        head.extend_from_slice(text.as_bytes());
        head.push(b'\n');
    }
    Response { head, body: b"" }
}

/// Returns the head of a response, with its empty line.
fn response_head(status: &str, lines: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut head = ["HTTP/1.1 ", status, "\r\n", COMMON_FIELDS, lines].concat();
    for (name, value) in fields {
        for part in [name, ": ", value, "\r\n"] {
            head += part;
        }
    }
    (head + "\r\n").into_bytes()
}

#[cfg(test)]
mod tests;
