//! The change from one server to another, for `/connect`.

use std::future::{Future, pending};
use std::pin::Pin;

use crate::client::{Error, ReconnectPolicy, ServerAddress, Session, SessionConfig};

type ConnectFuture = Pin<Box<dyn Future<Output = Result<Option<Session>, Error>>>>;

/// The session to the next server while it connects, and the one to the old server while it ends.
pub struct ServerSwitch {
    config: SessionConfig,
    reconnect: ReconnectPolicy,
    attempt: Option<ConnectFuture>,
    /// The address and the configuration of the latest attempt.
    attempted: Option<(ServerAddress, SessionConfig)>,
    old_session: Option<Session>,
}

impl ServerSwitch {
    pub fn new(config: SessionConfig, reconnect: ReconnectPolicy) -> Self {
        ServerSwitch { config, reconnect, attempt: None, attempted: None, old_session: None }
    }

    /// Returns the configuration for the next server.
    pub fn config(&self) -> SessionConfig {
        self.config.clone()
    }

    /// Starts to connect to another server, in place of an attempt that has not finished.
    pub fn connect(&mut self, to: ServerAddress, config: SessionConfig, present: &Session) {
        let reconnect = self.reconnect;
        self.attempted = Some((to.clone(), config.clone()));
        let is_same_server = present.is_same_server(to.clone());
        self.attempt = Some(Box::pin(async move {
            if is_same_server.await {
                return Ok(None);
            }
            Session::connect(to, config, reconnect).await.map(Some)
        }));
    }

    /// Returns the address and the configuration of the latest attempt, once.
    pub fn take_attempted(&mut self) -> Option<(ServerAddress, SessionConfig)> {
        self.attempted.take()
    }

    /// Ends the attempt to connect, if there is one.
    pub fn cancel(&mut self) {
        self.attempt = None;
    }

    /// Finishes the old session. The server still answers the lines that were sent.
    pub fn close_old(&mut self, mut session: Session) {
        session.finish();
        self.old_session = Some(session);
    }

    /// Waits until the new session is connected or has failed; without one, forever. Returns `None`
    /// if the address is another one of the present server.
    pub async fn next_session(&mut self) -> Result<Option<Session>, Error> {
        let ServerSwitch { attempt, old_session, .. } = self;
        let closed = async {
            if let Some(session) = old_session {
                while let Ok(Some(_)) = session.receive().await {}
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
        let result = futures_lite::future::or(connected, closed).await;
        self.attempt = None;
        result
    }
}
