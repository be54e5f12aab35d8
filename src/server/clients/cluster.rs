//! The connections of a node of a cluster.

use super::Clients;
use crate::room::NodeId;

impl Clients {
    /// Returns whether an incarnation of the node has connections.
    pub fn has_client_of(&self, node: NodeId) -> bool {
        self.table.iter().any(|(id, _)| id.node() == node)
    }

    /// Returns whether more than half of the clients are behind.
    pub fn are_mostly_behind(&self) -> bool {
        2 * self.behind > self.table.len()
    }
}
