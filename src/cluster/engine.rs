//! The engine: a thread of its own for NATS, behind two channels.
//!
//! After each loss of the connection, the thread connects again and continues with the next message.
//! It sends the server messages, answers, and the changes that need a reaction.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{io, thread};

use async_channel::{Receiver, Sender};
use tokio::runtime::Builder;
use tokio::task::{JoinHandle, spawn};
use tokio::time::{sleep, timeout};

use super::appender::Outgoing;
use super::config::ClusterConfig;
use super::entry::SnapshotNotice;
use super::epoch::{Continuation, StreamInfo, continuation};
use super::nats::{self, Failure, LogReader, Nats};
use super::replica::LogMessage;
use super::snapshot::EncodedSnapshot;
use crate::os::{open_regular, read_bounded};

/// The most bytes of a file that the settings name. The certificates of all authorities of a system
/// have 220 KiB.
const MAX_FILE_BYTES: usize = 1 << 20;
/// The most events that wait for the server. An event has up to 64 KiB.
const MAX_EVENTS: usize = 64;
/// The most requests that wait for the engine: the node has one entry and one snapshot on the way.
const MAX_REQUESTS: usize = 8;
/// The wait before a call that failed is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// The time between two checks of an answer that the log is gone.
const LOSS_CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// Such answers in a row after which the log is gone.
const MAX_LOSS_CHECKS: u32 = 10;
/// The same with several NATS servers, whose answers can be wrong for as long as an election.
const MAX_LOSS_CHECKS_REPLICATED: u32 = 40;
/// The new readers in a row that miss the same messages, after which the log has a hole. A server that
/// has just started can be without messages that the others have.
const MAX_HOLES: u32 = 10;
/// The time between two checks at a silent reader.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// Checks of a silent reader before it is replaced, because its server may be gone.
const MAX_CHECKS: u32 = 10;
/// The same if there are messages that the reader has not returned.
const MAX_CHECKS_BEHIND: u32 = 2;

/// A request to the engine.
#[derive(Clone, Debug)]
pub enum EngineRequest {
    /// Stop reading, and open the streams. The answer is [`EngineEvent::Opened`].
    Open,
    /// Read a log that was opened.
    Read {
        /// The state of the log when it was opened.
        stream: StreamInfo,
        /// The number of the first message.
        from: u64,
    },
    /// Publish an entry. A failure is an [`EngineEvent::PublishFailed`].
    Publish(Outgoing),
    /// Write a snapshot. The answer is [`EngineEvent::SnapshotWritten`].
    WriteSnapshot {
        /// The state of the log when it was opened.
        stream: StreamInfo,
        /// The snapshot.
        snapshot: Arc<EncodedSnapshot>,
    },
}

/// An event of the engine.
#[derive(Clone, Debug)]
pub enum EngineEvent {
    /// The connection to NATS was made or lost.
    Connection(bool),
    /// The streams are open.
    Opened {
        /// The state of the log.
        stream: StreamInfo,
        /// The last snapshot.
        snapshot: Option<Vec<u8>>,
    },
    /// The next message of the log.
    Message(LogMessage),
    /// The log is another one, or its next message is gone. It has to be opened again.
    Interrupted,
    /// An entry is not known to be stored. It may be in the log. An entry that is stored causes no
    /// event of its own: it is read.
    PublishFailed {
        /// The number of the entry.
        n: u64,
    },
    /// The answer to [`EngineRequest::WriteSnapshot`]: `None` if it failed.
    SnapshotWritten(Option<SnapshotNotice>),
    /// The text of a failure, for the log of the server. The engine tries again.
    Failed(String),
}

/// The two ends of the channels to the thread. The thread ends when they are dropped.
#[derive(Debug)]
pub struct Engine {
    requests: Sender<EngineRequest>,
    events: Receiver<EngineEvent>,
}

impl Engine {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// Returns an error if the system has no thread or no event queue left.
    pub fn start(config: ClusterConfig) -> io::Result<Self> {
        let (requests, request_receiver) = async_channel::bounded(MAX_REQUESTS);
        let (event_sender, events) = async_channel::bounded(MAX_EVENTS);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("cluster".into()).spawn(move || {
            runtime.block_on(run(config, request_receiver, event_sender));
            // Does not wait for a name that is being looked up.
            runtime.shutdown_background();
        })?;
        Ok(Engine { requests, events })
    }

    /// Creates an engine without a thread. The test handles the requests and sends the events.
    #[cfg(test)]
    pub fn with_channels(requests: Sender<EngineRequest>, events: Receiver<EngineEvent>) -> Self {
        Engine { requests, events }
    }

