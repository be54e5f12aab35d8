//! The connection task: reads one client and sends its lines to the broadcaster.
//!
//! A connection task has its socket, a sender of events, and a few numbers. With other tasks it shares
//! the rate limiters of its address, the secrets, and the permits for handshakes of TLS. It parses
//! lines; the room applies them, or ignores them if the client is not in the room any more. While no
//! line is incomplete, the task has no buffer: it reads into the stack and splits the lines there.

#[cfg(feature = "irc")]
mod irc;
mod lines;
mod pauses;
mod secrets;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "web")]
mod web;

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_channel::{Sender, TrySendError};
use futures_lite::FutureExt;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use pauses::Delay;
pub use secrets::find_refusal;

use super::address_limits::{AddressBudget, AnswerCharge};
use super::broadcaster::Event;
#[cfg(feature = "web")]
use super::edge::web::WebReader;
use super::listener::ListenerProtocol;
use super::secrets::may_send_secret;
use super::socket::{ReadyWait, Socket};
use crate::protocol::{ErrorCode, LineReader, ParsedLine, RequestError};
use crate::rate_limit::RateLimiter;
use crate::room::{ClientId, DisconnectReason, Input, Peer};

/// The most bytes in one read. With the line limit it bounds the memory of a connection.
pub const MAX_READ_BYTES: usize = 16 * 1024;
/// The most lines in one input, which bounds the frames that one input causes.
pub const MAX_INPUT_LINES: usize = 64;
/// Bytes that a parsed line takes, beside its text.
pub const LINE_OVERHEAD: usize = size_of::<ParsedLine>();

/// The most bytes of a first line that are searched, at each read, for another protocol.
const MAX_DETECTION_BYTES: usize = 1024;

/// Reads from a client until the connection ends or the broadcaster has closed it. Then it sends
/// [`Input::Disconnect`], even if reading panics.
pub fn run(
    socket: Arc<Socket>,
    (id, peer): (ClientId, Peer),
    events: Sender<Event>,
    budget: Rc<AddressBudget>,
    protocol: ListenerProtocol,
    is_refused: bool,
) -> impl Future<Output = ()> {
    let mut connection = Connection {
        socket,
        events,
        lines: LineReader::new(0),
        is_authenticated: !budget.limits.secrets.has_password(),
        may_send_secret: may_send_secret(budget.limits.plain, peer, false),
        #[cfg(feature = "tls")]
        has_begun_tls: false,
        budget,
        limiter: RateLimiter::new(),
        answer: None,
        wait: ReadyWait::default(),
        id,
        sent: Sent::Nothing,
        is_other_protocol: is_refused,
        is_warned: false,
        is_address_warned: false,
        is_next_line_paid: false,
        protocol,
        #[cfg(feature = "irc")]
        registration_lines: 0,
        unreported_bytes: 0,
        #[cfg(feature = "web")]
        web: None,
        #[cfg(feature = "web")]
        has_begun_request: false,
    };
    connection.lines.set_max_line(connection.max_line());
    async move {
        let reason = AssertUnwindSafe(connection.run()).catch_unwind().await;
        let reason = reason.unwrap_or(DisconnectReason::Panicked);
        if let Some(pending) = connection.disconnect(reason) {
            pending.await;
        }
    }
}

/// A send or a pause that is not finished. It is rare, and larger than everything else in a
/// connection, so it is boxed.
type PendingSend<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// The result of one read.
#[derive(Default)]
struct ReadResult {
    /// The lines that may be sent now, or another event.
    event: Option<Event>,
    /// The reason for which the client is not read for a time.
    delay: Option<Delay>,
}

impl ReadResult {
    /// Returns whether there is nothing to send to the broadcaster, and nothing to wait for.
    fn is_empty(&self) -> bool {
        self.event.is_none() && self.delay.is_none()
    }
}

/// The kind of input at the start of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Nothing,
    /// A byte order mark, which was dropped.
    Mark,
    /// A complete line. Later lines are not searched for another protocol.
    Line,
}

