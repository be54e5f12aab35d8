//! The room's sequence as all members together saw it: one table of frames, and what follows from
//! them in order: who is here, and which lines of whom were said.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use smolchat::protocol::{Body, Frame};

/// The start of a text that must never be said: its line is cut off before its end.
pub const UNFINISHED_TEXT: &str = "never said";
/// Frames kept below those that any member may still ask for, for `/history` to be checked.
const HISTORY_MARGIN: u64 = 100;

/// A frame of the sequence, as whoever saw it first got it.
pub struct SequencedFrame {
    bytes: Box<[u8]>,
    /// What is in it.
    pub frame: Frame<'static>,
    /// Which line of whom it is, if that had a number.
    pub line: Option<(usize, u64)>,
}

impl SequencedFrame {
    fn new(bytes: &[u8], frame: Frame<'static>) -> Self {
        let number = frame.body.id().and_then(|id| id.split_once('-'));
        let line = number.and_then(|(who, line)| Some((who.parse().ok()?, line.parse().ok()?)));
        Self { bytes: bytes.into(), frame, line }
    }

    /// Whether this is what went out.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        *self.bytes == *bytes
    }
}

/// What the sequence has to show of one member's numbered lines: each once, in order.
#[derive(Clone, Copy, Default)]
struct SenderState {
    /// The next number that may come.
    next: u64,
    /// Lines below this number may be missing: whether they were said is behind a gap, or in
    /// another epoch.
    uncertain_below: u64,
}

/// The sequence of one epoch.
#[derive(Default)]
pub struct Sequence {
    /// The epoch.
    pub epoch: String,
    /// The number of the first frame in the table.
    first: u64,
    frames: VecDeque<Option<Rc<SequencedFrame>>>,
    /// All up to this number was seen, and is accounted for.
    complete_to: u64,
    /// Who is here, by the notices, and the number of the notice that told of their coming.
    present: BTreeMap<String, u64>,
    /// Behind this number nobody is here: the server was killed there.
    killed_at: Option<u64>,
    senders: Vec<SenderState>,
}

impl Sequence {
    /// A sequence of which nothing is known, for so many numbered speakers.
    pub fn new(senders: usize) -> Self {
        Self { senders: vec![SenderState::default(); senders], ..Self::default() }
    }

    /// Begins at the start of a server, which has given out the numbers to `seq`. Tells whether
    /// the epoch is another than before.
    pub fn start(&mut self, epoch: &str, seq: u64) -> Result<bool, String> {
        let is_other = self.epoch != epoch;
        if is_other {
            self.epoch = epoch.to_owned();
            (self.first, self.complete_to) = (seq + 1, seq);
            self.frames.clear();
        }
        let newest = self.newest();
        if seq < newest {
            return Err(format!("{newest} was shown, and after the restart {seq} is the last"));
        }
        self.killed_at = Some(seq);
        self.advance()?;
        Ok(is_other)
    }

    /// The number of the newest frame that anybody saw.
    pub fn newest(&self) -> u64 {
        self.first + self.frames.len() as u64 - 1
    }

    /// The number up to which everything was seen by somebody.
    pub fn complete_to(&self) -> u64 {
        self.complete_to
    }

    /// The frame with a number, if it was seen and is in the table.
    pub fn get(&self, seq: u64) -> Option<&Rc<SequencedFrame>> {
        self.frames.get(seq.checked_sub(self.first)? as usize)?.as_ref()
    }

    /// Takes in a frame that came as number `seq`, and must be what others saw there.
    pub fn record(
        &mut self,
        seq: u64,
        bytes: &[u8],
        frame: Frame<'static>,
    ) -> Result<Rc<SequencedFrame>, String> {
        if let Some(entry) = self.get(seq) {
            let seen = String::from_utf8_lossy(&entry.bytes);
            return Err(format!("others saw as number {seq}: {seen}"));
        }
        let Some(place) = seq.checked_sub(self.first) else {
            return Err(format!("number {seq} is older than anybody may ask for"));
        };
        let entry = Rc::new(SequencedFrame::new(bytes, frame));
        if self.frames.len() <= place as usize {
            self.frames.resize(place as usize + 1, None);
        }
        self.frames[place as usize] = Some(Rc::clone(&entry));
        self.advance()?;
        Ok(entry)
    }

    /// Forgets what is below number `seq` and a margin.
    pub fn prune(&mut self, seq: u64) {
        while self.first + HISTORY_MARGIN < seq.min(self.complete_to) {
            self.frames.pop_front();
            self.first += 1;
        }
    }

    /// Who is here by the notices, in order of names.
    pub fn present(&self) -> impl Iterator<Item = &str> {
        self.present.keys().map(String::as_str)
    }

    /// The number of the notice by which a member came who is here.
    pub fn joined_at(&self, name: &str) -> Option<u64> {
        self.present.get(name).copied()
    }

    /// Lines of a member below number `next` may be missing.
    pub fn allow_missing(&mut self, member: usize, next: u64) {
        self.senders[member].uncertain_below = next;
    }

    /// Whether of a member who has said lines up to below number `next`, and has nothing pending,
    /// all are in the sequence.
    pub fn has_all_lines(&self, member: usize, next: u64) -> bool {
        let sender = self.senders[member];
        sender.next.max(sender.uncertain_below) == next
    }

    /// Accounts for all that was seen without a hole.
    fn advance(&mut self) -> Result<(), String> {
        loop {
            if self.killed_at == Some(self.complete_to) {
                self.killed_at = None;
                self.present.clear();
            }
            let Some(entry) = self.get(self.complete_to + 1).cloned() else { return Ok(()) };
            self.complete_to += 1;
            self.apply(&entry).map_err(|why| {
                format!(
                    "{why}; number {}: {}",
                    self.complete_to,
                    String::from_utf8_lossy(&entry.bytes)
                )
            })?;
        }
    }

    fn apply(&mut self, entry: &SequencedFrame) -> Result<(), String> {
        let Frame { data_source, data, body } = &entry.frame;
        match body {
            Body::Join { names, seq, .. } => {
                for name in names {
                    if self.present.insert(name.to_string(), *seq).is_some() {
                        return Err(format!("{name} came, who was here"));
                    }
                }
            }
            Body::Leave { names, .. } => {
                for name in names {
                    if self.present.remove(&**name).is_none() {
                        return Err(format!("{name} went, who was not here"));
                    }
                }
            }
            Body::Name { from, to, .. } => {
                let Some(came) = self.present.remove(&**from) else {
                    return Err(format!("{from} has another name, who was not here"));
                };
                if self.present.insert(to.to_string(), came).is_some() {
                    return Err(format!("{to} is the name of another, who is here"));
                }
            }
            _ if !self.present.contains_key(&**data_source) => {
                return Err(format!("{data_source} speaks, who is not here"));
            }
            _ if data.starts_with(UNFINISHED_TEXT) => {
                return Err("this was never said whole".to_owned());
            }
            _ => {}
        }
        let Some((member, number)) = entry.line else { return Ok(()) };
        let sender = self.senders.get_mut(member).ok_or("nobody gave this id")?;
        if number < sender.next {
            return Err(format!("line {member}-{number} is there twice"));
        }
        if number > sender.next && number > sender.uncertain_below {
            return Err(format!(
                "line {member}-{} is lost",
                sender.next.max(sender.uncertain_below)
            ));
        }
        sender.next = number + 1;
        Ok(())
    }
}
