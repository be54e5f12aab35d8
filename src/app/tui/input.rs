//! Reading the keyboard.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use futures_lite::future;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use smol::{Async, Timer};

use super::keys::{ControlKeys, EditAction, KeyParser};

/// The most bytes that are read at once.
const READ_BYTES: usize = 4096;

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
                match self.deadline {
                    Some(deadline) => Timer::at(deadline).await,
                    None => pending().await,
                };
                Ok(true)
            };
            let readable = async { self.stdin.readable().await.map(|()| false) };
            let actions = if future::or(readable, expired).await? {
                self.parser.expire()
            } else {
                match self.read()? {
                    Some(bytes) => self.parser.parse(&bytes),
                    None => continue,
                }
            };
            self.deadline = self.parser.timeout().map(|timeout| Instant::now() + timeout);
            if !actions.is_empty() {
                return Ok(actions);
            }
        }
    }

    /// Returns the bytes that have arrived, or `None` if there are none.
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        // Readiness may be a false alarm, and a read would then block.
        let mut poll_fds = [PollFd::new(&self.stdin, PollFlags::IN)];
        match poll(&mut poll_fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(0) | Err(Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut buffer = vec![0; READ_BYTES];
        match rustix::io::read(&self.stdin, &mut buffer) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it was closed")),
            Ok(count) => {
                buffer.truncate(count);
                Ok(Some(buffer))
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
