//! The credentials for NATS, from an address or a file.

use std::io;

/// The credentials for NATS.
#[derive(PartialEq)]
pub enum Login {
    /// A user and a password.
    UserAndPassword(String, String),
    /// A token.
    Token(String),
    /// The text of a file with a JWT and the seed of its key.
    Jwt(String),
}

impl Login {
    /// Returns the credentials in an address: `USER:PASSWORD@` or `TOKEN@` before the host, where
    /// `%40` stands for `@`.
    pub fn from_address(user: &str, password: Option<&str>) -> Self {
        let user = percent_decode(user);
        match password {
            Some(password) => Login::UserAndPassword(user, percent_decode(password)),
            None => Login::Token(user),
        }
    }

    /// Returns the credentials in the text of a file: `USER:PASSWORD` on one line, or a JWT.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is neither.
    pub fn from_file(text: &str) -> io::Result<Self> {
        if text.contains("-----BEGIN") {
            return Ok(Login::Jwt(text.to_owned()));
        }
        let line = text.trim();
        match line.split_once(':') {
            Some((user, password))
                if !user.is_empty() && !password.is_empty() && line.lines().count() == 1 =>
            {
                Ok(Login::UserAndPassword(user.to_owned(), password.to_owned()))
            }
            _ => Err(io::Error::other(
                "expected one line with USER:PASSWORD, or a JWT with its seed",
            )),
        }
    }
}

/// Replaces each `%` with two digits by the byte of that number.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match after {
            [high, low, ..] if *first == b'%' => hex_digit(*high).zip(hex_digit(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user_and_password(user: &str, password: &str) -> Login {
        Login::UserAndPassword(user.into(), password.into())
    }

    #[test]
    fn login_in_address_is_decoded() {
        for (encoded, password) in [
            ("secret", "secret"),
            ("p%40%3a%2F%25%C3%A9", "p@:/%\u{e9}"),
            ("%4", "%4"),
            ("%+1", "%+1"),
        ] {
            let login = Login::from_address("al%69ce", Some(encoded));
            assert!(login == user_and_password("alice", password), "{encoded}");
        }
    }

    #[test]
    fn address_without_password_has_a_token() {
        assert!(Login::from_address("t%20k", None) == Login::Token("t k".into()));
    }

    #[test]
    fn file_with_user_and_password_is_read() {
        for text in ["alice:a:b%40", "alice:a:b%40\n", " alice:a:b%40\r\n\n"] {
            assert!(
                Login::from_file(text).unwrap() == user_and_password("alice", "a:b%40"),
                "{text}"
            );
        }
        let jwt = "-----BEGIN NATS USER JWT-----\nx\n";
        assert!(Login::from_file(jwt).unwrap() == Login::Jwt(jwt.into()));
    }

    #[test]
    fn file_without_credentials_is_refused() {
        for text in ["", "\n", "alice", "alice:", ":secret", "root:x:0\nbin:x:1\n"] {
            let error = Login::from_file(text).err().unwrap().to_string();
            assert!(error.contains("expected one line with USER:PASSWORD"), "{text:?}");
        }
    }
}
