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

impl Color {
    /// Whether to use colours on what is, or is not, a terminal.
    pub fn is_on(self, is_terminal: bool) -> bool {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match self {
            Color::Never => false,
            Color::Always => true,
            Color::Auto => {
                let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                is_terminal && !is_dumb && !is_set("NO_COLOR")
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
    fn what_can_be_chosen_is_what_the_message_names() {
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
    fn without_a_terminal_there_are_no_colours_unless_they_are_asked_for() {
        assert!(!Color::Auto.is_on(false) && !Color::Never.is_on(true));
        assert!(Color::Always.is_on(false) && Color::Always.is_on(true));
    }
}
