//! Who is to be gone, and by when.

use std::collections::VecDeque;
use std::time::Duration;

use crate::room::MemberId;

/// Connections that are to end by themselves, and when they end anyway, the earliest first.
///
/// A queue that is kept sorted: there are few kinds of deadlines, so nearly all go in at the end of
/// their kind.
#[derive(Debug, Default)]
pub struct Deadlines(VecDeque<(Duration, MemberId)>);

impl Deadlines {
    pub fn insert(&mut self, deadline: Duration, id: MemberId) {
        let place = self.0.partition_point(|(other, _)| *other <= deadline);
        self.0.insert(place, (deadline, id));
    }

    /// The earliest.
    pub fn first(&self) -> Option<(Duration, MemberId)> {
        self.0.front().copied()
    }

    pub fn pop_first(&mut self) -> Option<(Duration, MemberId)> {
        self.0.pop_front()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets those who need no deadline any more.
    pub fn retain(&mut self, mut is_due: impl FnMut(MemberId) -> bool) {
        self.0.retain(|(_, id)| is_due(*id));
    }

    /// Sees to it that all are gone by `latest`.
    pub fn bring_forward(&mut self, latest: Duration) {
        for (deadline, _) in &mut self.0 {
            *deadline = latest.min(*deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_is_first_and_none_is_later_than_the_latest() {
        let mut deadlines = Deadlines::default();
        let at = Duration::from_secs;
        for (seconds, id) in [(120, 1), (5, 2), (6, 3), (121, 4), (6, 5)] {
            deadlines.insert(at(seconds), MemberId(id));
        }
        assert_eq!(deadlines.first(), Some((at(5), MemberId(2))));
        deadlines.retain(|id| id != MemberId(3));
        deadlines.bring_forward(at(10));
        assert_eq!(deadlines.len(), 4);
        let order: Vec<_> = std::iter::from_fn(|| deadlines.pop_first()).collect();
        let expected = [(5, 2), (6, 5), (10, 1), (10, 4)];
        assert_eq!(order, expected.map(|(seconds, id)| (at(seconds), MemberId(id))));
    }
}
