//! The history for IRC clients: played back on a join, and `CHATHISTORY`.

use std::cmp::Ordering;
use std::ops::Range;

use super::capabilities::Capabilities;
use super::channel::Channel;
use super::message::Message;
use super::session::{Exchange, IrcSession};
use super::text::{concat, map_chars};
use super::wire::{MAX_LINES, RoomFrame, format_time, write_chat};

/// The most messages in an answer to `CHATHISTORY`.
const MAX_MESSAGES: usize = 1000;
/// The most frames that are searched for messages. The history can have far more, and each takes a
/// microsecond.
pub const MAX_FRAMES: usize = 2 * MAX_MESSAGES;

/// An end of a part of the history: the number or the time of a frame, or neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Bound<'a> {
    /// 0 = any number.
    seq: u64,
    /// A time such as `2026-11-25T12:00:00.000Z`, or empty. Such times are in the order of their
    /// texts.
    time: &'a str,
}

impl<'a> Bound<'a> {
    /// Parses `msgid=EPOCH-SEQ` or `timestamp=TIME`.
    fn parse(text: &'a str, epoch: &str) -> Option<Self> {
        if let Some(id) = text.strip_prefix("msgid=") {
            let seq = id.strip_prefix(epoch)?.strip_prefix('-')?;
            return Some(Bound { seq: seq.parse().ok()?, time: "" });
        }
        let time = text.strip_prefix("timestamp=")?;
        let form = map_chars(time, |c| Some(if c.is_ascii_digit() { '0' } else { c }));
        (form == "0000-00-00T00:00:00.000Z").then_some(Bound { seq: 0, time })
    }

    /// Compares the bound with a frame. Returns `None` if it is neither a number nor a time.
    fn compare(self, frame: &RoomFrame<'_>) -> Option<Ordering> {
        match self.time {
            "" if self.seq == 0 => None,
            "" => Some(self.seq.cmp(&frame.seq)),
            time => Some(time.cmp(&format_time(frame.time))),
        }
    }
}

/// A part of the history, without its ends.
#[derive(Clone, Copy, Debug, Default)]
struct Selection<'a> {
    after: Bound<'a>,
    before: Bound<'a>,
    limit: usize,
    /// If there are more than `limit` messages, the last ones are selected, not the first ones.
    is_newest: bool,
}

impl<'a> Selection<'a> {
    /// Parses the parameters of `CHATHISTORY`, or returns `None` if they are invalid.
    #[inline(never)]
    fn parse(subcommand: &str, message: &Message<'a>, epoch: &str) -> Option<Self> {
        let [_, _, first, second, third, ..] = message.parameters;
        let limit = if subcommand == "BETWEEN" { third } else { second };
        let mut part = Selection {
            limit: limit.parse::<u64>().ok()?.try_into().ok()?,
            is_newest: matches!(subcommand, "LATEST" | "BEFORE"),
            ..Selection::default()
        };
        match subcommand {
            "LATEST" if first == "*" => {}
            "LATEST" | "AFTER" => part.after = Bound::parse(first, epoch)?,
            "BEFORE" => part.before = Bound::parse(first, epoch)?,
            "BETWEEN" => {
                part.after = Bound::parse(first, epoch)?;
                part.before = Bound::parse(second, epoch)?;
                let is_same_kind = part.before.time.is_empty() == part.after.time.is_empty();
                if is_same_kind && part.before < part.after {
                    std::mem::swap(&mut part.before, &mut part.after);
                    part.is_newest = true;
                }
            }
            _ => return None,
        }
        Some(part)
    }

