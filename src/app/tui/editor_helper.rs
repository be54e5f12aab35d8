//! The callbacks of the line editor: completion, hints and filtering of control characters.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_channel::{Receiver, Sender};
use rustyline::completion::Completer;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::line_buffer::LineBuffer;
use rustyline::validate::Validator;
use rustyline::{Changeset, Context, Helper, Result};

use super::commands::{is_private, split_input};
use super::completion::complete;
use super::editor::UserInput;
use super::input_history::InputHistory;
use super::keys::EditAction;
use super::style::Style;
use super::wrap::width;
use crate::client::is_invisible;

/// The callbacks of `rustyline`, and the actions of the keys. Used by the editor thread only.
pub struct EditorHelper {
    pub actions: Receiver<EditAction>,
    pub user_input: Sender<UserInput>,
    pub name_updates: Receiver<Vec<String>>,
    /// The latest of the `name_updates`.
    pub member_names: Cell<Vec<String>>,
    pub input_history: Rc<InputHistory>,
    /// The completion that the next Tab replaces.
    pub cycle: Cell<Option<CompletionCycle>>,
    /// Whether the result of the completer replaces the whole line.
    pub is_line_replaced: Cell<bool>,
    /// Notified when the editor has painted the line.
    pub painted: Sender<()>,
    /// Whether the next key is the answer to "send these lines to all?".
    pub is_asking: Arc<AtomicBool>,
    pub is_line_empty: Arc<AtomicBool>,
    pub has_colors: bool,
}

/// The completions of one word, which Tab shows in turn.
pub struct CompletionCycle {
    start: usize,
    candidates: Vec<String>,
    /// The index of the candidate that is shown.
    index: usize,
    /// The text before the cursor with that candidate.
    head: String,
}

impl EditorHelper {
    fn submit(&self, line: &str) {
        if is_private(line) {
            self.input_history.reset_position();
        } else {
            line.lines().for_each(|line| self.input_history.add(line));
        }
        let _ = self.user_input.send_blocking(UserInput::Line(line.to_owned()));
    }

    /// Returns the next completion of `head`, the text before the cursor, and its byte offset.
    fn next_completion(&self, head: &str) -> Option<(usize, String)> {
        let cycle = match self.cycle.take() {
            Some(cycle) if cycle.head == head => {
                CompletionCycle { index: (cycle.index + 1) % cycle.candidates.len(), ..cycle }
            }
            _ => {
                while let Ok(names) = self.name_updates.try_recv() {
                    self.member_names.set(names);
                }
                let names = self.member_names.take();
                let completions = complete(head, &names);
                self.member_names.set(names);
                let (start, candidates) = (completions.start, completions.candidates);
                CompletionCycle { start, candidates, index: 0, head: String::new() }
            }
        };
        let candidate = cycle.candidates.get(cycle.index)?.clone();
        let start = cycle.start;
        let head = format!("{}{candidate}", text_before(head, start));
        self.cycle.set(Some(CompletionCycle { head, ..cycle }));
        Some((start, candidate))
    }
}

/// Returns the text before a byte offset. `rustyline` gives the cursor as a byte offset.
fn text_before(line: &str, offset: usize) -> &str {
    let head = line.get(..offset);
    debug_assert!(head.is_some(), "offset {offset} is inside a character of {line:?}");
    head.unwrap_or(line)
}

impl Completer for EditorHelper {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> Result<(usize, Vec<String>)> {
        let line = line.to_owned();
        let new_line = match self.actions.try_recv() {
            Ok(EditAction::Complete) => {
                let completion = self.next_completion(text_before(&line, pos));
                let (start, candidate) = completion.unzip();
                return Ok((start.unwrap_or(0), candidate.into_iter().collect()));
            }
            Ok(EditAction::Accept) if line.contains('\n') => {
                self.is_asking.store(true, Ordering::Relaxed);
                Some(line)
            }
            Ok(EditAction::Accept | EditAction::AcceptAll) => {
                split_input(&line).iter().for_each(|line| self.submit(line));
                Some(String::new())
            }
            Ok(EditAction::Older) => self.input_history.recall_older(&line),
            Ok(EditAction::Newer) => self.input_history.recall_newer(),
            Ok(EditAction::Redraw) => Some(line),
            Err(_) => None,
        };
        self.is_line_replaced.set(new_line.is_some());
        Ok((0, new_line.into_iter().collect()))
    }

    fn update(&self, line: &mut LineBuffer, start: usize, elected: &str, changes: &mut Changeset) {
        if self.is_line_replaced.take() {
            line.update(elected, elected.len(), changes);
        } else {
            line.replace(start..line.pos(), elected, changes);
        }
    }
}

impl Hinter for EditorHelper {
    type Hint = String;

    fn hint(&self, line: &str, _: usize, _: &Context<'_>) -> Option<String> {
        self.is_line_empty.store(line.is_empty(), Ordering::Relaxed);
        let count = line.lines().filter(|line| !line.trim().is_empty()).count();
        line.contains('\n').then(|| match self.is_asking.load(Ordering::Relaxed) {
            true => format!("\n[send these {count} lines to all? press y to send]"),
            false => format!("\n[{count} lines; Enter to send, Ctrl-C to discard]"),
        })
    }
}

impl Highlighter for EditorHelper {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        // A pasted text may contain control characters. The editor counts them as zero columns
        // wide, so they must not be written to the terminal.
        let is_active = |c: char| !matches!(c, '\n' | '\t') && (c.is_control() || is_invisible(c));
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
        Style::Faint.paint(self.has_colors, hint, &mut out);
        Cow::Owned(out)
    }

    fn highlight_char(&self, line: &str, _: usize, _: CmdKind) -> bool {
        // Without highlighting, the editor appends a typed character to the line on the screen,
        // which is wrong for characters that combine with the one before.
        !line.is_ascii()
    }
}

impl Validator for EditorHelper {}

impl Helper for EditorHelper {}
