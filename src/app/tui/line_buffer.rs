//! The text of the input line, with the cursor.

use unicode_segmentation::UnicodeSegmentation;

use super::keys::EditAction;

/// The longest text, in bytes. More is not inserted.
pub const MAX_BYTES: usize = 1 << 20;
/// The most states that can be restored.
const MAX_UNDO: usize = 64;
/// The longest text of a state that can be restored, in bytes.
const MAX_UNDO_BYTES: usize = 16 << 10;

/// A text with a cursor, which is always between two grapheme clusters.
#[derive(Debug, Default)]
pub struct LineBuffer {
    before: String,
    after: String,
    /// The text that was deleted last.
    deleted: String,
    /// Earlier texts, the latest last.
    undo: Vec<(String, String)>,
    is_inserting: bool,
}

impl LineBuffer {
    /// Returns the text before the cursor.
    pub fn before(&self) -> &str {
        &self.before
    }

    /// Returns the text after the cursor.
    pub fn after(&self) -> &str {
        &self.after
    }

    pub fn text(&self) -> String {
        [&*self.before, &*self.after].concat()
    }

    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }

    pub fn has_line_breaks(&self) -> bool {
        self.before.contains('\n') || self.after.contains('\n')
    }

    /// Replaces the text, and moves the cursor to its end.
    pub fn set(&mut self, text: String) {
        self.save();
        self.before = text;
        self.after.clear();
    }

    /// Deletes the text.
    pub fn clear(&mut self) {
        self.deleted = self.text();
        self.set(String::new());
    }

    /// Removes and returns the text. It cannot be restored.
    pub fn take(&mut self) -> String {
        let text = self.text();
        let deleted = std::mem::take(&mut self.deleted);
        *self = LineBuffer { deleted, ..LineBuffer::default() };
        text
    }

    /// Replaces `word`, the end of the text before the cursor.
    pub fn replace_word(&mut self, word: &str, replacement: &str) {
        if let Some(head) = self.before.strip_suffix(word) {
            let before = [head, replacement].concat();
            self.save();
            self.before = before;
        }
    }

    /// Inserts a text at the cursor, or as much of it as fits.
    pub fn insert(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if !self.is_inserting {
            self.save();
            self.is_inserting = true;
        }
        let mut room = MAX_BYTES.saturating_sub(self.before.len() + self.after.len());
        self.before.extend(text.chars().take_while(|c| {
            let fits = c.len_utf8() <= room;
            room = room.saturating_sub(c.len_utf8());
            fits
        }));
    }

    /// Moves the cursor or deletes text. Other actions have no effect.
    pub fn apply(&mut self, action: &EditAction) {
        match action {
            EditAction::Left => self.set_before(trim_last(&self.before).to_owned()),
            EditAction::Right => self.set_after(trim_first(&self.after).to_owned()),
            EditAction::WordLeft => self.set_before(trim_last_word(&self.before).to_owned()),
            EditAction::WordRight => self.set_after(trim_first_word(&self.after).to_owned()),
            EditAction::Home => self.set_before(String::new()),
            EditAction::End => self.set_after(String::new()),
            EditAction::Up => self.move_up(),
            EditAction::Down => self.move_down(),
            EditAction::DeleteLeft => self.delete_before(trim_last(&self.before).to_owned(), false),
            EditAction::DeleteWordLeft => {
                self.delete_before(trim_last_word(&self.before).to_owned(), true);
            }
            EditAction::DeleteToSpace => {
                let word = self.before.trim_end();
                self.delete_before(
                    word.trim_end_matches(|c: char| !c.is_whitespace()).to_owned(),
                    true,
                );
            }
            EditAction::DeleteToStart => self.delete_before(String::new(), true),
            EditAction::DeleteRight => self.delete_after(trim_first(&self.after).to_owned(), false),
            EditAction::DeleteWordRight => {
                self.delete_after(trim_first_word(&self.after).to_owned(), true);
            }
            EditAction::DeleteToEnd => self.delete_after(String::new(), true),
            EditAction::Yank => {
                let deleted = self.deleted.clone();
                self.is_inserting = false;
                self.insert(&deleted);
            }
            EditAction::Undo => {
                self.is_inserting = false;
                if let Some((before, after)) = self.undo.pop() {
                    (self.before, self.after) = (before, after);
                }
            }
            _ => {}
        }
    }

    /// Moves the cursor to the end of `before`, a prefix of the text before it.
    fn set_before(&mut self, before: String) {
        self.is_inserting = false;
        if let Some(moved) = self.before.strip_prefix(&*before) {
            self.after.insert_str(0, moved);
            self.before = before;
        }
    }

    /// Moves the cursor to the start of `after`, a suffix of the text after it.
    fn set_after(&mut self, after: String) {
        self.is_inserting = false;
        if let Some(moved) = self.after.strip_suffix(&*after) {
            self.before.push_str(moved);
            self.after = after;
        }
    }

    /// Replaces the text before the cursor by `before`, a prefix of it. `is_kept` says whether `Yank`
    /// inserts the removed text.
    fn delete_before(&mut self, before: String, is_kept: bool) {
        self.save();
        let removed = std::mem::replace(&mut self.before, before);
        if let Some(deleted) = removed.strip_prefix(&*self.before)
            && is_kept
        {
            self.deleted = deleted.to_owned();
        }
    }

    /// Replaces the text after the cursor by `after`, a suffix of it. `is_kept` says whether `Yank`
    /// inserts the removed text.
    fn delete_after(&mut self, after: String, is_kept: bool) {
        self.save();
        let removed = std::mem::replace(&mut self.after, after);
        if let Some(deleted) = removed.strip_suffix(&*self.after)
            && is_kept
        {
            self.deleted = deleted.to_owned();
        }
    }

    /// Moves the cursor to the line above, if there is one.
    fn move_up(&mut self) {
        let Some((head, line)) = self.before.rsplit_once('\n') else { return };
        let column = line.graphemes(true).count();
        let (start, above) = match head.rsplit_once('\n') {
            Some((start, above)) => ([start, "\n"].concat(), above),
            None => (String::new(), head),
        };
        let target = above.graphemes(true).take(column).collect::<String>();
        self.set_before(start + &target);
    }

    /// Moves the cursor to the line below, if there is one.
    fn move_down(&mut self) {
        let Some((_, below)) = self.after.split_once('\n') else { return };
        let line = self.before.rsplit('\n').next().unwrap_or_default();
        let column = line.graphemes(true).count();
        let (below, end) = match below.split_once('\n') {
            Some((below, end)) => (below, ["\n", end].concat()),
            None => (below, String::new()),
        };
        let target = below.graphemes(true).skip(column).collect::<String>();
        self.set_after(target + &end);
    }

    /// Keeps the text for `Undo`.
    fn save(&mut self) {
        self.is_inserting = false;
        if self.before.len() + self.after.len() > MAX_UNDO_BYTES {
            return;
        }
        self.undo.push((self.before.clone(), self.after.clone()));
        if self.undo.len() > MAX_UNDO {
            self.undo.remove(0);
        }
    }
}

