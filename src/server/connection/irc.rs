//! Connections whose clients speak IRC.

use super::Connection;
use crate::protocol::{ClientLine, Request};
use crate::server::address_limits::ParsedLine;
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
