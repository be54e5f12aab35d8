//! The pauses between attempts to connect.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The shortest pause.
const MIN_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// A source of random pauses whose upper bound doubles with each attempt.
///
/// The pauses are random so that clients that lose a server at the same time do not all reconnect
/// to it at the same time.
#[derive(Debug, Default)]
pub struct Backoff {
    /// Attempts since the last progress.
    attempts: u32,
    /// Whether a pause was left out since the last [`reset`](Self::reset).
    has_skipped: bool,
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

    /// Returns no pause, but only once until the next [`reset`](Self::reset): a server that closes
    /// each connection would otherwise be contacted in a busy loop.
    pub fn skip_pause(&mut self) -> Duration {
        match std::mem::replace(&mut self.has_skipped, true) {
            false => Duration::ZERO,
            true => self.next_pause(),
        }
    }

    /// Starts again with the shortest range. Called after progress, however short the connection.
    pub fn on_progress(&mut self) {
        self.attempts = 0;
    }

    /// Starts again from the beginning. Called after a connection of some duration.
    pub fn reset(&mut self) {
        self.attempts = 0;
        self.has_skipped = false;
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
    fn pause_is_skipped_once_until_reset() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.skip_pause(), Duration::ZERO);
        assert!(backoff.skip_pause() >= MIN_PAUSE);
        backoff.on_progress();
        assert!(backoff.skip_pause() >= MIN_PAUSE);
        backoff.reset();
        assert_eq!(backoff.skip_pause(), Duration::ZERO);
    }

    #[test]
    fn pauses_of_two_clients_differ() {
        let (mut first, mut second) = (Backoff::default(), Backoff::default());
        assert!((0..100).any(|_| first.next_pause() != second.next_pause()));
    }
}
