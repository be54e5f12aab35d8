//! Damaged and incomplete files: which frames are read back, and whether the epoch continues.

use std::ops::Range;

use super::*;

/// Checks that a file of each of these lengths opens with all of its complete frames.
fn check_truncated_at(dir: &TestDir, bytes: &[u8], lens: Range<usize>) {
    for len in lens {
        let truncated = &bytes[..len];
        dir.write(truncated);
        let expected: String = std::str::from_utf8(truncated)
            .unwrap()
            .split_inclusive('\n')
            .filter(|line| line.starts_with("{\"data_source\"") && line.ends_with('\n'))
            .collect();
        let (mut file, found) = dir.try_open("boot-2").unwrap();
        assert_eq!(found.seq, expected.lines().count() as u64, "at {len}");
        assert_eq!(found.frames, expected.as_bytes(), "at {len}");
        let next = found.seq + 1;
        append(&mut file, next..=next);
        drop(file);
        let expected = expected + &frames(next..=next);
        let expected = snapshot(&found.epoch, next, expected, found.resumable + 1);
        assert_eq!(dir.reopen("boot-2"), expected);
    }
}

#[test]
fn file_truncated_anywhere_opens() {
    let dir = TestDir::new();
    let (mut file, _) = dir.open("boot-1");
    append(&mut file, 1..=20);
    file.close().unwrap();
    let (mut file, _) = dir.open("boot-2");
    append(&mut file, 21..=24);
    file.close().unwrap();
    let bytes = fs::read(dir.file()).unwrap();
    assert!(bytes.len() > 1024);
    check_truncated_at(&dir, &bytes, bytes.len() - 1024..bytes.len());
    // Within the header, and after it.
    check_truncated_at(&dir, &bytes, 0..300);
}

#[test]
fn torn_last_line_is_removed() {
    let dir = TestDir::new();
    let text = header("e", 0, "boot-1") + &frames(1..=3);
    dir.write(text.clone() + &frames(4..=4)[..20]);
    assert_eq!(dir.reopen("boot-1"), snapshot("e", 3, frames(1..=3), 3));
    assert_eq!(dir.text(), text);
}

#[test]
fn damaged_last_line_is_removed_and_ends_epoch() {
    let dir = TestDir::new();
    let text = header("e", 0, "boot-1") + &frames(1..=3);
    for damage in ["\n", "x\n", "[]\n", "{}\n", "\0\0\0\n\0\0", "{\"data_source\":\"a\",\"seq\":\n"]
    {
        dir.write(text.clone() + damage);
        assert_eq!(dir.reopen("boot-1"), snapshot("epoch of boot-1", 3, frames(1..=3), 0));
        assert_eq!(dir.text(), text.clone() + &header("epoch of boot-1", 3, "boot-1"));
    }
}

#[test]
fn torn_header_of_new_file_is_replaced() {
    let dir = TestDir::new();
    for torn in [&b"\0\0\0\0"[..], br#"{"smol"#, br#"{"smolchat":"history","version":1,"#] {
        dir.write(torn);
        assert_eq!(dir.reopen("boot-1"), snapshot("epoch of boot-1", 0, String::new(), 0));
        assert_eq!(dir.text(), header("epoch of boot-1", 0, "boot-1"));
    }
}

#[test]
fn missing_numbers_limit_resumable_frames() {
    let dir = TestDir::new();
    dir.write(header("e", 0, "boot-1") + &frames(1..=3) + &frames(6..=7));
    let all = frames(1..=3) + &frames(6..=7);
    assert_eq!(dir.reopen("boot-1"), snapshot("e", 7, all, 2));
}

#[test]
fn repeated_numbers_end_epoch() {
    let dir = TestDir::new();
    dir.write(header("e", 0, "boot-1") + &frames(1..=3) + &frames(2..=4));
    let all = frames(1..=3) + &frames(2..=4);
    assert_eq!(dir.reopen("boot-1"), snapshot("epoch of boot-1", 4, all, 0));
}

#[test]
fn invalid_frame_is_damage() {
    let dir = TestDir::new();
    for line in [
        frame(2, "x").replace("chat", "chau"),
        frame(2, "x").replace(",\"time\":1790000000000", ""),
        frame(2, "x").replace("\"alice\"", "5"),
        "{\"data_source\":\"a\",\"seq\":2}\n".into(),
    ] {
        dir.write(header("e", 0, "boot-1") + &frames(1..=1) + &line + &frames(3..=3));
        let rest = frames(1..=1) + &frames(3..=3);
        assert_eq!(dir.reopen("boot-1"), snapshot("epoch of boot-1", 3, rest, 0));
    }
}

#[test]
fn out_of_range_number_is_damage() {
    let dir = TestDir::new();
    for line in [
        frame(u64::MAX, "x"),
        frame(0, "x"),
        header("f", u64::MAX, "boot-1"),
        "{\"smolchat\":\"end\",\"seq\":18446744073709551615}\n".into(),
    ] {
        dir.write(header("e", 0, "boot-1") + &frames(1..=1) + &line);
        assert_eq!(dir.reopen("boot-1"), snapshot("epoch of boot-1", 1, frames(1..=1), 0));
    }
}

#[test]
fn damaged_line_in_middle_is_skipped_and_ends_epoch() {
    let long = frame(3, &"x".repeat(9 << 20));
    for damage in ["half a line\n", &long, "\u{1}\n", "{\"smolchat\":\"poll\"}\n"] {
        let dir = TestDir::new();
        dir.write(header("e", 0, "boot-1") + &frames(1..=2) + damage + &frames(4..=5));
        let all = frames(1..=2) + &frames(4..=5);
        let (mut file, found) = dir.open("boot-1");
        assert_eq!(found, snapshot("epoch of boot-1", 5, all.clone(), 0));
        // The damage is before the new epoch, which can continue.
        append(&mut file, 6..=6);
        drop(file);
        let all = all + &frames(6..=6);
        assert_eq!(dir.reopen("boot-1"), snapshot("epoch of boot-1", 6, all, 1));
    }
}

#[test]
fn longest_possible_frame_is_read() {
    let dir = TestDir::new();
    let (mut file, _) = dir.open("boot-1");
    let line = frame(1, &"\u{1}".repeat(1 << 20));
    assert!(line.len() > 6 << 20);
    file.append(line.as_bytes(), 0).unwrap();
    drop(file);
    let options = Options { keep_bytes: 8 << 20, ..Options::default() };
    let found = dir.open_with("boot-1", options).unwrap().1;
    assert_eq!((found.seq, found.frames.len()), (1, line.len()));
}
