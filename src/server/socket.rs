//! A non-blocking stream socket: waiting for it, reading and writing.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::task::Poll;

use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, send, sendmsg};
use smol::Async;

use crate::room::Slice;

/// A connected stream socket, TCP or unix.
pub type Socket = Async<OwnedFd>;

/// Slices handed to the kernel in one call. Linux takes 1,024; more than a few dozen gain nothing.
const SLICES_A_CALL: usize = 32;

/// A wait for a socket to be ready that takes a wake-up for an answer.
///
/// The reactor of async-io does not count an event that its other thread was already collecting
/// when this one asked: then a task is woken and told to wait on, for data that is there. Under
/// load that can happen over and over, to the same unlucky task. Trying the socket after each
/// wake-up costs nothing, and ends a delay that was measured at over a second.
#[derive(Debug, Default)]
pub struct Wait {
    has_waited: bool,
}

impl Wait {
    /// Whether to try the socket now, given what the reactor says of it.
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

pub fn write(socket: &Socket, bytes: &[u8]) -> rustix::io::Result<usize> {
    send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}

pub fn write_vectored(socket: &Socket, slices: &[Slice]) -> rustix::io::Result<usize> {
    let mut parts = [IoSlice::new(&[]); SLICES_A_CALL];
    let mut count = 0;
    for (part, slice) in parts.iter_mut().zip(slices) {
        *part = IoSlice::new(slice.bytes());
        count += 1;
    }
    let parts = parts.get(..count).unwrap_or_default();
    let mut no_control = SendAncillaryBuffer::default();
    sendmsg(socket, parts, &mut no_control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}

/// Reads what is there into `buffer`. No bytes mean the end of the stream.
pub fn read<'a>(
    socket: &Socket,
    buffer: &'a mut [MaybeUninit<u8>],
) -> rustix::io::Result<&'a mut [u8]> {
    let ((bytes, _), _) = recv(socket, buffer, RecvFlags::DONTWAIT)?;
    Ok(bytes)
}
