use super::*;

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
