//! The accept loop: takes clients in and starts a connection task for each.

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Weak;
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
use super::socket::Wait;
use crate::room::{MemberId, Peer};

/// Clients accepted in one go, before the others get a turn.
const ACCEPTS: usize = 64;
/// The first and the longest pause after a client could not be accepted.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

pub struct AcceptLoop {
    pub listeners: Vec<Listener>,
    pub events: Sender<Event>,
    pub limits: ReadLimits,
    pub executor: Weak<LocalExecutor<'static>>,
    pub last_id: u64,
}

impl AcceptLoop {
    /// Lets clients in until the other end of `stopped` is gone. It is not cancelled, because that
    /// would drop a client that was taken, and leave it without a word.
    pub async fn run(mut self, stopped: Receiver<Event>) {
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
