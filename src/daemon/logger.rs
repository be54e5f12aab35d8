//! The log of the server: one line an event on standard error, and never a reason to wait.

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stderr;

use crate::server::REPORT;

/// The longest line. A pipe that is ready takes this much in one piece without blocking
/// (`PIPE_BUF`, pipe(7)).
const MAX_LINE: usize = 4096;
/// The longest form in which a control character is written, `\u{9f}`.
const LONGEST_ESCAPE: usize = 8;

/// Lines of one level that may come at once, and how often one more: whatever clients do, the log
/// is not what fills the memory of a small machine.
const BURST: u32 = 40;
const INTERVAL_MS: u32 = 250;

/// Lines that were left out since the last one that was not.
static LEFT_OUT: AtomicU32 = AtomicU32::new(0);
static WARNINGS: Pace = Pace(AtomicU32::new(0));
static NOTES: Pace = Pace(AtomicU32::new(0));
static TO_JOURNAL: OnceLock<bool> = OnceLock::new();

struct Stderr;

/// How many lines may be written and when, by the generic cell rate algorithm: the time, in
/// milliseconds since the start, when all lines so far are paid for. It wraps after 49 days.
struct Pace(AtomicU32);

impl Pace {
    /// Whether a line may be written at `now`; then it counts.
    fn allows(&self, now: u32) -> bool {
        let most = BURST * INTERVAL_MS;
        let paid = self.0.load(Ordering::Relaxed);
        // More than it can ever owe is time that has gone by, seen across the wrap.
        let debt = Some(paid.wrapping_sub(now)).filter(|&debt| debt <= most).unwrap_or(0);
        let allowed = debt + INTERVAL_MS <= most;
        if allowed {
            self.0.store(now.wrapping_add(debt + INTERVAL_MS), Ordering::Relaxed);
        }
        allowed
    }
}

/// Sends what the library logs to standard error, from `level` up.
///
/// A line that standard error does not take at once, be it a full pipe or a terminal that was
/// stopped, is left out and counted: the room does not wait for a reader of its log. So is what is
/// more than a few lines a second, unless it is an error or `level` is debug. The next line that
/// is written says how many were left out.
pub fn init(level: LevelFilter) {
    log::set_max_level(level);
    // It fails when there is a logger already, which is then the one to use.
    let _ = log::set_logger(&Stderr);
}

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level() && metadata.target().starts_with("smolchat")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if !is_due(record) || !is_ready() {
            LEFT_OUT.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut line = String::new();
        // A report is for programs, and nothing but itself.
        let is_report = record.target() == REPORT;
        let level = if is_report { Level::Info } else { record.level() };
        if goes_to_journal() {
            let _ = write!(line, "<{}>", priority(level));
        } else if !is_report {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let _ = write!(line, "{} {} ", Utc(now), level.as_str().to_ascii_lowercase());
        }
        if !is_report {
            let left_out = LEFT_OUT.swap(0, Ordering::Relaxed);
            if left_out > 0 {
                let _ = write!(line, "({left_out} lines before this one were left out) ");
            }
        }
        let text = record.args().to_string();
        for c in text.chars() {
            if line.len() > MAX_LINE - LONGEST_ESCAPE - 1 {
                break;
            }
            // What clients send must not write lines, or worse, of its own.
            if c.is_control() {
                line.extend(c.escape_default());
            } else {
                line.push(c);
            }
        }
        line.push('\n');
        // Nobody is left to tell if this fails.
        let _ = rustix::io::write(stderr(), line.as_bytes());
    }

    fn flush(&self) {}
}

/// Whether standard error is the journal's (systemd.exec(5), `JOURNAL_STREAM`). It has the time of a
/// line without us, and wants its level as a priority in front of it (sd-daemon(3)).
pub fn goes_to_journal() -> bool {
    *TO_JOURNAL.get_or_init(|| {
        let stream = std::env::var("JOURNAL_STREAM");
        let file = rustix::fs::fstat(stderr());
        matches!((stream, file), (Ok(stream), Ok(file))
            if stream == format!("{}:{}", file.st_dev, file.st_ino))
    })
}

/// A level as syslog(3) counts them.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Whether there have not been too many lines of its kind.
fn is_due(record: &Record<'_>) -> bool {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    let pace = match record.level() {
        Level::Error => return true,
        _ if log::max_level() >= LevelFilter::Debug => return true,
        Level::Warn => &WARNINGS,
        _ => &NOTES,
    };
    pace.allows(STARTED.get_or_init(Instant::now).elapsed().as_millis() as u32)
}

/// Whether standard error takes a line without blocking. Setting it to non-blocking instead would
/// do the same to every other program that has it open.
fn is_ready() -> bool {
    let stderr = stderr();
    let mut fds = [PollFd::from_borrowed_fd(stderr, PollFlags::OUT)];
    matches!(poll(&mut fds, Some(&Timespec::default())), Ok(1))
}

/// A moment in UTC, as RFC 3339 writes it.
struct Utc(Duration);

impl std::fmt::Display for Utc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.0.as_secs();
        let (year, month, day) = civil(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Year, month and day of a count of days since 1970, by Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>), for days that are not before it.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months are counted from March, so that the day that leap years add is the last.
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_written_and_then_a_few_lines_a_second() {
        // The clock wraps while this goes on.
        let start = u32::MAX - 5_000;
        let pace = Pace(AtomicU32::new(start));
        let written = |from: u32, to: u32| {
            let times = (from..to).map(|ms| start.wrapping_add(ms));
            times.filter(|&now| pace.allows(now)).count() as u32
        };
        assert_eq!(written(0, 1), 1);
        assert_eq!(written(1, 200), BURST - 1);
        assert_eq!(written(200, 20_200), 20_000 / INTERVAL_MS);
        // After a long silence the burst is there again, after a very long one, too.
        for silence in [60_000, u32::MAX / 2] {
            assert_eq!(written(silence, silence + 200), BURST);
        }
    }

    #[test]
    fn days_are_what_the_calendar_says() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (20_779, (2026, 11, 22)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(civil(days), date);
        }
        let moment = Duration::from_secs(1_790_000_000);
        assert_eq!(Utc(moment).to_string(), "2026-09-21T14:13:20Z");
    }
}
