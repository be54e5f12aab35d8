mod access;
mod damage;
mod errors;
mod processes;
mod properties;
mod restart;
mod rotation;

use super::*;

use std::error::Error as _;
use std::ops::RangeInclusive;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::protocol::{Body, Frame};

/// Tells a test that it is a process that another test has started, and where.
const CHILD: &str = "SMOLCHAT_TEST_HISTORY_FILE";

/// A process that is about to become another program holds all locks of this one for a moment. So
/// to start one takes this for writing, and to rely on locks takes it for reading.
static STARTING: RwLock<()> = RwLock::new(());

fn nothing_is_started() -> RwLockReadGuard<'static, ()> {
    STARTING.read().unwrap_or_else(PoisonError::into_inner)
}

/// A directory that goes when this is dropped.
struct Place {
    path: PathBuf,
    _calm: Option<RwLockReadGuard<'static, ()>>,
}

impl Place {
    fn new() -> Self {
        let mut place = Place::for_processes();
        place._calm = Some(nothing_is_started());
        place
    }

    /// For a test that starts some, and so has to see itself that none is being started.
    fn for_processes() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("smolchat-history-file-{}-{number}", process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Place { path: path.canonicalize().unwrap(), _calm: None }
    }

    fn file(&self) -> PathBuf {
        self.path.join("history")
    }

    fn older(&self) -> PathBuf {
        self.path.join("history.1")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn write(&self, text: impl AsRef<[u8]>) {
        fs::write(self.file(), text).unwrap();
    }

    /// Opens the file on a machine that runs since this boot; a new epoch has its name from it.
    fn try_open(&self, boot: &str) -> Result<(HistoryFile, Snapshot), Error> {
        self.open_with(boot, Options::default())
    }

    fn open(&self, boot: &str) -> (HistoryFile, Snapshot) {
        self.try_open(boot).unwrap()
    }

    fn open_with(&self, boot: &str, options: Options) -> Result<(HistoryFile, Snapshot), Error> {
        let epoch = format!("since {boot}").into();
        HistoryFile::open_with_boot(Some(boot.into()), &self.file(), options, || Ok(epoch))
    }

    /// What the file holds, as a server would find it that starts on the same boot.
    fn snapshot(&self, boot: &str) -> Snapshot {
        self.open(boot).1
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn frame_of(seq: u64, data: &str) -> String {
    let body = Body::Chat { seq, time: 1_790_000_000_000, id: None };
    let mut line = Vec::new();
    Frame { data_source: "alice".into(), data: data.into(), body }.encode(&mut line);
    String::from_utf8(line).unwrap()
}

fn frames(numbers: RangeInclusive<u64>) -> String {
    numbers.map(|seq| frame_of(seq, &format!("line \"{seq}\""))).collect()
}

fn header_of(epoch: &str, before: u64, boot: &str) -> String {
    let (epoch, boot) = (epoch.into(), Some(boot.into()));
    let line = Record::History { version: 1, epoch, before, boot }.encode().unwrap();
    String::from_utf8(line).unwrap()
}

fn snapshot(epoch: &str, seq: u64, frames: String, resumable: usize) -> Snapshot {
    Snapshot { epoch: epoch.into(), seq, frames: frames.into(), resumable }
}

fn chain(error: &Error) -> String {
    format!("{error}: {}", error.source().unwrap())
}
