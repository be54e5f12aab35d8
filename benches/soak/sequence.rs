//! The room's sequence, put together from what all members received: a table of frames, and the
//! members and lines that follow from it.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use smolchat::protocol::{Body, Frame};

/// Start of a text that is never delivered: its line is incomplete or invalid.
pub const UNDELIVERABLE_TEXT: &str = "undeliverable";
/// Frames kept below those that a member may still receive, to check `/history`.
const HISTORY_MARGIN: u64 = 100;

/// A frame of the sequence.
pub struct SequencedFrame {
    bytes: Box<[u8]>,
    pub frame: Frame<'static>,
    /// The member and the number of the line, if it has an id with a number.
    pub line: Option<(usize, u64)>,
}

impl SequencedFrame {
    fn new(bytes: &[u8], frame: Frame<'static>) -> Self {
        let id = frame.body.id().and_then(|id| id.split_once('-'));
        let line =
            id.and_then(|(member, number)| Some((member.parse().ok()?, number.parse().ok()?)));
        Self { bytes: bytes.into(), frame, line }
    }

    /// Returns whether the frame has exactly these bytes.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        *self.bytes == *bytes
    }
}

/// The numbered lines of one member in the sequence: each one once, in order.
#[derive(Clone, Copy, Default)]
struct SenderState {
    /// The next number that may arrive.
    next: u64,
    /// Lines below this number may be missing: a gap or another epoch hides whether they arrived.
    uncertain_below: u64,
}

/// The sequence of one epoch.
#[derive(Default)]
pub struct Sequence {
    pub epoch: String,
    /// The `seq` of the first frame in the table.
    first: u64,
    frames: VecDeque<Option<Rc<SequencedFrame>>>,
    /// The `seq` up to which no frame is missing and all are applied.
    complete_to: u64,
    /// The names of present members, with the `seq` of the frame with which they joined.
    present: BTreeMap<String, u64>,
    /// The `seq` after which the server was killed, so that all members have left.
    killed_at: Option<u64>,
    senders: Vec<SenderState>,
}

impl Sequence {
    /// Returns an empty sequence for a number of members.
    pub fn new(members: usize) -> Self {
        Self { senders: vec![SenderState::default(); members], ..Self::default() }
    }

    /// Continues after the start of a server whose last frame is `seq`. Returns whether the epoch
    /// has changed.
    pub fn start(&mut self, epoch: &str, seq: u64) -> Result<bool, String> {
        let is_new_epoch = self.epoch != epoch;
        if is_new_epoch {
            self.epoch = epoch.to_owned();
            (self.first, self.complete_to) = (seq + 1, seq);
            self.frames.clear();
        }
        let newest = self.newest();
        if seq < newest {
            return Err(format!("the restarted server is at {seq}, but {newest} was delivered"));
        }
        self.killed_at = Some(seq);
        self.advance()?;
        Ok(is_new_epoch)
    }

    /// Returns the `seq` of the newest frame that a member received.
    pub fn newest(&self) -> u64 {
        self.first + self.frames.len() as u64 - 1
    }

    /// Returns the `seq` up to which no frame is missing.
    pub fn complete_to(&self) -> u64 {
        self.complete_to
    }

    /// Returns a frame, if it was received and is in the table.
    pub fn get(&self, seq: u64) -> Option<&Rc<SequencedFrame>> {
        self.frames.get(seq.checked_sub(self.first)? as usize)?.as_ref()
    }

    /// Records a frame that no member has received before.
    pub fn record(
        &mut self,
        seq: u64,
        bytes: &[u8],
        frame: Frame<'static>,
    ) -> Result<Rc<SequencedFrame>, String> {
        if let Some(entry) = self.get(seq) {
            let received = String::from_utf8_lossy(&entry.bytes);
            return Err(format!("another member received as {seq}: {received}"));
        }
        let Some(index) = seq.checked_sub(self.first) else {
            return Err(format!("frame {seq} is older than the history"));
        };
        let entry = Rc::new(SequencedFrame::new(bytes, frame));
        if self.frames.len() <= index as usize {
            self.frames.resize(index as usize + 1, None);
        }
        self.frames[index as usize] = Some(Rc::clone(&entry));
        self.advance()?;
        Ok(entry)
    }

    /// Removes frames below `seq`, except for a margin.
    pub fn prune(&mut self, seq: u64) {
        while self.first + HISTORY_MARGIN < seq.min(self.complete_to) {
            self.frames.pop_front();
            self.first += 1;
        }
    }

    /// Returns the names of present members, sorted.
    pub fn present(&self) -> impl Iterator<Item = &str> {
        self.present.keys().map(String::as_str)
    }

    /// Returns the `seq` of the frame with which a present member joined.
    pub fn joined_at(&self, name: &str) -> Option<u64> {
        self.present.get(name).copied()
    }

    /// Allows that lines of a member below number `next` are missing.
    pub fn allow_missing(&mut self, member: usize, next: u64) {
        self.senders[member].uncertain_below = next;
    }

    /// Returns whether all lines of a member below number `next` are in the sequence.
    pub fn has_all_lines(&self, member: usize, next: u64) -> bool {
        let sender = self.senders[member];
        sender.next.max(sender.uncertain_below) == next
    }

    /// Applies all frames up to the first one that is missing.
    fn advance(&mut self) -> Result<(), String> {
        loop {
            if self.killed_at == Some(self.complete_to) {
                self.killed_at = None;
                self.present.clear();
            }
            let Some(entry) = self.get(self.complete_to + 1).cloned() else { return Ok(()) };
            self.complete_to += 1;
            self.apply(&entry).map_err(|error| {
                let bytes = String::from_utf8_lossy(&entry.bytes);
                format!("{error}; frame {}: {bytes}", self.complete_to)
            })?;
        }
    }

    fn apply(&mut self, entry: &SequencedFrame) -> Result<(), String> {
        let Frame { data_source, data, body } = &entry.frame;
        match body {
            Body::Join { names, seq, .. } => {
                for name in names {
                    if self.present.insert(name.to_string(), *seq).is_some() {
                        return Err(format!("join of {name}, which is present"));
                    }
                }
            }
            Body::Leave { names, .. } => {
                for name in names {
                    if self.present.remove(&**name).is_none() {
                        return Err(format!("leave of {name}, which is not present"));
                    }
                }
            }
            Body::Name { from, to, .. } => {
                let Some(joined_at) = self.present.remove(&**from) else {
                    return Err(format!("rename of {from}, which is not present"));
                };
                if self.present.insert(to.to_string(), joined_at).is_some() {
                    return Err(format!("rename to {to}, which is present"));
                }
            }
            _ if !self.present.contains_key(&**data_source) => {
                return Err(format!("line of {data_source}, which is not present"));
            }
            _ if data.starts_with(UNDELIVERABLE_TEXT) => {
                return Err("an incomplete or invalid line was delivered".to_owned());
            }
            _ => {}
        }
        self.apply_line(entry.line)
    }

    /// Checks that a numbered line is the next one of its member.
    fn apply_line(&mut self, line: Option<(usize, u64)>) -> Result<(), String> {
        let Some((member, number)) = line else { return Ok(()) };
        let sender = self.senders.get_mut(member).ok_or("id of no member")?;
        if number < sender.next {
            return Err(format!("line {member}-{number} was delivered twice"));
        }
        if number > sender.next && number > sender.uncertain_below {
            let missing = sender.next.max(sender.uncertain_below);
            return Err(format!("line {member}-{missing} is missing"));
        }
        sender.next = number + 1;
        Ok(())
    }
}
