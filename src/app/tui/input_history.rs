//! The history of typed lines, which is kept in a file between runs.

use std::borrow::Cow;
use std::cell::Cell;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustyline::Result;
use rustyline::history::{History, SearchDirection, SearchResult};

use crate::app::xdg::base_directory;

/// The most lines that are kept.
const MAX_LINES: usize = 1000;

/// The typed lines, the latest last.
///
/// The editor and the handler of its keys share it; both run in the editor thread.
#[derive(Default)]
pub struct InputHistory {
    lines: Cell<Vec<String>>,
    /// The number of lines that the user went back; 0 is the line that is typed now.
    offset: Cell<usize>,
    /// The line that was typed before the user went back.
    draft: Cell<String>,
    file: Option<PathBuf>,
}

impl InputHistory {
    /// Loads the lines of the file, if it exists.
    pub fn load(file: Option<PathBuf>) -> Self {
        let text = file.as_ref().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        let count = text.lines().count();
        let lines: Vec<String> =
            text.lines().skip(count.saturating_sub(MAX_LINES)).map(str::to_owned).collect();
        if count > 2 * MAX_LINES
            && let Some(file) = &file
        {
            // Ignored: the file then only stays longer than needed.
            let _ = rewrite_file(file, &lines);
        }
        InputHistory { lines: Cell::new(lines), file, ..InputHistory::default() }
    }

    /// Adds a line, unless it repeats the latest, and resets the position.
    pub fn add(&self, line: &str) {
        self.reset_position();
        let is_new = self.with_lines(|lines| {
            let is_new = lines.last().is_none_or(|last| last != line);
            if is_new {
                lines.push(line.to_owned());
                let excess = lines.len().saturating_sub(MAX_LINES);
                lines.drain(..excess);
            }
            is_new
        });
        if is_new && let Some(file) = &self.file {
            // Ignored: the lines of this run are still in memory.
            let _ = append_line(file, line);
        }
    }

    /// Resets the position to the line that is typed now.
    pub fn reset_position(&self) {
        self.offset.set(0);
        self.draft.take();
    }

    /// Returns the line before the shown one, if there is one. `shown` is stored as the draft.
    pub fn recall_older(&self, shown: &str) -> Option<String> {
        let offset = self.offset.get() + 1;
        let line = self.with_lines(|lines| lines.iter().rev().nth(offset - 1).cloned())?;
        if offset == 1 {
            self.draft.set(shown.to_owned());
        }
        self.offset.set(offset);
        Some(line)
    }

    /// Returns the line after the shown one, which is the draft in the end.
    pub fn recall_newer(&self) -> Option<String> {
        let offset = self.offset.get().checked_sub(1)?;
        self.offset.set(offset);
        match offset {
            0 => Some(self.draft.take()),
            _ => self.with_lines(|lines| lines.iter().rev().nth(offset - 1).cloned()),
        }
    }

    fn with_lines<T>(&self, function: impl FnOnce(&mut Vec<String>) -> T) -> T {
        let mut lines = self.lines.take();
        let result = function(&mut lines);
        self.lines.set(lines);
        result
    }

    /// Returns the nearest line, from index `start` on, in which `find_in_line` finds a position.
    fn find(
        &self,
        start: usize,
        direction: SearchDirection,
        find_in_line: impl Fn(&str) -> Option<usize>,
    ) -> Option<SearchResult<'static>> {
        let found = |(idx, line): (usize, &String)| {
            find_in_line(line).map(|pos| SearchResult { entry: Cow::Owned(line.clone()), idx, pos })
        };
        self.with_lines(|lines| match direction {
            SearchDirection::Forward => lines.iter().enumerate().skip(start).find_map(found),
            SearchDirection::Reverse => {
                lines.iter().enumerate().take(start + 1).rev().find_map(found)
            }
        })
    }
}

/// Returns the path of the file: `smolchat/history` below `$XDG_STATE_HOME` or `~/.local/state`.
pub fn default_path() -> Option<PathBuf> {
    Some(base_directory("XDG_STATE_HOME", ".local/state")?.join("smolchat/history"))
}

