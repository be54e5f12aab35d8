//! The input line: edit actions in, lines and requests of the user out.

use super::commands::is_private;
use super::completion::complete;
use super::input_history::{self, InputHistory};
use super::keys::EditAction;
use super::line_buffer::LineBuffer;

/// The longest pattern of a search, in characters.
const MAX_PATTERN: usize = 200;

/// An input of the user.
#[derive(Debug, PartialEq, Eq)]
pub enum UserInput {
    /// Messages to send, or commands.
    Lines(String),
    /// The answer to a question, or `None` if the user cancels it.
    Answer(Option<String>),
    /// A request to leave the room and exit, with Ctrl-C or Ctrl-D.
    Leave,
    /// A request to end the program like the signal `QUIT`, with Ctrl-\.
    Quit,
    /// A request to stop the program until the shell continues it.
    Suspend,
    Redraw,
}

/// The text of the input line as it is shown.
#[derive(Debug, PartialEq, Eq)]
pub struct InputView {
    pub prompt: String,
    pub before_cursor: String,
    pub after_cursor: String,
    /// The line below the text.
    pub hint: Option<String>,
}

/// The input line with its history and its completion.
#[derive(Debug)]
pub struct Editor {
    prompt: String,
    /// Whether lines go to one member, so that they are not stored in the history.
    is_private: bool,
    line: LineBuffer,
    input_history: InputHistory,
    member_names: Vec<String>,
    mode: Mode,
    /// The completion that the next Tab replaces.
    cycle: Option<CompletionCycle>,
}

#[derive(Debug)]
enum Mode {
    Edit,
    /// The next key is the answer to "send these lines to all?".
    Confirm,
    Search(Search),
    Question(Question),
}

/// A question, whose answer is typed in place of a line and is stored nowhere.
#[derive(Debug)]
struct Question {
    prompt: &'static str,
    /// Whether the answer is not shown.
    is_hidden: bool,
    /// The line that was typed before.
    draft: LineBuffer,
}

/// A search in the input history.
#[derive(Debug, Default)]
struct Search {
    pattern: String,
    /// The latest match, and its age in the history.
    found: Option<(usize, String)>,
    has_failed: bool,
}

/// The completions of one word, which Tab shows in turn.
#[derive(Debug)]
struct CompletionCycle {
    candidates: Vec<String>,
    /// The index of the candidate that is shown.
    index: usize,
    /// The text before the cursor with that candidate.
    head: String,
}

impl Editor {
    pub fn new(input_history: InputHistory) -> Self {
        Editor {
            prompt: "> ".into(),
            is_private: false,
            line: LineBuffer::default(),
            input_history,
            member_names: Vec::new(),
            mode: Mode::Edit,
            cycle: None,
        }
    }

    /// Sets the text before the input line. The default is `> `.
    pub fn set_prompt(&mut self, prompt: String) {
        self.prompt = prompt;
    }

    /// Sets whether lines go to one member. The default is to all.
    pub fn set_private(&mut self, is_private: bool) {
        self.is_private = is_private;
    }

    /// Sets the names for the completion, the likeliest first.
    pub fn set_member_names(&mut self, names: Vec<String>) {
        self.member_names = names;
    }

    /// Returns whether nothing is typed.
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Returns whether the user types nothing at all.
    #[cfg(feature = "tls")]
    pub fn is_idle(&self) -> bool {
        matches!(self.mode, Mode::Edit) && self.line.is_empty()
    }

    /// Executes an action. Returns the input of the user that it completes.
    pub fn execute(&mut self, action: EditAction) -> Option<UserInput> {
        let mode = std::mem::replace(&mut self.mode, Mode::Edit);
        match (mode, action) {
            (mode, EditAction::Suspend) => {
                self.mode = mode;
                Some(UserInput::Suspend)
            }
            (mode, EditAction::Redraw) => {
                self.mode = mode;
                Some(UserInput::Redraw)
            }
            (_, EditAction::Quit) => Some(UserInput::Quit),
            (Mode::Edit, action) => self.edit(action),
            (Mode::Confirm, EditAction::Insert(keys)) => self.answer(&keys),
            (Mode::Confirm, EditAction::Interrupt) => self.edit(EditAction::Interrupt),
            (Mode::Confirm, _) => None,
            (Mode::Search(search), action) => self.search(search, action),
            (Mode::Question(question), action) => self.answer_question(question, action),
        }
    }

