//! The position of a client in the sequence of the room, over all its connections. Does no I/O.

use std::collections::VecDeque;

use serde::Serialize;

use super::{ReceivedFrame, SessionConfig, SessionEvent};
use crate::protocol::{Body, Limits, Secret};

/// The identity of a client, the last sequence number that it received, and the stage of its
/// present connection.
///
/// Each frame from the server changes this state, and becomes events for the application.
#[derive(Debug)]
pub struct ResumeState {
    /// The name to ask for: that of the configuration, or the last one set with `/nick`.
    requested_name: Option<String>,
    history: usize,
    keep_name: bool,
    is_quiet: bool,
    /// The name that the server assigned.
    name: String,
    epoch: Option<String>,
    /// The last sequence number that was passed to the application.
    seq: u64,
    token: Option<Secret>,
    /// The token of the configuration, between the first welcome and the answer to the hello.
    configured_token: Option<Secret>,
    password: Option<Secret>,
    limits: Option<Limits>,
    /// The last sequence number before this connection joined, from its welcome.
    welcome_seq: u64,
    /// Whether the server answered the heartbeat that follows the hello of this connection.
    is_hello_confirmed: bool,
    stage: Stage,
}

/// The stage of a connection.
#[derive(Debug)]
enum Stage {
    /// No welcome was received.
    AwaitingWelcome,
    /// The welcome does not resume, although it is of the known epoch. Either the server admitted
    /// this connection as a guest before the hello arrived, or it cannot resume. The answer to
    /// the hello decides. `newest` is the highest sequence number received until then.
    Unverified { welcome: Box<ReceivedFrame>, newest: u64 },
    /// The missed frames are being received.
    Replaying { resumed: bool },
    /// All missed frames were received, and lines can be sent.
    Live,
}

#[derive(Serialize)]
struct HelloLine<'a> {
    hello: HelloObject<'a>,
}

#[derive(Serialize)]
struct HelloObject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    keep: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    quiet: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<usize>,
}

impl ResumeState {
    /// Creates the state of a client that has never joined.
    pub fn new(config: SessionConfig) -> Self {
        ResumeState {
            requested_name: config.name,
            history: config.history,
            keep_name: config.keep_name,
            is_quiet: config.is_quiet,
            name: String::new(),
            epoch: None,
            seq: 0,
            token: config.token,
            configured_token: None,
            password: config.password,
            limits: None,
            welcome_seq: 0,
            is_hello_confirmed: false,
            stage: Stage::AwaitingWelcome,
        }
    }

    /// Returns the name that the server assigned, or an empty string before the first welcome.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name that the next hello asks for.
    pub fn requested_name(&self) -> Option<&str> {
        self.requested_name.as_deref()
    }

    /// Returns the limits of the last welcome.
    pub fn limits(&self) -> Option<Limits> {
        self.limits
    }

    /// Returns whether the hello has a password.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Returns whether a welcome was ever accepted.
    pub fn was_welcomed(&self) -> bool {
        self.limits.is_some()
    }

