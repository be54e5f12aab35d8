//! Clients that are not admitted.

use log::Level;

use super::admission::Refusal;
use super::{ClientId, Op, Peer, Room};
use crate::protocol::{Body, ByeCode, ErrorCode};

impl Room {
    /// Sends a client the reason for which it is not admitted, and ends its connection.
    pub(super) fn refuse(&mut self, id: ClientId, peer: Peer, refusal: Refusal) {
        let code = match refusal {
            Refusal::TooFast(_) => ByeCode::TooFast,
            _ => ByeCode::Full,
        };
        self.log_limit(peer, refusal);
        if code == ByeCode::TooFast {
            self.log(Level::Debug, format!("client {}: {refusal}", id.0));
            self.state.counts.errors.add(ErrorCode::TooFast);
        }
        self.refuse_new(id, peer, code, &refusal.to_string());
    }

    /// Logs the limit that a refused client has reached.
    fn log_limit(&mut self, peer: Peer, refusal: Refusal) {
        let (option, value) = refusal.option();
        self.log(Level::Warn, format!("{peer} refused: {option} {value} is reached"));
    }

    /// Refuses a client that has just connected.
    #[cfg_attr(not(feature = "tls"), expect(unused_variables))]
    pub(super) fn refuse_new(&mut self, id: ClientId, peer: Peer, code: ByeCode, text: &str) {
        #[cfg(feature = "tls")]
        if self.delay_refusal(id, peer, code, text) {
            return;
        }
        self.send_refusal(id, code, text);
    }

    /// Refuses a client that has just connected and is in the lobby.
    pub(super) fn refuse_connected(&mut self, id: ClientId, code: ByeCode, text: &str) {
        if let Some(client) = self.remove_waiting(id, text) {
            self.log(Level::Warn, format!("{} refused: {text}", client.peer));
            self.lobby.release(id);
            self.refuse_new(id, client.peer, code, text);
        }
    }

    /// Refuses a visitor, for which there is no place.
    pub(super) fn refuse_visitor(&mut self, id: ClientId) {
        let Some(client) = self.lobby.remove(id) else { return };
        let peer = client.peer;
        #[cfg(feature = "cluster")]
        if !client.is_visitor {
            let refusal = Refusal::ClusterFull(self.state.rules.max_members);
            self.log_limit(peer, refusal);
            // Not refused: the client has a place until its connection ends.
            let text = refusal.to_string();
            return self.state.send_last_frame(id, ByeCode::Full, &text, Op::Close);
        }
        // A refused client has no place.
        self.lobby.release(id);
        let full = self.lobby.admission.find_full(peer.into());
        let max_clients = self.lobby.config.max_clients;
        let full = full.unwrap_or(Refusal::RoomFull(max_clients));
        self.log_limit(peer, full);
        self.send_refusal(id, ByeCode::Full, &full.to_string());
    }

    /// Sends a bye to a client that is not a member and has no place, and removes it.
    pub(super) fn refuse_waiting(&mut self, id: ClientId, code: ByeCode, text: &str) {
        if self.remove_waiting(id, text).is_some() {
            self.lobby.release(id);
            self.send_refusal(id, code, text);
        }
    }

    /// Sends a bye to a client that is not admitted.
    pub(super) fn send_refusal(&mut self, id: ClientId, code: ByeCode, text: &str) {
        // The number of the node may have changed since the client connected.
        #[cfg(feature = "cluster")]
        let node = std::mem::replace(&mut self.state.answers.node, id.node());
        let mut text = text;
        if code == ByeCode::TooFast {
            self.state.send(id, text.into(), Body::Error { code: ErrorCode::TooFast, id: None });
            text = code.text();
        }
        self.state.send_last_frame(id, code, text, Op::Refuse);
        #[cfg(feature = "cluster")]
        {
            self.state.answers.node = node;
        }
    }
}
