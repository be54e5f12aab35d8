//! Two members that talk to each other while a test disturbs the server.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{TIMEOUT, TestClient, TestServer, assert_consecutive, names, wait_until};

/// The pause between two exchanges.
const PAUSE: Duration = Duration::from_millis(5);
/// Bounds of the median exchange, if there are enough, and of each. Other tests that run at the
/// same time make single exchanges slow.
const MAX_MEDIAN: Duration = Duration::from_millis(250);
const MAX_EXCHANGE: Duration = Duration::from_secs(2);
const ENOUGH_EXCHANGES: usize = 20;

/// The members alice and bob, which answer each other on a thread of their own.
pub struct Observers {
    stop: Arc<AtomicBool>,
    exchanges: Arc<AtomicUsize>,
    thread: JoinHandle<Observations>,
}

impl Observers {
    /// Lets alice and bob join an empty room and talk.
    #[track_caller]
    pub fn start(server: &TestServer) -> Self {
        let mut alice = Recorder { client: server.join("alice"), frames: Vec::new() };
        let bob = Recorder { client: server.join("bob"), frames: Vec::new() };
        alice.record_until(|frame| frame["kind"] == "join");
        let fd_count = server.fd_count();
        Observations { alice, bob, exchanges: Vec::new(), fd_count }.resume()
    }

    /// Waits until both have read all that was sent so far. A test that sends much calls this now
    /// and then: otherwise the server closes alice and bob as slow.
    #[track_caller]
    pub fn catch_up(&self) {
        // The current exchange may have started earlier.
        let next = self.exchanges.load(Ordering::Relaxed) + 2;
        wait_until("alice and bob caught up", || self.exchanges.load(Ordering::Relaxed) >= next);
    }

    /// Ends the talk, and checks that both received each line once, in order and without delay.
    #[track_caller]
    pub fn stop(self) -> Observations {
        self.stop.store(true, Ordering::Relaxed);
        let observations =
            self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        observations.assert_in_order();
        observations.assert_without_delay();
        observations
    }

    /// Ends the talk as [`stop`](Self::stop) does, and waits until all other members have left and
    /// the server has no more descriptors open than at the start. Returns the names of all that
    /// joined, in order.
    #[track_caller]
    pub fn stop_when_alone(self, server: &TestServer) -> Vec<String> {
        let mut observations = self.stop();
        let expected = observations.fd_count;
        let deadline = Instant::now() + TIMEOUT;
        loop {
            observations.alice.client.say("/who");
            let who = observations.alice.record_until(|frame| frame["kind"] == "who");
            let (joined, present) = presence(&observations.alice.frames);
            let fd_count = server.fd_count();
            let is_alone = names(&who, "who").eq(["alice", "bob"]);
            if is_alone && present.is_empty() && fd_count <= expected {
                observations.assert_in_order();
                return joined;
            }
            assert!(
                Instant::now() < deadline,
                "still there: {who}; without a leave: {present:?}; \
                 {fd_count} descriptors instead of {expected}"
            );
            thread::sleep(PAUSE);
        }
    }
}

/// The frames that alice and bob received.
pub struct Observations {
    pub alice: Recorder,
    pub bob: Recorder,
    exchanges: Vec<Duration>,
    /// Descriptors of the server with alice and bob alone.
    fd_count: usize,
}

/// A member that keeps all frames.
pub struct Recorder {
    pub client: TestClient,
    pub frames: Vec<Value>,
}

impl Recorder {
    /// Reads and keeps frames up to one that matches.
    #[track_caller]
    pub fn record_until(&mut self, mut matches: impl FnMut(&Value) -> bool) -> Value {
        self.client.recv_until(|frame| {
            self.frames.push(frame.clone());
            matches(frame)
        })
    }

    /// Sends a line, and waits until both members have received it.
    #[track_caller]
    fn tell(&mut self, other: &mut Recorder, text: &str) {
        self.client.say(text);
        other.record_until(|frame| frame["data"] == text);
        self.record_until(|frame| frame["data"] == text);
    }
}

