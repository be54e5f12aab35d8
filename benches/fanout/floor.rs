//! The floor: a room that does only what every room must do. The bytes that became readable in one
//! wait go to every socket with one `send` each, without names, JSON or queues. With the same
//! system calls, a chat server cannot use less CPU time.
//!
//! Two rules make it a fair baseline. Lines stay whole: after a read that ends inside a line it
//! waits for the rest, and after a partial `send` it waits until the rest is sent. A member whose
//! socket stays full is closed, so that it causes no more cost.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};

/// The most bytes gathered in one wait; the rest is read after the next one.
const BUFFER_BYTES: usize = 1 << 20;
/// The most bytes of one read.
const READ_BYTES: usize = 64 << 10;
/// Token of the listener. The token of a member is its index.
const LISTENER: u64 = u64::MAX;

/// The longest time until the rest of a line arrives.
const LINE_TIMEOUT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// The longest time until a full socket accepts bytes; all members wait for it. Only a member that
/// never reads reaches it: for the others, less is in flight than a socket holds.
const SEND_TIMEOUT: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// Runs the server until it is killed.
pub fn serve() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    // std uses a backlog of 128, too small when all members join at once.
    rustix::net::listen(&listener, 4096)?;
    listener.set_nonblocking(true)?;
    println!("listening on {}", listener.local_addr()?);
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let register = |socket: BorrowedFd<'_>, token| {
        let token = epoll::EventData::new_u64(token);
        epoll::add(&epoll, socket, token, epoll::EventFlags::IN)
    };
    register(listener.as_fd(), LISTENER)?;

    let mut members: Vec<Option<TcpStream>> = Vec::new();
    let mut events = Vec::with_capacity(1024);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        events.clear();
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        let mut filled = 0;
        for event in &events {
            let token = event.data.u64();
            if token == LISTENER {
                while let Ok((socket, _)) = listener.accept() {
                    socket.set_nonblocking(true)?;
                    socket.set_nodelay(true)?;
                    register(socket.as_fd(), members.len() as u64)?;
                    // The load generator waits for this reply.
                    (&socket).write_all(b"+\n")?;
                    members.push(Some(socket));
                }
            } else if filled + READ_BYTES <= BUFFER_BYTES
                && let Some(socket) = &members[token as usize]
            {
                match read_lines(socket, &mut buffer[filled..]) {
                    Ok(0) | Err(_) => members[token as usize] = None,
                    Ok(read) => filled += read,
                }
            }
        }
        if filled > 0 {
            for member in &mut members {
                if let Some(socket) = member
                    && send(socket, &buffer[..filled]).is_err()
                {
                    *member = None;
                }
            }
        }
    }
}

/// Reads once, and again only if that ended inside a line. Returns 0 at the end of input.
fn read_lines(mut socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = socket.read(&mut buffer[..READ_BYTES])?;
    while filled > 0 && buffer[filled - 1] != b'\n' {
        wait_for(socket, PollFlags::IN, LINE_TIMEOUT)?;
        match socket.read(&mut buffer[filled..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
    Ok(filled)
}

/// Sends once, and again only if that was partial.
fn send(mut socket: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    loop {
        let sent = socket.write(bytes)?;
        bytes = &bytes[sent..];
        if bytes.is_empty() {
            return Ok(());
        }
        wait_for(socket, PollFlags::OUT, SEND_TIMEOUT)?;
    }
}

fn wait_for(socket: &TcpStream, readiness: PollFlags, timeout: Timespec) -> io::Result<()> {
    match poll(&mut [PollFd::new(socket, readiness)], Some(&timeout))? {
        0 => Err(ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}
