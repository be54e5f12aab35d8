use super::*;

use std::error::Error as _;
use std::io::{BufRead, BufReader, Write};
use std::mem::ManuallyDrop;
use std::ops::{Range, RangeInclusive};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use proptest::prelude::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::protocol::{Body, Frame};

/// Tells a test that it is a process that another test has started, and where.
const CHILD: &str = "SMOLCHAT_TEST_HISTORY_FILE";

/// A process that is about to become another program holds all locks of this one for a moment. So
/// to start one takes this for writing, and to rely on locks takes it for reading.
static STARTING: RwLock<()> = RwLock::new(());

fn nothing_is_started() -> RwLockReadGuard<'static, ()> {
    STARTING.read().unwrap_or_else(PoisonError::into_inner)
}

/// A directory that goes when this is dropped.
struct Place {
    path: PathBuf,
    _calm: Option<RwLockReadGuard<'static, ()>>,
}

impl Place {
    fn new() -> Self {
        let mut place = Place::for_processes();
        place._calm = Some(nothing_is_started());
        place
    }

    /// For a test that starts some, and so has to see itself that none is being started.
    fn for_processes() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("smolchat-history-file-{}-{number}", process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Place { path: path.canonicalize().unwrap(), _calm: None }
    }

    fn file(&self) -> PathBuf {
        self.path.join("history")
    }

