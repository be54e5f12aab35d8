//! The history file of a room: opening, appending, syncing, rotating and closing it.
//!
//! Each batch of frames is appended before members receive it. After a restart,
//! [`HistoryFile::open`] reads the frames back. The format is documented in `format.rs`.

use std::borrow::Cow;
use std::error;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::mem;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{info, warn};

use super::format::Record;
use super::lock::{LockedFile, create, is_file_at, lock, rotated_path};
use super::recovery::{FileLayout, Recovery};
use super::sync::{DiskSync, SyncFile};
use crate::os::boot_id;
use crate::room::Snapshot;

/// The options of a [`HistoryFile`].
#[derive(Clone, Debug)]
pub struct Options {
    /// The size in bytes at which the file is renamed to `PATH.1`. A larger batch is written to one
    /// file nevertheless. The default is 8 MiB.
    pub max_bytes: u64,
    /// The longest time between a write and the start of its sync to disk; zero = sync after each
    /// write. The default is one second.
    pub sync: Duration,
    /// The most frames to read back. The default is 1000.
    pub keep_frames: usize,
    /// The most bytes of frames to read back. The default is 1 MiB.
    pub keep_bytes: usize,
    #[doc(hidden)]
    pub sync_file: SyncFile,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            max_bytes: 8 << 20,
            sync: Duration::from_secs(1),
            keep_frames: 1000,
            keep_bytes: 1 << 20,
            sync_file: File::sync_data,
        }
    }
}

/// A failed operation on a history file, with the system's error as its source.
#[derive(Debug)]
pub struct Error {
    step: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} the history file {}", self.step, self.path.display())
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}

/// A history file that is open for writing and locked against other servers.
///
/// After an error it writes nothing until [`recover`](Self::recover) succeeds. To drop it without
/// [`close`](Self::close) leaves the file as if the server was killed. All calls block.
#[derive(Debug)]
pub struct HistoryFile {
    path: PathBuf,
    options: Options,
    boot: Option<Box<str>>,
    epoch: Box<str>,
    /// The number of the last frame in the file.
    seq: u64,
    /// `None` after an error, and after `close`.
    file: Option<Arc<File>>,
    /// The file at `PATH.1`, if it has frames that are not synced to disk.
    rotated: Option<Arc<File>>,
    /// Whether the name of the file is not synced to disk.
    is_new: bool,
    /// Bytes of complete lines. Bytes after these are from a write that failed.
    len: u64,
    has_frames: bool,
    /// Whether the last line is [`Record::Broken`].
    has_broken_marker: bool,
    /// The time of the first write that no sync covers.
    unsynced_since: Option<Instant>,
}

impl HistoryFile {
    /// Opens the file at `path`, or creates it, and reads the frames in it and in `PATH.1`.
    ///
    /// Bytes after the last complete line are removed and reported to the log. `fresh_epoch` is
    /// called if the epoch cannot continue.
    ///
    /// # Errors
    ///
    /// Returns an error if one of the two files is not a history file, cannot be read or written,
    /// or is in use by another server, or if `fresh_epoch` fails. A file that is not a history file
    /// is not changed.
    pub fn open(
        path: &Path,
        options: Options,
        fresh_epoch: impl FnOnce() -> io::Result<Box<str>>,
    ) -> Result<(Self, Snapshot), Error> {
        let boot = boot_id().inspect_err(|reason| {
            warn!("clients cannot resume after a crash of the server: {reason}");
        });
        Self::open_with_boot(boot.ok(), path, options, fresh_epoch)
    }

    fn open_with_boot(
        boot: Option<Box<str>>,
        path: &Path,
        options: Options,
        fresh_epoch: impl FnOnce() -> io::Result<Box<str>>,
    ) -> Result<(Self, Snapshot), Error> {
        let LockedFile { path, file, rotated } = LockedFile::open(path)?;
        let mut recovery = Recovery::new(options.keep_frames, options.keep_bytes);
        if let Some(rotated) = &rotated {
            read(&mut recovery, rotated, &rotated_path(&path))?;
        }
        let layout = read(&mut recovery, &file, &path)?;
        let continues = recovery.can_continue_epoch(boot.as_deref());
        let (epoch, resumable) = match recovery.epoch.take().filter(|_| continues) {
            Some(epoch) => (epoch, recovery.resumable()),
            None => {
                if recovery.seq > 0 {
                    info!("{}: starting a new epoch", path.display());
                }
                (fresh_epoch().map_err(error_at("create an epoch for", &path))?, 0)
            }
        };
        let (seq, is_closed) = (recovery.seq, recovery.is_closed);
        let snapshot =
            Snapshot { epoch: epoch.clone(), seq, frames: recovery.into_frames(), resumable };
        remove_trailing_bytes(&file, &layout, &path)?;
        let mut history = HistoryFile {
            path,
            options,
            boot,
            epoch,
            seq,
            file: Some(Arc::new(file)),
            rotated: None,
            is_new: layout.valid_bytes == 0,
            len: layout.valid_bytes,
            has_frames: layout.has_frames,
            has_broken_marker: false,
            unsynced_since: None,
        };
        if history.len == 0 || is_closed || !continues {
            history.write_record(history.header())?;
        }
        // An existing header may be from a server that was killed before it synced the file.
        history.sync()?;
        Ok((history, snapshot))
    }

