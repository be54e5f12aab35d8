//! The reader of a connection that speaks HTTP or WebSocket.

#[cfg(feature = "tls")]
use super::tls_required_response;
use super::{
    Answer, CloseCode, Decoded, Decoder, HeadReader, Opcode, answer, cut_off_response, pong_frame,
    too_large_response,
};
use crate::room::DisconnectReason;

/// The most bytes of a WebSocket message beside the longest line. A message can have several
/// lines.
const MAX_MESSAGE_BYTES: u64 = 64 * 1024;

/// An event of a connection that speaks HTTP or WebSocket, for the broadcaster.
#[derive(Debug)]
pub enum WebEvent {
    /// The first bytes of the client look like an HTTP request.
    RequestBegun,
    /// The client is sent the answer to its request.
    Answer(Answer),
    /// The client is sent the answer to its last ping.
    Pong(Vec<u8>),
    /// The client has closed the WebSocket, or has to be closed.
    Closing {
        /// The code of the close frame.
        code: Option<CloseCode>,
        reason: DisconnectReason,
    },
}

/// A reader for a connection that speaks HTTP or WebSocket.
#[derive(Debug)]
pub struct WebReader {
    state: ReaderState,
    /// Boxed, because it is rare.
    pending: Option<Box<PendingEvent>>,
    /// Control frames that were read and not counted.
    control_frames: u32,
}

/// The event that follows the lines that were read.
#[derive(Debug)]
struct PendingEvent {
    /// `None` if it was taken.
    event: Option<WebEvent>,
    /// Bytes behind a handshake, to be read after the event.
    rest: Vec<u8>,
}

#[derive(Debug)]
enum ReaderState {
    Head(HeadReader),
    Messages {
        decoder: Decoder,
        /// The last byte of the message is a newline, so that its end is not the end of a line.
        is_line_ended: bool,
    },
    /// All further input is discarded. Unread input would cause a reset, which can discard the
    /// answer.
    Ended,
}

impl WebReader {
    /// Creates a reader for a connection that begins with a request, whose head has at most
    /// `max_head` bytes.
    pub fn new(max_head: usize) -> Self {
        WebReader {
            state: ReaderState::Head(HeadReader::new(max_head)),
            pending: None,
            control_frames: 0,
        }
    }

    /// Reads bytes, and returns the lines in them.
    pub fn read(&mut self, bytes: &mut [u8], max_line: u32, hosts: &[String]) -> Vec<u8> {
        match &mut self.state {
            ReaderState::Messages { .. } => return self.read_messages(bytes),
            ReaderState::Head(reader) => {
                let (answer, rest) = match reader.read(bytes) {
                    Ok(None) => return Vec::new(),
                    Ok(Some(rest)) => (answer(reader.head(), hosts), rest.to_vec()),
                    Err(_) => (Answer::Response(too_large_response()), Vec::new()),
                };
                self.on_answer(answer, rest, max_line);
            }
            ReaderState::Ended => {}
        }
        Vec::new()
    }

    /// Handles the end of the input.
    pub fn end(&mut self) {
        if matches!(self.state, ReaderState::Head(_)) {
            self.on_answer(Answer::Response(cut_off_response()), Vec::new(), 0);
        }
    }

    fn on_answer(&mut self, answer: Answer, rest: Vec<u8>, max_line: u32) {
        self.state = match answer {
            Answer::Response(_) => ReaderState::Ended,
            _ => {
                let decoder = Decoder::new(MAX_MESSAGE_BYTES + u64::from(max_line));
                ReaderState::Messages { decoder, is_line_ended: false }
            }
        };
        let event = Some(WebEvent::Answer(answer));
        self.pending = Some(Box::new(PendingEvent { event, rest }));
    }

    /// Decodes the frames in `bytes`. Every message ends a line.
    fn read_messages(&mut self, mut bytes: &mut [u8]) -> Vec<u8> {
        let ReaderState::Messages { decoder, is_line_ended } = &mut self.state else {
            return Vec::new();
        };
        let mut lines = Vec::new();
        while let Some(decoded) = decoder.next(&mut bytes) {
            match decoded {
                Decoded::Text(text) => {
                    lines.extend_from_slice(text);
                    if let Some(last) = text.last() {
                        *is_line_ended = *last == b'\n';
                    }
                }
                Decoded::End(Opcode::Binary) | Decoded::Binary(_) => {
                    return self.close(Some(CloseCode::UNSUPPORTED), lines);
                }
                Decoded::End(_) => {
                    if !std::mem::take(is_line_ended) {
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
                // RFC 6455, section 5.5.1: the answer has the same code.
                Decoded::Close(code) => return self.close(code, lines),
            }
        }
        lines
    }

    /// Closes the connection after `lines`.
    fn close(&mut self, code: Option<CloseCode>, lines: Vec<u8>) -> Vec<u8> {
        // A browser sends 1001 or no code when the page is left or reloaded.
        let reason = match code {
            None | Some(CloseCode::GOING_AWAY) => DisconnectReason::Away,
            _ => DisconnectReason::Finished,
        };
        self.pending = Some(PendingEvent::new(WebEvent::Closing { code, reason }));
        self.state = ReaderState::Ended;
        lines
    }

    /// Removes and returns the event that follows the lines that were read.
    pub fn take_event(&mut self) -> Option<WebEvent> {
        self.pending.as_mut()?.event.take()
    }

    /// Removes and returns the bytes to read after the event.
    pub fn take_rest(&mut self) -> Option<Vec<u8>> {
        self.pending.take().map(|pending| pending.rest)
    }

    /// Returns the answer to a request of a client that must use TLS. Discards all further input.
    #[cfg(feature = "tls")]
    pub fn refuse_plain_text(&mut self) -> WebEvent {
        self.state = ReaderState::Ended;
        self.pending = None;
        WebEvent::Answer(Answer::Response(tls_required_response()))
    }

    /// Returns the number of control frames since the last call.
    pub fn take_control_frames(&mut self) -> usize {
        std::mem::take(&mut self.control_frames) as usize
    }

    /// Returns whether the client may return after its connection has ended: it speaks WebSocket,
    /// and has not closed it.
    pub fn may_return(&self) -> bool {
        matches!(self.state, ReaderState::Messages { .. })
    }
}

impl PendingEvent {
    fn new(event: WebEvent) -> Box<Self> {
        Box::new(PendingEvent { event: Some(event), rest: Vec::new() })
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
