//! The broadcaster: the one task that owns the room and the outbox of every client.
//!
//! It receives every [`Event`] over one bounded channel. In each turn it takes the events that
//! wait, up to a bound, applies them to the [`Room`], and delivers the resulting
//! [`Batch`] to every client. It never waits for a client.

#[cfg(feature = "cluster")]
mod cluster;
mod event;
mod hello_waits;
mod input;
#[cfg(feature = "irc")]
mod irc;
mod moderation;
mod report;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "web")]
mod web;

use std::future::pending;
use std::io;
use std::rc::Weak;
use std::time::{Duration, Instant, SystemTime};

use async_channel::{Receiver, Sender};
use futures_lite::FutureExt;
use log::log;
use smol::{LocalExecutor, Timer};

#[cfg(feature = "cluster")]
use self::cluster::ClusterNode;
use super::clients::Clients;
use super::config::Config;
#[cfg(feature = "web")]
use super::edge::web::BrowserAddresses;
#[cfg(feature = "tls")]
use super::secrets::Plain;
use crate::os::fresh_epoch;
use crate::room::{self, Batch, Input, Now, Room, Snapshot};
use crate::status::StatusObserver;
use crate::store::{BanFile, HistoryFile, HistoryWriter};

#[cfg(feature = "cluster")]
pub use cluster::{CHARGE_BYTES, MAX_CHARGES};
pub use event::Event;
#[cfg(all(feature = "irc", feature = "cluster"))]
pub use irc::MAX_WAITING;
pub use report::REPORT_TARGET;

/// Bytes of frames after which a batch is closed, however many events wait. A larger batch saves
/// few system calls, and delays the delivery to the last member.
const MAX_BATCH_BYTES: usize = 64 * 1024;
/// Bytes of an outbox for each notice per second. A notice takes from a sixth to half of that, so
/// many joins at once do not fill the outboxes of the other members.
const OUTBOX_BYTES_PER_NOTICE: usize = 1024;
/// The log target of the actions of operators, whose lines are not limited.
pub const AUDIT_TARGET: &str = "smolchat::audit";

/// The task that owns the [`Room`] and the outbox of every client.
pub struct Broadcaster {
    room: Room,
    writer: Option<HistoryWriter>,
    observer: Option<StatusObserver>,
    ban_file: Option<BanFile>,
    clients: Clients,
    events: Receiver<Event>,
    batch_bytes: usize,
    started: Instant,
    timer: Option<(Duration, Timer)>,
    /// Bytes read from clients.
    bytes_in: u64,
    /// The usual time for the first line of a client.
    #[cfg(any(feature = "web", feature = "tls"))]
    hello_wait: Duration,
    #[cfg(feature = "web")]
    browsers: BrowserAddresses,
    /// The clients that may speak plain text, if clients can use TLS.
    #[cfg(feature = "tls")]
    plain: Option<Plain>,
    is_shutting_down: bool,
    #[cfg(feature = "cluster")]
    cluster: Option<Box<ClusterNode>>,
}

impl Broadcaster {
    /// Creates a broadcaster that takes its events from a channel.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system has no random bytes for a new epoch.
    #[expect(clippy::disallowed_methods, reason = "the start of the uptime")]
    pub fn new(
        config: Config,
        channel: (Sender<Event>, Receiver<Event>),
        executor: Weak<LocalExecutor<'static>>,
    ) -> io::Result<Self> {
        #[cfg(feature = "irc")]
        let irc = config.irc;
        #[cfg(feature = "tls")]
        let plain = config.tls.map(|_| config.plain.unwrap_or(Plain::Local));
        #[cfg(feature = "cluster")]
        let cluster = config.cluster;
        let Config { mut room, outbox, history, observer, ban_file, .. } = config;
        let max_connections = room.max_connections();
        #[cfg(any(feature = "web", feature = "tls"))]
        let hello_wait = room.hello_wait;
        room.crowd = room.crowd.min(outbox / OUTBOX_BYTES_PER_NOTICE);
        room.answer_bytes = room.answer_bytes.min(outbox / 2);
        room.is_stored = history.is_some();
        room.operator_user = Some(rustix::process::geteuid().as_raw());
        #[cfg(feature = "cluster")]
        let cluster = match cluster {
            Some(cluster) => Some(Box::new(ClusterNode::start(cluster, &room, config.events)?)),
            None => None,
        };
        let (room, writer) = create_room(room, history)?;
        #[cfg(feature = "cluster")]
        let room = match &cluster {
            Some(node) => node.create_room(),
            None => room,
        };
        let (sender, events) = channel;
        #[cfg_attr(not(any(feature = "irc", feature = "tls")), expect(unused_mut))]
        let mut clients = Clients::new(outbox, max_connections, sender, executor);
        #[cfg(feature = "irc")]
        clients.irc.configure(irc, &room);
        #[cfg(feature = "tls")]
        {
            clients.has_tls = plain.is_some();
        }
        Ok(Broadcaster {
            room,
            writer,
            observer,
            ban_file,
            clients,
            events,
            batch_bytes: batch_bytes(outbox),
            started: Instant::now(),
            timer: None,
            bytes_in: 0,
            #[cfg(any(feature = "web", feature = "tls"))]
            hello_wait,
            #[cfg(feature = "web")]
            browsers: BrowserAddresses::default(),
            #[cfg(feature = "tls")]
            plain,
            is_shutting_down: false,
            #[cfg(feature = "cluster")]
            cluster,
        })
    }

