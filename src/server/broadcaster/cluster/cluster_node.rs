//! The node of a server in its cluster, with the clients and the commands that it has on the way.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};

use super::super::Event;
#[cfg(feature = "irc")]
use super::super::irc::LineQueues;
use super::commands_in_flight::CommandsInFlight;
use super::pacing::Pacing;
use super::seed::{Seed, fresh_incarnation, unicode_version};
use crate::cluster::config::ClusterConfig;
use crate::cluster::credential::hash_token;
use crate::cluster::engine::{Engine, EngineRequest};
use crate::cluster::entry::{NodeInfo, VERSION};
use crate::cluster::epoch::StreamInfo;
use crate::cluster::lease::Reach;
use crate::cluster::membership::{LEASE_MS, NodeNumber};
use crate::cluster::node::{Node, NodeAction, NodeState};
use crate::protocol::{ByeCode, ClusterStats, ErrorCode, RequestError};
use crate::room::{
    ClientId, Command, Config, Credential, HashKey, NodeId, Now, ReplicaConfig, Room,
};

/// The time for which clients are held until a node that has just started is in the room.
const MAX_HOLD: Duration = Duration::from_secs(10);
/// The delay of a tick at the nodes that do not write the snapshots. They write a tick only if the
/// writer of the snapshots does not.
const TICK_DELAY: Duration = Duration::from_millis(500);
/// The error of the time stamps in the log, which are whole milliseconds.
const TICK_SLACK: Duration = Duration::from_millis(1);
/// The wait at a shutdown until the end of the node is in the log.
pub const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The node of this server.
pub struct ClusterNode {
    pub node: Node,
    engine: Engine,
    pub config: ClusterConfig,
    pub room_config: Config,
    pub stream: StreamInfo,
    inputs: (Sender<Event>, Receiver<Event>),
    /// The first client of each incarnation that has connections, by the number that the accept loop
    /// gave it.
    pub numbers: Vec<(u64, NodeId)>,
    /// The last client that connected.
    last_client: u64,
    /// Clients that connected before the node was in the room. Their inputs wait in the channel.
    pub held: Vec<Event>,
    /// The end of the time in which clients are held.
    pub hold_until: Option<Duration>,
    /// The commands of this incarnation.
    pub commands: CommandsInFlight,
    /// The time of the last entry in the log, and when it was read.
    read_at: (Duration, Duration),
    pub is_tick_proposed: bool,
    /// The reach that the clients were told.
    pub reach: Reach,
    /// The state that was handled last.
    pub node_state: NodeState,
    /// The time at which a server that shuts down no longer waits for the log.
    pub leave_by: Option<Duration>,
    pub pacing: Pacing,
    /// The reason for which the server ends.
    pub failure: Option<String>,
    /// The lines of IRC clients that are on their way.
    #[cfg(feature = "irc")]
    pub irc_lines: LineQueues,
    /// The channel for `failure`.
    failures: (Sender<String>, Receiver<String>),
    /// The last failure of the engine that was logged.
    pub last_report: String,
}

impl ClusterNode {
    /// Starts the engine. `events` is the number of inputs that may wait.
    pub fn start(config: ClusterConfig, room_config: &Config, events: usize) -> io::Result<Self> {
        let engine = Engine::start(config.clone())?;
        Self::with_engine(engine, config, room_config, events)
    }

    /// Creates the node of an engine.
    pub fn with_engine(
        engine: Engine,
        config: ClusterConfig,
        room_config: &Config,
        events: usize,
    ) -> io::Result<Self> {
        let mut info = NodeInfo {
            name: config.node.clone(),
            version: VERSION,
            unicode: unicode_version(),
            address: config.advertise.clone(),
            ..NodeInfo::default()
        };
        for (option, value) in room_config.rules().options() {
            info.rules.insert(option.into(), value);
        }
        let (inc, seed) = fresh_incarnation(room_config)?;
        let node = ClusterNode {
            node: Node::new(info, inc, seed),
            engine,
            config,
            room_config: room_config.clone(),
            stream: StreamInfo::default(),
            inputs: async_channel::bounded(events),
            numbers: Vec::new(),
            last_client: 0,
            held: Vec::new(),
            hold_until: Some(MAX_HOLD),
            commands: CommandsInFlight::default(),
            read_at: Default::default(),
            is_tick_proposed: false,
            reach: Reach::Reachable,
            node_state: NodeState::Starting,
            leave_by: None,
            pacing: Pacing::default(),
            failure: None,
            #[cfg(feature = "irc")]
            irc_lines: LineQueues::default(),
            failures: async_channel::bounded(1),
            last_report: String::new(),
        };
        node.request(EngineRequest::Open);
        Ok(node)
    }

