//! The one task that owns the room: batch, apply, deliver.
//!
//! Everything that happens arrives here as a [`Signal`], over one bounded channel. The
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

use crate::os::{random, resident_memory};
use crate::protocol::{ByeCode, Stats};
use crate::room::{
    Batch, Departure, Event, MemberId, Now, Peer, Room, Roster, Rules, Slice, SliceKind, Token,
};
use crate::server::outbox::{Delivery, Socket};
use crate::store::Recorder;
use crate::store::{HistoryFile, Restored};

use super::client_handle::{Seat, Standing, steps_for};
use super::deadlines::Deadlines;
pub use super::status::{Sign, Watch};

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
const LINGER: Duration = Duration::from_secs(120);
/// The same, when the server ends.
const SHUTDOWN_LINGER: Duration = Duration::from_secs(5);
/// How long a member may take to be heard out, when its connection broke, and when it was said bye:
/// to close the socket while there is something to read from it would be a reset, to which it may
/// lose the bye and more.
const AFTERLIFE: Duration = Duration::from_secs(5);

/// What the other tasks tell the broadcaster.
#[derive(Debug)]
pub enum Signal {
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
    Event {
        /// What happened.
        event: Event,
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
    recorder: Option<Recorder>,
    watch: Option<Watch>,
    seats: Roster<Seat>,
    signals: Receiver<Signal>,
    /// For the tasks that watch full sockets.
    sender: Sender<Signal>,
    executor: Weak<LocalExecutor<'static>>,
    /// Connections that are to end by themselves, and when they end anyway.
    ending: Deadlines,
    /// Those who turned out to be gone, or too slow, since the room was last told.
    departed: Vec<(MemberId, Departure)>,
    outbox_limit: usize,
    batch_bytes: usize,
    max_ending: usize,
    started: Instant,
    timer: Option<(Duration, Timer)>,
    /// What was counted here, of all that [`Stats`] has.
    seen: Stats,
    shutting_down: bool,
}

impl Broadcaster {
    /// A broadcaster for an empty room, with the channel that feeds it.
    ///
    /// `outbox_limit` is how many bytes may wait for one member. With a `past`, the room goes on
    /// after it, and each batch is recorded before anybody is shown it.
    pub fn new(
        mut rules: Rules,
        outbox_limit: usize,
        past: Option<(HistoryFile, Restored)>,
        channel: (Sender<Signal>, Receiver<Signal>),
        executor: Weak<LocalExecutor<'static>>,
    ) -> io::Result<Self> {
        let max_ending = max_ending(rules.max_clients);
        rules.crowd = rules.crowd.min(outbox_limit / OUTBOX_A_NOTICE);
        rules.answer_bytes = rules.answer_bytes.min(outbox_limit / 2);
        let (room, recorder) = match past {
            Some((file, past)) => {
                (Room::with_past(rules, past), Some(Recorder::new(file, fresh_epoch)))
            }
            None => (Room::new(rules, fresh_epoch()?), None),
        };
        Ok(Broadcaster {
            max_ending,
            room,
            recorder,
            watch: None,
            seats: Roster::default(),
            sender: channel.0,
            signals: channel.1,
            executor,
            ending: Deadlines::default(),
            departed: Vec::new(),
            outbox_limit,
            batch_bytes: batch_bytes(outbox_limit),
            started: Instant::now(),
            timer: None,
            seen: Stats::default(),
            shutting_down: false,
        })
    }

    /// Has a `watch` told how the room is.
    pub fn watched_by(self, watch: Option<Watch>) -> Self {
        Broadcaster { watch, ..self }
    }

    /// Serves until it was told to shut down and everybody is gone.
    pub async fn run(mut self) {
        loop {
            let signal = self.next_signal().await;
            let now = self.now();
            if let Some(signal) = signal {
                self.take(signal, now);
            }
            while self.room.pending_bytes() < self.batch_bytes
                && let Ok(signal) = self.signals.try_recv()
            {
                self.take(signal, now);
            }
            self.room.tick(now);
            self.deliver(now).await;
            self.end_overdue(now);
            while !self.departed.is_empty() || self.room.has_steps() {
                for (id, departure) in std::mem::take(&mut self.departed) {
                    self.room.apply(Event::Leave { id, departure }, now);
                }
                self.deliver(now).await;
            }
            if let Some(recorder) = &mut self.recorder {
                recorder.sync_if_due();
            }
            if let Some(watch) = &mut self.watch {
                watch.look(self.room.member_count(), now.uptime);
            }
            if self.shutting_down && self.seats.is_empty() {
                if let Some(recorder) = self.recorder {
                    recorder.close().await;
                }
                return;
            }
        }
    }

