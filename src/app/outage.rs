//! The time without a connection to the server.

use std::time::Instant;

use crate::client::{Error, ServerAddress};

/// The state of the client from the loss of its connection until it has received all missed lines.
#[derive(Debug)]
pub struct Outage {
    since: Instant,
    /// Failed attempts to reconnect.
    #[cfg(feature = "editor")]
    attempts: usize,
    /// The error that broke the connection or the last attempt.
    pub cause: Error,
    /// The server has accepted the client again, and sends the missed lines.
    pub is_reconnected: bool,
    /// The server cannot send the missed lines.
    is_history_lost: bool,
    /// The missed lines that were shown.
    pub shown_count: usize,
    /// The missed lines that the server no longer has.
    lost_count: u64,
    /// The servers whose keys are not known.
    left_out: Vec<ServerAddress>,
    /// The servers in `left_out` whose keys the user was asked about.
    #[cfg(all(feature = "editor", feature = "tls"))]
    pub asked_servers: Vec<ServerAddress>,
}

impl Outage {
    /// Starts an outage now.
    pub fn new(cause: Error) -> Self {
        Outage {
            since: Instant::now(),
            #[cfg(feature = "editor")]
            attempts: 0,
            cause,
            is_reconnected: false,
            is_history_lost: false,
            shown_count: 0,
            lost_count: 0,
            left_out: Vec::new(),
            #[cfg(all(feature = "editor", feature = "tls"))]
            asked_servers: Vec::new(),
        }
    }

    /// Records that a server is left out, if its key is not known. Returns whether it was not recorded
    /// before.
    pub fn record_left_out(&mut self, cause: &Error) -> bool {
        let Error::UnknownKey { address, .. } = cause else { return false };
        let is_new = !self.left_out.contains(address);
        if is_new {
            self.left_out.push(address.clone());
        }
        is_new
    }

    /// Records a failed attempt to reconnect.
    pub fn record_failure(&mut self, cause: Error) {
        #[cfg(feature = "editor")]
        {
            self.attempts += 1;
        }
        self.cause = cause;
        self.is_reconnected = false;
    }

    /// Records that the server has accepted the client again. `is_resumed` says whether it sends
    /// the missed lines.
    pub fn record_reconnect(&mut self, is_resumed: bool) {
        self.is_reconnected = true;
        self.is_history_lost |= !is_resumed;
    }

    /// Records that the lines `from` to `to` are lost.
    pub fn record_gap(&mut self, from: u64, to: u64) {
        self.lost_count = self.lost_count.saturating_add(to.saturating_sub(from)).saturating_add(1);
    }

    /// Returns the text of the status line. `waiting` is the number of lines that wait to be sent.
    #[cfg(feature = "editor")]
    pub fn format_status(&self, waiting: usize) -> String {
        if self.is_reconnected {
            return "receiving the missed lines".into();
        }
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
        format!("no connection for {} s{attempts}{waiting}", self.since.elapsed().as_secs())
    }

    /// Returns the message that all missed lines have arrived. `waiting` is the number of lines that
    /// are sent now.
    pub fn format_end(&self, waiting: usize) -> String {
        let missed = (self.shown_count as u64).saturating_add(self.lost_count);
        let missed = match missed {
            _ if self.is_history_lost => "lines sent in the meantime cannot be shown".into(),
            0 => "no line was missed".into(),
            1 => "one line was missed".into(),
            _ => format!("{missed} lines were missed"),
        };
        let lost = match self.lost_count {
            _ if self.is_history_lost => String::new(),
            0 => String::new(),
            1 => ", one of them is no longer available".into(),
            lost => format!(", {lost} of them are no longer available"),
        };
        let waiting = match waiting {
            0 => String::new(),
            1 => "; sending one line that waited".into(),
            waiting => format!("; sending {waiting} lines that waited"),
        };
        let seconds = self.since.elapsed().as_secs();
        format!("reconnected after {seconds} s, up to date again; {missed}{lost}{waiting}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "editor")]
    fn status_counts_attempts_and_waiting_lines() {
        let mut outage = Outage::new(Error::Replaced);
        assert_eq!(outage.format_status(0), "no connection for 0 s");
        outage.record_failure(Error::LateHello);
        let status = "no connection for 0 s, one attempt; one line is waiting";
        assert_eq!(outage.format_status(1), status);
        outage.record_failure(Error::LateHello);
        let status = "no connection for 0 s, 2 attempts; 2 lines are waiting";
        assert_eq!(outage.format_status(2), status);
        outage.record_reconnect(true);
        assert_eq!(outage.format_status(2), "receiving the missed lines");
    }

    #[test]
    fn server_is_left_out_once() {
        let unknown = |address: &str, found: &str| Error::UnknownKey {
            address: address.into(),
            found: found.into(),
            cause: "x".into(),
        };
        let mut outage = Outage::new(Error::Replaced);
        assert!(!outage.record_left_out(&Error::Replaced));
        assert!(outage.record_left_out(&unknown("beta", "1")));
        assert!(!outage.record_left_out(&unknown("beta", "2")));
        assert!(outage.record_left_out(&unknown("gamma", "1")));
    }

    #[test]
    fn end_counts_missed_lost_and_waiting_lines() {
        let message = |is_resumed, shown_count, gap: Option<(u64, u64)>, waiting| {
            let mut outage = Outage { shown_count, ..Outage::new(Error::Replaced) };
            outage.record_reconnect(is_resumed);
            outage.record_failure(Error::LateHello);
            outage.record_reconnect(true);
            gap.into_iter().for_each(|(from, to)| outage.record_gap(from, to));
            let message = outage.format_end(waiting);
            message.strip_prefix("reconnected after 0 s, up to date again; ").unwrap().to_owned()
        };
        assert_eq!(message(true, 0, None, 0), "no line was missed");
        assert_eq!(message(true, 1, None, 0), "one line was missed");
        let waiting = "2 lines were missed; sending one line that waited";
        assert_eq!(message(true, 2, None, 1), waiting);
        let lost = "5 lines were missed, 3 of them are no longer available";
        assert_eq!(message(true, 2, Some((4, 6)), 0), lost);
        let lost = "3 lines were missed, one of them is no longer available";
        assert_eq!(message(true, 2, Some((4, 4)), 0), lost);
        let lost = "lines sent in the meantime cannot be shown; sending 4 lines that waited";
        assert_eq!(message(false, 0, Some((1, u64::MAX)), 4), lost);
    }
}