    /// Appends the frames of one batch in one write. They follow the number `before`.
    ///
    /// When this returns, the frames outlive the server; if [`Options::sync`] is zero, they also
    /// outlive a power loss.
    ///
    /// # Errors
    ///
    /// Returns an error if the write fails, or if the frames are not complete lines that follow
    /// those in the file. The file is then truncated to its state before the call, if the system
    /// allows it.
    pub fn append(&mut self, frames: &[u8], before: u64) -> Result<(), Error> {
        if frames.is_empty() {
            return Ok(());
        }
        if before != self.seq || !frames.ends_with(b"\n") {
            let text = format!("frames after number {before} do not follow number {}", self.seq);
            return Err(self.fail("write", io::Error::new(io::ErrorKind::InvalidInput, text)));
        }
        if self.unsynced_since.is_none() {
            self.check_path().map_err(|error| self.fail("write", error))?;
        }
        if self.has_to_rotate(frames.len()) {
            self.rotate().map_err(|error| self.fail("rotate", error))?;
        }
        self.write(frames)?;
        self.has_frames = true;
        self.seq += frames.iter().filter(|&&byte| byte == b'\n').count() as u64;
        if self.options.sync.is_zero() {
            self.sync()?;
        }
        Ok(())
    }

    /// Returns whether appending so many bytes includes a sync to disk.
    pub fn syncs_on_append(&self, bytes: usize) -> bool {
        self.options.sync.is_zero() || self.has_to_rotate(bytes)
    }

    fn has_to_rotate(&self, bytes: usize) -> bool {
        self.has_frames && self.len + bytes as u64 > self.options.max_bytes
    }

    /// Returns when to call [`start_sync`](Self::start_sync), or `None` if no sync is needed.
    pub fn sync_due(&self) -> Option<Instant> {
        self.unsynced_since.and_then(|since| since.checked_add(self.options.sync))
    }

    /// Returns a sync if the oldest write that no sync covers is older than [`Options::sync`].
    ///
    /// Frames can be appended while it runs. If it fails, [`fail`](Self::fail) is to be called.
    pub fn start_sync(&mut self) -> Option<DiskSync> {
        let is_due = self.sync_due().is_some_and(|due| due <= Instant::now());
        is_due.then(|| self.create_sync().ok()).flatten()
    }

    /// Opens the file again after an error, and starts an epoch in it.
    ///
    /// `epoch` is one that the file never had. The next frame follows the number `before`.
    ///
    /// # Errors
    ///
    /// Returns an error as [`open`](Self::open) does. The call can be repeated.
    pub fn recover(&mut self, epoch: &str, before: u64) -> Result<(), Error> {
        if self.file.is_none() {
            let LockedFile { file, .. } = LockedFile::open(&self.path)?;
            let layout = read(&mut Recovery::new(0, 0), &file, &self.path)?;
            remove_trailing_bytes(&file, &layout, &self.path)?;
            self.file = Some(Arc::new(file));
            self.len = layout.valid_bytes;
            self.is_new = self.len == 0;
            self.has_frames = layout.has_frames;
        }
        self.start_epoch(epoch, before)?;
        self.sync()
    }

    /// Starts an epoch after frames were lost, in a file that is open. The next frame follows the
    /// number `before`.
    ///
    /// # Errors
    ///
    /// Returns an error if the write fails.
    pub fn start_epoch(&mut self, epoch: &str, before: u64) -> Result<(), Error> {
        self.epoch = epoch.into();
        self.seq = before;
        // Not synced: the last header on the disk has the boot id already.
        self.write_record(self.header())
    }

    /// Writes a clean end, with all frames synced to disk, and closes the file.
    ///
    /// # Errors
    ///
    /// Returns an error if the write or the sync fails, or if the file has not recovered from an
    /// earlier error. The file is then as if the server was killed.
    pub fn close(&mut self) -> Result<(), Error> {
        // A clean end states that all frames are on the disk, so they are synced before it.
        self.sync()?;
        self.write_record(Record::End { seq: self.seq }.encode())?;
        self.sync()?;
        self.file = None;
        Ok(())
    }

