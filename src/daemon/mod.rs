//! What a server has to do with the system around it: its service manager and its log.

pub mod activation;
pub mod logger;
pub mod notify;
