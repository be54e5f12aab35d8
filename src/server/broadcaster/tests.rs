//! Random runs of the broadcaster with real sockets and a clock of the test: every connection ends,
//! every member leaves once, and nothing stays allocated.

#[cfg(all(feature = "irc", feature = "cluster"))]
mod clustered_irc;
mod ending;
mod hello_wait;
#[cfg(feature = "irc")]
mod irc;
mod steps;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "web")]
mod websocket;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;

use proptest::prelude::*;
use rustix::net::sockopt::set_socket_send_buffer_size;
use serde_json::Value;
use smol::Async;
use smol::future::yield_now;

use super::*;
use crate::protocol::{ClientLine, OtherProtocol};
use crate::room::{self, ClientId, DisconnectReason, Peer};
#[cfg(feature = "web")]
use crate::server::edge::web::{Answer, WebEvent, timeout_response};
use crate::server::listener::ListenerProtocol;
use crate::server::socket::Socket;
use steps::{Step, step};
#[cfg(feature = "web")]
use websocket::upgraded;

/// The number of the member that reads everything and sees all notices.
const OBSERVER: u64 = 1;
const OUTBOX: usize = 8 << 10;
const HELLO_WAIT: Duration = Duration::from_millis(250);
/// Longer than every timeout of a connection.
const LONG_TIME: Duration = Duration::from_secs(1000);

/// The remote side of a connection, and the socket of its connection task.
struct Remote {
    stream: Option<UnixStream>,
    received: Vec<u8>,
    socket: Arc<Socket>,
    has_task: bool,
}

impl Remote {
    fn read(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        match stream.read_to_end(&mut self.received) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            Ok(_) => self.stream = None,
        }
    }
}

struct BroadcasterHarness {
    broadcaster: Broadcaster,
    executor: Rc<LocalExecutor<'static>>,
    now: Now,
    remotes: BTreeMap<u64, Remote>,
}

impl BroadcasterHarness {
    /// Creates a room with the observer, whose clients connect at a limited rate.
    fn new() -> Self {
        let limits = room::Config { max_clients: 12, connect_burst: 8, ..room::Config::default() };
        Self::with_limits(limits)
    }

    /// Creates a room with the observer, for clients that connect at any rate.
    fn with_max_clients(max_clients: usize) -> Self {
        let limits = room::Config { max_clients, connect_rate: 0, ..room::Config::default() };
        Self::with_limits(limits)
    }

