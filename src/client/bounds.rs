//! Bounds of the values in a frame, so that no server can make a client hold much memory.

use std::borrow::Cow;

use crate::protocol::{Body, Frame, MAX_NAME};

/// The longest epoch and token of a welcome, in bytes. The client stores both.
const MAX_WORD: usize = 256;
/// The longest text in bytes: that of the largest `--max-line`. On a narrow terminal a text takes
/// a hundred times its size.
const MAX_TEXT: usize = 1 << 20;
/// The length of a line in bytes from which its values are counted.
const LONG_LINE: usize = 128 << 10;
/// The most commas between the values of a line. A value of two bytes takes 60 when it is decoded.
const MAX_COMMAS: usize = 1 << 17;

/// Returns whether a line has so many values that it must not be decoded.
pub fn has_too_many_values(line: &[u8]) -> bool {
    if line.len() < LONG_LINE {
        return false;
    }
    let (mut commas, mut is_string, mut is_escaped) = (0_usize, false, false);
    for &byte in line {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_string,
            b'"' => is_string = !is_string,
            b',' if !is_string => commas += 1,
            _ => {}
        }
    }
    commas > MAX_COMMAS
}

/// Cuts the sender to [`MAX_NAME`] characters, and removes longer names from lists.
///
/// # Errors
///
/// Returns the reason if the frame is a welcome that no session can use.
pub fn bound_values(frame: &mut Frame<'_>) -> Result<(), &'static str> {
    cut_name(&mut frame.data_source);
    cut_text(&mut frame.data);
    match &mut frame.body {
        Body::Welcome { name, .. } if is_too_long(name) => Err("the name in the welcome"),
        Body::Welcome { epoch, .. } if epoch.len() > MAX_WORD => Err("the epoch in the welcome"),
        Body::Welcome { token, .. } if token.len() > MAX_WORD => Err("the token in the welcome"),
        Body::Join { names, .. } | Body::Leave { names, .. } | Body::Who { names, .. } => {
            names.retain(|name| !is_too_long(name));
            Ok(())
        }
        Body::Name { from, to, .. } => {
            cut_name(from);
            cut_name(to);
            Ok(())
        }
        Body::Private { to, .. } => {
            cut_name(to);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn is_too_long(name: &str) -> bool {
    name.len() > MAX_NAME && name.chars().nth(MAX_NAME).is_some()
}

fn cut_name(name: &mut Cow<'_, str>) {
    if is_too_long(name) {
        *name = name.chars().take(MAX_NAME).collect::<String>().into();
    }
}

fn cut_text(text: &mut Cow<'_, str>) {
    let end = text.floor_char_boundary(MAX_TEXT);
    if end < text.len()
        && let Some((start, _)) = text.split_at_checked(end)
    {
        *text = start.to_owned().into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_or_left_out() {
        let long = "ü".repeat(MAX_NAME);
        let names = vec![long.clone().into(), format!("{long}ü").into()];
        let mut frame = Frame {
            data_source: "好".repeat(1000).into(),
            data: "hi".into(),
            body: Body::Join { seq: 1, time: 1, names },
        };
        assert_eq!(bound_values(&mut frame), Ok(()));
        assert_eq!(frame.data_source, "好".repeat(MAX_NAME));
        let Body::Join { names, .. } = frame.body else { panic!("another kind") };
        assert_eq!(names, [long]);
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        for (character, count) in [("x", MAX_TEXT), ("好", MAX_TEXT / 3)] {
            let mut text = character.repeat(count).into();
            cut_text(&mut text);
            assert_eq!(text, character.repeat(count));
            let mut text = character.repeat(count + 1).into();
            cut_text(&mut text);
            assert_eq!(text, character.repeat(count));
        }
    }

    #[test]
    fn values_of_long_line_are_counted_outside_strings() {
        let list = |item: &str, count| format!("[{}0]", item.repeat(count)).into_bytes();
        assert!(has_too_many_values(&list("0,", MAX_COMMAS + 1)));
        assert!(!has_too_many_values(&list("0,", MAX_COMMAS)));
        assert!(!has_too_many_values(&list("0,", LONG_LINE / 2 - 4)));
        let text = format!(r#"["\"{}"]"#, ",".repeat(2 * MAX_COMMAS));
        assert!(!has_too_many_values(text.as_bytes()));
    }
}
