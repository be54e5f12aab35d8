//! A client's end of its connection: what reaches it, and whether that is what it should.

use std::collections::{BTreeSet, VecDeque};
use std::ops::RangeInclusive;

use smolchat::protocol::{Body, ByeCode, Frame, SERVER};
use smolchat::room::{Config, Op, Slice, Unicast};

use super::news::{Due, Own, Place};
use super::script::EPOCH;

/// A frame of the sequence, and the place behind it.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    pub bytes: Vec<u8>,
    pub place: Place,
}

/// All that the room ever said to all. Number 0 is the state before the first frame.
pub struct Record {
    pub rules: Config,
    pub sent: Vec<Sent>,
}

impl Record {
    pub fn last(&self) -> u64 {
        self.sent.len() as u64 - 1
    }

    /// Where all stand who have seen everything.
    pub fn place(&self) -> Place {
        self.at(self.last()).place
    }

    fn at(&self, number: u64) -> &Sent {
        &self.sent[usize::try_from(number).expect("a number of the sequence")]
    }

    /// The oldest number that a history within the rules holds.
    pub fn held(&self) -> u64 {
        let mut bytes = 0;
        let fits = |sent: &&Sent| {
            bytes += sent.bytes.len();
            bytes <= self.rules.history_bytes
        };
        let newest = self.sent[1..].iter().rev().take(self.rules.history);
        self.last() + 1 - newest.take_while(fits).count() as u64
    }
}

/// A client: what waits on its way to it, as in an outbox, and where in the sequence it is.
#[derive(Default)]
pub struct Seat {
    is_open: bool,
    /// Nothing new is sent to it.
    pub is_closed: bool,
    /// It was cut off: what was due is not due any more.
    is_cut: bool,
    /// It does not read.
    pub is_stalled: bool,
    queue: VecDeque<Slice>,
    /// The number up to which it was sent what waits.
    cut_at: u64,
    line: Vec<u8>,
    due: VecDeque<Due>,
    /// The last number that it was sent, once it has its welcome.
    pub seen: Option<u64>,
    /// The least that a bye may say it was sent, where that is not one number: between a welcome
    /// and the first frame behind it, and behind a gap. To come back with any of them is to be
    /// shown nothing twice, and to miss nothing.
    least: Option<u64>,
    /// What it is shown again now.
    past: Option<RangeInclusive<u64>>,
    is_done: bool,
}

impl Seat {
    pub fn is_due(&mut self, due: Due) {
        self.due.push_back(due);
    }

    /// Delivers its part of a batch, as the broadcaster does.
    pub fn deliver(&mut self, unicasts: &[Unicast], all: &Slice, before: u64, record: &Record) {
        if self.is_closed {
            assert!(unicasts.iter().all(|unicast| matches!(unicast.op, Op::Abort)), "it is closed");
            return;
        }
        let mut slices = Vec::new();
        let mut open = self.is_open.then_some((0, before));
        for unicast in unicasts {
            if let Some((from, before)) = open {
                let part = all.part(from, unicast.at, before);
                open = Some((unicast.at.max(from), before + part.frames()));
                slices.push(part);
            }
            match &unicast.op {
                Op::Send(slice) => slices.push(slice.clone()),
                Op::Repeat(from, to) => slices.push(all.part_again(*from, *to)),
                Op::StartLive { from, before } => {
                    self.is_open = true;
                    open = Some((*from, *before));
                }
                Op::Close => {
                    self.is_closed = true;
                    open = None;
                    break;
                }
                Op::Evict(code) => return self.evict(*code, before, record),
                Op::Abort => {
                    self.queue.clear();
                    return self.cut();
                }
            }
        }
        slices.extend(open.map(|(from, before)| all.part(from, u32::MAX, before)));
        slices.retain(|slice| !slice.bytes().is_empty());
        for slice in &slices {
            if let Some(before) = slice.before() {
                let number = before + 1;
                let is_gap = || String::from_utf8_lossy(slice.bytes()).contains(r#""kind":"gap""#);
                let is_next = || slice.bytes().starts_with(&record.at(number).bytes);
                assert!(is_next() || is_gap(), "{slice:?} begins with number {number}");
            }
        }
        if self.queue.is_empty() {
            self.cut_at = slices.iter().find_map(Slice::before).unwrap_or(before);
        }
        self.queue.extend(slices);
        if !self.is_stalled {
            self.read(usize::MAX, record);
        }
    }

    /// Lets it read so many bytes of what waits for it.
    pub fn read(&mut self, mut count: usize, record: &Record) {
        if count == usize::MAX {
            for slice in std::mem::take(&mut self.queue) {
                self.take(slice.bytes(), record);
            }
        }
        while let Some(slice) = self.queue.front_mut().filter(|_| count > 0) {
            let part = count.min(slice.bytes().len());
            count -= part;
            let bytes = slice.bytes()[..part].to_vec();
            slice.advance(part);
            self.cut_at = slice.before().unwrap_or(self.cut_at);
            if slice.bytes().is_empty() {
                self.queue.pop_front();
            }
            self.take(&bytes, record);
        }
    }

    /// Gives up all that waits but the rest of a frame, and says bye, as a full outbox does.
    /// `number` is what it has if nothing waits.
    pub fn evict(&mut self, code: ByeCode, mut number: u64, record: &Record) {
        if !self.queue.is_empty() {
            let first = self.queue.front().filter(|slice| slice.is_inside_frame());
            let rest = first.map(|slice| (slice.rest_of_frame(), slice.before()));
            self.queue.clear();
            number = self.cut_at;
            if let Some((rest, before)) = rest {
                number = before.map_or(number, |before| before + 1);
                self.take(rest.bytes(), record);
            }
        }
        let bye = self.due.pop_back().expect("a bye is due");
        self.cut();
        self.due.push_back(bye);
        let slice = Slice::own(&Frame::bye(code, number));
        self.is_done = false;
        self.take(slice.bytes(), record);
    }

    fn cut(&mut self) {
        self.is_closed = true;
        self.is_cut = true;
        self.due.clear();
        self.line.clear();
        self.past = None;
        self.is_done = true;
    }

    fn take(&mut self, bytes: &[u8], record: &Record) {
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            self.line.extend(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.check(&line, record);
            }
        }
    }

