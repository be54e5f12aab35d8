//! Two members who talk to each other while something goes wrong around them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{PATIENCE, TestClient, TestServer, assert_consecutive, eventually, names};

/// Between two lines: they are there to notice a delay, not to make one.
const PAUSE: Duration = Duration::from_millis(5);
/// What half of the round trips take at most, where there are enough of them to speak of halves,
/// and what each of them does. A machine that runs other tests beside this one is slow now and
/// then, and never for long.
const USUAL_TRIP: Duration = Duration::from_millis(250);
const WORST_TRIP: Duration = Duration::from_secs(2);
const ENOUGH_TRIPS: usize = 20;

/// alice and bob, who answer each other on a thread of their own.
pub struct Witnesses {
    stop: Arc<AtomicBool>,
    trips: Arc<AtomicUsize>,
    talk: JoinHandle<Testimony>,
}

impl Witnesses {
    /// Lets the two join a room in which nobody else is, and begin.
    #[track_caller]
    pub fn call(server: &TestServer) -> Self {
        let mut alice = Witness { client: server.join("alice"), heard: Vec::new() };
        let bob = Witness { client: server.join("bob"), heard: Vec::new() };
        alice.hear(|frame| frame["kind"] == "join");
        let descriptors = server.descriptors();
        Testimony { alice, bob, trips: Vec::new(), descriptors }.go_on()
    }

    /// Waits until both have read what there is by now. Who says much has to, now and then: the
    /// two are clients like others, and let go if they do not keep up.
    #[track_caller]
    pub fn catch_up(&self) {
        // The one that goes on may have begun before.
        let next = self.trips.load(Ordering::Relaxed) + 2;
        eventually("the witnesses have caught up", || self.trips.load(Ordering::Relaxed) >= next);
    }

    /// Ends the talk. The two have heard each line once, in order and promptly.
    #[track_caller]
    pub fn stop(self) -> Testimony {
        self.stop.store(true, Ordering::Relaxed);
        let testimony = self.talk.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        testimony.assert_in_order();
        testimony.assert_prompt();
        testimony
    }

    /// Ends the talk likewise once nobody else is left: all who came have gone, each after it had
    /// come, and the server has no descriptor more than before. Returns the names that came, in
    /// order.
    #[track_caller]
    pub fn stop_when_alone(self, server: &TestServer) -> Vec<String> {
        let mut testimony = self.stop();
        let before = testimony.descriptors;
        let deadline = Instant::now() + PATIENCE;
        loop {
            testimony.alice.client.say("/who");
            let who = testimony.alice.hear(|frame| frame["kind"] == "who");
            let (came, still_here) = account(&testimony.alice.heard);
            let descriptors = server.descriptors();
            let is_alone = names(&who, "who").eq(["alice", "bob"]);
            if is_alone && still_here.is_empty() && descriptors <= before {
                testimony.assert_in_order();
                return came;
            }
            assert!(
                Instant::now() < deadline,
                "still there: {who}, told of as such: {still_here:?}, \
                 {descriptors} descriptors and not {before}"
            );
            thread::sleep(PAUSE);
        }
    }
}

/// What the two have heard.
pub struct Testimony {
    pub alice: Witness,
    pub bob: Witness,
    trips: Vec<Duration>,
    /// Of the server, when nobody else was there.
    descriptors: usize,
}

/// A member who keeps all that it hears.
pub struct Witness {
    pub client: TestClient,
    pub heard: Vec<Value>,
}

impl Witness {
    /// Reads up to a frame for which it is so.
    #[track_caller]
    pub fn hear(&mut self, mut is_so: impl FnMut(&Value) -> bool) -> Value {
        self.client.until(|frame| {
            self.heard.push(frame.clone());
            is_so(frame)
        })
    }

    /// Says something, and waits until both have heard it.
    #[track_caller]
    fn tell(&mut self, other: &mut Witness, text: &str) {
        self.client.say(text);
        other.hear(|frame| frame["data"] == text);
        self.hear(|frame| frame["data"] == text);
    }
}

