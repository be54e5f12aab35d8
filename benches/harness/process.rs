//! Figures of a process from `/proc`.

use std::fs;
use std::io;
use std::ops::Add;
use std::path::Path;
use std::time::Duration;

/// A running process, by its number, or two that are measured as one.
#[derive(Clone, Copy)]
pub struct Process {
    pid: u32,
    second: Option<u32>,
}

impl Process {
    /// Returns the process with this id.
    pub fn new(pid: u32) -> Self {
        Self { pid, second: None }
    }

    /// Adds the CPU time, memory, threads and wake-ups of a second process, if there is one.
    pub fn with(self, second: Option<u32>) -> Self {
        Self { second, ..self }
    }

    /// Returns the CPU time of all threads: in nanoseconds from the scheduler if the kernel counts
    /// them, otherwise in clock ticks. The former lacks threads that have ended; no server here
    /// ends threads under load.
    pub fn cpu(self) -> io::Result<Duration> {
        self.sum(|process| {
            if !has_schedstat() {
                return process.cpu_ticks();
            }
            process.tasks()?.iter().try_fold(Duration::ZERO, |sum, task| {
                let text = fs::read_to_string(format!("{task}/schedstat"))?;
                Ok(sum + Duration::from_nanos(number(text.split_whitespace().next())?))
            })
        })
    }

    /// Returns `utime` and `stime` of `/proc/PID/stat`, usually in steps of 10 ms.
    fn cpu_ticks(self) -> io::Result<Duration> {
        let text = self.read("stat")?;
        // The second field is the name in brackets; it may itself contain blanks and brackets.
        let (_, fields) = text.rsplit_once(')').ok_or_else(malformed)?;
        let mut fields = fields.split_whitespace().skip(11);
        let ticks = number(fields.next())? + number(fields.next())?;
        let ticks_per_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_secs_f64(ticks as f64 / ticks_per_second as f64))
    }

    /// Returns the resident memory in bytes. `smaps_rollup` counts pages; `VmRSS` can be several
    /// hundred KiB off, because the kernel keeps that sum per CPU and adds it up lazily.
    pub fn resident(self) -> io::Result<u64> {
        self.sum(|process| match process.read("smaps_rollup") {
            Ok(rollup) => Ok(field(&rollup, "Rss:")? * 1024),
            Err(_) => process.status("VmRSS:").map(|kib| kib * 1024),
        })
    }

    /// Returns the highest resident memory so far, in bytes.
    pub fn peak_resident(self) -> io::Result<u64> {
        self.sum(|process| process.status("VmHWM:").map(|kib| kib * 1024))
    }

    /// Returns the number of threads.
    pub fn threads(self) -> io::Result<u64> {
        self.sum(|process| process.status("Threads:"))
    }

    /// Returns the number of open descriptors, without those of files below `dir`.
    pub fn descriptors(self, dir: &Path) -> io::Result<u64> {
        let mut count = 0;
        for entry in fs::read_dir(format!("/proc/{}/fd", self.pid))? {
            // An error means that it was closed meanwhile.
            let target = fs::read_link(entry?.path());
            count += u64::from(target.is_ok_and(|target| !target.starts_with(dir)));
        }
        Ok(count)
    }

    /// Returns the number of voluntary context switches of all threads. A thread that goes to sleep
    /// once is woken once.
    pub fn wakeups(self) -> io::Result<u64> {
        self.sum(|process| {
            process.tasks()?.iter().try_fold(0, |sum, task| {
                let status = fs::read_to_string(format!("{task}/status"))?;
                Ok(sum + field(&status, "voluntary_ctxt_switches:")?)
            })
        })
    }

    /// Adds a figure of both processes.
    fn sum<T: Add<Output = T>>(self, figure: impl Fn(Self) -> io::Result<T>) -> io::Result<T> {
        let first = figure(self)?;
        match self.second {
            Some(pid) => Ok(first + figure(Self::new(pid))?),
            None => Ok(first),
        }
    }

    fn status(self, key: &str) -> io::Result<u64> {
        field(&self.read("status")?, key)
    }

    fn read(self, file: &str) -> io::Result<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.pid))
    }

    fn tasks(self) -> io::Result<Vec<String>> {
        fs::read_dir(format!("/proc/{}/task", self.pid))?
            .map(|entry| Ok(entry?.path().display().to_string()))
            .collect()
    }
}

/// Returns whether the kernel counts the CPU time of each thread in nanoseconds. All three fields
/// are zero if it does not; the first alone can be zero in a process that has just started.
pub fn has_schedstat() -> bool {
    fs::read_to_string("/proc/self/schedstat").is_ok_and(|text| text.trim_end() != "0 0 0")
}

/// Returns the number after `key`, at the start of a line of `text`.
fn field(text: &str, key: &str) -> io::Result<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key));
    number(value.and_then(|value| value.split_whitespace().next()))
}

fn number(text: Option<&str>) -> io::Result<u64> {
    text.and_then(|text| text.parse().ok()).ok_or_else(malformed)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "unexpected text in /proc")
}
