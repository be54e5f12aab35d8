//! The input line, edited by `rustyline` in a thread of its own.
//!
//! The editor reads one line that never ends: an accepted line is sent to the client and removed
//! from the editor, which continues with an empty line in the same place. The modes of the terminal
//! therefore stay the same between lines, no key is lost, and a sent line does not have to be
//! erased.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::{io, thread};

use async_channel::{Receiver, Sender, bounded};
use rustyline::config::BellStyle;
use rustyline::error::ReadlineError;
use rustyline::{ColorMode, CompletionType, Config, Event, EventHandler, Result};

use super::editor_helper::EditorHelper;
use super::input_history::{self, InputHistory, SearchableHistory};
use super::keys::KeyHandler;
use super::printer::Printer;

/// The number of inputs that may wait for the session.
const INPUT_CAPACITY: usize = 64;
/// The time that the editor waits after Escape for the rest of a key sequence, in milliseconds.
const ESCAPE_TIMEOUT_MS: u16 = 50;

/// An input of the user.
#[derive(Debug)]
pub enum UserInput {
    /// A line to send or a command.
    Line(String),
    /// A request to leave the room and exit.
    Leave,
    /// A request to stop the program until the shell continues it.
    Suspend,
    Redraw,
}

/// The handle of the editor thread.
#[derive(Debug)]
pub struct Editor {
    /// Closed when the terminal is closed.
    pub user_input: Receiver<UserInput>,
    /// Sends the names of the members to the completion.
    pub name_updates: Sender<Vec<String>>,
    /// Prints above the input line.
    pub printer: Printer,
    pub is_line_empty: Arc<AtomicBool>,
}

impl Editor {
    /// Starts the editor thread on standard input.
    pub fn start(has_colors: bool, prompt: String) -> io::Result<Self> {
        let (input_sender, user_input) = bounded(INPUT_CAPACITY);
        let (name_updates, name_receiver) = bounded(1);
        let (printer_sender, printer_receiver) = bounded(1);
        let is_line_empty = Arc::new(AtomicBool::new(true));
        let is_empty = Arc::clone(&is_line_empty);
        thread::Builder::new().name("editor".into()).spawn(move || {
            let (action_sender, actions) = bounded(1);
            let (paint_sender, paint_receiver) = bounded(1);
            let is_asking = Arc::new(AtomicBool::new(false));
            let keys = KeyHandler {
                actions: action_sender,
                user_input: input_sender.clone(),
                is_asking: Arc::clone(&is_asking),
                is_searching: AtomicBool::new(false),
            };
            let history = Rc::new(InputHistory::load(input_history::default_path()));
            let helper = EditorHelper {
                actions,
                user_input: input_sender,
                name_updates: name_receiver,
                member_names: Default::default(),
                input_history: Rc::clone(&history),
                cycle: Default::default(),
                is_line_replaced: Default::default(),
                painted: paint_sender,
                is_asking,
                is_line_empty: is_empty,
                has_colors,
            };
            let result = build_editor(helper, keys, history).and_then(|mut editor| {
                let output = editor.create_external_printer()?;
                Ok((editor, Printer::start(output, paint_receiver)?))
            });
            let mut editor = match result {
                Ok((editor, printer)) => {
                    let _ = printer_sender.send_blocking(Ok(printer));
                    editor
                }
                Err(error) => {
                    let _ = printer_sender.send_blocking(Err(io::Error::other(error)));
                    return;
                }
            };
            // Returns only if the terminal is closed, or after a key that rustyline itself accepts.
            while let Ok(_) | Err(ReadlineError::Interrupted) = editor.readline(&prompt) {}
        })?;
        let printer = printer_receiver.recv_blocking().map_err(io::Error::other)??;
        Ok(Editor { user_input, name_updates, printer, is_line_empty })
    }
}

fn build_editor(
    helper: EditorHelper,
    keys: KeyHandler,
    history: Rc<InputHistory>,
) -> Result<rustyline::Editor<EditorHelper, SearchableHistory>> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .bell_style(BellStyle::None)
        .keyseq_timeout(Some(ESCAPE_TIMEOUT_MS))
        // Otherwise the editor does not call the highlighter, which reports each painting.
        .color_mode(ColorMode::Forced)
        .build();
    let mut editor = rustyline::Editor::with_history(config, SearchableHistory(history))?;
    editor.set_helper(Some(helper));
    editor.bind_sequence(Event::Any, EventHandler::Conditional(Box::new(keys)));
    Ok(editor)
}
