//! What a person sees of a conversation: events in, lines out. It knows no terminal.

use std::collections::VecDeque;

use super::date::format_date;
use super::entry::{Entry, EntryKind, StyledText};
use super::presence::PresenceBatch;
use super::style::Style;
use super::wrap::width;
use crate::app::{Bell, Clock};
use crate::client::{Received, sanitize};
use crate::protocol::{Body, case_fold};

/// Entries that are kept, to be laid out anew when the terminal changes its size.
const MAX_ENTRIES: usize = 200;
/// Bytes of them.
const MAX_ENTRY_BYTES: usize = 256 << 10;

/// What the user may choose.
#[derive(Clone, Copy, Debug)]
pub struct ViewSettings {
    /// Paint with colours.
    pub has_colors: bool,
    /// When to ring.
    pub bell: Bell,
    /// Show the time of day.
    pub has_timestamps: bool,
}

/// What was shown, how it looks, and what is yet to be written to the terminal.
#[derive(Debug)]
pub struct View {
    pub settings: ViewSettings,
    /// How wide the terminal is.
    pub columns: usize,
    pub clock: Clock,
    out: StyledText,
    is_bell_due: bool,
    entries: VecDeque<Entry>,
    entry_bytes: usize,
    presence: PresenceBatch,
    /// Members whose lines are not shown, folded.
    ignored: Vec<String>,
    /// The day of what was shown last.
    last_day: i64,
    /// How wide the column of names is.
    name_width: usize,
    /// What was shown last is from before.
    is_past: bool,
}

impl View {
    /// An empty one, at the time `now`.
    pub fn new(settings: ViewSettings, clock: Clock, columns: usize, now: u64) -> Self {
        View {
            out: StyledText::new(settings.has_colors),
            settings,
            columns,
            is_bell_due: false,
            entries: VecDeque::new(),
            entry_bytes: 0,
            presence: PresenceBatch::default(),
            ignored: Vec::new(),
            last_day: clock.day(now),
            clock,
            name_width: 0,
            is_past: false,
        }
    }

    /// Shows a frame to the member called `me`.
    pub fn show_frame(&mut self, received: &Received, me: &str) {
        let (frame, is_past) = (&received.frame, received.is_past);
        if is_past != self.is_past {
            self.flush_presence();
            self.is_past = is_past;
            self.push_entry(Entry::new(
                EntryKind::Separator,
                if is_past { "earlier" } else { "now" },
            ));
        }
        let time = frame.body.time();
        if let Body::Join { names, .. } | Body::Leave { names, .. } = &frame.body {
            let is_join = matches!(frame.body, Body::Join { .. });
            // The welcome told that we came.
            let others = names.iter().map(|name| &**name).filter(|name| is_past || *name != me);
            return self.presence.add(others, is_join, time.unwrap_or(0));
        }
        // Is told of elsewhere, with the gaps that the server did not name.
        if matches!(frame.body, Body::Gap { .. }) {
            return;
        }
        let is_own = frame.data_source == me;
        if !is_own && self.is_ignored(&frame.data_source) {
            return;
        }
        let text = sanitize(&frame.data);
        let (kind, is_for_me) = match &frame.body {
            Body::Chat { .. } | Body::Unknown if is_own => (EntryKind::Own, false),
            Body::Chat { .. } | Body::Unknown => (EntryKind::Chat, mentions(&frame.data, me)),
            Body::Action { .. } => (EntryKind::Action, !is_own && mentions(&frame.data, me)),
            Body::Private { .. } => (EntryKind::Private, !is_own),
            Body::Name { .. } => (EntryKind::Presence("---"), false),
            Body::Error { .. } => (EntryKind::Error, false),
            _ => (EntryKind::Info, false),
        };
        let author = match &frame.body {
            Body::Private { to, .. } => format!("{} > {}", frame.data_source, to),
            _ => frame.data_source.to_string(),
        };
        let is_speech =
            matches!(kind, EntryKind::Chat | EntryKind::Action | EntryKind::Private) && !is_own;
        self.is_bell_due |= !is_past
            && match self.settings.bell {
                Bell::Never => false,
                Bell::Mention => is_for_me,
                Bell::Always => is_speech,
            };
        self.flush_presence();
        self.push_entry(Entry {
            kind,
            time,
            author: sanitize(&author),
            text,
            is_highlighted: is_for_me,
            is_past,
        });
    }

    /// Shows something that the client has to say.
    pub fn show_notice(&mut self, kind: EntryKind, text: &str) {
        self.flush_presence();
        self.push_entry(Entry::new(kind, sanitize(text)));
    }

    /// Shows a line of the user's that nobody has heard yet.
    pub fn show_pending(&mut self, me: &str, text: &str) {
        self.flush_presence();
        self.push_entry(Entry {
            author: sanitize(me),
            ..Entry::new(EntryKind::Pending, sanitize(text))
        });
    }

