//! How long to wait before the next try.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const MIN_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// Pauses that are drawn from a range that doubles each time, so that a crowd of clients that
/// lost their server together does not come back to it together.
#[derive(Debug, Default)]
pub struct Backoff {
    /// Tries since the last success.
    attempts: u32,
    /// Pauses that were ever drawn.
    drawn: u64,
    /// Random enough for this, and in the standard library.
    random: RandomState,
}

impl Backoff {
    /// The next pause.
    pub fn next_pause(&mut self) -> Duration {
        self.attempts = self.attempts.saturating_add(1);
        self.drawn += 1;
        let upper = MIN_PAUSE.saturating_mul(1 << self.attempts.min(10)).min(MAX_PAUSE);
        let range = (upper - MIN_PAUSE).as_millis() as u64;
        MIN_PAUSE + Duration::from_millis(self.random.hash_one(self.drawn) % (range + 1))
    }

    /// What was tried has worked.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_within_their_bounds_and_differ_between_clients() {
        let (mut first, mut second) = (Backoff::default(), Backoff::default());
        let pauses: Vec<Duration> = (0..100).map(|_| first.next_pause()).collect();
        assert!(pauses.iter().all(|pause| (MIN_PAUSE..=MAX_PAUSE).contains(pause)), "{pauses:?}");
        assert!(pauses[0] <= MIN_PAUSE * 2, "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause > MAX_PAUSE / 2), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != second.next_pause()));
        first.reset();
        assert!(first.next_pause() <= MIN_PAUSE * 2);
    }
}