    /// Checks one line that reached it.
    fn check(&mut self, line: &[u8], record: &Record) {
        let shown = || String::from_utf8_lossy(line).into_owned();
        assert!(!self.is_done, "nothing follows a bye, but here is {}", shown());
        assert!(line.starts_with(br#"{"data_source":""#), "{}", shown());
        if let Some(number) = self.past.as_mut().and_then(Iterator::next) {
            assert_eq!(shown(), String::from_utf8_lossy(&record.at(number).bytes), "shown again");
            self.least = self.least.map(|_| number);
            return self.show_past(record);
        }
        let next = self.seen.map(|seen| seen + 1).filter(|next| *next <= record.last());
        if let Some(next) = next.filter(|next| record.at(*next).bytes == line) {
            (self.seen, self.least) = (Some(next), None);
            return;
        }
        let frame = Frame::decode(line).expect("a frame");
        assert_eq!(frame.body.seq(), None, "{} is not number {next:?}", shown());
        let due = self.due.pop_front().unwrap_or_else(|| panic!("{} is not due", shown()));
        let is_from_server = matches!(due.own, Own::Private(_)) || frame.data_source == SERVER;
        assert!(is_from_server && (due.is_private() || !frame.data.is_empty()), "{}", shown());
        if let Some(seen) = self.seen.filter(|_| due.has_place()) {
            let at = record.at(seen).place;
            assert_eq!(at.said, due.place.said, "{} came when something else was said", shown());
            assert!(at.went <= due.place.went, "{} came behind one who went later", shown());
            // The last that a member gets is not the first sight of others, or itself.
            let is_bye = matches!(due.own, Own::Bye(_));
            assert!(at.came == due.place.came || !is_bye, "{} hides who came", shown());
        }
        self.check_own(frame, due, record);
        self.show_past(record);
    }

    /// If it is now to be shown what is past, that comes next.
    fn show_past(&mut self, record: &Record) {
        self.past = self.past.take().filter(|past| !past.is_empty());
        if let Some(Due { own: Own::Past { count, held }, .. }) = self.due.front()
            && let Some(seen) = self.seen
            && self.past.is_none()
        {
            let count = (*count).min(record.rules.history as u64);
            let past = (seen + 1).saturating_sub(count).max(*held)..=seen;
            self.past = Some(past).filter(|past| !past.is_empty());
            self.due.pop_front();
        }
    }

    /// Checks a line for this client alone against what is due to it.
    fn check_own(&mut self, frame: Frame<'_>, due: Due, record: &Record) {
        let rules = &record.rules;
        match (due.own, &frame.body) {
            (
                Own::Welcome { name, token, members, after, history, held, sealed },
                Body::Welcome {
                    name: told,
                    epoch,
                    seq,
                    token: secret,
                    resumed,
                    members: count,
                    limits,
                },
            ) => {
                assert_eq!((&**told, &**secret, *count), (&*name, &*token, members));
                assert_eq!((&**epoch, limits.history), (EPOCH, rules.history));
                assert_eq!((limits.max_line, limits.stored), (rules.max_line, rules.stored));
                assert_eq!((limits.rate, limits.burst), (rules.rate, rules.burst));
                let (at, place) = (record.at(*seq).place, due.place);
                assert_eq!((at.said, at.went), (place.said, place.went), "where the room stands");
                let after = after.filter(|after| after <= seq);
                assert_eq!(*resumed, after.is_some());
                self.seen = Some(after.unwrap_or(*seq));
                self.least = Some(after.unwrap_or(0).min(sealed));
                let own = match after {
                    Some(after) if after + 1 < held => Own::Gap { from: after + 1, to: held - 1 },
                    Some(_) => return,
                    None => Own::Past { count: history, held },
                };
                let is_complaint = |due: &Due| matches!(due.own, Own::Complaint(..));
                let complaints = usize::from(self.due.front().is_some_and(is_complaint));
                self.due.insert(complaints, Due { own, place });
            }
            (Own::Gap { from, to }, Body::Gap { .. }) => {
                assert_eq!(frame.body, Body::Gap { from, to });
                (self.seen, self.least) = (Some(to), Some(from));
            }
            (Own::Who { here, answer_bytes, word }, Body::Who { names, more, id }) => {
                assert_eq!(id.as_deref(), word.as_deref());
                assert_eq!(names.len() + more.unwrap_or(0), here.len());
                let here: BTreeSet<&str> = here.iter().map(|name| &**name).collect();
                let named: BTreeSet<&str> = names.iter().map(|name| &**name).collect();
                assert!(named.len() == names.len() && named.is_subset(&here));
                let length = |names: &BTreeSet<&str>| {
                    frame.data.len() + names.iter().map(|name| name.len() + 3).sum::<usize>()
                };
                assert_eq!(more.is_some(), length(&here) > answer_bytes);
                assert!(named.is_empty() || length(&named) <= answer_bytes);
            }
            (Own::Info(word), Body::Info { id, stats: None }) => {
                assert_eq!(id.as_deref(), word.as_deref());
            }
            (Own::Stats(word, due), Body::Info { id, stats: Some(stats) }) => {
                assert_eq!((id.as_deref(), &**stats), (word.as_deref(), &due));
            }
            (
                Own::Error(code, word) | Own::Complaint(code, word),
                Body::Error { code: told, id },
            ) => {
                assert_eq!((*told, id.as_deref()), (code, word.as_deref()));
            }
            (Own::Private(due), Body::Private { .. }) => assert_eq!(frame, due),
            (Own::Bye(due) | Own::Evicted(due), Body::Bye { code, seq }) => {
                assert_eq!(*code, due);
                let seen = self.seen.unwrap_or(record.last());
                let first = self.least.or(self.seen).unwrap_or(0);
                assert!((first..=seen).contains(seq), "bye says {seq}, not {first} to {seen}");
                self.is_done = true;
            }
            (due, _) => panic!("{frame:?} came, but due was {due:?}"),
        }
    }

    /// A batch was delivered: unless something still waits, all that was due has come.
    pub fn is_settled(&self, record: &Record) {
        assert!(self.line.is_empty() || !self.queue.is_empty(), "frames come whole");
        if self.queue.is_empty() && !self.is_cut {
            let missing: Vec<&Own> = self.due.iter().map(|due| &due.own).collect();
            assert!(missing.is_empty() && self.past.is_none(), "not sent: {missing:?}");
            assert_eq!(self.is_done, self.is_closed, "bye is the last line before the end");
            if self.is_open && !self.is_closed {
                assert_eq!(self.seen, Some(record.last()), "a member has seen all");
            }
        }
    }
}

impl Due {
    fn is_private(&self) -> bool {
        matches!(self.own, Own::Private(_))
    }

    /// Whether it belongs at one place of the sequence; what follows a welcome does not.
    fn has_place(&self) -> bool {
        !matches!(self.own, Own::Evicted(_) | Own::Gap { .. } | Own::Complaint(..))
    }
}
