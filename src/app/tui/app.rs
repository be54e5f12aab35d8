//! The state and the main loop of the terminal client.

mod execute;
mod session_events;

use std::collections::VecDeque;
use std::future::pending;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use async_signal::{Signal, Signals};
use futures_lite::{StreamExt, future};
use smol::Timer;

use super::editor::UserInput;
use super::entry::EntryKind;
use super::member_names::MemberNames;
use super::outage::Outage;
use super::screen::Screen;
use super::server_switch::ServerSwitch;
use super::view::{MarkReason, View};
use crate::app::chat_log::ChatLog;
use crate::app::{Clock, Error};
use crate::client::{self, ReceivedFrame, Session, SessionEvent};

/// The interval of updates without an event: collected joins and leaves, and the status line.
const TICK: Duration = Duration::from_secs(1);
/// The time after which the offset of local time is read again, because it may have changed.
const CLOCK_LIFETIME: Duration = Duration::from_secs(3600);

/// The terminal client with its session and its screen.
pub struct App {
    session: Session,
    server_switch: ServerSwitch,
    view: View,
    screen: Screen,
    log: Option<ChatLog>,
    signals: Signals,
    /// The input of the user, until the user leaves.
    user_input: Option<Receiver<UserInput>>,
    /// Sends the names of the members to the completion.
    name_updates: Sender<Vec<String>>,
    members: MemberNames,
    /// The id of the client's own `/who`, whose answer is not shown.
    who_query: Option<String>,
    /// The id of `/help`, below whose answer the commands of the client are shown.
    help_query: Option<String>,
    /// The member to whom the lines of the user are sent, with `/query`.
    query: Option<String>,
    unconfirmed_lines: VecDeque<UnconfirmedLine>,
    /// The parts of long lines that the session does not accept yet.
    unsent_parts: VecDeque<String>,
    last_private: Option<Box<ReceivedFrame>>,
    outage: Option<Outage>,
    /// The number of the signal that ends the program.
    end_signal: Option<i32>,
    tick: Option<Timer>,
    clock_read_at: Instant,
}

/// A line that the server has not answered yet.
struct UnconfirmedLine {
    id: String,
    text: String,
    /// Whether the line is shown as pending.
    is_shown: bool,
}

enum AppEvent {
    Session(Result<Option<SessionEvent>, client::Error>),
    UserInput(UserInput),
    InputClosed,
    Signal(Signal),
    /// The result of `/connect`.
    Connected(Box<Result<Session, client::Error>>),
    Tick,
    ScreenReady,
}

impl App {
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
            log: None,
            session,
            server_switch,
            view,
            screen,
            signals,
            user_input: Some(user_input),
            name_updates,
            members: MemberNames::default(),
            who_query: None,
            help_query: None,
            query: None,
            unconfirmed_lines: VecDeque::new(),
            unsent_parts: VecDeque::new(),
            last_private: None,
            outage: None,
            end_signal: None,
            tick: None,
            clock_read_at: Instant::now(),
        }
    }

    /// Opens the log of the messages. A failure is shown to the user.
    pub fn open_log(&mut self, mut log: ChatLog) {
        if let Some(error) = log.open() {
            self.view.show_notice(EntryKind::Error, &error);
        }
        self.log = Some(log);
    }

    /// Handles events until the user leaves, the session ends or a signal arrives.
    pub async fn run(&mut self) -> Result<(), Error> {
        loop {
            let event = self.next_event().await;
            if let Some(result) = self.handle(event).await {
                return result;
            }
            self.send_parts();
            // After leaving, the user does not wait until the server is reachable again.
            if self.user_input.is_none()
                && self.session.pending_count() > 0
                && let Some(outage) = self.outage.take()
            {
                return Err(self.with_unconfirmed(outage.cause));
            }
            self.redraw();
        }
    }

    /// Handles an event. Returns the result of the program if the event ends it.
    async fn handle(&mut self, event: AppEvent) -> Option<Result<(), Error>> {
        match event {
            AppEvent::Session(event) => return self.on_session_events(event).await,
            AppEvent::Tick => return self.on_tick(),
            AppEvent::UserInput(input) => self.on_user_input(input),
            AppEvent::InputClosed => self.leave(),
            AppEvent::Signal(signal) => self.on_signal(signal),
            AppEvent::Connected(result) => self.on_connected(*result),
            AppEvent::ScreenReady => {}
        }
        None
    }

    /// Restores the terminal. `is_line_empty` says whether the input line is empty.
    pub async fn close(&mut self, is_line_empty: &AtomicBool) {
        self.view.flush_held();
        self.screen.close(&mut self.view, is_line_empty).await;
    }

    async fn next_event(&mut self) -> AppEvent {
        let App { session, server_switch, screen, signals, user_input, tick, unsent_parts, .. } =
            self;
        let has_capacity = session.has_capacity() && unsent_parts.is_empty();
        let is_behind = screen.is_behind();
        let session_event = async {
            match is_behind {
                true => pending().await,
                false => AppEvent::Session(session.receive().await),
            }
        };
        let user_input = async {
            match user_input {
                Some(user_input) if has_capacity => {
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
        // A fair race: neither a flood of frames nor one of input may block the other.
        let frequent = future::race(session_event, user_input);
        let rare = future::or(future::or(signal, tick), future::or(connected, screen));
        future::or(rare, frequent).await
    }

    fn on_user_input(&mut self, input: UserInput) {
        match input {
            UserInput::Line(line) => self.execute(&line),
            UserInput::Leave => self.leave(),
            UserInput::Suspend => {
                // To the whole process group, like Ctrl-Z in a terminal that is not in raw mode.
                let signal = rustix::process::Signal::TSTP;
                let _ = rustix::process::kill_current_process_group(signal);
            }
            UserInput::Redraw => self.screen.request_redraw(),
        }
    }

    fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::Winch => self.screen.request_redraw(),
            Signal::Tstp => {
                self.view.mark_here(MarkReason::Stop);
                self.screen.suspend();
            }
            Signal::Cont => self.screen.resume(),
            signal => {
                self.end_signal = Some(signal as i32);
                self.leave();
            }
        }
    }

    /// Returns the result of the program if a signal ends it and the server has not answered yet.
    fn on_tick(&mut self) -> Option<Result<(), Error>> {
        self.tick = None;
        self.view.flush_held();
        self.end_signal.map(|number| Err(Error::Signal(number)))
    }

    /// Draws the changes, and starts the timer if the screen will change without an event.
    fn redraw(&mut self) {
        if let Some(names) = self.members.take_changes() {
            let _ = self.name_updates.force_send(names);
        }
        let status =
            self.outage.as_ref().map(|outage| outage.format_status(self.unconfirmed_count()));
        self.screen.set_status(status.map(|status| self.view.format_status(&status)));
        self.screen.flush(&mut self.view);
        let is_timed =
            self.outage.is_some() || self.view.has_held_entries() || self.end_signal.is_some();
        if is_timed && self.tick.is_none() {
            self.tick = Some(Timer::after(TICK));
        }
        if self.clock_read_at.elapsed() > CLOCK_LIFETIME {
            self.clock_read_at = Instant::now();
            self.view.clock = Clock::local();
        }
    }
}
