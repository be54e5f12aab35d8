//! The nodes in the room, as the log has them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::config::{MAX_ADDRESS, is_address, is_name};
use super::entry::NodeInfo;

/// The time without an entry after which a node is out of the room, in milliseconds of the log.
pub const LEASE_MS: u64 = 10_000;
/// The most nodes in a room.
pub const MAX_NODES: usize = 256;
/// Addresses of nodes that were in the room and are remembered.
const MAX_FORMER_ADDRESSES: usize = 32;
/// The most bytes of these addresses, in a queue that grows by doubling.
pub const FORMER_ADDRESSES_BYTES: usize =
    MAX_FORMER_ADDRESSES * (2 * size_of::<String>() + MAX_ADDRESS);
/// Incarnations that were in the room and are remembered, so that late copies of their first entries
/// do not bring them back.
const MAX_RETIRED: usize = 256;

/// The number of a node in the room: consecutive from 1 within an epoch, and never used twice.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct NodeNumber(
    /// The number.
    pub u32,
);

/// A node in the room.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct NodeRecord {
    /// The incarnation of the node.
    pub inc: u64,
    /// The facts about the node.
    pub info: NodeInfo,
    /// The number of the last entry that was applied.
    pub(super) last_n: u64,
    /// The time of that entry, in milliseconds of the log.
    pub(super) last_seen: u64,
}

/// The reason why a node left the room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DownReason {
    /// The node ended.
    Left,
    /// The node wrote nothing for [`LEASE_MS`].
    Expired,
    /// The node started again, under the same name.
    Replaced,
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DownReason::Left => "it ended",
            DownReason::Expired => "its lease is over",
            DownReason::Replaced => "another server has its name",
        })
    }
}

/// The nodes in the room.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Membership {
    nodes: BTreeMap<NodeNumber, NodeRecord>,
    /// The number of the last node.
    last_number: u32,
    /// The oldest first.
    retired: VecDeque<u64>,
    /// The addresses of nodes that have left, the oldest first. None is that of a node in the room.
    #[serde(default)]
    former_addresses: VecDeque<String>,
}

/// The reason why an entry of a node is not applied.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum EntryRefusal {
    /// A copy, or an entry of a node that is out of the room.
    Stale,
    /// The node cannot be in a room with the others.
    Differs(Vec<String>),
}

impl Membership {
    pub(super) fn nodes(&self) -> impl Iterator<Item = (NodeNumber, &NodeRecord)> {
        self.nodes.iter().map(|(number, record)| (*number, record))
    }

    /// Returns the addresses of nodes that have left, the last first.
    pub(super) fn former_addresses(&self) -> impl Iterator<Item = &str> {
        self.former_addresses.iter().rev().map(String::as_str)
    }

    pub(super) fn first(&self) -> Option<(NodeNumber, &NodeRecord)> {
        self.nodes().next()
    }

    pub(super) fn find(&self, inc: u64) -> Option<(NodeNumber, &NodeRecord)> {
        self.nodes().find(|(_, record)| record.inc == inc)
    }

    /// Returns whether a node in the room does not read entries of a version.
    pub(super) fn has_older_node(&self, version: u64) -> bool {
        self.nodes().any(|(_, record)| u64::from(record.info.version) < version)
    }

