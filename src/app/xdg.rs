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
