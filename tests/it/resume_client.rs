//! A [`Session`] that reconnects: each line arrives once and in order, whatever happens to the
//! connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use rustix::process::Signal;
use smol::Timer;
use smolchat::client::{
    Error, ReceivedFrame, ReconnectPolicy, Session, SessionConfig, SessionEvent,
};
use smolchat::protocol::Body;

use crate::common::faulty_proxy::FaultyProxy;
#[cfg(feature = "tls")]
use crate::common::scripted_tls_server::{SELF_SIGNED, ScriptedTlsServer};
use crate::common::{TIMEOUT, TempDir, TestServer, assert_consecutive, wait_until};

/// Options of a server that keeps all lines and limits no member.
const UNLIMITED: &[&str] = &[
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

/// Four of the longest pauses between two attempts to connect: the others wait for the lines of a
/// session that pauses.
const EVENT_TIMEOUT: Duration = Duration::from_secs(60);

async fn join(address: &str, name: &str, reconnect: ReconnectPolicy) -> Session {
    let config = SessionConfig::new(name).keep_name(true);
    #[cfg(feature = "tls")]
    let config = config.tls_pin(SELF_SIGNED.fingerprint());
    Session::connect(address, config, reconnect).await.unwrap()
}

async fn next(session: &mut Session) -> Result<Option<SessionEvent>, Error> {
    let timeout = async {
        Timer::after(EVENT_TIMEOUT).await;
        panic!("no event in {EVENT_TIMEOUT:?}");
    };
    session.receive().or(timeout).await
}

/// Returns the next event that matches, and discards those before it.
async fn next_until(
    session: &mut Session,
    mut matches: impl FnMut(&SessionEvent) -> bool,
) -> SessionEvent {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let event = next(session).await.unwrap().expect("the session has ended");
        if matches(&event) {
            return event;
        }
        assert!(Instant::now() < deadline, "no such event in {TIMEOUT:?}");
    }
}

/// Returns the text of a live chat frame.
fn chat(event: &SessionEvent) -> Option<&str> {
    match event {
        SessionEvent::Received(ReceivedFrame { frame, is_past: false, .. }) => {
            matches!(frame.body, Body::Chat { .. }).then_some(&*frame.data)
        }
        _ => None,
    }
}

/// Sessions that talk at the same time, each on a thread of its own.
#[derive(Clone, Copy)]
struct Conversation {
    sessions: usize,
    /// Lines that each session sends.
    lines: usize,
    /// Lines that a session sends without waiting for their answers.
    window: usize,
    /// The time between two lines of a session.
    interval: Duration,
}

impl Conversation {
    /// Runs the conversation, and `disturb` beside it, which gets the number of lines received by
    /// all sessions so far.
    ///
    /// Checks that each session receives each line once, in the order of its sender and of the
    /// sequence, and without a hole.
    #[track_caller]
    fn run(&self, address: &str, disturb: impl FnOnce(&AtomicUsize)) {
        let received = Arc::new(AtomicUsize::new(0));
        let all_joined = Arc::new(Barrier::new(self.sessions + 1));
        let threads: Vec<_> = (0..self.sessions)
            .map(|number| {
                let (received, all_joined) = (Arc::clone(&received), Arc::clone(&all_joined));
                let (address, conversation) = (address.to_owned(), *self);
                thread::spawn(move || {
                    smol::block_on(async {
                        let name = format!("alice-{number}");
                        let session = join(&address, &name, ReconnectPolicy::Always).await;
                        all_joined.wait();
                        let talker = Talker { number, session, conversation, received };
                        talker.talk().await
                    })
                })
            })
            .collect();
        all_joined.wait();
        disturb(&received);
        let chats: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let first = &chats[0];
        for chats in &chats {
            assert!(chats == first, "all sessions receive the same lines");
            for number in 0..self.sessions {
                let prefix = format!("{number}: ");
                let lines = chats.iter().filter_map(|chat| chat.strip_prefix(&prefix));
                let expected = (0..self.lines).map(|line| line.to_string());
                assert!(lines.eq(expected), "each line of {number}, once and in order");
            }
        }
    }
}

/// One session of a conversation.
struct Talker {
    number: usize,
    session: Session,
    conversation: Conversation,
    received: Arc<AtomicUsize>,
}

