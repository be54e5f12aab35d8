//! One connection in the table of the broadcaster.

use std::future::poll_fn;
use std::rc::Weak;
use std::sync::Arc;

use async_channel::Sender;
use futures_lite::FutureExt;
use smol::LocalExecutor;

use super::broadcaster::Event;
use super::client_state::ClientState;
#[cfg(feature = "irc")]
use super::clients::IrcClient;
#[cfg(feature = "tls")]
use super::edge::tls::{CLOSE_NOTIFY, FIRST_BYTE};
use super::framing::Framing;
use super::outbox::{Delivery, Outbox};
use super::socket::{ReadyWait, Socket, peek};
use crate::protocol::ByeCode;
use crate::room::{ClientId, Slice};

/// The outbox and the state of one connection.
#[derive(Debug)]
pub struct ClientHandle {
    pub outbox: Outbox,
    pub state: ClientState,
    pub framing: Framing,
    #[cfg(feature = "irc")]
    pub irc: Option<Box<IrcClient>>,
    /// A task waits until the socket is writable.
    has_waiting_task: bool,
}

impl ClientHandle {
    /// Creates the handle of a new connection, which is open and not live.
    pub fn new(socket: Arc<Socket>) -> Self {
        ClientHandle {
            outbox: Outbox::new(socket),
            state: ClientState::NEW,
            framing: Framing::Lines,
            #[cfg(feature = "irc")]
            irc: None,
            has_waiting_task: false,
        }
    }

    /// Sends frames, now or when the socket is writable, see [`Outbox::send`].
    pub fn send(&mut self, slices: &[Slice], seq: u64, limit: usize) -> Delivery {
        match self.framing.has_frames() {
            true => self.outbox.send(slices, seq, limit, self.framing),
            false => Delivery::Sent,
        }
    }

    /// Sends the shared frames of a batch as a message, see [`Outbox::send_message`].
    #[cfg(feature = "web")]
    pub fn send_message(&mut self, message: &[u8], shared: &Slice, limit: usize) -> Delivery {
        self.outbox.send_message(message, shared, limit, self.framing)
    }

    /// Discards all frames that wait and sends a bye. `seq` is the last sequence number that the
    /// client was sent if nothing waits.
    pub fn evict(&mut self, code: ByeCode, seq: u64) -> Delivery {
        let seq = self.outbox.clear(seq);
        #[cfg(feature = "tls")]
        self.outbox.end_with(CLOSE_NOTIFY);
        let mut last = vec![self.framing.bye(code, seq)];
        last.extend(self.framing.end(false));
        // The last frame may wait without a limit.
        let _ = self.send(&last, seq, usize::MAX);
        self.outbox.flush(self.framing)
    }

    /// Writes queued frames, because the socket is writable.
    pub fn on_writable(&mut self) -> Delivery {
        self.has_waiting_task = false;
        self.outbox.flush(self.framing)
    }

    /// Returns whether the client has input that the room has not got yet and that is not in the
    /// channel of events.
    pub fn has_unread_input(&self) -> bool {
        let socket = self.outbox.socket();
        // The connection task has a second reference while its lines wait for the channel.
        let has_pending_send = Arc::strong_count(socket) > 2;
        has_pending_send || peek(socket).is_some()
    }

    /// Changes the framing to that of a handshake, if the first unread byte of a client that is not live
    /// is that of one. The last frame is then an alert and not plain text.
    #[cfg(feature = "tls")]
    pub fn find_unread_handshake(&mut self) {
        if !self.state.is_live()
            && !self.outbox.is_sealed()
            && self.framing.has_frames()
            && peek(self.outbox.socket()) == Some(FIRST_BYTE)
        {
            self.framing = Framing::Handshake { is_answered: false };
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
        executor.spawn(wait_and_notify.boxed_local()).detach();
    }
}
