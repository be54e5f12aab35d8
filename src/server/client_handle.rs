//! The broadcaster's handle of one connection.

use std::future::poll_fn;
use std::rc::Weak;
use std::sync::Arc;

use async_channel::Sender;
use smol::LocalExecutor;

use super::broadcaster::Event;
use super::client_state::ClientState;
use super::outbox::{Delivery, Outbox};
use super::socket::{ReadyWait, Socket};
use crate::protocol::{ByeCode, Frame};
use crate::room::{ClientId, Slice};

/// The outbox and the state of one connection.
#[derive(Debug)]
pub struct ClientHandle {
    pub outbox: Outbox,
    pub state: ClientState,
    /// A task waits until the socket is writable.
    pub has_waiting_task: bool,
}

impl ClientHandle {
    /// Creates the handle of a new connection.
    pub fn new(socket: Arc<Socket>) -> Self {
        ClientHandle {
            outbox: Outbox::new(socket),
            state: ClientState::NEW,
            has_waiting_task: false,
        }
    }

    /// Discards all frames that wait and sends a bye. `seq` is the last sequence number that the
    /// client was sent if nothing waits.
    pub fn evict(&mut self, code: ByeCode, seq: u64) -> Delivery {
        let seq = self.outbox.clear(seq);
        let bye = Slice::own(&Frame::bye(code, seq));
        // The last frame may wait without a limit.
        match self.outbox.send(&[bye], seq, usize::MAX) {
            Delivery::Sent => Delivery::Sent,
            _ => self.outbox.flush(),
        }
    }

    /// Spawns a task that sends [`Event::Writable`] when the socket is writable, unless there is
    /// one.
    pub fn notify_when_writable(
        &mut self,
        id: ClientId,
        events: &Sender<Event>,
        executor: &Weak<LocalExecutor<'static>>,
    ) {
        if std::mem::replace(&mut self.has_waiting_task, true) {
            return;
        }
        let Some(executor) = executor.upgrade() else { return };
        let socket = Arc::clone(self.outbox.socket());
        let events = events.clone();
        let wait_and_notify = async move {
            let mut wait = ReadyWait::default();
            // Ignored: the next write returns the error.
            let _ = poll_fn(|cx| wait.poll(socket.poll_writable(cx))).await;
            drop(socket);
            let _ = events.send(Event::Writable(id)).await;
        };
        executor.spawn(wait_and_notify).detach();
    }
}
