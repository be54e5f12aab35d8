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

use crate::payload;
use crate::system::System;
use crate::tally::{Tally, Verdict};
use crate::work::{Pace, Work};

/// What one read takes at most.
const READ: usize = 256 << 10;
/// The longest piece that is kept from one read to the next: a payload header or a welcome cut.
const CARRY: usize = 32;
/// After so long without a delivery, what is missing is taken for lost.
const GIVE_UP: Duration = Duration::from_secs(3);
/// How long letting everybody in may take.
const JOIN_TIME: Duration = Duration::from_secs(60);
/// How long the generator waits for an event before it looks at the clock again.
const TICK: Duration = Duration::from_millis(100);

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
    carry: [u8; CARRY],
    carried: usize,
}

/// One of the members who talk.
struct Talker {
    member: usize,
    /// The member through whom it hears that a line came back: itself, or its neighbour where
    /// talkers do not get their own lines.
    ear: usize,
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
pub struct Crowd {
    system: System,
    /// Bytes of a payload.
    line: usize,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Box<[u8]>,
    /// One payload, before it is wrapped.
    text: Vec<u8>,
    members: Vec<Member>,
    talkers: Vec<Talker>,
    tally: Tally,
    joined: usize,
    /// Whether a line that comes back to its talker lets it send another.
    answering: bool,
    /// Lines that may still be sent before everybody falls silent.
    quota: u32,
    /// When that happens at the latest, in nanoseconds of the clock.
    silence_at: u64,
    clock: Instant,
}

impl Crowd {
    /// Connects everybody, and returns when the last one is in.
    pub fn join(system: System, addr: SocketAddr, work: &Work, line: usize) -> io::Result<Self> {
        let total = work.connections();
        let talkers = (0..work.talkers).map(|talker| Talker {
            member: work.seat(talker),
            ear: work.seat(talker) + usize::from(!system.echoes()),
            sent: 0,
            credit: 0,
            out: Vec::new(),
            written: 0,
            blocked: false,
        });
        let mut crowd = Self {
            system,
            line,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(512),
            buffer: vec![0; CARRY + READ].into(),
            text: Vec::new(),
            members: Vec::with_capacity(total),
            talkers: talkers.collect(),
            tally: Tally::new(work.members, work.talkers),
            joined: 0,
            answering: false,
            quota: 0,
            silence_at: 0,
            clock: Instant::now(),
        };
        let deadline = Instant::now() + JOIN_TIME;
        while crowd.joined < total {
            if Instant::now() > deadline || crowd.tally.closed > 0 {
                return Err(io::Error::other(format!(
                    "{} of {total} got in, {} were turned away",
                    crowd.joined, crowd.tally.closed
                )));
            }
            while crowd.members.len() < total
                && crowd.members.len() - crowd.joined < system.join_window()
            {
                crowd.connect(addr)?;
            }
            crowd.pump(TICK)?;
        }
        Ok(crowd)
    }

    /// Reads until nothing more comes, at most for a few seconds.
    pub fn settle(&mut self) -> io::Result<()> {
        const QUIET: Duration = Duration::from_millis(1500);
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.pump(QUIET)? && Instant::now() < deadline {}
        Ok(())
    }

    /// Stays in the room without a word.
    pub fn idle(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.pump(TICK)?;
        }
        Ok(())
    }

    /// Talks for `time` or `lines`, whichever ends first, and returns when everybody got it all,
    /// or when nothing comes any more. What is counted starts anew with each call; what has been
    /// lost does not.
    pub fn talk(&mut self, pace: Pace, time: Duration, lines: u32) -> io::Result<&Tally> {
        let start = self.now();
        self.tally.open_window(start);
        self.quota = lines;
        self.silence_at = start + nanos(time);
        self.answering = matches!(pace, Pace::InFlight(_));
        match pace {
            Pace::InFlight(in_flight) => {
                for talker in 0..self.talkers.len() {
                    self.talkers[talker].credit = in_flight;
                    self.speak(talker)?;
                }
            }
            Pace::PerSecond(rate) => self.talk_by_the_clock(1_000_000_000 / u64::from(rate))?,
            Pace::Silent => {}
        }
        while !self.fell_silent() || self.outstanding() > 0 {
            self.pump(TICK)?;
            let last = self.tally.last_delivery;
            if self.now() > last + nanos(GIVE_UP) {
                break;
            }
        }
        Ok(&self.tally)
    }

    /// What became of all that was said.
    pub fn verdict(&self) -> Verdict {
        let sent: Vec<u32> = self.talkers.iter().map(|talker| talker.sent).collect();
        let seats: Vec<usize> = self.talkers.iter().map(|talker| talker.member).collect();
        self.tally.verdict(&sent, &seats, self.system.echoes())
    }

