//! The store: the files that keep a room across restarts of the server.
//!
//! - [`HistoryFile`] opens, recovers and writes the history file. All its calls block.
//! - `HistoryWriter` makes these calls on a thread of their own, so that a slow disk does not
//!   stop the room.
//! - [`BanFile`] reads and writes the bans, the mutes, the lock and the topic.
//!
//! The format of the history file, and the rule by which the room continues after a restart, are
//! documented in `store/format.rs`.

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
