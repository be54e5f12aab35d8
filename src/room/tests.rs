use std::collections::HashMap;
use std::io;
use std::net::IpAddr;

use proptest::prelude::*;
use serde_json::Value;

use super::commands::MAX_ERRORS;
use super::*;
use crate::protocol::{ClientLine, MAX_NAME, case_fold, is_valid_name};

/// A room, and what each client was sent, put together as the broadcaster does.
struct RoomHarness {
    room: Room,
    now: Now,
    seats: HashMap<u64, Seat>,
}

#[derive(Default)]
struct Seat {
    is_open: bool,
    is_closed: bool,
    received: Vec<u8>,
}

impl RoomHarness {
    fn new(config: Config) -> Self {
        let now = Now { uptime: Duration::from_secs(1), unix_ms: 1_790_000_000_000 };
        RoomHarness { room: Room::new(config, "epoch".into()), now, seats: HashMap::new() }
    }

    fn arrive(&mut self, id: u64) {
        self.seats.insert(id, Seat::default());
        let peer = Peer::Inet(IpAddr::from([192, 0, 2, 1]), 1000 + id as u16);
        let token = Token([id as u8; 16]);
        self.room.apply(Input::Arrive { id: MemberId(id), peer, token }, self.now);
    }

    fn say(&mut self, id: u64, line: &str) {
        let lines = vec![ClientLine::parse(line.as_bytes())];
        self.room.apply(Input::Lines { id: MemberId(id), lines }, self.now);
    }

