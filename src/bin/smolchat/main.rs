//! `smolchat`, the client: converts config file and arguments to [`Options`], and errors to an exit
//! code.

use std::convert::Infallible;
use std::error::Error;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Parser, ValueExt};
use smolchat::app::password::{self, PASSWORD_VARIABLE};
use smolchat::app::script::{self, Script};
use smolchat::app::{Bell, Color, Error as Ended, Options, config_file, run};
use smolchat::cli::{Program, SMOLCHAT, SMOLCHATD, Shell, parse_switch};
#[cfg(feature = "tls")]
use smolchat::client::{Fingerprint, InvalidFingerprint};
use smolchat::client::{ReconnectPolicy, ServerAddress, SessionConfig};
use smolchat::protocol::{MAX_NAME, is_valid_name};
use smolchat::report_error;

/// The time without a connection after which a script exits with an error.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match parse() {
        Ok(Invocation::Text(text)) => match io::stdout().write_all(text.as_bytes()) {
            // The reader may close the pipe early, like `head`.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                report_error("smolchat", &Ended::Output(error), 1)
            }
            _ => ExitCode::SUCCESS,
        },
        Ok(Invocation::Run(options, script)) => {
            let result = match script {
                Some(script) => script::run(*options, script),
                None => run(*options),
            };
            match result {
                Ok(()) => ExitCode::SUCCESS,
                // The exit code that a shell reports for a program killed by the signal.
                Err(Ended::Signal(number)) => ExitCode::from(128 + number as u8),
                Err(error) => {
                    let code = report_error("smolchat", &error, 1);
                    if let Some(remedy) = error.remedy() {
                        let _ = writeln!(io::stderr(), "smolchat: {remedy}");
                    }
                    code
                }
            }
        }
        Err(error) => {
            let error: Box<dyn Error> =
                format!("{error} (smolchat --help lists the options)").into();
            report_error("smolchat", &*error, 2)
        }
    }
}

/// The action that the arguments select.
enum Invocation {
    /// Prints the text and exits.
    Text(String),
    /// Connects to the server, for a person at the keyboard if there is no script.
    Run(Box<Options>, Option<Script>),
}

/// Reads the config file, the environment and the arguments; the later takes precedence.
fn parse() -> Result<Invocation, lexopt::Error> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut args = Args { time: true, presence: true, name: variable("USER"), ..Args::default() };
    let path = config_file::default_path();
    let warnings =
        path.map(|path| config_file::load(&path, |key, value| args.set_from_file(key, value)));
    args.name = variable("SMOLCHAT_NAME").or(args.name);
    if let Some(password) = variable(PASSWORD_VARIABLE) {
        (args.password, args.password_file) = (Some(password), None);
    }
    if let Some(text) =
        SMOLCHAT.parse_args(Parser::from_env(), |name, value| args.set(name, value))?
    {
        return Ok(Invocation::Text(text));
    }
    if let Some(program) = args.manual {
        return Ok(Invocation::Text(program.manual()));
    }
    if let Some(shell) = args.completions {
        return Ok(Invocation::Text(SMOLCHAT.completions(shell)));
    }
    let (options, script) = args.into_options(io::stdin().is_terminal())?;
    for warning in warnings.into_iter().flatten() {
        let _ = writeln!(io::stderr(), "smolchat: {warning}");
    }
    Ok(Invocation::Run(Box::new(options), script))
}