    /// Adds a node. Returns its number, and that of the node that it replaces.
    pub(super) fn add(
        &mut self,
        inc: u64,
        mut info: NodeInfo,
        now: u64,
    ) -> Result<(NodeNumber, Option<NodeNumber>), EntryRefusal> {
        if self.find(inc).is_some() || self.retired.contains(&inc) || !is_name(&info.name) {
            return Err(EntryRefusal::Stale);
        }
        let earlier = self.nodes().find(|(_, record)| record.info.name == info.name);
        let earlier = earlier.map(|(number, _)| number);
        let others = self.nodes().find(|(number, _)| Some(*number) != earlier);
        if let Some((_, other)) = others {
            let differences = info.differences(&other.info);
            if !differences.is_empty() {
                return Err(EntryRefusal::Differs(differences));
            }
        }
        match earlier {
            Some(earlier) => self.remove(earlier),
            None if self.nodes.len() >= MAX_NODES => {
                let reason = format!("a room has at most {MAX_NODES} nodes");
                return Err(EntryRefusal::Differs(vec![reason]));
            }
            None => {}
        }
        info.address = info.address.filter(|address| is_address(address));
        self.former_addresses.retain(|address| info.address.as_ref() != Some(address));
        self.last_number = self.last_number.saturating_add(1);
        let number = NodeNumber(self.last_number);
        self.nodes.insert(number, NodeRecord { inc, info, last_n: 0, last_seen: now });
        Ok((number, earlier))
    }

    /// Counts an entry of a node in the room. Returns the number of the node.
    pub(super) fn accept(
        &mut self,
        inc: u64,
        n: u64,
        now: u64,
    ) -> Result<NodeNumber, EntryRefusal> {
        let found = self.nodes.iter_mut().find(|(_, record)| record.inc == inc);
        let (number, record) = found.ok_or(EntryRefusal::Stale)?;
        if record.last_n.checked_add(1) != Some(n) {
            return Err(EntryRefusal::Stale);
        }
        record.last_n = n;
        record.last_seen = now;
        Ok(*number)
    }

    pub(super) fn remove(&mut self, number: NodeNumber) {
        let Some(record) = self.nodes.remove(&number) else { return };
        if self.retired.len() >= MAX_RETIRED {
            self.retired.pop_front();
        }
        self.retired.push_back(record.inc);
        let is_in_use = self.nodes().any(|(_, other)| other.info.address == record.info.address);
        if let Some(address) = record.info.address.filter(|_| !is_in_use) {
            self.former_addresses.retain(|other| *other != address);
            if self.former_addresses.len() >= MAX_FORMER_ADDRESSES {
                self.former_addresses.pop_front();
            }
            self.former_addresses.push_back(address);
        }
    }