    fn join(&mut self, id: u64, name: &str) {
        self.arrive(id);
        self.say(id, &format!(r#"{{"hello":{{"name":"{name}"}}}}"#));
    }

    fn leave(&mut self, id: u64, reason: DisconnectReason) {
        self.room.apply(Input::Leave { id: MemberId(id), reason }, self.now);
    }

    fn pass(&mut self, time: Duration) {
        self.now.uptime += time;
        self.room.tick(self.now);
    }

    fn seal(&mut self) {
        let batch = self.room.seal();
        let mut cursors: HashMap<u64, usize> = HashMap::new();
        for (&id, seat) in &self.seats {
            if seat.is_open {
                cursors.insert(id, 0);
            }
        }
        for unicast in batch.unicasts {
            let seat = self.seats.get_mut(&unicast.to.0).expect("a unicast is for somebody");
            if seat.is_closed {
                continue;
            }
            if let Some(cursor) = cursors.get_mut(&unicast.to.0) {
                let at = (unicast.at as usize).max(*cursor);
                seat.received.extend(&batch.chunk[*cursor..at]);
                *cursor = at;
            }
            match unicast.op {
                Op::Send(slice) => seat.received.extend(slice.bytes()),
                Op::Repeat(from, to) => {
                    seat.received.extend(&batch.chunk[from as usize..to as usize]);
                }
                Op::StartLive { from, .. } => {
                    seat.is_open = true;
                    cursors.insert(unicast.to.0, from as usize);
                }
                Op::Close | Op::Abort | Op::Evict(_) => {
                    seat.is_open = false;
                    seat.is_closed = true;
                    cursors.remove(&unicast.to.0);
                }
            }
        }
        for (id, cursor) in cursors {
            let rest = &batch.chunk[cursor..];
            self.seats.get_mut(&id).expect("an open seat").received.extend(rest);
        }
    }

    fn frames(&self, id: u64) -> Vec<Value> {
        let received = std::str::from_utf8(&self.seats[&id].received).expect("frames are UTF-8");
        assert!(received.is_empty() || received.ends_with('\n'));
        received.lines().map(|line| serde_json::from_str(line).expect("frames are JSON")).collect()
    }

    /// Kind and text of what a client was sent, the welcome left out.
    fn transcript(&self, id: u64) -> Vec<String> {
        let told = self.frames(id).into_iter().skip(1);
        told.map(|frame| format!("{}: {}", text(&frame["kind"]), text(&frame["data"]))).collect()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

#[test]
fn each_member_gets_the_same_frames_in_one_order() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.join(2, "bob");
    harness.say(1, "hello");
    harness.say(2, "/me waves");
    harness.seal();
    harness.say(2, "/nick robert");
    harness.leave(2, DisconnectReason::Finished);
    harness.seal();
    assert_eq!(
        harness.transcript(1),
        [
            "join: alice and bob joined",
            "chat: hello",
            "action: waves",
            "name: bob is now robert",
            "leave: robert left",
        ]
    );
    assert_eq!(harness.transcript(2)[..4], harness.transcript(1)[..4]);
    assert_eq!(harness.transcript(2)[4], "bye: goodbye");
    let bye = harness.frames(2).pop().expect("a bye");
    assert_eq!((bye["code"].as_str(), bye["seq"].as_u64()), (Some("quit"), Some(4)));
}

#[test]
fn a_member_who_joins_inside_a_batch_gets_what_comes_after_its_welcome() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.seal();
    harness.say(1, "before");
    harness.join(2, "bob");
    harness.say(1, "after");
    harness.seal();
    assert_eq!(harness.transcript(2), ["join: bob joined", "chat: after"]);
    let welcome = &harness.frames(2)[0];
    assert_eq!((welcome["seq"].as_u64(), welcome["members"].as_u64()), (Some(2), Some(2)));
}

#[test]
fn those_who_come_together_are_told_of_together() {
    let mut harness = RoomHarness::new(Config::default());
    for (id, name) in ["alice", "bob", "carol", "dave", "eve"].into_iter().enumerate() {
        harness.join(id as u64, name);
    }
    harness.seal();
    let join = &harness.frames(0)[1];
    assert_eq!(join["data"], "alice, bob and 3 more joined");
    assert_eq!(join["names"].as_array().map(Vec::len), Some(5));
    assert_eq!(harness.frames(0).len(), 2);
}

#[test]
fn who_joins_and_leaves_within_one_batch_leaves_no_trace_but_its_notices() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.join(2, "bob");
    harness.leave(2, DisconnectReason::Lost(io::ErrorKind::ConnectionReset));
    harness.join(3, "bob");
    harness.seal();
    assert_eq!(
        harness.transcript(1),
        ["join: alice and bob joined", "leave: bob left", "join: bob joined"]
    );
    assert_eq!(harness.transcript(3), ["join: bob joined"]);
    assert_eq!(harness.room.names.len(), 2);
}

#[test]
fn leaving_twice_is_leaving_once() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.join(2, "bob");
    harness.say(2, "/quit");
    harness.leave(2, DisconnectReason::Finished);
    harness.leave(2, DisconnectReason::Slow);
    harness.say(2, "a word from beyond");
    harness.seal();
    assert_eq!(harness.transcript(1), ["join: alice and bob joined", "leave: bob left"]);
    assert_eq!(harness.transcript(2), ["join: alice and bob joined", "bye: goodbye"]);
    assert_eq!(harness.room.len(), 1);
}

#[test]
fn the_silent_join_as_guests_when_their_wait_is_over_or_with_their_first_line() {
    let mut harness = RoomHarness::new(Config::default());
    harness.arrive(1);
    harness.arrive(2);
    harness.pass(Duration::from_millis(249));
    harness.say(2, "hi");
    harness.seal();
    assert_eq!(harness.frames(1), [] as [Value; 0]);
    assert_eq!(harness.transcript(2), ["join: guest-1002 joined", "chat: hi"]);
    harness.pass(Duration::from_millis(1));
    harness.seal();
    assert_eq!(harness.transcript(1), ["join: guest-1001 joined"]);
    assert_eq!(harness.room.deadline(), None);
}

#[test]
fn a_silent_client_that_goes_was_never_there() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.arrive(2);
    harness.leave(2, DisconnectReason::Finished);
    harness.pass(Duration::from_secs(1));
    harness.seal();
    assert_eq!(harness.transcript(1), ["join: alice joined"]);
    assert_eq!(harness.room.addresses.clients(), [1]);
}

