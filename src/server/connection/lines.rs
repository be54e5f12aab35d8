//! The lines of a connection: which protocol the first of them is, and their rates.

use std::rc::Rc;
use std::time::Duration;

use super::{Connection, Delay, MAX_DETECTION_BYTES, MAX_INPUT_LINES, ReadResult, Sent};
use crate::os::BYTE_ORDER_MARK;
use crate::protocol::{ClientLine, ErrorCode, LineReader, OtherProtocol, Request, RequestError};
#[cfg(not(feature = "irc"))]
use crate::protocol::{ParsedLine, Secret};
use crate::room::Input;
use crate::server::address_limits::{AnswerCharge, Cost};

impl Connection {
    /// Parses the lines that are complete with `bytes`, as many as the rates allow.
    pub(super) fn parse_lines(&mut self, bytes: &[u8]) -> ReadResult {
        if self.sent == Sent::Line || self.lines.buffer().len() >= MAX_DETECTION_BYTES {
            return self.split_lines(bytes);
        }
        // All bytes up to the end of the first line are looked at again with each read.
        let buffered = [self.lines.buffer(), bytes].concat();
        self.lines.clear();
        let mut start = &buffered[..];
        if self.sent == Sent::Nothing
            && let Some(rest) = start.strip_prefix(BYTE_ORDER_MARK.as_bytes())
        {
            self.sent = Sent::Mark;
            start = rest;
        }
        #[cfg(feature = "tls")]
        if let Some(begun) = self.parse_handshake(start) {
            return begun;
        }
        let other = OtherProtocol::detect(start);
        let other = other.filter(|other| !self.protocol.is_irc() || *other != OtherProtocol::Irc);
        #[cfg(feature = "web")]
        if !self.protocol.is_irc()
            && let Some(parsed) = self.parse_request(start, other)
        {
            return parsed;
        }
        if let Some(protocol) = other {
            self.is_other_protocol = true;
            return self.parsed_input(Input::OtherProtocol { id: self.id, protocol });
        }
        #[cfg(feature = "tls")]
        if self.refuses_plain_text() && !start.is_empty() {
            self.is_other_protocol = true;
            let protocol = OtherProtocol::PlainText;
            return self.parsed_input(Input::OtherProtocol { id: self.id, protocol });
        }
        if OtherProtocol::needs_more_bytes(start) {
            self.lines.hold(start);
            return ReadResult::default();
        }
        self.split_lines(start)
    }

    /// Splits off the lines that are complete with `bytes`, as many as the rates allow.
    pub(super) fn split_lines(&mut self, bytes: &[u8]) -> ReadResult {
        let limits = Rc::clone(&self.budget.limits);
        let now = limits.now();
        let max_lines = self.limiter.available(limits.rate, now).min(MAX_INPUT_LINES);
        let mut lines = Vec::new();
        let mut answer = None;
        let mut delay = None;
        let mut reader = std::mem::replace(&mut self.lines, LineReader::new(0));
        let mut secret = None;
        reader.read(bytes, |line| {
            // A request with an answer is the last line of its input.
            if lines.len() == max_lines || answer.is_some() || secret.is_some() {
                return false;
            }
            let mut line = match line {
                Ok(line) => self.parse_line(line),
                Err(_) => {
                    let max_line = self.max_line();
                    let text = format!("the line is longer than {max_line} bytes and was skipped");
                    Err(RequestError::new(ErrorCode::TooLong, text))
                }
            };
            let line_secret =
                line.as_mut().ok().and_then(|line| self.take_secret(&mut line.request));
            if line_secret.is_some() && !lines.is_empty() {
                return false;
            }
            let is_hello = matches!(line, Ok(ClientLine { request: Request::Hello(_), .. }));
            let is_charged = self.budget.is_limited() && !self.is_registration(&line);
            let cost = is_charged.then(|| limits.cost_of(&line));
            match self.charge(cost, is_hello, now) {
                Ok(charge) => {
                    answer = charge;
                    self.sent = Sent::Line;
                    lines.push(line);
                    secret = line_secret;
                    true
                }
                Err(wait) => {
                    delay = Some(wait);
                    false
                }
            }
        });
        self.lines = reader;
        self.is_warned &= !self.limiter.is_idle(now);
        self.is_address_warned &= !self.budget.is_idle(now);
        self.limiter.take(limits.rate, lines.len(), now);
        if lines.is_empty() {
            return ReadResult { event: None, delay };
        }
        let input = match (secret, lines.pop()) {
            (Some(secret), Some(line)) => self.secret_input(line, secret, now),
            (_, last) => {
                lines.extend(last);
                Input::Lines { id: self.id, lines }
            }
        };
        ReadResult { event: Some(self.input_event(input, answer)), delay }
    }

    #[cfg(not(feature = "irc"))]
    fn parse_line(&self, line: &[u8]) -> ParsedLine {
        ClientLine::parse(line)
    }

    #[cfg(not(feature = "irc"))]
    fn take_secret(&self, request: &mut Request) -> Option<(Secret, bool)> {
        request.take_secret()
    }

    /// Returns whether a line is free, because it belongs to a registration.
    #[cfg(not(feature = "irc"))]
    fn is_registration(&self, _line: &ParsedLine) -> bool {
        false
    }

    /// Charges a line to the address, if that has limits. Returns the charge for its answer, if the
    /// size of that is unknown.
    ///
    /// # Errors
    ///
    /// Returns the delay if the line has to wait.
    fn charge(
        &mut self,
        cost: Option<Cost>,
        is_hello: bool,
        now: Duration,
    ) -> Result<Option<AnswerCharge>, Delay> {
        let Some(cost) = cost else { return Ok(None) };
        if is_hello && self.sent != Sent::Line {
            // It does not wait: new connections have a rate of their own.
            return Ok(Some(self.budget.request()));
        }
        if !std::mem::take(&mut self.is_next_line_paid) {
            let wait = self.budget.charge_line(cost, now);
            if !wait.is_zero() {
                self.is_next_line_paid = true;
                return Err(Delay::Turn(wait));
            }
        }
        if !cost.has_unknown_answer {
            return Ok(None);
        }
        let answer = self.answer.take().or_else(|| self.budget.try_request(now));
        if answer.is_none() {
            self.is_next_line_paid = true;
            return Err(Delay::Answer);
        }
        Ok(answer)
    }
}
