//! The client without a line editor: lines in from a channel, events out to a sink.

mod incoming;
mod outgoing;

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use async_channel::Receiver;
use futures_lite::future;
use smol::Timer;

use super::Error;
use super::end_signals::EndSignals;
use super::event_sink::EventSink;
use super::outage::Outage;
use super::token_store::TokenStore;
use crate::client::{self, Session, SessionEvent};
use crate::protocol::TooLong;

/// The longest line that is read from a command, in bytes. No server accepts a longer one.
pub const MAX_LINE: u32 = 1 << 20;

/// The time without an answer after which a script gives up.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The time that the output has at the end if a signal has arrived.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The time after the end of the output in which lines that are already there are still sent.
const INPUT_TIMEOUT: Duration = Duration::from_millis(250);

/// A line to send, without its newline.
pub type OutgoingLine = Result<Vec<u8>, InputError>;

/// The reason why there is no line to send.
#[derive(Debug)]
pub enum InputError {
    /// The line is longer than [`MAX_LINE`].
    TooLong,
    /// Standard input cannot be read. There are no further lines.
    Read(io::Error),
}

impl InputError {
    /// Returns a line of a [`LineReader`](crate::protocol::LineReader).
    pub fn from_reader(line: Result<&[u8], TooLong>) -> OutgoingLine {
        line.map(<[u8]>::to_vec).map_err(|TooLong| InputError::TooLong)
    }
}

/// A session that sends the lines of a channel and writes the events to a sink.
pub struct LineClient {
    session: Session,
    sink: EventSink,
    signals: EndSignals,
    token_store: Option<TokenStore>,
    /// The token of the latest welcome.
    token: String,
    /// The number of the signal that ends the client.
    end_signal: Option<i32>,
    /// Whether lines that are JSON objects are sent unchanged.
    is_json: bool,
    /// Whether a person at a terminal types the lines and reads the output.
    is_interactive: bool,
    is_input_open: bool,
    has_joined: bool,
    /// The error that ended the input.
    input_error: Option<io::Error>,
    /// The error that ended the output.
    output_error: Option<io::Error>,
    /// The time until which input is accepted after the end of the output.
    input_deadline: Option<Instant>,
    /// The parts of a long line that the session does not accept yet.
    parts: VecDeque<String>,
    /// The number of lines that were answered with an error.
    refused_count: usize,
    outage: Option<Outage>,
    /// Whether the client has reconnected, so that its own join is not shown.
    has_reconnected: bool,
    /// The longest wait for the next answer after the last line was sent.
    answer_timeout: Option<Duration>,
    /// The end of the present wait for an answer.
    answer_deadline: Option<Instant>,
}

#[expect(clippy::large_enum_variant, reason = "one value at a time")]
enum LoopEvent {
    Line(OutgoingLine),
    InputClosed,
    Session(SessionEvent),
    SessionEnded,
    /// A signal with this number.
    Signal(i32),
    /// So much output was written that the session can be read again.
    OutputReady,
    /// Standard output cannot be written any more.
    OutputFailed(io::Error),
    /// No line was answered for the time limit.
    Timeout,
}

impl LineClient {
    pub fn new(session: Session, sink: EventSink, signals: EndSignals) -> Self {
        LineClient {
            session,
            sink,
            signals,
            token_store: None,
            token: String::new(),
            end_signal: None,
            is_json: false,
            is_interactive: false,
            is_input_open: true,
            has_joined: false,
            input_error: None,
            output_error: None,
            input_deadline: None,
            parts: VecDeque::new(),
            refused_count: 0,
            outage: None,
            has_reconnected: false,
            answer_timeout: None,
            answer_deadline: None,
        }
    }

    /// Sets the store for the token of the session. The default is none.
    pub fn with_token_store(self, token_store: Option<TokenStore>) -> Self {
        LineClient { token_store, ..self }
    }

    /// Sets the time without an answer after which the client gives up, once the input has ended.
    /// The default is no limit.
    pub fn with_answer_timeout(self, timeout: Duration) -> Self {
        LineClient { answer_timeout: Some(timeout), ..self }
    }

    /// Sets whether lines that are JSON objects are sent unchanged. The default is false.
    pub fn with_json(self, is_json: bool) -> Self {
        LineClient { is_json, ..self }
    }

    /// Sets whether a person at a terminal types the lines. The default is false.
    ///
    /// A refused line is then no failure, because the person sees the error.
    pub fn with_interactive(self, is_interactive: bool) -> Self {
        LineClient { is_interactive, ..self }
    }

    /// Sends `lines` until the channel is closed or a line is `/quit`, and waits for the answers.
    ///
    /// # Errors
    ///
    /// Returns an error if the session fails or if a line was refused.
    pub async fn run(mut self, lines: Receiver<OutgoingLine>) -> Result<(), Error> {
        let result = self.handle_events(&lines).await;
        if let Some(output) = self.sink.output() {
            // A reader that does not read must not keep the client from ending by a signal.
            let has_signal = self.end_signal.is_some();
            let signal = async {
                if has_signal {
                    Timer::after(FLUSH_TIMEOUT).await;
                } else {
                    self.end_signal = Some(self.signals.next().await);
                }
                Ok(())
            };
            if let Err(error) = future::or(output.flush(), signal).await {
                self.output_error.get_or_insert(error);
            }
        }
        if let Some(number) = self.end_signal {
            return Err(Error::Signal(number));
        }
        result?;
        match self.output_error.take() {
            // The reader needs no more lines, as with `head`.
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
            _ if self.refused_count > 0 => Err(Error::Refused(self.refused_count)),
            _ if let Some(error) = self.input_error.take() => Err(Error::Input(error)),
            _ => Ok(()),
        }
    }

