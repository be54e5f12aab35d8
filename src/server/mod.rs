//! The server: accept, hand over, and end in good order.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod accept;
pub mod broadcaster;
mod client_handle;
mod config;
pub mod connection;
mod deadlines;
pub mod listener;
pub mod memory;
pub mod outbox;
mod socket;
mod status;

use std::fmt;
use std::future::pending;
use std::io;
use std::rc::Rc;

use futures_lite::{FutureExt, Stream, StreamExt};
use log::info;
use smol::LocalExecutor;

use accept::AcceptLoop;
use broadcaster::{Broadcaster, Event};
pub use config::Config;
use connection::ReadLimits;
use listener::Listener;

/// What a server can be told while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Write the [`Stats`](crate::protocol::Stats) to the log.
    Report,
    /// End in good order; if that is under way, at once.
    Shutdown,
}

/// A server did not end in good order.
#[derive(Debug)]
pub enum Error {
    /// No room can begin, since the operating system has no random bytes to give.
    NoRoom(io::Error),
    /// It was told to shut down a second time.
    AtOnce,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::NoRoom(_) => "cannot begin a room",
            Error::AtOnce => "ended at once, by a second signal",
        })
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::NoRoom(source) => Some(source),
            Error::AtOnce => None,
        }
    }
}

/// Serves one room to all who connect to `listeners`, until it is told to shut down, or nobody can
/// tell it anything any more.
///
/// Then nobody is let in any more, everybody is told, and what is on its way gets up to five
/// seconds to be read. All of it runs on the thread that polls this future.
///
/// # Errors
///
/// When no room can begin, and when it is told to shut down a second time.
///
/// ```
/// use smolchat::server::listener::{Buffers, Listener};
/// use smolchat::server::{Config, Control, run};
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
    mut controls: impl Stream<Item = Control> + Unpin + 'static,
) -> Result<(), Error> {
    // Only this function owns the executor. Tasks that spawn others know it weakly, so that all
    // of them, and their sockets, are gone when this ends, however it ends.
    let executor = Rc::new(LocalExecutor::new());
    let (events, received) = async_channel::bounded(config.events);
    let limits = ReadLimits {
        max_line: config.room.max_line,
        read_bytes: config.read_bytes,
        rate: config.room.rate,
        burst: config.room.burst,
    };
    let channel = (events.clone(), received);
    let broadcaster = Broadcaster::new(
        config.room,
        config.outbox,
        config.past,
        channel,
        Rc::downgrade(&executor),
    )
    .map_err(Error::NoRoom)?;
    let accept = AcceptLoop {
        listeners,
        events: events.clone(),
        limits,
        executor: Rc::downgrade(&executor),
        last_id: 0,
    };
    // All are tasks of their own, because the future given to `run` is polled at each wake-up.
    let broadcaster = executor.spawn(broadcaster.observed_by(config.observer).run());
    // Nothing is ever sent through it. As a channel of signals it takes no code of its own.
    let (stop, stopped) = async_channel::bounded::<Event>(1);
    let accept = executor.spawn(accept.run(stopped));
    let shutdown = executor.spawn({
        let events = events.clone();
        async move {
            while let Some(Control::Report) = controls.next().await {
                let _ = events.send(Event::Report).await;
            }
            controls
        }
    });
    let serve = async {
        let mut controls = shutdown.await;
        info!("shutting down");
        let drain = async {
            // Waiting for it closes the listeners, and removes their files, before anybody is told.
            drop(stop);
            accept.await;
            let _ = events.send(Event::Shutdown).await;
            broadcaster.await;
            Ok(())
        };
        let hurry = async {
            while let Some(control) = controls.next().await {
                if control == Control::Shutdown {
                    return Err(Error::AtOnce);
                }
            }
            pending().await
        };
        drain.or(hurry).await
    };
    executor.run(serve).await
}
