//! The server under test: its start, its end, and its memory, threads and descriptors.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use smol::Timer;

use crate::harness::server::{ScratchDir, Server, smolchatd};
use crate::shared::{Addresses, GRACE, HISTORY_FRAMES, POLL_INTERVAL};

const MIB: u64 = 1 << 20;
/// Bytes of frames in the history: enough for the longest ones.
const HISTORY_BYTES: u64 = 4 * MIB;
/// Maximum bytes of memory per connection, with its send queue, most of which is shared.
const CONNECTION_BYTES: u64 = 4096;
/// Maximum bytes of memory for batches, the history file and the allocator.
const OTHER_BYTES: u64 = 2 * MIB;
/// The main thread, that of async-io, and those that write to the disk: one works, but the pool
/// starts another one if none is idle yet, and ends them later.
const MAX_THREADS: u64 = 6;

/// A server that can be killed and restarted with the same files.
pub struct MonitoredServer {
    server: Server,
    program: PathBuf,
    dir: ScratchDir,
    log: PathBuf,
    /// The usage without clients.
    idle: Usage,
    /// Lowest and highest resident memory in bytes.
    pub resident: (u64, u64),
    /// Lowest and highest number of descriptors.
    pub descriptors: (u64, u64),
    /// Lowest and highest number of threads.
    pub threads: (u64, u64),
    /// Resident memory at the checkpoints of the current process, in bytes.
    pub checkpoint_memory: Vec<u64>,
}

/// The resources of a process.
#[derive(Clone, Copy)]
struct Usage {
    resident: u64,
    threads: u64,
    /// Without those of the history file, which has one or two.
    descriptors: u64,
}

impl MonitoredServer {
    /// Starts a server that logs to the file `log`.
    pub fn start(program: &Path, log: &Path) -> io::Result<Self> {
        let dir = ScratchDir::new("soak")?;
        File::create(log)?;
        let server = start_server(program, &dir, log)?;
        let idle = usage(&server, &dir)?;
        Ok(Self {
            server,
            program: program.to_owned(),
            dir,
            log: log.to_owned(),
            idle,
            resident: (idle.resident, idle.resident),
            descriptors: (idle.descriptors, idle.descriptors),
            threads: (idle.threads, idle.threads),
            checkpoint_memory: Vec::new(),
        })
    }

    /// Returns the addresses on which it listens.
    pub fn addresses(&self) -> Addresses {
        (self.server.addr, self.dir.path().join("socket"))
    }

    /// Kills the server and starts another one in its place.
    pub fn kill_and_restart(&mut self) -> io::Result<()> {
        self.server.child.kill()?;
        self.server.child.wait()?;
        self.server = start_server(&self.program, &self.dir, &self.log)?;
        self.idle = usage(&self.server, &self.dir)?;
        self.checkpoint_memory.clear();
        Ok(())
    }

    /// Terminates the server. Returns `None` if it has not exited after `timeout`.
    pub async fn terminate(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        kill_process(Pid::from_child(&self.server.child), Signal::TERM)?;
        let end = Instant::now() + timeout;
        loop {
            let status = self.server.child.try_wait()?;
            if status.is_some() || Instant::now() > end {
                return Ok(status);
            }
            Timer::after(POLL_INTERVAL).await;
        }
    }

    /// Measures the usage, and returns a message if it is over a limit. `max_connections` is the
    /// highest number of connections that were open at the same time.
    pub fn check_usage(&mut self, max_connections: u64) -> io::Result<Option<String>> {
        let now = usage(&self.server, &self.dir)?;
        for (range, value) in [
            (&mut self.resident, now.resident),
            (&mut self.descriptors, now.descriptors),
            (&mut self.threads, now.threads),
        ] {
            *range = (range.0.min(value), range.1.max(value));
        }
        let max_resident =
            self.idle.resident + HISTORY_BYTES + max_connections * CONNECTION_BYTES + OTHER_BYTES;
        Ok(if now.threads > MAX_THREADS {
            Some(format!("{} threads, more than {MAX_THREADS}", now.threads))
        } else if now.resident > max_resident {
            Some(format!("{} bytes of resident memory, more than {max_resident}", now.resident))
        } else {
            None
        })
    }

    /// Returns the number of descriptors in addition to those without clients.
    pub fn descriptors_in_use(&self) -> io::Result<i64> {
        Ok(usage(&self.server, &self.dir)?.descriptors as i64 - self.idle.descriptors as i64)
    }

    /// Records the resident memory at a checkpoint.
    pub fn record_checkpoint(&mut self) -> io::Result<()> {
        self.checkpoint_memory.push(usage(&self.server, &self.dir)?.resident);
        Ok(())
    }

    /// Returns by how many bytes the memory at the last third of the checkpoints exceeds that at
    /// the first third, on average. `None` with fewer than three checkpoints.
    pub fn growth(&self) -> Option<i64> {
        let memory = &self.checkpoint_memory;
        let third = memory.len() / 3;
        let mean = |part: &[u64]| part.iter().sum::<u64>() as i64 / part.len() as i64;
        (third > 0).then(|| mean(&memory[memory.len() - third..]) - mean(&memory[..third]))
    }

    /// Returns the log's errors and panics.
    pub fn logged_errors(&self) -> io::Result<Vec<String>> {
        let log = fs::read_to_string(&self.log)?;
        let is_error = |line: &&str| log_level(line) == Some("error") || line.contains("panicked");
        Ok(log.lines().filter(is_error).map(str::to_owned).collect())
    }

    /// Returns whether the server has logged a problem with its history file.
    pub fn has_logged_history_problem(&self) -> io::Result<bool> {
        let log = fs::read_to_string(&self.log)?;
        let is_problem =
            |line: &str| log_level(line) == Some("warn") && line.contains("history file");
        Ok(log.lines().any(is_problem))
    }
}

/// Returns the level of a line of the log, behind the time.
fn log_level(line: &str) -> Option<&str> {
    line.split(' ').nth(1)
}

fn start_server(program: &Path, dir: &ScratchDir, log: &Path) -> io::Result<Server> {
    let log = File::options().append(true).open(log)?;
    let mut command = smolchatd(program);
    command
        .arg("--listen")
        .arg(format!("unix:{}", dir.path().join("socket").display()))
        .args(["--rate", "0", "--max-clients", "2000", "--hello-wait", "1000", "--log", "warn"])
        .args(["--history", &HISTORY_FRAMES.to_string()])
        .args(["--history-bytes", &HISTORY_BYTES.to_string()])
        .args(["--grace", &GRACE.as_secs().to_string()])
        .arg("--history-file")
        .arg(dir.path().join("history"))
        // Never sync: written bytes survive a kill, and a busy disk would disturb the run.
        .args(["--sync", "86400"])
        .stderr(log);
    Server::spawn(command)
}

fn usage(server: &Server, dir: &ScratchDir) -> io::Result<Usage> {
    let process = server.process();
    Ok(Usage {
        resident: process.resident()?,
        threads: process.threads()?,
        descriptors: process.descriptors(dir.path())?,
    })
}
