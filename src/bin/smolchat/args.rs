//! The values of the options, from the config file, the environment and the arguments.

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use lexopt::ValueExt;
use smolchat::app::script::Script;
use smolchat::app::{Bell, Color, Options, password};
use smolchat::cli::{Program, SMOLCHAT, SMOLCHATD, Shell, parse_switch};
#[cfg(feature = "tls")]
use smolchat::client::{Fingerprint, InvalidFingerprint};
use smolchat::client::{ReconnectPolicy, ServerAddress, SessionConfig};
use smolchat::protocol::{MAX_NAME, is_valid_name};

/// The time without a connection after which a script exits with an error.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// The values of the options, under the names that they have in the [table](SMOLCHAT).
#[derive(Default)]
pub struct Args {
    address: Option<ServerAddress>,
    pub name: Option<String>,
    name_must_match: bool,
    pub password: Option<String>,
    /// Takes precedence over `password`.
    password_file: Option<PathBuf>,
    #[cfg(feature = "tls")]
    tls_pins: Option<Vec<Fingerprint>>,
    from_file: ServerSettings,
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
    /// The error of a setting of the config file without which the client must not connect.
    pub setting_error: Option<(&'static str, String)>,
    pub completions: Option<Shell>,
    pub manual: Option<&'static Program>,
}

/// The settings of the config file that are for its server.
#[derive(Default)]
struct ServerSettings {
    address: Option<ServerAddress>,
    password_file: Option<PathBuf>,
    #[cfg(feature = "tls")]
    tls_pins: Option<Vec<Fingerprint>>,
}

impl Args {
    /// Creates the default values, with the name of the user.
    pub fn new(name: Option<String>) -> Self {
        Args { time: true, presence: true, name, ..Args::default() }
    }

    /// Sets the option with this name.
    pub fn set(&mut self, name: &str, value: OsString) -> Result<(), lexopt::Error> {
        match name {
            "address" => self.address = Some(value.parse()?),
            "name" => self.name = Some(value.parse_with(parse_name)?),
            "name-must-match" => self.name_must_match = value.parse_with(parse_switch)?,
            "password-file" => self.password_file = parse_path(value)?,
            #[cfg(feature = "tls")]
            "tls-pin" => self.tls_pins = Some(value.parse_with(parse_fingerprints)?),
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
        self.setting_error.take_if(|(setting, _)| *setting == name);
        Ok(())
    }

    /// Sets the option of a line of the config file.
    pub fn set_from_file(&mut self, key: &str, value: &str) -> Result<(), lexopt::Error> {
        let Some(option) = SMOLCHAT.find_setting(key) else {
            let names = SMOLCHAT.options.iter().filter(|option| option.is_setting);
            let names = names.map(|option| option.name).collect::<Vec<_>>().join(", ");
            return Err(format!("unknown setting {key:?}, expected one of {names}").into());
        };
        self.set(key, option.normalize(value.into())).map_err(|error| {
            let text = format!("{key}: {}", option.describe_invalid_value(&error));
            // Without them, the client might connect without TLS, or to another server.
            let is_tls = value.split(',').any(|one| ServerAddress::from(one).is_encrypted());
            if key == "tls-pin" || key == "address" && is_tls {
                self.setting_error = Some((option.name, text.clone()));
            }
            text.into()
        })
    }

    /// Ends the config file. If it has an address, then its password and its keys are not used for
    /// another address.
    pub fn end_file(&mut self) {
        self.from_file = ServerSettings {
            address: self.address.clone(),
            password_file: self.password_file.take(),
            #[cfg(feature = "tls")]
            tls_pins: self.tls_pins.take(),
        };
    }

    /// Returns the options of the client, and its script if it is not for a person.
    pub fn into_options(
        self,
        is_terminal: bool,
    ) -> Result<(Options, Option<Script>), lexopt::Error> {
        let is_json = self.json;
        let script = match (self.exec, self.send) {
            (Some(command), lines) if lines.is_empty() => Some(Script::Exec { command, is_json }),
            (Some(_), _) => return Err("--exec and --send cannot be used together".into()),
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
        let ServerSettings { address, .. } = &self.from_file;
        let mut file = match address.is_none() || *address == self.address {
            true => self.from_file,
            false => ServerSettings::default(),
        };
        let from_file = file.password_file.take().filter(|_| self.password.is_none());
        let password_file = self.password_file.or(from_file);
        if let Some(password) = password::find(password_file.as_deref(), self.password)? {
            config = config.password(password);
        }
        let address = self.address.unwrap_or(ServerAddress::Inet("127.0.0.1:8080".into()));
        #[cfg(feature = "tls")]
        for key in find_pins(self.tls_pins, file, &address)? {
            config = config.tls_pin(key);
        }
        let options = Options {
            address,
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

/// Returns the keys that the server of an address may have: those of the option, or else those of
/// the config file. If `tls:` was forgotten, returns an error, so that nothing is sent as plain text.
#[cfg(feature = "tls")]
fn find_pins(
    option: Option<Vec<Fingerprint>>,
    file: ServerSettings,
    address: &ServerAddress,
) -> Result<Vec<Fingerprint>, lexopt::Error> {
    // Without an address, those of the file are for each server with TLS.
    let is_for_address = option.is_some() || file.address.is_some();
    let keys = option.or(file.tls_pins).unwrap_or_default();
    if is_for_address && !keys.is_empty() && !address.is_encrypted() {
        return Err("--tls-pin is for an address that begins with tls:".into());
    }
    Ok(keys)
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
mod tests;
