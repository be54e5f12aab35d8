//! Clients that have not sent the password.

use super::*;
use crate::protocol::{ErrorCode, RequestError};

fn room(max_clients: usize) -> RoomHarness {
    RoomHarness::new(Config { has_password: true, max_clients, ..Config::default() })
}

impl RoomHarness {
    /// Connects a client of an address.
    fn connect_of(&mut self, id: u64, host: u8) {
        self.connect_from(id, Peer::Inet(IpAddr::from([192, 0, 2, host]), 1000 + id as u16));
    }

    fn authenticate(&mut self, id: u64, lines: &[&str]) {
        let lines = lines.iter().map(|line| ClientLine::parse(line.as_bytes())).collect();
        self.room.apply(Input::Authenticated { id: ClientId(id), lines }, self.now);
    }

    fn guess(&mut self, id: u64) {
        let lines = vec![Err(RequestError::new(ErrorCode::WrongPassword, "wrong"))];
        self.room.apply(Input::Lines { id: ClientId(id), lines }, self.now);
    }

    /// Returns the kind and the code of each frame of a client.
    fn codes(&mut self, id: u64) -> Vec<String> {
        self.seal();
        let code = |frame: Value| format!("{} {}", text(&frame["kind"]), frame["code"]);
        self.frames(id).into_iter().map(code).collect()
    }
}

const REQUIRED: &str = r#"error "password-required""#;

