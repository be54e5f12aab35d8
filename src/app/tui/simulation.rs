//! The terminal client without a terminal and a server, for tests and fuzzing.

use super::composer::Composer;
use super::editor::Editor;
use super::input_history::InputHistory;
use super::keys::{ControlKeys, KeyParser};
use super::view::{View, ViewSettings};
use crate::app::{Bell, Clock};
use crate::client::ReceivedFrame;
use crate::protocol::Frame;

/// An input of [`simulate_terminal`].
#[derive(Clone, Copy, Debug)]
pub enum SimulatedInput<'a> {
    /// A line of the server. A frame of the member `past` is from before the user joined.
    Line(&'a [u8]),
    /// Bytes from the keyboard.
    Keys(&'a [u8]),
    /// A pause, which ends incomplete sequences.
    Pause,
    /// A new size of the terminal: columns and rows.
    Resize(usize, usize),
}

/// Returns the text that the client writes to a terminal of `size` (columns and rows).
///
/// The member is `alice`. Lines that are no frames, and lines that the user sends, are ignored.
#[must_use]
pub fn simulate_terminal(size: (usize, usize), inputs: &[SimulatedInput<'_>]) -> String {
    let settings = ViewSettings {
        has_colors: true,
        bell: Bell::Always,
        has_timestamps: true,
        highlights: Vec::new(),
        has_presence: true,
    };
    let mut view = View::new(settings, Clock::default(), size.0, 0);
    let mut editor = Editor::new(InputHistory::default());
    let mut parser = KeyParser::new(ControlKeys::default());
    let mut composer = Composer::new(size);
    let mut output = String::new();
    for input in inputs {
        let mut actions = Vec::new();
        match input {
            SimulatedInput::Line(line) => {
                let Ok(frame) = Frame::decode(line) else { continue };
                let is_past = frame.data_source == "past";
                let line = line.to_vec();
                let received = ReceivedFrame { frame, line, is_past, in_reply_to: None };
                view.show_frame(&received, "alice");
            }
            SimulatedInput::Keys(bytes) => actions = parser.parse(bytes),
            SimulatedInput::Pause => {
                actions = parser.expire();
                view.flush_held();
            }
            SimulatedInput::Resize(columns, rows) => composer.resize((*columns, *rows)),
        }
        for action in actions {
            let _ = editor.execute(action);
        }
        let status = view.format_status("no connection");
        composer.set_status(matches!(input, SimulatedInput::Pause).then_some(status));
        while let Some(batch) = composer.compose(&mut view, &editor) {
            output.push_str(&batch);
        }
    }
    output + &composer.compose_end(&editor)
}
