//! A sync of the history file to disk, which runs while frames are appended.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::warn;

/// The system call that syncs a file to disk. Tests replace it.
pub type SyncFile = fn(&File) -> io::Result<()>;

/// A sync of all that was written to a history file before it was created.
pub struct DiskSync {
    pub file: Arc<File>,
    /// The file at `PATH.1`, if it has frames that are not synced.
    pub rotated: Option<Arc<File>>,
    /// The path of the file, if its name is not synced.
    pub new_path: Option<PathBuf>,
    pub sync_file: SyncFile,
}

impl DiskSync {
    /// Makes the system calls, which block.
    ///
    /// # Errors
    ///
    /// Returns the error of the system. It is then not known which frames are on the disk.
    pub fn run(&self) -> io::Result<()> {
        self.rotated.iter().chain([&self.file]).try_for_each(|file| (self.sync_file)(file))?;
        if let Some(path) = &self.new_path {
            sync_directory(path);
        }
        Ok(())
    }
}

/// Syncs the name of a new file to disk.
///
/// Errors are only logged: not every file system can do this, and recovery detects a file that is
/// missing after a power loss.
fn sync_directory(path: &Path) {
    let result = path.parent().map(|parent| File::open(parent)?.sync_all());
    if let Some(Err(error)) = result {
        warn!("cannot sync the directory of {}: {error}", path.display());
    }
}
