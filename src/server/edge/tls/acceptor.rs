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
/// The microseconds per second that handshakes may take. A handshake takes 0.2 ms on a desktop and some
/// milliseconds on a router.
const MICROS_PER_SECOND: u32 = 500_000;
/// The microseconds that handshakes may take at once.
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
    /// The handshakes that wait for a permit. A handshake that was woken is not among them.
    waiting: Cell<Vec<WaitingHandshake>>,
    /// The number of the next handshake that waits.
    next_number: Cell<u64>,
}

struct WaitingHandshake {
    number: u64,
    address: AddressId,
    waker: Waker,
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
        self.acceptor.handshakes.set(handshakes);
        self.acceptor.wake_next();
    }
}

/// The wait for a permit, which ends when it is dropped.
struct PermitWait<'a> {
    acceptor: &'a Acceptor,
    number: u64,
}

impl Drop for PermitWait<'_> {
    fn drop(&mut self) {
        self.acceptor.remove_waiting(self.number);
        // This handshake may have been woken for a permit that it does not take.
        self.acceptor.wake_next();
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
            next_number: Cell::default(),
        }
    }

    /// Waits for a permit. The next one is for the address that has the fewest, so that one with
    /// many connections cannot keep others out.
    pub async fn acquire(self: Rc<Self>, address: AddressId) -> HandshakePermit {
        let number = self.next_number.get();
        self.next_number.set(number + 1);
        let wait = PermitWait { acceptor: &self, number };
        poll_fn(|cx| {
            self.remove_waiting(number);
            let mut handshakes = self.handshakes.take();
            let has_permit = handshakes.len() < self.limit;
            if has_permit {
                handshakes.push(address);
            }
            self.handshakes.set(handshakes);
            if has_permit {
                return Poll::Ready(());
            }
            let waker = cx.waker().clone();
            self.with_waiting(|waiting| waiting.push(WaitingHandshake { number, address, waker }));
            Poll::Pending
        })
        .await;
        drop(wait);
        HandshakePermit { acceptor: self, address }
    }

    fn remove_waiting(&self, number: u64) {
        self.with_waiting(|waiting| waiting.retain(|other| other.number != number));
    }

    /// Wakes the oldest handshake of the address with the fewest permits, if one is free.
    fn wake_next(&self) {
        let handshakes = self.handshakes.take();
        let count = |address| handshakes.iter().filter(|other| **other == address).count();
        let next = self.with_waiting(|waiting| {
            let keys = waiting.iter().map(|next| (count(next.address), next.number)).enumerate();
            let (at, _) = keys.min_by_key(|(_, key)| *key)?;
            (handshakes.len() < self.limit).then(|| waiting.swap_remove(at))
        });
        self.handshakes.set(handshakes);
        if let Some(next) = next {
            next.waker.wake();
        }
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

    fn with_waiting<T>(&self, apply: impl FnOnce(&mut Vec<WaitingHandshake>) -> T) -> T {
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
    use std::future::Future;
    use std::task::Context;

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

    #[test]
    fn handshakes_wait_after_two_seconds_of_work() {
        let acceptor = Acceptor::new(Config::default(), 1);
        let now = Duration::from_secs(100);
        acceptor.charge(Duration::from_millis(1999), now);
        assert_eq!(acceptor.wait(now), Duration::ZERO);
        acceptor.charge(Duration::from_millis(501), now);
        let wait = acceptor.wait(now).as_secs_f64();
        assert!((0.9..1.1).contains(&wait), "{wait}");
        assert_eq!(acceptor.wait(now + Duration::from_secs(2)), Duration::ZERO);
    }

    #[test]
    fn ended_wait_passes_its_permit_on() {
        let acceptor = Rc::new(Acceptor::new(Config::default(), 1));
        let mut cx = Context::from_waker(Waker::noop());
        let acquire = || Box::pin(Rc::clone(&acceptor).acquire(1));
        let (mut first, mut second) = (acquire(), acquire());
        let Poll::Ready(permit) = first.as_mut().poll(&mut cx) else { panic!("no permit") };
        for _ in 0..2 {
            assert!(second.as_mut().poll(&mut cx).is_pending() && acceptor.has_waiting());
        }
        let executor = LocalExecutor::new();
        let third = executor.spawn(acquire());
        while executor.try_tick() {}
        // The second is woken, and ends before it takes the permit.
        drop(permit);
        drop(second);
        while executor.try_tick() {}
        assert!(third.is_finished() && !acceptor.has_waiting());
    }
}
