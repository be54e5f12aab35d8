//! Messages about the connection to the server.

use std::time::Duration;

use crate::client::{Error, sanitize};
use crate::protocol::Limits;

/// Returns an error with its causes as one line that is safe to print.
///
/// The server chooses a part of the text.
pub fn describe_error(error: &Error) -> String {
    sanitize(&crate::error::format_chain(error))
}

/// Returns the message for a line that is sent in several parts.
pub fn describe_split(parts: usize, limits: Option<Limits>) -> String {
    let max_line = limits.map(|limits| limits.max_line).unwrap_or_default();
    format!("the server accepts lines of {max_line} bytes; a longer one is sent in {parts} parts")
}

/// Returns the message that the connection is lost. `retry_in` is the time until the next attempt,
/// if it is to be shown.
pub fn format_loss(cause: &Error, retry_in: Option<Duration>) -> String {
    match (cause, retry_in.filter(|time| !time.is_zero())) {
        (Error::ReconnectRequested, _) => "reconnecting".into(),
        (cause, None) => format!("{}; reconnecting", describe_error(cause)),
        (cause, Some(time)) => {
            format!("{}; reconnecting in {:.1} s", describe_error(cause), time.as_secs_f32())
        }
    }
}

/// Returns the message that some lines are lost.
pub fn format_gap(from: u64, to: u64) -> String {
    match from == to {
        true => format!("line {from} is no longer available"),
        false => format!("lines {from} to {to} are no longer available"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_message_names_cause_and_next_attempt() {
        let message = |retry_in| format_loss(&Error::Closed(Some("too\nslow".into())), retry_in);
        let cause = "the server closed the connection: too^Jslow";
        assert_eq!(message(None), format!("{cause}; reconnecting"));
        assert_eq!(message(Some(Duration::ZERO)), format!("{cause}; reconnecting"));
        let retry_in = Some(Duration::from_millis(1500));
        assert_eq!(message(retry_in), format!("{cause}; reconnecting in 1.5 s"));
        assert_eq!(format_loss(&Error::ReconnectRequested, retry_in), "reconnecting");
    }

    #[test]
    fn gap_message_names_the_numbers() {
        assert_eq!(format_gap(3, 3), "line 3 is no longer available");
        assert_eq!(format_gap(3, 4), "lines 3 to 4 are no longer available");
    }
}
