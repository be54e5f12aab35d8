//! The load generator: members of several nodes, which send numbered lines and count deliveries.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::counters::{Counters, DeliveryCheck};
use crate::harness::clients::{Clients, Join, POLL_TIMEOUT, SMOLCHAT_WELCOME, SendBuffer};
use crate::payload;

/// Bytes of a line.
const LINE_BYTES: usize = 64;
/// The members that send, spread over the nodes.
const SENDERS: usize = 6;
/// Missing lines count as lost after this time without a delivery.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(15);
/// The least time between two writes of lines by the clock.
const TICK: Duration = Duration::from_millis(1);

/// The times at which the members send.
#[derive(Clone, Copy)]
pub enum Pacing {
    /// As soon as fewer than this number of a sender's lines are outstanding.
    InFlight(u32),
    /// By the clock: lines per second, from all senders together.
    PerSecond(u32),
}

/// A member that sends lines. Its number as a sender is its number as a member, too.
#[derive(Default)]
struct Sender {
    /// Lines sent so far.
    sent: u32,
    /// Lines that may be sent now.
    credit: u32,
    out: SendBuffer,
    is_stopped: bool,
}

/// The times between the deliveries of one member.
#[derive(Clone, Copy, Default)]
struct Pause {
    /// The time of the last delivery, in nanoseconds of the clock.
    last: u64,
    /// The longest time without a delivery.
    longest: u64,
}

/// All members of one room. Member `n` is on node `n` modulo the number of nodes.
pub struct Load {
    clients: Clients,
    nodes: usize,
    payload: Vec<u8>,
    senders: Vec<Sender>,
    counters: Counters,
    pauses: Vec<Pause>,
    is_closed_loop: bool,
    /// When sending ends, in nanoseconds of the clock.
    end: u64,
    clock: Instant,
}

impl Load {
    /// Connects all members, and returns when the last one has joined.
    pub fn join(nodes: Vec<SocketAddr>, members: usize) -> io::Result<Self> {
        let count = nodes.len();
        let mut clients = Clients::new(Join {
            addrs: nodes,
            request: Box::new(|member| {
                format!("{{\"hello\":{{\"name\":\"m{member}\",\"history\":0}}}}\n").into_bytes()
            }),
            reply: SMOLCHAT_WELCOME,
            window: 64,
            readers: usize::MAX,
            #[cfg(feature = "tls")]
            tls: None,
        })?;
        clients.join(members)?;
        clients.discard_until_quiet()?;
        let senders = SENDERS.min(members);
        Ok(Self {
            clients,
            nodes: count,
            payload: Vec::new(),
            senders: (0..senders).map(|_| Sender::default()).collect(),
            counters: Counters::new(members, senders),
            pauses: vec![Pause::default(); members],
            is_closed_loop: false,
            end: 0,
            clock: Instant::now(),
        })
    }

    /// Returns the number of members.
    pub fn members(&self) -> usize {
        self.pauses.len()
    }

    /// Stops the senders of a node.
    pub fn stop_senders(&mut self, node: usize) {
        let of_node = self.senders.iter_mut().skip(node).step_by(self.nodes);
        of_node.for_each(|sender| sender.is_stopped = true);
    }

    /// Sends nothing for `duration`.
    pub fn idle(&mut self, duration: Duration) -> io::Result<()> {
        self.clients.discard_for(duration)
    }

    /// Sends for `duration`, and returns when everything is delivered or nothing arrives any more.
    /// Each call starts a new window of the counters.
    pub fn send(&mut self, pacing: Pacing, duration: Duration) -> io::Result<&Counters> {
        let start = self.now();
        self.counters.start_window(start);
        self.pauses.fill(Pause { last: start, longest: 0 });
        self.end = start + nanos(duration);
        self.is_closed_loop = matches!(pacing, Pacing::InFlight(_));
        match pacing {
            Pacing::InFlight(in_flight) => {
                self.senders.iter_mut().for_each(|sender| sender.credit = in_flight);
                self.send_lines()?;
            }
            Pacing::PerSecond(rate) => self.send_at_rate(rate)?,
        }
        while self.now() < self.end || self.outstanding() > 0 {
            self.poll(POLL_TIMEOUT)?;
            if self.now() > self.counters.last_delivery + nanos(DELIVERY_TIMEOUT) {
                break;
            }
        }
        Ok(&self.counters)
    }