#[test]
fn a_name_is_one_members_at_a_time_whatever_its_case() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.join(2, "ALICE");
    harness.join(3, "two words");
    harness.say(1, "/nick Alice");
    harness.say(2, "/nick alice");
    harness.seal();
    let names: Vec<&str> = harness.room.members().map(|(_, name)| name).collect();
    assert_eq!(names, ["Alice", "ALICE-2", "guest-1003"]);
    let errors = |id| {
        let errors = harness.frames(id).into_iter().filter(|frame| frame["kind"] == "error");
        errors.map(|error| error["code"].as_str().map(String::from)).collect::<Vec<_>>()
    };
    assert_eq!(errors(1), []);
    assert_eq!(errors(2), [Some("name-taken".into()), Some("name-taken".into())]);
    assert_eq!(errors(3), [Some("bad-name".into())]);
}

#[test]
fn the_error_of_a_hello_has_the_id_of_the_hello() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.arrive(2);
    harness.say(2, r#"{"hello":{"name":"alice"},"id":"h"}"#);
    harness.seal();
    let error = &harness.frames(2)[1];
    assert_eq!((&error["code"], &error["id"]), (&"name-taken".into(), &"h".into()));
}

#[test]
fn a_name_with_a_number_stays_within_the_limit() {
    let mut harness = RoomHarness::new(Config::default());
    let name = "x".repeat(MAX_NAME);
    harness.join(1, &name);
    harness.join(2, &name);
    harness.seal();
    assert!(harness.room.members().all(|(_, name)| is_valid_name(name)));
}