    /// Whether joins and leaves are held back, to be put together with others.
    pub fn has_held(&self) -> bool {
        !self.presence.is_empty() || self.is_past
    }

    /// Shows the joins and leaves that were held back.
    pub fn flush_presence(&mut self) {
        let (presence, is_past) = (self.presence.take(), self.is_past);
        for (mark, text, time) in presence {
            let text = sanitize(&text);
            let time = Some(time);
            self.push_entry(Entry { time, is_past, ..Entry::new(EntryKind::Presence(mark), text) });
        }
    }

    /// Shows what was held back, and that nothing more comes of what is from before.
    pub fn flush_held(&mut self) {
        self.flush_presence();
        if std::mem::take(&mut self.is_past) {
            self.push_entry(Entry::new(EntryKind::Separator, "now"));
        }
    }

    /// What is to be written to the terminal, and whether to ring.
    pub fn take_output(&mut self) -> (String, bool) {
        (std::mem::take(&mut self.out.text), std::mem::take(&mut self.is_bell_due))
    }

    /// Lays out what is kept anew, for a screen of so many rows.
    pub fn repaint(&mut self, rows: usize) -> String {
        let mut screen = String::new();
        let mut lines: Vec<String> = Vec::new();
        for entry in self.entries.iter().rev() {
            let mut painter = StyledText::new(self.settings.has_colors);
            self.paint(entry, &mut painter);
            lines.push(painter.text);
            if lines.iter().map(|text| text.lines().count()).sum::<usize>() >= rows {
                break;
            }
        }
        lines.iter().rev().for_each(|text| screen.push_str(text));
        let all = screen.lines().count();
        screen.lines().skip(all.saturating_sub(rows)).flat_map(|line| [line, "\n"]).collect()
    }

    /// Forgets what was shown.
    pub fn clear(&mut self) {
        self.out.text.clear();
        self.entries.clear();
        self.entry_bytes = 0;
    }

    /// Shows nothing more of what this member says; false if that was so already.
    pub fn ignore(&mut self, name: &str) -> bool {
        let is_new = !self.is_ignored(name);
        if is_new {
            self.ignored.push(case_fold(name));
        }
        is_new
    }

    /// Shows it again; false if it was shown.
    pub fn unignore(&mut self, name: &str) -> bool {
        let before = self.ignored.len();
        self.ignored.retain(|ignored| *ignored != case_fold(name));
        self.ignored.len() < before
    }

    /// Whose lines are not shown.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    fn is_ignored(&self, name: &str) -> bool {
        !self.ignored.is_empty() && self.ignored.contains(&case_fold(name))
    }

    fn push_entry(&mut self, entry: Entry) {
        if let Some(time) = entry.time {
            let day = self.clock.day(time);
            if day != self.last_day {
                self.last_day = day;
                self.push_entry(Entry::new(EntryKind::Separator, format_date(day)));
            }
        }
        self.name_width = self.name_width.max(entry.name_width());
        let mut out = std::mem::take(&mut self.out);
        self.paint(&entry, &mut out);
        self.out = out;
        self.entry_bytes += entry.text.len();
        self.entries.push_back(entry);
        while self.entries.len() > MAX_ENTRIES || self.entry_bytes > MAX_ENTRY_BYTES {
            let Some(gone) = self.entries.pop_front() else { break };
            self.entry_bytes -= gone.text.len();
        }
    }

    fn paint(&self, entry: &Entry, out: &mut StyledText) {
        let time = entry.time.map(|time| self.clock.time_of_day(time)).unwrap_or_default();
        let time = self.settings.has_timestamps.then_some(time.as_str());
        entry.layout(time, self.columns, self.name_width, out);
    }

    /// A line of the client's own that stays below all others for a while: it fits in one row.
    pub fn status(&self, text: &str) -> String {
        let mut line = String::new();
        let indent = if self.settings.has_timestamps { "      " } else { "" };
        for c in format!("{indent}-!- {}", sanitize(text)).chars() {
            line.push(c);
            if width(&line) >= self.columns {
                line.pop();
                break;
            }
        }
        let mut out = String::new();
        Style::Faint.paint(self.settings.has_colors, &line, &mut out);
        out + "\n"
    }
}

/// Whether a text has a name in it, as a word of its own.
fn mentions(text: &str, name: &str) -> bool {
    if name.is_empty() {
        return false;
    }
    let (text, name) = (case_fold(text), case_fold(name));
    let is_letter =
        |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '-');
    text.match_indices(&name).any(|(place, found)| {
        let before = text.get(..place).and_then(|text| text.chars().next_back());
        let after = text.get(place + found.len()..).and_then(|text| text.chars().next());
        // A name in a script without spaces stands among other letters.
        let is_spaced = name.is_ascii();
        !(is_spaced && (is_letter(before) || is_letter(after)))
    })
}

#[cfg(test)]
mod tests;
