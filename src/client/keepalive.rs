//! Detects a dead connection with heartbeats.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use smol::Timer;

/// Time without data from the server, after which a heartbeat is sent.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time without data after a heartbeat, after which the connection counts as dead.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(15);

/// A timer for the heartbeats of a connection, and for its end if one is not answered.
///
/// TCP alone does not detect a dead peer while nothing is sent. A connection counts as dead only
/// after an unanswered heartbeat: a process that was suspended for a minute received nothing in
/// that time, and first sends one.
#[derive(Debug)]
pub struct Keepalive {
    /// The time of the last heartbeat.
    heartbeat_sent: Instant,
    timer: Timer,
}

/// An action that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    SendHeartbeat,
    Disconnect,
}

impl Keepalive {
    /// Creates the keepalive of a connection over which the first heartbeat is sent now.
    pub fn new() -> Self {
        Keepalive { heartbeat_sent: Instant::now(), timer: Timer::never() }
    }

    /// Polls for the action that is due. `last_read` is the time of the last data from the server.
    pub fn poll(&mut self, last_read: Instant, cx: &mut Context<'_>) -> Poll<Action> {
        loop {
            match self.action_at(Instant::now(), last_read) {
                Ok(action) => return Poll::Ready(action),
                Err(due) => self.timer.set_at(due),
            }
            ready!(Pin::new(&mut self.timer).poll(cx));
        }
    }

    /// Returns the action that is due at `now`, or as the error the time at which one is due.
    fn action_at(&mut self, now: Instant, last_read: Instant) -> Result<Action, Instant> {
        let is_unanswered = self.heartbeat_sent >= last_read;
        let (due, action) = match is_unanswered {
            true => (self.heartbeat_sent + HEARTBEAT_TIMEOUT, Action::Disconnect),
            false => (last_read + IDLE_TIMEOUT, Action::SendHeartbeat),
        };
        if now < due {
            return Err(due);
        }
        self.heartbeat_sent = now;
        Ok(action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_connection_gets_heartbeat_then_disconnect() {
        let mut keepalive = Keepalive::new();
        let read = Instant::now() + Duration::from_secs(1);
        assert_eq!(keepalive.action_at(read, read), Err(read + IDLE_TIMEOUT));
        let idle = read + IDLE_TIMEOUT;
        assert_eq!(keepalive.action_at(idle, read), Ok(Action::SendHeartbeat));
        let dead = idle + HEARTBEAT_TIMEOUT;
        assert_eq!(keepalive.action_at(idle, read), Err(dead));
        assert_eq!(keepalive.action_at(dead, read), Ok(Action::Disconnect));
        assert!(IDLE_TIMEOUT + HEARTBEAT_TIMEOUT < Duration::from_secs(30));
    }

    #[test]
    fn answered_heartbeat_restarts_the_idle_time() {
        let mut keepalive = Keepalive::new();
        let read = Instant::now() + Duration::from_secs(1);
        let idle = read + IDLE_TIMEOUT;
        assert_eq!(keepalive.action_at(idle, read), Ok(Action::SendHeartbeat));
        let answer = idle + Duration::from_secs(1);
        assert_eq!(keepalive.action_at(answer, answer), Err(answer + IDLE_TIMEOUT));
    }

    #[test]
    fn suspended_process_sends_heartbeat_first() {
        let mut keepalive = Keepalive::new();
        let read = Instant::now() + Duration::from_secs(1);
        let woken = read + Duration::from_secs(3600);
        assert_eq!(keepalive.action_at(woken, read), Ok(Action::SendHeartbeat));
        assert_eq!(keepalive.action_at(woken, read), Err(woken + HEARTBEAT_TIMEOUT));
    }
}
