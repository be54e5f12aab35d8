//! What `smolchat` is for programs: lines of JSON, a few lines to say, or a command that takes
//! part.
//!
//! # A command that takes part
//!
//! The command is run once, by `sh -c`, and not once a line: so it can remember, costs nothing
//! while nobody talks, and answers in the order in which it was asked. Who wants a process for each
//! line writes `while read`.
//!
//! - It is fed what others say to all, each line as `NAME<TAB>TEXT`; or, with JSON, each line of the
//!   server as it is. What it said itself it is not fed, lest it answers itself without end, nor
//!   what was said before it came.
//! - Each line of its output is said. In text, a `/` at the start is no command: a bot that repeats
//!   what it heard would do whatever anybody tells it. With JSON, what is an object is sent as it is.
//! - It may not read at all. Lines wait for it, up to a bound, and are then left out and counted;
//!   the room is heard all the same.
//! - When it has ended, and its output with it, what it said last is waited for. When the
//!   conversation ends first, so does its input; if it then does not end, it is killed.

use std::io::{self, BufRead, Write};
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use async_channel::{Receiver, Sender, TrySendError};
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt, future};
use serde_json::{Map, Value};
use smol::process::{Child, ChildStdin, ChildStdout, Command};
use smol::{LocalExecutor, Timer};

use super::pipe::{error_chain, status};
use super::{Error, Options};
use crate::client::{self, Received, SendError, Session, SessionEvent, sanitize};
use crate::protocol::{Body, LineReader, TooLong};

/// Lines that may wait between what they come from and the session.
const SAID_AHEAD: usize = 64;
/// Lines that may wait for a command to read them.
const FED_AHEAD: usize = 1024;
/// The longest line that is taken from a command. No server takes a longer one.
const MAX_LINE: u32 = 1 << 20;
/// How long a command may take to end when its input has ended.
const GRACE: Duration = Duration::from_secs(2);

/// What a program has to say.
#[derive(Clone, Debug)]
pub enum Script {
    /// Each line of standard input. An object of JSON goes out as it is, anything else as text.
    Input,
    /// These lines.
    Send(Vec<String>),
    /// What this command prints, which is fed what others say.
    Exec(String),
}

/// Takes part in a conversation until everything is said and answered.
///
/// # Errors
///
/// When the server cannot be reached or goes away for good, when a line was not accepted, or when
/// the command failed.
pub fn run(options: Options, script: Script) -> Result<(), Error> {
    let Options { address, config, reconnect, json, .. } = options;
    smol::block_on(async {
        let session = Session::connect(address, config, reconnect).await?;
        let (said, lines) = async_channel::bounded(SAID_AHEAD);
        let client =
            ScriptClient { session, is_json: json, is_ending: false, refused: 0, lost: None };
        match script {
            Script::Input => {
                // Standard input blocks. So a thread reads it, which ends with the process.
                thread::spawn(move || {
                    let lines = io::stdin().lock().split(b'\n').map_while(Result::ok);
                    lines.map(Ok).try_for_each(|line| said.send_blocking(line)).ok()
                });
                client.run(lines, EventSink::Output).await
            }
            Script::Send(texts) => {
                let saying = async move {
                    for text in texts {
                        let _ = said.send(Ok(text.into_bytes())).await;
                    }
                    drop(said);
                    future::pending().await
                };
                client.run(lines, EventSink::Answers).or(saying).await
            }
            Script::Exec(command) => exec(&command, client, said, lines).await,
        }
    })
}

/// A line to say, without its end.
type Line = Result<Vec<u8>, TooLong>;

/// Who hears what comes.
enum EventSink {
    /// All of it is printed, in the server's words.
    Output,
    /// Only what was asked is printed.
    Answers,
    /// A command is fed.
    Command(Feed),
}

struct ScriptClient {
    session: Session,
    is_json: bool,
    /// Nothing more is going to be said.
    is_ending: bool,
    refused: usize,
    /// Why there is no link at the moment, if so.
    lost: Option<String>,
}

enum Next {
    Line(Line),
    LinesEnd,
    Event(SessionEvent),
    Over,
}

