//! The clients that have not sent the password of the room.
//!
//! The connection task compares passwords, and reports the right one as
//! [`Input::Authenticated`](super::Input::Authenticated). Until then each line of the client is
//! answered with an error.

use std::cmp::Reverse;
use std::time::Duration;

use log::Level;

use super::lobby::Lobby;
use super::{ClientId, Command, Origin, Peer, Room};
use crate::protocol::{Body, ByeCode, ErrorCode, ParsedLine, RequestError};

/// The time from connecting in which a client has to send the password.
const PASSWORD_TIMEOUT: Duration = Duration::from_secs(10);
/// Wrong passwords after which a connection is closed.
const MAX_TRIES: u8 = 3;

/// A client that has not sent the password.
#[derive(Debug)]
pub(super) struct Unauthenticated {
    pub id: ClientId,
    pub deadline: Duration,
    /// The wrong passwords after which it is closed.
    tries_left: u8,
    /// A line of the client was answered.
    is_answered: bool,
}

impl Room {
    /// Adds a new client. If there are too many visitors, the oldest of the address with the most of
    /// them is refused.
    pub(super) fn add_unauthenticated(&mut self, id: ClientId) {
        let lobby = &mut self.lobby;
        let deadline = lobby.now.uptime + PASSWORD_TIMEOUT;
        let client = Unauthenticated { id, deadline, tries_left: MAX_TRIES, is_answered: false };
        lobby.unauthenticated.push(client);
        if !lobby.admission.has_excess_visitor() {
            return;
        }
        // Clients that have sent the password and have no place count, too: otherwise they would take
        // the places of the others.
        let visitors = lobby.clients.iter().filter(|(_, client)| client.is_visitor);
        let visitors = visitors.filter(|(_, client)| client.is_waiting());
        // The address with the most visitors is the first, and among equal ones the address that has
        // connected the most: a crowd that connects again and again must not end the handshakes of
        // others. The usual connections do not count: otherwise a new client would be dropped before a
        // silent crowd. The lowest id of equal ones is the oldest. Local operators are the last.
        let rank = |peer: Peer| {
            let (origin, now) = (peer.into(), lobby.now.uptime);
            let count = lobby.admission.visitors_of(origin);
            let excess = lobby.admission.excess_connections(origin, now);
            (lobby.is_local_operator(peer), Reverse((count, excess)))
        };
        let dropped = visitors.map(|(id, client)| (rank(client.peer), id)).min();
        let text = "the server is full: too many clients without a place";
        if let Some((_, dropped)) = dropped
            && let Some(client) = self.remove_waiting(dropped, text)
        {
            self.lobby.release(dropped);
            self.refuse_new(dropped, client.peer, ByeCode::Full, text);
        }
    }

    /// Returns whether a client has not sent the password.
    pub fn is_unauthenticated(&self, id: ClientId) -> bool {
        self.lobby.unauthenticated.iter().any(|client| client.id == id)
    }

    /// Handles the first lines of a client that has sent the password.
    pub(super) fn on_authenticated(
        &mut self,
        id: ClientId,
        lines: Vec<ParsedLine>,
    ) -> Option<Command> {
        self.lobby.unauthenticated.retain(|client| client.id != id);
        // A client that is slow with its first line must not count as one without the password.
        self.lobby.take_free_place(id, false);
        if lines.is_empty() {
            let deadline = self.lobby.now.uptime + self.lobby.config.hello_wait;
            self.lobby.waiting.push(deadline, id, &self.lobby.clients);
        }
        self.propose_lines(id, lines)
    }

    /// Answers the lines of a client that has not sent the password.
    pub(super) fn on_unauthenticated_lines(&mut self, id: ClientId, lines: Vec<ParsedLine>) {
        for line in lines {
            let error = match line {
                Err(error) => error,
                Ok(line) => RequestError { id: line.id, ..password_required() },
            };
            let mut clients = self.lobby.unauthenticated.iter_mut();
            let Some(client) = clients.find(|client| client.id == id) else { return };
            let is_guess = matches!(error.code, ErrorCode::WrongPassword | ErrorCode::TooManyTries);
            client.is_answered = true;
            let is_last = is_guess && client.tries_left <= 1;
            if is_guess && !is_last {
                client.tries_left -= 1;
            }
            self.send_password_error(id, error);
            if is_last {
                self.refuse_waiting(id, ByeCode::Password, "too many wrong passwords");
            }
        }
    }

    /// Tells a client whose hello wait is over that it has to send the password, if it was silent.
    pub(super) fn ask_silent_client(&mut self, id: ClientId) {
        let mut clients = self.lobby.unauthenticated.iter();
        if clients.any(|client| client.id == id && !client.is_answered) {
            self.ask_for_password(id);
        }
    }

    /// Tells a client that it has to send the password.
    pub(super) fn ask_for_password(&mut self, id: ClientId) {
        self.send_password_error(id, password_required());
    }

    fn send_password_error(&mut self, id: ClientId, error: RequestError) {
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
    pub(super) fn close_late_unauthenticated(&mut self) {
        let now = self.lobby.now.uptime;
        while self.lobby.unauthenticated.first().is_some_and(|client| client.deadline <= now) {
            let Unauthenticated { id, .. } = self.lobby.unauthenticated.remove(0);
            self.refuse_waiting(id, ByeCode::Password, "no password was sent in 10 seconds");
        }
    }
}

impl Lobby {
    /// Gives a visitor a free place, if there is one. Returns the origin of a client without a place.
    pub fn take_free_place(&mut self, id: ClientId, is_operator: bool) -> Option<Origin> {
        let client = self.clients.get_mut(id).filter(|client| client.is_visitor)?;
        let origin = Origin::from(client.peer);
        let has_place = self.admission.find_full(origin).is_none()
            || is_operator && self.admission.has_operator_place();
        if has_place {
            client.is_visitor = false;
            self.admission.promote(origin);
        }
        (!has_place).then_some(origin)
    }
}

fn password_required() -> RequestError {
    let text = "this server has a password; send /pass and the password";
    RequestError::new(ErrorCode::PasswordRequired, text)
}
