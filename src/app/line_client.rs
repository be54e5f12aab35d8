//! The client without a line editor: lines in from a channel, events out to a sink.

use async_channel::Receiver;
use futures_lite::future;
use serde_json::{Map, Value};

use super::Error;
use super::event_sink::{EventSink, print_warning};
use super::link_status::{format_gap, format_loss};
use super::outage::Outage;
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
    /// The number of lines that were answered with an error.
    refused_count: usize,
    outage: Option<Outage>,
    /// Whether the connection was lost before, so that an own join is no news.
    has_reconnected: bool,
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
            refused_count: 0,
            outage: None,
            has_reconnected: false,
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

    /// Waits for a line or an event of the session.
    async fn next_event(
        &mut self,
        lines: &Receiver<OutgoingLine>,
    ) -> Result<LoopEvent, client::Error> {
        let is_accepting_lines = self.is_input_open && self.session.has_capacity();
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
            SessionEvent::Disconnected { cause, retry_in } => match &mut self.outage {
                Some(outage) => outage.record_failure(cause),
                None => {
                    self.sink.write_status(&format_loss(&cause, Some(retry_in)));
                    self.outage = Some(Outage::new(cause));
                }
            },
            SessionEvent::Reconnected { resumed, .. } => {
                if let Some(outage) = &mut self.outage {
                    outage.record_reconnect(resumed);
                    self.has_reconnected = true;
                }
            }
            SessionEvent::Gap { from, to } => match &mut self.outage {
                Some(outage) => outage.record_gap(from, to),
                None => self.sink.write_status(&format_gap(from, to)),
            },
            SessionEvent::Synced { pending } => {
                if let Some(outage) = self.outage.take() {
                    self.sink.write_status(&outage.format_end(pending));
                }
            }
        }
    }

    fn on_frame(&mut self, received: &ReceivedFrame) {
        let is_refusal =
            received.in_reply_to.is_some() && matches!(received.frame.body, Body::Error { .. });
        self.refused_count += usize::from(is_refusal && !self.is_interactive);
        let is_covered = self.is_covered(received);
        if let Some(outage) = &mut self.outage
            && !is_covered
        {
            outage.shown_count += usize::from(received.frame.body.seq().is_some());
        }
        if !is_covered || !matches!(self.sink, EventSink::Text(_)) {
            self.sink.write_frame(received, self.session.name());
        }
    }

    /// Returns whether the messages about the connection have all that the frame says.
    fn is_covered(&self, received: &ReceivedFrame) -> bool {
        match &received.frame.body {
            Body::Welcome { .. } => self.outage.is_some(),
            Body::Bye { .. } => !self.session.is_finishing(),
            Body::Join { names, .. } | Body::Leave { names, .. } => {
                let is_own = names.iter().all(|name| name == self.session.name());
                self.has_reconnected && !received.is_past && is_own
            }
            _ => false,
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