    /// Takes all nodes out whose lease is over, and returns their numbers.
    pub(super) fn expire(&mut self, now: u64) -> Vec<NodeNumber> {
        let is_over = |record: &NodeRecord| now.saturating_sub(record.last_seen) > LEASE_MS;
        let over = self.nodes().filter(|(_, record)| is_over(record));
        let over: Vec<_> = over.map(|(number, _)| number).collect();
        for number in &over {
            self.remove(*number);
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str, rule: &str) -> NodeInfo {
        let rules = [("--history".to_owned(), rule.to_owned())].into();
        NodeInfo { name: name.into(), rules, ..NodeInfo::default() }
    }

    #[test]
    fn numbers_are_never_used_twice() {
        let mut nodes = Membership::default();
        assert_eq!(nodes.add(10, info("a", "1"), 0), Ok((NodeNumber(1), None)));
        assert_eq!(nodes.add(11, info("b", "1"), 0), Ok((NodeNumber(2), None)));
        nodes.remove(NodeNumber(2));
        assert_eq!(nodes.add(12, info("b", "1"), 0), Ok((NodeNumber(3), None)));
        assert_eq!(nodes.add(13, info("b", "1"), 0), Ok((NodeNumber(4), Some(NodeNumber(3)))));
        assert_eq!(nodes.first().unwrap().0, NodeNumber(1));
    }

    #[test]
    fn address_of_a_former_node_is_remembered() {
        let mut nodes = Membership::default();
        let at = |name: &str, address: &str| NodeInfo {
            address: Some(address.into()),
            ..info(name, "1")
        };
        let of = |nodes: &Membership| nodes.former_addresses().collect::<Vec<_>>().join(" ");
        let (first, _) = nodes.add(1, at("a", "a:1"), 0).unwrap();
        let (second, _) = nodes.add(2, at("b", "b:1"), 0).unwrap();
        nodes.remove(first);
        nodes.remove(second);
        assert_eq!(of(&nodes), "b:1 a:1");
        nodes.add(3, at("a", "a:1"), 0).unwrap();
        assert_eq!(of(&nodes), "b:1");
        // The node is replaced by one with another address.
        nodes.add(4, at("a", "c:1"), 0).unwrap();
        assert_eq!(of(&nodes), "a:1 b:1");
        for inc in 5..100 {
            nodes.add(inc, at("d", &format!("d:{inc}")), 0).unwrap();
        }
        assert_eq!(nodes.former_addresses().count(), MAX_FORMER_ADDRESSES);
        assert!(of(&nodes).starts_with("d:98 d:97"));
        let (number, _) = nodes.add(100, at("e", "x:1\r\nSet-Cookie: a"), 0).unwrap();
        assert_eq!(nodes.nodes[&number].info.address, None);
    }

    #[test]
    fn copy_of_a_first_entry_is_stale() {
        let mut nodes = Membership::default();
        nodes.add(10, info("a", "1"), 0).unwrap();
        assert_eq!(nodes.add(10, info("a", "1"), 0), Err(EntryRefusal::Stale));
        nodes.remove(NodeNumber(1));
        assert_eq!(nodes.add(10, info("a", "1"), 0), Err(EntryRefusal::Stale));
    }

    #[test]
    fn entry_out_of_turn_is_stale() {
        let mut nodes = Membership::default();
        nodes.add(10, info("a", "1"), 0).unwrap();
        assert_eq!(nodes.accept(10, 2, 0), Err(EntryRefusal::Stale));
        assert_eq!(nodes.accept(10, 1, 0), Ok(NodeNumber(1)));
        assert_eq!(nodes.accept(10, 1, 0), Err(EntryRefusal::Stale));
        assert_eq!(nodes.accept(11, 1, 0), Err(EntryRefusal::Stale));
    }

    #[test]
    fn node_with_an_invalid_name_stays_out() {
        let mut nodes = Membership::default();
        for name in ["", "a b", "\u{1b}[31m", &"x".repeat(65)] {
            assert_eq!(nodes.add(10, info(name, "1"), 0), Err(EntryRefusal::Stale));
        }
        nodes.add(10, info("a_b-1", "1"), 0).unwrap();
    }

    #[test]
    fn nodes_of_a_room_are_bounded() {
        let mut nodes = Membership::default();
        for inc in 0..MAX_NODES as u64 {
            nodes.add(inc, info(&format!("node-{inc}"), "1"), 0).unwrap();
        }
        let refusal = nodes.add(1000, info("late", "1"), 0).unwrap_err();
        assert_eq!(refusal, EntryRefusal::Differs(vec!["a room has at most 256 nodes".into()]));
        nodes.add(1001, info("node-7", "1"), 0).unwrap();
        assert_eq!(nodes.nodes().count(), MAX_NODES);
    }

    #[test]
    fn lease_ends_after_10_seconds_without_an_entry() {
        let mut nodes = Membership::default();
        nodes.add(10, info("a", "1"), 0).unwrap();
        nodes.add(11, info("b", "1"), 0).unwrap();
        nodes.accept(11, 1, 5).unwrap();
        assert!(nodes.expire(LEASE_MS).is_empty());
        assert_eq!(nodes.expire(LEASE_MS + 1), [NodeNumber(1)]);
        assert_eq!(nodes.expire(LEASE_MS + 6), [NodeNumber(2)]);
    }

    #[test]
    fn differing_node_is_refused_unless_it_is_alone() {
        let mut nodes = Membership::default();
        nodes.add(10, info("a", "1"), 0).unwrap();
        // The node has started again, with other options.
        nodes.add(11, info("a", "2"), 0).unwrap();
        let refusal = nodes.add(12, info("b", "1"), 0).unwrap_err();
        assert_eq!(refusal, EntryRefusal::Differs(vec!["--history 1 instead of 2".into()]));
        nodes.add(13, info("b", "2"), 0).unwrap();
    }
}
