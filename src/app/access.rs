//! The questions to the user before a session starts: whether a key is trusted, and the password.

use std::io::{self, IsTerminal, Write};

#[cfg(feature = "tls")]
use super::known_servers;
use super::link_status::describe_error;
#[cfg(feature = "tls")]
use super::warning::print_warning;
use super::{Error, Options, password};
use crate::client::{self, ReconnectPolicy, ServerAddress, Session, SessionConfig, sanitize};

/// The passwords that the user may type.
const MAX_ATTEMPTS: usize = 3;

/// Returns whether the user can be asked.
fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Adds the known keys of the server to the configuration of its session.
///
/// # Errors
///
/// Returns an error if they cannot be read.
pub fn add_known_keys(options: &mut Options) -> Result<(), Error> {
    #[cfg(feature = "tls")]
    {
        let config = options.config.clone();
        options.config = known_servers::add_known_keys(config, &options.address)?;
    }
    #[cfg(not(feature = "tls"))]
    let _ = options;
    Ok(())
}

/// Connects as [`Session::connect`] does. Asks the user at the terminal whether to trust an unknown
/// key, and for the password.
///
/// # Errors
///
/// Returns the error of the session, or that the user has cancelled.
pub async fn connect(
    address: ServerAddress,
    mut config: SessionConfig,
    reconnect: ReconnectPolicy,
) -> Result<Session, Error> {
    let mut attempts = 0;
    loop {
        let result = Session::connect(address.clone(), config.clone(), reconnect).await;
        config = match result {
            Ok(session) => return Ok(session),
            #[cfg(feature = "tls")]
            Err(client::Error::UnknownKey { address, found, cause }) if can_ask() => {
                trust_key(config, address, found, cause)?
            }
            Err(error @ (client::Error::PasswordRequired | client::Error::WrongPassword))
                if can_ask() && attempts < MAX_ATTEMPTS =>
            {
                attempts += 1;
                config.password(ask_password(&address, &error)?)
            }
            Err(error) => return Err(error.into()),
        };
    }
}

/// Returns the remedy for an error, if there is one.
pub fn describe_remedy(error: &client::Error) -> Option<String> {
    match error {
        client::Error::PasswordRequired => {
            Some("pass --password-file PATH, or set $SMOLCHAT_PASSWORD".into())
        }
        client::Error::GaveUp(_, error) => describe_remedy(error),
        #[cfg(feature = "tls")]
        error => known_servers::describe_remedy(error),
        #[cfg(not(feature = "tls"))]
        _ => None,
    }
}

/// Returns the message that a server is left out because its key is not known.
pub fn describe_left_out(error: &client::Error) -> String {
    let remedy = describe_remedy(error).map_or_else(String::new, |remedy| {
        // The option takes the place of all keys that are known otherwise.
        format!("; {remedy}, with those of the other servers")
    });
    format!("{}; this server is left out{remedy}", describe_error(error))
}

/// Asks for the password of a server.
fn ask_password(address: &ServerAddress, error: &client::Error) -> Result<String, Error> {
    let mut text = sanitize(&format!("{error}: {address}"));
    loop {
        let _ = writeln!(io::stderr(), "smolchat: {text}");
        let password = password::ask("password: ").map_err(Error::Terminal)?;
        match password::check(&password.ok_or(Error::Cancelled)?) {
            Ok(password) => return Ok(password),
            Err(error) => text = error,
        }
    }
}

/// Asks whether the key of a server is trusted, and adds it to the known ones.
#[cfg(feature = "tls")]
fn trust_key(
    config: SessionConfig,
    address: ServerAddress,
    found: String,
    cause: String,
) -> Result<SessionConfig, Error> {
    let error = client::Error::UnknownKey { address: address.clone(), found: found.clone(), cause };
    let text = sanitize(&error.to_string());
    let _ = writeln!(
        io::stderr(),
        "smolchat: {text}\n\
         smolchat: compare it with the line `tls key` that the server prints when it starts"
    );
    let mut question = "trust this key from now on? yes or no: ";
    loop {
        let _ = write!(io::stderr(), "{question}");
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map_err(Error::Terminal)?;
        match answer.trim() {
            "yes" => {
                if let Err(text) = known_servers::remember(&address, &found) {
                    print_warning(&text);
                }
                return match (&address, found.parse()) {
                    (ServerAddress::Tls(server), Ok(key)) => Ok(config.known_key(server, key)),
                    _ => Err(error.into()),
                };
            }
            "no" => return Err(error.into()),
            _ if answer.is_empty() => return Err(Error::Cancelled),
            _ => question = "please type yes or no: ",
        }
    }
}
