//! Each line from a server is printed as text without control characters.

use std::error::Error as _;

use smolchat::app::{Clock, render};
use smolchat::client::{Error, sanitize};
use smolchat::protocol::{Body, ByeCode, ErrorCode, Frame};

pub fn run(data: &[u8]) {
    let line = data.split(|&byte| byte == b'\n').next().unwrap_or_default();
    match Frame::decode(line) {
        Ok(frame) => {
            check_frame(&frame);
            let mut encoded = Vec::new();
            frame.encode(&mut encoded);
            assert_eq!(Frame::decode(&encoded).unwrap(), frame);
        }
        Err(error) => check_error(&Error::Protocol(error)),
    }
    // The same text in each kind of frame.
    let text = &*String::from_utf8_lossy(line);
    check_text(text);
    let (seq, time, id) = (1, 1_790_000_000_000, None);
    for body in [
        Body::Chat { seq, time, id: Some(text.into()) },
        Body::Action { seq, time, id: None },
        Body::Join { seq, time, names: vec![text.into()] },
        Body::Leave { seq, time, names: vec![text.into()] },
        Body::Name { seq, time, from: text.into(), to: text.into(), id: None },
        Body::Private { time, to: text.into(), id: None },
        Body::Who { names: vec![text.into()], more: None, quiet: vec![text.into()], id: None },
        Body::Error { code: ErrorCode::BadName, id: None },
        Body::Bye { code: ByeCode::Unknown, seq },
        Body::Gap { from: 1, to: 2 },
        Body::Info { seq: None, time: None, topic: Some(text.into()), id, stats: None },
        Body::Unknown,
    ] {
        check_frame(&Frame { data_source: text.into(), data: text.into(), body });
    }
}

fn check_frame(frame: &Frame<'_>) {
    assert_no_controls(&render(frame, &Clock::default()));
    if let Body::Bye { .. } = frame.body {
        check_error(&Error::Closed(Some(frame.data.to_string())));
    }
}

fn check_error(error: &Error) {
    assert_no_controls(&error.to_string());
    if let Some(cause) = error.source() {
        assert_no_controls(&cause.to_string());
    }
}

fn check_text(text: &str) {
    let shown = sanitize(text);
    assert_no_controls(&shown);
    assert_eq!(sanitize(&shown), shown);
    assert!(shown.len() <= 4 * text.len());
    // All other characters are in the output, in the same order.
    let mut rest = shown.chars();
    assert!(text.chars().filter(|&c| !is_control(c)).all(|c| rest.any(|shown| shown == c)));
    if !text.contains(is_control) {
        assert_eq!(shown, text);
    }
}

#[track_caller]
fn assert_no_controls(shown: &str) {
    let found = shown.chars().find(|&c| is_control(c));
    assert_eq!(found, None, "{shown:?}");
}

/// Returns whether a terminal or a text layout may act on a character instead of showing it.
///
/// These are Unicode's default ignorable characters, all controls, line ends and annotations. Not
/// among them are characters that letters and emoji need: joiners, variation selectors, and the
/// fillers and vowels of syllables.
fn is_control(c: char) -> bool {
    match u32::from(c) {
        0x00..=0x1F | 0x7F..=0x9F => true,
        // Bidirectional controls.
        0x61C | 0x200E..=0x200F | 0x202A..=0x202E | 0x2066..=0x2069 => true,
        // Line and paragraph separators.
        0x2028..=0x2029 => true,
        // Soft hyphen, vowel separator, zero width space, word joiner and invisible operators,
        // deprecated format controls, byte order mark.
        0xAD | 0x180E | 0x200B | 0x2060..=0x206F | 0xFEFF => true,
        // Annotations, and reserved characters beside them.
        0xFFF0..=0xFFFB => true,
        // Format controls of shorthand and of music.
        0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A => true,
        // Tags, further variation selectors, and reserved characters beside them.
        0xE0000..=0xE0FFF => true,
        _ => false,
    }
}