    /// The next signal, or nothing when a deadline has come.
    async fn next_signal(&mut self) -> Option<Signal> {
        let sync = self.recorder.as_ref().and_then(Recorder::sync_due);
        let watch = self.watch.as_ref();
        let deadline = [
            self.room.deadline(),
            self.ending.first().map(|(deadline, _)| deadline),
            sync.map(|due| due.saturating_duration_since(self.started)),
            watch.and_then(|watch| watch.deadline(self.room.member_count())),
        ];
        let Some(deadline) = deadline.into_iter().flatten().min() else {
            self.timer = None;
            return self.signals.recv().await.ok();
        };
        // Setting a timer costs a system call, so one that is early enough is left as it is.
        let (_, timer) = match &mut self.timer {
            Some(timer) if timer.0 <= deadline => timer,
            timer => timer.insert((deadline, Timer::at(self.started + deadline))),
        };
        let signal = async { self.signals.recv().await.ok() };
        let alarm = async {
            timer.await;
            None
        };
        let signal = signal.or(alarm).await;
        if signal.is_none() {
            self.timer = None;
        }
        signal
    }

    fn take(&mut self, signal: Signal, now: Now) {
        match signal {
            Signal::Arrived { id, peer, socket } => {
                // Without a random token there is no telling members apart: nobody comes in.
                match random() {
                    Ok(secret) => {
                        let token = Token(secret);
                        self.seats.insert(id, Seat::new(socket));
                        self.room.apply(Event::Arrive { id, peer, token }, now);
                    }
                    Err(error) => log::error!("{peer} turned away: cannot get a token: {error}"),
                }
            }
            Signal::Event { event, bytes } => {
                if let Event::Leave { id, .. } = event {
                    self.hear_out(id);
                }
                self.seen.bytes_in += u64::from(bytes);
                if event.asks_for_stats() {
                    self.room.note(self.seen());
                }
                self.room.apply(event, now);
            }
            Signal::Report => self.report(),
            Signal::Writable(id) => self.drain(id, now),
            Signal::Shutdown => {
                self.shutting_down = true;
                let latest = now.uptime + SHUTDOWN_LINGER;
                self.ending.bring_forward(latest);
                self.room.apply(Event::Shutdown, now);
            }
        }
    }

    /// Writes what the room has to say to everybody whom it concerns.
    async fn deliver(&mut self, now: Now) {
        let Batch { chunk, before, mut steps, log } = self.room.seal();
        if let Some(recorder) = &mut self.recorder
            && let Some(news) = recorder.record(&chunk, before).await
        {
            // It goes out behind this batch.
            self.room.announce(news.text());
        }
        let all = Slice::new(chunk, 0, u32::MAX, SliceKind::Live { before });
        // In the order in which the walk below meets the seats, and for one seat in theirs.
        steps.sort_by_key(|step| step.to);
        let limit = self.outbox_limit;
        let mut unsettled = Vec::new();
        if all.bytes().is_empty() {
            // Nothing for everybody, so only those are visited who have something of their own.
            for own in steps.chunk_by(|one, next| one.to == next.to) {
                let Some(id) = own.first().map(|step| step.to) else { continue };
                let Some(seat) = self.seats.get_mut(id) else { continue };
                let (delivery, closed) =
                    seat.deliver_in_steps(own, &all, before, limit, &mut self.seen);
                if delivery != Delivery::Sent || closed {
                    unsettled.push((id, delivery, closed));
                }
            }
        } else {
            let mut steps = steps.as_slice();
            let mut recipients = 0;
            for seats in self.seats.chunks_mut(LOOK_AHEAD) {
                for (_, seat) in &*seats {
                    black_box(seat.outbox.socket().as_raw_fd());
                }
                for (id, seat) in seats {
                    let own = steps_for(*id, &mut steps);
                    let (delivery, closed) = if own.is_empty() {
                        recipients += u64::from(seat.standing == Standing::Member);
                        (seat.deliver(slice::from_ref(&all), before, limit), false)
                    } else {
                        seat.deliver_in_steps(own, &all, before, limit, &mut self.seen)
                    };
                    if delivery != Delivery::Sent || closed {
                        unsettled.push((*id, delivery, closed));
                    }
                }
            }
            self.seen.lines_out += recipients * (self.room.seq() - before);
            self.seen.bytes_out += recipients * all.bytes().len() as u64;
        }
        for (id, delivery, closed) in unsettled {
            self.settle(id, delivery, closed, now);
        }
        for (level, line) in log {
            log!(level, "{line}");
        }
    }

