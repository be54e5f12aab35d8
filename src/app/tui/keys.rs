//! Keys that the line editor does not handle itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_channel::Sender;
use rustyline::{
    Cmd, ConditionalEventHandler, Event, EventContext, KeyCode, KeyEvent, Modifiers, Movement,
    RepeatCount,
};

use super::editor::UserInput;

/// An action on the input line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditAction {
    /// Completes the word before the cursor.
    Complete,
    /// Sends the line; asks first if it has line breaks.
    Accept,
    /// Sends each line of the text.
    AcceptAll,
    /// Replaces the line by the previous one of the input history.
    Older,
    /// Replaces the line by the next one of the input history.
    Newer,
    Redraw,
}

/// The handler that `rustyline` calls for each key.
///
/// Only the completer of `rustyline` can change the line freely. An action is therefore queued, and
/// [`Cmd::Complete`] makes the editor call the completer, which executes it.
pub struct KeyHandler {
    pub actions: Sender<EditAction>,
    pub user_input: Sender<UserInput>,
    /// Whether the next key is the answer to "send these lines to all?".
    pub is_asking: Arc<AtomicBool>,
    /// Whether the editor searches the history. `rustyline` does not report it.
    pub is_searching: AtomicBool,
}

impl KeyHandler {
    fn queue_action(&self, action: EditAction) -> Option<Cmd> {
        // The key ends the search and has no other effect.
        if self.is_searching.swap(false, Ordering::Relaxed) {
            return Some(Cmd::Move(Movement::EndOfLine));
        }
        let _ = self.actions.force_send(action);
        Some(Cmd::Complete)
    }

    fn send_input(&self, user_input: UserInput) -> Option<Cmd> {
        let _ = self.user_input.send_blocking(user_input);
        Some(Cmd::Noop)
    }
}

impl ConditionalEventHandler for KeyHandler {
    fn handle(
        &self,
        event: &Event,
        _: RepeatCount,
        _: bool,
        context: &EventContext<'_>,
    ) -> Option<Cmd> {
        const CTRL: Modifiers = Modifiers::CTRL;
        const NONE: Modifiers = Modifiers::NONE;
        let KeyEvent(code, modifiers) = *event.get(0)?;
        if self.is_asking.swap(false, Ordering::Relaxed) {
            let is_yes = matches!(code, KeyCode::Char('y' | 'Y')) && modifiers == NONE;
            return self.queue_action(if is_yes {
                EditAction::AcceptAll
            } else {
                EditAction::Redraw
            });
        }
        let line = context.line();
        let has_line_breaks = line.contains('\n');
        match (code, modifiers) {
            (KeyCode::Char('R'), CTRL) => {
                self.is_searching.store(true, Ordering::Relaxed);
                None
            }
            (KeyCode::Enter, NONE) | (KeyCode::Char('J' | 'M'), CTRL) => {
                self.queue_action(EditAction::Accept)
            }
            (KeyCode::Tab, NONE) | (KeyCode::Char('I'), CTRL) => {
                self.queue_action(EditAction::Complete)
            }
            (KeyCode::Up, NONE) if !has_line_breaks => self.queue_action(EditAction::Older),
            (KeyCode::Down, NONE) if !has_line_breaks => self.queue_action(EditAction::Newer),
            (KeyCode::Char('P'), CTRL) => self.queue_action(EditAction::Older),
            (KeyCode::Char('N'), CTRL) => self.queue_action(EditAction::Newer),
            (KeyCode::Char('C'), CTRL) if line.is_empty() => self.send_input(UserInput::Leave),
            (KeyCode::Char('C'), CTRL) => {
                self.is_searching.store(false, Ordering::Relaxed);
                Some(Cmd::Kill(Movement::WholeBuffer))
            }
            (KeyCode::Char('D'), CTRL) if line.is_empty() => self.send_input(UserInput::Leave),
            (KeyCode::Char('Z'), CTRL) => self.send_input(UserInput::Suspend),
            (KeyCode::Char('L'), CTRL) => self.send_input(UserInput::Redraw),
            (KeyCode::Char(_) | KeyCode::Backspace, NONE) | (KeyCode::Char('S'), CTRL) => None,
            _ => {
                self.is_searching.store(false, Ordering::Relaxed);
                None
            }
        }
    }
}
