//! Requests for the wanted name while the session has another.

use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use serde_json::json;
use smol::Timer;

use crate::protocol::{Body, Frame, case_fold, is_valid_name};

/// The time until the first request that no frame has caused. The name may be reserved, and no
/// frame reports the end of a reservation.
const MIN_INTERVAL: Duration = Duration::from_secs(15);
/// The longest time between two such requests.
const MAX_INTERVAL: Duration = Duration::from_secs(600);
/// The number of refused requests after which the present name is requested. The server accepts
/// that, and closes a connection after 50 errors in a row.
const MAX_REFUSED: u32 = 16;

/// The wanted name of a session, and the time of the next request for it.
#[derive(Debug)]
pub struct NameReclaim {
    is_enabled: bool,
    /// The id of all requests. It is random, so that no line of the application has it.
    id: String,
    /// The wanted name, while the session has another.
    wanted: Option<String>,
    timer: Timer,
    /// The number of requests that were refused since the last frame that freed the name.
    refused: u32,
    /// The number of all requests.
    count: u32,
}

impl NameReclaim {
    pub fn new(is_enabled: bool) -> Self {
        let id = format!("name-{:016x}", RandomState::new().hash_one(0));
        NameReclaim { is_enabled, id, wanted: None, timer: Timer::never(), refused: 0, count: 0 }
    }

    /// Sets the wanted name and the present one.
    pub fn set_names(&mut self, wanted: Option<&str>, present: &str) {
        let wanted = wanted.filter(|wanted| {
            // Called for each frame, so the usual case is first.
            self.is_enabled
                && *wanted != present
                && is_valid_name(wanted)
                && case_fold(wanted) != case_fold(present)
        });
        if self.wanted.as_deref() != wanted {
            self.wanted = wanted.map(str::to_owned);
            self.refused = 0;
            self.timer = match self.wanted {
                Some(_) => Timer::after(MIN_INTERVAL),
                None => Timer::never(),
            };
        }
    }

    /// Handles a live frame. Returns whether it is the answer to a request and not for the
    /// application.
    pub fn on_frame(&mut self, frame: &Frame<'_>) -> bool {
        let is_freed = match (&frame.body, &self.wanted) {
            (Body::Leave { names, .. }, Some(wanted)) => {
                let wanted = case_fold(wanted);
                names.iter().any(|name| case_fold(name) == wanted)
            }
            (Body::Name { from, .. }, Some(wanted)) => case_fold(from) == case_fold(wanted),
            _ => false,
        };
        if is_freed {
            self.refused = 0;
            self.timer = Timer::after(Duration::ZERO);
        }
        let is_answer = frame.body.id() == Some(&self.id);
        match &frame.body {
            Body::Error { .. } if is_answer => {
                let interval = MIN_INTERVAL.saturating_mul(1 << self.refused.min(10));
                self.timer = Timer::after(interval.min(MAX_INTERVAL));
                self.refused += 1;
                true
            }
            Body::Info { .. } => is_answer,
            _ => false,
        }
    }

    /// Returns the lines of the request that is due. `present` is the present name.
    pub fn poll_request(&mut self, present: &str, cx: &mut Context<'_>) -> Poll<Vec<String>> {
        let Some(wanted) = &self.wanted else { return Poll::Pending };
        if Pin::new(&mut self.timer).poll(cx).is_pending() {
            return Poll::Pending;
        }
        // The answer sets the time of the next one.
        self.timer = Timer::after(MAX_INTERVAL);
        self.count += 1;
        let line = |name: &str| json!({"data": format!("/nick {name}"), "id": self.id}).to_string();
        Poll::Ready(match self.count % MAX_REFUSED {
            0 => vec![line(present), line(wanted)],
            _ => vec![line(wanted)],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ErrorCode;

    /// Returns whether a request is due.
    fn is_due(reclaim: &mut NameReclaim) -> bool {
        smol::block_on(futures_lite::future::poll_once(std::future::poll_fn(|cx| {
            reclaim.poll_request("alice-2", cx)
        })))
        .is_some()
    }

    #[test]
    fn name_is_requested_when_its_member_leaves() {
        let mut reclaim = NameReclaim::new(true);
        reclaim.set_names(Some("alice"), "alice-2");
        assert!(!is_due(&mut reclaim));
        let leave = |name: &'static str| {
            Frame::server("", Body::Leave { seq: 1, time: 1, names: vec![name.into()] })
        };
        assert!(!reclaim.on_frame(&leave("bob")) && !is_due(&mut reclaim));
        assert!(!reclaim.on_frame(&leave("Alice")) && is_due(&mut reclaim));
        assert!(!is_due(&mut reclaim));
        let id = Some(reclaim.id.clone().into());
        assert!(
            reclaim.on_frame(&Frame::server("", Body::Error { code: ErrorCode::NameKept, id }))
        );
        assert!(!is_due(&mut reclaim));
        let (from, to) = ("alice".into(), "carol".into());
        let name = Body::Name { seq: 2, time: 1, from, to, id: None };
        assert!(!reclaim.on_frame(&Frame::server("", name)) && is_due(&mut reclaim));
    }

    #[test]
    fn name_chosen_by_the_user_is_not_replaced() {
        let mut reclaim = NameReclaim::new(true);
        reclaim.set_names(Some("alice"), "alice-2");
        reclaim.set_names(Some("carol"), "carol");
        let leave = Body::Leave { seq: 1, time: 1, names: vec!["alice".into()] };
        assert!(!reclaim.on_frame(&Frame::server("", leave)) && !is_due(&mut reclaim));
    }
}
