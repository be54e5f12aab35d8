//! The line that is typed: `rustyline` in a thread of its own.
//!
//! The editor reads one line that never ends. When a line is accepted, it is sent to the
//! conversation and taken out of the editor, which goes on with an empty one in the same place. So
//! the terminal's modes do not change between one line and the next, nothing that is typed ahead
//! is lost, and nothing needs to be wiped off the screen when a line comes back from the server.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{io, thread};

use async_channel::{Receiver, Sender, bounded};
use rustyline::completion::Completer;
use rustyline::config::BellStyle;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::line_buffer::LineBuffer;
use rustyline::validate::Validator;
use rustyline::{
    Changeset, ColorMode, CompletionType, Config, Context, Event, EventHandler, Helper, Result,
};

use super::commands::is_private;
use super::completion::complete;
use super::input_history::{self, InputHistory, Searched};
use super::keys::{EditAction, Keys};
use super::printer::Printer;
use super::style::Style;
use super::wrap::width;

/// Lines that may wait between the editor and the session.
const TYPED_AHEAD: usize = 64;
/// How long an Escape waits for what makes it another key, in milliseconds.
const ESCAPE_WAIT: u16 = 50;
const PROMPT: &str = "> ";

/// What the user does.
#[derive(Debug)]
pub enum UserInput {
    /// A line is to be said.
    Line(String),
    /// The user leaves.
    Leave,
    /// The program is to be stopped, as the shell does it with Ctrl-Z.
    Stop,
    /// The screen is to be painted anew.
    Repaint,
}

/// The line that is typed, and the way to the screen above it.
#[derive(Debug)]
pub struct Editor {
    /// What the user does. It ends when the terminal is gone.
    pub typed: Receiver<UserInput>,
    /// Takes the names that can be completed.
    pub names: Sender<Vec<String>>,
    pub printer: Printer,
    /// Whether nothing is typed.
    pub is_empty: Arc<AtomicBool>,
}

impl Editor {
    /// Begins to read from the terminal.
    pub fn start(colors: bool) -> io::Result<Self> {
        let (tell_typed, typed) = bounded(TYPED_AHEAD);
        let (names, hear_names) = bounded(1);
        let (tell_printer, hear_printer) = bounded(1);
        let is_empty = Arc::new(AtomicBool::new(true));
        let emptiness = Arc::clone(&is_empty);
        thread::Builder::new().name("editor".into()).spawn(move || {
            let (actions, hear_acts) = bounded(1);
            let (painted, hear_painted) = bounded(1);
            let is_asking = Arc::new(AtomicBool::new(false));
            let keys = Keys {
                actions,
                typed: tell_typed.clone(),
                is_asking: Arc::clone(&is_asking),
                is_searching: AtomicBool::new(false),
            };
            let input_history = Rc::new(InputHistory::load(input_history::file()));
            let desk = EditorHelper {
                actions: hear_acts,
                typed: tell_typed,
                names: hear_names,
                known: Cell::default(),
                input_history: Rc::clone(&input_history),
                cycle: Cell::default(),
                replaces_all: Cell::new(false),
                painted,
                is_asking,
                is_empty: emptiness,
                colors,
            };
            let editor = build(desk, keys, input_history).and_then(|mut editor| {
                let to = editor.create_external_printer()?;
                Ok((editor, Printer::start(to, hear_painted)?))
            });
            let mut editor = match editor {
                Ok((editor, printer)) => {
                    let _ = tell_printer.send_blocking(Ok(printer));
                    editor
                }
                Err(error) => {
                    let _ = tell_printer.send_blocking(Err(io::Error::other(error)));
                    return;
                }
            };
            // It comes back only when the terminal is gone, or when something was bound to a key
            // that accepts the line in a way that is not ours.
            while let Ok(_) | Err(ReadlineError::Interrupted) = editor.readline(PROMPT) {}
        })?;
        let printer = hear_printer.recv_blocking().map_err(io::Error::other)??;
        Ok(Editor { typed, names, printer, is_empty })
    }
}

fn build(
    desk: EditorHelper,
    keys: Keys,
    input_history: Rc<InputHistory>,
) -> Result<rustyline::Editor<EditorHelper, Searched>> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .bell_style(BellStyle::None)
        .keyseq_timeout(Some(ESCAPE_WAIT))
        // It is how the editor is made to ask us about what it paints.
        .color_mode(ColorMode::Forced)
        .build();
    let mut editor = rustyline::Editor::with_history(config, Searched(input_history))?;
    editor.set_helper(Some(desk));
    editor.bind_sequence(Event::Any, EventHandler::Conditional(Box::new(keys)));
    Ok(editor)
}

