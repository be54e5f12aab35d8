//! The server process: its start, its end, and what it takes meanwhile.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use smol::Timer;

use crate::harness::server::{ScratchDir, Server};
use crate::shared::{Addresses, GRACE, HISTORY_FRAMES, POLL_INTERVAL};

const MIB: u64 = 1 << 20;
/// Bytes of frames kept: as many as there may be of the longest.
const HISTORY_BYTES: u64 = 4 * MIB;
/// What a link may take, with what waits for it: much of that is shared.
const LINK_BYTES: u64 = 4096;
/// What a batch, the history file and the allocator may take beside all that.
const SLACK_BYTES: u64 = 2 * MIB;
/// The main one, that of async-io, and those that wait for the disk: one works, and its pool
/// starts another whenever none of them has come to rest yet; they go again.
const MAX_THREADS: u64 = 6;

/// A server that can be killed and started again where it was.
pub struct MonitoredServer {
    server: Server,
    program: PathBuf,
    dir: ScratchDir,
    log: PathBuf,
    /// What it takes when nobody is there.
    idle: Sample,
    /// Resident memory, least and most, over all samples.
    pub resident: (u64, u64),
    /// Descriptors, least and most.
    pub descriptors: (u64, u64),
    /// Threads, least and most.
    pub threads: (u64, u64),
    /// Resident memory at the quiet points of the process that runs.
    pub checkpoint_memory: Vec<u64>,
}

/// What the process takes at some moment.
#[derive(Clone, Copy)]
pub struct Sample {
    resident: u64,
    threads: u64,
    /// Those of the history file, which has one or two of them, are not counted.
    descriptors: u64,
}

impl MonitoredServer {
    /// Starts one, with a log in the file `log`.
    pub fn start(program: &Path, log: &Path) -> io::Result<Self> {
        let dir = ScratchDir::new("soak")?;
        File::create(log)?;
        let server = start_server(program, &dir, log)?;
        let idle = sample(&server, &dir)?;
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

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        (self.server.addr, self.dir.path().join("socket"))
    }

    /// Kills it, and starts another in its place.
    pub fn kill_and_restart(&mut self) -> io::Result<()> {
        self.server.child.kill()?;
        self.server.child.wait()?;
        self.server = start_server(&self.program, &self.dir, &self.log)?;
        self.idle = sample(&self.server, &self.dir)?;
        self.checkpoint_memory.clear();
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    pub async fn terminate(&mut self, within: Duration) -> io::Result<Option<ExitStatus>> {
        let pid = Pid::from_child(&self.server.child);
        kill_process(pid, Signal::TERM)?;
        let end = Instant::now() + within;
        loop {
            let status = self.server.child.try_wait()?;
            if status.is_some() || Instant::now() > end {
                return Ok(status);
            }
            Timer::after(POLL_INTERVAL).await;
        }
    }

    /// Looks at the process, and tells what is wrong with it. `peak` is the most links that were
    /// open at once.
    pub fn check_usage(&mut self, peak: u64) -> io::Result<Option<String>> {
        let now = sample(&self.server, &self.dir)?;
        for (range, value) in [
            (&mut self.resident, now.resident),
            (&mut self.descriptors, now.descriptors),
            (&mut self.threads, now.threads),
        ] {
            *range = (range.0.min(value), range.1.max(value));
        }
        let bound = self.idle.resident + HISTORY_BYTES + peak * LINK_BYTES + SLACK_BYTES;
        Ok(if now.threads > MAX_THREADS {
            Some(format!("{} threads", now.threads))
        } else if now.resident > bound {
            Some(format!("{} bytes are resident, more than {bound}", now.resident))
        } else {
            None
        })
    }

    /// Descriptors beyond those that it has when nobody is there.
    pub fn descriptors_in_use(&self) -> io::Result<i64> {
        Ok(sample(&self.server, &self.dir)?.descriptors as i64 - self.idle.descriptors as i64)
    }

    /// Notes what it takes at a quiet point.
    pub fn record_checkpoint(&mut self) -> io::Result<()> {
        self.checkpoint_memory.push(sample(&self.server, &self.dir)?.resident);
        Ok(())
    }

    /// How much memory the last third of the quiet points took beyond the first third, on
    /// average; nothing if there were too few.
    pub fn growth(&self) -> Option<i64> {
        let third = self.checkpoint_memory.len() / 3;
        let mean = |part: &[u64]| part.iter().sum::<u64>() as i64 / part.len() as i64;
        (third > 0).then(|| {
            mean(&self.checkpoint_memory[self.checkpoint_memory.len() - third..])
                - mean(&self.checkpoint_memory[..third])
        })
    }

    /// The lines of the log that should not be there.
    pub fn logged_errors(&self) -> io::Result<Vec<String>> {
        let log = fs::read_to_string(&self.log)?;
        let is_bad =
            |line: &&str| line.split(' ').nth(1) == Some("error") || line.contains("panicked");
        Ok(log.lines().filter(is_bad).map(str::to_owned).collect())
    }

    /// Whether the room went on without its history file.
    pub fn lost_history_file(&self) -> io::Result<bool> {
        Ok(fs::read_to_string(&self.log)?.contains("goes on without its history file"))
    }
}

fn start_server(program: &Path, dir: &ScratchDir, log: &Path) -> io::Result<Server> {
    let log = File::options().append(true).open(log)?;
    let mut command = Command::new(program);
    command
        .args(["--listen", "127.0.0.1:0", "--listen"])
        .arg(format!("unix:{}", dir.path().join("socket").display()))
        .args(["--rate", "0", "--max-per-ip", "0", "--connect-rate", "0"])
        .args(["--max-clients", "2000", "--hello-wait", "1000", "--log", "warn"])
        .args([
            "--history",
            &HISTORY_FRAMES.to_string(),
            "--history-bytes",
            &HISTORY_BYTES.to_string(),
        ])
        .args(["--grace", &GRACE.as_secs().to_string()])
        .arg("--history-file")
        .arg(dir.path().join("history"))
        // A kill takes nothing that the kernel has; a disk that is busy would only be in the way.
        .args(["--sync", "86400"])
        .stderr(log);
    Server::spawn(command)
}

fn sample(server: &Server, dir: &ScratchDir) -> io::Result<Sample> {
    let process = server.process();
    Ok(Sample {
        resident: process.resident()?,
        threads: process.threads()?,
        descriptors: process.descriptors(dir.path())?,
    })
}
