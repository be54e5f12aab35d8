//! The one task that owns the room: batch, apply, deliver.
//!
//! Everything that happens arrives here as a [`Event`], over one bounded channel. The
//! broadcaster takes all signals that wait, up to a bound, lets the room answer to them as one
//! [`Batch`], and writes that to each member. It never waits for a member.

use std::hint::black_box;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Weak;
use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_channel::{Receiver, Sender};
use futures_lite::FutureExt;
use log::log;
use smol::{LocalExecutor, Timer};

use crate::os::{fresh_epoch, random, resident_memory};
use crate::protocol::{ByeCode, Stats};
use crate::room::Snapshot;
use crate::room::{
    self, Batch, ClientTable, DisconnectReason, Input, MemberId, Now, Peer, Room, Slice, SliceKind,
    Token,
};
use crate::server::outbox::Delivery;
use crate::server::socket::Socket;
use crate::store::HistoryFile;
use crate::store::HistoryWriter;

use super::client_handle::{ClientHandle, ClientState, take_unicasts};
use super::deadlines::Deadlines;
pub use super::status::{Status, StatusObserver};

/// Bytes of frames after which a batch is closed, however many signals wait. Larger ones save no
/// system calls worth having, and make the last member wait for the first.
const BATCH_BYTES: usize = 64 * 1024;
/// Bytes of an outbox for each notice a second of who came and went. One takes from a sixth to half
/// of that, so a crowd that comes at once does not make slow members of those who are there.
const OUTBOX_A_NOTICE: usize = 1024;
/// Sockets whose descriptors are fetched before the first of them is written to. In a large room
/// each is a cache miss; together they are waited for once.
const LOOK_AHEAD: usize = 16;
/// The log target of lines that somebody asked for: they are written as they are, and at every
/// level.
pub const REPORT: &str = "smolchat::report";
/// How long a member that was closed may take to read what is on its way: as long as the kernel
/// gives any other to take what it was sent.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(120);
/// The same, when the server ends.
const SHUTDOWN_DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a member may take to be heard out, when its connection broke, and when it was said bye:
/// to close the socket while there is something to read from it would be a reset, to which it may
/// lose the bye and more.
const READ_DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// What the other tasks tell the broadcaster.
#[derive(Debug)]
pub enum Event {
    /// From the accept loop: a connection. The broadcaster writes to it from now on.
    Arrived {
        /// Its number, larger than any before.
        id: MemberId,
        /// Where it comes from.
        peer: Peer,
        /// The way to it.
        socket: Arc<Socket>,
    },
    /// From a connection task: something for the room.
    Input {
        /// What happened.
        input: Input,
        /// Bytes that were read from that client since the event before it.
        bytes: u32,
    },
    /// From the server: somebody wants the figures on the log.
    Report,
    /// From a task that watched a full socket: it has room again.
    Writable(MemberId),
    /// From the server: let everybody go.
    Shutdown,
}

/// The owner of a [`Room`] and of each member's way out.
pub struct Broadcaster {
    room: Room,
    writer: Option<HistoryWriter>,
    observer: Option<StatusObserver>,
    clients: ClientTable<ClientHandle>,
    events: Receiver<Event>,
    /// For the tasks that watch full sockets.
    sender: Sender<Event>,
    executor: Weak<LocalExecutor<'static>>,
    /// Connections that are to end by themselves, and when they end anyway.
    ending: Deadlines,
    /// Those who turned out to be gone, or too slow, since the room was last told.
    disconnected: Vec<(MemberId, DisconnectReason)>,
    outbox_limit: usize,
    batch_bytes: usize,
    max_ending: usize,
    started: Instant,
    timer: Option<(Duration, Timer)>,
    /// What was counted here, of all that [`Stats`] has.
    stats: Stats,
    shutting_down: bool,
}

impl Broadcaster {
    /// A broadcaster for an empty room, with the channel that feeds it.
    ///
    /// `outbox_limit` is how many bytes may wait for one member. With a `past`, the room goes on
    /// after it, and each batch is recorded before anybody is shown it.
    #[expect(clippy::disallowed_methods, reason = "the start of the uptime")]
    pub fn new(
        mut config: room::Config,
        outbox_limit: usize,
        past: Option<(HistoryFile, Snapshot)>,
        channel: (Sender<Event>, Receiver<Event>),
        executor: Weak<LocalExecutor<'static>>,
    ) -> io::Result<Self> {
        let max_ending = max_ending(config.max_clients);
        config.crowd = config.crowd.min(outbox_limit / OUTBOX_A_NOTICE);
        config.answer_bytes = config.answer_bytes.min(outbox_limit / 2);
        let (room, writer) = match past {
            Some((file, past)) => {
                (Room::with_snapshot(config, past), Some(HistoryWriter::new(file, fresh_epoch)))
            }
            None => (Room::new(config, fresh_epoch()?), None),
        };
        Ok(Broadcaster {
            max_ending,
            room,
            writer,
            observer: None,
            clients: ClientTable::default(),
            sender: channel.0,
            events: channel.1,
            executor,
            ending: Deadlines::default(),
            disconnected: Vec::new(),
            outbox_limit,
            batch_bytes: batch_bytes(outbox_limit),
            started: Instant::now(),
            timer: None,
            stats: Stats::default(),
            shutting_down: false,
        })
    }