/// The values of the options, under the names that they have in the [table](SMOLCHAT).
#[derive(Default)]
struct Args {
    address: Option<ServerAddress>,
    name: Option<String>,
    name_must_match: bool,
    password: Option<String>,
    /// Takes precedence over `password`.
    password_file: Option<PathBuf>,
    #[cfg(feature = "tls")]
    tls_pins: Vec<Fingerprint>,
    history: Option<usize>,
    color: Color,
    bell: Bell,
    time: bool,
    ignore: Vec<String>,
    highlights: Vec<String>,
    presence: bool,
    log: Option<PathBuf>,
    no_keep: bool,
    no_reconnect: bool,
    /// By default, a client for `--send` is quiet.
    quiet: Option<bool>,
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
            "name" => self.name = Some(value.parse_with(parse_name)?),
            "name-must-match" => self.name_must_match = value.parse_with(parse_switch)?,
            "password-file" => self.password_file = parse_path(value)?,
            #[cfg(feature = "tls")]
            "tls-pin" => self.tls_pins = value.parse_with(parse_fingerprints)?,
            #[cfg(not(feature = "tls"))]
            "tls-pin" => return Err("this build has no TLS".into()),
            "history" => self.history = Some(value.parse()?),
            "color" => self.color = value.parse()?,
            "bell" => self.bell = value.parse()?,
            "time" => self.time = value.parse_with(parse_switch)?,
            "ignore" => self.ignore.extend(value.parse_with(parse_names)?),
            "highlight" => self.highlights = value.parse_with(parse_words)?,
            "presence" => self.presence = value.parse_with(parse_switch)?,
            "log" => self.log = parse_path(value)?,
            "no-keep" => self.no_keep = value.parse_with(parse_switch)?,
            "no-reconnect" => self.no_reconnect = value.parse_with(parse_switch)?,
            "quiet" => self.quiet = Some(value.parse_with(parse_switch)?),
            "json" => self.json = value.parse_with(parse_switch)?,
            "send" => self.send.extend(value.parse_with(parse_send_lines)?),
            "exec" => self.exec = Some(value.string()?),
            "completions" => self.completions = Some(value.parse()?),
            "manual" => self.manual = Some(value.parse_with(parse_program)?),
            _ => return Err(lexopt::Error::UnexpectedOption(format!("--{name}"))),
        }
        Ok(())
    }

    fn set_from_file(&mut self, key: &str, value: &str) -> Result<(), lexopt::Error> {
        let Some(option) = SMOLCHAT.find_setting(key) else {
            let names = SMOLCHAT.options.iter().filter(|option| option.is_setting);
            let names = names.map(|option| option.name).collect::<Vec<_>>().join(", ");
            return Err(format!("unknown setting {key:?}, expected one of {names}").into());
        };
        self.set(key, option.normalize(value.into()))
            .map_err(|error| format!("{key}: {}", option.describe_invalid_value(&error)).into())
    }

    fn into_options(self, is_terminal: bool) -> Result<(Options, Option<Script>), lexopt::Error> {
        let is_json = self.json;
        let script = match (self.exec, self.send) {
            (Some(_), lines) if !lines.is_empty() => {
                return Err("--exec and --send cannot be used together".into());
            }
            (Some(command), _) => Some(Script::Exec { command, is_json }),
            (None, lines) if !lines.is_empty() => Some(Script::Send { lines, is_json }),
            _ if is_json => Some(Script::JsonInput),
            _ => None,
        };
        let (has_timeout, history) = match script {
            Some(Script::Exec { .. }) => (false, 0),
            Some(Script::Send { .. }) => (true, 0),
            Some(Script::JsonInput) | None if is_terminal => (false, 20),
            Some(Script::JsonInput) | None => (true, 0),
        };
        let reconnect = match has_timeout {
            _ if self.no_reconnect => ReconnectPolicy::Never,
            true => ReconnectPolicy::Within(RECONNECT_TIMEOUT),
            false => ReconnectPolicy::Always,
        };
        let history = self.history.unwrap_or(history);
        let is_quiet = self.quiet.unwrap_or(matches!(script, Some(Script::Send { .. })));
        let mut config = self.name.map_or_else(SessionConfig::default, SessionConfig::new);
        let password = match self.password_file {
            Some(path) => Some(password::read_file(&path)),
            None => self.password.map(|password| password::check(&password)),
        };
        if let Some(password) = password.transpose()? {
            config = config.password(password);
        }
        #[cfg(feature = "tls")]
        for key in self.tls_pins {
            config = config.tls_pin(key);
        }
        let options = Options {
            address: self.address.unwrap_or(ServerAddress::Inet("127.0.0.1:8080".into())),
            config: config
                .history(history)
                .keep_name(!self.no_keep)
                .quiet(is_quiet)
                .reclaim_name(true)
                .require_name(self.name_must_match),
            reconnect,
            color: self.color,
            bell: self.bell,
            has_timestamps: self.time,
            ignored: self.ignore,
            highlights: self.highlights,
            has_presence: self.presence,
            log: self.log,
        };
        Ok((options, script))
    }
}

fn parse_name(name: &str) -> Result<String, String> {
    if is_valid_name(name) {
        return Ok(name.into());
    }
    Err(format!("expected 1 to {MAX_NAME} letters, digits, - _ or ., and not a form of server"))
}