    fn older(&self) -> PathBuf {
        self.path.join("history.1")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn write(&self, text: impl AsRef<[u8]>) {
        fs::write(self.file(), text).unwrap();
    }

    /// Opens the file on a machine that runs since this boot; a new epoch has its name from it.
    fn try_open(&self, boot: &str) -> Result<(HistoryFile, Snapshot), Error> {
        self.open_with(boot, Options::default())
    }

    fn open(&self, boot: &str) -> (HistoryFile, Snapshot) {
        self.try_open(boot).unwrap()
    }

    fn open_with(&self, boot: &str, options: Options) -> Result<(HistoryFile, Snapshot), Error> {
        let epoch = format!("since {boot}").into();
        HistoryFile::open_with_boot(Some(boot.into()), &self.file(), options, || Ok(epoch))
    }

    /// What the file holds, as a server would find it that starts on the same boot.
    fn snapshot(&self, boot: &str) -> Snapshot {
        self.open(boot).1
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn frame_of(seq: u64, data: &str) -> String {
    let body = Body::Chat { seq, time: 1_790_000_000_000, id: None };
    let mut line = Vec::new();
    Frame { data_source: "alice".into(), data: data.into(), body }.encode(&mut line);
    String::from_utf8(line).unwrap()
}

fn frames(numbers: RangeInclusive<u64>) -> String {
    numbers.map(|seq| frame_of(seq, &format!("line \"{seq}\""))).collect()
}

fn header_of(epoch: &str, before: u64, boot: &str) -> String {
    let (epoch, boot) = (epoch.into(), Some(boot.into()));
    let line = Record::History { version: 1, epoch, before, boot }.encode().unwrap();
    String::from_utf8(line).unwrap()
}

fn snapshot(epoch: &str, seq: u64, frames: String, resumable: usize) -> Snapshot {
    Snapshot { epoch: epoch.into(), seq, frames: frames.into(), resumable }
}

fn chain(error: &Error) -> String {
    format!("{error}: {}", error.source().unwrap())
}

#[test]
fn a_server_that_was_killed_goes_on_where_it_was() {
    let place = Place::new();
    let (mut file, new) = place.open("monday");
    assert_eq!(new, snapshot("since monday", 0, String::new(), 0));
    file.append(frames(1..=2).as_bytes(), 0).unwrap();
    file.append(b"", 2).unwrap();
    file.append(frames(3..=3).as_bytes(), 2).unwrap();
    drop(file);
    assert_eq!(place.text(), header_of("since monday", 0, "monday") + &frames(1..=3));

    let (mut file, again) = place.open("monday");
    assert_eq!(again, snapshot("since monday", 3, frames(1..=3), 3));
    file.append(frames(4..=4).as_bytes(), 3).unwrap();
    drop(file);
    assert_eq!(place.snapshot("monday"), snapshot("since monday", 4, frames(1..=4), 4));
}

#[test]
fn a_server_that_dies_at_once_each_time_does_not_fill_the_disk() {
    let place = Place::new();
    drop(place.open("monday"));
    let text = place.text();
    drop(place.open("monday"));
    assert_eq!(place.text(), text);
}

#[test]
fn after_a_clean_end_the_epoch_outlives_the_boot() {
    let place = Place::new();
    let (mut file, _) = place.open("monday");
    file.append(frames(1..=2).as_bytes(), 0).unwrap();
    file.close().unwrap();
    assert!(place.text().ends_with("{\"smolchat\":\"end\",\"seq\":2}\n"));
    let (mut file, again) = place.open("tuesday");
    assert_eq!(again, snapshot("since monday", 2, frames(1..=2), 2));
    file.append(frames(3..=3).as_bytes(), 2).unwrap();
    drop(file);
    assert_eq!(place.snapshot("tuesday"), snapshot("since monday", 3, frames(1..=3), 3));
}

#[test]
fn after_a_power_cut_the_old_lines_are_for_reading_alone() {
    let place = Place::new();
    let (mut file, _) = place.open("monday");
    file.append(frames(1..=2).as_bytes(), 0).unwrap();
    drop(file);
    let (mut file, again) = place.open("tuesday");
    assert_eq!(again, snapshot("since tuesday", 2, frames(1..=2), 0));
    file.append(frames(3..=3).as_bytes(), 2).unwrap();
    drop(file);
    assert_eq!(place.snapshot("tuesday"), snapshot("since tuesday", 3, frames(1..=3), 1));
}

#[test]
fn a_server_that_has_only_been_started_undoes_a_clean_end() {
    let place = Place::new();
    let (mut file, _) = place.open("monday");
    file.append(frames(1..=2).as_bytes(), 0).unwrap();
    file.close().unwrap();
    // What it showed is not in the file after a power cut, so it may well have shown something.
    drop(place.open("tuesday"));
    assert_eq!(place.snapshot("wednesday"), snapshot("since wednesday", 2, frames(1..=2), 0));
}

#[test]
fn where_the_boot_is_unknown_only_a_clean_end_counts() {
    let place = Place::new();
    let open = |epoch: &'static str| {
        let fresh = || Ok(epoch.into());
        HistoryFile::open_with_boot(None, &place.file(), Options::default(), fresh).unwrap()
    };
    let (mut file, _) = open("first");
    file.append(frames(1..=1).as_bytes(), 0).unwrap();
    drop(file);
    assert!(!place.text().contains("boot"));
    let (mut file, again) = open("second");
    assert_eq!(again, snapshot("second", 1, frames(1..=1), 0));
    file.close().unwrap();
    assert_eq!(open("third").1.epoch, "second".into());
}

#[test]
fn the_boot_of_this_machine_is_found() {
    let place = Place::new();
    let open = |epoch: &'static str| {
        HistoryFile::open(&place.file(), Options::default(), || Ok(epoch.into())).unwrap()
    };
    let (mut file, _) = open("first");
    file.append(frames(1..=1).as_bytes(), 0).unwrap();
    drop(file);
    if boot_id().is_some() {
        assert_eq!(open("second").1, snapshot("first", 1, frames(1..=1), 1));
    }
}

#[test]
fn the_newest_frames_within_the_bounds_are_kept() {
    let place = Place::new();
    let (mut file, _) = place.open("monday");
    file.append(frames(1..=9).as_bytes(), 0).unwrap();
    drop(file);
    let kept = |keep_frames, keep_bytes| {
        let options = Options { keep_frames, keep_bytes, ..Options::default() };
        place.open_with("monday", options).unwrap().1
    };
    let one = frames(9..=9).len();
    assert_eq!(kept(4, 9 * one), snapshot("since monday", 9, frames(6..=9), 4));
    assert_eq!(kept(9, 3 * one), snapshot("since monday", 9, frames(7..=9), 3));
    assert_eq!(kept(9, one - 1), snapshot("since monday", 9, String::new(), 0));
    assert_eq!(kept(0, 9 * one), snapshot("since monday", 9, String::new(), 0));
}

/// Checks that the file at each of these lengths opens with all whole lines.
fn cut_at_each(place: &Place, whole: &[u8], lengths: Range<usize>) {
    for length in lengths {
        let cut = &whole[..length];
        place.write(cut);
        let left: String = std::str::from_utf8(cut)
            .unwrap()
            .split_inclusive('\n')
            .filter(|line| line.starts_with("{\"data_source\"") && line.ends_with('\n'))
            .collect();
        let count = left.lines().count();
        let (mut file, cut) = place.try_open("tuesday").unwrap();
        assert_eq!((cut.seq, &cut.frames[..]), (count as u64, left.as_bytes()), "at {length}");
        // The server can go on, and its first line is whole.
        let next = frames(cut.seq + 1..=cut.seq + 1);
        file.append(next.as_bytes(), cut.seq).unwrap();
        drop(file);
        let again = place.snapshot("tuesday");
        assert_eq!(again, snapshot(&cut.epoch, cut.seq + 1, left + &next, cut.resumable + 1));
    }
}

#[test]
fn a_file_that_is_cut_anywhere_still_opens() {
    let place = Place::new();
    let (mut file, _) = place.open("monday");
    file.append(frames(1..=20).as_bytes(), 0).unwrap();
    file.close().unwrap();
    let (mut file, _) = place.open("tuesday");
    file.append(frames(21..=24).as_bytes(), 20).unwrap();
    file.close().unwrap();
    let whole = fs::read(place.file()).unwrap();
    assert!(whole.len() > 1024);
    cut_at_each(&place, &whole, whole.len() - 1024..whole.len());
    // The first line of the file too.
    cut_at_each(&place, &whole, 0..300);
}

#[test]
fn a_line_that_was_never_written_in_full_was_never_shown() {
    let place = Place::new();
    let text = header_of("e", 0, "monday") + &frames(1..=3);
    place.write(text.clone() + &frames(4..=4)[..20]);
    assert_eq!(place.snapshot("monday"), snapshot("e", 3, frames(1..=3), 3));
    assert_eq!(place.text(), text);
}

#[test]
fn a_last_line_that_is_no_json_is_cut_off_and_ends_the_epoch() {
    let place = Place::new();
    let text = header_of("e", 0, "monday") + &frames(1..=3);
    for damage in ["\n", "x\n", "[]\n", "{}\n", "\0\0\0\n\0\0", "{\"data_source\":\"a\",\"seq\":\n"]
    {
        place.write(text.clone() + damage);
        assert_eq!(place.snapshot("monday"), snapshot("since monday", 3, frames(1..=3), 0));
        assert_eq!(place.text(), text.clone() + &header_of("since monday", 3, "monday"));
    }
}

#[test]
fn what_the_power_cut_left_of_a_new_file_is_no_obstacle() {
    let place = Place::new();
    for left in [&b"\0\0\0\0"[..], br#"{"smol"#, br#"{"smolchat":"history","version":1,"#] {
        place.write(left);
        assert_eq!(place.snapshot("monday"), snapshot("since monday", 0, String::new(), 0));
        assert_eq!(place.text(), header_of("since monday", 0, "monday"));
    }
}

#[test]
fn numbers_that_are_missing_end_what_can_be_resumed_from() {
    let place = Place::new();
    place.write(header_of("e", 0, "monday") + &frames(1..=3) + &frames(6..=7));
    let all = frames(1..=3) + &frames(6..=7);
    assert_eq!(place.snapshot("monday"), snapshot("e", 7, all, 2));
}

#[test]
fn numbers_that_come_again_end_the_epoch() {
    let place = Place::new();
    place.write(header_of("e", 0, "monday") + &frames(1..=3) + &frames(2..=4));
    let all = frames(1..=3) + &frames(2..=4);
    assert_eq!(place.snapshot("monday"), snapshot("since monday", 4, all, 0));
}

#[test]
fn a_line_that_no_client_would_understand_is_damage() {
    let place = Place::new();
    for line in [
        frame_of(2, "x").replace("chat", "chau"),
        frame_of(2, "x").replace(",\"time\":1790000000000", ""),
        frame_of(2, "x").replace("\"alice\"", "5"),
        "{\"data_source\":\"a\",\"seq\":2}\n".into(),
    ] {
        place.write(header_of("e", 0, "monday") + &frames(1..=1) + &line + &frames(3..=3));
        let left = frames(1..=1) + &frames(3..=3);
        assert_eq!(place.snapshot("monday"), snapshot("since monday", 3, left, 0));
    }
}

#[test]
fn numbers_beyond_belief_are_damage() {
    let place = Place::new();
    for line in [
        frame_of(u64::MAX, "x"),
        frame_of(0, "x"),
        header_of("f", u64::MAX, "monday"),
        "{\"smolchat\":\"end\",\"seq\":18446744073709551615}\n".into(),
    ] {
        place.write(header_of("e", 0, "monday") + &frames(1..=1) + &line);
        assert_eq!(place.snapshot("monday"), snapshot("since monday", 1, frames(1..=1), 0));
    }
}

#[test]
fn a_damaged_line_in_the_middle_costs_itself_and_the_epoch() {
    let long = frame_of(3, &"x".repeat(9 << 20));
    for damage in ["half a line\n", &long, "\u{1}\n", "{\"smolchat\":\"poll\"}\n"] {
        let place = Place::new();
        place.write(header_of("e", 0, "monday") + &frames(1..=2) + damage + &frames(4..=5));
        let all = frames(1..=2) + &frames(4..=5);
        let (mut file, found) = place.open("monday");
        assert_eq!(found, snapshot("since monday", 5, all.clone(), 0));
        // With the new epoch, the damage is history.
        file.append(frames(6..=6).as_bytes(), 5).unwrap();
        drop(file);
        let all = all + &frames(6..=6);
        assert_eq!(place.snapshot("monday"), snapshot("since monday", 6, all, 1));
    }
}

#[test]
fn the_longest_line_that_a_client_can_have_said_is_read() {
    let place = Place::new();
    let (mut file, _) = place.open("monday");
    let line = frame_of(1, &"\u{1}".repeat(1 << 20));
    assert!(line.len() > 6 << 20);
    file.append(line.as_bytes(), 0).unwrap();
    drop(file);
    let options = Options { keep_bytes: 8 << 20, ..Options::default() };
    let found = place.open_with("monday", options).unwrap().1;
    assert_eq!((found.seq, found.frames.len()), (1, line.len()));
}

#[test]
fn at_its_limit_the_file_steps_aside() {
    let place = Place::new();
    let one = frames(1..=1).len() as u64;
    let header = header_of("since monday", 0, "monday").len() as u64;
    let options = Options { max_bytes: header + 3 * one, ..Options::default() };
    let (mut file, _) = place.open_with("monday", options).unwrap();
    for before in 0..8 {
        file.append(frames(before + 1..=before + 1).as_bytes(), before).unwrap();
    }
    drop(file);
    assert_eq!(place.text(), header_of("since monday", 6, "monday") + &frames(7..=8));
    let older = fs::read_to_string(place.older()).unwrap();
    assert_eq!(older, header_of("since monday", 3, "monday") + &frames(4..=6));
    assert_eq!(place.snapshot("monday"), snapshot("since monday", 8, frames(4..=8), 5));
    assert_eq!(fs::read_dir(&place.path).unwrap().count(), 2);
}

#[test]
fn a_batch_larger_than_the_limit_is_one_file() {
    let place = Place::new();
    let options = Options { max_bytes: 0, ..Options::default() };
    let (mut file, _) = place.open_with("monday", options).unwrap();
    file.append(frames(1..=5).as_bytes(), 0).unwrap();
    assert!(!place.older().exists());
    file.append(frames(6..=9).as_bytes(), 5).unwrap();
    drop(file);
    assert_eq!(place.snapshot("monday"), snapshot("since monday", 9, frames(1..=9), 9));
}

#[test]
fn a_server_that_was_killed_between_two_files_goes_on() {
    let place = Place::new();
    let (mut file, _) = place.open("monday");
    file.append(frames(1..=3).as_bytes(), 0).unwrap();
    drop(file);
    fs::rename(place.file(), place.older()).unwrap();
    for left in [None, Some(""), Some("{\"smolchat\":\"history\",\"ver")] {
        match left {
            Some(left) => place.write(left),
            None => assert!(!place.file().exists()),
        }
        assert_eq!(place.snapshot("monday"), snapshot("since monday", 3, frames(1..=3), 3));
        assert_eq!(place.text(), header_of("since monday", 3, "monday"));
    }
}

#[test]
fn an_older_file_may_be_torn_or_missing() {
    let place = Place::new();
    let older = header_of("e", 0, "monday") + &frames(1..=3);
    place.write(header_of("e", 3, "monday") + &frames(4..=5));
    let fresh = place.text();
    assert_eq!(place.snapshot("monday"), snapshot("e", 5, frames(4..=5), 2));
    fs::write(place.older(), &older).unwrap();
    assert_eq!(place.snapshot("monday"), snapshot("e", 5, frames(1..=5), 5));
    fs::write(place.older(), &older[..older.len() - 2]).unwrap();
    let torn = frames(1..=2) + &frames(4..=5);
    assert_eq!(place.snapshot("monday"), snapshot("e", 5, torn, 2));
    fs::write(place.older(), "").unwrap();
    assert_eq!(place.snapshot("monday"), snapshot("e", 5, frames(4..=5), 2));
    assert_eq!(place.text(), fresh);
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let later = header_of("e", 0, "monday").replace("\"version\":1", "\"version\":2");
    let history = header_of("e", 0, "monday");
    for foreign in ["dear diary", "dear diary\n", "{}\n", "\n", &frames(1..=2), &later] {
        let place = Place::new();
        place.write(foreign);
        let error = place.try_open("monday").unwrap_err();
        let path = place.file();
        let begin = format!("cannot read the history file {}: its first", path.display());
        assert!(chain(&error).starts_with(&begin), "{}", chain(&error));
        assert_eq!(place.text(), foreign);

        // Nor is it replaced when it has the name of the older file.
        fs::rename(place.file(), place.older()).unwrap();
        place.write(history.clone() + "torn");
        let error = place.try_open("monday").unwrap_err();
        assert!(chain(&error).contains("history.1: its first line"), "{}", chain(&error));
        assert_eq!(place.text(), history.clone() + "torn");
        assert_eq!(fs::read_to_string(place.older()).unwrap(), foreign);
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let place = Place::new();
    fs::create_dir(place.file()).unwrap();
    let error = chain(&place.try_open("monday").unwrap_err());
    assert!(error.contains("cannot open the history file") && error.contains("directory"));
    fs::remove_dir(place.file()).unwrap();

    let _socket = UnixListener::bind(place.file()).unwrap();
    let error = chain(&place.try_open("monday").unwrap_err());
    assert!(error.ends_with("it is not a regular file"), "{error}");
    fs::remove_file(place.file()).unwrap();

    fs::create_dir(place.older()).unwrap();
    let error = chain(&place.try_open("monday").unwrap_err());
    assert!(error.contains("history.1") && error.contains("directory"), "{error}");

    let nowhere = place.path.join("nowhere/history");
    let error = HistoryFile::open(&nowhere, Options::default(), || Ok("e".into())).unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "No such file or directory (os error 2)");
}

#[test]
fn without_a_fresh_epoch_there_is_no_start() {
    let place = Place::new();
    let none = || Err(io::Error::other("no entropy"));
    let error = HistoryFile::open(&place.file(), Options::default(), none).unwrap_err();
    assert!(chain(&error).starts_with("cannot create an epoch for"), "{}", chain(&error));
}

#[test]
fn two_servers_cannot_have_one_file() {
    let place = Place::new();
    let options = Options { max_bytes: 0, ..Options::default() };
    let (mut file, _) = place.open_with("monday", options).unwrap();
    let refused = || chain(&place.try_open("monday").unwrap_err());
    let path = place.file();
    let in_use =
        format!("cannot lock the history file {}: it is in use by another server", path.display());
    assert_eq!(refused(), in_use);
    // Nor when it has stepped aside, and another is in its place.
    file.append(frames(1..=1).as_bytes(), 0).unwrap();
    file.append(frames(2..=2).as_bytes(), 1).unwrap();
    assert!(place.older().exists());
    assert_eq!(refused(), in_use);
    // In between, when it has no name but that of the older one, neither.
    fs::rename(place.file(), place.older()).unwrap();
    assert!(refused().contains("history.1: it is in use by another server"));
    fs::rename(place.older(), place.file()).unwrap();
    drop(file);
    assert_eq!(place.snapshot("monday").seq, 2);
}

#[test]
fn a_link_stays_a_link() {
    let place = Place::new();
    let link = place.path.join("link");
    std::os::unix::fs::symlink(place.file(), &link).unwrap();
    let options = Options { max_bytes: 0, ..Options::default() };
    let (mut file, _) = HistoryFile::open(&link, options, || Ok("e".into())).unwrap();
    file.append(frames(1..=1).as_bytes(), 0).unwrap();
    file.append(frames(2..=2).as_bytes(), 1).unwrap();
    assert!(link.is_symlink());
    assert!(place.older().exists());
}

#[test]
fn others_cannot_read_what_was_said() {
    let place = Place::new();
    let options = Options { max_bytes: 0, ..Options::default() };
    let (mut file, _) = place.open_with("monday", options).unwrap();
    file.append(frames(1..=1).as_bytes(), 0).unwrap();
    file.append(frames(2..=2).as_bytes(), 1).unwrap();
    for path in [place.file(), place.older()] {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o077, 0);
    }
}

