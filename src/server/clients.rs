//! The table of all connections: delivers batches to them and ends them.

#[cfg(feature = "cluster")]
mod cluster;
#[cfg(feature = "irc")]
mod irc;
mod overdue;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "web")]
mod web;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::hint::black_box;
use std::os::fd::AsRawFd;
use std::rc::Weak;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Sender, TrySendError};
use futures_lite::FutureExt;
use smol::LocalExecutor;

use super::broadcaster::Event;
use super::client_handle::ClientHandle;
use super::client_state::{ClientEvent, ClientState};
#[cfg(feature = "tls")]
use super::edge::tls::{CLOSE_NOTIFY, INTERNAL_ERROR};
#[cfg(any(feature = "web", feature = "irc"))]
use super::framing::Framing;
#[cfg(feature = "web")]
use super::framing::encode_message;
#[cfg(feature = "irc")]
pub use irc::{IrcClient, IrcState};

use super::listener::ListenerProtocol;
use super::outbox::Delivery;
use super::socket::Socket;
use crate::protocol::ByeCode;
use crate::room::{Batch, ClientId, ClientTable, DisconnectReason, End, Slice};

/// Sockets whose descriptors are loaded before the first of them is written to. In a large room
/// each load is a cache miss, and loads in a row overlap. The gain alone is within the noise of the
/// measurement.
const PREFETCHED: usize = 16;

/// The table of all connections.
#[derive(Debug)]
pub struct Clients {
    table: ClientTable<ClientHandle>,
    /// When the connections that are ending time out. An entry stays if its connection ends before.
    deadlines: BinaryHeap<Reverse<(Duration, ClientId)>>,
    /// Clients to remove from the room: they were too slow, or their connection failed.
    disconnected: Vec<(ClientId, DisconnectReason)>,
    /// Connections that are ending without a place, the oldest first: of clients that were refused,
    /// and of members that have reconnected or are absent. An entry stays if its connection ends
    /// before.
    ending_without_place: VecDeque<ClientId>,
    /// Clients whose connections have ended.
    ended: Vec<ClientId>,
    /// The last sequence number that was delivered to the live clients.
    #[cfg(feature = "web")]
    seq: u64,
    /// Bytes that may wait for one client.
    outbox_limit: usize,
    /// The most connections beside those of visitors, see [`close_overdue`](Self::close_overdue).
    pub max_connections: usize,
    is_shutting_down: bool,
    /// Clients can use TLS.
    #[cfg(feature = "tls")]
    pub has_tls: bool,
    /// Clients that were behind after the last delivery, and have not caught up since.
    #[cfg(feature = "cluster")]
    behind: usize,
    /// For the tasks that wait until a socket is writable.
    events: Sender<Event>,
    executor: Weak<LocalExecutor<'static>>,
    #[cfg(feature = "irc")]
    pub irc: IrcState,
    /// Frames handed to clients, including those that wait in an outbox.
    pub sent_frames: u64,
    /// The bytes of these frames.
    pub sent_bytes: u64,
}

impl Clients {
    /// Creates an empty table. `outbox_limit` is the number of bytes that may wait for one client,
    /// and `max_connections` the most connections, open or ending.
    pub fn new(
        outbox_limit: usize,
        max_connections: usize,
        events: Sender<Event>,
        executor: Weak<LocalExecutor<'static>>,
    ) -> Self {
        Clients {
            table: ClientTable::new(),
            deadlines: BinaryHeap::new(),
            disconnected: Vec::new(),
            ending_without_place: VecDeque::new(),
            ended: Vec::new(),
            #[cfg(feature = "web")]
            seq: 0,
            outbox_limit,
            max_connections,
            is_shutting_down: false,
            #[cfg(feature = "tls")]
            has_tls: false,
            #[cfg(feature = "cluster")]
            behind: 0,
            events,
            executor,
            #[cfg(feature = "irc")]
            irc: IrcState::default(),
            sent_frames: 0,
            sent_bytes: 0,
        }
    }

    /// Adds a connection, which is open and not live.
    #[cfg_attr(not(feature = "irc"), expect(unused_variables))]
    pub fn insert(&mut self, id: ClientId, socket: Arc<Socket>, protocol: ListenerProtocol) {
        #[cfg_attr(not(feature = "irc"), expect(unused_mut))]
        let mut client = ClientHandle::new(socket);
        #[cfg(feature = "irc")]
        if protocol.is_irc() {
            let irc: Box<IrcClient> = Box::default();
            client.framing = Framing::irc(&irc.session);
            client.irc = Some(irc);
        }
        self.table.insert(id, client);
    }

    /// Returns whether a client without a line has input that the room has not got yet and that is
    /// not in the channel of events.
    pub fn has_unread_input(&self, id: ClientId) -> bool {
        self.table.get(id).is_some_and(ClientHandle::has_unread_input)
    }

