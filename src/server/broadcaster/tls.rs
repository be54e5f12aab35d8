//! The events of connections that speak TLS.

use std::io;
use std::time::Duration;

use super::Broadcaster;
use crate::protocol::{ByeCode, OtherProtocol};
use crate::room::{ClientId, DisconnectReason, Input, Now, WaitKind, WaitingClient};
use crate::server::edge::tls::{ACCESS_DENIED, INTERNAL_ERROR, Seal, TlsEvent};
use crate::server::secrets::may_use_plain;

/// The time that a handshake may take from its first byte to its last, and the time for that first
/// byte if the client must speak TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

impl Broadcaster {
    pub(super) fn on_tls_event(&mut self, id: ClientId, event: TlsEvent, now: Now) {
        match event {
            TlsEvent::Begun if self.room.is_waiting(id) => self.begin_handshake(id, now),
            TlsEvent::Begun if let Some(code) = self.room.refused_handshake(id) => {
                self.clients.begin_handshake(id);
                self.clients.refuse_handshake(id, alert_of(code), now.uptime);
                self.apply(Input::Answered { id }, now);
            }
            TlsEvent::Begun if self.room.await_handshake(id, now.uptime + HANDSHAKE_TIMEOUT) => {
                self.clients.begin_handshake(id);
            }
            // The bye of a refused client is in the open batch, or was sent.
            TlsEvent::Begun if self.room.peer_of(id).is_none() => self.clients.begin_handshake(id),
            // A silent client that has become a member: it was sent plain text.
            TlsEvent::Begun => {
                self.apply(Input::OtherProtocol { id, protocol: OtherProtocol::Tls }, now);
            }
            TlsEvent::Flight(bytes) if self.clients.is_handshaking(id) => {
                self.clients.send_flight(id, bytes, now.uptime);
            }
            TlsEvent::Established(seal) if self.clients.is_handshaking(id) => {
                self.establish(id, *seal, now);
            }
            TlsEvent::KeyUpdate(seal) => self.clients.update_seal(id, *seal, now.uptime),
            TlsEvent::Failed { cause, flight, alert } => {
                self.log_failure(id, &cause);
                if self.clients.is_handshaking(id) {
                    self.clients.send_flight(id, flight, now.uptime);
                    self.apply(Input::Answered { id }, now);
                } else {
                    self.clients.end_tls(id, alert);
                    self.lose(id, io::ErrorKind::InvalidData, now);
                }
            }
            // The client was closed meanwhile.
            TlsEvent::Flight(_) | TlsEvent::Established(_) => {}
        }
    }

    /// Starts the wait for a handshake.
    fn begin_handshake(&mut self, id: ClientId, now: Now) {
        self.clients.begin_handshake(id);
        let client = WaitingClient { id, extensions: 0, wait: WaitKind::Handshake };
        self.room.extend_hello_wait(client, now.uptime + HANDSHAKE_TIMEOUT);
    }

    /// Encrypts the frames for a client, and starts the wait for its first line.
    fn establish(&mut self, id: ClientId, seal: Seal, now: Now) {
        if !self.clients.establish(id, seal) {
            return self.lose(id, io::ErrorKind::InvalidData, now);
        }
        self.room.finish_refusal(id);
        let client = WaitingClient { id, extensions: 0, wait: WaitKind::AfterHandshake };
        self.room.extend_hello_wait(client, now.uptime + self.hello_wait);
    }

    /// Handles the end of the wait of a client, and returns `false` if the wait is not one for a
    /// handshake.
    pub(super) fn handle_tls_wait(&mut self, client: WaitingClient, now: Now) -> bool {
        let Some(plain) = self.plain else { return false };
        let id = client.id;
        let is_for_handshake = matches!(client.wait, WaitKind::Usual | WaitKind::Handshake);
        if self.clients.is_sealed(id) {
            // The wait after the handshake follows.
            return is_for_handshake;
        }
        if self.clients.is_handshaking(id) {
            // An earlier wait ends, and that for the handshake continues.
            if client.wait == WaitKind::Handshake {
                self.log_failure(id, "it took too long");
                self.lose(id, io::ErrorKind::TimedOut, now);
            }
            return true;
        }
        let is_permitted = self.room.peer_of(id).is_none_or(|peer| may_use_plain(plain, peer));
        if is_permitted || !is_for_handshake {
            return false;
        }
        if client.wait == WaitKind::Usual {
            let client = WaitingClient { wait: WaitKind::Handshake, ..client };
            self.room.extend_hello_wait(client, now.uptime + HANDSHAKE_TIMEOUT);
        } else {
            let protocol = OtherProtocol::PlainText;
            self.apply(Input::OtherProtocol { id, protocol }, now);
        }
        true
    }

    /// Ends a connection at once.
    fn lose(&mut self, id: ClientId, kind: io::ErrorKind, now: Now) {
        let reason = DisconnectReason::Lost(kind);
        self.apply(Input::Disconnect { id, reason }, now);
    }

    fn log_failure(&self, id: ClientId, cause: &str) {
        if let Some(peer) = self.room.peer_of(id) {
            log::debug!("TLS with {peer} failed: {cause}");
        }
    }
}

/// Returns the alert for a client that is refused without a handshake.
fn alert_of(code: ByeCode) -> u8 {
    match code {
        ByeCode::Banned | ByeCode::Password => ACCESS_DENIED,
        _ => INTERNAL_ERROR,
    }
}
