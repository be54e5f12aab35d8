//! Whatever a history file holds, it opens with all whole frames that are in it, or is left alone.
//!
//! The first line of the input says how the file is opened and damaged, see [`Plan`]; what follows
//! is the file. In it, a line that begins with `@` stands for one that a server would write there,
//! see [`Writer`]. What comes before a line `@older` is in `PATH.1`.

use std::error::Error as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use smolchat::protocol::{Body, Frame};
use smolchat::store::{HistoryFile, Options, Snapshot};

/// How a line of the file's own begins.
const OWN: &[u8] = br#"{"smolchat":"#;
/// The largest number that a frame may have in a file.
const MAX_SEQ: u64 = 1 << 53;

pub fn run(data: &[u8]) {
    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (plan, text) = data.split_at(end);
    let plan = Plan::new(plan);
    let (older, newer) = Writer::default().files(text.strip_prefix(b"\n").unwrap_or(text));
    let newer = plan.damaged(newer);

    let place = Place::new();
    fs::write(place.file(), &newer).unwrap();
    if let Some(older) = &older {
        fs::write(place.older(), older).unwrap();
    }
    let older = older.unwrap_or_default();
    let Some((file, found)) = place.open(&plan.options) else {
        assert_eq!(fs::read(place.file()).unwrap(), newer);
        return;
    };
    drop(file);
    check_found(&found, &older, &newer, &plan.options, &place.fresh());

    let (file, again) = place.open(&plan.options).unwrap();
    assert_eq!(again, found);
    if found.seq + 3 > MAX_SEQ {
        return;
    }
    check_appended(&place, file, &found, &plan.options);
}

/// What was in the files, and how they are kept, make what is found.
fn check_found(found: &Snapshot, older: &[u8], newer: &[u8], options: &Options, fresh: &str) {
    let lines: Vec<&[u8]> = [older, newer].into_iter().flat_map(whole_lines).collect();
    let frames: Vec<&[u8]> = lines.iter().copied().filter(|line| seq(line).is_some()).collect();
    let kept = newest(&frames, options);
    assert_eq!(text(&found.frames), text(&kept.concat()));
    assert!(found.seq <= MAX_SEQ);
    assert!(found.resumable <= kept.len());
    let numbers = kept.iter().rev().take(found.resumable).filter_map(|frame| seq(frame));
    assert!(numbers.eq((0..found.resumable as u64).map(|back| found.seq - back)));
    // Where the epoch goes on, no number of it has come twice, and none will.
    if &*found.epoch != fresh {
        let mut epoch = None;
        let mut numbers = Vec::new();
        for line in lines {
            if let Some(new) = epoch_of(line).filter(|new| epoch.as_ref() != Some(new)) {
                epoch = Some(new);
                numbers.clear();
            }
            numbers.extend(seq(line));
        }
        assert_eq!(epoch.as_deref(), Some(&*found.epoch));
        numbers.push(found.seq + 1);
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    }
}

/// A server goes on with what it found, is killed, and another one finds that and what followed.
fn check_appended(place: &Place, mut file: HistoryFile, found: &Snapshot, options: &Options) {
    let new: Vec<Vec<u8>> = (1..=3).map(|n| frame(found.seq + n, b"new")).collect();
    file.append(&new[0], found.seq).unwrap();
    file.append(&new[1..].concat(), found.seq + 1).unwrap();
    drop(file);
    let (mut file, again) = place.open(options).unwrap();
    let all: Vec<&[u8]> = whole_lines(&found.frames).chain(new.iter().map(Vec::as_slice)).collect();
    let all = newest(&all, options);
    let expected = all.concat();
    assert_eq!((&again.epoch, again.seq), (&found.epoch, found.seq + 3));
    if options.max_bytes < Options::default().max_bytes {
        // The oldest may have gone with the file that they were in.
        assert!(expected.ends_with(&again.frames));
        let new: Vec<&[u8]> = new.iter().map(Vec::as_slice).collect();
        assert!(again.frames.ends_with(&newest(&new, options).concat()));
        assert!(again.resumable <= found.resumable + 3);
    } else {
        assert_eq!(text(&again.frames), text(&expected));
        assert_eq!(again.resumable, (found.resumable + 3).min(all.len()));
    }
    file.close().unwrap();
    assert_eq!(place.open(options).unwrap().1, again);
}

