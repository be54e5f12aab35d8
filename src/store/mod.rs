//! The history file, and the way to it.

mod file;
mod lock;
mod recovery;
mod writer;

pub use file::{Error, HistoryFile, Options, Restored};
pub use writer::{News, Recorder};
