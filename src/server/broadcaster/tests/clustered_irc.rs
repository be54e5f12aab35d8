//! IRC clients of two nodes with a log that the test keeps.

mod holding;
mod operators;
mod pacing;

use std::fmt::Write as _;

use super::*;
use crate::cluster::config::ClusterConfig;
use crate::cluster::engine::{Engine, EngineEvent, EngineRequest};
use crate::cluster::epoch::StreamInfo;
use crate::cluster::replica::LogMessage;
use crate::room::Room;
use crate::server::edge::irc::parse_line;

/// A node, and the other ends of the channels of its engine.
struct LogNode {
    broadcaster: Broadcaster,
    _executor: Rc<LocalExecutor<'static>>,
    requests: Receiver<EngineRequest>,
    events: Sender<EngineEvent>,
    /// The place in the log from which the node reads.
    next: Option<usize>,
    remotes: BTreeMap<u64, Remote>,
}

struct LogHarness {
    nodes: Vec<LogNode>,
    log: Vec<LogMessage>,
    now: Now,
}

impl LogNode {
    fn start(name: &str) -> Self {
        let executor = Rc::new(LocalExecutor::new());
        let (requests, request_receiver) = async_channel::unbounded();
        let (event_sender, events) = async_channel::unbounded();
        let room = room::Config {
            connect_rate: 0,
            #[cfg(feature = "tls")]
            max_refused: 8,
            ..room::Config::default()
        };
        let node = ClusterConfig { node: name.into(), ..ClusterConfig::default() };
        let engine = Engine::with_channels(requests, events);
        let node = ClusterNode::with_engine(engine, node, &room, 64).unwrap();
        let config = Config { room, ..Config::default() };
        let channel = async_channel::unbounded();
        let mut broadcaster = Broadcaster::new(config, channel, Rc::downgrade(&executor)).unwrap();
        broadcaster.room = node.create_room();
        broadcaster.cluster = Some(Box::new(node));
        LogNode {
            broadcaster,
            _executor: executor,
            requests: request_receiver,
            events: event_sender,
            next: None,
            remotes: BTreeMap::new(),
        }
    }
}

impl LogHarness {
    fn new() -> Self {
        let now = Now { uptime: Duration::from_secs(1), unix_ms: 1_790_000_000_000 };
        let mut harness = LogHarness { nodes: Vec::new(), log: Vec::new(), now };
        for name in ["one", "two"] {
            harness.nodes.push(LogNode::start(name));
            harness.flush();
        }
        harness
    }

    fn turn(&mut self, at: usize, event: Option<Event>) {
        smol::block_on(self.nodes[at].broadcaster.run_turn(event, self.now));
    }

    /// Handles the requests of a node. Its entries go to the log, and are not read.
    fn append(&mut self, at: usize) -> bool {
        let mut has_requests = false;
        self.turn(at, None);
        while let Ok(request) = self.nodes[at].requests.try_recv() {
            has_requests = true;
            let node = &mut self.nodes[at];
            match request {
                EngineRequest::Open => {
                    let last = self.log.len() as u64;
                    let stream = StreamInfo { created: 1, first: 1, last };
                    let opened = EngineEvent::Opened { stream, snapshot: None };
                    node.events.try_send(opened).unwrap();
                }
                EngineRequest::Read { from, .. } => node.next = Some(from as usize - 1),
                EngineRequest::Publish(entry) => {
                    let seq = self.log.len() as u64 + 1;
                    let bytes = entry.bytes.as_ref().into();
                    self.log.push(LogMessage { seq, unix_ms: self.now.unix_ms, bytes });
                }
                EngineRequest::WriteSnapshot { .. } => {
                    node.events.try_send(EngineEvent::SnapshotWritten(None)).unwrap();
                }
            }
            self.turn(at, None);
        }
        has_requests
    }