impl ScriptClient {
    async fn run(mut self, lines: Receiver<Line>, mut listener: EventSink) -> Result<(), Error> {
        let is_literal = matches!(listener, EventSink::Command(_));
        loop {
            match self.next(&lines).await {
                Ok(Next::Line(line)) => self.say(line, is_literal),
                Ok(Next::LinesEnd) => {
                    self.is_ending = true;
                    self.session.finish();
                }
                Ok(Next::Event(event)) => {
                    self.on_event(&event, &mut listener);
                    // What is on its way to a command goes on before there is more.
                    future::yield_now().await;
                }
                Ok(Next::Over) if self.refused > 0 => return Err(Error::Refused(self.refused)),
                Ok(Next::Over) => return Ok(()),
                Err(error) => {
                    return Err(match self.refused + self.session.pending_count() + lines.len() {
                        0 => error.into(),
                        count => Error::Unconfirmed(count, Box::new(error)),
                    });
                }
            }
        }
    }

    /// Waits for whatever comes first, a line to say or something from the session.
    async fn next(&mut self, lines: &Receiver<Line>) -> Result<Next, client::Error> {
        let takes_lines = !self.is_ending && self.session.has_capacity();
        let event = async {
            let event = self.session.receive().await?;
            Ok(event.map_or(Next::Over, Next::Event))
        };
        if !takes_lines {
            return event.await;
        }
        let line = async { Ok(lines.recv().await.map_or(Next::LinesEnd, Next::Line)) };
        // Neither a flood from the room nor one of lines shuts out the other.
        future::race(event, line).await
    }

    /// Says a line. Where it is to be literal, text is no command.
    fn say(&mut self, line: Line, is_literal: bool) {
        let Ok(line) = line else {
            self.refused += 1;
            return warn(&format!("a line of more than {MAX_LINE} bytes cannot be said"));
        };
        let line = String::from_utf8_lossy(&line);
        let line = line.strip_suffix('\r').unwrap_or(&line);
        let object = || serde_json::from_str::<Map<String, Value>>(line).ok();
        let said = match object().filter(|_| self.is_json) {
            _ if line.is_empty() => return,
            Some(object) => self.session.send_object(object),
            None if is_literal && line.starts_with('/') => self.session.send(&format!("/{line}")),
            None => self.session.send(line),
        };
        if let Err(SendError::InvalidObject(why)) = said {
            self.refused += 1;
            warn(&why);
        }
        self.is_ending = self.session.is_finishing();
    }

    fn on_event(&mut self, event: &SessionEvent, listener: &mut EventSink) {
        match event {
            SessionEvent::Received(received) => {
                let is_error = matches!(received.frame.body, Body::Error { .. });
                self.refused += usize::from(is_error && received.in_reply_to.is_some());
                if is_error && !matches!(listener, EventSink::Output) {
                    warn(&sanitize(&received.frame.data));
                }
                self.pass_on(received, listener);
            }
            // The same again and again, each time that a server is not there, is no news.
            SessionEvent::Disconnected { cause, .. }
                if self.lost.as_ref() == Some(&error_chain(cause)) => {}
            event => {
                match event {
                    SessionEvent::Disconnected { cause, .. } => {
                        self.lost = Some(error_chain(cause))
                    }
                    SessionEvent::Synced { .. } => self.lost = None,
                    _ => {}
                }
                if let Some(status) = status(event) {
                    warn(&status);
                }
            }
        }
    }

    fn pass_on(&self, received: &Received, listener: &mut EventSink) {
        let frame = &received.frame;
        match listener {
            EventSink::Output => print(&received.line),
            EventSink::Answers if received.in_reply_to.is_none() => {}
            EventSink::Answers if self.is_json => print(&received.line),
            EventSink::Answers => {
                if let Body::Who { .. } | Body::Info { .. } = frame.body {
                    let lines = frame.data.lines().map(sanitize).collect::<Vec<_>>();
                    print(lines.join("\n").as_bytes());
                }
            }
            EventSink::Command(feed) => {
                let is_own = match frame.body {
                    Body::Chat { .. } | Body::Action { .. } | Body::Private { .. } => {
                        received.in_reply_to.is_some() || frame.data_source == self.session.name()
                    }
                    _ => false,
                };
                if is_own || received.is_past {
                    return;
                }
                let mut line = match frame.body {
                    _ if self.is_json => received.line.clone(),
                    Body::Chat { .. } => {
                        let (name, text) = (sanitize(&frame.data_source), sanitize(&frame.data));
                        format!("{name}\t{text}").into_bytes()
                    }
                    _ => return,
                };
                line.push(b'\n');
                feed.push(line);
            }
        }
    }
}

