//! What somebody outside is told of the room, by the task that owns it.

use std::fmt;
use std::time::Duration;

/// How long a news of who is here waits for the next, if it is not the first in a while.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Something that the room says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The room is alive: what is said in it is delivered.
    Alive,
    /// So many members are here now, which is another number than the one before.
    Members(usize),
}

/// Somebody outside who wants to know how the room is.
///
/// The broadcaster itself gives each [`Status`], between two batches, so that none comes from a
/// program in which the room stands still. A room that nobody comes to or leaves gives none but
/// the signs of life that were asked for.
pub struct StatusObserver {
    beat: Option<Duration>,
    tell: Box<dyn Fn(Status) + Send>,
    next_beat: Duration,
    members: usize,
    next_count: Duration,
}

impl StatusObserver {
    /// Has `tell` called, which must not block, with a sign of life every `beat`, if there is one
    /// to be, and with the number of members where it has changed, about once a second.
    pub fn new(beat: Option<Duration>, tell: impl Fn(Status) + Send + 'static) -> Self {
        let (next_beat, next_count) = (Duration::ZERO, Duration::ZERO);
        StatusObserver { beat, tell: Box::new(tell), next_beat, members: 0, next_count }
    }

    /// When there will be something to tell, if nothing happens until then.
    pub(super) fn deadline(&self, members: usize) -> Option<Duration> {
        let beat = self.beat.map(|_| self.next_beat);
        let count = (members != self.members).then_some(self.next_count);
        beat.into_iter().chain(count).min()
    }

    /// Tells what is due.
    pub(super) fn update(&mut self, members: usize, now: Duration) {
        if let Some(beat) = self.beat
            && self.next_beat <= now
        {
            self.next_beat = now + beat;
            (self.tell)(Status::Alive);
        }
        if members != self.members && self.next_count <= now {
            self.next_count = now + RETRY_PAUSE;
            self.members = members;
            (self.tell)(Status::Members(members));
        }
    }
}

impl fmt::Debug for StatusObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusObserver").field("beat", &self.beat).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests state what they expect")]

    use std::sync::mpsc::channel;

    use super::*;

    /// What is told of these numbers of members at these times, in milliseconds.
    fn told(beat: Option<Duration>, updates: &[(u64, usize)]) -> Vec<(u64, Status)> {
        let (sender, signs) = channel();
        let mut watch = StatusObserver::new(beat, move |sign| sender.send(sign).unwrap());
        let mut told = Vec::new();
        for &(ms, members) in updates {
            let now = Duration::from_millis(ms);
            let is_due = watch.deadline(members).is_some_and(|deadline| deadline <= now);
            watch.update(members, now);
            let before = told.len();
            told.extend(signs.try_iter().map(|sign| (ms, sign)));
            assert_eq!(told.len() > before, is_due, "at {ms}");
        }
        told
    }

    #[test]
    fn who_is_here_is_told_at_once_and_then_at_most_once_a_second_and_only_if_it_changed() {
        let updates = [(0, 0), (5, 1), (6, 2), (7, 3), (1004, 4), (1005, 4), (1500, 3), (9000, 4)];
        let members = |ms, members| (ms, Status::Members(members));
        assert_eq!(told(None, &updates), [members(5, 1), members(1005, 4)]);
        assert_eq!(told(None, &[(0, 0), (9000, 0)]), []);
    }

    #[test]
    fn a_sign_of_life_comes_at_once_and_then_each_time_it_is_due() {
        let beat = Some(Duration::from_millis(100));
        let updates = [0, 1, 99, 100, 150, 270, 369, 370].map(|ms| (ms, 0));
        assert_eq!(told(beat, &updates), [0, 100, 270, 370].map(|ms| (ms, Status::Alive)));
    }
}
