//! What members do: the crowd, step by step; the pair of witnesses; and the pair that tests how
//! names are kept.

use std::time::{Duration, Instant};

use serde_json::json;
use smolchat::protocol::{ByeCode, ErrorCode};

use crate::check::Ask;
use crate::member::{Member, Outcome};
use crate::script::{Cut, Question, Step};
use crate::sequence::NEVER;
use crate::world::{GRACE, Halt, LOOK, PATIENCE, micros};

/// The first two members are the witnesses: one speaks, the other answers.
pub const WITNESS: usize = 0;
/// See [`WITNESS`].
pub const ECHO: usize = 1;
/// The third loses its name and comes back for it.
pub const KEEPER: usize = 2;
/// The fourth wants the third one's name.
pub const TAKER: usize = 3;
/// Those and the crowd.
pub const SPECIAL: usize = 4;

/// Texts that are hard to get through unharmed.
const FILLINGS: [&str; 4] =
    ["so it goes ", "小明 said Ωμέγα, ", "\"\\/{}[]\t\u{1b}[31m\r ", "🦀e\u{301}\u{200b}\u{0}"];

/// The name of a witness is taken, once that is here.
const TAKEN: &[u8] = b"/nick M0";

/// Lines that are wrong, and the error that answers each.
const GARBAGE: [(&[u8], ErrorCode); 13] = [
    (b"\xff\xfe not UTF-8", ErrorCode::NotUtf8),
    (b"{ not JSON", ErrorCode::BadJson),
    (b"{\"data\":5}", ErrorCode::BadJson),
    (b"{\"text\":\"never said\"}", ErrorCode::NoKnownKey),
    (b"{\"data\":\"\",\"to\":\"m0\"}", ErrorCode::Empty),
    (b"/dance", ErrorCode::UnknownCommand),
    (b"/msg m0", ErrorCode::Usage),
    (b"/history -1", ErrorCode::Usage),
    (b"/nick two words", ErrorCode::BadName),
    (b"/nick server", ErrorCode::BadName),
    (TAKEN, ErrorCode::NameTaken),
    (b"/msg nobody never said", ErrorCode::NoSuchUser),
    (b"{\"hello\":{\"name\":\"m0\"}}", ErrorCode::LateHello),
];

