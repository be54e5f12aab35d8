//! How a session ends, or comes back.

use std::io;
use std::time::{Duration, Instant};

use smol::Timer;

use super::{Session, State};
use crate::client::{Error, ReconnectPolicy, SessionEvent};

impl Session {
    /// Drops the link, if there is one, and comes back at once.
    pub fn reconnect(&mut self) {
        if !matches!(self.state, State::Ended(_)) {
            let asked = io::Error::new(io::ErrorKind::ConnectionAborted, "it was asked for");
            self.backoff.reset();
            self.on_disconnect(Error::Lost(asked), true);
            // What was lost before waits for its next try, which is now.
            if matches!(self.state, State::Waiting(_)) {
                self.state = State::Waiting(Timer::after(Duration::ZERO));
            }
        }
    }

    /// The link is lost: comes back, at once or after a pause, or gives up.
    pub(super) fn on_disconnect(&mut self, cause: Error, is_immediate: bool) {
        let was_live = self.resume.is_live();
        self.resume.on_disconnect();
        self.pending.on_disconnect();
        if self.is_finishing && self.pending.is_empty() {
            self.state = State::Ended(None);
            return;
        }
        let now = Instant::now();
        let down = now.duration_since(*self.disconnected_at.get_or_insert(now));
        let limit = match self.policy {
            _ if !self.resume.was_welcomed() => Duration::ZERO,
            ReconnectPolicy::Never => Duration::ZERO,
            ReconnectPolicy::Within(limit) => limit,
            ReconnectPolicy::Always => Duration::MAX,
        };
        let left = limit.saturating_sub(down);
        if left.is_zero() {
            let error = match down.is_zero() {
                true => cause,
                false => Error::GaveUp(down, Box::new(cause)),
            };
            self.state = State::Ended(Some(error));
            return;
        }
        // Who was there and is closed at once each time would come back without end.
        let pause =
            if is_immediate && was_live { Duration::ZERO } else { self.backoff.next_pause() };
        let retry_in = pause.min(left);
        self.state = State::Waiting(Timer::after(retry_in));
        self.events.push_back(SessionEvent::Disconnected { cause, retry_in });
    }
}
