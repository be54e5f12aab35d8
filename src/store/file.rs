//! The file in which a room keeps its history across restarts.
//!
//! A [`HistoryFile`] is handed each batch of frames before anybody is shown it, and writes it
//! behind the others. When the server starts again, [`HistoryFile::open`] reads it back. All calls
//! block, so they belong on a thread of their own.
//!
//! # The format
//!
//! One JSON object a line. The frames of the sequence are in it as they went out, byte for byte.
//! Lines of the file's own have `smolchat` as their first key:
//!
//! ```json
//! {"smolchat":"history","version":1,"epoch":"5b1f…","before":41,"boot":"0f9c…"}
//! {"data_source":"alice","data":"hello","kind":"chat","seq":42,"time":1790000000000}
//! {"smolchat":"end","seq":42}
//! ```
//!
//! The first is how each file begins: which epoch the frames that follow belong to, the number
//! before the first of them, and the boot of the machine that they were written under. It comes
//! again inside a file when the server was started anew, or when another epoch began. The last is
//! a clean end. A third, `{"smolchat":"broken"}`, says that frames are missing from there on.
//!
//! At its limit the file is renamed to `PATH.1`, in place of an older one, and a new one begins.
//! Both are one history: who wants to be rid of it removes both.
//!
//! # Whether the epoch goes on
//!
//! In one epoch no number may ever be given out twice, or a client that resumes would miss what it
//! has not seen and not know it. So the epoch goes on only when nothing can be missing that
//! anybody was shown:
//!
//! - after a clean end, which is written once all that came before it is on the disk;
//! - after any other end of the server, if the machine still runs: what it wrote is then with the
//!   kernel, if not on the disk. The header tells by its `boot`, and it is on the disk before the
//!   first frame is taken.
//!
//! In all other cases (the power was cut, the disk failed, the file is damaged) a new epoch begins.
//! Its numbers go on from the last in the file all the same, so that those who are shown the old
//! frames never see a number go back. Where the boot cannot be told, only a clean end counts.

use std::borrow::Cow;
use std::error;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::lock::{LockedFile, create, lock, rotated_path};
use super::recovery::{FileLayout, Record, Recovery};
use log::{info, warn};

use crate::os::boot_id;
use crate::room::Snapshot;

/// What a [`HistoryFile`] is held to.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes after which the file becomes `PATH.1`. One batch that is larger is still one file's.
    pub max_bytes: u64,
    /// How long what was written may wait until it is on the disk; zero is not at all.
    pub sync: Duration,
    /// Frames read back at most.
    pub keep_frames: usize,
    /// Bytes of frames read back at most.
    pub keep_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            max_bytes: 8 << 20,
            sync: Duration::from_secs(1),
            keep_frames: 1000,
            keep_bytes: 1 << 20,
        }
    }
}

/// What went wrong with a history file. The source says why.
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

/// A history file that is open for writing, locked against other servers.
///
/// After an error nothing more is written until [`recover`](Self::recover) has worked. Dropping
/// it without [`close`](Self::close) is to the file as if the server had been killed.
#[derive(Debug)]
pub struct HistoryFile {
    path: PathBuf,
    options: Options,
    boot: Option<Box<str>>,
    epoch: Box<str>,
    /// The number of the last frame in it.
    seq: u64,
    /// Nothing after a failure.
    file: Option<File>,
    /// Bytes of whole lines. What is behind them is the rest of a write that failed.
    len: u64,
    holds_frames: bool,
    /// The last thing written says that it is broken.
    is_marked: bool,
    /// Since when something waits to be on the disk.
    unsynced: Option<Instant>,
}

impl HistoryFile {
    /// Opens the file at `path`, or creates it, and reads back what it and `PATH.1` hold.
    ///
    /// What follows the last whole line is cut off, with a warning. `fresh_epoch` is called if the
    /// epoch cannot go on.
    ///
    /// # Errors
    ///
    /// When one of the two is not a history, cannot be read or written or is in use by another
    /// server, or when there is no fresh epoch. A file that is not a history is left as it is.
    pub fn open(
        path: &Path,
        options: Options,
        fresh_epoch: impl FnOnce() -> io::Result<Box<str>>,
    ) -> Result<(Self, Snapshot), Error> {
        Self::open_under(boot_id(), path, options, fresh_epoch)
    }

