//! Reports the state of the room to an observer outside, such as a service manager.

use std::fmt;
use std::time::Duration;

/// The shortest time between two reports of the number of members.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// A report about the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// The room works: lines are delivered.
    Alive,
    /// The number of members has changed to this.
    Members(usize),
}

/// An observer that is told about the room.
///
/// The broadcaster itself reports, between two batches, so a blocked room reports nothing. If the
/// number of members does not change, there is no report but [`Status::Alive`].
pub struct StatusObserver {
    keepalive: Option<Duration>,
    report: Box<dyn Fn(Status) + Send>,
    next_keepalive: Duration,
    members: usize,
    next_count: Duration,
}

impl StatusObserver {
    /// Creates an observer. `report` is called with [`Status::Alive`] in every period of
    /// `keepalive`, if there is one, and with the number of members after it has changed, about
    /// once a second. It must not block.
    pub fn new(keepalive: Option<Duration>, report: impl Fn(Status) + Send + 'static) -> Self {
        StatusObserver {
            keepalive,
            report: Box::new(report),
            next_keepalive: Duration::ZERO,
            members: 0,
            next_count: Duration::ZERO,
        }
    }

    /// Returns the time of the next report, if the number of members stays.
    pub(crate) fn deadline(&self, members: usize) -> Option<Duration> {
        let keepalive = self.keepalive.map(|_| self.next_keepalive);
        let count = (members != self.members).then_some(self.next_count);
        keepalive.into_iter().chain(count).min()
    }

    /// Makes the reports that are due.
    pub(crate) fn update(&mut self, members: usize, now: Duration) {
        if let Some(keepalive) = self.keepalive
            && self.next_keepalive <= now
        {
            self.next_keepalive = now + keepalive;
            (self.report)(Status::Alive);
        }
        if members != self.members && self.next_count <= now {
            self.next_count = now + MIN_PAUSE;
            self.members = members;
            (self.report)(Status::Members(members));
        }
    }
}

impl fmt::Debug for StatusObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusObserver").field("keepalive", &self.keepalive).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// Returns the reports for these numbers of members at these times in milliseconds.
    fn reports(keepalive: Option<Duration>, updates: &[(u64, usize)]) -> Vec<(u64, Status)> {
        let (sender, receiver) = channel();
        let mut observer =
            StatusObserver::new(keepalive, move |status| sender.send(status).unwrap());
        let mut reports = Vec::new();
        for &(ms, members) in updates {
            let now = Duration::from_millis(ms);
            let is_due = observer.deadline(members).is_some_and(|deadline| deadline <= now);
            observer.update(members, now);
            let before = reports.len();
            reports.extend(receiver.try_iter().map(|status| (ms, status)));
            assert_eq!(reports.len() > before, is_due, "at {ms}");
        }
        reports
    }

    #[test]
    fn member_count_is_reported_at_most_once_a_second() {
        let updates = [(0, 0), (5, 1), (6, 2), (7, 3), (1004, 4), (1005, 4), (1500, 3), (9000, 4)];
        let members = |ms, members| (ms, Status::Members(members));
        assert_eq!(reports(None, &updates), [members(5, 1), members(1005, 4)]);
        assert_eq!(reports(None, &[(0, 0), (9000, 0)]), []);
    }

    #[test]
    fn keepalive_is_reported_in_every_period() {
        let keepalive = Some(Duration::from_millis(100));
        let updates = [0, 1, 99, 100, 150, 270, 369, 370].map(|ms| (ms, 0));
        let expected = [0, 100, 270, 370].map(|ms| (ms, Status::Alive));
        assert_eq!(reports(keepalive, &updates), expected);
    }
}