    /// Has a `observer` told how the room is.
    pub fn observed_by(self, observer: Option<StatusObserver>) -> Self {
        Broadcaster { observer, ..self }
    }

    /// Serves until it was told to shut down and everybody is gone.
    pub async fn run(mut self) {
        loop {
            let event = self.next_event().await;
            let now = self.now();
            if let Some(event) = event {
                self.take(event, now);
            }
            while self.room.pending_bytes() < self.batch_bytes
                && let Ok(event) = self.events.try_recv()
            {
                self.take(event, now);
            }
            self.room.tick(now);
            self.deliver(now).await;
            self.end_overdue(now);
            while !self.disconnected.is_empty() || self.room.has_unicasts() {
                for (id, reason) in std::mem::take(&mut self.disconnected) {
                    self.room.apply(Input::Leave { id, reason }, now);
                }
                self.deliver(now).await;
            }
            if let Some(writer) = &mut self.writer {
                writer.sync_if_due();
            }
            if let Some(observer) = &mut self.observer {
                observer.update(self.room.member_count(), now.uptime);
            }
            if self.shutting_down && self.clients.is_empty() {
                if let Some(writer) = self.writer {
                    writer.close().await;
                }
                return;
            }
        }
    }

    /// The next signal, or nothing when a deadline has come.
    async fn next_event(&mut self) -> Option<Event> {
        let sync = self.writer.as_ref().and_then(HistoryWriter::sync_due);
        let observer = self.observer.as_ref();
        let deadline = [
            self.room.deadline(),
            self.ending.first().map(|(deadline, _)| deadline),
            sync.map(|due| due.saturating_duration_since(self.started)),
            observer.and_then(|observer| observer.deadline(self.room.member_count())),
        ];
        let Some(deadline) = deadline.into_iter().flatten().min() else {
            self.timer = None;
            return self.events.recv().await.ok();
        };
        // Setting a timer costs a system call, so one that is early enough is left as it is.
        let (_, timer) = match &mut self.timer {
            Some(timer) if timer.0 <= deadline => timer,
            timer => timer.insert((deadline, Timer::at(self.started + deadline))),
        };
        let event = async { self.events.recv().await.ok() };
        let alarm = async {
            timer.await;
            None
        };
        let event = event.or(alarm).await;
        if event.is_none() {
            self.timer = None;
        }
        event
    }

    fn take(&mut self, event: Event, now: Now) {
        match event {
            Event::Arrived { id, peer, socket } => {
                // Without a random token there is no telling members apart: nobody comes in.
                match random() {
                    Ok(secret) => {
                        let token = Token(secret);
                        self.clients.insert(id, ClientHandle::new(socket));
                        self.room.apply(Input::Arrive { id, peer, token }, now);
                    }
                    Err(error) => log::error!("{peer} turned away: cannot get a token: {error}"),
                }
            }
            Event::Input { input, bytes } => {
                if let Input::Leave { id, .. } = input {
                    self.on_read_closed(id);
                }
                self.stats.bytes_in += u64::from(bytes);
                if input.asks_for_stats() {
                    self.room.set_server_stats(self.stats());
                }
                self.room.apply(input, now);
            }
            Event::Report => self.report(),
            Event::Writable(id) => self.drain(id, now),
            Event::Shutdown => {
                self.shutting_down = true;
                let latest = now.uptime + SHUTDOWN_DRAIN_TIMEOUT;
                self.ending.bring_forward(latest);
                self.room.apply(Input::Shutdown, now);
            }
        }
    }

    /// Writes what the room has to say to everybody whom it concerns.
    async fn deliver(&mut self, now: Now) {
        let Batch { chunk, before, mut unicasts, log } = self.room.seal();
        if let Some(writer) = &mut self.writer
            && let Some(news) = writer.record(&chunk, before).await
        {
            // It goes out behind this batch.
            self.room.announce(news.text());
        }
        let all = Slice::new(chunk, 0, u32::MAX, SliceKind::Live { before });
        // In the order in which the walk below meets the seats, and for one seat in theirs.
        unicasts.sort_by_key(|unicast| unicast.to);
        let limit = self.outbox_limit;
        let mut unfinished = Vec::new();
        if all.bytes().is_empty() {
            // Nothing for everybody, so only those are visited who have something of their own.
            for own in unicasts.chunk_by(|one, next| one.to == next.to) {
                let Some(id) = own.first().map(|unicast| unicast.to) else { continue };
                let Some(client) = self.clients.get_mut(id) else { continue };
                let (delivery, closed) =
                    client.deliver_unicasts(own, &all, before, limit, &mut self.stats);
                if delivery != Delivery::Sent || closed {
                    unfinished.push((id, delivery, closed));
                }
            }
        } else {
            let mut unicasts = unicasts.as_slice();
            let mut recipients = 0;
            for clients in self.clients.chunks_mut(LOOK_AHEAD) {
                for (_, client) in &*clients {
                    black_box(client.outbox.socket().as_raw_fd());
                }
                for (id, client) in clients {
                    let own = take_unicasts(*id, &mut unicasts);
                    let (delivery, closed) = if own.is_empty() {
                        recipients += u64::from(client.state == ClientState::Member);
                        (client.deliver(slice::from_ref(&all), before, limit), false)
                    } else {
                        client.deliver_unicasts(own, &all, before, limit, &mut self.stats)
                    };
                    if delivery != Delivery::Sent || closed {
                        unfinished.push((*id, delivery, closed));
                    }
                }
            }
            self.stats.lines_out += recipients * (self.room.seq() - before);
            self.stats.bytes_out += recipients * all.bytes().len() as u64;
        }
        for (id, delivery, closed) in unfinished {
            self.handle_delivery(id, delivery, closed, now);
        }
        for (level, line) in log {
            log!(level, "{line}");
        }
    }

