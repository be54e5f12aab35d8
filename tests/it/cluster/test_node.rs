//! A node whose room is a list of texts, on a thread of its own.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use futures_lite::FutureExt;
use smol::Timer;
use smolchat::cluster::config::ClusterConfig;
use smolchat::cluster::engine::{Engine, EngineEvent, EngineRequest};
use smolchat::cluster::entry::{NodeInfo, NodeRules};
use smolchat::cluster::epoch::StreamInfo;
use smolchat::cluster::lease::Reach;
use smolchat::cluster::membership::NodeNumber;
use smolchat::cluster::node::{Node, NodeAction, NodeState, Opened};
use smolchat::cluster::replica::{LogMessage, Step};
use smolchat::cluster::snapshot::decode;
use smolchat::cluster::sum::{Digest, digest};

use super::wait_until;

pub struct TestNode {
    inputs: Option<Sender<Input>>,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

enum Input {
    Propose(String),
    Snapshot,
    Leave,
}

/// The state of a node, for assertions.
#[derive(Default)]
pub struct State {
    pub room: Vec<String>,
    /// The epochs, without repetition.
    pub epochs: Vec<String>,
    pub node_state: Option<NodeState>,
    pub reach: Option<Reach>,
    /// The worst reach since the node is in the room.
    pub worst_reach: Option<Reach>,
    pub position: u64,
    pub snapshot_position: Option<u64>,
    /// The time from each proposal to its arrival in this room.
    pub latencies: Vec<Duration>,
    pub failures: Vec<String>,
    /// Number, time and hash of each message, as the engine delivered it.
    pub log: BTreeSet<(u64, u64, u64)>,
    proposed_at: HashMap<String, Instant>,
}

impl TestNode {
    pub fn start(servers: Vec<String>, name: &str, replicas: usize) -> Self {
        Self::start_with_rules(servers, name, replicas, NodeRules::default())
    }

    pub fn start_with_rules(
        servers: Vec<String>,
        name: &str,
        replicas: usize,
        rules: NodeRules,
    ) -> Self {
        let config = ClusterConfig {
            servers,
            room: "ROOM".into(),
            node: name.into(),
            replicas,
            ..ClusterConfig::default()
        };
        let info = NodeInfo { name: name.into(), version: 1, rules, ..NodeInfo::default() };
        Self::start_with_config(config, info)
    }

    pub fn start_with_config(config: ClusterConfig, info: NodeInfo) -> Self {
        config.check().unwrap();
        let (inputs, receiver) = async_channel::unbounded();
        let state = Arc::new(Mutex::new(State::default()));
        let task = Task {
            node: Node::new(info, fresh_inc(), fresh_epoch()),
            engine: Engine::start(config).unwrap(),
            stream: StreamInfo::default(),
            start: Instant::now(),
            state: Arc::clone(&state),
            is_new: false,
        };
        let thread = thread::spawn(move || smol::block_on(task.run(receiver)));
        TestNode { inputs: Some(inputs), state, thread: Some(thread) }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn propose(&self, text: &str) {
        self.state().proposed_at.insert(text.into(), Instant::now());
        self.send(Input::Propose(text.into()));
    }

    /// Writes a snapshot now, whatever the size of the log.
    pub fn write_snapshot(&self) {
        self.send(Input::Snapshot);
    }

    pub fn leave(&self) {
        self.send(Input::Leave);
    }

    /// Ends the node without a shutdown, like a kill.
    pub fn kill(&mut self) {
        self.inputs = None;
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// Returns the state in one line, for failed assertions.
    pub fn describe(&self) -> String {
        let state = self.state();
        let State { room, position, epochs, node_state, reach, failures, .. } = &*state;
        let failures = &failures[failures.len().saturating_sub(3)..];
        let (texts, epochs) = (room.len(), epochs.len());
        format!(
            "{texts} texts at {position} of epoch {epochs}, {node_state:?}, {reach:?}, {failures:?}\n"
        )
    }

    /// Returns the number of the node, if it is in the room.
    pub fn number(&self) -> Option<NodeNumber> {
        match self.state().node_state {
            Some(NodeState::Inside(number)) => Some(number),
            _ => None,
        }
    }

    pub fn is_inside(&self) -> bool {
        self.number().is_some()
    }

    #[track_caller]
    pub fn wait_until_inside(&self) {
        wait_until("the node is in the room", || self.is_inside());
    }

    fn send(&self, input: Input) {
        self.inputs.as_ref().unwrap().try_send(input).unwrap();
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        self.inputs = None;
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            if !thread::panicking() {
                result.unwrap();
            }
        }
    }
}

struct Task {
    node: Node,
    engine: Engine,
    stream: StreamInfo,
    start: Instant,
    state: Arc<Mutex<State>>,
    /// The node has a new incarnation, which is not in the room yet.
    is_new: bool,
}

enum Wake {
    Event(EngineEvent),
    Input(Input),
    Timer,
    End,
}

impl Task {
    async fn run(mut self, inputs: Receiver<Input>) {
        self.request(EngineRequest::Open);
        loop {
            self.act();
            let now = self.start.elapsed();
            let deadline = self.node.deadline(now).map(|at| self.start + at);
            let event = async { Wake::Event(self.engine.events().recv().await.unwrap()) };
            let is_full = self.node.appender().is_full();
            let input = async {
                if is_full && !inputs.is_closed() {
                    return std::future::pending().await;
                }
                inputs.recv().await.map_or(Wake::End, Wake::Input)
            };
            let timer = async {
                match deadline {
                    Some(deadline) => drop(Timer::at(deadline).await),
                    None => std::future::pending().await,
                }
                Wake::Timer
            };
            match event.or(input).or(timer).await {
                Wake::Event(event) => self.on_event(event),
                Wake::Input(Input::Propose(text)) => self.node.propose(text).unwrap(),
                Wake::Input(Input::Snapshot) => self.write_snapshot(),
                Wake::Input(Input::Leave) => self.node.leave(),
                Wake::Timer => {}
                Wake::End => return,
            }
        }
    }

