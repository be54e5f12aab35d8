//! `smolchat`, the client: settings and arguments to [`Options`], errors to an exit code.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Parser, ValueExt};
use smolchat::app::script::{self, Script};
use smolchat::app::{Bell, Color, Error as Ended, Options, config_file, run};
use smolchat::cli::{Program, SMOLCHAT, SMOLCHATD, Shell, is_on};
use smolchat::client::{ReconnectPolicy, ServerAddress, SessionConfig};
use smolchat::report_error;

/// How long a script is kept waiting for a link.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match parse() {
        Ok(Invocation::Text(text)) => {
            // A reader that has gone away has read enough.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Invocation::Talk(options, script)) => {
            let done = match script {
                Some(script) => script::run(options, script),
                None => run(options),
            };
            match done {
                Ok(()) => ExitCode::SUCCESS,
                // As a shell says it of a program that did not catch the signal.
                Err(Ended::Signal(number)) => ExitCode::from(128 + number as u8),
                Err(error) => report_error("smolchat", &error, 1),
            }
        }
        Err(error) => {
            let error: Box<dyn Error> =
                format!("{error} (smolchat --help lists the options)").into();
            report_error("smolchat", &*error, 2)
        }
    }
}

enum Invocation {
    /// To print this, and that is all.
    Text(String),
    /// To take part in a conversation: as a person, if there is no script.
    Talk(Options, Option<Script>),
}

/// What the file of settings, the environment and the arguments ask for; each has more say than
/// the one before.
fn parse() -> Result<Invocation, lexopt::Error> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut args = Args { time: true, name: variable("USER"), ..Args::default() };
    let path = config_file::path();
    let warnings =
        path.map(|path| config_file::load(&path, |key, value| args.set_from_file(key, value)));
    args.name = variable("SMOLCHAT_NAME").or(args.name);
    if let Some(text) = SMOLCHAT.take(Parser::from_env(), |name, value| args.set(name, value))? {
        return Ok(Invocation::Text(text));
    }
    if let Some(program) = args.manual {
        return Ok(Invocation::Text(program.manual()));
    }
    if let Some(shell) = args.completions {
        return Ok(Invocation::Text(SMOLCHAT.completions(shell)));
    }
    let (options, script) = args.understood(io::stdin().is_terminal())?;
    for warning in warnings.into_iter().flatten() {
        let _ = writeln!(io::stderr(), "smolchat: {warning}");
    }
    Ok(Invocation::Talk(options, script))
}

/// What was asked for, by the names in the [table](SMOLCHAT).
#[derive(Default)]
struct Args {
    address: Option<ServerAddress>,
    name: Option<String>,
    history: Option<usize>,
    color: Color,
    bell: Bell,
    time: bool,
    no_keep: bool,
    no_reconnect: bool,
    json: bool,
    send: Vec<String>,
    exec: Option<String>,
    completions: Option<Shell>,
    manual: Option<&'static Program>,
}

impl Args {
    fn set(&mut self, name: &str, value: OsString) -> Result<(), lexopt::Error> {
        match name {
            "address" => self.address = Some(value.parse()?),
            "name" => self.name = Some(value.string()?),
            "history" => self.history = Some(value.parse()?),
            "color" => self.color = value.parse()?,
            "bell" => self.bell = value.parse()?,
            "time" => self.time = value.parse_with(is_on)?,
            "no-keep" => self.no_keep = value.parse_with(is_on)?,
            "no-reconnect" => self.no_reconnect = value.parse_with(is_on)?,
            "json" => self.json = value.parse_with(is_on)?,
            "send" => self.send.extend(value.parse_with(lines)?),
            "exec" => self.exec = Some(value.string()?),
            "completions" => self.completions = Some(value.parse()?),
            "manual" => self.manual = Some(value.parse_with(program)?),
            _ => return Err(lexopt::Error::UnexpectedOption(format!("--{name}"))),
        }
        Ok(())
    }

    fn set_from_file(&mut self, key: &str, value: &str) -> Result<(), lexopt::Error> {
        if SMOLCHAT.setting(key).is_none() {
            return Err(format!("there is no setting {key:?}").into());
        }
        self.set(key, value.into()).map_err(|error| format!("{key}: {error}").into())
    }

