use std::collections::HashMap;
use std::io;
use std::net::IpAddr;

use proptest::prelude::*;
use serde_json::Value;

use super::commands::MAX_ERRORS;
use super::*;
use crate::protocol::{ClientLine, MAX_NAME, case_fold, is_valid_name};

/// A room, and what each client was sent, put together as the broadcaster does.
struct Hall {
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

impl Hall {
    fn new(rules: Rules) -> Self {
        let now = Now { uptime: Duration::from_secs(1), unix_ms: 1_790_000_000_000 };
        Hall { room: Room::new(rules, "epoch".into()), now, seats: HashMap::new() }
    }

    fn arrive(&mut self, id: u64) {
        self.seats.insert(id, Seat::default());
        let peer = Peer::Inet(IpAddr::from([192, 0, 2, 1]), 1000 + id as u16);
        let token = Token([id as u8; 16]);
        self.room.apply(Event::Arrive { id: MemberId(id), peer, token }, self.now);
    }

    fn say(&mut self, id: u64, line: &str) {
        let lines = vec![ClientLine::parse(line.as_bytes())];
        self.room.apply(Event::Lines { id: MemberId(id), lines }, self.now);
    }

    fn join(&mut self, id: u64, name: &str) {
        self.arrive(id);
        self.say(id, &format!(r#"{{"hello":{{"name":"{name}"}}}}"#));
    }

    fn leave(&mut self, id: u64, departure: Departure) {
        self.room.apply(Event::Leave { id: MemberId(id), departure }, self.now);
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
        for step in batch.steps {
            let seat = self.seats.get_mut(&step.to.0).expect("a step is for somebody");
            if seat.is_closed {
                continue;
            }
            if let Some(cursor) = cursors.get_mut(&step.to.0) {
                let at = (step.at as usize).max(*cursor);
                seat.received.extend(&batch.chunk[*cursor..at]);
                *cursor = at;
            }
            match step.what {
                What::Send(slice) => seat.received.extend(slice.bytes()),
                What::Again(from, to) => {
                    seat.received.extend(&batch.chunk[from as usize..to as usize]);
                }
                What::Open { from, .. } => {
                    seat.is_open = true;
                    cursors.insert(step.to.0, from as usize);
                }
                What::Close | What::Drop | What::Evict(_) => {
                    seat.is_open = false;
                    seat.is_closed = true;
                    cursors.remove(&step.to.0);
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
    let mut hall = Hall::new(Rules::default());
    hall.join(1, "alice");
    hall.join(2, "bob");
    hall.say(1, "hello");
    hall.say(2, "/me waves");
    hall.seal();
    hall.say(2, "/nick robert");
    hall.leave(2, Departure::Finished);
    hall.seal();
    assert_eq!(
        hall.transcript(1),
        [
            "join: alice and bob joined",
            "chat: hello",
            "action: waves",
            "name: bob is now robert",
            "leave: robert left",
        ]
    );
    assert_eq!(hall.transcript(2)[..4], hall.transcript(1)[..4]);
    assert_eq!(hall.transcript(2)[4], "bye: goodbye");
    let bye = hall.frames(2).pop().expect("a bye");
    assert_eq!((bye["code"].as_str(), bye["seq"].as_u64()), (Some("quit"), Some(4)));
}

#[test]
fn a_member_who_joins_inside_a_batch_gets_what_comes_after_its_welcome() {
    let mut hall = Hall::new(Rules::default());
    hall.join(1, "alice");
    hall.seal();
    hall.say(1, "before");
    hall.join(2, "bob");
    hall.say(1, "after");
    hall.seal();
    assert_eq!(hall.transcript(2), ["join: bob joined", "chat: after"]);
    let welcome = &hall.frames(2)[0];
    assert_eq!((welcome["seq"].as_u64(), welcome["members"].as_u64()), (Some(2), Some(2)));
}

#[test]
fn those_who_come_together_are_told_of_together() {
    let mut hall = Hall::new(Rules::default());
    for (id, name) in ["alice", "bob", "carol", "dave", "eve"].into_iter().enumerate() {
        hall.join(id as u64, name);
    }
    hall.seal();
    let join = &hall.frames(0)[1];
    assert_eq!(join["data"], "alice, bob and 3 more joined");
    assert_eq!(join["names"].as_array().map(Vec::len), Some(5));
    assert_eq!(hall.frames(0).len(), 2);
}

#[test]
fn who_joins_and_leaves_within_one_batch_leaves_no_trace_but_its_notices() {
    let mut hall = Hall::new(Rules::default());
    hall.join(1, "alice");
    hall.join(2, "bob");
    hall.leave(2, Departure::Lost(io::ErrorKind::ConnectionReset));
    hall.join(3, "bob");
    hall.seal();
    assert_eq!(
        hall.transcript(1),
        ["join: alice and bob joined", "leave: bob left", "join: bob joined"]
    );
    assert_eq!(hall.transcript(3), ["join: bob joined"]);
    assert_eq!(hall.room.names.len(), 2);
}

#[test]
fn leaving_twice_is_leaving_once() {
    let mut hall = Hall::new(Rules::default());
    hall.join(1, "alice");
    hall.join(2, "bob");
    hall.say(2, "/quit");
    hall.leave(2, Departure::Finished);
    hall.leave(2, Departure::Slow);
    hall.say(2, "a word from beyond");
    hall.seal();
    assert_eq!(hall.transcript(1), ["join: alice and bob joined", "leave: bob left"]);
    assert_eq!(hall.transcript(2), ["join: alice and bob joined", "bye: goodbye"]);
    assert_eq!(hall.room.len(), 1);
}

#[test]
fn the_silent_join_as_guests_when_their_wait_is_over_or_with_their_first_line() {
    let mut hall = Hall::new(Rules::default());
    hall.arrive(1);
    hall.arrive(2);
    hall.pass(Duration::from_millis(249));
    hall.say(2, "hi");
    hall.seal();
    assert_eq!(hall.frames(1), [] as [Value; 0]);
    assert_eq!(hall.transcript(2), ["join: guest-1002 joined", "chat: hi"]);
    hall.pass(Duration::from_millis(1));
    hall.seal();
    assert_eq!(hall.transcript(1), ["join: guest-1001 joined"]);
    assert_eq!(hall.room.deadline(), None);
}

#[test]
fn a_silent_client_that_goes_was_never_there() {
    let mut hall = Hall::new(Rules::default());
    hall.join(1, "alice");
    hall.arrive(2);
    hall.leave(2, Departure::Finished);
    hall.pass(Duration::from_secs(1));
    hall.seal();
    assert_eq!(hall.transcript(1), ["join: alice joined"]);
    assert_eq!(hall.room.addresses.clients(), [1]);
}

#[test]
fn a_name_is_one_members_at_a_time_whatever_its_case() {
    let mut hall = Hall::new(Rules::default());
    hall.join(1, "alice");
    hall.join(2, "ALICE");
    hall.join(3, "two words");
    hall.say(1, "/nick Alice");
    hall.say(2, "/nick alice");
    hall.seal();
    let names: Vec<&str> = hall.room.members().map(|(_, name)| name).collect();
    assert_eq!(names, ["Alice", "ALICE-2", "guest-1003"]);
    let errors = |id| {
        let errors = hall.frames(id).into_iter().filter(|frame| frame["kind"] == "error");
        errors.map(|error| error["code"].as_str().map(String::from)).collect::<Vec<_>>()
    };
    assert_eq!(errors(1), []);
    assert_eq!(errors(2), [Some("name-taken".into()), Some("name-taken".into())]);
    assert_eq!(errors(3), [Some("bad-name".into())]);
}

#[test]
fn the_error_of_a_hello_has_the_id_of_the_hello() {
    let mut hall = Hall::new(Rules::default());
    hall.join(1, "alice");
    hall.arrive(2);
    hall.say(2, r#"{"hello":{"name":"alice"},"id":"h"}"#);
    hall.seal();
    let error = &hall.frames(2)[1];
    assert_eq!((&error["code"], &error["id"]), (&"name-taken".into(), &"h".into()));
}

#[test]
fn a_name_with_a_number_stays_within_the_limit() {
    let mut hall = Hall::new(Rules::default());
    let name = "x".repeat(MAX_NAME);
    hall.join(1, &name);
    hall.join(2, &name);
    hall.seal();
    assert!(hall.room.members().all(|(_, name)| is_valid_name(name)));
}

#[test]
fn private_lines_reach_two_members_or_one_and_nobody_else() {
    let mut hall = Hall::new(Rules::default());
    for (id, name) in [(1, "alice"), (2, "bob"), (3, "carol")] {
        hall.join(id, name);
    }
    hall.seal();
    hall.say(1, "/msg BOB psst");
    hall.say(1, r#"{"data":"note","to":"alice","id":"n"}"#);
    hall.say(1, "/msg dave hello");
    hall.seal();
    let last = |id: u64, count: usize| {
        let frames = hall.frames(id);
        frames[frames.len() - count..].to_vec()
    };
    assert_eq!(last(2, 1)[0]["data"], "psst");
    assert_eq!(last(2, 1)[0]["to"], "bob");
    assert_eq!(hall.transcript(3).len(), 1);
    let own = last(1, 3);
    assert_eq!(own[0], last(2, 1)[0]);
    assert_eq!((&own[1]["kind"], &own[1]["id"]), (&"private".into(), &"n".into()));
    assert_eq!(own[2]["code"], "no-such-user");
}

#[test]
fn history_is_shown_as_it_was_said_and_is_bounded() {
    let mut hall = Hall::new(Rules { history: 4, ..Rules::default() });
    hall.join(1, "alice");
    for text in ["one", "two", "three"] {
        hall.say(1, text);
    }
    hall.seal();
    hall.say(1, "four");
    hall.arrive(2);
    hall.say(2, r#"{"hello":{"name":"bob","history":3}}"#);
    hall.say(1, "/history 9");
    hall.seal();
    assert_eq!(hall.transcript(2), ["chat: two", "chat: three", "chat: four", "join: bob joined"]);
    let own = hall.transcript(1);
    assert_eq!(
        own[own.len() - 5..],
        ["info: the last 4 lines:", "chat: two", "chat: three", "chat: four", "join: bob joined"]
    );
    let seqs = |id| {
        hall.frames(id)
            .into_iter()
            .filter_map(|frame| (frame["kind"] == "chat").then(|| frame.to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(seqs(2)[..], seqs(1)[1..4]);
}

#[test]
fn a_room_without_history_says_so() {
    let mut hall = Hall::new(Rules { history: 0, ..Rules::default() });
    hall.join(1, "alice");
    hall.say(1, "/history");
    hall.seal();
    assert_eq!(hall.transcript(1)[1], "info: nothing is kept of what was said");
}

#[test]
fn one_more_than_the_limit_is_turned_away_and_takes_no_place() {
    let rules = Rules { max_clients: 3, max_per_ip: 2, ..Rules::default() };
    let mut hall = Hall::new(rules);
    for id in 1..=3 {
        hall.arrive(id);
    }
    hall.seal();
    assert_eq!(hall.frames(3)[0]["code"], "full");
    assert!(hall.seats[&3].is_closed);
    hall.leave(3, Departure::Finished);
    for id in 4..=5 {
        hall.seats.insert(id, Seat::default());
        let event = Event::Arrive { id: MemberId(id), peer: Peer::Unix, token: Token([0; 16]) };
        hall.room.apply(event, hall.now);
    }
    hall.seal();
    assert!(!hall.seats[&4].is_closed, "a unix socket has no address to count");
    assert_eq!(hall.frames(5)[0]["code"], "full");
    hall.leave(1, Departure::Finished);
    hall.arrive(6);
    hall.seal();
    assert!(!hall.seats[&6].is_closed);
}

#[test]
fn an_address_that_connects_too_fast_is_told_so_and_closed() {
    let mut hall = Hall::new(Rules { connect_rate: 20, connect_burst: 2, ..Rules::default() });
    for id in 1..=3 {
        hall.join(id, "alice");
    }
    hall.seal();
    let told: Vec<_> = hall.frames(3).iter().map(|frame| frame["kind"].clone()).collect();
    assert_eq!(told, ["error", "bye"]);
    assert!(hall.frames(3).iter().all(|frame| frame["code"] == "too-fast"));
    assert!(hall.seats[&3].is_closed);
    hall.pass(Duration::from_millis(50));
    hall.join(4, "bob");
    hall.seal();
    assert_eq!(hall.frames(4)[0]["kind"], "welcome");
}

#[test]
fn hundreds_who_want_one_name_each_get_one() {
    let rules = Rules { max_clients: 1000, max_per_ip: 0, connect_rate: 0, ..Rules::default() };
    let mut hall = Hall::new(rules);
    for id in 1..=500 {
        hall.join(id, "alice");
    }
    hall.seal();
    let names: Vec<_> = (1..=500).map(|id| hall.frames(id)[0]["name"].clone()).collect();
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
    let mut hall = Hall::new(Rules { max_clients: 2, ..Rules::default() });
    hall.join(1, "alice");
    hall.join(2, "bob");
    hall.arrive(3);
    hall.say(1, "/dance");
    hall.leave(2, Departure::Slow);
    hall.room.note(Stats { events_waiting: 5, ..Stats::default() });
    hall.say(1, r#"{"data":"/stats","id":"s"}"#);
    hall.seal();
    let answer = hall.frames(1).pop().unwrap();
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
    let mut hall = Hall::new(Rules::default());
    hall.join(1, "alice");
    for _ in 0..MAX_ERRORS - 1 {
        hall.say(1, "/bad");
    }
    hall.say(1, "good");
    for _ in 0..MAX_ERRORS - 1 {
        hall.say(1, "/bad");
        hall.say(1, "");
    }
    hall.seal();
    assert!(!hall.seats[&1].is_closed);
    hall.say(1, "/bad");
    hall.seal();
    assert!(hall.seats[&1].is_closed);
    assert_eq!(hall.frames(1).pop().expect("a bye")["code"], "errors");
}

#[test]
fn shutdown_tells_everybody_and_lets_nobody_in() {
    let mut hall = Hall::new(Rules::default());
    hall.join(1, "alice");
    hall.arrive(2);
    hall.room.apply(Event::Shutdown, hall.now);
    hall.join(3, "carol");
    hall.seal();
    for id in 1..=3 {
        assert_eq!(hall.frames(id).pop().expect("a bye")["code"], "shutdown");
        assert!(hall.seats[&id].is_closed);
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
        let rules = Rules { history: 5, max_clients: 6, ..Rules::default() };
        let mut hall = Hall::new(rules);
        let mut last = 0;
        for happening in happenings {
            let pick = |pick: u8| 1 + u64::from(pick) % u64::max(last, 1);
            match happening {
                Happening::Arrive => {
                    last += 1;
                    hall.arrive(last);
                }
                _ if last == 0 => {}
                Happening::Hello(id, name, history) => {
                    let hello = format!(
                        r#"{{"hello":{{"name":"name-{name}","history":{history}}}}}"#,
                    );
                    hall.say(pick(id), &hello);
                }
                Happening::Say(id, line) => hall.say(pick(id), line),
                Happening::Leave(id, true) => hall.leave(pick(id), Departure::Finished),
                Happening::Leave(id, false) => hall.leave(pick(id), Departure::Slow),
                Happening::Pass => hall.pass(Duration::from_secs(1)),
                Happening::Seal => hall.seal(),
            }
        }
        hall.seal();

        let mut by_number: HashMap<u64, Value> = HashMap::new();
        for &id in hall.seats.keys() {
            let frames = hall.frames(id);
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
            if hall.seats[&id].is_open {
                prop_assert_eq!(next, hall.room.seq() + 1);
            }
        }
        let names: Vec<String> = hall.room.members().map(|(_, name)| case_fold(name)).collect();
        let mut unique = names.clone();
        unique.sort();
        unique.dedup();
        prop_assert_eq!(names.len(), unique.len());
        prop_assert_eq!(names.len(), hall.room.names.len());
    }
}

#[test]
fn a_crowd_that_comes_at_once_is_told_of_in_few_notices_and_before_it_speaks() {
    let rules = Rules { max_clients: 1000, max_per_ip: 0, connect_rate: 0, ..Rules::default() };
    let mut hall = Hall::new(rules);
    for id in 0..Rules::default().crowd as u64 {
        hall.join(id, &format!("member-{id}"));
    }
    hall.seal();
    for id in 100..300 {
        hall.join(id, &format!("member-{id}"));
        hall.seal();
    }
    assert_eq!(hall.transcript(0), ["join: member-0, member-1 and 62 more joined"]);
    hall.say(0, "meanwhile");
    hall.seal();
    hall.say(150, "hello");
    hall.seal();
    assert_eq!(
        hall.transcript(0)[1..],
        ["chat: meanwhile", "join: member-100, member-101 and 198 more joined", "chat: hello"]
    );
    hall.leave(150, Departure::Finished);
    hall.seal();
    assert_eq!(hall.transcript(0).len(), 4);
    hall.pass(hall.room.deadline().expect("a notice waits") - hall.now.uptime);
    hall.seal();
    assert_eq!(hall.transcript(0)[4..], ["leave: member-150 left"]);
    assert_eq!(hall.room.deadline(), None);
}

/// What a client says that comes back: it saw `after`, and was the client `old`.
fn back(name: &str, after: u64, old: u64) -> String {
    let token = Token([old as u8; 16]);
    format!(
        r#"{{"hello":{{"name":"{name}","epoch":"epoch","after":{after},"token":"{token}","keep":true}}}}"#
    )
}

impl Hall {
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
    let mut hall = Hall::new(Rules::default());
    hall.join(1, "alice");
    hall.join(2, "bob");
    hall.seal();
    hall.leave(2, Departure::Lost(io::ErrorKind::ConnectionReset));
    for text in ["one", "two"] {
        hall.say(1, text);
        hall.seal();
    }
    hall.say(1, "three, in the batch in which bob comes back");
    hall.arrive(3);
    hall.say(3, &back("bob", 1, 2));
    hall.say(1, "four");
    hall.seal();
    hall.say(1, "five");
    hall.seal();
    assert_eq!(hall.frames(3)[0]["resumed"], true);
    assert_eq!(hall.frames(3)[0]["name"], "bob");
    assert_eq!(hall.seqs(3), [2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(hall.raw(1)[hall.raw(1).len() - hall.raw(3).len()..], *hall.raw(3));
}

#[test]
fn a_token_moves_a_member_and_nobody_sees_it_leave_or_join() {
    let mut hall = Hall::new(Rules::default());
    hall.join(1, "alice");
    hall.join(2, "bob");
    hall.say(2, "/nick robert");
    hall.seal();
    hall.say(1, "hello");
    hall.arrive(3);
    hall.say(3, &back("bob", 2, 2));
    hall.say(2, "a ghost's last words");
    hall.leave(2, Departure::Finished);
    hall.say(3, "here again");
    hall.seal();
    assert!(hall.seats[&2].is_closed);
    assert_eq!(hall.transcript(3), ["chat: hello", "chat: here again"]);
    assert_eq!(hall.frames(3)[0]["name"], "robert");
    assert_eq!(hall.transcript(1)[2..], ["chat: hello", "chat: here again"]);
    assert_eq!(hall.room.names.len(), 2);
    assert_eq!(hall.room.addresses.clients(), [2]);
}

#[test]
fn each_welcome_has_a_token_of_its_own_and_an_old_one_fits_nobody() {
    let mut hall = Hall::new(Rules::default());
    hall.join(1, "alice");
    hall.arrive(2);
    hall.say(2, &back("alice", 0, 1));
    hall.arrive(3);
    hall.say(3, &back("alice", 0, 1));
    hall.seal();
    assert_eq!(hall.frames(2)[0]["token"], Token([2; 16]).to_string());
    assert!(!hall.seats[&2].is_closed);
    assert_eq!(hall.frames(3)[0]["name"], "alice-2");
}

#[test]
fn what_is_gone_is_named_and_the_rest_follows() {
    let mut hall = Hall::new(Rules { history: 2, ..Rules::default() });
    hall.join(1, "alice");
    for text in ["one", "two", "three", "four"] {
        hall.say(1, text);
        hall.seal();
    }
    hall.arrive(2);
    hall.say(2, &back("bob", 1, 9));
    hall.seal();
    let gap = &hall.frames(2)[1];
    assert_eq!((gap["from"].as_u64(), gap["to"].as_u64()), (Some(2), Some(3)));
    assert_eq!(hall.seqs(2), [4, 5, 6]);
}

#[test]
fn without_a_history_everything_missed_is_a_gap() {
    let mut hall = Hall::new(Rules { history: 0, ..Rules::default() });
    hall.join(1, "alice");
    hall.say(1, "one");
    hall.seal();
    hall.arrive(2);
    hall.say(2, &back("bob", 0, 9));
    hall.seal();
    assert_eq!(hall.frames(2)[1]["to"], 2);
    assert_eq!(hall.seqs(2), [3]);
}

#[test]
fn a_room_in_which_nothing_happened_resumes_and_a_past_that_never_was_does_not() {
    let mut hall = Hall::new(Rules::default());
    hall.join(1, "alice");
    hall.seal();
    hall.arrive(2);
    hall.say(2, &back("alice", 1, 1));
    hall.seal();
    assert_eq!(hall.frames(2)[0]["resumed"], true);
    assert_eq!(hall.transcript(2), [] as [String; 0]);
    hall.arrive(3);
    hall.say(3, &back("bob", 2, 9));
    hall.arrive(4);
    hall.say(4, &back("carol", 0, 9).replace(r#""epoch":"epoch""#, r#""epoch":"another""#));
    hall.seal();
    for id in [3, 4] {
        assert_eq!(hall.frames(id)[0]["resumed"], false);
        assert_eq!(hall.transcript(id), ["join: bob and carol joined"]);
    }
}

#[test]
fn a_name_is_kept_for_who_asked_and_dropped_and_for_nobody_else() {
    let mut hall = Hall::new(Rules::default());
    hall.arrive(1);
    hall.say(1, r#"{"hello":{"name":"alice","keep":true}}"#);
    hall.join(2, "bob");
    hall.leave(1, Departure::Slow);
    hall.leave(2, Departure::Slow);
    hall.join(3, "bob");
    hall.join(4, "Alice");
    hall.say(4, "/nick ALICE");
    hall.arrive(5);
    hall.say(5, &back("whatever", 0, 1));
    hall.seal();
    assert_eq!(hall.frames(3)[0]["name"], "bob");
    assert_eq!(hall.frames(4)[0]["name"], "Alice-2");
    let errors = hall.frames(4).into_iter().filter(|frame| frame["code"] == "name-kept");
    assert_eq!(errors.count(), 2);
    assert_eq!(hall.frames(5)[0]["name"], "alice");
}

#[test]
fn a_name_is_free_after_the_grace_and_after_a_quit() {
    let mut hall = Hall::new(Rules::default());
    for id in [1, 2] {
        hall.arrive(id);
        hall.say(id, &format!(r#"{{"hello":{{"name":"name-{id}","keep":true}}}}"#));
    }
    hall.say(1, "/quit");
    hall.leave(2, Departure::Finished);
    hall.join(3, "name-1");
    hall.pass(Duration::from_secs(59));
    hall.join(4, "name-2");
    hall.pass(Duration::from_secs(1));
    hall.say(4, "/nick name-2");
    hall.seal();
    let names: Vec<&str> = hall.room.members().map(|(_, name)| name).collect();
    assert_eq!(names, ["name-1", "name-2"]);
}

#[test]
fn those_who_come_and_go_do_not_pile_up_however_long_the_silent_are_waited_for() {
    let rules = Rules { hello_wait: Duration::from_secs(3600), ..Rules::default() };
    let mut hall = Hall::new(rules);
    for id in 0..1000 {
        hall.arrive(id);
        hall.leave(id, Departure::Finished);
        hall.seal();
    }
    assert!(hall.room.silent.len() < 32, "{} wait", hall.room.silent.len());
}

#[test]
fn a_notice_has_a_bounded_number_of_names() {
    let rules = Rules { max_clients: 2000, max_per_ip: 0, connect_rate: 0, ..Rules::default() };
    let most = NOTICE_NAMES * rules.crowd;
    let mut hall = Hall::new(rules);
    for id in 0..2 * most as u64 + 1 {
        hall.join(id, &format!("member-{id}"));
    }
    hall.pass(Duration::from_secs(2));
    hall.seal();
    let counts = hall
        .frames(0)
        .into_iter()
        .skip(1)
        .map(|frame| frame["names"].as_array().expect("names").len());
    assert_eq!(counts.collect::<Vec<_>>(), [most, most, 1]);
}

#[test]
fn where_a_crowd_is_few_a_hundred_who_come_within_a_second_are_told_of_in_few_notices() {
    const CROWD: usize = 5;
    let rules = Rules { crowd: CROWD, max_per_ip: 0, connect_rate: 0, ..Rules::default() };
    let mut hall = Hall::new(rules);
    for id in 0..100 {
        hall.join(id, &format!("member-{id}"));
        hall.seal();
        hall.pass(Duration::from_millis(10));
    }
    hall.pass(Duration::from_secs(1));
    hall.seal();
    let notices = hall.transcript(0);
    assert!(notices.len() <= 2 * CROWD + 1, "{notices:?}");
}

#[test]
fn an_answer_that_would_be_too_long_counts_those_whom_it_does_not_name() {
    let rules = Rules { answer_bytes: 300, max_per_ip: 0, connect_rate: 0, ..Rules::default() };
    let mut hall = Hall::new(rules);
    for id in 0..50 {
        hall.join(id, &format!("member-{id}"));
    }
    hall.say(0, "/who");
    hall.seal();
    let who = hall.frames(0).pop().expect("an answer");
    let named = who["names"].as_array().expect("names").len() as u64;
    assert!(who["data"].as_str().expect("text").starts_with("50 here: member-0, "));
    assert!((1..50).contains(&named), "{named}");
    assert_eq!(who["more"], 50 - named);
}
