//! The state and the main loop of the terminal client.

mod execute;
mod questions;
mod session_events;

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::time::{Duration, Instant};

use async_signal::{Signal, Signals};
use futures_lite::{StreamExt, future};
use smol::Timer;

use self::questions::ServerQuestion;
use super::commands::split_input;
use super::editor::{Editor, UserInput};
use super::entry::EntryKind;
use super::key_input::KeyInput;
use super::keys::EditAction;
use super::member_names::MemberNames;
use super::prompt::format_prompt;
use super::screen::Screen;
use super::server_switch::ServerSwitch;
use super::view::{MarkerReason, View};
use crate::app::chat_log::ChatLog;
use crate::app::outage::Outage;
use crate::app::{Clock, Error};
use crate::client::{self, ReceivedFrame, Session, SessionEvent};

/// The interval of updates without an event: collected joins and leaves, and the status line.
const TICK: Duration = Duration::from_secs(1);
/// The time after which the offset of local time is read again, because it may have changed.
const CLOCK_LIFETIME: Duration = Duration::from_secs(3600);
/// The most bytes of typed lines that wait until the session accepts them.
const MAX_TYPED_BYTES: usize = 4 << 20;

/// The terminal client with its session and its screen.
pub struct App {
    session: Session,
    server_switch: ServerSwitch,
    view: View,
    screen: Screen,
    log: Option<ChatLog>,
    signals: Signals,
    editor: Editor,
    key_input: KeyInput,
    /// The typed lines that the session does not accept yet.
    typed_lines: VecDeque<String>,
    typed_bytes: usize,
    /// Whether the user has left, so that the keys have no effect apart from Ctrl-C.
    has_left: bool,
    /// Whether the terminal can be read and written.
    is_terminal_open: bool,
    members: MemberNames,
    /// The id of the `/who` of the client itself, whose answer is not shown.
    who_id: Option<String>,
    /// Ignored names that the next answer to `/who` should have.
    unknown_names: Vec<String>,
    /// The id of `/help`, below whose answer the commands of the client are shown.
    help_id: Option<String>,
    /// The member to whom the lines of the user are sent, with `/query`.
    query: Option<String>,
    /// The question that the input line shows.
    question: Option<ServerQuestion>,
    unconfirmed_lines: VecDeque<UnconfirmedLine>,
    /// The parts of long lines that the session does not accept yet.
    unsent_parts: VecDeque<String>,
    last_private: Option<Box<ReceivedFrame>>,
    outage: Option<Outage>,
    /// The reason to end with an error: a signal, or a terminal that is closed.
    end_cause: Option<Error>,
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

#[expect(clippy::large_enum_variant, reason = "one value at a time")]
enum AppEvent {
    Session(Result<Option<SessionEvent>, client::Error>),
    Keys(Vec<EditAction>),
    Signal(Signal),
    /// The result of `/connect`.
    Connected(Box<Result<Option<Session>, client::Error>>),
    Tick,
    ScreenReady,
    TerminalFailed(io::Error),
}

impl App {
    pub fn new(
        session: Session,
        server_switch: ServerSwitch,
        view: View,
        screen: Screen,
        signals: Signals,
        editor: Editor,
        key_input: KeyInput,
    ) -> Self {
        App {
            log: None,
            session,
            server_switch,
            view,
            screen,
            signals,
            editor,
            key_input,
            typed_lines: VecDeque::new(),
            typed_bytes: 0,
            has_left: false,
            is_terminal_open: true,
            members: MemberNames::default(),
            who_id: None,
            unknown_names: Vec::new(),
            help_id: None,
            query: None,
            question: None,
            unconfirmed_lines: VecDeque::new(),
            unsent_parts: VecDeque::new(),
            last_private: None,
            outage: None,
            end_cause: None,
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
        self.update_screen();
        loop {
            let event = self.next_event().await;
            if let Some(result) = self.handle(event).await {
                return result;
            }
            self.execute_typed_lines();
            // After leaving, the user does not wait until the server is reachable again.
            if self.has_left
                && self.session.pending_count() > 0
                && let Some(outage) = self.outage.take_if(|outage| !outage.is_reconnected)
            {
                return Err(self.end_error(outage.cause));
            }
            self.update_screen();
        }
    }

    /// Handles an event. Returns the result of the program if the event ends it.
    async fn handle(&mut self, event: AppEvent) -> Option<Result<(), Error>> {
        match event {
            AppEvent::Session(event) => return self.on_session_events(event).await,
            AppEvent::Tick => return self.on_tick(),
            AppEvent::Keys(actions) => self.on_keys(actions),
            AppEvent::Signal(signal) => self.on_signal(signal).await,
            AppEvent::Connected(result) => self.on_connected(*result),
            AppEvent::ScreenReady => {}
            AppEvent::TerminalFailed(error) => {
                self.is_terminal_open = false;
                self.end(Error::Terminal(error));
            }
        }
        None
    }

    /// Restores the terminal.
    pub async fn close(&mut self) {
        self.view.flush_held();
        self.screen.close(&mut self.view, &self.editor).await;
    }

    async fn next_event(&mut self) -> AppEvent {
        let App { session, server_switch, screen, signals, key_input, tick, .. } = self;
        let (is_behind, is_terminal_open) = (screen.is_behind(), self.is_terminal_open);
        let session_event = async {
            match is_behind {
                true => pending().await,
                false => AppEvent::Session(session.receive().await),
            }
        };
        let keys = async {
            match is_terminal_open {
                true => {
                    key_input.next().await.map_or_else(AppEvent::TerminalFailed, AppEvent::Keys)
                }
                false => pending().await,
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
            match is_terminal_open {
                true => match screen.wait_ready().await {
                    Ok(()) => AppEvent::ScreenReady,
                    Err(error) => AppEvent::TerminalFailed(error),
                },
                false => pending().await,
            }
        };
        // A fair race: neither a flood of frames nor one of input may block the other.
        let frequent = future::race(session_event, keys);
        let rare = future::or(future::or(signal, tick), future::or(connected, screen));
        future::or(rare, frequent).await
    }

    fn on_keys(&mut self, actions: Vec<EditAction>) {
        for action in actions {
            match action {
                EditAction::FocusIn => self.view.cancel_marker(MarkerReason::Focus),
                EditAction::FocusOut => self.view.request_marker(MarkerReason::Focus),
                action => self.on_key(action),
            }
        }
    }

    fn on_key(&mut self, action: EditAction) {
        if self.has_left {
            // The user does not wait any longer for the server.
            if let EditAction::Interrupt | EditAction::Quit = action {
                self.end_cause.get_or_insert(Error::Signal(Signal::Int as i32));
            }
        } else if let Some(input) = self.editor.execute(action) {
            self.on_user_input(input);
            self.execute_typed_lines();
        }
    }

    fn on_user_input(&mut self, input: UserInput) {
        match input {
            UserInput::Lines(lines) => self.queue_typed_lines(&lines),
            UserInput::Answer(answer) => self.on_answer(answer),
            UserInput::Leave => self.leave(),
            UserInput::Quit => self.end(Error::Signal(Signal::Quit as i32)),
            UserInput::Suspend => {
                // To the whole process group, like Ctrl-Z in a terminal that is not in raw mode.
                let signal = rustix::process::Signal::TSTP;
                let _ = rustix::process::kill_current_process_group(signal);
            }
            UserInput::Redraw => self.screen.request_redraw(),
        }
    }

    fn queue_typed_lines(&mut self, lines: &str) {
        for line in split_input(lines) {
            let bytes = line.len() + size_of::<String>();
            if self.typed_bytes + bytes > MAX_TYPED_BYTES {
                let text = "too many lines wait for the server; the rest is not sent";
                return self.view.show_notice(EntryKind::Error, text);
            }
            self.typed_bytes += bytes;
            self.typed_lines.push_back(line);
        }
    }

    /// Executes the typed lines, and sends the parts of long ones, while the session has capacity.
    fn execute_typed_lines(&mut self) {
        while !self.has_left && self.session.has_capacity() {
            if let Some(part) = self.unsent_parts.pop_front() {
                self.send_part(&part);
                continue;
            }
            let Some(line) = self.typed_lines.pop_front() else { return };
            self.typed_bytes -= line.len() + size_of::<String>();
            self.execute(&line);
        }
    }

    async fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::Winch => self.screen.request_redraw(),
            Signal::Tstp => {
                self.view.request_marker(MarkerReason::Stop);
                self.screen.suspend(&self.editor).await;
            }
            Signal::Cont => self.screen.resume(),
            signal => self.end(Error::Signal(signal as i32)),
        }
    }

