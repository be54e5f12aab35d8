//! Handles the events of the session of a [`LineClient`].

use std::time::{Duration, Instant};

use super::{INPUT_TIMEOUT, LineClient};
use crate::app::access::describe_left_out;
use crate::app::event_sink::EventSink;
use crate::app::link_status::{describe_error, format_gap, format_loss};
use crate::app::outage::Outage;
use crate::app::token_store::TokenStore;
use crate::client::{self, ReceivedFrame, SessionEvent, sanitize};
use crate::protocol::{Body, ByeCode, Frame};

impl LineClient {
    pub(super) fn on_event(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Received(received) => self.on_frame(&received),
            SessionEvent::Disconnected { cause, retry_in } => self.on_disconnected(cause, retry_in),
            SessionEvent::Reconnected { resumed, .. } => {
                if let Some(outage) = &mut self.outage {
                    outage.record_reconnect(resumed);
                    self.has_reconnected = true;
                }
            }
            SessionEvent::Gap { from, to } => match &mut self.outage {
                Some(outage) => outage.record_gap(from, to),
                None => self.sink.write_status(&format_gap(from, to)),
            },
            SessionEvent::Synced { pending } => {
                if let Some(outage) = self.outage.take() {
                    self.sink.write_status(&outage.format_end(pending));
                }
            }
        }
    }

    fn on_disconnected(&mut self, cause: client::Error, retry_in: Duration) {
        // Each failed attempt is an event. Before the first connection, each new error is printed.
        let is_repeated = self
            .outage
            .as_ref()
            .is_some_and(|outage| describe_error(&outage.cause) == describe_error(&cause));
        if self.has_joined && self.outage.is_none() {
            self.sink.write_status(&format_loss(&cause, Some(retry_in)));
        } else if !self.has_joined && !is_repeated && self.is_bot() {
            self.sink.write_status(&format!("{}; trying again", describe_error(&cause)));
        }
        match &mut self.outage {
            Some(outage) => {
                if outage.record_left_out(&cause) {
                    self.sink.write_status(&describe_left_out(&cause));
                }
                outage.record_failure(cause);
            }
            None => self.outage = Some(Outage::new(cause)),
        }
    }

    fn on_frame(&mut self, received: &ReceivedFrame) {
        if let Body::Welcome { .. } = received.frame.body
            && !std::mem::replace(&mut self.has_joined, true)
        {
            // Lines are accepted from now on.
            self.input_deadline = self.input_deadline.map(|_| Instant::now() + INPUT_TIMEOUT);
            if self.outage.take().is_some() && self.is_bot() {
                self.sink.write_status("connected");
            }
        }
        self.update_token(&received.frame);
        let is_refusal =
            received.in_reply_to.is_some() && matches!(received.frame.body, Body::Error { .. });
        self.refused_count += usize::from(is_refusal && !self.is_interactive);
        if received.in_reply_to.is_some() {
            self.answer_deadline = None;
        }
        let is_covered = self.is_covered(received);
        if let Some(outage) = &mut self.outage
            && !is_covered
        {
            outage.shown_count += usize::from(received.frame.body.seq().is_some());
        }
        if !is_covered || !matches!(self.sink, EventSink::Text(_)) {
            self.sink.write_frame(received, self.session.name());
        }
    }

    /// Returns whether a message about the connection has the information of the frame.
    fn is_covered(&self, received: &ReceivedFrame) -> bool {
        match &received.frame.body {
            Body::Welcome { .. } => self.outage.is_some(),
            Body::Bye { .. } => !self.session.is_finishing(),
            Body::Join { names, .. } | Body::Leave { names, .. } => {
                let is_own = names.iter().all(|name| name == self.session.name());
                self.has_reconnected && !received.is_past && is_own
            }
            _ => false,
        }
    }

    /// Stores the token for a client that is started after this one was killed.
    fn update_token(&mut self, frame: &Frame<'_>) {
        match &frame.body {
            Body::Welcome { token, .. } => self.token = token.to_string(),
            Body::Name { to, .. } if to == self.session.name() => {
                if self.is_bot() {
                    self.sink.write_status(&format!("the name is {} now", sanitize(to)));
                }
            }
            Body::Bye { code: ByeCode::Quit | ByeCode::Replaced, .. } => {
                return self.token_store.iter_mut().for_each(TokenStore::remove);
            }
            _ => return,
        }
        if let Some(store) = &mut self.token_store {
            store.update(self.session.name(), &self.token);
        }
    }
}
