//! Tests of the budgets with a clock of the test.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::protocol::{ErrorCode, RequestError};
use crate::room::{self, ClientId, Input, Now, Room, Token};
use crate::server::Config;

const START: Duration = Duration::from_secs(100);
const MINUTE: Duration = Duration::from_secs(60);

#[expect(clippy::disallowed_methods, reason = "the start is not used")]
fn table(config: &Config) -> AddressTable {
    AddressTable::new(Rc::new(config.read_limits(Instant::now())), 256)
}

fn origin(number: u32) -> Origin {
    Origin::Network(Ipv4Addr::from_bits(number).into())
}

fn budget() -> Rc<AddressBudget> {
    table(&Config::default()).budget(origin(1), START)
}

fn say(text: &str) -> ParsedLine {
    ClientLine::parse(text.as_bytes())
}

/// Sends a line from each of `connections` again and again, each as soon as it may. Returns the
/// lines and the bytes that were sent before `end`.
fn flood(line: &ParsedLine, connections: usize, end: Duration) -> (usize, usize) {
    let budget = budget();
    let charge = |now| now + budget.charge_line(line, now);
    let mut turns: Vec<Duration> = (0..connections).map(|_| charge(START)).collect();
    let mut sent = 0;
    while let Some(turn) = turns.iter_mut().min().filter(|turn| **turn < end) {
        // The line of this turn is sent, and the next one is charged.
        sent += 1;
        *turn = charge(*turn);
    }
    (sent, sent * bytes_of(line).unwrap())
}

#[test]
fn minute_of_one_address_is_bounded_by_default() {
    for connections in [1, 64] {
        let (lines, _) = flood(&say("hi"), connections, START + MINUTE);
        assert!((2500..=160 + 60 * 40 + 1).contains(&lines), "{lines} lines");
        let (_, bytes) = flood(&say(&"\u{1}".repeat(4096)), connections, START + MINUTE);
        let most = (128 << 10) + 60 * (32 << 10) + 6 * 4096 + FRAME_BYTES;
        assert!((2000 << 10..=most).contains(&bytes), "{bytes} bytes");
    }
}

#[test]
fn burst_is_exceeded_by_one_line_at_most() {
    let line = say(&"\u{1}".repeat(4096));
    let budget = budget();
    let at_once = (0..100).filter(|_| budget.charge_line(&line, START).is_zero()).count();
    assert_eq!(at_once, (128 << 10) / (6 * 4096 + FRAME_BYTES) + 1);
}

#[test]
fn lines_that_wait_take_turns() {
    let budget = budget();
    let waits: Vec<Duration> = (0..200).map(|_| budget.charge_line(&say("hi"), START)).collect();
    assert!(waits[..160].iter().all(Duration::is_zero));
    let spacing = Duration::from_secs(1) / 40;
    assert_eq!(waits[160..].to_vec(), (1..=40).map(|n| spacing * n).collect::<Vec<_>>());
}

#[test]
fn heartbeat_does_not_wait_for_lines() {
    let budget = budget();
    while budget.charge_line(&say("hi"), START).is_zero() {}
    assert!(budget.charge_line(&say(""), START).is_zero());
    let heartbeats = (0..1000).filter(|_| budget.charge_line(&say(""), START).is_zero());
    assert_eq!(heartbeats.count(), 159);
}

#[test]
fn notices_silence_an_address_for_a_short_time() {
    let budget = budget();
    for _ in 0..100_000 {
        budget.charge_notice(START);
    }
    let wait = budget.charge_line(&say("hi"), START);
    assert!(wait > Duration::from_secs(9) && wait < Duration::from_secs(11), "{wait:?}");
}

#[test]
fn hellos_delay_requests_for_a_short_time() {
    let budget = budget();
    for _ in 0..64 {
        budget.request().charge(1 << 20, START);
    }
    let wait = budget.answer_wait(START);
    assert!(wait > Duration::from_secs(9) && wait < Duration::from_secs(15), "{wait:?}");
}

#[test]
fn address_that_returns_has_no_new_burst() {
    let mut table = table(&Config::default());
    let line = say("hi");
    while table.budget(origin(1), START).charge_line(&line, START).is_zero() {}
    for number in 2..1000 {
        table.budget(origin(number), START);
    }
    assert!(!table.budget(origin(1), START).charge_line(&line, START).is_zero());
}

#[test]
fn table_of_addresses_is_bounded() {
    let mut table = table(&Config::default());
    let connected: Vec<_> = (0..10).map(|number| table.budget(origin(number), START)).collect();
    for number in 10..50_000 {
        table.budget(origin(number), START).charge_line(&say("hi"), START);
        assert!(table.budgets.len() <= connected.len() + 256);
    }
    assert!(connected.iter().all(|budget| Rc::strong_count(budget) == 2));
    drop(connected);
    table.remove_unused(START + MINUTE);
    assert!(table.budgets.is_empty());
}

