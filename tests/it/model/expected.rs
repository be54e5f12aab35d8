//! The frames that the model expects: for all members, and for one client.
//!
//! The room may choose which members it names in one join or leave notice. The model takes this
//! choice from the frames of the room.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use smolchat::protocol::{Body, ByeCode, ErrorCode, Frame, SERVER, Stats, is_valid_name};
use smolchat::room::Now;

use super::script::INVALID_NAMES;

/// The time that a join or leave notice may be delayed in a large room.
const MAX_NOTICE_DELAY: Duration = Duration::from_secs(1);
/// The largest number of names in a notice.
const MAX_NOTICE_NAMES: usize = 256;

/// The frames for all members that the room has not sent yet.
#[derive(Default)]
pub struct ExpectedBroadcasts {
    /// The number of members from which notices may be delayed.
    crowd: usize,
    queue: VecDeque<ExpectedFrame>,
    /// The position behind all expected frames.
    pub position: Position,
    /// The last time with at least `crowd` members.
    last_crowd: Option<Duration>,
    /// The values that the `time` of the next frames may have.
    times: BTreeSet<u64>,
}

/// A position in the sequence: the numbers of messages, joins and leaves before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub messages: usize,
    pub joins: usize,
    pub leaves: usize,
}

/// A frame for one client, and its position in the sequence.
#[derive(Debug)]
pub struct ExpectedUnicast {
    pub frame: OwnFrame,
    pub position: Position,
}

/// A frame, or several, for one client.
#[derive(Debug)]
pub enum OwnFrame {
    Welcome {
        name: String,
        token: String,
        members: usize,
        after: Option<u64>,
        history: u64,
        sealed: u64,
    },
    Gap {
        from: u64,
        to: u64,
    },
    /// The newest frames again.
    History {
        count: u64,
    },
    Who {
        members: Vec<String>,
        quiet: BTreeSet<String>,
        answer_bytes: usize,
        id: Option<Box<str>>,
    },
    Info(Option<Box<str>>),
    Stats(Option<Box<str>>, Stats),
    Error(ErrorCode, Option<Box<str>>),
    /// An error that follows the welcome: the name is not the requested one.
    NameError(ErrorCode, Option<Box<str>>),
    Private(Frame<'static>),
    /// The last frame, after all others.
    Bye(ByeCode),
    /// The last frame, in place of all queued ones.
    Evicted(ByeCode),
}

/// A frame for all members, or one name of a notice.
enum ExpectedFrame {
    Join(String),
    Leave(String),
    Message {
        frame: Frame<'static>,
        /// Whether it may be sent before the notices that precede it.
        may_overtake: bool,
    },
}

impl Position {
    /// Returns the position behind a frame.
    pub fn after(self, frame: &Frame<'_>) -> Position {
        match &frame.body {
            Body::Join { names, .. } => Position { joins: self.joins + names.len(), ..self },
            Body::Leave { names, .. } => Position { leaves: self.leaves + names.len(), ..self },
            _ => Position { messages: self.messages + 1, ..self },
        }
    }
}

impl ExpectedBroadcasts {
    pub fn new(crowd: usize) -> Self {
        ExpectedBroadcasts { crowd, ..ExpectedBroadcasts::default() }
    }

    pub fn set_time(&mut self, now: Now, members: usize) {
        self.times.insert(now.unix_ms);
        self.note_members(members, now);
    }

    fn note_members(&mut self, members: usize, now: Now) {
        if members >= self.crowd {
            self.last_crowd = Some(now.uptime);
        }
    }

    pub fn expect_join(&mut self, name: String, members: usize, now: Now) {
        self.note_members(members, now);
        self.queue.push_back(ExpectedFrame::Join(name));
        self.position.joins += 1;
    }

    pub fn expect_leave(&mut self, name: String) {
        self.queue.push_back(ExpectedFrame::Leave(name));
        self.position.leaves += 1;
    }

    pub fn expect_message(&mut self, frame: Frame<'static>, members: usize) {
        let may_overtake = members >= self.crowd && frame.data_source != SERVER;
        self.queue.push_back(ExpectedFrame::Message { frame, may_overtake });
        self.position.messages += 1;
    }

