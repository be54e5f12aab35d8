//! Three nodes with one room: all have the same frames, in whatever order they run.

mod members;
mod operators;
mod profiles;
mod random;
mod refusals;

use std::collections::BTreeMap;

use super::resume::hello_of;
use super::*;

const NODES: usize = 3;
/// Longer than every wait.
const LONG_TIME: Duration = Duration::from_secs(1000);

/// The times at which a node seals and restores. They must not change a frame.
struct SealPlan {
    /// Whether it seals its batch after the next command.
    seals: Box<dyn FnMut() -> bool>,
    /// Whether it saves and restores its state before the next command.
    restores: Box<dyn FnMut() -> bool>,
}

/// An entry of the log: commands as JSON, with the number of the entry among those of its node.
#[derive(Clone)]
struct AppendedEntry {
    node: NodeId,
    number: u64,
    now: Now,
    commands: Vec<String>,
}

struct ReplicaNode {
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
    nodes: Vec<ReplicaNode>,
    log: Vec<AppendedEntry>,
    /// The clients in the order of connecting, each with the place of its node.
    clients: Vec<(ClientId, usize, TestClient)>,
    now: Now,
    last_node: u32,
    plan: SealPlan,
}

/// Returns a replacement for the hash of a token.
fn credential_of(token: Token) -> Credential {
    Credential(token.0.map(|byte| byte ^ 0x5a))
}

fn config() -> Config {
    Config { max_clients: 2, history: 5, crowd: 4, connect_rate: 0, ..Config::default() }
}

/// Returns the room of a node that has no number yet.
fn new_room(config: Config) -> Room {
    let replica = ReplicaConfig {
        rules: config.rules(),
        epoch: "epoch".into(),
        hash_key: HashKey(1, 2),
        credential_of,
    };
    Room::in_cluster(config, replica)
}

