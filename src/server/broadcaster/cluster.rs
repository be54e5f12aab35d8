//! The room of a node in a cluster.
//!
//! The inputs of clients become commands, which go to the log. The commands that are read from the
//! log, of all nodes, change the room. Clients that connect, sockets that become writable and the
//! shutdown do not go through the log, so that a log out of reach delays the lines only.

mod cluster_node;
mod commands_in_flight;
mod log_reader;
mod pacing;
mod seed;

use std::time::Duration;

use futures_lite::FutureExt;

use super::hello_waits::HELLO_WAIT_EXTENSION;
use super::{Broadcaster, Event};
use crate::cluster::engine::{EngineEvent, EngineRequest};
use crate::cluster::epoch::StreamInfo;
use crate::cluster::lease::Reach;
use crate::cluster::membership::NodeNumber;
use crate::cluster::node::{NodeState, Opened};
use crate::cluster::replica::LogTime;
use crate::cluster::snapshot::decode;
use crate::protocol::ByeCode;
use crate::room::{Command, Input, NodeId, Now, Room, SavedState, WaitingClient};
use crate::server::address_limits::AnswerCharge;
pub use cluster_node::ClusterNode;
use cluster_node::LEAVE_TIMEOUT;
pub use commands_in_flight::{CHARGE_BYTES, MAX_CHARGES};

/// The texts for members when their lines begin to wait, and after that.
const OUT_OF_REACH: &str = "the room is out of reach; your lines wait until it is back";
const WITHIN_REACH: &str = "the room is within reach again";

/// Returns the next event of the engine, or the next input of a client. `are_behind` is whether most
/// clients are behind.
pub async fn next_event(node: Option<&ClusterNode>, are_behind: bool) -> Option<Event> {
    match node {
        Some(node) => node.engine_event(are_behind).or(node.input()).await,
        None => std::future::pending().await,
    }
}

impl Broadcaster {
    /// Handles an event of the engine, or returns an event with the number that the client has in
    /// the room. Clients wait until a node that has just started is in the room.
    pub(super) fn filter_event(&mut self, mut event: Event, now: Now) -> Option<Event> {
        let Some(cluster) = &mut self.cluster else { return Some(event) };
        match &mut event {
            Event::Engine(engine_event) => {
                let engine_event = engine_event.take();
                self.on_engine_event(engine_event, now);
                return None;
            }
            Event::Shutdown => self.end_hold(now),
            Event::Report | Event::Reload(_) | Event::Writable(_) => {}
            _ if cluster.hold_until.is_some() => {
                if cluster.hold(event) {
                    self.end_hold(now);
                }
                return None;
            }
            Event::Connected { id, .. } => {
                cluster.on_connected(*id);
                *id = cluster.id_of(*id);
            }
            Event::Input { input, .. } => {
                if let Some(id) = input.client_mut() {
                    *id = cluster.id_of(*id);
                }
            }
            #[cfg(feature = "tls")]
            Event::Tls { id, .. } => *id = cluster.id_of(*id),
            #[cfg(feature = "web")]
            Event::Web { id, .. } => *id = cluster.id_of(*id),
        }
        Some(event)
    }

    /// Connects the clients that were held.
    fn end_hold(&mut self, now: Now) {
        let Some(cluster) = &mut self.cluster else { return };
        cluster.hold_until = None;
        for event in std::mem::take(&mut cluster.held) {
            self.on_event(event, now);
        }
    }

    /// Passes an input through the log.
    pub(super) fn propose(&mut self, input: Input, now: Now) {
        let is_shutdown = matches!(input, Input::Shutdown);
        let command = self.room.propose(input, now);
        let Some(cluster) = &mut self.cluster else { return };
        if let Some(command) = command {
            cluster.propose(command);
        }
        if is_shutdown {
            cluster.node.leave();
            cluster.leave_by = Some(now.uptime + LEAVE_TIMEOUT);
        }
    }

    /// Keeps the charge for an answer that comes later, or returns it.
    pub(super) fn delay_charge(&mut self, answer: AnswerCharge) -> Option<AnswerCharge> {
        match &mut self.cluster {
            Some(cluster) => cluster.commands.keep_charge(answer),
            None => Some(answer),
        }
    }

