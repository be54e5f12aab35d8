//! Whether the other end is still there.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use smol::Timer;

/// How long nothing may come before the server is asked for a sign of life.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long nothing may come after that.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(15);

/// Notices a link over which nothing comes any more, which TCP alone does not if nobody talks.
///
/// Only a question that was asked and not answered makes a link dead: a process that was stopped
/// for a minute, and heard nothing in it, still asks first.
#[derive(Debug)]
pub struct Keepalive {
    /// When a sign of life was asked for, if that was not answered yet.
    heartbeat_sent: Option<Instant>,
    timer: Timer,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask for a sign of life.
    SendHeartbeat,
    /// Give the link up.
    Disconnect,
}

impl Keepalive {
    /// The pulse of a link over which a first question is being sent.
    pub fn new() -> Self {
        Keepalive { heartbeat_sent: Some(Instant::now()), timer: Timer::never() }
    }

    /// Waits until something has to be done. Something was `heard` last at that time.
    pub fn poll(&mut self, last_read: Instant, cx: &mut Context<'_>) -> Poll<Action> {
        loop {
            match self.next_action(last_read, Instant::now()) {
                Ok(action) => return Poll::Ready(action),
                Err(due) => self.timer.set_at(due),
            }
            ready!(Pin::new(&mut self.timer).poll(cx));
        }
    }

    /// What to do now, or when to ask again.
    fn next_action(&mut self, last_read: Instant, now: Instant) -> Result<Action, Instant> {
        let (due, action) =
            match self.heartbeat_sent.filter(|heartbeat_sent| *heartbeat_sent >= last_read) {
                Some(heartbeat_sent) => (heartbeat_sent + HEARTBEAT_TIMEOUT, Action::Disconnect),
                None => (last_read + IDLE_TIMEOUT, Action::SendHeartbeat),
            };
        if now < due {
            return Err(due);
        }
        self.heartbeat_sent = Some(now);
        Ok(action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_link_is_asked_and_then_given_up() {
        let mut keepalive = Keepalive::new();
        let start = Instant::now();
        // The first question was answered.
        let last_read = start + Duration::from_secs(1);
        assert_eq!(keepalive.next_action(last_read, last_read), Err(last_read + IDLE_TIMEOUT));
        assert_eq!(
            keepalive.next_action(last_read, last_read + IDLE_TIMEOUT),
            Ok(Action::SendHeartbeat)
        );
        let dead = last_read + IDLE_TIMEOUT + HEARTBEAT_TIMEOUT;
        assert_eq!(keepalive.next_action(last_read, last_read + IDLE_TIMEOUT), Err(dead));
        assert_eq!(keepalive.next_action(last_read, dead), Ok(Action::Disconnect));
        assert!(IDLE_TIMEOUT + HEARTBEAT_TIMEOUT < Duration::from_secs(30));
    }

    #[test]
    fn an_answer_starts_it_anew_and_a_long_sleep_is_no_death() {
        let mut keepalive = Keepalive::new();
        let last_read = Instant::now() + Duration::from_secs(1);
        assert_eq!(
            keepalive.next_action(last_read, last_read + IDLE_TIMEOUT),
            Ok(Action::SendHeartbeat)
        );
        let last_read = last_read + IDLE_TIMEOUT + Duration::from_secs(1);
        assert_eq!(keepalive.next_action(last_read, last_read), Err(last_read + IDLE_TIMEOUT));
        let awake = last_read + Duration::from_secs(3600);
        assert_eq!(keepalive.next_action(last_read, awake), Ok(Action::SendHeartbeat));
        assert_eq!(keepalive.next_action(last_read, awake), Err(awake + HEARTBEAT_TIMEOUT));
    }
}
