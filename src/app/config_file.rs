//! The config file, which sets options of the client permanently.
//!
//! It has one `key = value` per line. Empty lines, and lines that begin with `#`, are ignored.

use std::fmt::Display;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use super::xdg::base_directory;
use crate::os::strip_byte_order_mark;
use crate::protocol::case_fold;

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
    let text = strip_byte_order_mark(&text);
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

/// Adds a word to the list of a key, such as `ignore = bob, carol`. Returns whether it was missing.
///
/// The other lines of the file stay as they are. If the file does not exist, it is created.
///
/// # Errors
///
/// Returns an error if the file cannot be read or replaced; it is then unchanged.
pub fn add_to_list(path: &Path, key: &str, word: &str) -> io::Result<bool> {
    edit(path, |text| {
        let mut lines: Vec<Vec<u8>> =
            text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        if lines.iter().filter_map(|line| ListLine::parse(line, key)).any(|list| list.has(word)) {
            return lines.concat();
        }
        let last = lines.iter_mut().rev().find_map(|line| {
            let list = ListLine::parse(line, key)?;
            let separator = match list.words.is_empty() || list.words.ends_with(',') {
                true => " ",
                false => ", ",
            };
            let ListLine { start, words, end } = list;
            let new = format!("{start}{words}{separator}{word}{end}");
            Some((line, new))
        });
        match last {
            Some((line, new)) => *line = new.into(),
            None => {
                if let Some(line) = lines.last_mut().filter(|line| !line.ends_with(b"\n")) {
                    line.push(b'\n');
                }
                lines.push(format!("{key} = {word}\n").into());
            }
        }
        lines.concat()
    })
}

/// Removes a word from the list of a key. Returns whether the list had it.
///
/// # Errors
///
/// Returns an error if the file cannot be read or replaced; it is then unchanged.
pub fn remove_from_list(path: &Path, key: &str, word: &str) -> io::Result<bool> {
    edit(path, |text| {
        let lines = text.split_inclusive(|&byte| byte == b'\n').map(|line| {
            let Some(list) = ListLine::parse(line, key).filter(|list| list.has(word)) else {
                return line.to_vec();
            };
            let rest: Vec<&str> =
                list.iter().filter(|other| case_fold(other) != case_fold(word)).collect();
            match rest[..] {
                [] => Vec::new(),
                _ => format!("{} {}{}", list.start, rest.join(", "), list.end).into(),
            }
        });
        lines.collect::<Vec<_>>().concat()
    })
}

/// A line `key = word, word`.
struct ListLine<'a> {
    /// The key and the equals sign.
    start: &'a str,
    words: &'a str,
    /// The white space and the line end.
    end: &'a str,
}

impl<'a> ListLine<'a> {
    fn parse(line: &'a [u8], key: &str) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let (before, value) = line.split_once('=')?;
        let words = value.trim_end();
        let (start, end) = (line.strip_suffix(value)?, value.strip_prefix(words)?);
        (before.trim() == key).then_some(ListLine { start, words, end })
    }

    fn iter(&self) -> impl Iterator<Item = &'a str> {
        self.words.split(',').map(str::trim).filter(|word| !word.is_empty())
    }

    fn has(&self, word: &str) -> bool {
        self.iter().any(|other| case_fold(other) == case_fold(word))
    }
}

/// Replaces the text of the file, if `change` returns another one. Returns whether it did.
fn edit(path: &Path, change: impl FnOnce(&[u8]) -> Vec<u8>) -> io::Result<bool> {
    // The file behind a symbolic link is replaced, not the link.
    let path = match fs::canonicalize(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => path.to_owned(),
        result => result?,
    };
    let (old, metadata) = match fs::read(&path) {
        Ok(text) => (text, Some(fs::metadata(&path)?)),
        Err(error) if error.kind() == ErrorKind::NotFound => (Vec::new(), None),
        Err(error) => return Err(error),
    };
    let new = change(&old);
    if new == old {
        return Ok(false);
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let new_path = path.with_added_extension(format!("new-{}", std::process::id()));
    let result = write_new(&new_path, &new, metadata).and_then(|()| fs::rename(&new_path, &path));
    if result.is_err() {
        // Ignored: the first error is returned.
        let _ = fs::remove_file(&new_path);
    }
    result.map(|()| true)
}

/// Writes a file with the owner and the permissions of the one that it will replace.
fn write_new(path: &Path, text: &[u8], metadata: Option<Metadata>) -> io::Result<()> {
    let mode = if metadata.is_some() { 0o600 } else { 0o666 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    if let Some(metadata) = metadata {
        // Ignored: without privileges, the owner is the user.
        let _ = fchown(&file, Some(metadata.uid()), Some(metadata.gid()));
        file.set_permissions(metadata.permissions())?;
    }
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::app::temp_dir::TempDir;

    #[test]
    fn list_is_edited_without_other_changes() {
        let dir = TempDir::new();
        let path = dir.path("config");
        for (before, added, removed) in [
            ("", "ignore = bob\n", ""),
            ("name = alice", "name = alice\nignore = bob\n", "name = alice\n"),
            ("ignore=carol\r\n# x\n", "ignore=carol, bob\r\n# x\n", "ignore= carol\r\n# x\n"),
            ("ignore =\nbell = never\n", "ignore = bob\nbell = never\n", "bell = never\n"),
            ("ignore = carol,", "ignore = carol, bob", "ignore = carol"),
            ("# ignore = bob\n", "# ignore = bob\nignore = bob\n", "# ignore = bob\n"),
            (
                "ignore = a\nignore = b\n",
                "ignore = a\nignore = b, bob\n",
                "ignore = a\nignore = b\n",
            ),
        ] {
            // Of the other lines, not even those that are not UTF-8 are changed.
            let invalid = b"\xff = 1\n";
            fs::write(&path, [invalid, before.as_bytes()].concat()).unwrap();
            assert!(add_to_list(&path, "ignore", "bob").unwrap());
            assert!(!add_to_list(&path, "ignore", "BOB").unwrap());
            let read = || {
                let text = fs::read(&path).unwrap();
                String::from_utf8(text.strip_prefix(invalid).unwrap().to_vec()).unwrap()
            };
            assert_eq!(read(), added);
            assert!(remove_from_list(&path, "ignore", "Bob").unwrap());
            assert!(!remove_from_list(&path, "ignore", "bob").unwrap());
            assert_eq!(read(), removed);
        }
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "no other file is left"
        );
    }

    #[test]
    fn link_and_permissions_stay() {
        let dir = TempDir::new();
        let path = dir.path("config");
        let target = dir.path("dotfiles/config");
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(&target, "name = alice\n").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("dotfiles/config", &path).unwrap();
        assert!(add_to_list(&path, "ignore", "bob").unwrap());
        assert!(path.is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), "name = alice\nignore = bob\n");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
        fs::remove_file(&target).unwrap();
        assert!(add_to_list(&path, "ignore", "bob").is_err(), "a dangling link is an error");
        assert!(path.is_symlink());
    }

    #[test]
    fn missing_file_is_created_and_folder_is_refused() {
        let dir = TempDir::new();
        let path = dir.path("config");
        let path = path.join("smolchat/config");
        assert!(!remove_from_list(&path, "ignore", "bob").unwrap());
        assert!(add_to_list(&path, "ignore", "bob").unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "ignore = bob\n");
        assert!(add_to_list(path.parent().unwrap(), "ignore", "bob").is_err());
    }
}