impl ReplicaNode {
    fn new(id: u32) -> Self {
        let mut room = new_room(config());
        room.set_node(NodeId(id));
        ReplicaNode {
            id: NodeId(id),
            room,
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
    fn accepts(&mut self, entry: &AppendedEntry) -> bool {
        let committed = self.committed.entry(entry.node.0).or_default();
        let is_next = committed.checked_add(1) == Some(entry.number);
        if is_next {
            *committed = entry.number;
        }
        is_next
    }
}

impl ClusterHarness {
    fn new(plan: SealPlan) -> Self {
        ClusterHarness {
            nodes: (1..=NODES as u32).map(ReplicaNode::new).collect(),
            log: Vec::new(),
            clients: Vec::new(),
            now: Now { uptime: Duration::from_secs(1), unix_ms: 1_790_000_000_000 },
            last_node: NODES as u32,
            plan,
        }
    }

    fn connect(&mut self, at: usize) -> u8 {
        let number = self.clients.len() as u64 + 1;
        let node = &mut self.nodes[at];
        let id = ClientId::new(node.id, number);
        // Each node has the same addresses, clients without one, and root.
        let peer = match number % 8 {
            0 | 4 => Peer::Unix(None),
            7 => Peer::Unix(Some(0)),
            host => Peer::Inet(IpAddr::from([192, 0, 2, host as u8 % 4]), 1000 + number as u16 % 4),
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

    fn make_operator(&mut self, client: u8) {
        let (id, at, _) = self.clients[self.pick(client)];
        let input = Input::Operator { id, label: "root".into(), line_id: None };
        self.nodes[at].propose(input, self.now);
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
            self.log.push(AppendedEntry {
                node: node.id,
                number: node.appended,
                now: self.now,
                commands,
            });
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
            if (self.plan.restores)() {
                self.seal(at);
                let room = &mut self.nodes[at].room;
                let state = room.save_state();
                let json = serde_json::to_string(&state).unwrap();
                room.restore_state(serde_json::from_str(&json).unwrap()).unwrap();
                assert_eq!(state, room.save_state());
            }
            let node = &mut self.nodes[at];
            let command: Command = serde_json::from_str(&command).unwrap();
            if let Command::NodeDown { node: down } = command {
                node.committed.insert(down.0, u64::MAX);
            }
            node.room.commit(command, entry.now);
            let proposals = node.room.take_proposals().into_iter();
            node.pending.extend(proposals.map(|command| serde_json::to_string(&command).unwrap()));
            if (self.plan.seals)() {
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
        let mut node = ReplicaNode::new(self.last_node);
        node.room.restore_state(donor.room.save_state()).unwrap();
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
            assert_eq!(first.room.save_state(), node.room.save_state());
        }
        let log: String = self.log.iter().flat_map(|entry| entry.commands.clone()).collect();
        for number in 1..=self.clients.len() as u64 {
            assert!(!log.contains(&token(number).to_string()), "a token is in the log");
        }
        assert!(!log.contains("hunter2"), "a password is in the log");
    }
}

/// Returns three nodes that seal after each command.
fn nodes() -> ClusterHarness {
    ClusterHarness::new(SealPlan { seals: Box::new(|| true), restores: Box::new(|| false) })
}

fn hello(name: &str) -> String {
    format!(r#"{{"hello":{{"name":"{name}","keep":true}}}}"#)
}

/// Returns kind and text of each frame of the sequence.
fn sequence(harness: &ClusterHarness) -> Vec<String> {
    let frames = harness.nodes[0].frames.values();
    frames.map(|frame| summary(&serde_json::from_str(frame).unwrap())).collect()
}

#[test]
fn member_resumes_on_another_node() {
    let mut harness = nodes();
    let alice = harness.connect(0);
    harness.say(alice, &hello("alice"));
    harness.flush();
    harness.say(alice, "in flight");
    harness.append(0);
    let again = harness.connect(1);
    harness.say(again, &hello_of("bob", 1, 1));
    harness.flush();
    // Lines of the old connection are ignored after the new one has joined.
    harness.say(alice, "too late");
    harness.say(again, "here again");
    harness.flush();
    let frames = parse(&harness.clients[1].2.received);
    assert_eq!((&frames[0]["name"], &frames[0]["resumed"]), (&"alice".into(), &true.into()));
    assert_eq!(frames[0]["token"], token(2).to_string());
    assert_eq!(summary(&frames[1]), "chat: in flight");
    assert_eq!(sequence(&harness)[1..], ["chat: in flight", "chat: here again"]);
    assert!(harness.clients[0].2.is_cut, "the old connection is not ended");
    harness.check_equal();
}

#[test]
fn members_of_a_dead_node_leave_and_keep_names() {
    let mut harness = nodes();
    for (node, name) in [(0, "alice"), (1, "bob"), (1, "carol")] {
        let client = harness.connect(node);
        harness.say(client, &hello(name));
        harness.flush();
    }
    harness.restart(1);
    harness.flush();
    assert_eq!(sequence(&harness)[3..], ["leave: bob and carol left"]);
    let dave = harness.connect(2);
    harness.say(dave, &hello("bob"));
    let bob = harness.connect(0);
    harness.say(bob, &hello_of("bob", 0, 2));
    harness.flush();
    let names = [3, 4].map(|at| parse(&harness.clients[at].2.received)[0]["name"].clone());
    assert_eq!(names, ["bob-2", "bob"]);
    harness.check_equal();
}

#[test]
fn place_of_absent_member_is_given_once() {
    let mut harness = nodes();
    for name in ["alice", "bob"] {
        let client = harness.connect(0);
        harness.say(client, &hello(name));
    }
    harness.flush();
    let reason = DisconnectReason::Away;
    harness.nodes[0].propose(Input::Disconnect { id: harness.clients[0].0, reason }, harness.now);
    harness.flush();
    // Both joins are proposed before one of them is applied.
    for name in ["carol", "dave"] {
        let client = harness.connect(0);
        harness.say(client, &hello(name));
    }
    harness.flush();
    let last = [2, 3].map(|at| parse(&harness.clients[at].2.received).remove(0));
    assert_eq!((&last[0]["name"], &last[1]["code"]), (&"carol".into(), &"full".into()));
    assert_eq!(harness.nodes[0].room.lobby.admission.len(), 2);
    harness.check_equal();
}

#[test]
fn shutdown_of_a_node_keeps_the_other_members() {
    let mut harness = nodes();
    for (node, name) in [(0, "alice"), (1, "bob")] {
        let client = harness.connect(node);
        harness.say(client, &hello(name));
    }
    harness.flush();
    harness.nodes[1].propose(Input::Shutdown, harness.now);
    harness.seal(1);
    assert_eq!(parse(&harness.clients[1].2.received).pop().unwrap()["code"], "shutdown");
    assert_eq!(harness.nodes[1].room.member_count(), 2, "the log has not said so");
    harness.restart(1);
    harness.flush();
    assert_eq!(sequence(&harness)[2..], ["leave: bob left"]);
    harness.check_equal();
}

#[test]
fn command_is_split_into_one_line_each() {
    let mut node = ReplicaNode::new(1);
    let id = ClientId::new(NodeId(1), 1);
    let now = Now { uptime: Duration::from_secs(1), unix_ms: 1_790_000_000_000 };
    let peer = Peer::Unix(None);
    node.propose(Input::Connect { id, peer, token: token(1) }, now);
    let long = "\u{1}".repeat(4096);
    // The first is a join with two lines, and the second has three lines.
    for _ in 0..2 {
        let lines = [&*hello("alice"), &long, &long];
        let lines = lines.iter().map(|line| ClientLine::parse(line.as_bytes())).collect();
        let command = node.room.propose(Input::Lines { id, lines }, now).unwrap();
        let parts = command.into_lines();
        assert_eq!(parts.len(), 3);
        for part in parts {
            assert!(serde_json::to_string(&part).unwrap().len() < 32 << 10);
            node.room.commit(part, now);
        }
    }
    let kinds = parse(&node.room.seal().chunk).into_iter().map(|frame| frame["kind"].clone());
    assert_eq!(kinds.collect::<Vec<_>>(), ["join", "chat", "chat", "chat", "chat"]);
}