    /// Returns the channel for the inputs of clients.
    pub(super) fn inputs(&self) -> Sender<Event> {
        #[cfg(feature = "cluster")]
        if let Some(cluster) = &self.cluster {
            return cluster.inputs();
        }
        self.clients.events()
    }

    /// Returns the channel for the reason for which the server cannot be a node of the cluster.
    #[cfg(feature = "cluster")]
    pub(super) fn failures(&self) -> Option<Receiver<String>> {
        self.cluster.as_ref().map(|cluster| cluster.failures())
    }

    /// Runs until [`Event::Shutdown`] was received and all connections have ended, or until the server
    /// cannot be a node of the cluster.
    pub async fn run(mut self) {
        self.read_bans(self.now());
        while !(self.is_shutting_down && self.clients.is_empty() && self.has_left_cluster()) {
            let event = self.next_event().await;
            let now = self.now();
            self.run_turn(event, now).await;
            if let Some(observer) = &mut self.observer {
                observer.update(self.room.member_count(), now.uptime);
            }
        }
        if let Some(writer) = self.writer {
            writer.close().await;
        }
        #[cfg(feature = "cluster")]
        if let Some(cluster) = self.cluster {
            cluster.send_failure();
        }
    }

    /// Applies an event, and others that wait up to a bound, and delivers the result.
    async fn run_turn(&mut self, event: Option<Event>, now: Now) {
        if let Some(event) = event {
            self.on_event(event, now);
        }
        while self.room.pending_bytes() < self.batch_bytes
            && let Some(event) = self.try_next_event()
        {
            self.on_event(event, now);
        }
        #[cfg(feature = "cluster")]
        self.advance_cluster(now);
        self.end_hello_waits(now);
        if let Some(writer) = &mut self.writer
            && let Some(status) = writer.sync_if_due().await
        {
            self.room.broadcast_info(status.text());
        }
        self.write_bans();
        self.deliver(now).await;
        self.clients.close_overdue(now.uptime);
        self.deliver_disconnects(now).await;
        // Last: the room has removed these clients.
        for id in self.clients.take_ended() {
            #[cfg(all(feature = "irc", feature = "cluster"))]
            self.discard_irc_lines(id);
            self.room.release(id, now);
        }
        #[cfg(feature = "cluster")]
        self.poll_node(now);
    }

    /// Returns an event that waits.
    fn try_next_event(&mut self) -> Option<Event> {
        let event = self.events.try_recv().ok();
        #[cfg(feature = "cluster")]
        if event.is_none() {
            return self.cluster.as_mut()?.try_next_event(self.clients.are_mostly_behind());
        }
        event
    }

    /// Returns the next event, or `None` if a deadline has passed or a sync has finished.
    async fn next_event(&mut self) -> Option<Event> {
        let sync = self.writer.as_ref().and_then(HistoryWriter::sync_due);
        let observer = self.observer.as_ref();
        #[cfg(feature = "cluster")]
        let room_deadline = match &self.cluster {
            Some(cluster) => cluster.deadline(&self.room, self.now()),
            None => self.room.deadline(),
        };
        #[cfg(not(feature = "cluster"))]
        let room_deadline = self.room.deadline();
        let deadline = [
            room_deadline,
            self.clients.deadline(),
            sync.map(|due| due.saturating_duration_since(self.started)),
            observer.and_then(|observer| observer.deadline(self.room.member_count())),
        ];
        let writer = &mut self.writer;
        let synced = async {
            match writer {
                Some(writer) => writer.sync_finished().await,
                None => pending().await,
            }
            None
        };
        let event = async { self.events.recv().await.ok() }.or(synced);
        #[cfg(feature = "cluster")]
        let event = event
            .or(cluster::next_event(self.cluster.as_deref(), self.clients.are_mostly_behind()));
        let Some(deadline) = deadline.into_iter().flatten().min() else {
            self.timer = None;
            return event.await;
        };
        // Setting a timer costs a system call, so a timer that is early enough is kept.
        let (_, timer) = match &mut self.timer {
            Some(timer) if timer.0 <= deadline => timer,
            timer => timer.insert((deadline, Timer::at(self.started + deadline))),
        };
        let timeout = async {
            timer.await;
            None
        };
        let event = event.or(timeout).await;
        if event.is_none() {
            self.timer = None;
        }
        event
    }