struct Connection {
    socket: Arc<Socket>,
    events: Sender<Event>,
    lines: LineReader,
    /// Shared by all connections of the address.
    budget: Rc<AddressBudget>,
    limiter: RateLimiter,
    /// The charge for the next line, which has waited for it.
    answer: Option<AnswerCharge>,
    wait: ReadyWait,
    id: ClientId,
    /// The start of the input.
    sent: Sent,
    /// The server has no password, or the client has sent it.
    is_authenticated: bool,
    /// A secret of the client is accepted: it is local, or speaks TLS.
    may_send_secret: bool,
    /// The client speaks another protocol or is refused; its input is discarded.
    is_other_protocol: bool,
    /// The client was sent the error that it is too fast.
    is_warned: bool,
    /// The client was sent the error that its address is too fast.
    is_address_warned: bool,
    /// The next line was charged to the address.
    is_next_line_paid: bool,
    /// The protocol of the listener.
    protocol: ListenerProtocol,
    /// Lines that were read at the start and not charged to the address.
    #[cfg(feature = "irc")]
    registration_lines: u8,
    /// The client has begun a handshake of TLS, and the broadcaster was told.
    #[cfg(feature = "tls")]
    has_begun_tls: bool,
    /// Bytes read since the last input.
    unreported_bytes: u32,
    /// Reads HTTP and WebSocket in place of lines.
    #[cfg(feature = "web")]
    web: Option<Box<WebReader>>,
    /// The first bytes look like an HTTP request, and the broadcaster was told.
    #[cfg(feature = "web")]
    has_begun_request: bool,
}

impl Connection {
    async fn run(&mut self) -> DisconnectReason {
        loop {
            let parsed = match poll_fn(|cx| self.poll_input(cx)).await {
                Ok(parsed) => parsed,
                Err(reason) => return reason,
            };
            if let Some(pending) = self.forward(parsed) {
                pending.await;
            }
            #[cfg(feature = "tls")]
            if self.has_begun_tls {
                return Box::pin(self.run_tls()).await;
            }
            if self.lines.has_more() && self.is_closed() {
                return DisconnectReason::Finished;
            }
        }
    }

    /// Returns whether the broadcaster has closed the connection: only this task holds the socket.
    fn is_closed(&self) -> bool {
        Arc::strong_count(&self.socket) == 1
    }

