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
use super::entry::Kind;
use super::member_names::MemberNames;
use super::outage::Outage;
use super::screen::Screen;
use super::server_switch::ServerSwitch;
use super::view::View;
use crate::app::pipe::{error_chain, status};
use crate::app::{Clock, Error};
use crate::client::{self, Received, Session, SessionEvent};
use crate::protocol::Body;

/// How often what goes on in time is looked after: who came and went, how long we are away.
const TICK: Duration = Duration::from_secs(1);
/// How long the local time is believed to be as far ahead of UTC as it was.
const CLOCK_HOLDS: Duration = Duration::from_secs(3600);

/// All that takes part in it.
pub struct App {
    session: Session,
    server_switch: ServerSwitch,
    view: View,
    screen: Screen,
    signals: Signals,
    /// What the user does, until that ends.
    typed: Option<Receiver<UserInput>>,
    names: Sender<Vec<String>>,
    roster: MemberNames,
    /// The line by which we asked who is here: nobody wants to see the answer.
    asked_who: Option<String>,
    /// Lines that were said and are not seen to be heard.
    said: VecDeque<Said>,
    last_private: Option<Box<Received>>,
    outage: Option<Outage>,
    /// The signal that ends us.
    ended_by: Option<i32>,
    tick: Option<Timer>,
    clock_set: Instant,
}

struct Said {
    id: String,
    text: String,
    is_shown: bool,
}

enum Next {
    Event(Result<Option<SessionEvent>, client::Error>),
    UserInput(UserInput),
    TypingEnds,
    Signal(Signal),
    Arrived(Box<Result<Session, client::Error>>),
    Tick,
    Screen,
}

impl App {
    /// One that has not begun.
    pub fn new(
        session: Session,
        server_switch: ServerSwitch,
        view: View,
        screen: Screen,
        signals: Signals,
        typed: Receiver<UserInput>,
        names: Sender<Vec<String>>,
    ) -> Self {
        App {
            session,
            server_switch,
            view,
            screen,
            signals,
            typed: Some(typed),
            names,
            roster: MemberNames::default(),
            asked_who: None,
            said: VecDeque::new(),
            last_private: None,
            outage: None,
            ended_by: None,
            tick: None,
            clock_set: Instant::now(),
        }
    }

    /// Talks until one of them ends it.
    pub async fn run(&mut self) -> Result<(), Error> {
        loop {
            match self.next().await {
                Next::Event(event) => {
                    if let Some(end) = self.hear_all(event).await {
                        return end;
                    }
                }
                Next::UserInput(UserInput::Line(line)) => self.execute(&line),
                Next::UserInput(UserInput::Leave) | Next::TypingEnds => self.leave(),
                Next::UserInput(UserInput::Stop) => {
                    // All of our job, as the terminal itself would do it.
                    let signal = rustix::process::Signal::TSTP;
                    let _ = rustix::process::kill_current_process_group(signal);
                }
                Next::UserInput(UserInput::Repaint) | Next::Signal(Signal::Winch) => {
                    self.screen.request_redraw()
                }
                Next::Signal(Signal::Tstp) => self.screen.stop(),
                Next::Signal(Signal::Cont) => self.screen.go_on(),
                Next::Signal(signal) => {
                    self.ended_by = Some(signal as i32);
                    self.leave();
                }
                Next::Arrived(arrival) => self.arrive(*arrival),
                Next::Tick => {
                    self.tick = None;
                    self.view.rest();
                    if let Some(number) = self.ended_by {
                        return Err(Error::Signal(number));
                    }
                }
                Next::Screen => {}
            }
            // Who has said goodbye does not sit and wait until the server can hear it.
            if self.typed.is_none()
                && self.session.pending_count() > 0
                && let Some(outage) = self.outage.take()
            {
                let count = self.unheard();
                if count == 0 {
                    return Err(outage.cause.into());
                }
                return Err(Error::Unconfirmed(count, Box::new(outage.cause)));
            }
            self.redraw();
        }
    }

