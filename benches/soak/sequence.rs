//! The room's sequence as all members together saw it: one table of frames, and what follows from
//! them in order: who is here, and which lines of whom were said.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use smolchat::protocol::{Body, Frame};

/// The start of a text that must never be said: its line is cut off before its end.
pub const NEVER: &str = "never said";
/// Frames kept below those that any member may still ask for, for `/history` to be checked.
const MARGIN: u64 = 100;

/// A frame of the sequence, as whoever saw it first got it.
pub struct Entry {
    bytes: Box<[u8]>,
    /// What is in it.
    pub frame: Frame<'static>,
    /// Which line of whom it is, if that had a number.
    pub line: Option<(usize, u64)>,
}

impl Entry {
    fn new(bytes: &[u8], frame: Frame<'static>) -> Self {
        let number = frame.body.id().and_then(|id| id.split_once('-'));
        let line = number.and_then(|(who, line)| Some((who.parse().ok()?, line.parse().ok()?)));
        Self { bytes: bytes.into(), frame, line }
    }

    /// Whether this is what went out.
    pub fn is(&self, bytes: &[u8]) -> bool {
        *self.bytes == *bytes
    }
}

/// What the sequence has to show of one member's numbered lines: each once, in order.
#[derive(Clone, Copy, Default)]
struct Speaker {
    /// The next number that may come.
    next: u64,
    /// Lines below this number may be missing: whether they were said is behind a gap, or in
    /// another epoch.
    doubtful: u64,
}

/// The sequence of one epoch.
#[derive(Default)]
pub struct Sequence {
    /// The epoch.
    pub epoch: String,
    /// The number of the first frame in the table.
    first: u64,
    frames: VecDeque<Option<Rc<Entry>>>,
    /// All up to this number was seen, and is accounted for.
    cursor: u64,
    /// Who is here, by the notices, and the number of the notice that told of their coming.
    present: BTreeMap<String, u64>,
    /// Behind this number nobody is here: the server was killed there.
    killed_at: Option<u64>,
    speakers: Vec<Speaker>,
}

impl Sequence {
    /// A sequence of which nothing is known, for so many numbered speakers.
    pub fn new(speakers: usize) -> Self {
        Self { speakers: vec![Speaker::default(); speakers], ..Self::default() }
    }

    /// Begins at the start of a server, which has given out the numbers to `seq`. Tells whether
    /// the epoch is another than before.
    pub fn start(&mut self, epoch: &str, seq: u64) -> Result<bool, String> {
        let is_other = self.epoch != epoch;
        if is_other {
            self.epoch = epoch.to_owned();
            (self.first, self.cursor) = (seq + 1, seq);
            self.frames.clear();
        }
        let newest = self.newest();
        if seq < newest {
            return Err(format!("{newest} was shown, and after the restart {seq} is the last"));
        }
        self.killed_at = Some(seq);
        self.account()?;
        Ok(is_other)
    }

    /// The number of the newest frame that anybody saw.
    pub fn newest(&self) -> u64 {
        self.first + self.frames.len() as u64 - 1
    }

    /// The number up to which everything was seen by somebody.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The frame with a number, if it was seen and is in the table.
    pub fn get(&self, seq: u64) -> Option<&Rc<Entry>> {
        self.frames.get(seq.checked_sub(self.first)? as usize)?.as_ref()
    }

    /// Takes in a frame that came as number `seq`, and must be what others saw there.
    pub fn see(
        &mut self,
        seq: u64,
        bytes: &[u8],
        frame: Frame<'static>,
    ) -> Result<Rc<Entry>, String> {
        if let Some(entry) = self.get(seq) {
            let seen = String::from_utf8_lossy(&entry.bytes);
            return Err(format!("others saw as number {seq}: {seen}"));
        }
        let Some(place) = seq.checked_sub(self.first) else {
            return Err(format!("number {seq} is older than anybody may ask for"));
        };
        let entry = Rc::new(Entry::new(bytes, frame));
        if self.frames.len() <= place as usize {
            self.frames.resize(place as usize + 1, None);
        }
        self.frames[place as usize] = Some(Rc::clone(&entry));
        self.account()?;
        Ok(entry)
    }

    /// Forgets what is below number `seq` and a margin.
    pub fn prune(&mut self, seq: u64) {
        while self.first + MARGIN < seq.min(self.cursor) {
            self.frames.pop_front();
            self.first += 1;
        }
    }

    /// Who is here by the notices, in order of names.
    pub fn present(&self) -> impl Iterator<Item = &str> {
        self.present.keys().map(String::as_str)
    }

    /// The number of the notice by which a member came who is here.
    pub fn came_at(&self, name: &str) -> Option<u64> {
        self.present.get(name).copied()
    }

    /// Lines of a member below number `next` may be missing.
    pub fn doubt(&mut self, member: usize, next: u64) {
        self.speakers[member].doubtful = next;
    }

    /// Whether of a member who has said lines up to below number `next`, and has nothing pending,
    /// all are in the sequence.
    pub fn has_all_of(&self, member: usize, next: u64) -> bool {
        let speaker = self.speakers[member];
        speaker.next.max(speaker.doubtful) == next
    }

    /// Accounts for all that was seen without a hole.
    fn account(&mut self) -> Result<(), String> {
        loop {
            if self.killed_at == Some(self.cursor) {
                self.killed_at = None;
                self.present.clear();
            }
            let Some(entry) = self.get(self.cursor + 1).cloned() else { return Ok(()) };
            self.cursor += 1;
            self.apply(&entry).map_err(|why| {
                format!("{why}; number {}: {}", self.cursor, String::from_utf8_lossy(&entry.bytes))
            })?;
        }
    }

    fn apply(&mut self, entry: &Entry) -> Result<(), String> {
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
            _ if data.starts_with(NEVER) => return Err("this was never said whole".to_owned()),
            _ => {}
        }
        let Some((member, number)) = entry.line else { return Ok(()) };
        let speaker = self.speakers.get_mut(member).ok_or("nobody gave this id")?;
        if number < speaker.next {
            return Err(format!("line {member}-{number} is there twice"));
        }
        if number > speaker.next && number > speaker.doubtful {
            return Err(format!("line {member}-{} is lost", speaker.next.max(speaker.doubtful)));
        }
        speaker.next = number + 1;
        Ok(())
    }
}
