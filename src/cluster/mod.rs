//! Several servers, one room: the room's commands go through a replicated log.
//!
//! Each node writes the commands of its members to one stream of NATS JetStream, reads the stream,
//! and applies all commands in the order of the stream. So the rooms of all nodes are alike.
//!
//! - [`entry`], [`appender`]: what a node writes, one entry at a time.
//! - [`replica`]: what follows from an entry, alike on all nodes: which entries count, which nodes
//!   are in the room, the time, and the comparison of states.
//! - [`lease`], [`epoch`]: how long the room is out of reach, and whether the log is still the same.
//! - [`snapshot`]: the room as bytes, for nodes that join late.
//! - [`credential`]: the hash by which the log knows a token.
//! - [`node`]: the above as one state machine.
//! - [`engine`]: the thread that talks to NATS. Nothing else in the crate knows of it.
//!
//! All but `engine` is pure: no clock, no socket, no randomness.

pub mod appender;
pub mod config;
pub mod credential;
pub mod engine;
pub mod entry;
pub mod epoch;
pub mod lease;
pub mod membership;
mod nats;
pub mod node;
pub mod replica;
#[cfg(test)]
mod simulation;
pub mod snapshot;
pub mod sum;
