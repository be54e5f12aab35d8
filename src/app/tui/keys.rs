//! Bytes from the keyboard in, actions on the input line out.
//!
//! The parser does no I/O. It never waits: the caller asks for its [timeout](KeyParser::timeout)
//! and ends an incomplete sequence with [`expire`](KeyParser::expire).

use std::time::Duration;

use rustix::termios::{SpecialCodeIndex, SpecialCodes};
use vte::{Params, Parser, Perform};

const ESCAPE: u8 = 0x1B;
const BELL: u8 = 0x07;
const DELETE: u8 = 0x7F;
/// The sequence after a pasted text.
const PASTE_END: &[u8] = b"\x1b[201~";
/// The time after Escape until it is a key of its own and not the start of a sequence. The same
/// for Alt and a character that also starts a command string, such as Alt-P.
const ESCAPE_TIMEOUT: Duration = Duration::from_millis(100);
/// The time after the last byte of an incomplete sequence, or of a paste without its end mark,
/// until it is over.
const SEQUENCE_TIMEOUT: Duration = Duration::from_secs(1);

/// An action that a key, a paste or a report of the terminal requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditAction {
    /// Inserts characters that were typed.
    Insert(String),
    /// Inserts a part of a text that was pasted.
    Paste(String),
    /// Sends the line; asks first if it has line breaks.
    Accept,
    /// Completes the word before the cursor.
    Complete,
    DeleteLeft,
    DeleteRight,
    /// Deletes the letters and digits before the cursor.
    DeleteWordLeft,
    DeleteWordRight,
    /// Deletes back to a space.
    DeleteToSpace,
    DeleteToStart,
    DeleteToEnd,
    /// Inserts the text that was deleted last.
    Yank,
    Undo,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    /// Moves to the line above in a pasted block, otherwise like `Older`.
    Up,
    Down,
    /// Replaces the line by the previous one of the input history.
    Older,
    /// Replaces the line by the next one of the input history.
    Newer,
    /// Starts the search in the input history, or finds the next older match.
    Search,
    SearchNewer,
    CancelSearch,
    Escape,
    /// Discards the line; leaves if it is empty.
    Interrupt,
    /// Leaves if the line is empty, otherwise deletes a character.
    EndOfInput,
    /// Ends the program like the signal `QUIT`.
    Quit,
    Suspend,
    Redraw,
    /// No key: the window of the terminal has the focus now.
    FocusIn,
    /// No key: the window of the terminal has lost the focus.
    FocusOut,
}

/// The actions of the control characters.
#[derive(Debug, Default)]
pub struct ControlKeys {
    /// The characters that the user has chosen with `stty`.
    special: Vec<(u8, EditAction)>,
}

impl ControlKeys {
    /// Returns the keys for the special characters of a terminal.
    pub fn new(codes: &SpecialCodes) -> Self {
        let special = [
            (SpecialCodeIndex::VINTR, EditAction::Interrupt),
            (SpecialCodeIndex::VQUIT, EditAction::Quit),
            (SpecialCodeIndex::VSUSP, EditAction::Suspend),
            (SpecialCodeIndex::VEOF, EditAction::EndOfInput),
            (SpecialCodeIndex::VERASE, EditAction::DeleteLeft),
            (SpecialCodeIndex::VKILL, EditAction::DeleteToStart),
            (SpecialCodeIndex::VWERASE, EditAction::DeleteToSpace),
        ];
        let special = special.map(|(index, action)| (codes[index], action)).into_iter();
        // 0 disables a special character. Escape starts the sequences of the cursor keys.
        let is_usable = |byte: u8| byte != 0 && byte != ESCAPE && byte.is_ascii();
        ControlKeys { special: special.filter(|(byte, _)| is_usable(*byte)).collect() }
    }

    /// Returns the action of a byte that is a control character, or that `stty` has made special.
    fn action(&self, byte: u8) -> Option<EditAction> {
        if let Some((_, action)) = self.special.iter().find(|(special, _)| *special == byte) {
            return Some(action.clone());
        }
        // The letter that is pressed with Ctrl; `?` is Backspace.
        Some(match byte ^ 0x40 {
            b'A' => EditAction::Home,
            b'B' => EditAction::Left,
            b'C' => EditAction::Interrupt,
            b'D' => EditAction::EndOfInput,
            b'E' => EditAction::End,
            b'F' => EditAction::Right,
            b'G' => EditAction::CancelSearch,
            b'H' | b'?' => EditAction::DeleteLeft,
            // Tab.
            b'I' => EditAction::Complete,
            // Enter.
            b'J' | b'M' => EditAction::Accept,
            b'K' => EditAction::DeleteToEnd,
            b'L' => EditAction::Redraw,
            b'N' => EditAction::Newer,
            b'P' => EditAction::Older,
            b'R' => EditAction::Search,
            b'S' => EditAction::SearchNewer,
            b'U' => EditAction::DeleteToStart,
            b'W' => EditAction::DeleteToSpace,
            b'Y' => EditAction::Yank,
            b'_' => EditAction::Undo,
            _ => return None,
        })
    }

