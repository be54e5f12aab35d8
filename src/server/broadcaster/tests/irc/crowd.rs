//! IRC clients in a crowd.

use super::*;

#[test]
fn client_in_a_crowd_is_sent_each_of_its_joins_once() {
    let room = room::Config { crowd: 1, ..room::Config::default() };
    let mut harness = BroadcasterHarness::with_limits(room);
    let id = harness.join_irc(&[]);
    harness.lines(id);
    harness.irc(id, &["JOIN #smol", "PART #smol", "JOIN #smol", "PART #smol", "JOIN #smol"]);
    harness.advance(Duration::from_secs(2));
    let lines = harness.lines(id);
    let count = |command| lines.iter().filter(|line| line.contains(command)).count();
    assert_eq!((count(" JOIN "), count(" PART ")), (3, 2), "{lines:?}");
    assert!(harness.broadcaster.clients.irc_client(ClientId(id)).unwrap().session.is_usual());
}

#[test]
fn notice_beside_a_pending_join_stays_a_notice() {
    let room = room::Config { crowd: 1, ..room::Config::default() };
    let mut harness = BroadcasterHarness::with_limits(room);
    let [from, to, joins] = [(); 3].map(|()| harness.join_irc(&[]));
    for id in [from, to] {
        harness.irc(id, &["JOIN #smol"]);
    }
    harness.advance(Duration::from_secs(2));
    harness.irc(joins, &["JOIN #smol", "PART #smol", "JOIN #smol"]);
    harness.lines(to);
    // The pending notice is due when the line arrives.
    harness.now.uptime += Duration::from_secs(2);
    harness.irc(from, &["NOTICE #smol :hello"]);
    let lines = harness.lines(to);
    assert!(lines.iter().any(|line| line.ends_with(" NOTICE #smol :hello")), "{lines:?}");
}

#[test]
fn many_relayed_requests_are_bounded() {
    let limits = room::Config { max_per_ip: 0, connect_rate: 0, ..room::Config::default() };
    let mut harness = BroadcasterHarness::with_limits(limits);
    let ids: Vec<u64> = (0..40).map(|_| harness.join_irc(&[])).collect();
    ids.iter().for_each(|id| harness.irc(*id, &["JOIN #smol"]));
    for text in ["PRIVMSG #smol :\u{1}VERSION\u{1}", "NOTICE #smol :\u{1}VERSION\u{1}"] {
        for id in &ids {
            harness.lines(*id);
        }
        harness.irc(ids[0], &[text; 64]);
        let lines = harness.lines(ids[1]);
        assert!((1..10).contains(&lines.len()), "{lines:?}");
        let replies = harness.lines(ids[0]);
        assert_eq!(lines.len() + replies.len(), 64);
        assert!(replies.iter().all(|line| line.contains(" 263 ")), "{replies:?}");
        harness.irc(ids[0], &[text]);
        assert_eq!(harness.lines(ids[1]).len(), 1);
    }
}

#[test]
fn crowded_notice_and_newlines_evict_no_irc_client() {
    let mut harness = BroadcasterHarness::with_max_clients(20);
    let id = harness.join_irc(&["CAP REQ :server-time message-tags"]);
    harness.irc(id, &["JOIN #smol"]);
    harness.lines(id);
    let text = r#"{"data":"a"#.to_owned() + &r"\na".repeat(500) + r#""}"#;
    for _ in 0..50 {
        harness.say(OBSERVER, &text);
        let lines = harness.lines(id);
        assert_eq!(lines.len(), 17, "{lines:#?}");
        assert!(lines[16].ends_with(":[485 more lines]"), "{lines:#?}");
    }
}

#[test]
fn client_beyond_a_cut_notice_reads_shared_lines() {
    let limits = room::Config { max_per_ip: 0, connect_rate: 0, ..room::Config::default() };
    let mut harness = BroadcasterHarness::with_limits(limits);
    let ids: Vec<u64> = (0..200).map(|_| harness.join_irc(&[])).collect();
    ids.iter().for_each(|id| harness.irc(*id, &["JOIN #smol"]));
    harness.advance(Duration::from_secs(2));
    for id in ids {
        let lines = harness.lines(id);
        assert!(lines.iter().any(|line| line.ends_with(" more joined")), "{lines:?}");
        let own = format!(":irc-{id}!user@smolchat JOIN #smol");
        assert_eq!(lines.iter().filter(|line| **line == own).count(), 1, "{lines:?}");
        assert!(harness.broadcaster.clients.irc_client(ClientId(id)).unwrap().session.is_usual());
    }
}