#[test]
fn what_was_written_waits_for_the_disk_as_long_as_it_may() {
    let place = Place::new();
    let with = |sync| place.open_with("monday", Options { sync, ..Options::default() }).unwrap().0;
    let mut file = with(Duration::from_secs(3600));
    assert_eq!(file.sync_due(), None);
    file.append(frames(1..=1).as_bytes(), 0).unwrap();
    let due = file.sync_due().unwrap();
    file.append(frames(2..=2).as_bytes(), 1).unwrap();
    file.sync_if_due().unwrap();
    assert_eq!(file.sync_due(), Some(due));
    drop(file);

    let mut file = with(Duration::from_nanos(1));
    file.append(frames(3..=3).as_bytes(), 2).unwrap();
    while file.sync_due().unwrap() > Instant::now() {}
    file.sync_if_due().unwrap();
    assert_eq!(file.sync_due(), None);
    drop(file);

    let mut file = with(Duration::ZERO);
    file.append(frames(4..=4).as_bytes(), 3).unwrap();
    assert_eq!(file.sync_due(), None);
    drop(file);

    let mut file = with(Duration::MAX);
    file.append(frames(5..=5).as_bytes(), 4).unwrap();
    assert_eq!(file.sync_due(), None);
}

#[test]
fn a_room_that_went_on_without_its_file_comes_back_with_a_new_epoch() {
    let place = Place::new();
    let (mut file, _) = place.open("monday");
    file.append(frames(1..=2).as_bytes(), 0).unwrap();
    file.recover("second", 7).unwrap();
    file.append(frames(8..=9).as_bytes(), 7).unwrap();
    drop(file);
    let all = frames(1..=2) + &frames(8..=9);
    assert_eq!(place.snapshot("monday"), snapshot("second", 9, all, 2));
}

