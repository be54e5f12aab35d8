//! The receiving end of a client, which compares each line with the expected frames.

use std::collections::{BTreeSet, VecDeque};
use std::ops::RangeInclusive;

use smolchat::protocol::{Body, ByeCode, Frame, SERVER};
use smolchat::room::{Batch, ClientId, ClientSlices, Config, End, Op, Slice, Unicast};

use super::expected::{ExpectedUnicast, OwnFrame, Position};
use super::script::EPOCH;

/// A frame of the sequence, and the position behind it.
#[derive(Clone, Debug, Default)]
pub struct LoggedFrame {
    pub bytes: Vec<u8>,
    pub position: Position,
}

/// All frames that the room sent to all members. Entry 0 is the state before the first frame.
pub struct FrameLog {
    pub config: Config,
    pub frames: Vec<LoggedFrame>,
}

impl FrameLog {
    /// Returns the number of the last frame.
    pub fn last(&self) -> u64 {
        self.frames.len() as u64 - 1
    }

    /// Returns the position behind the last frame.
    pub fn position(&self) -> Position {
        self.at(self.last()).position
    }

    fn at(&self, number: u64) -> &LoggedFrame {
        &self.frames[usize::try_from(number).expect("a number of the sequence")]
    }

    /// Returns the oldest number in a history of the configured size that ends with a number.
    pub fn oldest_at(&self, newest: u64) -> u64 {
        let mut bytes = 0;
        let fits = |frame: &&LoggedFrame| {
            bytes += frame.bytes.len();
            bytes <= self.config.history_bytes
        };
        let upto = usize::try_from(newest).expect("a number of the sequence");
        let frames = self.frames[1..=upto].iter().rev().take(self.config.history);
        newest + 1 - frames.take_while(fits).count() as u64
    }
}

/// A client: its queue, and its state in the sequence.
#[derive(Default)]
pub struct Receiver {
    /// Whether it gets the frames for all members.
    is_live: bool,
    /// Whether the room sends it nothing more.
    pub is_closed: bool,
    /// Whether its queue was discarded, so that no frame is expected any more.
    is_aborted: bool,
    /// Whether it does not read.
    pub is_stalled: bool,
    queue: VecDeque<Slice>,
    /// The bytes of the first slice that it has read.
    read_bytes: usize,
    /// The last number before the queue.
    seq_before_queue: u64,
    line: Vec<u8>,
    expected: VecDeque<ExpectedUnicast>,
    /// The last number that it received, or that it has by its welcome.
    pub last_seen: Option<u64>,
    /// The least number that a bye may have, if more than one is right: between a welcome and the
    /// first frame, and after a gap. Resuming after any of them repeats and loses no frame.
    min_bye_seq: Option<u64>,
    /// The numbers of the history that it receives now.
    history: Option<RangeInclusive<u64>>,
    has_bye: bool,
}

impl Receiver {
    pub fn expect(&mut self, unicast: ExpectedUnicast) {
        self.expected.push_back(unicast);
    }

    /// Delivers the client's part of a batch.
    pub fn deliver(&mut self, id: ClientId, batch: &Batch, log: &FrameLog) {
        if self.is_closed {
            let is_abort = |unicast: &Unicast| matches!(unicast.op, Op::Abort);
            assert!(batch.unicasts_for(id).iter().all(is_abort), "it is closed");
            return;
        }
        let ClientSlices { slices, is_live, end } = batch.slices_for(id, self.is_live);
        self.is_live = is_live;
        match end {
            None => {}
            Some(End::Close | End::Refuse) => self.is_closed = true,
            Some(End::Evict(code)) => return self.evict(code, batch.before, log),
            Some(End::Abort) => {
                self.queue.clear();
                return self.abort();
            }
        }
        for slice in &slices {
            if let Some(before) = slice.before() {
                let number = before + 1;
                let is_gap = || String::from_utf8_lossy(slice.bytes()).contains(r#""kind":"gap""#);
                let is_next = || slice.bytes().starts_with(&log.at(number).bytes);
                assert!(is_next() || is_gap(), "{slice:?} begins with number {number}");
            }
        }
        if self.queue.is_empty() {
            self.seq_before_queue = slices.iter().find_map(Slice::before).unwrap_or(batch.before);
        }
        self.queue.extend(slices);
        if !self.is_stalled {
            self.read(usize::MAX, log);
        }
    }

    /// Reads bytes of the queue.
    pub fn read(&mut self, mut count: usize, log: &FrameLog) {
        if count == usize::MAX {
            self.read_bytes = 0;
            for slice in std::mem::take(&mut self.queue) {
                self.receive(slice.bytes(), log);
            }
        }
        while let Some(slice) = self.queue.front_mut().filter(|_| count > 0) {
            let part = count.min(slice.bytes().len());
            count -= part;
            let bytes = slice.bytes()[..part].to_vec();
            slice.advance(part);
            self.read_bytes += part;
            if slice.bytes().is_empty() {
                self.read_bytes = 0;
                self.seq_before_queue = slice.last().unwrap_or(self.seq_before_queue);
                self.queue.pop_front();
            }
            self.receive(&bytes, log);
        }
    }

    /// Discards the queue up to the rest of a started frame, and receives a bye, as a full outbox
    /// does. `number` is the last one if the queue is empty.
    pub fn evict(&mut self, code: ByeCode, mut number: u64, log: &FrameLog) {
        if let Some(first) = std::mem::take(&mut self.queue).pop_front() {
            number = first.last_sent(self.read_bytes).unwrap_or(self.seq_before_queue);
            if first.is_inside_frame() {
                let rest = first.rest_of_frame(number);
                number = rest.last().unwrap_or(number);
                self.receive(rest.bytes(), log);
            }
        }
        let bye = self.expected.pop_back().expect("a bye is expected");
        self.abort();
        self.expected.push_back(bye);
        let slice = Slice::own(&Frame::bye(code, number));
        self.has_bye = false;
        self.receive(slice.bytes(), log);
    }

    fn abort(&mut self) {
        self.is_closed = true;
        self.is_aborted = true;
        self.expected.clear();
        self.line.clear();
        self.history = None;
        self.has_bye = true;
    }

    fn receive(&mut self, bytes: &[u8], log: &FrameLog) {
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            self.line.extend(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.check(&line, log);
            }
        }
    }