    fn with_limits(room: room::Config) -> Self {
        let executor = Rc::new(LocalExecutor::new());
        let config = Config { outbox: OUTBOX, room, ..Config::default() };
        let channel = async_channel::unbounded();
        let broadcaster = Broadcaster::new(config, channel, Rc::downgrade(&executor)).unwrap();
        let now = Now { uptime: Duration::from_secs(1), unix_ms: 1_790_000_000_000 };
        let mut harness =
            BroadcasterHarness { broadcaster, executor, now, remotes: BTreeMap::new() };
        harness.connect();
        harness.say(OBSERVER, r#"{"hello":{"name":"observer"}}"#);
        harness
    }

    /// Creates a room to which the steps were applied.
    fn after_steps(max_connections: usize, steps: Vec<Step>) -> Self {
        let mut harness = Self::new();
        harness.broadcaster.clients.max_connections = max_connections;
        for step in steps {
            harness.apply(step);
        }
        harness
    }

    fn turn(&mut self, event: Option<Event>) {
        smol::block_on(self.broadcaster.run_turn(event, self.now));
        self.remotes.get_mut(&OBSERVER).expect("the observer").read();
        let known = self.broadcaster.clients.known_to_room();
        let room = &self.broadcaster.room;
        let count = room.client_count() - room.absent_count();
        assert_eq!(count, known, "the room knows other clients");
    }

    fn connect(&mut self) -> u64 {
        self.connect_with(ListenerProtocol::Chat)
    }

    fn connect_with(&mut self, protocol: ListenerProtocol) -> u64 {
        // Half of the clients have one address, which connects too fast.
        let address = Peer::Inet([192, 0, 2, 1].into(), 1000);
        let is_even = self.remotes.len() % 2 == 1;
        self.connect_peer(protocol, if is_even { address } else { Peer::Unix(None) })
    }

    fn connect_peer(&mut self, protocol: ListenerProtocol, peer: Peer) -> u64 {
        let id = self.remotes.len() as u64 + 1;
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        if id != OBSERVER {
            // The kernel's minimum, so that the outbox is used.
            set_socket_send_buffer_size(&theirs, 1).unwrap();
        }
        let socket = Arc::new(Async::new(OwnedFd::from(theirs)).unwrap());
        let remote = Remote {
            stream: Some(ours),
            received: Vec::new(),
            socket: Arc::clone(&socket),
            has_task: true,
        };
        self.remotes.insert(id, remote);
        let (client, refusal) = (ClientId(id), None);
        self.turn(Some(Event::Connected { id: client, peer, socket, protocol, refusal }));
        id
    }

    /// Connects a client and returns its number, if it becomes a member.
    fn join(&mut self) -> Option<u64> {
        let id = self.connect();
        self.say(id, &format!(r#"{{"hello":{{"name":"member-{id}"}}}}"#));
        self.remotes.get_mut(&id).expect("a client").read();
        self.token(id).map(|_| id)
    }

    /// Sends long lines until only the observer is left.
    fn make_all_slow(&mut self) {
        while self.broadcaster.room.member_count() > 1 {
            self.say(OBSERVER, &"x".repeat(1000));
        }
    }

    /// Reads to the end of a connection, and returns the frames.
    fn read_to_end(&mut self, id: u64) -> Vec<Value> {
        while self.remotes[&id].stream.is_some() {
            self.remotes.get_mut(&id).expect("a client").read();
            self.turn(Some(Event::Writable(ClientId(id))));
        }
        self.end_task(id, DisconnectReason::Finished);
        let received = std::str::from_utf8(&self.remotes[&id].received).expect("frames are UTF-8");
        assert!(received.ends_with('\n'), "client {id}: the last line is cut");
        received.lines().map(|line| serde_json::from_str(line).expect("frames are JSON")).collect()
    }

    /// Reads to the end of a connection, and checks that the last frame is a bye.
    fn check_bye(&mut self, id: u64, code: &str) {
        let frames = self.read_to_end(id);
        assert_eq!(frames.last().map(|bye| &bye["code"]), Some(&code.into()), "client {id}");
    }

    fn input(&mut self, id: u64, input: Input) {
        if self.remotes[&id].has_task {
            self.turn(Some(Event::Input { input, bytes: 0, answer: None }));
        }
    }

    fn say(&mut self, id: u64, line: &str) {
        let lines = vec![ClientLine::parse(line.as_bytes())];
        self.input(id, Input::Lines { id: ClientId(id), lines });
    }

    fn end_task(&mut self, id: u64, reason: DisconnectReason) {
        self.input(id, Input::Disconnect { id: ClientId(id), reason });
        self.remotes.get_mut(&id).expect("a client").has_task = false;
    }

    /// Returns the token in the welcome of a client, if it has read one.
    fn token(&self, id: u64) -> Option<String> {
        let line = self.remotes[&id].received.split(|&b| b == b'\n').next()?;
        let welcome: Value = serde_json::from_slice(line).ok()?;
        Some(welcome["token"].as_str()?.to_owned())
    }

    fn apply(&mut self, step: Step) {
        // The observer is never selected.
        let pick = |pick: u8| 2 + u64::from(pick) % (self.remotes.len() as u64 - 1).max(1);
        if self.remotes.len() == 1 && !matches!(step, Step::Advance(_)) {
            self.connect();
            return;
        }
        match step {
            Step::Connect => drop(self.connect()),
            Step::Hello(id) => {
                let id = pick(id);
                self.say(id, &format!(r#"{{"hello":{{"name":"member-{id}","keep":true}}}}"#));
            }
            Step::Resume(id, old) => {
                let (id, old) = (pick(id), pick(old));
                let token = self.token(old).unwrap_or_default();
                let hello = format!(r#"{{"hello":{{"name":"member-{id}","token":"{token}"}}}}"#);
                self.say(id, &hello);
            }
            Step::Say(id, length) => self.say(pick(id), &"x".repeat(length)),
            Step::Line(id, line) => self.say(pick(id), line),
            Step::SendErrors(id) => {
                let id = ClientId(pick(id));
                let lines = vec![ClientLine::parse(b"{"); 60];
                self.input(id.0, Input::Lines { id, lines });
            }
            Step::SpeakTls(id) => {
                let id = pick(id);
                let protocol = OtherProtocol::Tls;
                self.input(id, Input::OtherProtocol { id: ClientId(id), protocol });
            }
            #[cfg(feature = "web")]
            Step::BeginRequest(id) => self.web_event(pick(id), WebEvent::RequestBegun),
            #[cfg(feature = "web")]
            Step::EndRequest(id) => {
                let answer = Answer::Response(timeout_response());
                self.web_event(pick(id), WebEvent::Answer(answer));
            }
            #[cfg(feature = "web")]
            Step::Upgrade(id) => {
                self.web_event(pick(id), upgraded(id.is_multiple_of(2)));
            }
            #[cfg(feature = "web")]
            Step::CloseWebSocket(id, reason) => {
                self.web_event(pick(id), WebEvent::Closing { code: None, reason });
            }
            Step::Read(id) => {
                let id = pick(id);
                self.remotes.get_mut(&id).expect("a client").read();
            }
            Step::Drop(id) => {
                let id = pick(id);
                self.remotes.get_mut(&id).expect("a client").stream = None;
            }
            Step::EndTask(id, reason) => self.end_task(pick(id), reason),
            Step::Writable(id) => self.turn(Some(Event::Writable(ClientId(pick(id))))),
            Step::Advance(ms) => self.advance(Duration::from_millis(ms)),
        }
    }

    fn advance(&mut self, time: Duration) {
        self.now.uptime += time;
        self.turn(None);
    }

    /// Checks that joins and leaves of every name alternate, and returns the names of the members
    /// that have not left.
    fn members_seen_by_observer(&self) -> Vec<String> {
        let mut members = Vec::new();
        let received = &self.remotes[&OBSERVER].received;
        for line in received.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
            let frame: Value = serde_json::from_slice(line).expect("frames are JSON");
            let names = frame["names"].as_array().into_iter().flatten();
            for name in names.map(|name| name.as_str().expect("a name").to_owned()) {
                match frame["kind"].as_str() {
                    Some("join") => {
                        assert!(!members.contains(&name), "{name} joins twice");
                        members.push(name);
                    }
                    Some("leave") => {
                        let at = members.iter().position(|member| *member == name);
                        members.remove(at.unwrap_or_else(|| panic!("{name} leaves twice")));
                    }
                    _ => {}
                }
            }
        }
        members
    }

    /// Checks that nothing is left of any connection. Their tasks have ended.
    fn check_released(&mut self) {
        assert!(self.broadcaster.clients.is_empty());
        let room = &self.broadcaster.room;
        assert_eq!((room.client_count(), room.ending_count()), (0, 0));
        self.advance(LONG_TIME);
        assert_eq!(self.broadcaster.clients.deadline(), None);
        assert_eq!(self.broadcaster.room.deadline(), None);
        for remote in self.remotes.values_mut() {
            remote.read();
            assert!(remote.stream.is_none(), "the socket is not shut down");
        }
        // The tasks that wait for a writable socket end, because the sockets are shut down.
        let sockets: Vec<&Arc<Socket>> =
            self.remotes.values().map(|remote| &remote.socket).collect();
        smol::block_on(self.executor.run(async {
            while sockets.iter().any(|socket| Arc::strong_count(socket) > 1) {
                yield_now().await;
            }
        }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_connection_ends_with_one_leave(
        max_connections in 1..16usize,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut harness = BroadcasterHarness::after_steps(max_connections, steps);
        let ids: Vec<u64> = harness.remotes.keys().copied().filter(|&id| id != OBSERVER).collect();
        for id in ids {
            harness.end_task(id, DisconnectReason::Finished);
        }
        harness.advance(LONG_TIME);
        prop_assert_eq!(harness.members_seen_by_observer(), ["observer"]);
        harness.end_task(OBSERVER, DisconnectReason::Finished);
        harness.check_released();
    }

    #[test]
    fn shutdown_ends_every_connection(
        max_connections in 1..16usize,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut harness = BroadcasterHarness::after_steps(max_connections, steps);
        harness.turn(Some(Event::Shutdown));
        harness.advance(Duration::from_secs(5));
        harness.check_released();
    }
}
