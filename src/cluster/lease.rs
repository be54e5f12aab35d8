//! The lease of the own node: an estimate of the time until its members leave the room.
//!
//! All replicas compute the lease from the times in the log ([`LEASE_MS`]). This estimate uses the
//! clock of the node, so that clients go to another node before their members leave.

use std::time::Duration;

use super::membership::LEASE_MS;

/// The longest time between two entries of a node.
const BEAT: Duration = Duration::from_secs(3);
/// The silence of the whole log after which a node writes a beat: less than the largest step of the
/// time in the room, so that this time keeps up.
const LOG_SILENCE: Duration = Duration::from_millis(1_900);
/// The age of the last own entry from which the room is out of reach.
pub const OUT_OF_REACH: Duration = Duration::from_millis(4_500);
/// The time left of the lease when a node without a connection to NATS closes its clients.
const MARGIN: Duration = Duration::from_millis(2_000);
/// The time for which the connection to NATS is lost before it counts as lost: a client connects to
/// another server at once.
const RECONNECT_TIME: Duration = Duration::from_millis(1_500);
/// The age of the last own entry at which a node with a connection to NATS closes its clients.
/// The election of a leader takes up to 10 s, in which no lease ends, because the log does not grow.
const CONNECTED_TIMEOUT: Duration = Duration::from_secs(25);

/// The reachability of the room.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Reach {
    /// The node reads its own entries.
    Reachable,
    /// The lines of members wait, and members are told.
    OutOfReach,
    /// The clients have to go to another node.
    Ending,
}

/// The estimate of the own lease. The time is the time since a fixed start.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// When the last own entry that was read was written, at the latest.
    confirmed: Duration,
    /// When the last message of the log was read.
    last_message: Duration,
    /// When the last own entry was sent.
    last_sent: Duration,
    /// When the connection to NATS was lost, if it is.
    disconnected_at: Option<Duration>,
}

impl Lease {
    /// Creates the lease of a node that entered the room now.
    pub fn new(now: Duration, is_connected: bool) -> Self {
        let disconnected_at = (!is_connected).then_some(now);
        Lease { confirmed: now, last_message: now, last_sent: now, disconnected_at }
    }

    /// Handles a message of the log. `silence` is the time in the room since the last own entry: 0
    /// if the message is one.
    pub fn on_message(&mut self, silence: Duration, now: Duration) {
        self.last_message = now;
        let latest = now.saturating_sub(silence);
        self.confirmed = if silence.is_zero() { now } else { self.confirmed.min(latest) };
    }

    /// Handles an own entry that is sent.
    pub fn on_sent(&mut self, now: Duration) {
        self.last_sent = now;
    }

    /// Handles a change of the connection to NATS.
    pub fn on_connection(&mut self, is_connected: bool, now: Duration) {
        self.disconnected_at = if is_connected { None } else { self.disconnected_at.or(Some(now)) };
    }

    /// Returns whether a beat has to be written.
    pub fn is_beat_due(&self, now: Duration) -> bool {
        now >= self.next_beat()
    }

    /// Returns the reachability of the room.
    pub fn reach(&self, now: Duration) -> Reach {
        if now >= self.end() {
            Reach::Ending
        } else if now >= self.confirmed + OUT_OF_REACH {
            Reach::OutOfReach
        } else {
            Reach::Reachable
        }
    }

    /// Returns when the next beat is due or the reachability changes, if nothing is read
    /// before.
    pub fn deadline(&self, now: Duration) -> Option<Duration> {
        let points = [self.next_beat(), self.confirmed + OUT_OF_REACH, self.end()];
        points.into_iter().filter(|point| *point > now).min()
    }

    fn next_beat(&self) -> Duration {
        (self.last_sent + BEAT).min(self.last_message.max(self.last_sent) + LOG_SILENCE)
    }

    fn end(&self) -> Duration {
        match self.disconnected_at {
            None => self.confirmed + CONNECTED_TIMEOUT,
            Some(at) => {
                let lease_end = self.confirmed + Duration::from_millis(LEASE_MS);
                lease_end.saturating_sub(MARGIN).max(at + RECONNECT_TIME)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Duration = Duration::ZERO;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(100_000 + ms)
    }

    #[test]
    fn beat_is_due_after_3_seconds() {
        let mut lease = Lease::new(at(0), true);
        for ms in (0..3_000).step_by(500) {
            lease.on_message(Duration::from_millis(ms + 1), at(ms));
            assert!(!lease.is_beat_due(at(ms)), "{ms}");
        }
        assert!(lease.is_beat_due(at(3_000)));
        lease.on_sent(at(3_000));
        assert!(!lease.is_beat_due(at(3_000)));
    }

    #[test]
    fn beat_is_due_earlier_in_a_silent_log() {
        let mut lease = Lease::new(at(0), true);
        assert_eq!(lease.deadline(at(0)), Some(at(1_900)));
        assert!(lease.is_beat_due(at(1_900)));
        lease.on_message(Duration::from_millis(100), at(100));
        assert!(!lease.is_beat_due(at(1_900)));
        assert!(lease.is_beat_due(at(2_000)));
    }

    #[test]
    fn cut_node_ends_before_its_lease() {
        let mut lease = Lease::new(at(0), true);
        lease.on_message(NONE, at(1_000));
        lease.on_connection(false, at(2_000));
        assert_eq!(lease.reach(at(5_499)), Reach::Reachable);
        assert_eq!(lease.reach(at(5_500)), Reach::OutOfReach);
        assert_eq!(lease.reach(at(8_999)), Reach::OutOfReach);
        assert_eq!(lease.reach(at(9_000)), Reach::Ending);
        lease.on_message(NONE, at(9_000));
        assert_eq!(lease.reach(at(9_000)), Reach::Reachable);
    }

    #[test]
    fn change_of_the_nats_server_does_not_end_a_node() {
        let mut lease = Lease::new(at(0), true);
        lease.on_connection(false, at(9_000));
        assert_eq!(lease.reach(at(10_499)), Reach::OutOfReach);
        assert_eq!(lease.deadline(at(10_000)), Some(at(10_500)));
        assert_eq!(lease.reach(at(10_500)), Reach::Ending);
        lease.on_connection(true, at(10_400));
        assert_eq!(lease.reach(at(10_500)), Reach::OutOfReach);
    }

    #[test]
    fn election_does_not_end_a_node() {
        let mut lease = Lease::new(at(0), true);
        assert_eq!(lease.reach(at(13_000)), Reach::OutOfReach);
        assert_eq!(lease.reach(at(25_000)), Reach::Ending);
        lease.on_message(NONE, at(13_000));
        assert_eq!(lease.reach(at(13_000)), Reach::Reachable);
    }

    #[test]
    fn late_own_entry_does_not_extend_the_lease() {
        let mut lease = Lease::new(at(0), false);
        // The node was stopped for 9 s, and reads what was written meanwhile.
        lease.on_message(NONE, at(9_000));
        lease.on_message(Duration::from_secs(2), at(9_000));
        lease.on_message(Duration::from_secs(8), at(9_000));
        assert_eq!(lease.reach(at(9_000)), Reach::Ending);
    }
}
