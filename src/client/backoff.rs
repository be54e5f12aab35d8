//! The pauses between attempts to connect.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const MIN_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// A source of random pauses whose upper bound doubles with each attempt.
///
/// The pauses are random so that clients that lose a server at the same time do not all reconnect
/// to it at the same time.
#[derive(Debug, Default)]
pub struct Backoff {
    /// Attempts since the last [`reset`](Self::reset).
    attempts: u32,
    /// Pauses since the start: the input of the hash.
    count: u64,
    /// A keyed hash: random enough for this purpose, and part of std.
    random: RandomState,
}

impl Backoff {
    /// Returns the next pause.
    pub fn next_pause(&mut self) -> Duration {
        self.attempts = self.attempts.saturating_add(1);
        self.count += 1;
        let upper = MIN_PAUSE.saturating_mul(1 << self.attempts.min(10)).min(MAX_PAUSE);
        let range = (upper - MIN_PAUSE).as_millis() as u64;
        MIN_PAUSE + Duration::from_millis(self.random.hash_one(self.count) % (range + 1))
    }

    /// Starts again with the shortest range. Called after a success.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_within_bounds_until_reset() {
        let mut backoff = Backoff::default();
        let pauses: Vec<Duration> = (0..100).map(|_| backoff.next_pause()).collect();
        assert!(pauses.iter().all(|pause| (MIN_PAUSE..=MAX_PAUSE).contains(pause)), "{pauses:?}");
        assert!(pauses[0] <= MIN_PAUSE * 2, "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause > MAX_PAUSE / 2), "{pauses:?}");
        backoff.reset();
        assert!(backoff.next_pause() <= MIN_PAUSE * 2);
    }

    #[test]
    fn pauses_of_two_clients_differ() {
        let (mut first, mut second) = (Backoff::default(), Backoff::default());
        assert!((0..100).any(|_| first.next_pause() != second.next_pause()));
    }
}
