//! The client without a line editor: lines in from a channel, events out to a sink.

use std::collections::VecDeque;

use async_channel::Receiver;
use futures_lite::future;
use serde_json::{Map, Value};

use super::Error;
use super::alias::expand_alias;
use super::event_sink::{EventSink, print_warning};
use super::link_status::{describe_error, describe_split, format_link_event};
use crate::client::{self, ReceivedFrame, SendError, Session, SessionEvent};
use crate::protocol::{Body, TooLong};

/// The longest line that is read from a command, in bytes. No server accepts a longer one.
pub const MAX_LINE: u32 = 1 << 20;

/// A line to send, without its newline, or the error for a line longer than [`MAX_LINE`].
pub type OutgoingLine = Result<Vec<u8>, TooLong>;

/// A session that sends the lines of a channel and writes the events to a sink.
pub struct LineClient {
    session: Session,
    sink: EventSink,
    /// Whether lines that are JSON objects are sent unchanged.
    is_json: bool,
    /// Whether a person at a terminal types the lines and reads the output.
    is_interactive: bool,
    is_input_open: bool,
    /// The parts of a long line that the session does not accept yet.
    parts: VecDeque<String>,
    /// The number of lines that were answered with an error.
    refused_count: usize,
    /// The error that broke the connection, until the session is up to date again.
    link_error: Option<client::Error>,
}

enum LoopEvent {
    Line(OutgoingLine),
    InputClosed,
    Session(SessionEvent),
    SessionEnded,
}

impl LineClient {
    pub fn new(session: Session, sink: EventSink) -> Self {
        LineClient {
            session,
            sink,
            is_json: false,
            is_interactive: false,
            is_input_open: true,
            parts: VecDeque::new(),
            refused_count: 0,
            link_error: None,
        }
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
        loop {
            match self.next_event(&lines).await {
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
                Ok(LoopEvent::SessionEnded) if self.refused_count > 0 => {
                    return Err(Error::Refused(self.refused_count));
                }
                Ok(LoopEvent::SessionEnded) => return Ok(()),
                Err(error) => return Err(self.with_unconfirmed(error, lines.len())),
            }
            self.send_parts();
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

    /// Waits for a line or an event of the session.
    async fn next_event(
        &mut self,
        lines: &Receiver<OutgoingLine>,
    ) -> Result<LoopEvent, client::Error> {
        let is_accepting_lines =
            self.is_input_open && self.parts.is_empty() && self.session.has_capacity();
        let event = async {
            let event = self.session.receive().await?;
            Ok(event.map_or(LoopEvent::SessionEnded, LoopEvent::Session))
        };
        if !is_accepting_lines {
            return event.await;
        }
        let line = async { Ok(lines.recv().await.map_or(LoopEvent::InputClosed, LoopEvent::Line)) };
        // A fair race: neither a flood of frames nor one of lines may block the other.
        future::race(event, line).await
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
            Some(object) => self.session.send_object(object).map(drop),
            // A bot that repeats the texts of members must not execute their commands.
            None if self.is_bot() && line.starts_with('/') => self.split_line(&format!("/{line}")),
            None => self.split_line(&expand_alias(line)),
        };
        if let Err(error @ (SendError::InvalidObject(_) | SendError::TooLong { .. })) = result {
            self.refused_count += 1;
            print_warning(&error.to_string());
        }
    }

    /// Queues a line, or its parts if it is longer than the server accepts.
    fn split_line(&mut self, line: &str) -> Result<(), SendError> {
        let parts = self.session.split(line)?;
        if parts.len() > 1 {
            self.sink.write_status(&describe_split(parts.len(), self.session.limits()));
        }
        self.parts.extend(parts);
        Ok(())
    }

    /// Sends the parts that the session accepts.
    fn send_parts(&mut self) {
        while self.session.has_capacity()
            && let Some(part) = self.parts.pop_front()
        {
            // Cannot fail: the session has capacity, and it finishes only after the last part.
            let _ = self.session.send(&part);
        }
        self.is_input_open &= !self.session.is_finishing();
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
                if !is_repeated {
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
        let is_refusal =
            received.in_reply_to.is_some() && matches!(received.frame.body, Body::Error { .. });
        self.refused_count += usize::from(is_refusal && !self.is_interactive);
        self.sink.write_frame(received, self.session.name());
    }

    fn show_status(&self, event: &SessionEvent) {
        if let Some(message) = format_link_event(event, None) {
            self.sink.write_status(&message);
        }
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
