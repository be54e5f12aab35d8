//! A [`Session`] comes back: each line once, in order, whatever happens to the link.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::proxy::Proxy;
use crate::common::{PATIENCE, Scratch, TestServer, assert_consecutive, eventually};
use futures_lite::FutureExt;
use rustix::process::Signal;
use smol::Timer;
use smolchat::client::{Error, Received, ReconnectPolicy, Session, SessionConfig, SessionEvent};
use smolchat::protocol::Body;

/// A server that forgets nothing and holds nobody back.
const ROOMY: &[&str] = &[
    "--rate",
    "0",
    "--max-per-ip",
    "0",
    "--history",
    "20000",
    "--history-bytes",
    "16M",
    "--grace",
    "60",
];

async fn join(address: &str, name: &str, reconnect: ReconnectPolicy) -> Session {
    let config = SessionConfig { name: Some(name.into()), keep: true, ..SessionConfig::default() };
    Session::connect(address.parse().unwrap(), config, reconnect).await.unwrap()
}

/// The next event, which comes within a while.
async fn next(session: &mut Session) -> Result<Option<SessionEvent>, Error> {
    let in_vain = async {
        Timer::after(PATIENCE).await;
        panic!("nothing came in {PATIENCE:?}");
    };
    session.receive().or(in_vain).await
}

/// The first event for which it is so.
async fn until(
    session: &mut Session,
    mut is_so: impl FnMut(&SessionEvent) -> bool,
) -> SessionEvent {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let event = next(session).await.unwrap().expect("the session has ended");
        if is_so(&event) {
            return event;
        }
        assert!(Instant::now() < deadline, "all that came in {PATIENCE:?} was something else");
    }
}

fn chat(event: &SessionEvent) -> Option<&str> {
    match event {
        SessionEvent::Received(Received { frame, is_past: false, .. }) => {
            matches!(frame.body, Body::Chat { .. }).then_some(&*frame.data)
        }
        _ => None,
    }
}

/// Several sessions that all talk at once, each in a thread of its own.
struct Crowd {
    clients: usize,
    /// How many each of them says.
    lines: usize,
    /// How many of its lines each leaves unanswered before it says another.
    ahead: usize,
    /// How long each waits between two lines.
    pace: Duration,
}

impl Crowd {
    /// Lets them talk, once all have come and `calm` is over, until each has heard all of it.
    /// Meanwhile `disturb` does what it likes, with the number of lines heard so far.
    ///
    /// Each must hear each line once, in the order in which its sender said it, in the order of
    /// the sequence, and without a hole in that.
    #[track_caller]
    fn talk(&self, address: &str, disturb: impl FnOnce(&AtomicUsize)) {
        let heard = Arc::new(AtomicUsize::new(0));
        let barrier = Arc::new(Barrier::new(self.clients + 1));
        let members: Vec<_> = (0..self.clients)
            .map(|number| {
                let (heard, barrier) = (Arc::clone(&heard), Arc::clone(&barrier));
                let (address, total) = (address.to_owned(), self.clients * self.lines);
                let Crowd { lines, ahead, pace, .. } = *self;
                thread::spawn(move || {
                    smol::block_on(async {
                        let name = format!("alice-{number}");
                        let mut session = join(&address, &name, ReconnectPolicy::Always).await;
                        barrier.wait();
                        let mut member = Member { number, said: 0, chats: vec![], seqs: vec![] };
                        member.talk(&mut session, lines, ahead, pace, total, &heard).await;
                        member.chats
                    })
                })
            })
            .collect();
        barrier.wait();
        disturb(&heard);
        let chats: Vec<_> = members.into_iter().map(|member| member.join().unwrap()).collect();
        let first = &chats[0];
        for chats in &chats {
            assert!(chats == first, "all heard the same");
            for number in 0..self.clients {
                let prefix = format!("{number}: ");
                let said = chats.iter().filter_map(|chat| chat.strip_prefix(&prefix));
                let expected = (0..self.lines).map(|line| line.to_string());
                assert!(said.eq(expected), "each line of {number}, once and in order");
            }
        }
    }
}

struct Member {
    number: usize,
    said: usize,
    chats: Vec<String>,
    seqs: Vec<u64>,
}

