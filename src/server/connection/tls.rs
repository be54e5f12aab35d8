//! Connections whose clients speak TLS.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_lite::FutureExt;
use futures_lite::future::yield_now;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use smol::Timer;

use super::pauses::{CLOSED_CHECK_INTERVAL, Delay};
use super::{Connection, MAX_INPUT_LINES, ReadResult};
use crate::room::DisconnectReason;
use crate::server::broadcaster::Event;
use crate::server::edge::tls::{
    Acceptor, Established, FIRST_BYTE, HandshakePermit, InputEnd, Opener, TlsEvent,
};

/// The time for which a handshake keeps its permit if others wait for one.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(3);
/// The most bytes in one read during the handshake.
const HANDSHAKE_READ_BYTES: usize = 4 * 1024;

/// The records of a client.
struct RecordReader {
    opener: Box<Opener>,
    /// A part of a record.
    rest: Vec<u8>,
    /// `rest` may contain whole records.
    has_whole_records: bool,
    /// The broadcaster was told that a record is invalid.
    has_reported: bool,
}

impl Connection {
    /// Parses the first bytes of a client. Returns `None` if they cannot become a handshake.
    pub(super) fn parse_handshake(&mut self, start: &[u8]) -> Option<ReadResult> {
        // The second byte is the major version.
        let is_handshake = matches!(start, [FIRST_BYTE] | [FIRST_BYTE, 3, ..]);
        if !is_handshake || self.has_begun_tls || self.budget.limits.tls.is_none() {
            return None;
        }
        self.has_begun_tls = true;
        self.lines.hold(start);
        Some(ReadResult { event: Some(self.tls_event(TlsEvent::Begun)), delay: None })
    }

    /// Returns whether plain text of the client is refused, as a secret in plain text is.
    pub(super) fn refuses_plain_text(&self) -> bool {
        !self.may_send_secret && !self.has_begun_tls && self.budget.limits.has_tls()
    }

    /// Reads a client that has begun a handshake, until the connection ends.
    pub(super) async fn run_tls(&mut self) -> DisconnectReason {
        // Boxed, so that its memory is returned.
        let established = match Box::pin(self.handshake()).await {
            Ok(established) => established,
            Err(reason) => return reason,
        };
        let Some(Established { opener, rest, .. }) = established else {
            return self.discard_input().await;
        };
        let has_whole_records = !rest.is_empty();
        let mut reader = RecordReader { opener, rest, has_whole_records, has_reported: false };
        loop {
            let parsed = match poll_fn(|cx| self.poll_records(cx, &mut reader)).await {
                Ok(parsed) => parsed,
                Err(reason) => return reason,
            };
            if let Some(pending) = self.forward(parsed) {
                pending.await;
            }
            if self.lines.has_more() && self.is_closed() {
                return DisconnectReason::Finished;
            }
        }
    }

    /// Performs the handshake. Returns `None` if the client was sent an alert, or a bye in plain text.
    async fn handshake(&mut self) -> Result<Option<Established>, DisconnectReason> {
        let limits = Rc::clone(&self.budget.limits);
        let failed = DisconnectReason::Lost(io::ErrorKind::Other);
        let acceptor = limits.tls.as_ref().ok_or(failed)?;
        // The broadcaster may refuse the client at its first byte.
        yield_now().await;
        if self.is_ended() {
            return Ok(None);
        }
        let _permit = self.acquire_permit(acceptor).await.ok_or(DisconnectReason::Finished)?;
        if self.is_ended() {
            return Ok(None);
        }
        let entered = limits.now();
        let mut handshake = acceptor.start(limits.now()).ok_or(failed)?;
        let mut bytes = self.lines.buffer().to_vec();
        self.lines.clear();
        loop {
            let started = limits.now();
            let step = handshake.read(&bytes);
            let now = limits.now();
            acceptor.charge(now.saturating_sub(started), now);
            match step {
                Ok(step) => {
                    if !step.output.is_empty() {
                        self.send_tls(TlsEvent::Flight(step.output)).await;
                    }
                    if step.is_done {
                        break;
                    }
                }
                Err(failure) => {
                    let (cause, flight) = (failure.cause, failure.output);
                    self.send_tls(TlsEvent::Failed { cause, flight, alert: 0 }).await;
                    return Ok(None);
                }
            }
            let time = PERMIT_TIMEOUT.saturating_sub(now.saturating_sub(entered));
            let is_lost = async {
                Timer::after(time).await;
                while !acceptor.has_waiting() {
                    Timer::after(PERMIT_TIMEOUT).await;
                }
                Err(DisconnectReason::Lost(io::ErrorKind::TimedOut))
            };
            bytes = self.receive().or(is_lost).await?;
        }
        let mut established = handshake.finish().ok_or(failed)?;
        if let Some(seal) = established.seal.take() {
            self.send_tls(TlsEvent::Established(seal)).await;
        }
        self.may_send_secret = true;
        Ok(Some(established))
    }

    /// Returns whether the broadcaster has ended the sending side: the client was sent an alert, or a
    /// bye in plain text, and there is no handshake.
    fn is_ended(&self) -> bool {
        matches!(send(&self.socket, &[], SendFlags::NOSIGNAL), Err(Errno::PIPE))
    }

