//! The outbox of one client: writes at once, and queues only while the client is behind.
//!
//! A socket nearly always has space, so frames are handed to the kernel at once and without
//! waiting: no task switch, no queue, no copy. The outbox queues frames that the socket does not
//! take, as shared [`Slice`]s, and all later frames behind them, so that the order is kept. The
//! broadcaster owns all outboxes and gets an event when a socket is writable again. So an outbox
//! needs no lock and no channel.

#[cfg(feature = "tls")]
mod tls;

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, send, sendmsg, shutdown,
};

#[cfg(feature = "tls")]
use super::edge::tls::Seal;
use super::framing::{Framing, Header};
use super::socket::Socket;
use crate::room::{Slice, SliceKind};

/// Slices handed to the kernel in one call. Linux takes 1,024; more than a few dozen gain nothing.
const SLICES_PER_CALL: usize = 32;

/// Bytes that one queued slice takes beside its frames: an entry in a queue that grows by doubling,
/// and the header of an allocation. They count against the limit, or many short frames would take
/// several times the limit.
const SLICE_OVERHEAD: usize = 128;

/// Bytes of input that are discarded at once.
const DISCARD_BYTES: usize = 8 * 1024;
/// Discards for one client at its end. Together they are more than the receive buffer holds by
/// default.
const MAX_DISCARDS: usize = 32;

/// The result of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The kernel has taken everything.
    Sent,
    /// Frames wait until the socket is writable.
    Waiting,
    /// More bytes wait than the limit allows.
    Slow,
    /// The write failed: the connection is broken.
    Failed,
    /// The kernel has taken everything, and the key of the connection is used up.
    #[cfg(feature = "tls")]
    UsedUp,
}

/// The socket of one client, and the frames that wait for it.
#[derive(Debug)]
pub struct Outbox {
    socket: Arc<Socket>,
    /// Allocated only while the client is behind, or if it speaks TLS.
    queue: Option<Box<SendQueue>>,
}

/// The frames that the socket did not take.
#[derive(Debug, Default)]
struct SendQueue {
    slices: VecDeque<Slice>,
    /// Bytes that count against the limit, with their overhead.
    waiting_bytes: usize,
    /// The bytes of the first slice that were sent. Their frames are counted only when the queue is
    /// cleared: to count them after each record took 28 % of the time of a delivery over TLS in a
    /// flood.
    sent: usize,
    /// The last sequence number of the slices that were sent completely.
    seq: u64,
    /// The unsent part of the header of the first slice, if that slice is a message of which a part
    /// was sent.
    unsent_header: Option<Header>,
    /// Encrypts the frames, if the client speaks TLS.
    #[cfg(feature = "tls")]
    seal: Option<Seal>,
}

impl Outbox {
    /// Creates an empty outbox.
    pub fn new(socket: Arc<Socket>) -> Self {
        Outbox { socket, queue: None }
    }

    pub fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    /// Sends whole frames, now or when the socket is writable. `seq` is the sequence number before
    /// them, and `limit` the number of bytes that may wait.
    pub fn send(&mut self, slices: &[Slice], seq: u64, limit: usize, framing: Framing) -> Delivery {
        if let Some(queue) = &mut self.queue {
            #[cfg(feature = "tls")]
            if queue.is_idle() {
                return self.send_sealed(slices, seq, limit, framing);
            }
            for slice in slices {
                // A client that is behind must not queue past frames without a limit.
                let is_past = slice.kind() == SliceKind::Past;
                let slice = slice.clone();
                queue.push(if is_past { slice.with_kind(SliceKind::Own, 0) } else { slice });
            }
            return queue.delivery(limit);
        }
        let written = match slices {
            [] => return Delivery::Sent,
            [slice] if !framing.has_headers() => write(&self.socket, slice.bytes()),
            slices => write_vectored(&self.socket, slices, None, framing),
        };
        self.queue_rest(slices, written, seq, limit, framing)
    }

    /// Sends the shared frames of a batch as a message. `message` is `shared` with its header before
    /// it, so that the header is copied once a batch and not written for each client.
    #[cfg(feature = "web")]
    pub fn send_message(
        &mut self,
        message: &[u8],
        shared: &Slice,
        limit: usize,
        framing: Framing,
    ) -> Delivery {
        if let Some(queue) = &mut self.queue {
            #[cfg(feature = "tls")]
            if queue.is_idle() {
                return self.send_sealed(std::slice::from_ref(shared), 0, limit, framing);
            }
            queue.push(shared.clone());
            return queue.delivery(limit);
        }
        let written = write(&self.socket, message);
        self.queue_rest(std::slice::from_ref(shared), written, 0, limit, framing)
    }

    /// Queues the unwritten rest of slices. `written` is the result of the write, headers included.
    fn queue_rest(
        &mut self,
        slices: &[Slice],
        written: rustix::io::Result<usize>,
        seq: u64,
        limit: usize,
        framing: Framing,
    ) -> Delivery {
        let written = match written {
            Ok(written) => written,
            Err(Errno::AGAIN) => 0,
            Err(_) => return Delivery::Failed,
        };
        let length = |slice: &Slice| framing.header(slice).as_bytes().len() + slice.bytes().len();
        if written == slices.iter().map(length).sum::<usize>() {
            return Delivery::Sent;
        }
        let seq = slices.iter().find_map(Slice::before).unwrap_or(seq);
        let mut queue = SendQueue { seq, ..SendQueue::default() };
        for slice in slices {
            queue.push(slice.clone());
        }
        queue.advance(written, framing);
        self.queue.insert(Box::new(queue)).delivery(limit)
    }

