//! A non-blocking stream socket, and waiting for it.

use std::io;
use std::os::fd::OwnedFd;
use std::task::Poll;

use smol::Async;

/// A connected stream socket, TCP or unix.
pub type Socket = Async<OwnedFd>;

/// Polls readiness and also retries after a spurious wake-up, because async-io can lose an event.
///
/// If the reactor's helper thread collects an event just before a task asks for it, the event is not
/// counted: the task is woken and told to wait, although the socket is ready. Under load that can
/// happen to the same task over and over. A try after every wake-up costs nothing, and ended a delay
/// that was measured at more than a second.
#[derive(Debug, Default)]
pub struct ReadyWait {
    has_waited: bool,
}

impl ReadyWait {
    /// Returns whether to try the socket now, given the readiness that the reactor reports.
    pub fn poll(&mut self, readiness: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        match readiness {
            Poll::Pending if !self.has_waited => {
                self.has_waited = true;
                Poll::Pending
            }
            Poll::Pending => {
                self.has_waited = false;
                Poll::Ready(Ok(()))
            }
            ready => {
                self.has_waited = false;
                ready
            }
        }
    }
}
