//! The accept loop: accepts clients and spawns a connection task for each.

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::FutureExt;
use log::warn;
use smol::{Async, LocalExecutor, Timer};

use super::broadcaster::Event;
use super::connection::{self, ReadLimits};
use super::listener::Listener;
use super::socket::ReadyWait;
use crate::room::{ClientId, Peer};

/// Clients accepted from one listener before the other tasks run.
const MAX_ACCEPTS: usize = 256;
/// The first pause after a failed accept. Each further failure doubles it.
const MIN_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause after a failed accept.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// A loop that accepts the clients of all listeners.
pub struct AcceptLoop {
    pub listeners: Vec<Listener>,
    pub events: Sender<Event>,
    pub limits: Rc<ReadLimits>,
    pub executor: Weak<LocalExecutor<'static>>,
    /// The number of the last client.
    pub last_id: u64,
}

impl AcceptLoop {
    /// Accepts clients until the sender of `stopped` is dropped. Dropping this future instead would
    /// lose a client that has been accepted.
    pub async fn run(mut self, stopped: Receiver<Event>) {
        let mut pause = MIN_PAUSE;
        let mut wait = ReadyWait::default();
        loop {
            let readable = poll_fn(|cx| {
                let is_ready = |listener: &Listener| listener.socket().poll_readable(cx).is_ready();
                // Every listener is polled, so that each can wake this task.
                let ready = self.listeners.iter().map(is_ready).fold(false, |any, one| any | one);
                wait.poll(if ready { Poll::Ready(Ok(())) } else { Poll::Pending })
            });
            let accepted = match until_stopped(&stopped, readable).await {
                Some(Ok(())) => self.accept_waiting().await,
                Some(Err(error)) => Err(error),
                None => return,
            };
            match accepted {
                Ok(()) => pause = MIN_PAUSE,
                Err(error) => {
                    warn!("cannot accept a client, next try in {} ms: {error}", pause.as_millis());
                    if until_stopped(&stopped, Timer::after(pause)).await.is_none() {
                        return;
                    }
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            }
        }
    }

    /// Accepts the clients that wait, at most [`MAX_ACCEPTS`] from each listener.
    async fn accept_waiting(&mut self) -> io::Result<()> {
        for index in 0..self.listeners.len() {
            for _ in 0..MAX_ACCEPTS {
                let Some(listener) = self.listeners.get(index) else { break };
                match listener.accept() {
                    Ok((socket, peer)) => self.add_client(socket, peer).await?,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    async fn add_client(&mut self, socket: OwnedFd, peer: Peer) -> io::Result<()> {
        let socket = Arc::new(Async::new_nonblocking(socket)?);
        self.last_id += 1;
        let id = ClientId(self.last_id);
        // The broadcaster must receive this event before the first input of the client.
        let connected = Event::Connected { id, peer, socket: Arc::clone(&socket) };
        let _ = self.events.send(connected).await;
        if let Some(executor) = self.executor.upgrade() {
            let task = connection::run(socket, id, self.events.clone(), Rc::clone(&self.limits));
            executor.spawn(task).detach();
        }
        Ok(())
    }
}

/// Returns the output of a future, or `None` if the sender of `stopped` is dropped before.
async fn until_stopped<T>(stopped: &Receiver<Event>, future: impl Future<Output = T>) -> Option<T> {
    let stopped = async {
        let _ = stopped.recv().await;
        None
    };
    stopped.or(async { Some(future.await) }).await
}
