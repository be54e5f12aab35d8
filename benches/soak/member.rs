//! A member: who it is from one link to the next, and what it has said.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use smolchat::protocol::ByeCode;

use crate::check::Ask;
use crate::link::{Heard, Link};
use crate::script::Rng;
use crate::world::{Halt, LOOK, PATIENCE, Phase, Tail, World};

/// How reading went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was waited for is so.
    Done,
    /// The time is over.
    Late,
    /// The link is gone.
    Gone,
}

/// A line that was said, and not yet seen in the sequence.
pub struct Pending {
    pub number: u64,
    /// As it goes out.
    pub text: String,
    /// What the frame has to say: its `data`, or the new name.
    pub becomes: String,
}

/// Who one was, to come back.
pub struct Place {
    pub epoch: String,
    pub token: String,
    /// The last number that was seen.
    pub after: u64,
}

/// A scripted member.
pub struct Member {
    pub world: Rc<World>,
    pub index: usize,
    pub rng: Rng,
    pub name: String,
    pub link: Option<Link>,
    pub tail: Tail,
    /// Whether to ask that the name be kept.
    pub keep: bool,
    /// Past frames to ask for on a fresh start.
    pub history: usize,
    /// The last token may be stale, so the old name may not come back.
    pub name_in_doubt: bool,
    /// How many lines of [`listens_to`](Self::listens_to) were seen.
    pub heard: u64,
    /// A member whose lines are counted.
    pub listens_to: Option<usize>,
    pub place: Option<Place>,
    pub pending: VecDeque<Pending>,
    /// Draws by which way to connect: how often it does is no part of the script.
    pub ways: Rng,
    /// The number of the next line.
    pub said: u64,
    names_taken: u64,
    questions: u64,
    /// The hello came too late, and somebody else was welcomed.
    pub late: bool,
}

impl Member {
    /// One that has never been in the room.
    pub fn new(world: &Rc<World>, index: usize, name: String, seed: u64) -> Self {
        Self {
            world: Rc::clone(world),
            index,
            rng: Rng::new(seed, index as u64),
            name,
            link: None,
            tail: Tail::default(),
            keep: true,
            history: 0,
            name_in_doubt: false,
            heard: 0,
            listens_to: None,
            place: None,
            pending: VecDeque::new(),
            ways: Rng::new(!seed, index as u64),
            said: 0,
            names_taken: 0,
            questions: 0,
            late: false,
        }
    }

    /// Whether all that it said, and asked over this link, is answered.
    pub fn is_answered(&self) -> bool {
        self.pending.is_empty() && self.link.as_ref().is_some_and(|link| link.asked.is_empty())
    }

    /// The generation of the server that it is linked to.
    pub fn generation(&self) -> Option<u64> {
        self.link.as_ref().map(|link| link.generation)
    }

    /// Lets the others know how it stands.
    pub fn report(&self) {
        let standing = &mut self.world.standings.borrow_mut()[self.index];
        let link = self.link.as_ref().filter(|link| link.welcomed_at.is_some());
        let number = link.map_or(0, |link| link.number);
        standing.is_shaky &= standing.link == number;
        standing.link = number;
        standing.name = link.map(|_| self.name.clone());
        standing.seen = link.map_or(self.place.as_ref().map_or(0, |p| p.after), |link| link.seen);
        standing.said = self.said;
        standing.settled = false;
        standing.compared = false;
    }

    /// From now on the server may let go of this link before this end of it knows.
    pub fn becomes_shaky(&self) {
        self.world.standings.borrow_mut()[self.index].is_shaky = true;
    }

    /// From now on this link may not be read for a while.
    pub fn neglect(&mut self) {
        self.becomes_shaky();
        if let Some(link) = &mut self.link {
            link.stalled = true;
        }
    }

    /// Says a numbered line, of which the sequence has to show that it `becomes` something.
    pub async fn say(&mut self, data: &str, becomes: &str) {
        let number = self.said;
        self.said += 1;
        self.world.totals.borrow_mut().lines += 1;
        let text = json!({ "data": data, "id": format!("{}-{number}", self.index) }).to_string();
        // If the link breaks meanwhile, it is said again when this member is back.
        self.pending.push_back(Pending { number, text: text.clone(), becomes: becomes.to_owned() });
        if let Some(link) = &self.link {
            link.say(&text).await;
        }
    }

