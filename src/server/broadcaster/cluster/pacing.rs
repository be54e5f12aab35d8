//! The pauses in which a node that was behind the log lets its clients catch up.

use std::time::Duration;

/// The longest pause.
const PAUSE: Duration = Duration::from_millis(250);
/// The time of all pauses until the node has read the whole log, at most. After it, the node evicts
/// slow clients as a single node does.
const MAX_PAUSED: Duration = Duration::from_secs(2);

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
    /// The time of the pauses since the node has last read the whole log.
    paused: Duration,
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
        if are_behind && self.bytes >= batch_bytes && self.paused < MAX_PAUSED {
            self.bytes = 0;
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

    /// Handles that the node has read the whole log.
    pub fn on_caught_up(&mut self) {
        self.paused = Duration::ZERO;
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
    fn pauses_are_bounded_until_the_log_is_read() {
        let mut pacing = Pacing::default();
        let mut now = START;
        while pacing.paused < MAX_PAUSED {
            pacing.on_delivery(BATCH, BATCH, true, now);
            assert!(pacing.is_paused(true));
            now += PAUSE;
            pacing.end_pause(true, now);
        }
        assert_eq!(now, START + MAX_PAUSED);
        pacing.on_delivery(BATCH, BATCH, true, now);
        assert!(!pacing.is_paused(true));
        pacing.on_caught_up();
        pacing.on_delivery(BATCH, BATCH, true, now);
        assert!(pacing.is_paused(true));
        pacing.end_pause(false, now);
        assert_eq!(pacing.paused, Duration::ZERO, "the clients have caught up at once");
    }
}
