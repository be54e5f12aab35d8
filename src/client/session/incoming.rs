//! What a session makes of the lines from the server.

use super::{Session, State};
use crate::client::link::HEARTBEAT_ID;
use crate::client::{Error, Received, SessionEvent};
use crate::protocol::{Body, ByeCode, ErrorCode, Frame};

impl Session {
    /// Takes in a line from the server.
    pub(super) fn on_line(&mut self, line: Vec<u8>) {
        let frame = match Frame::decode(&line) {
            Ok(frame) => frame,
            Err(error) => return self.on_disconnect(Error::Protocol(error), false),
        };
        let mut received = Received { frame, line, is_past: false, in_reply_to: None };
        match &received.frame.body {
            Body::Bye { code, .. } => return self.on_bye(*code, received),
            Body::Info { id: Some(id), .. } | Body::Error { id: Some(id), .. }
                if id == HEARTBEAT_ID =>
            {
                self.resume.on_hello_confirmed(&mut self.events);
            }
            Body::Error { code: ErrorCode::LateHello, id: None } if !self.resume.is_live() => {
                self.resume.discard_token();
                return self.on_disconnect(Error::LateHello, false);
            }
            _ => {
                if !self.resume.is_unverified() {
                    received.in_reply_to = self.remove_answered(&received.frame);
                }
                let before = self.resume.seq();
                self.resume.on_frame(received, &mut self.events);
                // A link that brings some of what was missed each time is worth coming back to.
                if self.resume.is_replaying() && self.resume.seq() > before {
                    self.backoff.reset();
                }
            }
        }
        self.pending.add_own_name(self.resume.name());
        if self.resume.advance_to_live() {
            self.backoff.reset();
            if self.disconnected_at.take().is_some() {
                self.events.push_back(SessionEvent::Synced { pending: self.pending.len() });
            }
        }
    }

    /// Which of our lines this answers.
    fn remove_answered(&mut self, frame: &Frame<'_>) -> Option<String> {
        // What is from before answers nothing, though it may have the same id.
        if frame.body.seq().is_some_and(|seq| seq <= self.resume.seq()) {
            return None;
        }
        let author = match &frame.body {
            Body::Chat { .. } | Body::Action { .. } | Body::Private { .. } => {
                Some(&*frame.data_source)
            }
            Body::Name { from, .. } => Some(&**from),
            _ => None,
        };
        match (&frame.body, frame.body.id()) {
            (_, Some(id)) => self.pending.remove_answered(id, author).then(|| id.to_owned()),
            (Body::Error { code: ErrorCode::TooLong, .. }, None) => {
                let limits = self.resume.limits()?;
                self.pending.remove_too_long(limits.max_line)
            }
            _ => None,
        }
    }

    /// The server says bye.
    fn on_bye(&mut self, code: ByeCode, received: Received) {
        let why = Error::Closed(Some(received.frame.data.to_string()));
        self.events.push_back(SessionEvent::Received(received));
        match code {
            ByeCode::Quit if self.is_quit_sent => self.state = State::Ended(None),
            // We did not ask to leave: something on the way has closed our side for us.
            ByeCode::Quit | ByeCode::Shutdown | ByeCode::Full | ByeCode::TooFast => {
                self.on_disconnect(why, false);
            }
            ByeCode::Slow => self.on_disconnect(why, true),
            // To take it back would be the beginning of a fight.
            ByeCode::Replaced => self.state = State::Ended(Some(Error::Replaced)),
            // We are not understood; or it is a reason that we do not know, after which it is
            // better not to come back.
            ByeCode::Errors | ByeCode::Tls | ByeCode::Http | ByeCode::Unknown => {
                self.state = State::Ended(Some(why));
            }
        }
    }
}
