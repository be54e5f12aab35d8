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

use crate::check::Ask;
use crate::world::{Addresses, LOOK, PATIENCE, Tail, World, note};

/// How listening went.
pub enum Heard {
    /// A line, with its newline.
    Line(Vec<u8>),
    /// The time is over.
    Nothing,
    /// The connection is at its end, in good order or not.
    End(Option<io::Error>),
}

/// One connection to the server.
pub struct Link {
    socket: Async<OwnedFd>,
    is_tcp: bool,
    buffer: Vec<u8>,
    start: usize,
    /// The world that it is of.
    pub world: Rc<World>,
    tail: Tail,
    /// Whose it is, if it is a member's.
    pub member: Option<usize>,
    /// Its number; no other has it.
    pub number: u64,
    /// How often the server had been killed before.
    pub generation: u64,
    /// The `seq` of the welcome, once there was one.
    pub welcomed_at: Option<u64>,
    /// The last number of the sequence that came; before the welcome, the one to go on behind.
    pub seen: u64,
    /// How many past frames the hello asked for.
    pub history: usize,
    /// Past frames that come next.
    pub past: Range<u64>,
    /// A gap may come next.
    pub may_gap: bool,
    /// What was asked and not answered yet.
    pub asked: VecDeque<Ask>,
    /// With which code the server says bye if all goes well.
    pub expects: Option<ByeCode>,
    /// With which it did.
    pub bye: Option<ByeCode>,
    /// It was not read for a while, so it may be too slow.
    pub stalled: bool,
}

impl Link {
    /// Connects, once the server is there.
    pub async fn connect(
        world: &Rc<World>,
        is_tcp: bool,
        member: Option<usize>,
        tail: &Tail,
    ) -> Result<Self, String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let addresses = world.addresses.borrow().clone();
            let link = match addresses {
                Some(addresses) => Self::dial(world, &addresses, is_tcp, member, tail).await,
                None => Err(ErrorKind::NotConnected.into()),
            };
            match link {
                Ok(link) => return Ok(link),
                Err(error) if Instant::now() > end => {
                    return Err(format!("no connection: {error}"));
                }
                Err(_) => Timer::after(LOOK).await,
            };
        }
    }

    /// Connects to a server, by TCP or by its unix socket.
    pub async fn dial(
        world: &Rc<World>,
        (address, path): &Addresses,
        is_tcp: bool,
        member: Option<usize>,
        tail: &Tail,
    ) -> io::Result<Self> {
        let generation = world.generation.get();
        let socket = if is_tcp {
            OwnedFd::from(Async::<TcpStream>::connect(*address).await?.into_inner()?)
        } else {
            OwnedFd::from(Async::<UnixStream>::connect(path).await?.into_inner()?)
        };
        let number = world.totals.borrow().connections + 1;
        world.totals.borrow_mut().connections = number;
        world.open.set(world.open.get() + 1);
        let way = if is_tcp { "tcp" } else { "unix" };
        note(tail, "--", format!("link {number} over {way}").as_bytes());
        Ok(Self {
            socket: Async::new(socket)?,
            is_tcp,
            buffer: Vec::new(),
            start: 0,
            world: Rc::clone(world),
            tail: Rc::clone(tail),
            member,
            number,
            generation,
            welcomed_at: None,
            seen: 0,
            history: 0,
            past: 0..0,
            may_gap: false,
            asked: VecDeque::new(),
            expects: None,
            bye: None,
            stalled: false,
        })
    }

    /// Sends bytes. If that fails, the next that is heard tells why.
    pub async fn write(&self, mut bytes: &[u8]) {
        note(&self.tail, ">", bytes);
        while !bytes.is_empty() {
            match self.socket.write_with(|fd| Ok(rustix::io::write(fd, bytes)?)).await {
                Ok(written) => bytes = &bytes[written..],
                Err(_) => return,
            }
        }
    }

    /// Sends a line.
    pub async fn say(&self, line: &str) {
        self.write(format!("{line}\n").as_bytes()).await;
    }

    /// Closes the way out.
    pub fn half_close(&self) {
        note(&self.tail, "--", b"half-close");
        // It fails if the connection is gone, which the next read tells.
        shutdown(&self.socket, Shutdown::Write).ok();
    }

    /// Ends it by a reset, where there is such a thing.
    pub fn reset(self) {
        note(&self.tail, "--", b"reset");
        if self.is_tcp {
            sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO)).ok();
        }
    }

    /// The next line, if one comes in time.
    pub async fn hear(&mut self, until: Instant) -> Heard {
        const READ: usize = 16 * 1024;
        loop {
            let rest = &self.buffer[self.start..];
            if let Some(end) = rest.iter().position(|&b| b == b'\n') {
                let line = rest[..=end].to_vec();
                self.start += line.len();
                note(&self.tail, "<", &line);
                return Heard::Line(line);
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
                None => return Heard::Nothing,
                Some(Ok(0)) if held > 0 => Some(io::Error::other("the end is inside a line")),
                Some(Ok(0)) => None,
                Some(Err(error)) => Some(error),
                Some(Ok(_)) => {
                    yield_now().await;
                    continue;
                }
            };
            note(&self.tail, "--", format!("the end: {end:?}").as_bytes());
            return Heard::End(end);
        }
    }

    /// Whether its server was killed.
    pub fn is_of_a_dead_server(&self) -> bool {
        self.generation != self.world.generation.get()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.world.open.set(self.world.open.get() - 1);
    }
}
