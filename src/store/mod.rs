//! The history file, and the way to it.

mod file;
mod lock;
mod recovery;
mod writer;

pub use file::{Error, HistoryFile, Options};
pub use writer::{HistoryWriter, StoreStatus};
