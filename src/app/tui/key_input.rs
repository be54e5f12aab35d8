//! Reading the keyboard.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use futures_lite::future;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use smol::{Async, Timer};

use super::keys::{ControlKeys, EditAction, KeyParser};

/// The most bytes that a terminal returns at once.
const READ_BYTES: usize = 4096;
/// The number of bytes after which they are handled before more are read.
const MAX_BYTES: usize = 64 << 10;

/// Standard input, as edit actions.
pub struct KeyInput {
    stdin: Async<OwnedFd>,
    parser: KeyParser,
    /// The end of the wait for the rest of a sequence.
    deadline: Option<Instant>,
}

impl KeyInput {
    /// Opens standard input, a terminal. It stays in blocking mode, which is shared with the shell.
    pub fn new(controls: ControlKeys) -> io::Result<Self> {
        let stdin = Async::new_nonblocking(io::stdin().as_fd().try_clone_to_owned()?)?;
        Ok(KeyInput { stdin, parser: KeyParser::new(controls), deadline: None })
    }

    /// Waits for the next actions.
    ///
    /// # Errors
    ///
    /// Returns an error if the terminal is closed.
    pub async fn next(&mut self) -> io::Result<Vec<EditAction>> {
        loop {
            let expired = async {
                self.deadline.map_or_else(Timer::never, Timer::at).await;
                Ok(true)
            };
            let readable = async { self.stdin.readable().await.map(|()| false) };
            let actions = match future::or(readable, expired).await? {
                true => self.parser.expire(),
                false => self.parser.parse(&self.read()?),
            };
            self.deadline = self.parser.timeout().map(|timeout| Instant::now() + timeout);
            if !actions.is_empty() {
                return Ok(actions);
            }
        }
    }

    /// Returns the bytes that have arrived.
    fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // The wait can end although no byte has arrived, and a read would then block.
        while bytes.len() < MAX_BYTES && self.is_readable()? {
            let mut buffer = [0; READ_BYTES];
            match rustix::io::read(&self.stdin, &mut buffer) {
                Ok(0) if bytes.is_empty() => {
                    let text = "standard input was closed";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
                }
                Ok(0) | Err(Errno::INTR | Errno::AGAIN) => break,
                Ok(count) => bytes.extend(buffer.iter().take(count)),
                Err(_) if !bytes.is_empty() => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(bytes)
    }

    fn is_readable(&self) -> io::Result<bool> {
        let mut poll_fds = [PollFd::new(&self.stdin, PollFlags::IN)];
        match poll(&mut poll_fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(count) => Ok(count > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
