//! The client without a line editor: lines in from a channel, events out to a sink.

use std::io;
use std::time::{Duration, Instant};

use async_channel::Receiver;
use futures_lite::future;
use serde_json::{Map, Value};
use smol::Timer;

use super::Error;
use super::end_signals::EndSignals;
use super::event_sink::{EventSink, print_warning};
use super::link_status::{describe_error, format_link_event};
use super::token_store::TokenStore;
use crate::client::{self, ReceivedFrame, SendError, Session, SessionEvent, sanitize};
use crate::protocol::{Body, ByeCode, Frame, TooLong};

/// The longest line that is read from a command, in bytes. No server accepts a longer one.
pub const MAX_LINE: u32 = 1 << 20;

/// The time without an answer after which a script gives up.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The time that the output has at the end if a signal has arrived.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The time after the end of the output in which lines that are already there are still sent.
const INPUT_TIMEOUT: Duration = Duration::from_millis(250);

/// A line to send, without its newline, or the error for a line longer than [`MAX_LINE`].
pub type OutgoingLine = Result<Vec<u8>, TooLong>;

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
    /// The error that ended the output.
    output_error: Option<io::Error>,
    /// The time until which input is accepted after the end of the output.
    input_deadline: Option<Instant>,
    /// The number of lines that were answered with an error.
    refused_count: usize,
    /// The error that broke the connection, until the session is up to date again.
    link_error: Option<client::Error>,
    /// The longest wait for the next answer after the last line was sent.
    answer_timeout: Option<Duration>,
    /// The end of the present wait for an answer.
    answer_deadline: Option<Timer>,
}

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
            output_error: None,
            input_deadline: None,
            refused_count: 0,
            link_error: None,
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
        let result = self.exchange(&lines).await;
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
            _ => Ok(()),
        }
    }

    /// Handles events until the session ends.
    async fn exchange(&mut self, lines: &Receiver<OutgoingLine>) -> Result<(), Error> {
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
                    let count = self.session.pending_count() + lines.len();
                    self.leave().await;
                    return Err(Error::Unanswered(count));
                }
                Err(error) => return Err(self.with_unconfirmed(error, lines.len())),
            }
            // After the end of the input, a person does not wait until the server is reachable
            // again.
            if self.is_interactive
                && !self.is_input_open
                && self.session.pending_count() > 0
                && let Some(cause) = self.link_error.take()
            {
                return Err(self.with_unconfirmed(cause, 0));
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
                self.answer_deadline.get_or_insert_with(|| Timer::after(timeout));
            }
            _ => self.answer_deadline = None,
        }
        let mut deadline = self.answer_deadline.take();
        let timeout = async {
            match &mut deadline {
                Some(timer) => timer.await,
                None => future::pending().await,
            };
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
        let is_accepting_lines = self.is_input_open && self.session.has_capacity();
        let input_deadline = self.input_deadline;
        let line = async {
            let input_end = async {
                match input_deadline {
                    Some(deadline) => Timer::at(deadline).await,
                    None => future::pending().await,
                };
                LoopEvent::InputClosed
            };
            let line = async { lines.recv().await.map_or(LoopEvent::InputClosed, LoopEvent::Line) };
            match is_accepting_lines {
                true => Ok(future::or(input_end, line).await),
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
        let event = future::or(future::or(signal, future::or(timeout, output)), input).await;
        self.answer_deadline = deadline;
        event
    }

    /// Leaves the room, although lines are not answered.
    async fn leave(&mut self) {
        self.session.quit();
        while let Ok(Some(_)) = self.session.receive().await {}
    }

    fn send_line(&mut self, line: OutgoingLine) {
        let Ok(line) = line else {
            self.refused_count += 1;
            return print_warning(&format!(
                "a line is longer than {MAX_LINE} bytes and is not sent"
            ));
        };
        let line = String::from_utf8_lossy(&line);
        let line = line.strip_suffix('\r').unwrap_or(&line);
        // Without a connection the answer is delayed, so the typed line stays visible.
        if self.session.is_connected() {
            self.sink.erase_echo();
        }
        if line.is_empty() {
            return;
        }
        let object =
            if self.is_json { serde_json::from_str::<Map<String, Value>>(line).ok() } else { None };
        let result = match object {
            Some(object) => self.session.send_object(object),
            // A bot that repeats the texts of members must not execute their commands.
            None if self.is_bot() && line.starts_with('/') => {
                self.session.send(&format!("/{line}"))
            }
            None => self.session.send(line),
        };
        if let Err(SendError::InvalidObject(reason)) = result {
            self.refused_count += 1;
            print_warning(&reason);
        }
        self.is_input_open = !self.session.is_finishing();
    }

    fn on_event(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Received(received) => self.on_frame(&received),
            SessionEvent::Disconnected { ref cause, .. } => {
                // Each failed attempt to reconnect is an event; the same error is shown once.
                let is_repeated = self
                    .link_error
                    .as_ref()
                    .is_some_and(|error| describe_error(error) == describe_error(cause));
                if !self.has_joined {
                    if !is_repeated && self.is_bot() {
                        let message = format!("{}; trying again", describe_error(cause));
                        self.sink.write_status(&message);
                    }
                } else if !is_repeated {
                    self.show_status(&event);
                }
                if let SessionEvent::Disconnected { cause, .. } = event {
                    self.link_error = Some(cause);
                }
            }
            SessionEvent::Synced { .. } => {
                self.link_error = None;
                self.show_status(&event);
            }
            SessionEvent::Reconnected { .. } | SessionEvent::Gap { .. } => self.show_status(&event),
        }
    }

    fn on_frame(&mut self, received: &ReceivedFrame) {
        if let Body::Welcome { .. } = received.frame.body
            && !std::mem::replace(&mut self.has_joined, true)
            && self.link_error.take().is_some()
            && self.is_bot()
        {
            self.sink.write_status("connected");
        }
        self.update_token(&received.frame);
        let is_refusal =
            received.in_reply_to.is_some() && matches!(received.frame.body, Body::Error { .. });
        self.refused_count += usize::from(is_refusal && !self.is_interactive);
        if received.in_reply_to.is_some() {
            self.answer_deadline = None;
        }
        self.sink.write_frame(received, self.session.name());
    }

    /// Stores the token for a client that is started after this one was killed.
    fn update_token(&mut self, frame: &Frame<'_>) {
        match &frame.body {
            Body::Welcome { token, .. } => self.token = token.to_string(),
            Body::Name { to, .. } if to == self.session.name() => {
                if self.is_bot() {
                    self.sink.write_status(&format!("the name is {} now", sanitize(to)));
                }
            }
            Body::Bye { code: ByeCode::Quit | ByeCode::Replaced, .. } => {
                return self.token_store.iter_mut().for_each(TokenStore::remove);
            }
            _ => return,
        }
        if let Some(store) = &mut self.token_store {
            store.update(self.session.name(), &self.token);
        }
    }

    fn show_status(&mut self, event: &SessionEvent) {
        if let Some(message) = format_link_event(event, None) {
            self.sink.write_status(&message);
        }
    }

    fn is_bot(&self) -> bool {
        matches!(self.sink, EventSink::Command(_))
    }

    /// Adds to `error` the number of lines that are not confirmed, including `queued` unsent lines.
    fn with_unconfirmed(&self, error: client::Error, queued: usize) -> Error {
        match self.refused_count + self.session.pending_count() + queued {
            0 => error.into(),
            count => Error::Unconfirmed(count, Box::new(error)),
        }
    }
}

#[cfg(test)]
mod tests;
