//! The memory ceiling: the table of `--check`, and the limit under load.

use crate::common::{TestClient, TestServer, run_server};

/// Returns the table of `--check`: the parts, and their KiB.
pub fn check(options: &[&str]) -> Vec<(String, u64)> {
    let output = run_server(&[options, &["--check"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    let row = |line: &str| {
        let (part, _) = line.split_once("  ").unwrap();
        let mut words = line.rsplit(' ');
        assert_eq!(words.next(), Some("KiB"), "{line}");
        (part.to_owned(), words.next().unwrap().parse().unwrap())
    };
    table.lines().map(row).collect()
}

/// Returns the KiB of a part.
pub fn kib_of(table: &[(String, u64)], part: &str) -> u64 {
    let found = table.iter().find(|(label, _)| label.starts_with(part));
    found.unwrap_or_else(|| panic!("no {part} in {table:?}")).1
}

#[test]
fn larger_limit_raises_its_part_of_the_ceiling() {
    let default = check(&[]);
    for (options, part) in [
        (["--max-clients", "2000"], "tables and tasks"),
        (["--max-line", "8192"], "half-read lines"),
        (["--outbox", "512K"], "outboxes"),
        (["--history-bytes", "2M"], "history"),
        (["--max-clients", "2000"], "socket buffers"),
    ] {
        let larger = check(&options);
        for part in [part, "total"] {
            assert!(kib_of(&larger, part) > kib_of(&default, part), "{options:?}");
        }
    }
}

#[test]
fn contradicting_options_are_an_error() {
    for (options, word) in [
        (&["--outbox", "1K"][..], "outbox"),
        (&["--history-bytes", "1K"], "history"),
        (&["--max-clients", "0"], "max-clients"),
        (&["--sync", "5"], "history-file"),
        (&["--memory", "100K"], "memory"),
        (&["--memory", "4M", "--max-clients", "5000"], "memory"),
    ] {
        let output = run_server(&[options, &["--check"]].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        assert!(stderr.lines().count() == 1 && stderr.contains(word), "{options:?}: {stderr}");
    }
}

#[test]
fn hundred_busy_clients_stay_within_4_mib() {
    const CLIENTS: usize = 100;
    let options = ["--memory", "4M"];
    let table = check(&options);
    assert!(kib_of(&table, "total") <= 4096);
    // The program of this build is larger than the one that the table assumes.
    let limit = 4096 - kib_of(&table, "idle program") - kib_of(&table, "socket buffers");

    let options = [&options[..], &["--max-per-ip", "0", "--rate", "0"]].concat();
    let server = TestServer::start(&options);
    let idle = server.rss();
    let join = |n| {
        let mut member = server.connect();
        member.hello(&format!("m-{n}"));
        member
    };
    let mut members: Vec<TestClient> = (0..CLIENTS - 2).map(join).collect();
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    // The unread join notices closed no member as slow.
    assert_eq!(alice.members().len(), CLIENTS);
    let half_a_line = "x".repeat(4000);
    for member in &mut members {
        member.send_raw(half_a_line.as_bytes());
    }
    let line = "y".repeat(1000);
    for number in 0..400 {
        let text = format!("{number} {line}");
        alice.say(&text);
        for member in [&mut alice, &mut bob] {
            member.recv_until(|frame| frame["data"] == text.as_str());
        }
    }
    let growth = server.peak_rss().saturating_sub(idle);
    assert!(growth < limit, "{growth} KiB more, of {limit}");

    drop(members);
    while alice.members().len() > 2 {}
    server.join("carol").say_and_recv("hello");
}