/// The garbage of a number, with what answers it.
pub fn garbage(kind: usize) -> (Vec<u8>, Ask) {
    let (line, code, id) = match kind % (GARBAGE.len() + 3) {
        0 => (vec![b'x'; 5000], ErrorCode::TooLong, None),
        1 => {
            let line = json!({ "data": NEVER, "id": "x".repeat(65) }).to_string();
            (line.into_bytes(), ErrorCode::BadId, None)
        }
        2 => (br#"{"data":"/dance","id":"d"}"#.to_vec(), ErrorCode::UnknownCommand, Some("d")),
        kind => {
            let (line, code) = GARBAGE[kind - 3];
            (line.to_vec(), code, None)
        }
    };
    (line, Ask::Error(code, id.map(str::to_owned)))
}

impl Member {
    /// One of the crowd, until the server ends.
    pub async fn follow_script(&mut self) -> Result<(), Halt> {
        loop {
            let (rest, step) = (self.rng.pause(0, 8_000), Step::draw(&mut self.rng));
            self.rest(rest).await?;
            // Behind a quiet point it rests anew, so that not all do something at once.
            while !self.world.is_busy() {
                self.be_quiet().await?;
                self.rest(rest).await?;
            }
            self.perform(step).await?;
        }
    }

    async fn perform(&mut self, step: Step) -> Result<(), Halt> {
        match step {
            Step::Say { lines, bytes } => {
                for _ in 0..lines {
                    self.chat(bytes).await;
                }
            }
            Step::Act => {
                let text = format!("waves {}", self.rng.between(0, 100));
                self.say(&format!("/me {text}"), &text).await;
            }
            Step::Nick => {
                let name = self.fresh_name();
                self.say(&format!("/nick {name}"), &name).await;
            }
            Step::Private(to) => self.tell(to).await,
            Step::Ask(question) => {
                let id = self.question();
                let (data, answer) = match question {
                    Question::History(count) => {
                        (format!("/history {count}"), Ask::History(id.clone(), count))
                    }
                    Question::Help => ("/help".to_owned(), Ask::Info(id.clone())),
                    Question::Heartbeat => (String::new(), Ask::Info(id.clone())),
                };
                self.ask(json!({ "data": data, "id": id }).to_string().as_bytes(), answer).await;
            }
            Step::Garbage { kind, lines } => {
                for kind in kind..kind + lines {
                    let (line, answer) = garbage(kind);
                    if line == TAKEN && self.world.sequence.borrow().came_at("m0").is_none() {
                        continue;
                    }
                    self.ask(&line, answer).await;
                }
                // Whoever says nothing right for long is sent away.
                self.chat(0).await;
            }
            Step::Stall(time) => self.stall(time).await?,
            Step::Cut { how, talk, away, keep } => {
                self.chat_on(talk).await;
                self.cut(how).await?;
                self.world.pause(away).await;
                self.keep = keep;
                self.come_back().await?;
            }
            Step::TakeOver { talk } => self.take_over(talk).await?,
            Step::Quit { away, history } => {
                self.quit().await?;
                self.world.pause(away).await;
                self.history = history;
                self.come_back().await?;
            }
        }
        Ok(())
    }

    async fn chat(&mut self, bytes: usize) {
        let mut text = format!("{}: ", self.index);
        while text.len() < bytes {
            text.push_str(self.rng.pick(&FILLINGS));
        }
        self.say(&text, &text).await;
    }

    async fn chat_on(&mut self, lines: usize) {
        for _ in 0..lines {
            self.chat(20).await;
        }
    }

    async fn tell(&mut self, to: usize) {
        let standing = {
            let standings = self.world.standings.borrow();
            let to = to % standings.len();
            standings[to].name.clone().map(|name| (to, name))
        };
        let Some((to, name)) = standing.filter(|_| self.link.is_some()) else { return };
        let id = self.question();
        self.world.expect_private(id.clone(), self.index, to);
        let line = json!({ "data": "psst", "to": name, "id": id }).to_string();
        self.ask(line.as_bytes(), Ask::Private { id, to, name }).await;
    }

    /// Reads nothing for a while; then it hears all that the others heard meanwhile, or bye.
    async fn stall(&mut self, time: Duration) -> Result<(), Halt> {
        let Some(number) = self.link.as_ref().map(|link| link.number) else { return Ok(()) };
        self.neglect();
        self.world.pause(time).await;
        let target = self.world.sequence.borrow().cursor();
        let caught_up =
            move |member: &Member| member.link.as_ref().is_none_or(|link| link.seen >= target);
        match self.read(Instant::now() + PATIENCE, caught_up).await? {
            Outcome::Late => Err(Halt::Broken(format!("stalled, and {target} does not come"))),
            _ => {
                let same = self.link.as_ref().is_some_and(|link| link.number == number);
                self.world.totals.borrow_mut().caught_up += u64::from(same);
                Ok(())
            }
        }
    }

    async fn cut(&mut self, how: Cut) -> Result<(), Halt> {
        if self.link.is_none() {
            return Ok(());
        }
        self.becomes_shaky();
        if matches!(how, Cut::InsideLine | Cut::HalfCloseInsideLine)
            && let Some(link) = &self.link
        {
            link.write(format!("{{\"data\":\"{NEVER}").as_bytes()).await;
        }
        match how {
            Cut::Close => drop(self.let_go()),
            Cut::Reset | Cut::InsideLine => self.reset(),
            Cut::HalfClose | Cut::HalfCloseInsideLine => {
                if matches!(how, Cut::HalfCloseInsideLine) {
                    self.ask_nothing(Ask::Error(ErrorCode::Unfinished, None));
                }
                self.half_close().await?;
            }
            Cut::BehindHello => {
                self.reset();
                let link = self.connect().await?;
                link.say(&self.hello()).await;
                link.reset();
                self.name_in_doubt = true;
            }
        }
        Ok(())
    }

    fn reset(&mut self) {
        if let Some(link) = self.let_go() {
            link.reset();
        }
    }

    async fn half_close(&mut self) -> Result<(), Halt> {
        if let Some(link) = &self.link {
            link.half_close();
        }
        self.hear_out(ByeCode::Quit).await
    }

    /// Leaves, and is nobody then, unless the server was killed before it said bye.
    async fn quit(&mut self) -> Result<(), Halt> {
        let generation = self.world.generation.get();
        if self.generation() == Some(generation)
            && let Some(link) = &self.link
        {
            self.becomes_shaky();
            link.say("/quit").await;
            self.hear_out(ByeCode::Quit).await?;
            if self.world.generation.get() == generation {
                self.forget();
            }
        }
        Ok(())
    }

    /// Comes back while the old link stands, which ends; nobody else notices.
    async fn take_over(&mut self, talk: usize) -> Result<(), Halt> {
        let came_at = self.world.sequence.borrow().came_at(&self.name);
        // Not before everybody was told of its coming.
        if came_at.is_none() {
            return Ok(());
        }
        self.chat_on(talk).await;
        let Some(mut old) = self.let_go() else { return Ok(()) };
        old.expects = Some(ByeCode::Replaced);
        old.stalled = true;
        self.come_back().await?;
        old.hear_out().await?;
        if old.bye == Some(ByeCode::Replaced) && !old.is_of_a_dead_server() {
            if self.world.sequence.borrow().came_at(&self.name) != came_at {
                return Err(Halt::Broken("others saw it come or go".to_owned()));
            }
            self.world.totals.borrow_mut().takeovers += 1;
        }
        Ok(())
    }

    /// The witness: how long until what it says was answered by the other.
    pub async fn witness(&mut self) -> Result<(), Halt> {
        self.listens_to = Some(ECHO);
        loop {
            self.be_quiet().await?;
            let (heard, start) = (self.heard, Instant::now());
            self.world.is_witness_waiting.set(true);
            self.say("ping", "ping").await;
            let link = self.link.as_ref().map(|link| link.number);
            self.expect("the other answers", |member| member.heard > heard).await?;
            self.world.is_witness_waiting.set(false);
            if link.is_some() && link == self.link.as_ref().map(|link| link.number) {
                let time = micros(start.elapsed());
                self.world.round_trips.borrow_mut().saturating_record(time);
            }
            let rest = self.rng.pause(20, 80);
            self.rest(rest).await?;
        }
    }

    /// The other witness: answers each line of the first.
    pub async fn echo(&mut self) -> Result<(), Halt> {
        self.listens_to = Some(WITNESS);
        let mut answered = 0;
        loop {
            let world = self.world.clone();
            let may_rest = || !world.is_busy() && !world.is_witness_waiting.get();
            self.stay(Instant::now() + 5 * LOOK, |member| member.heard > answered || may_rest())
                .await?;
            while answered < self.heard {
                answered += 1;
                self.say("pong", "pong").await;
            }
            if may_rest() {
                self.be_quiet().await?;
            }
        }
    }
}

/// Over and over: the keeper drops, and its name waits for it alone, if it asked for that.
pub async fn test_names(keeper: &mut Member, taker: &mut Member) -> Result<(), Halt> {
    loop {
        // Whatever happens, the script draws the same.
        let (waits_long, rest) = (keeper.rng.once_in(16), keeper.rng.pause(50, 500));
        keeper.forget();
        keeper.be_absent();
        taker.be_quiet().await?;
        taker.neglect();
        keeper.name = keeper.fresh_name();
        keeper.keep = true;
        keeper.come_back().await?;
        let generation = keeper.generation();
        keeper.half_close().await?;
        let dropped = Instant::now();
        let wanted = format!("/nick {}", keeper.name);
        taker.rest(Duration::ZERO).await?;
        // What is kept is kept in memory.
        if taker.generation() != generation || Some(keeper.world.generation.get()) != generation {
            continue;
        }
        let kept = Ask::Error(ErrorCode::NameKept, None);
        taker.ask(wanted.as_bytes(), kept).await;
        taker.expect("its questions are answered", |taker| taker.is_answered()).await?;
        if waits_long {
            taker.rest(GRACE + Duration::from_secs(3)).await?;
            if dropped.elapsed() <= GRACE + Duration::from_secs(2) {
                continue;
            }
        } else {
            keeper.keep = false;
            keeper.come_back().await?;
            keeper.half_close().await?;
        }
        keeper.world.totals.borrow_mut().kept_names += 1;
        taker.say(&wanted, &keeper.name.clone()).await;
        taker.expect("the name is free again", |taker| taker.is_answered()).await?;
        taker.rest(rest).await?;
    }
}
