//! The password of a server: from a file, or from the keyboard.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};

use crate::os::{check_mode, strip_byte_order_mark};
use crate::protocol::MAX_PASSWORD;

/// The variable with the password, which the commands of bots do not get.
pub const PASSWORD_VARIABLE: &str = "SMOLCHAT_PASSWORD";

/// The bytes of keys.
const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const CTRL_BACKSLASH: u8 = 0x1c;
const DELETE: u8 = 0x7f;

/// Returns the password of the file, if one is given, or else the given one.
///
/// # Errors
///
/// Returns a message if the file cannot be used, or if the password is too long.
pub fn find(file: Option<&Path>, given: Option<String>) -> Result<Option<String>, String> {
    match (file, given) {
        (Some(path), _) => read_file(path).map(Some),
        (None, given) => given.map(|password| check(&password)).transpose(),
    }
}

/// Reads the first line of a file, which only the user may read.
///
/// # Errors
///
/// Returns a message if other users can read the file, or if it has no password.
fn read_file(path: &Path) -> Result<String, String> {
    let name = path.display();
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| {
        // A pipe may have any mode.
        if file.metadata()?.is_file() {
            check_mode(&file, 0o077)?;
        }
        // One byte more than a byte order mark, the longest password and its line end.
        file.take(MAX_PASSWORD as u64 + 6).read_to_end(&mut text)
    });
    read.map_err(|error| format!("cannot read {name}: {error}"))?;
    let text = strip_byte_order_mark(&text);
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let password = std::str::from_utf8(line).map_err(|_| format!("{name} is not UTF-8"))?;
    check(password).map_err(|error| format!("{name}: {error}"))
}

/// Checks the length of a password.
///
/// # Errors
///
/// Returns a message if it is empty or too long.
pub fn check(password: &str) -> Result<String, String> {
    match password.len() {
        1..=MAX_PASSWORD => Ok(password.into()),
        0 => Err(format!("the password is empty, expected 1 to {MAX_PASSWORD} bytes")),
        _ => Err(format!("the password is too long, expected at most {MAX_PASSWORD} bytes")),
    }
}

/// Asks for a password on standard error and reads it from standard input, a terminal, without
/// echo. Returns `None` if the user cancels with Ctrl-C or Ctrl-D.
///
/// # Errors
///
/// Returns an error if the terminal cannot be used.
pub fn ask(prompt: &str) -> io::Result<Option<String>> {
    let before = tcgetattr(io::stdin())?;
    let mut modes = before.clone();
    // Without signals, so that Ctrl-C cannot end the program before the modes are restored.
    modes.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    write!(io::stderr(), "{prompt}")?;
    tcsetattr(io::stdin(), OptionalActions::Flush, &modes)?;
    let password = read_keys(|| {
        let mut byte = [0];
        loop {
            match rustix::io::read(io::stdin(), &mut byte) {
                Ok(0) => return Ok(None),
                Ok(_) => return Ok(byte.first().copied()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    });
    let restored = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    writeln!(io::stderr())?;
    restored?;
    password
}

/// Reads the bytes of keys until Enter.
fn read_keys(mut next: impl FnMut() -> io::Result<Option<u8>>) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    loop {
        match next()? {
            None | Some(CTRL_C | CTRL_BACKSLASH) => return Ok(None),
            Some(CTRL_D) if bytes.is_empty() => return Ok(None),
            Some(b'\n' | b'\r' | CTRL_D) => break,
            Some(CTRL_U) => bytes.clear(),
            Some(BACKSPACE | DELETE) => {
                // A character may have several bytes.
                while bytes.pop().is_some_and(|byte: u8| byte & 0xc0 == 0x80) {}
            }
            Some(byte) if bytes.len() <= MAX_PASSWORD => bytes.push(byte),
            Some(_) => {}
        }
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::app::temp_dir::TempDir;

    #[test]
    fn password_is_the_first_line_of_a_private_file() {
        let dir = TempDir::new();
        let path = dir.path("password");
        let read = |text: &[u8], mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            read_file(&path)
        };
        assert_eq!(read(b"open sesame\n", 0o600).unwrap(), "open sesame");
        assert_eq!(read(b"secret\r\nanother\n", 0o400).unwrap(), "secret");
        assert_eq!(read("\u{FEFF}secret\n".as_bytes(), 0o600).unwrap(), "secret");
        let long = "x".repeat(MAX_PASSWORD);
        assert_eq!(read(format!("{long}\r\n").as_bytes(), 0o600).unwrap(), long);
        for (text, mode, part) in [
            (&b"secret"[..], 0o640, "has mode 0640, expected 0600"),
            (b"secret", 0o604, "has mode 0604, expected 0600"),
            (b"", 0o600, "the password is empty"),
            (b"\nsecret", 0o600, "the password is empty"),
            (b"caf\xe9", 0o600, "is not UTF-8"),
            (format!("{long}x").as_bytes(), 0o600, "at most 256 bytes"),
        ] {
            let error = read(text, mode).unwrap_err();
            assert!(error.contains(part) && error.contains("password"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(read_file(&dir.path("")).unwrap_err().contains("cannot read"));
    }

    #[test]
    fn keys_edit_the_password() {
        let read = |keys: &str| {
            let mut keys = keys.bytes();
            read_keys(|| Ok(keys.next())).unwrap()
        };
        assert_eq!(read("secret\nx").as_deref(), Some("secret"));
        assert_eq!(read("wrong\x15seé\x7fcrt\x08et\r").as_deref(), Some("secret"));
        assert_eq!(read("\x7fab\x04").as_deref(), Some("ab"));
        for keys in ["", "\x04", "abc\x03\n", "abc", "\x1c"] {
            assert_eq!(read(keys), None, "{keys:?}");
        }
    }
}
