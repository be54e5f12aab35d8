//! The parts of the program `smolchatd` for running as a service.
//!
//! - [`activation`]: listening sockets from a service manager.
//! - [`notify`]: messages to a service manager.
//! - [`logger`]: the log on standard error.

pub mod activation;
pub mod logger;
pub mod notify;
