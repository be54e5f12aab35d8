//! Code that all benches share.
//!
//! - [`cli`] runs a bench and returns its exit code;
//! - [`server`] starts server processes and stops them;
//! - [`process`] reads CPU time, memory, threads and wake-ups of a process from `/proc`;
//! - [`clients`] opens many connections to one server and reads them;
//! - [`websocket`] writes the requests and messages of WebSocket clients.

#![allow(dead_code, reason = "each bench uses a part of it")]

pub mod cli;
pub mod clients;
pub mod process;
pub mod server;
#[cfg(feature = "tls")]
#[path = "../../tests/it/common/tls_peer.rs"]
pub mod tls_peer;
pub mod websocket;