    /// Sends an event through the channel, behind all that wait.
    pub fn send_event(&self, event: Event) {
        if let Err(TrySendError::Full(event)) = self.events.try_send(event)
            && let Some(executor) = self.executor.upgrade()
        {
            let events = self.events.clone();
            let send = async move { drop(events.send(event).await) };
            executor.spawn(send.boxed_local()).detach();
        }
    }

    /// Returns the channel of events.
    pub fn events(&self) -> Sender<Event> {
        self.events.clone()
    }

    /// Returns whether there are no connections.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Returns the number of connections.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns the number of clients that must be in the room.
    #[cfg(test)]
    pub fn known_to_room(&self) -> usize {
        let is_known = |state| matches!(state, ClientState::Open { .. } | ClientState::Broken);
        self.table.iter().filter(|(_, client)| is_known(client.state)).count()
    }

    /// Delivers a batch: to each live client the shared frames, to each client its own.
    pub fn deliver(&mut self, batch: &Batch, now: Duration) {
        if batch.frames > 0 {
            self.deliver_shared(batch, now);
        }
        for own in batch.unicasts.chunk_by(|one, next| one.to == next.to) {
            if let Some(unicast) = own.first() {
                self.deliver_own(unicast.to, batch, now);
            }
        }
        #[cfg(feature = "irc")]
        self.irc.end_batch();
        #[cfg(feature = "web")]
        {
            self.seq = batch.before + batch.frames;
        }
    }

    /// Delivers the shared frames to all live clients without unicasts.
    fn deliver_shared(&mut self, batch: &Batch, now: Duration) {
        let shared = batch.shared();
        #[cfg(feature = "web")]
        let mut message = None;
        let mut unfinished = Vec::new();
        let mut selective = Vec::new();
        for clients in self.table.chunks_mut(PREFETCHED) {
            for (_, client) in &*clients {
                black_box(client.outbox.socket().as_raw_fd());
            }
            for (id, client) in clients {
                if !client.state.is_live() || !batch.unicasts_for(*id).is_empty() {
                    continue;
                }
                if !client.framing.is_shared() {
                    selective.push(*id);
                    continue;
                }
                self.sent_frames += batch.frames;
                self.sent_bytes += shared.bytes().len() as u64;
                let delivery = match client.framing {
                    #[cfg(feature = "web")]
                    Framing::WebSocket { .. } => {
                        let message = message.get_or_insert_with(|| encode_message(&shared));
                        client.send_message(message, &shared, self.outbox_limit)
                    }
                    #[cfg(feature = "irc")]
                    Framing::Irc { variant, .. } => {
                        let lines = self.irc.shared_lines(variant, batch).map(slice::from_ref);
                        client.send(lines.unwrap_or_default(), batch.before, self.outbox_limit)
                    }
                    _ => client.send(slice::from_ref(&shared), batch.before, self.outbox_limit),
                };
                match delivery {
                    Delivery::Sent => {}
                    delivery => unfinished.push((*id, delivery)),
                }
            }
        }
        #[cfg(feature = "cluster")]
        {
            self.behind = unfinished.len();
        }
        for (id, delivery) in unfinished {
            self.handle_delivery(id, delivery, now);
        }
        for id in selective {
            self.deliver_own(id, batch, now);
        }
    }

    /// Delivers one client's part of a batch: if the batch has unicasts for it, or if it is not sent all
    /// shared frames.
    fn deliver_own(&mut self, id: ClientId, batch: &Batch, now: Duration) {
        let Some(client) = self.table.get_mut(id) else { return };
        let mut part = batch.slices_for(id, client.state.is_live());
        #[cfg(feature = "tls")]
        if self.has_tls && part.end.is_some() {
            client.find_unread_handshake();
        }
        if matches!(part.end, Some(End::Close | End::Refuse))
            && let Some(end) = client.framing.end(self.is_shutting_down)
        {
            part.slices.push(end);
        }
        #[cfg(feature = "irc")]
        if let Some(irc) = &mut client.irc
            && client.framing.has_frames()
        {
            part.slices = self.irc.lines_of(&mut irc.session, &part.slices, batch);
            client.framing = Framing::irc(&irc.session);
        }
        if client.state.is_open() {
            self.sent_frames += part.slices.iter().map(Slice::frames).sum::<u64>();
            self.sent_bytes +=
                part.slices.iter().map(|slice| slice.bytes().len() as u64).sum::<u64>();
            let delivery = client.send(&part.slices, batch.before, self.outbox_limit);
            if part.is_live {
                self.transition(id, ClientEvent::StartLive, now);
            }
            self.handle_delivery(id, delivery, now);
        }
        match part.end {
            Some(End::Close) => self.close(id, now),
            Some(End::Refuse) => {
                self.ending_without_place.push_back(id);
                self.close(id, now);
            }
            Some(End::Evict(code)) => {
                self.ending_without_place.push_back(id);
                self.evict(id, code, batch.before, now);
            }
            Some(End::Abort) => self.abort(id, now),
            None => {}
        }
    }

