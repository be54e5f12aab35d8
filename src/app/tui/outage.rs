//! The time without a connection to the server.

use std::time::{Duration, Instant};

use crate::client::Error;

/// The state of the client while it is not connected.
#[derive(Debug)]
pub struct Outage {
    since: Instant,
    /// Failed attempts to reconnect.
    attempts: usize,
    /// The error that broke the connection or the last attempt.
    pub cause: Error,
}

impl Outage {
    /// Starts an outage now.
    pub fn new(cause: Error) -> Self {
        Outage { since: Instant::now(), attempts: 0, cause }
    }

    /// Counts a failed attempt to reconnect.
    pub fn record_failure(&mut self, cause: Error) {
        self.attempts += 1;
        self.cause = cause;
    }

    /// Returns the time since the connection was lost.
    pub fn duration(&self) -> Duration {
        self.since.elapsed()
    }

    /// Returns the text of the status line. `waiting` is the number of lines that wait to be sent.
    pub fn format_status(&self, waiting: usize) -> String {
        let attempts = match self.attempts {
            0 => String::new(),
            1 => ", one attempt".into(),
            attempts => format!(", {attempts} attempts"),
        };
        let waiting = match waiting {
            0 => String::new(),
            1 => "; one line is waiting".into(),
            waiting => format!("; {waiting} lines are waiting"),
        };
        format!("no connection for {} s{attempts}{waiting}", self.duration().as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_counts_attempts_and_waiting_lines() {
        let mut outage = Outage::new(Error::Replaced);
        assert_eq!(outage.format_status(0), "no connection for 0 s");
        outage.record_failure(Error::LateHello);
        let status = "no connection for 0 s, one attempt; one line is waiting";
        assert_eq!(outage.format_status(1), status);
        outage.record_failure(Error::LateHello);
        let status = "no connection for 0 s, 2 attempts; 2 lines are waiting";
        assert_eq!(outage.format_status(2), status);
    }
}