#[test]
fn private_lines_reach_two_members_or_one_and_nobody_else() {
    let mut harness = RoomHarness::new(Config::default());
    for (id, name) in [(1, "alice"), (2, "bob"), (3, "carol")] {
        harness.join(id, name);
    }
    harness.seal();
    harness.say(1, "/msg BOB psst");
    harness.say(1, r#"{"data":"note","to":"alice","id":"n"}"#);
    harness.say(1, "/msg dave hello");
    harness.seal();
    let last = |id: u64, count: usize| {
        let frames = harness.frames(id);
        frames[frames.len() - count..].to_vec()
    };
    assert_eq!(last(2, 1)[0]["data"], "psst");
    assert_eq!(last(2, 1)[0]["to"], "bob");
    assert_eq!(harness.transcript(3).len(), 1);
    let own = last(1, 3);
    assert_eq!(own[0], last(2, 1)[0]);
    assert_eq!((&own[1]["kind"], &own[1]["id"]), (&"private".into(), &"n".into()));
    assert_eq!(own[2]["code"], "no-such-user");
}

#[test]
fn history_is_shown_as_it_was_said_and_is_bounded() {
    let mut harness = RoomHarness::new(Config { history: 4, ..Config::default() });
    harness.join(1, "alice");
    for text in ["one", "two", "three"] {
        harness.say(1, text);
    }
    harness.seal();
    harness.say(1, "four");
    harness.arrive(2);
    harness.say(2, r#"{"hello":{"name":"bob","history":3}}"#);
    harness.say(1, "/history 9");
    harness.seal();
    assert_eq!(
        harness.transcript(2),
        ["chat: two", "chat: three", "chat: four", "join: bob joined"]
    );
    let own = harness.transcript(1);
    assert_eq!(
        own[own.len() - 5..],
        ["info: the last 4 lines:", "chat: two", "chat: three", "chat: four", "join: bob joined"]
    );
    let seqs = |id| {
        harness
            .frames(id)
            .into_iter()
            .filter_map(|frame| (frame["kind"] == "chat").then(|| frame.to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(seqs(2)[..], seqs(1)[1..4]);
}

#[test]
fn a_room_without_history_says_so() {
    let mut harness = RoomHarness::new(Config { history: 0, ..Config::default() });
    harness.join(1, "alice");
    harness.say(1, "/history");
    harness.seal();
    assert_eq!(harness.transcript(1)[1], "info: nothing is kept of what was said");
}

#[test]
fn one_more_than_the_limit_is_turned_away_and_takes_no_place() {
    let config = Config { max_clients: 3, max_per_ip: 2, ..Config::default() };
    let mut harness = RoomHarness::new(config);
    for id in 1..=3 {
        harness.arrive(id);
    }
    harness.seal();
    assert_eq!(harness.frames(3)[0]["code"], "full");
    assert!(harness.seats[&3].is_closed);
    harness.leave(3, DisconnectReason::Finished);
    for id in 4..=5 {
        harness.seats.insert(id, Seat::default());
        let event = Input::Arrive { id: MemberId(id), peer: Peer::Unix, token: Token([0; 16]) };
        harness.room.apply(event, harness.now);
    }
    harness.seal();
    assert!(!harness.seats[&4].is_closed, "a unix socket has no address to count");
    assert_eq!(harness.frames(5)[0]["code"], "full");
    harness.leave(1, DisconnectReason::Finished);
    harness.arrive(6);
    harness.seal();
    assert!(!harness.seats[&6].is_closed);
}

#[test]
fn an_address_that_connects_too_fast_is_told_so_and_closed() {
    let mut harness =
        RoomHarness::new(Config { connect_rate: 20, connect_burst: 2, ..Config::default() });
    for id in 1..=3 {
        harness.join(id, "alice");
    }
    harness.seal();
    let told: Vec<_> = harness.frames(3).iter().map(|frame| frame["kind"].clone()).collect();
    assert_eq!(told, ["error", "bye"]);
    assert!(harness.frames(3).iter().all(|frame| frame["code"] == "too-fast"));
    assert!(harness.seats[&3].is_closed);
    harness.pass(Duration::from_millis(50));
    harness.join(4, "bob");
    harness.seal();
    assert_eq!(harness.frames(4)[0]["kind"], "welcome");
}

#[test]
fn hundreds_who_want_one_name_each_get_one() {
    let config = Config { max_clients: 1000, max_per_ip: 0, connect_rate: 0, ..Config::default() };
    let mut harness = RoomHarness::new(config);
    for id in 1..=500 {
        harness.join(id, "alice");
    }
    harness.seal();
    let names: Vec<_> = (1..=500).map(|id| harness.frames(id)[0]["name"].clone()).collect();
    assert_eq!(
        (&names[0], &names[1], &names[98]),
        (&"alice".into(), &"alice-2".into(), &"alice-99".into())
    );
    let distinct: std::collections::HashSet<_> =
        names.iter().map(|name| case_fold(text(name))).collect();
    assert_eq!(distinct.len(), 500);
    assert!(distinct.iter().all(|name| is_valid_name(name)));
}

#[test]
fn the_figures_count_lines_errors_and_evictions_and_answer_with_the_id() {
    let mut harness = RoomHarness::new(Config { max_clients: 2, ..Config::default() });
    harness.join(1, "alice");
    harness.join(2, "bob");
    harness.arrive(3);
    harness.say(1, "/dance");
    harness.leave(2, DisconnectReason::Slow);
    harness.room.set_server_stats(Stats { events_waiting: 5, ..Stats::default() });
    harness.say(1, r#"{"data":"/stats","id":"s"}"#);
    harness.seal();
    let answer = harness.frames(1).pop().unwrap();
    assert_eq!((text(&answer["kind"]), text(&answer["id"])), ("info", "s"));
    let stats = &answer["stats"];
    for (key, value) in [("members", 1), ("connections", 1), ("lines_in", 4), ("events_waiting", 5)]
    {
        assert_eq!(stats[key], value, "{key} in {stats}");
    }
    assert_eq!(stats["evictions"], serde_json::json!({"full": 1, "slow": 1}));
    assert_eq!(stats["errors"], serde_json::json!({"unknown-command": 1}));
}

#[test]
fn nothing_but_errors_ends_a_visit_and_a_good_line_begins_anew() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    for _ in 0..MAX_ERRORS - 1 {
        harness.say(1, "/bad");
    }
    harness.say(1, "good");
    for _ in 0..MAX_ERRORS - 1 {
        harness.say(1, "/bad");
        harness.say(1, "");
    }
    harness.seal();
    assert!(!harness.seats[&1].is_closed);
    harness.say(1, "/bad");
    harness.seal();
    assert!(harness.seats[&1].is_closed);
    assert_eq!(harness.frames(1).pop().expect("a bye")["code"], "errors");
}

#[test]
fn shutdown_tells_everybody_and_lets_nobody_in() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.arrive(2);
    harness.room.apply(Input::Shutdown, harness.now);
    harness.join(3, "carol");
    harness.seal();
    for id in 1..=3 {
        assert_eq!(harness.frames(id).pop().expect("a bye")["code"], "shutdown");
        assert!(harness.seats[&id].is_closed);
    }
}

/// Something that may happen to a room of a few clients.
#[derive(Clone, Debug)]
enum Happening {
    Arrive,
    Hello(u8, u8, u8),
    Say(u8, &'static str),
    Leave(u8, bool),
    Pass,
    Seal,
}

fn happening() -> impl Strategy<Value = Happening> {
    let line = prop_oneof![
        4 => Just("a word"),
        1 => Just("/me waves"),
        1 => Just("/nick carol"),
        1 => Just("/history 3"),
        1 => Just("/who"),
        1 => Just("/quit"),
        1 => Just("/msg name-1 psst"),
        1 => Just("{"),
        1 => Just(""),
    ];
    prop_oneof![
        2 => Just(Happening::Arrive),
        3 => (any::<u8>(), 0u8..4, 0u8..6).prop_map(|(id, name, history)| {
            Happening::Hello(id, name, history)
        }),
        6 => (any::<u8>(), line).prop_map(|(id, line)| Happening::Say(id, line)),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(id, polite)| Happening::Leave(id, polite)),
        1 => Just(Happening::Pass),
        3 => Just(Happening::Seal),
    ]
}

proptest! {
    /// Whatever happens, in whatever order and batches: each member sees the numbers from its
    /// welcome on, one after the other, and each number is the same frame to all.
    #[test]
    fn every_member_sees_the_same_consecutive_sequence(
        happenings in proptest::collection::vec(happening(), 1..120),
    ) {
        let config = Config { history: 5, max_clients: 6, ..Config::default() };
        let mut harness = RoomHarness::new(config);
        let mut last = 0;
        for happening in happenings {
            let pick = |pick: u8| 1 + u64::from(pick) % u64::max(last, 1);
            match happening {
                Happening::Arrive => {
                    last += 1;
                    harness.arrive(last);
                }
                _ if last == 0 => {}
                Happening::Hello(id, name, history) => {
                    let hello = format!(
                        r#"{{"hello":{{"name":"name-{name}","history":{history}}}}}"#,
                    );
                    harness.say(pick(id), &hello);
                }
                Happening::Say(id, line) => harness.say(pick(id), line),
                Happening::Leave(id, true) => harness.leave(pick(id), DisconnectReason::Finished),
                Happening::Leave(id, false) => harness.leave(pick(id), DisconnectReason::Slow),
                Happening::Pass => harness.pass(Duration::from_secs(1)),
                Happening::Seal => harness.seal(),
            }
        }
        harness.seal();

        let mut by_number: HashMap<u64, Value> = HashMap::new();
        for &id in harness.seats.keys() {
            let frames = harness.frames(id);
            let Some(welcome) = frames.iter().find(|frame| frame["kind"] == "welcome") else {
                continue;
            };
            let mut next = welcome["seq"].as_u64().expect("a number") + 1;
            for frame in &frames {
                let Some(seq) = frame["seq"].as_u64() else { continue };
                match text(&frame["kind"]) {
                    "welcome" => continue,
                    "bye" => prop_assert_eq!(seq, next - 1),
                    _ => {
                        // What is below is history, shown again.
                        prop_assert!(seq <= next);
                        next = next.max(seq + 1);
                        let same = by_number.entry(seq).or_insert_with(|| frame.clone());
                        prop_assert_eq!(&*same, frame);
                    }
                }
            }
            if harness.seats[&id].is_open {
                prop_assert_eq!(next, harness.room.seq() + 1);
            }
        }
        let names: Vec<String> = harness.room.members().map(|(_, name)| case_fold(name)).collect();
        let mut unique = names.clone();
        unique.sort();
        unique.dedup();
        prop_assert_eq!(names.len(), unique.len());
        prop_assert_eq!(names.len(), harness.room.names.len());
    }
}

#[test]
fn a_crowd_that_comes_at_once_is_told_of_in_few_notices_and_before_it_speaks() {
    let config = Config { max_clients: 1000, max_per_ip: 0, connect_rate: 0, ..Config::default() };
    let mut harness = RoomHarness::new(config);
    for id in 0..Config::default().crowd as u64 {
        harness.join(id, &format!("member-{id}"));
    }
    harness.seal();
    for id in 100..300 {
        harness.join(id, &format!("member-{id}"));
        harness.seal();
    }
    assert_eq!(harness.transcript(0), ["join: member-0, member-1 and 62 more joined"]);
    harness.say(0, "meanwhile");
    harness.seal();
    harness.say(150, "hello");
    harness.seal();
    assert_eq!(
        harness.transcript(0)[1..],
        ["chat: meanwhile", "join: member-100, member-101 and 198 more joined", "chat: hello"]
    );
    harness.leave(150, DisconnectReason::Finished);
    harness.seal();
    assert_eq!(harness.transcript(0).len(), 4);
    harness.pass(harness.room.deadline().expect("a notice waits") - harness.now.uptime);
    harness.seal();
    assert_eq!(harness.transcript(0)[4..], ["leave: member-150 left"]);
    assert_eq!(harness.room.deadline(), None);
}

/// What a client says that comes back: it saw `after`, and was the client `old`.
fn back(name: &str, after: u64, old: u64) -> String {
    let token = Token([old as u8; 16]);
    format!(
        r#"{{"hello":{{"name":"{name}","epoch":"epoch","after":{after},"token":"{token}","keep":true}}}}"#
    )
}

impl RoomHarness {
    fn seqs(&self, id: u64) -> Vec<u64> {
        let numbered = self.frames(id).into_iter().skip(1).filter(|frame| frame["kind"] != "bye");
        numbered.filter_map(|frame| frame["seq"].as_u64()).collect()
    }

    /// What follows the welcome, byte for byte.
    fn raw(&self, id: u64) -> &[u8] {
        let received = &self.seats[&id].received;
        let end = received.iter().position(|&b| b == b'\n').map_or(0, |end| end + 1);
        &received[end..]
    }
}

#[test]
fn who_comes_back_gets_what_it_missed_byte_for_byte_and_then_what_is_live() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.join(2, "bob");
    harness.seal();
    harness.leave(2, DisconnectReason::Lost(io::ErrorKind::ConnectionReset));
    for text in ["one", "two"] {
        harness.say(1, text);
        harness.seal();
    }
    harness.say(1, "three, in the batch in which bob comes back");
    harness.arrive(3);
    harness.say(3, &back("bob", 1, 2));
    harness.say(1, "four");
    harness.seal();
    harness.say(1, "five");
    harness.seal();
    assert_eq!(harness.frames(3)[0]["resumed"], true);
    assert_eq!(harness.frames(3)[0]["name"], "bob");
    assert_eq!(harness.seqs(3), [2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(harness.raw(1)[harness.raw(1).len() - harness.raw(3).len()..], *harness.raw(3));
}

#[test]
fn a_token_moves_a_member_and_nobody_sees_it_leave_or_join() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.join(2, "bob");
    harness.say(2, "/nick robert");
    harness.seal();
    harness.say(1, "hello");
    harness.arrive(3);
    harness.say(3, &back("bob", 2, 2));
    harness.say(2, "a ghost's last words");
    harness.leave(2, DisconnectReason::Finished);
    harness.say(3, "here again");
    harness.seal();
    assert!(harness.seats[&2].is_closed);
    assert_eq!(harness.transcript(3), ["chat: hello", "chat: here again"]);
    assert_eq!(harness.frames(3)[0]["name"], "robert");
    assert_eq!(harness.transcript(1)[2..], ["chat: hello", "chat: here again"]);
    assert_eq!(harness.room.names.len(), 2);
    assert_eq!(harness.room.addresses.clients(), [2]);
}

#[test]
fn each_welcome_has_a_token_of_its_own_and_an_old_one_fits_nobody() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.arrive(2);
    harness.say(2, &back("alice", 0, 1));
    harness.arrive(3);
    harness.say(3, &back("alice", 0, 1));
    harness.seal();
    assert_eq!(harness.frames(2)[0]["token"], Token([2; 16]).to_string());
    assert!(!harness.seats[&2].is_closed);
    assert_eq!(harness.frames(3)[0]["name"], "alice-2");
}

#[test]
fn what_is_gone_is_named_and_the_rest_follows() {
    let mut harness = RoomHarness::new(Config { history: 2, ..Config::default() });
    harness.join(1, "alice");
    for text in ["one", "two", "three", "four"] {
        harness.say(1, text);
        harness.seal();
    }
    harness.arrive(2);
    harness.say(2, &back("bob", 1, 9));
    harness.seal();
    let gap = &harness.frames(2)[1];
    assert_eq!((gap["from"].as_u64(), gap["to"].as_u64()), (Some(2), Some(3)));
    assert_eq!(harness.seqs(2), [4, 5, 6]);
}

#[test]
fn without_a_history_everything_missed_is_a_gap() {
    let mut harness = RoomHarness::new(Config { history: 0, ..Config::default() });
    harness.join(1, "alice");
    harness.say(1, "one");
    harness.seal();
    harness.arrive(2);
    harness.say(2, &back("bob", 0, 9));
    harness.seal();
    assert_eq!(harness.frames(2)[1]["to"], 2);
    assert_eq!(harness.seqs(2), [3]);
}

#[test]
fn a_room_in_which_nothing_happened_resumes_and_a_past_that_never_was_does_not() {
    let mut harness = RoomHarness::new(Config::default());
    harness.join(1, "alice");
    harness.seal();
    harness.arrive(2);
    harness.say(2, &back("alice", 1, 1));
    harness.seal();
    assert_eq!(harness.frames(2)[0]["resumed"], true);
    assert_eq!(harness.transcript(2), [] as [String; 0]);
    harness.arrive(3);
    harness.say(3, &back("bob", 2, 9));
    harness.arrive(4);
    harness.say(4, &back("carol", 0, 9).replace(r#""epoch":"epoch""#, r#""epoch":"another""#));
    harness.seal();
    for id in [3, 4] {
        assert_eq!(harness.frames(id)[0]["resumed"], false);
        assert_eq!(harness.transcript(id), ["join: bob and carol joined"]);
    }
}

#[test]
fn a_name_is_kept_for_who_asked_and_dropped_and_for_nobody_else() {
    let mut harness = RoomHarness::new(Config::default());
    harness.arrive(1);
    harness.say(1, r#"{"hello":{"name":"alice","keep":true}}"#);
    harness.join(2, "bob");
    harness.leave(1, DisconnectReason::Slow);
    harness.leave(2, DisconnectReason::Slow);
    harness.join(3, "bob");
    harness.join(4, "Alice");
    harness.say(4, "/nick ALICE");
    harness.arrive(5);
    harness.say(5, &back("whatever", 0, 1));
    harness.seal();
    assert_eq!(harness.frames(3)[0]["name"], "bob");
    assert_eq!(harness.frames(4)[0]["name"], "Alice-2");
    let errors = harness.frames(4).into_iter().filter(|frame| frame["code"] == "name-kept");
    assert_eq!(errors.count(), 2);
    assert_eq!(harness.frames(5)[0]["name"], "alice");
}

#[test]
fn a_name_is_free_after_the_grace_and_after_a_quit() {
    let mut harness = RoomHarness::new(Config::default());
    for id in [1, 2] {
        harness.arrive(id);
        harness.say(id, &format!(r#"{{"hello":{{"name":"name-{id}","keep":true}}}}"#));
    }
    harness.say(1, "/quit");
    harness.leave(2, DisconnectReason::Finished);
    harness.join(3, "name-1");
    harness.pass(Duration::from_secs(59));
    harness.join(4, "name-2");
    harness.pass(Duration::from_secs(1));
    harness.say(4, "/nick name-2");
    harness.seal();
    let names: Vec<&str> = harness.room.members().map(|(_, name)| name).collect();
    assert_eq!(names, ["name-1", "name-2"]);
}

#[test]
fn those_who_come_and_go_do_not_pile_up_however_long_the_silent_are_waited_for() {
    let config = Config { hello_wait: Duration::from_secs(3600), ..Config::default() };
    let mut harness = RoomHarness::new(config);
    for id in 0..1000 {
        harness.arrive(id);
        harness.leave(id, DisconnectReason::Finished);
        harness.seal();
    }
    assert!(harness.room.silent.len() < 32, "{} wait", harness.room.silent.len());
}

#[test]
fn a_notice_has_a_bounded_number_of_names() {
    let config = Config { max_clients: 2000, max_per_ip: 0, connect_rate: 0, ..Config::default() };
    let most = NOTICE_NAMES * config.crowd;
    let mut harness = RoomHarness::new(config);
    for id in 0..2 * most as u64 + 1 {
        harness.join(id, &format!("member-{id}"));
    }
    harness.pass(Duration::from_secs(2));
    harness.seal();
    let counts = harness
        .frames(0)
        .into_iter()
        .skip(1)
        .map(|frame| frame["names"].as_array().expect("names").len());
    assert_eq!(counts.collect::<Vec<_>>(), [most, most, 1]);
}

#[test]
fn where_a_crowd_is_few_a_hundred_who_come_within_a_second_are_told_of_in_few_notices() {
    const CROWD: usize = 5;
    let config = Config { crowd: CROWD, max_per_ip: 0, connect_rate: 0, ..Config::default() };
    let mut harness = RoomHarness::new(config);
    for id in 0..100 {
        harness.join(id, &format!("member-{id}"));
        harness.seal();
        harness.pass(Duration::from_millis(10));
    }
    harness.pass(Duration::from_secs(1));
    harness.seal();
    let notices = harness.transcript(0);
    assert!(notices.len() <= 2 * CROWD + 1, "{notices:?}");
}

#[test]
fn an_answer_that_would_be_too_long_counts_those_whom_it_does_not_name() {
    let config = Config { answer_bytes: 300, max_per_ip: 0, connect_rate: 0, ..Config::default() };
    let mut harness = RoomHarness::new(config);
    for id in 0..50 {
        harness.join(id, &format!("member-{id}"));
    }
    harness.say(0, "/who");
    harness.seal();
    let who = harness.frames(0).pop().expect("an answer");
    let named = who["names"].as_array().expect("names").len() as u64;
    assert!(who["data"].as_str().expect("text").starts_with("50 here: member-0, "));
    assert!((1..50).contains(&named), "{named}");
    assert_eq!(who["more"], 50 - named);
}
