//! The signals that end the client without a line editor: SIGHUP, SIGINT and SIGTERM.
//!
//! The client handles them and sends `/quit`, so that its name is free at once. Without a handler,
//! they would not end the first process of a container.

use std::io;

use async_signal::{Signal, Signals};
use futures_lite::{StreamExt, future};

use crate::os::is_signal_ignored;

/// The signals that have arrived and are not handled yet.
pub struct EndSignals(Signals);

impl EndSignals {
    /// Starts to handle the signals, except those that are ignored, as with nohup(1).
    ///
    /// # Errors
    ///
    /// Returns an error if no signal can be handled.
    pub fn new() -> io::Result<Self> {
        let signals = [Signal::Hup, Signal::Int, Signal::Term];
        let is_handled = |signal: &Signal| !is_signal_ignored(*signal as i32);
        Ok(EndSignals(Signals::new(signals.into_iter().filter(is_handled))?))
    }

    /// Waits for the next signal, and returns its number.
    pub async fn next(&mut self) -> i32 {
        match self.0.next().await {
            Some(Ok(signal)) => signal as i32,
            _ => future::pending().await,
        }
    }
}
