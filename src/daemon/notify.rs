//! Notifications to a service manager (sd_notify(3)).

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

/// The socket of the service manager that started this process.
#[derive(Debug)]
pub struct Notifier {
    socket: UnixDatagram,
    manager: SocketAddr,
}

impl Notifier {
    /// Creates a notifier for the address in `NOTIFY_SOCKET`; `None` if it is not set.
    ///
    /// # Errors
    ///
    /// Returns an error if that is not the address of a unix socket, or if no socket can be
    /// created.
    pub fn from_environment() -> io::Result<Option<Self>> {
        let Some(address) = env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())
        else {
            return Ok(None);
        };
        let manager = parse_address(&address)?;
        let socket = UnixDatagram::unbound()?;
        // A slow service manager must not block the room.
        socket.set_nonblocking(true)?;
        Ok(Some(Notifier { socket, manager }))
    }

    /// Sends a state: one `NAME=VALUE` on each line.
    ///
    /// # Errors
    ///
    /// Returns an error if the service manager has ended, or has too many unread messages.
    pub fn notify(&self, state: &str) -> io::Result<()> {
        self.socket.send_to_addr(state.as_bytes(), &self.manager).map(drop)
    }

    /// Creates an observer that sends the status of the room.
    pub fn into_observer(self: Arc<Self>) -> StatusObserver {
        let report = move |status| {
            // Ignored: a service manager that misses keepalives restarts the server.
            let _ = match status {
                Status::Alive => self.notify("WATCHDOG=1"),
                Status::Members(1) => self.notify("STATUS=1 member"),
                Status::Members(count) => self.notify(&format!("STATUS={count} members")),
            };
        };
        StatusObserver::new(keepalive_period(), report)
    }
}

fn parse_address(text: &OsStr) -> io::Result<SocketAddr> {
    match text.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(text),
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "expected a path or @NAME")),
    }
}

/// Returns half of the time without a keepalive after which the service manager restarts this
/// process, or `None` if there is no such time.
fn keepalive_period() -> Option<Duration> {
    let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let is_for_this_process = match env::var_os("WATCHDOG_PID") {
        Some(_) => number("WATCHDOG_PID") == Some(process::id().into()),
        None => true,
    };
    let timeout = number("WATCHDOG_USEC").filter(|time| is_for_this_process && *time > 0)?;
    Some(Duration::from_micros(timeout) / 2)
}
