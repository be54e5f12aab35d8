//! Messages about the connection to the server.

use std::time::Duration;

use crate::client::{Error, SessionEvent, sanitize};
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

/// Returns the message for a change of the connection, or `None` if the event is a frame.
///
/// `outage` is the time without a connection, if it is to be shown.
pub fn format_link_event(event: &SessionEvent, outage: Option<Duration>) -> Option<String> {
    Some(match event {
        SessionEvent::Received(_) => return None,
        SessionEvent::Disconnected { cause, retry_in } if retry_in.is_zero() => {
            format!("{}; reconnecting", describe_error(cause))
        }
        SessionEvent::Disconnected { cause, retry_in } => {
            format!("{}; reconnecting in {:.1} s", describe_error(cause), retry_in.as_secs_f32())
        }
        SessionEvent::Reconnected { resumed, missed } => {
            let after =
                outage.map(|outage| format!(" after {} s", outage.as_secs())).unwrap_or_default();
            let missed = match missed {
                _ if !resumed => "lines sent in the meantime cannot be shown".into(),
                0 => "no line was missed".into(),
                1 => "one line was missed:".into(),
                missed => format!("{missed} lines were missed:"),
            };
            format!("reconnected{after}; {missed}")
        }
        SessionEvent::Gap { from, to } if from == to => {
            format!("line {from} is no longer available")
        }
        SessionEvent::Gap { from, to } => format!("lines {from} to {to} are no longer available"),
        SessionEvent::Synced { pending: 0 } => "up to date again".into(),
        SessionEvent::Synced { pending: 1 } => {
            "up to date again; sending one line that waited".into()
        }
        SessionEvent::Synced { pending } => {
            format!("up to date again; sending {pending} lines that waited")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconnect_message_counts_missed_lines() {
        let message = |resumed, missed, outage: Option<u64>| {
            let event = SessionEvent::Reconnected { resumed, missed };
            format_link_event(&event, outage.map(Duration::from_secs)).unwrap()
        };
        assert_eq!(message(true, 0, None), "reconnected; no line was missed");
        assert_eq!(message(true, 1, Some(3)), "reconnected after 3 s; one line was missed:");
        assert_eq!(message(true, 2, None), "reconnected; 2 lines were missed:");
        let not_resumed = "reconnected; lines sent in the meantime cannot be shown";
        assert_eq!(message(false, 2, None), not_resumed);
    }

    #[test]
    fn loss_message_names_cause_and_next_attempt() {
        let message = |retry_ms| {
            let cause = Error::Closed(Some("too\nslow".into()));
            let retry_in = Duration::from_millis(retry_ms);
            format_link_event(&SessionEvent::Disconnected { cause, retry_in }, None).unwrap()
        };
        let cause = "the server closed the connection: too^Jslow";
        assert_eq!(message(0), format!("{cause}; reconnecting"));
        assert_eq!(message(1500), format!("{cause}; reconnecting in 1.5 s"));
    }
}
