//! The conversation: waits for whatever comes first, and does what it asks for.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use async_signal::{Signal, Signals};
use futures_lite::{StreamExt, future};
use smol::Timer;

use super::commands::{Command, HELP};
use super::editor::UserInput;
use super::entry::EntryKind;
use super::member_names::MemberNames;
use super::outage::Outage;
use super::screen::Screen;
use super::server_switch::ServerSwitch;
use super::view::View;
use crate::app::Clock;
use crate::app::link_status::{describe, link_message};
use crate::client::{Error, Received, Session, SessionEvent};
use crate::protocol::Body;

/// How often what goes on in time is looked after: who came and went, how long we are away.
const TICK: Duration = Duration::from_secs(1);
/// How long the local time is believed to be as far ahead of UTC as it was.
const CLOCK_LIFETIME: Duration = Duration::from_secs(3600);

/// All that takes part in it.
pub struct App {
    session: Session,
    server_switch: ServerSwitch,
    view: View,
    screen: Screen,
    signals: Signals,
    /// What the user does, until that ends.
    user_input: Option<Receiver<UserInput>>,
    name_updates: Sender<Vec<String>>,
    members: MemberNames,
    /// The line by which we asked who is here: nobody wants to see the answer.
    who_query: Option<String>,
    /// Lines that were said and are not seen to be heard.
    unconfirmed_lines: VecDeque<UnconfirmedLine>,
    last_private: Option<Box<Received>>,
    outage: Option<Outage>,
    /// The signal that ends us.
    end_signal: Option<i32>,
    tick: Option<Timer>,
    clock_read_at: Instant,
}

struct UnconfirmedLine {
    id: String,
    text: String,
    is_shown: bool,
}

enum AppEvent {
    Session(Result<Option<SessionEvent>, Error>),
    UserInput(UserInput),
    InputClosed,
    Signal(Signal),
    Connected(Box<Result<Session, Error>>),
    Tick,
    ScreenReady,
}

impl App {
    /// One that has not begun.
    pub fn new(
        session: Session,
        server_switch: ServerSwitch,
        view: View,
        screen: Screen,
        signals: Signals,
        user_input: Receiver<UserInput>,
        name_updates: Sender<Vec<String>>,
    ) -> Self {
        App {
            session,
            server_switch,
            view,
            screen,
            signals,
            user_input: Some(user_input),
            name_updates,
            members: MemberNames::default(),
            who_query: None,
            unconfirmed_lines: VecDeque::new(),
            last_private: None,
            outage: None,
            end_signal: None,
            tick: None,
            clock_read_at: Instant::now(),
        }
    }

    /// Talks until one of them ends it.
    pub async fn run(&mut self) -> Result<(), Error> {
        loop {
            match self.next_event().await {
                AppEvent::Session(event) => {
                    if let Some(end) = self.on_session_events(event).await {
                        return end;
                    }
                }
                AppEvent::UserInput(UserInput::Line(line)) => self.execute(&line),
                AppEvent::UserInput(UserInput::Leave) | AppEvent::InputClosed => self.leave(),
                AppEvent::UserInput(UserInput::Suspend) => {
                    // All of our job, as the terminal itself would do it.
                    let signal = rustix::process::Signal::TSTP;
                    let _ = rustix::process::kill_current_process_group(signal);
                }
                AppEvent::UserInput(UserInput::Repaint) | AppEvent::Signal(Signal::Winch) => {
                    self.screen.request_redraw()
                }
                AppEvent::Signal(Signal::Tstp) => self.screen.suspend(),
                AppEvent::Signal(Signal::Cont) => self.screen.resume(),
                AppEvent::Signal(signal) => {
                    self.end_signal = Some(signal as i32);
                    self.leave();
                }
                AppEvent::Connected(result) => self.on_connected(*result),
                AppEvent::Tick => {
                    self.tick = None;
                    self.view.flush_held();
                    if let Some(number) = self.end_signal {
                        return Err(Error::Signal(number));
                    }
                }
                AppEvent::ScreenReady => {}
            }
            // Who has said goodbye does not sit and wait until the server can hear it.
            if self.user_input.is_none()
                && self.session.unanswered() > 0
                && let Some(outage) = self.outage.take()
            {
                let count = self.unconfirmed();
                if count == 0 {
                    return Err(outage.cause);
                }
                return Err(Error::Unconfirmed(count, Box::new(outage.cause)));
            }
            self.redraw();
        }
    }