    /// Checks a frame that the room sent to all members, and removes it from the queue.
    pub fn check(&mut self, number: u64, frame: &Frame<'_>) {
        assert_eq!(frame.body.seq(), Some(number), "the next number of the sequence");
        match &frame.body {
            Body::Join { names, time, .. } => {
                assert_eq!(frame.data, notice(names, "joined"));
                let joins = names.iter().map(|name| ExpectedFrame::Join(name.to_string()));
                self.check_notice(frame, *time, joins);
            }
            Body::Leave { names, time, .. } => {
                assert_eq!(frame.data, notice(names, "left"));
                let leaves = names.iter().map(|name| ExpectedFrame::Leave(name.to_string()));
                self.check_notice(frame, *time, leaves);
            }
            _ => self.check_message(number, frame),
        }
    }

    /// Checks that joins and leaves come in order, and each name once.
    fn check_notice(
        &mut self,
        frame: &Frame<'_>,
        time: u64,
        names: impl ExactSizeIterator<Item = ExpectedFrame>,
    ) {
        assert_eq!(frame.data_source, SERVER);
        assert!((1..=MAX_NOTICE_NAMES).contains(&names.len()), "{} names", names.len());
        assert!(self.times.contains(&time), "{time} is the time of no event");
        for sent in names {
            let is_notice = |frame: &ExpectedFrame| !matches!(frame, ExpectedFrame::Message { .. });
            let index = self.queue.iter().position(is_notice);
            match (index.and_then(|index| self.queue.remove(index)), sent) {
                (Some(ExpectedFrame::Join(expected)), ExpectedFrame::Join(name)) => {
                    assert_eq!(expected, name);
                    let is_valid = is_valid_name(&name) && !INVALID_NAMES.contains(&&*name);
                    assert!(is_valid, "{name} is not a valid name");
                }
                (Some(ExpectedFrame::Leave(expected)), ExpectedFrame::Leave(name)) => {
                    assert_eq!(expected, name);
                }
                _ => panic!("unexpected: {frame:?}"),
            }
        }
    }

    /// Checks that messages come in order, and after the notices that they must not overtake.
    fn check_message(&mut self, number: u64, frame: &Frame<'_>) {
        let is_message = |frame: &ExpectedFrame| matches!(frame, ExpectedFrame::Message { .. });
        let index = self.queue.iter().position(is_message);
        let index = index.unwrap_or_else(|| panic!("unexpected: {frame:?}"));
        let Some(ExpectedFrame::Message { frame: expected, may_overtake }) =
            self.queue.remove(index)
        else {
            return;
        };
        assert_eq!(with_seq(expected, number), *frame);
        for overtaken in self.queue.iter().take(index) {
            let is_own_join =
                matches!(overtaken, ExpectedFrame::Join(name) if *name == frame.data_source);
            assert!(may_overtake && !is_own_join, "{frame:?} overtook a notice");
        }
    }

    /// Checks that a sealed batch left out delayed notices alone. Returns the time until which they
    /// may be delayed.
    pub fn check_sealed(&mut self, now: Now) -> Option<Duration> {
        self.times = BTreeSet::from([now.unix_ms]);
        if self.queue.is_empty() {
            return None;
        }
        let is_notice = |frame: &ExpectedFrame| !matches!(frame, ExpectedFrame::Message { .. });
        assert!(self.queue.iter().all(is_notice), "messages are not delayed");
        let deadline = self.last_crowd.map(|then| then + MAX_NOTICE_DELAY);
        assert!(deadline > Some(now.uptime), "a notice is late");
        deadline
    }
}

fn notice(names: &[impl AsRef<str>], verb: &str) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names[..] {
        [one] => format!("{one} {verb}"),
        [one, two] => format!("{one} and {two} {verb}"),
        [one, two, three] => format!("{one}, {two} and {three} {verb}"),
        [one, two, ..] => format!("{one}, {two} and {} more {verb}", names.len() - 2),
        [] => panic!("a notice without names"),
    }
}

fn with_seq(mut frame: Frame<'static>, number: u64) -> Frame<'static> {
    match &mut frame.body {
        Body::Chat { seq, .. } | Body::Action { seq, .. } | Body::Name { seq, .. } => *seq = number,
        Body::Info { seq, .. } => *seq = Some(number),
        other => panic!("{other:?} is not a message"),
    }
    frame
}
