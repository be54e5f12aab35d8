//! The conversation: waits for whatever comes first, and does what it asks for.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use async_signal::{Signal, Signals};
use futures_lite::{StreamExt, future};
use smol::Timer;

use super::away::Away;
use super::canvas::Canvas;
use super::commands::{Command, HELP};
use super::editor::Typed;
use super::entry::Kind;
use super::roster::Roster;
use super::travel::Travel;
use super::view::View;
use crate::app::Clock;
use crate::app::pipe::{chain, status};
use crate::client::{Error, Event, Received, Session};
use crate::protocol::Body;

/// How often what goes on in time is looked after: who came and went, how long we are away.
const TICK: Duration = Duration::from_secs(1);
/// How long the local time is believed to be as far ahead of UTC as it was.
const CLOCK_HOLDS: Duration = Duration::from_secs(3600);

/// All that takes part in it.
pub struct Talk {
    session: Session,
    travel: Travel,
    view: View,
    canvas: Canvas,
    signals: Signals,
    /// What the user does, until that ends.
    typed: Option<Receiver<Typed>>,
    names: Sender<Vec<String>>,
    roster: Roster,
    /// The line by which we asked who is here: nobody wants to see the answer.
    asked_who: Option<String>,
    /// Lines that were said and are not seen to be heard.
    said: VecDeque<Said>,
    last_private: Option<Box<Received>>,
    away: Option<Away>,
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
    Event(Result<Option<Event>, Error>),
    Typed(Typed),
    TypingEnds,
    Signal(Signal),
    Arrived(Box<Result<Session, Error>>),
    Tick,
    Canvas,
}

