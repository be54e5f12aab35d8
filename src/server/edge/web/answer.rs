//! The answers to requests.

use super::assets::ASSETS;

/// What the server does about a request.
#[derive(Debug)]
pub enum Answer {
    /// Sends a response and closes the connection.
    Response(Response),
    /// Sends these bytes; the connection is a WebSocket from then on.
    Upgrade {
        /// The response that accepts the upgrade.
        response: Vec<u8>,
        /// Whether the client is a browser: it sent an `Origin`.
        is_browser: bool,
    },
}

/// A response, to be sent in two parts so that the files of the page are not copied.
#[derive(Debug)]
pub struct Response {
    /// The head, and the body of an error.
    pub head: Vec<u8>,
    /// The body, unless it is in `head`.
    pub body: &'static [u8],
}

/// Answers the request with this head. `hosts` are the names of `--web-host`.
pub fn answer(head: &[u8], hosts: &[String]) -> Answer {
    let _ = (head, hosts);
    let body = ASSETS.first().map_or(&[][..], |asset| asset.gzipped);
    Answer::Response(Response { head: Vec::new(), body })
}

/// Returns the response to a request whose head was not complete in time.
pub fn timeout() -> Response {
    Response { head: Vec::new(), body: b"" }
}

/// Returns the response to a request whose head is too long.
pub fn too_large() -> Response {
    Response { head: Vec::new(), body: b"" }
}
