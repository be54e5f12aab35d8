//! The outbox of a client that speaks TLS.
//!
//! Frames wait as they do for other clients: shared, and not encrypted. They are encrypted one
//! record at a time, when the socket has taken the record before. A record that is begun is sent to
//! its end, so the frames in it count as sent.
//!
//! Each record is a write. With `MSG_MORE`, deliveries of 36 KiB cost 10 % less, but a member on the
//! loopback interface whose socket buffer is small waits 90 ms for 150 KiB instead of 2 ms.

use std::collections::VecDeque;

use rustix::io::{self, Errno};

use super::{Delivery, Outbox, SLICES_PER_CALL, SendQueue, write};
use crate::room::Slice;
use crate::server::edge::tls::{MAX_PLAIN_BYTES, Seal};
use crate::server::framing::{Framing, Header};
use crate::server::socket::Socket;

impl Outbox {
    /// Encrypts all later frames. The bytes before are sent, or wait.
    pub fn set_seal(&mut self, seal: Seal) {
        self.queue.get_or_insert_default().seal = Some(seal);
    }

    /// Returns whether the frames are encrypted.
    pub fn is_sealed(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.seal.is_some())
    }

    /// Takes new keys, and tells the client of them.
    pub fn update_seal(&mut self, next: Seal, framing: Framing) -> Delivery {
        let seal = self.queue.as_mut().and_then(|queue| queue.seal.as_mut());
        match seal.is_none_or(|seal| seal.update(next)) {
            true => self.flush(framing),
            false => Delivery::Failed,
        }
    }

    /// Ends the stream with an alert behind all frames, if they are encrypted. The caller
    /// [flushes](Self::flush) it.
    pub fn end_with(&mut self, alert: u8) {
        if let Some(seal) = self.queue.as_mut().and_then(|queue| queue.seal.as_mut()) {
            seal.end_with(alert);
        }
    }

    /// Sends frames to a client for which nothing waits.
    pub(super) fn send_sealed(
        &mut self,
        slices: &[Slice],
        seq: u64,
        limit: usize,
        framing: Framing,
    ) -> Delivery {
        let Some(queue) = &mut self.queue else { return Delivery::Sent };
        let Some(seal) = &mut queue.seal else { return Delivery::Sent };
        let length = |slice: &Slice| framing.header(slice).as_bytes().len() + slice.bytes().len();
        let total = slices.iter().map(length).sum::<usize>();
        if total == 0 {
            return Delivery::Sent;
        }
        let Some(sealed) = seal_slices(seal, slices, None, framing) else {
            return queue.fail();
        };
        let is_done = sealed == total && !seal.is_ending() && !seal.is_used_up();
        if is_done && let Ok(true) = write_records(&self.socket, seal) {
            return Delivery::Sent;
        }
        queue.seq = slices.iter().find_map(Slice::before).unwrap_or(seq);
        for slice in slices {
            queue.push(slice.clone());
        }
        queue.advance(sealed, framing);
        match self.flush_sealed(framing) {
            Delivery::Waiting => {
                self.queue.as_ref().map_or(Delivery::Sent, |queue| queue.delivery(limit))
            }
            delivery => delivery,
        }
    }

    /// Encrypts and writes queued frames, as many as the socket takes.
    pub(super) fn flush_sealed(&mut self, framing: Framing) -> Delivery {
        let Some(queue) = &mut self.queue else { return Delivery::Sent };
        loop {
            let Some(seal) = &mut queue.seal else { return Delivery::Sent };
            match write_records(&self.socket, seal) {
                Ok(true) => {}
                Ok(false) => return Delivery::Waiting,
                Err(_) => return queue.fail(),
            }
            if queue.slices.is_empty() {
                if seal.seal_last_alert() {
                    continue;
                }
                let is_used_up = seal.is_used_up() && !seal.is_ending();
                // Returns the memory.
                queue.slices = VecDeque::new();
                return if is_used_up { Delivery::UsedUp } else { Delivery::Sent };
            }
            let slices = queue.slices.make_contiguous();
            match seal_slices(seal, slices, queue.unsent_header, framing) {
                Some(sealed) => queue.advance(sealed, framing),
                None => return queue.fail(),
            }
        }
    }
}

impl SendQueue {
    /// Returns whether the client speaks TLS, and nothing waits for it.
    pub(super) fn is_idle(&self) -> bool {
        let seal = self.seal.as_ref();
        self.slices.is_empty() && seal.is_some_and(|seal| seal.pending().is_empty())
    }

    /// Returns the last sequence number that the client was sent, for a client for which nothing
    /// waits. `seq` is that of clients whose frames did not wait.
    pub(super) fn idle_seq(&self, seq: u64) -> u64 {
        if self.seal.as_ref().is_some_and(Seal::is_used_up) { self.seq } else { seq }
    }

    /// Discards everything that waits, because the connection is broken. The seal stays, so that
    /// nothing is ever sent without it.
    fn fail(&mut self) -> Delivery {
        *self = SendQueue { seal: self.seal.take(), ..SendQueue::default() };
        if let Some(seal) = &mut self.seal {
            seal.advance(usize::MAX);
        }
        Delivery::Failed
    }
}

/// Writes the records that wait, and returns whether the socket has taken all.
fn write_records(socket: &Socket, seal: &mut Seal) -> io::Result<bool> {
    while !seal.pending().is_empty() {
        match write(socket, seal.pending()) {
            Ok(written) => seal.advance(written),
            Err(Errno::AGAIN) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Encrypts the first bytes of slices with their headers, as one record. Returns the number of
/// bytes, headers included. `unsent_header` is the rest of the header of the first slice, if a part
/// of that message was sent.
fn seal_slices(
    seal: &mut Seal,
    slices: &[Slice],
    unsent_header: Option<Header>,
    framing: Framing,
) -> Option<usize> {
    let mut headers = [Header::EMPTY; SLICES_PER_CALL];
    for (header, slice) in headers.iter_mut().zip(slices) {
        *header = framing.header(slice);
    }
    if let (Some(rest), [first, ..]) = (unsent_header, &mut headers) {
        *first = rest;
    }
    let mut parts: [&[u8]; 2 * SLICES_PER_CALL] = [&[]; 2 * SLICES_PER_CALL];
    let mut count = 0;
    let mut total = 0;
    let bytes =
        headers.iter().zip(slices).flat_map(|(head, slice)| [head.as_bytes(), slice.bytes()]);
    for (part, bytes) in parts.iter_mut().zip(bytes.filter(|bytes| !bytes.is_empty())) {
        (*part, _) = bytes.split_at(bytes.len().min(MAX_PLAIN_BYTES - total));
        total += part.len();
        count += 1;
    }
    seal.seal(parts.get(..count).unwrap_or_default()).then_some(total)
}
