//! The lines of a connection that have a secret: the password, or that of an operator.
//!
//! A secret is compared here, so it is in no event, and the room never has it.

use std::time::Duration;

use super::Connection;
use crate::protocol::{ByeCode, ClientLine, ErrorCode, Request, RequestError, Secret};
use crate::room::{Input, Peer};
use crate::server::address_limits::{AddressBudget, ParsedLine};
use crate::server::secrets::{may_send_secret, may_use_plain};

/// The longest line of a client that has not sent the password.
const MAX_LINE_BEFORE_PASSWORD: u32 = 512;

/// What a right secret gives its client.
enum Grant {
    Admission,
    /// The label of the operator.
    Operator(Box<str>),
}

impl Connection {
    /// Returns the longest line that is read at this time.
    pub(super) fn max_line(&self) -> u32 {
        let max_line = super::max_line(&self.budget, self.protocol);
        if self.is_admitted { max_line } else { max_line.min(MAX_LINE_BEFORE_PASSWORD) }
    }

    /// Returns the input for a line with a secret, which was removed from it.
    pub(super) fn secret_input(
        &mut self,
        line: ParsedLine,
        (secret, is_operator): (Secret, bool),
        now: Duration,
    ) -> Input {
        let id = self.id;
        match (self.check_secret(&secret.0, is_operator, now), line) {
            (Ok(None), line) => Input::Lines { id, lines: vec![line] },
            (Ok(Some(Grant::Operator(label))), Ok(line)) => {
                Input::Operator { id, label, line_id: line.id }
            }
            (Ok(Some(_)), Ok(ClientLine { request: Request::Pass(_), .. })) => {
                Input::Admit { id, lines: Vec::new() }
            }
            (Ok(Some(_)), line) => Input::Admit { id, lines: vec![line] },
            (Err(error), line) => {
                let line_id = line.ok().and_then(|line| line.id);
                Input::Lines { id, lines: vec![Err(RequestError { id: line_id, ..error })] }
            }
        }
    }

    /// Compares a secret. Returns `None` for a password that is not needed.
    fn check_secret(
        &mut self,
        secret: &str,
        is_operator: bool,
        now: Duration,
    ) -> Result<Option<Grant>, RequestError> {
        if self.is_admitted && !is_operator {
            return Ok(None);
        }
        if !self.may_send_secret {
            let text = "a password is accepted only over TLS or from the machine of the server";
            return Err(RequestError::new(ErrorCode::TlsRequired, text));
        }
        if let Some(wait) = self.budget.closed_for(now) {
            let text = too_many_tries(wait);
            return Err(RequestError::new(ErrorCode::TooManyTries, text));
        }
        let secrets = &self.budget.limits.secrets;
        if is_operator {
            if let Some(label) = secrets.operator(secret) {
                return Ok(Some(Grant::Operator(label)));
            }
        } else if secrets.is_password(secret) {
            self.is_admitted = true;
            self.lines.set_max_line(self.max_line());
            return Ok(Some(Grant::Admission));
        }
        self.budget.fail(now);
        Err(RequestError::new(ErrorCode::WrongPassword, "the password is wrong"))
    }
}

/// Returns the reason for which a new client is refused, and its code, if it is.
pub fn find_refusal(budget: &AddressBudget, peer: Peer) -> Option<(ByeCode, String)> {
    let limits = &budget.limits;
    if let Some(wait) = budget.closed_for(limits.now()) {
        return Some((ByeCode::Password, too_many_tries(wait)));
    }
    if limits.has_tls() {
        // The first bytes of the client may be those of a handshake.
        return None;
    }
    let is_refused = limits.plain.is_some_and(|plain| !may_use_plain(plain, peer))
        || limits.secrets.has_password() && !may_send_secret(limits.plain, peer, false);
    let text = "this server accepts plain text only from its own machine";
    is_refused.then(|| (ByeCode::TlsRequired, text.into()))
}

/// Returns the text for a client whose address is closed.
fn too_many_tries(wait: Duration) -> String {
    let seconds = wait.as_secs() + 1;
    format!("too many wrong passwords from your address; try again in {seconds} s")
}
