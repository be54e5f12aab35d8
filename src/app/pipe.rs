//! What `smolchat` makes of a session: lines in, lines out.

use std::io::{self, BufRead, IsTerminal, Write};
use std::thread;

use async_channel::Receiver;
use futures_lite::future;

use super::{Bell, Clock, Color, Error, render};
use crate::client::{
    self, Received, ReconnectPolicy, ServerAddress, Session, SessionConfig, SessionEvent, sanitize,
};
use crate::protocol::Body;

/// Lines that may wait between the task that reads them and the session.
const TYPED_AHEAD: usize = 64;

/// What `smolchat` was asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the server is.
    pub address: ServerAddress,
    /// Who to be there.
    pub config: SessionConfig,
    /// What to do when the link is lost.
    pub reconnect: ReconnectPolicy,
    /// Print the server's lines as they are.
    pub json: bool,
    /// When to use colours, at a terminal with the editor.
    pub color: Color,
    /// When to ring the bell, at a terminal with the editor.
    pub bell: Bell,
    /// Show the time of day, at a terminal with the editor.
    pub time: bool,
}

/// Takes part in a conversation: says what standard input has to say, prints what comes.
///
/// At the end of the input it stays until the server has answered the last line.
///
/// # Errors
///
/// When the server cannot be reached or goes away for good, or, unless somebody types at a
/// terminal, when a line was not accepted.
pub fn run(options: Options) -> Result<(), Error> {
    let is_terminal = io::stdin().is_terminal();
    let replaces_typed = is_terminal && io::stdout().is_terminal() && !options.json;
    #[cfg(feature = "editor")]
    if replaces_typed && std::env::var_os("TERM").is_some_and(|term| term != "dumb") {
        return super::tui::run(options);
    }
    let (typed, lines) = async_channel::bounded(TYPED_AHEAD);
    smol::block_on(async {
        let Options { address, config, reconnect, json, .. } = options;
        let session = Session::connect(address, config, reconnect).await?;
        // Standard input blocks, and a terminal must not be made not to: it is shared with the
        // shell. So a thread reads it, which ends with the process.
        thread::spawn(move || {
            for line in io::stdin().lock().split(b'\n').map_while(Result::ok) {
                if typed.send_blocking(line).is_err() {
                    break;
                }
            }
        });
        let printer = LinePrinter { clock: Clock::local(), json, replaces_typed };
        let is_typing = true;
        let client =
            PipeClient { session, printer, is_terminal, is_typing, refused: 0, lost: None };
        client.run(lines).await
    })
}

enum Next {
    Typed(Vec<u8>),
    InputEnds,
    Event(SessionEvent),
    Over,
}

struct PipeClient {
    session: Session,
    printer: LinePrinter,
    /// Somebody sits there, and sees what is accepted and what is not.
    is_terminal: bool,
    /// More may come from standard input.
    is_typing: bool,
    refused: usize,
    /// Why there is no link at the moment, if so.
    lost: Option<client::Error>,
}

impl PipeClient {
    async fn run(mut self, lines: Receiver<Vec<u8>>) -> Result<(), Error> {
        loop {
            match self.next(&lines).await {
                Ok(Next::Typed(line)) => self.say(&line),
                Ok(Next::InputEnds) => self.leave(),
                Ok(Next::Event(event)) => self.on_event(event),
                Ok(Next::Over) if self.refused > 0 => return Err(Error::Refused(self.refused)),
                Ok(Next::Over) => return Ok(()),
                Err(error) => return Err(self.unconfirmed(error, lines.len())),
            }
            // Who has said goodbye does not sit and wait until the server can hear it.
            if self.is_terminal
                && !self.is_typing
                && self.session.pending_count() > 0
                && let Some(cause) = self.lost.take()
            {
                return Err(self.unconfirmed(cause, 0));
            }
        }
    }

    /// Waits for whatever comes first, a line of the input or something from the session.
    async fn next(&mut self, lines: &Receiver<Vec<u8>>) -> Result<Next, client::Error> {
        let has_room = self.is_typing && self.session.has_capacity();
        let event = async {
            let event = self.session.receive().await?;
            Ok(event.map_or(Next::Over, Next::Event))
        };
        if !has_room {
            return event.await;
        }
        let typed = async { Ok(lines.recv().await.map_or(Next::InputEnds, Next::Typed)) };
        // Neither a flood from the room nor one from the input shuts out the other.
        future::race(event, typed).await
    }