impl Talker {
    /// Sends all lines and receives those of all. Returns the lines received.
    async fn talk(mut self) -> Vec<String> {
        let Conversation { sessions, lines, window, interval } = self.conversation;
        let (mut sent, mut chats, mut seqs) = (0, Vec::new(), Vec::new());
        let mut due = Instant::now();
        while chats.len() < sessions * lines || self.session.pending_count() > 0 {
            let has_more = sent < lines && self.session.pending_count() < window;
            if has_more && due <= Instant::now() {
                self.session.send(&format!("{}: {sent}", self.number)).unwrap();
                sent += 1;
                due += interval;
            }
            let event = async { Some(next(&mut self.session).await.unwrap().expect("an event")) };
            let pause = async {
                Timer::at(due).await;
                None
            };
            let event = if has_more { event.or(pause).await } else { event.await };
            match &event {
                Some(SessionEvent::Gap { from, to }) => panic!("{from} to {to} were lost"),
                Some(SessionEvent::Reconnected { resumed, .. }) => assert!(resumed),
                Some(SessionEvent::Received(ReceivedFrame { frame, .. })) => {
                    seqs.extend(frame.body.seq());
                }
                _ => {}
            }
            if let Some(text) = event.as_ref().and_then(chat) {
                chats.push(text.to_owned());
                self.received.fetch_add(1, Ordering::Relaxed);
            }
        }
        assert_consecutive(&seqs);
        self.session.finish();
        while next(&mut self.session).await.unwrap().is_some() {}
        chats
    }
}

#[test]
fn lines_arrive_once_over_failing_connection() {
    let seed = std::env::var("SMOLCHAT_SEED").map_or_else(
        |_| std::time::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64,
        |seed| seed.parse().unwrap(),
    );
    println!("the seed, for SMOLCHAT_SEED: {seed}");
    let server = TestServer::start(UNLIMITED);
    let proxy = FaultyProxy::start(server.address(0), seed);
    let conversation =
        Conversation { sessions: 20, lines: 250, window: 8, interval: Duration::ZERO };
    conversation.run(proxy.address(), |_| proxy.enable_faults());
    println!("{} faults", proxy.fault_count());
    assert!(proxy.fault_count() >= 200, "{} faults are too few", proxy.fault_count());
}

#[test]
fn killed_server_with_history_file_loses_no_line() {
    let dir = TempDir::new();
    let (address, file) = (dir.unix_address("room"), dir.path("history"));
    let options = ["--listen", &address, "--history-file", file.to_str().unwrap()];
    let start = || TestServer::start(&[UNLIMITED, &options].concat());
    let mut server = start();
    let interval = Duration::from_millis(10);
    let conversation = Conversation { sessions: 3, lines: 300, window: 20, interval };
    conversation.run(&address, |received| {
        // A panic in the builds of `make dist` ends the process with SIGILL.
        let signals = [Signal::KILL, Signal::ILL, Signal::KILL, Signal::ILL, Signal::KILL];
        for (signal, after) in signals.into_iter().zip((400..).step_by(400)) {
            wait_until("they talk", || received.load(Ordering::Relaxed) > after);
            server.signal(signal);
            server.wait();
            server = start();
        }
    });
}

#[test]
fn stopped_server_loses_no_line() {
    let server = TestServer::start(UNLIMITED);
    let interval = Duration::from_millis(5);
    let conversation = Conversation { sessions: 3, lines: 200, window: 100, interval };
    conversation.run(server.address(0), |received| {
        wait_until("they talk", || received.load(Ordering::Relaxed) > 300);
        server.signal(Signal::STOP);
        thread::sleep(Duration::from_secs(1));
        server.signal(Signal::CONT);
    });
}

/// The faults cut the encrypted stream inside of records.
#[test]
#[cfg(feature = "tls")]
fn encrypted_lines_survive_faults() {
    let server = TestServer::start(UNLIMITED);
    let server_address = server.address(0).to_owned();
    let tls =
        ScriptedTlsServer::start(|_| SELF_SIGNED, move |client| client.relay(&server_address, 700));
    let proxy = FaultyProxy::start(&tls.plain_address(), 17);
    let interval = Duration::from_millis(5);
    let conversation = Conversation { sessions: 3, lines: 200, window: 20, interval };
    conversation.run(&format!("tls:{}", proxy.address()), |received| {
        proxy.enable_faults();
        wait_until("they talk", || received.load(Ordering::Relaxed) > 300);
    });
    assert!(proxy.fault_count() > 0);
}

#[test]
fn line_sent_while_disconnected_arrives_once() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let proxy = FaultyProxy::start(server.address(0), 0);
    smol::block_on(async {
        let mut alice = join(proxy.address(), "alice", ReconnectPolicy::Always).await;
        alice.send("before").unwrap();
        next_until(&mut alice, |event| chat(event) == Some("before")).await;
        proxy.disconnect_all();
        next_until(&mut alice, |event| matches!(event, SessionEvent::Disconnected { .. })).await;
        alice.send("meanwhile").unwrap();
        assert!(!alice.is_connected());
        bob.say("are you there?");
        let event =
            next_until(&mut alice, |event| matches!(event, SessionEvent::Reconnected { .. })).await;
        assert!(matches!(event, SessionEvent::Reconnected { resumed: true, .. }), "{event:?}");
        next_until(&mut alice, |event| chat(event) == Some("are you there?")).await;
        let event =
            next_until(&mut alice, |event| matches!(event, SessionEvent::Synced { .. })).await;
        assert!(matches!(event, SessionEvent::Synced { pending: 1 }), "{event:?}");
        assert_eq!((alice.name(), alice.pending_count()), ("alice", 1));
        next_until(&mut alice, |event| chat(event) == Some("meanwhile")).await;
        assert_eq!(alice.pending_count(), 0);
    });
    let meanwhile = |frame: &&serde_json::Value| frame["data"] == "meanwhile";
    assert_eq!(bob.pending().iter().filter(meanwhile).count(), 1);
}