    /// Does what a delivery that was not the usual one calls for.
    fn handle_delivery(&mut self, id: MemberId, delivery: Delivery, closed: bool, now: Now) {
        let Some(client) = self.clients.get_mut(id) else { return };
        match delivery {
            Delivery::Sent if client.is_done() => {
                if client.is_read_closed || self.shutting_down {
                    self.release(id);
                } else {
                    client.outbox.finish();
                    self.end_by(now.uptime + READ_DRAIN_TIMEOUT, id);
                }
            }
            Delivery::Sent => {}
            Delivery::Waiting => {
                client.watch(id, &self.sender, &self.executor);
                if closed {
                    self.linger(id, now);
                }
            }
            Delivery::Slow => {
                let delivery = client.evict(ByeCode::Slow, self.room.seq());
                self.disconnected.push((id, DisconnectReason::Slow));
                self.handle_delivery(id, delivery, true, now);
            }
            Delivery::Lost if client.state == ClientState::Leaving => self.release(id),
            // What it said before its connection broke may still be on its way in, and counts.
            // The task that reads it comes to the end soon, and says so; unless its pace holds it
            // up, and then it has had its chance.
            Delivery::Lost => {
                client.state = ClientState::Broken;
                self.ending.insert(now.uptime + READ_DRAIN_TIMEOUT, id);
            }
        }
    }

    /// Nothing more comes from a connection.
    fn on_read_closed(&mut self, id: MemberId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        client.is_read_closed = true;
        if client.is_done() {
            self.release(id);
        }
    }

    /// A socket has room again.
    fn drain(&mut self, id: MemberId, now: Now) {
        if let Some(client) = self.clients.get_mut(id) {
            let delivery = client.drain();
            self.handle_delivery(id, delivery, false, now);
        }
    }

    /// Gives a connection that is closed some time to read what is on its way.
    fn linger(&mut self, id: MemberId, now: Now) {
        let linger = if self.shutting_down { SHUTDOWN_DRAIN_TIMEOUT } else { DRAIN_TIMEOUT };
        self.end_by(now.uptime + linger, id);
    }

    /// Ends a connection at some time, if it has not ended by itself. If too many wait for that,
    /// the next one's time has come.
    fn end_by(&mut self, deadline: Duration, id: MemberId) {
        self.ending.insert(deadline, id);
        if self.ending.len() > self.max_ending {
            let clients = &self.clients;
            self.ending.retain(|id| clients.get(id).is_some());
            if self.ending.len() > self.max_ending
                && let Some((_, next)) = self.ending.pop_first()
            {
                self.end(next);
            }
        }
    }

    /// Ends the connections whose time is over.
    fn end_overdue(&mut self, now: Now) {
        while let Some((deadline, id)) = self.ending.first()
            && (deadline <= now.uptime || self.clients.get(id).is_none())
        {
            self.ending.pop_first();
            self.end(id);
        }
    }

    fn end(&mut self, id: MemberId) {
        if self.clients.get(id).is_some_and(|client| client.state == ClientState::Broken) {
            let kind = io::ErrorKind::BrokenPipe;
            self.disconnected.push((id, DisconnectReason::Lost(kind)));
        }
        self.release(id);
    }

    fn release(&mut self, id: MemberId) {
        if let Some(client) = self.clients.remove(id) {
            client.outbox.end();
        }
    }

    /// What there is to say of the server that its room does not know.
    fn stats(&self) -> Stats {
        let events_waiting = self.events.len();
        Stats { events_waiting, memory: resident_memory(), ..self.stats.clone() }
    }

    /// Writes the figures to the log, as one line of JSON.
    fn report(&self) {
        let stats = self.room.stats(self.stats());
        if let Ok(line) = serde_json::to_string(&stats) {
            log::error!(target: REPORT, "{line}");
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the one clock of the room")]
    fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now {
            uptime: self.started.elapsed(),
            unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Connections that were said bye and may take their time to read it, besides those who are here.
pub fn max_ending(max_clients: usize) -> usize {
    (max_clients / 4).max(16)
}

/// Bytes of frames after which a batch is closed: it must not fill the outbox of somebody who is
/// hardly behind.
pub fn batch_bytes(outbox: usize) -> usize {
    BATCH_BYTES.min(outbox / 2)
}
