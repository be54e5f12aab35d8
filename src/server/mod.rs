//! The server: accepts clients, connects them to the room, and ends in good order.
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
//! [`run`] starts the accept loop and the broadcaster. All tasks run on one thread; only the history
//! file is written on another.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod accept;
mod broadcaster;
mod client_handle;
mod client_state;
mod clients;
mod config;
mod connection;
mod deadlines;
mod listener;
#[doc(hidden)]
pub mod memory;
mod outbox;
mod socket;
mod status;

use std::fmt;
use std::future::pending;
use std::io;
use std::rc::Rc;

use async_channel::Sender;
use futures_lite::{FutureExt, Stream, StreamExt};
use log::info;
use smol::{LocalExecutor, Task};

pub use broadcaster::REPORT;
#[doc(hidden)]
pub use broadcaster::{Broadcaster, Event};
pub use config::Config;
pub use listener::{Buffers, ListenAddress, Listener};
pub use status::{Status, StatusObserver};

#[doc(inline)]
pub use crate::room::Config as RoomConfig;

use accept::AcceptLoop;
use connection::ReadLimits;

/// A command to a running server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// Write the [`Stats`](crate::protocol::Stats) to the log, as one line of JSON with the target
    /// [`REPORT`].
    Report,
    /// Shut down in good order. A second one ends the server at once.
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
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::NoEpoch(_) => "cannot create an epoch for the room",
            Error::Interrupted => "shutdown interrupted by a second signal",
        })
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::NoEpoch(source) => Some(source),
            Error::Interrupted => None,
        }
    }
}

/// Runs a server with one room for all clients of `listeners`, until [`Control::Shutdown`] arrives
/// or `controls` ends.
///
/// On shutdown the listeners are closed, every client gets a bye, and has up to five seconds to read
/// it. Everything runs on the thread that polls the future. Dropping the future closes all
/// connections at once.
///
/// # Errors
///
/// If the operating system has no random bytes, or a second [`Control::Shutdown`] arrives.
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
    config: Config,
    controls: impl Stream<Item = Control> + Unpin + 'static,
) -> Result<(), Error> {
    // Only this function owns the executor; tasks that spawn others have a weak reference. So all
    // tasks and their sockets are dropped when this function ends.
    let executor = Rc::new(LocalExecutor::new());
    let (events, received) = async_channel::bounded(config.events);
    let limits = ReadLimits {
        max_line: config.room.max_line,
        read_bytes: config.read_bytes,
        rate: config.room.rate,
        burst: config.room.burst,
    };
    let channel = (events.clone(), received);
    let broadcaster = Broadcaster::new(config, channel, Rc::downgrade(&executor));
    let broadcaster = broadcaster.map_err(Error::NoEpoch)?;
    let accept = AcceptLoop {
        listeners,
        events: events.clone(),
        limits,
        executor: Rc::downgrade(&executor),
        last_id: 0,
    };
    // The accept loop stops when `stop` is dropped. It has the type of the events' channel, so that
    // it needs no further instance of the generic code.
    let (stop, stopped) = async_channel::bounded(1);
    // Tasks of their own, because the future given to `Executor::run` is polled at each wake-up.
    let tasks = Tasks {
        broadcaster: executor.spawn(broadcaster.run()),
        accept: executor.spawn(accept.run(stopped)),
        shutdown: executor.spawn(until_shutdown(controls, events.clone())),
        stop,
        events,
    };
    executor.run(tasks.run()).await
}

/// The tasks of a server, except those of its connections.
struct Tasks<S> {
    broadcaster: Task<()>,
    accept: Task<()>,
    /// Ends with the first [`Control::Shutdown`], and returns the stream of controls.
    shutdown: Task<S>,
    stop: Sender<Event>,
    events: Sender<Event>,
}

impl<S: Stream<Item = Control> + Unpin> Tasks<S> {
    /// Waits for the shutdown and performs it.
    async fn run(self) -> Result<(), Error> {
        let mut controls = self.shutdown.await;
        info!("shutting down");
        let shutdown = async {
            // The listeners are closed, and the files of unix sockets removed, before any client
            // gets its bye.
            drop(self.stop);
            self.accept.await;
            let _ = self.events.send(Event::Shutdown).await;
            self.broadcaster.await;
            Ok(())
        };
        let interrupted = async {
            while let Some(control) = controls.next().await {
                if control == Control::Shutdown {
                    return Err(Error::Interrupted);
                }
            }
            pending().await
        };
        shutdown.or(interrupted).await
    }
}

/// Passes reports on to the broadcaster until the first [`Control::Shutdown`].
async fn until_shutdown<S>(mut controls: S, events: Sender<Event>) -> S
where
    S: Stream<Item = Control> + Unpin,
{
    while let Some(Control::Report) = controls.next().await {
        let _ = events.send(Event::Report).await;
    }
    controls
}
