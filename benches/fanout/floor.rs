//! The floor: the least that a room can do. What became readable in one wait goes to every
//! socket with one `send` each. No names, no JSON, no queues: no chat server can be cheaper on
//! this kernel with these calls.
//!
//! Two things keep it honest as a yardstick. Lines stay whole: a read that ends inside one waits
//! for its end, a `send` that took a part waits for the rest. And a member whose socket stays full
//! is closed, so that it costs nothing from then on.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};

/// What one wait may gather; more of it waits for the next.
const BUFFER_BYTES: usize = 1 << 20;
/// What a single read may take of that.
const READ_BYTES: usize = 64 << 10;
/// The listener among the tokens; a member's token is its place in the table.
const LISTENER: u64 = u64::MAX;

/// How long the rest of a line may take to arrive.
const LINE_TIMEOUT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// How long a full socket is waited for, and everybody else with it. What is on its way to one
/// who reads is far less than a socket holds; only one who never reads gets here.
const SEND_TIMEOUT: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// Serves until it is killed.
pub fn serve() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    rustix::net::listen(&listener, 4096)?; // std asks for 128, too few for a crowd
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
                    // The load generator's sign that it is in.
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

/// One read, and more only if that one ended inside a line. Nothing at all is the end.
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

/// One `send`, and more only if that one took a part.
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

fn wait_for(socket: &TcpStream, readiness: PollFlags, at_most: Timespec) -> io::Result<()> {
    match poll(&mut [PollFd::new(socket, readiness)], Some(&at_most))? {
        0 => Err(ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}
