//! One connection as the broadcaster sees it: what it is to get of a batch.

use std::future::poll_fn;
use std::rc::Weak;
use std::sync::Arc;

use async_channel::Sender;
use smol::LocalExecutor;

use super::broadcaster::Signal;
use crate::protocol::{ByeCode, Frame, Stats};
use crate::room::{MemberId, Slice, Step, What};
use crate::server::outbox::{Delivery, Outbox, Socket, Wait};

/// A connection as the broadcaster sees it.
#[derive(Debug)]
pub struct Seat {
    pub outbox: Outbox,
    pub standing: Standing,
    /// The task that reads from it has come to its end.
    pub is_heard_out: bool,
    /// A task watches for room in the socket.
    watched: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Connected, and shown nothing yet of what the room says.
    Visitor,
    /// Gets everything.
    Member,
    /// Gets what is on its way, and nothing more.
    Leaving,
    /// Nothing reaches it any more.
    Broken,
}

impl Seat {
    /// A place for one who is not shown anything yet.
    pub fn new(socket: Arc<Socket>) -> Self {
        Seat {
            outbox: Outbox::new(socket),
            standing: Standing::Visitor,
            is_heard_out: false,
            watched: false,
        }
    }

    /// Delivers what everybody gets, to those who do.
    pub fn deliver(&mut self, slices: &[Slice], seq: u64, limit: usize) -> Delivery {
        match self.standing {
            Standing::Member => self.outbox.deliver(slices, seq, limit),
            Standing::Visitor | Standing::Leaving | Standing::Broken => Delivery::Sent,
        }
    }

    /// Delivers `all` with the steps of this seat at their places, and counts that. Also tells
    /// whether the seat was closed by one of them.
    pub fn deliver_in_steps(
        &mut self,
        steps: &[Step],
        all: &Slice,
        seq: u64,
        limit: usize,
        seen: &mut Stats,
    ) -> (Delivery, bool) {
        if self.standing == Standing::Leaving {
            return (Delivery::Sent, false);
        }
        if self.standing == Standing::Broken {
            let closes =
                |step: &Step| matches!(step.what, What::Close | What::Drop | What::Evict(_));
            if !steps.iter().any(closes) {
                return (Delivery::Sent, false);
            }
            self.standing = Standing::Leaving;
            return (Delivery::Lost, true);
        }
        let mut slices = Vec::new();
        // What of `all` this member is to get from, if it gets any yet.
        let mut open = (self.standing == Standing::Member).then_some((0, seq));
        let mut closed = false;
        for step in steps {
            if let Some((from, before)) = open {
                let part = all.part(from, step.at, before);
                open = Some((step.at.max(from), before + part.frames()));
                slices.push(part);
            }
            match &step.what {
                What::Send(slice) => slices.push(slice.clone()),
                What::Again(from, to) => slices.push(all.part_again(*from, *to)),
                What::Open { from, before } => {
                    self.standing = Standing::Member;
                    open = Some((*from, *before));
                }
                What::Close => {
                    self.standing = Standing::Leaving;
                    open = None;
                    closed = true;
                    break;
                }
                What::Evict(code) => return (self.evict(*code, seq), true),
                What::Drop => {
                    self.standing = Standing::Leaving;
                    return (Delivery::Lost, true);
                }
            }
        }
        if let Some((from, before)) = open {
            slices.push(all.part(from, u32::MAX, before));
        }
        slices.retain(|slice| !slice.bytes().is_empty());
        seen.lines_out += slices.iter().map(Slice::frames).sum::<u64>();
        seen.bytes_out += slices.iter().map(|slice| slice.bytes().len() as u64).sum::<u64>();
        (self.outbox.deliver(&slices, seq, limit), closed)
    }

    /// Sends what waits: the watched socket has room again.
    pub fn drain(&mut self) -> Delivery {
        self.watched = false;
        self.outbox.drain()
    }

    /// Whether it is closed, and nothing is on its way to it any more.
    pub fn is_done(&self) -> bool {
        self.standing == Standing::Leaving && self.outbox.is_clear()
    }

    /// Gives up all that waits, and says bye. `seq` is the number of the sequence that it has if
    /// nothing waits.
    pub fn evict(&mut self, code: ByeCode, seq: u64) -> Delivery {
        self.standing = Standing::Leaving;
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
        sender: &Sender<Signal>,
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
            let _ = sender.send(Signal::Writable(id)).await;
        };
        executor.spawn(watch).detach();
    }
}

/// Takes the steps for the seat `id` off the front of `steps`, which are sorted. Those for seats
/// that are gone go with them.
pub fn steps_for<'a>(id: MemberId, steps: &mut &'a [Step]) -> &'a [Step] {
    let gone = steps.iter().take_while(|step| step.to < id).count();
    let own = steps.iter().skip(gone).take_while(|step| step.to == id).count();
    let (taken, rest) = steps.split_at(gone + own);
    *steps = rest;
    taken.get(gone..).unwrap_or_default()
}
