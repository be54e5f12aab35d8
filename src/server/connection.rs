//! One client's way in: bytes to lines to events.
//!
//! A connection task has its socket, a sender of signals, and a few numbers of its own; nothing
//! else is shared with anybody. What the lines mean, and whether their sender is still in the
//! room, is for the room to say. While nothing is half-read it holds no buffer: bytes are read
//! into the stack, and cut into lines there.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_channel::{Sender, TrySendError};
use futures_lite::FutureExt;
use futures_lite::future::yield_now;
use rustix::io::Errno;
use smol::Timer;

use crate::protocol::{ClientLine, ErrorCode, LineReader, OtherProtocol, RequestError};
use crate::room::{DisconnectReason, Input, MemberId};
use crate::server::broadcaster::Event;
use crate::server::socket::{Socket, Wait, read};

/// The most bytes that are read at once. With the line limit it bounds what a connection holds.
pub const READ_BYTES: usize = 16 * 1024;
/// Lines in one event. It bounds what one event can become.
pub const LINES_AN_EVENT: usize = 64;
/// What one of them takes, in bytes, beside its text.
pub const LINE: usize = size_of::<Result<ClientLine, RequestError>>();

/// Bytes of a first line that are looked at, again with each piece of it, for another protocol.
const REQUEST_BYTES: usize = 4096;

/// What a client may send.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// The longest line, in bytes without its newline.
    pub max_line: u32,
    /// Bytes read at once, up to [`READ_BYTES`].
    pub read_bytes: usize,
    /// Lines a second; 0 is no limit.
    pub rate: u32,
    /// Lines at once, before the rate counts.
    pub burst: u32,
}

/// Reads from a client until it ends, or the room has let it go. A leave always comes, even if
/// reading panics.
pub fn run(
    socket: Arc<Socket>,
    id: MemberId,
    events: Sender<Event>,
    limits: ReadLimits,
) -> impl Future<Output = ()> {
    let mut connection = Connection {
        socket,
        events,
        lines: LineReader::new(limits.max_line),
        read_bytes: limits.read_bytes.clamp(1, READ_BYTES) as u32,
        rate_limiter: RateLimiter::new(limits.rate, limits.burst),
        wait: Wait::default(),
        id,
        is_new: true,
        is_other_protocol: false,
        told_too_fast: false,
        unreported: 0,
    };
    async move {
        let reason = AssertUnwindSafe(connection.run()).catch_unwind().await;
        let reason = reason.unwrap_or(DisconnectReason::Panicked);
        if let Some(pending) = connection.send(Input::Leave { id, reason }) {
            pending.await;
        }
    }
}

/// Something that has to be waited for, which is rare. It takes more room than all else that a
/// connection holds, so it has a box when it is needed.
type PendingSend = Pin<Box<dyn Future<Output = ()>>>;

