//! Tests of the history file, by subject, and the directory that they work in.

mod access;
mod damage;
mod errors;
mod processes;
mod properties;
mod restart;
mod rotation;

use std::error::Error as _;
use std::ops::RangeInclusive;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use super::*;
use crate::protocol::{Body, Frame};

/// The environment variable that tells a child process of a test its directory.
const CHILD: &str = "SMOLCHAT_TEST_HISTORY_FILE";

/// A child process holds all file locks of this process until it executes its program. So a test
/// that relies on locks holds this for reading, and a test that spawns a child for writing.
static SPAWN_LOCK: RwLock<()> = RwLock::new(());

fn prevent_spawn() -> RwLockReadGuard<'static, ()> {
    SPAWN_LOCK.read().unwrap_or_else(PoisonError::into_inner)
}

/// A directory with a history file. It is removed when this is dropped.
pub(in crate::store) struct TestDir {
    path: PathBuf,
    _spawn_guard: Option<RwLockReadGuard<'static, ()>>,
}

impl TestDir {
    pub(in crate::store) fn new() -> Self {
        let mut dir = TestDir::for_children();
        dir._spawn_guard = Some(prevent_spawn());
        dir
    }

    /// Creates a directory for a test that spawns children, and so cannot prevent that.
    fn for_children() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("smolchat-history-file-{}-{number}", process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        TestDir { path: path.canonicalize().unwrap(), _spawn_guard: None }
    }

    pub(in crate::store) fn file(&self) -> PathBuf {
        self.path.join("history")
    }

    fn rotated(&self) -> PathBuf {
        self.path.join("history.1")
    }

    pub(in crate::store) fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn write(&self, text: impl AsRef<[u8]>) {
        fs::write(self.file(), text).unwrap();
    }

    /// Opens the file on a machine with this boot id. A new epoch is named after it.
    fn try_open(&self, boot: &str) -> Result<(HistoryFile, Snapshot), Error> {
        self.open_with(boot, Options::default())
    }

    fn open(&self, boot: &str) -> (HistoryFile, Snapshot) {
        self.try_open(boot).unwrap()
    }

    pub(in crate::store) fn open_with(
        &self,
        boot: &str,
        options: Options,
    ) -> Result<(HistoryFile, Snapshot), Error> {
        let epoch = format!("epoch of {boot}").into();
        HistoryFile::open_with_boot(Some(boot.into()), &self.file(), options, || Ok(epoch))
    }

    /// Opens the file as a server does that restarts, and returns what it recovers.
    pub(in crate::store) fn reopen(&self, boot: &str) -> Snapshot {
        self.open(boot).1
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

pub(in crate::store) fn frame(seq: u64, data: &str) -> String {
    let body = Body::Chat { seq, time: 1_790_000_000_000, id: None };
    let mut line = Vec::new();
    Frame { data_source: "alice".into(), data: data.into(), body }.encode(&mut line);
    String::from_utf8(line).unwrap()
}

fn frames(numbers: RangeInclusive<u64>) -> String {
    numbers.map(|seq| frame(seq, &format!("line \"{seq}\""))).collect()
}

fn header(epoch: &str, before: u64, boot: &str) -> String {
    let (epoch, boot) = (epoch.into(), Some(boot.into()));
    let line = Record::History { version: 1, epoch, before, boot }.encode().unwrap();
    String::from_utf8(line).unwrap()
}

fn append(file: &mut HistoryFile, numbers: RangeInclusive<u64>) {
    let before = numbers.start() - 1;
    file.append(frames(numbers).as_bytes(), before).unwrap();
}

fn snapshot(epoch: &str, seq: u64, frames: String, resumable: usize) -> Snapshot {
    Snapshot { epoch: epoch.into(), seq, frames: frames.into(), resumable }
}

fn message(error: &Error) -> String {
    format!("{error}: {}", error.source().unwrap())
}
