//! A member's way out: write at once, fall behind, catch up, or be closed.
//!
//! A socket nearly always has room, so what is to be sent is handed to the kernel at once and
//! without waiting: no task switch, no queue, no copy. What the socket does not take waits here,
//! as shared [`Slice`]s, and everything later queues up behind it, so that order holds. The
//! broadcaster owns each outbox and is told when the socket has room again; so an outbox needs
//! no lock and no channel of its own, and how far a member got is known to the byte.

use std::collections::VecDeque;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};

use super::socket::{Socket, write, write_vectored};
use crate::room::{Slice, SliceKind};

/// What it takes to keep one slice waiting, beside its bytes: a place in a queue that grows by
/// doubling, and the head of an allocation. It counts, or many short frames would take several
/// times what an outbox may hold.
const PLACE: usize = 128;

/// How a delivery went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The kernel has all of it.
    Sent,
    /// Some of it waits until the socket has room.
    Waiting,
    /// More would wait than may.
    Slow,
    /// The connection is broken: nothing more can be sent.
    Lost,
}

/// What is on its way to one member.
#[derive(Debug)]
pub struct Outbox {
    socket: Arc<Socket>,
    backlog: Option<Box<Backlog>>,
}

/// What a socket did not take.
#[derive(Debug, Default)]
struct Backlog {
    queue: VecDeque<Slice>,
    /// Bytes that count against the limit, their places included: all but what the history holds
    /// anyway.
    waiting: usize,
    /// The last number of the room's sequence that was sent whole.
    seq: u64,
}

impl Outbox {
    /// The way out through `socket`.
    pub fn new(socket: Arc<Socket>) -> Self {
        Outbox { socket, backlog: None }
    }

    /// The socket it writes to.
    pub fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    /// Sends whole frames, now or when the socket has room.
    ///
    /// `limit` is how many bytes may wait; `seq` the number of the sequence before this delivery.
    pub fn deliver(&mut self, slices: &[Slice], seq: u64, limit: usize) -> Delivery {
        if let Some(backlog) = &mut self.backlog {
            for slice in slices {
                // Who is behind, and asks for what was said over and over, pays for it.
                let is_past = slice.kind() == SliceKind::Past;
                let kind = if is_past { SliceKind::Own } else { slice.kind() };
                backlog.extend(&[slice.clone().with_kind(kind)], 0);
            }
            return if backlog.waiting > limit { Delivery::Slow } else { Delivery::Waiting };
        }
        let sent = match slices {
            [] => return Delivery::Sent,
            [slice] => write(&self.socket, slice.bytes()),
            slices => write_vectored(&self.socket, slices),
        };
        let sent = match sent {
            Ok(sent) => sent,
            Err(Errno::AGAIN) => 0,
            Err(_) => return Delivery::Lost,
        };
        if sent == slices.iter().map(|slice| slice.bytes().len()).sum::<usize>() {
            return Delivery::Sent;
        }
        let seq = slices.iter().find_map(Slice::before).unwrap_or(seq);
        let mut backlog = Backlog { seq, ..Backlog::default() };
        backlog.extend(slices, sent);
        let waiting = backlog.waiting;
        self.backlog = Some(Box::new(backlog));
        if waiting > limit { Delivery::Slow } else { Delivery::Waiting }
    }

    /// Sends what waits, as far as the socket takes it.
    pub fn drain(&mut self) -> Delivery {
        let Some(backlog) = &mut self.backlog else { return Delivery::Sent };
        while !backlog.queue.is_empty() {
            match write_vectored(&self.socket, backlog.queue.make_contiguous()) {
                Ok(sent) => backlog.advance(sent),
                Err(Errno::AGAIN) => return Delivery::Waiting,
                Err(_) => {
                    self.backlog = None;
                    return Delivery::Lost;
                }
            }
        }
        self.backlog = None;
        Delivery::Sent
    }

    /// Whether everything was sent.
    pub fn is_clear(&self) -> bool {
        self.backlog.is_none()
    }

    /// Gives up what waits, but for the rest of a frame that was begun: whatever is sent next
    /// is a line of its own. Returns the last number of the sequence that gets through, or
    /// `seq` if nothing waits.
    pub fn cut(&mut self, seq: u64) -> u64 {
        let Some(backlog) = &mut self.backlog else { return seq };
        let mut queue = std::mem::take(&mut backlog.queue);
        backlog.waiting = 0;
        if let Some(first) = queue.front_mut().filter(|slice| slice.is_inside_frame()) {
            let rest = first.rest_of_frame();
            if let Some(before) = first.before() {
                backlog.seq = before + 1;
            }
            backlog.extend(&[rest], 0);
        }
        backlog.seq
    }

    /// Tells the other side that nothing follows. What it has to say can still be read.
    pub fn finish(&self) {
        let _ = shutdown(&self.socket, Shutdown::Write);
    }

    /// Ends the connection, both ways. What the kernel holds is still delivered; the task that
    /// reads from the socket wakes up, and closes it.
    pub fn end(&self) {
        // A socket that is not connected any more has nothing left to end.
        let _ = shutdown(&self.socket, Shutdown::Both);
    }
}

impl Backlog {
    fn extend(&mut self, slices: &[Slice], mut sent: usize) {
        for slice in slices {
            let mut slice = slice.clone();
            let length = slice.bytes().len();
            self.take_off(&mut slice, sent.min(length));
            sent = sent.saturating_sub(length);
            if !slice.bytes().is_empty() {
                if slice.counts() {
                    self.waiting += PLACE + slice.bytes().len();
                }
                self.queue.push_back(slice);
            }
        }
    }

    fn advance(&mut self, mut sent: usize) {
        while let Some(mut slice) = self.queue.pop_front() {
            let length = slice.bytes().len();
            let part = sent.min(length);
            self.take_off(&mut slice, part);
            if slice.counts() {
                self.waiting -= if part < length { part } else { part + PLACE };
            }
            sent -= part;
            if part < length {
                self.queue.push_front(slice);
                return;
            }
        }
    }

    fn take_off(&mut self, slice: &mut Slice, sent: usize) {
        slice.advance(sent);
        if let Some(before) = slice.before()
            && sent > 0
        {
            self.seq = before;
        }
    }
}
