//! The state that the handshakes of a server share: the certificate and a rate.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::{Certificate, Config, Handshake};
use crate::rate_limit::{Rate, RateLimiter};

/// The time after which a handshake looks at the files of the certificate again.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// The microseconds a second that handshakes may take, and those at once. A handshake takes 0.2 ms
/// on a desktop and some milliseconds on a router.
const MICROS_PER_SECOND: u32 = 500_000;
const MICROS_AT_ONCE: u32 = 2_000_000;

/// The certificate of a server, and the rate of its handshakes.
pub(crate) struct Acceptor {
    /// Taken while it is used.
    certificate: Cell<Option<Certificate>>,
    /// When the files were looked at.
    checked_at: Cell<Duration>,
    limiter: Cell<RateLimiter>,
    /// The most handshakes at the same time.
    limit: usize,
    /// Handshakes that have a place.
    handshakes: Cell<usize>,
    /// Those that wait for a place, the oldest first.
    waiting: Cell<VecDeque<Waker>>,
}

/// The place of a handshake.
pub(crate) struct Place(Rc<Acceptor>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.handshakes.set(self.0.handshakes.get() - 1);
        if let Some(next) = self.0.with_waiting(VecDeque::pop_front) {
            next.wake();
        }
    }
}

impl Acceptor {
    /// Creates the state from the settings, with a limit of handshakes at the same time.
    pub fn new(config: Config, limit: usize) -> Self {
        Acceptor {
            certificate: Cell::new(config.certificate),
            checked_at: Cell::default(),
            limiter: Cell::default(),
            limit,
            handshakes: Cell::default(),
            waiting: Cell::default(),
        }
    }

    /// Waits for a place. A task that ends this wait early [leaves](Self::leave_queue).
    pub async fn enter(self: Rc<Self>) -> Place {
        poll_fn(|cx| {
            let handshakes = self.handshakes.get();
            if handshakes < self.limit {
                self.handshakes.set(handshakes + 1);
                self.leave_queue(cx.waker());
                return Poll::Ready(());
            }
            self.with_waiting(|waiting| {
                if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                    waiting.push_back(cx.waker().clone());
                }
            });
            Poll::Pending
        })
        .await;
        Place(self)
    }

    /// Removes a task from those that wait. Its entry would keep its memory.
    pub fn leave_queue(&self, waker: &Waker) {
        self.with_waiting(|waiting| waiting.retain(|other| !other.will_wake(waker)));
    }

    /// Returns whether a handshake waits for a place.
    pub fn has_waiting(&self) -> bool {
        self.with_waiting(|waiting| !waiting.is_empty())
    }

    /// Returns the time until a handshake may begin.
    pub fn wait(&self, now: Duration) -> Duration {
        self.limiter.get().wait(rate(), now)
    }

    /// Charges the time that a step of a handshake took.
    pub fn charge(&self, time: Duration, now: Duration) {
        let mut limiter = self.limiter.get();
        limiter.take(rate(), usize::try_from(time.as_micros()).unwrap_or(usize::MAX), now);
        self.limiter.set(limiter);
    }

    /// Starts a handshake with the certificate, which is read again if its files have changed.
    pub fn start(&self, now: Duration) -> Option<Handshake> {
        let is_due = now.saturating_sub(self.checked_at.get()) >= CHECK_INTERVAL;
        let config = self.with_certificate(|certificate| {
            if is_due && certificate.is_outdated() {
                certificate.reload();
            }
            Arc::clone(certificate.config())
        });
        if is_due {
            self.checked_at.set(now);
        }
        Handshake::new(config?)
    }

    /// Reads the files of the certificate again.
    pub fn reload(&self) {
        self.with_certificate(Certificate::reload);
    }

    fn with_waiting<T>(&self, apply: impl FnOnce(&mut VecDeque<Waker>) -> T) -> T {
        let mut waiting = self.waiting.take();
        let result = apply(&mut waiting);
        self.waiting.set(waiting);
        result
    }

    fn with_certificate<T>(&self, apply: impl FnOnce(&mut Certificate) -> T) -> Option<T> {
        let mut certificate = self.certificate.take()?;
        let result = apply(&mut certificate);
        self.certificate.set(Some(certificate));
        Some(result)
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

fn rate() -> Rate {
    Rate::new(MICROS_PER_SECOND, MICROS_AT_ONCE)
}
