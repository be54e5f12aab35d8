//! A load generator: many clients of one server or a cluster, on one thread with one epoll.
//!
//! The code is the same for every server, keeps a few bytes per client, and allocates nothing per
//! read, so that its own cost is small and equal in all runs.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

#[cfg(feature = "tls")]
use rustls::CipherSuite;

#[cfg(feature = "tls")]
use super::tls_peer::TlsPeer;

/// Part of the frame with which smolchatd welcomes a client.
pub const SMOLCHAT_WELCOME: &[u8] = b"\"kind\":\"welcome\"";

/// The most bytes of one read.
const READ_BYTES: usize = 256 << 10;
/// The most bytes kept from one read to the next.
const CARRY_BYTES: usize = 32;
/// Clients that connect before the others are read: clients do not wait for each other.
const CONNECTS_PER_POLL: usize = 64;
/// The longest time without a client that joins while clients are joining.
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest time between two looks at the clock.
pub const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// How clients join their servers.
pub struct Join {
    /// Addresses of the servers. The clients connect to them in turn.
    pub addrs: Vec<SocketAddr>,
    /// Returns the bytes that a client sends as soon as it is connected.
    pub request: Box<dyn Fn(usize) -> Vec<u8>>,
    /// Part of the answer that means that the client has joined.
    pub reply: &'static [u8],
    /// The most clients that are joining at the same time.
    pub window: usize,
    /// Clients with this number or a higher one are not read once they have joined.
    pub readers: usize,
    /// How they begin TLS, if they speak it.
    #[cfg(feature = "tls")]
    pub tls: Option<Tls>,
}

/// How clients begin TLS.
#[cfg(feature = "tls")]
pub struct Tls {
    /// The certificate of the server in PEM.
    pub certificate: Vec<u8>,
    /// Whether the server sends a line of plain text before the handshake.
    pub is_after_greeting: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientState {
    Connecting,
    Joining,
    Reading,
    /// Not read any more: the client is not a reader, or the server closed the connection.
    Done,
}

struct Client {
    stream: TcpStream,
    state: ClientState,
    /// Bytes of the last read that are part of something incomplete.
    carry: [u8; CARRY_BYTES],
    carried: usize,
    #[cfg(feature = "tls")]
    tls: Option<Box<TlsPeer>>,
    /// A line of plain text comes before the handshake.
    #[cfg(feature = "tls")]
    awaits_greeting: bool,
}

/// Bytes that a client has yet to send.
#[derive(Default)]
pub struct SendBuffer {
    /// The bytes, of which the first `written` are sent.
    pub bytes: Vec<u8>,
    written: usize,
    /// The bytes that are encrypted, if the client speaks TLS.
    #[cfg(feature = "tls")]
    encrypted: usize,
    /// Whether the socket has to become writable first.
    is_blocked: bool,
}

/// Readiness of a client's socket.
pub struct Ready {
    /// Number of the client.
    pub client: usize,
    /// Whether a read returns bytes, the end or an error.
    pub is_readable: bool,
    /// Whether a blocked send buffer can be flushed.
    pub is_writable: bool,
}

/// Clients of one server, numbered in the order in which they connected.
pub struct Clients {
    join: Join,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Box<[u8]>,
    clients: Vec<Client>,
    joined: usize,
    /// Connections of readers that the server closed.
    pub closed: u64,
    /// Bytes read from the server.
    pub bytes: u64,
    /// Reads that returned bytes.
    pub reads: u64,
}

impl Clients {
    /// Returns an empty set of clients that will join with `join`.
    pub fn new(join: Join) -> io::Result<Self> {
        Ok(Self {
            join,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(512),
            buffer: vec![0; CARRY_BYTES + READ_BYTES].into(),
            clients: Vec::new(),
            joined: 0,
            closed: 0,
            bytes: 0,
            reads: 0,
        })
    }