#[test]
fn client_without_password_gets_errors_alone() {
    let mut harness = room(10);
    harness.connect(1);
    for line in
        ["hello", "/who", "/stats", "/history", r#"{"hello":{"name":"alice"}}"#, "", "/op x"]
    {
        harness.say(1, line);
    }
    harness.room.apply(
        Input::Operator { id: ClientId(1), label: "root".into(), line_id: None },
        harness.now,
    );
    assert_eq!(harness.codes(1), [REQUIRED; 8]);
    assert_eq!((harness.room.member_count(), harness.room.seq()), (0, 0));
    harness.authenticate(1, &[r#"{"hello":{"name":"alice"}}"#]);
    harness.seal();
    assert_eq!(harness.frames(1).pop().unwrap()["data"], "alice joined");
    assert_eq!(harness.room.member_count(), 1);
}

#[test]
fn silent_client_is_asked_once_and_closed_after_10_s() {
    let mut harness = room(10);
    harness.connect(1);
    harness.advance(Duration::from_millis(250));
    assert_eq!(harness.codes(1), [REQUIRED]);
    harness.advance(Duration::from_secs(9));
    assert_eq!(harness.codes(1), [REQUIRED]);
    harness.advance(Duration::from_secs(1));
    assert_eq!(harness.codes(1), [REQUIRED, r#"bye "password""#]);
    assert_eq!((harness.room.client_count(), harness.room.deadline()), (0, None));
}

#[test]
fn client_whose_line_was_answered_is_not_asked_again() {
    let mut harness = room(10);
    harness.connect(1);
    harness.say(1, "hello");
    harness.advance(Duration::from_secs(1));
    assert_eq!(harness.codes(1), [REQUIRED]);
}

#[test]
fn third_wrong_password_closes_the_client() {
    let mut harness = room(10);
    harness.connect(1);
    (0..4).for_each(|_| harness.guess(1));
    let wrong = r#"error "wrong-password""#;
    assert_eq!(harness.codes(1), [wrong, wrong, wrong, r#"bye "password""#]);
    assert_eq!(harness.room.client_count(), 0);
}

#[test]
fn bye_without_password_tells_nothing_of_the_room() {
    let mut harness = room(10);
    harness.connect_of(1, 1);
    harness.authenticate(1, &["hello", "one", "two"]);
    assert_ne!(harness.room.seq(), 0);
    for id in 2..=4 {
        harness.connect_of(id, id as u8);
    }
    (0..3).for_each(|_| harness.guess(2));
    harness.leave(3, DisconnectReason::Finished);
    harness.room.apply(Input::Shutdown, harness.now);
    harness.seal();
    for id in 2..=4 {
        let bye = harness.frames(id).pop().unwrap();
        assert_eq!((&bye["kind"], &bye["seq"]), (&"bye".into(), &0.into()), "{id}");
    }
    assert_ne!(harness.frames(1).pop().unwrap()["seq"], 0);
}

#[test]
fn authenticated_silent_client_joins_after_hello_wait() {
    let mut harness = room(10);
    harness.connect(1);
    harness.authenticate(1, &[]);
    assert_eq!(harness.room.member_count(), 0);
    harness.advance(Duration::from_secs(1));
    harness.seal();
    assert_eq!(harness.frames(1)[0]["kind"], "welcome");
    harness.advance(Duration::from_secs(20));
    assert_eq!(harness.room.member_count(), 1);
}

#[test]
fn crowd_of_one_address_drops_its_own_oldest() {
    let mut harness = room(4);
    harness.connect_of(1, 1);
    for id in 2..=20 {
        harness.connect_of(id, 2);
    }
    harness.seal();
    assert_eq!(harness.room.client_count(), 16);
    let closed = harness.clients.iter().filter(|(_, client)| client.is_closed).map(|(id, _)| *id);
    let mut closed: Vec<u64> = closed.collect();
    closed.sort_unstable();
    assert_eq!(closed, [2, 3, 4, 5]);
    assert_eq!(harness.codes(2), [r#"bye "full""#]);
    // The crowd takes no place of the clients with the password.
    for id in [1, 18, 19, 20] {
        harness.authenticate(id, &["hello"]);
    }
    assert_eq!(harness.room.member_count(), 4);
    harness.authenticate(17, &["hello"]);
    assert_eq!(harness.codes(17), [r#"bye "full""#]);
}

#[test]
fn admitted_silent_clients_take_no_place_at_the_gate() {
    let mut harness = room(30);
    for id in 1..=20 {
        harness.connect_of(id, 1);
        harness.authenticate(id, &[]);
    }
    harness.connect_of(21, 2);
    assert_eq!(harness.codes(21), [""; 0]);
    harness.authenticate(21, &["hello"]);
    assert_eq!(harness.room.member_count(), 1);
}

#[test]
fn full_address_with_password_keeps_no_others_out() {
    let mut harness = RoomHarness::new(Config {
        has_password: true,
        max_clients: 10,
        max_per_ip: 1,
        ..Config::default()
    });
    harness.connect_of(1, 1);
    harness.authenticate(1, &["hello"]);
    // Clients of a full address, which send nothing after the password.
    for id in 2..=30 {
        harness.connect_of(id, 1);
        harness.authenticate(id, &[]);
    }
    harness.connect_of(40, 2);
    harness.connect_of(41, 3);
    harness.seal();
    assert!(harness.room.client_count() <= 1 + 16);
    for id in [40, 41] {
        assert_eq!(harness.codes(id), [""; 0], "{id}");
        harness.authenticate(id, &["hello"]);
    }
    assert_eq!(harness.room.member_count(), 3);
}

#[test]
fn crowd_of_addresses_drops_the_oldest() {
    let mut harness = room(4);
    (1..=18).for_each(|id| harness.connect_of(id, id as u8));
    assert_eq!(harness.codes(1), [r#"bye "full""#]);
    assert_eq!(harness.codes(2), [r#"bye "full""#]);
    assert_eq!(harness.codes(18), [""; 0]);
}

#[test]
fn unauthenticated_clients_take_no_place() {
    let mut harness = room(4);
    for id in 1..200 {
        harness.connect_of(id, (id % 50) as u8);
        match id % 3 {
            0 => harness.leave(id, DisconnectReason::Finished),
            1 => (0..3).for_each(|_| harness.guess(id)),
            _ => harness.leave(id, DisconnectReason::Panicked),
        }
        // Their connections are still ending.
        drop(harness.room.seal());
    }
    harness.connect_of(200, 99);
    harness.authenticate(200, &["hello"]);
    assert_eq!(harness.room.member_count(), 1);
}

#[test]
fn password_is_ignored_by_a_room_without_one() {
    let mut harness = RoomHarness::new(Config::default());
    harness.connect(1);
    harness.say(1, "/pass secret");
    assert_eq!(harness.room.member_count(), 0);
    harness.say(1, r#"{"hello":{"name":"alice"}}"#);
    harness.say(1, "/pass secret");
    harness.seal();
    assert_eq!(harness.transcript(1), ["join: alice joined", "info: no password is needed"]);
}

#[test]
fn raid_of_visitors_keeps_no_local_operator_out() {
    let mut harness = RoomHarness::new(Config { max_clients: 1, ..Config::default() });
    harness.join(1, "alice");
    (2..12).for_each(|id| harness.connect_of(id, id as u8));
    harness.connect_from(12, Peer::Unix(Some(1001)));
    assert_eq!(harness.codes(12), [r#"bye "full""#]);
    harness.connect_from(13, Peer::Unix(Some(0)));
    harness.say(13, "/bans");
    assert_eq!(harness.codes(13), ["welcome null", "join null", "info null"]);
    // They are bounded, too.
    (14..30).for_each(|id| harness.connect_from(id, Peer::Unix(Some(0))));
    assert_eq!(harness.codes(29), [r#"bye "full""#]);
}

#[test]
fn crowd_of_addresses_drops_no_local_operator() {
    let mut harness = room(4);
    harness.connect_from(1, Peer::Unix(Some(0)));
    for id in 2..=40 {
        harness.connect_of(id, id as u8);
    }
    harness.authenticate(1, &[r#"{"hello":{"name":"root"}}"#]);
    harness.seal();
    assert_eq!(harness.frames(1)[0]["kind"], "welcome");
    assert_eq!(harness.room.client_count(), 16);
}

#[test]
fn crowd_that_connects_again_keeps_no_others_out() {
    let mut harness = room(4);
    // Each address may connect 20 times a second.
    let storm = |harness: &mut RoomHarness, ids: std::ops::Range<u64>| {
        for id in ids {
            harness.advance(Duration::from_millis(4));
            harness.connect_of(id, (id % 16) as u8);
        }
    };
    storm(&mut harness, 0..160);
    harness.connect_of(160, 99);
    storm(&mut harness, 161..400);
    assert!(harness.room.is_unauthenticated(ClientId(160)));
}

#[test]
fn silent_crowd_keeps_no_others_out() {
    let mut harness = room(4);
    (0..16).for_each(|id| harness.connect_of(id, id as u8));
    harness.advance(Duration::from_secs(5));
    for id in 16..20 {
        harness.connect_of(id, 99);
        assert!(harness.room.is_unauthenticated(ClientId(id)), "{id}");
        assert!(!harness.room.is_unauthenticated(ClientId(id - 16)), "{id}");
        harness.leave(id, DisconnectReason::Finished);
        harness.connect_of(id + 16, id as u8);
    }
}