    /// Leaves the room, and ends the program with `cause` even if the server does not answer.
    fn end(&mut self, cause: Error) {
        // A closed terminal also sends a signal. The signal decides the exit code.
        if !matches!(self.end_cause, Some(Error::Signal(_))) {
            self.end_cause = Some(cause);
        }
        self.leave();
    }

    /// Returns the result of the program if it has to end and the server has not answered yet.
    fn on_tick(&mut self) -> Option<Result<(), Error>> {
        self.tick = None;
        self.view.on_tick();
        self.end_cause.take().map(Err)
    }

    /// Prints the status line and the output of the view, in one batch: a status line that is erased
    /// without a new line leaves an empty row.
    fn flush_screen(&mut self) {
        let prompt = format_prompt(self.session.name(), self.query.as_deref(), self.view.columns);
        self.editor.set_prompt(prompt);
        let status =
            self.outage.as_ref().map(|outage| outage.format_status(self.unconfirmed_count()));
        self.screen.set_status(status.map(|status| self.view.format_status(&status)));
        self.screen.flush(&mut self.view, &self.editor);
    }

    /// Draws the changes, and starts the timer if the screen will change without an event.
    fn update_screen(&mut self) {
        if let Some(names) = self.members.take_changes() {
            self.editor.set_member_names(names);
        }
        self.flush_screen();
        let is_timed =
            self.outage.is_some() || self.view.has_held_entries() || self.end_cause.is_some();
        if is_timed && self.tick.is_none() {
            self.tick = Some(Timer::after(TICK));
        }
        if self.clock_read_at.elapsed() > CLOCK_LIFETIME {
            self.clock_read_at = Instant::now();
            self.view.clock = Clock::local();
        }
    }
}