/// Parses names that are separated by commas.
fn parse_names(text: &str) -> Result<Vec<String>, String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(parse_name).collect()
}

/// Parses fingerprints that are separated by commas.
#[cfg(feature = "tls")]
fn parse_fingerprints(text: &str) -> Result<Vec<Fingerprint>, InvalidFingerprint> {
    text.split(',').map(str::trim).filter(|key| !key.is_empty()).map(str::parse).collect()
}

/// Parses words that are separated by commas.
fn parse_words(text: &str) -> Result<Vec<String>, Infallible> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    Ok(words.map(str::to_owned).collect())
}

/// Returns the path of a file, with the home directory in place of `~`, or `None` if it is empty.
fn parse_path(value: OsString) -> Result<Option<PathBuf>, lexopt::Error> {
    let error = |error: &str| {
        Err(lexopt::Error::ParsingFailed {
            value: value.to_string_lossy().into_owned(),
            error: error.into(),
        })
    };
    let path = Path::new(&value);
    match path.components().next() {
        None => Ok(None),
        Some(Component::Normal(first)) if first == "~" => {
            let Some(home) = std::env::var_os("HOME").filter(|home| !home.is_empty()) else {
                return error("expected a path without ~, because $HOME is not set");
            };
            Ok(Some(PathBuf::from(home).join(path.strip_prefix("~").unwrap_or(path))))
        }
        Some(Component::Normal(first)) if first.as_encoded_bytes().starts_with(b"~") => {
            error("expected a path; only ~/ is replaced, by your home directory")
        }
        Some(_) => Ok(Some(path.to_owned())),
    }
}

fn parse_program(name: &str) -> Result<&'static Program, &'static str> {
    let program = [&SMOLCHAT, &SMOLCHATD].into_iter().find(|program| program.name == name);
    program.ok_or("expected smolchat or smolchatd")
}