/// Does with the line what the keys ask for. All of it is in the editor's thread.
struct EditorHelper {
    actions: Receiver<EditAction>,
    typed: Sender<UserInput>,
    names: Receiver<Vec<String>>,
    /// The names that came last.
    known: Cell<Vec<String>>,
    input_history: Rc<InputHistory>,
    /// The completion that the next Tab replaces by another.
    cycle: Cell<Option<Cycle>>,
    /// Whether what the completer says is to replace the whole line.
    replaces_all: Cell<bool>,
    painted: Sender<()>,
    is_asking: Arc<AtomicBool>,
    is_empty: Arc<AtomicBool>,
    colors: bool,
}

struct Cycle {
    start: usize,
    candidates: Vec<String>,
    /// The one that stands there.
    place: usize,
    /// The text before the cursor, since it does.
    head: String,
}

impl EditorHelper {
    fn say(&self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if is_private(line) {
            self.input_history.rest();
        } else {
            self.input_history.add(line);
        }
        let _ = self.typed.send_blocking(UserInput::Line(line.to_owned()));
    }

    /// The next completion of what is before the cursor: where it begins, and what it is.
    fn next_completion(&self, head: &str) -> Option<(usize, String)> {
        let cycle = match self.cycle.take() {
            Some(cycle) if cycle.head == head => {
                Cycle { place: (cycle.place + 1) % cycle.candidates.len(), ..cycle }
            }
            _ => {
                while let Ok(names) = self.names.try_recv() {
                    self.known.set(names);
                }
                let known = self.known.take();
                let found = complete(head, &known);
                self.known.set(known);
                let (start, candidates) = (found.start, found.candidates);
                Cycle { start, candidates, place: 0, head: String::new() }
            }
        };
        let candidate = cycle.candidates.get(cycle.place)?.clone();
        let start = cycle.start;
        let head = format!("{}{candidate}", head.get(..start)?);
        self.cycle.set(Some(Cycle { head, ..cycle }));
        Some((start, candidate))
    }
}

impl Completer for EditorHelper {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> Result<(usize, Vec<String>)> {
        let line = line.to_owned();
        let whole = match self.actions.try_recv() {
            Ok(EditAction::Complete) => {
                let completion = self.next_completion(line.get(..pos).unwrap_or_default());
                let (start, candidate) = completion.unzip();
                return Ok((start.unwrap_or(0), candidate.into_iter().collect()));
            }
            Ok(EditAction::Accept) if line.contains('\n') => {
                self.is_asking.store(true, Ordering::Relaxed);
                Some(line)
            }
            Ok(EditAction::Accept | EditAction::AcceptAll) => {
                line.lines().for_each(|line| self.say(line));
                Some(String::new())
            }
            Ok(EditAction::Older) => self.input_history.older(&line),
            Ok(EditAction::Newer) => self.input_history.newer(),
            Ok(EditAction::Show) => Some(line),
            Err(_) => None,
        };
        self.replaces_all.set(whole.is_some());
        Ok((0, whole.into_iter().collect()))
    }

    fn update(&self, line: &mut LineBuffer, start: usize, elected: &str, changes: &mut Changeset) {
        if self.replaces_all.take() {
            line.update(elected, elected.len(), changes);
        } else {
            line.replace(start..line.pos(), elected, changes);
        }
    }
}

impl Hinter for EditorHelper {
    type Hint = String;

    fn hint(&self, line: &str, _: usize, _: &Context<'_>) -> Option<String> {
        self.is_empty.store(line.is_empty(), Ordering::Relaxed);
        let count = line.lines().filter(|line| !line.trim().is_empty()).count();
        line.contains('\n').then(|| match self.is_asking.load(Ordering::Relaxed) {
            true => format!("\n[say these {count} lines to all? y says them]"),
            false => format!("\n[{count} lines; Enter asks, Ctrl-C drops them]"),
        })
    }
}

impl Highlighter for EditorHelper {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        // What the editor believes to take no room must not do anything either: a paste may bring
        // all kinds of characters.
        let is_active = |c: char| {
            !matches!(c, '\n' | '\t') && (c.is_control() || crate::client::is_invisible(c))
        };
        if !line.contains(is_active) {
            return Cow::Borrowed(line);
        }
        let mut buffer = [0; 4];
        Cow::Owned(
            line.chars()
                .filter(|c| !is_active(*c) || width(c.encode_utf8(&mut buffer)) > 0)
                .collect(),
        )
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        let _ = self.painted.try_send(());
        Cow::Borrowed(prompt)
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        let mut out = String::new();
        Style::Faint.paint(self.colors, hint, &mut out);
        Cow::Owned(out)
    }

    fn highlight_char(&self, line: &str, _: usize, _: CmdKind) -> bool {
        // The editor's short way to paint one more letter knows nothing of letters that join.
        !line.is_ascii()
    }
}

impl Validator for EditorHelper {}

impl Helper for EditorHelper {}
