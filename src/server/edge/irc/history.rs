//! The history for IRC clients: played back on a join, and `CHATHISTORY`.

use std::ops::Range;

use super::capabilities::Capabilities;
use super::channel::Channel;
use super::message::Message;
use super::session::{Exchange, Session};
use super::text::map_chars;
use super::wire::{Frame, MAX_LINES, format_time, write_chat};

/// The most messages in an answer to `CHATHISTORY`.
const MAX_MESSAGES: usize = 1000;

/// An end of a part of the history: a number and a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bound<'a> {
    seq: u64,
    /// A time such as `2026-11-25T12:00:00.000Z`: such times are in the order of their texts.
    time: &'a str,
}

impl<'a> Bound<'a> {
    /// Before all frames.
    const START: Self = Bound { seq: 0, time: "" };
    /// After all frames.
    const END: Self = Bound { seq: u64::MAX, time: "~" };

    /// Parses `msgid=EPOCH-SEQ` or `timestamp=TIME`. The other value is that of `default`.
    fn parse(text: &'a str, epoch: &str, default: Self) -> Option<Self> {
        if let Some(id) = text.strip_prefix("msgid=") {
            let seq = id.strip_prefix(epoch)?.strip_prefix('-')?;
            return Some(Bound { seq: seq.parse().ok()?, ..default });
        }
        let time = text.strip_prefix("timestamp=")?;
        let form = map_chars(time, |c| Some(if c.is_ascii_digit() { '0' } else { c }));
        (form == "0000-00-00T00:00:00.000Z").then_some(Bound { time, ..default })
    }
}

/// A part of the history, without its ends.
#[derive(Clone, Copy, Debug)]
struct Selection<'a> {
    after: Bound<'a>,
    before: Bound<'a>,
    limit: usize,
    /// The messages at the end of the part count, rather than those at its start.
    is_newest: bool,
}

impl<'a> Selection<'a> {
    /// Parses the parameters of `CHATHISTORY`, or returns `None` if they are invalid.
    fn parse(subcommand: &str, message: &Message<'a>, epoch: &str) -> Option<Self> {
        let [_, _, first, mut limit, last, ..] = message.parameters;
        let [after, before] =
            [Bound::START, Bound::END].map(|default| Bound::parse(first, epoch, default));
        let (mut after, mut before, mut is_newest) = match subcommand {
            "LATEST" if first == "*" => (Bound::START, Bound::END, true),
            "LATEST" => (after?, Bound::END, true),
            "AFTER" => (after?, Bound::END, false),
            "BEFORE" => (Bound::START, before?, true),
            "BETWEEN" => (after?, Bound::parse(limit, epoch, Bound::END)?, false),
            _ => return None,
        };
        if subcommand == "BETWEEN" {
            if after.seq > before.seq || after.time > before.time {
                after = Bound::parse(limit, epoch, Bound::START)?;
                before = Bound::parse(first, epoch, Bound::END)?;
                is_newest = true;
            }
            limit = last;
        }
        Some(Selection { after, before, limit: limit.parse().ok()?, is_newest })
    }

    /// Returns the places of the frames between the first and the last message of the part. Their
    /// JSON has at most `bytes` bytes.
    fn find(self, channel: &dyn Channel, mut bytes: usize) -> Range<usize> {
        let Selection { after, before, mut limit, is_newest } = self;
        let count = channel.frame_count();
        let mut found = 0..0;
        for step in 0..count {
            let at = if is_newest { count - 1 - step } else { step };
            let Some(json) = channel.frame(at) else { break };
            let Some(frame) = Frame::parse(json) else { continue };
            let time = format_time(frame.time);
            let is_after = frame.seq > after.seq && *time > *after.time;
            let is_before = frame.seq < before.seq && *time < *before.time;
            if !is_after || !is_before || !frame.is_chat() {
                // The frames of the other end come first.
                let is_over = if is_newest { !is_after } else { !is_before };
                if is_over { break } else { continue }
            }
            if limit == 0 || bytes < json.len() {
                break;
            }
            (limit, bytes) = (limit - 1, bytes - json.len());
            found = match found.is_empty() {
                true => at..at + 1,
                false => found.start.min(at)..found.end.max(at + 1),
            };
        }
        found
    }
}

impl Session {
    /// Shows the last messages of the channel.
    pub(super) fn play_back(&mut self, x: &mut Exchange<'_>) {
        let limit = x.out.settings.config.playback;
        if limit > 0 {
            let (after, before) = (Bound::START, Bound::END);
            let last = Selection { after, before, limit, is_newest: true };
            self.write_history(last, x);
        }
    }

    /// Handles `CHATHISTORY`.
    pub(super) fn chat_history(&mut self, message: &Message<'_>, x: &mut Exchange<'_>) {
        let [subcommand, target, ..] = message.parameters;
        let subcommand = &*subcommand.to_ascii_uppercase();
        let error = match Selection::parse(subcommand, message, &x.out.settings.epoch) {
            _ if target.is_empty() => "FAIL CHATHISTORY NEED_MORE_PARAMS $1 :Missing parameters",
            None => "FAIL CHATHISTORY INVALID_PARAMS $1 :Invalid parameters",
            Some(selection) if x.is_channel(target) => {
                let limit = selection.limit.min(MAX_MESSAGES);
                return self.write_history(Selection { limit, ..selection }, x);
            }
            Some(_) => "FAIL CHATHISTORY INVALID_TARGET $1 $2 :Messages could not be retrieved",
        };
        x.out.reply(error, &[subcommand, target]);
    }

    /// Writes the messages of a part of the history, as a batch if the client knows batches. At most
    /// the bytes of a list are written.
    fn write_history(&mut self, selection: Selection<'_>, x: &mut Exchange<'_>) {
        if x.is_busy("CHATHISTORY") {
            return;
        }
        let batch = self.next_batch().to_string();
        let has_batch = self.has(Capabilities::BATCH);
        let tag = if has_batch { ["batch=h", &batch, ";"].concat() } else { String::new() };
        if has_batch {
            x.out.reply("BATCH +h$1 chathistory $c", &[&batch]);
        }
        let settings = x.out.settings;
        for at in selection.find(&*x.channel, settings.answer_bytes) {
            let Some(frame) = x.channel.frame(at).and_then(Frame::parse) else { continue };
            if frame.is_chat() && x.out.lines.len() < settings.answer_bytes {
                let tags = self.variant().tags(&tag, frame.time, &frame.id(settings));
                let lines = &mut x.out.lines;
                write_chat(lines, &tags, &frame, MAX_LINES, settings, x.channel.notes());
            }
        }
        if has_batch {
            x.out.reply("BATCH -h$1", &[&batch]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_is_an_id_or_a_time() {
        let parse = |text| Bound::parse(text, "e", Bound::START);
        assert_eq!(parse("msgid=e-7"), Some(Bound { seq: 7, time: "" }));
        let time = "2026-11-25T12:00:00.000Z";
        assert_eq!(parse("timestamp=2026-11-25T12:00:00.000Z"), Some(Bound { seq: 0, time }));
        for text in [
            "",
            "*",
            "msgid=f-7",
            "msgid=e-x",
            "msgid=e7",
            "timestamp=",
            "timestamp=2026-11-25",
            "timestamp=2026-11-25T12:00:00.0000Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
