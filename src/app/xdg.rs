//! The base directories of the XDG specification.

use std::env;
use std::path::PathBuf;

/// Returns the directory in the environment variable `name`, or else `fallback` below `$HOME`.
///
/// The specification says to ignore a path that is not absolute.
pub fn base_directory(name: &str, fallback: &str) -> Option<PathBuf> {
    let directory = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    directory(name).or_else(|| Some(directory("HOME")?.join(fallback)))
}

/// Returns the directory for the state of the program: the one that the service manager gives, or
/// `smolchat` below `$XDG_STATE_HOME` or `~/.local/state`.
pub fn state_directory() -> Option<PathBuf> {
    let given = env::var_os("STATE_DIRECTORY").and_then(|value| env::split_paths(&value).next());
    given
        .filter(|path| path.is_absolute())
        .or_else(|| Some(base_directory("XDG_STATE_HOME", ".local/state")?.join("smolchat")))
}
