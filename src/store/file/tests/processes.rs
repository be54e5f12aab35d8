use std::io::{BufRead, BufReader, Write};
use std::mem::ManuallyDrop;
use std::process::{Child, Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;

/// A process that runs the test `name` of this module, which is to find [`CHILD`] set.
fn child(name: &str, place: &Place, shell: &str) -> Command {
    let mut child = Command::new("sh");
    child.args(["-c", &format!("{shell} exec \"$0\" \"$@\"")]);
    child.arg(std::env::current_exe().unwrap());
    child.args([
        "--ignored",
        "--exact",
        "--nocapture",
        &format!("store::file::tests::processes::{name}"),
    ]);
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
