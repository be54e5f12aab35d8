//! The timeouts of connections that are ending.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::room::ClientId;

/// A queue of connections by deadline, the earliest first. An entry stays when its connection ends
/// earlier.
#[derive(Debug, Default)]
pub struct Deadlines(BinaryHeap<Reverse<(Duration, ClientId)>>);

impl Deadlines {
    /// Adds a deadline for a connection.
    pub fn insert(&mut self, deadline: Duration, id: ClientId) {
        self.0.push(Reverse((deadline, id)));
    }

    /// Returns the earliest deadline.
    pub fn first(&self) -> Option<(Duration, ClientId)> {
        self.0.peek().map(|Reverse(first)| *first)
    }

    /// Removes and returns the earliest deadline.
    pub fn pop_first(&mut self) -> Option<(Duration, ClientId)> {
        let Reverse(first) = self.0.pop()?;
        if self.0.len() < self.0.capacity() / 4 {
            self.0.shrink_to(self.0.len() * 2);
        }
        Some(first)
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Removes the entries of connections for which `is_open` returns false.
    pub fn retain(&mut self, mut is_open: impl FnMut(ClientId) -> bool) {
        self.0.retain(|Reverse((_, id))| is_open(*id));
    }

    /// Moves every deadline after `latest` to `latest`.
    pub fn limit_to(&mut self, latest: Duration) {
        let all = std::mem::take(&mut self.0).into_iter();
        self.0 = all.map(|Reverse((deadline, id))| Reverse((deadline.min(latest), id))).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_ordered_and_limited() {
        let mut deadlines = Deadlines::default();
        let at = Duration::from_secs;
        for (seconds, id) in [(120, 1), (5, 2), (6, 3), (121, 4), (6, 5)] {
            deadlines.insert(at(seconds), ClientId(id));
        }
        assert_eq!(deadlines.first(), Some((at(5), ClientId(2))));
        deadlines.retain(|id| id != ClientId(3));
        deadlines.limit_to(at(10));
        assert_eq!(deadlines.len(), 4);
        let order: Vec<_> = std::iter::from_fn(|| deadlines.pop_first()).collect();
        let expected = [(5, 2), (6, 5), (10, 1), (10, 4)];
        assert_eq!(order, expected.map(|(seconds, id)| (at(seconds), ClientId(id))));
    }
}
