//! The history of typed lines, which is kept in a file between runs.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::app::xdg::base_directory;
use crate::os::open_regular;

/// The most lines that are kept.
pub const MAX_LINES: usize = 1000;
/// The most bytes that are read from the end of the file.
const MAX_BYTES: u64 = 1 << 20;

/// The typed lines, the latest last.
#[derive(Debug, Default)]
pub struct InputHistory {
    lines: Vec<String>,
    /// The number of lines that the user went back; 0 is the line that is typed now.
    offset: usize,
    /// The line that was typed before the user went back.
    draft: String,
    file: Option<PathBuf>,
}

impl InputHistory {
    /// Loads the lines of the file, if it exists. Bytes that are not UTF-8 are replaced by U+FFFD.
    pub fn load(file: Option<PathBuf>) -> Self {
        let bytes = file.as_ref().and_then(|file| read_end(file).ok()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let count = text.lines().count();
        let lines: Vec<String> =
            text.lines().skip(count.saturating_sub(MAX_LINES)).map(str::to_owned).collect();
        let is_long = count > 2 * MAX_LINES || bytes.len() as u64 == MAX_BYTES;
        if let Some(file) = &file
            && is_long
        {
            // Ignored: the file then only stays longer than needed.
            let _ = rewrite_file(file, &lines);
        }
        InputHistory { lines, file, ..InputHistory::default() }
    }

    /// Adds a line, unless it repeats the latest, and resets the position.
    pub fn add(&mut self, line: &str) {
        self.reset_position();
        if self.lines.last().is_some_and(|last| last == line) {
            return;
        }
        self.lines.push(line.to_owned());
        let excess = self.lines.len().saturating_sub(MAX_LINES);
        self.lines.drain(..excess);
        if let Some(file) = &self.file {
            // Ignored: the lines of this run are still in memory.
            let _ = append_line(file, line);
        }
    }

    /// Resets the position to the line that is typed now.
    pub fn reset_position(&mut self) {
        self.offset = 0;
        self.draft.clear();
    }

    /// Returns the line before the shown one, if there is one. `shown` is stored as the draft.
    pub fn recall_older(&mut self, shown: &str) -> Option<String> {
        let line = self.lines.iter().rev().nth(self.offset)?.clone();
        if self.offset == 0 {
            shown.clone_into(&mut self.draft);
        }
        self.offset += 1;
        Some(line)
    }

    /// Returns the line after the shown one, which is the draft in the end.
    pub fn recall_newer(&mut self) -> Option<String> {
        self.offset = self.offset.checked_sub(1)?;
        match self.offset.checked_sub(1) {
            None => Some(std::mem::take(&mut self.draft)),
            Some(index) => self.lines.iter().rev().nth(index).cloned(),
        }
    }

    /// Returns the latest line that contains `pattern`, and its age: 0 is the latest line of all.
    /// Only lines of at least the age `from` are searched.
    pub fn find_older(&self, pattern: &str, from: usize) -> Option<(usize, &str)> {
        let mut lines = self.lines.iter().rev().map(String::as_str).enumerate().skip(from);
        lines.find(|(_, line)| line.contains(pattern))
    }

    /// Returns the oldest line that contains `pattern` and is younger than `age`, and its age.
    pub fn find_newer(&self, pattern: &str, age: usize) -> Option<(usize, &str)> {
        let mut lines = self.lines.iter().rev().map(String::as_str).enumerate().take(age);
        lines.rfind(|(_, line)| line.contains(pattern))
    }
}

/// Returns the last [`MAX_BYTES`] of a file.
fn read_end(file: &Path) -> io::Result<Vec<u8>> {
    let mut file = open_regular(file)?;
    let excess = file.metadata()?.len().saturating_sub(MAX_BYTES);
    file.seek(SeekFrom::Start(excess))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the path of the file: `smolchat/history` below `$XDG_STATE_HOME` or `~/.local/state`.
pub fn default_path() -> Option<PathBuf> {
    Some(base_directory("XDG_STATE_HOME", ".local/state")?.join("smolchat/history"))
}

fn append_line(file: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(file)?;
    // A single write, so that the lines of two clients are not mixed.
    file.write_all(format!("{line}\n").as_bytes())
}

fn rewrite_file(file: &Path, lines: &[String]) -> io::Result<()> {
    let new_file = file.with_extension("new");
    let mut output =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new_file)?;
    lines.iter().try_for_each(|line| writeln!(output, "{line}"))?;
    fs::rename(new_file, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::temp_dir::TempDir;

    #[test]
    fn draft_is_restored_after_going_back() {
        let mut input_history = InputHistory::default();
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
        let mut input_history = InputHistory::default();
        for line in ["say one", "two", "say three"] {
            input_history.add(line);
        }
        assert_eq!(input_history.find_older("say", 0), Some((0, "say three")));
        assert_eq!(input_history.find_older("say", 1), Some((2, "say one")));
        assert_eq!(input_history.find_older("say", 3), None);
        assert_eq!(input_history.find_newer("say", 2), Some((0, "say three")));
        assert_eq!(input_history.find_newer("say", 0), None);
        assert_eq!(input_history.find_older("four", 0), None);
    }

    #[test]
    fn invalid_bytes_do_not_hide_other_lines() {
        let dir = TempDir::new();
        let file = dir.path("history");
        fs::write(&file, b"first\r\ncaf\xe9\n\n\xff\xfe\0\nlast").unwrap();
        let mut input_history = InputHistory::load(Some(file.clone()));
        let lines = std::iter::from_fn(|| input_history.recall_older("")).collect::<Vec<_>>();
        assert_eq!(lines, ["last", "\u{fffd}\u{fffd}\0", "", "caf\u{fffd}", "first"]);
    }

    #[test]
    fn large_file_is_read_from_its_end() {
        let dir = TempDir::new();
        let file = dir.path("history");
        fs::write(&file, format!("{}\nlast\n", "好".repeat(1 << 20))).unwrap();
        for _ in 0..2 {
            let mut input_history = InputHistory::load(Some(file.clone()));
            assert_eq!(input_history.recall_older("").as_deref(), Some("last"));
        }
        assert!(fs::metadata(&file).unwrap().len() <= 3 * MAX_BYTES);
    }

    #[test]
    fn long_file_is_shortened_and_private() {
        let dir = TempDir::new();
        let file = dir.path("smolchat/history");
        let mut input_history = InputHistory::load(Some(file.clone()));
        for number in 0..2 * MAX_LINES + 1 {
            input_history.add(&number.to_string());
        }
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let mut again = InputHistory::load(Some(file.clone()));
        assert_eq!(again.recall_older(""), Some((2 * MAX_LINES).to_string()));
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), MAX_LINES);
    }
}
