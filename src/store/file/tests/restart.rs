//! Restarts: which epoch continues, and which frames are read back.

use super::*;

#[test]
fn killed_server_continues_epoch() {
    let dir = TestDir::new();
    let (mut file, found) = dir.open("boot-1");
    assert_eq!(found, snapshot("epoch of boot-1", 0, String::new(), 0));
    append(&mut file, 1..=2);
    file.append(b"", 2).unwrap();
    append(&mut file, 3..=3);
    drop(file);
    assert_eq!(dir.text(), header("epoch of boot-1", 0, "boot-1") + &frames(1..=3));

    let (mut file, reopened) = dir.open("boot-1");
    assert_eq!(reopened, snapshot("epoch of boot-1", 3, frames(1..=3), 3));
    append(&mut file, 4..=4);
    drop(file);
    assert_eq!(dir.reopen("boot-1"), snapshot("epoch of boot-1", 4, frames(1..=4), 4));
}

#[test]
fn repeated_kill_writes_one_header() {
    let dir = TestDir::new();
    drop(dir.open("boot-1"));
    let text = dir.text();
    drop(dir.open("boot-1"));
    assert_eq!(dir.text(), text);
}

#[test]
fn clean_end_continues_epoch_after_reboot() {
    let dir = TestDir::new();
    let (mut file, _) = dir.open("boot-1");
    append(&mut file, 1..=2);
    file.close().unwrap();
    assert!(dir.text().ends_with("{\"smolchat\":\"end\",\"seq\":2}\n"));
    let (mut file, reopened) = dir.open("boot-2");
    assert_eq!(reopened, snapshot("epoch of boot-1", 2, frames(1..=2), 2));
    append(&mut file, 3..=3);
    drop(file);
    assert_eq!(dir.reopen("boot-2"), snapshot("epoch of boot-1", 3, frames(1..=3), 3));
}

#[test]
fn power_loss_starts_epoch_and_keeps_frames() {
    let dir = TestDir::new();
    let (mut file, _) = dir.open("boot-1");
    append(&mut file, 1..=2);
    drop(file);
    let (mut file, reopened) = dir.open("boot-2");
    assert_eq!(reopened, snapshot("epoch of boot-2", 2, frames(1..=2), 0));
    append(&mut file, 3..=3);
    drop(file);
    assert_eq!(dir.reopen("boot-2"), snapshot("epoch of boot-2", 3, frames(1..=3), 1));
}

#[test]
fn power_loss_after_reopen_starts_epoch() {
    let dir = TestDir::new();
    let (mut file, _) = dir.open("boot-1");
    append(&mut file, 1..=2);
    file.close().unwrap();
    // The server on boot 2 may have sent frames that the power loss removed from the file.
    drop(dir.open("boot-2"));
    assert_eq!(dir.reopen("boot-3"), snapshot("epoch of boot-3", 2, frames(1..=2), 0));
}

#[test]
fn unknown_boot_continues_after_clean_end_only() {
    let dir = TestDir::new();
    let open = |epoch: &'static str| {
        let fresh = || Ok(epoch.into());
        HistoryFile::open_with_boot(None, &dir.file(), Options::default(), fresh).unwrap()
    };
    let (mut file, _) = open("first");
    append(&mut file, 1..=1);
    drop(file);
    assert!(!dir.text().contains("boot"));
    let (mut file, reopened) = open("second");
    assert_eq!(reopened, snapshot("second", 1, frames(1..=1), 0));
    file.close().unwrap();
    assert_eq!(open("third").1.epoch, "second".into());
}

#[test]
fn open_uses_boot_id_of_this_machine() {
    let dir = TestDir::new();
    let open = |epoch: &'static str| {
        HistoryFile::open(&dir.file(), Options::default(), || Ok(epoch.into())).unwrap()
    };
    let (mut file, _) = open("first");
    append(&mut file, 1..=1);
    drop(file);
    if boot_id().is_ok() {
        assert_eq!(open("second").1, snapshot("first", 1, frames(1..=1), 1));
    }
}

#[test]
fn newest_frames_within_bounds_are_kept() {
    let dir = TestDir::new();
    let (mut file, _) = dir.open("boot-1");
    append(&mut file, 1..=9);
    drop(file);
    let kept = |keep_frames, keep_bytes| {
        let options = Options { keep_frames, keep_bytes, ..Options::default() };
        dir.open_with("boot-1", options).unwrap().1
    };
    let one = frames(9..=9).len();
    assert_eq!(kept(4, 9 * one), snapshot("epoch of boot-1", 9, frames(6..=9), 4));
    assert_eq!(kept(9, 3 * one), snapshot("epoch of boot-1", 9, frames(7..=9), 3));
    assert_eq!(kept(9, one - 1), snapshot("epoch of boot-1", 9, String::new(), 0));
    assert_eq!(kept(0, 9 * one), snapshot("epoch of boot-1", 9, String::new(), 0));
}

#[test]
fn raw_controls_of_older_versions_are_escaped() {
    let dir = TestDir::new();
    let raw = frame(1, "x").replace('x', "\u{9b}2J \u{202e} \u{7f} 👩\u{200d}💻");
    dir.write(header("epoch-1", 0, "boot-1") + &raw);
    let frames = frame(1, "\u{9b}2J \u{202e} \u{7f} 👩\u{200d}💻");
    assert_ne!(frames, raw);
    assert_eq!(dir.reopen("boot-1"), snapshot("epoch-1", 1, frames, 1));
}
