//! Connections that speak HTTP or WebSocket.

use std::time::Duration;

use super::Clients;
use crate::room::{ClientId, Slice};
use crate::server::edge::web::CloseCode;
use crate::server::framing::Framing;

impl Clients {
    /// Stops the frames for a client, which has begun an HTTP request.
    pub fn set_http(&mut self, id: ClientId) {
        if let Some(client) = self.table.get_mut(id) {
            client.framing = Framing::Http;
        }
    }

    /// Sends frames to a client again, if its first bytes looked like an HTTP request: they are
    /// those of a line.
    pub fn unset_http(&mut self, id: ClientId) {
        if let Some(client) = self.table.get_mut(id)
            && client.framing == Framing::Http
        {
            client.framing = Framing::Lines;
        }
    }

    /// Returns whether a client has begun an HTTP request.
    pub fn is_http(&self, id: ClientId) -> bool {
        self.table.get(id).is_some_and(|client| client.framing == Framing::Http)
    }

    /// Returns whether a client speaks WebSocket.
    pub fn is_websocket(&self, id: ClientId) -> bool {
        let framing = self.table.get(id).map(|client| client.framing);
        matches!(framing, Some(Framing::WebSocket { .. }))
    }

    /// Sends a client a response, which can wait without a limit.
    pub fn send_response(&mut self, id: ClientId, response: Vec<u8>, now: Duration) {
        self.send_raw(id, response, usize::MAX, now);
    }

    /// Sends a client the answer to a ping.
    pub fn send_pong(&mut self, id: ClientId, pong: Vec<u8>, now: Duration) {
        self.send_raw(id, pong, self.outbox_limit, now);
    }

    /// Sends a client bytes that are not a frame.
    fn send_raw(&mut self, id: ClientId, bytes: Vec<u8>, limit: usize, now: Duration) {
        let Some(client) = self.table.get_mut(id) else { return };
        if client.state.is_open() {
            let slices = [Slice::raw(bytes.into())];
            let delivery = client.outbox.send(&slices, self.seq, limit, client.framing);
            self.handle_delivery(id, delivery, now);
        }
    }

    /// Sends the response to a WebSocket handshake. From now on the client is sent messages.
    pub fn upgrade(&mut self, id: ClientId, response: Vec<u8>, now: Duration) {
        self.send_response(id, response, now);
        if let Some(client) = self.table.get_mut(id) {
            client.framing = Framing::WebSocket { close_code: Some(CloseCode::NORMAL) };
        }
    }

    /// Sets the code of the close frame after the last message of a client.
    pub fn set_close_code(&mut self, id: ClientId, code: Option<CloseCode>) {
        if let Some(client) = self.table.get_mut(id)
            && let Framing::WebSocket { close_code } = &mut client.framing
        {
            *close_code = code;
        }
    }
}