    /// Asks a question. The next line is its answer.
    pub fn ask(&mut self, prompt: &'static str, is_hidden: bool) {
        let line = std::mem::take(&mut self.line);
        let draft = match std::mem::replace(&mut self.mode, Mode::Edit) {
            Mode::Question(question) => question.draft,
            _ => line,
        };
        self.mode = Mode::Question(Question { prompt, is_hidden, draft });
    }

    /// Ends a question without an answer.
    #[cfg(feature = "tls")]
    pub fn withdraw_question(&mut self) {
        if let Mode::Question(question) = &mut self.mode {
            self.line = std::mem::take(&mut question.draft);
            self.mode = Mode::Edit;
        }
    }

    fn answer_question(&mut self, question: Question, action: EditAction) -> Option<UserInput> {
        let answer = match action {
            EditAction::Accept => Some(self.line.text()),
            EditAction::Interrupt => None,
            EditAction::EndOfInput if self.line.is_empty() => None,
            action => {
                match action {
                    EditAction::Insert(text) | EditAction::Paste(text) => {
                        self.line.insert(text.trim_end_matches(['\r', '\n']));
                    }
                    EditAction::EndOfInput => self.line.apply(&EditAction::DeleteRight),
                    action => self.line.apply(&action),
                }
                self.mode = Mode::Question(question);
                return None;
            }
        };
        self.line = question.draft;
        Some(UserInput::Answer(answer))
    }

    fn edit(&mut self, action: EditAction) -> Option<UserInput> {
        let has_line_breaks = self.line.has_line_breaks();
        match action {
            EditAction::Insert(text) | EditAction::Paste(text) => self.line.insert(&text),
            EditAction::Accept if has_line_breaks => self.mode = Mode::Confirm,
            EditAction::Accept => return self.submit(),
            EditAction::Complete => self.complete(),
            EditAction::Older => self.recall_older(),
            EditAction::Newer => self.recall_newer(),
            EditAction::Up if !has_line_breaks => self.recall_older(),
            EditAction::Down if !has_line_breaks => self.recall_newer(),
            EditAction::Search => self.mode = Mode::Search(Search::default()),
            EditAction::Interrupt | EditAction::EndOfInput if self.line.is_empty() => {
                return Some(UserInput::Leave);
            }
            EditAction::Interrupt => self.line.clear(),
            EditAction::EndOfInput => self.line.apply(&EditAction::DeleteRight),
            action => self.line.apply(&action),
        }
        None
    }

    /// Sends the block if the first of the typed characters is `y`. The others are inserted.
    fn answer(&mut self, keys: &str) -> Option<UserInput> {
        let mut keys = keys.chars();
        let input = match keys.next() {
            Some('y' | 'Y') => self.submit(),
            _ => None,
        };
        self.line.insert(keys.as_str());
        input
    }

