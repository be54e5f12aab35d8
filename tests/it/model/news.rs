//! What the model has to tell, to all and to one.
//!
//! To all: what was said and who came and went, in the order in which it was so.
//! What the room is free to choose is taken from its frames: into which notices it gathers those
//! who come and go.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use smolchat::protocol::{Body, ByeCode, ErrorCode, Frame, SERVER, Stats, is_valid_name};
use smolchat::room::Now;

use super::script::NO_NAMES;

/// How long a notice of who came or went may wait in a crowd.
const GATHERED_FOR: Duration = Duration::from_secs(1);

/// What is due to all, and was not told yet.
#[derive(Default)]
pub struct ExpectedFrame {
    /// With so many members, a notice of who came or went may wait.
    crowd: usize,
    due: VecDeque<Item>,
    /// Where the room stands, with all that is due.
    pub place: Place,
    /// When there was a crowd last.
    crowded: Option<Duration>,
    /// The times that what is told next may have.
    times: BTreeSet<u64>,
}

/// A place in what all are told: how much was said, and how many came and went, up to there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub said: usize,
    pub came: usize,
    pub went: usize,
}

/// What is due to one client, and where that belongs in what all are told.
#[derive(Debug)]
pub struct Due {
    pub own: Own,
    pub place: Place,
}

/// What one client is to be sent, in this order.
#[derive(Debug)]
pub enum Own {
    Welcome {
        name: String,
        token: String,
        members: usize,
        after: Option<u64>,
        history: u64,
        held: u64,
        sealed: u64,
    },
    Gap {
        from: u64,
        to: u64,
    },
    /// The last frames again, as many as are held.
    Past {
        count: u64,
        held: u64,
    },
    Who {
        here: Vec<String>,
        answer_bytes: usize,
        word: Option<Box<str>>,
    },
    Info(Option<Box<str>>),
    Stats(Option<Box<str>>, Stats),
    Error(ErrorCode, Option<Box<str>>),
    /// Behind the welcome: the name is not the one that was asked for.
    Complaint(ErrorCode, Option<Box<str>>),
    Private(Frame<'static>),
    /// The last, behind all else.
    Bye(ByeCode),
    /// The last, in place of all that waits.
    Evicted(ByeCode),
}

enum Item {
    Came(String),
    Went(String),
    /// `overtakes`: it need not wait for the notices of others.
    Said {
        frame: Frame<'static>,
        overtakes: bool,
    },
}

impl Place {
    /// The place behind a frame.
    pub fn behind(self, frame: &Frame<'_>) -> Place {
        match &frame.body {
            Body::Join { names, .. } => Place { came: self.came + names.len(), ..self },
            Body::Leave { names, .. } => Place { went: self.went + names.len(), ..self },
            _ => Place { said: self.said + 1, ..self },
        }
    }
}

impl ExpectedFrame {
    pub fn new(crowd: usize) -> Self {
        ExpectedFrame { crowd, ..ExpectedFrame::default() }
    }

    pub fn set_time(&mut self, now: Now, members: usize) {
        self.times.insert(now.unix_ms);
        self.count(members, now);
    }

    fn count(&mut self, members: usize, now: Now) {
        if members >= self.crowd {
            self.crowded = Some(now.uptime);
        }
    }

    pub fn came(&mut self, name: String, members: usize, now: Now) {
        self.count(members, now);
        self.due.push_back(Item::Came(name));
        self.place.came += 1;
    }

    pub fn went(&mut self, name: String) {
        self.due.push_back(Item::Went(name));
        self.place.went += 1;
    }

    pub fn said(&mut self, frame: Frame<'static>, members: usize) {
        let overtakes = members >= self.crowd && frame.data_source != SERVER;
        self.due.push_back(Item::Said { frame, overtakes });
        self.place.said += 1;
    }

    /// All were sent this frame, with this number. It must be due.
    pub fn all_are_told(&mut self, number: u64, frame: &Frame<'_>) {
        assert_eq!(frame.body.seq(), Some(number), "the next number of the sequence");
        match &frame.body {
            Body::Join { names, time, .. } => {
                assert_eq!(frame.data, notice(names, "joined"));
                self.notice(frame, *time, names.iter().map(|name| Item::Came(name.to_string())));
            }
            Body::Leave { names, time, .. } => {
                assert_eq!(frame.data, notice(names, "left"));
                self.notice(frame, *time, names.iter().map(|name| Item::Went(name.to_string())));
            }
            _ => self.was_said(number, frame),
        }
    }

    /// Those who came and went are told of in order, and each once.
    fn notice(&mut self, frame: &Frame<'_>, time: u64, names: impl ExactSizeIterator<Item = Item>) {
        assert_eq!(frame.data_source, SERVER);
        assert!((1..=256).contains(&names.len()), "a notice has some names, and not too many");
        assert!(self.times.contains(&time), "the time of a notice is that of some event");
        for told in names {
            let place = self.due.iter().position(|item| !matches!(item, Item::Said { .. }));
            match (place.and_then(|place| self.due.remove(place)), told) {
                (Some(Item::Came(due)), Item::Came(name)) => {
                    assert_eq!(due, name);
                    assert!(
                        is_valid_name(&name) && !NO_NAMES.contains(&&*name),
                        "{name} is a name"
                    );
                }
                (Some(Item::Went(due)), Item::Went(name)) => assert_eq!(due, name),
                _ => panic!("nobody came or went of whom {frame:?} could tell"),
            }
        }
    }

    /// What is said is told in order, and behind the notices that it must not overtake.
    fn was_said(&mut self, number: u64, frame: &Frame<'_>) {
        let place = self.due.iter().position(|item| matches!(item, Item::Said { .. }));
        let place = place.unwrap_or_else(|| panic!("nobody said {frame:?}"));
        let Some(Item::Said { frame: due, overtakes }) = self.due.remove(place) else { return };
        assert_eq!(numbered(due, number), *frame);
        for late in self.due.iter().take(place) {
            let may_be_late =
                overtakes && !matches!(late, Item::Came(name) if *name == frame.data_source);
            assert!(may_be_late, "{frame:?} overtook a notice");
        }
    }

    /// A batch is closed. What is still due, if anything, until when?
    pub fn is_sealed(&mut self, now: Now) -> Option<Duration> {
        self.times = BTreeSet::from([now.unix_ms]);
        if self.due.is_empty() {
            return None;
        }
        let is_notice = |item: &Item| !matches!(item, Item::Said { .. });
        assert!(self.due.iter().all(is_notice), "what was said is told at once");
        let due = self.crowded.map(|then| then + GATHERED_FOR);
        assert!(due > Some(now.uptime), "a notice is late");
        due
    }
}

fn notice(names: &[impl AsRef<str>], what: &str) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names[..] {
        [one] => format!("{one} {what}"),
        [one, two] => format!("{one} and {two} {what}"),
        [one, two, three] => format!("{one}, {two} and {three} {what}"),
        [one, two, ..] => format!("{one}, {two} and {} more {what}", names.len() - 2),
        [] => panic!("nobody {what}"),
    }
}

fn numbered(mut frame: Frame<'static>, number: u64) -> Frame<'static> {
    match &mut frame.body {
        Body::Chat { seq, .. } | Body::Action { seq, .. } | Body::Name { seq, .. } => *seq = number,
        other => panic!("{other:?} is nothing that is said"),
    }
    frame
}
