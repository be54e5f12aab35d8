//! A history file is one server's alone.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FlockOperation, access, flock};

use super::file::{Error, failed};

/// How often a file is opened again that was renamed while it was being opened.
const ATTEMPTS: usize = 3;

/// A file that is locked, together with `PATH.1`, which stays locked as long as this lives.
pub struct LockedFile {
    /// Where the file really is, so that a link to it does not become `PATH.1`.
    pub path: PathBuf,
    pub file: File,
    pub older: Option<File>,
}

impl LockedFile {
    /// Opens the file at `path`, or creates it, unless another server has it.
    ///
    /// # Errors
    ///
    /// When it or `PATH.1` is in use, is not a regular file or cannot be opened, or when it could
    /// not be renamed later.
    pub fn take(path: &Path) -> Result<Self, Error> {
        for _ in 0..ATTEMPTS {
            expect_regular(path).map_err(failed("open", path))?;
            let file = create(path).map_err(failed("open", path))?;
            lock(&file).map_err(failed("lock", path))?;
            let real = fs::canonicalize(path).map_err(failed("open", path))?;
            expect_renamable(&real).map_err(failed("rename", path))?;
            let older = take_older(&rotated_path(&real))?;
            // A server that renamed the file meanwhile had it locked until just now.
            if is_at(&file, &real).map_err(failed("open", path))? {
                return Ok(LockedFile { path: real, file, older });
            }
        }
        Err(failed("lock", path)(in_use()))
    }
}

fn take_older(path: &Path) -> Result<Option<File>, Error> {
    expect_regular(path).map_err(failed("open", path))?;
    match File::open(path) {
        Ok(file) => {
            lock(&file).map_err(failed("lock", path))?;
            Ok(Some(file))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("open", path)(error)),
    }
}

/// `PATH.1`
pub fn rotated_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".1");
    name.into()
}

/// Opens a file, or creates one that only its owner can read: people spoke to the room alone.
pub fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Pipes and devices would block, or worse, when they are opened.
fn expect_regular(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Better to know now than when the limit is reached.
fn expect_renamable(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    access(parent, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
        let kind = io::Error::from(error).kind();
        io::Error::new(kind, format!("its directory cannot be written: {error}"))
    })
}

/// Locks a file against other servers, as long as it is open.
pub fn lock(file: &File) -> io::Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Err(in_use()),
        locked => Ok(locked?),
    }
}

fn in_use() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "another server uses it")
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let (file, path) = (file.metadata()?, fs::metadata(path)?);
    Ok((file.dev(), file.ino()) == (path.dev(), path.ino()))
}
