//! A room on several nodes: each node commits the commands of all of them in the same order.

use std::time::Duration;

use super::credential_index::CredentialIndex;
use super::lobby::{ClientStage, Lobby};
use super::state::RoomState;
use super::{ClientId, Command, Config, Credential, HashKey, History, NodeId, Room, Rules, Token};
use crate::protocol::ByeCode;

/// The values that all nodes with a room have in common.
#[derive(Clone, Debug)]
pub struct ReplicaConfig {
    /// The rules of the first node, see [`Config::rules`].
    pub rules: Rules,
    /// Identifies the sequence.
    pub epoch: Box<str>,
    /// A random key. It is secret, so that clients cannot choose equal hashes.
    pub hash_key: HashKey,
    /// Returns the hash of a token, which identifies its member at the other nodes.
    pub credential_of: fn(Token) -> Credential,
}

impl Room {
    /// Creates an empty room of a node of a cluster. `config` has the limits of the node. Its clients
    /// may connect after [`set_node`](Self::set_node).
    pub fn in_cluster(config: Config, replica: ReplicaConfig) -> Self {
        let ReplicaConfig { rules, epoch, hash_key, credential_of } = replica;
        let history = History::new(rules.history, rules.history_bytes, 0);
        let answers = config.answers(NodeId::default(), &rules);
        let mut state = RoomState::new(rules, answers, epoch, hash_key, (history, 0));
        state.credentials = CredentialIndex::of_hashes();
        let lobby = Lobby { is_clustered: true, ..Lobby::new(config, credential_of) };
        Room { lobby, state }
    }

    /// Sets the number of the node, which is not 0 and is in the upper bits of the numbers of its
    /// clients.
    pub fn set_node(&mut self, node: NodeId) {
        self.state.answers.node = node;
    }

    /// Sends a bye to every client of the node, and admits no more.
    pub fn close(&mut self, code: ByeCode) {
        self.close_lobby(code);
    }

    /// Admits no more clients, which get a bye with this code.
    pub fn refuse_clients(&mut self, code: ByeCode) {
        self.lobby.closed = Some(code);
    }

    /// Admits clients again.
    pub fn reopen(&mut self) {
        self.lobby.closed = None;
    }

    /// Sets the addresses of the nodes, for the welcome.
    pub fn set_addresses(&mut self, nodes: Vec<Box<str>>) {
        self.state.answers.nodes = nodes;
    }

    /// Returns the time of the log by which the next command has to be applied. If there is none,
    /// the node writes [`Command::Tick`].
    pub fn tick_deadline(&self) -> Option<Duration> {
        self.state.deadline()
    }

    /// Removes and returns the commands that follow from those that were committed: they go into
    /// the log like those of [`propose`](Self::propose).
    pub fn take_proposals(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.lobby.proposals)
    }

    /// Returns the rules of the room.
    pub fn rules(&self) -> &Rules {
        &self.state.rules
    }

    /// Returns the frames of the open batch. A command appends the frames that it publishes.
    pub fn open_frames(&self) -> &[u8] {
        self.state.batch.frames()
    }
}

impl RoomState {
    /// Replaces the rules. Names and members that are more than they allow stay.
    pub(super) fn set_rules(&mut self, rules: Rules) {
        self.history.set_limits(rules.history, rules.history_bytes, self.batch.ends());
        self.reserved.set_limits(rules.max_reserved, rules.max_reserved_per_ip);
        self.answers.limits.history = rules.history;
        self.rules = rules;
    }
}

impl Lobby {
    /// Lets a client that was refused its name wait for another first line.
    pub(super) fn wait_again(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(id) {
            client.stage = ClientStage::Waiting;
            let deadline = self.now.uptime + self.config.hello_wait;
            self.waiting.push(deadline, id, &self.clients);
        }
    }
}
