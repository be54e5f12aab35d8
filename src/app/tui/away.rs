//! What there is to say while the server is away.

use std::time::Instant;

use crate::client::Error;

/// Since when there is no link, and why.
#[derive(Debug)]
pub struct Away {
    since: Instant,
    tries: usize,
    /// Why the last try failed, or the link was lost.
    pub cause: Error,
}

impl Away {
    /// It was just lost.
    pub fn new(cause: Error) -> Self {
        Away { since: Instant::now(), tries: 0, cause }
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
        format!("away for {} s{tries}{waiting}", self.seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts() {
        let mut away = Away::new(Error::Replaced);
        assert_eq!(away.status(0), "away for 0 s");
        away.failed(Error::TooLate);
        assert_eq!(away.status(1), "away for 0 s, one try; one line waits");
        away.failed(Error::TooLate);
        assert_eq!(away.status(2), "away for 0 s, 2 tries; 2 lines wait");
    }
}