    /// Extends the wait of a client if inputs wait, one of which may be its hello.
    pub(super) fn extend_clustered_wait(&mut self, client: WaitingClient, now: Now) -> bool {
        let is_extended = self.cluster.as_ref().is_some_and(|cluster| cluster.has_inputs());
        if is_extended {
            self.room.extend_hello_wait(client, now.uptime + HELLO_WAIT_EXTENSION);
        }
        is_extended
    }

    /// Handles changes of the state of the node and its reach.
    pub(super) fn advance_cluster(&mut self, now: Now) {
        let Some(cluster) = &mut self.cluster else { return };
        let node_state = cluster.node.state();
        if node_state != cluster.node_state {
            cluster.node_state = node_state.clone();
            match node_state {
                NodeState::Inside(number) => self.enter(number, now),
                NodeState::Outside => self.on_outside(),
                NodeState::Refused(reasons) => {
                    self.fail(format!("the room refuses this node: {}", reasons.join(", ")), now);
                }
                NodeState::Starting => {}
            }
        }
        self.check_reach(now);
        let Some(cluster) = &mut self.cluster else { return };
        cluster.pacing.end_pause(self.clients.are_mostly_behind(), now.uptime);
        if cluster.hold_until.is_some_and(|until| until <= now.uptime) {
            log::warn!("cluster: the room is not reached; clients are sent to other nodes");
            self.end_hold(now);
        }
        let Some(cluster) = &mut self.cluster else { return };
        if cluster.tick_deadline(&self.room).is_some_and(|deadline| deadline <= now.uptime) {
            cluster.is_tick_proposed = true;
            cluster.propose(Command::Tick);
        }
    }

    /// Begins a pause if most clients are behind after the delivery of `bytes`.
    pub(super) fn pace_delivery(&mut self, bytes: usize, now: Now) {
        let are_behind = self.clients.are_mostly_behind();
        if let Some(cluster) = &mut self.cluster {
            cluster.pacing.on_delivery(bytes, self.batch_bytes, are_behind, now.uptime);
        }
    }

    /// Passes the commands and the requests that wait to the node and its engine.
    pub(super) fn poll_node(&mut self, now: Now) {
        if let Some(cluster) = &mut self.cluster {
            for command in self.room.take_proposals() {
                cluster.propose(command);
            }
            cluster.poll(&self.room, now);
        }
    }

    fn enter(&mut self, number: NodeNumber, now: Now) {
        let Some(cluster) = &mut self.cluster else { return };
        let (room, node) = (&cluster.config.room, &cluster.config.node);
        log::info!("cluster: node {node} is number {} of the room {room}", number.0);
        cluster.enter(number, |node| self.clients.has_client_of(node));
        if self.is_shutting_down {
            return cluster.node.leave();
        }
        self.room.set_node(NodeId(number.0));
        self.room.reopen();
        let Some(cluster) = &mut self.cluster else { return };
        // The room can be older than the options of its nodes.
        let rules = cluster.room_config.rules();
        if *self.room.rules() != rules {
            cluster.propose(Command::Rules(Box::new(rules)));
        }
        // The bans of the room replace those of the file.
        if !self.room.mark_own_moderation() {
            self.read_bans(now);
        }
        self.end_hold(now);
    }

    fn on_outside(&mut self) {
        self.room.close(ByeCode::Unreachable);
        let Some(cluster) = &mut self.cluster else { return };
        cluster.discard_commands();
        if self.is_shutting_down {
            return;
        }
        log::warn!("cluster: the node is out of the room, and enters it again");
        if let Err(error) = cluster.restart() {
            log::error!("cluster: the node cannot enter the room again: {error}");
        }
        cluster.node_state = cluster.node.state();
    }