impl Testimony {
    /// Lets the two talk again.
    pub fn go_on(mut self) -> Witnesses {
        let (stop, trips) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (told_to_stop, count) = (Arc::clone(&stop), Arc::clone(&trips));
        let talk = thread::spawn(move || {
            loop {
                self.talk();
                count.fetch_add(1, Ordering::Relaxed);
                if told_to_stop.load(Ordering::Relaxed) {
                    return self;
                }
                thread::sleep(PAUSE);
            }
        });
        Witnesses { stop, trips, talk }
    }

    /// These others, in the order of their names, are in the room, and nobody else; alice has
    /// been told so, by notices and when she asks.
    #[track_caller]
    pub fn assert_present(&mut self, others: &[String]) {
        let alice = &mut self.alice;
        let (_, mut here) = account(&alice.heard);
        while here.len() < others.len() {
            alice.hear(|frame| frame["kind"] == "join");
            here = account(&alice.heard).1;
        }
        assert!(here.iter().eq(others), "{here:?}");
        alice.client.say("/who");
        let who = alice.hear(|frame| frame["kind"] == "who");
        here.extend(["alice".to_owned(), "bob".to_owned()]);
        assert_eq!(names(&who, "who").map(str::to_owned).collect::<BTreeSet<_>>(), here);
    }

    /// One says something and the other answers.
    fn talk(&mut self) {
        let Testimony { alice, bob, trips, .. } = self;
        let text = format!("witness {}", trips.len());
        let start = Instant::now();
        alice.tell(bob, &text);
        bob.tell(alice, &text);
        trips.push(start.elapsed());
    }

    /// Both have seen the same, without a hole, and each line of theirs once and in its turn.
    #[track_caller]
    fn assert_in_order(&self) {
        let [alice, bob] = [&self.alice, &self.bob].map(|witness| {
            let sequel = witness.heard.iter().filter(|frame| frame["seq"].is_u64());
            let sequel: Vec<&Value> = sequel.filter(|frame| frame["kind"] != "bye").collect();
            let seqs: Vec<u64> = sequel.iter().map(|f| f["seq"].as_u64().unwrap()).collect();
            assert_consecutive(&seqs);
            sequel
        });
        // One of them may have read on when the other was done.
        let both = alice.iter().skip(1).zip(&bob);
        both.for_each(|(alice, bob)| assert_eq!(alice, bob));
        let said = alice.iter().filter(|frame| {
            frame["data"].as_str().is_some_and(|text| text.starts_with("witness "))
        });
        let said: Vec<(&str, &str)> = said
            .map(|frame| (frame["data_source"].as_str().unwrap(), frame["data"].as_str().unwrap()))
            .collect();
        assert_eq!(said.len(), 2 * self.trips.len());
        for (n, turn) in said.chunks(2).enumerate() {
            let text = format!("witness {n}");
            assert_eq!(turn, [("alice", &*text), ("bob", &*text)]);
        }
    }

    #[track_caller]
    fn assert_prompt(&self) {
        let mut trips = self.trips.clone();
        trips.sort();
        let (usual, worst) = (trips[trips.len() / 2], trips[trips.len() - 1]);
        let is_usual = usual < USUAL_TRIP || trips.len() < ENOUGH_TRIPS;
        assert!(is_usual, "half of {} round trips took {usual:?} or more", trips.len());
        assert!(worst < WORST_TRIP, "of {} round trips one took {worst:?}", trips.len());
    }
}

/// Who came, in order, and who of them has not gone, by the notices alone. Nobody comes who is
/// here, and nobody goes who is not.
#[track_caller]
pub fn account(heard: &[Value]) -> (Vec<String>, BTreeSet<String>) {
    let (mut came, mut here) = (Vec::new(), BTreeSet::new());
    for frame in heard {
        for name in names(frame, "join").filter(|name| !["alice", "bob"].contains(name)) {
            assert!(here.insert(name.to_owned()), "{name} came twice: {frame}");
            came.push(name.to_owned());
        }
        for name in names(frame, "leave") {
            assert!(here.remove(name), "{name} went and had not come: {frame}");
        }
    }
    (came, here)
}
