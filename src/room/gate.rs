//! The gate: the clients that have not sent the password.
//!
//! In a room with a password each client is a visitor at first. The connection task compares its
//! passwords; the right one arrives as [`Input::Admit`](super::Input::Admit). Until then the client
//! is answered with errors alone.

use std::cmp::Reverse;
use std::time::Duration;

use log::Level;

use super::{ClientId, Command, Room};
use crate::protocol::{Body, ByeCode, ClientLine, ErrorCode, RequestError};

/// The time from connecting in which a client has to send the password.
const GATE_TIMEOUT: Duration = Duration::from_secs(10);
/// Wrong passwords after which a connection is closed.
const MAX_TRIES: u8 = 3;

/// A client that has not sent the password.
#[derive(Debug)]
pub(super) struct AtGate {
    pub id: ClientId,
    pub deadline: Duration,
    /// The passwords that it may still send.
    tries_left: u8,
}

impl Room {
    /// Keeps a new client at the gate. If there are too many, the oldest is dropped, of the address
    /// that has the most.
    pub(super) fn add_to_gate(&mut self, id: ClientId) {
        let lobby = &mut self.lobby;
        let deadline = lobby.now.uptime + GATE_TIMEOUT;
        lobby.gate.push(AtGate { id, deadline, tries_left: MAX_TRIES });
        if !lobby.admission.has_excess_visitor() {
            return;
        }
        let visitors = |client: &AtGate| {
            let peer = lobby.peer_of(client.id);
            peer.map_or(0, |peer| lobby.admission.visitors_of(peer.into()))
        };
        // The first of those that are equal, which is the oldest.
        let dropped = lobby.gate.iter().min_by_key(|client| Reverse(visitors(client)));
        if let Some(dropped) = dropped.map(|client| client.id) {
            let text = "the server is full: too many clients without the password";
            self.turn_away(dropped, ByeCode::Full, text);
        }
    }

    /// Returns whether a client has not sent the password.
    pub(super) fn is_at_gate(&self, id: ClientId) -> bool {
        self.lobby.gate.iter().any(|client| client.id == id)
    }

    /// Sends a bye to a client that is not a member and has no place, and removes it.
    pub(super) fn turn_away(&mut self, id: ClientId, code: ByeCode, text: &str) {
        if self.remove_waiting(id, text).is_some() {
            self.lobby.release(id);
            self.send_refusal(id, code, text);
        }
    }

    /// Lets a client in that has sent the password.
    pub(super) fn admit(
        &mut self,
        id: ClientId,
        lines: Vec<Result<ClientLine, RequestError>>,
    ) -> Option<Command> {
        self.lobby.gate.retain(|client| client.id != id);
        if lines.is_empty() {
            let deadline = self.lobby.now.uptime + self.lobby.config.hello_wait;
            self.lobby.waiting.push(deadline, id, &self.lobby.clients);
        }
        self.propose_lines(id, lines)
    }

    /// Answers the lines of a client at the gate.
    pub(super) fn on_gate_lines(
        &mut self,
        id: ClientId,
        lines: Vec<Result<ClientLine, RequestError>>,
    ) {
        for line in lines {
            let error = match line {
                Err(error) => error,
                Ok(line) => RequestError { id: line.id, ..password_required() },
            };
            let mut gate = self.lobby.gate.iter_mut();
            let Some(client) = gate.find(|client| client.id == id) else { return };
            let is_guess = matches!(error.code, ErrorCode::WrongPassword | ErrorCode::TooManyTries);
            let is_last = is_guess && client.tries_left <= 1;
            if is_guess && !is_last {
                client.tries_left -= 1;
            }
            self.send_gate_error(id, error);
            if is_last {
                self.turn_away(id, ByeCode::Password, "too many wrong passwords");
            }
        }
    }

    /// Tells a silent client that it has to send the password.
    pub(super) fn ask_for_password(&mut self, id: ClientId) {
        self.send_gate_error(id, password_required());
    }

    fn send_gate_error(&mut self, id: ClientId, error: RequestError) {
        let RequestError { code, text, id: line_id } = error;
        let is_guess = code == ErrorCode::WrongPassword;
        let peer = self.lobby.peer_of(id).map(|peer| peer.to_string()).unwrap_or_default();
        self.log(if is_guess { Level::Warn } else { Level::Debug }, format!("{peer}: {text}"));
        self.state.counts.errors.add(code);
        self.state.send(
            id,
            text.into(),
            Body::Error { code, id: line_id.as_deref().map(Into::into) },
        );
    }

    /// Closes the clients that have not sent the password in time.
    pub(super) fn end_gate_waits(&mut self) {
        let now = self.lobby.now.uptime;
        while self.lobby.gate.first().is_some_and(|client| client.deadline <= now) {
            let AtGate { id, .. } = self.lobby.gate.remove(0);
            self.turn_away(id, ByeCode::Password, "no password was sent in 10 seconds");
        }
    }
}

fn password_required() -> RequestError {
    let text = "this server has a password; send /pass and the password";
    RequestError::new(ErrorCode::PasswordRequired, text)
}
