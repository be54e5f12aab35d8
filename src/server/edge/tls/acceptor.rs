//! The state that the handshakes of a server share: the certificate and a rate.

use std::cell::Cell;
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
    /// The addresses of the handshakes that have a permit.
    handshakes: Cell<Vec<AddressId>>,
    /// The addresses of the handshakes that wait for a permit, the oldest first.
    waiting: Cell<Vec<(AddressId, Waker)>>,
}

/// A number for the address of a client.
type AddressId = usize;

/// The permission for one of the handshakes at the same time, which ends when it is dropped.
pub(crate) struct HandshakePermit {
    acceptor: Rc<Acceptor>,
    address: AddressId,
}

impl Drop for HandshakePermit {
    fn drop(&mut self) {
        let mut handshakes = self.acceptor.handshakes.take();
        if let Some(at) = handshakes.iter().position(|address| *address == self.address) {
            handshakes.swap_remove(at);
        }
        let count = |address| handshakes.iter().filter(|other| **other == address).count();
        let next = self.acceptor.with_waiting(|waiting| {
            // The first of those that are equal, which is the oldest.
            let addresses = waiting.iter().map(|(address, _)| *address).enumerate();
            let next = addresses.min_by_key(|(_, address)| count(*address));
            next.map(|(at, _)| waiting.remove(at))
        });
        self.acceptor.handshakes.set(handshakes);
        if let Some((_, waker)) = next {
            waker.wake();
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

    /// Waits for a permit. The next one is for the address that has the fewest, so that one with
    /// many connections cannot keep others out. If the wait ends early, the caller calls
    /// [`remove_waiter`](Self::remove_waiter).
    pub async fn acquire(self: Rc<Self>, address: AddressId) -> HandshakePermit {
        poll_fn(|cx| {
            let mut handshakes = self.handshakes.take();
            let has_permit = handshakes.len() < self.limit;
            if has_permit {
                handshakes.push(address);
            }
            self.handshakes.set(handshakes);
            if has_permit {
                self.remove_waiter(cx.waker());
                return Poll::Ready(());
            }
            self.with_waiting(|waiting| {
                if !waiting.iter().any(|(_, waker)| waker.will_wake(cx.waker())) {
                    waiting.push((address, cx.waker().clone()));
                }
            });
            Poll::Pending
        })
        .await;
        HandshakePermit { acceptor: self, address }
    }

    /// Removes a task from those that wait, so that its memory is freed.
    pub fn remove_waiter(&self, waker: &Waker) {
        self.with_waiting(|waiting| waiting.retain(|(_, other)| !other.will_wake(waker)));
    }

    /// Returns whether a handshake waits for a permit.
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

    fn with_waiting<T>(&self, apply: impl FnOnce(&mut Vec<(AddressId, Waker)>) -> T) -> T {
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

#[cfg(test)]
mod tests {
    use smol::LocalExecutor;

    use super::*;

    #[test]
    fn next_permit_is_for_address_with_fewest() {
        let acceptor = Rc::new(Acceptor::new(Config::default(), 2));
        let executor = LocalExecutor::new();
        let enter = |address| executor.spawn(Rc::clone(&acceptor).acquire(address));
        let run = || while executor.try_tick() {};
        let permits = [enter(1), enter(1)];
        run();
        let waiting = [1, 1, 2].map(enter);
        run();
        for (permit, expected) in permits.into_iter().zip([[false, true], [true, true]]) {
            drop(permit);
            run();
            // The second time both have no permit; the oldest is first.
            assert_eq!([0, 2].map(|at| waiting[at].is_finished()), expected);
        }
    }
}
