//! Clients that are refused, and may speak TLS.
//!
//! A server with TLS does not know before the first byte of a client whether it speaks TLS. So the
//! bye of a refused client waits for that byte, or for the end of the handshake. The number of
//! handshakes is limited, in all and by address, because they cost time: the other clients get an
//! alert at their first byte.

use std::collections::VecDeque;
use std::time::Duration;

use super::admission::Origin;
use super::{ClientId, DisconnectReason, Input, Op, Peer, Room};
use crate::protocol::ByeCode;

/// The time for the first byte of a refused client.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(1);
/// The time in which the handshakes of refused clients are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// The most handshakes of refused clients of one address in that time.
const MAX_OF_ADDRESS: usize = 4;

/// The refused clients whose first byte or handshake is awaited.
#[derive(Debug, Default)]
pub(super) struct RefusedClients {
    /// The oldest first.
    waiting: Vec<RefusedClient>,
    /// The addresses of clients that could begin a handshake in the last [`WINDOW`], the oldest first.
    recent: VecDeque<(Origin, Duration)>,
}

#[derive(Debug)]
struct RefusedClient {
    id: ClientId,
    code: ByeCode,
    text: Box<str>,
    deadline: Duration,
    may_handshake: bool,
    is_handshaking: bool,
}

impl RefusedClients {
    /// Returns whether one more client of an address may begin a handshake.
    fn admit(&mut self, origin: Origin, max: usize, now: Duration) -> bool {
        while self.recent.front().is_some_and(|(_, at)| *at + WINDOW <= now) {
            self.recent.pop_front();
        }
        let of_address = self.recent.iter().filter(|(other, _)| *other == origin).count();
        let handshakes = self.waiting.iter().filter(|client| client.may_handshake).count();
        let is_admitted =
            handshakes < max && self.recent.len() < max && of_address < MAX_OF_ADDRESS;
        if is_admitted {
            self.recent.push_back((origin, now));
        }
        is_admitted
    }

    fn take(&mut self, id: ClientId) -> Option<RefusedClient> {
        let at = self.waiting.iter().position(|client| client.id == id)?;
        Some(self.waiting.remove(at))
    }

    /// Returns the time at which the first wait is over.
    pub fn deadline(&self) -> Option<Duration> {
        self.waiting.iter().map(|client| client.deadline).min()
    }
}

impl Room {
    /// Refuses a client later, when it is known whether it speaks TLS. If too many wait, the oldest is
    /// refused now. Returns `false` if the client is to be refused at once.
    pub(super) fn delay_refusal(
        &mut self,
        id: ClientId,
        peer: Peer,
        code: ByeCode,
        text: &str,
    ) -> bool {
        let (max, now) = (self.lobby.config.max_refused, self.lobby.now.uptime);
        if max == 0 || !matches!(peer, Peer::Inet(..)) {
            return false;
        }
        if self.lobby.refused.waiting.len() >= 2 * max {
            let mut waiting = self.lobby.refused.waiting.iter();
            let Some(oldest) = waiting.find(|client| !client.is_handshaking) else { return false };
            self.finish_refusal(oldest.id);
        }
        let may_handshake = self.lobby.refused.admit(peer.into(), max, now);
        let (deadline, text) = (now + FIRST_BYTE_TIMEOUT, text.into());
        let is_handshaking = false;
        let client = RefusedClient { id, code, text, deadline, may_handshake, is_handshaking };
        self.lobby.refused.waiting.push(client);
        true
    }

    /// Returns the code for a client that is refused and may not begin a handshake.
    pub fn refused_handshake(&self, id: ClientId) -> Option<ByeCode> {
        let client = self.lobby.refused.waiting.iter().find(|client| client.id == id);
        client.filter(|client| !client.may_handshake).map(|client| client.code)
    }

    /// Waits until `deadline` for the handshake of a refused client. Returns `false` for another
    /// client.
    pub fn await_handshake(&mut self, id: ClientId, deadline: Duration) -> bool {
        let mut waiting = self.lobby.refused.waiting.iter_mut();
        let Some(client) = waiting.find(|client| client.id == id) else { return false };
        (client.deadline, client.is_handshaking) = (deadline, true);
        true
    }

    /// Sends its bye to a refused client that waits for it.
    pub fn finish_refusal(&mut self, id: ClientId) {
        let Some(RefusedClient { code, text, .. }) = self.lobby.refused.take(id) else { return };
        self.send_refusal(id, code, &text);
    }

    /// Handles an input of a refused client. Returns `false` for another client.
    pub(super) fn on_refused_input(&mut self, input: &Input) -> bool {
        let (id, op) = match *input {
            Input::Lines { id, .. }
            | Input::Authenticated { id, .. }
            | Input::Operator { id, .. }
            | Input::HelloWaitOver { id }
            | Input::OtherProtocol { id, .. }
            | Input::Disconnect {
                id,
                reason: DisconnectReason::Finished | DisconnectReason::Away,
            } => (id, None),
            Input::Disconnect { id, .. } => (id, Some(Op::Abort)),
            Input::Answered { id } => (id, Some(Op::Refuse)),
            _ => return false,
        };
        let is_refused = self.lobby.refused.waiting.iter().any(|client| client.id == id);
        match op {
            _ if !is_refused => {}
            None => self.finish_refusal(id),
            Some(op) => {
                self.lobby.refused.take(id);
                self.state.batch.unicast(id, op);
            }
        }
        is_refused
    }

    /// Ends the waits of refused clients that are over.
    pub(super) fn end_refusal_waits(&mut self) {
        let now = self.lobby.now.uptime;
        let waiting = self.lobby.refused.waiting.iter();
        let overdue = waiting.filter(|client| client.deadline <= now);
        for (id, is_handshaking) in
            overdue.map(|client| (client.id, client.is_handshaking)).collect::<Vec<_>>()
        {
            if is_handshaking {
                self.lobby.refused.take(id);
                self.state.batch.unicast(id, Op::Abort);
            } else {
                self.finish_refusal(id);
            }
        }
    }

    /// Sends their bye to all refused clients.
    pub(super) fn finish_refusals(&mut self) {
        while let Some(id) = self.lobby.refused.waiting.first().map(|client| client.id) {
            self.finish_refusal(id);
        }
    }
}
