//! Text styles, with colours that are readable on dark and light backgrounds.

use crate::app::stable_hash::stable_hash;
use crate::protocol::case_fold;

/// The style of a piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// The default of the terminal.
    Plain,
    /// Unimportant text: joins, leaves and history.
    Faint,
    /// The name of a member, in one of the 256 colours.
    Name(u8),
    /// The own name of the user.
    Own,
    Error,
    Private,
    /// The author of a message that mentions the user.
    Highlight,
}

/// The colours of names, of the 256 colours. None is close to black, white or the error colour.
const NAMES: [u8; 16] = [28, 30, 31, 32, 62, 64, 67, 94, 97, 100, 130, 132, 134, 163, 166, 63];
const FAINT: u8 = 243;
const ERROR: u8 = 160;
const PRIVATE: u8 = 133;

impl Style {
    /// Returns the style of a name, which is the same in all clients and versions.
    pub fn of_name(name: &str) -> Style {
        let hash = stable_hash(&case_fold(name));
        let index = (hash ^ (hash >> 32)) as usize % NAMES.len();
        let color = NAMES.get(index).copied();
        debug_assert!(color.is_some(), "index {index}");
        Style::Name(color.unwrap_or(FAINT))
    }

    /// Appends `text` in this style, or without any style if `has_colors` is false.
    pub fn paint(self, has_colors: bool, text: &str, out: &mut String) {
        let begin = match self {
            _ if !has_colors => String::new(),
            Style::Plain => String::new(),
            Style::Faint => format!("\x1b[38;5;{FAINT}m"),
            Style::Name(color) => format!("\x1b[38;5;{color}m"),
            Style::Own => "\x1b[1m".into(),
            Style::Error => format!("\x1b[38;5;{ERROR}m"),
            Style::Private => format!("\x1b[38;5;{PRIVATE}m"),
            Style::Highlight => "\x1b[1;7m".into(),
        };
        out.push_str(&begin);
        out.push_str(text);
        if !begin.is_empty() {
            out.push_str("\x1b[0m");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the relative luminance of one of the 256 colours, from 0 to 1, as defined by the Web
    /// Content Accessibility Guidelines.
    fn luminance(color: u8) -> f64 {
        let linear = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        let step = |value: u8| if value == 0 { 0 } else { 55 + 40 * value };
        let [red, green, blue] = match color {
            16..=231 => {
                let index = color - 16;
                [step(index / 36), step(index / 6 % 6), step(index % 6)]
            }
            232.. => [8 + 10 * (color - 232); 3],
            _ => panic!("the terminal chooses colour {color}"),
        };
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }

    #[test]
    fn colours_have_contrast_on_black_and_white() {
        for color in NAMES.into_iter().chain([FAINT, ERROR, PRIVATE]) {
            let luminance = luminance(color);
            let (on_white, on_black) = (1.05 / (luminance + 0.05), (luminance + 0.05) / 0.05);
            assert!(on_white > 3.4 && on_black > 3.4, "{color}: {on_white:.1} and {on_black:.1}");
        }
    }

    #[test]
    fn name_colours_are_fixed_and_spread() {
        assert_eq!(Style::of_name("alice"), Style::Name(134));
        assert_eq!(Style::of_name("ALICE"), Style::of_name("alice"));
        let mut colors: Vec<_> =
            (0..100).map(|n| format!("{:?}", Style::of_name(&n.to_string()))).collect();
        colors.sort();
        colors.dedup();
        assert_eq!(colors.len(), NAMES.len());
    }

    #[test]
    fn text_without_colours_has_no_escape_codes() {
        let mut out = String::new();
        for style in [Style::Plain, Style::Faint, Style::Own, Style::Highlight, Style::Name(28)] {
            style.paint(false, "x", &mut out);
        }
        assert_eq!(out, "xxxxx");
        Style::Error.paint(true, "no", &mut out);
        assert!(out.ends_with("\x1b[38;5;160mno\x1b[0m"));
    }
}