    /// Lets a node read the log.
    fn read(&mut self, at: usize) -> bool {
        let node = &mut self.nodes[at];
        let Some(next) = &mut node.next else { return false };
        let Some(message) = self.log.get(*next) else { return false };
        *next += 1;
        node.events.try_send(EngineEvent::Message(message.clone())).unwrap();
        self.turn(at, None);
        true
    }

    /// Appends and reads until nothing waits.
    fn flush(&mut self) {
        loop {
            let mut has_changes = false;
            for at in 0..self.nodes.len() {
                has_changes |= self.append(at);
                has_changes |= self.read(at);
            }
            if !has_changes {
                return;
            }
        }
    }

    /// Connects a client of a unix socket to a node.
    fn connect(&mut self, at: usize, protocol: ListenerProtocol) -> u64 {
        self.connect_peer(at, protocol, Peer::Unix(None))
    }

    fn connect_peer(&mut self, at: usize, protocol: ListenerProtocol, peer: Peer) -> u64 {
        let id = self.nodes[at].remotes.len() as u64 + 1;
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let socket = Arc::new(Async::new(OwnedFd::from(theirs)).unwrap());
        let (stream, received) = (Some(ours), Vec::new());
        let remote = Remote { stream, received, socket: Arc::clone(&socket), has_task: true };
        self.nodes[at].remotes.insert(id, remote);
        let (id, refusal) = (ClientId(id), None);
        self.turn(at, Some(Event::Connected { id, peer, socket, protocol, refusal }));
        id.0
    }

    fn say(&mut self, (at, id): (usize, u64), lines: &[&str]) {
        let lines = lines.iter().map(|line| ClientLine::parse(line.as_bytes())).collect();
        let input = Input::Lines { id: ClientId(id), lines };
        self.turn(at, Some(Event::Input { input, bytes: 0, answer: None }));
    }

    fn irc(&mut self, (at, id): (usize, u64), lines: &str) {
        let lines = lines.lines().map(|line| parse_line(line.as_bytes())).collect();
        let input = Input::Lines { id: ClientId(id), lines };
        self.turn(at, Some(Event::Input { input, bytes: 0, answer: None }));
    }

    /// Connects an IRC client, which joins the channel.
    fn join(&mut self, at: usize, name: &str, more: &str) -> (usize, u64) {
        let client = (at, self.connect(at, ListenerProtocol::Irc));
        let lines = format!("{more}\nNICK {name}\nUSER u 0 * :Real\nCAP END\nJOIN #smol");
        self.irc(client, lines.trim());
        client
    }

    /// Returns the lines that a client has received since the last call.
    fn lines(&mut self, (at, id): (usize, u64)) -> Vec<String> {
        let cluster = self.nodes[at].broadcaster.cluster.as_ref().unwrap();
        let writable = cluster.id_of(ClientId(id));
        let mut received = String::new();
        loop {
            let remote = self.nodes[at].remotes.get_mut(&id).unwrap();
            remote.read();
            if remote.received.is_empty() {
                break;
            }
            received += &String::from_utf8(std::mem::take(&mut remote.received)).unwrap();
            self.turn(at, Some(Event::Writable(writable)));
        }
        received.lines().map(Into::into).collect()
    }

    fn rooms(&self) -> impl Iterator<Item = &Room> {
        self.nodes.iter().map(|node| &node.broadcaster.room)
    }
}

#[test]
fn line_is_answered_when_its_command_is_read() {
    let mut harness = LogHarness::new();
    let alice = harness.join(0, "alice", "CAP REQ :echo-message");
    assert_eq!(harness.lines(alice), [":smolchat.local CAP * ACK :echo-message"]);
    harness.append(0);
    assert_eq!(harness.lines(alice), [""; 0], "the entry is in the log and not read");
    harness.flush();
    let lines = harness.lines(alice);
    assert!(lines[0].contains(" 001 alice "), "{lines:?}");
    assert!(lines.last().unwrap().contains(" 366 alice "), "{lines:?}");
    harness.irc(alice, "PING a\nPRIVMSG #smol :text\nPING b\nAWAY :lunch\nWHOIS alice\nPING c");
    assert_eq!(harness.lines(alice), [":smolchat.local PONG smolchat.local :a"]);
    harness.flush();
    let lines = harness.lines(alice);
    let words =
        ["PRIVMSG #smol :text", ":b", " 306 ", " 311 ", " 319 ", " 312 ", " 301 ", " 318 ", ":c"];
    assert_eq!(lines.len(), words.len(), "{lines:?}");
    assert!(lines.iter().zip(words).all(|(line, word)| line.contains(word)), "{lines:?}");
}

