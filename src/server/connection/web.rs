//! Connections whose clients speak HTTP or WebSocket.

use super::{Connection, Delay, MAX_DETECTION_BYTES, MAX_INPUT_LINES, Parsed};
use crate::protocol::OtherProtocol;
use crate::room::DisconnectReason;
use crate::server::broadcaster::Event;
use crate::server::edge::web::{
    Answer, MAX_HEAD_BYTES, WebEvent, WebReader, cut_off, looks_like_request,
};

impl Connection {
    /// Parses the first bytes of a client, if they are those of an HTTP request or may become it.
    pub(super) fn parse_request(
        &mut self,
        start: &[u8],
        protocol: Option<OtherProtocol>,
    ) -> Option<Parsed> {
        let may_be_request = protocol.is_none()
            && !start.is_empty()
            && !start.contains(&b'\n')
            && looks_like_request(start);
        let is_long = start.len() >= MAX_DETECTION_BYTES;
        if protocol == Some(OtherProtocol::Http) || may_be_request && is_long {
            let limits = &self.budget.limits;
            // Not more than a line and a read take, so that it is within the memory ceiling.
            let max_head = MAX_HEAD_BYTES.min(limits.max_line as usize + limits.read_bytes);
            let mut web = Box::new(WebReader::new(max_head));
            // No lines: they come after the answer to a handshake.
            web.read(&mut start.to_vec(), limits.max_line, &limits.web_hosts);
            self.web = Some(web);
        } else if may_be_request {
            self.lines.hold(start);
        } else {
            self.is_request_begun = false;
            return None;
        }
        // Before the answer to the request, if it is whole.
        let is_new = !std::mem::replace(&mut self.is_request_begun, true);
        let event = is_new.then(|| self.web_event(WebEvent::RequestBegun));
        Some(Parsed { event, delay: None })
    }

    /// Parses the bytes of a client that speaks HTTP or WebSocket.
    pub(super) fn parse_web(&mut self, bytes: &mut [u8]) -> Parsed {
        let Some(web) = &mut self.web else { return Parsed::default() };
        let limits = &self.budget.limits;
        let (rate, now) = (limits.rate, limits.now());
        let lines = web.read(bytes, limits.max_line, &limits.web_hosts);
        // Not more than the lines of an input, so that the client is read again within a time.
        let control_frames = web.take_control_frames().min(MAX_INPUT_LINES);
        let mut parsed = self.split_lines(&lines);
        self.limiter.take(rate, control_frames, now);
        if control_frames > 0 && self.limiter.available(rate, now) == 0 {
            parsed.delay = parsed.delay.or(Some(Delay::Rate));
        }
        parsed
    }

    /// Returns the next event of a client that speaks HTTP or WebSocket, which comes after the
    /// lines that were read.
    pub(super) fn next_web_input(&mut self) -> Option<Parsed> {
        let web = self.web.as_mut()?;
        if let Some(event) = web.take_event() {
            if let WebEvent::Closing { .. } = event {
                // The line that is not complete.
                self.lines.clear();
            }
            return Some(Parsed { event: Some(self.web_event(event)), delay: None });
        }
        if let Some(mut rest) = web.take_rest() {
            return Some(self.parse_web(&mut rest));
        }
        None
    }

    /// Handles the end of the input of a client that has not completed its request, or whose first
    /// bytes look like the start of one.
    pub(super) fn end_request(&mut self) -> Option<Parsed> {
        if let Some(web) = &mut self.web {
            web.end();
            return self.next_web_input();
        }
        // A word alone is text.
        if !std::mem::take(&mut self.is_request_begun) || !self.lines.buffer().contains(&b' ') {
            return None;
        }
        self.lines.clear();
        let event = Some(self.web_event(WebEvent::Answer(Answer::Response(cut_off()))));
        Some(Parsed { event, delay: None })
    }

    /// Returns the reason for which a client is disconnected: a browser may return.
    pub(super) fn reason_of_web(&self, reason: DisconnectReason) -> DisconnectReason {
        let may_return = self.web.as_ref().is_some_and(|web| web.may_return());
        match reason {
            DisconnectReason::Finished | DisconnectReason::Lost(_) if may_return => {
                DisconnectReason::Away
            }
            _ => reason,
        }
    }

    fn web_event(&self, event: WebEvent) -> Event {
        Event::Web { id: self.id, event }
    }
}
