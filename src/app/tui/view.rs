//! What a person sees of a conversation: events in, lines out. It knows no terminal.

use std::collections::VecDeque;

use super::date::format_date;
use super::entry::{Entry, Kind, Painter};
use super::presence::PresenceBatch;
use super::style::Style;
use super::wrap::width;
use crate::app::{Bell, Clock};
use crate::client::{Received, sanitize};
use crate::protocol::{Body, case_fold};

/// Entries that are kept, to be laid out anew when the terminal changes its size.
const KEPT: usize = 200;
/// Bytes of them.
const KEPT_BYTES: usize = 256 << 10;

/// What the user may choose.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Paint with colours.
    pub colors: bool,
    /// When to ring.
    pub bell: Bell,
    /// Show the time of day.
    pub time: bool,
}

/// What was shown, how it looks, and what is yet to be written to the terminal.
#[derive(Debug)]
pub struct View {
    pub settings: Settings,
    /// How wide the terminal is.
    pub columns: usize,
    pub clock: Clock,
    out: Painter,
    rings: bool,
    kept: VecDeque<Entry>,
    kept_bytes: usize,
    presence: PresenceBatch,
    /// Members whose lines are not shown, folded.
    ignored: Vec<String>,
    /// The day of what was shown last.
    day: i64,
    /// How wide the column of names is.
    column: usize,
    /// What was shown last is from before.
    is_past: bool,
}

impl View {
    /// An empty one, at the time `now`.
    pub fn new(settings: Settings, clock: Clock, columns: usize, now: u64) -> Self {
        View {
            out: Painter::new(settings.colors),
            settings,
            columns,
            rings: false,
            kept: VecDeque::new(),
            kept_bytes: 0,
            presence: PresenceBatch::default(),
            ignored: Vec::new(),
            day: clock.day(now),
            clock,
            column: 0,
            is_past: false,
        }
    }

    /// Shows a frame to the member called `me`.
    pub fn receive(&mut self, received: &Received, me: &str) {
        let (frame, is_past) = (&received.frame, received.is_past);
        if is_past != self.is_past {
            self.settle();
            self.is_past = is_past;
            self.redraw(Entry::new(Kind::Rule, if is_past { "earlier" } else { "now" }));
        }
        let time = frame.body.time();
        if let Body::Join { names, .. } | Body::Leave { names, .. } = &frame.body {
            let came = matches!(frame.body, Body::Join { .. });
            // The welcome told that we came.
            let others = names.iter().map(|name| &**name).filter(|name| is_past || *name != me);
            return self.presence.add(others, came, time.unwrap_or(0));
        }
        // Is told of elsewhere, with the gaps that the server did not name.
        if matches!(frame.body, Body::Gap { .. }) {
            return;
        }
        let is_own = frame.data_source == me;
        if !is_own && self.ignores(&frame.data_source) {
            return;
        }
        let text = sanitize(&frame.data);
        let (kind, is_for_me) = match &frame.body {
            Body::Chat { .. } | Body::Unknown if is_own => (Kind::Own, false),
            Body::Chat { .. } | Body::Unknown => (Kind::Chat, mentions(&frame.data, me)),
            Body::Action { .. } => (Kind::Action, !is_own && mentions(&frame.data, me)),
            Body::Private { .. } => (Kind::Private, !is_own),
            Body::Name { .. } => (Kind::Coming("---"), false),
            Body::Error { .. } => (Kind::Error, false),
            _ => (Kind::Info, false),
        };
        let who = match &frame.body {
            Body::Private { to, .. } => format!("{} > {}", frame.data_source, to),
            _ => frame.data_source.to_string(),
        };
        let is_speech = matches!(kind, Kind::Chat | Kind::Action | Kind::Private) && !is_own;
        self.rings |= !is_past
            && match self.settings.bell {
                Bell::Never => false,
                Bell::Mention => is_for_me,
                Bell::Always => is_speech,
            };
        self.settle();
        self.redraw(Entry { kind, time, who: sanitize(&who), text, is_loud: is_for_me, is_past });
    }

    /// Shows something that the client has to say.
    pub fn tell(&mut self, kind: Kind, text: &str) {
        self.settle();
        self.redraw(Entry::new(kind, sanitize(text)));
    }

    /// Shows a line of the user's that nobody has heard yet.
    pub fn tell_pending(&mut self, me: &str, text: &str) {
        self.settle();
        self.redraw(Entry { who: sanitize(me), ..Entry::new(Kind::Pending, sanitize(text)) });
    }

    /// Whether joins and leaves are held back, to be put together with others.
    pub fn is_holding(&self) -> bool {
        !self.presence.is_empty() || self.is_past
    }

    /// Shows the joins and leaves that were held back.
    pub fn settle(&mut self) {
        let (presence, is_past) = (self.presence.take(), self.is_past);
        for (mark, text, time) in presence {
            let text = sanitize(&text);
            let time = Some(time);
            self.redraw(Entry { time, is_past, ..Entry::new(Kind::Coming(mark), text) });
        }
    }

    /// Shows what was held back, and that nothing more comes of what is from before.
    pub fn rest(&mut self) {
        self.settle();
        if std::mem::take(&mut self.is_past) {
            self.redraw(Entry::new(Kind::Rule, "now"));
        }
    }

    /// What is to be written to the terminal, and whether to ring.
    pub fn take(&mut self) -> (String, bool) {
        (std::mem::take(&mut self.out.text), std::mem::take(&mut self.rings))
    }

    /// Lays out what is kept anew, for a screen of so many rows.
    pub fn repaint(&mut self, rows: usize) -> String {
        let mut screen = String::new();
        let mut lines: Vec<String> = Vec::new();
        for entry in self.kept.iter().rev() {
            let mut painter = Painter::new(self.settings.colors);
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
        self.kept.clear();
        self.kept_bytes = 0;
    }

    /// Shows nothing more of what this member says; false if that was so already.
    pub fn ignore(&mut self, name: &str) -> bool {
        let is_new = !self.ignores(name);
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

    fn ignores(&self, name: &str) -> bool {
        !self.ignored.is_empty() && self.ignored.contains(&case_fold(name))
    }

    fn redraw(&mut self, entry: Entry) {
        if let Some(time) = entry.time {
            let day = self.clock.day(time);
            if day != self.day {
                self.day = day;
                self.redraw(Entry::new(Kind::Rule, format_date(day)));
            }
        }
        self.column = self.column.max(entry.column());
        let mut out = std::mem::take(&mut self.out);
        self.paint(&entry, &mut out);
        self.out = out;
        self.kept_bytes += entry.text.len();
        self.kept.push_back(entry);
        while self.kept.len() > KEPT || self.kept_bytes > KEPT_BYTES {
            let Some(gone) = self.kept.pop_front() else { break };
            self.kept_bytes -= gone.text.len();
        }
    }

    fn paint(&self, entry: &Entry, out: &mut Painter) {
        let time = entry.time.map(|time| self.clock.time_of_day(time)).unwrap_or_default();
        let time = self.settings.time.then_some(time.as_str());
        entry.layout(time, self.columns, self.column, out);
    }

    /// A line of the client's own that stays below all others for a while: it fits in one row.
    pub fn status(&self, text: &str) -> String {
        let mut line = String::new();
        let indent = if self.settings.time { "      " } else { "" };
        for c in format!("{indent}-!- {}", sanitize(text)).chars() {
            line.push(c);
            if width(&line) >= self.columns {
                line.pop();
                break;
            }
        }
        let mut out = String::new();
        Style::Faint.paint(self.settings.colors, &line, &mut out);
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
