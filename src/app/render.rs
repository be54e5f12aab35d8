//! Frames as lines of text.

use std::borrow::Cow;

use super::Clock;
use crate::client::sanitize;
use crate::protocol::{Body, Frame};

/// The lines of a message that are shown as such. Later line breaks are shown as `^J`, so that one
/// message does not fill many screens with empty lines.
const MAX_LINES: usize = 200;
/// The distance of tab stops, in columns.
pub const TAB_WIDTH: usize = 4;
/// The indent of the later lines of a message. It differs from those of all first lines.
const INDENT: &str = "        ";

/// Returns a frame as text that is safe to print: one line, or several if the message has several.
///
/// The later lines are indented, so that they cannot be taken for other messages.
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
    let text = sanitize_lines(&frame.data).replace('\n', &format!("\n{INDENT}"));
    format!("{time} {}", render_body(frame, &text))
}

/// Returns a frame as text without its time. `text` is its data as it is shown.
pub fn render_body(frame: &Frame<'_>, text: &str) -> String {
    let name = sanitize(&frame.data_source);
    match &frame.body {
        Body::Action { .. } => format!("* {name} {text}"),
        Body::Join { .. } => format!("--> {text}"),
        Body::Leave { .. } => format!("<-- {text}"),
        Body::Name { .. } => format!("--- {text}"),
        Body::Private { to, .. } => format!("[{name} > {}]  {text}", sanitize(to)),
        Body::Error { .. } => format!("!!! {text}"),
        Body::Gap { .. } | Body::Welcome { .. } | Body::Who { .. } | Body::Info { .. } => {
            format!("-!- {text}")
        }
        Body::Bye { .. } => format!("<<< {text}"),
        Body::Chat { .. } | Body::Unknown => format!("{name}  {text}"),
    }
}

/// Returns a text that is safe to print, with its line breaks, and with spaces for tabs.
pub fn sanitize_lines(text: &str) -> String {
    let text = text.trim_end_matches(['\r', '\n']);
    let lines = text.splitn(MAX_LINES, '\n').map(|line| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        sanitize(&expand_tabs(line))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Replaces tabs by the spaces up to the next tab stop.
pub fn expand_tabs(text: &str) -> Cow<'_, str> {
    let mut parts = text.split('\t');
    let first = parts.next().unwrap_or_default();
    if first.len() == text.len() {
        return text.into();
    }
    let mut column = first.chars().count();
    let mut expanded = first.to_owned();
    for part in parts {
        let spaces = TAB_WIDTH - column % TAB_WIDTH;
        expanded.extend(std::iter::repeat_n(' ', spaces));
        expanded.push_str(part);
        column += spaces + part.chars().count();
    }
    expanded.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabs_become_spaces_up_to_the_next_stop() {
        assert_eq!(expand_tabs("no tab"), "no tab");
        assert_eq!(expand_tabs("\ta\tbcd\te"), "    a   bcd e");
        assert_eq!(expand_tabs("abcd\t好\tx"), "abcd    好   x");
    }

    #[test]
    fn later_lines_of_a_message_are_indented() {
        let frame = |text: &'static str| Frame {
            data_source: "bob".into(),
            data: text.into(),
            body: Body::Chat { seq: 1, time: 0, id: None },
        };
        let shown = |text| render(&frame(text), &Clock::default());
        assert_eq!(shown("a\n\n\tb\r\nc\n"), "00:00 bob  a\n        \n            b\n        c");
        assert_eq!(shown("a\n00:00 eve  hi\u{1b}[2J"), "00:00 bob  a\n        00:00 eve  hi^[[2J");
        assert_eq!(shown("\n"), "00:00 bob  ");
    }

    #[test]
    fn lines_of_one_message_are_bounded() {
        let shown = sanitize_lines(&"x\n".repeat(MAX_LINES + 5));
        assert_eq!(shown.lines().count(), MAX_LINES);
        assert!(shown.ends_with("\nx^Jx^Jx^Jx^Jx^Jx"), "{shown}");
    }
}
