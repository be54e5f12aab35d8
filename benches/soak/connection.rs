//! One connection: bytes out, lines in.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use futures_lite::future::yield_now;
use rustix::net::{Shutdown, shutdown, sockopt};
use smol::{Async, Timer};
use smolchat::protocol::ByeCode;

use crate::check::ExpectedReply;
use crate::shared::{Addresses, POLL_INTERVAL, RecentLines, SharedState, TIMEOUT, record_line};

/// How listening went.
pub enum ReadEvent {
    /// A line, with its newline.
    Line(Vec<u8>),
    /// The time is over.
    Timeout,
    /// The connection is at its end, in good order or not.
    Closed(Option<io::Error>),
}

/// One connection to the server.
pub struct Connection {
    socket: Async<OwnedFd>,
    is_tcp: bool,
    buffer: Vec<u8>,
    start: usize,
    /// The world that it is of.
    pub shared: Rc<SharedState>,
    recent_lines: RecentLines,
    /// Whose it is, if it is a member's.
    pub member: Option<usize>,
    /// Its number; no other has it.
    pub number: u64,
    /// How often the server had been killed before.
    pub generation: u64,
    /// The `seq` of the welcome, once there was one.
    pub welcome_seq: Option<u64>,
    /// The last number of the sequence that came; before the welcome, the one to go on behind.
    pub last_seq: u64,
    /// How many past frames the hello asked for.
    pub history_frames: usize,
    /// Past frames that come next.
    pub history_range: Range<u64>,
    /// A gap may come next.
    pub is_gap_allowed: bool,
    /// What was asked and not answered yet.
    pub expected_replies: VecDeque<ExpectedReply>,
    /// With which code the server says bye if all goes well.
    pub expected_bye: Option<ByeCode>,
    /// With which it did.
    pub bye: Option<ByeCode>,
    /// It was not read for a while, so it may be too slow.
    pub may_be_slow: bool,
}

impl Connection {
    /// Connects, once the server is there.
    pub async fn connect(
        shared: &Rc<SharedState>,
        is_tcp: bool,
        member: Option<usize>,
        recent_lines: &RecentLines,
    ) -> Result<Self, String> {
        let end = Instant::now() + TIMEOUT;
        loop {
            let addresses = shared.addresses.borrow().clone();
            let connection = match addresses {
                Some(addresses) => {
                    Self::connect_to(shared, &addresses, is_tcp, member, recent_lines).await
                }
                None => Err(ErrorKind::NotConnected.into()),
            };
            match connection {
                Ok(connection) => return Ok(connection),
                Err(error) if Instant::now() > end => {
                    return Err(format!("no connection: {error}"));
                }
                Err(_) => Timer::after(POLL_INTERVAL).await,
            };
        }
    }

    /// Connects to a server, by TCP or by its unix socket.
    pub async fn connect_to(
        shared: &Rc<SharedState>,
        (address, path): &Addresses,
        is_tcp: bool,
        member: Option<usize>,
        recent_lines: &RecentLines,
    ) -> io::Result<Self> {
        let generation = shared.generation.get();
        let socket = if is_tcp {
            OwnedFd::from(Async::<TcpStream>::connect(*address).await?.into_inner()?)
        } else {
            OwnedFd::from(Async::<UnixStream>::connect(path).await?.into_inner()?)
        };
        let number = shared.totals.borrow().connections + 1;
        shared.totals.borrow_mut().connections = number;
        shared.open_connections.set(shared.open_connections.get() + 1);
        let way = if is_tcp { "tcp" } else { "unix" };
        record_line(recent_lines, "--", format!("link {number} over {way}").as_bytes());
        Ok(Self {
            socket: Async::new(socket)?,
            is_tcp,
            buffer: Vec::new(),
            start: 0,
            shared: Rc::clone(shared),
            recent_lines: Rc::clone(recent_lines),
            member,
            number,
            generation,
            welcome_seq: None,
            last_seq: 0,
            history_frames: 0,
            history_range: 0..0,
            is_gap_allowed: false,
            expected_replies: VecDeque::new(),
            expected_bye: None,
            bye: None,
            may_be_slow: false,
        })
    }

    /// Sends bytes. If that fails, the next that is heard tells why.
    pub async fn write(&self, mut bytes: &[u8]) {
        record_line(&self.recent_lines, ">", bytes);
        while !bytes.is_empty() {
            match self.socket.write_with(|fd| Ok(rustix::io::write(fd, bytes)?)).await {
                Ok(written) => bytes = &bytes[written..],
                Err(_) => return,
            }
        }
    }

    /// Sends a line.
    pub async fn send_line(&self, line: &str) {
        self.write(format!("{line}\n").as_bytes()).await;
    }

    /// Closes the way out.
    pub fn half_close(&self) {
        record_line(&self.recent_lines, "--", b"half-close");
        // It fails if the connection is gone, which the next read tells.
        shutdown(&self.socket, Shutdown::Write).ok();
    }

    /// Ends it by a reset, where there is such a thing.
    pub fn reset(self) {
        record_line(&self.recent_lines, "--", b"reset");
        if self.is_tcp {
            sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO)).ok();
        }
    }

    /// The next line, if one comes in time.
    pub async fn read_line(&mut self, until: Instant) -> ReadEvent {
        const READ: usize = 16 * 1024;
        loop {
            let rest = &self.buffer[self.start..];
            if let Some(end) = rest.iter().position(|&b| b == b'\n') {
                let line = rest[..=end].to_vec();
                self.start += line.len();
                record_line(&self.recent_lines, "<", &line);
                return ReadEvent::Line(line);
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            let held = self.buffer.len();
            self.buffer.resize(held + READ, 0);
            let free = &mut self.buffer[held..];
            let read = async {
                let read = self.socket.read_with(|fd| Ok(rustix::io::read(fd, &mut *free)?));
                Some(read.await)
            };
            let late = async {
                Timer::at(until).await;
                None
            };
            let read = read.or(late).await;
            self.buffer
                .truncate(held + read.as_ref().map_or(0, |read| *read.as_ref().unwrap_or(&0)));
            let end = match read {
                None => return ReadEvent::Timeout,
                Some(Ok(0)) if held > 0 => Some(io::Error::other("the end is inside a line")),
                Some(Ok(0)) => None,
                Some(Err(error)) => Some(error),
                Some(Ok(_)) => {
                    yield_now().await;
                    continue;
                }
            };
            record_line(&self.recent_lines, "--", format!("the end: {end:?}").as_bytes());
            return ReadEvent::Closed(end);
        }
    }

    /// Whether its server was killed.
    pub fn was_server_killed(&self) -> bool {
        self.generation != self.shared.generation.get()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.open_connections.set(self.shared.open_connections.get() - 1);
    }
}
