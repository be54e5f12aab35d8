//! The limit on wrong passwords from one address.

use std::time::Duration;

use super::AddressBudget;

/// Wrong passwords after which an address is closed.
const MAX_FAILURES: u8 = 5;
/// The time for which an address is closed at first. Each further time is twice as long.
const MIN_CLOSED: Duration = Duration::from_secs(60);
/// The longest time for which an address is closed.
const MAX_CLOSED: Duration = Duration::from_secs(3600);
/// The time without a wrong password after which earlier ones do not count.
const MEMORY: Duration = Duration::from_secs(3600);

/// The wrong passwords of one address.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guesses {
    failures: u8,
    /// How often the address was closed.
    closings: u8,
    closed_until: Duration,
    /// The time from which on nothing of this counts.
    forgotten_at: Duration,
}

impl Guesses {
    /// Returns whether the state is the same as a new one.
    pub fn is_idle(self, now: Duration) -> bool {
        self.forgotten_at <= now
    }

    /// Returns how long the address is closed, if it is.
    fn closed_for(self, now: Duration) -> Option<Duration> {
        self.closed_until.checked_sub(now).filter(|wait| !wait.is_zero())
    }

    /// Counts a wrong password.
    fn fail(self, now: Duration) -> Self {
        let mut next = if self.is_idle(now) { Guesses::default() } else { self };
        next.failures += 1;
        if next.failures >= MAX_FAILURES {
            let closed = MIN_CLOSED
                .saturating_mul(1_u32.checked_shl(next.closings.into()).unwrap_or(u32::MAX));
            next.failures = 0;
            next.closings = next.closings.saturating_add(1);
            next.closed_until = now + closed.min(MAX_CLOSED);
        }
        next.forgotten_at = next.closed_until.max(now) + MEMORY;
        next
    }
}

impl AddressBudget {
    /// Returns for how long no password of the address is accepted, if that is so.
    pub fn closed_for(&self, now: Duration) -> Option<Duration> {
        self.guesses.get().closed_for(now)
    }

    /// Counts a wrong password. A budget that several addresses share is never closed.
    pub fn fail(&self, now: Duration) {
        if !self.is_shared {
            self.guesses.set(self.guesses.get().fail(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn address_is_closed_after_five_failures_each() {
        let (mut guesses, mut now) = (Guesses::default(), SECOND);
        for seconds in [60, 120, 240, 480, 960, 1920, 3600, 3600] {
            for _ in 0..MAX_FAILURES {
                assert_eq!(guesses.closed_for(now), None);
                guesses = guesses.fail(now);
            }
            assert_eq!(guesses.closed_for(now), Some(seconds * SECOND));
            now += seconds * SECOND;
        }
        assert!(!guesses.is_idle(now) && guesses.is_idle(now + MEMORY));
        for _ in 0..300 {
            guesses = guesses.fail(now);
        }
        assert_eq!(guesses.closed_for(now), Some(MAX_CLOSED));
    }

    #[test]
    fn failures_are_forgotten_after_an_hour() {
        let mut guesses = Guesses::default();
        for hour in 1..20 {
            guesses = guesses.fail(hour * MEMORY);
            assert_eq!(guesses.closed_for(hour * MEMORY), None);
        }
    }
}
