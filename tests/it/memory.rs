//! The memory ceiling: what `--check` tells, and that it holds under attack.

use crate::common::{TestClient, TestServer, run_to_end};

/// The table of `--check`: what, and how many KiB of it.
fn check(options: &[&str]) -> Vec<(String, u64)> {
    let output = run_to_end(&[options, &["--check"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    let option = |line: &str| {
        let (what, _) = line.split_once("  ").unwrap();
        let mut words = line.rsplit(' ');
        assert_eq!(words.next(), Some("KiB"), "{line}");
        (what.to_owned(), words.next().unwrap().parse().unwrap())
    };
    table.lines().map(option).collect()
}

/// What a table says of one part.
fn part(table: &[(String, u64)], what: &str) -> u64 {
    let found = table.iter().find(|(label, _)| label.starts_with(what));
    found.unwrap_or_else(|| panic!("no {what} in {table:?}")).1
}

#[test]
fn the_worst_case_grows_with_what_is_allowed() {
    let default = check(&[]);
    for (options, what) in [
        (["--max-clients", "2000"], "table and tasks"),
        (["--max-line", "8192"], "half-read lines"),
        (["--outbox", "512K"], "outboxes"),
        (["--history-bytes", "2M"], "history"),
        (["--max-clients", "2000"], "socket buffers"),
    ] {
        let more = check(&options);
        assert!(part(&more, what) > part(&default, what), "{options:?}");
        assert!(part(&more, "all together") > part(&default, "all together"), "{options:?}");
    }
}

#[test]
fn options_that_contradict_each_other_are_an_error() {
    for (options, word) in [
        (&["--outbox", "1K"][..], "outbox"),
        (&["--history-bytes", "1K"], "history"),
        (&["--max-clients", "0"], "max-clients"),
        (&["--sync", "5"], "history-file"),
        (&["--memory", "100K"], "memory"),
        (&["--memory", "4M", "--max-clients", "5000"], "memory"),
    ] {
        let output = run_to_end(&[options, &["--check"]].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        assert!(stderr.lines().count() == 1 && stderr.contains(word), "{options:?}: {stderr}");
    }
}

#[test]
fn a_hundred_clients_fit_into_four_mebibytes_whatever_they_do() {
    const CLIENTS: usize = 100;
    let options = ["--memory", "4M"];
    let table = check(&options);
    assert!(part(&table, "all together") <= 4096);
    // How much a program of this build takes before anybody comes is another matter.
    let own = part(&table, "the program") + part(&table, "socket buffers");
    let bound = 4096 - own;

    let options = [&options[..], &["--max-per-ip", "0", "--rate", "0"]].concat();
    let server = TestServer::start(&options);
    let idle = server.rss();
    // They come at once, and do not wait to read that they came.
    let come = |n| {
        let mut member = server.connect();
        member.hello(&format!("m-{n}"));
        member
    };
    let mut members: Vec<TestClient> = (0..CLIENTS - 2).map(come).collect();
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    // So many notices of who came have made nobody slow, though hardly anybody reads them.
    assert_eq!(alice.who().len(), CLIENTS);
    let half_a_line = "x".repeat(4000);
    for member in &mut members {
        member.send_raw(half_a_line.as_bytes());
    }
    let line = "y".repeat(1000);
    for number in 0..400 {
        let text = format!("{number} {line}");
        alice.say(&text);
        for member in [&mut alice, &mut bob] {
            member.until(|frame| frame["data"] == text.as_str());
        }
    }
    let grown = server.peak_rss().saturating_sub(idle);
    assert!(grown < bound, "{grown} KiB more, of {bound}");

    // There is room for others again once those who never read are gone.
    drop(members);
    while alice.who().len() > 2 {}
    let mut carol = server.join("carol");
    carol.say("hello");
    carol.until(|frame| frame["data"] == "hello");
}
