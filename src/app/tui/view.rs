//! The text of the conversation: frames in, lines out.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::date::format_date;
use super::entry::{Entry, EntryKind, StyledText};
use super::ignore_list::IgnoreList;
use super::mention::classify;
use super::presence::{PresenceBatch, PresenceNotice};
use super::style::Style;
use super::wrap::width;
use crate::app::render::sanitize_lines;
use crate::app::{Bell, Clock};
use crate::client::{ReceivedFrame, sanitize};
use crate::protocol::Body;

/// The most entries that are kept for a redraw of the screen.
const MAX_ENTRIES: usize = 200;
/// The most bytes in the texts and the names of these entries.
const MAX_ENTRY_BYTES: usize = 256 << 10;

/// The settings of the user for the view.
#[derive(Clone, Debug)]
pub struct ViewSettings {
    pub has_colors: bool,
    pub bell: Bell,
    pub has_timestamps: bool,
    /// Words that are highlighted like the name of the user.
    pub highlights: Vec<String>,
    /// Whether joins and leaves are shown.
    pub has_presence: bool,
}

/// The reason for an unread marker: the user may not see the next messages when they arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerReason {
    Outage,
    /// The program is stopped, by Ctrl-Z.
    Stop,
    /// The window of the terminal does not have the focus.
    Focus,
}

/// The entries that are shown, and the text that is not written to the terminal yet.
#[derive(Debug)]
pub struct View {
    pub settings: ViewSettings,
    /// The width of the terminal.
    pub columns: usize,
    pub clock: Clock,
    out: StyledText,
    is_bell_due: bool,
    entries: VecDeque<Entry>,
    entry_bytes: usize,
    presence: PresenceBatch,
    pub ignored: IgnoreList,
    /// The day of the latest entry.
    last_day: i64,
    /// The width of the column of names.
    name_width: usize,
    /// The number of entries for frames since the last [`start_counting`](Self::start_counting).
    counted_frames: usize,
    /// Whether the latest frame was from before the user joined.
    is_past: bool,
    /// The reason for an unread marker, which is shown above the next message of another member.
    pending_marker: Option<MarkerReason>,
}

impl View {
    /// Returns an empty view. `now` is the Unix time in milliseconds.
    pub fn new(settings: ViewSettings, clock: Clock, columns: usize, now: u64) -> Self {
        View {
            out: StyledText::new(settings.has_colors),
            settings,
            columns,
            is_bell_due: false,
            entries: VecDeque::new(),
            entry_bytes: 0,
            presence: PresenceBatch::default(),
            ignored: IgnoreList::default(),
            last_day: clock.day(now),
            clock,
            name_width: 0,
            counted_frames: 0,
            is_past: false,
            pending_marker: None,
        }
    }

    /// Shows an unread marker above the next line of another member, unless it is cancelled before.
    pub fn request_marker(&mut self, reason: MarkerReason) {
        self.flush_presence();
        self.pending_marker.get_or_insert(reason);
    }

    /// Cancels an unread marker that is not shown yet, if it has this reason.
    pub fn cancel_marker(&mut self, reason: MarkerReason) {
        self.pending_marker = self.pending_marker.filter(|pending| *pending != reason);
    }

    /// Shows a frame. `own_name` is the name of the user.
    pub fn show_frame(&mut self, received: &ReceivedFrame, own_name: &str) {
        let (frame, is_past) = (&received.frame, received.is_past);
        if is_past != self.is_past {
            self.flush_presence();
            self.is_past = is_past;
            let text = if is_past { "earlier" } else { "now" };
            self.push_entry(Entry::new(EntryKind::Separator, text));
        }
        let time = frame.body.time();
        if let Body::Join { names, .. } | Body::Leave { names, .. } = &frame.body {
            let is_join = matches!(frame.body, Body::Join { .. });
            return self.add_presence(names, is_join, time.unwrap_or(0), own_name);
        }
        // Gaps are shown as notices, also those for which the server sent no frame.
        if matches!(frame.body, Body::Gap { .. }) {
            return;
        }
        let is_own = frame.data_source == own_name;
        if !is_own && self.ignored.contains(&frame.data_source) {
            return;
        }
        if let Body::Name { from, to, .. } = &frame.body
            && !is_past
        {
            self.ignored.rename(from, to);
        }
        let (kind, is_highlighted) = classify(frame, own_name, &self.settings.highlights);
        let author = match &frame.body {
            Body::Private { to, .. } => format!("{} > {}", frame.data_source, to),
            _ => frame.data_source.to_string(),
        };
        let (author, text) = (sanitize(&author), sanitize_lines(&frame.data));
        let is_message = matches!(
            kind,
            EntryKind::Chat | EntryKind::Own | EntryKind::Action | EntryKind::Private
        );
        let is_bell_due = match self.settings.bell {
            Bell::Never => false,
            Bell::Mention => is_highlighted,
            Bell::Always => is_message && !is_own,
        };
        self.is_bell_due |= is_bell_due && !is_past;
        self.flush_presence();
        // The user has seen the lines above an own line.
        if is_own && is_message {
            self.pending_marker = None;
        }
        self.counted_frames += usize::from(time.is_some());
        self.push_entry(Entry { kind, time, author, text, is_highlighted, is_past });
    }

