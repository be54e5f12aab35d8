//! The history for IRC clients: played back on a join, and `CHATHISTORY`.

use super::capabilities::Capabilities;
use super::commands::is_channel;
use super::output::Output;
use super::session::{Environment, Session, shown};
use super::wire::{Frame, MAX_LINES, Variant, write_chat};

/// The most messages in an answer to `CHATHISTORY`.
const MAX_MESSAGES: u64 = 1000;

/// The end of a part of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    /// The frame with this number.
    Seq(u64),
    /// The time in milliseconds since the Unix epoch.
    Time(u64),
}

impl Bound {
    /// Parses `msgid=EPOCH-SEQ` or `timestamp=2026-11-25T12:00:00.000Z`.
    fn parse(text: &str, epoch: &str) -> Option<Self> {
        let (kind, value) = text.split_once('=')?;
        match kind {
            "msgid" => {
                let (of_epoch, seq) = value.split_once('-')?;
                Some(Bound::Seq(parse_number(seq).filter(|_| of_epoch == epoch)?))
            }
            "timestamp" => Some(Bound::Time(parse_time(value)?)),
            _ => None,
        }
    }

    fn is_before(self, frame: &Frame<'_>) -> bool {
        match self {
            Bound::Seq(seq) => seq < frame.seq,
            Bound::Time(time) => time < frame.time,
        }
    }

    fn is_after(self, frame: &Frame<'_>) -> bool {
        match self {
            Bound::Seq(seq) => seq > frame.seq,
            Bound::Time(time) => time > frame.time,
        }
    }
}

/// A part of the history.
#[derive(Clone, Copy, Debug)]
struct Selection {
    after: Option<Bound>,
    before: Option<Bound>,
    limit: usize,
    /// The messages at the end of the part count, rather than those at its start.
    is_newest: bool,
}

impl Selection {
    /// Parses the parameters of `CHATHISTORY`, or returns `None` if they are invalid.
    fn parse(subcommand: &str, parameters: &[&str], epoch: &str) -> Option<Self> {
        let first = parameters.get(2)?;
        let first_bound = Bound::parse(first, epoch);
        let (mut after, mut before, mut limit) = (None, None, parameters.get(3)?);
        match subcommand {
            "LATEST" if *first == "*" => {}
            "LATEST" | "AFTER" => after = Some(first_bound?),
            "BEFORE" => before = Some(first_bound?),
            "BETWEEN" => {
                (after, before) = (Some(first_bound?), Some(Bound::parse(limit, epoch)?));
                limit = parameters.get(4)?;
            }
            _ => return None,
        }
        let mut is_newest = matches!(subcommand, "LATEST" | "BEFORE");
        if let (Some(Bound::Seq(from)), Some(Bound::Seq(to)))
        | (Some(Bound::Time(from)), Some(Bound::Time(to))) = (after, before)
            && to < from
        {
            (after, before, is_newest) = (before, after, true);
        }
        let limit = parse_number(limit)?.min(MAX_MESSAGES) as usize;
        Some(Selection { after, before, limit, is_newest })
    }
}

impl Session {
    /// Shows the last messages of the channel.
    pub(super) fn play_back(&mut self, env: &Environment<'_>, out: &mut Output<'_>) {
        let limit = env.config.playback;
        let last = Selection { after: None, before: None, limit, is_newest: true };
        self.write_history(last, env, out);
    }

    /// Handles `CHATHISTORY`.
    pub(super) fn chat_history(
        &mut self,
        parameters: &[&str],
        env: &Environment<'_>,
        out: &mut Output<'_>,
    ) {
        let subcommand = parameters.first().copied().unwrap_or_default().to_ascii_uppercase();
        let shown_subcommand = shown(&subcommand);
        let Some(&target) = parameters.get(1) else {
            return fail("NEED_MORE_PARAMS", shown_subcommand, "Missing parameters", out);
        };
        if subcommand == "TARGETS" {
            // The history has no private messages, and the client knows the channel.
            let number = self.next_batch().to_string();
            out.server_line(&["BATCH +h", &number, " draft/chathistory-targets"]);
            return out.server_line(&["BATCH -h", &number]);
        }
        let Some(selection) = Selection::parse(&subcommand, parameters, env.context.epoch) else {
            return fail("INVALID_PARAMS", shown_subcommand, "Invalid parameters", out);
        };
        if !is_channel(target, env) {
            let context = [&subcommand, " ", shown(target)].concat();
            return fail("INVALID_TARGET", &context, "Messages could not be retrieved", out);
        }
        self.write_history(selection, env, out);
    }