struct Connection {
    socket: Arc<Socket>,
    events: Sender<Event>,
    lines: LineReader,
    read_bytes: u32,
    rate_limiter: RateLimiter,
    wait: Wait,
    id: MemberId,
    /// No line has come yet, so it may be something else that knocks.
    is_new: bool,
    /// It was, and nothing that it says is for us.
    is_other_protocol: bool,
    told_too_fast: bool,
    /// Bytes that no event has told of yet.
    unreported: u32,
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
                // Nobody but this task and those who write to the member hold its socket. When
                // they have let go of it, the rest of what it said is of no interest.
                if Arc::strong_count(&self.socket) == 1 {
                    return DisconnectReason::Finished;
                }
            }
        }
    }

    /// Hands an event to the broadcaster. If that is busy, it has to be waited for: a flood ends
    /// here, as back-pressure on the one who floods.
    fn send(&mut self, input: Input) -> Option<PendingSend> {
        let bytes = std::mem::take(&mut self.unreported);
        match self.events.try_send(Event::Input { input, bytes }) {
            Err(TrySendError::Full(event)) => {
                let events = self.events.clone();
                Some(Box::pin(async move { drop(events.send(event).await) }))
            }
            _ => None,
        }
    }

    /// The next event, or nothing when there is one that the pace does not allow yet.
    fn poll_input(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Input>, DisconnectReason>> {
        if self.lines.has_more() {
            return Poll::Ready(Ok(self.parse_lines(&[])));
        }
        loop {
            // Ask first and read then: one call to the kernel less than the other way round.
            if let Err(error) = ready!(self.wait.poll(self.socket.poll_readable(cx))) {
                return Poll::Ready(Err(DisconnectReason::Lost(error.kind())));
            }
            let mut buffer = [const { MaybeUninit::uninit() }; READ_BYTES];
            let buffer = buffer.get_mut(..self.read_bytes as usize).unwrap_or_default();
            match read(&self.socket, buffer) {
                Ok([]) if self.lines.is_inside_line() => {
                    self.lines.clear();
                    let text = "the last line has no end, and was not said";
                    return Poll::Ready(Ok(Some(self.rejected(ErrorCode::Unfinished, text))));
                }
                Ok([]) => return Poll::Ready(Err(DisconnectReason::Finished)),
                // What else it says is read, so that our answer is not lost to a reset.
                Ok(_) if self.is_other_protocol => {}
                Ok(bytes) => {
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

    #[expect(clippy::disallowed_methods, reason = "the clock of the rate limiter")]
    /// The lines that are whole with `bytes`, as far as the pace allows; nothing if none is.
    fn parse_lines(&mut self, bytes: &[u8]) -> Option<Input> {
        // It is of interest to nobody how many thousands of millions one line had.
        self.unreported = self.unreported.saturating_add(bytes.len() as u32);
        if self.is_new && self.lines.buffer().len() < REQUEST_BYTES {
            let first = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
            if let Some(protocol) = OtherProtocol::detect(&[self.lines.buffer(), first].concat()) {
                self.lines.clear();
                self.is_other_protocol = true;
                return Some(Input::OtherProtocol { id: self.id, protocol });
            }
        }
        let now = Instant::now();
        let budget = self.rate_limiter.lines_free(now).min(LINES_AN_EVENT);
        let mut lines = Vec::new();
        self.lines.read(bytes, budget, |line| {
            lines.push(line.map_or_else(
                |_| {
                    Err(RequestError::new(
                        ErrorCode::TooLong,
                        "the line is too long; it was skipped",
                    ))
                },
                ClientLine::parse,
            ));
        });
        // Who was silent for long enough to have the whole burst again is told anew.
        self.told_too_fast &= !self.rate_limiter.is_full(now);
        self.rate_limiter.take(lines.len(), now);
        self.is_new &= lines.is_empty();
        (!lines.is_empty()).then_some(Input::Lines { id: self.id, lines })
    }

    #[expect(clippy::disallowed_methods, reason = "the clock of the rate limiter")]
    /// Waits until the pace allows another line, and says so, once, if that takes time.
    fn slow_down(&mut self) -> PendingSend {
        let now = Instant::now();
        let wait = self.rate_limiter.wait(now);
        if wait.is_zero() {
            return Box::pin(yield_now());
        }
        let pending = if std::mem::replace(&mut self.told_too_fast, true) {
            None
        } else {
            let text = "you are too fast; what you say is taken more slowly now";
            self.send(self.rejected(ErrorCode::TooFast, text))
        };
        Box::pin(async move {
            if let Some(pending) = pending {
                pending.await;
            }
            Timer::after(wait).await;
        })
    }

    /// An error as the event that makes the room tell it, in its place among the lines.
    fn rejected(&self, code: ErrorCode, text: &str) -> Input {
        Input::Lines { id: self.id, lines: vec![Err(RequestError::new(code, text))] }
    }
}

/// How many lines a client may send and when: the generic cell rate algorithm, which needs no
/// more than one moment of memory (<https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>).
#[derive(Debug)]
struct RateLimiter {
    /// When all that was taken so far is paid for, at one line an `interval`.
    paid: Option<Instant>,
    /// Microseconds a line; 0 is no limit.
    interval: u32,
    burst: u32,
}

impl RateLimiter {
    fn new(rate: u32, burst: u32) -> Self {
        RateLimiter {
            paid: None,
            interval: 1_000_000u32.checked_div(rate).map_or(0, |interval| interval.max(1)),
            burst: burst.max(1),
        }
    }

    /// Time that is owed for lines already taken.
    fn debt(&self, now: Instant) -> Duration {
        self.paid.map_or(Duration::ZERO, |paid| paid.saturating_duration_since(now))
    }

    fn interval(&self) -> Duration {
        Duration::from_micros(self.interval.into())
    }

    fn is_full(&self, now: Instant) -> bool {
        self.debt(now).is_zero()
    }

    /// How many lines may be taken now.
    fn lines_free(&self, now: Instant) -> usize {
        if self.interval == 0 {
            return usize::MAX;
        }
        let debt = u64::try_from(self.debt(now).as_micros()).unwrap_or(u64::MAX);
        let owed = debt.div_ceil(u64::from(self.interval));
        (self.burst as usize).saturating_sub(usize::try_from(owed).unwrap_or(usize::MAX))
    }

    fn take(&mut self, lines: usize, now: Instant) {
        if self.interval > 0 && lines > 0 {
            let price = self.interval() * u32::try_from(lines).unwrap_or(u32::MAX);
            self.paid = Some(now + self.debt(now) + price);
        }
    }

    /// How long it is until one more line may be taken.
    fn wait(&self, now: Instant) -> Duration {
        if self.lines_free(now) > 0 {
            return Duration::ZERO;
        }
        self.debt(now).saturating_sub(self.interval() * (self.burst - 1))
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests read the clock")]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_then_the_rate_holds() {
        let mut rate_limiter = RateLimiter::new(10, 40);
        let start = Instant::now();
        assert_eq!(rate_limiter.lines_free(start), 40);
        rate_limiter.take(40, start);
        assert_eq!(rate_limiter.lines_free(start), 0);
        assert_eq!(rate_limiter.wait(start), Duration::from_millis(100));
        let later = start + Duration::from_millis(250);
        assert_eq!(rate_limiter.lines_free(later), 2);
        assert_eq!(rate_limiter.lines_free(start + Duration::from_secs(4)), 40);
        assert!(rate_limiter.is_full(start + Duration::from_secs(4)));
        assert_eq!(rate_limiter.lines_free(start + Duration::from_secs(400)), 40);
    }

    #[test]
    fn a_wait_is_long_enough_for_exactly_one_line() {
        let mut rate_limiter = RateLimiter::new(3, 2);
        let mut now = Instant::now();
        for _ in 0..100 {
            now += rate_limiter.wait(now);
            assert_eq!(rate_limiter.lines_free(now).min(1), 1);
            rate_limiter.take(1, now);
        }
        assert!(rate_limiter.wait(now) > Duration::ZERO);
    }

    #[test]
    fn rate_zero_is_no_limit() {
        let mut rate_limiter = RateLimiter::new(0, 0);
        let now = Instant::now();
        rate_limiter.take(1_000_000, now);
        assert_eq!(
            (rate_limiter.lines_free(now), rate_limiter.wait(now)),
            (usize::MAX, Duration::ZERO)
        );
    }

    /// What 10,000 members cost is this, ten thousand times.
    #[test]
    fn the_future_of_a_connection_is_small() {
        let channel = async_channel::bounded(1);
        let limits = ReadLimits { max_line: 1, read_bytes: 1, rate: 1, burst: 1 };
        let (one, _two) = smol::Async::<std::os::unix::net::UnixStream>::pair().unwrap();
        let socket = Arc::new(smol::Async::new(one.into_inner().unwrap().into()).unwrap());
        let future = run(socket, MemberId(1), channel.0, limits);
        assert!(size_of_val(&future) <= 176, "{} bytes", size_of_val(&future));
    }
}