    /// Returns the longest time of the last window in which a member of the first `nodes` nodes
    /// received no line.
    pub fn longest_pause(&self, nodes: usize) -> Duration {
        let is_counted = |member: &usize| member % self.nodes < nodes;
        let pauses = (0..self.members()).filter(is_counted).map(|member| {
            let Pause { last, longest } = self.pauses[member];
            longest.max(self.end.saturating_sub(last))
        });
        Duration::from_nanos(pauses.max().unwrap_or_default())
    }

    /// Compares all deliveries so far with all lines sent so far.
    pub fn check(&self) -> DeliveryCheck {
        let sent: Vec<u32> = self.senders.iter().map(|sender| sender.sent).collect();
        DeliveryCheck { closed: self.clients.closed, ..self.counters.check(&sent, &[], true) }
    }

    /// Sends lines by the clock, from each sender in turn.
    fn send_at_rate(&mut self, rate: u32) -> io::Result<()> {
        let start = self.now();
        let mut sent = 0;
        while self.now() < self.end {
            let due = (self.now() - start) * u64::from(rate) / 1_000_000_000 + 1;
            while sent < due {
                let turn = sent as usize % self.senders.len();
                self.senders[turn].credit += 1;
                sent += 1;
            }
            self.send_lines()?;
            let next = start + (sent * 1_000_000_000).div_ceil(u64::from(rate));
            let next = Duration::from_nanos(next.saturating_sub(self.now())).max(TICK);
            let wake = self.now() + nanos(next);
            while let left = wake.saturating_sub(self.now())
                && left > 0
            {
                self.poll(Duration::from_nanos(left))?;
            }
        }
        Ok(())
    }

    /// Returns how many deliveries of the lines sent so far are missing: unknown, and 0, if a node
    /// was killed.
    fn outstanding(&self) -> u64 {
        if self.clients.closed > 0 {
            return 0;
        }
        let sent: u64 = self.senders.iter().map(|it| u64::from(it.sent)).sum();
        self.counters.outstanding(sent, true)
    }

    /// Waits at most `timeout` for ready sockets, and serves them.
    fn poll(&mut self, timeout: Duration) -> io::Result<()> {
        for index in 0..self.clients.wait(timeout)? {
            let ready = self.clients.ready(index);
            if ready.is_writable
                && let Some(sender) = self.senders.get_mut(ready.client)
            {
                self.clients.flush(ready.client, &mut sender.out)?;
            }
            if ready.is_readable {
                self.read(ready.client)?;
                self.send_lines()?;
            }
        }
        Ok(())
    }

    /// Reads once from a member, counts the deliveries, and gives credit to senders.
    fn read(&mut self, number: usize) -> io::Result<()> {
        let (clock, is_closed_loop) = (self.clock, self.is_closed_loop);
        let (counters, senders, pauses) = (&mut self.counters, &mut self.senders, &mut self.pauses);
        self.clients.read(number, |bytes| {
            let now = nanos(clock.elapsed());
            let mut member = counters.member(number, now);
            let mut has_lines = false;
            let used = payload::scan(bytes, |header| {
                has_lines = true;
                member.record(&header);
                if is_closed_loop
                    && header.sender == number
                    && let Some(sender) = senders.get_mut(number)
                {
                    sender.credit += 1;
                }
            });
            if has_lines {
                let pause = &mut pauses[number];
                pause.longest = pause.longest.max(now - pause.last);
                pause.last = now;
            }
            used
        })
    }

    /// Sends as many lines as each sender has credit for, with one write each.
    fn send_lines(&mut self) -> io::Result<()> {
        for number in 0..self.senders.len() {
            let now = self.now();
            let sender = &mut self.senders[number];
            let lines = std::mem::take(&mut sender.credit);
            if lines == 0 || sender.is_stopped || now >= self.end {
                continue;
            }
            for _ in 0..lines {
                self.payload.clear();
                payload::write(&mut self.payload, number, sender.sent, now, LINE_BYTES);
                sender.out.bytes.extend(&self.payload);
                sender.out.bytes.push(b'\n');
                sender.sent += 1;
            }
            self.clients.flush(number, &mut sender.out)?;
        }
        Ok(())
    }

    /// Returns the time since the start in nanoseconds.
    fn now(&self) -> u64 {
        nanos(self.clock.elapsed())
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("a run ends within five centuries")
}