    /// Gives the terminal back.
    pub async fn close(&mut self, is_empty: &AtomicBool) {
        self.view.flush_held();
        self.screen.close(&mut self.view, is_empty).await;
    }

    async fn next_event(&mut self) -> AppEvent {
        let App { session, server_switch, screen, signals, user_input, tick, .. } = self;
        let (has_room, is_behind) = (session.has_room(), screen.is_behind());
        let event = async {
            match is_behind {
                true => pending().await,
                false => AppEvent::Session(session.receive().await),
            }
        };
        let user_input = async {
            match user_input {
                Some(user_input) if has_room => {
                    user_input.recv().await.map_or(AppEvent::InputClosed, AppEvent::UserInput)
                }
                _ => pending().await,
            }
        };
        let signal = async {
            match signals.next().await {
                Some(Ok(signal)) => AppEvent::Signal(signal),
                _ => pending().await,
            }
        };
        let tick = async {
            match tick {
                Some(timer) => {
                    timer.await;
                    AppEvent::Tick
                }
                None => pending().await,
            }
        };
        let connected = async { AppEvent::Connected(Box::new(server_switch.next_session().await)) };
        let screen = async {
            screen.wait_ready().await;
            AppEvent::ScreenReady
        };
        // Neither a flood from the room nor one from the user shuts out the other.
        let often = future::race(event, user_input);
        let seldom = future::or(future::or(signal, tick), future::or(connected, screen));
        future::or(seldom, often).await
    }

    /// Takes in an event, and all others that are there already: they are printed together.
    async fn on_session_events(
        &mut self,
        mut event: Result<Option<SessionEvent>, Error>,
    ) -> Option<Result<(), Error>> {
        loop {
            match event {
                Ok(Some(event)) => self.on_event(event),
                Ok(None) => return Some(self.end_signal.map_or(Ok(()), |n| Err(Error::Signal(n)))),
                Err(error) => {
                    return Some(Err(match self.unconfirmed() {
                        0 => error,
                        count => Error::Unconfirmed(count, Box::new(error)),
                    }));
                }
            }
            if self.screen.is_behind() {
                return None;
            }
            self.screen.flush(&mut self.view);
            event = future::poll_once(self.session.receive()).await?;
        }
    }

    fn on_event(&mut self, mut event: SessionEvent) {
        if let SessionEvent::Synced { kept } = &mut event {
            *kept = self.unconfirmed();
        }
        match &event {
            SessionEvent::Received(received) => return self.on_frame(received),
            SessionEvent::Lost { .. } => {}
            SessionEvent::Reconnected { .. } => {
                let outage = self.outage.take().map(|outage| outage.duration());
                let message = link_message(&event, Some(outage.unwrap_or_default()));
                self.view.show_notice(EntryKind::Info, &message.unwrap_or_default());
            }
            SessionEvent::Synced { .. } | SessionEvent::Gap { .. } => {
                self.view
                    .show_notice(EntryKind::Info, &link_message(&event, None).unwrap_or_default());
            }
        }
        if let SessionEvent::Lost { cause, .. } = event {
            match &mut self.outage {
                Some(outage) => outage.record_failure(cause),
                None => {
                    self.view.show_notice(
                        EntryKind::Error,
                        &format!("{}; reconnecting", describe(&cause)),
                    );
                    self.outage = Some(Outage::new(cause));
                }
            }
            // What was said and not heard is kept, and seen to be.
            for line in self.unconfirmed_lines.iter_mut().filter(|line| !line.is_shown) {
                line.is_shown = true;
                self.view.show_pending(self.session.name(), &line.text);
            }
        }
    }

    fn on_frame(&mut self, received: &Received) {
        let me = self.session.name();
        self.members.update(&received.frame, me);
        if let Some(id) = &received.answers {
            self.unconfirmed_lines.retain(|line| line.id != *id);
            if self.who_query.as_ref() == Some(id) {
                self.who_query = None;
                return;
            }
        }
        if let Body::Private { .. } = received.frame.body
            && received.frame.data_source != me
        {
            self.last_private = Some(Box::new(received.clone()));
        }
        self.view.show_frame(received, me);
        if let Body::Welcome { .. } = received.frame.body {
            // For the names that Tab completes. A question that waited for the link goes out again.
            if self.who_query.is_none() {
                self.who_query = self.session.say("/who").ok();
            }
        }
    }

