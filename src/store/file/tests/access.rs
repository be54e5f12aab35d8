//! Access to the file: locks, permissions, links, and files that are not a history.

use std::error::Error as _;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;

use super::*;

#[test]
fn other_file_is_rejected_unchanged() {
    let next_version = header("e", 0, "boot-1").replace("\"version\":1", "\"version\":2");
    let history = header("e", 0, "boot-1");
    for other in ["dear diary", "dear diary\n", "{}\n", "\n", &frames(1..=2), &next_version] {
        let dir = TestDir::new();
        dir.write(other);
        let error = dir.try_open("boot-1").unwrap_err();
        let path = dir.file();
        let start = format!("cannot read the history file {}: its first", path.display());
        assert!(message(&error).starts_with(&start), "{}", message(&error));
        assert_eq!(dir.text(), other);

        // The same for a file at `PATH.1`.
        fs::rename(dir.file(), dir.rotated()).unwrap();
        dir.write(history.clone() + "torn");
        let error = dir.try_open("boot-1").unwrap_err();
        assert!(message(&error).contains("history.1: its first line"), "{}", message(&error));
        assert_eq!(dir.text(), history.clone() + "torn");
        assert_eq!(fs::read_to_string(dir.rotated()).unwrap(), other);
    }
}

#[test]
fn path_that_is_not_a_file_is_rejected() {
    let dir = TestDir::new();
    fs::create_dir(dir.file()).unwrap();
    let error = message(&dir.try_open("boot-1").unwrap_err());
    assert!(error.contains("cannot open the history file") && error.contains("directory"));
    fs::remove_dir(dir.file()).unwrap();

    let _socket = UnixListener::bind(dir.file()).unwrap();
    let error = message(&dir.try_open("boot-1").unwrap_err());
    assert!(error.ends_with("it is not a regular file"), "{error}");
    fs::remove_file(dir.file()).unwrap();

    fs::create_dir(dir.rotated()).unwrap();
    let error = message(&dir.try_open("boot-1").unwrap_err());
    assert!(error.contains("history.1") && error.contains("directory"), "{error}");

    let missing = dir.path.join("missing/history");
    let error = HistoryFile::open(&missing, Options::default(), || Ok("e".into())).unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "No such file or directory (os error 2)");
}

#[test]
fn failed_fresh_epoch_fails_open() {
    let dir = TestDir::new();
    let fresh_epoch = || Err(io::Error::other("no entropy"));
    let error = HistoryFile::open(&dir.file(), Options::default(), fresh_epoch).unwrap_err();
    assert!(message(&error).starts_with("cannot create an epoch for"), "{}", message(&error));
}

#[test]
fn second_server_cannot_open_file() {
    let dir = TestDir::new();
    let options = Options { max_bytes: 0, ..Options::default() };
    let (mut file, _) = dir.open_with("boot-1", options).unwrap();
    let open_error = || message(&dir.try_open("boot-1").unwrap_err());
    let path = dir.file();
    let in_use =
        format!("cannot lock the history file {}: it is in use by another server", path.display());
    assert_eq!(open_error(), in_use);
    // The same after a rotation.
    append(&mut file, 1..=1);
    append(&mut file, 2..=2);
    assert!(dir.rotated().exists());
    assert_eq!(open_error(), in_use);
    // The same during a rotation, when only `PATH.1` exists.
    fs::rename(dir.file(), dir.rotated()).unwrap();
    assert!(open_error().contains("history.1: it is in use by another server"));
    fs::rename(dir.rotated(), dir.file()).unwrap();
    drop(file);
    assert_eq!(dir.reopen("boot-1").seq, 2);
}

#[test]
fn rotation_keeps_symbolic_link() {
    let dir = TestDir::new();
    let link = dir.path.join("link");
    std::os::unix::fs::symlink(dir.file(), &link).unwrap();
    let options = Options { max_bytes: 0, ..Options::default() };
    let (mut file, _) = HistoryFile::open(&link, options, || Ok("e".into())).unwrap();
    append(&mut file, 1..=1);
    append(&mut file, 2..=2);
    assert!(link.is_symlink());
    assert!(dir.rotated().exists());
}

#[test]
fn file_is_readable_by_owner_only() {
    let dir = TestDir::new();
    let options = Options { max_bytes: 0, ..Options::default() };
    let (mut file, _) = dir.open_with("boot-1", options).unwrap();
    append(&mut file, 1..=1);
    append(&mut file, 2..=2);
    for path in [dir.file(), dir.rotated()] {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o077, 0);
    }
}
