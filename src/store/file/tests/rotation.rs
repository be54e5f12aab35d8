use super::*;

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
