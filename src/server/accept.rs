//! The accept loop: accepts clients and spawns a connection task for each.

use std::future::{Future, poll_fn};
use std::io;
use std::rc::Weak;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::FutureExt;
use futures_lite::future::{poll_once, yield_now};
use log::warn;
use smol::{Async, LocalExecutor, Timer};

use super::address_limits::AddressTable;
use super::broadcaster::Event;
use super::connection;
use super::edge::proxy::PendingConnections;
use super::listener::{Listener, ListenerProtocol};
use super::socket::{ReadyWait, Socket};
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
    /// Accepted connections that are not clients yet.
    pub pending_connections: PendingConnections,
    pub events: Sender<Event>,
    /// The channel for the inputs of clients.
    pub inputs: Sender<Event>,
    pub addresses: AddressTable,
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
            let next = poll_fn(|cx| {
                if let Poll::Ready(client) = self.pending_connections.poll_next(cx) {
                    return Poll::Ready(Ok(Some(client)));
                }
                ready!(self.pending_connections.poll_place(cx));
                let is_ready = |listener: &Listener| listener.socket().poll_readable(cx).is_ready();
                // Every listener is polled, so that each can wake this task.
                let ready = self.listeners.iter().map(is_ready).fold(false, |any, one| any | one);
                let ready = wait.poll(if ready { Poll::Ready(Ok(())) } else { Poll::Pending });
                ready.map_ok(|()| None)
            });
            let last_id = self.last_id;
            let accepted = match until_stopped(&stopped, next).await {
                Some(Ok(None)) => self.accept_waiting().await,
                Some(Ok(Some((socket, peer, protocol)))) => {
                    self.add_client(socket, peer, protocol).await;
                    Ok(())
                }
                Some(Err(error)) => Err(error),
                None => break,
            };
            match accepted {
                Ok(()) => pause = MIN_PAUSE,
                // The other tasks can close connections before the next try, such as those of
                // clients that are refused.
                Err(_) if self.last_id > last_id => pause = MIN_PAUSE,
                Err(error) => {
                    let ms = pause.as_millis() as u64;
                    warn!("cannot accept a client, next try in {ms} ms: {error}");
                    if until_stopped(&stopped, Timer::after(pause)).await.is_none() {
                        break;
                    }
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            }
        }
        self.add_identified().await;
    }

    /// Connects the clients whose PROXY header has arrived, so that each of them gets a bye.
    async fn add_identified(&mut self) {
        // Lets the tasks read the headers.
        yield_now().await;
        loop {
            let next = poll_fn(|cx| self.pending_connections.poll_next(cx));
            let Some((socket, peer, protocol)) = poll_once(next).await else { return };
            self.add_client(socket, peer, protocol).await;
        }
    }

    /// Accepts the clients that wait, at most [`MAX_ACCEPTS`] from each listener.
    async fn accept_waiting(&mut self) -> io::Result<()> {
        for index in 0..self.listeners.len() {
            for _ in 0..MAX_ACCEPTS {
                if self.pending_connections.is_full() {
                    return Ok(());
                }
                let Some(listener) = self.listeners.get(index) else { break };
                match listener.accept() {
                    Ok((socket, peer)) => {
                        let protocol = listener.protocol();
                        self.on_accepted(Async::new_nonblocking(socket)?, peer, protocol).await;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    async fn on_accepted(&mut self, socket: Socket, peer: Peer, protocol: ListenerProtocol) {
        if !self.pending_connections.expects_header(peer) {
            self.add_client(socket, peer, protocol).await;
        } else if let Some(executor) = self.executor.upgrade() {
            self.pending_connections.push(&executor, socket, peer, protocol);
        }
    }

    /// Connects a client to the room: tells the broadcaster of it, and spawns its connection task.
    async fn add_client(&mut self, socket: Socket, peer: Peer, protocol: ListenerProtocol) {
        let socket = Arc::new(socket);
        self.last_id += 1;
        let id = ClientId(self.last_id);
        let budget = self.addresses.budget_of(peer);
        let refusal = connection::find_refusal(&budget, peer);
        let is_refused = refusal.is_some();
        // The broadcaster must receive this event before the first input of the client.
        let connected =
            Event::Connected { id, peer, socket: Arc::clone(&socket), protocol, refusal };
        let _ = self.events.send(connected).await;
        if let Some(executor) = self.executor.upgrade() {
            let task = connection::run(
                socket,
                (id, peer),
                self.inputs.clone(),
                budget,
                protocol,
                is_refused,
            );
            executor.spawn(task).detach();
        }
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpStream;
    use std::rc::Rc;
    use std::time::Instant;

    use super::super::{Buffers, Config, ListenAddress};
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test has no other clock")]
    fn shutdown_keeps_clients_whose_header_arrived() {
        let mut config = Config::default();
        config.trusted_proxies.push("127.0.0.1".parse().unwrap());
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), Buffers::default()).unwrap();
        let ListenAddress::Inet(address) = listener.to_string().parse().unwrap() else { panic!() };
        let mut clients = [(); 2].map(|()| TcpStream::connect(address).unwrap());
        clients[0].write_all(b"PROXY TCP4 192.0.2.1 192.0.2.2 7 8\r\n").unwrap();
        let executor = Rc::new(LocalExecutor::new());
        let (events, received) = async_channel::bounded(8);
        let limits = Rc::new(config.read_limits(Instant::now()));
        let mut accept = AcceptLoop {
            listeners: vec![listener],
            pending_connections: PendingConnections::new(&config),
            inputs: events.clone(),
            events,
            addresses: AddressTable::new(limits, 0),
            executor: Rc::downgrade(&executor),
            last_id: 0,
        };
        let (stop, stopped) = async_channel::bounded(1);
        drop(stop);
        smol::block_on(executor.run(async {
            while accept.pending_connections.count() < clients.len() {
                accept.accept_waiting().await.unwrap();
            }
            accept.run(stopped).await;
        }));
        let Ok(Event::Connected { peer, .. }) = received.try_recv() else { panic!("no client") };
        assert_eq!(peer, Peer::Inet([192, 0, 2, 1].into(), 7));
        assert!(received.try_recv().is_err());
    }
}
