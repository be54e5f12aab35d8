//! What the kernel says about a server process: its CPU time, memory, threads and wake-ups.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// A running process, read through `/proc`.
#[derive(Clone, Copy)]
pub struct Process {
    pid: u32,
}

impl Process {
    /// The process with this id.
    pub fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// CPU time of all its threads so far, by the scheduler's own count in nanoseconds where the
    /// kernel keeps one, else by clock ticks. A thread that has ended is missing from the former;
    /// no server here ends threads at work.
    pub fn cpu(self) -> io::Result<Duration> {
        if !has_schedstat() {
            return self.cpu_ticks();
        }
        let nanos = self.tasks()?.iter().try_fold(0, |sum, task| {
            let text = fs::read_to_string(format!("{task}/schedstat"))?;
            Ok::<u64, io::Error>(sum + number(text.split_whitespace().next())?)
        })?;
        Ok(Duration::from_nanos(nanos))
    }

    /// CPU time by `utime` and `stime` of `/proc/PID/stat`: true, but in steps of 10 ms.
    fn cpu_ticks(self) -> io::Result<Duration> {
        let text = self.read("stat")?;
        // The second field is the name in brackets, which may itself hold blanks and brackets.
        let (_, fields) = text.rsplit_once(')').ok_or_else(malformed)?;
        let mut fields = fields.split_whitespace().skip(11);
        let ticks = number(fields.next())? + number(fields.next())?;
        let a_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_secs_f64(ticks as f64 / a_second as f64))
    }

    /// Resident memory in bytes. `smaps_rollup` counts pages; `VmRSS` alone may be some hundred
    /// KiB off, since the kernel keeps that sum per CPU and adds it up lazily.
    pub fn resident(self) -> io::Result<u64> {
        match self.read("smaps_rollup") {
            Ok(rollup) => Ok(field(&rollup, "Rss:")? * 1024),
            Err(_) => self.status("VmRSS:").map(|kib| kib * 1024),
        }
    }

    /// The most resident memory that it ever had, in bytes.
    pub fn peak_resident(self) -> io::Result<u64> {
        self.status("VmHWM:").map(|kib| kib * 1024)
    }

    /// How many threads it has.
    pub fn threads(self) -> io::Result<u64> {
        self.status("Threads:")
    }

    /// How many descriptors it has, but for those of files below `dir`.
    pub fn descriptors(self, dir: &Path) -> io::Result<u64> {
        let mut count = 0;
        for entry in fs::read_dir(format!("/proc/{}/fd", self.pid))? {
            // One that was closed since then is none.
            let target = fs::read_link(entry?.path());
            count += u64::from(target.is_ok_and(|target| !target.starts_with(dir)));
        }
        Ok(count)
    }

    /// How often its threads went to sleep of their own will, which is how often they were woken.
    pub fn wakeups(self) -> io::Result<u64> {
        self.tasks()?.iter().try_fold(0, |sum, task| {
            let status = fs::read_to_string(format!("{task}/status"))?;
            Ok(sum + field(&status, "voluntary_ctxt_switches:")?)
        })
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

/// Whether the kernel counts each thread's time in nanoseconds; if not, all three fields are zero.
/// The first alone may be zero in a process that has just begun.
pub fn has_schedstat() -> bool {
    fs::read_to_string("/proc/self/schedstat").is_ok_and(|text| text.trim_end() != "0 0 0")
}

/// The number behind `key` at the start of one of the lines of `text`.
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
