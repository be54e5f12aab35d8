//! The load generator: all members of a room, on one thread with one epoll. It is the same for
//! every system, holds a few counters a member, and allocates nothing for a delivery.

use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

use crate::counters::{Counters, DeliveryCheck};
use crate::payload;
use crate::system::System;
use crate::workload::{Pacing, Workload};

/// What one read takes at most.
const READ_BYTES: usize = 256 << 10;
/// The longest piece that is kept from one read to the next: a payload header or a welcome cut.
const CARRY_BYTES: usize = 32;
/// After so long without a delivery, what is missing is taken for lost.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(3);
/// How long letting everybody in may take.
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the generator waits for an event before it looks at the clock again.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// How far a member has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Joining,
    Reading,
    /// Reads no more: it is one of those who never do, or the server closed the connection.
    Done,
}

/// One connection.
struct Member {
    stream: TcpStream,
    state: State,
    /// The end of the last read, if it was cut where something began.
    carry: [u8; CARRY_BYTES],
    carried: usize,
}

/// One of the members who talk.
struct Sender {
    member: usize,
    /// The member through whom it hears that a line came back: itself, or its neighbour where
    /// talkers do not get their own lines.
    echo_member: usize,
    sent: u32,
    /// Lines that it may send now.
    credit: u32,
    /// Encoded lines, of which the first `written` bytes are sent.
    out: Vec<u8>,
    written: usize,
    /// Whether it waits for its socket to take the rest.
    blocked: bool,
}

/// Everybody in the room, as the server sees them: from outside.
pub struct LoadGenerator {
    system: System,
    /// Bytes of a payload.
    line: usize,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Box<[u8]>,
    /// One payload, before it is wrapped.
    text: Vec<u8>,
    members: Vec<Member>,
    senders: Vec<Sender>,
    counters: Counters,
    joined: usize,
    /// Whether a line that comes back to its talker lets it send another.
    answering: bool,
    /// Lines that may still be sent before everybody falls silent.
    quota: u32,
    /// When that happens at the latest, in nanoseconds of the clock.
    end: u64,
    clock: Instant,
}

impl LoadGenerator {
    /// Connects everybody, and returns when the last one is in.
    pub fn join(
        system: System,
        addr: SocketAddr,
        workload: &Workload,
        line: usize,
    ) -> io::Result<Self> {
        let total = workload.connections();
        let senders = (0..workload.senders).map(|sender| Sender {
            member: workload.sender_member(sender),
            echo_member: workload.sender_member(sender) + usize::from(!system.echoes_to_sender()),
            sent: 0,
            credit: 0,
            out: Vec::new(),
            written: 0,
            blocked: false,
        });
        let mut load = Self {
            system,
            line,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(512),
            buffer: vec![0; CARRY_BYTES + READ_BYTES].into(),
            text: Vec::new(),
            members: Vec::with_capacity(total),
            senders: senders.collect(),
            counters: Counters::new(workload.members, workload.senders),
            joined: 0,
            answering: false,
            quota: 0,
            end: 0,
            clock: Instant::now(),
        };
        let deadline = Instant::now() + JOIN_TIMEOUT;
        while load.joined < total {
            if Instant::now() > deadline || load.counters.closed > 0 {
                return Err(io::Error::other(format!(
                    "{} of {total} got in, {} were turned away",
                    load.joined, load.counters.closed
                )));
            }
            while load.members.len() < total
                && load.members.len() - load.joined < system.join_window()
            {
                load.connect(addr)?;
            }
            load.pump(POLL_TIMEOUT)?;
        }
        Ok(load)
    }

    /// Reads until nothing more comes, at most for a few seconds.
    pub fn drain(&mut self) -> io::Result<()> {
        const QUIET: Duration = Duration::from_millis(1500);
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.pump(QUIET)? && Instant::now() < deadline {}
        Ok(())
    }