    /// Returns whether all missed frames were received, so that lines can be sent.
    pub fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live)
    }

    /// Returns whether no welcome was received over this connection.
    pub fn is_awaiting_welcome(&self) -> bool {
        matches!(self.stage, Stage::AwaitingWelcome)
    }

    /// Returns whether the welcome of this connection was accepted.
    pub fn has_joined(&self) -> bool {
        matches!(self.stage, Stage::Replaying { .. } | Stage::Live)
    }

    /// Returns whether missed frames are being received after a resume.
    pub fn is_replaying(&self) -> bool {
        matches!(self.stage, Stage::Replaying { resumed: true })
    }

    /// Returns whether the welcome of this connection is not yet accepted. Frames received until
    /// then are not passed on.
    pub fn is_unverified(&self) -> bool {
        matches!(self.stage, Stage::Unverified { .. })
    }

    /// Returns the last sequence number that was passed to the application.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Starts another connection, and returns its first line.
    pub fn start_connection(&mut self) -> String {
        self.stage = Stage::AwaitingWelcome;
        self.is_hello_confirmed = false;
        let hello = HelloObject {
            name: self.requested_name.as_deref(),
            epoch: self.epoch.as_deref(),
            after: self.epoch.as_ref().map(|_| self.seq),
            token: self.token.as_ref().map(|token| &*token.0),
            password: self.password.as_ref().map(|password| &*password.0),
            keep: self.keep_name,
            quiet: self.is_quiet,
            history: Some(self.history).filter(|count| *count > 0 && !self.was_welcomed()),
        };
        let line = serde_json::to_string(&HelloLine { hello });
        // A struct of strings and numbers is always serialised.
        debug_assert!(line.is_ok());
        line.unwrap_or_default()
    }

    /// Ends the present connection.
    pub fn on_disconnect(&mut self) {
        self.stage = Stage::AwaitingWelcome;
    }

    /// Handles the error that the hello arrived too late: the token of the accepted welcome is
    /// that of a guest, and is discarded.
    ///
    /// An unverified welcome was never accepted, so the token is still the one from before.
    pub fn discard_token(&mut self) {
        if !self.is_unverified() {
            self.token = self.configured_token.take();
        }
    }

    /// Handles the answer to the heartbeat that follows the hello: the hello was not too late.
    pub fn on_hello_confirmed(&mut self, events: &mut VecDeque<SessionEvent>) {
        self.is_hello_confirmed = true;
        self.configured_token = None;
        match std::mem::replace(&mut self.stage, Stage::AwaitingWelcome) {
            // The server cannot resume. The frames received since the welcome were not passed on.
            Stage::Unverified { welcome, newest } => {
                self.accept_welcome(*welcome, events);
                self.skip_to(newest, events);
            }
            stage => self.stage = stage,
        }
    }

    /// Enters the live stage if the replay is complete and the hello is confirmed. Returns whether
    /// it was entered now.
    pub fn advance_to_live(&mut self) -> bool {
        let is_synced = matches!(self.stage, Stage::Replaying { .. })
            && self.is_hello_confirmed
            && self.seq >= self.welcome_seq;
        if is_synced {
            self.stage = Stage::Live;
        }
        is_synced
    }

    /// Handles a frame, and adds the events that it causes.
    pub fn on_frame(&mut self, mut received: ReceivedFrame, events: &mut VecDeque<SessionEvent>) {
        if let Body::Welcome { epoch, seq, resumed, .. } = &received.frame.body {
            if !resumed && self.epoch.as_deref() == Some(epoch) {
                self.stage = Stage::Unverified { newest: *seq, welcome: Box::new(received) };
            } else {
                self.accept_welcome(received, events);
            }
            return;
        }
        let seq = received.frame.body.seq();
        if let Stage::Unverified { newest, .. } = &mut self.stage {
            *newest = seq.unwrap_or(0).max(*newest);
            return;
        }
        match seq {
            Some(seq) if seq <= self.seq => {
                // A duplicate. It is not history: `/history` is not sent during a replay.
                if self.is_replaying() {
                    return;
                }
                received.is_past = true;
            }
            Some(seq) => {
                self.skip_to(seq - 1, events);
                self.seq = seq;
                self.track_own_name(&received);
            }
            None => {}
        }
        let gap = match received.frame.body {
            Body::Gap { to, .. } => Some(to),
            _ => None,
        };
        events.push_back(SessionEvent::Received(received));
        if let Some(to) = gap {
            self.skip_to(to, events);
        }
    }

    /// Advances the sequence number to `to`. The frames before it are lost.
    fn skip_to(&mut self, to: u64, events: &mut VecDeque<SessionEvent>) {
        if to > self.seq {
            events.push_back(SessionEvent::Gap { from: self.seq + 1, to });
            self.seq = to;
        }
    }

    /// Takes the name, token, limits and position from a welcome.
    fn accept_welcome(&mut self, received: ReceivedFrame, events: &mut VecDeque<SessionEvent>) {
        let Body::Welcome { name, epoch, seq, token, resumed, limits, .. } = &received.frame.body
        else {
            return;
        };
        let (seq, resumed) = (*seq, *resumed);
        let is_same_epoch = self.epoch.as_deref() == Some(&**epoch);
        let was_welcomed = self.was_welcomed();
        self.name = name.to_string();
        let old_token = self.token.replace(Secret((**token).into()));
        if !was_welcomed {
            self.configured_token = old_token;
        }
        self.limits = Some(*limits);
        self.welcome_seq = seq;
        self.stage = Stage::Replaying { resumed };
        if !is_same_epoch {
            self.epoch = Some(epoch.to_string());
            self.seq = seq;
        }
        if was_welcomed {
            let missed = seq.saturating_sub(self.seq);
            events.push_back(SessionEvent::Reconnected { resumed, missed });
        }
        events.push_back(SessionEvent::Received(received));
    }

    /// Updates the own name from a `name` frame.
    fn track_own_name(&mut self, received: &ReceivedFrame) {
        let Body::Name { from, to, .. } = &received.frame.body else { return };
        // A replayed frame is older than the welcome, which has the present name. `from` may be
        // the name of another member at that time.
        if self.seq > self.welcome_seq && *from == self.name {
            self.name = to.to_string();
            self.requested_name = Some(to.to_string());
        } else if received.in_reply_to.is_some() {
            self.requested_name = Some(to.to_string());
        }
    }
}

#[cfg(test)]
mod tests;