    fn header(&self) -> io::Result<Vec<u8>> {
        let boot = self.boot.as_deref().map(Cow::from);
        let epoch = Cow::from(&*self.epoch);
        Record::History { version: 1, epoch, before: self.seq, boot }.encode()
    }

    fn write_record(&mut self, record: io::Result<Vec<u8>>) -> Result<(), Error> {
        let line = record.map_err(|error| self.fail("write", error))?;
        self.write(&line)
    }

    fn write(&mut self, lines: &[u8]) -> Result<(), Error> {
        // At `len` and not at the end of the file, which may have the rest of a failed write.
        let result = self.open_file().and_then(|file| file.write_all_at(lines, self.len));
        result.map_err(|error| self.fail("write", error))?;
        self.len += lines.len() as u64;
        self.has_broken_marker = false;
        self.unsynced_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn create_sync(&mut self) -> io::Result<DiskSync> {
        let file = Arc::clone(self.open_file()?);
        self.unsynced_since = None;
        let new_path = mem::take(&mut self.is_new).then(|| self.path.clone());
        let (rotated, sync_file) = (self.rotated.take(), self.options.sync_file);
        Ok(DiskSync { file, rotated, new_path, sync_file })
    }

    fn sync(&mut self) -> Result<(), Error> {
        let result = self.create_sync().and_then(|sync| sync.run());
        result.map_err(|error| self.fail("sync", error))
    }

    /// Returns an error if the file was removed, renamed or replaced.
    fn check_path(&self) -> io::Result<()> {
        if is_file_at(self.open_file()?, &self.path)? {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "another file has its name"))
    }

    /// Renames the file to `PATH.1` and starts a new file.
    fn rotate(&mut self) -> io::Result<()> {
        fs::rename(&self.path, rotated_path(&self.path))?;
        // The renamed file stays locked until the new one is locked, so that another server that
        // starts at the same time finds a locked file.
        let new = create(&self.path)?;
        lock(&new)?;
        if new.metadata()?.len() > 0 {
            let text = "another process has created a file with its name";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        let header = self.header()?;
        new.write_all_at(&header, 0)?;
        (self.options.sync_file)(&new)?;
        let old = self.file.replace(Arc::new(new));
        // The next sync covers it. An older file that was not synced no longer exists.
        self.rotated = old.filter(|_| self.unsynced_since.is_some());
        self.is_new = true;
        self.len = header.len() as u64;
        self.has_frames = false;
        Ok(())
    }

    fn open_file(&self) -> io::Result<&Arc<File>> {
        self.file.as_ref().ok_or_else(|| io::Error::other("an earlier operation failed"))
    }

    /// Closes the file after an error, so that its disk can be unmounted, and returns the error.
    pub fn fail(&mut self, step: &'static str, source: io::Error) -> Error {
        if let Some(file) = self.file.take() {
            self.rotated = None;
            self.unsynced_since = None;
            let is_truncated = file.set_len(self.len).is_ok();
            // The room continues without the file. If the server is killed before `recover`, this
            // marker ends the epoch, which lacks frames that members received. A full disk has
            // space for it in most cases, because the truncation has freed some. One marker is
            // enough for repeated errors, and a file cannot begin with it.
            if is_truncated
                && self.len > 0
                && !self.has_broken_marker
                && let Ok(marker) = Record::Broken.encode()
            {
                self.has_broken_marker = file.write_all_at(&marker, self.len).is_ok();
            }
        }
        Error { step, path: self.path.clone(), source }
    }
}

/// Reads one file into `recovery` and reports damaged lines to the log.
fn read(recovery: &mut Recovery, file: &File, path: &Path) -> Result<FileLayout, Error> {
    let layout = recovery.read_file(file).map_err(error_at("read", path))?;
    if layout.damaged_lines > 0 {
        warn!("{}: skipped {} damaged lines", path.display(), layout.damaged_lines);
    }
    Ok(layout)
}

/// Removes the bytes after the last valid line.
fn remove_trailing_bytes(file: &File, layout: &FileLayout, path: &Path) -> Result<(), Error> {
    if layout.trailing_bytes == 0 {
        return Ok(());
    }
    warn!("{}: removing {} bytes after the last valid line", path.display(), layout.trailing_bytes);
    file.set_len(layout.valid_bytes).map_err(error_at("truncate", path))
}

/// Returns a function that adds the failed step and the path to an error of the system.
pub(super) fn error_at(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error { step, path: path.into(), source }
}

#[cfg(test)]
pub(super) mod tests;
