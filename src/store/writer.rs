//! A writer that makes the blocking calls of a [`HistoryFile`] on other threads.
//!
//! A batch is written before members receive it, so the broadcaster waits for each write. A sync to
//! disk runs beside the writes. If one of them takes too long or fails, the room continues without
//! the file, and the writer starts a new epoch in the file when the disk works again.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use log::{info, warn};
use smol::{Task, Timer, unblock};

use super::file::{Error, HistoryFile};
use crate::room::Chunk;

/// The longest time that the room waits for a write. The time of a running sync is not counted,
/// because the system can hold back a write until the sync has finished.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest time of a sync. A busy SD card needs seconds. The room may wait as long, so this is
/// less than the 15 seconds that the systemd unit and the clients of this crate leave.
const SYNC_TIMEOUT: Duration = Duration::from_secs(10);
/// The time between an error and the next attempt to recover.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// A change in the state of the store that members are told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreStatus {
    /// New frames are not written to the file.
    Stopped,
    /// New frames are written again.
    Recovered,
}

impl StoreStatus {
    /// Returns the text for members.
    pub fn text(self) -> &'static str {
        match self {
            StoreStatus::Stopped => "the history cannot be written; new messages are not stored",
            StoreStatus::Recovered => "the history can be written again; new messages are stored",
        }
    }
}

/// A blocking operation on the file.
type Job = Box<dyn FnOnce(&mut HistoryFile) -> Result<(), Error> + Send>;
/// A running operation. It returns the file when it is finished.
type InFlight = Task<(HistoryFile, Result<(), Error>)>;

/// A sync that runs beside the operations.
#[derive(Debug)]
struct RunningSync {
    task: Task<io::Result<()>>,
    /// The result of the task, once it has finished.
    result: Option<io::Result<()>>,
    deadline: Instant,
}

impl RunningSync {
    /// Waits until the sync has finished.
    async fn wait(&mut self) {
        if self.result.is_none() {
            self.result = Some((&mut self.task).await);
        }
    }

    /// Waits until the sync has finished or taken too long.
    async fn wait_until_deadline(&mut self) {
        let deadline = self.deadline;
        let timeout = async {
            Timer::at(deadline).await;
        };
        self.wait().or(timeout).await;
    }
}

/// The room's access to its history file.
#[derive(Debug)]
pub struct HistoryWriter {
    /// The file, if no operation runs.
    file: Option<HistoryFile>,
    in_flight: Option<InFlight>,
    sync: Option<RunningSync>,
    sync_timeout: Duration,
    /// The time of the next attempt to recover, if frames are missing in the file.
    retry_at: Option<Instant>,
    fresh_epoch: fn() -> io::Result<Box<str>>,
}

impl HistoryWriter {
    /// Creates a writer for `file`, which gets new epochs from `fresh_epoch`.
    pub fn new(file: HistoryFile, fresh_epoch: fn() -> io::Result<Box<str>>) -> Self {
        HistoryWriter {
            file: Some(file),
            in_flight: None,
            sync: None,
            sync_timeout: SYNC_TIMEOUT,
            retry_at: None,
            fresh_epoch,
        }
    }

    /// Writes the frames of a batch, which follow the number `before`.
    ///
    /// Returns a change of the status, if there is one. While the status is not
    /// [`StoreStatus::Stopped`], the written frames outlive this process.
    pub async fn record(&mut self, chunk: &Chunk, before: u64) -> Option<StoreStatus> {
        if chunk.is_empty() {
            return None;
        }
        if let Some(retry_at) = self.retry_at {
            return self.record_after_error(chunk, before, retry_at).await;
        }
        let (timeout, chunk) = (self.append_timeout(chunk), Arc::clone(chunk));
        let result = self.run(Box::new(move |file| file.append(&chunk, before)), timeout).await;
        result.err().map(|error| self.stop(&error))
    }

    /// Recovers the file in the background, and writes frames to it once that has succeeded.
    async fn record_after_error(
        &mut self,
        chunk: &Chunk,
        before: u64,
        retry_at: Instant,
    ) -> Option<StoreStatus> {
        match self.in_flight.take() {
            Some(in_flight) if !in_flight.is_finished() => self.in_flight = Some(in_flight),
            Some(in_flight) => {
                let (file, result) = in_flight.await;
                self.file = Some(file);
                if result.is_ok() && self.start_epoch(chunk, before).await {
                    info!("the history file is written again");
                    self.retry_at = None;
                    return Some(StoreStatus::Recovered);
                }
                self.retry_later();
            }
            // A sync that still runs has the lock of the file.
            None if self.sync.is_none() && retry_at <= Instant::now() => {
                match (self.fresh_epoch)() {
                    Ok(epoch) => self.start(Box::new(move |file| file.recover(&epoch, before))),
                    Err(_) => self.retry_later(),
                }
            }
            None => {}
        }
        None
    }

