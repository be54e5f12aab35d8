//! Handles the events of the session in the terminal client.

use futures_lite::future;

use super::App;
use crate::app::Error;
use crate::app::link_status::{describe_error, format_link_event};
use crate::app::tui::commands::HELP;
use crate::app::tui::entry::EntryKind;
use crate::app::tui::outage::Outage;
use crate::app::tui::view::MarkReason;
use crate::client::{self, ReceivedFrame, Session, SessionEvent};
use crate::protocol::{Body, case_fold};

impl App {
    /// Handles an event and all further events that are ready, so that they are printed together.
    ///
    /// Returns the result of the program if the session has ended.
    pub(super) async fn on_session_events(
        &mut self,
        mut event: Result<Option<SessionEvent>, client::Error>,
    ) -> Option<Result<(), Error>> {
        loop {
            match event {
                Ok(Some(event)) => self.on_event(event),
                Ok(None) => return Some(self.end_signal.map_or(Ok(()), |n| Err(Error::Signal(n)))),
                Err(error) => return Some(Err(self.with_unconfirmed(error))),
            }
            if self.screen.is_behind() {
                return None;
            }
            self.screen.flush(&mut self.view);
            event = future::poll_once(self.session.receive()).await?;
        }
    }

    fn on_event(&mut self, event: SessionEvent) {
        let message = match event {
            SessionEvent::Received(received) => return self.on_frame(&received),
            SessionEvent::Disconnected { cause, .. } => return self.on_disconnected(cause),
            SessionEvent::Reconnected { .. } => {
                let outage = self.outage.take().map(|outage| outage.duration());
                format_link_event(&event, Some(outage.unwrap_or_default()))
            }
            SessionEvent::Synced { .. } => {
                self.view.cancel_mark(MarkReason::Outage);
                format_link_event(&SessionEvent::Synced { pending: self.unconfirmed_count() }, None)
            }
            SessionEvent::Gap { .. } => format_link_event(&event, None),
        };
        if let Some(message) = message {
            self.view.show_notice(EntryKind::Info, &message);
        }
    }

    fn on_disconnected(&mut self, cause: client::Error) {
        match &mut self.outage {
            Some(outage) => outage.record_failure(cause),
            None => {
                self.view.mark_here(MarkReason::Outage);
                let message = match &cause {
                    client::Error::ReconnectRequested => "reconnecting".into(),
                    cause => format!("{}; reconnecting", describe_error(cause)),
                };
                self.view.show_notice(EntryKind::Error, &message);
                self.outage = Some(Outage::new(cause));
            }
        }
        // The session keeps these lines; they are shown as pending until the server answers.
        for line in self.unconfirmed_lines.iter_mut().filter(|line| !line.is_shown) {
            line.is_shown = true;
            self.view.show_pending(self.session.name(), &line.text);
        }
    }

    fn on_frame(&mut self, received: &ReceivedFrame) {
        let own_name = self.session.name();
        self.members.update(&received.frame, own_name);
        if let Some(id) = &received.in_reply_to {
            self.unconfirmed_lines.retain(|line| line.id != *id);
            if self.who_query.as_ref() == Some(id) {
                self.who_query = None;
                return;
            }
        }
        if let Body::Private { .. } = received.frame.body
            && received.frame.data_source != own_name
        {
            self.last_private = Some(Box::new(received.clone()));
        }
        self.view.show_frame(received, own_name);
        if let Some(log) = &mut self.log
            && !self.view.is_ignored(&received.frame.data_source)
            && let Some(error) = log.write_frame(received, &self.view.clock)
        {
            self.view.show_notice(EntryKind::Error, &error);
        }
        if received.in_reply_to.is_some() && received.in_reply_to == self.help_query {
            self.help_query = None;
            self.view.show_notice(EntryKind::Info, HELP);
        }
        if let Body::Name { from, to, .. } = &received.frame.body
            && self.query.as_ref().is_some_and(|query| case_fold(query) == case_fold(from))
        {
            self.query = Some(to.to_string());
        }
        if let Body::Welcome { .. } = received.frame.body {
            // The completion needs the names. A query from before an outage is sent again anyway.
            if self.who_query.is_none() {
                self.who_query = self.session.send("/who").ok();
            }
        }
    }

    /// Switches to the session of `/connect`, or shows the error.
    pub(super) fn on_connected(&mut self, result: Result<Session, client::Error>) {
        let session = match result {
            Ok(session) => session,
            Err(error) => return self.view.show_notice(EntryKind::Error, &describe_error(&error)),
        };
        let count = self.unconfirmed_count();
        if self.outage.take().is_some() && count > 0 {
            let message = match count {
                1 => "one line was not sent and is discarded".into(),
                count => format!("{count} lines were not sent and are discarded"),
            };
            self.view.show_notice(EntryKind::Error, &message);
        }
        self.unconfirmed_lines.clear();
        self.unsent_parts.clear();
        self.who_query = None;
        self.help_query = None;
        self.query = None;
        self.last_private = None;
        self.server_switch.close_old(std::mem::replace(&mut self.session, session));
    }

    /// Returns the number of the user's lines that the server has not answered.
    pub(super) fn unconfirmed_count(&self) -> usize {
        let pending = self.session.pending_count() + self.unsent_parts.len();
        pending.saturating_sub(usize::from(self.who_query.is_some()))
    }

    /// Adds to `error` the number of lines that are not confirmed.
    pub(super) fn with_unconfirmed(&self, error: client::Error) -> Error {
        match self.unconfirmed_count() {
            0 => error.into(),
            count => Error::Unconfirmed(count, Box::new(error)),
        }
    }
}
