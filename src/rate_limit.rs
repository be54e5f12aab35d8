//! The rate limiter: a burst at once, then a steady rate.
//!
//! It is the generic cell rate algorithm
//! (<https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>), which needs one point in time as
//! its state: when everything that was taken so far is paid for.

use std::time::Duration;

const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// A rate and a burst.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Nanoseconds per unit; 0 = no limit.
    interval: u32,
    /// Units at once.
    burst: u32,
}

impl Rate {
    pub(crate) const UNLIMITED: Rate = Rate { interval: 0, burst: 1 };

    /// Creates a rate of `per_second` units per second, after `burst` units at once. A rate of 0 is
    /// no limit; a burst of 0 is a burst of 1.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let interval = NANOS_PER_SECOND.checked_div(per_second).map_or(0, |nanos| nanos.max(1));
        Rate { interval, burst: burst.max(1) }
    }

    /// Returns whether there is a limit.
    pub(crate) fn is_limited(self) -> bool {
        self.interval > 0
    }
}

/// The state of one rate limit. The caller passes the time, as the time since a fixed start, and
/// always the same [`Rate`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RateLimiter {
    /// Nanoseconds since the start.
    paid_until: u64,
}

impl RateLimiter {
    /// Creates a limiter of which nothing has been taken.
    pub(crate) const fn new() -> Self {
        RateLimiter { paid_until: 0 }
    }

    /// Returns how many units may be taken now.
    pub(crate) fn available(&self, rate: Rate, now: Duration) -> usize {
        if rate.interval == 0 {
            return usize::MAX;
        }
        let owed = self.debt(now).div_ceil(rate.interval.into());
        usize::try_from(u64::from(rate.burst).saturating_sub(owed)).unwrap_or(usize::MAX)
    }

    /// Takes units, whether or not they are available.
    pub(crate) fn take(&mut self, rate: Rate, units: usize, now: Duration) {
        let price = u64::from(rate.interval).saturating_mul(units as u64);
        if price > 0 {
            self.paid_until = nanos(now).saturating_add(self.debt(now)).saturating_add(price);
        }
    }

    /// Takes one unit if one is available, and returns whether it did.
    pub(crate) fn try_take(&mut self, rate: Rate, now: Duration) -> bool {
        let is_available = self.available(rate, now) > 0;
        if is_available {
            self.take(rate, 1, now);
        }
        is_available
    }

    /// Returns the time until one unit is available.
    pub(crate) fn wait(&self, rate: Rate, now: Duration) -> Duration {
        let free = u64::from(rate.interval).saturating_mul(u64::from(rate.burst - 1));
        Duration::from_nanos(self.debt(now).saturating_sub(free))
    }

    /// Returns whether the whole burst is available.
    pub(crate) fn is_idle(&self, now: Duration) -> bool {
        self.debt(now) == 0
    }

    /// Returns the nanoseconds until everything that was taken is paid for.
    fn debt(&self, now: Duration) -> u64 {
        self.paid_until.saturating_sub(nanos(now))
    }
}

/// Saturating: 64 bits of nanoseconds are 584 years.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(100);

    #[test]
    fn burst_is_available_at_once_then_the_rate() {
        let (rate, mut limiter) = (Rate::new(10, 40), RateLimiter::new());
        assert_eq!(limiter.available(rate, START), 40);
        limiter.take(rate, 40, START);
        assert_eq!(limiter.available(rate, START), 0);
        assert_eq!(limiter.wait(rate, START), Duration::from_millis(100));
        assert_eq!(limiter.available(rate, START + Duration::from_millis(250)), 2);
        for seconds in [4, 400] {
            let later = START + Duration::from_secs(seconds);
            assert_eq!(limiter.available(rate, later), 40);
            assert!(limiter.is_idle(later));
        }
    }

    #[test]
    fn wait_makes_exactly_one_unit_available() {
        let (rate, mut limiter) = (Rate::new(3, 2), RateLimiter::new());
        let mut now = START;
        for _ in 0..100 {
            now += limiter.wait(rate, now);
            assert_eq!(limiter.available(rate, now).min(1), 1);
            limiter.take(rate, 1, now);
        }
        assert!(limiter.wait(rate, now) > Duration::ZERO);
    }

    #[test]
    fn one_nanosecond_too_early_is_refused() {
        let (rate, mut limiter) = (Rate::new(20, 1), RateLimiter::new());
        let next = START + Duration::from_millis(50);
        assert!(limiter.try_take(rate, START));
        assert!(!limiter.try_take(rate, next - Duration::from_nanos(1)));
        assert!(limiter.try_take(rate, next));
    }

    #[test]
    fn rate_of_zero_is_no_limit() {
        let (rate, mut limiter) = (Rate::new(0, 0), RateLimiter::new());
        limiter.take(rate, 1_000_000, START);
        assert_eq!(limiter.available(rate, START), usize::MAX);
        assert_eq!(limiter.wait(rate, START), Duration::ZERO);
    }
}
