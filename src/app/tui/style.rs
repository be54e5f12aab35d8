//! Colours that can be read on dark ground and on light.

use crate::protocol::case_fold;

/// What a piece of text looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As the terminal has it.
    Plain,
    /// What may be overlooked: joins and leaves, what is from before.
    Faint,
    /// A member's name, in a colour of its own.
    Name(u8),
    /// The user's own name.
    Own,
    /// What went wrong.
    Error,
    /// What is between two alone.
    Private,
    /// What calls for the user.
    Highlight,
}

/// Colours of 256 for names, none of which is close to black, to white, or to what means an error.
const NAMES: [u8; 16] = [28, 30, 31, 32, 62, 64, 67, 94, 97, 100, 130, 132, 134, 163, 166, 63];
const FAINT: u8 = 243;
const ERROR: u8 = 160;
const PRIVATE: u8 = 133;

impl Style {
    /// The style of a name: the same for ever, in all clients.
    pub fn of_name(name: &str) -> Style {
        // FNV-1a: the standard library's hash may differ from one release to the next.
        let hash = case_fold(name).bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        let place = (hash ^ (hash >> 32)) as usize % NAMES.len();
        Style::Name(NAMES.get(place).copied().unwrap_or(FAINT))
    }

    /// Appends `text` in this style, or as it is without `colors`.
    pub fn paint(self, colors: bool, text: &str, out: &mut String) {
        let begin = match self {
            _ if !colors => String::new(),
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

    /// How bright a colour of the 256 is, from 0 to 1, by the Web Content Accessibility Guidelines.
    fn luminance(color: u8) -> f64 {
        let linear = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        let step = |value: u8| if value == 0 { 0 } else { 55 + 40 * value };
        let [red, green, blue] = match color {
            16..=231 => {
                let place = color - 16;
                [step(place / 36), step(place / 6 % 6), step(place % 6)]
            }
            232.. => [8 + 10 * (color - 232); 3],
            _ => panic!("{color} is whatever the terminal likes"),
        };
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }

    #[test]
    fn every_colour_has_contrast_on_dark_and_on_light_ground() {
        for color in NAMES.into_iter().chain([FAINT, ERROR, PRIVATE]) {
            let luminance = luminance(color);
            let (on_white, on_black) = (1.05 / (luminance + 0.05), (luminance + 0.05) / 0.05);
            assert!(on_white > 3.4 && on_black > 3.4, "{color}: {on_white:.1} and {on_black:.1}");
        }
    }

    #[test]
    fn a_name_keeps_its_colour_and_names_differ() {
        assert_eq!(Style::of_name("alice"), Style::Name(134));
        assert_eq!(Style::of_name("ALICE"), Style::of_name("alice"));
        let mut colors: Vec<_> =
            (0..100).map(|n| format!("{:?}", Style::of_name(&n.to_string()))).collect();
        colors.sort();
        colors.dedup();
        assert_eq!(colors.len(), NAMES.len());
    }

    #[test]
    fn without_colours_nothing_but_the_text_is_written() {
        let mut out = String::new();
        for style in [Style::Plain, Style::Faint, Style::Own, Style::Highlight, Style::Name(28)] {
            style.paint(false, "x", &mut out);
        }
        assert_eq!(out, "xxxxx");
        Style::Error.paint(true, "no", &mut out);
        assert!(out.ends_with("\x1b[38;5;160mno\x1b[0m"));
    }
}
