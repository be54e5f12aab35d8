//! Tests that need a process of their own: a full disk and a killed server.

use std::io::{BufRead, BufReader, Write};
use std::mem::ManuallyDrop;
use std::process::{Child, Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;

/// Returns a command that runs the test `name` of this module in a process with [`CHILD`] set.
///
/// `shell` is run first in that process.
fn child(name: &str, dir: &TestDir, shell: &str) -> Command {
    let mut child = Command::new("sh");
    child.args(["-c", &format!("{shell} exec \"$0\" \"$@\"")]);
    child.arg(std::env::current_exe().unwrap());
    let test = format!("store::file::tests::processes::{name}");
    child.args(["--ignored", "--exact", "--nocapture", &test]);
    child.env(CHILD, &dir.path).stdout(Stdio::null());
    child
}

fn spawn(command: &mut Command) -> Child {
    let _guard = SPAWN_LOCK.write().unwrap_or_else(PoisonError::into_inner);
    command.spawn().unwrap()
}

/// Returns the directory of the parent process, which also removes it.
fn dir_of_parent() -> Option<ManuallyDrop<TestDir>> {
    let path = std::env::var_os(CHILD)?.into();
    Some(ManuallyDrop::new(TestDir { path, _spawn_guard: None }))
}

#[test]
fn full_disk_leaves_complete_lines() {
    for marker in ["fits", "does not fit"] {
        let dir = TestDir::for_children();
        // A limit of the process stands for a full disk. Its signal would end the process.
        let mut child = child("child_with_full_disk", &dir, "trap '' XFSZ; ulimit -S -f 8;");
        let mut child = spawn(child.env("MARKER", marker));
        assert!(child.wait().unwrap().success(), "{marker}");
        assert!(dir.text().contains("second"));
    }
}

#[test]
#[ignore = "run by full_disk_leaves_complete_lines"]
fn child_with_full_disk() {
    let Some(dir) = dir_of_parent() else { return };
    let marker_fits = std::env::var("MARKER").unwrap() == "fits";
    let limit = getrlimit(Resource::Fsize).current.unwrap();

    let (mut file, _) = dir.open("boot-1");
    append(&mut file, 1..=3);
    let reserved = if marker_fits { 30 } else { 0 };
    let space = limit - dir.text().len() as u64 - reserved;
    let fourth = frame(4, &"x".repeat(space as usize - frame(4, "").len()));
    file.append(fourth.as_bytes(), 3).unwrap();
    let text = dir.text();
    assert_eq!(text.len() as u64 + reserved, limit);
    let error = file.append(frames(5..=9).as_bytes(), 4).unwrap_err();
    assert!(message(&error).contains(": File too large"), "{}", message(&error));
    // The part of the batch for which there was space is removed.
    let marker = if marker_fits { "{\"smolchat\":\"broken\"}\n" } else { "" };
    let text = text + marker;
    assert_eq!(dir.text(), text);
    // Failed attempts to recover write nothing.
    for _ in 0..9 {
        file.recover("second", 9).unwrap_err();
    }
    assert_eq!(dir.text(), text);
    if marker_fits {
        let mut recovery = Recovery::new(0, 0);
        recovery.read_file(&File::open(dir.file()).unwrap()).unwrap();
        assert!(!recovery.can_continue_epoch(Some("boot-1")));
    }

    let mut limit = getrlimit(Resource::Fsize);
    limit.current = limit.maximum;
    setrlimit(Resource::Fsize, limit).unwrap();
    file.recover("second", 9).unwrap();
    append(&mut file, 10..=11);
    drop(file);
    let all = frames(1..=3) + &fourth + &frames(10..=11);
    assert_eq!(dir.reopen("boot-1"), snapshot("second", 11, all, 2));
}

#[test]
fn open_on_full_disk_fails() {
    let dir = TestDir::for_children();
    let mut child = child("child_without_space", &dir, "trap '' XFSZ;");
    assert!(spawn(&mut child).wait().unwrap().success());
    assert_eq!(dir.text(), header("epoch of boot-1", 0, "boot-1"));
}

#[test]
#[ignore = "run by open_on_full_disk_fails"]
fn child_without_space() {
    let Some(dir) = dir_of_parent() else { return };
    let limit = getrlimit(Resource::Fsize);
    let header_len = header("epoch of boot-1", 0, "boot-1").len() as u64;
    setrlimit(Resource::Fsize, Rlimit { current: Some(header_len - 1), ..limit }).unwrap();
    let error = dir.try_open("boot-1").unwrap_err();
    assert!(message(&error).starts_with("cannot write the history file"), "{}", message(&error));
    // The empty file does not prevent a later start.
    assert_eq!(dir.text(), "");
    setrlimit(Resource::Fsize, limit).unwrap();
    dir.open("boot-1");
}

#[test]
fn appended_frames_survive_kill() {
    let dir = TestDir::for_children();
    let mut appended = 0;
    for round in 0..10_u64 {
        let mut child = child("child_that_is_killed", &dir, "");
        let mut child = spawn(child.stderr(Stdio::piped()));
        let mut output = BufReader::new(child.stderr.take().unwrap()).lines();
        for _ in 0..=round * 7 {
            appended = output.next().unwrap().unwrap().parse().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in output {
            appended = line.unwrap().parse().unwrap_or(appended);
        }
        let found = {
            let _guard = prevent_spawn();
            dir.reopen("boot-1")
        };
        assert!(found.seq >= appended, "{} is less than {appended}", found.seq);
        assert_eq!(found.epoch, "epoch of boot-1".into());
        let resumable = found.resumable as u64;
        assert_eq!(found.frames, frames(found.seq + 1 - resumable..=found.seq).as_bytes());
        assert!(resumable >= found.seq.min(20));
    }
}

#[test]
#[ignore = "run by appended_frames_survive_kill"]
fn child_that_is_killed() {
    let Some(dir) = dir_of_parent() else { return };
    // Two files of this size hold more than twenty frames at any time.
    let options = Options { max_bytes: 4096, ..Options::default() };
    let (mut file, found) = dir.open_with("boot-1", options).unwrap();
    for before in (found.seq..).step_by(3) {
        append(&mut file, before + 1..=before + 3);
        writeln!(io::stderr(), "{}", before + 3).unwrap();
    }
}