    /// Tells the clients if the room is out of reach, and sends them to other nodes before the lease
    /// ends.
    fn check_reach(&mut self, now: Now) {
        let is_shutting_down = self.is_shutting_down;
        let Some(cluster) = &mut self.cluster else { return };
        if cluster.number().is_none() || cluster.reach == Reach::Ending || is_shutting_down {
            return;
        }
        let reach = cluster.node.reach(now.uptime);
        if std::mem::replace(&mut cluster.reach, reach) == reach {
            return;
        }
        match reach {
            Reach::Reachable => {
                self.room.broadcast_info(WITHIN_REACH);
                self.room.reopen();
            }
            Reach::OutOfReach => {
                log::warn!("cluster: the room is out of reach");
                self.room.broadcast_info(OUT_OF_REACH);
                // Another node may admit them. A join that waits here would take them over later.
                self.room.refuse_clients(ByeCode::Unreachable);
            }
            Reach::Ending => {
                log::warn!("cluster: the lease ends; clients are sent to other nodes");
                // The clients send the lines again at another node.
                cluster.node.discard_waiting();
                cluster.node.leave();
                self.room.close(ByeCode::Unreachable);
            }
        }
    }

    /// Ends the server, because it cannot be a node of the cluster.
    fn fail(&mut self, reason: String, now: Now) {
        let Some(cluster) = &mut self.cluster else { return };
        log::error!("cluster: {reason}");
        cluster.failure.get_or_insert(reason);
        self.end_hold(now);
        self.room.close(ByeCode::Unreachable);
        self.is_shutting_down = true;
        self.clients.on_shutdown(now.uptime);
    }

    fn on_engine_event(&mut self, event: Option<Box<EngineEvent>>, now: Now) {
        let Some(cluster) = &mut self.cluster else { return };
        let Some(event) = event else { return self.fail("its thread has ended".into(), now) };
        match *event {
            EngineEvent::Connection(is_connected) => {
                log::info!("cluster: {}", if is_connected { "connected" } else { "not connected" });
                cluster.last_report.clear();
                cluster.node.on_connection(is_connected, now.uptime);
            }
            EngineEvent::Opened { stream, snapshot } => self.on_opened(stream, snapshot, now),
            EngineEvent::Message(message) => self.on_message(&message, now),
            EngineEvent::Interrupted => cluster.request(EngineRequest::Open),
            EngineEvent::PublishFailed { n } => cluster.node.on_publish_failed(n, now.uptime),
            EngineEvent::SnapshotWritten(stored) => {
                cluster.node.on_snapshot_written(stored, now.uptime);
            }
            EngineEvent::Failed(text) => {
                // The same failure is reported several times a second.
                if cluster.last_report != text {
                    log::warn!("cluster: {text}");
                    cluster.last_report = text;
                }
            }
        }
    }

    fn on_opened(&mut self, stream: StreamInfo, snapshot: Option<Vec<u8>>, now: Now) {
        let Some(cluster) = &mut self.cluster else { return };
        let mut room = cluster.create_room();
        let replica = snapshot.and_then(|bytes| match decode::<SavedState>(&bytes) {
            Ok((replica, state)) => {
                let restored = room.restore_state(state);
                let restored = restored.inspect_err(|error| log::error!("cluster: {error}"));
                restored.ok().map(|()| replica)
            }
            Err(error) => {
                log::error!("cluster: {error}");
                None
            }
        });
        cluster.stream = stream;
        let opened = cluster.node.open(stream, replica);
        let from = cluster.node.position() + 1;
        cluster.request(EngineRequest::Read { stream, from });
        match opened {
            Opened::Kept => {}
            Opened::Restored => {
                let LogTime { uptime_ms, .. } = cluster.node.replica().time();
                cluster.set_time(Duration::from_millis(uptime_ms), now.uptime);
                room.set_addresses(cluster.addresses());
                self.replace_room(room, now);
            }
            Opened::Blank => {
                let room = cluster.create_room();
                self.replace_room(room, now);
            }
        }
    }

    /// Sends a bye to the clients of the room, and replaces it by another one.
    fn replace_room(&mut self, room: Room, now: Now) {
        self.room.close(ByeCode::Unreachable);
        let batch = self.room.seal();
        self.deliver_batch(batch, now);
        self.room = room;
        #[cfg(feature = "irc")]
        self.clients.irc.enter(&self.room);
    }
}
