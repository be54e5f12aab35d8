//! `--exec`: a shell command that reads the messages of the room and whose output is sent to it.
//!
//! The command is started once, when the client has joined, so that it can keep state and answers
//! in order.
//!
//! - Its input is one line for each message that another member sends to all: `NAME<TAB>TEXT`, or
//!   with JSON each line of the server, unchanged. Its own messages are left out, so that it does
//!   not answer itself, and so are messages from before it joined.
//! - Each line of its output is sent. A `/` at the start is sent literally. With JSON, a line that
//!   is an object is sent unchanged.
//! - When the command has exited and its output is closed, the client waits for the answers to its
//!   last lines. When the session ends first, the input of the command is closed, and the command
//!   is killed if it does not exit within [`EXIT_TIMEOUT`].

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::io::BufReader;
use futures_lite::{AsyncBufReadExt, AsyncWriteExt, FutureExt, future};
use rustix::process::{Pid, Signal, kill_process_group};
use smol::process::{Child, ChildStdin, ChildStdout, Command};
use smol::{LocalExecutor, Timer};

use super::Error;
use super::end_signals::EndSignals;
use super::event_sink::EventSink;
use super::exec_input::{CommandInput, CommandInputReader};
use super::line_client::{InputError, LineClient, MAX_LINE, OutgoingLine};
use super::password::PASSWORD_VARIABLE;
use super::token_store::TokenStore;
use crate::client::Session;
use crate::protocol::LineReader;

/// The number of lines that are read ahead of the session, each of at most [`MAX_LINE`] bytes.
const OUTPUT_CAPACITY: usize = 16;
/// The size of the buffer for the output of the command, in bytes.
const BUFFER_SIZE: usize = 16 << 10;
/// The time that a command has to exit after its input is closed.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs `command` with `sh -c` and connects its input and output to the session.
///
/// # Errors
///
/// Returns an error if the command cannot be started or exits with an error, if the session fails,
/// or if a line was refused.
pub async fn run_command(
    command: &str,
    session: Session,
    signals: EndSignals,
    token_store: Option<TokenStore>,
    is_json: bool,
) -> Result<(), Error> {
    let (command_input, input_lines) = CommandInput::new(is_json);
    let (output_sender, output_lines) = async_channel::bounded(OUTPUT_CAPACITY);
    // Closed when the session has ended.
    let (session_guard, session_end) = async_channel::bounded::<()>(1);
    let executor = LocalExecutor::new();
    let exit = executor.spawn(async {
        if !input_lines.wait_until_joined().await {
            return Ok(None);
        }
        let mut child = start(command)?;
        let stdin = child.stdin.take();
        let input = async {
            if let Some(stdin) = stdin {
                write_input(stdin, input_lines).await;
            }
            future::pending().await
        };
        wait_for_exit(child, output_sender, session_end).or(input).await
    });
    let sink = EventSink::Command(command_input);
    let client = LineClient::new(session, sink, signals).with_json(is_json);
    let client = client.with_token_store(token_store);
    let conversation = async {
        let session_result = client.run(output_lines).await;
        drop(session_guard);
        let exit_result = exit.await;
        session_result?;
        match exit_result.map_err(Error::Command)? {
            Some(status) if !status.success() => Err(Error::Failed(status)),
            _ => Ok(()),
        }
    };
    executor.run(conversation).await
}

fn start(command: &str) -> io::Result<Child> {
    let mut shell = std::process::Command::new("sh");
    // A group of its own, because the shell may run the command in other processes.
    shell.arg("-c").arg(command).process_group(0);
    shell.env_remove(PASSWORD_VARIABLE);
    Command::from(shell)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
}

/// Writes lines to the command, and closes its input after the last.
async fn write_input(mut stdin: ChildStdin, lines: CommandInputReader) {
    while let Some(line) = lines.next_line().await {
        // Fails after the command has closed its input.
        if stdin.write_all(&line).await.is_err() {
            break;
        }
    }
}

/// Forwards the output of the command and returns its exit status.
///
/// Kills the command if it still runs [`EXIT_TIMEOUT`] after `session_end` is closed, and returns
/// `None` then.
async fn wait_for_exit(
    mut child: Child,
    lines: Sender<OutgoingLine>,
    session_end: Receiver<()>,
) -> io::Result<Option<ExitStatus>> {
    let stdout = child.stdout.take();
    let exit = async {
        if let Some(stdout) = stdout {
            forward_output(stdout, &lines).await;
        }
        Some(child.status().await)
    };
    let timeout = async {
        let _ = session_end.recv().await;
        Timer::after(EXIT_TIMEOUT).await;
        None
    };
    match exit.or(timeout).await {
        Some(status) => status.map(Some),
        None => {
            let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            if group.is_none_or(|group| kill_process_group(group, Signal::KILL).is_err()) {
                child.kill()?;
            }
            child.status().await.map(|_| None)
        }
    }
}

/// Sends the lines that the command prints, until it closes its output.
async fn forward_output(stdout: ChildStdout, lines: &Sender<OutgoingLine>) {
    let mut reader = LineReader::new(MAX_LINE);
    let mut stdout = BufReader::with_capacity(BUFFER_SIZE, stdout);
    while let Ok(bytes @ [_, ..]) = stdout.fill_buf().await {
        let mut output = Vec::new();
        reader.read(bytes, |line| {
            output.push(InputError::from_reader(line));
            true
        });
        let count = bytes.len();
        stdout.consume(count);
        for line in output {
            // Fails after the session has ended; the output is then discarded.
            let _ = lines.send(line).await;
        }
    }
    // The last line may have no newline.
    if !reader.buffer().is_empty() {
        let _ = lines.send(Ok(reader.buffer().to_vec())).await;
    }
}
