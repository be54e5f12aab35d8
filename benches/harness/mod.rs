//! Code that all benches share: server processes, their figures in `/proc`, and many clients.

#![allow(dead_code, reason = "each bench uses a part of it")]

pub mod process;
pub mod server;
