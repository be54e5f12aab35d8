//! Whatever a server sends, nothing reaches the terminal but text that stays where it is.

use std::error::Error as _;

use smolchat::app::{Clock, render};
use smolchat::client::{Error, sanitize};
use smolchat::protocol::{Body, ByeCode, ErrorCode, Frame};

pub fn run(data: &[u8]) {
    let line = data.split(|&byte| byte == b'\n').next().unwrap_or_default();
    match Frame::decode(line) {
        Ok(frame) => {
            check_frame(&frame);
            // What a client read, it can pass on.
            let mut again = Vec::new();
            frame.encode(&mut again);
            assert_eq!(Frame::decode(&again).unwrap(), frame);
        }
        Err(error) => check_error(&Error::Protocol(error)),
    }
    // The same as the words in each kind of frame.
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
        Body::Who { names: vec![text.into()], more: None, id: None },
        Body::Error { code: ErrorCode::BadName, id: None },
        Body::Bye { code: ByeCode::Unknown, seq },
        Body::Gap { from: 1, to: 2 },
        Body::Info { id, stats: None },
        Body::Unknown,
    ] {
        check_frame(&Frame { data_source: text.into(), data: text.into(), body });
    }
}

fn check_frame(frame: &Frame<'_>) {
    assert_plain(&render(frame, &Clock::default()));
    if let Body::Bye { .. } = frame.body {
        check_error(&Error::Closed(Some(frame.data.to_string())));
    }
}

/// What the program says last, and on one line.
fn check_error(error: &Error) {
    assert_plain(&error.to_string());
    if let Some(cause) = error.source() {
        assert_plain(&cause.to_string());
    }
}

fn check_text(text: &str) {
    let shown = sanitize(text);
    assert_plain(&shown);
    assert_eq!(sanitize(&shown), shown);
    assert!(shown.len() <= 4 * text.len());
    // All else comes through, in the same order.
    let mut rest = shown.chars();
    assert!(text.chars().filter(|&c| !acts(c)).all(|c| rest.any(|shown| shown == c)));
    if !text.contains(acts) {
        assert_eq!(shown, text);
    }
}

#[track_caller]
fn assert_plain(shown: &str) {
    let found = shown.chars().find(|&c| acts(c));
    assert_eq!(found, None, "{shown:?}");
}

/// Characters that a terminal, or what lays out its text, obeys instead of showing them. It is
/// Unicode's list of those that may be ignored, with all controls, line ends and annotations, and
/// without those that letters and emoji are written with: joiners, variation selectors, and the
/// fillers and vowels that take part in a syllable.
fn acts(c: char) -> bool {
    match u32::from(c) {
        0x00..=0x1F | 0x7F..=0x9F => true,
        // Bidirectional controls.
        0x61C | 0x200E..=0x200F | 0x202A..=0x202E | 0x2066..=0x2069 => true,
        // Ends of lines and paragraphs.
        0x2028..=0x2029 => true,
        // Nothing to see: soft hyphen, vowel separator, space without width, word joiner and
        // invisible operators, old format controls, byte order mark.
        0xAD | 0x180E | 0x200B | 0x2060..=0x206F | 0xFEFF => true,
        // Annotations, and what is reserved for the like.
        0xFFF0..=0xFFFB => true,
        // Format controls of shorthand and of music.
        0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A => true,
        // Tags, more variation selectors, and what is reserved for the like.
        0xE0000..=0xE0FFF => true,
        _ => false,
    }
}
