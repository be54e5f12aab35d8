//! The store: a history file that keeps the frames of a room across restarts of the server.
//!
//! - [`HistoryFile`] opens, recovers and writes the file. All its calls block.
//! - `HistoryWriter` makes these calls on a thread of their own, so that a slow disk does not
//!   stop the room.
//!
//! The format of the file, and the rule by which the room continues after a restart, are
//! documented in `store/format.rs`.

#![doc(hidden)]

mod ban_file;
mod file;
mod format;
mod lock;
mod recovery;
mod sync;
mod writer;

pub use ban_file::BanFile;
pub use file::{Error, HistoryFile, Options};
pub(crate) use writer::HistoryWriter;
