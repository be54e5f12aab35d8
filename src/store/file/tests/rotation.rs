//! Rotation of the file to `PATH.1` at its size limit.

use super::*;

#[test]
fn file_at_limit_is_rotated() {
    let dir = TestDir::new();
    let one = frames(1..=1).len() as u64;
    let header_len = header("epoch of boot-1", 0, "boot-1").len() as u64;
    let options = Options { max_bytes: header_len + 3 * one, ..Options::default() };
    let (mut file, _) = dir.open_with("boot-1", options).unwrap();
    for before in 0..8 {
        append(&mut file, before + 1..=before + 1);
    }
    drop(file);
    assert_eq!(dir.text(), header("epoch of boot-1", 6, "boot-1") + &frames(7..=8));
    let rotated = fs::read_to_string(dir.rotated()).unwrap();
    assert_eq!(rotated, header("epoch of boot-1", 3, "boot-1") + &frames(4..=6));
    assert_eq!(dir.reopen("boot-1"), snapshot("epoch of boot-1", 8, frames(4..=8), 5));
    assert_eq!(fs::read_dir(&dir.path).unwrap().count(), 2);
}

#[test]
fn batch_over_limit_is_not_split() {
    let dir = TestDir::new();
    let options = Options { max_bytes: 0, ..Options::default() };
    let (mut file, _) = dir.open_with("boot-1", options).unwrap();
    append(&mut file, 1..=5);
    assert!(!dir.rotated().exists());
    append(&mut file, 6..=9);
    drop(file);
    assert_eq!(dir.reopen("boot-1"), snapshot("epoch of boot-1", 9, frames(1..=9), 9));
}

#[test]
fn kill_during_rotation_continues_epoch() {
    let dir = TestDir::new();
    let (mut file, _) = dir.open("boot-1");
    append(&mut file, 1..=3);
    drop(file);
    fs::rename(dir.file(), dir.rotated()).unwrap();
    for torn in [None, Some(""), Some("{\"smolchat\":\"history\",\"ver")] {
        match torn {
            Some(torn) => dir.write(torn),
            None => assert!(!dir.file().exists()),
        }
        assert_eq!(dir.reopen("boot-1"), snapshot("epoch of boot-1", 3, frames(1..=3), 3));
        assert_eq!(dir.text(), header("epoch of boot-1", 3, "boot-1"));
    }
}

#[test]
fn rotated_file_may_be_torn_or_missing() {
    let dir = TestDir::new();
    let rotated = header("e", 0, "boot-1") + &frames(1..=3);
    dir.write(header("e", 3, "boot-1") + &frames(4..=5));
    let text = dir.text();
    assert_eq!(dir.reopen("boot-1"), snapshot("e", 5, frames(4..=5), 2));
    fs::write(dir.rotated(), &rotated).unwrap();
    assert_eq!(dir.reopen("boot-1"), snapshot("e", 5, frames(1..=5), 5));
    fs::write(dir.rotated(), &rotated[..rotated.len() - 2]).unwrap();
    let torn = frames(1..=2) + &frames(4..=5);
    assert_eq!(dir.reopen("boot-1"), snapshot("e", 5, torn, 2));
    fs::write(dir.rotated(), "").unwrap();
    assert_eq!(dir.reopen("boot-1"), snapshot("e", 5, frames(4..=5), 2));
    assert_eq!(dir.text(), text);
}
