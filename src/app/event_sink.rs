//! The destinations of frames and messages of the client without a line editor.

use super::chat_log::ChatLog;
use super::exec_input::CommandInput;
use super::output::StandardOutput;
use super::render::sanitize_lines;
use super::warning::print_warning;
use super::{Clock, render};
use crate::client::{ReceivedFrame, sanitize};
use crate::protocol::{Body, Frame};

/// A destination of frames and of messages about the connection.
pub enum EventSink {
    /// Text for a person, on standard output.
    Text(TextOutput),
    /// All lines of the server, unchanged, on standard output.
    Json(StandardOutput),
    /// Answers to the lines that were sent, on standard output.
    Answers {
        /// Whether each answer is printed as the line of the server, and not only its text.
        is_json: bool,
        output: StandardOutput,
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
    pub output: StandardOutput,
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
            _ => {
                let text = render(&received.frame, &self.clock);
                write_line(&mut self.output, text.as_bytes());
            }
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
            EventSink::Text(text) => text.write_frame(received),
            EventSink::Json(output) => write_line(output, &received.line),
            EventSink::Answers { .. } if received.in_reply_to.is_none() => {}
            EventSink::Answers { is_json: true, output } => write_line(output, &received.line),
            EventSink::Answers { is_json: false, output } => write_answer(output, frame),
            EventSink::Command(input) => input.write_frame(received, own_name),
        }
    }

    /// Writes a message about the connection.
    pub fn write_status(&mut self, message: &str) {
        match self {
            EventSink::Text(text) => {
                write_line(&mut text.output, format!("      -!- {message}").as_bytes());
            }
            _ => print_warning(message),
        }
    }

    /// Erases the line above the cursor, if it is the echo of a line that is sent now.
    pub fn erase_echo(&mut self) {
        if let EventSink::Text(TextOutput { has_echo: true, output, .. }) = self {
            output.write(b"\x1b[A\r\x1b[K");
        }
    }

    /// Returns standard output, if the frames are written to it.
    pub fn output(&mut self) -> Option<&mut StandardOutput> {
        match self {
            EventSink::Text(TextOutput { output, .. })
            | EventSink::Json(output)
            | EventSink::Answers { output, .. } => Some(output),
            EventSink::Command(_) => None,
        }
    }
}

/// Writes the text of an answer that has one for a person.
fn write_answer(output: &mut StandardOutput, frame: &Frame<'_>) {
    if let Body::Who { .. } | Body::Info { .. } = frame.body {
        write_line(output, sanitize_lines(&frame.data).as_bytes());
    }
}

fn write_line(output: &mut StandardOutput, line: &[u8]) {
    output.write(&[line, b"\n"].concat());
}
