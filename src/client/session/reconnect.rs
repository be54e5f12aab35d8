//! Decides whether a session reconnects after it lost its connection.
//!
//! The hello is the first line of the client on a connection; the welcome is the first line of the
//! server. Each welcome has a token, a secret with which the next hello proves that the client is
//! the same member.
//!
//! # Why a line is delivered once
//!
//! When a connection is lost, it is not known which of the pending lines arrived. After a resume it
//! is known, and only the others are sent again:
//!
//! 1. Lines are sent only over a connection whose replay is complete, and in order.
//! 2. The hello has the token, so the new connection takes over from the old one. From then on the
//!    server ignores the unread input of the old connection. If the server does not know the token,
//!    the old connection had already ended, or an earlier attempt whose welcome was lost took over
//!    from it, and no line was sent over that attempt. So when the server makes the welcome, each
//!    sent line is in the sequence of the room at or below the `seq` of the welcome, or never will
//!    be.
//! 3. The replay has all frames from the last received one up to that `seq`, with their ids. When it
//!    is complete, the lines that are still pending are those that did not arrive.
//!
//! They are sent before any later line, so 1 holds again.
//!
//! Each frame is passed on once and in order for a similar reason: the hello has the number of the
//! last one that was passed on, and a frame whose number is not higher is dropped, or is history.
//!
//! A server that admitted this client as a guest, because the hello was late, seems unable to
//! resume. Each hello is therefore followed by a heartbeat. If its answer arrives without an error
//! about a late hello before it, the connection is used. Otherwise it is closed and another is
//! made.

use std::time::{Duration, Instant};

use smol::Timer;

use super::{Session, State};
#[cfg(all(feature = "editor", feature = "tls"))]
use crate::client::ServerAddress;
use crate::client::{Error, SessionEvent};

/// The time after which a connection counts as working, so that the pauses begin anew.
const STABLE_TIME: Duration = Duration::from_secs(10);

impl Session {
    /// Connects again at once, and then closes the present connection, if there is one.
    ///
    /// The other members see neither a leave nor a join.
    ///
    /// The session ends with [`Error::ReconnectRequested`] if its
    /// [`ReconnectPolicy`](crate::client::ReconnectPolicy) is `Never`.
    pub fn reconnect(&mut self) {
        if !matches!(self.state, State::Ended(_)) {
            self.backoff.reset();
            let link = match std::mem::replace(&mut self.state, State::Ended(None)) {
                State::Connected(link) => Some(link),
                _ => self.replaced_link.take(),
            };
            self.on_disconnect(Error::ReconnectRequested, true);
            self.replaced_link = link.filter(|_| matches!(self.state, State::Waiting(_)));
            // A session that was not connected before pauses now; end the pause.
            if matches!(self.state, State::Waiting(_)) {
                self.state = State::Waiting(Timer::after(Duration::ZERO));
            }
        }
    }

    /// Trusts the key of one of the servers. Tries that server now, unless there is a connection.
    #[cfg(all(feature = "editor", feature = "tls"))]
    pub(crate) fn trust_key(&mut self, address: &ServerAddress, key: crate::tls::Fingerprint) {
        let ServerAddress::Tls(server) = address else { return };
        self.tls.known.push((server.clone(), key));
        if matches!(self.state, State::Connecting(_) | State::Waiting(_)) {
            self.targets.select(address);
            self.reconnect();
        }
    }

    /// Handles the end of a connection or of an attempt to connect: ends the session, or waits for
    /// the next attempt. `is_immediate` asks for an attempt without a pause.
    pub(super) fn on_disconnect(&mut self, cause: Error, is_immediate: bool) {
        let was_live = self.resume.is_live();
        let live_time = self.live_since.take().map(|since| since.elapsed());
        if live_time.is_some_and(|time| time >= STABLE_TIME) {
            self.backoff.reset();
        }
        self.resume.on_disconnect();
        self.pending.on_disconnect();
        self.deadline = None;
        if self.is_quit_sent {
            self.state = State::Ended(self.quit_error.take());
            return;
        }
        let was_welcomed = self.resume.was_welcomed();
        let has_others = was_welcomed && self.targets.has_others();
        if is_final(&cause, has_others) {
            self.state = State::Ended(Some(cause));
            return;
        }
        if self.is_finishing && self.pending.is_empty() && was_welcomed {
            self.state = State::Ended(None);
            return;
        }
        // After some reasons for a close, the same server is tried again without a pause.
        let is_untried = !is_immediate && self.targets.advance();
        let now = Instant::now();
        let start = self.started_at.filter(|_| !was_welcomed).unwrap_or(now);
        let outage = now.duration_since(*self.disconnected_at.get_or_insert(start));
        let limit = match was_welcomed || self.started_at.is_some() {
            true => self.policy.time_limit(),
            false => Duration::ZERO,
        };
        let time_left = limit.saturating_sub(outage);
        if is_untried && !was_welcomed {
            // Before the first welcome, the next address is tried without a pause.
            self.state = State::Waiting(Timer::after(Duration::ZERO));
            return;
        }
        if time_left.is_zero() {
            let error = match outage.is_zero() || limit.is_zero() {
                true => cause,
                false => Error::GaveUp(outage, Box::new(cause)),
            };
            self.state = State::Ended(Some(error));
            return;
        }
        // Without a pause after a session was live, and to a server that was not tried since then.
        let is_immediate = is_immediate || self.targets.has_others();
        let pause = match (is_immediate && was_live, is_untried) {
            (true, _) => self.backoff.skip_pause(),
            (false, true) => Duration::ZERO,
            (false, false) => self.backoff.next_pause(),
        };
        let retry_in = pause.min(time_left);
        self.state = State::Waiting(Timer::after(retry_in));
        self.events.push_back(SessionEvent::Disconnected { cause, retry_in });
    }
}

/// Returns whether the key of the server is not trusted, so that another attempt could only reach a
/// server that is trusted by chance. After a welcome, an unknown key is left to the other servers.
fn is_final(cause: &Error, has_others: bool) -> bool {
    match cause {
        Error::UnknownKey { .. } => !has_others,
        Error::KeyChanged { .. } => true,
        _ => false,
    }
}
