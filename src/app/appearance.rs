//! The settings for the colours and the bell of the terminal client.

use std::env;
use std::str::FromStr;

/// The setting that decides when colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    Never,
    /// On a terminal that shows colours.
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
    ///
    /// `Auto` follows `NO_COLOR` (<https://no-color.org>) and `TERM=dumb`.
    pub fn is_enabled(self, is_terminal: bool) -> bool {
        match self {
            Color::Never => false,
            Color::Always => true,
            Color::Auto => {
                let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
                let is_refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                is_terminal && !is_dumb && !is_refused
            }
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

    #[test]
    fn colours_without_terminal_need_always() {
        assert!(!Color::Auto.is_enabled(false) && !Color::Never.is_enabled(true));
        assert!(Color::Always.is_enabled(false) && Color::Always.is_enabled(true));
    }
}