    fn on_event(&mut self, event: Event, now: Now) {
        #[cfg(feature = "cluster")]
        let Some(event) = self.filter_event(event, now) else { return };
        match event {
            Event::Connected { id, peer, socket, protocol, refusal } => {
                self.clients.insert(id, socket, protocol);
                self.connect(id, peer, refusal, now);
            }
            Event::Input { input, bytes, answer } => self.on_input(input, bytes, answer, now),
            #[cfg(feature = "web")]
            Event::Web { id, event } => self.on_web_event(id, event, now),
            #[cfg(feature = "tls")]
            Event::Tls { id, event } => self.on_tls_event(id, event, now),
            #[cfg(feature = "cluster")]
            Event::Engine(_) => {}
            Event::Report => self.report(),
            Event::Reload(labels) => {
                if let Some(labels) = labels {
                    self.apply(Input::KeepOperators(labels), now);
                }
                self.read_bans(now);
            }
            Event::Writable(id) => self.clients.on_writable(id, now.uptime),
            Event::Shutdown => {
                self.is_shutting_down = true;
                self.clients.on_shutdown(now.uptime);
                self.apply(Input::Shutdown, now);
            }
        }
    }

    /// Returns whether the node is out of the cluster, if it was in one.
    #[cfg_attr(not(feature = "cluster"), expect(clippy::unused_self))]
    fn has_left_cluster(&self) -> bool {
        #[cfg(feature = "cluster")]
        if let Some(cluster) = &self.cluster {
            return cluster.has_left(self.now().uptime);
        }
        true
    }

    /// Writes the batch of the room to the history file, and delivers it.
    async fn deliver(&mut self, now: Now) {
        let batch = self.room.seal();
        if let Some(writer) = &mut self.writer
            && let Some(status) = writer.record(&batch.chunk, batch.before).await
        {
            // Delivered after this batch.
            self.room.broadcast_info(status.text());
        }
        self.deliver_batch(batch, now);
    }

    fn deliver_batch(&mut self, batch: Batch, now: Now) {
        self.clients.deliver(&batch, now.uptime);
        #[cfg(feature = "cluster")]
        self.pace_delivery(batch.chunk.len(), now);
        for (level, line) in batch.log {
            match level {
                Some(level) => log!(level, "{line}"),
                None => log::warn!(target: AUDIT_TARGET, "audit: {line}"),
            }
        }
    }

    /// Removes slow and broken clients from the room, and delivers the result, until there is no
    /// such client and nothing to deliver.
    async fn deliver_disconnects(&mut self, now: Now) {
        loop {
            let disconnected = self.clients.take_disconnected();
            if disconnected.is_empty() && !self.room.has_unicasts() {
                return;
            }
            for (id, reason) in disconnected {
                self.apply(Input::Disconnect { id, reason }, now);
            }
            self.deliver(now).await;
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the clock of the room")]
    fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now {
            uptime: self.started.elapsed(),
            unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Returns the room that continues a history, or an empty one.
fn create_room(
    config: room::Config,
    history: Option<(HistoryFile, Snapshot)>,
) -> io::Result<(Room, Option<HistoryWriter>)> {
    Ok(match history {
        Some((file, snapshot)) => {
            let writer = HistoryWriter::new(file, fresh_epoch);
            (Room::with_snapshot(config, snapshot), Some(writer))
        }
        None => (Room::new(config, fresh_epoch()?), None),
    })
}

/// Returns the bytes of frames after which a batch is closed. A batch must not fill the outbox of a
/// client that is only slightly behind.
pub fn batch_bytes(outbox: usize) -> usize {
    MAX_BATCH_BYTES.min(outbox / 2)
}

#[cfg(test)]
mod tests;
