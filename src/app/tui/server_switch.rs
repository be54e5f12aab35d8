//! From one server to another.

use std::future::{Future, pending};
use std::pin::Pin;

use crate::client::{Error, ReconnectPolicy, ServerAddress, Session, SessionConfig};

type ConnectFuture = Pin<Box<dyn Future<Output = Result<Session, Error>>>>;

/// A session that is yet to come, and one that is left behind.
pub struct ServerSwitch {
    config: SessionConfig,
    reconnect: ReconnectPolicy,
    attempt: Option<ConnectFuture>,
    /// It says its last lines.
    old_session: Option<Session>,
}

impl ServerSwitch {
    /// Nowhere, yet.
    pub fn new(config: SessionConfig, reconnect: ReconnectPolicy) -> Self {
        ServerSwitch { config, reconnect, attempt: None, old_session: None }
    }

    /// Sets out, under the name of now. Where somebody set out before and did not arrive, that is
    /// forgotten.
    pub fn connect(&mut self, to: ServerAddress, name: &str) {
        let config = SessionConfig { name: Some(name.to_owned()), ..self.config.clone() };
        self.attempt = Some(Box::pin(Session::connect(to, config, self.reconnect)));
    }

    /// Lets the old session say what it has to, and leave.
    pub fn close_old(&mut self, mut old: Session) {
        old.finish();
        self.old_session = Some(old);
    }

    /// Waits until the new session is there, or cannot be.
    pub async fn next_session(&mut self) -> Result<Session, Error> {
        let ServerSwitch { attempt, old_session, .. } = self;
        let closed = async {
            if let Some(old) = old_session {
                while let Ok(Some(_)) = old.receive().await {}
            }
            *old_session = None;
            pending().await
        };
        let connected = async {
            match attempt {
                Some(attempt) => attempt.await,
                None => pending().await,
            }
        };
        let session = futures_lite::future::or(connected, closed).await;
        self.attempt = None;
        session
    }
}
