//! The delivery to one IRC client: which lines of a batch it is sent, and the frames for it alone.

use std::ops::Range;
use std::sync::Arc;

use super::capabilities::Capabilities;
use super::config::Settings;
use super::message::split_space;
use super::operators::error_number;
use super::replies::{Replies, error_line, label_tag, tagged};
use super::session::IrcSession;
use super::text::{concat, strip_controls};
use super::wire::{MAX_LINES, RoomFrame, Span, SpanKind, write_text};
use crate::room::{Chunk, Slice};

/// The state of a client after the last batch that it was sent. The state of its session changes with
/// each message, and is ahead by the frames of one batch.
#[derive(Clone, Debug, Default)]
pub struct DeliveryState {
    pub(super) name: Box<str>,
    is_in_channel: bool,
    /// The number of later join notices of this client. It is not sent them, because the answer to its
    /// `JOIN` had the line already.
    pub(super) joins_due: u16,
    /// The next batch may have frames that the client has caused.
    pub(super) has_own_frames: bool,
}

/// A change of the client's view of the channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ViewChange {
    #[default]
    Unchanged,
    /// The client sees the channel from here on.
    Opened,
    /// The client does not see the channel from here on.
    Closed,
}

impl IrcSession {
    /// Returns whether the client is sent all shared lines of the next batch.
    pub fn is_usual(&self) -> bool {
        let DeliveryState { is_in_channel, joins_due, has_own_frames, .. } = self.delivery;
        is_in_channel && joins_due == 0 && !has_own_frames
    }

    /// Ends the delivery of a batch.
    pub fn end_batch(&mut self) {
        self.delivery.has_own_frames = false;
    }

    /// Applies the change of the view that the client is sent, which is the mark of a slice.
    pub fn set_view(&mut self, mark: u64) {
        if mark != ViewChange::Unchanged as u64 {
            self.delivery.is_in_channel = mark == ViewChange::Opened as u64;
        }
    }

    /// Appends the parts of the shared lines `bytes` that the client is sent, for the frames in
    /// `range` of the JSON `frames`.
    #[inline(never)]
    pub fn select(
        &mut self,
        frames: &[u8],
        range: Range<u32>,
        bytes: &Chunk,
        spans: &[Span],
        slices: &mut Vec<Slice>,
    ) {
        // Shared lines that are not in `slices` yet.
        let mut open = 0..0;
        let mut start = 0;
        for span in spans {
            let lines = start..span.end;
            start = span.end;
            if span.json.start < range.start || span.json.end > range.end {
                continue;
            }
            let text = bytes.get(lines.start as usize..lines.end as usize).unwrap_or_default();
            let is_own = source_of(text) == self.delivery.name.as_bytes();
            let is_sent = match is_own {
                true => self.is_own_sent(span.kind, text),
                false => self.delivery.is_in_channel,
            };
            if span.kind == SpanKind::More && is_sent {
                // The first join notice after a `JOIN` has the name of the client, with or without
                // a line for it.
                self.delivery.joins_due = 0;
            }
            let json = frames.get(span.json.start as usize..span.json.end as usize);
            let json = json.filter(|_| is_own && is_sent);
            let labeled = json.and_then(|json| self.with_label(text, json));
            if is_sent && labeled.is_none() && open.end == lines.start {
                open.end = lines.end;
            } else if is_sent {
                push_part(slices, bytes, open);
                open = if labeled.is_some() { lines.end..lines.end } else { lines };
                if let Some(labeled) = labeled {
                    slices.push(Slice::raw(labeled.into()));
                }
            }
        }
        push_part(slices, bytes, open);
    }

    /// Returns whether the client is sent the lines of a span that it has caused.
    #[inline(never)]
    fn is_own_sent(&mut self, kind: SpanKind, lines: &[u8]) -> bool {
        let is_in_channel = self.delivery.is_in_channel;
        match kind {
            SpanKind::Chat => is_in_channel && self.has(Capabilities::ECHO_MESSAGE),
            SpanKind::Join if self.delivery.joins_due > 0 => {
                self.delivery.joins_due -= 1;
                false
            }
            SpanKind::Join => is_in_channel,
            SpanKind::Name => {
                let to = lines.rsplit(|&byte| byte == b':').next().unwrap_or_default();
                self.delivery.name = String::from_utf8_lossy(to.trim_ascii_end()).into();
                true
            }
            SpanKind::Leave | SpanKind::Operator | SpanKind::More => is_in_channel,
        }
    }

    /// Returns the lines of a frame that the client has caused with its label, if it has one.
    fn with_label(&self, lines: &[u8], json: &[u8]) -> Option<Vec<u8>> {
        if !self.has(Capabilities::LABELED_RESPONSE) {
            return None;
        }
        let label = RoomFrame::parse(json)?.string("id");
        if label.is_empty() {
            return None;
        }
        let mut labeled = Vec::new();
        tagged(&mut labeled, &label_tag(&label), lines);
        Some(labeled)
    }

    /// Returns the lines for a frame that the room sends this client alone.
    #[inline(never)]
    pub fn on_own_frame(&mut self, json: &[u8], settings: &Settings) -> Vec<u8> {
        let mut out = Replies::new(settings, &self.name);
        let Some(frame) = RoomFrame::parse(json) else { return out.lines };
        match &*frame.kind {
            // The session has answered the registration.
            "welcome" => {}
            "info" if settings.motd.as_deref() == Some(&*frame.text) => {}
            "private" => self.write_private(&frame, json, &mut out.lines),
            "bye" => {
                let other = frame.text.strip_prefix("this port speaks the smolchat protocol");
                let other = other.map(|other| concat(&["this port speaks IRC", other]));
                return error_line(other.as_deref().unwrap_or(&frame.text));
            }
            "error" if let Some(number) = error_number(&frame.string("code")) => {
                out.reply(number, &[&frame.text]);
            }
            "info" if frame.text.starts_with("you are an operator (") => {
                out.reply("381 :$1", &[&frame.text]);
            }
            _ => {
                for line in strip_controls(&frame.text).split('\n').take(MAX_LINES) {
                    out.reply("NOTICE $n :$1", &[line]);
                }
            }
        }
        out.lines
    }

    /// Writes a private message: to its sender if it wants an echo, and to its recipient.
    #[inline(never)]
    fn write_private(&self, frame: &RoomFrame<'_>, json: &[u8], out: &mut Vec<u8>) {
        let to = frame.string("to");
        let tags = self.variant().tags("", frame.time, "");
        let mut lines = Vec::new();
        write_text(&mut lines, &tags, [&frame.source, "PRIVMSG", &to, ""], &frame.text, MAX_LINES);
        if *frame.source == *self.delivery.name && self.has(Capabilities::ECHO_MESSAGE) {
            let labeled = self.with_label(&lines, json);
            out.extend(labeled.as_ref().unwrap_or(&lines));
        }
        if *to == *self.delivery.name {
            out.append(&mut lines);
        }
    }
}

/// Appends a part of the shared lines.
fn push_part(slices: &mut Vec<Slice>, bytes: &Chunk, part: Range<u32>) {
    if !part.is_empty() {
        slices.push(Slice::raw_part(Arc::clone(bytes), part));
    }
}

/// Returns the name of the member from which a line comes.
fn source_of(line: &[u8]) -> &[u8] {
    let untagged = if line.starts_with(b"@") { split_space(line).1 } else { line };
    let source = untagged.split(|&byte| byte == b'!').next().unwrap_or_default();
    source.strip_prefix(b":").unwrap_or_default()
}
