//! The file `known_servers`: the keys of servers that the user has trusted.
//!
//! Each line has a server, as `HOST:PORT`, and the fingerprint of a key of it, as `SHA256:…`. A
//! server may have several lines. Empty lines, and lines that begin with `#`, are ignored.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Error;
use super::xdg::state_directory;
use crate::client::{self, Fingerprint, ServerAddress, SessionConfig};
use crate::os::{open_regular, strip_byte_order_mark};

/// The name of the file, in the directory for the state of the program.
const FILE_NAME: &str = "known_servers";

/// A line of the file about one server.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// The number of the line, from 1.
    pub line: usize,
    pub key: Fingerprint,
}

/// Returns the path of the file, if there is a directory for it.
pub fn path() -> Option<PathBuf> {
    Some(state_directory()?.join(FILE_NAME))
}

/// Adds the known keys of a server with `tls:` to `config`, unless it has keys.
///
/// # Errors
///
/// Returns an error if the file cannot be read: a key that has changed would not be noticed.
pub fn add_known_keys(
    mut config: SessionConfig,
    address: &ServerAddress,
) -> Result<SessionConfig, Error> {
    let servers = address.encrypted_servers();
    if !servers.is_empty()
        && !config.has_tls_pins()
        && let Some(path) = path()
    {
        let keys = load_all(&path, &servers).map_err(|error| Error::KnownServers(path, error))?;
        for (server, KnownKey { key, .. }) in keys {
            config = config.known_key(&server, key);
        }
    }
    Ok(config)
}

/// Adds a key that the user trusts.
///
/// # Errors
///
/// Returns a message if the file cannot be written.
pub fn remember(address: &ServerAddress, key: &str) -> Result<(), String> {
    let (ServerAddress::Tls(server), Ok(key)) = (address, key.parse()) else { return Ok(()) };
    let path = path().ok_or("there is no directory for known keys: $HOME is not set")?;
    add(&path, server, &key)
        .map_err(|error| format!("cannot write {}: {error}; the key is not kept", path.display()))
}

/// Returns the remedy for a key that is not trusted, or `None` for other errors.
pub fn describe_remedy(error: &client::Error) -> Option<String> {
    match error {
        client::Error::UnknownKey { found, .. } => {
            Some(format!("if this is the key of your server, pass --tls-pin {found}"))
        }
        client::Error::KeyChanged { address: ServerAddress::Tls(server), expected, .. } => {
            let path = path().unwrap_or_default();
            let keys = load(&path, server).unwrap_or_default();
            let known = keys.iter().filter(|known| expected.contains(&known.key.to_string()));
            let lines: Vec<_> = known.map(|known| known.line.to_string()).collect();
            let action = match lines.as_slice() {
                [] => "change --tls-pin".into(),
                [line] => format!("delete line {line} of {}", path.display()),
                lines => format!("delete the lines {} of {}", lines.join(", "), path.display()),
            };
            Some(format!(
                "another server may answer in its place; if the new key is right, {action}"
            ))
        }
        _ => None,
    }
}

/// Returns the known keys of a server.
///
/// # Errors
///
/// Returns an error if the file exists and cannot be read, or if a line about the server has no
/// valid fingerprint.
pub fn load(path: &Path, server: &str) -> io::Result<Vec<KnownKey>> {
    let keys = load_all(path, &[server])?.into_iter();
    Ok(keys.filter(|(other, _)| other.eq_ignore_ascii_case(server)).map(|(_, key)| key).collect())
}

/// Reads the keys of all servers, because a server may name others. Only a line of one of `servers`
/// has to have a key.
fn load_all(path: &Path, servers: &[&str]) -> io::Result<Vec<(String, KnownKey)>> {
    let mut text = Vec::new();
    match open_regular(path).and_then(|mut file| file.read_to_end(&mut text)) {
        Ok(_) => {}
        Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(strip_byte_order_mark(&text));
    let mut keys = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let mut words = text.split_whitespace();
        let Some(server) = words.next().filter(|word| !word.starts_with('#')) else { continue };
        match words.next().unwrap_or_default().parse() {
            Ok(key) => keys.push((server.to_owned(), KnownKey { line, key })),
            Err(error) if servers.iter().any(|one| one.eq_ignore_ascii_case(server)) => {
                return Err(io::Error::other(format!("line {line}: {error}")));
            }
            Err(_) => {}
        }
    }
    Ok(keys)
}

/// Appends a line to the file, which only the user can read.
///
/// # Errors
///
/// Returns an error if the file cannot be written.
pub fn add(path: &Path, server: &str, key: &Fingerprint) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file =
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let start = if text.last().is_none_or(|byte| *byte == b'\n') { "" } else { "\n" };
    // A single write, so that the lines of two clients are not mixed.
    file.write_all(format!("{start}{server} {key}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::app::temp_dir::TempDir;

    fn key(spki: &str) -> Fingerprint {
        Fingerprint::of_spki(spki.as_bytes())
    }

    #[test]
    fn added_key_is_known_for_its_server_alone() {
        let dir = TempDir::new();
        let path = dir.path("state/known_servers");
        assert_eq!(load(&path, "router:8080").unwrap(), []);
        add(&path, "router:8080", &key("a")).unwrap();
        add(&path, "[::1]:9", &key("b")).unwrap();
        add(&path, "router:8080", &key("c")).unwrap();
        let keys = load(&path, "ROUTER:8080").unwrap();
        let expected = [KnownKey { line: 1, key: key("a") }, KnownKey { line: 3, key: key("c") }];
        assert_eq!(keys, expected);
        assert_eq!(load(&path, "[::1]:9").unwrap(), [KnownKey { line: 2, key: key("b") }]);
        assert_eq!(load(&path, "router:80").unwrap(), []);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn first_line_after_a_byte_order_mark_is_known() {
        let dir = TempDir::new();
        let path = dir.path("known_servers");
        fs::write(&path, format!("\u{FEFF}router:9 {}\n", key("a"))).unwrap();
        assert_eq!(load(&path, "router:9").unwrap(), [KnownKey { line: 1, key: key("a") }]);
    }

    #[test]
    fn edited_file_keeps_its_lines() {
        let dir = TempDir::new();
        let path = dir.path("known_servers");
        let text = format!("# home\n\n  router:9\t{} bob\nother:9 nonsense", key("a"));
        fs::write(&path, &text).unwrap();
        add(&path, "bar:9", &key("b")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{text}\nbar:9 {}\n", key("b")));
        assert_eq!(load(&path, "router:9").unwrap(), [KnownKey { line: 3, key: key("a") }]);
        assert_eq!(load(&path, "bar:9").unwrap(), [KnownKey { line: 5, key: key("b") }]);
        let error = load(&path, "other:9").unwrap_err().to_string();
        assert!(error.starts_with("line 4: expected SHA256:"), "{error}");
        fs::write(&path, b"caf\xe9 x\nrouter:9").unwrap();
        assert!(load(&path, "router:9").is_err());
        assert!(load(dir.path("").as_path(), "router:9").is_err(), "a folder");
    }
}
