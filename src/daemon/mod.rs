//! The service manager and the log.

pub mod activation;
pub mod logger;
pub mod notify;
