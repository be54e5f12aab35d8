//! The reader of a connection that speaks HTTP or WebSocket.

use super::{
    Answer, CloseCode, Decoded, Decoder, HeadReader, Opcode, Response, answer, pong_frame,
    too_large,
};

/// The most bytes of a WebSocket message, beside the longest line. A message can have several lines.
const MAX_MESSAGE_BYTES: u64 = 64 * 1024;

/// An event of a connection that speaks HTTP or WebSocket, for the broadcaster.
#[derive(Debug)]
pub enum WebEvent {
    /// The first bytes of the client look like an HTTP request.
    RequestBegun,
    /// The first bytes of the client have turned out to be a line.
    NoRequest,
    /// The client is sent a response, and its connection ends.
    Response(Response),
    /// The client is sent the response to its handshake, and speaks WebSocket from now on.
    Upgraded {
        response: Vec<u8>,
        /// The request has an origin, so a browser has sent it.
        is_browser: bool,
    },
    /// The client is sent the answer to its last ping.
    Pong(Vec<u8>),
    /// The connection is about to end, with this code in the close frame.
    Closing(Option<CloseCode>),
}

/// A reader for a connection that speaks HTTP or WebSocket.
#[derive(Debug)]
pub struct WebReader {
    state: State,
    /// Boxed, because it is rare.
    pending: Option<Box<PendingEvent>>,
    /// Control frames that were read and not counted.
    control_frames: u32,
}

/// The event that follows the lines that were read.
#[derive(Debug)]
pub struct PendingEvent {
    pub event: WebEvent,
    /// Bytes behind a handshake, to be read after the event.
    pub rest: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Head(HeadReader),
    Messages {
        decoder: Decoder,
        /// The message has bytes after its last newline.
        is_inside_line: bool,
    },
    /// All further input is discarded.
    Answered,
    Closed {
        may_return: bool,
    },
}

impl WebReader {
    /// Creates a reader for a connection whose first bytes are those of a request, whose head has at
    /// most `max_head` bytes.
    pub fn new(max_head: usize) -> Self {
        WebReader {
            state: State::Head(HeadReader::new(max_head)),
            pending: None,
            control_frames: 0,
        }
    }

    /// Reads bytes, and returns the lines in them.
    pub fn read(&mut self, bytes: &mut [u8], max_line: u32, hosts: &[String]) -> Vec<u8> {
        match &mut self.state {
            State::Messages { .. } => return self.read_messages(bytes),
            State::Head(reader) => match reader.read(bytes) {
                Ok(None) => {}
                Ok(Some(rest)) => {
                    let answer = answer(reader.head(), hosts);
                    self.on_answer(answer, rest.to_vec(), max_line);
                }
                Err(_) => self.on_response(too_large()),
            },
            State::Answered | State::Closed { .. } => {}
        }
        Vec::new()
    }

    fn on_answer(&mut self, answer: Answer, rest: Vec<u8>, max_line: u32) {
        match answer {
            Answer::Response(response) => self.on_response(response),
            Answer::Upgrade { response, is_browser } => {
                let event = WebEvent::Upgraded { response, is_browser };
                self.pending = Some(Box::new(PendingEvent { event, rest }));
                let decoder = Decoder::new(MAX_MESSAGE_BYTES + u64::from(max_line));
                self.state = State::Messages { decoder, is_inside_line: false };
            }
        }
    }

    fn on_response(&mut self, response: Response) {
        self.pending = Some(PendingEvent::new(WebEvent::Response(response)));
        self.state = State::Answered;
    }

    /// Decodes the frames in `bytes`. Every message ends a line.
    fn read_messages(&mut self, mut bytes: &mut [u8]) -> Vec<u8> {
        let State::Messages { decoder, is_inside_line } = &mut self.state else {
            return Vec::new();
        };
        let mut lines = Vec::new();
        while let Some(decoded) = decoder.next(&mut bytes) {
            match decoded {
                Decoded::Text(text) => {
                    lines.extend_from_slice(text);
                    if let Some(last) = text.last() {
                        *is_inside_line = *last != b'\n';
                    }
                }
                Decoded::End(Opcode::Binary) | Decoded::Binary(_) => {
                    return self.close(Some(CloseCode::UNSUPPORTED), lines);
                }
                Decoded::End(_) => {
                    if std::mem::take(is_inside_line) {
                        lines.push(b'\n');
                    }
                }
                Decoded::Ping(payload) => {
                    self.control_frames += 1;
                    // A later ping replaces it: one answer is enough (RFC 6455, section 5.5.3).
                    self.pending = Some(PendingEvent::new(WebEvent::Pong(pong_frame(payload))));
                }
                Decoded::Pong => self.control_frames += 1,
                Decoded::Error(code) => return self.close(Some(code), lines),
                // The code is sent back.
                Decoded::Close(code) => return self.close(code, lines),
            }
        }
        lines
    }

    /// Closes the connection after `lines`.
    fn close(&mut self, code: Option<CloseCode>, lines: Vec<u8>) -> Vec<u8> {
        self.pending = Some(PendingEvent::new(WebEvent::Closing(code)));
        // Without a code, or on its way to another page, which may be the same one.
        let may_return = matches!(code, None | Some(CloseCode::GOING_AWAY));
        self.state = State::Closed { may_return };
        lines
    }

    /// Removes and returns the event that follows the lines that were read.
    pub fn take_pending(&mut self) -> Option<PendingEvent> {
        self.pending.take().map(|pending| *pending)
    }

    /// Returns the number of control frames since the last call.
    pub fn take_control_frames(&mut self) -> usize {
        std::mem::take(&mut self.control_frames) as usize
    }

    /// Returns whether nothing more is read.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// Returns whether the client may return after its connection has ended: it spoke WebSocket, and
    /// did not close it for good.
    pub fn may_return(&self) -> bool {
        match self.state {
            State::Messages { .. } => true,
            State::Closed { may_return } => may_return,
            State::Head(_) | State::Answered => false,
        }
    }
}

impl PendingEvent {
    fn new(event: WebEvent) -> Box<Self> {
        Box::new(PendingEvent { event, rest: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_is_small() {
        assert!(size_of::<WebReader>() <= 108, "{} bytes", size_of::<WebReader>());
    }
}
