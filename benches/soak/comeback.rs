//! How a member comes into the room, and back into it: who it is then, what it missed, and which
//! of its lines made it.

use std::cmp::Ordering;
use std::io;
use std::time::Instant;

use serde_json::json;
use smolchat::protocol::{Body, ByeCode, Frame};

use crate::check::{Ask, Took};
use crate::link::Link;
use crate::member::{Member, Outcome, Place};
use crate::sequence::Entry;
use crate::world::{Halt, PATIENCE};

impl Member {
    /// The hello with which it would come back now.
    pub fn hello(&self) -> String {
        let hello = match &self.place {
            Some(Place { epoch, token, after }) => json!({
                "name": self.name, "epoch": epoch, "after": after, "token": token, "keep": self.keep
            }),
            None => json!({ "name": self.name, "keep": self.keep, "history": self.history }),
        };
        json!({ "hello": hello }).to_string()
    }

    /// Connects to the server, by one way or the other.
    pub async fn connect(&mut self) -> Result<Link, Halt> {
        let is_tcp = self.ways.once_in(2);
        Ok(Link::connect(&self.world, is_tcp, Some(self.index), &self.tail).await?)
    }

    /// Comes into the room, hears what it missed, and says again what did not make it.
    pub async fn come_back(&mut self) -> Result<(), Halt> {
        loop {
            let mut link = self.connect().await?;
            link.seen = self.place.as_ref().map_or(0, |place| place.after);
            link.history = self.history;
            link.say(&self.hello()).await;
            self.link = Some(link);
            self.late = false;
            let end = Instant::now() + PATIENCE;
            let outcome = self.read(end, |member| member.is_up_to_date() || member.late).await?;
            if self.late {
                self.world.totals.borrow_mut().late_hellos += 1;
                self.link = None;
            } else if outcome == Outcome::Late {
                return Err(Halt::Broken("waited in vain for what was missed".to_owned()));
            } else if outcome == Outcome::Done {
                break;
            }
        }
        // Nothing of what is pending is on its way any more.
        if let Some(link) = &self.link {
            for line in &self.pending {
                link.say(&line.text).await;
            }
        }
        self.report();
        Ok(())
    }

    /// Whether it is welcome, and has heard all that was said before.
    fn is_up_to_date(&self) -> bool {
        let is_so = |link: &Link| link.welcomed_at.is_some_and(|seq| link.seen >= seq);
        self.link.as_ref().is_some_and(is_so)
    }

    /// The link came to its end.
    pub fn end(&mut self, error: Option<&io::Error>) -> Result<(), Halt> {
        let Some(link) = self.let_go() else { return Ok(()) };
        if self.world.ending.get() && link.bye == Some(ByeCode::Shutdown) {
            return Err(Halt::Ended);
        }
        link.check_end(error)?;
        match link.bye {
            Some(ByeCode::Slow) => self.world.totals.borrow_mut().slow += 1,
            Some(ByeCode::Quit) if !self.pending.is_empty() || !link.asked.is_empty() => {
                let (lines, asked) = (self.pending.len(), &link.asked);
                let text = format!("bye, and {lines} lines and {asked:?} are not answered");
                return Err(Halt::Broken(text));
            }
            _ => {}
        }
        Ok(())
    }

    /// Is nobody any more; what comes next is a fresh start.
    pub fn forget(&mut self) {
        self.place = None;
        self.report();
    }

    /// A line came.
    pub fn take(&mut self, line: &[u8]) -> Result<(), Halt> {
        let Some(link) = &mut self.link else { return Ok(()) };
        match link.take(line)? {
            Took::Next(entry) => Ok(self.follow(&entry)?),
            Took::Welcome(frame) => self.enter(*frame),
            Took::Gap => {
                self.give_up_pending();
                Ok(())
            }
            Took::Other => Ok(()),
        }
    }

    /// Whether what is pending was said cannot be known, so it is not said again.
    fn give_up_pending(&mut self) {
        self.pending.clear();
        self.world.sequence.borrow_mut().doubt(self.index, self.said);
    }

    fn enter(&mut self, frame: Frame<'static>) -> Result<(), Halt> {
        let Body::Welcome { name, epoch, seq, token, resumed, .. } = frame.body else {
            return Ok(());
        };
        let was_here = self.place.as_ref().is_some_and(|place| place.epoch == epoch);
        if was_here && !resumed || name.starts_with("guest-") {
            self.late = name.starts_with("guest-");
            if !self.late {
                return Err(Halt::Broken("not resumed, in the same epoch".to_owned()));
            }
            return Ok(());
        }
        if epoch != self.world.sequence.borrow().epoch {
            return Err(Halt::Broken(format!("epoch {epoch} is another than everybody's")));
        }
        if self.place.is_some() && !was_here {
            self.give_up_pending();
        }
        if was_here {
            self.world.totals.borrow_mut().resumes += 1;
        }
        // Its own, or the one that it asked for before the link was lost.
        let is_own = *name == self.name || self.pending.iter().any(|line| line.becomes == name);
        if !is_own {
            if !self.name_in_doubt || !name.starts_with(&format!("{}-", self.name)) {
                let text = format!("welcome, {name}, who should be {}", self.name);
                return Err(Halt::Broken(text));
            }
            self.ask_nothing(Ask::Complaint);
        }
        self.name = name.into();
        self.name_in_doubt = false;
        let after = if was_here { self.place.as_ref().map_or(0, |place| place.after) } else { seq };
        self.place = Some(Place { epoch: epoch.into(), token: token.into(), after });
        self.report();
        Ok(())
    }

    /// The next frame of the sequence.
    fn follow(&mut self, entry: &Entry) -> Result<(), String> {
        let Some((who, number)) = entry.line else { return Ok(()) };
        self.heard += u64::from(Some(who) == self.listens_to);
        let Some(first) = self.pending.front().filter(|_| who == self.index) else {
            return Ok(());
        };
        match number.cmp(&first.number) {
            Ordering::Less => return Ok(()),
            Ordering::Greater => return Err(format!("line {} was passed over", first.number)),
            Ordering::Equal => {}
        }
        let is_it = match &entry.frame.body {
            Body::Name { to, .. } => *to == first.becomes,
            _ => entry.frame.data == first.becomes,
        };
        if !is_it {
            return Err(format!("line {number} became another than {}", first.becomes));
        }
        self.pending.pop_front();
        // In a replay, the welcome knew it already.
        let welcomed_at = self.link.as_ref().and_then(|link| link.welcomed_at);
        if let Body::Name { to, seq, .. } = &entry.frame.body
            && Some(*seq) > welcomed_at
        {
            self.name = to.to_string();
            self.report();
        }
        Ok(())
    }
}