impl Observations {
    /// Lets the two talk again.
    pub fn resume(mut self) -> Observers {
        let (stop, exchanges) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (is_stopped, count) = (Arc::clone(&stop), Arc::clone(&exchanges));
        let thread = thread::spawn(move || {
            loop {
                self.exchange();
                count.fetch_add(1, Ordering::Relaxed);
                if is_stopped.load(Ordering::Relaxed) {
                    return self;
                }
                thread::sleep(PAUSE);
            }
        });
        Observers { stop, exchanges, thread }
    }

    /// Checks that the other members are exactly these, sorted by name, by the notices that alice
    /// received and by `/who`.
    #[track_caller]
    pub fn assert_present(&mut self, others: &[String]) {
        let alice = &mut self.alice;
        let (_, mut present) = presence(&alice.frames);
        while present.len() < others.len() {
            alice.record_until(|frame| frame["kind"] == "join");
            present = presence(&alice.frames).1;
        }
        assert!(present.iter().eq(others), "{present:?}");
        alice.client.say("/who");
        let who = alice.record_until(|frame| frame["kind"] == "who");
        present.extend(["alice".to_owned(), "bob".to_owned()]);
        assert_eq!(names(&who, "who").map(str::to_owned).collect::<BTreeSet<_>>(), present);
    }

    fn exchange(&mut self) {
        let Observations { alice, bob, exchanges, .. } = self;
        let text = format!("exchange {}", exchanges.len());
        let start = Instant::now();
        alice.tell(bob, &text);
        bob.tell(alice, &text);
        exchanges.push(start.elapsed());
    }

    /// Checks that both received the same consecutive frames, with each of their lines once.
    #[track_caller]
    fn assert_in_order(&self) {
        let [alice, bob] = [&self.alice, &self.bob].map(|recorder| {
            let sequence = recorder.frames.iter().filter(|frame| frame["seq"].is_u64());
            let sequence: Vec<&Value> = sequence.filter(|frame| frame["kind"] != "bye").collect();
            let seqs: Vec<u64> = sequence.iter().map(|f| f["seq"].as_u64().unwrap()).collect();
            assert_consecutive(&seqs);
            sequence
        });
        // `zip` ends with the shorter one: the other may have read more at the end.
        let both = alice.iter().skip(1).zip(&bob);
        both.for_each(|(alice, bob)| assert_eq!(alice, bob));
        let exchanged = alice.iter().filter(|frame| {
            frame["data"].as_str().is_some_and(|text| text.starts_with("exchange "))
        });
        let exchanged: Vec<(&str, &str)> = exchanged
            .map(|frame| (frame["data_source"].as_str().unwrap(), frame["data"].as_str().unwrap()))
            .collect();
        assert_eq!(exchanged.len(), 2 * self.exchanges.len());
        for (n, pair) in exchanged.chunks(2).enumerate() {
            let text = format!("exchange {n}");
            assert_eq!(pair, [("alice", &*text), ("bob", &*text)]);
        }
    }

    #[track_caller]
    fn assert_without_delay(&self) {
        let mut sorted = self.exchanges.clone();
        sorted.sort();
        let (median, longest) = (sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
        let is_enough = sorted.len() >= ENOUGH_EXCHANGES;
        assert!(!is_enough || median < MAX_MEDIAN, "the median exchange took {median:?}");
        assert!(longest < MAX_EXCHANGE, "an exchange took {longest:?}");
    }
}

/// Returns the names that joined, in order, and those that are present, both without alice and bob.
/// Checks that no present name joins and no absent name leaves.
#[track_caller]
fn presence(frames: &[Value]) -> (Vec<String>, BTreeSet<String>) {
    let (mut joined, mut present) = (Vec::new(), BTreeSet::new());
    for frame in frames {
        for name in names(frame, "join").filter(|name| !["alice", "bob"].contains(name)) {
            assert!(present.insert(name.to_owned()), "{name} joined twice: {frame}");
            joined.push(name.to_owned());
        }
        for name in names(frame, "leave") {
            assert!(present.remove(name), "{name} left without a join: {frame}");
        }
    }
    (joined, present)
}