#[test]
fn name_is_given_to_the_first_in_the_log() {
    let mut harness = LogHarness::new();
    let clients = [1, 0].map(|at| harness.join(at, "alice", ""));
    // Node 1 is the first that appends.
    harness.append(1);
    harness.append(0);
    harness.flush();
    let [first, second] = clients.map(|client| harness.lines(client));
    assert!(first[0].contains(" 001 alice "), "{first:?}");
    assert_eq!(
        second,
        [
            ":smolchat.local 433 alice alice :Nickname is already in use",
            ":smolchat.local 451 * :You have not registered",
        ]
    );
    harness.irc(clients[1], "NICK bob\nJOIN #smol");
    harness.flush();
    assert!(harness.lines(clients[1])[0].contains(" 001 bob "));
    harness.lines(clients[0]);
    for client in clients {
        harness.irc(client, "NICK carol\nPRIVMSG #smol :after");
    }
    harness.append(0);
    harness.append(1);
    harness.flush();
    let [refused, renamed] = clients.map(|client| harness.lines(client));
    assert_eq!(renamed[0], ":bob!user@smolchat NICK :carol");
    let error = ":smolchat.local 433 alice carol :Nickname is already in use";
    assert!(refused.iter().any(|line| line == error), "{refused:?}");
    assert!(renamed.iter().any(|line| line == ":alice!user@smolchat PRIVMSG #smol :after"));
}

#[test]
fn password_takes_over_a_client_of_another_node() {
    let mut harness = LogHarness::new();
    let old = harness.join(0, "alice", "PASS secret");
    harness.flush();
    harness.irc(old, "NICK alicia");
    harness.flush();
    harness.lines(old);
    let stranger = harness.join(1, "alicia", "PASS wrong");
    assert!(harness.lines(stranger)[0].contains(" 433 "));
    // A password is for the name that the client has now.
    let early = harness.join(1, "alice", "PASS secret");
    harness.flush();
    assert!(harness.lines(early)[0].contains(" 001 alice "));
    let new = harness.join(1, "alicia", "PASS secret");
    harness.flush();
    assert!(harness.lines(new)[0].contains(" 001 alicia "));
    assert!(harness.lines(old).last().unwrap().contains("you resumed on another connection"));
    // The old connection has no name any more.
    harness.irc(old, "PRIVMSG #smol :late");
    harness.flush();
    assert!(harness.lines(new).iter().all(|line| !line.contains("late")));
}

