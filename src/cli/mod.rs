//! The command line options of both programs, described in one table per program.
//!
//! The help text, the manual page and the shell completions are generated from the table, a
//! [`Program`], and [`Program::parse_args`] rejects every option that is not in it. The effect of
//! an option is a `match` on its name in the program. A new option therefore needs one table entry
//! and one match arm.

mod completions;
mod help;
mod manual;
mod smolchat;
mod smolchatd;

use std::ffi::OsString;
use std::num::{IntErrorKind, ParseIntError};

use lexopt::{Arg, Error, Parser};

pub use completions::Shell;
pub use smolchat::SMOLCHAT;
pub use smolchatd::SMOLCHATD;

/// The description of a program and its options.
///
/// In all texts, a part between backquotes is literal: input to type, or output of the program.
#[derive(Debug)]
pub struct Program {
    pub name: &'static str,
    /// A noun phrase that describes the program.
    pub summary: &'static str,
    /// The part of the usage line after the name.
    pub usage: &'static str,
    pub options: &'static [OptionSpec],
    /// Paragraphs for the help and the manual.
    pub notes: &'static [&'static str],
    /// Further sections, for the manual only.
    pub sections: &'static [Section],
    pub examples: &'static [Example],
    pub exits: &'static [Exit],
    /// The name of another manual page.
    pub see_also: &'static str,
    /// The day of the last change to the texts, as `YYYY-MM-DD`.
    pub date: &'static str,
}

/// An option or a positional argument.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// The name without dashes, which is also the key in the config file.
    pub name: &'static str,
    pub value: ValueKind,
    /// The default value, or an empty text.
    pub default: &'static str,
    /// A phrase for the help. If it is empty, the help has only the name of the option.
    pub help: &'static str,
    /// Further sentences, for the manual only.
    pub details: &'static str,
    /// Whether the config file may set this option.
    pub is_setting: bool,
}

