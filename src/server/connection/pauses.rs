//! The pauses of a connection task whose next line a rate does not allow yet.

use std::future::poll_fn;
use std::time::Duration;

use futures_lite::FutureExt;
use futures_lite::future::yield_now;
use smol::Timer;

use super::Connection;
use crate::protocol::ErrorCode;

/// The time after which a task that waits for its address checks whether its connection was closed.
pub(super) const CLOSED_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// A shorter wait is skipped, because a timer takes longer.
const MIN_WAIT: Duration = Duration::from_micros(1);

/// A wait for a budget of the client or of its address.
pub(super) enum Delay {
    /// The client has used up its rate.
    Rate,
    /// The line is paid for and waits for its turn.
    Turn(Duration),
    /// The line is a request. It waits until those of other clients are answered.
    Answer,
}

impl Connection {
    /// Waits until the client may send more.
    pub(super) async fn pause(&mut self, delay: Delay) {
        match delay {
            Delay::Rate => self.slow_down().await,
            Delay::Turn(wait) => self.wait_for_address(wait).await,
            Delay::Answer => {
                let wait = self.wait_for_answer().await;
                self.wait_for_address(wait).await;
            }
        }
    }

    /// Waits until the rate allows a line. The client is sent an error once.
    async fn slow_down(&mut self) {
        let limits = &self.budget.limits;
        let wait = self.limiter.wait(limits.rate, limits.now());
        if wait < MIN_WAIT {
            return yield_now().await;
        }
        if !std::mem::replace(&mut self.is_warned, true) {
            self.warn("too many lines per second; the server now reads yours more slowly").await;
        }
        self.sleep(wait).await;
    }

    /// Waits for a time, or until the connection is closed.
    pub(super) async fn sleep(&self, wait: Duration) {
        let until = self.budget.limits.now() + wait;
        while let Some(rest) = until.checked_sub(self.budget.limits.now())
            && !self.is_closed()
        {
            Timer::after(rest.min(CLOSED_CHECK_INTERVAL)).await;
        }
    }

    /// Waits until the requests of other clients of the address are answered, or until the
    /// connection is closed. Returns the time to wait for the answers.
    async fn wait_for_answer(&mut self) -> Duration {
        let mut registered_at = None;
        let answer = poll_fn(|cx| self.budget.poll_request(cx, &mut registered_at).map(Some));
        let closed = async {
            while !self.is_closed() {
                Timer::after(CLOSED_CHECK_INTERVAL).await;
            }
            None
        };
        self.answer = answer.or(closed).await;
        self.budget.answer_wait(self.budget.limits.now())
    }

    /// Waits for the address, or until the connection is closed. The client is sent an error once.
    async fn wait_for_address(&mut self, wait: Duration) {
        if wait < MIN_WAIT {
            return yield_now().await;
        }
        if !std::mem::replace(&mut self.is_address_warned, true) {
            let text = "too much per second from your address; the server now reads it more slowly";
            self.warn(text).await;
        }
        self.sleep(wait).await;
    }

    async fn warn(&mut self, text: &'static str) {
        let event = self.input_event(self.error_input(ErrorCode::TooFast, text), None);
        if let Some(event) = self.try_send(event) {
            self.send(event).await;
        }
    }
}