    /// Removes the line, stores it in the history and returns it, unless it is blank.
    fn submit(&mut self) -> Option<UserInput> {
        let text = self.line.take();
        self.input_history.reset_position();
        let is_private =
            |line: &&str| self.is_private && !line.starts_with('/') || is_private(line);
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !is_private(line));
        let excess = lines.clone().count().saturating_sub(input_history::MAX_LINES);
        lines.skip(excess).for_each(|line| self.input_history.add(line));
        (!text.trim().is_empty()).then_some(UserInput::Lines(text))
    }

    fn recall_older(&mut self) {
        if let Some(line) = self.input_history.recall_older(&self.line.text()) {
            self.line.set(line);
        }
    }

    fn recall_newer(&mut self) {
        if let Some(line) = self.input_history.recall_newer() {
            self.line.set(line);
        }
    }

    /// Completes the word before the cursor, or shows its next completion.
    fn complete(&mut self) {
        let (word, cycle) = match self.cycle.take() {
            Some(CompletionCycle { candidates, index, head }) if head == self.line.before() => {
                let shown = candidates.get(index).cloned().unwrap_or_default();
                let index = (index + 1) % candidates.len().max(1);
                (shown, CompletionCycle { candidates, index, head })
            }
            _ => {
                let completions = complete(self.line.before(), &self.member_names);
                let (candidates, head) = (completions.candidates, String::new());
                (completions.word, CompletionCycle { candidates, index: 0, head })
            }
        };
        if let Some(candidate) = cycle.candidates.get(cycle.index) {
            self.line.replace_word(&word, candidate);
            self.cycle = Some(CompletionCycle { head: self.line.before().to_owned(), ..cycle });
        }
    }

    /// Executes an action during a search. An action that is not one of the search ends it.
    fn search(&mut self, mut search: Search, action: EditAction) -> Option<UserInput> {
        let age = search.found.as_ref().map_or(0, |(age, _)| *age);
        let found = match &action {
            EditAction::Insert(text) | EditAction::Paste(text) => {
                let room = MAX_PATTERN.saturating_sub(search.pattern.chars().count());
                let text = text.chars().filter(|c| !c.is_control());
                search.pattern.extend(text.take(room));
                self.input_history.find_older(&search.pattern, age)
            }
            EditAction::DeleteLeft => {
                search.pattern.pop();
                self.input_history.find_older(&search.pattern, 0)
            }
            EditAction::Search => self.input_history.find_older(&search.pattern, age + 1),
            EditAction::SearchNewer => self.input_history.find_newer(&search.pattern, age),
            EditAction::CancelSearch => return None,
            EditAction::Interrupt => {
                self.line.clear();
                return None;
            }
            _ => {
                if let Some((_, line)) = search.found {
                    self.line.set(line);
                }
                let is_end = matches!(action, EditAction::Accept | EditAction::Complete);
                return if is_end { None } else { self.edit(action) };
            }
        };
        search.has_failed = found.is_none() && !search.pattern.is_empty();
        match found {
            _ if search.pattern.is_empty() => search.found = None,
            Some((age, line)) => search.found = Some((age, line.to_owned())),
            None => {}
        }
        self.mode = Mode::Search(search);
        None
    }

    /// Returns the text to show.
    pub fn view(&self) -> InputView {
        if let Mode::Question(Question { prompt, is_hidden, .. }) = &self.mode {
            let shown = |text: &str| if *is_hidden { String::new() } else { text.to_owned() };
            return InputView {
                prompt: (*prompt).into(),
                before_cursor: shown(self.line.before()),
                after_cursor: shown(self.line.after()),
                hint: None,
            };
        }
        if let Mode::Search(Search { pattern, found, has_failed }) = &self.mode {
            let failed = if *has_failed { "failed " } else { "" };
            let found = found.as_ref().map(|(_, line)| line.clone());
            return InputView {
                prompt: format!("({failed}reverse-i-search)`{pattern}': "),
                before_cursor: found.unwrap_or_else(|| self.line.text()),
                after_cursor: String::new(),
                hint: None,
            };
        }
        let hint = self.line.has_line_breaks().then(|| {
            let text = self.line.text();
            let count = text.lines().filter(|line| !line.trim().is_empty()).count();
            match self.mode {
                Mode::Confirm if self.is_private => {
                    format!("[send these {count} lines? press y to send]")
                }
                Mode::Confirm => format!("[send these {count} lines to all? press y to send]"),
                _ => format!("[{count} lines; Enter to send, Ctrl-C to discard]"),
            }
        });
        InputView {
            prompt: self.prompt.clone(),
            before_cursor: self.line.before().to_owned(),
            after_cursor: self.line.after().to_owned(),
            hint,
        }
    }
}

#[cfg(test)]
mod tests;
