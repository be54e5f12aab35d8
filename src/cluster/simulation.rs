//! A cluster without sockets and clocks, for tests: a log, and nodes whose room is a list of numbers.

use std::time::Duration;

use super::entry::NodeInfo;
use super::epoch::StreamInfo;
use super::node::{Node, NodeAction, NodeState, Opened};
use super::replica::{LogMessage, ReadError, Step};
use super::snapshot::{EncodedSnapshot, decode};
use super::sum::Digest;

/// The result of writing an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WriteResult {
    Stored,
    /// The entry is stored, but the answer is lost.
    AnswerLost,
    /// The entry is stored at [`Simulation::store_late`], behind its copies.
    Delayed,
    Lost,
}

/// A log and its nodes.
pub struct Simulation {
    pub now: Duration,
    /// The difference between the clock of the stream and `now`, in milliseconds.
    pub clock_offset: i64,
    pub stream: StreamInfo,
    pub log: Vec<LogMessage>,
    late: Vec<Vec<u8>>,
    pub snapshot: Option<EncodedSnapshot>,
    pub nodes: Vec<SimulatedNode>,
    next_inc: u64,
}

pub struct SimulatedNode {
    pub node: Node,
    /// The commands since the epoch began.
    pub room: Vec<u64>,
    pub epochs: Vec<String>,
    /// Own commands that were read from the log.
    pub acknowledged: Vec<u64>,
    pub errors: Vec<ReadError>,
}

impl Simulation {
    pub fn new(count: usize) -> Self {
        let mut simulation = Simulation {
            now: Duration::from_secs(1000),
            clock_offset: 1_700_000_000_000,
            stream: StreamInfo { created: 7, first: 1, last: 0 },
            log: Vec::new(),
            late: Vec::new(),
            snapshot: None,
            nodes: Vec::new(),
            next_inc: 1,
        };
        for index in 0..count {
            let node = simulation.fresh_node(index);
            simulation.nodes.push(node);
            simulation.open(index);
        }
        simulation
    }

    fn fresh_inc(&mut self) -> u64 {
        self.next_inc += 1;
        self.next_inc.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn fresh_node(&mut self, index: usize) -> SimulatedNode {
        let inc = self.fresh_inc();
        let info = NodeInfo { name: format!("node-{index}"), version: 1, ..NodeInfo::default() };
        SimulatedNode {
            node: Node::new(info, inc, format!("epoch-{inc:x}")),
            room: Vec::new(),
            epochs: Vec::new(),
            acknowledged: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Kills a node, and starts it again.
    pub fn kill(&mut self, index: usize) {
        self.nodes[index] = self.fresh_node(index);
        self.open(index);
    }

    /// Opens the stream for a node, with the last snapshot.
    pub fn open(&mut self, index: usize) {
        let state = self.snapshot.as_ref().map(|snapshot| decode(&snapshot.bytes).unwrap());
        let (replica, room): (_, Option<Vec<u64>>) = state.unzip();
        let node = &mut self.nodes[index];
        match node.node.open(self.stream, replica) {
            Opened::Kept => {}
            Opened::Restored => node.room = room.unwrap(),
            Opened::Blank => node.room = Vec::new(),
        }
    }

    pub fn store(&mut self, bytes: &[u8]) {
        self.stream.last += 1;
        let unix_ms = (self.now.as_millis() as i64 + self.clock_offset) as u64;
        self.log.push(LogMessage { seq: self.stream.last, unix_ms, bytes: bytes.into() });
    }

    /// Stores an entry that was delayed.
    pub fn store_late(&mut self, index: usize) {
        if !self.late.is_empty() {
            let bytes = self.late.swap_remove(index % self.late.len());
            self.store(&bytes);
        }
    }

    pub fn store_all_late(&mut self) {
        while !self.late.is_empty() {
            self.store_late(0);
        }
    }

    /// Deletes the messages before a position.
    pub fn purge(&mut self, first: u64) {
        self.log.retain(|message| message.seq >= first);
        self.stream.first = first;
    }

    /// Deletes the stream and creates it anew.
    pub fn recreate(&mut self) {
        self.log.clear();
        self.stream = StreamInfo { created: self.stream.created + 1, first: 1, last: 0 };
    }

    /// Executes the next action of a node. Returns whether there was one.
    pub fn poll(&mut self, index: usize, result: WriteResult) -> bool {
        let node = &mut self.nodes[index];
        if node.node.state() == NodeState::Outside {
            let inc = self.fresh_inc();
            self.nodes[index].node.restart(inc, format!("epoch-{inc:x}"));
            return true;
        }
        match node.node.poll(self.now) {
            Some(NodeAction::Publish(outgoing)) => {
                match result {
                    WriteResult::Stored | WriteResult::AnswerLost => self.store(&outgoing.bytes),
                    WriteResult::Delayed => self.late.push(outgoing.bytes.to_vec()),
                    WriteResult::Lost => {}
                }
                if result != WriteResult::Stored {
                    self.nodes[index].node.on_publish_failed(outgoing.n, self.now);
                }
            }
            Some(NodeAction::Open) => self.open(index),
            Some(NodeAction::WriteSnapshot) => {
                let snapshot = node.node.snapshot(&node.room);
                node.node.on_snapshot_written(Some(snapshot.notice), self.now);
                self.snapshot = Some(snapshot);
            }
            None => return false,
        }
        true
    }

    /// Delivers the next message to a node. Returns whether there was one.
    pub fn deliver(&mut self, index: usize) -> bool {
        let node = &mut self.nodes[index];
        let next = node.node.position() + 1;
        let Some(message) = self.log.iter().find(|message| message.seq >= next) else {
            return false;
        };
        if next < self.stream.first {
            self.open(index);
            return true;
        }
        let applied = match node.node.on_message::<u64>(message, self.now) {
            Ok(applied) => applied.unwrap(),
            Err(error) => {
                node.errors.push(error);
                node.room.clear();
                return true;
            }
        };
        let own = match node.node.state() {
            NodeState::Inside(number) => Some(number),
            _ => None,
        };
        let mut effects = Digest::new();
        for step in applied.steps {
            match step {
                Step::Reset { epoch } => {
                    node.room.clear();
                    node.epochs.push(epoch);
                }
                Step::Command { number, command } => {
                    node.room.push(command);
                    effects.write_u64(command);
                    if Some(number) == own {
                        node.acknowledged.push(command);
                    }
                }
                Step::NodeUp { .. } | Step::NodeDown { .. } => {}
            }
        }
        effects.write_u64(node.room.len() as u64);
        node.node.add_effects(effects.finish());
        true
    }

    /// Runs all nodes for a time, without faults.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let mut is_busy = true;
            while is_busy {
                is_busy = false;
                for index in 0..self.nodes.len() {
                    is_busy |= self.poll(index, WriteResult::Stored);
                    while self.deliver(index) {
                        is_busy = true;
                    }
                }
            }
            self.now += Duration::from_millis(50);
        }
    }

    /// Opens the stream for one node after another.
    pub fn open_all(&mut self) {
        for index in 0..self.nodes.len() {
            self.open(index);
            self.run(Duration::from_secs(1));
        }
    }

    /// Checks that all nodes are in the room, and that their rooms are equal.
    pub fn assert_converged(&self) {
        for node in &self.nodes {
            assert!(matches!(node.node.state(), NodeState::Inside(_)), "{:?}", node.node);
            assert_eq!(node.room, self.nodes[0].room);
            assert_eq!(node.node.replica().epoch(), self.nodes[0].node.replica().epoch());
            assert_eq!(node.node.replica().head(), self.nodes[0].node.replica().head());
        }
    }
}