    fn understood(self, is_terminal: bool) -> Result<(Options, Option<Script>), lexopt::Error> {
        let script = match (self.exec, self.send) {
            (Some(_), send) if !send.is_empty() => {
                return Err("--exec and --send do not go together".into());
            }
            (Some(command), _) => Some(Script::Exec(command)),
            (None, send) if !send.is_empty() => Some(Script::Send(send)),
            _ => Some(Script::Input).filter(|_| self.json),
        };
        let is_patient = match script {
            Some(Script::Exec(_)) => true,
            Some(Script::Send(_)) => false,
            Some(Script::Input) | None => is_terminal,
        };
        let reconnect = match is_patient {
            _ if self.no_reconnect => ReconnectPolicy::Never,
            true => ReconnectPolicy::Always,
            false => ReconnectPolicy::Within(PATIENCE),
        };
        let shown = match script {
            Some(Script::Exec(_) | Script::Send(_)) => 0,
            Some(Script::Input) | None if is_terminal => 20,
            _ => 0,
        };
        let history = self.history.unwrap_or(shown);
        let config = self.name.map_or_else(SessionConfig::default, SessionConfig::new);
        let options = Options {
            address: self.address.unwrap_or(ServerAddress::Inet("127.0.0.1:8080".into())),
            config: config.history(history).keep_name(!self.no_keep),
            reconnect,
            json: self.json,
            color: self.color,
            bell: self.bell,
            time: self.time,
        };
        Ok((options, script))
    }
}

fn program(name: &str) -> Result<&'static Program, &'static str> {
    let known = [&SMOLCHAT, &SMOLCHATD].into_iter().find(|program| program.name == name);
    known.ok_or("wants smolchat or smolchatd")
}

/// The lines of a text that have something in them.
fn lines(text: &str) -> Result<Vec<String>, &'static str> {
    let lines: Vec<String> =
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if lines.is_empty() { Err("wants something to say") } else { Ok(lines) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests state what they expect")]

    use super::*;
    use smolchat::cli::Value;

    fn args(arguments: &[&str]) -> Result<Args, lexopt::Error> {
        let mut args = Args::default();
        SMOLCHAT.take(Parser::from_args(arguments), |name, value| args.set(name, value))?;
        Ok(args)
    }

    #[test]
    fn each_option_of_the_table_is_understood() {
        for option in SMOLCHAT.options {
            let flag = option.flag();
            match option.value {
                Value::Switch => drop(args(&[&flag]).unwrap()),
                Value::Argument(_) => drop(args(&[option.default]).unwrap()),
                Value::Choice(_, words) => {
                    for word in words {
                        args(&[&flag, word]).unwrap();
                    }
                    assert!(option.default.is_empty() || words.contains(&option.default), "{flag}");
                    assert!(args(&[&flag, "perhaps"]).is_err(), "{flag}");
                }
                Value::Text(_) | Value::Path(_) | Value::Command(_) => {
                    args(&[&flag, "7"]).unwrap();
                    assert!(args(&[&flag]).is_err(), "{flag}");
                }
            }
        }
        assert!(args(&["--nonsense"]).is_err());
        assert!(args(&["router", "and another"]).is_err());
    }

    #[test]
    fn the_readme_lists_each_option() {
        let readme = include_str!("../../README.md");
        let chapter = readme.split("\n## ").find(|text| text.starts_with("The client")).unwrap();
        for option in SMOLCHAT.options {
            let label = option.label().replace('|', "\\|");
            assert!(chapter.contains(&format!("`{label}`")), "{label}");
        }
    }

    #[test]
    fn the_manual_lists_each_key_of_the_file() {
        let manual = SMOLCHAT.manual().replace("\\-", "-").replace('\n', " ");
        let keys = manual.split("The keys are ").nth(1).unwrap().split(';').next().unwrap();
        for option in SMOLCHAT.options {
            let key = format!("\\fB{}\\fR", option.name);
            assert_eq!(keys.contains(&key), option.in_file, "{}", option.name);
        }
    }

    #[test]
    fn a_switch_may_be_turned_off_again() {
        assert!(args(&["--no-keep"]).unwrap().no_keep);
        assert!(!args(&["--no-keep", "--no-keep=off"]).unwrap().no_keep);
        assert!(args(&["--no-keep=perhaps"]).is_err());
    }
}