    fn say(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.strip_suffix('\r').unwrap_or(&line);
        // What waits for the link is not going to come back soon, and stays to be seen.
        if self.session.is_connected() {
            self.printer.forget_typed();
        }
        if line.is_empty() {
            return;
        }
        // There was room, so what is not taken comes behind a `/quit`.
        let _ = self.session.send(line);
        self.is_typing = !self.session.is_finishing();
    }

    fn leave(&mut self) {
        self.is_typing = false;
        self.session.finish();
    }

    fn on_event(&mut self, event: SessionEvent) {
        // The same again and again, each time that a server is not there, is no news.
        let is_news = match (&event, &self.lost) {
            (SessionEvent::Disconnected { cause, .. }, Some(before)) => {
                error_chain(cause) != error_chain(before)
            }
            _ => true,
        };
        if is_news {
            self.printer.print(&event);
        }
        match event {
            SessionEvent::Received(Received { frame, in_reply_to: Some(_), .. }) => {
                let is_refused = matches!(frame.body, Body::Error { .. });
                self.refused += usize::from(is_refused && !self.is_terminal);
            }
            SessionEvent::Disconnected { cause, .. } => self.lost = Some(cause),
            SessionEvent::Synced { .. } => self.lost = None,
            _ => {}
        }
    }

    /// The conversation ended before its time: says how many lines are not known to be heard,
    /// with those that wait to be said.
    fn unconfirmed(&self, error: client::Error, waiting: usize) -> Error {
        match self.refused + self.session.pending_count() + waiting {
            0 => error.into(),
            count => Error::Unconfirmed(count, Box::new(error)),
        }
    }
}

struct LinePrinter {
    clock: Clock,
    json: bool,
    /// The terminal shows what is typed, and the room repeats it.
    replaces_typed: bool,
}

impl LinePrinter {
    fn print(&self, event: &SessionEvent) {
        let text = match event {
            SessionEvent::Received(received) if self.json => {
                String::from_utf8_lossy(&received.line).into_owned()
            }
            // It is told of below, in the words for holes that the server did not name.
            SessionEvent::Received(received) if matches!(received.frame.body, Body::Gap { .. }) => {
                return;
            }
            SessionEvent::Received(received) => render(&received.frame, &self.clock),
            event => match status(event) {
                Some(status) => format!("      -!- {status}"),
                None => return,
            },
        };
        // Whoever has closed our output cannot be told that it is closed.
        let _ = if self.json && !matches!(event, SessionEvent::Received(_)) {
            writeln!(io::stderr(), "{text}")
        } else {
            let mut stdout = io::stdout().lock();
            writeln!(stdout, "{text}").and_then(|()| stdout.flush())
        };
    }

    /// Takes the line that was typed off the screen: it comes back, with its time and name.
    fn forget_typed(&self) {
        if self.replaces_typed {
            let _ = write!(io::stdout(), "\x1b[A\r\x1b[K");
        }
    }
}

/// What there is to say about the link.
pub(super) fn status(event: &SessionEvent) -> Option<String> {
    Some(match event {
        SessionEvent::Disconnected { cause, retry_in } if retry_in.is_zero() => {
            format!("{}; coming back", error_chain(cause))
        }
        SessionEvent::Disconnected { cause, retry_in } => {
            format!("{}; next try in {:.1} s", error_chain(cause), retry_in.as_secs_f32())
        }
        SessionEvent::Reconnected { resumed: false, .. } => {
            "back, but what was said in the meantime cannot be shown".into()
        }
        SessionEvent::Reconnected { missed: 0, .. } => "back; nothing was missed".into(),
        SessionEvent::Reconnected { missed: 1, .. } => "back; one line was missed:".into(),
        SessionEvent::Reconnected { missed, .. } => format!("back; {missed} lines were missed:"),
        SessionEvent::Gap { from, to } if from == to => format!("line {from} is gone for good"),
        SessionEvent::Gap { from, to } => format!("lines {from} to {to} are gone for good"),
        SessionEvent::Synced { pending: 0 } => "up to date again".into(),
        SessionEvent::Synced { pending: 1 } => {
            "up to date again; one line that waited goes out".into()
        }
        SessionEvent::Synced { pending } => {
            format!("up to date again; {pending} lines that waited go out")
        }
        SessionEvent::Received(_) => return None,
    })
}

/// An error with its causes, on one line. The server has a say in its words.
pub(super) fn error_chain(error: &client::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    sanitize(&text)
}
