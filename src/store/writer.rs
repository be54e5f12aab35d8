//! Writes the history file beside the room, and never lets the disk stop it.
//!
//! The blocking calls of a [`HistoryFile`] run on a thread of their own, one at a time. A batch
//! is recorded before anybody is shown it, so the broadcaster waits for the write while the next
//! batch gathers; but for a second at most. A disk that takes longer, or fails, is left alone:
//! the room goes on without it, and the file begins a new epoch when it works again.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use log::{info, warn};
use smol::{Task, Timer, unblock};

use super::file::{Error, HistoryFile};
use crate::room::Chunk;

/// How long a write may take before the room goes on without it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a disk that failed is left alone.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// What the members should be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreStatus {
    /// What is said now is not kept.
    Stopped,
    /// It is kept again.
    Works,
}

impl StoreStatus {
    /// What a member reads.
    pub fn text(self) -> &'static str {
        match self {
            StoreStatus::Stopped => "the history cannot be written; what is said now is not kept",
            StoreStatus::Works => "the history is written again",
        }
    }
}

/// What is to be done with the file.
type Job = Box<dyn FnOnce(&mut HistoryFile) -> Result<(), Error> + Send>;
type InFlight = Task<(HistoryFile, Result<(), Error>)>;

/// The way from the room to its history file.
#[derive(Debug)]
pub struct HistoryWriter {
    /// Here while nothing is done with it.
    file: Option<HistoryFile>,
    /// What is being done with it.
    in_flight: Option<InFlight>,
    /// Frames were shown that are not in the file, and when to try it again.
    behind: Option<Instant>,
    fresh_epoch: fn() -> io::Result<Box<str>>,
}

impl HistoryWriter {
    /// Records into `file`, with epochs from `fresh_epoch` if some have to begin.
    pub fn new(file: HistoryFile, fresh_epoch: fn() -> io::Result<Box<str>>) -> Self {
        HistoryWriter { file: Some(file), in_flight: None, behind: None, fresh_epoch }
    }

    /// Records the frames of a batch, the first of which follows number `before`. When this
    /// returns nothing, they outlive this process.
    pub async fn record(&mut self, chunk: &Chunk, before: u64) -> Option<StoreStatus> {
        if chunk.is_empty() {
            return None;
        }
        let chunk = Arc::clone(chunk);
        let Some(retry) = self.behind else {
            let written = self.perform(Box::new(move |file| file.append(&chunk, before))).await;
            return match written {
                Ok(()) => None,
                Err(why) => {
                    warn!("the room goes on without its history file: {why}");
                    self.behind = Some(Instant::now() + RETRY_PAUSE);
                    Some(StoreStatus::Stopped)
                }
            };
        };
        // The room does not wait for a disk that has failed until it has shown that it works.
        match self.in_flight.take() {
            Some(in_flight) if !in_flight.is_finished() => self.in_flight = Some(in_flight),
            Some(in_flight) => {
                let (file, tried) = in_flight.await;
                self.file = Some(file);
                if tried.is_ok() && self.begin_anew(chunk, before).await {
                    info!("the history file works again");
                    self.behind = None;
                    return Some(StoreStatus::Works);
                }
                self.behind = Some(Instant::now() + RETRY_PAUSE);
            }
            None if retry <= Instant::now() => {
                let epoch = (self.fresh_epoch)();
                let recover =
                    move |file: &mut HistoryFile| file.recover(&epoch.unwrap_or_default(), before);
                self.start(Box::new(recover));
            }
            None => {}
        }
        None
    }

    async fn begin_anew(&mut self, chunk: Chunk, before: u64) -> bool {
        let Ok(epoch) = (self.fresh_epoch)() else { return false };
        let begin = move |file: &mut HistoryFile| {
            file.recover(&epoch, before)?;
            file.append(&chunk, before)
        };
        self.perform(Box::new(begin)).await.is_ok()
    }

    /// When [`sync_if_due`](Self::sync_if_due) has something to do next.
    pub fn sync_due(&self) -> Option<Instant> {
        self.file.as_ref().and_then(HistoryFile::sync_due)
    }

    /// Has what was written put on the disk, if it has waited for long enough. Nobody waits for
    /// it but the next write.
    pub fn sync_if_due(&mut self) {
        if self.in_flight.is_none() && self.sync_due().is_some_and(|due| due <= Instant::now()) {
            self.start(Box::new(HistoryFile::sync_if_due));
        }
    }

    /// Ends the file cleanly.
    pub async fn close(mut self) {
        if let Err(why) = self.perform(Box::new(HistoryFile::close)).await {
            warn!("the history file was not closed: {why}");
        }
    }

    /// Does something with the file, once what is under way is done.
    async fn perform(&mut self, job: Job) -> Result<(), String> {
        self.land().await?;
        self.start(job);
        self.land().await
    }

    fn start(&mut self, job: Job) {
        if let Some(mut file) = self.file.take() {
            self.in_flight = Some(unblock(move || {
                let done = job(&mut file);
                (file, done)
            }));
        }
    }

    /// Waits for what is under way, but not for long. What is not done then goes on.
    async fn land(&mut self) -> Result<(), String> {
        let Some(in_flight) = &mut self.in_flight else { return Ok(()) };
        let landed = async { Ok(in_flight.await) };
        let (file, done) = landed.or(timeout()).await?;
        self.in_flight = None;
        self.file = Some(file);
        done.map_err(|error| match std::error::Error::source(&error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        })
    }
}

async fn timeout<T>() -> Result<T, String> {
    Timer::after(WRITE_TIMEOUT).await;
    Err(format!("the disk does not answer within {} s", WRITE_TIMEOUT.as_secs()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use super::*;
    use crate::store::Options;

    fn epoch() -> io::Result<Box<str>> {
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
    fn a_disk_that_does_not_answer_is_waited_for_once_and_then_left_alone_until_it_does() {
        let path = std::env::temp_dir().join(format!("smolchat-recorder-{}", std::process::id()));
        let opened = HistoryFile::open(&path, Options::default(), || Ok("first".into()));
        let mut recorder = HistoryWriter::new(opened.unwrap().0, epoch);
        let (wake, asleep) = std::sync::mpsc::channel();
        smol::block_on(async {
            assert_eq!(recorder.record(&frame(1), 0).await, None);
            // The disk hangs, as far as the thread that writes can tell.
            recorder.start(Box::new(move |_| {
                let _ = asleep.recv();
                Ok(())
            }));
            let start = Instant::now();
            assert_eq!(recorder.record(&frame(2), 1).await, Some(StoreStatus::Stopped));
            assert!(start.elapsed() >= WRITE_TIMEOUT);
            let start = Instant::now();
            for seq in 3..10 {
                assert_eq!(recorder.record(&frame(seq), seq - 1).await, None);
            }
            assert!(start.elapsed() < WRITE_TIMEOUT / 2);

            wake.send(()).unwrap();
            let mut seq = 10;
            while recorder.record(&frame(seq), seq - 1).await.is_none() {
                seq += 1;
                thread::yield_now();
            }
            assert_eq!(recorder.record(&frame(seq + 1), seq).await, None);
            recorder.close().await;
            let (_, past) = HistoryFile::open(&path, Options::default(), epoch).unwrap();
            assert_eq!((&*past.epoch, past.seq, past.resumable), ("another", seq + 1, 2));
            let frames = [frame(1), frame(seq), frame(seq + 1)].concat();
            assert_eq!(past.frames, frames);
        });
        fs::remove_file(&path).unwrap();
    }
}