    fn open_under(
        boot: Option<Box<str>>,
        path: &Path,
        options: Options,
        fresh_epoch: impl FnOnce() -> io::Result<Box<str>>,
    ) -> Result<(Self, Snapshot), Error> {
        let LockedFile { path, file, older } = LockedFile::take(path)?;
        let mut replay = Recovery::new(options.keep_frames, options.keep_bytes);
        if let Some(older) = &older {
            read(&mut replay, older, &rotated_path(&path))?;
        }
        let layout = read(&mut replay, &file, &path)?;
        let goes_on = replay.goes_on(boot.as_deref());
        let (epoch, resumable) = match replay.epoch.take().filter(|_| goes_on) {
            Some(epoch) => (epoch, replay.resumable()),
            None => {
                if replay.seq > 0 {
                    info!("{}: a new epoch begins", path.display());
                }
                (fresh_epoch().map_err(failed("find an epoch for", &path))?, 0)
            }
        };
        let (seq, ended) = (replay.seq, replay.ended);
        let snapshot =
            Snapshot { epoch: epoch.clone(), seq, frames: replay.into_frames(), resumable };
        cut(&file, &layout, &path)?;
        let mut history = HistoryFile {
            path,
            options,
            boot,
            epoch,
            seq,
            file: Some(file),
            len: layout.whole,
            holds_frames: layout.has_frames,
            is_marked: false,
            unsynced: None,
        };
        if history.len == 0 || ended || !goes_on {
            history.write_record(history.header())?;
        }
        // The header there may be from a server that was killed before it was on the disk.
        history.sync()?;
        if layout.whole == 0 {
            history.sync_directory();
        }
        Ok((history, snapshot))
    }

    /// Appends the frames of one batch, whole lines that follow the number `before`, in one write.
    ///
    /// When this returns, the frames outlive the server, and if [`Options::sync`] is zero, a power
    /// cut too.
    ///
    /// # Errors
    ///
    /// When the system does not take them, or they do not follow what is there. They are then not
    /// in the file, as far as the system lets us take them out again.
    pub fn append(&mut self, frames: &[u8], before: u64) -> Result<(), Error> {
        if frames.is_empty() {
            return Ok(());
        }
        if before != self.seq || !frames.ends_with(b"\n") {
            let why = format!("frames after {before} were to follow number {}", self.seq);
            return Err(self.fail("write", io::Error::new(io::ErrorKind::InvalidInput, why)));
        }
        if self.holds_frames && self.len + frames.len() as u64 > self.options.max_bytes {
            self.rotate().map_err(|error| self.fail("rotate", error))?;
        }
        self.write(frames)?;
        self.holds_frames = true;
        self.seq += frames.iter().filter(|&&byte| byte == b'\n').count() as u64;
        if self.options.sync.is_zero() {
            self.sync()?;
        }
        Ok(())
    }

    /// When [`sync_if_due`](Self::sync_if_due) has something to do next.
    pub fn sync_due(&self) -> Option<Instant> {
        self.unsynced.and_then(|since| since.checked_add(self.options.sync))
    }

    /// Has what was written put on the disk, if it has waited for long enough.
    ///
    /// # Errors
    ///
    /// When the system cannot. What of it is on the disk then, nobody knows.
    pub fn sync_if_due(&mut self) -> Result<(), Error> {
        match self.sync_due() {
            Some(due) if due <= Instant::now() => self.sync(),
            _ => Ok(()),
        }
    }

    /// Goes on after frames could not be kept: from here on those of a new `epoch` follow, one that
    /// the file has never had, the first of them behind number `before`. After a failure, the file
    /// is opened again.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open). It may be tried again.
    pub fn recover(&mut self, epoch: &str, before: u64) -> Result<(), Error> {
        if self.file.is_none() {
            let LockedFile { file, .. } = LockedFile::take(&self.path)?;
            let layout = read(&mut Recovery::new(0, 0), &file, &self.path)?;
            cut(&file, &layout, &self.path)?;
            self.file = Some(file);
            self.len = layout.whole;
            self.holds_frames = layout.has_frames;
        }
        let is_new = self.len == 0;
        self.epoch = epoch.into();
        self.seq = before;
        self.write_record(self.header())?;
        self.sync()?;
        if is_new {
            self.sync_directory();
        }
        Ok(())
    }