#[test]
fn frames_that_do_not_follow_are_refused() {
    for (lines, before) in [(frames(4..=4), 3), (frames(2..=2), 1), ("torn".into(), 2)] {
        let place = Place::new();
        let (mut file, _) = place.open("monday");
        file.append(frames(1..=2).as_bytes(), 0).unwrap();
        let text = place.text();
        let error = file.append(lines.as_bytes(), before).unwrap_err();
        assert!(chain(&error).ends_with("not follow number 2"), "{}", chain(&error));
        assert_eq!(place.text(), text + "{\"smolchat\":\"broken\"}\n");

        // Not even the right ones are taken before it has recovered.
        let error = file.append(frames(3..=3).as_bytes(), 2).unwrap_err();
        assert!(chain(&error).ends_with("an earlier operation failed"), "{}", chain(&error));
        assert_eq!(file.sync_due(), None);
        file.sync_if_due().unwrap();
        file.recover("second", 2).unwrap();
        file.append(frames(3..=3).as_bytes(), 2).unwrap();
        drop(file);
        assert_eq!(place.snapshot("monday"), snapshot("second", 3, frames(1..=3), 1));
    }
}

#[test]
fn a_server_that_dies_before_it_recovers_begins_a_new_epoch() {
    let place = Place::new();
    let (mut file, _) = place.open("monday");
    file.append(frames(1..=2).as_bytes(), 0).unwrap();
    file.append(frames(9..=9).as_bytes(), 8).unwrap_err();
    assert!(file.close().is_err());
    let open = HistoryFile::open_with_boot;
    let fresh = || Ok("other".into());
    let (_, found) = open(Some("monday".into()), &place.file(), Options::default(), fresh).unwrap();
    assert_eq!(found, snapshot("other", 2, frames(1..=2), 0));
}