    /// Writes the frames of a batch as the first of a new epoch. Returns whether this succeeded.
    async fn start_epoch(&mut self, chunk: &Chunk, before: u64) -> bool {
        let Ok(epoch) = (self.fresh_epoch)() else { return false };
        let (timeout, chunk) = (self.append_timeout(chunk), Arc::clone(chunk));
        let job = move |file: &mut HistoryFile| {
            file.start_epoch(&epoch, before)?;
            file.append(&chunk, before)
        };
        self.run(Box::new(job), timeout).await.is_ok()
    }

    fn append_timeout(&self, chunk: &Chunk) -> Duration {
        let is_sync = self.file.as_ref().is_some_and(|file| file.syncs_on_append(chunk.len()));
        if is_sync { self.sync_timeout } else { WRITE_TIMEOUT }
    }

    fn stop(&mut self, error: &str) -> StoreStatus {
        warn!("the room continues without its history file: {error}");
        self.retry_later();
        StoreStatus::Stopped
    }

    fn retry_later(&mut self) {
        self.retry_at = Some(Instant::now() + RETRY_PAUSE);
    }

    /// Returns when to call [`sync_if_due`](Self::sync_if_due), at the latest.
    pub fn sync_due(&self) -> Option<Instant> {
        if self.retry_at.is_some() {
            return None;
        }
        match &self.sync {
            Some(sync) => Some(sync.deadline),
            None => self.file.as_ref().and_then(HistoryFile::sync_due),
        }
    }

    /// Waits until the running sync has finished; without one, forever.
    pub async fn sync_finished(&mut self) {
        match &mut self.sync {
            Some(sync) => sync.wait().await,
            None => pending().await,
        }
    }

    /// Starts a sync to disk if one is due, and ends one that has finished or taken too long.
    ///
    /// Returns a change of the status, if there is one.
    pub async fn sync_if_due(&mut self) -> Option<StoreStatus> {
        if self.retry_at.is_some() {
            self.sync.take_if(|sync| sync.result.is_some());
            return None;
        }
        if let Some(sync) = &self.sync
            && sync.result.is_none()
            && Instant::now() < sync.deadline
        {
            return None;
        }
        if let Err(error) = self.end_sync().await {
            return Some(self.stop(&error));
        }
        if let Some(sync) = self.file.as_mut().and_then(HistoryFile::start_sync) {
            let deadline = Instant::now() + self.sync_timeout;
            self.sync =
                Some(RunningSync { task: unblock(move || sync.run()), result: None, deadline });
        }
        None
    }

    /// Waits for the running sync until its deadline, after which it keeps running.
    async fn end_sync(&mut self) -> Result<(), String> {
        let Some(sync) = &mut self.sync else { return Ok(()) };
        sync.wait_until_deadline().await;
        let error = match sync.result.take() {
            Some(result) => {
                self.sync = None;
                let Err(error) = result else { return Ok(()) };
                error
            }
            None => io::Error::new(io::ErrorKind::TimedOut, no_response(self.sync_timeout)),
        };
        let text = format!("cannot sync the history file: {error}");
        let job = move |file: &mut HistoryFile| Err(file.fail("sync", error));
        let _ = self.run(Box::new(job), WRITE_TIMEOUT).await;
        Err(text)
    }

    /// Writes a clean end and closes the file.
    pub async fn close(mut self) {
        let mut result = Ok(());
        let mut timeout = WRITE_TIMEOUT;
        if self.retry_at.is_none() {
            result = self.end_sync().await;
            timeout = self.sync_timeout;
        }
        if result.is_ok() {
            result = self.run(Box::new(HistoryFile::close), timeout).await;
        }
        if let Err(error) = result {
            warn!("the history file was not closed: {error}");
        }
    }

    /// Runs an operation after the one in flight, and waits for both.
    async fn run(&mut self, job: Job, timeout: Duration) -> Result<(), String> {
        self.finish(timeout).await?;
        self.start(job);
        self.finish(timeout).await
    }

    fn start(&mut self, job: Job) {
        if let Some(mut file) = self.file.take() {
            self.in_flight = Some(unblock(move || {
                let result = job(&mut file);
                (file, result)
            }));
        }
    }

    /// Waits for the operation in flight until the timeout, which begins after the running sync.
    /// After the timeout it keeps running.
    async fn finish(&mut self, timeout: Duration) -> Result<(), String> {
        let Some(in_flight) = &mut self.in_flight else { return Ok(()) };
        let sync = &mut self.sync;
        let timeout = async {
            if let Some(sync) = sync {
                sync.wait_until_deadline().await;
            }
            Timer::after(timeout).await;
            Err(no_response(timeout))
        };
        let (file, result) = async { Ok(in_flight.await) }.or(timeout).await?;
        self.in_flight = None;
        self.file = Some(file);
        result.map_err(|error| crate::error::format_chain(&error))
    }
}

fn no_response(timeout: Duration) -> String {
    format!("the disk did not respond within {} s", timeout.as_secs())
}

#[cfg(test)]
mod tests;