    /// Returns an empty room, which has no epoch and admits no client.
    pub fn create_room(&self) -> Room {
        let seed =
            Seed { epoch: "".into(), hash_key: HashKey(0, 0), rules: self.room_config.rules() };
        self.room_of(seed)
    }

    /// Returns the empty room at the beginning of an epoch of the log.
    pub fn begin_room(&self, epoch: &str) -> Result<Room, serde_json::Error> {
        Ok(self.room_of(serde_json::from_str(epoch)?))
    }

    fn room_of(&self, Seed { epoch, hash_key, rules }: Seed) -> Room {
        let credential_of = |token: crate::room::Token| Credential(hash_token(token.0));
        let replica = ReplicaConfig { rules, epoch, hash_key, credential_of };
        let mut room = Room::in_cluster(self.room_config.clone(), replica);
        room.close(ByeCode::Unreachable);
        room
    }

    pub fn request(&self, request: EngineRequest) {
        if self.engine.requests().try_send(request).is_err() {
            log::error!("cluster: the engine takes no request");
        }
    }

    pub fn inputs(&self) -> Sender<Event> {
        self.inputs.0.clone()
    }

    /// Returns whether inputs of clients wait.
    pub fn has_inputs(&self) -> bool {
        !self.inputs.1.is_empty()
    }

    /// Returns an event that waits. The inputs of clients wait while the log does not take more, and
    /// the log waits in a pause while `are_behind`, most clients.
    pub fn try_next_event(&mut self, are_behind: bool) -> Option<Event> {
        if !self.pacing.is_paused(are_behind)
            && let Ok(event) = self.engine.events().try_recv()
        {
            return Some(Event::Engine(Some(Box::new(event))));
        }
        if self.is_full() { None } else { self.inputs.1.try_recv().ok() }
    }

    /// Holds a client that has connected. Returns whether no more may be held: there are as many as
    /// the room admits, or as events that may wait.
    pub fn hold(&mut self, event: Event) -> bool {
        self.held.push(event);
        let most = self.room_config.max_connections();
        self.held.len() >= self.inputs.0.capacity().unwrap_or(most).min(most)
    }

    /// Returns whether the inputs of clients have to wait.
    fn is_full(&self) -> bool {
        if self.hold_until.is_some() || self.commands.is_full() {
            return true;
        }
        #[cfg(feature = "irc")]
        if self.irc_lines.is_full() {
            return true;
        }
        self.node.appender().is_full()
    }

    pub async fn engine_event(&self, are_behind: bool) -> Option<Event> {
        if self.pacing.is_paused(are_behind) {
            return std::future::pending().await;
        }
        Some(Event::Engine(self.engine.events().recv().await.ok().map(Box::new)))
    }

    pub async fn input(&self) -> Option<Event> {
        if self.is_full() {
            return std::future::pending().await;
        }
        self.inputs.1.recv().await.ok()
    }

    /// Returns the number of the node, if it is in the room.
    pub fn number(&self) -> Option<NodeNumber> {
        match self.node_state {
            NodeState::Inside(number) => Some(number),
            _ => None,
        }
    }

    /// Handles the entry into the room. Clients that connect from now on have `number` in theirs.
    /// `has_clients` returns whether an earlier incarnation has connections.
    pub fn enter(&mut self, number: NodeNumber, has_clients: impl Fn(NodeId) -> bool) {
        self.numbers.retain(|(_, node)| has_clients(*node));
        self.numbers.push((self.last_client + 1, NodeId(number.0)));
        self.reach = Reach::Reachable;
    }

    /// Lets the node enter the room again.
    pub fn restart(&mut self) -> io::Result<()> {
        let (inc, seed) = fresh_incarnation(&self.room_config)?;
        self.node.restart(inc, seed);
        Ok(())
    }

    /// Discards the commands on the way, because the node is out of the room.
    pub fn discard_commands(&mut self) {
        self.commands = CommandsInFlight::default();
        #[cfg(feature = "irc")]
        self.irc_lines.clear();
        self.is_tick_proposed = false;
    }

    /// Returns the number in the room of a client of the accept loop.
    pub fn id_of(&self, id: ClientId) -> ClientId {
        let at = self.numbers.partition_point(|(first, _)| *first <= id.0);
        match at.checked_sub(1).and_then(|at| self.numbers.get(at)) {
            Some((_, node)) if id.node() == NodeId::default() => ClientId::new(*node, id.0),
            _ => id,
        }
    }

    /// Counts a client that connects.
    pub fn on_connected(&mut self, id: ClientId) {
        self.last_client = self.last_client.max(id.0);
    }