    /// Sends an event to the broadcaster. If the channel is full, or if there are lines that the
    /// rates do not allow yet, returns a future that waits. So the client is read no faster than
    /// that.
    fn forward(&mut self, parsed: ReadResult) -> Option<PendingSend<'_>> {
        let ReadResult { event, delay } = parsed;
        let event = event.and_then(|event| self.try_send(event));
        let delay = delay.or(self.lines.has_more().then_some(Delay::Rate));
        if event.is_none() && delay.is_none() {
            return None;
        }
        Some(Box::pin(async move {
            if let Some(event) = event {
                self.send(event).await;
            }
            if let Some(delay) = delay {
                self.pause(delay).await;
            }
        }))
    }

    /// Reports the end of the connection, and charges the address for the leave notice. If the
    /// channel is full, returns a future that waits, without the socket: a connection that the
    /// broadcaster has closed must not keep its descriptor meanwhile.
    fn disconnect(mut self, reason: DisconnectReason) -> Option<PendingSend<'static>> {
        self.budget.charge_notice(self.budget.limits.now());
        #[cfg(feature = "web")]
        let reason = self.web_disconnect_reason(reason);
        let event = self.input_event(Input::Disconnect { id: self.id, reason }, None);
        let event = self.try_send(event)?;
        let events = self.events;
        Some(Box::pin(async move { drop(events.send(event).await) }))
    }

    /// Returns the event for an input.
    fn input_event(&mut self, input: Input, answer: Option<AnswerCharge>) -> Event {
        Event::Input { input, bytes: std::mem::take(&mut self.unreported_bytes), answer }
    }

    /// Sends an event to the broadcaster, or returns it if the channel is full.
    fn try_send(&self, event: Event) -> Option<Event> {
        match self.events.try_send(event) {
            Err(TrySendError::Full(event)) => Some(event),
            _ => None,
        }
    }

    async fn send(&self, event: Event) {
        // The broadcaster finds a client whose lines wait by this second reference.
        let _socket = Arc::clone(&self.socket);
        let _ = self.events.send(event).await;
    }

    /// Polls for the next input. Its event is `None` if the rates do not allow the next line yet.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Result<ReadResult, DisconnectReason>> {
        if self.lines.has_more() {
            return Poll::Ready(Ok(self.split_lines(&[])));
        }
        #[cfg(feature = "web")]
        if let Some(parsed) = self.next_web_input() {
            return Poll::Ready(Ok(parsed));
        }
        let read_bytes = self.budget.limits.read_bytes;
        self.poll_read(cx, read_bytes, |connection, bytes| {
            if bytes.is_empty() {
                return Some(connection.on_end());
            }
            if connection.is_other_protocol {
                // Discarded. Unread input would cause a reset, which can discard the answer.
                return None;
            }
            let parsed = connection.parse(bytes);
            if !parsed.is_empty() || connection.lines.has_more() {
                return Some(Ok(parsed));
            }
            #[cfg(feature = "web")]
            if let Some(parsed) = connection.next_web_input() {
                return Some(Ok(parsed));
            }
            None
        })
    }

    /// Polls for bytes of the client, at most `max` in one read, until `parse` returns a result for
    /// them. At the end of the stream, `parse` gets no bytes.
    fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        max: usize,
        mut parse: impl FnMut(&mut Self, &mut [u8]) -> Option<Result<T, DisconnectReason>>,
    ) -> Poll<Result<T, DisconnectReason>> {
        loop {
            // Polling readiness before reading saves one system call.
            if let Err(error) = ready!(self.wait.poll(self.socket.poll_readable(cx))) {
                return Poll::Ready(Err(DisconnectReason::Lost(error.kind())));
            }
            let mut buffer = [const { MaybeUninit::uninit() }; MAX_READ_BYTES];
            let (buffer, _) = buffer.split_at_mut(max.min(MAX_READ_BYTES));
            match recv(&self.socket, buffer, RecvFlags::DONTWAIT) {
                Ok(((bytes, _), _)) => {
                    if let Some(result) = parse(self, bytes) {
                        return Poll::Ready(result);
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(DisconnectReason::Lost(error.kind()))),
            }
        }
    }

    /// Returns the next input after the end of the stream.
    fn on_end(&mut self) -> Result<ReadResult, DisconnectReason> {
        #[cfg(feature = "web")]
        if let Some(parsed) = self.end_request() {
            return Ok(parsed);
        }
        if !self.lines.is_inside_line() || self.protocol.is_irc() {
            return Err(DisconnectReason::Finished);
        }
        self.lines.clear();
        let text = "the last line has no newline and was discarded";
        let input = self.error_input(ErrorCode::Unfinished, text);
        Ok(self.parsed_input(input))
    }

    /// Parses bytes: lines, or HTTP and WebSocket.
    fn parse(&mut self, bytes: &mut [u8]) -> ReadResult {
        // Saturating: counts above 4 GiB are not needed.
        self.unreported_bytes = self.unreported_bytes.saturating_add(bytes.len() as u32);
        #[cfg(feature = "web")]
        if self.web.is_some() {
            return self.parse_web(bytes);
        }
        self.parse_lines(bytes)
    }

    /// Returns an input as the result of a read.
    fn parsed_input(&mut self, input: Input) -> ReadResult {
        ReadResult { event: Some(self.input_event(input, None)), delay: None }
    }

    /// Returns an error as an input, so that the room sends it in order with other answers.
    fn error_input(&self, code: ErrorCode, text: &str) -> Input {
        Input::Lines { id: self.id, lines: vec![Err(RequestError::new(code, text))] }
    }
}

/// Returns the longest line of a client.
#[cfg_attr(not(feature = "irc"), expect(unused_variables))]
fn max_line(budget: &AddressBudget, protocol: ListenerProtocol) -> u32 {
    #[cfg(feature = "irc")]
    if protocol.is_irc() {
        return super::edge::irc::MAX_LINE as u32;
    }
    budget.limits.max_line
}

#[cfg(test)]
mod tests;