#[test]
fn while_it_has_failed_the_file_may_even_go_away() {
    let place = Place::new();
    let (mut file, _) = place.open("monday");
    file.append(frames(1..=2).as_bytes(), 0).unwrap();
    file.append(frames(9..=9).as_bytes(), 8).unwrap_err();
    fs::remove_file(place.file()).unwrap();
    fs::create_dir(place.file()).unwrap();
    file.recover("second", 9).unwrap_err();
    fs::remove_dir(place.file()).unwrap();
    file.recover("second", 9).unwrap();
    file.append(frames(10..=10).as_bytes(), 9).unwrap();
    drop(file);
    assert_eq!(place.snapshot("monday"), snapshot("second", 10, frames(10..=10), 1));
}

/// A process that runs the test `name` of this module, which is to find [`CHILD`] set.
fn child(name: &str, place: &Place, shell: &str) -> Command {
    let mut child = Command::new("sh");
    child.args(["-c", &format!("{shell} exec \"$0\" \"$@\"")]);
    child.arg(std::env::current_exe().unwrap());
    child.args(["--ignored", "--exact", "--nocapture", &format!("store::file::tests::{name}")]);
    child.env(CHILD, &place.path).stdout(Stdio::null());
    child
}

fn start(command: &mut Command) -> Child {
    let _alone = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    command.spawn().unwrap()
}

