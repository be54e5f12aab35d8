use std::error::Error as _;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;

use super::*;

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
