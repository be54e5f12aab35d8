//! Refused clients that may speak TLS.

use super::*;

/// Returns a room with `max_refused` handshakes of refused clients, in which all are banned.
fn closed_room(max_refused: usize) -> RoomHarness {
    let mut harness = RoomHarness::new(Config { max_refused, ..Config::default() });
    let (moderation, invalid) = Moderation::parse("ban 192.0.2.0/24 - root spam", 0);
    assert!(invalid.is_empty());
    harness.room.apply(Input::Moderation(Box::new(moderation)), harness.now);
    harness
}

impl RoomHarness {
    fn connect_of_host(&mut self, id: u64, host: u8) {
        self.connect_from(id, Peer::Inet(IpAddr::from([192, 0, 2, host]), 1000 + id as u16));
    }

    /// Returns the code of the bye, or none if the client waits.
    fn bye(&mut self, id: u64) -> Option<Value> {
        self.seal();
        self.clients[&id].is_closed.then(|| self.frames(id).last().unwrap()["code"].clone())
    }
}

#[test]
fn refused_client_gets_bye_after_line_or_second() {
    let mut harness = closed_room(8);
    (1..=4).for_each(|id| harness.connect_of_host(id, 1));
    assert!((1..=4).all(|id| harness.bye(id).is_none()));
    harness.say(1, "hello");
    harness.leave(2, DisconnectReason::Finished);
    assert_eq!([1, 2].map(|id| harness.bye(id)), [1, 2].map(|_| Some("banned".into())));
    assert!(harness.room.await_handshake(ClientId(3), harness.now.uptime + Duration::from_secs(9)));
    let deadline = harness.room.deadline().unwrap();
    harness.advance(deadline - harness.now.uptime);
    assert_eq!([3, 4].map(|id| harness.bye(id)), [None, Some("banned".into())]);
    harness.room.finish_refusal(ClientId(3));
    assert_eq!(harness.bye(3), Some("banned".into()));
    assert_eq!((harness.room.deadline(), harness.room.client_count()), (None, 0));
}

#[test]
fn handshake_of_refused_client_has_a_deadline() {
    let mut harness = closed_room(8);
    harness.connect_of_host(1, 1);
    harness.room.await_handshake(ClientId(1), harness.now.uptime + Duration::from_secs(9));
    harness.advance(Duration::from_secs(9));
    harness.seal();
    assert!(harness.clients[&1].is_cut && harness.clients[&1].received.is_empty());
    harness.connect_of_host(2, 1);
    harness.leave(2, DisconnectReason::Lost(std::io::ErrorKind::ConnectionReset));
    harness.seal();
    assert!(harness.clients[&2].is_cut);
}

#[test]
fn refusals_that_wait_are_few() {
    let mut harness = closed_room(8);
    (1..=5).for_each(|id| harness.connect_of_host(id, 1));
    (6..=10).for_each(|id| harness.connect_of_host(id, id as u8));
    // Four of an address, and eight in all.
    let without_handshake =
        (1..=10).filter(|id| harness.room.refused_handshake(ClientId(*id)).is_some());
    assert_eq!(without_handshake.collect::<Vec<_>>(), [5, 10]);
    harness.room.await_handshake(ClientId(1), harness.now.uptime + Duration::from_secs(9));
    (11..=16).for_each(|id| harness.connect_of_host(id, id as u8));
    assert!((1..=16).all(|id| harness.bye(id).is_none()));
    harness.connect_of_host(17, 17);
    let at_once = (1..=17).filter(|id| harness.bye(*id).is_some()).collect::<Vec<_>>();
    assert_eq!(at_once, [2], "the oldest that has not begun its handshake");
    harness.advance(Duration::from_secs(10));
    harness.connect_of_host(18, 1);
    assert_eq!(harness.room.refused_handshake(ClientId(18)), None);
    harness.room.apply(Input::Shutdown, harness.now);
    assert_eq!(harness.bye(18), Some("banned".into()));
}

#[test]
fn server_without_tls_refuses_at_once() {
    let mut harness = closed_room(0);
    harness.connect_of_host(1, 1);
    assert_eq!(harness.bye(1), Some("banned".into()));
}