    /// Returns the places of the frames between the first and the last message of the part. Their
    /// JSON has at most `bytes` bytes.
    #[inline(never)]
    fn find(self, channel: &dyn Channel, mut bytes: usize) -> Range<usize> {
        let Selection { after, before, mut limit, is_newest } = self;
        let start = find_first(channel, &|frame| after.compare(frame).is_none_or(Ordering::is_lt));
        let end = find_first(channel, &|frame| before.compare(frame).is_some_and(Ordering::is_le));
        let mut found = 0..0;
        for step in 0..end.saturating_sub(start).min(MAX_FRAMES) {
            let at = if is_newest { end - 1 - step } else { start + step };
            let Some(json) = channel.frame(at) else { break };
            if !RoomFrame::parse(json).is_some_and(|frame| frame.is_chat()) {
                continue;
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

/// Returns the place of the first frame of the history for which `is_found` is true, as it is for
/// all frames after that. The frames are in the order of their numbers, and of their times unless the
/// clock was set back.
#[inline(never)]
fn find_first(channel: &dyn Channel, is_found: &dyn Fn(&RoomFrame<'_>) -> bool) -> usize {
    let (mut start, mut end) = (0, channel.frame_count());
    while start < end {
        let middle = start.midpoint(end);
        match channel.frame(middle).and_then(RoomFrame::parse).is_some_and(|frame| is_found(&frame))
        {
            true => end = middle,
            false => start = middle + 1,
        }
    }
    start
}

impl IrcSession {
    /// Shows the last messages of the channel.
    pub(super) fn play_back(&mut self, exchange: &mut Exchange<'_>) {
        let limit = exchange.out.settings.config.playback;
        if limit > 0 {
            let (after, before) = Default::default();
            let last = Selection { after, before, limit, is_newest: true };
            self.write_history(last, exchange);
        }
    }

    /// Handles `CHATHISTORY`.
    #[inline(never)]
    pub(super) fn chat_history(&mut self, message: &Message<'_>, exchange: &mut Exchange<'_>) {
        let [subcommand, target, ..] = message.parameters;
        let subcommand = &*subcommand.to_ascii_uppercase();
        let error = match Selection::parse(subcommand, message, &exchange.out.settings.epoch) {
            // The history has no private messages, and the client knows the channel.
            _ if subcommand == "TARGETS" => "BATCH +t draft/chathistory-targets\nBATCH -t",
            None => "FAIL CHATHISTORY INVALID_PARAMS $1 :Invalid parameters",
            Some(selection) if exchange.is_channel(target) => {
                let limit = selection.limit.min(MAX_MESSAGES);
                return self.write_history(Selection { limit, ..selection }, exchange);
            }
            Some(_) => "FAIL CHATHISTORY INVALID_TARGET $1 $2 :Messages could not be retrieved",
        };
        exchange.out.reply(error, &[subcommand, target]);
    }

    /// Writes the messages of a part of the history, as a batch if the client knows batches. At most
    /// the bytes of a list are written.
    fn write_history(&mut self, selection: Selection<'_>, exchange: &mut Exchange<'_>) {
        if exchange.is_busy("CHATHISTORY") {
            return;
        }
        let batch = self.next_batch().to_string();
        let has_batch = self.has(Capabilities::BATCH);
        let tag = if has_batch { concat(&["batch=h", &batch, ";"]) } else { String::new() };
        if has_batch {
            exchange.out.reply("BATCH +h$1 chathistory $c", &[&batch]);
        }
        let settings = exchange.out.settings;
        for at in selection.find(&*exchange.channel, settings.answer_bytes) {
            let Some(frame) = exchange.channel.frame(at).and_then(RoomFrame::parse) else {
                continue;
            };
            if frame.is_chat() && exchange.out.lines.len() < settings.answer_bytes {
                let tags = self.variant().tags(&tag, frame.time, &frame.id(settings));
                let lines = &mut exchange.out.lines;
                write_chat(lines, &tags, &frame, MAX_LINES, settings, exchange.channel.notes());
            }
        }
        if has_batch {
            exchange.out.reply("BATCH -h$1", &[&batch]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_is_an_id_or_a_time() {
        let parse = |text| Bound::parse(text, "e");
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
