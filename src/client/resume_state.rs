//! Where a client stands in the room's sequence, from one connection to the next. No sockets.

use std::collections::VecDeque;
use std::fmt;

use serde::Serialize;

use super::{Received, SessionConfig, SessionEvent};
use crate::protocol::{Body, Limits};

/// Who we are to the room and how much of its sequence we have, and what each line from the
/// server changes about that.
#[derive(Debug)]
pub struct ResumeState {
    /// The name to ask for: the one that was wished for at first, or was taken by `/nick`.
    requested_name: Option<String>,
    history: usize,
    keep: bool,
    /// The name that the room knows us by.
    name: String,
    epoch: Option<String>,
    /// The last number of the sequence that was handed out.
    seq: u64,
    token: Option<ResumeToken>,
    limits: Option<Limits>,
    /// The number that the last welcome told: what is above came after us.
    welcome_seq: u64,
    /// The server has answered what was sent behind the hello of this connection.
    is_hello_confirmed: bool,
    stage: Stage,
}

/// How far this connection has come.
#[derive(Debug)]
enum Stage {
    /// No welcome came yet.
    AwaitingWelcome,
    /// The welcome is one for a newcomer, in the epoch that we named: either our hello came after
    /// the server had let us in as a guest, or it cannot resume.
    Unverified { welcome: Box<Received>, newest: u64 },
    /// Welcomed; what was missed is on its way.
    Replaying { resumed: bool },
    /// All that was missed is here, and what is said now will be heard.
    Live,
}

/// A secret, which has no business in a log.
struct ResumeToken(String);

impl fmt::Debug for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeToken(…)")
    }
}

impl ResumeState {
    /// Of somebody who has never been in the room.
    pub fn new(config: SessionConfig) -> Self {
        ResumeState {
            requested_name: config.name,
            history: config.history,
            keep: config.keep,
            name: String::new(),
            epoch: None,
            seq: 0,
            token: None,
            limits: None,
            welcome_seq: 0,
            is_hello_confirmed: false,
            stage: Stage::AwaitingWelcome,
        }
    }

    /// The name that the room knows us by; empty before the first welcome.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the last welcome asked us to keep to.
    pub fn limits(&self) -> Option<Limits> {
        self.limits
    }

    /// Whether there ever was a welcome.
    pub fn was_welcomed(&self) -> bool {
        self.limits.is_some()
    }

    /// Whether all that was missed is here, and what is said now will be heard.
    pub fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live)
    }

    /// Whether what was missed is on its way.
    pub fn is_replaying(&self) -> bool {
        matches!(self.stage, Stage::Replaying { resumed: true })
    }

    /// The last number of the sequence that was handed out.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Whether it is yet to be seen what this connection is worth. What comes over it until then
    /// is neither handed out nor believed.
    pub fn is_unverified(&self) -> bool {
        matches!(self.stage, Stage::Unverified { .. })
    }

    /// Begins another connection: the line to say first.
    pub fn start_connection(&mut self) -> String {
        #[derive(Serialize)]
        struct First<'a> {
            hello: Hello<'a>,
        }
        #[derive(Serialize)]
        struct Hello<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            name: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            epoch: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            after: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            token: Option<&'a str>,
            keep: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            history: Option<usize>,
        }
        self.stage = Stage::AwaitingWelcome;
        self.is_hello_confirmed = false;
        let hello = Hello {
            name: self.requested_name.as_deref(),
            epoch: self.epoch.as_deref(),
            after: self.epoch.as_ref().map(|_| self.seq),
            token: self.token.as_ref().map(|token| token.0.as_str()),
            keep: self.keep,
            history: Some(self.history).filter(|count| *count > 0 && !self.was_welcomed()),
        };
        // All of it is strings and numbers, which cannot fail.
        serde_json::to_string(&First { hello }).unwrap_or_default()
    }

    /// The connection is gone.
    pub fn on_disconnect(&mut self) {
        self.stage = Stage::AwaitingWelcome;
    }

    /// The server told that our hello came too late: whose token this is, nobody wants to be.
    /// Not so while that welcome was in doubt, and so was never taken over.
    pub fn discard_token(&mut self) {
        if !self.is_unverified() {
            self.token = None;
        }
    }

    /// The server has answered what was sent behind the hello.
    pub fn on_hello_confirmed(&mut self, events: &mut VecDeque<SessionEvent>) {
        self.is_hello_confirmed = true;
        match std::mem::replace(&mut self.stage, Stage::AwaitingWelcome) {
            // The hello was heard and nothing resumed; what came in the meantime was not shown.
            Stage::Unverified { welcome, newest } => {
                self.accept_welcome(*welcome, events);
                self.skip_to(newest, events);
            }
            stage => self.stage = stage,
        }
    }

    /// Whether the last line that was taken in makes us [inside](Self::is_live). That is so
    /// when the replay has come to the number of the welcome, and the hello was surely heard.
    pub fn advance_to_live(&mut self) -> bool {
        let is_synced = matches!(self.stage, Stage::Replaying { .. })
            && self.is_hello_confirmed
            && self.seq >= self.welcome_seq;
        if is_synced {
            self.stage = Stage::Live;
        }
        is_synced
    }

    /// Takes in a line, and hands out what is to be made of it.
    pub fn on_frame(&mut self, mut received: Received, events: &mut VecDeque<SessionEvent>) {
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
                // Nothing was asked for before the replay is complete, so this is none of it.
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

    /// Goes on behind number `to`. What was between is not going to come.
    fn skip_to(&mut self, to: u64, events: &mut VecDeque<SessionEvent>) {
        if to > self.seq {
            events.push_back(SessionEvent::Gap { from: self.seq + 1, to });
            self.seq = to;
        }
    }

    /// Takes what a welcome says for the truth.
    fn accept_welcome(&mut self, received: Received, events: &mut VecDeque<SessionEvent>) {
        let Body::Welcome { name, epoch, seq, token, resumed, limits, .. } = &received.frame.body
        else {
            return;
        };
        let (seq, resumed) = (*seq, *resumed);
        let is_same_epoch = self.epoch.as_deref() == Some(&**epoch);
        let was_welcomed = self.was_welcomed();
        self.name = name.to_string();
        self.token = Some(ResumeToken(token.to_string()));
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

    /// Learns a new name of our own from the frame that tells of it.
    fn track_own_name(&mut self, received: &Received) {
        let Body::Name { from, to, .. } = &received.frame.body else { return };
        // In a replay, the name was somebody else's perhaps; the welcome knows it already.
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
