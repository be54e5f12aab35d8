//! The settings for the colours and the bell of the terminal client.

use std::env;
use std::str::FromStr;

/// The setting that decides when colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    Never,
    /// Unless the variable `NO_COLOR` is set (<https://no-color.org>).
    #[default]
    Auto,
    Always,
}

/// The setting that decides when the terminal rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bell {
    Never,
    /// For a private message, and for a message with the user's name.
    #[default]
    Mention,
    /// For each message of another member.
    Always,
}

impl Color {
    /// Returns whether colours are used.
    pub fn is_enabled(self) -> bool {
        match self {
            Color::Never => false,
            Color::Always => true,
            Color::Auto => env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }
}

impl FromStr for Color {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "never" => Ok(Color::Never),
            "auto" => Ok(Color::Auto),
            "always" => Ok(Color::Always),
            _ => Err("expected never, auto or always"),
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
            _ => Err("expected never, mention or always"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_named_in_the_error_are_accepted() {
        for (text, color) in
            [("never", Color::Never), ("auto", Color::Auto), ("always", Color::Always)]
        {
            assert_eq!(text.parse(), Ok(color));
        }
        for (text, bell) in
            [("never", Bell::Never), ("mention", Bell::Mention), ("always", Bell::Always)]
        {
            assert_eq!(text.parse(), Ok(bell));
        }
        assert_eq!("sometimes".parse::<Color>(), Err("expected never, auto or always"));
        assert_eq!("auto".parse::<Bell>(), Err("expected never, mention or always"));
    }
}