    /// Gives the terminal back.
    pub async fn close(&mut self, is_empty: &AtomicBool) {
        self.view.rest();
        self.screen.close(&mut self.view, is_empty).await;
    }

    async fn next(&mut self) -> Next {
        let App { session, server_switch, screen, signals, typed, tick, .. } = self;
        let (has_room, is_behind) = (session.has_capacity(), screen.is_behind());
        let event = async {
            match is_behind {
                true => pending().await,
                false => Next::Event(session.receive().await),
            }
        };
        let typed = async {
            match typed {
                Some(typed) if has_room => {
                    typed.recv().await.map_or(Next::TypingEnds, Next::UserInput)
                }
                _ => pending().await,
            }
        };
        let signal = async {
            match signals.next().await {
                Some(Ok(signal)) => Next::Signal(signal),
                _ => pending().await,
            }
        };
        let tick = async {
            match tick {
                Some(timer) => {
                    timer.await;
                    Next::Tick
                }
                None => pending().await,
            }
        };
        let arrived = async { Next::Arrived(Box::new(server_switch.arrival().await)) };
        let screen = async {
            screen.changed().await;
            Next::Screen
        };
        // Neither a flood from the room nor one from the user shuts out the other.
        let often = future::race(event, typed);
        let seldom = future::or(future::or(signal, tick), future::or(arrived, screen));
        future::or(seldom, often).await
    }

