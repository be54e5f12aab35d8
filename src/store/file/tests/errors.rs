//! Syncing, and recovery after an error.

use super::*;

#[test]
fn sync_is_due_after_configured_time() {
    let dir = TestDir::new();
    let open = |sync| dir.open_with("boot-1", Options { sync, ..Options::default() }).unwrap().0;
    let mut file = open(Duration::from_secs(3600));
    assert_eq!(file.sync_due(), None);
    append(&mut file, 1..=1);
    let due = file.sync_due().unwrap();
    append(&mut file, 2..=2);
    assert!(file.start_sync().is_none());
    assert_eq!(file.sync_due(), Some(due));
    drop(file);

    let mut file = open(Duration::from_nanos(1));
    append(&mut file, 3..=3);
    while file.sync_due().unwrap() > Instant::now() {}
    file.start_sync().unwrap().run().unwrap();
    assert_eq!(file.sync_due(), None);
    drop(file);

    let mut file = open(Duration::ZERO);
    append(&mut file, 4..=4);
    assert_eq!(file.sync_due(), None);
    drop(file);

    let mut file = open(Duration::MAX);
    append(&mut file, 5..=5);
    assert_eq!(file.sync_due(), None);
}

#[test]
fn recover_starts_given_epoch() {
    let dir = TestDir::new();
    let (mut file, _) = dir.open("boot-1");
    append(&mut file, 1..=2);
    file.recover("second", 7).unwrap();
    append(&mut file, 8..=9);
    drop(file);
    let all = frames(1..=2) + &frames(8..=9);
    assert_eq!(dir.reopen("boot-1"), snapshot("second", 9, all, 2));
}

#[test]
fn append_of_wrong_number_fails() {
    for (lines, before) in [(frames(4..=4), 3), (frames(2..=2), 1), ("torn".into(), 2)] {
        let dir = TestDir::new();
        let (mut file, _) = dir.open("boot-1");
        append(&mut file, 1..=2);
        let text = dir.text();
        let error = file.append(lines.as_bytes(), before).unwrap_err();
        assert!(message(&error).ends_with("not follow number 2"), "{}", message(&error));
        assert_eq!(dir.text(), text + "{\"smolchat\":\"broken\"}\n");

        // Until `recover`, frames that follow are rejected, too.
        let error = file.append(frames(3..=3).as_bytes(), 2).unwrap_err();
        assert!(message(&error).ends_with("an earlier operation failed"), "{}", message(&error));
        assert_eq!(file.sync_due(), None);
        assert!(file.start_sync().is_none());
        file.recover("second", 2).unwrap();
        append(&mut file, 3..=3);
        drop(file);
        assert_eq!(dir.reopen("boot-1"), snapshot("second", 3, frames(1..=3), 1));
    }
}

#[test]
fn kill_before_recover_starts_epoch() {
    let dir = TestDir::new();
    let (mut file, _) = dir.open("boot-1");
    append(&mut file, 1..=2);
    file.append(frames(9..=9).as_bytes(), 8).unwrap_err();
    assert!(file.close().is_err());
    let fresh_epoch = || Ok("other".into());
    let boot = Some("boot-1".into());
    let opened =
        HistoryFile::open_with_boot(boot, &dir.file(), Options::default(), fresh_epoch).unwrap();
    assert_eq!(opened.1, snapshot("other", 2, frames(1..=2), 0));
}

#[test]
fn recover_creates_missing_file() {
    let dir = TestDir::new();
    let (mut file, _) = dir.open("boot-1");
    append(&mut file, 1..=2);
    file.append(frames(9..=9).as_bytes(), 8).unwrap_err();
    fs::remove_file(dir.file()).unwrap();
    fs::create_dir(dir.file()).unwrap();
    file.recover("second", 9).unwrap_err();
    fs::remove_dir(dir.file()).unwrap();
    file.recover("second", 9).unwrap();
    append(&mut file, 10..=10);
    drop(file);
    assert_eq!(dir.reopen("boot-1"), snapshot("second", 10, frames(10..=10), 1));
}

#[test]
fn removed_or_replaced_file_is_an_error() {
    let dir = TestDir::new();
    let options = Options { sync: Duration::from_nanos(1), ..Options::default() };
    for (replacement, cause) in [(None, "No such file"), (Some("other"), "another file")] {
        let (mut file, found) = dir.open_with("boot-1", options.clone()).unwrap();
        let next = found.seq + 1;
        append(&mut file, next..=next);
        file.start_sync().unwrap().run().unwrap();
        fs::remove_file(dir.file()).unwrap();
        if let Some(text) = replacement {
            dir.write(text);
        }
        let error = file.append(frames(next + 1..=next + 1).as_bytes(), next).unwrap_err();
        assert!(message(&error).contains(cause), "{}", message(&error));
        if replacement.is_some() {
            // It is not a history file, so it stays as it is.
            file.recover("second", next).unwrap_err();
            assert_eq!(dir.text(), "other");
            fs::remove_file(dir.file()).unwrap();
        }
        file.recover("second", next).unwrap();
        append(&mut file, next + 1..=next + 1);
        drop(file);
        let frames = frames(next + 1..=next + 1);
        assert_eq!(dir.reopen("boot-1"), snapshot("second", next + 1, frames, 1));
    }
}
