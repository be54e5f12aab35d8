//! How a conversation looks.

use std::str::FromStr;

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// Not at all.
    Never,
    /// On a terminal.
    #[default]
    Auto,
    /// Wherever it goes.
    Always,
}

/// When to ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bell {
    /// Not at all.
    Never,
    /// When somebody says our name, or something to us alone.
    #[default]
    Mention,
    /// With each line that somebody else says.
    Always,
}

impl FromStr for Color {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "never" => Ok(Color::Never),
            "auto" => Ok(Color::Auto),
            "always" => Ok(Color::Always),
            _ => Err("wants never, auto or always"),
        }
    }
}

impl FromStr for Bell {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "never" => Ok(Bell::Never),
            "mention" => Ok(Bell::Mention),
            "always" => Ok(Bell::Always),
            _ => Err("wants never, mention or always"),
        }
    }
}
