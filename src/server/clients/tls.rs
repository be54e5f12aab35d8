//! Connections that speak TLS.

use std::time::Duration;

use super::Clients;
use crate::room::{ClientId, Slice};
use crate::server::edge::tls::{Seal, plain_alert};
use crate::server::framing::Framing;
use crate::server::outbox::Delivery;

impl Clients {
    /// Stops the frames for a client, which has begun a handshake.
    pub fn begin_handshake(&mut self, id: ClientId) {
        if let Some(client) = self.table.get_mut(id) {
            client.framing = Framing::Handshake { is_answered: false };
        }
    }

    /// Returns whether a client has begun a handshake that is not done.
    pub fn is_handshaking(&self, id: ClientId) -> bool {
        let client = self.table.get(id);
        client.is_some_and(|client| matches!(client.framing, Framing::Handshake { .. }))
    }

    /// Returns whether the handshake of a client is done.
    pub fn is_sealed(&self, id: ClientId) -> bool {
        self.table.get(id).is_some_and(|client| client.outbox.is_sealed())
    }

    /// Sends a client bytes of the handshake, which can wait without a limit.
    pub fn send_flight(&mut self, id: ClientId, bytes: Vec<u8>, now: Duration) {
        let Some(client) = self.table.get_mut(id) else { return };
        if client.state.is_open() && !bytes.is_empty() {
            client.framing = Framing::Handshake { is_answered: true };
            let slices = [Slice::raw(bytes.into())];
            let delivery = client.outbox.send(&slices, 0, usize::MAX, client.framing);
            self.handle_delivery(id, delivery, now);
        }
    }

    /// Sends an alert to a client that has begun a handshake and was sent nothing of it.
    pub fn refuse_handshake(&mut self, id: ClientId, alert: u8, now: Duration) {
        let client = self.table.get(id);
        if client.is_some_and(|client| client.framing == Framing::Handshake { is_answered: false })
        {
            self.send_flight(id, plain_alert(alert).into(), now);
        }
    }

    /// Sends a client frames again, encrypted. Returns `false` if bytes of the handshake wait,
    /// although the client has answered them.
    pub fn establish(&mut self, id: ClientId, seal: Seal) -> bool {
        let Some(client) = self.table.get_mut(id) else { return true };
        if !client.outbox.is_empty() {
            return false;
        }
        client.outbox.set_seal(seal);
        client.framing = Framing::Lines;
        #[cfg(feature = "irc")]
        if let Some(irc) = &client.irc {
            client.framing = Framing::irc(&irc.session);
        }
        true
    }

    /// Tells a client of new keys, and encrypts all later frames with them.
    pub fn update_seal(&mut self, id: ClientId, next: Seal, now: Duration) {
        let Some(client) = self.table.get_mut(id) else { return };
        if client.state.is_open() {
            let delivery = client.outbox.update_seal(next, client.framing);
            self.handle_delivery(id, delivery, now);
        }
    }

    /// Sends a client an alert behind all its frames, if they are encrypted and the connection has
    /// not ended.
    pub fn end_tls(&mut self, id: ClientId, alert: u8) {
        let Some(client) = self.table.get_mut(id) else { return };
        if !client.state.is_open() || !client.outbox.is_sealed() {
            return;
        }
        client.outbox.end_with(alert);
        // Ignored: a broken connection needs no alert.
        if client.outbox.flush(client.framing) == Delivery::Waiting {
            client.notify_when_writable(id, &self.events, &self.executor);
        }
    }
}