    /// Takes in an event, and all others that are there already: they are printed together.
    async fn hear_all(
        &mut self,
        mut event: Result<Option<SessionEvent>, client::Error>,
    ) -> Option<Result<(), Error>> {
        loop {
            match event {
                Ok(Some(event)) => self.on_event(event),
                Ok(None) => return Some(self.ended_by.map_or(Ok(()), |n| Err(Error::Signal(n)))),
                Err(error) => {
                    return Some(Err(match self.unheard() {
                        0 => error.into(),
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
        if let SessionEvent::Synced { pending } = &mut event {
            *pending = self.unheard();
        }
        match &event {
            SessionEvent::Received(received) => return self.receive(received),
            SessionEvent::Reconnected { .. } => {
                let text = status(&event).unwrap_or_default();
                let after = self.outage.take().map_or(0, |outage| outage.seconds());
                let text = text.replacen("back", &format!("back after {after} s"), 1);
                self.view.tell(Kind::Info, &text);
            }
            SessionEvent::Synced { .. } | SessionEvent::Gap { .. } => {
                self.view.tell(Kind::Info, &status(&event).unwrap_or_default());
            }
            SessionEvent::Disconnected { .. } => {}
        }
        if let SessionEvent::Disconnected { cause, .. } = event {
            match &mut self.outage {
                Some(outage) => outage.failed(cause),
                None => {
                    self.view.tell(Kind::Error, &format!("{}; coming back", error_chain(&cause)));
                    self.outage = Some(Outage::new(cause));
                }
            }
            // What was said and not heard is kept, and seen to be.
            for said in self.said.iter_mut().filter(|said| !said.is_shown) {
                said.is_shown = true;
                self.view.tell_pending(self.session.name(), &said.text);
            }
        }
    }

    fn receive(&mut self, received: &Received) {
        let me = self.session.name();
        self.roster.learn(&received.frame, me);
        if let Some(id) = &received.in_reply_to {
            self.said.retain(|said| said.id != *id);
            if self.asked_who.as_ref() == Some(id) {
                self.asked_who = None;
                return;
            }
        }
        if let Body::Private { .. } = received.frame.body
            && received.frame.data_source != me
        {
            self.last_private = Some(Box::new(received.clone()));
        }
        self.view.receive(received, me);
        if let Body::Welcome { .. } = received.frame.body {
            // For the names that Tab completes. A question that waited for the link goes out again.
            if self.asked_who.is_none() {
                self.asked_who = self.session.send("/who").ok();
            }
        }
    }

    /// Does what a typed line asks for.
    fn execute(&mut self, line: &str) {
        match Command::parse(line) {
            Command::Say(line) => self.say(line),
            Command::Help => {
                self.view.tell(Kind::Info, HELP);
                self.say("/help");
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
                self.view.tell(Kind::Info, &text);
            }
            Command::Ignore(Some(name)) => {
                let is_new = self.view.ignore(name);
                let already = if is_new { "" } else { " already" };
                let text = format!("what {name} says is not shown{already}; /unignore {name}");
                self.view.tell(Kind::Info, &text);
            }
            Command::Unignore(name) => {
                let was_ignored = self.view.unignore(name);
                let again = if was_ignored { "again" } else { "anyway" };
                self.view.tell(Kind::Info, &format!("what {name} says is shown {again}"));
            }
            Command::Reconnect => self.session.reconnect(),
            Command::Connect(address) => {
                self.view.tell(Kind::Info, &format!("connecting to {address}"));
                // Every text is an address.
                let Ok(address) = address.parse();
                self.server_switch.set_out(address, self.session.name());
            }
            Command::Last => match self.last_private.take() {
                Some(received) => {
                    self.view.receive(&received, self.session.name());
                    self.last_private = Some(received);
                }
                None => self.view.tell(Kind::Error, "nobody told you anything in private"),
            },
            Command::Reply(text) => match &self.last_private {
                Some(received) => {
                    let to = received.frame.data_source.clone();
                    self.say(&format!("/msg {to} {text}"));
                }
                None => self.view.tell(Kind::Error, "nobody told you anything in private"),
            },
            Command::Time(is_on) => {
                self.view.settings.time = is_on;
                self.screen.request_redraw();
            }
            Command::Usage(usage) => self.view.tell(Kind::Error, &format!("usage: {usage}")),
        }
    }

    fn say(&mut self, line: &str) {
        let is_shown = !self.session.is_connected();
        match self.session.send(line) {
            Ok(id) => {
                if is_shown && !self.session.is_finishing() {
                    self.view.tell_pending(self.session.name(), line);
                }
                self.said.push_back(Said { id, text: line.to_owned(), is_shown });
            }
            Err(unsaid) => self.view.tell(Kind::Error, &unsaid.to_string()),
        }
        if self.session.is_finishing() {
            self.typed = None;
        }
    }

    fn leave(&mut self) {
        self.typed = None;
        self.session.finish();
    }

    /// Lines of the user's that were not seen to be heard.
    fn unheard(&self) -> usize {
        self.session.pending_count() - usize::from(self.asked_who.is_some())
    }

    /// The new session is there, or cannot be.
    fn arrive(&mut self, arrival: Result<Session, client::Error>) {
        match arrival {
            Ok(session) => {
                let unsaid = self.unheard();
                let old = std::mem::replace(&mut self.session, session);
                if self.outage.take().is_some() && unsaid > 0 {
                    let text = format!("{unsaid} of your lines were never heard, and are dropped");
                    self.view.tell(Kind::Error, &text);
                }
                self.said.clear();
                self.asked_who = None;
                self.last_private = None;
                self.server_switch.leave(old);
            }
            Err(error) => self.view.tell(Kind::Error, &error_chain(&error)),
        }
    }

    /// Brings the screen up to date, and sees to it that we wake up when it is out of date.
    fn redraw(&mut self) {
        if let Some(names) = self.roster.news() {
            let _ = self.names.force_send(names);
        }
        let status = self.outage.as_ref().map(|outage| outage.status(self.unheard()));
        self.screen.set_status(status.map(|status| self.view.status(&status)));
        self.screen.flush(&mut self.view);
        let is_timed = self.outage.is_some() || self.view.is_holding() || self.ended_by.is_some();
        if is_timed && self.tick.is_none() {
            self.tick = Some(Timer::after(TICK));
        }
        if self.clock_set.elapsed() > CLOCK_HOLDS {
            // Summer may have come.
            self.clock_set = Instant::now();
            self.view.clock = Clock::local();
        }
    }
}
