//! A history file with any content opens with all of its whole frames, or is refused and unchanged.
//!
//! The first line of the input is a [`Plan`]: how the file is opened and damaged. The rest is the
//! file. A line that begins with `@` stands for a line that a server would write, see [`Writer`].
//! The lines before a line `@older` are in `PATH.1`.

use std::error::Error as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use serde_json::Value;
use smolchat::protocol::{Body, Frame};
use smolchat::room::Snapshot;
use smolchat::store::{HistoryFile, Options};

/// The start of a line that is not a frame.
const META: &[u8] = br#"{"smolchat":"#;
/// The largest number of a frame in a file.
const MAX_SEQ: u64 = 1 << 53;

pub fn run(data: &[u8]) {
    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (plan, text) = data.split_at(end);
    let plan = Plan::new(plan);
    let (older, newer) = Writer::default().files(text.strip_prefix(b"\n").unwrap_or(text));
    let newer = plan.damaged(newer);

    let dir = FileDir::new();
    fs::write(dir.file(), &newer).unwrap();
    if let Some(older) = &older {
        fs::write(dir.older(), older).unwrap();
    }
    let older = older.unwrap_or_default();
    let Some((file, snapshot)) = dir.open(&plan.options) else {
        assert_eq!(fs::read(dir.file()).unwrap(), newer);
        return;
    };
    drop(file);
    check_snapshot(&snapshot, &older, &newer, &plan.options, &dir.fresh_epoch());

    let (file, again) = dir.open(&plan.options).unwrap();
    assert_eq!(again, snapshot);
    if snapshot.seq + 3 > MAX_SEQ {
        return;
    }
    check_appended(&dir, file, &snapshot, &plan.options);
}

/// Checks a snapshot against the content of the files.
fn check_snapshot(snapshot: &Snapshot, older: &[u8], newer: &[u8], options: &Options, fresh: &str) {
    let lines: Vec<&[u8]> = [older, newer].into_iter().flat_map(whole_lines).collect();
    let frames: Vec<&[u8]> = lines.iter().copied().filter(|line| seq(line).is_some()).collect();
    let kept = newest(&frames, options);
    assert_eq!(text(&snapshot.frames), text(&kept.concat()));
    assert!(snapshot.seq <= MAX_SEQ);
    assert!(snapshot.resumable <= kept.len());
    let numbers = kept.iter().rev().take(snapshot.resumable).filter_map(|frame| seq(frame));
    assert!(numbers.eq((0..snapshot.resumable as u64).map(|back| snapshot.seq - back)));
    // In a continued epoch, no number is used twice.
    if &*snapshot.epoch != fresh {
        let mut epoch = None;
        let mut numbers = Vec::new();
        for line in lines {
            if let Some(new) = epoch_of(line).filter(|new| epoch.as_ref() != Some(new)) {
                epoch = Some(new);
                numbers.clear();
            }
            numbers.extend(seq(line));
        }
        assert_eq!(epoch.as_deref(), Some(&*snapshot.epoch));
        numbers.push(snapshot.seq + 1);
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    }
}

/// Appends frames, and checks that a later open finds the old and the new ones.
fn check_appended(dir: &FileDir, mut file: HistoryFile, before: &Snapshot, options: &Options) {
    let new: Vec<Vec<u8>> = (1..=3).map(|n| frame(before.seq + n, b"new")).collect();
    file.append(&new[0], before.seq).unwrap();
    file.append(&new[1..].concat(), before.seq + 1).unwrap();
    drop(file);
    let (mut file, again) = dir.open(options).unwrap();
    let all: Vec<&[u8]> =
        whole_lines(&before.frames).chain(new.iter().map(Vec::as_slice)).collect();
    let all = newest(&all, options);
    let expected = all.concat();
    assert_eq!((&again.epoch, again.seq), (&before.epoch, before.seq + 3));
    if options.max_bytes < Options::default().max_bytes {
        // The oldest frames may have been removed with the older file.
        assert!(expected.ends_with(&again.frames));
        let new: Vec<&[u8]> = new.iter().map(Vec::as_slice).collect();
        assert!(again.frames.ends_with(&newest(&new, options).concat()));
        assert!(again.resumable <= before.resumable + 3);
    } else {
        assert_eq!(text(&again.frames), text(&expected));
        assert_eq!(again.resumable, (before.resumable + 3).min(all.len()));
    }
    file.close().unwrap();
    assert_eq!(dir.open(options).unwrap().1, again);
}

/// How a file is opened and damaged; each byte of the first line is one value, 0 if it is missing.
struct Plan {
    options: Options,
    /// Bytes that are removed from the end.
    cut: usize,
    /// A byte that is changed, counted from the end, and the bits that change.
    flipped: (usize, u8),
    /// Bytes of the end that are repeated.
    repeated: usize,
}

impl Plan {
    fn new(bytes: &[u8]) -> Self {
        let number = |index: usize| bytes.get(index).map_or(0, |&byte| usize::from(byte));
        let bound = |index: usize, unit: usize, default: usize| match number(index) {
            0 => default,
            number => number.saturating_sub(usize::from(b' ')) * unit,
        };
        let defaults = Options::default();
        Plan {
            options: Options {
                keep_frames: bound(0, 1, defaults.keep_frames),
                keep_bytes: bound(1, 16, defaults.keep_bytes),
                max_bytes: bound(2, 16, defaults.max_bytes as usize) as u64,
                ..defaults
            },
            cut: number(3),
            flipped: (number(4), number(5) as u8),
            repeated: number(6),
        }
    }

