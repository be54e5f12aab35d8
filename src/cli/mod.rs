//! What the options of a program are called and what they do, written once.
//!
//! Each program has one table, a [`Program`]. `--help`, the manual page and the completions are
//! made of it, and no argument is accepted that is not in it. What an option then does is a match
//! on its name, in the program: to add one takes one row and one arm.

mod completions;
mod help;
mod manual;
mod smolchat;
mod smolchatd;

use std::ffi::OsString;

use lexopt::{Arg, Error, Parser};

pub use completions::Shell;
pub use smolchat::SMOLCHAT;
pub use smolchatd::SMOLCHATD;

/// A program, as its help and its manual page describe it.
///
/// In its texts, what stands in `` ` `` is what has to be typed, or is printed, as it is.
#[derive(Debug)]
pub struct Program {
    /// What it is called.
    pub name: &'static str,
    /// What it is, in a few words.
    pub summary: &'static str,
    /// What follows the name in a command.
    pub usage: &'static str,
    /// What it can be told.
    pub options: &'static [OptionSpec],
    /// What else there is to know: paragraphs for the help and the manual.
    pub notes: &'static [&'static str],
    /// What there is to know beyond that, for the manual.
    pub sections: &'static [Section],
    /// Commands to begin with.
    pub examples: &'static [Example],
    /// What its exit codes mean.
    pub exits: &'static [Exit],
    /// Another page to read.
    pub see_also: &'static str,
    /// When its texts were changed last, as year, month and day.
    pub date: &'static str,
}

/// An option, or an argument.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// What it is called, without dashes. It is the key in a file of settings, too.
    pub name: &'static str,
    /// What follows it.
    pub value: ValueKind,
    /// What holds without it, if that can be said.
    pub default: &'static str,
    /// What it does, on a line or two. Where this is empty, the help only names the option.
    pub help: &'static str,
    /// What else it does, in whole sentences, for the manual.
    pub details: &'static str,
    /// Whether it may stand in a file of settings.
    pub is_setting: bool,
}

/// What follows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Nothing, so it is a switch; but `=on` or `=off` may.
    Switch,
    /// It is no option, but an argument.
    Positional(&'static str),
    /// A text.
    Text(&'static str),
    /// One of these.
    Choice(&'static str, &'static [&'static str]),
    /// A path.
    Path(&'static str),
    /// A command.
    Command(&'static str),
}

/// A chapter of a manual.
#[derive(Debug)]
pub struct Section {
    /// What it is called.
    pub title: &'static str,
    /// What is in it.
    pub blocks: &'static [Block],
}

/// A part of a [`Section`].
#[derive(Debug)]
pub enum Block {
    /// A paragraph.
    Text(&'static str),
    /// A word, and what there is to say about it.
    Item(&'static str, &'static str),
    /// Lines to be shown as they are.
    Code(&'static str),
}

/// A command, and what it does.
#[derive(Debug)]
pub struct Example {
    /// What it does.
    pub purpose: &'static str,
    /// As it is typed.
    pub command: &'static str,
}

/// What an exit code means.
#[derive(Debug)]
pub struct Exit {
    /// The code.
    pub code: u8,
    /// What it means, in a few words.
    pub brief: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

impl OptionSpec {
    /// A switch without name and words: what a row is made from.
    pub const DEFAULT: OptionSpec = OptionSpec {
        name: "",
        value: ValueKind::Switch,
        default: "",
        help: "",
        details: "",
        is_setting: false,
    };
    /// `--help`
    pub const HELP: OptionSpec = OptionSpec {
        name: "help",
        details: "Prints a short help. So does `-h`.",
        ..OptionSpec::DEFAULT
    };
    /// `--version`
    pub const VERSION: OptionSpec = OptionSpec {
        name: "version",
        details: "Prints the version. So does `-V`.",
        ..OptionSpec::DEFAULT
    };

    /// As it is typed: `--name`, or `ADDR` for what is no option.
    pub fn flag(&self) -> String {
        match self.value {
            ValueKind::Positional(place) => place.into(),
            _ => format!("--{}", self.name),
        }
    }

    /// The same, with the name of what follows: `--name NAME`.
    pub fn label(&self) -> String {
        match self.value_name() {
            "" => self.flag(),
            value_name => format!("{} {value_name}", self.flag()),
        }
    }

    /// The name of what follows it, if anything does.
    fn value_name(&self) -> &'static str {
        match self.value {
            ValueKind::Switch | ValueKind::Positional(_) => "",
            ValueKind::Text(name)
            | ValueKind::Choice(name, _)
            | ValueKind::Path(name)
            | ValueKind::Command(name) => name,
        }
    }

    fn is_positional(&self) -> bool {
        matches!(self.value, ValueKind::Positional(_))
    }
}

impl Program {
    /// Takes arguments one by one: each has to be in the table, and is then handed to `set`, by
    /// its name and with what followed it (`on` if that is nothing).
    ///
    /// Ends early, with the text to print, where help or version are asked for.
    ///
    /// # Errors
    ///
    /// An option that is not in the table, or lacks its value, and what `set` says.
    pub fn parse_args(
        &self,
        mut arguments: Parser,
        mut set: impl FnMut(&str, OsString) -> Result<(), Error>,
    ) -> Result<Option<String>, Error> {
        let mut places = self.options.iter().filter(|option| option.is_positional());
        while let Some(argument) = arguments.next()? {
            let (option, value) = match argument {
                Arg::Value(value) => match places.next() {
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
                (None, _) => arguments.value()?,
            };
            set(option.name, value).map_err(|error| match error {
                // Of all errors, this one does not say which option it is about.
                Error::ParsingFailed { .. } => format!("{}: {error}", option.flag()).into(),
                error => error,
            })?;
        }
        Ok(None)
    }

    /// The row of what may stand in a file of settings under this name.
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

/// Understands what may follow a switch.
///
/// # Errors
///
/// When it is neither `on` nor `off`.
pub fn parse_switch(text: &str) -> Result<bool, &'static str> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("wants on or off"),
    }
}
