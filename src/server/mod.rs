//! The server: accept, hand over, and end in good order.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod broadcaster;
mod client_handle;
pub mod connection;
mod deadlines;
pub mod listener;
pub mod memory;
pub mod outbox;
mod status;

use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::{FutureExt, Stream, StreamExt};
use log::{info, warn};
use smol::{Async, LocalExecutor, Timer};

use crate::room::{self, MemberId, Peer};
use crate::server::broadcaster::{Broadcaster, Event, StatusObserver};
use crate::server::connection::ReadLimits;
use crate::server::listener::{Buffers, Listener};
use crate::server::outbox::Wait;
use crate::store::{HistoryFile, Snapshot};

/// Clients accepted in one go, before the others get a turn.
const ACCEPTS: usize = 64;
/// The first and the longest pause after a client could not be accepted.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// What a server allows.
#[derive(Debug)]
pub struct Config {
    /// The rules of the room.
    pub room: room::Config,
    /// Bytes that may wait for one member.
    pub outbox: usize,
    /// Bytes read from a client at once; at most [`READ_BYTES`](connection::READ_BYTES).
    pub read_bytes: usize,
    /// Events that may wait for the room, before those who send them do.
    pub events: usize,
    /// What the kernel may hold for each connection.
    pub buffers: Buffers,
    /// Where the room is kept across restarts, and what was there.
    pub past: Option<(HistoryFile, Snapshot)>,
    /// Who is told how the room is.
    pub observer: Option<StatusObserver>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            room: room::Config::default(),
            outbox: 256 * 1024,
            read_bytes: connection::READ_BYTES,
            events: 256,
            buffers: Buffers::default(),
            past: None,
            observer: None,
        }
    }
}

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
            Error::AtOnce => "ended at once, by a second event",
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

struct AcceptLoop {
    listeners: Vec<Listener>,
    events: Sender<Event>,
    limits: ReadLimits,
    executor: Weak<LocalExecutor<'static>>,
    last_id: u64,
}

impl AcceptLoop {
    /// Lets clients in until the other end of `stopped` is gone. It is not cancelled, because that
    /// would drop a client that was taken, and leave it without a word.
    async fn run(mut self, stopped: Receiver<Event>) {
        let mut pause = PAUSES.0;
        let mut wait = Wait::default();
        loop {
            let readable = poll_fn(|cx| {
                let is_ready = |listener: &Listener| listener.socket().poll_readable(cx).is_ready();
                // All of them are polled, so that each wakes this task.
                let ready = self.listeners.iter().map(is_ready).fold(false, |any, one| any | one);
                wait.poll(if ready { Poll::Ready(Ok(())) } else { Poll::Pending })
            });
            let accepted = match until_stopped(&stopped, readable).await {
                Some(Ok(())) => self.accept_waiting().await,
                Some(Err(error)) => Err(error),
                None => return,
            };
            match accepted {
                Ok(()) => pause = PAUSES.0,
                Err(error) => {
                    let pause_ms = pause.as_millis() as u64;
                    warn!("cannot accept a client, next try in {pause_ms} ms: {error}");
                    if until_stopped(&stopped, Timer::after(pause)).await.is_none() {
                        return;
                    }
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    /// Takes in those who wait, up to a bound for each listener.
    async fn accept_waiting(&mut self) -> io::Result<()> {
        for listener in 0..self.listeners.len() {
            for _ in 0..ACCEPTS {
                let Some(listener) = self.listeners.get(listener) else { break };
                match listener.accept() {
                    Ok((socket, peer)) => self.welcome(socket, peer).await?,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    async fn welcome(&mut self, socket: OwnedFd, peer: Peer) -> io::Result<()> {
        let socket = Arc::new(Async::new_nonblocking(socket)?);
        self.last_id += 1;
        let id = MemberId(self.last_id);
        // The broadcaster learns of the client before the client can say anything.
        let arrived = Event::Arrived { id, peer, socket: Arc::clone(&socket) };
        let _ = self.events.send(arrived).await;
        if let Some(executor) = self.executor.upgrade() {
            let task = connection::run(socket, id, self.events.clone(), self.limits);
            executor.spawn(task).detach();
        }
        Ok(())
    }
}

/// What a future comes to, unless it is stopped before.
async fn until_stopped<T>(stopped: &Receiver<Event>, future: impl Future<Output = T>) -> Option<T> {
    let stopped = async {
        let _ = stopped.recv().await;
        None
    };
    stopped.or(async { Some(future.await) }).await
}
