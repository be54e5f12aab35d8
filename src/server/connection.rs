//! The connection task: reads one client and sends its lines to the broadcaster.
//!
//! A connection task has its socket, a sender of events, and a few numbers. It shares no state with
//! other tasks. It parses lines; the room applies them, or ignores them if the client is not in the
//! room any more. While no line is incomplete, the task has no buffer: it reads into the stack and
//! splits the lines there.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_channel::{Sender, TrySendError};
use futures_lite::FutureExt;
use futures_lite::future::yield_now;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use smol::Timer;

use super::broadcaster::Event;
use super::socket::{ReadyWait, Socket};
use crate::protocol::{ClientLine, ErrorCode, LineReader, OtherProtocol, RequestError};
use crate::rate_limit::{Rate, RateLimiter};
use crate::room::{ClientId, DisconnectReason, Input};

/// The most bytes in one read. With the line limit it bounds the memory of a connection.
pub const MAX_READ_BYTES: usize = 16 * 1024;
/// The most lines in one input, which bounds the frames that one input causes.
pub const MAX_INPUT_LINES: usize = 64;
/// Bytes that a parsed line takes, beside its text.
pub const LINE_OVERHEAD: usize = size_of::<Result<ClientLine, RequestError>>();

/// The most bytes of a first line that are searched, at each read, for another protocol.
const MAX_DETECTION_BYTES: usize = 1024;
const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();

/// The limits on the input of each client.
#[derive(Debug)]
pub struct ReadLimits {
    /// The longest line, in bytes without its newline.
    pub max_line: u32,
    /// Bytes in one read, from 1 to [`MAX_READ_BYTES`].
    pub read_bytes: usize,
    /// The rate of lines.
    pub rate: Rate,
    /// The start of the rate limiters' time.
    pub started: Instant,
}

/// Reads from a client until the connection ends or the broadcaster has closed it. Then it sends
/// [`Input::Disconnect`], even if reading panics.
pub fn run(
    socket: Arc<Socket>,
    id: ClientId,
    events: Sender<Event>,
    limits: Rc<ReadLimits>,
) -> impl Future<Output = ()> {
    let mut connection = Connection {
        socket,
        events,
        lines: LineReader::new(limits.max_line),
        limits,
        limiter: RateLimiter::new(),
        wait: ReadyWait::default(),
        id,
        has_sent_bom: false,
        has_sent_line: false,
        is_other_protocol: false,
        is_warned: false,
        unreported_bytes: 0,
    };
    async move {
        let reason = AssertUnwindSafe(connection.run()).catch_unwind().await;
        let reason = reason.unwrap_or(DisconnectReason::Panicked);
        if let Some(pending) = connection.send(Input::Disconnect { id, reason }) {
            pending.await;
        }
    }
}

/// A send or a pause that is not finished. It is rare, and larger than everything else in a
/// connection, so it is boxed.
type PendingSend = Pin<Box<dyn Future<Output = ()>>>;

struct Connection {
    socket: Arc<Socket>,
    events: Sender<Event>,
    lines: LineReader,
    /// Shared by all connections.
    limits: Rc<ReadLimits>,
    limiter: RateLimiter,
    wait: ReadyWait,
    id: ClientId,
    /// A byte order mark was read and dropped, which some runtimes write before the first line.
    has_sent_bom: bool,
    /// A complete line was read. Later lines are not searched for another protocol.
    has_sent_line: bool,
    /// The client speaks another protocol; its input is discarded.
    is_other_protocol: bool,
    /// The client was sent the error that it is too fast.
    is_warned: bool,
    /// Bytes read since the last input.
    unreported_bytes: u32,
}

impl Connection {
    async fn run(&mut self) -> DisconnectReason {
        loop {
            let pending = match poll_fn(|cx| self.poll_input(cx)).await {
                Ok(input) => input.and_then(|input| self.send(input)),
                Err(reason) => return reason,
            };
            if let Some(pending) = pending {
                pending.await;
            }
            if self.lines.has_more() {
                self.slow_down().await;
                // Only this task holds the socket: the broadcaster has closed the connection.
                if Arc::strong_count(&self.socket) == 1 {
                    return DisconnectReason::Finished;
                }
            }
        }
    }

    /// Sends an input to the broadcaster. If the channel is full, returns a future that waits, so
    /// that the client is read no faster than the room handles its lines.
    fn send(&mut self, input: Input) -> Option<PendingSend> {
        let bytes = std::mem::take(&mut self.unreported_bytes);
        match self.events.try_send(Event::Input { input, bytes }) {
            Err(TrySendError::Full(event)) => {
                let events = self.events.clone();
                Some(Box::pin(async move { drop(events.send(event).await) }))
            }
            _ => None,
        }
    }

