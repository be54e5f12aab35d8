//! The lines that were typed, to be had again: in memory, and in a file across runs.

use std::borrow::Cow;
use std::cell::Cell;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustyline::Result;
use rustyline::history::{History, SearchDirection, SearchResult};

/// Lines that are kept.
const MAX_LINES: usize = 1000;

/// What was typed, the latest last. The editor and what answers its keys have it both, and both
/// are in one thread.
#[derive(Default)]
pub struct InputHistory {
    lines: Cell<Vec<String>>,
    /// How far offset the user went, 0 being what is typed now.
    offset: Cell<usize>,
    /// What was typed before the user went offset.
    draft: Cell<String>,
    file: Option<PathBuf>,
}

impl InputHistory {
    /// What is in the file, which need not exist.
    pub fn load(file: Option<PathBuf>) -> Self {
        let text = file.as_ref().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        let all: Vec<String> = text.lines().map(str::to_owned).collect();
        let lines = all.get(all.len().saturating_sub(MAX_LINES)..).unwrap_or_default().to_vec();
        if all.len() > 2 * MAX_LINES
            && let Some(file) = &file
        {
            // If that fails, the file is longer than it needs to be, and nothing else.
            let _ = rewrite_file(file, &lines);
        }
        InputHistory { lines: Cell::new(lines), file, ..InputHistory::default() }
    }

    /// Adds a line, and is where what is typed now is again.
    pub fn add(&self, line: &str) {
        self.reset_position();
        let is_new = self.with_lines(|lines| {
            let is_new = lines.last().is_none_or(|last| last != line);
            if is_new {
                lines.push(line.to_owned());
                let beyond = lines.len().saturating_sub(MAX_LINES);
                lines.drain(..beyond);
            }
            is_new
        });
        if is_new && let Some(file) = &self.file {
            // Who cannot write there has the lines of this run all the same.
            let _ = append_line(file, line);
        }
    }

    /// Is where what is typed now is.
    pub fn reset_position(&self) {
        self.offset.set(0);
        self.draft.take();
    }

    /// The line before the one that is shown; nothing if there is none.
    pub fn recall_older(&self, shown: &str) -> Option<String> {
        let offset = self.offset.get() + 1;
        let line = self.with_lines(|lines| lines.iter().rev().nth(offset - 1).cloned())?;
        if offset == 1 {
            self.draft.set(shown.to_owned());
        }
        self.offset.set(offset);
        Some(line)
    }

    /// The line after the one that is shown, or at last what was typed before.
    pub fn recall_newer(&self) -> Option<String> {
        let offset = self.offset.get().checked_sub(1)?;
        self.offset.set(offset);
        match offset {
            0 => Some(self.draft.take()),
            _ => self.with_lines(|lines| lines.iter().rev().nth(offset - 1).cloned()),
        }
    }

    fn with_lines<T>(&self, work: impl FnOnce(&mut Vec<String>) -> T) -> T {
        let mut lines = self.lines.take();
        let result = work(&mut lines);
        self.lines.set(lines);
        result
    }

    /// The nearest line, from place `start` on in that direction, for which it is so, and where in
    /// the line.
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

/// Where the file is, by the rules of the XDG base directories.
pub fn default_path() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    Some(state.join("smolchat/history"))
}

fn append_line(file: &Path, line: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(file)?;
    // In one write, so that two clients do not mix their lines.
    file.write_all(format!("{line}\n").as_bytes())
}

fn rewrite_file(file: &Path, lines: &[String]) -> std::io::Result<()> {
    let new = file.with_extension("new");
    let mut to =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    lines.iter().try_for_each(|line| writeln!(to, "{line}"))?;
    fs::rename(new, file)
}

/// The same as the editor searches it.
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

    // How much is kept, and where, is not the editor's affair.
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
    fn one_goes_back_and_forth_and_finds_what_one_was_typing() {
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
    fn search_goes_both_ways() {
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
    fn a_file_that_grew_too_long_is_cut_and_only_its_owner_may_read_it() {
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
