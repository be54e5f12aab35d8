//! The questions of `/connect`: whether the key of the server is trusted, and its password.

use super::App;
use crate::app::access::describe_remedy;
#[cfg(feature = "tls")]
use crate::app::known_servers;
use crate::app::link_status::describe_error;
use crate::app::tui::entry::EntryKind;
use crate::client::{self, ServerAddress, SessionConfig};
#[cfg(feature = "tls")]
use crate::error::format_chain;

/// A question about the server of `/connect` that the user has not answered.
#[derive(Debug)]
pub struct Question {
    address: ServerAddress,
    config: SessionConfig,
    kind: QuestionKind,
}

#[derive(Debug)]
enum QuestionKind {
    /// Whether the key with this fingerprint is trusted.
    #[cfg(feature = "tls")]
    Key(String),
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

    /// Shows why `/connect` has failed, or asks for what is missing.
    pub(super) fn on_connect_error(&mut self, error: client::Error) {
        let Some((address, config)) = self.server_switch.take_attempted() else { return };
        let message = describe_error(&error);
        let (prompt, kind) = match &error {
            #[cfg(feature = "tls")]
            client::Error::UnknownKey { found, .. } => {
                ("trust this key from now on? yes or no: ", QuestionKind::Key(found.clone()))
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
        self.question = Some(Question { address, config, kind });
    }

    /// Handles the answer to the question. `None` stands for none.
    pub(super) fn on_answer(&mut self, answer: Option<String>) {
        let Some(Question { address, config, kind }) = self.question.take() else { return };
        match (kind, answer) {
            #[cfg(feature = "tls")]
            (QuestionKind::Key(key), Some(answer)) if answer.trim() == "yes" => {
                if let Err(error) = known_servers::remember(&address, &key) {
                    self.view.show_notice(EntryKind::Error, &error);
                }
                let config = match key.parse() {
                    Ok(key) => config.tls_pin(key),
                    Err(_) => config,
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
}