    /// Handles events until the session ends.
    async fn handle_events(&mut self, lines: &Receiver<OutgoingLine>) -> Result<(), Error> {
        loop {
            match self.next_event(lines).await {
                Ok(LoopEvent::Line(line)) => self.send_line(line),
                Ok(LoopEvent::InputClosed) => {
                    self.is_input_open = false;
                    self.session.finish();
                }
                Ok(LoopEvent::Session(event)) => {
                    self.on_event(event);
                    if self.is_bot() {
                        // The task that writes to the command runs before the next frame.
                        future::yield_now().await;
                    }
                }
                Ok(LoopEvent::SessionEnded) => return Ok(()),
                // A second signal does not wait for the server.
                Ok(LoopEvent::Signal(_)) if self.end_signal.is_some() => return Ok(()),
                Ok(LoopEvent::Signal(number)) => {
                    self.end_signal = Some(number);
                    self.is_input_open = false;
                    self.session.quit();
                }
                Ok(LoopEvent::OutputReady) => {}
                Ok(LoopEvent::OutputFailed(error)) => {
                    self.output_error = Some(error);
                    self.input_deadline = Some(Instant::now() + INPUT_TIMEOUT);
                }
                Ok(LoopEvent::Timeout) => {
                    let count = self.session.pending_count() + self.parts.len() + lines.len();
                    self.leave().await;
                    return Err(Error::Unanswered(count));
                }
                Err(error) => return Err(self.with_unconfirmed(error, lines.len())),
            }
            self.send_parts();
            // After the end of the input, a person does not wait until the server is reachable
            // again.
            if self.is_interactive
                && !self.is_input_open
                && self.session.pending_count() > 0
                && let Some(outage) = self.outage.take_if(|outage| !outage.is_reconnected)
            {
                return Err(self.with_unconfirmed(outage.cause, 0));
            }
        }
    }

    /// Waits for a line, an event of the session or the end of the wait for an answer.
    async fn next_event(
        &mut self,
        lines: &Receiver<OutgoingLine>,
    ) -> Result<LoopEvent, client::Error> {
        // Further output is discarded after a signal, so that the client can leave.
        let is_leaving = self.end_signal.is_some();
        let is_behind = !is_leaving && self.sink.output().is_some_and(|output| output.is_behind());
        let has_input = self.is_input_open && !lines.is_closed();
        match self.answer_timeout {
            // While the output is behind, answers may wait unread.
            Some(timeout) if !has_input && !is_behind && self.session.pending_count() > 0 => {
                self.answer_deadline.get_or_insert_with(|| Instant::now() + timeout);
            }
            _ => self.answer_deadline = None,
        }
        let (answer_deadline, input_deadline) = (self.answer_deadline, self.input_deadline);
        let timeout = async {
            answer_deadline.map_or_else(Timer::never, Timer::at).await;
            Ok(LoopEvent::Timeout)
        };
        let signals = &mut self.signals;
        let signal = async { Ok(LoopEvent::Signal(signals.next().await)) };
        let output = async {
            match self.sink.output() {
                Some(output) => Ok(output
                    .run()
                    .await
                    .map_or_else(LoopEvent::OutputFailed, |()| LoopEvent::OutputReady)),
                None => future::pending().await,
            }
        };
        // The limit of a line is not known before the welcome.
        let is_accepting_lines = self.is_input_open
            && self.parts.is_empty()
            && self.session.limits().is_some()
            && self.session.has_capacity();
        let line = async {
            match is_accepting_lines {
                true => Ok(next_line(lines, input_deadline).await),
                false => future::pending().await,
            }
        };
        let event = async {
            if is_behind {
                return future::pending().await;
            }
            let event = self.session.receive().await?;
            Ok(event.map_or(LoopEvent::SessionEnded, LoopEvent::Session))
        };
        // A fair race: neither a flood of frames nor one of lines may block the other.
        let input = future::race(event, line);
        future::or(future::or(signal, future::or(timeout, output)), input).await
    }

    /// Leaves the room, although lines are not answered.
    async fn leave(&mut self) {
        self.session.quit();
        while let Ok(Some(_)) = self.session.receive().await {}
    }

    fn is_bot(&self) -> bool {
        matches!(self.sink, EventSink::Command(_))
    }

    /// Adds to `error` the number of lines that are not confirmed, including `queued` unsent lines.
    fn with_unconfirmed(&self, error: client::Error, queued: usize) -> Error {
        match self.refused_count + self.session.pending_count() + self.parts.len() + queued {
            0 => error.into(),
            count => Error::Unconfirmed(count, Box::new(error)),
        }
    }
}

/// Waits for a line, the end of the input or `deadline`.
async fn next_line(lines: &Receiver<OutgoingLine>, deadline: Option<Instant>) -> LoopEvent {
    let timeout = async {
        deadline.map_or_else(Timer::never, Timer::at).await;
        LoopEvent::InputClosed
    };
    let line = async { lines.recv().await.map_or(LoopEvent::InputClosed, LoopEvent::Line) };
    future::or(timeout, line).await
}

#[cfg(test)]
mod tests;
