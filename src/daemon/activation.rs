//! Sockets that a service manager has opened for this process, as sd_listen_fds(3) has it.
//!
//! They are descriptors 3 and up, which nothing in this process owns; and a descriptor cannot be
//! owned on the strength of its number without `unsafe`. So each is taken as a process takes one
//! of another's, of which this one happens to be the other: by pidfd_getfd(2), which gives a copy.
//!
//! The originals stay open until the process ends. That is as it should be: while the server ends
//! in good order it lets nobody in any more, but the sockets listen on, and whoever connects waits
//! for the next one.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::process;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// The number of the first of them.
pub const FIRST: i32 = 3;

/// Whether there are such sockets, so that there is no need for any of our own.
pub fn is_used() -> bool {
    is_for_us() && env::var_os("LISTEN_FDS").is_some_and(|count| count != "0")
}

/// The sockets, in the manager's order.
///
/// # Errors
///
/// When there are fewer than was said, or the system does not give them to us.
pub fn sockets() -> io::Result<Vec<OwnedFd>> {
    if !is_used() {
        return Ok(Vec::new());
    }
    let count = env::var("LISTEN_FDS").ok().and_then(|count| count.parse::<u16>().ok());
    let Some(count) = count else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "LISTEN_FDS is not a number"));
    };
    let this = pidfd_open(getpid(), PidfdFlags::empty())
        .map_err(|error| refused("cannot get a hold on this process (pidfd_open)", error))?;
    let numbers = FIRST..FIRST + i32::from(count);
    let take = |number| {
        pidfd_getfd(&this, number, PidfdGetfdFlags::empty()).map_err(|error| {
            refused(&format!("cannot take descriptor {number} (pidfd_getfd, Linux 5.6)"), error)
        })
    };
    numbers.map(take).collect()
}

/// Whether they are for this process, and not for the one that started it.
fn is_for_us() -> bool {
    let ours = process::id().to_string();
    env::var_os("LISTEN_PID").is_some_and(|pid| pid == *OsStr::new(&ours))
}

fn refused(what: &str, error: rustix::io::Errno) -> io::Error {
    let error = io::Error::from(error);
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
