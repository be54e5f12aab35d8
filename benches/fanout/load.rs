//! The load generator: joins all members of a room, sends numbered lines, and counts deliveries.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::counters::{Counters, DeliveryCheck};
use crate::harness::clients::{Clients, Join, POLL_TIMEOUT, SendBuffer};
use crate::payload;
use crate::system::System;
use crate::workload::{Pacing, Workload};

/// Missing lines count as lost after this time without a delivery.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(3);

/// A member that sends lines.
struct Sender {
    member: usize,
    /// The member whose deliveries show that a line came back: the sender, or its neighbour if the
    /// system does not send lines back to their sender.
    echo_member: usize,
    /// Lines sent so far.
    sent: u32,
    /// Lines that may be sent now.
    credit: u32,
    out: SendBuffer,
}

/// All members of one room.
pub struct LoadGenerator {
    system: System,
    /// Bytes of a payload.
    line_bytes: usize,
    clients: Clients,
    /// One payload, before it is encoded.
    payload: Vec<u8>,
    senders: Vec<Sender>,
    counters: Counters,
    /// Whether a line that comes back lets its sender send another one.
    is_closed_loop: bool,
    /// Lines that may still be sent.
    quota: u32,
    /// When sending ends, in nanoseconds of the clock.
    end: u64,
    clock: Instant,
    /// The time until the last member had joined.
    pub join_time: Duration,
}

impl LoadGenerator {
    /// Connects all members, and returns when the last one has joined.
    pub fn join(
        system: System,
        addr: SocketAddr,
        workload: &Workload,
        line_bytes: usize,
    ) -> io::Result<Self> {
        let senders = (0..workload.senders).map(|sender| Sender {
            member: workload.sender_member(sender),
            echo_member: workload.sender_member(sender) + usize::from(!system.echoes_to_sender()),
            sent: 0,
            credit: 0,
            out: SendBuffer::default(),
        });
        let history = workload.history;
        let mut clients = Clients::new(Join {
            addr,
            request: Box::new(move |member| system.join_request(member, history)),
            reply: system.join_reply(),
            window: if workload.joins_at_once { usize::MAX } else { system.join_window() },
            readers: workload.members,
            #[cfg(feature = "tls")]
            certificate: system.certificate()?,
        })?;
        let start = Instant::now();
        clients.join(workload.connections())?;
        let join_time = start.elapsed();
        clients.discard_until_quiet()?;
        Ok(Self {
            system,
            line_bytes,
            clients,
            payload: Vec::new(),
            senders: senders.collect(),
            counters: Counters::new(workload.members, workload.senders),
            is_closed_loop: false,
            quota: 0,
            end: 0,
            clock: Instant::now(),
            join_time,
        })
    }

    /// Sends nothing for `duration`.
    pub fn idle(&mut self, duration: Duration) -> io::Result<()> {
        self.clients.discard_for(duration)
    }

    /// Sends for `duration` or `max_lines`, whichever ends first, and returns when everything is
    /// delivered or nothing arrives any more. Each call starts a new window of the counters.
    pub fn send(
        &mut self,
        pacing: Pacing,
        duration: Duration,
        max_lines: u32,
    ) -> io::Result<&Counters> {
        let start = self.now();
        let (bytes, reads) = (self.clients.bytes, self.clients.reads);
        self.counters.start_window(start);
        self.quota = max_lines;
        self.end = start + nanos(duration);
        self.is_closed_loop = matches!(pacing, Pacing::InFlight(_));
        match pacing {
            Pacing::InFlight(in_flight) => {
                for sender in 0..self.senders.len() {
                    self.senders[sender].credit = in_flight;
                    self.send_lines(sender)?;
                }
            }
            Pacing::PerSecond(rate) => self.send_at_rate(1_000_000_000 / u64::from(rate))?,
            Pacing::Silent => {}
        }
        while !self.is_finished() || self.outstanding() > 0 {
            self.poll(POLL_TIMEOUT)?;
            if self.now() > self.counters.last_delivery + nanos(DELIVERY_TIMEOUT) {
                break;
            }
        }
        self.counters.bytes = self.clients.bytes - bytes;
        self.counters.reads = self.clients.reads - reads;
        Ok(&self.counters)
    }

    /// Compares all deliveries so far with all lines sent so far.
    pub fn check(&self) -> DeliveryCheck {
        let sent: Vec<u32> = self.senders.iter().map(|sender| sender.sent).collect();
        let members: Vec<usize> = self.senders.iter().map(|sender| sender.member).collect();
        let echoes = self.system.echoes_to_sender();
        DeliveryCheck {
            closed: self.clients.closed,
            ..self.counters.check(&sent, &members, echoes)
        }
    }

    /// Sends one line every `interval` nanoseconds, from each sender in turn.
    fn send_at_rate(&mut self, interval: u64) -> io::Result<()> {
        let mut due = self.now();
        let mut turn = 0;
        while !self.is_finished() {
            let now = self.now();
            if due > now {
                self.poll(Duration::from_nanos(due - now))?;
                continue;
            }
            self.senders[turn].credit = 1;
            self.send_lines(turn)?;
            turn = (turn + 1) % self.senders.len();
            due += interval;
        }
        Ok(())
    }

    fn is_finished(&self) -> bool {
        self.quota == 0 || self.now() >= self.end
    }

    /// Returns how many deliveries of the lines sent so far are missing.
    fn outstanding(&self) -> u64 {
        let sent: u64 = self.senders.iter().map(|it| u64::from(it.sent)).sum();
        self.counters.outstanding(sent, self.system.echoes_to_sender())
    }

    /// Waits at most `timeout` for ready sockets, and serves them.
    fn poll(&mut self, timeout: Duration) -> io::Result<()> {
        for index in 0..self.clients.wait(timeout)? {
            let ready = self.clients.ready(index);
            if ready.is_writable
                && let Some(sender) = self.senders.iter_mut().find(|it| it.member == ready.client)
            {
                self.clients.flush(sender.member, &mut sender.out)?;
            }
            if ready.is_readable {
                self.read(ready.client)?;
                // Not after the other events: a real client answers at once, too.
                for sender in 0..self.senders.len() {
                    if self.senders[sender].credit > 0 {
                        self.send_lines(sender)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads once from a member, counts the deliveries, and gives credit to senders.
    fn read(&mut self, number: usize) -> io::Result<()> {
        let (clock, is_closed_loop) = (self.clock, self.is_closed_loop);
        let (counters, senders) = (&mut self.counters, &mut self.senders);
        self.clients.read(number, |bytes| {
            let mut member = counters.member(number, nanos(clock.elapsed()));
            payload::scan(bytes, |header| {
                member.record(&header);
                if let Some(sender) = senders.get_mut(header.sender)
                    && is_closed_loop
                    && sender.echo_member == number
                {
                    sender.credit += 1;
                }
            })
        })
    }

    /// Sends as many lines as the sender has credit for, with one write.
    fn send_lines(&mut self, number: usize) -> io::Result<()> {
        let now = self.now();
        let sender = &mut self.senders[number];
        let lines = if now < self.end { sender.credit.min(self.quota) } else { 0 };
        sender.credit = 0;
        self.quota -= lines;
        for _ in 0..lines {
            self.payload.clear();
            payload::write(&mut self.payload, number, sender.sent, now, self.line_bytes);
            self.system.encode(&self.payload, &mut sender.out.bytes);
            sender.sent += 1;
        }
        self.clients.flush(sender.member, &mut sender.out)
    }

    /// Returns the time since the start in nanoseconds.
    fn now(&self) -> u64 {
        nanos(self.clock.elapsed())
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("a run ends within five centuries")
}
