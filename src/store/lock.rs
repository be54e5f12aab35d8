//! Opening the history file with a lock that excludes other servers.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FlockOperation, access, flock};

use super::file::{Error, error_at};

/// How often to open a file that is renamed while it is being opened.
const MAX_ATTEMPTS: usize = 3;

/// A locked history file, and `PATH.1` with its lock.
pub struct LockedFile {
    /// The path without symbolic links, so that a rename replaces the file and not a link to it.
    pub path: PathBuf,
    pub file: File,
    /// `PATH.1`, if it exists.
    pub rotated: Option<File>,
}

impl LockedFile {
    /// Opens the file at `path`, or creates it, and locks it and `PATH.1`.
    ///
    /// # Errors
    ///
    /// Returns an error if one of the two is locked by another server, is not a regular file or
    /// cannot be opened, or if the file could not be renamed later.
    pub fn open(path: &Path) -> Result<Self, Error> {
        for _ in 0..MAX_ATTEMPTS {
            check_regular(path).map_err(error_at("open", path))?;
            let file = create(path).map_err(error_at("open", path))?;
            lock(&file).map_err(error_at("lock", path))?;
            let real = fs::canonicalize(path).map_err(error_at("open", path))?;
            check_renamable(&real).map_err(error_at("rename", path))?;
            let rotated = open_rotated(&rotated_path(&real))?;
            // Another server may have renamed the file before it released the lock.
            if is_file_at(&file, &real).map_err(error_at("open", path))? {
                return Ok(LockedFile { path: real, file, rotated });
            }
        }
        Err(error_at("lock", path)(create_in_use_error()))
    }
}

fn open_rotated(path: &Path) -> Result<Option<File>, Error> {
    check_regular(path).map_err(error_at("open", path))?;
    // NFS locks only a file that is open for writing (flock(2)).
    let writable = OpenOptions::new().read(true).write(true).open(path);
    match writable.or_else(|_| File::open(path)) {
        Ok(file) => {
            lock(&file).map_err(error_at("lock", path))?;
            Ok(Some(file))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error_at("open", path)(error)),
    }
}

/// Returns `PATH.1` for `PATH`.
pub fn rotated_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".1");
    name.into()
}

/// Opens the file at `path`, or creates it with access for its owner only.
pub fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Returns an error if `path` is not a regular file: to open a pipe or a device could block.
fn check_regular(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns an error if the file could not be renamed when it reaches its size limit.
fn check_renamable(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    access(parent, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
        let kind = io::Error::from(error).kind();
        io::Error::new(kind, format!("its directory is not writable: {error}"))
    })
}

/// Locks a file against other servers until it is closed.
pub fn lock(file: &File) -> io::Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Err(create_in_use_error()),
        result => Ok(result?),
    }
}

fn create_in_use_error() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "it is in use by another server")
}

/// Returns whether `path` names this file.
pub fn is_file_at(file: &File, path: &Path) -> io::Result<bool> {
    let (file, path) = (file.metadata()?, fs::metadata(path)?);
    Ok((file.dev(), file.ino()) == (path.dev(), path.ino()))
}