    fn damaged(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let (back, mask) = self.flipped;
        if let Some(byte) = bytes.iter_mut().nth_back(back) {
            *byte ^= mask;
        }
        bytes.truncate(bytes.len().saturating_sub(self.cut));
        bytes.extend_from_within(bytes.len().saturating_sub(self.repeated)..);
        bytes
    }
}

/// The lines that a server writes.
#[derive(Default)]
struct Writer {
    epoch: u32,
    seq: u64,
}

impl Writer {
    /// Returns `PATH.1`, if the input has one, and `PATH`.
    fn files(&mut self, text: &[u8]) -> (Option<Vec<u8>>, Vec<u8>) {
        let (mut older, mut file) = (None, Vec::new());
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            match line.strip_prefix(b"@") {
                Some(b"older\n") => older = Some(std::mem::take(&mut file)),
                Some(command) => file.extend(self.line(command)),
                None => file.extend_from_slice(line),
            }
        }
        (older, file)
    }

    fn line(&mut self, command: &[u8]) -> Vec<u8> {
        let command = command.strip_suffix(b"\n").unwrap_or(command);
        let (&kind, rest) = command.split_first().unwrap_or((&b'f', b""));
        match kind {
            b'h' => self.header(),
            b'H' => {
                self.epoch += 1;
                self.header()
            }
            b'e' => format!("{{\"smolchat\":\"end\",\"seq\":{}}}\n", self.seq).into_bytes(),
            b'b' => b"{\"smolchat\":\"broken\"}\n".to_vec(),
            // Skips or repeats a number.
            b's' => {
                self.seq += 1;
                Vec::new()
            }
            b'r' => {
                self.seq = self.seq.saturating_sub(1);
                Vec::new()
            }
            _ => {
                self.seq += 1;
                frame(self.seq, rest)
            }
        }
    }

    fn header(&self) -> Vec<u8> {
        let (epoch, before) = (self.epoch, self.seq);
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot = boot.trim();
        let header = format!(
            r#"{{"smolchat":"history","version":1,"epoch":"{epoch}","before":{before},"boot":"{boot}"}}"#
        );
        (header + "\n").into_bytes()
    }
}

/// A directory, in memory if possible, that is removed when this is dropped.
struct FileDir {
    path: PathBuf,
}

impl FileDir {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("smolchat-fuzz-{}-{number}", process::id());
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.into() } else { std::env::temp_dir() };
        let path = parent.join(name);
        fs::create_dir(&path).unwrap();
        FileDir { path }
    }

    fn file(&self) -> PathBuf {
        self.path.join("history")
    }

    fn older(&self) -> PathBuf {
        self.path.join("history.1")
    }

    /// Returns an epoch that is in no file: no two runs have the same directory.
    fn fresh_epoch(&self) -> Box<str> {
        self.path.to_string_lossy().into()
    }

    /// Opens the file. Returns nothing if its content is refused.
    fn open(&self, options: &Options) -> Option<(HistoryFile, Snapshot)> {
        loop {
            match HistoryFile::open(&self.file(), options.clone(), || Ok(self.fresh_epoch())) {
                Ok(opened) => return Some(opened),
                Err(error) => {
                    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
                    match cause.map(io::Error::kind) {
                        Some(io::ErrorKind::InvalidData) => return None,
                        // A child of another test has the lock until it executes its program.
                        Some(io::ErrorKind::ResourceBusy) => thread::yield_now(),
                        _ => panic!("{error}"),
                    }
                }
            }
        }
    }
}

impl Drop for FileDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn whole_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n"))
}

/// Returns the number of a line that is a frame of the sequence.
fn seq(line: &[u8]) -> Option<u64> {
    let seq = (!line.starts_with(META)).then(|| Frame::decode(line).ok()?.body.seq())?;
    seq.filter(|seq| (1..=MAX_SEQ).contains(seq))
}

/// Returns the epoch of a header line.
fn epoch_of(line: &[u8]) -> Option<String> {
    let value: Value = line.starts_with(META).then(|| serde_json::from_slice(line).ok())??;
    let epoch = value["epoch"].as_str().unwrap_or_default();
    (value["smolchat"] == "history").then(|| epoch.into())
}

/// Returns the newest frames within the bounds.
fn newest<'a>(frames: &'a [&'a [u8]], options: &Options) -> &'a [&'a [u8]] {
    let mut bytes = 0;
    let fits = frames.iter().rev().take(options.keep_frames).take_while(|frame| {
        bytes += frame.len();
        bytes <= options.keep_bytes
    });
    &frames[frames.len() - fits.count()..]
}

fn frame(seq: u64, data: &[u8]) -> Vec<u8> {
    let body = Body::Chat { seq, time: 1_790_000_000_000, id: None };
    let data = String::from_utf8_lossy(data);
    let mut line = Vec::new();
    Frame { data_source: "alice".into(), data, body }.encode(&mut line);
    line
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}