    fn request(&self, request: EngineRequest) {
        self.engine.requests().try_send(request).unwrap();
    }

    fn act(&mut self) {
        let now = self.start.elapsed();
        match self.node.state() {
            NodeState::Outside => {
                self.node.restart(fresh_inc(), fresh_epoch());
                self.is_new = true;
            }
            NodeState::Inside(_) if std::mem::take(&mut self.is_new) => self.propose_again(),
            _ => {}
        }
        while let Some(action) = self.node.poll(now) {
            match action {
                NodeAction::Publish(entry) => self.request(EngineRequest::Publish(entry)),
                NodeAction::Open => self.request(EngineRequest::Open),
                NodeAction::WriteSnapshot => self.write_snapshot(),
            }
        }
        let reach = self.node.reach(now);
        let mut state = self.state.lock().unwrap();
        state.node_state = Some(self.node.state());
        state.reach = Some(reach);
        if matches!(self.node.state(), NodeState::Inside(_)) {
            state.worst_reach = state.worst_reach.max(Some(reach));
        }
        state.position = self.node.position();
        state.snapshot_position = self.node.replica().snapshot_position();
    }

    /// Proposes all texts that were not read. Texts of an earlier incarnation are lost, and clients
    /// would send them again.
    fn propose_again(&mut self) {
        self.node.discard_waiting();
        for text in self.state.lock().unwrap().proposed_at.keys() {
            self.node.propose(text.clone()).unwrap();
        }
    }

    fn write_snapshot(&mut self) {
        let snapshot = self.node.snapshot(&self.state.lock().unwrap().room);
        let request =
            EngineRequest::WriteSnapshot { stream: self.stream, snapshot: Arc::new(snapshot) };
        self.request(request);
    }

    fn on_event(&mut self, event: EngineEvent) {
        let now = self.start.elapsed();
        match event {
            EngineEvent::Connection(is_connected) => self.node.on_connection(is_connected, now),
            EngineEvent::Opened { stream, snapshot } => self.on_opened(stream, snapshot),
            EngineEvent::Message(message) => self.on_message(&message, now),
            EngineEvent::Interrupted => self.request(EngineRequest::Open),
            EngineEvent::PublishFailed { n } => self.node.on_publish_failed(n, now),
            EngineEvent::SnapshotWritten(stored) => self.node.on_snapshot_written(stored, now),
            EngineEvent::Failed(text) => self.state.lock().unwrap().failures.push(text),
        }
    }

    fn on_opened(&mut self, stream: StreamInfo, snapshot: Option<Vec<u8>>) {
        let (replica, room) = snapshot.map(|bytes| decode(&bytes).unwrap()).unzip();
        self.stream = stream;
        let opened = self.node.open(stream, replica);
        let mut state = self.state.lock().unwrap();
        match opened {
            Opened::Kept => {}
            Opened::Restored => state.room = room.unwrap(),
            Opened::Blank => state.room = Vec::new(),
        }
        self.request(EngineRequest::Read { stream, from: self.node.position() + 1 });
    }

    fn on_message(&mut self, message: &LogMessage, now: Duration) {
        let mut state = self.state.lock().unwrap();
        state.log.insert((message.seq, message.unix_ms, digest(&message.bytes)));
        let applied = match self.node.on_message::<String>(message, now) {
            Ok(Some(applied)) => applied,
            Ok(None) => return,
            Err(error) => {
                state.failures.push(format!("{error:?}"));
                state.room.clear();
                return;
            }
        };
        let mut effects = Digest::new();
        for step in applied.steps {
            match step {
                Step::Reset { epoch } => {
                    state.room.clear();
                    if !state.epochs.contains(&epoch) {
                        state.epochs.push(epoch);
                    }
                }
                Step::Command { command, .. } => {
                    if let Some(at) = state.proposed_at.remove(&command) {
                        state.latencies.push(at.elapsed());
                    }
                    effects.write(command.as_bytes());
                    state.room.push(command);
                }
                Step::NodeUp { .. } | Step::NodeDown { .. } => {}
            }
        }
        effects.write_u64(state.room.len() as u64);
        self.node.add_effects(effects.finish());
    }
}

fn fresh_inc() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn fresh_epoch() -> String {
    format!("{:016x}", fresh_inc())
}
