//! The lines of a connection with a secret: the password of the room or the secret of an operator.
//!
//! Secrets are compared here, so that no event has one.

use std::time::Duration;

use super::Connection;
use crate::protocol::{ByeCode, ClientLine, ErrorCode, ParsedLine, Request, RequestError, Secret};
use crate::room::{Input, Peer};
use crate::server::address_limits::AddressBudget;
use crate::server::secrets::{may_send_secret, may_use_plain};

/// The longest line of a client that has not sent the password.
const MAX_LINE_BEFORE_PASSWORD: u32 = 512;

/// A secret that is right.
enum Verified {
    /// A password that was not needed.
    Unneeded,
    Password,
    /// The secret of the operator with this label.
    Operator(Box<str>),
}

impl Connection {
    /// Returns the longest line that is read at this time.
    pub(super) fn max_line(&self) -> u32 {
        let max_line = super::max_line(&self.budget, self.protocol);
        if self.is_authenticated { max_line } else { max_line.min(MAX_LINE_BEFORE_PASSWORD) }
    }

    /// Returns the input for a line with a secret, which was removed from it.
    pub(super) fn secret_input(
        &mut self,
        line: ParsedLine,
        (secret, is_operator): (Secret, bool),
        now: Duration,
    ) -> Input {
        let id = self.id;
        let verified = self.verify_secret(&secret.0, is_operator, now);
        let line_id = |line: ParsedLine| line.ok().and_then(|line| line.id);
        match verified {
            Ok(Verified::Unneeded) => Input::Lines { id, lines: vec![line] },
            Ok(Verified::Operator(label)) => Input::Operator { id, label, line_id: line_id(line) },
            Ok(Verified::Password) => {
                let is_pass = matches!(line, Ok(ClientLine { request: Request::Pass(_), .. }));
                Input::Authenticated { id, lines: if is_pass { Vec::new() } else { vec![line] } }
            }
            Err(error) => {
                let error = RequestError { id: line_id(line), ..error };
                Input::Lines { id, lines: vec![Err(error)] }
            }
        }
    }

    /// Compares a secret, and counts a wrong one.
    fn verify_secret(
        &mut self,
        secret: &str,
        is_operator: bool,
        now: Duration,
    ) -> Result<Verified, RequestError> {
        if self.is_authenticated && !is_operator {
            return Ok(Verified::Unneeded);
        }
        // Not counted as a guess, which would close the address.
        if is_operator && !self.budget.limits.secrets.has_operators() {
            let text = "this server has no --operators";
            return Err(RequestError::new(ErrorCode::NotOperator, text));
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
                return Ok(Verified::Operator(label));
            }
        } else if secrets.is_password(secret) {
            self.is_authenticated = true;
            self.lines.set_max_line(self.max_line());
            return Ok(Verified::Password);
        }
        self.budget.fail(now);
        let text = if is_operator { "the secret is wrong" } else { "the password is wrong" };
        Err(RequestError::new(ErrorCode::WrongPassword, text))
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