#[test]
fn late_hello_is_sent_again_on_a_new_connection() {
    let server = TestServer::start(&["--hello-wait", "50"]);
    let proxy = FaultyProxy::start(server.address(0), 0);
    smol::block_on(async {
        let is_late = |event: &SessionEvent| {
            matches!(event, SessionEvent::Disconnected { cause: Error::LateHello, .. })
        };
        proxy.hold_next_hello();
        let mut alice = join(proxy.address(), "alice", ReconnectPolicy::Always).await;
        assert!(alice.name().starts_with("guest-"), "{}", alice.name());
        alice.send("hello").unwrap();
        next_until(&mut alice, is_late).await;
        let event = next_until(&mut alice, |event| chat(event) == Some("hello")).await;
        let SessionEvent::Received(received) = event else { panic!("{event:?}") };
        assert_eq!((&*received.frame.data_source, alice.name()), ("alice", "alice"));

        // The same with a state to resume: the welcome of the guest is ignored.
        proxy.hold_next_hello();
        proxy.disconnect_all();
        next_until(&mut alice, is_late).await;
        let event =
            next_until(&mut alice, |event| matches!(event, SessionEvent::Reconnected { .. })).await;
        assert!(matches!(event, SessionEvent::Reconnected { resumed: true, .. }), "{event:?}");
        assert_eq!(alice.name(), "alice");
    });
}

#[test]
fn late_hello_of_a_stored_session_keeps_its_name() {
    let server = TestServer::start(&["--hello-wait", "50"]);
    let proxy = FaultyProxy::start(server.address(0), 0);
    let mut bob = server.join("bob");
    let hello = r#"{"hello":{"name":"alice","keep":true}}"#;
    let mut earlier = server.connect();
    earlier.say(hello);
    let token = earlier.recv_kind("welcome")["token"].as_str().unwrap().to_owned();
    drop(earlier);
    bob.recv_until(|frame| frame["data"] == "alice left");
    smol::block_on(async {
        proxy.hold_next_hello();
        let config = SessionConfig::new("alice").token(token);
        let mut alice =
            Session::connect(proxy.address(), config, ReconnectPolicy::Always).await.unwrap();
        alice.send("hello").unwrap();
        next_until(&mut alice, |event| chat(event) == Some("hello")).await;
        assert_eq!(alice.name(), "alice");
    });
}

#[test]
fn gap_is_reported_before_the_rest() {
    let server = TestServer::start(&["--history", "2", "--rate", "0"]);
    let mut bob = server.join("bob");
    let proxy = FaultyProxy::start(server.address(0), 0);
    smol::block_on(async {
        let mut alice = join(proxy.address(), "alice", ReconnectPolicy::Always).await;
        let is_own_join = |event: &SessionEvent| {
            matches!(event, SessionEvent::Received(received)
                if received.frame.body.seq() == Some(2))
        };
        next_until(&mut alice, is_own_join).await;
        proxy.disconnect_all();
        for line in ["one", "two", "three", "four"] {
            bob.say(line);
        }
        bob.recv_until(|frame| frame["data"] == "four");
        let event = next_until(&mut alice, |event| matches!(event, SessionEvent::Gap { .. })).await;
        let SessionEvent::Gap { from: 3, to } = event else { panic!("{event:?}") };
        let event =
            next_until(&mut alice, |event| matches!(event, SessionEvent::Received(_))).await;
        let SessionEvent::Received(received) = event else { panic!("{event:?}") };
        assert_eq!(received.frame.body.seq(), Some(to + 1));
        next_until(&mut alice, |event| matches!(event, SessionEvent::Synced { .. })).await;
    });
}

#[test]
fn policy_ends_session_that_cannot_reconnect() {
    let server = TestServer::start(&[]);
    smol::block_on(async {
        let within = ReconnectPolicy::Within(Duration::from_millis(600));
        let mut alice = join(server.address(0), "alice", within).await;
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
                Ok(event) => {
                    assert!(!matches!(event, Some(SessionEvent::Disconnected { .. }) | None))
                }
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Closed(_) | Error::Lost(_)), "{error:?}");
        assert!(next(&mut bob).await.unwrap().is_none());
    });
}
