//! The pauses in which a node that was behind the log lets its clients catch up.

use std::time::Duration;

/// The longest pause.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest time of all pauses in an [`INTERVAL`]. After it, the node evicts slow clients as a single
/// server does.
const MAX_PAUSED: Duration = Duration::from_secs(2);
/// The time in which the pauses are bounded: clients that read slowly on purpose can begin a pause at any
/// time, and it delays all members of the node.
const INTERVAL: Duration = Duration::from_secs(60);

/// The pauses of a node.
///
/// A node that was behind the log has megabytes of frames at once, and would evict clients that read
/// as too slow. So it reads no entries for a moment while more than half of its clients are behind.
#[derive(Debug, Default)]
pub struct Pacing {
    /// Bytes delivered since the last pause.
    bytes: usize,
    /// The start of the pause.
    since: Option<Duration>,
    /// The time of the pauses in the interval.
    paused: Duration,
    /// The end of the interval, which the first pause begins.
    interval_end: Duration,
}

impl Pacing {
    /// Handles the delivery of `bytes`, after which most clients may be behind. There is one pause
    /// each `batch_bytes`.
    pub fn on_delivery(
        &mut self,
        bytes: usize,
        batch_bytes: usize,
        are_behind: bool,
        now: Duration,
    ) {
        self.bytes = self.bytes.saturating_add(bytes);
        let is_next_interval = self.interval_end <= now;
        let is_allowed = is_next_interval || self.paused < MAX_PAUSED;
        if are_behind && self.bytes >= batch_bytes && is_allowed {
            self.bytes = 0;
            if is_next_interval {
                (self.paused, self.interval_end) = (Duration::ZERO, now + INTERVAL);
            }
            self.since.get_or_insert(now);
        }
    }

    /// Returns whether no entries are read.
    pub fn is_paused(&self, are_behind: bool) -> bool {
        are_behind && self.since.is_some()
    }

    /// Returns when the pause ends.
    pub fn deadline(&self) -> Option<Duration> {
        self.since.map(|since| since + PAUSE)
    }

    /// Ends a pause whose time has passed, or that is no longer needed.
    pub fn end_pause(&mut self, are_behind: bool, now: Duration) {
        if let Some(since) = self.since
            && (!are_behind || since + PAUSE <= now)
        {
            self.since = None;
            self.paused += now.saturating_sub(since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: usize = 64 * 1024;
    const START: Duration = Duration::from_secs(5);

    #[test]
    fn pause_follows_a_full_batch() {
        let mut pacing = Pacing::default();
        pacing.on_delivery(BATCH - 1, BATCH, true, START);
        assert!(!pacing.is_paused(true));
        pacing.on_delivery(1, BATCH, false, START);
        assert!(!pacing.is_paused(true));
        pacing.on_delivery(1, BATCH, true, START);
        assert!(pacing.is_paused(true) && !pacing.is_paused(false));
        assert_eq!(pacing.deadline(), Some(START + PAUSE));
        pacing.end_pause(true, START);
        assert!(pacing.is_paused(true));
        pacing.end_pause(true, START + PAUSE);
        assert!(!pacing.is_paused(true));
        pacing.on_delivery(1, BATCH, true, START);
        assert!(!pacing.is_paused(true));
    }

    #[test]
    fn pauses_of_a_minute_are_bounded() {
        let mut pacing = Pacing::default();
        for minute in 1..=3 {
            let start = START + minute * INTERVAL;
            let mut paused = Duration::ZERO;
            for step in (0..60_000).step_by(50).map(Duration::from_millis) {
                pacing.end_pause(true, start + step);
                pacing.on_delivery(BATCH, BATCH, true, start + step);
                paused += pacing.deadline().map_or(Duration::ZERO, |_| Duration::from_millis(50));
            }
            assert_eq!(paused, MAX_PAUSED, "minute {minute}");
        }
    }

    #[test]
    fn pause_without_clients_behind_takes_no_time() {
        let mut pacing = Pacing::default();
        pacing.on_delivery(BATCH, BATCH, true, START);
        pacing.end_pause(false, START);
        assert_eq!((pacing.since, pacing.paused), (None, Duration::ZERO));
    }
}
