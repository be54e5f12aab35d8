//! A server under test: its start, its end, and its memory, threads and descriptors.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use smol::Timer;

use crate::harness::server::{ScratchDir, Server, smolchatd};
use crate::shared::{Addresses, GRACE, HISTORY_FRAMES, POLL_INTERVAL};

const MIB: u64 = 1 << 20;
/// Bytes of frames in the history: enough for the longest ones.
const HISTORY_BYTES: u64 = 4 * MIB;
/// The most bytes of memory per connection, with its send queue, most of which is shared.
const CONNECTION_BYTES: u64 = 4096;
/// The most bytes of memory for batches, the history file and the allocator.
const OTHER_BYTES: u64 = 2 * MIB;
/// The main thread, that of async-io, and those that write to the disk: one works, but the pool
/// starts another one if none is idle yet, and ends them later.
const MAX_THREADS: u64 = 6;
/// Additional bytes of memory of a node: the members of other nodes, the entries that it has not
/// applied, and a snapshot that it writes.
const CLUSTER_BYTES: u64 = 32 * MIB;
/// Additional threads of a node: that of the log.
const CLUSTER_THREADS: u64 = 1;
/// The longest time until a node is in the room.
const ENTER_TIMEOUT: Duration = Duration::from_secs(30);

/// How a server is started.
#[derive(Clone)]
pub struct ServerOptions {
    pub program: PathBuf,
    /// The file for its log.
    pub log: PathBuf,
    /// The options of a node in a cluster.
    pub cluster: Vec<String>,
}

/// A server that can be killed and restarted with the same files.
pub struct MonitoredServer {
    server: Server,
    options: ServerOptions,
    dir: ScratchDir,
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
    /// Starts a server, with an index that no other has.
    pub fn start(options: ServerOptions, index: usize) -> io::Result<Self> {
        let dir = ScratchDir::new(&format!("soak-{index}"))?;
        File::create(&options.log)?;
        let (server, idle) = start_server(&options, dir.path())?;
        Ok(Self {
            server,
            options,
            dir,
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
    pub async fn kill_and_restart(&mut self) -> io::Result<()> {
        self.server.child.kill()?;
        self.server.child.wait()?;
        let (options, dir) = (self.options.clone(), self.dir.path().to_owned());
        // On another thread: the clients must read meanwhile.
        let started = smol::unblock(move || start_server(&options, &dir)).await;
        (self.server, self.idle) = started?;
        self.checkpoint_memory.clear();
        Ok(())
    }

    /// Sends SIGTERM to the server.
    pub fn terminate(&self) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.server.child), Signal::TERM)?)
    }

    /// Waits until the server has exited. Returns `None` if it has not after `timeout`.
    pub async fn wait(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
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
        let now = usage(&self.server, self.dir.path())?;
        for (range, value) in [
            (&mut self.resident, now.resident),
            (&mut self.descriptors, now.descriptors),
            (&mut self.threads, now.threads),
        ] {
            *range = (range.0.min(value), range.1.max(value));
        }
        let is_node = u64::from(!self.options.cluster.is_empty());
        let max_threads = MAX_THREADS + is_node * CLUSTER_THREADS;
        let max_resident = self.idle.resident
            + HISTORY_BYTES
            + max_connections * CONNECTION_BYTES
            + OTHER_BYTES
            + is_node * CLUSTER_BYTES;
        Ok(if now.threads > max_threads {
            Some(format!("{} threads, more than {max_threads}", now.threads))
        } else if now.resident > max_resident {
            Some(format!("{} bytes of resident memory, more than {max_resident}", now.resident))
        } else {
            None
        })
    }

    /// Returns the number of descriptors in addition to those without clients.
    pub fn descriptors_in_use(&self) -> io::Result<i64> {
        Ok(usage(&self.server, self.dir.path())?.descriptors as i64 - self.idle.descriptors as i64)
    }

    /// Records the resident memory at a checkpoint.
    pub fn record_checkpoint(&mut self) -> io::Result<()> {
        self.checkpoint_memory.push(usage(&self.server, self.dir.path())?.resident);
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
        let log = fs::read_to_string(&self.options.log)?;
        let is_error = |line: &&str| log_level(line) == Some("error") || line.contains("panicked");
        Ok(log.lines().filter(is_error).map(str::to_owned).collect())
    }

    /// Returns whether the server has logged a problem with its history file.
    pub fn has_logged_history_problem(&self) -> io::Result<bool> {
        let log = fs::read_to_string(&self.options.log)?;
        let is_problem =
            |line: &str| log_level(line) == Some("warn") && line.contains("history file");
        Ok(log.lines().any(is_problem))
    }
}

/// Returns the level of a line of the log, behind the time.
fn log_level(line: &str) -> Option<&str> {
    line.split(' ').nth(1)
}

/// Starts a server, and measures its usage without clients.
fn start_server(options: &ServerOptions, dir: &Path) -> io::Result<(Server, Usage)> {
    let log = File::options().append(true).open(&options.log)?;
    let mut command = smolchatd(&options.program);
    command
        .arg("--listen")
        .arg(format!("unix:{}", dir.join("socket").display()))
        .args(["--rate", "0", "--max-clients", "2000", "--hello-wait", "1000", "--log", "warn"])
        .args(["--history", &HISTORY_FRAMES.to_string()])
        .args(["--history-bytes", &HISTORY_BYTES.to_string()])
        .args(["--grace", &GRACE.as_secs().to_string()])
        .args(&options.cluster)
        .stderr(log);
    if options.cluster.is_empty() {
        command.arg("--history-file").arg(dir.join("history"));
        // Never sync: written bytes survive a kill, and a busy disk would disturb the run.
        command.args(["--sync", "86400"]);
    }
    let server = Server::spawn(command)?;
    let idle = idle_usage(&server, options, dir)?;
    Ok((server, idle))
}

/// Returns the usage without clients, of a node that is in the room.
fn idle_usage(server: &Server, options: &ServerOptions, dir: &Path) -> io::Result<Usage> {
    if options.cluster.is_empty() {
        return usage(server, dir);
    }
    let deadline = Instant::now() + ENTER_TIMEOUT;
    loop {
        let mut probe = TcpStream::connect(server.addr)?;
        probe.set_read_timeout(Some(ENTER_TIMEOUT))?;
        probe.write_all(b"{\"hello\":{\"name\":\"probe\",\"quiet\":true}}\n")?;
        let mut answer = String::new();
        BufReader::new(&probe).read_line(&mut answer)?;
        if answer.contains("\"welcome\"") {
            let mut usage = usage(server, dir)?;
            usage.descriptors -= 1;
            return Ok(usage);
        }
        if Instant::now() > deadline {
            return Err(io::Error::other(format!("the node is not in the room: {answer}")));
        }
        // No event tells when the node is in the room.
        thread::sleep(POLL_INTERVAL);
    }
}

fn usage(server: &Server, dir: &Path) -> io::Result<Usage> {
    let process = server.process();
    Ok(Usage {
        resident: process.resident()?,
        threads: process.threads()?,
        descriptors: process.descriptors(dir)?,
    })
}
