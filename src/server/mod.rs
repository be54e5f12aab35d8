//! The server: accepts clients, connects them to the room, and shuts down.
//!
//! ```text
//! accept loop --spawns--> connection task, one for each client
//!                              |  Event, over one bounded channel
//!                              v
//!                         broadcaster --owns--> Room
//!                              |  one Batch, shared by all
//!                              v
//!                         Clients: an outbox and a state for each client
//! ```
//!
//! [`run`] starts the accept loop and the broadcaster. All tasks run on one thread; the history file
//! is written on another, and a node of a cluster has one for NATS. Connection tasks share with each
//! other the rate limiters of their address (`address_limits.rs`), the secrets (`secrets.rs`), and the
//! permits for handshakes of TLS (`edge/tls/acceptor.rs`).

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod accept;
mod address_limits;
mod broadcaster;
mod client_handle;
mod client_state;
mod clients;
mod config;
mod connection;
#[doc(hidden)]
pub mod edge;
mod framing;
mod listen_address;
mod listener;
#[doc(hidden)]
pub mod memory;
mod outbox;
mod secrets;
mod socket;
mod trusted_proxy;
mod unix_socket;

use std::fmt;
use std::future::pending;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use async_channel::Sender;
use futures_lite::{FutureExt, Stream, StreamExt};
use log::{error, info};
use smol::LocalExecutor;

pub use broadcaster::{AUDIT_TARGET, REPORT_TARGET};
#[doc(hidden)]
pub use broadcaster::{Broadcaster, Event};
pub use config::Config;
pub use listen_address::ListenAddress;
pub use listener::{Buffers, Listener, ListenerProtocol};
pub use secrets::Plain;
#[doc(hidden)]
pub use secrets::Secrets;
pub use trusted_proxy::TrustedProxy;

#[doc(inline)]
pub use crate::room::Config as RoomConfig;
pub use crate::status::{Status, StatusObserver};

use accept::AcceptLoop;
use address_limits::{AddressTable, ReadLimits};
use edge::proxy::PendingConnections;

use crate::room::max_addresses;

/// A command to a running server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// Writes the [`Stats`](crate::protocol::Stats) to the log with the target [`REPORT_TARGET`], as
    /// the word `stats` and one JSON object.
    Report,
    /// Reads the certificate, the password, the secrets of the operators and the bans from their
    /// files again.
    Reload,
    /// Sends a bye to all clients and ends the server. A second one ends the server at once.
    Shutdown,
}

/// An error that ends a server.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system has no random bytes, so the room has no epoch.
    NoEpoch(io::Error),
    /// A second [`Control::Shutdown`] arrived before the first was done.
    Interrupted,
    /// The server cannot be a node of the cluster, for this reason.
    #[cfg(feature = "cluster")]
    Cluster(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::NoEpoch(_) => "cannot create an epoch for the room",
            Error::Interrupted => "shutdown interrupted by a second signal",
            #[cfg(feature = "cluster")]
            Error::Cluster(reason) => reason,
        })
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::NoEpoch(source) => Some(source),
            Error::Interrupted => None,
            #[cfg(feature = "cluster")]
            Error::Cluster(_) => None,
        }
    }
}

