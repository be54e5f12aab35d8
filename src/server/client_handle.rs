//! One connection as the broadcaster sees it: what it is to get of a batch.

use std::future::poll_fn;
use std::rc::Weak;
use std::sync::Arc;

use async_channel::Sender;
use smol::LocalExecutor;

use super::broadcaster::Event;
use crate::protocol::{ByeCode, Frame, Stats};
use crate::room::{MemberId, Op, Slice, Unicast};
use crate::server::outbox::{Delivery, Outbox};
use crate::server::socket::{Socket, Wait};

/// A connection as the broadcaster sees it.
#[derive(Debug)]
pub struct ClientHandle {
    pub outbox: Outbox,
    pub state: ClientState,
    /// The task that reads from it has come to its end.
    pub is_read_closed: bool,
    /// A task watches for room in the socket.
    watched: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientState {
    /// Connected, and shown nothing yet of what the room says.
    Visitor,
    /// Gets everything.
    Member,
    /// Gets what is on its way, and nothing more.
    Leaving,
    /// Nothing reaches it any more.
    Broken,
}

impl ClientHandle {
    /// A place for one who is not shown anything yet.
    pub fn new(socket: Arc<Socket>) -> Self {
        ClientHandle {
            outbox: Outbox::new(socket),
            state: ClientState::Visitor,
            is_read_closed: false,
            watched: false,
        }
    }

    /// Delivers what everybody gets, to those who do.
    pub fn deliver(&mut self, slices: &[Slice], seq: u64, limit: usize) -> Delivery {
        match self.state {
            ClientState::Member => self.outbox.deliver(slices, seq, limit),
            ClientState::Visitor | ClientState::Leaving | ClientState::Broken => Delivery::Sent,
        }
    }

    /// Delivers `all` with the steps of this seat at their places, and counts that. Also tells
    /// whether the seat was closed by one of them.
    pub fn deliver_unicasts(
        &mut self,
        unicasts: &[Unicast],
        all: &Slice,
        seq: u64,
        limit: usize,
        stats: &mut Stats,
    ) -> (Delivery, bool) {
        if self.state == ClientState::Leaving {
            return (Delivery::Sent, false);
        }
        if self.state == ClientState::Broken {
            let closes =
                |unicast: &Unicast| matches!(unicast.op, Op::Close | Op::Abort | Op::Evict(_));
            if !unicasts.iter().any(closes) {
                return (Delivery::Sent, false);
            }
            self.state = ClientState::Leaving;
            return (Delivery::Lost, true);
        }
        let mut slices = Vec::new();
        // What of `all` this member is to get from, if it gets any yet.
        let mut open = (self.state == ClientState::Member).then_some((0, seq));
        let mut closed = false;
        for unicast in unicasts {
            if let Some((from, before)) = open {
                let part = all.part(from, unicast.at, before);
                open = Some((unicast.at.max(from), before + part.frames()));
                slices.push(part);
            }
            match &unicast.op {
                Op::Send(slice) => slices.push(slice.clone()),
                Op::Repeat(from, to) => slices.push(all.part_again(*from, *to)),
                Op::StartLive { from, before } => {
                    self.state = ClientState::Member;
                    open = Some((*from, *before));
                }
                Op::Close => {
                    self.state = ClientState::Leaving;
                    open = None;
                    closed = true;
                    break;
                }
                Op::Evict(code) => return (self.evict(*code, seq), true),
                Op::Abort => {
                    self.state = ClientState::Leaving;
                    return (Delivery::Lost, true);
                }
            }
        }
        if let Some((from, before)) = open {
            slices.push(all.part(from, u32::MAX, before));
        }
        slices.retain(|slice| !slice.bytes().is_empty());
        stats.lines_out += slices.iter().map(Slice::frames).sum::<u64>();
        stats.bytes_out += slices.iter().map(|slice| slice.bytes().len() as u64).sum::<u64>();
        (self.outbox.deliver(&slices, seq, limit), closed)
    }

    /// Sends what waits: the watched socket has room again.
    pub fn drain(&mut self) -> Delivery {
        self.watched = false;
        self.outbox.drain()
    }

    /// Whether it is closed, and nothing is on its way to it any more.
    pub fn is_done(&self) -> bool {
        self.state == ClientState::Leaving && self.outbox.is_clear()
    }

    /// Gives up all that waits, and says bye. `seq` is the number of the sequence that it has if
    /// nothing waits.
    pub fn evict(&mut self, code: ByeCode, seq: u64) -> Delivery {
        self.state = ClientState::Leaving;
        let seq = self.outbox.cut(seq);
        let bye = Slice::own(&Frame::bye(code, seq));
        // It is the last, so it may wait whatever the limit is.
        self.outbox.deliver(&[bye], seq, usize::MAX);
        self.outbox.drain()
    }

    /// Has a task send a signal when the socket has room again.
    pub fn watch(
        &mut self,
        id: MemberId,
        sender: &Sender<Event>,
        executor: &Weak<LocalExecutor<'static>>,
    ) {
        if std::mem::replace(&mut self.watched, true) {
            return;
        }
        let Some(executor) = executor.upgrade() else { return };
        let socket = Arc::clone(self.outbox.socket());
        let sender = sender.clone();
        let watch = async move {
            let mut wait = Wait::default();
            // An error shows itself to the write that follows.
            let _ = poll_fn(|cx| wait.poll(socket.poll_writable(cx))).await;
            drop(socket);
            let _ = sender.send(Event::Writable(id)).await;
        };
        executor.spawn(watch).detach();
    }
}

/// Takes the steps for the seat `id` off the front of `unicasts`, which are sorted. Those for seats
/// that are gone go with them.
pub fn take_unicasts<'a>(id: MemberId, unicasts: &mut &'a [Unicast]) -> &'a [Unicast] {
    let gone = unicasts.iter().take_while(|unicast| unicast.to < id).count();
    let own = unicasts.iter().skip(gone).take_while(|unicast| unicast.to == id).count();
    let (taken, rest) = unicasts.split_at(gone + own);
    *unicasts = rest;
    taken.get(gone..).unwrap_or_default()
}
