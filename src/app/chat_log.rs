//! The log file of the messages, for `--log`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::Clock;
use super::render::{expand_tabs, render_body};
use crate::client::{ReceivedFrame, sanitize};
use crate::protocol::Body;

/// A file to which each message is appended as one line.
#[derive(Debug)]
pub struct ChatLog {
    path: PathBuf,
    file: Option<File>,
    /// Whether the last line was not written, so that the error is reported once.
    has_failed: bool,
    /// Whether the last line was written in part, so that the next one needs a newline before it.
    is_cut: bool,
}

impl ChatLog {
    /// Returns a log that is opened with its first line.
    pub fn new(path: PathBuf) -> Self {
        ChatLog { path, file: None, has_failed: false, is_cut: false }
    }

    /// Opens the file. Returns a message if that fails.
    pub fn open(&mut self) -> Option<String> {
        let result = self.reopen_if_moved();
        self.report(result)
    }

    /// Appends a message of a member to all or to the user. Other frames, and those from before the
    /// user joined, are not logged.
    ///
    /// Returns a message for the user if that fails, unless the line before failed, too.
    pub fn write_frame(&mut self, received: &ReceivedFrame, clock: &Clock) -> Option<String> {
        let frame = &received.frame;
        let (Body::Chat { time, .. } | Body::Action { time, .. } | Body::Private { time, .. }) =
            frame.body
        else {
            return None;
        };
        if received.is_past {
            return None;
        }
        let text = render_body(frame, &sanitize(&expand_tabs(&frame.data)));
        let result = self.write_line(&format!("{} {text}\n", clock.timestamp(time)));
        self.report(result)
    }

    fn write_line(&mut self, line: &str) -> io::Result<()> {
        self.reopen_if_moved()?;
        let Some(file) = &mut self.file else { return Ok(()) };
        let line = if self.is_cut { format!("\n{line}") } else { line.to_owned() };
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                // The rest of a line that was written in part, so that its error has the reason.
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            self.is_cut = !rest.is_empty();
        }
        Ok(())
    }

    /// Opens the file, unless it is open and still has its name.
    fn reopen_if_moved(&mut self) -> io::Result<()> {
        let is_same = |file: &File| -> io::Result<bool> {
            let (open, named) = (file.metadata()?, fs::metadata(&self.path)?);
            Ok((open.dev(), open.ino()) == (named.dev(), named.ino()))
        };
        if self.file.as_ref().is_none_or(|file| !is_same(file).unwrap_or(false)) {
            self.file = None;
            self.file = Some(open_for_append(&self.path)?);
            self.is_cut = false;
        }
        Ok(())
    }

    fn report(&mut self, result: io::Result<()>) -> Option<String> {
        let was_reported = std::mem::replace(&mut self.has_failed, result.is_err());
        let error = result.err().filter(|_| !was_reported)?;
        Some(format!("cannot write the log {}: {error}", self.path.display()))
    }
}

/// Opens a file that only the user can read, if it is created.
fn open_for_append(path: &Path) -> io::Result<File> {
    // A FIFO without a reader must not block the client.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).custom_flags(flags.bits() as i32);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::app::temp_dir::TempDir;
    use crate::protocol::Frame;

    fn chat(text: &'static str) -> ReceivedFrame {
        let body = Body::Chat { seq: 1, time: 1_790_000_000_000, id: None };
        let frame = Frame { data_source: "bob".into(), data: text.into(), body };
        ReceivedFrame { frame, line: Vec::new(), is_past: false, in_reply_to: None }
    }

    fn write(log: &mut ChatLog, text: &'static str) -> Option<String> {
        log.write_frame(&chat(text), &Clock::default())
    }

    #[test]
    fn message_is_one_line_with_its_date() {
        let dir = TempDir::new();
        let path = dir.path("chat.log");
        let mut log = ChatLog::new(path.clone());
        assert_eq!(log.open(), None);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        write(&mut log, "one\n\ttwo\u{1b}[2J");
        log.write_frame(&ReceivedFrame { is_past: true, ..chat("earlier") }, &Clock::default());
        let mut private = chat("psst");
        private.frame.body = Body::Private { time: 0, to: "alice".into(), id: None };
        log.write_frame(&private, &Clock::default());
        let mut join = chat("carol joined");
        join.frame.body = Body::Join { seq: 2, time: 0, names: vec!["carol".into()] };
        log.write_frame(&join, &Clock::default());
        let text = "2026-09-21 14:13:20 +0000 bob  one^J    two^[[2J\n\
            1970-01-01 00:00:00 +0000 [bob > alice]  psst\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn rotated_file_is_opened_again() {
        let dir = TempDir::new();
        let (path, old) = (dir.path("chat.log"), dir.path("old.log"));
        let mut log = ChatLog::new(path.clone());
        write(&mut log, "one");
        fs::rename(&path, &old).unwrap();
        write(&mut log, "two");
        let count = |path: &Path| fs::read_to_string(path).unwrap().lines().count();
        assert_eq!((count(&old), count(&path)), (1, 1));
        fs::remove_file(&path).unwrap();
        write(&mut log, "three");
        write(&mut log, "four");
        assert_eq!(count(&path), 2);
    }

    #[test]
    fn error_is_reported_once_until_it_works() {
        let dir = TempDir::new();
        let path = dir.path("chat.log");
        fs::create_dir(&path).unwrap();
        let mut log = ChatLog::new(path.clone());
        let message = log.open().unwrap();
        assert!(message.starts_with("cannot write the log /"), "{message}");
        assert_eq!(write(&mut log, "one"), None);
        fs::remove_dir(&path).unwrap();
        assert_eq!(write(&mut log, "two"), None);
        assert!(fs::read_to_string(&path).unwrap().ends_with(" two\n"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(write(&mut log, "three").is_some());
    }

    #[test]
    fn full_disk_is_reported() {
        let mut log = ChatLog::new("/dev/full".into());
        assert!(write(&mut log, "one").unwrap().contains("/dev/full: "));
        assert_eq!(write(&mut log, "two"), None);
    }

    #[test]
    fn line_written_in_part_is_reported_with_the_reason() {
        let dir = TempDir::new();
        let path = dir.path("fifo");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
        let mut reader = OpenOptions::new();
        let mut reader =
            reader.read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(&path).unwrap();
        let mut log = ChatLog::new(path.clone());
        let message = write(&mut log, "x".repeat(100_000).leak()).unwrap();
        assert!(message.contains("temporarily unavailable"), "{message}");
        let mut text = String::new();
        assert!(reader.read_to_string(&mut text).is_err() && !text.ends_with('\n'));
        write(&mut log, "next");
        assert!(reader.read_to_string(&mut text).is_err() && text.contains("x\n2026-"), "{text}");
    }
}
