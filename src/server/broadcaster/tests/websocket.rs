//! Clients that speak WebSocket.

use super::*;

pub fn web_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<u8>().prop_map(Step::BeginRequest),
        any::<u8>().prop_map(Step::EndRequest),
        any::<u8>().prop_map(Step::Upgrade),
        any::<u8>().prop_map(|id| Step::CloseWebSocket(id, DisconnectReason::Away)),
    ]
}

/// Returns the event of a handshake that is accepted.
pub fn upgraded(is_browser: bool) -> WebEvent {
    WebEvent::Answer(Answer::Upgrade { response: b"101".to_vec(), is_browser })
}

impl BroadcasterHarness {
    pub fn web_event(&mut self, id: u64, event: WebEvent) {
        if self.remotes[&id].has_task {
            self.turn(Some(Event::Web { id: ClientId(id), event }));
        }
    }
}

#[test]
fn client_slow_to_read_pongs_is_told_its_number() {
    let mut harness = BroadcasterHarness::new();
    let id = harness.connect();
    let response = b"101\n".to_vec();
    harness.web_event(id, WebEvent::Answer(Answer::Upgrade { response, is_browser: true }));
    harness.say(id, r#"{"hello":{"name":"bob"}}"#);
    harness.say(OBSERVER, "hello");
    let seq = harness.broadcaster.room.seq();
    let pong = [&[0x8A, 125][..], &[b'\n'; 125]].concat();
    while harness.broadcaster.room.member_count() > 1 {
        harness.web_event(id, WebEvent::Pong(pong.clone()));
    }
    while harness.remotes[&id].stream.is_some() {
        harness.remotes.get_mut(&id).expect("a client").read();
        harness.turn(Some(Event::Writable(ClientId(id))));
    }
    let received = String::from_utf8_lossy(&harness.remotes[&id].received);
    let bye = received.lines().rev().find_map(|line| line.split_once(r#""code":"slow","seq":"#));
    assert_eq!(bye.unwrap().1.trim_end_matches('}'), seq.to_string());
}

#[test]
fn ending_connections_of_absent_members_are_bounded() {
    let mut harness = BroadcasterHarness::with_max_clients(2);
    let most = harness.broadcaster.clients.max_connections;
    let mut token = String::new();
    for _ in 0..2 * most {
        let id = harness.connect();
        harness.web_event(id, upgraded(true));
        harness.say(id, &format!(r#"{{"hello":{{"keep":true,"token":"{token}"}}}}"#));
        harness.remotes.get_mut(&id).expect("a client").read();
        let received = String::from_utf8_lossy(&harness.remotes[&id].received);
        let (_, rest) = received.split_once(r#""token":""#).expect("a welcome");
        token = rest[..32].to_owned();
        // Fills the socket, so that the connection does not end.
        for _ in 0..30 {
            harness.web_event(id, WebEvent::Pong(vec![0; 127]));
        }
        harness.end_task(id, DisconnectReason::Away);
        assert!(harness.broadcaster.clients.len() <= most);
    }
    assert_eq!(harness.broadcaster.room.member_count(), 2);
}
