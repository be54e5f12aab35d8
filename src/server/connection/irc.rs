//! Connections whose clients speak IRC.

use super::Connection;
use crate::protocol::{ClientLine, ParsedLine, Request, Secret};
use crate::server::edge::irc::{self, IrcCommand};

/// Lines at the start of a connection that the address does not pay for, if they are for the
/// registration: new connections have a rate of their own.
const MAX_REGISTRATION: u8 = 12;

impl Connection {
    /// Parses a line in the protocol of the listener.
    pub(super) fn parse_line(&self, line: &[u8]) -> ParsedLine {
        match self.protocol.is_irc() {
            true => irc::parse_line(line),
            false => ClientLine::parse(line),
        }
    }

    /// Removes the secret from a request. An IRC client sends the password of the room, if there is
    /// one, in its first `PASS`; without operators, `OPER` has an answer that needs no secret.
    pub(super) fn take_secret(&self, request: &mut Request) -> Option<(Secret, bool)> {
        let Request::Edge(text) = request else { return request.take_secret() };
        let is_taken = match IrcCommand::of(text) {
            IrcCommand::Pass => !self.is_authenticated,
            IrcCommand::Oper => self.budget.limits.secrets.has_operators(),
            _ => false,
        };
        let taken = if is_taken { irc::take_secret(text) } else { None };
        if let Some((_, false)) = taken {
            *request = Request::Pass(Secret(Box::default()));
        }
        taken
    }

    /// Returns whether a line is one of the first of a client, and is for the registration.
    #[inline(never)]
    pub(super) fn is_registration(&mut self, line: &ParsedLine) -> bool {
        let Ok(ClientLine { request: Request::Edge(text), .. }) = line else { return false };
        let is_first =
            self.registration_lines < MAX_REGISTRATION && IrcCommand::of(text).is_registration();
        self.registration_lines =
            if is_first { self.registration_lines + 1 } else { MAX_REGISTRATION };
        is_first
    }
}
