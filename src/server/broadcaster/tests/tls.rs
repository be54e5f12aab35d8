//! Clients that speak TLS, or have to.

use super::*;
use crate::server::edge::tls::tests::{TestCertificate, TlsPeer};
use crate::server::edge::tls::{INTERNAL_ERROR, MAX_RECORDS, Opener, TlsEvent, plain_alert};
use crate::server::secrets::Plain;

/// The client's side and the connection task's side of a connection.
struct Secure {
    id: u64,
    peer: TlsPeer,
    opener: Opener,
}

impl BroadcasterHarness {
    fn tls_event(&mut self, id: u64, event: TlsEvent) {
        self.turn(Some(Event::Tls { id: ClientId(id), event }));
    }

    /// Connects a client whose handshake is done, and whose key has sealed `records` records.
    fn connect_secure(&mut self, records: u64) -> Secure {
        let certificate = TestCertificate::new("broadcaster");
        let id = self.connect();
        self.tls_event(id, TlsEvent::Begun);
        let (peer, mut seal, opener, _) = certificate.connect(&[], b"");
        seal.set_records(records);
        self.tls_event(id, TlsEvent::Established(Box::new(seal)));
        Secure { id, peer, opener: *opener }
    }

    /// Reads up to the end of a connection, and returns its data.
    fn read_secure(&mut self, secure: &mut Secure) -> Vec<Value> {
        while self.remotes[&secure.id].stream.is_some() {
            self.remotes.get_mut(&secure.id).expect("a client").read();
            self.turn(Some(Event::Writable(ClientId(secure.id))));
        }
        secure.peer.read(&self.remotes[&secure.id].received).unwrap();
        assert!(secure.peer.is_closed, "no close_notify");
        let data = String::from_utf8(secure.peer.data.clone()).unwrap();
        data.lines().map(|line| serde_json::from_str(line).expect("frames are JSON")).collect()
    }
}

#[test]
fn slow_client_is_sent_whole_records_bye_and_alert() {
    let mut harness = BroadcasterHarness::new();
    let mut secure = harness.connect_secure(0);
    harness.say(secure.id, r#"{"hello":{"name":"alice"}}"#);
    harness.make_all_slow();
    let frames = harness.read_secure(&mut secure);
    let (bye, frames) = frames.split_last().unwrap();
    assert_eq!(bye["code"], "slow");
    let seqs: Vec<u64> = frames.iter().filter_map(|frame| frame["seq"].as_u64()).collect();
    assert!(seqs.is_sorted() && bye["seq"].as_u64() == seqs.last().copied(), "{seqs:?} {bye}");
}

#[test]
fn updated_keys_follow_a_record_that_waits() {
    let mut harness = BroadcasterHarness::new();
    let mut secure = harness.connect_secure(0);
    harness.say(secure.id, r#"{"hello":{"name":"alice"}}"#);
    for _ in 0..4 {
        harness.say(OBSERVER, &"x".repeat(1000));
    }
    secure.peer.update_keys();
    let opened = secure.opener.open(&mut secure.peer.take_outgoing());
    assert_eq!(opened.data, 0);
    let next = secure.opener.take_update().unwrap();
    harness.tls_event(secure.id, TlsEvent::KeyUpdate(Box::new(next)));
    harness.say(OBSERVER, "under the new key");
    harness.say(secure.id, "/quit");
    let frames = harness.read_secure(&mut secure);
    assert!(frames.iter().any(|frame| frame["data"] == "under the new key"));
    assert_eq!(frames.last().unwrap()["code"], "quit");
}

#[test]
fn client_with_a_used_up_key_is_told_its_number() {
    let mut harness = BroadcasterHarness::new();
    let secure = harness.connect_secure(MAX_RECORDS - 3);
    harness.say(secure.id, r#"{"hello":{"name":"alice"}}"#);
    assert_eq!(harness.broadcaster.room.member_count(), 2);
    for _ in 0..3 {
        harness.say(OBSERVER, "hello");
        harness.turn(Some(Event::Writable(ClientId(secure.id))));
        harness.remotes.get_mut(&secure.id).expect("a client").read();
    }
    assert_eq!(harness.broadcaster.room.member_count(), 1);
    // rustls' client counts from 0.
    let received = harness.remotes[&secure.id].received.clone();
    let data = String::from_utf8(secure.peer.decrypt_from(MAX_RECORDS - 3, received)).unwrap();
    let frames = data.lines().map(|line| serde_json::from_str(line).expect("frames are JSON"));
    let frames: Vec<Value> = frames.collect();
    let (bye, frames) = frames.split_last().unwrap();
    let last = frames.iter().filter_map(|frame| frame["seq"].as_u64()).max();
    assert_eq!((&bye["kind"], bye["seq"].as_u64()), (&Value::from("bye"), last), "{data}");
    assert_eq!(bye["code"], "key-limit", "{bye}");
    harness.remotes.get_mut(&OBSERVER).expect("the observer").read();
    let seen = String::from_utf8_lossy(&harness.remotes[&OBSERVER].received).into_owned();
    assert!(seen.contains("alice left"), "{seen}");
}

#[test]
fn silent_client_that_must_use_tls_is_refused_late() {
    let mut harness = BroadcasterHarness::new();
    harness.broadcaster.plain = Some(Plain::Never);
    let id = harness.connect();
    for seconds in 1..=10 {
        harness.remotes.get_mut(&id).expect("a client").read();
        assert_eq!(harness.remotes[&id].received, b"", "after {seconds} s");
        harness.advance(Duration::from_secs(1));
    }
    harness.advance(Duration::from_secs(1));
    harness.check_bye(id, "tls-required");
}

#[test]
fn handshake_of_ten_seconds_is_closed() {
    let mut harness = BroadcasterHarness::new();
    harness.broadcaster.plain = Some(Plain::Local);
    let id = harness.connect();
    harness.tls_event(id, TlsEvent::Begun);
    harness.advance(Duration::from_secs(9));
    assert_eq!(harness.broadcaster.clients.len(), 2);
    harness.advance(Duration::from_secs(1));
    harness.remotes.get_mut(&id).expect("a client").read();
    assert!(harness.remotes[&id].stream.is_none());
    assert_eq!(harness.broadcaster.clients.len(), 1);
    assert_eq!(harness.remotes[&id].received, plain_alert(INTERNAL_ERROR));
}

#[test]
fn client_that_was_sent_a_flight_gets_no_alert() {
    let mut harness = BroadcasterHarness::new();
    harness.broadcaster.plain = Some(Plain::Local);
    let id = harness.connect();
    harness.tls_event(id, TlsEvent::Begun);
    harness.tls_event(id, TlsEvent::Flight(b"flight".into()));
    harness.advance(Duration::from_secs(10));
    harness.remotes.get_mut(&id).expect("a client").read();
    assert_eq!(
        (harness.broadcaster.clients.len(), &*harness.remotes[&id].received),
        (1, &b"flight"[..])
    );
}

#[test]
fn hello_of_tls_after_the_welcome_is_refused() {
    let mut harness = BroadcasterHarness::new();
    harness.broadcaster.plain = Some(Plain::All);
    let id = harness.connect();
    harness.advance(Duration::from_secs(1));
    harness.tls_event(id, TlsEvent::Begun);
    harness.check_bye(id, "tls");
}
