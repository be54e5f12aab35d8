use super::*;

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