impl Member {
    async fn talk(
        &mut self,
        session: &mut Session,
        lines: usize,
        ahead: usize,
        pace: Duration,
        total: usize,
        heard: &AtomicUsize,
    ) {
        let mut due = Instant::now();
        while self.chats.len() < total || session.unanswered() > 0 {
            let has_more = self.said < lines && session.unanswered() < ahead;
            if has_more && due <= Instant::now() {
                session.say(&format!("{}: {}", self.number, self.said)).unwrap();
                self.said += 1;
                due += pace;
            }
            let event = async { Some(next(session).await.unwrap().expect("no end yet")) };
            let pause = async {
                Timer::at(due).await;
                None
            };
            let event = if has_more { event.or(pause).await } else { event.await };
            match event {
                Some(SessionEvent::Gap { from, to }) => panic!("{from} to {to} were lost"),
                Some(SessionEvent::Reconnected { resumed, .. }) => assert!(resumed),
                Some(event) => self.note(&event, heard),
                None => {}
            }
        }
        assert_consecutive(&self.seqs);
        session.finish();
        while next(session).await.unwrap().is_some() {}
    }

    fn note(&mut self, event: &SessionEvent, heard: &AtomicUsize) {
        if let Some(chat) = chat(event) {
            self.chats.push(chat.to_owned());
            heard.fetch_add(1, Ordering::Relaxed);
        }
        if let SessionEvent::Received(received) = event {
            self.seqs.extend(received.frame.body.seq());
        }
    }
}

#[test]
fn each_line_is_heard_once_and_in_order_over_a_link_that_fails_hundreds_of_times() {
    let seed = std::env::var("SMOLCHAT_SEED").map_or_else(
        |_| std::time::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64,
        |seed| seed.parse().unwrap(),
    );
    println!("the seed, for SMOLCHAT_SEED: {seed}");
    let server = TestServer::start(ROOMY);
    let proxy = Proxy::start(server.address(0), seed);
    let crowd = Crowd { clients: 10, lines: 1000, ahead: 8, pace: Duration::ZERO };
    crowd.talk(proxy.address(), |_| proxy.be_rough());
    println!("{} faults", proxy.faults());
    assert!(proxy.faults() >= 200, "{} faults are too few", proxy.faults());
}

#[test]
fn a_server_that_is_killed_or_panics_again_and_again_loses_nothing_that_it_keeps_in_a_file() {
    let scratch = Scratch::new();
    let (address, file) = (scratch.address("room"), scratch.path("history"));
    let kept = ["--listen", &address, "--history-file", file.to_str().unwrap()];
    let start = || TestServer::start(&[ROOMY, &kept].concat());
    let mut server = start();
    let pace = Duration::from_millis(10);
    let crowd = Crowd { clients: 3, lines: 300, ahead: 20, pace };
    crowd.talk(&address, |heard| {
        // An illegal instruction is what a panic comes to in the builds that `make dist` makes.
        let ends = [Signal::KILL, Signal::ILL, Signal::KILL, Signal::ILL, Signal::KILL];
        for (signal, heard_before) in ends.into_iter().zip((400..).step_by(400)) {
            eventually("they talk", || heard.load(Ordering::Relaxed) > heard_before);
            server.signal(signal);
            server.wait(PATIENCE);
            server = start();
        }
    });
}

#[test]
fn a_server_that_stops_for_five_seconds_loses_nothing() {
    let server = TestServer::start(ROOMY);
    let pace = Duration::from_millis(5);
    let crowd = Crowd { clients: 3, lines: 200, ahead: 100, pace };
    crowd.talk(server.address(0), |heard| {
        eventually("they talk", || heard.load(Ordering::Relaxed) > 300);
        server.signal(Signal::STOP);
        thread::sleep(Duration::from_secs(5));
        server.signal(Signal::CONT);
    });
}