    /// Ends the file cleanly, with all that was written on the disk, and closes it.
    ///
    /// # Errors
    ///
    /// When the system cannot, or after a failure from which it has not recovered: the file then
    /// looks as if the server had been killed.
    pub fn close(&mut self) -> Result<(), Error> {
        // First what came before the end: once that is there, nothing may be missing.
        self.sync()?;
        self.write_record(Record::End { seq: self.seq }.line())?;
        self.sync()?;
        self.file = None;
        Ok(())
    }

    fn header(&self) -> io::Result<Vec<u8>> {
        let boot = self.boot.as_deref().map(Cow::from);
        let epoch = Cow::from(&*self.epoch);
        Record::History { version: 1, epoch, before: self.seq, boot }.line()
    }

    fn write_record(&mut self, line: io::Result<Vec<u8>>) -> Result<(), Error> {
        let line = line.map_err(|error| self.fail("write", error))?;
        self.write(&line)
    }

    fn write(&mut self, lines: &[u8]) -> Result<(), Error> {
        // To the place where the last whole line ended, wherever a failed write left off.
        let written = self.working().and_then(|file| file.write_all_at(lines, self.len));
        written.map_err(|error| self.fail("write", error))?;
        self.len += lines.len() as u64;
        self.is_marked = false;
        self.unsynced.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Error> {
        let synced = self.working().and_then(File::sync_data);
        synced.map_err(|error| self.fail("sync", error))?;
        self.unsynced = None;
        Ok(())
    }

    /// Renames the file to `PATH.1` and begins a new one.
    fn rotate(&mut self) -> io::Result<()> {
        let file = self.working()?;
        file.sync_data()?;
        fs::rename(&self.path, rotated_path(&self.path))?;
        // The old file is locked until the new one has taken its place, so that another server
        // that comes meanwhile finds one or the other in use.
        let new = create(&self.path)?;
        lock(&new)?;
        if new.metadata()?.len() > 0 {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "another one has appeared"));
        }
        let line = self.header()?;
        new.write_all_at(&line, 0)?;
        new.sync_data()?;
        self.file = Some(new);
        self.len = line.len() as u64;
        self.holds_frames = false;
        self.unsynced = None;
        self.sync_directory();
        Ok(())
    }

    /// Puts the names of new files on the disk. Not every file system can, and what a power cut
    /// then takes is noticed, so nothing depends on it but how much that is.
    fn sync_directory(&self) {
        let synced = self.path.parent().map(|parent| File::open(parent)?.sync_all());
        if let Some(Err(error)) = synced {
            warn!("cannot sync the directory of {}: {error}", self.path.display());
        }
    }

    fn working(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::Error::other("it has failed before"))
    }

    /// Lets go of the file, which may be on a disk that is to be taken out, and leaves it in as
    /// good a state as it will have.
    fn fail(&mut self, step: &'static str, source: io::Error) -> Error {
        if let Some(file) = self.file.take() {
            self.unsynced = None;
            let is_cut = file.set_len(self.len).is_ok();
            // The room goes on without us. If the server is killed before we recover, this line
            // is what keeps the epoch from going on without the frames that were shown. It is
            // short, so even a full disk has mostly room for it behind what is cut off. Once is
            // enough, however often we try to recover; and no file can begin with it.
            if is_cut
                && self.len > 0
                && !self.is_marked
                && let Ok(line) = Record::Broken.line()
            {
                self.is_marked = file.write_all_at(&line, self.len).is_ok();
            }
        }
        Error { step, path: self.path.clone(), source }
    }
}

/// Reads a whole file, and tells the log what was not as it should be.
fn read(replay: &mut Recovery, file: &File, path: &Path) -> Result<FileLayout, Error> {
    let layout = replay.read(file).map_err(failed("read", path))?;
    if layout.unreadable > 0 {
        warn!("{}: lines that cannot be read: {}", path.display(), layout.unreadable);
    }
    Ok(layout)
}

/// Removes what follows the last whole line.
fn cut(file: &File, layout: &FileLayout, path: &Path) -> Result<(), Error> {
    if layout.rest == 0 {
        return Ok(());
    }
    warn!("{}: the last {} bytes are no whole line, and are cut off", path.display(), layout.rest);
    file.set_len(layout.whole).map_err(failed("cut", path))
}

pub(super) fn failed(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error { step, path: path.into(), source }
}

#[cfg(test)]
mod tests;