/// Runs a server with one room for all clients of `listeners`, until [`Control::Shutdown`] arrives
/// or `controls` ends.
///
/// On shutdown the listeners are closed, every client gets a bye, and has up to five seconds to
/// read it. Everything runs on the thread that polls the future, which is not `Send`. Dropping the
/// future closes all connections at once.
///
/// # Errors
///
/// Returns an error if there are no random bytes, or if a second [`Control::Shutdown`] arrives.
///
/// # Examples
///
/// ```
/// use smolchat::server::{Buffers, Config, Control, Listener, run};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = Listener::bind(&"127.0.0.1:0".parse()?, Buffers::default())?;
/// println!("listening on {listener}");
/// let controls = futures_lite::stream::once(Control::Shutdown);
/// smol::block_on(run(vec![listener], Config::default(), controls))?;
/// # Ok(())
/// # }
/// ```
pub async fn run(
    listeners: Vec<Listener>,
    mut config: Config,
    mut controls: impl Stream<Item = Control> + Unpin + 'static,
) -> Result<(), Error> {
    // Only this function owns the executor; tasks that spawn others have a weak reference. So all
    // tasks and their sockets are dropped when this function ends.
    let executor = Rc::new(LocalExecutor::new());
    let pending_connections = PendingConnections::new(&config);
    let (events, received) = async_channel::bounded(config.events);
    let limits = take_limits(&mut config);
    let has_ban_file = config.ban_file.is_some();
    let addresses = AddressTable::new(Rc::clone(&limits), max_addresses(config.room.max_clients));
    let channel = (events.clone(), received);
    let broadcaster = Broadcaster::new(config, channel, Rc::downgrade(&executor));
    let broadcaster = broadcaster.map_err(Error::NoEpoch)?;
    let accept = AcceptLoop {
        listeners,
        pending_connections,
        events: events.clone(),
        inputs: broadcaster.inputs(),
        addresses,
        executor: Rc::downgrade(&executor),
        last_id: 0,
    };
    // Dropping `stop` ends the accept loop. The type of `events` saves an instance of generic code.
    let (stop, stopped) = async_channel::bounded(1);
    // Tasks, because the future given to `Executor::run` is polled at each wake-up. All but those of
    // the connections are boxed: they share one instance of the generic code.
    #[cfg(feature = "cluster")]
    let failures = broadcaster.failures();
    let broadcaster = executor.spawn(broadcaster.run().boxed_local());
    let accept = executor.spawn(accept.run(stopped).boxed_local());
    let reload = move || reload(&limits, has_ban_file);
    let shutdown = async move {
        next_shutdown(&mut controls, &events, &reload).await;
        // Listeners are closed, and files of unix sockets removed, before the first bye is sent.
        drop(stop);
        accept.await;
        let _ = events.send(Event::Shutdown).await;
        if next_shutdown(&mut controls, &events, &reload).await.is_none() {
            pending().await
        }
    };
    let interrupt = executor.spawn(shutdown.boxed_local());
    let interrupt = async {
        interrupt.await;
        Err(Error::Interrupted)
    };
    let serve = async {
        // The broadcaster ends after the shutdown. If it panics, this future panics, too.
        broadcaster.await;
        #[cfg(feature = "cluster")]
        if let Some(reason) = failures.and_then(|failures| failures.try_recv().ok()) {
            return Err(Error::Cluster(reason));
        }
        Ok(())
    };
    executor.run(serve.or(interrupt)).await
}

/// Returns the limits of the connection tasks, which have the secrets of `config`.
#[expect(clippy::disallowed_methods, reason = "the start of the rate limiters' time")]
fn take_limits(config: &mut Config) -> Rc<ReadLimits> {
    let secrets = Rc::new(std::mem::take(&mut config.secrets));
    config.room.has_password = secrets.has_password();
    #[cfg(feature = "tls")]
    {
        config.room.max_refused = config.max_handshakes(config.room.max_clients);
    }
    Rc::new(ReadLimits { secrets, ..config.read_limits(Instant::now()) })
}

/// Returns the next [`Control::Shutdown`], or `None` at the end of the stream. Sends an event to
/// the broadcaster for each other control.
async fn next_shutdown<S>(
    controls: &mut S,
    events: &Sender<Event>,
    reload: &dyn Fn() -> Event,
) -> Option<Control>
where
    S: Stream<Item = Control> + Unpin,
{
    loop {
        match controls.next().await {
            Some(Control::Report) => drop(events.send(Event::Report).await),
            Some(Control::Reload) => drop(events.send(reload()).await),
            end => return end,
        }
    }
}

/// Reads the certificate and the secrets again, and returns the event with the labels of the
/// operators that remain. If a file is not valid, the earlier values stay.
fn reload(limits: &ReadLimits, has_ban_file: bool) -> Event {
    let secrets = &limits.secrets;
    let has_secrets = secrets.has_password() || secrets.has_operators();
    if !has_secrets && !has_ban_file && !limits.has_tls() {
        info!("SIGHUP: there is nothing to reload");
    } else {
        info!("SIGHUP: reading the certificate, the secrets and the bans again");
    }
    #[cfg(feature = "tls")]
    if let Some(tls) = &limits.tls {
        tls.reload();
    }
    let labels = secrets.read();
    Event::Reload(labels.inspect_err(|error| error!("{error}; the old secrets stay")).ok())
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    use super::*;

    #[test]
    fn panic_in_the_broadcaster_ends_the_server() {
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), Buffers::default()).unwrap();
        let mut config = Config::default();
        let period = Some(Duration::from_secs(1));
        config.observer = Some(StatusObserver::new(period, |_| panic!("expected by the test")));
        let controls = futures_lite::stream::pending();
        let server = || smol::block_on(run(vec![listener], config, controls));
        assert!(catch_unwind(AssertUnwindSafe(server)).is_err());
    }
}
