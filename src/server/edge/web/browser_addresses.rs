//! The addresses of browsers, whose silent connections are given more time.

use std::time::Duration;

use crate::room::Origin;

/// The most addresses in the table.
pub const MAX_BROWSERS: usize = 128;
/// The most bytes for one address, in a table that grows by doubling.
pub const BROWSER_BYTES: usize = 2 * size_of::<(Origin, Duration)>();
/// The time for which an address stays in the table after its last request.
const RETENTION: Duration = Duration::from_hours(24);

/// A bounded table of the addresses that have sent an HTTP request.
#[derive(Debug, Default)]
pub struct BrowserAddresses {
    /// The addresses and the times of their last requests, the earliest first.
    requests: Vec<(Origin, Duration)>,
}

impl BrowserAddresses {
    /// Adds an address that has sent a request now. If the table is full, removes the one whose last
    /// request is the earliest.
    pub fn insert(&mut self, origin: Origin, now: Duration) {
        let known = self.requests.iter().position(|(other, _)| *other == origin);
        let is_full = self.requests.len() == MAX_BROWSERS;
        if let Some(index) = known.or(is_full.then_some(0)) {
            self.requests.remove(index);
        }
        self.requests.push((origin, now));
    }

    /// Returns whether an address has sent a request within the last 24 hours.
    pub fn contains(&self, origin: Origin, now: Duration) -> bool {
        let is_recent = |at: Duration| now.saturating_sub(at) < RETENTION;
        self.requests.iter().any(|(other, at)| *other == origin && is_recent(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_kept_for_a_day_after_its_last_request() {
        let mut browsers = BrowserAddresses::default();
        let hours = Duration::from_hours;
        browsers.insert(Origin::User(1), hours(0));
        browsers.insert(Origin::User(1), hours(1));
        assert!(browsers.contains(Origin::User(1), hours(24)));
        assert!(!browsers.contains(Origin::User(1), hours(25)));
        assert!(!browsers.contains(Origin::User(2), hours(1)));
    }

    #[test]
    fn full_table_loses_the_earliest_request() {
        let mut browsers = BrowserAddresses::default();
        for user in 0..=MAX_BROWSERS as u32 {
            browsers.insert(Origin::User(user), Duration::ZERO);
        }
        assert!(!browsers.contains(Origin::User(0), Duration::ZERO));
        assert!(browsers.contains(Origin::User(1), Duration::ZERO));
        assert_eq!(browsers.requests.len(), MAX_BROWSERS);
    }
}