/// Where the parent of this process has asked for it; the parent also removes it.
fn place_of_parent() -> Option<ManuallyDrop<Place>> {
    let path = std::env::var_os(CHILD)?.into();
    Some(ManuallyDrop::new(Place { path, _calm: None }))
}

#[test]
fn a_full_disk_leaves_whole_lines() {
    for run in ["fits", "does not"] {
        let place = Place::for_processes();
        // The signal would end it. A process's own limit is a full disk that costs nothing.
        let mut child = child("child_on_a_full_disk", &place, "trap '' XFSZ; ulimit -S -f 8;");
        let mut child = start(child.env("RUN", run));
        assert!(child.wait().unwrap().success(), "{run}");
        assert!(place.text().contains("second"));
    }
}

#[test]
#[ignore = "a process of a_full_disk_leaves_whole_lines"]
fn child_on_a_full_disk() {
    let Some(place) = place_of_parent() else { return };
    let marker_fits = std::env::var("RUN").unwrap() == "fits";
    let limit = getrlimit(Resource::Fsize).current.unwrap();

    let (mut file, _) = place.open("monday");
    file.append(frames(1..=3).as_bytes(), 0).unwrap();
    let room = limit - place.text().len() as u64 - if marker_fits { 30 } else { 0 };
    let fourth = frame_of(4, &"x".repeat(room as usize - frame_of(4, "").len()));
    file.append(fourth.as_bytes(), 3).unwrap();
    let whole = place.text();
    assert_eq!(whole.len() as u64 + if marker_fits { 30 } else { 0 }, limit);
    let error = file.append(frames(5..=9).as_bytes(), 4).unwrap_err();
    assert!(chain(&error).contains(": File too large"), "{}", chain(&error));
    // Not even the first bytes of it, which there was room for.
    let marker = if marker_fits { "{\"smolchat\":\"broken\"}\n" } else { "" };
    assert_eq!(place.text(), whole + marker);
    // Trying in vain does not fill it further.
    let text = place.text();
    for _ in 0..9 {
        file.recover("second", 9).unwrap_err();
    }
    assert_eq!(place.text(), text);
    if marker_fits {
        let mut recovery = Recovery::new(0, 0);
        recovery.read_file(&File::open(place.file()).unwrap()).unwrap();
        assert!(!recovery.can_continue_epoch(Some("monday")));
    }

    let mut limit = getrlimit(Resource::Fsize);
    limit.current = limit.maximum;
    setrlimit(Resource::Fsize, limit).unwrap();
    file.recover("second", 9).unwrap();
    file.append(frames(10..=11).as_bytes(), 9).unwrap();
    drop(file);
    let all = frames(1..=3) + &fourth + &frames(10..=11);
    assert_eq!(place.snapshot("monday"), snapshot("second", 11, all, 2));
}

