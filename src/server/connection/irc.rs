//! Connections whose clients speak IRC.

use std::rc::Rc;

use super::{AnswerCharge, Connection, MAX_INPUT_LINES, ReadResult};
use crate::protocol::{LineReader, escaped_len};
use crate::server::address_limits::{Cost, FRAME_BYTES};
use crate::server::broadcaster::Event;
use crate::server::edge::irc::{Command, Message, MessageError, ParsedMessage};

/// Messages at the start of a connection that the address does not pay for, if they are for the
/// registration: new connections have a rate of their own.
const MAX_REGISTRATION: u8 = 12;

impl Connection {
    /// Splits off the messages that are complete with `bytes`, as many as the rates allow.
    pub(super) fn split_messages(&mut self, bytes: &[u8]) -> ReadResult {
        let limits = Rc::clone(&self.budget.limits);
        let now = limits.now();
        let max_messages = self.limiter.available(limits.rate, now).min(MAX_INPUT_LINES);
        let mut messages = Vec::new();
        let mut answer = None;
        let mut delay = None;
        let mut lines = 0;
        let mut reader = std::mem::replace(&mut self.lines, LineReader::new(0));
        reader.read(bytes, |line| {
            // A message with an answer is the last of its event.
            if lines == max_messages || answer.is_some() {
                return false;
            }
            let message = match line {
                Ok(line) => Message::parse(line),
                Err(_) => Some(Err(MessageError::TooLong)),
            };
            let is_charged = self.budget.is_limited() && !self.is_registration(message.as_ref());
            let cost = is_charged.then(|| cost_of(message.as_ref()));
            match self.charge(cost, false, now) {
                Ok(charge) => {
                    answer = charge;
                    self.has_sent_line = true;
                    lines += 1;
                    messages.extend(message);
                    true
                }
                Err(wait) => {
                    delay = Some(wait);
                    false
                }
            }
        });
        self.end_split(reader, lines, now);
        let event = (!messages.is_empty()).then(|| self.irc_event(messages, answer));
        ReadResult { event, delay }
    }

    /// Returns whether a message is one of the first, and is for the registration.
    fn is_registration(&mut self, message: Option<&ParsedMessage>) -> bool {
        let Some(Ok(message)) = message else { return false };
        let is_first = self.registration_messages < MAX_REGISTRATION
            && matches!(
                message.command(),
                Command::Cap | Command::Nick | Command::Pass | Command::User
            );
        self.registration_messages =
            if is_first { self.registration_messages + 1 } else { MAX_REGISTRATION };
        is_first
    }

    /// Sends the client a notice.
    pub(super) async fn warn_irc(&mut self, text: &'static str) {
        let event = self.irc_event(vec![Err(MessageError::TooFast(text))], None);
        if let Some(event) = self.try_send(event) {
            self.send(event).await;
        }
    }

    fn irc_event(&mut self, messages: Vec<ParsedMessage>, answer: Option<AnswerCharge>) -> Event {
        let bytes = std::mem::take(&mut self.unreported_bytes);
        Event::Irc { id: self.id, messages, bytes, answer }
    }
}

/// Returns the cost of a line, which has no message if it is empty.
fn cost_of(message: Option<&ParsedMessage>) -> Cost {
    let cost = |bytes, has_unknown_answer| Cost { bytes: Some(bytes), has_unknown_answer };
    let message = match message {
        None => return Cost { bytes: None, has_unknown_answer: false },
        Some(Err(_)) => return cost(FRAME_BYTES, false),
        Some(Ok(message)) => message,
    };
    match message.command() {
        Command::Ping | Command::Pong => Cost { bytes: None, has_unknown_answer: false },
        Command::PrivMsg | Command::Notice => {
            // To one member, it is sent to its sender, too.
            let text = message.parameters().last().map_or(0, |text| escaped_len(text));
            cost(2 * FRAME_BYTES + 2 * text, false)
        }
        Command::Away
        | Command::Cap
        | Command::Mode
        | Command::Nick
        | Command::Part
        | Command::Quit
        | Command::User => cost(2 * FRAME_BYTES + message.byte_count(), false),
        _ => cost(FRAME_BYTES, true),
    }
}
