//! The events of connections that speak HTTP or WebSocket.

use std::time::Duration;

use super::Broadcaster;
use crate::room::{ClientId, Input, Now, WaitKind, WaitingClient};
use crate::server::edge::web::{Answer, WebEvent, timeout_response, too_late_response};

/// The time that a request may take from its first byte to its last.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The time after which a client from the address of a browser becomes a member if it has sent
/// nothing. Browsers open connections before they need them.
const BROWSER_WAIT: Duration = Duration::from_secs(10);

/// The least time after a handshake for the first line of a client that is not a browser. The line
/// arrives a round trip later.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(1);

impl Broadcaster {
    pub(super) fn on_web_event(&mut self, id: ClientId, event: WebEvent, now: Now) {
        match event {
            // Ignored from a member: it is sent lines until it is sent a response.
            WebEvent::RequestBegun if !self.room.is_waiting(id) => {}
            WebEvent::RequestBegun => {
                self.clients.set_http(id);
                let client = WaitingClient { id, extensions: 0, wait: WaitKind::Request };
                self.room.extend_hello_wait(client, now.uptime + REQUEST_TIMEOUT);
            }
            WebEvent::Answer(Answer::Response(response)) => {
                self.add_browser_address(id, now);
                self.respond(id, response, now);
            }
            WebEvent::Answer(Answer::Upgrade { response, is_browser }) => {
                if is_browser {
                    self.add_browser_address(id, now);
                }
                self.upgrade(id, response, is_browser, now);
            }
            WebEvent::Pong(pong) => self.clients.send_pong(id, pong, now.uptime),
            WebEvent::Closing { code, reason } => {
                self.clients.set_close_code(id, code);
                self.apply(Input::Disconnect { id, reason }, now);
            }
        }
    }

    /// Sends a client the response to its handshake, and starts the wait for its first line.
    fn upgrade(&mut self, id: ClientId, response: Vec<u8>, is_browser: bool, now: Now) {
        if !self.room.is_waiting(id) {
            // The client was silent for so long that it was sent a welcome.
            return self.respond(id, too_late_response(), now);
        }
        self.clients.upgrade(id, response, now.uptime);
        let wait = if is_browser { BROWSER_WAIT } else { HANDSHAKE_WAIT };
        let client = WaitingClient { id, extensions: 0, wait: WaitKind::AfterRequest };
        self.room.extend_hello_wait(client, now.uptime + wait.max(self.hello_wait));
    }

    /// Handles the end of the wait of a client, and returns `false` if the client becomes a member.
    pub(super) fn handle_web_wait(&mut self, client: WaitingClient, now: Now) -> bool {
        if self.clients.is_http(client.id) {
            // The earlier wait of the client ends, and that for its request continues.
            if client.wait == WaitKind::Request {
                self.respond(client.id, timeout_response(), now);
            }
            return true;
        }
        if self.clients.is_websocket(client.id) {
            return client.wait != WaitKind::AfterRequest;
        }
        let peer = self.room.peer_of(client.id);
        let is_browser = peer.is_some_and(|peer| self.browsers.contains(peer.into(), now.uptime));
        let is_extended = is_usual(client.wait) && is_browser;
        if is_extended {
            let client = WaitingClient { wait: WaitKind::Long, ..client };
            self.room.extend_hello_wait(client, now.uptime + BROWSER_WAIT);
        }
        is_extended
    }

    /// Sends a client a response and ends its connection.
    fn respond(&mut self, id: ClientId, response: Vec<u8>, now: Now) {
        self.clients.set_http(id);
        self.clients.send_response(id, response, now.uptime);
        self.apply(Input::Answered { id }, now);
    }

    fn add_browser_address(&mut self, id: ClientId, now: Now) {
        if let Some(peer) = self.room.peer_of(id) {
            self.browsers.insert(peer.into(), now.uptime);
        }
    }
}

/// Returns whether a wait is the first one for a line.
fn is_usual(wait: WaitKind) -> bool {
    match wait {
        #[cfg(feature = "tls")]
        WaitKind::AfterHandshake => true,
        wait => wait == WaitKind::Usual,
    }
}