/// Splits a text into its lines, without the empty ones.
fn parse_send_lines(text: &str) -> Result<Vec<String>, &'static str> {
    let lines: Vec<String> =
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if lines.is_empty() { Err("expected a text that is not empty") } else { Ok(lines) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests state what they expect")]

    use super::*;
    use smolchat::cli::ValueKind;

    fn args(arguments: &[&str]) -> Result<Args, lexopt::Error> {
        let mut args = Args::default();
        SMOLCHAT.parse_args(Parser::from_args(arguments), |name, value| args.set(name, value))?;
        Ok(args)
    }

    #[test]
    fn every_option_of_the_table_is_accepted() {
        for option in SMOLCHAT.options.iter().filter(|option| option.name != "tls-pin") {
            let flag = option.flag();
            match option.value {
                ValueKind::Switch => {
                    args(&[&flag]).unwrap();
                    args(&[&format!("{flag}=OFF")]).unwrap();
                }
                ValueKind::Positional(_) => drop(args(&[option.default]).unwrap()),
                ValueKind::Choice(_, words) => {
                    for word in words {
                        args(&[&flag, word]).unwrap();
                        args(&[&flag, &word.to_uppercase()]).unwrap();
                    }
                    assert!(option.default.is_empty() || words.contains(&option.default), "{flag}");
                    assert!(args(&[&flag, "perhaps"]).is_err(), "{flag}");
                }
                ValueKind::Text(_) | ValueKind::Path(_) | ValueKind::Command(_) => {
                    args(&[&flag, "7"]).unwrap();
                    assert!(args(&[&flag]).is_err(), "{flag}");
                }
            }
        }
        assert!(args(&["--nonsense"]).is_err());
        assert!(args(&["router", "and another"]).is_err());
    }

    #[test]
    fn error_of_a_number_names_option_and_value() {
        let error = |value| args(&["--history", value]).err().unwrap().to_string();
        assert_eq!(error("many"), "--history: expected a whole number, found \"many\"");
        assert_eq!(error("-1"), "--history: expected a whole number, found \"-1\"");
        assert_eq!(
            error(&"9".repeat(30)),
            format!(
                "--history: {} is too large, expected a whole number of at most 4294967295",
                "9".repeat(30)
            )
        );
        let error = Args::default().set_from_file("history", "").unwrap_err().to_string();
        assert_eq!(error, "history: expected a whole number, found \"\"");
    }

    #[test]
    #[cfg(feature = "tls")]
    fn fingerprints_are_checked() {
        let key = "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0";
        let args_with = |value: &str| args(&["--tls-pin", value]).map(|args| args.tls_pins.len());
        assert_eq!(args_with(&format!("{key}, {key}=")).unwrap(), 2);
        assert_eq!(args_with("").unwrap(), 0);
        let error = args_with("SHA256:x").unwrap_err().to_string();
        assert!(error.contains("--tls-pin") && error.contains("expected SHA256:"), "{error}");
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn encryption_is_refused_without_tls() {
        for arguments in [["--tls-pin=SHA256:x"], ["tls:router"], ["TLS:router:8080"]] {
            let error = args(&arguments).err().unwrap().to_string();
            assert!(error.contains("this build has no TLS"), "{error}");
        }
    }

    #[test]
    fn invalid_name_is_a_usage_error() {
        assert_eq!(args(&["--name", "al.ice_1"]).unwrap().name.unwrap(), "al.ice_1");
        for name in ["", "al ice", "Server", &"x".repeat(MAX_NAME + 1)] {
            let error = args(&["--name", name]).err().unwrap().to_string();
            assert!(error.contains("--name") && error.contains("letters, digits"), "{error}");
        }
    }

    #[test]
    fn home_directory_replaces_tilde() {
        let home = std::env::var("HOME").unwrap();
        let log = |value| args(&["--log", value]).map(|args| args.log.unwrap());
        assert_eq!(log("~/chat.log").unwrap(), Path::new(&home).join("chat.log"));
        assert_eq!(log("a/~/b").unwrap(), Path::new("a/~/b"));
        assert!(args(&["--log", "a", "--log", ""]).unwrap().log.is_none());
        let error = log("~alice/chat.log").err().unwrap().to_string();
        assert!(error.starts_with("--log: ") && error.contains("expected a path"), "{error}");
    }

    #[test]
    fn highlight_takes_words_and_phrases() {
        let words = |value| args(&["--highlight", value]).unwrap().highlights;
        assert_eq!(words("deploy, on fire ,, "), ["deploy", "on fire"]);
        assert_eq!(words(""), [""; 0]);
    }

    #[test]
    fn documentation_lists_every_option() {
        let page = include_str!("../../../docs/client.md");
        let chapter = page.split("\n## ").find(|text| text.starts_with("Options")).unwrap();
        for option in SMOLCHAT.options {
            let label = option.label().replace('|', "\\|");
            assert!(chapter.contains(&format!("`{label}`")), "{label}");
        }
    }

    #[test]
    fn manual_has_keys_and_commands_of_the_page() {
        let page = include_str!("../../../docs/client.md");
        let manual = SMOLCHAT.manual();
        for title in ["Keys", "Commands"] {
            let chapter = page.split("\n## ").find(|text| text.starts_with(title)).unwrap();
            let section = manual.split(".SH ").find(|text| text.starts_with(&title.to_uppercase()));
            let section = section.unwrap().replace("\\fB", "").replace("\\fR", "");
            let section = section.replace('\\', "");
            let rows = chapter.lines().filter_map(|line| line.strip_prefix("| "));
            let rows =
                rows.filter(|row| !row.starts_with("key |") && !row.starts_with("command |"));
            let mut count = 0;
            for row in rows.map(|row| row.replace("\\|", "/")) {
                let cell = row.split(" | ").next().unwrap().replace('`', "");
                for term in cell.split(", ") {
                    let term = term.split(' ').next().unwrap().replace('\\', "");
                    assert!(section.contains(&term), "{title} of the manual has no {term}");
                    count += 1;
                }
            }
            assert!(count > 10, "{title}");
        }
    }

    #[test]
    fn manual_lists_every_config_key() {
        let manual = SMOLCHAT.manual().replace("\\-", "-").replace('\n', " ");
        let keys = manual.split("The keys are ").nth(1).unwrap().split(';').next().unwrap();
        for option in SMOLCHAT.options {
            let key = format!("\\fB{}\\fR", option.name);
            assert_eq!(keys.contains(&key), option.is_setting, "{}", option.name);
        }
    }

    #[test]
    fn switch_can_be_turned_off_again() {
        assert!(args(&["--no-keep"]).unwrap().no_keep);
        assert!(!args(&["--no-keep", "--no-keep=off"]).unwrap().no_keep);
        assert!(args(&["--no-keep=perhaps"]).is_err());
    }
}