    /// Connects clients until `total` have joined, and discards the bytes that they read.
    pub fn join(&mut self, total: usize) -> io::Result<()> {
        let (mut joined, mut since) = (self.joined, Instant::now());
        while self.joined < total {
            if self.joined > joined {
                (joined, since) = (self.joined, Instant::now());
            }
            if since.elapsed() > JOIN_TIMEOUT || self.closed > 0 {
                return Err(io::Error::other(format!(
                    "{joined} of {total} clients joined, the server closed {}",
                    self.closed
                )));
            }
            let joining = self.clients.len() - self.joined;
            let more = (total - self.clients.len()).min(self.join.window - joining);
            for _ in 0..more.min(CONNECTS_PER_POLL) {
                self.connect()?;
            }
            self.discard(if more > CONNECTS_PER_POLL { Duration::ZERO } else { POLL_TIMEOUT })?;
        }
        Ok(())
    }

    /// Reads and discards bytes for `duration`.
    pub fn discard_for(&mut self, duration: Duration) -> io::Result<()> {
        let end = Instant::now() + duration;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.discard(left)?;
        }
        Ok(())
    }

    /// Reads and discards bytes until none arrive for 1.5 seconds, or for 10 seconds.
    pub fn discard_until_quiet(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.discard(Duration::from_millis(1500))? && Instant::now() < deadline {}
        Ok(())
    }

    /// Waits for ready sockets and discards their bytes. Returns whether there were any.
    fn discard(&mut self, timeout: Duration) -> io::Result<bool> {
        let count = self.wait(timeout)?;
        for index in 0..count {
            self.read(self.ready(index).client, <[u8]>::len)?;
        }
        Ok(count > 0)
    }

    /// Waits for ready sockets and returns how many there are; 0 after `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<usize> {
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(self.events.len()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns one of the ready sockets of the last [`wait`](Self::wait).
    pub fn ready(&self, index: usize) -> Ready {
        let event = &self.events[index];
        let (data, flags) = (event.data, event.flags);
        Ready {
            client: data.u64() as usize,
            is_readable: flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR),
            is_writable: flags.contains(EventFlags::OUT),
        }
    }

    /// Reads once from a client. Calls `consume` for one that has joined, with the bytes that were
    /// left by the last call in front. It returns how many bytes it used; at most 32 may be left.
    pub fn read(&mut self, number: usize, consume: impl FnOnce(&[u8]) -> usize) -> io::Result<()> {
        let client = &mut self.clients[number];
        match client.state {
            ClientState::Done => return Ok(()),
            ClientState::Connecting => return self.on_connected(number),
            ClientState::Joining | ClientState::Reading => {}
        }
        let carried = client.carried;
        self.buffer[..carried].copy_from_slice(&client.carry[..carried]);
        let filled = match client.stream.read(&mut self.buffer[carried..]) {
            Ok(read) if read > 0 => carried + read,
            Err(error) if is_transient(&error) => return Ok(()),
            Ok(_) | Err(_) => {
                self.closed += 1;
                return self.stop_reading(number);
            }
        };
        self.bytes += (filled - carried) as u64;
        self.reads += 1;
        #[cfg(feature = "tls")]
        let filled = self.decrypt(number, carried, filled)?;
        let used = if self.clients[number].state == ClientState::Joining {
            self.find_reply(number, filled)?
        } else {
            consume(&self.buffer[..filled])
        };
        let rest = &self.buffer[used..filled];
        let client = &mut self.clients[number];
        client.carry[..rest.len()].copy_from_slice(rest);
        client.carried = rest.len();
        Ok(())
    }

    /// Writes as much of `buffer` as the client's socket accepts. If bytes are left, the client is
    /// reported as writable later.
    pub fn flush(&mut self, number: usize, buffer: &mut SendBuffer) -> io::Result<()> {
        let client = &mut self.clients[number];
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut client.tls {
            tls.send(&buffer.bytes.split_off(buffer.encrypted));
            buffer.bytes.extend(tls.take_outgoing());
            buffer.encrypted = buffer.bytes.len();
        }
        while buffer.written < buffer.bytes.len() {
            match client.stream.write(&buffer.bytes[buffer.written..]) {
                Ok(written) => buffer.written += written,
                Err(error) if is_transient(&error) => break,
                // Discarded: the next read finds the connection closed and counts it.
                Err(_) => buffer.written = buffer.bytes.len(),
            }
        }
        let is_blocked = buffer.written < buffer.bytes.len();
        if !is_blocked {
            buffer.bytes.clear();
            buffer.written = 0;
            #[cfg(feature = "tls")]
            {
                buffer.encrypted = 0;
            }
        }
        if is_blocked != buffer.is_blocked && client.state != ClientState::Done {
            buffer.is_blocked = is_blocked;
            let mut flags = EventFlags::IN;
            flags.set(EventFlags::OUT, is_blocked);
            epoll::modify(&self.epoll, &client.stream, EventData::new_u64(number as u64), flags)?;
        }
        Ok(())
    }