    /// Writes queued frames, as many as the socket takes.
    pub fn flush(&mut self, framing: Framing) -> Delivery {
        let Some(queue) = &mut self.queue else { return Delivery::Sent };
        #[cfg(feature = "tls")]
        if queue.seal.is_some() {
            return self.flush_sealed(framing);
        }
        while !queue.slices.is_empty() {
            let unsent_header = queue.unsent_header;
            match write_vectored(
                &self.socket,
                queue.slices.make_contiguous(),
                unsent_header,
                framing,
            ) {
                Ok(written) => queue.advance(written, framing),
                Err(Errno::AGAIN) => return Delivery::Waiting,
                Err(_) => {
                    self.queue = None;
                    return Delivery::Failed;
                }
            }
        }
        self.queue = None;
        Delivery::Sent
    }

    /// Returns the bytes that wait and count against the limit.
    #[cfg(feature = "irc")]
    pub fn waiting_bytes(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.waiting_bytes)
    }

    /// Returns whether no frame waits.
    pub fn is_empty(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.is_sealed() {
            return self.queue.as_ref().is_some_and(|queue| queue.is_idle());
        }
        self.queue.is_none()
    }

    /// Discards the queued frames, except the rest of a frame or message that is partly sent.
    /// Returns the last sequence number that the client is sent, or `seq` if no frame waits.
    pub fn clear(&mut self, seq: u64) -> u64 {
        let Some(queue) = &mut self.queue else { return seq };
        #[cfg(feature = "tls")]
        if queue.is_idle() {
            return queue.idle_seq(seq);
        }
        let mut slices = std::mem::take(&mut queue.slices);
        queue.waiting_bytes = 0;
        if let Some(first) = slices.pop_front() {
            queue.seq = first.last_sent(std::mem::take(&mut queue.sent)).unwrap_or(queue.seq);
            if queue.unsent_header.is_some() || first.is_inside_frame() {
                let rest = match queue.unsent_header {
                    Some(_) => first,
                    None => first.rest_of_frame(queue.seq),
                };
                queue.seq = rest.last().unwrap_or(queue.seq);
                queue.push(rest);
            }
        }
        queue.seq
    }

    /// Shuts down the write side: the client reads the end of the stream.
    pub fn shut_down_write(&self) {
        // Ignored: a broken socket has nothing to shut down.
        let _ = shutdown(&self.socket, Shutdown::Write);
    }

    /// Shuts down both sides. The kernel still delivers the bytes that it has taken. The connection
    /// task is woken and closes the socket.
    pub fn shut_down(&self) {
        // Ignored: a broken socket has nothing to shut down.
        let _ = shutdown(&self.socket, Shutdown::Both);
        // Closing a socket with unread input resets the connection, and discards these bytes.
        let mut buffer = [0; DISCARD_BYTES];
        for _ in 0..MAX_DISCARDS {
            match recv(&self.socket, &mut buffer, RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
                Ok((1.., _)) => {}
                _ => return,
            }
        }
    }
}

impl SendQueue {
    fn delivery(&self, limit: usize) -> Delivery {
        if self.waiting_bytes > limit { Delivery::Slow } else { Delivery::Waiting }
    }

    fn push(&mut self, slice: Slice) {
        if slice.bytes().is_empty() {
            return;
        }
        if slice.is_counted() {
            self.waiting_bytes += SLICE_OVERHEAD + slice.bytes().len();
        }
        self.slices.push_back(slice);
    }

    /// Removes the first `written` bytes of the queue.
    fn advance(&mut self, mut written: usize, framing: Framing) {
        while written > 0
            && let Some(mut slice) = self.slices.pop_front()
        {
            let mut header = self.unsent_header.take().unwrap_or_else(|| framing.header(&slice));
            written = header.advance(written);
            let length = slice.bytes().len();
            let part = written.min(length);
            slice.advance(part);
            if slice.is_counted() {
                self.waiting_bytes -= if part < length { part } else { part + SLICE_OVERHEAD };
            }
            written -= part;
            if part < length {
                self.unsent_header = framing.has_headers().then_some(header);
                self.slices.push_front(slice);
                self.sent += part;
                return;
            }
            self.sent = 0;
            self.seq = slice.last().unwrap_or(self.seq);
        }
    }
}

fn write(socket: &Socket, bytes: &[u8]) -> rustix::io::Result<usize> {
    send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}

/// Writes slices with their headers. `unsent_header` is the rest of the header of the first slice,
/// if a part of that message was sent.
fn write_vectored(
    socket: &Socket,
    slices: &[Slice],
    unsent_header: Option<Header>,
    framing: Framing,
) -> rustix::io::Result<usize> {
    let mut headers = [Header::EMPTY; SLICES_PER_CALL];
    for (header, slice) in headers.iter_mut().zip(slices) {
        *header = framing.header(slice);
    }
    if let (Some(rest), [first, ..]) = (unsent_header, &mut headers) {
        *first = rest;
    }
    let mut parts = [IoSlice::new(&[]); 2 * SLICES_PER_CALL];
    let (pairs, _) = parts.as_chunks_mut();
    for (pair, (header, slice)) in pairs.iter_mut().zip(headers.iter().zip(slices)) {
        *pair = [IoSlice::new(header.as_bytes()), IoSlice::new(slice.bytes())];
    }
    let count = 2 * slices.len().min(SLICES_PER_CALL);
    let (parts, _) = parts.split_at(count);
    let mut no_control = SendAncillaryBuffer::default();
    sendmsg(socket, parts, &mut no_control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}