    fn is_special(&self, byte: u8) -> bool {
        self.special.iter().any(|(special, _)| *special == byte)
    }
}

/// Returns whether a byte is a control character that is part of no sequence.
fn is_control(byte: u8) -> bool {
    byte < 0x20 && byte != ESCAPE || byte == DELETE
}

/// The parser of the bytes from the keyboard.
///
/// Unknown sequences have no action, such as those of a mouse and late answers of the terminal.
pub struct KeyParser {
    controls: ControlKeys,
    parser: Parser,
    decoder: KeyDecoder,
    /// Whether the last byte was Escape.
    is_after_escape: bool,
    /// Whether the last two bytes may be a key with Alt or the start of a command string, in which
    /// all further characters would be ignored.
    is_after_introducer: bool,
    /// Whether the last byte was a carriage return in a paste.
    is_after_return: bool,
}

impl KeyParser {
    pub fn new(controls: ControlKeys) -> Self {
        KeyParser {
            controls,
            parser: Parser::new(),
            decoder: KeyDecoder::default(),
            is_after_escape: false,
            is_after_introducer: false,
            is_after_return: false,
        }
    }

    /// Returns the actions of the next bytes.
    pub fn parse(&mut self, bytes: &[u8]) -> Vec<EditAction> {
        let mut rest = bytes;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            let is_special = self.controls.is_special(byte) && !self.decoder.is_in_sequence();
            if is_control(byte) || is_special {
                self.on_control(byte, rest);
            } else if self.decoder.bytes_to_skip > 0 && byte != ESCAPE {
                self.decoder.bytes_to_skip -= 1;
            } else {
                self.decoder.is_incomplete = true;
                self.decoder.bytes_to_skip = 0;
                self.parser.advance(&mut self.decoder, &[byte]);
                self.is_after_introducer =
                    self.is_after_escape && matches!(byte, b'P' | b'X' | b']' | b'^' | b'_');
                self.is_after_escape = byte == ESCAPE;
                self.is_after_return = false;
            }
        }
        std::mem::take(&mut self.decoder.actions)
    }

    /// Returns the time to wait for the next byte before [`expire`](Self::expire), or `None` if
    /// nothing is incomplete.
    pub fn timeout(&self) -> Option<Duration> {
        let may_be_key = self.is_after_escape || self.is_after_introducer;
        match self.decoder.is_in_sequence() {
            _ if self.decoder.is_pasting => Some(SEQUENCE_TIMEOUT),
            true if may_be_key => Some(ESCAPE_TIMEOUT),
            true => Some(SEQUENCE_TIMEOUT),
            false => None,
        }
    }

    /// Ends an incomplete sequence or paste, because no byte has arrived.
    pub fn expire(&mut self) -> Vec<EditAction> {
        let is_escape = self.is_after_escape && !self.decoder.is_pasting;
        self.reset_sequence();
        self.decoder.is_pasting = false;
        is_escape.then_some(EditAction::Escape).into_iter().collect()
    }

    /// Discards an incomplete sequence.
    fn reset_sequence(&mut self) {
        let actions = std::mem::take(&mut self.decoder.actions);
        let is_pasting = self.decoder.is_pasting;
        self.parser = Parser::new();
        self.decoder = KeyDecoder { actions, is_pasting, ..KeyDecoder::default() };
        self.is_after_escape = false;
        self.is_after_introducer = false;
    }

    /// Handles a control character, which is in no valid sequence and therefore ends it. `rest` are
    /// the bytes after it.
    fn on_control(&mut self, byte: u8, rest: &[u8]) {
        let (is_incomplete, is_alt) = (self.decoder.is_incomplete, self.is_after_escape);
        let is_after_return = std::mem::replace(&mut self.is_after_return, byte == b'\r');
        self.reset_sequence();
        let action = self.controls.action(byte);
        if self.decoder.is_pasting {
            let has_end = || rest.windows(PASTE_END.len()).any(|bytes| bytes == PASTE_END);
            match byte {
                b'\n' if is_after_return => {}
                b'\r' | b'\n' => self.decoder.insert('\n'),
                b'\t' => self.decoder.insert('\t'),
                // A key, unless it is inside the pasted text.
                _ if action == Some(EditAction::Interrupt) && !has_end() => {
                    self.decoder.is_pasting = false;
                    self.decoder.actions.push(EditAction::Interrupt);
                }
                byte if is_control(byte) => {}
                byte => self.decoder.insert(char::from(byte)),
            }
            return;
        }
        match (action, byte) {
            (Some(EditAction::DeleteLeft), _) if is_alt => {
                self.decoder.actions.push(EditAction::DeleteWordLeft);
            }
            // The end of a command string.
            (_, BELL) if is_incomplete => {}
            (action, _) => self.decoder.actions.extend(action),
        }
    }
}

