//! What there is to say while the server is away.

use std::time::Instant;

use crate::client::Error;

/// Since when there is no link, and why.
#[derive(Debug)]
pub struct Outage {
    since: Instant,
    tries: usize,
    /// Why the last try failed, or the link was lost.
    pub cause: Error,
}

impl Outage {
    /// It was just lost.
    pub fn new(cause: Error) -> Self {
        Outage { since: Instant::now(), tries: 0, cause }
    }

    /// Another try has failed.
    pub fn failed(&mut self, cause: Error) {
        self.tries += 1;
        self.cause = cause;
    }

    /// For how long, in seconds.
    pub fn seconds(&self) -> u64 {
        self.since.elapsed().as_secs()
    }

    /// The line that says so and counts.
    pub fn status(&self, waiting: usize) -> String {
        let tries = match self.tries {
            0 => String::new(),
            1 => ", one try".into(),
            tries => format!(", {tries} tries"),
        };
        let waiting = match waiting {
            0 => String::new(),
            1 => "; one line waits".into(),
            waiting => format!("; {waiting} lines wait"),
        };
        format!("outage for {} s{tries}{waiting}", self.seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts() {
        let mut outage = Outage::new(Error::Replaced);
        assert_eq!(outage.status(0), "outage for 0 s");
        outage.failed(Error::LateHello);
        assert_eq!(outage.status(1), "outage for 0 s, one try; one line waits");
        outage.failed(Error::LateHello);
        assert_eq!(outage.status(2), "outage for 0 s, 2 tries; 2 lines wait");
    }
}