    /// Waits for a permit and for the rate of handshakes. Returns `None` if the connection is closed
    /// before.
    async fn acquire_permit(&self, acceptor: &Rc<Acceptor>) -> Option<HandshakePermit> {
        let address = Rc::as_ptr(&self.budget).addr();
        let permit = async { Some(Rc::clone(acceptor).acquire(address).await) };
        let closed = async {
            while !self.is_closed() {
                Timer::after(CLOSED_CHECK_INTERVAL).await;
            }
            None
        };
        let permit = permit.or(closed).await?;
        loop {
            let wait = acceptor.wait(self.budget.limits.now());
            if wait.is_zero() {
                return Some(permit);
            }
            self.sleep(wait).await;
            if self.is_closed() {
                return None;
            }
        }
    }

    /// Receives bytes until the connection ends. Unread input would cause a reset, which can discard
    /// the last bytes for the client.
    async fn discard_input(&mut self) -> DisconnectReason {
        loop {
            if let Err(reason) = self.receive().await {
                return reason;
            }
        }
    }

    /// Receives bytes of the handshake as soon as there are any.
    async fn receive(&mut self) -> Result<Vec<u8>, DisconnectReason> {
        poll_fn(|cx| {
            self.poll_read(cx, HANDSHAKE_READ_BYTES, |_, bytes| match bytes {
                [] => Some(Err(DisconnectReason::Finished)),
                _ => Some(Ok(bytes.to_vec())),
            })
        })
        .await
    }

    /// Polls for the next input, as [`poll_input`](Self::poll_input) does.
    fn poll_records(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut RecordReader,
    ) -> Poll<Result<ReadResult, DisconnectReason>> {
        loop {
            if self.lines.has_more() {
                return Poll::Ready(Ok(self.split_lines(&[])));
            }
            #[cfg(feature = "web")]
            if let Some(parsed) = self.next_web_input() {
                return Poll::Ready(Ok(parsed));
            }
            if let Some(parsed) = self.next_tls_input(reader) {
                return Poll::Ready(parsed);
            }
            let parsed = if std::mem::take(&mut reader.has_whole_records) {
                let mut rest = std::mem::take(&mut reader.rest);
                self.open(reader, &mut rest)
            } else {
                ready!(self.poll_open(cx, reader))?
            };
            if !parsed.is_empty() {
                return Poll::Ready(Ok(parsed));
            }
        }
    }

    /// Reads and decrypts records.
    fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut RecordReader,
    ) -> Poll<Result<ReadResult, DisconnectReason>> {
        let read_bytes = self.budget.limits.read_bytes;
        self.poll_read(cx, read_bytes, |connection, bytes| {
            if bytes.is_empty() {
                return Some(connection.on_end());
            }
            let mut rest = std::mem::take(&mut reader.rest);
            if rest.is_empty() {
                return Some(Ok(connection.open(reader, bytes)));
            }
            rest.extend_from_slice(bytes);
            Some(Ok(connection.open(reader, &mut rest)))
        })
    }

    /// Decrypts the whole records in `bytes`, and parses their data.
    fn open(&mut self, reader: &mut RecordReader, bytes: &mut [u8]) -> ReadResult {
        let opened = reader.opener.open(bytes);
        reader.rest = bytes.get(opened.used..).unwrap_or_default().to_vec();
        let mut parsed = match bytes.get_mut(..opened.data) {
            // The client speaks another protocol.
            _ if self.is_other_protocol => ReadResult::default(),
            None | Some([]) => ReadResult::default(),
            Some(data) => self.parse(data),
        };
        // Bounded, so that the delay is bounded, too.
        let empty_records = opened.empty_records.min(MAX_INPUT_LINES);
        let (rate, now) = (self.budget.limits.rate, self.budget.limits.now());
        self.limiter.take(rate, empty_records, now);
        if empty_records > 0 && self.limiter.available(rate, now) == 0 {
            parsed.delay = parsed.delay.or(Some(Delay::Rate));
        }
        parsed
    }

    /// Returns the event that follows the data that was read, or the end of the connection.
    fn next_tls_input(
        &mut self,
        reader: &mut RecordReader,
    ) -> Option<Result<ReadResult, DisconnectReason>> {
        if let Some(seal) = reader.opener.take_update() {
            let event = Some(self.tls_event(TlsEvent::KeyUpdate(Box::new(seal))));
            return Some(Ok(ReadResult { event, delay: None }));
        }
        match reader.opener.end()? {
            InputEnd::Closed => Some(self.on_end()),
            InputEnd::Failed(alert) if !std::mem::replace(&mut reader.has_reported, true) => {
                let cause = "a record is invalid".into();
                let event = TlsEvent::Failed { cause, flight: Vec::new(), alert };
                Some(Ok(ReadResult { event: Some(self.tls_event(event)), delay: None }))
            }
            InputEnd::Failed(_) | InputEnd::Aborted => {
                Some(Err(DisconnectReason::Lost(io::ErrorKind::ConnectionAborted)))
            }
        }
    }

    async fn send_tls(&mut self, event: TlsEvent) {
        let event = self.tls_event(event);
        if let Some(event) = self.try_send(event) {
            self.send(event).await;
        }
    }

    fn tls_event(&self, event: TlsEvent) -> Event {
        Event::Tls { id: self.id, event }
    }
}
