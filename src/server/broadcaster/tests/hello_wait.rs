//! The wait for the first line of a client, with the hello at each place on its way.

use super::*;
use crate::server::broadcaster::hello_waits::MAX_EXTENSIONS;

const HELLO: &str = r#"{"hello":{"name":"alice"}}"#;
/// The time from the welcome of a silent member to its join notice.
const NOTICE_DELAY: Duration = Duration::from_secs(2);

impl BroadcasterHarness {
    fn with_silent_client() -> (Self, u64) {
        let mut harness = BroadcasterHarness::new();
        harness.connect();
        harness.connect();
        (harness, 3)
    }

    fn is_member(&self, name: &str) -> bool {
        self.members_seen_by_observer().iter().any(|member| member == name)
    }

    fn write(&mut self, id: u64, bytes: &[u8]) {
        self.remotes[&id].stream.as_ref().unwrap().write_all(bytes).unwrap();
    }
}

#[test]
fn hello_in_the_socket_precedes_the_hello_wait() {
    let (mut harness, id) = BroadcasterHarness::with_silent_client();
    harness.write(id, HELLO.as_bytes());
    harness.advance(2 * HELLO_WAIT);
    harness.say(id, HELLO);
    assert!(harness.is_member("alice"));
    harness.advance(NOTICE_DELAY);
    assert!(harness.is_member("guest-1000"), "the other client is silent");
}

#[test]
fn hello_that_waits_for_the_channel_precedes_the_wait() {
    let (mut harness, id) = BroadcasterHarness::with_silent_client();
    let pending = Arc::clone(&harness.remotes[&id].socket);
    harness.advance(2 * HELLO_WAIT);
    drop(pending);
    harness.say(id, HELLO);
    assert!(harness.is_member("alice"));
}

#[test]
fn hello_in_the_channel_precedes_the_hello_wait() {
    let (mut harness, id) = BroadcasterHarness::with_silent_client();
    harness.now.uptime += HELLO_WAIT;
    // The first fills the batch, so that the turn ends before the hello is applied.
    for (id, line) in [(OBSERVER, "x".repeat(OUTBOX / 2)), (id, HELLO.into())] {
        let lines = vec![ClientLine::parse(line.as_bytes())];
        let input = Input::Lines { id: ClientId(id), lines };
        harness.broadcaster.clients.send_event(Event::Input { input, bytes: 0, answer: None });
    }
    harness.turn(None);
    assert!(!harness.is_member("alice") && !harness.is_member("guest-1"));
    harness.turn(None);
    assert!(harness.is_member("alice"));
}

#[test]
fn client_that_sends_no_newline_becomes_a_guest() {
    let (mut harness, id) = BroadcasterHarness::with_silent_client();
    harness.write(id, b"x");
    for _ in 0..MAX_EXTENSIONS {
        harness.advance(HELLO_WAIT);
        assert!(!harness.is_member("guest-1"));
    }
    harness.advance(HELLO_WAIT);
    harness.advance(NOTICE_DELAY);
    assert!(harness.is_member("guest-1"));
}

#[cfg(feature = "web")]
#[test]
fn hello_has_a_round_trip_after_the_handshake() {
    for is_browser in [false, true] {
        let (mut harness, id) = BroadcasterHarness::with_silent_client();
        harness.web_event(id, WebEvent::RequestBegun);
        harness.advance(Duration::from_secs(9));
        harness.web_event(id, upgraded(is_browser));
        let wait = if is_browser { Duration::from_secs(10) } else { Duration::from_secs(1) };
        harness.advance(wait - Duration::from_millis(1));
        harness.say(id, HELLO);
        assert!(harness.is_member("alice"));
        let (mut harness, id) = BroadcasterHarness::with_silent_client();
        harness.web_event(id, upgraded(is_browser));
        harness.advance(wait);
        harness.advance(NOTICE_DELAY);
        assert!(harness.is_member("guest-1"));
    }
}
