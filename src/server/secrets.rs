//! The password of the room, the secrets of the operators, and where they are accepted.
//!
//! They are compared as they are, without a slow hash: argon2id took 32 ms and 19 MiB for a guess,
//! which a client could make the server spend. The number of guesses is limited instead, see
//! `address_limits/guesses.rs`.

use std::cell::Cell;
use std::fmt;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::os::{check_mode, open_regular, read_bounded};
use crate::protocol::MAX_PASSWORD;
use crate::room::Peer;

/// The most bytes of a file with secrets.
const MAX_BYTES: usize = 64 << 10;
/// A warning is logged for a password with fewer characters.
const SHORT_PASSWORD: usize = 12;
/// The fewest characters of the secret of an operator.
const MIN_SECRET: usize = 16;
/// The most bytes of the label of an operator.
const MAX_LABEL: usize = 32;

/// Where plain text is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// Nowhere: all clients use TLS.
    Never,
    /// From the machine of the server: loopback addresses and unix sockets.
    Local,
    /// Everywhere, secrets included.
    All,
}

impl FromStr for Plain {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "never" => Plain::Never,
            "local" => Plain::Local,
            "all" => Plain::All,
            _ => return Err("expected never, local or all"),
        })
    }
}

/// Returns whether a client may send a secret: over TLS, from the machine of the server unless
/// `--plain never` is given, or everywhere with `--plain all`.
pub fn may_send_secret(plain: Option<Plain>, peer: Peer, is_tls: bool) -> bool {
    is_tls || may_use_plain(plain.unwrap_or(Plain::Local), peer)
}

/// Returns whether a client may send plain text.
pub fn may_use_plain(plain: Plain, peer: Peer) -> bool {
    match plain {
        Plain::Never => false,
        Plain::Local => is_local(peer),
        Plain::All => true,
    }
}

/// Returns whether a client is on the machine of the server. The client of a proxy may be elsewhere.
fn is_local(peer: Peer) -> bool {
    match peer {
        Peer::Inet(ip, _) => ip.is_loopback(),
        Peer::Unix(user) => user.is_some(),
        Peer::Proxy(..) => false,
    }
}

/// The secrets of a server and their files, shared by its connection tasks.
#[derive(Default)]
pub struct Secrets {
    /// The file of `--password-file`.
    pub password_file: Option<PathBuf>,
    /// The file of `--operators`.
    pub operators_file: Option<PathBuf>,
    current: Cell<Box<Values>>,
}

/// A label and a secret.
type Operator = (Box<str>, Box<str>);

#[derive(Default)]
struct Values {
    password: Option<String>,
    operators: Vec<Operator>,
}

impl Secrets {
    /// Creates the secrets of files that are not read yet.
    #[cfg(test)]
    pub fn new(password_file: Option<PathBuf>, operators_file: Option<PathBuf>) -> Self {
        Secrets { password_file, operators_file, current: Cell::default() }
    }

    /// Reads the files. Returns the labels of the operators whose lines have not changed.
    ///
    /// # Errors
    ///
    /// Returns a text if a file cannot be read, if others can read it, or if it is invalid. The
    /// earlier secrets stay then.
    pub fn read(&self) -> Result<Vec<Box<str>>, String> {
        let mut new = Values::default();
        if let Some(path) = &self.password_file {
            let text = read_file(path, "--password-file", 0o007)?;
            new.password = Some(parse_password(&text).map_err(|error| describe(path, &error))?);
        }
        if let Some(path) = &self.operators_file {
            let text = read_file(path, "--operators", 0o077)?;
            new.operators = parse_operators(&text).map_err(|error| describe(path, &error))?;
        }
        let old = self.current.take();
        let kept = new.operators.iter().filter(|line| old.operators.contains(line));
        let kept = kept.map(|(label, _)| label.clone()).collect();
        self.current.set(Box::new(new));
        Ok(kept)
    }

    /// Returns whether clients have to send a password.
    pub fn has_password(&self) -> bool {
        self.password_file.is_some()
    }

    /// Returns whether there are secrets of operators.
    pub fn has_operators(&self) -> bool {
        self.operators_file.is_some()
    }

