//! The entries of the log, which change the room.

use std::time::Duration;

use crate::cluster::membership::{DownReason, NodeNumber};
use crate::cluster::replica::{Applied, LogMessage, LogTime, ReadError, Step};
use crate::cluster::sum::Digest;
use crate::protocol::ByeCode;
use crate::room::{Command, NodeId, Now, Room};
use crate::server::broadcaster::Broadcaster;

/// The hash of the changes of an entry.
struct Effects {
    digest: Digest,
    /// The bytes of the open batch that are in the hash.
    start: usize,
}

impl Effects {
    /// Adds the frames of the open batch, which may be sealed next.
    fn add_frames(&mut self, room: &Room) {
        self.digest.write(room.open_frames().get(self.start..).unwrap_or_default());
        self.start = 0;
    }
}

impl Broadcaster {
    pub(super) fn on_message(&mut self, message: &LogMessage, now: Now) {
        let Some(cluster) = &mut self.cluster else { return };
        if cluster.failure.is_some() {
            return;
        }
        match cluster.node.on_message::<Command>(message, now.uptime) {
            Ok(Some(applied)) => self.on_applied(applied, now),
            Ok(None) => {}
            Err(error @ ReadError::UnknownVersion(_)) => self.fail(error.to_string(), now),
            Err(error) => {
                log::error!("cluster: the room is discarded: {error}");
                let room = cluster.create_room();
                self.replace_room(room, now);
            }
        }
    }

    fn on_applied(&mut self, applied: Applied<Command>, now: Now) {
        let Applied { time: LogTime { unix_ms, uptime_ms }, steps, .. } = applied;
        let log_now = Now { uptime: Duration::from_millis(uptime_ms), unix_ms };
        let mut effects = Effects { digest: Digest::new(), start: self.room.open_frames().len() };
        for step in steps {
            match step {
                Step::Reset { epoch } => {
                    self.begin_epoch(&epoch, now);
                    effects.start = 0;
                }
                Step::NodeUp { number, info } => {
                    log::info!("cluster: node {} is number {}", info.name, number.0);
                    self.update_addresses();
                }
                Step::NodeDown { number, reason } => {
                    self.on_node_down(number, reason, now, log_now)
                }
                Step::Command { number, command } => self.commit(number, command, now, log_now),
            }
            if self.room.pending_bytes() >= self.batch_bytes {
                effects.add_frames(&self.room);
                let batch = self.room.seal();
                self.deliver_batch(batch, now);
            }
        }
        effects.add_frames(&self.room);
        effects.digest.write_u64(self.room.member_count() as u64);
        if let Some(cluster) = &mut self.cluster {
            cluster.set_time(log_now.uptime, now.uptime);
            cluster.node.add_effects(effects.digest.finish());
        }
    }

    fn begin_epoch(&mut self, epoch: &str, now: Now) {
        let Some(cluster) = &mut self.cluster else { return };
        match cluster.begin_room(epoch) {
            Ok(room) => {
                log::info!("cluster: an epoch begins");
                self.replace_room(room, now);
            }
            Err(error) => self.fail(format!("the log is of another program: {error}"), now),
        }
    }

    fn on_node_down(&mut self, number: NodeNumber, reason: DownReason, now: Now, log_now: Now) {
        log::info!("cluster: node number {} is out of the room: {reason}", number.0);
        let own = self.cluster.as_ref().filter(|cluster| cluster.number() == Some(number));
        let failure = own.filter(|_| reason == DownReason::Replaced);
        let failure = failure.map(|own| format!("another server is node {}", own.config.node));
        if own.is_some() {
            // Before the command, which removes the members without a `bye`.
            self.room.close(ByeCode::Unreachable);
        }
        self.room.commit(Command::NodeDown { node: NodeId(number.0) }, log_now);
        self.update_addresses();
        if let Some(failure) = failure {
            self.fail(failure, now);
        }
    }

    fn update_addresses(&mut self) {
        if let Some(cluster) = &self.cluster {
            self.room.set_addresses(cluster.addresses());
        }
    }

    /// Applies a command that was read from the log.
    fn commit(&mut self, number: NodeNumber, command: Command, now: Now, log_now: Now) {
        let Some(cluster) = &mut self.cluster else { return };
        if matches!(command, Command::Tick) {
            cluster.is_tick_proposed = false;
        }
        let is_own = cluster.number() == Some(number);
        if is_own && command.has_stats_request() {
            self.room.set_server_stats(self.server_stats());
        }
        #[cfg(feature = "irc")]
        self.commit_with_irc(is_own, command, now, log_now);
        #[cfg(not(feature = "irc"))]
        self.room.commit(command, log_now);
        if !is_own {
            return;
        }
        if let Some(answer) =
            self.cluster.as_mut().and_then(|cluster| cluster.commands.on_committed())
        {
            answer.charge(self.room.answer_bytes(), now.uptime);
        }
    }
}
