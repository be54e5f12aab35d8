//! The config file, which sets options of the client permanently.
//!
//! It has one `key = value` per line. Empty lines, and lines that begin with `#`, are ignored.

use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::xdg::base_directory;

/// Returns the path of the config file: `smolchat/config` below `$XDG_CONFIG_HOME` or `~/.config`.
pub fn default_path() -> Option<PathBuf> {
    Some(base_directory("XDG_CONFIG_HOME", ".config")?.join("smolchat/config"))
}

/// Reads the file at `path` and calls `set` with the key and the value of each line.
///
/// Returns one warning for each line that is malformed or that `set` rejects, or for a file that
/// exists and cannot be read.
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
        let result = match std::str::from_utf8(line).map(str::trim) {
            Err(_) => Err("the line is not UTF-8".into()),
            Ok(line) if line.is_empty() || line.starts_with('#') => Ok(()),
            Ok(line) => match line.split_once('=') {
                None => Err(format!("expected `key = value`, found {line:?}")),
                Some((key, value)) => {
                    set(key.trim_end(), value.trim_start()).map_err(|error| error.to_string())
                }
            },
        };
        if let Err(error) = result {
            warnings.push(format!("{}:{number}: {error}", path.display()));
        }
    }
    warnings
}