    /// Returns whether a password is right.
    pub fn is_password(&self, given: &str) -> bool {
        self.with_values(|values| {
            values.password.as_deref().is_some_and(|password| is_equal(given, password))
        })
    }

    /// Returns the label of the operator with a secret.
    pub fn operator(&self, given: &str) -> Option<Box<str>> {
        // All are compared, so that the time taken does not depend on the position.
        let find = |found, (label, secret): &Operator| {
            if is_equal(given, secret) { Some(label.clone()) } else { found }
        };
        self.with_values(|values| values.operators.iter().fold(None, find))
    }

    fn with_values<T>(&self, read: impl FnOnce(&Values) -> T) -> T {
        let values = self.current.take();
        let result = read(&values);
        self.current.set(values);
        result
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// Compares two secrets. The time taken depends on the length of the first alone.
fn is_equal(given: &str, secret: &str) -> bool {
    let secret = secret.as_bytes();
    let mut difference = given.len() ^ secret.len();
    for (at, byte) in given.bytes().enumerate() {
        let expected = secret.get(at % secret.len().max(1)).copied().unwrap_or(0);
        difference = black_box(difference | usize::from(byte ^ expected));
    }
    black_box(difference) == 0
}

/// Reads a file that only some users may access: none of the bits of `forbidden` is set in its mode.
fn read_file(path: &Path, option: &str, forbidden: u32) -> Result<String, String> {
    let text = open_regular(path).and_then(|file| {
        check_mode(&file, forbidden)?;
        read_bounded(file, MAX_BYTES)
    });
    text.map_err(|error| format!("cannot read {option} {}: {error}", path.display()))
}

fn describe(path: &Path, error: &str) -> String {
    format!("{}: {error}", path.display())
}

/// Returns the first line of a file, without the white space around it.
fn parse_password(text: &str) -> Result<String, String> {
    let password = text.lines().next().unwrap_or_default().trim();
    let is_invalid = password.is_empty() || password.contains(char::is_control);
    if is_invalid || password.len() > MAX_PASSWORD {
        return Err(format!(
            "expected a password of 1 to {MAX_PASSWORD} bytes, without controls, on the first line"
        ));
    }
    if password.chars().count() < SHORT_PASSWORD {
        log::warn!("the password has fewer than {SHORT_PASSWORD} characters and can be guessed");
    }
    Ok(password.into())
}

/// Returns the label and the secret of each line.
fn parse_operators(text: &str) -> Result<Vec<Operator>, String> {
    let mut operators = Vec::<Operator>::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (label, secret) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let secret = secret.trim_start();
        // `local` is the label of users of the machine, which no line revokes. A label of two lines
        // would stay valid if one of them is removed.
        let is_valid = label != "local"
            && !operators.iter().any(|(other, _)| **other == *label)
            && label.len() <= MAX_LABEL
            && ![label, secret].iter().any(|text| text.contains(char::is_control))
            && secret.chars().count() >= MIN_SECRET
            && secret.len() <= MAX_PASSWORD;
        if !is_valid {
            return Err(format!(
                "line {number}: expected a label of at most {MAX_LABEL} bytes, which no other line \
                 has, and a secret of {MIN_SECRET} or more characters"
            ));
        }
        operators.push((label.into(), secret.into()));
    }
    Ok(operators)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A file in a folder of its own, which is removed at the end.
    struct TestFile(PathBuf);

    impl TestFile {
        fn new(name: &str, text: &str, mode: u32) -> Self {
            let name = format!("smolchat-{name}-{}", std::process::id());
            let file = TestFile(std::env::temp_dir().join(name));
            file.write(text);
            fs::set_permissions(&file.0, fs::Permissions::from_mode(mode)).unwrap();
            file
        }

        fn write(&self, text: &str) {
            fs::write(&self.0, text).unwrap();
        }
    }

    impl Drop for TestFile {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn equal_compares_all_bytes() {
        for (given, secret, expected) in [
            ("secret", "secret", true),
            ("", "secret", false),
            ("secre", "secret", false),
            ("secretsecret", "secret", false),
            ("Secret", "secret", false),
            ("secres", "secret", false),
            ("", "", true),
        ] {
            assert_eq!(is_equal(given, secret), expected, "{given} {secret}");
        }
    }

    #[test]
    fn file_that_others_can_read_is_refused() {
        for (mode, is_password, is_operators) in
            [(0o600, true, true), (0o400, true, true), (0o640, true, false), (0o604, false, false)]
        {
            let file = TestFile::new(&format!("mode-{mode:o}"), "alice 0123456789abcdef\n", mode);
            let path = || Some(file.0.clone());
            assert_eq!(Secrets::new(path(), None).read().is_ok(), is_password, "{mode:o}");
            assert_eq!(Secrets::new(None, path()).read().is_ok(), is_operators, "{mode:o}");
        }
        let missing = Secrets::new(Some("/nonexistent/password".into()), None).read().unwrap_err();
        assert!(missing.starts_with("cannot read --password-file /nonexistent/"), "{missing}");
    }

    #[test]
    fn reload_keeps_unchanged_lines_and_old_secrets() {
        let file =
            TestFile::new("reload", "# labels\na 0123456789abcdef\nb fedcba9876543210\n", 0o600);
        let secrets = Secrets::new(None, Some(file.0.clone()));
        assert_eq!(secrets.read(), Ok(Vec::new()));
        assert_eq!(secrets.operator("fedcba9876543210").as_deref(), Some("b"));
        assert_eq!(secrets.operator("b"), None);
        file.write("a 0123456789abcdef\nb another-secret-16\n");
        assert_eq!(secrets.read().unwrap(), ["a".into()]);
        assert_eq!(secrets.operator("fedcba9876543210"), None);
        file.write("a short\n");
        let error = secrets.read().unwrap_err();
        assert!(error.contains("line 1: expected a label") && !error.contains("short"), "{error}");
        assert_eq!(secrets.operator("another-secret-16").as_deref(), Some("b"));
    }

    #[test]
    fn password_is_the_first_line() {
        assert_eq!(parse_password("two words\r\nmore\n").as_deref(), Ok("two words"));
        assert!(parse_password("\nx").is_err() && parse_password(&"x".repeat(257)).is_err());
    }

    #[test]
    fn byte_order_mark_is_no_part_of_a_secret() {
        let file = TestFile::new("mark", "\u{FEFF}a 0123456789abcdef\n", 0o600);
        let secrets = Secrets::new(Some(file.0.clone()), Some(file.0.clone()));
        secrets.read().unwrap();
        assert!(secrets.is_password("a 0123456789abcdef"));
        assert_eq!(secrets.operator("0123456789abcdef").as_deref(), Some("a"));
    }

    #[test]
    fn password_that_cannot_be_typed_is_refused() {
        for text in ["open\0sesame", "open\u{1b}[Asesame", "open\rsesame"] {
            assert!(parse_password(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn label_ends_at_a_tab_or_a_space() {
        for space in [" ", "\t", " \t "] {
            let operators = parse_operators(&format!("a{space}0123456789abcdef\n"));
            assert_eq!(operators, Ok(vec![("a".into(), "0123456789abcdef".into())]), "{space:?}");
        }
        assert!(parse_operators("a 0123456789\tabcdef\n").is_err());
    }

    #[test]
    fn label_on_two_lines_is_refused() {
        let error = parse_operators("a 0123456789abcdef\na fedcba9876543210\n").unwrap_err();
        assert!(error.starts_with("line 2: expected a label"), "{error}");
    }

    #[test]
    fn secret_needs_tls_or_a_local_peer() {
        let far = Peer::Inet([192, 0, 2, 1].into(), 1);
        let near = Peer::Inet([127, 0, 0, 9].into(), 1);
        for peer in [far, Peer::Unix(None), Peer::Proxy([127, 0, 0, 1].into(), 1)] {
            assert!(!may_send_secret(None, peer, false) && may_send_secret(None, peer, true));
            assert!(may_send_secret(Some(Plain::All), peer, false));
        }
        for peer in [near, Peer::Unix(Some(1000))] {
            assert!(may_send_secret(None, peer, false) && may_use_plain(Plain::Local, peer));
            assert!(!may_send_secret(Some(Plain::Never), peer, false));
        }
    }
}