    fn connect(&mut self) -> io::Result<()> {
        let number = self.clients.len() as u64;
        let addr = self.join.addrs[self.clients.len() % self.join.addrs.len()];
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        match connect(&socket, &addr) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        epoll::add(&self.epoll, &stream, EventData::new_u64(number), EventFlags::OUT)?;
        let state = ClientState::Connecting;
        self.clients.push(Client {
            stream,
            state,
            carry: [0; CARRY_BYTES],
            carried: 0,
            #[cfg(feature = "tls")]
            tls: self.join.tls.as_ref().map(|tls| {
                let suites = [CipherSuite::TLS13_AES_128_GCM_SHA256];
                Box::new(TlsPeer::new(&tls.certificate, &suites))
            }),
            #[cfg(feature = "tls")]
            awaits_greeting: self.join.tls.as_ref().is_some_and(|tls| tls.is_after_greeting),
        });
        Ok(())
    }

    /// Sends the request of a client whose socket has connected. A short write to an empty socket
    /// does not wait.
    fn on_connected(&mut self, number: usize) -> io::Result<()> {
        let client = &mut self.clients[number];
        if let Some(error) = client.stream.take_error()? {
            return Err(error);
        }
        #[cfg(feature = "tls")]
        let request = match &mut client.tls {
            Some(_) if client.awaits_greeting => Vec::new(),
            // The request follows the handshake.
            Some(tls) => tls.read(&[]).map(|()| tls.take_outgoing())?,
            None => (self.join.request)(number),
        };
        #[cfg(not(feature = "tls"))]
        let request = (self.join.request)(number);
        client.stream.write_all(&request)?;
        client.state = ClientState::Joining;
        let data = EventData::new_u64(number as u64);
        epoll::modify(&self.epoll, &client.stream, data, EventFlags::IN)?;
        Ok(())
    }

    /// Decrypts the bytes of a read in place, and returns the end of the data. At the end of the
    /// handshake, sends the request.
    #[cfg(feature = "tls")]
    fn decrypt(&mut self, number: usize, start: usize, end: usize) -> io::Result<usize> {
        let client = &mut self.clients[number];
        let Some(tls) = &mut client.tls else { return Ok(end) };
        let was_handshaking = tls.is_handshaking();
        let mut bytes = &self.buffer[start..end];
        if client.awaits_greeting {
            if !bytes.ends_with(b"\n") {
                return Ok(start);
            }
            client.awaits_greeting = false;
            bytes = &[];
        }
        tls.read(bytes)?;
        if was_handshaking && !tls.is_handshaking() {
            tls.send(&(self.join.request)(number));
        }
        client.stream.write_all(&tls.take_outgoing())?;
        let data = std::mem::take(&mut tls.data);
        self.buffer[start..start + data.len()].copy_from_slice(&data);
        Ok(start + data.len())
    }

    /// Looks for the reply to a join in the first `filled` bytes of the buffer, and returns how
    /// many of them are used.
    fn find_reply(&mut self, number: usize, filled: usize) -> io::Result<usize> {
        let reply = self.join.reply;
        if !self.buffer[..filled].windows(reply.len()).any(|window| window == reply) {
            return Ok(filled.saturating_sub(reply.len() - 1));
        }
        self.joined += 1;
        self.clients[number].state = ClientState::Reading;
        if number >= self.join.readers {
            self.stop_reading(number)?;
        }
        Ok(filled)
    }

    fn stop_reading(&mut self, number: usize) -> io::Result<()> {
        let client = &mut self.clients[number];
        client.state = ClientState::Done;
        epoll::delete(&self.epoll, &client.stream)?;
        Ok(())
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
