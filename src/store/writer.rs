//! A writer that makes the blocking calls of a [`HistoryFile`] on a thread of their own.
//!
//! A batch is written before members receive it, so the broadcaster waits for each write, for at
//! most one second. If a write takes longer or fails, the room continues without the file, and the
//! writer starts a new epoch in the file when the disk works again.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use log::{info, warn};
use smol::{Task, Timer, unblock};

use super::file::{Error, HistoryFile};
use crate::room::Chunk;

/// The longest time that the room waits for a write.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);
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

/// The room's access to its history file.
#[derive(Debug)]
pub struct HistoryWriter {
    /// The file, if no operation runs.
    file: Option<HistoryFile>,
    in_flight: Option<InFlight>,
    /// The time of the next attempt to recover, if frames are missing in the file.
    retry_at: Option<Instant>,
    fresh_epoch: fn() -> io::Result<Box<str>>,
}

impl HistoryWriter {
    /// Creates a writer for `file`, which gets new epochs from `fresh_epoch`.
    pub fn new(file: HistoryFile, fresh_epoch: fn() -> io::Result<Box<str>>) -> Self {
        HistoryWriter { file: Some(file), in_flight: None, retry_at: None, fresh_epoch }
    }

    /// Writes the frames of a batch, which follow the number `before`.
    ///
    /// Returns a change of the status, if there is one. While the status is not
    /// [`StoreStatus::Stopped`], the written frames outlive this process.
    pub async fn record(&mut self, chunk: &Chunk, before: u64) -> Option<StoreStatus> {
        if chunk.is_empty() {
            return None;
        }
        let chunk = Arc::clone(chunk);
        if let Some(retry_at) = self.retry_at {
            return self.record_after_error(chunk, before, retry_at).await;
        }
        let result = self.run(Box::new(move |file| file.append(&chunk, before))).await;
        let error = result.err()?;
        warn!("the room goes on without its history file: {error}");
        self.retry_later();
        Some(StoreStatus::Stopped)
    }

    /// Recovers the file in the background, and writes frames to it once that has succeeded.
    async fn record_after_error(
        &mut self,
        chunk: Chunk,
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
            None if retry_at <= Instant::now() => match (self.fresh_epoch)() {
                Ok(epoch) => self.start(Box::new(move |file| file.recover(&epoch, before))),
                Err(_) => self.retry_later(),
            },
            None => {}
        }
        None
    }

    /// Writes the frames of a batch as the first of a new epoch. Returns whether this succeeded.
    async fn start_epoch(&mut self, chunk: Chunk, before: u64) -> bool {
        let Ok(epoch) = (self.fresh_epoch)() else { return false };
        let job = move |file: &mut HistoryFile| {
            file.recover(&epoch, before)?;
            file.append(&chunk, before)
        };
        self.run(Box::new(job)).await.is_ok()
    }

    fn retry_later(&mut self) {
        self.retry_at = Some(Instant::now() + RETRY_PAUSE);
    }

    /// Returns when to call [`sync_if_due`](Self::sync_if_due), or `None` if all is synced.
    pub fn sync_due(&self) -> Option<Instant> {
        self.file.as_ref().and_then(HistoryFile::sync_due)
    }

    /// Starts a sync to disk, if one is due. Only the next write waits for it.
    pub fn sync_if_due(&mut self) {
        if self.in_flight.is_none() && self.sync_due().is_some_and(|due| due <= Instant::now()) {
            self.start(Box::new(HistoryFile::sync_if_due));
        }
    }

    /// Writes a clean end and closes the file.
    pub async fn close(mut self) {
        if let Err(error) = self.run(Box::new(HistoryFile::close)).await {
            warn!("the history file was not closed: {error}");
        }
    }

    /// Runs an operation after the one in flight, and waits for both.
    async fn run(&mut self, job: Job) -> Result<(), String> {
        self.finish().await?;
        self.start(job);
        self.finish().await
    }

    fn start(&mut self, job: Job) {
        if let Some(mut file) = self.file.take() {
            self.in_flight = Some(unblock(move || {
                let result = job(&mut file);
                (file, result)
            }));
        }
    }

    /// Waits for the operation in flight until the timeout. After the timeout it keeps running.
    async fn finish(&mut self) -> Result<(), String> {
        let Some(in_flight) = &mut self.in_flight else { return Ok(()) };
        let (file, result) = async { Ok(in_flight.await) }.or(timeout()).await?;
        self.in_flight = None;
        self.file = Some(file);
        result.map_err(|error| crate::error::format_chain(&error))
    }
}

async fn timeout<T>() -> Result<T, String> {
    Timer::after(WRITE_TIMEOUT).await;
    Err(format!("the disk did not respond within {} s", WRITE_TIMEOUT.as_secs()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use super::*;
    use crate::store::Options;

    fn fresh_epoch() -> io::Result<Box<str>> {
        Ok("another".into())
    }

    fn frame(seq: u64) -> Chunk {
        let line = format!(
            r#"{{"data_source":"alice","data":"hi","kind":"chat","seq":{seq},"time":0}}{}"#,
            "\n"
        );
        line.into_bytes().into()
    }

    #[test]
    fn disk_that_hangs_delays_one_write_only() {
        let path = std::env::temp_dir().join(format!("smolchat-writer-{}", std::process::id()));
        let opened = HistoryFile::open(&path, Options::default(), || Ok("first".into()));
        let mut writer = HistoryWriter::new(opened.unwrap().0, fresh_epoch);
        let (wake, hang) = std::sync::mpsc::channel();
        smol::block_on(async {
            assert_eq!(writer.record(&frame(1), 0).await, None);
            // Stands for a write that the disk does not finish.
            writer.start(Box::new(move |_| {
                let _ = hang.recv();
                Ok(())
            }));
            let start = Instant::now();
            assert_eq!(writer.record(&frame(2), 1).await, Some(StoreStatus::Stopped));
            assert!(start.elapsed() >= WRITE_TIMEOUT);
            let start = Instant::now();
            for seq in 3..10 {
                assert_eq!(writer.record(&frame(seq), seq - 1).await, None);
            }
            assert!(start.elapsed() < WRITE_TIMEOUT / 2);

            wake.send(()).unwrap();
            let mut seq = 10;
            while writer.record(&frame(seq), seq - 1).await.is_none() {
                seq += 1;
                thread::yield_now();
            }
            assert_eq!(writer.record(&frame(seq + 1), seq).await, None);
            writer.close().await;
            let (_, found) = HistoryFile::open(&path, Options::default(), fresh_epoch).unwrap();
            assert_eq!((&*found.epoch, found.seq, found.resumable), ("another", seq + 1, 2));
            let frames = [frame(1), frame(seq), frame(seq + 1)].concat();
            assert_eq!(found.frames, frames);
        });
        fs::remove_file(&path).unwrap();
    }
}
