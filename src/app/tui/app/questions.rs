//! The questions about servers: whether the key of one is trusted, and the password of one.

use super::App;
#[cfg(feature = "tls")]
use crate::app::access::describe_left_out;
use crate::app::access::describe_remedy;
#[cfg(feature = "tls")]
use crate::app::known_servers;
use crate::app::link_status::describe_error;
use crate::app::tui::entry::EntryKind;
use crate::client::{self, ServerAddress, SessionConfig};
#[cfg(feature = "tls")]
use crate::error::format_chain;

/// A question about a server that the user has not answered.
#[derive(Debug)]
pub enum ServerQuestion {
    /// About the server of `/connect`.
    Connect(ServerAddress, SessionConfig, QuestionKind),
    /// Whether the key of another server of the session, with this fingerprint, is trusted.
    #[cfg(feature = "tls")]
    OtherServer(ServerAddress, String),
}

/// The question of trust.
#[cfg(feature = "tls")]
const TRUST: &str = "trust this key from now on? yes or no: ";

#[derive(Debug)]
pub enum QuestionKind {
    /// Whether the key of this server, with this fingerprint, is trusted.
    #[cfg(feature = "tls")]
    Key(ServerAddress, String),
    Password,
}

impl App {
    /// Connects to another server, whose key is a known one if any are known.
    pub(super) fn connect_to(&mut self, address: ServerAddress, config: SessionConfig) {
        #[cfg(feature = "tls")]
        let config = match known_servers::add_known_keys(config, &address) {
            Ok(config) => config,
            Err(error) => {
                return self.view.show_notice(EntryKind::Error, &format_chain(&error));
            }
        };
        self.server_switch.connect(address, config, &self.session);
    }

    /// Shows the error of `/connect`, or asks for the trust or the password that it needs.
    pub(super) fn on_connect_error(&mut self, error: client::Error) {
        let Some((address, config)) = self.server_switch.take_attempted() else { return };
        let message = describe_error(&error);
        let (prompt, kind) = match &error {
            #[cfg(feature = "tls")]
            client::Error::UnknownKey { address, found, .. } => {
                let kind = QuestionKind::Key(address.clone(), found.clone());
                (TRUST, kind)
            }
            client::Error::PasswordRequired | client::Error::WrongPassword => {
                ("password: ", QuestionKind::Password)
            }
            error => {
                let remedy = describe_remedy(error).map(|remedy| format!("; {remedy}"));
                let remedy = remedy.unwrap_or_default();
                let address = self.session.address();
                let message = format!("{message}; you stay at {address}{remedy}");
                return self.view.show_notice(EntryKind::Error, &message);
            }
        };
        self.view.show_notice(EntryKind::Error, &message);
        self.editor.ask(prompt, matches!(kind, QuestionKind::Password));
        self.question = Some(ServerQuestion::Connect(address, config, kind));
    }

    /// Handles an attempt to reconnect that an unknown key has ended. Shows once in each outage that the
    /// server is left out. Asks once whether the key is trusted, when the user types nothing.
    #[cfg(feature = "tls")]
    pub(super) fn on_unknown_key(&mut self, cause: &client::Error) {
        let client::Error::UnknownKey { address, found, .. } = cause else { return };
        let Some(outage) = &mut self.outage else { return };
        let is_new = outage.record_left_out(cause);
        let can_ask = self.question.is_none()
            && self.editor.is_idle()
            && !self.has_left
            && !outage.asked_servers.contains(address);
        if is_new || can_ask {
            self.view.show_notice(EntryKind::Error, &describe_left_out(cause));
        }
        if can_ask {
            outage.asked_servers.push(address.clone());
            self.editor.ask(TRUST, false);
            self.question = Some(ServerQuestion::OtherServer(address.clone(), found.clone()));
        }
    }

    /// Ends the question about another server: the session is connected.
    pub(super) fn withdraw_question(&mut self) {
        #[cfg(feature = "tls")]
        if let Some(ServerQuestion::OtherServer(..)) = self.question {
            self.question = None;
            self.editor.withdraw_question();
        }
    }

    /// Handles the answer to the question. `None` stands for none.
    pub(super) fn on_answer(&mut self, answer: Option<String>) {
        let (address, config, kind) = match self.question.take() {
            Some(ServerQuestion::Connect(address, config, kind)) => (address, config, kind),
            #[cfg(feature = "tls")]
            Some(ServerQuestion::OtherServer(server, key)) => {
                return self.on_trust_answer(&server, &key, answer);
            }
            None => return,
        };
        match (kind, answer) {
            #[cfg(feature = "tls")]
            (QuestionKind::Key(server, key), Some(answer)) if answer.trim() == "yes" => {
                self.remember_key(&server, &key);
                let config = match (&server, key.parse()) {
                    (ServerAddress::Tls(server), Ok(key)) => config.known_key(server, key),
                    _ => config,
                };
                self.connect_to(address, config);
            }
            (QuestionKind::Password, Some(password)) if !password.is_empty() => {
                self.connect_to(address, config.password(password));
            }
            _ => {
                let text = format!("not connected; you stay at {}", self.session.address());
                self.view.show_notice(EntryKind::Info, &text);
            }
        }
    }

    /// Handles the answer whether the key of another server of the session is trusted.
    #[cfg(feature = "tls")]
    fn on_trust_answer(&mut self, server: &ServerAddress, key: &str, answer: Option<String>) {
        match (answer, key.parse()) {
            (Some(answer), Ok(fingerprint)) if answer.trim() == "yes" => {
                self.remember_key(server, key);
                self.session.trust_key(server, fingerprint);
            }
            _ => self.view.show_notice(EntryKind::Info, &format!("{server} is left out")),
        }
    }

    #[cfg(feature = "tls")]
    fn remember_key(&mut self, server: &ServerAddress, key: &str) {
        if let Err(error) = known_servers::remember(server, key) {
            self.view.show_notice(EntryKind::Error, &error);
        }
    }
}