/// The way to the input of a command.
struct Feed {
    lines: Sender<Vec<u8>>,
    left_out: usize,
}

impl Feed {
    /// Takes a line, its end included, if there is room.
    fn push(&mut self, line: Vec<u8>) {
        match self.lines.try_send(line) {
            Ok(()) => self.tell(),
            Err(TrySendError::Full(_)) => {
                if self.left_out == 0 {
                    warn("the command does not read; lines are left out until it does");
                }
                self.left_out += 1;
            }
            // It does not want to hear any more.
            Err(TrySendError::Closed(_)) => {}
        }
    }

    fn tell(&mut self) {
        match std::mem::take(&mut self.left_out) {
            0 => {}
            1 => warn("one line was left out"),
            count => warn(&format!("{count} lines were left out")),
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.tell();
    }
}

async fn exec(
    command: &str,
    client: ScriptClient,
    said: Sender<Line>,
    lines: Receiver<Line>,
) -> Result<(), Error> {
    let mut child = Command::new("sh");
    child.arg("-c").arg(command).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = child.kill_on_drop(true).spawn().map_err(Error::Command)?;
    let (feed, fed) = async_channel::bounded(FED_AHEAD);
    // Closed when the conversation has ended.
    let (_talking, silence) = async_channel::bounded::<()>(1);
    let executor = LocalExecutor::new();
    if let Some(input) = child.stdin.take() {
        executor.spawn(write(input, fed)).detach();
    }
    let ending = executor.spawn(follow(child, said, silence));
    let feed = Feed { lines: feed, left_out: 0 };
    let conversation = async {
        let talked = client.run(lines, EventSink::Command(feed)).await;
        drop(_talking);
        let ended = ending.await;
        talked?;
        match ended.map_err(Error::Command)? {
            Some(status) if !status.success() => Err(Error::Failed(status)),
            _ => Ok(()),
        }
    };
    executor.run(conversation).await
}

/// Writes lines as the command takes them, and closes its input behind the last.
async fn write(mut input: ChildStdin, lines: Receiver<Vec<u8>>) {
    while let Ok(line) = lines.recv().await {
        // Who has closed its input wants no more of it.
        if input.write_all(&line).await.is_err() {
            break;
        }
    }
}

/// Hands on what a command prints, and waits until it has ended; kills it if it does not end soon
/// after the `silence` has begun, and then returns no status.
async fn follow(
    mut child: Child,
    said: Sender<Line>,
    silence: Receiver<()>,
) -> io::Result<Option<ExitStatus>> {
    let output = child.stdout.take();
    let ends = async {
        if let Some(output) = output {
            read(output, &said).await;
        }
        Some(child.status().await)
    };
    let patience = async {
        let _ = silence.recv().await;
        Timer::after(GRACE).await;
        None
    };
    match ends.or(patience).await {
        Some(status) => status.map(Some),
        None => {
            child.kill()?;
            child.status().await.map(|_| None)
        }
    }
}

/// Hands on what a command prints, line by line, until it has closed its output.
async fn read(mut output: ChildStdout, said: &Sender<Line>) {
    let mut reader = LineReader::new(MAX_LINE);
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = output.read(&mut buffer).await {
        let mut lines = Vec::new();
        let bytes = buffer.get(..count).unwrap_or_default();
        reader.read(bytes, usize::MAX, |line| lines.push(line.map(<[u8]>::to_vec)));
        for line in lines {
            // Nobody listens any more when the conversation has ended.
            let _ = said.send(line).await;
        }
    }
    // The last line may lack its end.
    if !reader.held().is_empty() {
        let _ = said.send(Ok(reader.held().to_vec())).await;
    }
}

fn print(line: &[u8]) {
    // Whoever has closed our output cannot be told that it is closed.
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(&[line, b"\n"].concat()).and_then(|()| stdout.flush());
}

fn warn(what: &str) {
    let _ = writeln!(io::stderr(), "smolchat: {what}");
}
