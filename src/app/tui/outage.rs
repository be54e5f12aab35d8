//! What there is to say while the server is away.

use std::time::{Duration, Instant};

use crate::client::Error;

/// Since when there is no link, and why.
#[derive(Debug)]
pub struct Outage {
    since: Instant,
    attempts: usize,
    /// Why the last try failed, or the link was lost.
    pub cause: Error,
}

impl Outage {
    /// It was just lost.
    pub fn new(cause: Error) -> Self {
        Outage { since: Instant::now(), attempts: 0, cause }
    }

    /// Another try has failed.
    pub fn record_failure(&mut self, cause: Error) {
        self.attempts += 1;
        self.cause = cause;
    }

    /// Returns the time since the connection was lost.
    pub fn duration(&self) -> Duration {
        self.since.elapsed()
    }

    /// The line that says so and counts.
    pub fn status(&self, waiting: usize) -> String {
        let attempts = match self.attempts {
            0 => String::new(),
            1 => ", one try".into(),
            attempts => format!(", {attempts} attempts"),
        };
        let waiting = match waiting {
            0 => String::new(),
            1 => "; one line waits".into(),
            waiting => format!("; {waiting} lines wait"),
        };
        format!("outage for {} s{attempts}{waiting}", self.duration().as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts() {
        let mut outage = Outage::new(Error::Replaced);
        assert_eq!(outage.status(0), "outage for 0 s");
        outage.record_failure(Error::TooLate);
        assert_eq!(outage.status(1), "outage for 0 s, one try; one line waits");
        outage.record_failure(Error::TooLate);
        assert_eq!(outage.status(2), "outage for 0 s, 2 attempts; 2 lines wait");
    }
}
