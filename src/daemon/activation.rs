//! Socket activation: listening sockets that a service manager passes on (sd_listen_fds(3)).
//!
//! The sockets are descriptors 3 and up. Owning a descriptor by its number needs `unsafe` code, so
//! each is copied with pidfd_getfd(2), as if from another process. The originals stay open until
//! the process ends. So during a shutdown clients can still connect, and the next server accepts
//! them.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::process;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// The number of the first descriptor.
pub const FIRST_DESCRIPTOR: i32 = 3;

/// Returns whether there are sockets for this process, so that it opens none itself.
pub fn is_used() -> bool {
    is_for_this_process() && env::var_os("LISTEN_FDS").is_some_and(|count| count != "0")
}

/// Copies the sockets and returns the copies, in the order of the service manager.
///
/// # Errors
///
/// Returns an error if `LISTEN_FDS` is not a number, or if a descriptor cannot be copied.
pub fn copy_sockets() -> io::Result<Vec<OwnedFd>> {
    if !is_used() {
        return Ok(Vec::new());
    }
    let count = env::var("LISTEN_FDS").ok().and_then(|count| count.parse::<u16>().ok());
    let Some(count) = count else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "LISTEN_FDS is not a number"));
    };
    let this = pidfd_open(getpid(), PidfdFlags::empty())
        .map_err(|error| add_context("cannot open this process (pidfd_open)", error))?;
    let numbers = FIRST_DESCRIPTOR..FIRST_DESCRIPTOR + i32::from(count);
    let copy = |number| {
        pidfd_getfd(&this, number, PidfdGetfdFlags::empty()).map_err(|error| {
            let step = format!("cannot copy descriptor {number} (pidfd_getfd, Linux 5.6)");
            add_context(&step, error)
        })
    };
    numbers.map(copy).collect()
}

/// Returns whether the variables are for this process, and not inherited from its parent.
fn is_for_this_process() -> bool {
    let own_pid = process::id().to_string();
    env::var_os("LISTEN_PID").is_some_and(|pid| pid == *OsStr::new(&own_pid))
}

fn add_context(step: &str, error: rustix::io::Errno) -> io::Error {
    let error = io::Error::from(error);
    io::Error::new(error.kind(), format!("{step}: {error}"))
}
