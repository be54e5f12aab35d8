//! The file in which a person writes down, once, what would else be typed each time.
//!
//! One `key = value` a line; what is empty or begins with `#` is passed over. Which keys there are
//! is none of its business.

use std::env;
use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where the file is: `smolchat/config` below `$XDG_CONFIG_HOME`, or else below `~/.config`.
pub fn path() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))?;
    Some(config.join("smolchat/config"))
}

/// Reads the file, and hands the key and the value of each line to `set`.
///
/// Returns a warning for each line that is none, or that `set` does not accept; or one for the
/// file, if it is there and cannot be read.
pub fn load<E: Display>(
    path: &Path,
    mut set: impl FnMut(&str, &str) -> Result<(), E>,
) -> Vec<String> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => {
            return Vec::new();
        }
        Err(error) => return vec![format!("cannot read {}: {error}", path.display())],
    };
    let mut warnings = Vec::new();
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let done = match std::str::from_utf8(line).map(str::trim) {
            Err(_) => Err("the line is not UTF-8".into()),
            Ok(line) if line.is_empty() || line.starts_with('#') => Ok(()),
            Ok(line) => match line.split_once('=') {
                None => Err("wants `key = value`".into()),
                Some((key, value)) => {
                    set(key.trim_end(), value.trim_start()).map_err(|error| error.to_string())
                }
            },
        };
        if let Err(why) = done {
            warnings.push(format!("{}:{number}: {why}", path.display()));
        }
    }
    warnings
}
