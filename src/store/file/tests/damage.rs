use std::ops::Range;

use super::*;

/// Checks that the file at each of these lengths opens with all whole lines.
fn cut_at_each(place: &Place, whole: &[u8], lengths: Range<usize>) {
    for length in lengths {
        let cut = &whole[..length];
        place.write(cut);
        let left: String = std::str::from_utf8(cut)
            .unwrap()
            .split_inclusive('\n')
            .filter(|line| line.starts_with("{\"data_source\"") && line.ends_with('\n'))
            .collect();
        let count = left.lines().count();
        let (mut file, cut) = place.try_open("tuesday").unwrap();
        assert_eq!((cut.seq, &cut.frames[..]), (count as u64, left.as_bytes()), "at {length}");
        // The server can go on, and its first line is whole.
        let next = frames(cut.seq + 1..=cut.seq + 1);
        file.append(next.as_bytes(), cut.seq).unwrap();
        drop(file);
        let again = place.snapshot("tuesday");
        assert_eq!(again, snapshot(&cut.epoch, cut.seq + 1, left + &next, cut.resumable + 1));
    }
}

#[test]
fn a_file_that_is_cut_anywhere_still_opens() {
    let place = Place::new();
    let (mut file, _) = place.open("monday");
    file.append(frames(1..=20).as_bytes(), 0).unwrap();
    file.close().unwrap();
    let (mut file, _) = place.open("tuesday");
    file.append(frames(21..=24).as_bytes(), 20).unwrap();
    file.close().unwrap();
    let whole = fs::read(place.file()).unwrap();
    assert!(whole.len() > 1024);
    cut_at_each(&place, &whole, whole.len() - 1024..whole.len());
    // The first line of the file too.
    cut_at_each(&place, &whole, 0..300);
}

#[test]
fn a_line_that_was_never_written_in_full_was_never_shown() {
    let place = Place::new();
    let text = header_of("e", 0, "monday") + &frames(1..=3);
    place.write(text.clone() + &frames(4..=4)[..20]);
    assert_eq!(place.snapshot("monday"), snapshot("e", 3, frames(1..=3), 3));
    assert_eq!(place.text(), text);
}

#[test]
fn a_last_line_that_is_no_json_is_cut_off_and_ends_the_epoch() {
    let place = Place::new();
    let text = header_of("e", 0, "monday") + &frames(1..=3);
    for damage in ["\n", "x\n", "[]\n", "{}\n", "\0\0\0\n\0\0", "{\"data_source\":\"a\",\"seq\":\n"]
    {
        place.write(text.clone() + damage);
        assert_eq!(place.snapshot("monday"), snapshot("since monday", 3, frames(1..=3), 0));
        assert_eq!(place.text(), text.clone() + &header_of("since monday", 3, "monday"));
    }
}

#[test]
fn what_the_power_cut_left_of_a_new_file_is_no_obstacle() {
    let place = Place::new();
    for left in [&b"\0\0\0\0"[..], br#"{"smol"#, br#"{"smolchat":"history","version":1,"#] {
        place.write(left);
        assert_eq!(place.snapshot("monday"), snapshot("since monday", 0, String::new(), 0));
        assert_eq!(place.text(), header_of("since monday", 0, "monday"));
    }
}

#[test]
fn numbers_that_are_missing_end_what_can_be_resumed_from() {
    let place = Place::new();
    place.write(header_of("e", 0, "monday") + &frames(1..=3) + &frames(6..=7));
    let all = frames(1..=3) + &frames(6..=7);
    assert_eq!(place.snapshot("monday"), snapshot("e", 7, all, 2));
}

#[test]
fn numbers_that_come_again_end_the_epoch() {
    let place = Place::new();
    place.write(header_of("e", 0, "monday") + &frames(1..=3) + &frames(2..=4));
    let all = frames(1..=3) + &frames(2..=4);
    assert_eq!(place.snapshot("monday"), snapshot("since monday", 4, all, 0));
}

#[test]
fn a_line_that_no_client_would_understand_is_damage() {
    let place = Place::new();
    for line in [
        frame_of(2, "x").replace("chat", "chau"),
        frame_of(2, "x").replace(",\"time\":1790000000000", ""),
        frame_of(2, "x").replace("\"alice\"", "5"),
        "{\"data_source\":\"a\",\"seq\":2}\n".into(),
    ] {
        place.write(header_of("e", 0, "monday") + &frames(1..=1) + &line + &frames(3..=3));
        let left = frames(1..=1) + &frames(3..=3);
        assert_eq!(place.snapshot("monday"), snapshot("since monday", 3, left, 0));
    }
}

#[test]
fn numbers_beyond_belief_are_damage() {
    let place = Place::new();
    for line in [
        frame_of(u64::MAX, "x"),
        frame_of(0, "x"),
        header_of("f", u64::MAX, "monday"),
        "{\"smolchat\":\"end\",\"seq\":18446744073709551615}\n".into(),
    ] {
        place.write(header_of("e", 0, "monday") + &frames(1..=1) + &line);
        assert_eq!(place.snapshot("monday"), snapshot("since monday", 1, frames(1..=1), 0));
    }
}

#[test]
fn a_damaged_line_in_the_middle_costs_itself_and_the_epoch() {
    let long = frame_of(3, &"x".repeat(9 << 20));
    for damage in ["half a line\n", &long, "\u{1}\n", "{\"smolchat\":\"poll\"}\n"] {
        let place = Place::new();
        place.write(header_of("e", 0, "monday") + &frames(1..=2) + damage + &frames(4..=5));
        let all = frames(1..=2) + &frames(4..=5);
        let (mut file, found) = place.open("monday");
        assert_eq!(found, snapshot("since monday", 5, all.clone(), 0));
        // With the new epoch, the damage is history.
        file.append(frames(6..=6).as_bytes(), 5).unwrap();
        drop(file);
        let all = all + &frames(6..=6);
        assert_eq!(place.snapshot("monday"), snapshot("since monday", 6, all, 1));
    }
}

#[test]
fn the_longest_line_that_a_client_can_have_said_is_read() {
    let place = Place::new();
    let (mut file, _) = place.open("monday");
    let line = frame_of(1, &"\u{1}".repeat(1 << 20));
    assert!(line.len() > 6 << 20);
    file.append(line.as_bytes(), 0).unwrap();
    drop(file);
    let options = Options { keep_bytes: 8 << 20, ..Options::default() };
    let found = place.open_with("monday", options).unwrap().1;
    assert_eq!((found.seq, found.frames.len()), (1, line.len()));
}