    /// Does what a delivery that was not the usual one calls for.
    fn settle(&mut self, id: MemberId, delivery: Delivery, closed: bool, now: Now) {
        let Some(seat) = self.seats.get_mut(id) else { return };
        match delivery {
            Delivery::Sent if seat.is_done() => {
                if seat.is_heard_out || self.shutting_down {
                    self.release(id);
                } else {
                    seat.outbox.finish();
                    self.end_by(now.uptime + AFTERLIFE, id);
                }
            }
            Delivery::Sent => {}
            Delivery::Waiting => {
                seat.watch(id, &self.sender, &self.executor);
                if closed {
                    self.linger(id, now);
                }
            }
            Delivery::Slow => {
                let delivery = seat.evict(ByeCode::Slow, self.room.seq());
                self.departed.push((id, Departure::Slow));
                self.settle(id, delivery, true, now);
            }
            Delivery::Lost if seat.standing == Standing::Leaving => self.release(id),
            // What it said before its connection broke may still be on its way in, and counts.
            // The task that reads it comes to the end soon, and says so; unless its pace holds it
            // up, and then it has had its chance.
            Delivery::Lost => {
                seat.standing = Standing::Broken;
                self.ending.insert(now.uptime + AFTERLIFE, id);
            }
        }
    }

    /// Nothing more comes from a connection.
    fn hear_out(&mut self, id: MemberId) {
        let Some(seat) = self.seats.get_mut(id) else { return };
        seat.is_heard_out = true;
        if seat.is_done() {
            self.release(id);
        }
    }

    /// A socket has room again.
    fn drain(&mut self, id: MemberId, now: Now) {
        if let Some(seat) = self.seats.get_mut(id) {
            let delivery = seat.drain();
            self.settle(id, delivery, false, now);
        }
    }

    /// Gives a connection that is closed some time to read what is on its way.
    fn linger(&mut self, id: MemberId, now: Now) {
        let linger = if self.shutting_down { SHUTDOWN_LINGER } else { LINGER };
        self.end_by(now.uptime + linger, id);
    }

    /// Ends a connection at some time, if it has not ended by itself. If too many wait for that,
    /// the next one's time has come.
    fn end_by(&mut self, deadline: Duration, id: MemberId) {
        self.ending.insert(deadline, id);
        if self.ending.len() > self.max_ending {
            let seats = &self.seats;
            self.ending.retain(|id| seats.get(id).is_some());
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
            && (deadline <= now.uptime || self.seats.get(id).is_none())
        {
            self.ending.pop_first();
            self.end(id);
        }
    }

    fn end(&mut self, id: MemberId) {
        if self.seats.get(id).is_some_and(|seat| seat.standing == Standing::Broken) {
            let kind = io::ErrorKind::BrokenPipe;
            self.departed.push((id, Departure::Lost(kind)));
        }
        self.release(id);
    }

    fn release(&mut self, id: MemberId) {
        if let Some(seat) = self.seats.remove(id) {
            seat.outbox.end();
        }
    }

    /// What there is to say of the server that its room does not know.
    fn seen(&self) -> Stats {
        let events_waiting = self.signals.len();
        Stats { events_waiting, memory: resident_memory(), ..self.seen.clone() }
    }

    /// Writes the figures to the log, as one line of JSON.
    fn report(&self) {
        let stats = self.room.stats(self.seen());
        if let Ok(line) = serde_json::to_string(&stats) {
            log::error!(target: REPORT, "{line}");
        }
    }

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

/// A word that tells the sequence of one room from that of any other.
pub fn fresh_epoch() -> io::Result<Box<str>> {
    Ok(format!("{:016x}", u64::from_ne_bytes(random()?)).into())
}