    /// Returns the channel for requests. It is never full for a caller that has one entry and one
    /// snapshot on the way.
    pub fn requests(&self) -> &Sender<EngineRequest> {
        &self.requests
    }

    /// Returns the channel with events. If nothing is taken out of it, the engine stops reading.
    pub fn events(&self) -> &Receiver<EngineEvent> {
        &self.events
    }
}

/// Returns whether a text is the address of a NATS server.
pub fn is_server_address(text: &str) -> bool {
    nats::is_address(text)
}

/// Checks the files that the settings name, so that a server with a wrong one does not start.
///
/// # Errors
///
/// Returns an error with the path of a file that cannot be read or has no credentials or certificate.
pub fn check_files(config: &ClusterConfig) -> io::Result<()> {
    let check = |content, path: &Option<PathBuf>, check: fn(&str) -> io::Result<()>| {
        let Some(path) = path else { return Ok(()) };
        read_file(path).and_then(|text| check(&text)).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot read the {content} in {}: {error}", path.display()),
            )
        })
    };
    check("credentials", &config.credentials, nats::check_credentials)?;
    check("certificates", &config.tls_ca, nats::check_certificates)
}

/// Reads a file with credentials or certificates.
pub(super) fn read_file(path: &Path) -> io::Result<String> {
    open_regular(path).and_then(|file| read_bounded(file, MAX_FILE_BYTES))
}

/// The state that the tasks of the engine share.
#[derive(Clone, Debug)]
struct Shared {
    nats: Nats,
    events: Sender<EngineEvent>,
    /// The highest number that an own entry got.
    last_stored: Arc<AtomicU64>,
}

async fn run(
    config: ClusterConfig,
    requests: Receiver<EngineRequest>,
    events: Sender<EngineEvent>,
) {
    let Some(nats) = connect(config, &requests, &events).await else { return };
    let shared = Shared { nats, events, last_stored: Arc::default() };
    let mut reader: Option<JoinHandle<()>> = None;
    let mut snapshot_writer: Option<JoinHandle<()>> = None;
    while let Ok(request) = requests.recv().await {
        let shared = shared.clone();
        match request {
            EngineRequest::Open => {
                stop(reader.take()).await;
                reader = Some(spawn(shared.open()));
            }
            EngineRequest::Read { stream, from } => {
                stop(reader.take()).await;
                reader = Some(spawn(shared.read(stream, from)));
            }
            EngineRequest::Publish(entry) => drop(spawn(shared.publish(entry))),
            EngineRequest::WriteSnapshot { stream, snapshot } => {
                // The node has entered the room again since it wrote the one before.
                stop(snapshot_writer.take()).await;
                snapshot_writer = Some(spawn(shared.write_snapshot(snapshot, stream)));
            }
        }
    }
    stop(reader).await;
}

/// Stops a task, and waits until it can send no event.
async fn stop(task: Option<JoinHandle<()>>) {
    if let Some(task) = task {
        task.abort();
        // An error is the expected end.
        let _ = task.await;
    }
}

/// Connects, without a time limit. Returns `None` if the server has ended.
async fn connect(
    config: ClusterConfig,
    requests: &Receiver<EngineRequest>,
    events: &Sender<EngineEvent>,
) -> Option<Nats> {
    loop {
        match Nats::connect(config.clone(), events.clone()).await {
            Ok(nats) => return Some(nats),
            Err(error) => report(events, "cannot connect to NATS", &error).await,
        }
        if requests.is_closed() {
            return None;
        }
        sleep(RETRY).await;
    }
}

async fn report(events: &Sender<EngineEvent>, text: &str, error: &Failure) {
    // Fails only if the server ends.
    let _ = events.send(EngineEvent::Failed(format!("{text}: {error}"))).await;
}

impl Shared {
    async fn send(&self, event: EngineEvent) {
        // Fails only if the server ends.
        let _ = self.events.send(event).await;
    }

    /// Opens the streams, without a time limit.
    async fn open(self) {
        loop {
            match self.try_open().await {
                Ok(event) => return self.send(event).await,
                Err(error) => report(&self.events, "cannot open the log", &error).await,
            }
            sleep(RETRY).await;
        }
    }

    async fn try_open(&self) -> Result<EngineEvent, Failure> {
        let stream = self.nats.open_in_turn().await?;
        let snapshot = self.nats.read_snapshot(stream).await?;
        // Earlier numbers may be those of another stream.
        self.last_stored.store(0, Ordering::Relaxed);
        Ok(EngineEvent::Opened { stream, snapshot })
    }