/// The actions of characters and sequences that are complete.
#[derive(Default)]
struct KeyDecoder {
    actions: Vec<EditAction>,
    /// Whether the last byte did not end a character or a sequence.
    is_incomplete: bool,
    is_pasting: bool,
    /// The parameter of a sequence of an application keypad (SS3), which the next character ends
    /// unless it is part of the parameter.
    ss3: Option<u16>,
    /// The number of bytes to ignore: the rest of a sequence that the parser does not know.
    bytes_to_skip: u8,
}

impl KeyDecoder {
    /// Returns whether the next byte belongs to a character or a sequence that has begun.
    fn is_in_sequence(&self) -> bool {
        self.is_incomplete || self.bytes_to_skip > 0
    }

    fn insert(&mut self, c: char) {
        match self.actions.last_mut() {
            Some(EditAction::Insert(text)) if !self.is_pasting => text.push(c),
            Some(EditAction::Paste(text)) if self.is_pasting => text.push(c),
            _ if self.is_pasting => self.actions.push(EditAction::Paste(c.into())),
            _ => self.actions.push(EditAction::Insert(c.into())),
        }
    }

    /// Adds the action of a cursor key. `modifiers` has 1 for Shift, 2 for Alt and 4 for Ctrl.
    fn push_cursor_key(&mut self, key: char, modifiers: u16) {
        let is_word = modifiers & 6 != 0;
        let action = match key {
            'A' => EditAction::Up,
            'B' => EditAction::Down,
            'C' if is_word => EditAction::WordRight,
            'C' => EditAction::Right,
            'D' if is_word => EditAction::WordLeft,
            'D' => EditAction::Left,
            'F' => EditAction::End,
            'H' => EditAction::Home,
            'M' => EditAction::Accept,
            _ => return,
        };
        self.actions.push(action);
    }
}

impl Perform for KeyDecoder {
    fn print(&mut self, c: char) {
        self.is_incomplete = false;
        match (self.ss3.take(), c) {
            (Some(number), '0'..='9' | ';') => {
                let number = number.saturating_mul(10);
                self.ss3 = Some(c.to_digit(10).map_or(0, |c| number.saturating_add(c as u16)));
                self.is_incomplete = true;
            }
            (Some(number), key) => self.push_cursor_key(key, number.saturating_sub(1)),
            (None, c) => self.insert(c),
        }
    }

    fn execute(&mut self, _: u8) {
        self.is_incomplete = false;
    }

    fn osc_dispatch(&mut self, _: &[&[u8]], _: bool) {
        self.is_incomplete = false;
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _: bool, last: char) {
        self.is_incomplete = false;
        let mut params = params.iter().map(|param| param.first().copied().unwrap_or(0));
        let (first, modifiers) = (params.next().unwrap_or(0), params.next());
        let action = match (last, first) {
            _ if !intermediates.is_empty() => return,
            ('~', 201) => {
                self.is_pasting = false;
                return;
            }
            _ if self.is_pasting => return,
            ('~', 200) => {
                self.is_pasting = true;
                return;
            }
            ('~', 1 | 7) => EditAction::Home,
            ('~', 3) => EditAction::DeleteRight,
            ('~', 4 | 8) => EditAction::End,
            ('I', 0) => EditAction::FocusIn,
            ('O', 0) => EditAction::FocusOut,
            // The old form of a mouse report.
            ('M', 0) if modifiers.is_none() => {
                self.bytes_to_skip = 3;
                return;
            }
            // A function key of the Linux console.
            ('[', _) => {
                self.bytes_to_skip = 1;
                return;
            }
            ('A'..='H', _) => {
                return self.push_cursor_key(last, modifiers.unwrap_or(1).saturating_sub(1));
            }
            _ => return,
        };
        self.actions.push(action);
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], _: bool, byte: u8) {
        self.is_incomplete = false;
        if self.is_pasting || !intermediates.is_empty() {
            return;
        }
        let action = match byte {
            b'O' => {
                (self.ss3, self.is_incomplete) = (Some(0), true);
                return;
            }
            b'b' | b'B' => EditAction::WordLeft,
            b'd' | b'D' => EditAction::DeleteWordRight,
            b'f' | b'F' => EditAction::WordRight,
            _ => return,
        };
        self.actions.push(action);
    }
}

#[cfg(test)]
mod tests;