fn append_line(file: &Path, line: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(file)?;
    // A single write, so that the lines of two clients are not mixed.
    file.write_all(format!("{line}\n").as_bytes())
}

fn rewrite_file(file: &Path, lines: &[String]) -> std::io::Result<()> {
    let new_file = file.with_extension("new");
    let mut output =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new_file)?;
    lines.iter().try_for_each(|line| writeln!(output, "{line}"))?;
    fs::rename(new_file, file)
}

/// The input history in the form that the editor searches.
pub struct SearchableHistory(pub Rc<InputHistory>);

impl History for SearchableHistory {
    fn get(&self, index: usize, _: SearchDirection) -> Result<Option<SearchResult<'_>>> {
        let line = self.0.with_lines(|lines| lines.get(index).cloned());
        Ok(line.map(|line| SearchResult { entry: Cow::Owned(line), idx: index, pos: 0 }))
    }

    fn search(
        &self,
        term: &str,
        start: usize,
        direction: SearchDirection,
    ) -> Result<Option<SearchResult<'_>>> {
        if term.is_empty() {
            return Ok(None);
        }
        Ok(self.0.find(start, direction, |line| line.find(term)))
    }

    fn starts_with(
        &self,
        term: &str,
        start: usize,
        direction: SearchDirection,
    ) -> Result<Option<SearchResult<'_>>> {
        Ok(self.0.find(start, direction, |line| line.starts_with(term).then_some(term.len())))
    }

    fn len(&self) -> usize {
        self.0.with_lines(|lines| lines.len())
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn add(&mut self, line: &str) -> Result<bool> {
        self.0.add(line);
        Ok(true)
    }

    fn add_owned(&mut self, line: String) -> Result<bool> {
        self.add(&line)
    }

    fn clear(&mut self) -> Result<()> {
        self.0.lines.take();
        Ok(())
    }

    // The limits and the file are those of InputHistory, not of the editor.
    fn set_max_len(&mut self, _: usize) -> Result<()> {
        Ok(())
    }

    fn ignore_dups(&mut self, _: bool) -> Result<()> {
        Ok(())
    }

    fn ignore_space(&mut self, _: bool) {}

    fn save(&mut self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn append(&mut self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn load(&mut self, _: &Path) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draft_is_restored_after_going_back() {
        let input_history = InputHistory::default();
        assert_eq!(input_history.recall_older("draft"), None);
        for line in ["one", "two", "two"] {
            input_history.add(line);
        }
        assert_eq!(input_history.recall_newer(), None);
        assert_eq!(input_history.recall_older("draft").as_deref(), Some("two"));
        assert_eq!(input_history.recall_older("two").as_deref(), Some("one"));
        assert_eq!(input_history.recall_older("one"), None);
        assert_eq!(input_history.recall_newer().as_deref(), Some("two"));
        assert_eq!(input_history.recall_newer().as_deref(), Some("draft"));
        assert_eq!(input_history.recall_newer(), None);
    }

    #[test]
    fn search_works_in_both_directions() {
        let input_history = Rc::new(InputHistory::default());
        for line in ["say one", "two", "say three"] {
            input_history.add(line);
        }
        let searchable = SearchableHistory(input_history);
        let found = |start, direction| {
            searchable.search("say", start, direction).unwrap().map(|found| found.idx)
        };
        assert_eq!(found(2, SearchDirection::Reverse), Some(2));
        assert_eq!(found(1, SearchDirection::Reverse), Some(0));
        assert_eq!(found(1, SearchDirection::Forward), Some(2));
        assert!(searchable.search("four", 2, SearchDirection::Reverse).unwrap().is_none());
    }

    #[test]
    fn long_file_is_shortened_and_private() {
        let folder =
            std::env::temp_dir().join(format!("smolchat-input-history-{}", std::process::id()));
        let file = folder.join("smolchat/history");
        let input_history = InputHistory::load(Some(file.clone()));
        for number in 0..2 * MAX_LINES + 1 {
            input_history.add(&number.to_string());
        }
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let again = InputHistory::load(Some(file.clone()));
        assert_eq!(again.recall_older(""), Some((2 * MAX_LINES).to_string()));
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), MAX_LINES);
        fs::remove_dir_all(folder).unwrap();
    }
}