    /// Collects members that joined or left, except those that are ignored.
    fn add_presence(&mut self, names: &[Cow<'_, str>], is_join: bool, time: u64, own_name: &str) {
        if !self.settings.has_presence {
            return;
        }
        if !self.presence.accepts(time) {
            self.flush_presence();
        }
        let (is_past, ignored) = (self.is_past, &self.ignored);
        // The own join is left out, because the welcome is shown.
        let is_shown = |name: &&str| match *name == own_name {
            true => is_past,
            false => !ignored.contains(name),
        };
        let others = names.iter().map(|name| &**name).filter(is_shown);
        self.presence.add(others, is_join, time);
    }

    /// Starts to count the frames of the room that are shown.
    pub fn start_counting(&mut self) {
        self.counted_frames = 0;
    }

    /// Returns the number of frames of the room that were shown since
    /// [`start_counting`](Self::start_counting). Joins and leaves that share a line count once.
    pub fn counted_frames(&self) -> usize {
        self.counted_frames
    }

    /// Shows a notice of the client.
    pub fn show_notice(&mut self, kind: EntryKind, text: &str) {
        self.flush_presence();
        self.push_entry(Entry::new(kind, sanitize_lines(text)));
    }

    /// Shows a line of the user that the server has not answered yet.
    pub fn show_pending(&mut self, own_name: &str, text: &str) {
        self.flush_presence();
        let entry = Entry::new(EntryKind::Pending, sanitize_lines(text));
        self.push_entry(Entry { author: sanitize(own_name), ..entry });
    }

    /// Returns whether entries are held back: joins and leaves, or the end of the history.
    pub fn has_held_entries(&self) -> bool {
        !self.presence.is_empty() || self.is_past
    }

    /// Shows the joins and leaves that are held back.
    fn flush_presence(&mut self) {
        let notices = self.presence.take();
        self.push_presence(notices);
    }

    fn push_presence(&mut self, notices: impl Iterator<Item = PresenceNotice>) {
        for PresenceNotice { sign, text, time } in notices {
            self.counted_frames += 1;
            let entry = Entry::new(EntryKind::Presence(sign), sanitize(&text));
            self.push_entry(Entry { time: Some(time), is_past: self.is_past, ..entry });
        }
    }

    /// Shows the entries that have been held back since the last call. Called once a second.
    pub fn on_tick(&mut self) {
        if self.is_past {
            return self.flush_held();
        }
        let notices = self.presence.take_settled();
        self.push_presence(notices);
    }

    /// Shows all entries that are held back.
    pub fn flush_held(&mut self) {
        self.flush_presence();
        if std::mem::take(&mut self.is_past) {
            self.push_entry(Entry::new(EntryKind::Separator, "now"));
        }
    }

    /// Removes and returns the text for the terminal, and whether the bell rings.
    pub fn take_output(&mut self) -> (String, bool) {
        (std::mem::take(&mut self.out.text), std::mem::take(&mut self.is_bell_due))
    }

    /// Returns the latest entries in the current layout, in at most `rows` lines.
    pub fn format_screen(&mut self, rows: usize) -> String {
        let (mut texts, mut count): (Vec<String>, usize) = (Vec::new(), 0);
        for entry in self.entries.iter().rev() {
            let mut out = StyledText::new(self.settings.has_colors);
            self.layout(entry, &mut out);
            count += out.text.lines().count();
            texts.push(out.text);
            if count >= rows {
                break;
            }
        }
        let lines = texts.iter().rev().flat_map(|text| text.lines());
        lines.skip(count.saturating_sub(rows)).flat_map(|line| [line, "\n"]).collect()
    }

    /// Removes all entries, and the text that is not written yet.
    pub fn clear(&mut self) {
        self.out.text.clear();
        self.entries.clear();
        self.entry_bytes = 0;
    }

    fn push_entry(&mut self, entry: Entry) {
        if entry.is_of_others() && self.pending_marker.take().is_some() {
            self.entries.retain(|entry| entry.kind != EntryKind::UnreadMarker);
            self.push_entry(Entry::new(EntryKind::UnreadMarker, ""));
        }
        if let Some(time) = entry.time {
            let day = self.clock.day(time);
            if day != self.last_day {
                self.last_day = day;
                self.push_entry(Entry::new(EntryKind::Separator, format_date(day)));
            }
        }
        self.name_width = self.name_width.max(entry.name_width());
        let mut out = std::mem::take(&mut self.out);
        self.layout(&entry, &mut out);
        self.out = out;
        self.entry_bytes += entry.text_size();
        self.entries.push_back(entry);
        while self.entries.len() > MAX_ENTRIES || self.entry_bytes > MAX_ENTRY_BYTES {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.entry_bytes -= oldest.text_size();
        }
    }

    fn layout(&self, entry: &Entry, out: &mut StyledText) {
        let time = entry.time.map(|time| self.clock.time_of_day(time)).unwrap_or_default();
        let time = self.settings.has_timestamps.then_some(time.as_str());
        entry.layout(time, self.columns, self.name_width, out);
    }

    /// Returns a status line for `text`, cut to the width of the terminal.
    pub fn format_status(&self, text: &str) -> String {
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
        out
    }
}

#[cfg(test)]
mod tests;