    /// Writes the messages of a part of the history, as a batch if the client knows batches. At most
    /// the bytes of a list are written.
    fn write_history(&mut self, selection: Selection, env: &Environment<'_>, out: &mut Output<'_>) {
        let number = self.next_batch().to_string();
        let has_batch = self.has(Capabilities::BATCH);
        let tag = if has_batch { ["batch=h", &number, ";"].concat() } else { String::new() };
        let variant = self.variant();
        let mut messages: Vec<Vec<u8>> = Vec::new();
        let mut left = env.answer_bytes;
        env.directory.history(selection.is_newest, &mut |json| {
            let Some(frame) = Frame::parse(json) else { return true };
            let is_after = selection.after.is_none_or(|after| after.is_before(&frame));
            let is_before = selection.before.is_none_or(|before| before.is_after(&frame));
            if !is_after || !is_before {
                // The frames of the other end come first.
                return if selection.is_newest { is_after } else { is_before };
            }
            if !frame.is_chat() {
                return true;
            }
            let lines = encode(&frame, variant, &tag, env);
            let rest = left.checked_sub(lines.len()).filter(|_| messages.len() < selection.limit);
            let Some(rest) = rest else { return false };
            left = rest;
            messages.push(lines);
            true
        });
        if selection.is_newest {
            messages.reverse();
        }
        if has_batch {
            out.server_line(&["BATCH +h", &number, " chathistory ", &env.config.channel]);
        }
        out.lines_mut().extend(messages.concat());
        if has_batch {
            out.server_line(&["BATCH -h", &number]);
        }
    }
}

fn fail(code: &str, context: &str, text: &str, out: &mut Output<'_>) {
    out.server_line(&["FAIL CHATHISTORY ", code, " ", context, " :", text]);
}

/// Returns the lines of a chat frame of the history.
fn encode(frame: &Frame<'_>, variant: Variant, tag: &str, env: &Environment<'_>) -> Vec<u8> {
    let mut lines = Vec::new();
    let tags = variant.tags(tag, frame.time, Some((env.context.epoch, frame.seq)));
    write_chat(&mut lines, &tags, frame, MAX_LINES, env.context);
    lines
}

fn parse_number(text: &str) -> Option<u64> {
    text.parse().ok()
}

/// Parses a time such as `2026-11-25T12:00:00.000Z` to milliseconds since the Unix epoch. The
/// milliseconds may be missing.
fn parse_time(text: &str) -> Option<u64> {
    let mut numbers = [0_u64; 7];
    let mut parts = text.strip_suffix('Z')?.split(['-', 'T', ':', '.']);
    for number in &mut numbers {
        *number = parse_number(parts.next().unwrap_or("0"))?;
    }
    let [year, month, day, hours, minutes, seconds, ms] = numbers;
    let is_valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hours < 24
        && minutes < 60
        && seconds <= 60
        && ms < 1000;
    if !is_valid {
        return None;
    }
    // Years begin in March, so that the leap day is the last day of a year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    Some((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 + ms)
}

#[cfg(test)]
mod tests {
    use super::super::wire::format_time;
    use super::*;

    #[test]
    fn time_round_trips() {
        for unix_ms in [0, 951_782_400_000, 1_790_000_000_123, 4_102_444_799_999] {
            let text = format_time(unix_ms);
            assert_eq!(parse_time(&text), Some(unix_ms), "{text}");
        }
        assert_eq!(parse_time("1970-01-01T00:00:01Z"), Some(1000));
        assert_eq!(parse_time("1970-01-01T00:00:01.500Z"), Some(1500));
        for text in [
            "",
            "Z",
            "1970-01-01",
            "1970-01-01T00:00:00.1000Z",
            "1970-13-01T00:00:00Z",
            "99999-01-01T00:00:00.0Z",
            "T:Z",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
