//! The state that the handshakes of a server share: the certificate and a rate.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Certificate, Config, Handshake, PlainPolicy};
use crate::rate_limit::{Rate, RateLimiter};
use crate::room::Peer;

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
    plain: PlainPolicy,
    /// When the files were looked at.
    checked_at: Cell<Duration>,
    limiter: Cell<RateLimiter>,
}

impl Acceptor {
    /// Creates the state from the settings.
    pub fn new(config: Config) -> Self {
        Acceptor {
            certificate: Cell::new(config.certificate),
            plain: config.plain,
            checked_at: Cell::default(),
            limiter: Cell::default(),
        }
    }

    /// Returns whether a client must speak TLS.
    pub fn is_required(&self, peer: Peer) -> bool {
        !self.plain.permits(peer)
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

    fn with_certificate<T>(&self, apply: impl FnOnce(&mut Certificate) -> T) -> Option<T> {
        let mut certificate = self.certificate.take()?;
        let result = apply(&mut certificate);
        self.certificate.set(Some(certificate));
        Some(result)
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("plain", &self.plain).finish_non_exhaustive()
    }
}

fn rate() -> Rate {
    Rate::new(MICROS_PER_SECOND, MICROS_AT_ONCE)
}