    /// An `id` for a question.
    pub fn question(&mut self) -> String {
        self.questions += 1;
        format!("q{}.{}", self.index, self.questions)
    }

    /// Asks over the present link, if there is one.
    pub async fn ask(&mut self, line: &[u8], answer: Ask) {
        if let Some(link) = &mut self.link {
            link.asked.push_back(answer);
            link.write(&[line, b"\n"].concat()).await;
        }
    }

    /// Lets go of the link, and keeps in mind how far it got.
    pub fn let_go(&mut self) -> Option<Link> {
        let link = self.link.take()?;
        if let Some(place) = self.place.as_mut().filter(|_| link.welcomed_at.is_some()) {
            place.after = link.seen;
        }
        self.report();
        Some(link)
    }

    /// Reads until something is so, the time is over or the link is gone.
    pub async fn read(
        &mut self,
        until: Instant,
        done: impl Fn(&Self) -> bool,
    ) -> Result<Outcome, Halt> {
        loop {
            if done(self) {
                return Ok(Outcome::Done);
            }
            let Some(link) = &mut self.link else { return Ok(Outcome::Gone) };
            match link.hear(until).await {
                Heard::Line(line) => self.take(&line)?,
                Heard::Nothing => return Ok(Outcome::Late),
                Heard::End(error) => {
                    self.end(error.as_ref())?;
                    return Ok(Outcome::Gone);
                }
            }
        }
    }

    /// The same, and comes back as often as the link is lost.
    pub async fn stay(
        &mut self,
        until: Instant,
        done: impl Fn(&Self) -> bool,
    ) -> Result<Outcome, Halt> {
        loop {
            match self.read(until, &done).await? {
                Outcome::Gone => self.come_back().await?,
                outcome => return Ok(outcome),
            }
        }
    }

    /// Stays until something is so, which must be so soon.
    pub async fn expect(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<(), Halt> {
        match self.stay(Instant::now() + PATIENCE, done).await? {
            Outcome::Done => Ok(()),
            _ => Err(Halt::Broken(format!("waited in vain until {what}"))),
        }
    }

    /// Reads on until the server has closed the link.
    pub async fn hear_out(&mut self, code: ByeCode) -> Result<(), Halt> {
        if let Some(link) = &mut self.link {
            link.expects = Some(code);
        }
        match self.read(Instant::now() + PATIENCE, |_| false).await? {
            Outcome::Gone => Ok(()),
            _ => Err(Halt::Broken(format!("waited in vain for bye {code:?}"))),
        }
    }

    /// Rests for so long, unless a quiet point begins.
    pub async fn rest(&mut self, time: Duration) -> Result<(), Halt> {
        let world = Rc::clone(&self.world);
        self.stay(Instant::now() + time, |_| !world.is_busy()).await.map(drop)
    }

    /// Takes part in a quiet point, if there is one.
    pub async fn be_quiet(&mut self) -> Result<(), Halt> {
        let mut has_asked = false;
        while !self.world.is_busy() {
            if self.world.phase.get() == Phase::Comparing && !has_asked {
                has_asked = true;
                let id = self.question();
                let line = json!({ "data": "/who", "id": id }).to_string();
                self.ask(line.as_bytes(), Ask::Who(id)).await;
            }
            self.stay(Instant::now() + 5 * LOOK, |_| false).await?;
            self.report();
            let standing = &mut self.world.standings.borrow_mut()[self.index];
            standing.settled = self.is_answered();
            standing.compared = has_asked && standing.settled;
        }
        self.report();
        Ok(())
    }

    /// Takes part in a quiet point by not being there.
    pub fn be_absent(&mut self) {
        self.report();
        let standing = &mut self.world.standings.borrow_mut()[self.index];
        (standing.settled, standing.compared) = (true, true);
    }

    /// A name that nobody ever had.
    pub fn fresh_name(&mut self) -> String {
        self.names_taken += 1;
        format!("m{}.{}", self.index, self.names_taken)
    }

    /// Something will be answered that no line asks for.
    pub fn ask_nothing(&mut self, answer: Ask) {
        if let Some(link) = &mut self.link {
            link.asked.push_back(answer);
        }
    }
}