    /// Passes a command to the log. A command that is too long for an entry is split. Returns `false`
    /// if the node is not in the room.
    pub fn propose(&mut self, command: Command) -> bool {
        if self.number().is_none() {
            return false;
        }
        if self.node.propose(&command).is_ok() {
            self.commands.on_proposed();
            return true;
        }
        for part in command.into_lines() {
            let id = match &part {
                Command::Lines { id, .. } => Some(*id),
                _ => None,
            };
            let mut result = self.node.propose(&part);
            if result.is_err()
                && let Some(id) = id
            {
                let text = "the line is too long for the log of the room";
                let lines = vec![Err(RequestError::new(ErrorCode::TooLong, text))];
                // Always fits into an entry.
                result = self.node.propose(&Command::Lines { id, lines });
            }
            if result.is_ok() {
                self.commands.on_proposed();
            }
        }
        true
    }

    /// Sets the time of the log.
    pub fn set_time(&mut self, log: Duration, now: Duration) {
        self.read_at = (log, now);
    }

    /// Returns when the node has to write a tick.
    pub fn tick_deadline(&self, room: &Room) -> Option<Duration> {
        if self.number().is_none() || self.is_tick_proposed || self.reach == Reach::Ending {
            return None;
        }
        let (log, now) = self.read_at;
        let wait = room.tick_deadline()?.saturating_sub(log) + TICK_SLACK;
        let is_first = self.node.replica().is_snapshot_writer(self.node.appender().inc());
        Some(now + wait + if is_first { Duration::ZERO } else { TICK_DELAY })
    }

    /// Returns when the node has to do something, if nothing happens before.
    pub fn deadline(&self, room: &Room, now: Now) -> Option<Duration> {
        let is_changed = self.node.state() != self.node_state;
        let deadlines = [
            is_changed.then_some(now.uptime),
            self.node.deadline(now.uptime),
            room.hello_deadline(),
            self.tick_deadline(room),
            self.hold_until,
            self.leave_by.filter(|at| *at > now.uptime),
            self.pacing.deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Returns whether the node is out of the room, or no longer waits for that.
    pub fn has_left(&self, now: Duration) -> bool {
        let is_late = self.leave_by.is_some_and(|by| by <= now);
        self.number().is_none() || self.failure.is_some() || is_late
    }

    /// Returns the channel for the reason for which the server ends.
    pub fn failures(&self) -> Receiver<String> {
        self.failures.1.clone()
    }

    /// Sends the reason for which the server ends, if there is one.
    pub fn send_failure(self) {
        if let Some(failure) = self.failure {
            let _ = self.failures.0.try_send(failure);
        }
    }

    /// Returns the addresses of all nodes that state one.
    pub fn addresses(&self) -> Vec<Box<str>> {
        let nodes = self.node.replica().nodes();
        nodes.filter_map(|(_, record)| record.info.address.as_deref().map(Box::from)).collect()
    }

    /// Returns the addresses of the nodes, and then of those that were in the room. A page that was
    /// loaded from a node has its address also when the node has ended.
    #[cfg(feature = "web")]
    pub fn known_addresses(&self) -> Vec<&str> {
        let replica = self.node.replica();
        let nodes = replica.nodes().filter_map(|(_, record)| record.info.address.as_deref());
        nodes.chain(replica.former_addresses()).collect()
    }

    /// Returns the statistics of the node.
    pub fn stats(&self, now: Duration) -> ClusterStats {
        let replica = self.node.replica();
        let (_, read_at) = self.read_at;
        let unread = u64::try_from(now.saturating_sub(read_at).as_millis()).unwrap_or(u64::MAX);
        let silence = replica.silence_ms(self.node.appender().inc());
        let left = |silence| LEASE_MS.saturating_sub(silence).saturating_sub(unread);
        let lease = silence.map_or(0, left);
        ClusterStats {
            node: self.config.node.clone(),
            nodes: replica.nodes().map(|(_, record)| record.info.name.clone()).collect(),
            position: replica.position(),
            lag: self.engine.events().len(),
            lease,
        }
    }

    /// Passes the requests of the node to the engine.
    pub fn poll(&mut self, room: &Room, now: Now) {
        while let Some(action) = self.node.poll(now.uptime) {
            match action {
                NodeAction::Publish(entry) => self.request(EngineRequest::Publish(entry)),
                NodeAction::Open => self.request(EngineRequest::Open),
                NodeAction::WriteSnapshot => {
                    let snapshot = Arc::new(self.node.snapshot(&room.save_state()));
                    self.request(EngineRequest::WriteSnapshot { stream: self.stream, snapshot });
                }
            }
        }
    }
}