    /// Handles a delivery that queued bytes, failed, or exceeded the limit of the outbox.
    fn handle_delivery(&mut self, id: ClientId, delivery: Delivery, now: Duration) {
        let Some(client) = self.table.get_mut(id) else { return };
        match delivery {
            Delivery::Sent => self.transition(id, ClientEvent::Written, now),
            Delivery::Waiting => client.notify_when_writable(id, &self.events, &self.executor),
            Delivery::Failed => self.transition(id, ClientEvent::WriteFailed, now),
            Delivery::Slow => {
                self.disconnected.push((id, DisconnectReason::Slow));
                // The number is not needed: while frames wait, the outbox has the number for the
                // bye.
                self.evict(id, ByeCode::Slow, 0, now);
            }
            #[cfg(feature = "tls")]
            Delivery::UsedUp => {
                self.disconnected.push((id, DisconnectReason::KeyLimit));
                self.evict(id, ByeCode::KeyLimit, 0, now);
            }
        }
    }

    /// Ends a connection at once.
    pub fn abort(&mut self, id: ClientId, now: Duration) {
        #[cfg(feature = "tls")]
        self.refuse_handshake(id, INTERNAL_ERROR, now);
        self.transition(id, ClientEvent::Abort, now);
    }

    /// Ends a connection whose last frame is in the outbox.
    fn close(&mut self, id: ClientId, now: Duration) {
        #[cfg(feature = "tls")]
        {
            self.refuse_handshake(id, INTERNAL_ERROR, now);
            self.end_tls(id, CLOSE_NOTIFY);
        }
        if let Some(client) = self.table.get_mut(id) {
            let is_written = client.outbox.is_empty();
            self.transition(id, ClientEvent::Close { is_written }, now);
        }
    }

    /// Discards all frames that wait for a client, sends it a bye, and ends its connection.
    fn evict(&mut self, id: ClientId, code: ByeCode, seq: u64, now: Duration) {
        let Some(client) = self.table.get_mut(id) else { return };
        if !client.state.is_open() {
            return self.close(id, now);
        }
        let delivery = client.evict(code, seq);
        if delivery == Delivery::Waiting {
            client.notify_when_writable(id, &self.events, &self.executor);
        }
        let is_written = delivery == Delivery::Sent;
        self.transition(id, ClientEvent::Close { is_written }, now);
        if delivery == Delivery::Failed {
            self.transition(id, ClientEvent::WriteFailed, now);
        }
    }

    /// Handles the end of the connection task of a client.
    pub fn on_read_closed(&mut self, id: ClientId, now: Duration) {
        self.transition(id, ClientEvent::ReadClosed, now);
    }

    /// Writes queued frames to the socket of a client, which is writable.
    pub fn on_writable(&mut self, id: ClientId, now: Duration) {
        if let Some(client) = self.table.get_mut(id) {
            let delivery = client.on_writable();
            #[cfg(feature = "cluster")]
            if delivery == Delivery::Sent {
                self.behind = self.behind.saturating_sub(1);
            }
            self.handle_delivery(id, delivery, now);
        }
    }

    /// Removes and returns the clients whose connections have ended.
    pub fn take_ended(&mut self) -> Vec<ClientId> {
        std::mem::take(&mut self.ended)
    }

    /// Removes and returns the clients that have to be removed from the room.
    pub fn take_disconnected(&mut self) -> Vec<(ClientId, DisconnectReason)> {
        std::mem::take(&mut self.disconnected)
    }

    /// Changes the state of a client after an event, and its socket to match it.
    fn transition(&mut self, id: ClientId, event: ClientEvent, now: Duration) {
        let Some(client) = self.table.get_mut(id) else { return };
        let old = client.state;
        client.state = old.next(event, self.is_shutting_down);
        if std::mem::discriminant(&client.state) == std::mem::discriminant(&old) {
            return;
        }
        if old.is_open()
            && let Some(timeout) = client.state.timeout(self.is_shutting_down)
        {
            self.deadlines.push(Reverse((now + timeout, id)));
        }
        match client.state {
            ClientState::Draining => client.outbox.shut_down_write(),
            ClientState::Closed => {
                client.outbox.shut_down();
                self.table.remove(id);
                self.ended.push(id);
            }
            ClientState::Open { .. } | ClientState::Closing { .. } | ClientState::Broken => {}
        }
    }
}