    /// Does what a user_input line asks for.
    fn execute(&mut self, line: &str) {
        match Command::parse(line) {
            Command::Send(line) => self.send_line(line),
            Command::Help => {
                self.view.show_notice(EntryKind::Info, HELP);
                self.send_line("/help");
            }
            Command::Clear => {
                self.view.clear();
                self.screen.clear();
            }
            Command::Ignore(None) => {
                let text = match self.view.ignored() {
                    [] => "nobody is ignored".into(),
                    names => format!("ignored: {}", names.join(", ")),
                };
                self.view.show_notice(EntryKind::Info, &text);
            }
            Command::Ignore(Some(name)) => {
                let is_new = self.view.ignore(name);
                let already = if is_new { "" } else { " already" };
                let text = format!("what {name} says is not shown{already}; /unignore {name}");
                self.view.show_notice(EntryKind::Info, &text);
            }
            Command::Unignore(name) => {
                let was_ignored = self.view.unignore(name);
                let again = if was_ignored { "again" } else { "anyway" };
                self.view
                    .show_notice(EntryKind::Info, &format!("what {name} says is shown {again}"));
            }
            Command::Reconnect => self.session.reconnect(),
            Command::Connect(address) => {
                self.view.show_notice(EntryKind::Info, &format!("connecting to {address}"));
                // Every text is an address.
                let Ok(address) = address.parse();
                self.server_switch.connect(address, self.session.name());
            }
            Command::Last => match self.last_private.take() {
                Some(received) => {
                    self.view.show_frame(&received, self.session.name());
                    self.last_private = Some(received);
                }
                None => {
                    self.view.show_notice(EntryKind::Error, "nobody told you anything in private")
                }
            },
            Command::Reply(text) => match &self.last_private {
                Some(received) => {
                    let to = received.frame.data_source.clone();
                    self.send_line(&format!("/msg {to} {text}"));
                }
                None => {
                    self.view.show_notice(EntryKind::Error, "nobody told you anything in private")
                }
            },
            Command::Time(is_on) => {
                self.view.settings.has_timestamps = is_on;
                self.screen.request_redraw();
            }
            Command::Usage(usage) => {
                self.view.show_notice(EntryKind::Error, &format!("usage: {usage}"))
            }
        }
    }

    fn send_line(&mut self, line: &str) {
        let is_shown = !self.session.is_up();
        match self.session.say(line) {
            Ok(id) => {
                if is_shown && !self.session.is_finishing() {
                    self.view.show_pending(self.session.name(), line);
                }
                self.unconfirmed_lines.push_back(UnconfirmedLine {
                    id,
                    text: line.to_owned(),
                    is_shown,
                });
            }
            Err(unsent) => self.view.show_notice(EntryKind::Error, &unsent.to_string()),
        }
        if self.session.is_finishing() {
            self.user_input = None;
        }
    }

    fn leave(&mut self) {
        self.user_input = None;
        self.session.finish();
    }

    /// Lines of the user's that were not seen to be heard.
    fn unconfirmed(&self) -> usize {
        self.session.unanswered() - usize::from(self.who_query.is_some())
    }

    /// The new session is there, or cannot be.
    fn on_connected(&mut self, result: Result<Session, Error>) {
        match result {
            Ok(session) => {
                let unsent = self.unconfirmed();
                let old = std::mem::replace(&mut self.session, session);
                if self.outage.take().is_some() && unsent > 0 {
                    let text = format!("{unsent} of your lines were never heard, and are dropped");
                    self.view.show_notice(EntryKind::Error, &text);
                }
                self.unconfirmed_lines.clear();
                self.who_query = None;
                self.last_private = None;
                self.server_switch.close_old(old);
            }
            Err(error) => self.view.show_notice(EntryKind::Error, &describe(&error)),
        }
    }

    /// Brings the screen up to date, and sees to it that we wake up when it is out of date.
    fn redraw(&mut self) {
        if let Some(names) = self.members.take_changes() {
            let _ = self.name_updates.force_send(names);
        }
        let status = self.outage.as_ref().map(|outage| outage.status(self.unconfirmed()));
        self.screen.set_status(status.map(|status| self.view.status(&status)));
        self.screen.flush(&mut self.view);
        let is_timed = self.outage.is_some() || self.view.has_held() || self.end_signal.is_some();
        if is_timed && self.tick.is_none() {
            self.tick = Some(Timer::after(TICK));
        }
        if self.clock_read_at.elapsed() > CLOCK_LIFETIME {
            // Summer may have come.
            self.clock_read_at = Instant::now();
            self.view.clock = Clock::local();
        }
    }
}
