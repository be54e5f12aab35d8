//! From one server to another.

use std::future::{Future, pending};
use std::pin::Pin;

use crate::client::{Error, ReconnectPolicy, ServerAddress, Session, SessionConfig};

type Attempt = Pin<Box<dyn Future<Output = Result<Session, Error>>>>;

/// A session that is yet to come, and one that is left behind.
pub struct ServerSwitch {
    config: SessionConfig,
    reconnect: ReconnectPolicy,
    arriving: Option<Attempt>,
    /// It says its last lines.
    leaving: Option<Session>,
}

impl ServerSwitch {
    /// Nowhere, yet.
    pub fn new(config: SessionConfig, reconnect: ReconnectPolicy) -> Self {
        ServerSwitch { config, reconnect, arriving: None, leaving: None }
    }

    /// Sets out, under the name of now. Where somebody set out before and did not arrive, that is
    /// forgotten.
    pub fn set_out(&mut self, to: ServerAddress, name: &str) {
        let config = self.config.clone().name(name);
        self.arriving = Some(Box::pin(Session::connect(to, config, self.reconnect)));
    }

    /// Lets the old session say what it has to, and leave.
    pub fn leave(&mut self, mut old: Session) {
        old.finish();
        self.leaving = Some(old);
    }

    /// Waits until the new session is there, or cannot be.
    pub async fn arrival(&mut self) -> Result<Session, Error> {
        let ServerSwitch { arriving, leaving, .. } = self;
        let left = async {
            if let Some(old) = leaving {
                while let Ok(Some(_)) = old.receive().await {}
            }
            *leaving = None;
            pending().await
        };
        let arrived = async {
            match arriving {
                Some(attempt) => attempt.await,
                None => pending().await,
            }
        };
        let session = futures_lite::future::or(arrived, left).await;
        self.arriving = None;
        session
    }
}