    /// Stays in the room without a word.
    pub fn idle(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.pump(POLL_TIMEOUT)?;
        }
        Ok(())
    }

    /// Talks for `time` or `lines`, whichever ends first, and returns when everybody got it all,
    /// or when nothing comes any more. What is counted starts anew with each call; what has been
    /// lost does not.
    pub fn send(&mut self, pacing: Pacing, time: Duration, lines: u32) -> io::Result<&Counters> {
        let start = self.now();
        self.counters.start_window(start);
        self.quota = lines;
        self.end = start + nanos(time);
        self.answering = matches!(pacing, Pacing::InFlight(_));
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
            self.pump(POLL_TIMEOUT)?;
            let last = self.counters.last_delivery;
            if self.now() > last + nanos(DELIVERY_TIMEOUT) {
                break;
            }
        }
        Ok(&self.counters)
    }

    /// What became of all that was said.
    pub fn check(&self) -> DeliveryCheck {
        let sent: Vec<u32> = self.senders.iter().map(|sender| sender.sent).collect();
        let sender_members: Vec<usize> = self.senders.iter().map(|sender| sender.member).collect();
        self.counters.check(&sent, &sender_members, self.system.echoes_to_sender())
    }

    /// One line every `interval`, by one talker after another.
    fn send_at_rate(&mut self, interval: u64) -> io::Result<()> {
        let mut due = self.now();
        let mut turn = 0;
        while !self.is_finished() {
            let now = self.now();
            if due > now {
                self.pump(Duration::from_nanos(due - now))?;
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

    /// Deliveries that the lines sent so far have yet to cause.
    fn outstanding(&self) -> u64 {
        let sent: u64 = self.senders.iter().map(|it| u64::from(it.sent)).sum();
        self.counters.outstanding(sent, self.system.echoes_to_sender())
    }

    fn connect(&mut self, addr: SocketAddr) -> io::Result<()> {
        let number = self.members.len();
        let mut stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        // A few bytes into an empty socket never wait.
        stream.write_all(&self.system.join_request(number))?;
        stream.set_nonblocking(true)?;
        let token = EventData::new_u64(number as u64);
        epoll::add(&self.epoll, &stream, token, EventFlags::IN)?;
        self.members.push(Member {
            stream,
            state: State::Joining,
            carry: [0; CARRY_BYTES],
            carried: 0,
        });
        Ok(())
    }

    /// Waits once, and serves what became ready. Says whether anything did.
    fn pump(&mut self, at_most: Duration) -> io::Result<bool> {
        let timeout = Timespec::try_from(at_most).map_err(io::Error::other)?;
        let mut events = mem::take(&mut self.events);
        events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            self.serve(event)?;
        }
        let any = !events.is_empty();
        self.events = events;
        Ok(any)
    }

    /// Does what a socket is ready for.
    fn serve(&mut self, event: &epoll::Event) -> io::Result<()> {
        let (number, flags) = (event.data.u64() as usize, event.flags);
        if flags.contains(EventFlags::OUT)
            && let Some(sender) = self.senders.iter().position(|it| it.member == number)
        {
            self.flush(sender)?;
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR)
            && self.members[number].state != State::Done
        {
            self.read(number)?;
            // At once, and not after the other events: a member of its own would not wait either.
            for sender in 0..self.senders.len() {
                if self.senders[sender].credit > 0 {
                    self.send_lines(sender)?;
                }
            }
        }
        Ok(())
    }

    /// One read of one member.
    fn read(&mut self, number: usize) -> io::Result<()> {
        let member = &mut self.members[number];
        let carried = member.carried;
        self.buffer[..carried].copy_from_slice(&member.carry[..carried]);
        let filled = match member.stream.read(&mut self.buffer[carried..]) {
            Ok(read) if read > 0 => carried + read,
            Err(error) if is_transient(&error) => return Ok(()),
            Ok(_) | Err(_) => {
                self.counters.closed += 1;
                return self.stop_reading(number);
            }
        };
        self.counters.bytes += (filled - carried) as u64;
        self.counters.reads += 1;
        let done = if member.state == State::Joining {
            self.find_join_reply(number, filled)?
        } else {
            self.count_deliveries(number, filled)
        };
        let rest = &self.buffer[done..filled];
        let member = &mut self.members[number];
        member.carry[..rest.len()].copy_from_slice(rest);
        member.carried = rest.len();
        Ok(())
    }

    /// Looks whether a member is in, and returns how many bytes are done with.
    fn find_join_reply(&mut self, number: usize, filled: usize) -> io::Result<usize> {
        let join_reply = self.system.join_reply();
        let bytes = &self.buffer[..filled];
        if !bytes.windows(join_reply.len()).any(|piece| piece == join_reply) {
            return Ok(filled.saturating_sub(join_reply.len() - 1));
        }
        self.joined += 1;
        self.members[number].state = State::Reading;
        if number >= self.counters.members() {
            self.stop_reading(number)?;
        }
        Ok(filled)
    }

    fn stop_reading(&mut self, number: usize) -> io::Result<()> {
        self.members[number].state = State::Done;
        epoll::delete(&self.epoll, &self.members[number].stream)?;
        Ok(())
    }

    /// Counts what was delivered to a member in the first `filled` bytes of the buffer, lets the
    /// talkers go on who have waited for it, and returns how many bytes are done with.
    fn count_deliveries(&mut self, number: usize, filled: usize) -> usize {
        let now = self.now();
        let answering = self.answering;
        let mut member = self.counters.member(number, now);
        payload::scan(&self.buffer[..filled], |header| {
            member.record(&header);
            if let Some(sender) = self.senders.get_mut(header.sender)
                && answering
                && sender.echo_member == number
            {
                sender.credit += 1;
            }
        })
    }

    /// Sends as many lines as the talker may, in one go.
    fn send_lines(&mut self, number: usize) -> io::Result<()> {
        let now = self.now();
        let sender = &mut self.senders[number];
        let lines = if now < self.end { sender.credit.min(self.quota) } else { 0 };
        sender.credit = 0;
        self.quota -= lines;
        for _ in 0..lines {
            self.text.clear();
            payload::write(&mut self.text, number, sender.sent, now, self.line);
            self.system.encode(&self.text, &mut sender.out);
            sender.sent += 1;
        }
        self.flush(number)
    }

    /// Writes what a talker's socket takes, and has the rest written when there is room.
    fn flush(&mut self, number: usize) -> io::Result<()> {
        let sender = &mut self.senders[number];
        let member = &mut self.members[sender.member];
        while sender.written < sender.out.len() {
            match member.stream.write(&sender.out[sender.written..]) {
                Ok(written) => sender.written += written,
                Err(error) if is_transient(&error) => break,
                // The next read says that the connection is closed, and counts it.
                Err(_) => sender.written = sender.out.len(),
            }
        }
        let blocked = sender.written < sender.out.len();
        if !blocked {
            sender.out.clear();
            sender.written = 0;
        }
        if blocked != sender.blocked && member.state != State::Done {
            sender.blocked = blocked;
            let member = sender.member;
            let token = EventData::new_u64(member as u64);
            let mut flags = EventFlags::IN;
            flags.set(EventFlags::OUT, blocked);
            epoll::modify(&self.epoll, &self.members[member].stream, token, flags)?;
        }
        Ok(())
    }

    /// The time by the load generator's own clock, in nanoseconds.
    fn now(&self) -> u64 {
        nanos(self.clock.elapsed())
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("a run ends within five centuries")
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