    /// Checks one line against the frames that are expected.
    fn check(&mut self, line: &[u8], log: &FrameLog) {
        let shown = || String::from_utf8_lossy(line).into_owned();
        assert!(!self.has_bye, "after the bye: {}", shown());
        assert!(line.starts_with(br#"{"data_source":""#), "{}", shown());
        if let Some(number) = self.history.as_mut().and_then(Iterator::next) {
            assert_eq!(shown(), String::from_utf8_lossy(&log.at(number).bytes), "history");
            self.min_bye_seq = self.min_bye_seq.map(|_| number);
            return self.start_history(log);
        }
        let next = self.last_seen.map(|seen| seen + 1).filter(|next| *next <= log.last());
        if let Some(next) = next.filter(|next| log.at(*next).bytes == line) {
            (self.last_seen, self.min_bye_seq) = (Some(next), None);
            return;
        }
        let frame = Frame::decode(line).expect("a frame");
        assert_eq!(frame.body.seq(), None, "{} is not number {next:?}", shown());
        let expected =
            self.expected.pop_front().unwrap_or_else(|| panic!("unexpected: {}", shown()));
        let is_private = matches!(expected.frame, OwnFrame::Private(_));
        let is_from_server = is_private || frame.data_source == SERVER;
        assert!(is_from_server && (is_private || !frame.data.is_empty()), "{}", shown());
        if let Some(seen) = self.last_seen.filter(|_| expected.has_position()) {
            let at = log.at(seen).position;
            let position = expected.position;
            assert_eq!(at.messages, position.messages, "{} among other messages", shown());
            assert!(at.leaves <= position.leaves, "{} after a later leave", shown());
            // A bye comes after all joins before it.
            let is_bye = matches!(expected.frame, OwnFrame::Bye(_));
            assert!(at.joins == position.joins || !is_bye, "{} before a join", shown());
        }
        self.check_unicast(frame, expected, log);
        self.start_history(log);
    }

    /// Starts to expect the history if it is next.
    fn start_history(&mut self, log: &FrameLog) {
        self.history = self.history.take().filter(|history| !history.is_empty());
        if let Some(ExpectedUnicast { frame: OwnFrame::History { count }, .. }) =
            self.expected.front()
            && let Some(seen) = self.last_seen
            && self.history.is_none()
        {
            let count = (*count).min(log.config.history as u64);
            let history = (seen + 1).saturating_sub(count).max(log.oldest_at(seen))..=seen;
            self.history = Some(history).filter(|history| !history.is_empty());
            self.expected.pop_front();
        }
    }

    /// Checks a frame for this client alone.
    fn check_unicast(&mut self, frame: Frame<'_>, expected: ExpectedUnicast, log: &FrameLog) {
        let position = expected.position;
        match (expected.frame, &frame.body) {
            (welcome @ OwnFrame::Welcome { .. }, Body::Welcome { .. }) => {
                self.check_welcome(&frame, welcome, position, log);
            }
            (OwnFrame::Gap { from, to }, Body::Gap { .. }) => {
                assert_eq!(frame.body, Body::Gap { from, to });
                (self.last_seen, self.min_bye_seq) = (Some(to), Some(from));
            }
            (
                OwnFrame::Who { members, quiet: expected, answer_bytes, id: line_id },
                Body::Who { names, more, quiet, id },
            ) => {
                assert_eq!(id.as_deref(), line_id.as_deref());
                assert_eq!(names.len() + more.unwrap_or(0), members.len());
                let members: BTreeSet<&str> = members.iter().map(|name| &**name).collect();
                let named: BTreeSet<&str> = names.iter().map(|name| &**name).collect();
                assert!(named.len() == names.len() && named.is_subset(&members));
                let marked: Vec<&str> = quiet.iter().map(|name| &**name).collect();
                let is_marked = |name: &&&str| expected.contains(**name);
                assert_eq!(
                    marked,
                    names.iter().map(|n| &**n).filter(|n| is_marked(&n)).collect::<Vec<_>>()
                );
                let length = |names: &BTreeSet<&str>| {
                    let twice = names.iter().chain(names.iter().filter(is_marked));
                    frame.data.len() + twice.map(|name| name.len() + 3).sum::<usize>()
                };
                assert_eq!(more.is_some(), length(&members) > answer_bytes);
                assert!(named.is_empty() || length(&named) <= answer_bytes);
            }
            (OwnFrame::Info(line_id), Body::Info { id, stats: None, .. }) => {
                assert_eq!(id.as_deref(), line_id.as_deref());
            }
            (OwnFrame::Stats(line_id, expected), Body::Info { id, stats: Some(stats), .. }) => {
                assert_eq!((id.as_deref(), &**stats), (line_id.as_deref(), &expected));
            }
            (
                OwnFrame::Error(expected, line_id) | OwnFrame::NameError(expected, line_id),
                Body::Error { code, id },
            ) => {
                assert_eq!((*code, id.as_deref()), (expected, line_id.as_deref()));
            }
            (OwnFrame::Private(expected), Body::Private { .. }) => assert_eq!(frame, expected),
            (OwnFrame::Bye(expected) | OwnFrame::Evicted(expected), Body::Bye { code, seq }) => {
                assert_eq!(*code, expected);
                let seen = self.last_seen.unwrap_or(log.last());
                let min = self.min_bye_seq.or(self.last_seen).unwrap_or(0);
                assert!((min..=seen).contains(seq), "bye has {seq}, not {min} to {seen}");
                self.has_bye = true;
            }
            (expected, _) => panic!("{frame:?} instead of {expected:?}"),
        }
    }

    fn check_welcome(
        &mut self,
        frame: &Frame<'_>,
        expected: OwnFrame,
        position: Position,
        log: &FrameLog,
    ) {
        let Body::Welcome { name, epoch, seq, token, resumed, members, limits, .. } = &frame.body
        else {
            panic!("{frame:?} is not a welcome");
        };
        let OwnFrame::Welcome {
            name: expected_name,
            token: expected_token,
            members: expected_members,
            after,
            history,
            sealed,
        } = expected
        else {
            panic!("{expected:?} is not a welcome");
        };
        let config = &log.config;
        assert_eq!((&**name, &**token), (&*expected_name, &*expected_token));
        assert_eq!((*members, &**epoch), (expected_members, EPOCH));
        assert_eq!((limits.history, limits.stored), (config.history, config.is_stored));
        assert_eq!(limits.max_line, config.max_line);
        assert_eq!((limits.rate, limits.burst), (config.rate, config.burst));
        let at = log.at(*seq).position;
        assert_eq!((at.messages, at.leaves), (position.messages, position.leaves));
        let after = after.filter(|after| after <= seq);
        assert_eq!(*resumed, after.is_some());
        self.last_seen = Some(after.unwrap_or(*seq));
        self.min_bye_seq = Some(after.unwrap_or(0).min(sealed));
        let oldest = log.oldest_at(*seq);
        let next = match after {
            Some(after) if after + 1 < oldest => OwnFrame::Gap { from: after + 1, to: oldest - 1 },
            Some(_) => return,
            None => OwnFrame::History { count: history },
        };
        let is_name_error = |next: &ExpectedUnicast| matches!(next.frame, OwnFrame::NameError(..));
        let index = usize::from(self.expected.front().is_some_and(is_name_error));
        self.expected.insert(index, ExpectedUnicast { frame: next, position });
    }

    /// Checks after a batch that all expected frames came, unless some are queued.
    pub fn check_delivered(&self, log: &FrameLog) {
        assert!(self.line.is_empty() || !self.queue.is_empty(), "a frame is not whole");
        if self.queue.is_empty() && !self.is_aborted {
            let missing: Vec<&OwnFrame> = self.expected.iter().map(|next| &next.frame).collect();
            assert!(missing.is_empty() && self.history.is_none(), "not sent: {missing:?}");
            assert_eq!(self.has_bye, self.is_closed, "a bye is the last frame");
            if self.is_live && !self.is_closed {
                assert_eq!(self.last_seen, Some(log.last()), "a member has all frames");
            }
        }
    }
}

impl ExpectedUnicast {
    /// Returns whether its position in the sequence is fixed.
    fn has_position(&self) -> bool {
        use OwnFrame::{Evicted, Gap, NameError};
        !matches!(self.frame, Evicted(_) | Gap { .. } | NameError(..))
    }
}
