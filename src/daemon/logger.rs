//! The log of the server: one line for each event on standard error. Writing it never blocks.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stderr;

use crate::calendar::Utc;
use crate::rate_limit::{Rate, RateLimiter};
use crate::server::{AUDIT_TARGET, REPORT_TARGET};

/// The longest line in bytes. A writable pipe takes it without blocking (`PIPE_BUF`, pipe(7)).
const MAX_LINE: usize = 4096;
/// The most bytes of an escaped control character, `\u{9f}`.
const MAX_ESCAPE: usize = 8;

/// Lines per second of each level except errors: clients must not fill the disk of a small machine
/// through the log.
const LINES_PER_SECOND: u32 = 4;
/// Lines at once of each level except errors.
const BURST: u32 = 40;

/// Lines that were dropped since the last line that was written.
static DROPPED: AtomicU32 = AtomicU32::new(0);
static WARNINGS: Mutex<RateLimiter> = Mutex::new(RateLimiter::new());
static INFOS: Mutex<RateLimiter> = Mutex::new(RateLimiter::new());
static IS_JOURNAL: OnceLock<bool> = OnceLock::new();

struct StderrLogger;

/// Sends the log to standard error, from `level` up.
///
/// A line is dropped and counted if standard error would block, such as a full pipe or a stopped
/// terminal, or if there are more than a few lines per second. Errors and the actions of operators
/// are not limited, and no line is if `level` is debug. The next line that is written states the
/// number of dropped lines.
pub fn init(level: LevelFilter) {
    log::set_max_level(level);
    // Ignored: it fails if the program has a logger already.
    let _ = log::set_logger(&StderrLogger);
}

impl Log for StderrLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level() && metadata.target().starts_with("smolchat")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if !is_within_rate(record) || !is_writable() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let line = format_line(record);
        // Ignored: there is no other place to report it.
        let _ = rustix::io::write(stderr(), line.as_bytes());
    }

    fn flush(&self) {}
}

fn format_line(record: &Record<'_>) -> String {
    let mut line = String::new();
    // A report has the level of errors, so that it is written at every log level.
    let is_report = record.target() == REPORT_TARGET;
    let level = if is_report { Level::Info } else { record.level() };
    // Writing to a String cannot fail.
    if is_journal() {
        let _ = write!(line, "<{}>", syslog_priority(level));
    } else {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let _ = write!(line, "{} {} ", Utc(now.as_secs()), level.as_str().to_ascii_lowercase());
    }
    let dropped = DROPPED.swap(0, Ordering::Relaxed);
    if dropped > 0 {
        let _ = write!(line, "({dropped} lines dropped) ");
    }
    let text = record.args().to_string();
    for c in text.chars() {
        if line.len() > MAX_LINE - MAX_ESCAPE - 1 {
            break;
        }
        // Text from clients must not start lines or control a terminal.
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line.push('\n');
    line
}

/// Returns whether standard error is the journal (`JOURNAL_STREAM`, systemd.exec(5)). The journal
/// adds the time to a line, and expects the level as a priority in front of it (sd-daemon(3)).
pub fn is_journal() -> bool {
    *IS_JOURNAL.get_or_init(|| {
        let stream = std::env::var("JOURNAL_STREAM");
        let file = rustix::fs::fstat(stderr());
        matches!((stream, file), (Ok(stream), Ok(file))
            if stream == format!("{}:{}", file.st_dev, file.st_ino))
    })
}

/// Returns the priority of a level (syslog(3)).
fn syslog_priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Returns whether the rate of its level allows a line.
fn is_within_rate(record: &Record<'_>) -> bool {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    let limiter = match record.level() {
        Level::Error => return true,
        _ if log::max_level() >= LevelFilter::Debug => return true,
        _ if record.target() == AUDIT_TARGET => return true,
        Level::Warn => &WARNINGS,
        _ => &INFOS,
    };
    let now = STARTED.get_or_init(Instant::now).elapsed();
    let rate = Rate::new(LINES_PER_SECOND, BURST);
    limiter.lock().unwrap_or_else(PoisonError::into_inner).try_take(rate, now)
}

/// Returns whether standard error takes a line without blocking. Making it non-blocking instead
/// would change it for every program that has it open.
fn is_writable() -> bool {
    let stderr = stderr();
    let mut fds = [PollFd::from_borrowed_fd(stderr, PollFlags::OUT)];
    matches!(poll(&mut fds, Some(&Timespec::default())), Ok(1))
}
