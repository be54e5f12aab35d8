//! Connections whose clients speak HTTP or WebSocket.

use super::pauses::Delay;
use super::{Connection, MAX_DETECTION_BYTES, MAX_INPUT_LINES, ReadResult};
use crate::protocol::OtherProtocol;
use crate::room::DisconnectReason;
use crate::server::broadcaster::Event;
use crate::server::edge::web::{
    Answer, MAX_HEAD_BYTES, WebEvent, WebReader, cut_off_response, looks_like_request,
};

impl Connection {
    /// Parses the first bytes of a client. Returns `None` if they cannot become an HTTP request.
    pub(super) fn parse_request(
        &mut self,
        start: &[u8],
        protocol: Option<OtherProtocol>,
    ) -> Option<ReadResult> {
        let may_be_request = protocol.is_none()
            && !start.is_empty()
            && !start.contains(&b'\n')
            && looks_like_request(start);
        let is_long = start.len() >= MAX_DETECTION_BYTES;
        if protocol == Some(OtherProtocol::Http) || may_be_request && is_long {
            let limits = &self.budget.limits;
            // The memory ceiling counts a line and a read for each connection.
            let max_head = MAX_HEAD_BYTES.min(limits.max_line as usize + limits.read_bytes);
            let mut web = Box::new(WebReader::new(max_head));
            // It returns no lines: the broadcaster must answer the handshake before them.
            web.read(&mut start.to_vec(), self.max_line(), &limits.web_hosts);
            self.web = Some(web);
        } else if may_be_request {
            self.lines.hold(start);
        } else {
            self.has_begun_request = false;
            return None;
        }
        // This event precedes the answer, even if the request is complete.
        let is_new = !std::mem::replace(&mut self.has_begun_request, true);
        let event = is_new.then(|| self.web_event(WebEvent::RequestBegun));
        Some(ReadResult { event, delay: None })
    }

    /// Parses the bytes of a client that speaks HTTP or WebSocket.
    pub(super) fn parse_web(&mut self, bytes: &mut [u8]) -> ReadResult {
        let max_line = self.max_line();
        let Some(web) = &mut self.web else { return ReadResult::default() };
        let limits = &self.budget.limits;
        let (rate, now) = (limits.rate, limits.now());
        let lines = web.read(bytes, max_line, &limits.web_hosts);
        // Bounded, so that the delay is bounded, too.
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
    pub(super) fn next_web_input(&mut self) -> Option<ReadResult> {
        #[cfg(feature = "tls")]
        let is_refused = self.refuses_plain_text();
        let web = self.web.as_mut()?;
        if let Some(event) = web.take_event() {
            #[cfg(feature = "tls")]
            let event = match event {
                WebEvent::Answer(_) if is_refused => web.refuse_plain_text(),
                event => event,
            };
            if let WebEvent::Closing { .. } = event {
                // Discards an incomplete line.
                self.lines.clear();
            }
            return Some(ReadResult { event: Some(self.web_event(event)), delay: None });
        }
        if let Some(mut rest) = web.take_rest() {
            return Some(self.parse_web(&mut rest));
        }
        None
    }

    /// Handles the end of the input of a client that has not completed its request, or whose first
    /// bytes look like the start of one.
    pub(super) fn end_request(&mut self) -> Option<ReadResult> {
        if let Some(web) = &mut self.web {
            web.end();
            return self.next_web_input();
        }
        // A word without a space is an ordinary line.
        if !std::mem::take(&mut self.has_begun_request) || !self.lines.buffer().contains(&b' ') {
            return None;
        }
        self.lines.clear();
        let event = Some(self.web_event(WebEvent::Answer(Answer::Response(cut_off_response()))));
        Some(ReadResult { event, delay: None })
    }

    /// Returns the reason for the room. A WebSocket client whose connection ends without a close
    /// frame may return.
    pub(super) fn web_disconnect_reason(&self, reason: DisconnectReason) -> DisconnectReason {
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
