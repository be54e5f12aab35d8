//! Handles the lines that the server sends to a session.

use std::time::Instant;

use serde::de::Error as _;

use super::{Session, State};
use crate::client::bounds::{bound_values, has_too_many_values};
use crate::client::link::HEARTBEAT_ID;
use crate::client::{Error, ReceivedFrame, SessionEvent};
use crate::protocol::{Body, ByeCode, ErrorCode, Frame, case_fold};

impl Session {
    /// Handles one line: updates the session, and adds the events that it causes.
    pub(super) fn on_line(&mut self, line: Vec<u8>) {
        let frame = match decode(&line) {
            Ok(frame) => frame,
            Err(error) => return self.on_disconnect(Error::Protocol(error), false),
        };
        let mut received = ReceivedFrame { frame, line, is_past: false, in_reply_to: None };
        match &received.frame.body {
            Body::Bye { code, .. } => return self.on_bye(*code, received),
            Body::Error { code, .. } if self.resume.is_awaiting_welcome() => {
                return self.on_refused_hello(*code, &received.frame);
            }
            // The welcome is the first line. Lines before it would be kept until it arrives.
            body if self.resume.is_awaiting_welcome() && !matches!(body, Body::Welcome { .. }) => {
                return;
            }
            Body::Info { id: Some(id), .. } | Body::Error { id: Some(id), .. }
                if id == HEARTBEAT_ID =>
            {
                self.resume.on_hello_confirmed(&mut self.events);
            }
            Body::Error { code: ErrorCode::LateHello, id: None } if !self.resume.is_live() => {
                self.resume.discard_token();
                return self.on_disconnect(Error::LateHello, false);
            }
            _ if self.resume.is_live() && self.reclaim.on_frame(&received.frame) => return,
            _ => {
                if !self.resume.is_unverified() {
                    received.in_reply_to = self.remove_answered(&received.frame);
                }
                if received.in_reply_to.is_some() {
                    self.backoff.on_progress();
                }
                if let Body::Welcome { nodes, .. } = &received.frame.body {
                    self.targets.set_nodes(nodes.iter().map(|node| &**node));
                }
                let seq_before = self.resume.seq();
                self.resume.on_frame(received, &mut self.events);
                // A connection that breaks during a long replay still makes progress.
                if self.resume.is_replaying() && self.resume.seq() > seq_before {
                    self.backoff.on_progress();
                }
            }
        }
        if self.resume.has_joined() && !self.is_quit_sent {
            self.deadline = None;
        }
        self.pending.add_own_name(self.resume.name());
        let is_now_live = self.resume.advance_to_live();
        if self.resume.is_live() {
            self.reclaim.set_names(self.resume.requested_name(), self.resume.name());
        }
        if is_now_live {
            self.on_live();
        }
    }

    fn on_live(&mut self) {
        self.targets.on_live();
        self.check_name();
        self.live_since = Some(Instant::now());
        let is_first = self.started_at.take().is_some();
        if self.disconnected_at.take().is_some() && !is_first {
            self.events.push_back(SessionEvent::Synced { pending: self.pending.len() });
        }
    }

    /// Leaves the room if the session has another name than it requires. Called before a line is
    /// sent.
    fn check_name(&mut self) {
        let name = self.resume.name();
        if let Some(requested) = self.resume.requested_name()
            && self.require_name
            && case_fold(requested) != case_fold(name)
        {
            let (requested, assigned) = (requested.into(), name.into());
            self.quit_with(Some(Error::NameTaken { requested, assigned }));
        }
    }

    /// Removes the pending line that a frame answers, and returns its id.
    fn remove_answered(&mut self, frame: &Frame<'_>) -> Option<String> {
        // A frame of the history may have the same id by chance.
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

    /// Handles an error before the welcome. An error about the password ends the session: another
    /// attempt would end the same way, and count as a guess.
    fn on_refused_hello(&mut self, code: ErrorCode, frame: &Frame<'_>) {
        let error = match code {
            // The hello has a password: it has not arrived yet.
            ErrorCode::PasswordRequired if self.resume.has_password() => return,
            ErrorCode::PasswordRequired => Error::PasswordRequired,
            ErrorCode::WrongPassword => Error::WrongPassword,
            ErrorCode::TooManyTries | ErrorCode::TlsRequired => {
                Error::Closed(Some(frame.data.to_string()))
            }
            _ => return,
        };
        self.state = State::Ended(Some(error));
    }

    /// Handles the last frame of a connection: reconnects or ends, depending on its code.
    fn on_bye(&mut self, code: ByeCode, received: ReceivedFrame) {
        let error = Error::Closed(Some(received.frame.data.to_string()));
        self.events.push_back(SessionEvent::Received(received));
        match code {
            ByeCode::Quit if self.is_quit_sent => self.state = State::Ended(self.quit_error.take()),
            // `Quit` without `/quit`: something between client and server closed the connection.
            ByeCode::Quit
            | ByeCode::Shutdown
            | ByeCode::Unreachable
            | ByeCode::Full
            | ByeCode::Locked
            | ByeCode::TooFast => {
                self.on_disconnect(error, false);
            }
            ByeCode::Slow | ByeCode::KeyLimit => self.on_disconnect(error, true),
            // Not resumed: two clients with the same token would replace each other forever.
            ByeCode::Replaced => self.state = State::Ended(Some(Error::Replaced)),
            // Another attempt would end the same way. This is also assumed of unknown codes.
            ByeCode::Errors
            | ByeCode::Password
            | ByeCode::TlsRequired
            | ByeCode::Kicked
            | ByeCode::Banned
            | ByeCode::Tls
            | ByeCode::Http
            | ByeCode::Proxy
            | ByeCode::ProxyRequired
            | ByeCode::Ssh
            | ByeCode::Irc
            | ByeCode::OtherProtocol
            | ByeCode::Unknown => self.state = State::Ended(Some(error)),
        }
    }
}

/// Parses a line from the server, and bounds its names.
fn decode(line: &[u8]) -> Result<Frame<'static>, serde_json::Error> {
    if has_too_many_values(line) {
        return Err(serde_json::Error::custom("the line has too many values"));
    }
    let mut frame = Frame::decode(line)?;
    bound_values(&mut frame)
        .map_err(|value| serde_json::Error::custom(format!("{value} is too long")))?;
    Ok(frame)
}