#[test]
fn users_have_budgets_and_proxies_have_none() {
    let mut table = table(&Config::default());
    let mut budget_of = |peer| table.budget_of(peer);
    let alice = budget_of(Peer::Unix(Some(1)));
    assert!(alice.is_limited() && Rc::ptr_eq(&alice, &budget_of(Peer::Unix(Some(1)))));
    assert!(!Rc::ptr_eq(&alice, &budget_of(Peer::Unix(Some(2)))));
    for proxy in [Peer::Unix(None), Peer::Proxy([192, 0, 2, 1].into(), 1)] {
        assert!(!budget_of(proxy).is_limited());
    }
}

#[test]
fn rate_of_zero_is_no_limit_and_no_table() {
    let mut config = Config::default();
    (config.address_rate, config.address_bytes) = (0, 0);
    let mut table = table(&config);
    assert!(!table.budget_of(Peer::Unix(Some(1))).is_limited());
    assert!(table.budgets.is_empty());
}

#[test]
fn burst_is_at_most_half_of_an_outbox() {
    let config = Config { outbox: 16 << 10, ..Config::default() };
    let budget = table(&config).budget(origin(1), START);
    let line = say(&"x".repeat(4096 - FRAME_BYTES));
    assert_eq!((0..9).filter(|_| budget.charge_line(&line, START).is_zero()).count(), 2);
}

#[test]
fn requests_of_an_address_are_answered_in_turn() {
    let budget = budget();
    let first = budget.try_request(START).unwrap();
    assert!(budget.try_request(START).is_none());
    let (cx, mut place) = (Context::from_waker(Waker::noop()), None);
    for _ in 0..10 {
        assert!(budget.poll_request(&cx, &mut place).is_pending());
    }
    let waiting = budget.waiting.take();
    assert_eq!(waiting.len(), 1);
    budget.waiting.set(waiting);
    first.charge(8 * (128 << 10) + 1, START);
    assert!(budget.try_request(START).is_none());
    assert!(!budget.answer_wait(START).is_zero());
    assert!(budget.poll_request(&cx, &mut place).is_ready());
    assert!(budget.try_request(START + Duration::from_secs(1)).is_some());
}

fn any_line() -> impl Strategy<Value = String> {
    let text = "([a-zé\u{1}\u{7f}\u{85}\u{202e}\"\\\\]|\u{1}{60}|\u{10ffff}{40}){0,60}";
    let command = prop::sample::select(&["", "/me ", "/msg bob ", "/msg ", "/nick ", "/"][..]);
    (command, text, "[a\u{1}\"]{0,64}").prop_map(|(command, text, id)| {
        serde_json::json!({ "data": format!("{command}{text}"), "id": id }).to_string()
    })
}

proptest! {
    #[test]
    fn charge_covers_every_frame_that_a_line_causes(line in any_line()) {
        let mut room = Room::new(room::Config::default(), "epoch".into());
        let now = Now { uptime: START, unix_ms: 1_790_000_000_000 };
        let names = ["𝒜".repeat(31) + "1", "bob".into()];
        for (id, name) in (1..).map(ClientId).zip(names) {
            room.apply(Input::Connect { id, peer: Peer::Unix(None), token: Token([0; 16]) }, now);
            let hello = serde_json::json!({ "hello": { "name": name } }).to_string();
            room.apply(Input::Lines { id, lines: vec![say(&hello)] }, now);
            room.seal();
        }
        let line = say(&line);
        let charged = bytes_of(&line);
        prop_assume!(!has_unknown_answer(&line) && charged.is_some());
        room.apply(Input::Lines { id: ClientId(1), lines: vec![line] }, now);
        let caused = room.pending_bytes();
        prop_assert!(charged.unwrap() >= caused, "{charged:?} < {caused}");
    }
}

#[test]
fn text_of_an_error_is_charged() {
    let error = |text: &str| Err(RequestError::new(ErrorCode::BadJson, text));
    assert_eq!(bytes_of(&error("")), Some(FRAME_BYTES));
    assert_eq!(bytes_of(&error("\u{1}")), Some(FRAME_BYTES + 6));
}

#[test]
fn closed_address_is_kept_unless_budget_is_shared() {
    let config = Config { address_rate: 0, address_bytes: 0, ..Config::default() };
    let secrets = Rc::new(Secrets::new(Some("password".into()), None));
    let limits = table(&config).limits;
    let limits = ReadLimits { secrets, ..Rc::into_inner(limits).unwrap() };
    let mut table = AddressTable::new(Rc::new(limits), 256);
    let peer = |host| Peer::Inet([192, 0, 2, host].into(), 1);
    for _ in 0..5 {
        // Each time from a new connection.
        table.budget_of(peer(1)).fail(START);
        table.budget_of(Peer::Unix(None)).fail(START);
    }
    assert!(table.budget_of(peer(1)).closed_for(START).is_some());
    for peer in [peer(2), Peer::Unix(None)] {
        assert!(table.budget_of(peer).closed_for(START).is_none());
    }
    table.remove_unused(START + MINUTE / 2);
    assert!(table.budget_of(peer(1)).closed_for(START).is_some());
}
