//! Handles the events of the session in the terminal client.

use futures_lite::future;

use super::App;
use crate::app::Error;
use crate::app::link_status::{format_gap, format_loss};
use crate::app::outage::Outage;
use crate::app::tui::commands::HELP;
use crate::app::tui::entry::EntryKind;
use crate::app::tui::view::MarkerReason;
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
                Ok(None) => return Some(self.end_cause.take().map_or(Ok(()), Err)),
                Err(error) => return Some(Err(self.end_error(error))),
            }
            if self.screen.is_behind() {
                return None;
            }
            self.flush_screen();
            event = future::poll_once(self.session.receive()).await?;
        }
    }

    fn on_event(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Received(received) => self.on_frame(&received),
            SessionEvent::Disconnected { cause, .. } => self.on_disconnected(cause),
            SessionEvent::Reconnected { resumed, .. } => {
                if let Some(outage) = &mut self.outage {
                    outage.record_reconnect(resumed);
                }
            }
            SessionEvent::Gap { from, to } => match &mut self.outage {
                Some(outage) => outage.record_gap(from, to),
                None => self.view.show_notice(EntryKind::Info, &format_gap(from, to)),
            },
            SessionEvent::Synced { .. } => self.on_synced(),
        }
    }

    fn on_disconnected(&mut self, cause: client::Error) {
        #[cfg(feature = "tls")]
        self.on_unknown_key(&cause);
        match &mut self.outage {
            Some(outage) => outage.record_failure(cause),
            None => {
                self.view.request_marker(MarkerReason::Outage);
                let kind = match cause {
                    client::Error::ReconnectRequested => EntryKind::Info,
                    _ => EntryKind::Error,
                };
                self.view.show_notice(kind, &format_loss(&cause, None));
                self.view.start_counting();
                self.outage = Some(Outage::new(cause));
            }
        }
        // The session keeps these lines; they are shown as pending until the server answers.
        for line in self.unconfirmed_lines.iter_mut().filter(|line| !line.is_shown) {
            line.is_shown = true;
            self.view.show_pending(self.session.name(), &line.text);
        }
    }

    /// Shows that all missed lines have arrived.
    fn on_synced(&mut self) {
        let Some(mut outage) = self.outage.take() else { return };
        self.withdraw_question();
        self.view.flush_held();
        self.view.cancel_marker(MarkerReason::Outage);
        outage.shown_count = self.view.counted_frames();
        let message = outage.format_end(self.unconfirmed_count());
        self.view.show_notice(EntryKind::Info, &message);
    }

    fn on_frame(&mut self, received: &ReceivedFrame) {
        let own_name = self.session.name();
        self.members.update(&received.frame, own_name);
        if let Some(id) = &received.in_reply_to {
            self.unconfirmed_lines.retain(|line| line.id != *id);
            if self.who_id.as_ref() == Some(id) {
                self.who_id = None;
                return self.check_unknown_names(&received.frame.body);
            }
        }
        if let Body::Private { .. } = received.frame.body
            && received.frame.data_source != own_name
            && !self.view.ignored.contains(&received.frame.data_source)
        {
            self.last_private = Some(Box::new(received.clone()));
        }
        // A notice of the client has the same information as these two.
        let is_covered = match received.frame.body {
            Body::Welcome { .. } => self.outage.is_some(),
            Body::Bye { .. } => !self.session.is_finishing(),
            _ => false,
        };
        if !is_covered {
            self.view.show_frame(received, own_name);
        }
        if let Some(log) = &mut self.log
            && !self.view.ignored.contains(&received.frame.data_source)
            && let Some(error) = log.write_frame(received, &self.view.clock)
        {
            self.view.show_notice(EntryKind::Error, &error);
        }
        if received.in_reply_to.is_some() && received.in_reply_to == self.help_id {
            self.help_id = None;
            self.view.show_notice(EntryKind::Info, HELP);
        }
        if let Body::Name { from, to, .. } = &received.frame.body
            && self.query.as_ref().is_some_and(|query| case_fold(query) == case_fold(from))
        {
            self.query = Some(to.to_string());
        }
        if let Body::Welcome { .. } = received.frame.body {
            // The completion needs the names.
            self.query_names();
        }
    }

    /// Asks the server for the names of the members. A query from before an outage is sent again
    /// anyway.
    pub(super) fn query_names(&mut self) {
        if self.who_id.is_none() {
            self.who_id = self.session.send("/who").ok();
        }
    }

    /// Warns of ignored names that are not in a complete answer to `/who`.
    fn check_unknown_names(&mut self, answer: &Body<'_>) {
        for name in std::mem::take(&mut self.unknown_names) {
            if matches!(answer, Body::Who { more: None, .. }) && !self.members.contains(&name) {
                let text = format!("no member here is called {name}");
                self.view.show_notice(EntryKind::Error, &text);
            }
        }
    }

    /// Switches to the session of `/connect`, or shows the error. Reconnects if the server is the
    /// present one.
    pub(super) fn on_connected(&mut self, result: Result<Option<Session>, client::Error>) {
        let session = match result {
            Ok(Some(session)) => session,
            Ok(None) => return self.session.reconnect(),
            Err(error) => return self.on_connect_error(error),
        };
        self.withdraw_question();
        if self.outage.take().is_some() {
            // Replaces the status line.
            let message = match self.unconfirmed_count() {
                0 => format!("connected to {}", session.address()),
                1 => "one line was not sent and is discarded".into(),
                count => format!("{count} lines were not sent and are discarded"),
            };
            self.view.show_notice(EntryKind::Info, &message);
        }
        self.unconfirmed_lines.clear();
        self.unsent_parts.clear();
        self.who_id = None;
        self.unknown_names.clear();
        self.help_id = None;
        self.query = None;
        self.editor.set_private(false);
        self.last_private = None;
        self.server_switch.close_old(std::mem::replace(&mut self.session, session));
    }

    /// Returns the number of the user's lines that the server has not answered.
    pub(super) fn unconfirmed_count(&self) -> usize {
        let unsent = self.typed_lines.len() + self.unsent_parts.len();
        let pending = self.session.pending_count() + unsent;
        pending.saturating_sub(usize::from(self.who_id.is_some()))
    }

    /// Returns the signal that ends the program, or else `error` with the number of lines that are
    /// not confirmed.
    pub(super) fn end_error(&mut self, error: client::Error) -> Error {
        match (self.end_cause.take(), self.unconfirmed_count()) {
            (Some(cause), _) => cause,
            (None, 0) => error.into(),
            (None, count) => Error::Unconfirmed(count, Box::new(error)),
        }
    }
}
