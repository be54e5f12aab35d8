//! What a service manager is told of the server, as sd_notify(3) has it.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::sync::Arc;
use std::time::Duration;

use crate::server::{Status, StatusObserver};

/// The way to the service manager that started this process.
#[derive(Debug)]
pub struct Notifier {
    socket: UnixDatagram,
    manager: SocketAddr,
}

impl Notifier {
    /// One for the manager that `NOTIFY_SOCKET` names; nothing if there is none.
    ///
    /// # Errors
    ///
    /// When what it names is no address of a unix socket, or the system gives out no socket.
    pub fn from_environment() -> io::Result<Option<Self>> {
        let Some(address) = env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())
        else {
            return Ok(None);
        };
        let manager = address_of(&address)?;
        let socket = UnixDatagram::unbound()?;
        // A manager that is behind with its reading must not stop the room.
        socket.set_nonblocking(true)?;
        Ok(Some(Notifier { socket, manager }))
    }

    /// Tells the manager a state, as `NAME=VALUE`, one a line.
    ///
    /// # Errors
    ///
    /// When it is not there, or has too much unread.
    pub fn tell(&self, state: &str) -> io::Result<()> {
        self.socket.send_to_addr(state.as_bytes(), &self.manager).map(drop)
    }

    /// For the room to tell the manager how it is.
    pub fn observer(self: Arc<Self>) -> StatusObserver {
        let tell = move |sign| {
            // A manager that does not hear it has its own way to deal with that.
            let _ = match sign {
                Status::Alive => self.tell("WATCHDOG=1"),
                Status::Members(1) => self.tell("STATUS=1 member"),
                Status::Members(count) => self.tell(&format!("STATUS={count} members")),
            };
        };
        StatusObserver::new(watchdog(), tell)
    }
}

fn address_of(text: &OsStr) -> io::Result<SocketAddr> {
    match text.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(text),
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor @NAME")),
    }
}

/// How often the manager wants a sign of life: twice in the time after which it takes this process
/// for dead. Nothing if it does not watch it.
fn watchdog() -> Option<Duration> {
    let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let is_for_us = match env::var_os("WATCHDOG_PID") {
        Some(_) => number("WATCHDOG_PID") == Some(process::id().into()),
        None => true,
    };
    let time = number("WATCHDOG_USEC").filter(|time| is_for_us && *time > 0)?;
    Some(Duration::from_micros(time) / 2)
}