    async fn publish(self, entry: Outgoing) {
        match self.nats.publish(&entry.bytes).await {
            Ok(seq) => drop(self.last_stored.fetch_max(seq, Ordering::Relaxed)),
            Err(error) => {
                report(&self.events, "cannot write to the log", &error).await;
                self.send(EngineEvent::PublishFailed { n: entry.n }).await;
            }
        }
    }

    async fn write_snapshot(self, snapshot: Arc<EncodedSnapshot>, stream: StreamInfo) {
        let stored = match self.nats.write_snapshot(&snapshot, stream).await {
            Ok(()) => Some(snapshot.notice),
            Err(error) => {
                report(&self.events, "cannot write a snapshot", &error).await;
                None
            }
        };
        self.send(EngineEvent::SnapshotWritten(stored)).await;
    }

    /// Reads the log, until the next message is gone.
    async fn read(self, stream: StreamInfo, from: u64) {
        let mut next = from;
        let mut holes = 0;
        loop {
            match self.nats.read(next).await {
                Ok(reader) => {
                    let has_hole = self.forward(reader, &mut next, holes >= MAX_HOLES).await;
                    holes = if has_hole { holes + 1 } else { 0 };
                    if has_hole {
                        sleep(LOSS_CHECK_INTERVAL).await;
                    }
                }
                Err(error) => {
                    report(&self.events, "cannot read the log", &error).await;
                    sleep(RETRY).await;
                }
            }
            if self.is_lost(stream, next - 1).await {
                return self.send(EngineEvent::Interrupted).await;
            }
        }
    }

    /// Returns whether the log is another one, or the message after `position` is gone. A server
    /// that was the leader or has just started can return an outdated state for some time.
    async fn is_lost(&self, stream: StreamInfo, position: u64) -> bool {
        let checks =
            if self.nats.is_replicated() { MAX_LOSS_CHECKS_REPLICATED } else { MAX_LOSS_CHECKS };
        for _ in 0..checks {
            let continuation = match self.nats.log_info().await {
                Ok(Some(now)) => continuation(stream, now, position),
                Ok(None) => Continuation::Replaced,
                // The log has no leader.
                Err(_) => return false,
            };
            match continuation {
                Continuation::Continue => return false,
                Continuation::Behind => return true,
                Continuation::Replaced | Continuation::Shorter => {
                    log::debug!("cluster: the log is {continuation:?} at {position}");
                    sleep(LOSS_CHECK_INTERVAL).await;
                }
            }
        }
        true
    }

    /// Sends messages to the server until the reader fails. `next` is the number of the next
    /// message. Returns whether the first message is a later one, unless `may_skip`.
    async fn forward(&self, mut reader: LogReader, next: &mut u64, may_skip: bool) -> bool {
        let mut is_first = true;
        let mut checks = 0;
        loop {
            let message = match timeout(CHECK_INTERVAL, reader.next()).await {
                Ok(Ok(message)) => message,
                Ok(Err(error)) => {
                    log::debug!("cluster: the reader failed: {error}");
                    return false;
                }
                Err(_) => {
                    checks += 1;
                    let is_behind = self.last_stored.load(Ordering::Relaxed) >= *next;
                    if checks >= if is_behind { MAX_CHECKS_BEHIND } else { MAX_CHECKS } {
                        return false;
                    }
                    continue;
                }
            };
            // Not a hole in the log, unless new readers find it, too: this reader missed messages.
            if message.seq > *next && !(is_first && may_skip) {
                log::debug!("cluster: the reader is at {} instead of {next}", message.seq);
                return is_first;
            }
            (is_first, checks) = (false, 0);
            *next = message.seq + 1;
            self.send(EngineEvent::Message(message)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_directory_or_large_file_is_refused() {
        let large = std::env::temp_dir().join(format!("smolchat-large-{}", std::process::id()));
        std::fs::write(&large, vec![b'a'; MAX_FILE_BYTES + 1]).unwrap();
        let expected = "expected a regular file";
        for (path, part) in
            [("/dev/zero".into(), expected), ("/".into(), expected), (large.clone(), "too large")]
        {
            let credentials = ClusterConfig { credentials: Some(path), ..Default::default() };
            let tls_ca = credentials.credentials.clone();
            for config in [credentials, ClusterConfig { tls_ca, ..Default::default() }] {
                let error = check_files(&config).unwrap_err().to_string();
                assert!(error.contains(part) && error.contains(" in /"), "{error}");
            }
        }
        std::fs::remove_file(large).unwrap();
    }
}
