//! The memory that a node of a cluster takes.

use super::Part;
use crate::cluster::membership::{FORMER_ADDRESSES_BYTES, MAX_NODES};
use crate::cluster::replica::SUMS_BYTES;
use crate::room::{PROFILE_BYTES, SAVED_MEMBER_BYTES, SAVED_MODERATION_BYTES, SAVED_NOTICES_BYTES};
use crate::server::Config;
#[cfg(feature = "irc")]
use crate::server::broadcaster::MAX_WAITING;
use crate::server::broadcaster::{CHARGE_BYTES, Event, MAX_CHARGES};
#[cfg(feature = "irc")]
use crate::server::edge::irc;

/// The engine of a cluster: 4 MiB of messages, 4 MiB that are read ahead, 2 MiB of entries, and the
/// hashes of positions.
const ENGINE: usize = (10 << 20) + SUMS_BYTES;
/// The facts about a node: its name, its address and its options.
const NODE: usize = 2048;
/// The event of a client that is held, in a list that grows by doubling, and a text.
const HELD: usize = 2 * size_of::<Event>() + 128;
/// The command with which a client leaves, in an entry that waits. It is added when the node holds back
/// its clients, too.
const DEPARTURE: usize = 256;
/// A member of another node: its rows in the tables, and its name. Measured: 245 to 271 bytes with a
/// name of 32 bytes; a name has at most 128.
const REMOTE_MEMBER: usize = 512;
/// The numbers of the last notices, and the addresses of nodes that have left.
const LISTS: usize = SAVED_NOTICES_BYTES + FORMER_ADDRESSES_BYTES;

/// Returns the parts of a node of a cluster. `event` is the size of an input.
pub fn node_parts(config: &Config, event: usize) -> [Part; 10] {
    let room = &config.room;
    let is_node = usize::from(config.cluster.is_some());
    let members = room.max_members();
    let snapshot = [
        room.history_bytes.saturating_mul(2),
        room.memory_for_absent_clients(),
        members.saturating_mul(SAVED_MEMBER_BYTES),
        SAVED_MODERATION_BYTES + LISTS,
    ];
    let snapshot = snapshot.into_iter().fold(0, usize::saturating_add);
    let remote_members = members.saturating_sub(room.max_clients);
    [
        ("cluster: engine and entries", is_node, ENGINE),
        ("cluster: inputs", is_node * config.events, event),
        // Their sockets and tasks are in the parts of the clients that they become.
        ("cluster: held connections", is_node * config.events, HELD),
        ("cluster: departures", is_node * room.max_connections(), DEPARTURE),
        ("cluster: charges for answers", is_node * MAX_CHARGES, CHARGE_BYTES),
        ("cluster: nodes", is_node * MAX_NODES, NODE),
        ("cluster: members of other nodes", is_node * remote_members, REMOTE_MEMBER),
        // A node without a port for IRC has the profiles of the other nodes, too.
        ("cluster: profiles", is_node * members, PROFILE_BYTES),
        ("cluster: notices and addresses", is_node, LISTS),
        // As JSON, and as the state that is encoded or decoded.
        ("cluster: snapshot", 2 * is_node, snapshot),
    ]
}

/// Returns the parts of IRC clients whose commands go through a log.
#[cfg(feature = "irc")]
pub fn irc_parts(config: &Config, event: usize) -> [Part; 2] {
    let is_clustered = config.irc.is_open && config.cluster.is_some();
    let clients = usize::from(is_clustered) * config.room.max_connections();
    [
        // A copy of the client while its lines are on their way, and their queue.
        ("cluster: IRC clients", clients, irc::CLIENT_BYTES + 256),
        ("cluster: IRC lines", clients.min(1), MAX_WAITING + event),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::config::ClusterConfig;
    use crate::room::{ClientId, Command, DisconnectReason, LeaveCause, NodeId};
    use crate::server::memory::Ceiling;

    #[test]
    fn ceiling_has_each_member_of_other_nodes() {
        let mut config = Config { cluster: Some(ClusterConfig::default()), ..Config::default() };
        let mut total = |max_members| {
            config.room.max_members = Some(max_members);
            Ceiling::of(&config).total()
        };
        let bytes = total(8001) - total(8000);
        let expected = REMOTE_MEMBER + PROFILE_BYTES + 2 * SAVED_MEMBER_BYTES;
        assert_eq!(bytes, expected as u64);
        // The figures of docs/cluster.md.
        #[cfg(target_pointer_width = "64")]
        assert_eq!((REMOTE_MEMBER, PROFILE_BYTES, SAVED_MEMBER_BYTES), (512, 558, 1344));
    }

    #[test]
    fn ceiling_has_all_that_waits_for_the_log() {
        let config = Config { cluster: Some(ClusterConfig::default()), ..Config::default() };
        let parts = node_parts(&config, 0);
        let bytes = |name: &str| {
            let part = parts.iter().find(|part| part.0.ends_with(name));
            part.map(|&(_, count, bytes)| count * bytes).unwrap()
        };
        assert!(bytes("held connections") >= config.events * size_of::<Event>());
        assert!(bytes("charges for answers") > 0);
        let reason = DisconnectReason::Lost(std::io::ErrorKind::ConnectionAborted);
        let id = ClientId::new(NodeId(u32::MAX), u64::MAX);
        let leave = Command::Leave { id, cause: LeaveCause::Disconnected(reason) };
        let length = serde_json::to_string(&leave).unwrap().len();
        assert!(bytes("departures") >= 2 * length * config.room.max_connections(), "{length}");
    }
}