/// What is done with a file; each byte of the first line is a part of it. A missing one is none.
struct Plan {
    options: Options,
    /// Bytes that are cut off the end.
    cut: usize,
    /// A byte that is changed, counted from the end, and how.
    flipped: (usize, u8),
    /// How many of the last bytes come again.
    spliced: usize,
}

impl Plan {
    fn new(bytes: &[u8]) -> Self {
        let number = |place: usize| bytes.get(place).map_or(0, |&byte| usize::from(byte));
        let bound = |place: usize, unit: usize, default: usize| match number(place) {
            0 => default,
            number => number.saturating_sub(usize::from(b' ')) * unit,
        };
        let usual = Options::default();
        Plan {
            options: Options {
                keep_frames: bound(0, 1, usual.keep_frames),
                keep_bytes: bound(1, 16, usual.keep_bytes),
                max_bytes: bound(2, 16, usual.max_bytes as usize) as u64,
                ..usual
            },
            cut: number(3),
            flipped: (number(4), number(5) as u8),
            spliced: number(6),
        }
    }

    fn damaged(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let (back, mask) = self.flipped;
        if let Some(byte) = bytes.iter_mut().nth_back(back) {
            *byte ^= mask;
        }
        bytes.truncate(bytes.len().saturating_sub(self.cut));
        bytes.extend_from_within(bytes.len().saturating_sub(self.spliced)..);
        bytes
    }
}

/// A server as a file sees it: which lines it writes.
#[derive(Default)]
struct Writer {
    epoch: u32,
    seq: u64,
}

impl Writer {
    /// `PATH.1`, if there is one, and `PATH`.
    fn files(&mut self, text: &[u8]) -> (Option<Vec<u8>>, Vec<u8>) {
        let (mut older, mut file) = (None, Vec::new());
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            match line.strip_prefix(b"@") {
                Some(b"older\n") => older = Some(std::mem::take(&mut file)),
                Some(order) => file.extend(self.written(order)),
                None => file.extend_from_slice(line),
            }
        }
        (older, file)
    }

    fn written(&mut self, order: &[u8]) -> Vec<u8> {
        let order = order.strip_suffix(b"\n").unwrap_or(order);
        let (&kind, rest) = order.split_first().unwrap_or((&b'f', b""));
        match kind {
            b'h' => self.header(),
            b'H' => {
                self.epoch += 1;
                self.header()
            }
            b'e' => format!("{{\"smolchat\":\"end\",\"seq\":{}}}\n", self.seq).into_bytes(),
            b'b' => b"{\"smolchat\":\"broken\"}\n".to_vec(),
            // Numbers that are missing, and such as come again.
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

/// A directory in memory, where there is one, that goes when this is dropped.
struct Place {
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("smolchat-fuzz-{}-{number}", process::id());
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.into() } else { std::env::temp_dir() };
        let path = parent.join(name);
        fs::create_dir(&path).unwrap();
        Place { path }
    }

    fn file(&self) -> PathBuf {
        self.path.join("history")
    }

    fn older(&self) -> PathBuf {
        self.path.join("history.1")
    }

    /// An epoch that is in no file yet: no two runs have the same place.
    fn fresh(&self) -> Box<str> {
        self.path.to_string_lossy().into()
    }

    /// Opens the file. There is no other reason to refuse it than what it holds.
    fn open(&self, options: &Options) -> Option<(HistoryFile, Snapshot)> {
        match HistoryFile::open(&self.file(), options.clone(), || Ok(self.fresh())) {
            Ok(opened) => Some(opened),
            Err(error) => {
                let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
                assert_eq!(cause.map(io::Error::kind), Some(io::ErrorKind::InvalidData), "{error}");
                None
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn whole_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n"))
}

/// The number of a line that is a frame of the sequence, as a client understands it.
fn seq(line: &[u8]) -> Option<u64> {
    let seq = (!line.starts_with(OWN)).then(|| Frame::decode(line).ok()?.body.seq())?;
    seq.filter(|seq| (1..=MAX_SEQ).contains(seq))
}

/// The epoch that a line begins, or would if it were whole.
fn epoch_of(line: &[u8]) -> Option<String> {
    let value: Value = line.starts_with(OWN).then(|| serde_json::from_slice(line).ok())??;
    let epoch = value["epoch"].as_str().unwrap_or_default();
    (value["smolchat"] == "history").then(|| epoch.into())
}

/// The last of these frames that are within the bounds together.
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
