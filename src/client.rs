//! The client: a [`Session`] with a room, and what the program `smolchat` makes of it.
//!
//! It knows the [protocol](crate::protocol) and nothing else of the server.

mod clock;
mod link;
mod screen;
mod session;

use std::collections::HashSet;
use std::io::{self, BufRead, IsTerminal, Write};
use std::thread;

use async_channel::Receiver;
use futures_lite::future;

pub use clock::Clock;
pub use screen::{harmless, render};
pub use session::{Address, Error, Greeting, Received, Session};

use crate::protocol::{Body, ByeCode};

/// Lines that may wait between the task that reads them and the session.
const TYPED_AHEAD: usize = 64;

/// What `smolchat` was asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the server is.
    pub address: Address,
    /// Who to be there.
    pub greeting: Greeting,
    /// Print the server's lines as they are.
    pub json: bool,
}

/// Takes part in a conversation: says what standard input has to say, prints what comes.
///
/// At the end of the input it stays until the server has answered the last line.
///
/// # Errors
///
/// When the server cannot be reached or goes away, or a line was not accepted.
pub fn converse(options: Options) -> Result<(), Error> {
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let (typed, lines) = async_channel::bounded(TYPED_AHEAD);
    smol::block_on(async {
        let session = Session::connect(&options.address, &options.greeting).await?;
        // Standard input blocks, and a terminal must not be made not to: it is shared with the
        // shell. So a thread reads it, which ends with the process.
        thread::spawn(move || {
            for line in io::stdin().lock().split(b'\n').map_while(Result::ok) {
                if typed.send_blocking(line).is_err() {
                    break;
                }
            }
        });
        let printer = Printer {
            clock: Clock::local(),
            json: options.json,
            replaces_typed: is_terminal && !options.json,
        };
        talk(session, lines, printer).await
    })
}

/// Sends what is typed and prints what comes, until both are done.
async fn talk(
    mut session: Session,
    lines: Receiver<Vec<u8>>,
    printer: Printer,
) -> Result<(), Error> {
    enum Next {
        Typed(Vec<u8>),
        InputEnds,
        Received(Received),
    }
    let mut unanswered = HashSet::new();
    let mut refused = 0;
    let mut is_typing = true;
    loop {
        let received = async { session.receive().await.map(Next::Received) };
        let next = if is_typing {
            let typed = async {
                Ok(match lines.recv().await {
                    Ok(line) => Next::Typed(line),
                    Err(_) => Next::InputEnds,
                })
            };
            future::or(received, typed).await?
        } else {
            received.await?
        };
        match next {
            Next::Typed(line) => {
                let line = String::from_utf8_lossy(&line);
                let line = line.strip_suffix('\r').unwrap_or(&line);
                printer.forget_typed();
                if !line.is_empty() {
                    unanswered.insert(session.say(line));
                }
            }
            Next::InputEnds => {
                is_typing = false;
                session.finish();
            }
            Next::Received(received) => {
                printer.print(&received);
                let body = &received.frame.body;
                if let Some(id) = body.id()
                    && unanswered.remove(id)
                    && matches!(body, Body::Error { .. })
                {
                    refused += 1;
                }
                match body {
                    // The answer to `/quit`, or to the end of the input: all else was answered.
                    Body::Bye { code: ByeCode::Quit, .. } => break,
                    Body::Bye { .. } => {
                        return Err(Error::Closed(Some(harmless(&received.frame.data))));
                    }
                    _ => {}
                }
            }
        }
    }
    if refused > 0 && !printer.replaces_typed { Err(Error::Refused(refused)) } else { Ok(()) }
}

struct Printer {
    clock: Clock,
    json: bool,
    /// The terminal shows what is typed, and the room repeats it.
    replaces_typed: bool,
}

impl Printer {
    fn print(&self, received: &Received) {
        let text = if self.json {
            String::from_utf8_lossy(&received.line).into_owned()
        } else {
            render(&received.frame, &self.clock)
        };
        // Whoever has closed our output cannot be told that it is closed.
        let mut stdout = io::stdout().lock();
        let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    }

    /// Takes the line that was typed off the screen: it comes back, with its time and name.
    fn forget_typed(&self) {
        if self.replaces_typed {
            let _ = write!(io::stdout(), "\x1b[A\r\x1b[K");
        }
    }
}
