//! How long to wait before the next try.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(15);

/// Pauses that are drawn from a range that doubles each time, so that a crowd of clients that
/// lost their server together does not come back to it together.
#[derive(Debug, Default)]
pub struct Backoff {
    /// Tries since the last success.
    tries: u32,
    /// Pauses that were ever drawn.
    drawn: u64,
    /// Random enough for this, and in the standard library.
    random: RandomState,
}

impl Backoff {
    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        self.tries = self.tries.saturating_add(1);
        self.drawn += 1;
        let longest = SHORTEST.saturating_mul(1 << self.tries.min(10)).min(LONGEST);
        let range = (longest - SHORTEST).as_millis() as u64;
        SHORTEST + Duration::from_millis(self.random.hash_one(self.drawn) % (range + 1))
    }

    /// What was tried has worked.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_within_their_bounds_and_differ_between_clients() {
        let (mut one, mut other) = (Backoff::default(), Backoff::default());
        let pauses: Vec<Duration> = (0..100).map(|_| one.pause()).collect();
        assert!(pauses.iter().all(|pause| (SHORTEST..=LONGEST).contains(pause)), "{pauses:?}");
        assert!(pauses[0] <= SHORTEST * 2, "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause > LONGEST / 2), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != other.pause()));
        one.reset();
        assert!(one.pause() <= SHORTEST * 2);
    }
}