#[test]
fn lines_that_wait_for_a_lost_client_are_discarded() {
    let mut harness = LogHarness::new();
    let alice = harness.join(0, "alice", "");
    // Behind the join: not probed.
    harness.irc(alice, "PRIVMSG #smol :hello\nQUIT");
    let input = Input::Disconnect { id: ClientId(alice.1), reason: DisconnectReason::Finished };
    harness.turn(0, Some(Event::Input { input, bytes: 0, answer: None }));
    harness.flush();
    let frames: String = harness.rooms().next().unwrap().frame_texts();
    assert!(frames.contains(r#""data":"hello""#), "{frames}");
    assert_eq!(harness.rooms().map(Room::member_count).collect::<Vec<_>>(), [0, 0]);
    let bob = harness.join(0, "bob", "");
    harness.flush();
    harness.irc(bob, "PRIVMSG #smol :x\nPRIVMSG #smol :y");
    let cluster = harness.nodes[0].broadcaster.cluster.as_mut().unwrap();
    let id = cluster.id_of(ClientId(bob.1));
    assert!(cluster.irc_lines.get_mut(id).is_some());
    cluster.discard_commands();
    assert!(cluster.irc_lines.get_mut(id).is_none());
    harness.flush();
}

impl Room {
    /// Returns the frames of the history.
    fn frame_texts(&self) -> String {
        let frames = (0..self.frame_count()).filter_map(|at| self.frame(at));
        frames.map(String::from_utf8_lossy).collect()
    }
}

/// A step of a random run: lines of a client, or a node that appends or reads.
#[derive(Clone, Debug)]
enum LogStep {
    Lines(usize, Vec<String>),
    Append(usize),
    Read(usize),
}

fn log_step() -> impl Strategy<Value = LogStep> {
    let line = prop_oneof![
        4 => Just("PRIVMSG #smol :text".to_owned()),
        1 => Just("NOTICE #smol :note".to_owned()),
        1 => Just("PRIVMSG #smol :\u{1}ACTION waves\u{1}".to_owned()),
        1 => Just("PRIVMSG #smol :\u{1}VERSION\u{1}".to_owned()),
        2 => (0..4).prop_map(|number| format!("NICK name-{number}")),
        1 => (0..4).prop_map(|number| format!("PRIVMSG name-{number} :psst")),
        1 => Just("PART #smol :reason".to_owned()),
        2 => Just("JOIN #smol".to_owned()),
        1 => Just("AWAY :lunch".to_owned()),
        1 => Just("WHO #smol".to_owned()),
        1 => Just("NAMES #smol".to_owned()),
    ];
    prop_oneof![
        4 => (0..4usize, prop::collection::vec(line, 1..5))
            .prop_map(|(client, lines)| LogStep::Lines(client, lines)),
        2 => (0..2usize).prop_map(LogStep::Append),
        2 => (0..2usize).prop_map(LogStep::Read),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// IRC clients that only read see the same lines at both nodes, the rooms are alike, and each line
    /// is answered in its order.
    #[test]
    fn irc_clients_of_both_nodes_read_the_same(steps in prop::collection::vec(log_step(), 1..60)) {
        let mut harness = LogHarness::new();
        let readers = [0, 1].map(|at| harness.join(at, &format!("reader{at}"), ""));
        harness.flush();
        let writers = [0, 1, 0, 1].map(|at| harness.join(at, &format!("w{at}"), ""));
        harness.flush();
        for (number, writer) in writers.into_iter().enumerate() {
            // Two of them were refused the name.
            harness.irc(writer, &format!("NICK writer{number}\nJOIN #smol"));
        }
        harness.flush();
        for client in readers.into_iter().chain(writers) {
            harness.lines(client);
        }
        let mut sent = [0; 4];
        for step in &steps {
            match step {
                LogStep::Lines(client, lines) => {
                    let mut text = String::new();
                    for line in lines {
                        sent[*client] += 1;
                        let _ = writeln!(text, "{line}\nPING {}", sent[*client]);
                    }
                    harness.irc(writers[*client], &text);
                }
                LogStep::Append(at) => drop(harness.append(*at)),
                LogStep::Read(at) => drop(harness.read(*at)),
            }
        }
        harness.flush();
        let [one, two] = readers.map(|reader| harness.lines(reader));
        prop_assert_eq!(one, two);
        for (writer, sent) in writers.into_iter().zip(sent) {
            let lines = harness.lines(writer);
            let pongs = lines.iter().filter_map(|line| line.split_once("PONG smolchat.local :"));
            let pongs: Vec<_> = pongs.map(|(_, number)| number.to_owned()).collect();
            let expected: Vec<_> = (1..=sent).map(|number| number.to_string()).collect();
            prop_assert_eq!(pongs, expected, "{:?}: {:?}", writer, lines);
        }
        let [one, two] = &harness.nodes[..] else { panic!("two nodes") };
        prop_assert_eq!(one.broadcaster.room.save_state(), two.broadcaster.room.save_state());
    }
}