fn trim_last(text: &str) -> &str {
    let last = text.graphemes(true).next_back().unwrap_or_default();
    text.strip_suffix(last).unwrap_or_default()
}

fn trim_first(text: &str) -> &str {
    let first = text.graphemes(true).next().unwrap_or_default();
    text.strip_prefix(first).unwrap_or_default()
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric()
}

fn trim_last_word(text: &str) -> &str {
    text.trim_end_matches(|c| !is_letter(c)).trim_end_matches(is_letter)
}

fn trim_first_word(text: &str) -> &str {
    text.trim_start_matches(|c| !is_letter(c)).trim_start_matches(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns the text with `|` at the cursor.
    fn shown(line: &LineBuffer) -> String {
        format!("{}|{}", line.before(), line.after())
    }

    fn after(text: &str, actions: &[EditAction]) -> String {
        let mut line = LineBuffer::default();
        line.insert(text);
        actions.iter().for_each(|action| line.apply(action));
        shown(&line)
    }

    #[test]
    fn cursor_moves_by_grapheme_and_word() {
        use EditAction::*;
        assert_eq!(after("ne\u{301}", &[Left]), "n|e\u{301}");
        assert_eq!(after("a👩\u{200d}💻", &[Left, Left, Right]), "a|👩\u{200d}💻");
        assert_eq!(after("say hello, bob", &[WordLeft, WordLeft]), "say |hello, bob");
        assert_eq!(after("say hello, bob", &[Home, WordRight, WordRight]), "say hello|, bob");
        assert_eq!(after("abc", &[Home, Left, Right]), "a|bc");
        assert_eq!(after("abc", &[Right, End]), "abc|");
    }

    #[test]
    fn deleted_text_can_be_inserted_again() {
        use EditAction::*;
        assert_eq!(after("ne\u{301}", &[DeleteLeft]), "n|");
        assert_eq!(after("one two ", &[DeleteToSpace, Yank, Yank]), "one two two |");
        assert_eq!(after("one/two", &[DeleteWordLeft]), "one/|");
        assert_eq!(after("one two", &[Home, DeleteWordRight, End, Yank]), " twoone|");
        assert_eq!(after("one two", &[WordLeft, DeleteToEnd, Home, Yank]), "two|one ");
        assert_eq!(after("one two", &[WordLeft, DeleteToStart]), "|two");
        assert_eq!(after("abc", &[Home, DeleteRight, DeleteLeft]), "|bc");
    }

    #[test]
    fn undo_restores_earlier_texts() {
        use EditAction::*;
        assert_eq!(after("one two", &[DeleteToSpace, Home, DeleteRight, Undo, Undo]), "one two|");
        assert_eq!(after("one", &[Undo, Undo, Undo]), "|");
    }

    #[test]
    fn cursor_moves_between_lines() {
        use EditAction::*;
        assert_eq!(after("ab\n你好世\nx", &[Up]), "ab\n你|好世\nx");
        assert_eq!(after("ab\n你好世\nxyz", &[Up, Up, Up]), "ab|\n你好世\nxyz");
        assert_eq!(after("abc\nd\nxyz", &[Home, End, Up, Up, Down]), "abc\nd|\nxyz");
        assert_eq!(after("abc\nd\nxyz", &[Up, Down, Down]), "abc\nd\nx|yz");
    }

    #[test]
    fn text_over_the_limit_is_not_inserted() {
        let mut line = LineBuffer::default();
        line.insert(&"好".repeat(MAX_BYTES));
        line.insert("好");
        assert_eq!(line.text().chars().count(), MAX_BYTES / 3);
    }

    fn any_action() -> impl Strategy<Value = EditAction> {
        use EditAction::*;
        prop_oneof![
            "[a e\u{301}你\n👩\u{200d}]{0,4}".prop_map(Insert),
            proptest::sample::select(vec![
                Left,
                Right,
                WordLeft,
                WordRight,
                Home,
                End,
                Up,
                Down,
                DeleteLeft,
                DeleteRight,
                DeleteWordLeft,
                DeleteWordRight,
                DeleteToSpace,
                DeleteToStart,
                DeleteToEnd,
                Yank,
                Undo,
            ]),
        ]
    }

    proptest! {
        #[test]
        fn moves_keep_the_text(actions in proptest::collection::vec(any_action(), 0..40)) {
            use EditAction::*;
            let mut line = LineBuffer::default();
            for action in &actions {
                let text = line.text();
                match action {
                    Insert(text) => line.insert(text),
                    action => line.apply(action),
                }
                if let Left | Right | WordLeft | WordRight | Home | End | Up | Down = action {
                    prop_assert_eq!(line.text(), text);
                }
            }
        }
    }
}
