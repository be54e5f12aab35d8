//! Frames as lines of text.

use super::Clock;
use crate::client::sanitize;
use crate::protocol::{Body, Frame};

/// Returns a frame as one line of text that is safe to print.
///
/// ```
/// use smolchat::app::{Clock, render};
/// use smolchat::protocol::{Body, Frame};
///
/// let body = Body::Chat { seq: 1, time: 50_580_000, id: None };
/// let frame = Frame { data_source: "alice".into(), data: "hi\u{1b}[2J".into(), body };
/// assert_eq!(render(&frame, &Clock::default()), "14:03 alice  hi^[[2J");
/// ```
pub fn render(frame: &Frame<'_>, clock: &Clock) -> String {
    let time = match frame.body.time() {
        Some(time) => clock.time_of_day(time),
        None => "     ".into(),
    };
    let name = sanitize(&frame.data_source);
    let text = sanitize(&frame.data);
    match &frame.body {
        Body::Action { .. } => format!("{time} * {name} {text}"),
        Body::Join { .. } => format!("{time} --> {text}"),
        Body::Leave { .. } => format!("{time} <-- {text}"),
        Body::Name { .. } => format!("{time} --- {text}"),
        Body::Private { to, .. } => format!("{time} [{name} > {}]  {text}", sanitize(to)),
        Body::Error { .. } => format!("{time} !!! {text}"),
        Body::Gap { .. } | Body::Welcome { .. } | Body::Who { .. } | Body::Info { .. } => {
            format!("{time} -!- {text}")
        }
        Body::Bye { .. } => format!("{time} <<< {text}"),
        Body::Chat { .. } | Body::Unknown => format!("{time} {name}  {text}"),
    }
}
