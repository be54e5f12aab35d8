//! A non-blocking stream socket, and the wait until it is ready.

use std::io;
use std::os::fd::OwnedFd;
use std::task::Poll;

use rustix::net::{RecvFlags, recv};
use smol::Async;

/// A connected stream socket, TCP or unix.
pub type Socket = Async<OwnedFd>;

/// Returns the first byte that was not read, if there is one.
pub fn peek(socket: &Socket) -> Option<u8> {
    let mut first = [0];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let (count, _) = recv(socket, &mut first, flags).ok()?;
    let [byte] = first;
    (count > 0).then_some(byte)
}

/// A wait for readiness that also ends after a spurious wake-up: async-io can lose an event.
///
/// If the reactor's helper thread collects an event just before a task polls for it, the event is
/// not counted: the task is woken and its poll is pending, although the socket is ready. Under load
/// this can happen to the same task repeatedly. A delay of more than one second was measured, which
/// a try after every wake-up ended.
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