#[test]
fn what_is_said_while_the_link_is_down_is_heard_once_when_it_is_back() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let proxy = Proxy::start(server.address(0), 0);
    smol::block_on(async {
        let mut alice = join(proxy.address(), "alice", ReconnectPolicy::Always).await;
        alice.say("before").unwrap();
        until(&mut alice, |event| chat(event) == Some("before")).await;
        proxy.cut_all();
        until(&mut alice, |event| matches!(event, SessionEvent::Lost { .. })).await;
        alice.say("meanwhile").unwrap();
        assert!(!alice.is_up());
        bob.say("are you there?");
        let back =
            until(&mut alice, |event| matches!(event, SessionEvent::Reconnected { .. })).await;
        assert!(matches!(back, SessionEvent::Reconnected { resumed: true, .. }), "{back:?}");
        until(&mut alice, |event| chat(event) == Some("are you there?")).await;
        let whole = until(&mut alice, |event| matches!(event, SessionEvent::Synced { .. })).await;
        assert!(matches!(whole, SessionEvent::Synced { kept: 1 }), "{whole:?}");
        assert_eq!((alice.name(), alice.unanswered()), ("alice", 1));
        until(&mut alice, |event| chat(event) == Some("meanwhile")).await;
        assert_eq!(alice.unanswered(), 0);
    });
    let meanwhile = |frame: &&serde_json::Value| frame["data"] == "meanwhile";
    assert_eq!(bob.waiting().iter().filter(meanwhile).count(), 1);
}

#[test]
fn a_hello_that_comes_too_late_is_said_again_on_another_connection() {
    let server = TestServer::start(&["--hello-wait", "50"]);
    let proxy = Proxy::start(server.address(0), 0);
    smol::block_on(async {
        let is_late = |event: &SessionEvent| {
            matches!(event, SessionEvent::Lost { cause: Error::TooLate, .. })
        };
        proxy.hold_up_next();
        let mut alice = join(proxy.address(), "alice", ReconnectPolicy::Always).await;
        assert!(alice.name().starts_with("guest-"), "{}", alice.name());
        alice.say("it is me").unwrap();
        until(&mut alice, is_late).await;
        let chat = until(&mut alice, |event| chat(event) == Some("it is me")).await;
        let SessionEvent::Received(received) = chat else { panic!("{chat:?}") };
        assert_eq!((&*received.frame.data_source, alice.name()), ("alice", "alice"));

        // The same when there is something to resume: the guest's welcome is not believed.
        proxy.hold_up_next();
        proxy.cut_all();
        until(&mut alice, is_late).await;
        let back =
            until(&mut alice, |event| matches!(event, SessionEvent::Reconnected { .. })).await;
        assert!(matches!(back, SessionEvent::Reconnected { resumed: true, .. }), "{back:?}");
        assert_eq!(alice.name(), "alice");
    });
}

#[test]
fn a_gap_is_told_of_and_the_rest_follows() {
    let server = TestServer::start(&["--history", "2", "--rate", "0"]);
    let mut bob = server.join("bob");
    let proxy = Proxy::start(server.address(0), 0);
    smol::block_on(async {
        let mut alice = join(proxy.address(), "alice", ReconnectPolicy::Always).await;
        until(&mut alice, |event| matches!(event, SessionEvent::Received(received) if received.frame.body.seq() == Some(2))).await;
        proxy.cut_all();
        for line in ["one", "two", "three", "four"] {
            bob.say(line);
        }
        bob.until(|frame| frame["data"] == "four");
        let gap = until(&mut alice, |event| matches!(event, SessionEvent::Gap { .. })).await;
        let SessionEvent::Gap { from: 3, to } = gap else { panic!("{gap:?}") };
        let next = until(&mut alice, |event| matches!(event, SessionEvent::Received(_))).await;
        let SessionEvent::Received(received) = next else { panic!("{next:?}") };
        assert_eq!(received.frame.body.seq(), Some(to + 1));
        until(&mut alice, |event| matches!(event, SessionEvent::Synced { .. })).await;
    });
}

#[test]
fn a_session_gives_up_when_it_was_told_to() {
    let server = TestServer::start(&[]);
    smol::block_on(async {
        let patience = ReconnectPolicy::Within(Duration::from_millis(600));
        let mut alice = join(server.address(0), "alice", patience).await;
        let mut bob = join(server.address(0), "bob", ReconnectPolicy::Never).await;
        drop(server);
        let error = loop {
            match next(&mut alice).await {
                Ok(event) => assert!(event.is_some(), "the session has ended"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::GaveUp(..)), "{error:?}");
        let error = loop {
            match next(&mut bob).await {
                Ok(event) => assert!(!matches!(event, Some(SessionEvent::Lost { .. }) | None)),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Closed(_) | Error::Lost(_)), "{error:?}");
        assert!(next(&mut bob).await.unwrap().is_none());
    });
}