/// The value that an option takes, with the name of the value in the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// No value, or `=on` or `=off`.
    Switch,
    /// The value is a positional argument.
    Positional(&'static str),
    Text(&'static str),
    /// A word from the list.
    Choice(&'static str, &'static [&'static str]),
    Path(&'static str),
    /// A command for the shell, which is completed as such.
    Command(&'static str),
}

/// A section of a manual page.
#[derive(Debug)]
pub struct Section {
    pub title: &'static str,
    pub blocks: &'static [Block],
}

/// A part of a [`Section`].
#[derive(Debug)]
pub enum Block {
    /// A paragraph, which is wrapped.
    Text(&'static str),
    /// A term and its description.
    Item(&'static str, &'static str),
    /// Lines that are shown as they are.
    Code(&'static str),
}

/// A command line and its purpose.
#[derive(Debug)]
pub struct Example {
    pub purpose: &'static str,
    pub command: &'static str,
}

/// An exit code and its meaning.
#[derive(Debug)]
pub struct Exit {
    pub code: u8,
    /// The meaning as a phrase, for the help.
    pub brief: &'static str,
    /// The meaning as a sentence, for the manual.
    pub meaning: &'static str,
}

impl OptionSpec {
    /// A switch without name and texts, from which the table entries are built.
    pub const DEFAULT: OptionSpec = OptionSpec {
        name: "",
        value: ValueKind::Switch,
        default: "",
        help: "",
        details: "",
        is_setting: false,
    };
    pub const HELP: OptionSpec = OptionSpec {
        name: "help",
        details: "Prints a short help. The short form is `-h`.",
        ..OptionSpec::DEFAULT
    };
    pub const VERSION: OptionSpec = OptionSpec {
        name: "version",
        details: "Prints the version. The short form is `-V`.",
        ..OptionSpec::DEFAULT
    };

    /// Returns the option as typed: `--name`, or the name of a positional argument.
    pub fn flag(&self) -> String {
        match self.value {
            ValueKind::Positional(name) => name.into(),
            _ => format!("--{}", self.name),
        }
    }

    /// Returns the flag with the name of its value: `--name NAME`.
    pub fn label(&self) -> String {
        match self.value_name() {
            "" => self.flag(),
            value_name => format!("{} {value_name}", self.flag()),
        }
    }

    /// Returns the name of the value after the flag, or an empty text if there is none.
    fn value_name(&self) -> &'static str {
        match self.value {
            ValueKind::Switch | ValueKind::Positional(_) => "",
            ValueKind::Text(name)
            | ValueKind::Choice(name, _)
            | ValueKind::Path(name)
            | ValueKind::Command(name) => name,
        }
    }

    /// Returns a word of a [`Choice`](ValueKind::Choice) as it is in the list, and that of a
    /// [`Switch`](ValueKind::Switch) as `on` or `off`, whatever the case of its letters. Any other
    /// value is returned unchanged.
    pub fn normalize(&self, value: OsString) -> OsString {
        let words = match self.value {
            ValueKind::Choice(_, words) => words,
            ValueKind::Switch => &["on", "off"],
            _ => return value,
        };
        match words.iter().find(|word| value.eq_ignore_ascii_case(word)) {
            Some(word) => word.into(),
            None => value,
        }
    }

    /// Returns the message for a value that could not be parsed.
    pub fn describe_invalid_value(&self, error: &Error) -> String {
        let Error::ParsingFailed { value, error: cause } = error else { return error.to_string() };
        let number = match self.value_name() {
            "SECS" => "a whole number of seconds",
            "MS" => "a whole number of milliseconds",
            _ => "a whole number",
        };
        match cause.downcast_ref::<ParseIntError>().map(ParseIntError::kind) {
            // Larger ones are accepted where the number is one of 64 bits.
            Some(IntErrorKind::PosOverflow) => {
                format!("{value} is too large, expected {number} of at most {}", u32::MAX)
            }
            Some(_) => format!("expected {number}, found {value:?}"),
            None => error.to_string(),
        }
    }

    fn describe_missing_value(&self) -> String {
        let expected = match self.value {
            ValueKind::Choice(_, words) => words.join(", "),
            _ => self.value_name().into(),
        };
        format!("{}: the value is missing, expected {expected}", self.flag())
    }

    fn is_positional(&self) -> bool {
        matches!(self.value, ValueKind::Positional(_))
    }
}

impl Program {
    /// Parses the arguments and calls `set` with the name and the value of each option, in order.
    ///
    /// The value of a switch is `on` if none is given. Parsing stops at `--help` and `--version`;
    /// the text to print is then returned.
    ///
    /// # Errors
    ///
    /// Returns an error if an option is not in the table or lacks its value, or if `set` fails.
    pub fn parse_args(
        &self,
        mut arguments: Parser,
        mut set: impl FnMut(&str, OsString) -> Result<(), Error>,
    ) -> Result<Option<String>, Error> {
        let mut positionals = self.options.iter().filter(|option| option.is_positional());
        while let Some(argument) = arguments.next()? {
            let (option, value) = match argument {
                Arg::Value(value) => match positionals.next() {
                    Some(option) => (option, Some(value)),
                    None => return Err(Arg::Value(value).unexpected()),
                },
                Arg::Short('h') => (&OptionSpec::HELP, None),
                Arg::Short('V') => (&OptionSpec::VERSION, None),
                Arg::Long(name) => match self.find_option(name) {
                    Some(option) => (option, None),
                    None => return Err(argument.unexpected()),
                },
                argument => return Err(argument.unexpected()),
            };
            if let Some(text) = self.builtin_output(option.name) {
                return Ok(Some(text));
            }
            let value = match (value, option.value) {
                (Some(value), _) => value,
                (None, ValueKind::Switch) => arguments.optional_value().unwrap_or("on".into()),
                (None, _) => arguments.value().map_err(|_| option.describe_missing_value())?,
            };
            set(option.name, option.normalize(value)).map_err(|error| match error {
                // The only error whose message does not name the option.
                Error::ParsingFailed { .. } => {
                    format!("{}: {}", option.flag(), option.describe_invalid_value(&error)).into()
                }
                error => error,
            })?;
        }
        Ok(None)
    }

    /// Returns the option with this name if the config file may set it.
    pub fn find_setting(&self, name: &str) -> Option<&'static OptionSpec> {
        self.options.iter().find(|option| option.is_setting && option.name == name)
    }

    fn find_option(&self, name: &str) -> Option<&'static OptionSpec> {
        self.options.iter().find(|option| !option.is_positional() && option.name == name)
    }

    fn builtin_output(&self, option: &str) -> Option<String> {
        match option {
            "help" => Some(self.help()),
            "version" => Some(format!("{} {}\n", self.name, env!("CARGO_PKG_VERSION"))),
            _ => None,
        }
    }
}

/// Parses the value of a switch.
///
/// # Errors
///
/// Returns an error if `text` is neither `on` nor `off`.
pub fn parse_switch(text: &str) -> Result<bool, &'static str> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off"),
    }
}
