//! Three nodes with one room: all have the same frames, whatever the order of their work.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::*;

const NODES: usize = 3;
/// Longer than every wait.
const LONG_TIME: Duration = Duration::from_secs(1000);

/// One step of a random run. The first field selects a node or a client.
#[derive(Clone, Debug)]
enum Step {
    Connect(u8),
    /// Connects and becomes a member whose name is kept.
    Join(u8, u8),
    Hello(u8, u8, u8, bool),
    /// Resumes after a number with the token of another client.
    Resume(u8, u8, u8),
    Say(u8, &'static str),
    Leave(u8, DisconnectReason),
    /// Appends the commands that a node has gathered to the log.
    Append(u8),
    /// Appends an earlier entry once more.
    Retry(u8),
    /// Commits some entries that a node has not read.
    Read(u8, u8),
    Advance(u16),
    /// A node ends without a word, and starts again with the state of another.
    Restart(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let line = prop::sample::select(
        &[
            "a word",
            "/me waves",
            "/nick carol",
            "/history 3",
            "/who",
            "/quit",
            "/msg carol psst",
            "{",
            "",
        ][..],
    );
    let reason = prop::sample::select(
        &[
            DisconnectReason::Finished,
            DisconnectReason::Slow,
            DisconnectReason::Away,
            DisconnectReason::Away,
            DisconnectReason::Away,
            DisconnectReason::Lost(std::io::ErrorKind::ConnectionReset),
        ][..],
    );
    prop_oneof![
        2 => any::<u8>().prop_map(Step::Connect),
        4 => (any::<u8>(), 0u8..4).prop_map(|(node, name)| Step::Join(node, name)),
        4 => (any::<u8>(), 0u8..4, 0u8..6, any::<bool>())
            .prop_map(|(id, name, history, flag)| Step::Hello(id, name, history, flag)),
        2 => (any::<u8>(), any::<u8>(), 0u8..20)
            .prop_map(|(id, old, after)| Step::Resume(id, old, after)),
        8 => (any::<u8>(), line).prop_map(|(id, line)| Step::Say(id, line)),
        2 => (any::<u8>(), reason).prop_map(|(id, reason)| Step::Leave(id, reason)),
        6 => any::<u8>().prop_map(Step::Append),
        1 => any::<u8>().prop_map(Step::Retry),
        6 => (any::<u8>(), 1..4u8).prop_map(|(node, count)| Step::Read(node, count)),
        2 => (0..1500u16).prop_map(Step::Advance),
        1 => any::<u8>().prop_map(Step::Restart),
    ]
}

/// What a node does beside its commands: neither may change a frame.
struct Habits {
    /// Whether it seals its batch after the next command.
    seals: Box<dyn FnMut() -> bool>,
    /// Whether it saves and restores its state before the next command.
    restores: Box<dyn FnMut() -> bool>,
}

/// An entry of the log: commands as JSON, with the number of the entry among those of its node.
#[derive(Clone)]
struct Entry {
    node: NodeId,
    number: u64,
    now: Now,
    commands: Vec<String>,
}

struct Node {
    id: NodeId,
    room: Room,
    /// Commands that are not in the log.
    pending: Vec<String>,
    /// The entries that this node has appended.
    appended: u64,
    /// The entries of the log that it has read.
    read: usize,
    /// The last entry of each node that it has committed.
    committed: BTreeMap<u32, u64>,
    /// The frames of its batches, by number.
    frames: BTreeMap<u64, String>,
}

struct ClusterHarness {
    nodes: Vec<Node>,
    log: Vec<Entry>,
    /// The clients in the order of connecting, each with the place of its node.
    clients: Vec<(ClientId, usize, TestClient)>,
    now: Now,
    last_node: u32,
    habits: Habits,
}

/// A hash that is enough for a test.
fn credential_of(token: Token) -> Credential {
    Credential(token.0.map(|byte| byte ^ 0x5a))
}

fn config() -> Config {
    Config { max_clients: 2, history: 5, crowd: 4, connect_rate: 0, ..Config::default() }
}

impl Node {
    fn new(id: u32) -> Self {
        let config = config();
        let cluster = ClusterConfig {
            node: NodeId(id),
            rules: config.rules(),
            epoch: "epoch".into(),
            hash_key: HashKey(1, 2),
            credential_of,
        };
        Node {
            id: NodeId(id),
            room: Room::in_cluster(config, cluster),
            pending: Vec::new(),
            appended: 0,
            read: 0,
            committed: BTreeMap::new(),
            frames: BTreeMap::new(),
        }
    }

    fn propose(&mut self, input: Input, now: Now) {
        let command = self.room.propose(input, now);
        self.pending.extend(command.map(|command| serde_json::to_string(&command).unwrap()));
    }

    /// Returns whether an entry is the next one of its node, which has not ended.
    fn accepts(&mut self, entry: &Entry) -> bool {
        let committed = self.committed.entry(entry.node.0).or_default();
        let is_next = committed.checked_add(1) == Some(entry.number);
        if is_next {
            *committed = entry.number;
        }
        is_next
    }
}

impl ClusterHarness {
    fn new(habits: Habits) -> Self {
        ClusterHarness {
            nodes: (1..=NODES as u32).map(Node::new).collect(),
            log: Vec::new(),
            clients: Vec::new(),
            now: Now { uptime: Duration::from_secs(1), unix_ms: 1_790_000_000_000 },
            last_node: NODES as u32,
            habits,
        }
    }

    fn connect(&mut self, at: usize) -> u8 {
        let number = self.clients.len() as u64 + 1;
        let node = &mut self.nodes[at];
        let id = ClientId::new(node.id, number);
        // Each node has the same addresses, and clients without one.
        let peer = match number % 3 {
            0 => Peer::Unix(None),
            host => Peer::Inet(IpAddr::from([192, 0, 2, host as u8]), 1000 + number as u16 % 4),
        };
        node.propose(Input::Connect { id, peer, token: token(number) }, self.now);
        self.clients.push((id, at, TestClient::default()));
        (number - 1) as u8
    }

    fn pick(&self, client: u8) -> usize {
        usize::from(client) % self.clients.len()
    }

    fn say(&mut self, client: u8, line: &str) {
        let (id, at, _) = self.clients[self.pick(client)];
        let lines = vec![ClientLine::parse(line.as_bytes())];
        self.nodes[at].propose(Input::Lines { id, lines }, self.now);
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Connect(node) => drop(self.connect(usize::from(node) % NODES)),
            Step::Join(node, name) => {
                let client = self.connect(usize::from(node) % NODES);
                self.say(client, &format!(r#"{{"hello":{{"name":"name-{name}","keep":true}}}}"#));
            }
            Step::Append(node) => self.append(usize::from(node) % NODES),
            Step::Retry(back) if !self.log.is_empty() => {
                let entry = self.log[usize::from(back) % self.log.len()].clone();
                self.log.push(Entry { now: self.now, ..entry });
            }
            Step::Retry(_) => {}
            Step::Read(node, count) => {
                for _ in 0..count {
                    self.read(usize::from(node) % NODES);
                }
            }
            Step::Advance(ms) => self.advance(Duration::from_millis(ms.into())),
            Step::Restart(node) => self.restart(usize::from(node) % NODES),
            _ if self.clients.is_empty() => {}
            Step::Hello(client, name, history, flag) => {
                let hello = format!(
                    r#"{{"hello":{{"name":"name-{name}","history":{history},"quiet":{flag},"keep":{flag}}}}}"#,
                );
                self.say(client, &hello);
            }
            Step::Resume(client, old, after) => {
                let token = token(self.pick(old) as u64 + 1);
                let hello = format!(
                    r#"{{"hello":{{"token":"{token}","epoch":"epoch","after":{after},"keep":true}}}}"#,
                );
                self.say(client, &hello);
            }
            Step::Say(client, line) => self.say(client, line),
            Step::Leave(client, reason) => {
                let (id, at, _) = self.clients[self.pick(client)];
                self.nodes[at].propose(Input::Disconnect { id, reason }, self.now);
            }
        }
    }

    /// Lets time pass, of which each node tells the log.
    fn advance(&mut self, time: Duration) {
        self.now.uptime += time;
        self.now.unix_ms += time.as_millis() as u64;
        for node in &mut self.nodes {
            while let Some(client) = node.room.pop_hello_wait(self.now) {
                node.propose(Input::HelloWaitOver { id: client.id }, self.now);
            }
            node.pending.push(serde_json::to_string(&Command::Tick).unwrap());
        }
    }

    fn append(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let commands = std::mem::take(&mut node.pending);
        if !commands.is_empty() {
            node.appended += 1;
            self.log.push(Entry { node: node.id, number: node.appended, now: self.now, commands });
        }
    }

    /// Commits the next entry that a node has not read.
    fn read(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let Some(entry) = self.log.get(node.read).cloned() else { return };
        node.read += 1;
        if !node.accepts(&entry) {
            return;
        }
        for command in entry.commands {
            if (self.habits.restores)() {
                self.seal(at);
                let room = &mut self.nodes[at].room;
                let state = room.save_state();
                room.restore_state(&state).unwrap();
                assert!(state == room.save_state(), "the restored state is another one");
            }
            let node = &mut self.nodes[at];
            let command: Command = serde_json::from_str(&command).unwrap();
            if let Command::NodeDown { node: down } = command {
                node.committed.insert(down.0, u64::MAX);
            }
            node.room.commit(command, entry.now);
            if (self.habits.seals)() {
                self.seal(at);
            }
        }
    }

    fn seal(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let batch = node.room.seal();
        let lines = std::str::from_utf8(&batch.chunk).unwrap().lines().map(String::from);
        node.frames.extend((batch.before + 1..).zip(lines));
        for unicast in &batch.unicasts {
            assert_eq!(unicast.to.node(), node.id, "{unicast:?} is for a client of another node");
        }
        let own = self.clients.iter_mut().filter(|(id, ..)| id.node() == node.id);
        for (id, _, client) in own.filter(|(.., client)| !client.is_closed) {
            client.deliver(*id, &batch);
            if client.is_closed {
                node.room.release(*id, self.now);
            }
        }
    }

    /// Replaces a node that has ended. The next node writes that to the log.
    fn restart(&mut self, at: usize) {
        let other = (at + 1) % NODES;
        self.seal(at);
        self.seal(other);
        self.last_node += 1;
        let donor = &self.nodes[other];
        let mut node = Node::new(self.last_node);
        node.room.restore_state(&donor.room.save_state()).unwrap();
        (node.read, node.committed) = (donor.read, donor.committed.clone());
        let down = Command::NodeDown { node: self.nodes[at].id };
        self.nodes[other].pending.push(serde_json::to_string(&down).unwrap());
        self.append(other);
        let old = std::mem::replace(&mut self.nodes[at], node);
        for (id, _, client) in &mut self.clients {
            client.is_cut |= id.node() == old.id && !client.is_closed;
        }
    }

    /// Appends and reads everything.
    fn flush(&mut self) {
        while self.nodes.iter().any(|node| !node.pending.is_empty() || node.read < self.log.len()) {
            for at in 0..NODES {
                self.append(at);
            }
            for at in 0..NODES {
                while self.nodes[at].read < self.log.len() {
                    self.read(at);
                }
            }
        }
        for at in 0..NODES {
            self.seal(at);
        }
    }

    /// Checks that all nodes have the same state and frames, and that no token is in the log.
    fn check_equal(&self) {
        let [first, others @ ..] = &self.nodes[..] else { panic!("no nodes") };
        for node in others {
            assert_eq!(first.room.seq(), node.room.seq());
            let common = node.frames.iter().filter(|(seq, _)| first.frames.contains_key(seq));
            common.for_each(|(seq, frame)| assert_eq!(first.frames[seq], *frame));
            let states = [first, node].map(|node| node.room.save_state());
            let [one, other] = states.each_ref().map(|state| String::from_utf8_lossy(state));
            assert_eq!(one, other);
        }
        let log: String = self.log.iter().flat_map(|entry| entry.commands.clone()).collect();
        for number in 1..=self.clients.len() as u64 {
            assert!(!log.contains(&token(number).to_string()), "a token is in the log");
        }
    }

    /// Checks that each member got consecutive numbers from its welcome on, and the frames of the
    /// sequence.
    fn check_members(&self) {
        let mut sequence: BTreeMap<u64, &str> = BTreeMap::new();
        for node in &self.nodes {
            sequence.extend(node.frames.iter().map(|(seq, frame)| (*seq, &**frame)));
        }
        for (id, _, client) in &self.clients {
            let lines = std::str::from_utf8(&client.received).unwrap().lines();
            let mut next = None;
            for line in lines {
                let frame: Value = serde_json::from_str(line).unwrap();
                let kind = text(&frame["kind"]);
                if kind == "welcome" {
                    next = frame["seq"].as_u64().map(|seq| seq + 1);
                }
                let numbered = frame["seq"].as_u64().filter(|_| !matches!(kind, "welcome" | "bye"));
                let (Some(seq), Some(expected)) = (numbered, next) else { continue };
                // A lower number is a frame of the history.
                assert!(seq <= expected, "{id:?} got {seq} before {expected}");
                next = next.max(Some(seq + 1));
                if let Some(frame) = sequence.get(&seq) {
                    assert_eq!(*frame, line);
                }
            }
        }
    }

    /// Disconnects all clients, and checks that nothing is left.
    fn finish(&mut self) {
        for client in 0..self.clients.len() {
            let (id, at, _) = self.clients[client];
            let reason = DisconnectReason::Lost(std::io::ErrorKind::BrokenPipe);
            self.nodes[at].propose(Input::Disconnect { id, reason }, self.now);
        }
        self.advance(LONG_TIME);
        self.flush();
        self.advance(LONG_TIME);
        self.flush();
        for node in &self.nodes {
            let room = &node.room;
            assert_eq!((room.member_count(), room.client_count(), room.ending_count()), (0, 0, 0));
            assert_eq!((room.lobby.admission.len(), room.deadline()), (0, None));
            assert_eq!(room.lobby.tokens.len(), 0);
        }
        let mut present = HashSet::new();
        let whole = self.nodes.iter().find(|node| node.frames.contains_key(&1));
        for frame in whole.into_iter().flat_map(|node| node.frames.values()) {
            let frame: Value = serde_json::from_str(frame).unwrap();
            let names = frame["names"].as_array().into_iter().flatten();
            match text(&frame["kind"]) {
                "join" => names.for_each(|name| assert!(present.insert(name.clone()), "{frame}")),
                "leave" => names.for_each(|name| assert!(present.remove(name), "{frame}")),
                "name" if present.remove(&frame["from"]) => {
                    present.insert(frame["to"].clone());
                }
                _ => {}
            }
        }
        assert!(present.is_empty(), "{present:?} have not left");
    }
}

/// Runs steps, and returns the harness after everything is read.
fn run(steps: &[Step], habits: Habits) -> ClusterHarness {
    let mut harness = ClusterHarness::new(habits);
    steps.iter().for_each(|step| harness.apply(step));
    harness.flush();
    harness
}

/// Returns the next of some values, over and over.
fn cycle(values: Vec<bool>) -> Box<dyn FnMut() -> bool> {
    let mut values = values.into_iter().cycle();
    Box::new(move || values.next() == Some(true))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// The same log is the same state and the same frames on all nodes, wherever each of them seals
    /// and restores its state.
    #[test]
    fn nodes_have_identical_frames_and_states(
        steps in proptest::collection::vec(step(), 1..150),
        seals in proptest::collection::vec(any::<bool>(), 1..50),
        restores in proptest::collection::vec(any::<bool>(), 1..50),
    ) {
        let mut one = run(
            &steps,
            Habits { seals: Box::new(|| true), restores: Box::new(|| false) },
        );
        let other = run(&steps, Habits { seals: cycle(seals), restores: cycle(restores) });
        for harness in [&one, &other] {
            harness.check_equal();
            harness.check_members();
        }
        for (one, other) in one.nodes.iter().zip(&other.nodes) {
            prop_assert_eq!(&one.frames, &other.frames);
        }
        for ((_, _, one), (_, _, other)) in one.clients.iter().zip(&other.clients) {
            // A client that is replaced or slow loses the frames of the open batch.
            if !one.is_cut {
                let (one, other) = (&one.received, &other.received);
                prop_assert_eq!(String::from_utf8_lossy(one), String::from_utf8_lossy(other));
            }
        }
        one.finish();
    }
}
