//! The destinations of frames and messages of the client without a line editor.
//!
//! Errors of writing to standard output and standard error are ignored: if the reader has closed
//! them, there is no other place to report that.

use std::io::{self, Write};

use super::chat_log::ChatLog;
use super::command_input::CommandInput;
use super::render::sanitize_lines;
use super::{Clock, render};
use crate::client::{ReceivedFrame, sanitize};
use crate::protocol::{Body, Frame};

/// A destination of frames and of messages about the connection.
pub enum EventSink {
    /// Text for a person, on standard output.
    Text(TextOutput),
    /// All lines of the server, unchanged, on standard output.
    Json,
    /// Answers to the lines that were sent, on standard output.
    Answers {
        /// Whether each answer is printed as the line of the server, and not only its text.
        is_json: bool,
    },
    /// The standard input of a command.
    Command(CommandInput),
}

/// Standard output for a person.
pub struct TextOutput {
    pub clock: Clock,
    /// Whether the terminal has echoed a line that the server will repeat.
    pub has_echo: bool,
    /// Whether joins and leaves are printed.
    pub has_presence: bool,
    pub log: Option<ChatLog>,
}

impl TextOutput {
    fn write_frame(&mut self, received: &ReceivedFrame) {
        let log = self.log.as_mut();
        if let Some(error) = log.and_then(|log| log.write_frame(received, &self.clock)) {
            print_warning(&error);
        }
        match received.frame.body {
            Body::Join { .. } | Body::Leave { .. } if !self.has_presence => {}
            // Shown as a message about the connection, like gaps for which there is no frame.
            Body::Gap { .. } => {}
            _ => print_line(render(&received.frame, &self.clock).as_bytes()),
        }
    }
}

impl EventSink {
    /// Writes a frame. `own_name` is the name of this member.
    pub fn write_frame(&mut self, received: &ReceivedFrame, own_name: &str) {
        let frame = &received.frame;
        if let (Body::Error { .. }, EventSink::Answers { .. } | EventSink::Command(_)) =
            (&frame.body, &self)
        {
            print_warning(&sanitize(&frame.data));
        }
        match self {
            EventSink::Text(output) => output.write_frame(received),
            EventSink::Json => print_line(&received.line),
            EventSink::Answers { .. } if received.in_reply_to.is_none() => {}
            EventSink::Answers { is_json: true } => print_line(&received.line),
            EventSink::Answers { is_json: false } => print_answer(frame),
            EventSink::Command(input) => input.write_frame(received, own_name),
        }
    }

    /// Writes a message about the connection.
    pub fn write_status(&self, message: &str) {
        match self {
            EventSink::Text(_) => print_line(format!("      -!- {message}").as_bytes()),
            _ => print_warning(message),
        }
    }

    /// Erases the line above the cursor, if it is the echo of a line that is sent now.
    pub fn erase_echo(&self) {
        if let EventSink::Text(TextOutput { has_echo: true, .. }) = self {
            let _ = write!(io::stdout(), "\x1b[A\r\x1b[K");
        }
    }
}

/// Prints the text of an answer that has one for a person.
fn print_answer(frame: &Frame<'_>) {
    if let Body::Who { .. } | Body::Info { .. } = frame.body {
        print_line(sanitize_lines(&frame.data).as_bytes());
    }
}

fn print_line(line: &[u8]) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(&[line, b"\n"].concat()).and_then(|()| stdout.flush());
}

/// Prints a warning on standard error.
pub fn print_warning(message: &str) {
    let _ = writeln!(io::stderr(), "smolchat: {message}");
}