impl Talk {
    /// One that has not begun.
    pub fn new(
        session: Session,
        travel: Travel,
        view: View,
        canvas: Canvas,
        signals: Signals,
        typed: Receiver<Typed>,
        names: Sender<Vec<String>>,
    ) -> Self {
        Talk {
            session,
            travel,
            view,
            canvas,
            signals,
            typed: Some(typed),
            names,
            roster: Roster::default(),
            asked_who: None,
            said: VecDeque::new(),
            last_private: None,
            away: None,
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
                Next::Typed(Typed::Line(line)) => self.obey(&line),
                Next::Typed(Typed::Leave) | Next::TypingEnds => self.leave(),
                Next::Typed(Typed::Stop) => {
                    // All of our job, as the terminal itself would do it.
                    let signal = rustix::process::Signal::TSTP;
                    let _ = rustix::process::kill_current_process_group(signal);
                }
                Next::Typed(Typed::Repaint) | Next::Signal(Signal::Winch) => self.canvas.upset(),
                Next::Signal(Signal::Tstp) => self.canvas.stop(),
                Next::Signal(Signal::Cont) => self.canvas.go_on(),
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
                Next::Canvas => {}
            }
            // Who has said goodbye does not sit and wait until the server can hear it.
            if self.typed.is_none()
                && self.session.unanswered() > 0
                && let Some(away) = self.away.take()
            {
                let count = self.unheard();
                if count == 0 {
                    return Err(away.cause);
                }
                return Err(Error::Unconfirmed(count, Box::new(away.cause)));
            }
            self.show();
        }
    }

    /// Gives the terminal back.
    pub async fn close(&mut self, is_empty: &AtomicBool) {
        self.view.rest();
        self.canvas.close(&mut self.view, is_empty).await;
    }

    async fn next(&mut self) -> Next {
        let Talk { session, travel, canvas, signals, typed, tick, .. } = self;
        let (has_room, is_behind) = (session.has_room(), canvas.is_behind());
        let event = async {
            match is_behind {
                true => pending().await,
                false => Next::Event(session.receive().await),
            }
        };
        let typed = async {
            match typed {
                Some(typed) if has_room => typed.recv().await.map_or(Next::TypingEnds, Next::Typed),
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
        let arrived = async { Next::Arrived(Box::new(travel.arrival().await)) };
        let canvas = async {
            canvas.changed().await;
            Next::Canvas
        };
        // Neither a flood from the room nor one from the user shuts out the other.
        let often = future::race(event, typed);
        let seldom = future::or(future::or(signal, tick), future::or(arrived, canvas));
        future::or(seldom, often).await
    }

    /// Takes in an event, and all others that are there already: they are printed together.
    async fn hear_all(
        &mut self,
        mut event: Result<Option<Event>, Error>,
    ) -> Option<Result<(), Error>> {
        loop {
            match event {
                Ok(Some(event)) => self.hear(event),
                Ok(None) => return Some(self.ended_by.map_or(Ok(()), |n| Err(Error::Signal(n)))),
                Err(error) => {
                    return Some(Err(match self.unheard() {
                        0 => error,
                        count => Error::Unconfirmed(count, Box::new(error)),
                    }));
                }
            }
            if self.canvas.is_behind() {
                return None;
            }
            self.canvas.flush(&mut self.view);
            event = future::poll_once(self.session.receive()).await?;
        }
    }

    fn hear(&mut self, mut event: Event) {
        if let Event::Whole { kept } = &mut event {
            *kept = self.unheard();
        }
        match &event {
            Event::Received(received) => return self.receive(received),
            Event::Back { .. } => {
                let text = status(&event).unwrap_or_default();
                let after = self.away.take().map_or(0, |away| away.seconds());
                let text = text.replacen("back", &format!("back after {after} s"), 1);
                self.view.tell(Kind::Info, &text);
            }
            Event::Whole { .. } | Event::Gap { .. } => {
                self.view.tell(Kind::Info, &status(&event).unwrap_or_default());
            }
            Event::Lost { .. } => {}
        }
        if let Event::Lost { cause, .. } = event {
            match &mut self.away {
                Some(away) => away.failed(cause),
                None => {
                    self.view.tell(Kind::Error, &format!("{}; coming back", chain(&cause)));
                    self.away = Some(Away::new(cause));
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
        if let Some(id) = &received.answers {
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
                self.asked_who = self.session.say("/who").ok();
            }
        }
    }

    /// Does what a typed line asks for.
    fn obey(&mut self, line: &str) {
        match Command::parse(line) {
            Command::Say(line) => self.say(line),
            Command::Help => {
                self.view.tell(Kind::Info, HELP);
                self.say("/help");
            }
            Command::Clear => {
                self.view.clear();
                self.canvas.clear();
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
                self.travel.set_out(address, self.session.name());
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
                self.canvas.upset();
            }
            Command::Usage(usage) => self.view.tell(Kind::Error, &format!("usage: {usage}")),
        }
    }

    fn say(&mut self, line: &str) {
        let is_shown = !self.session.is_up();
        match self.session.say(line) {
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
        self.session.unanswered() - usize::from(self.asked_who.is_some())
    }

    /// The new session is there, or cannot be.
    fn arrive(&mut self, arrival: Result<Session, Error>) {
        match arrival {
            Ok(session) => {
                let unsaid = self.unheard();
                let old = std::mem::replace(&mut self.session, session);
                if self.away.take().is_some() && unsaid > 0 {
                    let text = format!("{unsaid} of your lines were never heard, and are dropped");
                    self.view.tell(Kind::Error, &text);
                }
                self.said.clear();
                self.asked_who = None;
                self.last_private = None;
                self.travel.leave(old);
            }
            Err(error) => self.view.tell(Kind::Error, &chain(&error)),
        }
    }

    /// Brings the screen up to date, and sees to it that we wake up when it is out of date.
    fn show(&mut self) {
        if let Some(names) = self.roster.news() {
            let _ = self.names.force_send(names);
        }
        let status = self.away.as_ref().map(|away| away.status(self.unheard()));
        self.canvas.set_status(status.map(|status| self.view.status(&status)));
        self.canvas.flush(&mut self.view);
        let is_timed = self.away.is_some() || self.view.is_holding() || self.ended_by.is_some();
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
