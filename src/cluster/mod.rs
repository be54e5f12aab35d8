//! A room on several servers, whose commands go through a replicated log.
//!
//! Each node writes the commands of its members to one stream of NATS JetStream, reads the stream,
//! and applies all commands in the order of the stream. So the rooms of all nodes are alike.
//!
//! - [`entry`], [`appender`]: the entries of a node, written one at a time.
//! - [`replica`]: the rules that are the same on all nodes: which entries count, which nodes are in
//!   the room, the time, and the comparison of states.
//! - [`lease`], [`epoch`]: the time for which the room is out of reach, and the identity of the log.
//! - [`snapshot`]: the room as bytes, for nodes that join late.
//! - [`credential`]: the hash of a token, which is in the log in place of the token.
//! - [`node`]: the above as one state machine.
//! - [`engine`]: the thread with the connection to NATS. None of the above depends on it.
//!
//! All but `engine` is pure: no clock, no socket, no randomness.

pub mod appender;
pub mod config;
pub mod credential;
pub mod engine;
pub mod entry;
pub mod epoch;
pub mod lease;
mod login;
pub mod membership;
mod nats;
pub mod node;
pub mod replica;
#[cfg(test)]
mod simulation;
pub mod snapshot;
pub mod sum;