    /// Polls for the next input. Returns `None` as the input if the rate does not allow the next
    /// line yet.
    fn poll_input(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Input>, DisconnectReason>> {
        if self.lines.has_more() {
            return Poll::Ready(Ok(self.parse_lines(&[])));
        }
        loop {
            // Polling readiness before reading saves one system call.
            if let Err(error) = ready!(self.wait.poll(self.socket.poll_readable(cx))) {
                return Poll::Ready(Err(DisconnectReason::Lost(error.kind())));
            }
            let mut buffer = [const { MaybeUninit::uninit() }; MAX_READ_BYTES];
            let (buffer, _) = buffer.split_at_mut(self.limits.read_bytes.min(MAX_READ_BYTES));
            match recv(&self.socket, buffer, RecvFlags::DONTWAIT) {
                Ok((([], _), _)) if self.lines.is_inside_line() => {
                    self.lines.clear();
                    let text = "the last line has no newline and was discarded";
                    return Poll::Ready(Ok(Some(self.error_input(ErrorCode::Unfinished, text))));
                }
                Ok((([], _), _)) => return Poll::Ready(Err(DisconnectReason::Finished)),
                // Discarded. Unread input would cause a reset, which can discard the answer.
                Ok(_) if self.is_other_protocol => {}
                Ok(((bytes, _), _)) => {
                    let input = self.parse_lines(bytes);
                    if input.is_some() || self.lines.has_more() {
                        return Poll::Ready(Ok(input));
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(DisconnectReason::Lost(error.kind()))),
            }
        }
    }

    /// Parses the lines that are complete with `bytes`, as many as the rate allows.
    fn parse_lines(&mut self, bytes: &[u8]) -> Option<Input> {
        // Saturating: counts above 4 GiB are not needed.
        self.unreported_bytes = self.unreported_bytes.saturating_add(bytes.len() as u32);
        if self.has_sent_line || self.lines.buffer().len() >= MAX_DETECTION_BYTES {
            return self.split_lines(bytes);
        }
        // All bytes up to the end of the first line are looked at again with each read.
        let buffered = [self.lines.buffer(), bytes].concat();
        self.lines.clear();
        let mut start = &buffered[..];
        if !self.has_sent_bom
            && let Some(rest) = start.strip_prefix(BYTE_ORDER_MARK)
        {
            self.has_sent_bom = true;
            start = rest;
        }
        if let Some(protocol) = OtherProtocol::detect(start) {
            self.is_other_protocol = true;
            return Some(Input::OtherProtocol { id: self.id, protocol });
        }
        if OtherProtocol::needs_more_bytes(start) {
            self.lines.hold(start);
            return None;
        }
        self.split_lines(start)
    }

    fn split_lines(&mut self, bytes: &[u8]) -> Option<Input> {
        let now = self.now();
        let budget = self.limiter.available(self.limits.rate, now).min(MAX_INPUT_LINES);
        let mut lines = Vec::new();
        self.lines.read(bytes, budget, |line| {
            lines.push(match line {
                Ok(line) => ClientLine::parse(line),
                Err(_) => {
                    let max_line = self.limits.max_line;
                    let text = format!("the line is longer than {max_line} bytes and was skipped");
                    Err(RequestError::new(ErrorCode::TooLong, text))
                }
            });
        });
        if self.limiter.is_idle(now) {
            self.is_warned = false;
        }
        self.limiter.take(self.limits.rate, lines.len(), now);
        self.has_sent_line |= !lines.is_empty();
        (!lines.is_empty()).then_some(Input::Lines { id: self.id, lines })
    }

    /// Returns a future that waits until the rate allows a line. The client is sent an error once.
    fn slow_down(&mut self) -> PendingSend {
        let wait = self.limiter.wait(self.limits.rate, self.now());
        // A timer takes longer than a microsecond, so such a wait is none.
        if wait < Duration::from_micros(1) {
            return Box::pin(yield_now());
        }
        let pending = if std::mem::replace(&mut self.is_warned, true) {
            None
        } else {
            let text = "too many lines per second; the server now reads yours more slowly";
            self.send(self.error_input(ErrorCode::TooFast, text))
        };
        Box::pin(async move {
            if let Some(pending) = pending {
                pending.await;
            }
            Timer::after(wait).await;
        })
    }

    /// Returns an error as an input, so that the room sends it in order with other answers.
    fn error_input(&self, code: ErrorCode, text: &str) -> Input {
        Input::Lines { id: self.id, lines: vec![Err(RequestError::new(code, text))] }
    }

    #[expect(clippy::disallowed_methods, reason = "the rate limiter's clock")]
    fn now(&self) -> Duration {
        self.limits.started.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every connection has one of these futures.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test has no other clock")]
    fn future_of_a_connection_is_small() {
        let channel = async_channel::bounded(1);
        let limits = ReadLimits {
            max_line: 1,
            read_bytes: 1,
            rate: Rate::new(1, 1),
            started: Instant::now(),
        };
        let (one, _two) = smol::Async::<std::os::unix::net::UnixStream>::pair().unwrap();
        let socket = Arc::new(smol::Async::new(one.into_inner().unwrap().into()).unwrap());
        let future = run(socket, ClientId(1), channel.0, Rc::new(limits));
        assert!(size_of_val(&future) <= 160, "{} bytes", size_of_val(&future));
    }
}