#[test]
fn a_disk_that_is_full_from_the_start_is_one_clear_error() {
    let place = Place::for_processes();
    let mut child = child("child_without_room", &place, "trap '' XFSZ;");
    assert!(start(&mut child).wait().unwrap().success());
    assert_eq!(place.text(), header_of("since monday", 0, "monday"));
}

#[test]
#[ignore = "a process of a_disk_that_is_full_from_the_start_is_one_clear_error"]
fn child_without_room() {
    let Some(place) = place_of_parent() else { return };
    let limit = getrlimit(Resource::Fsize);
    let header = header_of("since monday", 0, "monday").len() as u64;
    setrlimit(Resource::Fsize, Rlimit { current: Some(header - 1), ..limit }).unwrap();
    let error = place.try_open("monday").unwrap_err();
    assert!(chain(&error).starts_with("cannot write the history file"), "{}", chain(&error));
    // And it is not in the way when there is room again.
    assert_eq!(place.text(), "");
    setrlimit(Resource::Fsize, limit).unwrap();
    place.open("monday");
}

#[test]
fn what_append_returned_for_survives_a_kill() {
    let place = Place::for_processes();
    let mut shown = 0;
    for round in 0..10_u64 {
        let mut child = child("child_that_is_killed", &place, "");
        let mut child = start(child.stderr(Stdio::piped()));
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
        for _ in 0..=round * 7 {
            shown = told.next().unwrap().unwrap().parse().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in told {
            shown = line.unwrap().parse().unwrap_or(shown);
        }
        let found = {
            let _calm = nothing_is_started();
            place.snapshot("monday")
        };
        assert!(found.seq >= shown, "{} is less than {shown}", found.seq);
        assert_eq!(found.epoch, "since monday".into());
        let kept = found.resumable as u64;
        assert_eq!(found.frames, frames(found.seq + 1 - kept..=found.seq).as_bytes());
        assert!(kept >= found.seq.min(20));
    }
}

#[test]
#[ignore = "a process of what_append_returned_for_survives_a_kill"]
fn child_that_is_killed() {
    let Some(place) = place_of_parent() else { return };
    // Two files of this size hold more than twenty frames at any time.
    let options = Options { max_bytes: 4096, ..Options::default() };
    let (mut file, found) = place.open_with("monday", options).unwrap();
    for before in (found.seq..).step_by(3) {
        file.append(frames(before + 1..=before + 3).as_bytes(), before).unwrap();
        writeln!(io::stderr(), "{}", before + 3).unwrap();
    }
}

#[derive(Clone, Debug)]
enum Happening {
    Batch(Vec<usize>),
    Kill,
    End,
    PowerCut,
    Recover(u64),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let batch = proptest::collection::vec(0usize..200, 1..6).prop_map(Happening::Batch);
    let happening = prop_oneof![
        6 => batch,
        1 => Just(Happening::Kill),
        1 => Just(Happening::End),
        1 => Just(Happening::PowerCut),
        1 => (0u64..3).prop_map(Happening::Recover),
    ];
    proptest::collection::vec(happening, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_file_holds_what_was_said(
        happenings in happenings(),
        max_bytes in 0u64..4000,
        keep_frames in 0usize..30,
        keep_bytes in 0usize..3000,
    ) {
        let place = Place::new();
        let options =
            Options { max_bytes, sync: Duration::from_secs(9), keep_frames, keep_bytes };
        let mut epochs = 0;
        let mut open = |boot: u32| {
            let epoch = || { epochs += 1; Ok(format!("epoch {epochs}").into()) };
            let boot = Some(boot.to_string().into());
            HistoryFile::open_with_boot(boot, &place.file(), options.clone(), epoch).unwrap()
        };
        let mut boot = 0;
        let (mut file, found) = open(boot);
        let (mut epoch, mut seq) = (found.epoch, found.seq);
        let mut said: Vec<String> = Vec::new();
        // How many of them in this epoch.
        let mut run = 0;
        for happening in happenings {
            let reopened = match happening {
                Happening::Batch(lengths) => {
                    let lines = lengths.iter().zip(seq + 1..);
                    let lines = lines.map(|(length, seq)| frame_of(seq, &"x".repeat(*length)));
                    let lines: Vec<String> = lines.collect();
                    file.append(lines.concat().as_bytes(), seq).unwrap();
                    seq += lines.len() as u64;
                    run += lines.len();
                    said.extend(lines);
                    continue;
                }
                Happening::Recover(lost) => {
                    seq += lost;
                    epoch = format!("recovered {}", said.len()).into();
                    run = 0;
                    file.recover(&epoch, seq).unwrap();
                    continue;
                }
                Happening::Kill => {
                    drop(file);
                    open(boot)
                }
                Happening::End => {
                    file.close().unwrap();
                    boot += 1;
                    open(boot)
                }
                Happening::PowerCut => {
                    drop(file);
                    boot += 1;
                    run = 0;
                    let reopened = open(boot);
                    prop_assert_ne!(&reopened.1.epoch, &epoch);
                    epoch = reopened.1.epoch.clone();
                    reopened
                }
            };
            let found;
            (file, found) = reopened;
            prop_assert_eq!(&found.epoch, &epoch);
            prop_assert_eq!(found.seq, seq);
            let stored = [place.older(), place.file()].map(|path| {
                let text = fs::read_to_string(path).unwrap_or_default();
                text.lines().filter(|line| line.starts_with("{\"data_source\":")).count()
            });
            let stored = stored.iter().sum::<usize>();
            let mut bytes = 0;
            let fits = said.iter().rev().take(keep_frames.min(stored)).take_while(|frame| {
                bytes += frame.len();
                bytes <= keep_bytes
            });
            let kept = fits.count();
            let frames = said[said.len() - kept..].concat();
            prop_assert_eq!(String::from_utf8(found.frames).unwrap(), frames);
            prop_assert_eq!(found.resumable, run.min(kept));
        }
    }

    #[test]
    fn whatever_is_in_the_file_it_opens_or_says_why(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end in any::<prop::sample::Index>(),
    ) {
        let place = Place::new();
        let mut text = header_of("e", 0, "monday") + &frames(1..=4);
        text += "{\"smolchat\":\"end\",\"seq\":4}\n";
        text += &(header_of("f", 4, "tuesday") + &frames(5..=8));
        let mut bytes = text.into_bytes();
        for (index, byte) in damage {
            *index.get_mut(&mut bytes) = byte;
        }
        bytes.truncate(end.index(bytes.len() + 1));
        place.write(&bytes);
        match place.try_open("tuesday") {
            Ok((mut file, found)) => {
                let next = frame_of(found.seq + 1, "next");
                file.append(next.as_bytes(), found.seq).unwrap();
                drop(file);
                let again = place.snapshot("tuesday");
                prop_assert_eq!(again.epoch, found.epoch);
                prop_assert_eq!(again.seq, found.seq + 1);
                prop_assert_eq!(again.resumable, found.resumable + 1);
                prop_assert_eq!(again.frames, [found.frames, next.into()].concat());
            }
            Err(_) => prop_assert_eq!(fs::read(place.file()).unwrap(), bytes),
        }
    }
}