    /// One line every `interval`, by one talker after another.
    fn talk_by_the_clock(&mut self, interval: u64) -> io::Result<()> {
        let mut due = self.now();
        let mut turn = 0;
        while !self.fell_silent() {
            let now = self.now();
            if due > now {
                self.pump(Duration::from_nanos(due - now))?;
                continue;
            }
            self.talkers[turn].credit = 1;
            self.speak(turn)?;
            turn = (turn + 1) % self.talkers.len();
            due += interval;
        }
        Ok(())
    }

    fn fell_silent(&self) -> bool {
        self.quota == 0 || self.now() >= self.silence_at
    }

    /// Deliveries that the lines sent so far have yet to cause.
    fn outstanding(&self) -> u64 {
        let sent: u64 = self.talkers.iter().map(|it| u64::from(it.sent)).sum();
        self.tally.outstanding(sent, self.system.echoes())
    }

    fn connect(&mut self, addr: SocketAddr) -> io::Result<()> {
        let number = self.members.len();
        let mut stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        // A few bytes into an empty socket never wait.
        stream.write_all(&self.system.hello(number))?;
        stream.set_nonblocking(true)?;
        let token = EventData::new_u64(number as u64);
        epoll::add(&self.epoll, &stream, token, EventFlags::IN)?;
        self.members.push(Member { stream, state: State::Joining, carry: [0; CARRY], carried: 0 });
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
            && let Some(talker) = self.talkers.iter().position(|it| it.member == number)
        {
            self.flush(talker)?;
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR)
            && self.members[number].state != State::Done
        {
            self.read(number)?;
            // At once, and not after the other events: a member of its own would not wait either.
            for talker in 0..self.talkers.len() {
                if self.talkers[talker].credit > 0 {
                    self.speak(talker)?;
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
                self.tally.closed += 1;
                return self.stop_reading(number);
            }
        };
        self.tally.bytes += (filled - carried) as u64;
        self.tally.reads += 1;
        let done = if member.state == State::Joining {
            self.look_for_welcome(number, filled)?
        } else {
            self.take_in(number, filled)
        };
        let rest = &self.buffer[done..filled];
        let member = &mut self.members[number];
        member.carry[..rest.len()].copy_from_slice(rest);
        member.carried = rest.len();
        Ok(())
    }

    /// Looks whether a member is in, and returns how many bytes are done with.
    fn look_for_welcome(&mut self, number: usize, filled: usize) -> io::Result<usize> {
        let welcome = self.system.welcome();
        let bytes = &self.buffer[..filled];
        if !bytes.windows(welcome.len()).any(|piece| piece == welcome) {
            return Ok(filled.saturating_sub(welcome.len() - 1));
        }
        self.joined += 1;
        self.members[number].state = State::Reading;
        if number >= self.tally.members() {
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
    fn take_in(&mut self, number: usize, filled: usize) -> usize {
        let now = self.now();
        let answering = self.answering;
        let mut reader = self.tally.reader(number, now);
        payload::scan(&self.buffer[..filled], |said| {
            reader.delivered(&said);
            if let Some(talker) = self.talkers.get_mut(said.talker)
                && answering
                && talker.ear == number
            {
                talker.credit += 1;
            }
        })
    }

    /// Sends as many lines as the talker may, in one go.
    fn speak(&mut self, number: usize) -> io::Result<()> {
        let now = self.now();
        let talker = &mut self.talkers[number];
        let lines = if now < self.silence_at { talker.credit.min(self.quota) } else { 0 };
        talker.credit = 0;
        self.quota -= lines;
        for _ in 0..lines {
            self.text.clear();
            payload::write(&mut self.text, number, talker.sent, now, self.line);
            self.system.say(&self.text, &mut talker.out);
            talker.sent += 1;
        }
        self.flush(number)
    }

    /// Writes what a talker's socket takes, and has the rest written when there is room.
    fn flush(&mut self, number: usize) -> io::Result<()> {
        let talker = &mut self.talkers[number];
        let member = &mut self.members[talker.member];
        while talker.written < talker.out.len() {
            match member.stream.write(&talker.out[talker.written..]) {
                Ok(written) => talker.written += written,
                Err(error) if is_transient(&error) => break,
                // The next read says that the connection is closed, and counts it.
                Err(_) => talker.written = talker.out.len(),
            }
        }
        let blocked = talker.written < talker.out.len();
        if !blocked {
            talker.out.clear();
            talker.written = 0;
        }
        if blocked != talker.blocked && member.state != State::Done {
            talker.blocked = blocked;
            let seat = talker.member;
            let token = EventData::new_u64(seat as u64);
            let mut flags = EventFlags::IN;
            flags.set(EventFlags::OUT, blocked);
            epoll::modify(&self.epoll, &self.members[seat].stream, token, flags)?;
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
