//! Tests of the room through its inputs and batches.

mod commands;
mod join;
mod names;
mod presence;
mod random;
mod resume;
mod sequence;

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::Value;

use super::*;
use crate::protocol::ClientLine;

/// A room, and the frames that each client was sent.
struct RoomHarness {
    room: Room,
    now: Now,
    clients: HashMap<u64, TestClient>,
}

#[derive(Default)]
struct TestClient {
    is_live: bool,
    is_closed: bool,
    received: Vec<u8>,
}

impl RoomHarness {
    fn new(config: Config) -> Self {
        let now = Now { uptime: Duration::from_secs(1), unix_ms: 1_790_000_000_000 };
        RoomHarness { room: Room::new(config, "epoch".into()), now, clients: HashMap::new() }
    }

    fn connect(&mut self, id: u64) {
        let peer = Peer::Inet(IpAddr::from([192, 0, 2, 1]), 1000 + id as u16);
        self.connect_from(id, peer);
    }

    fn connect_from(&mut self, id: u64, peer: Peer) {
        self.clients.insert(id, TestClient::default());
        let token = Token([id as u8; 16]);
        self.room.apply(Input::Connect { id: ClientId(id), peer, token }, self.now);
    }

    fn say(&mut self, id: u64, line: &str) {
        let lines = vec![ClientLine::parse(line.as_bytes())];
        self.room.apply(Input::Lines { id: ClientId(id), lines }, self.now);
    }

    fn join(&mut self, id: u64, name: &str) {
        self.connect(id);
        self.say(id, &format!(r#"{{"hello":{{"name":"{name}"}}}}"#));
    }

    fn leave(&mut self, id: u64, reason: DisconnectReason) {
        self.room.apply(Input::Disconnect { id: ClientId(id), reason }, self.now);
    }

    fn advance(&mut self, time: Duration) {
        self.now.uptime += time;
        self.room.tick(self.now);
    }

    fn seal(&mut self) {
        let batch = self.room.seal();
        for unicast in &batch.unicasts {
            assert!(self.clients.contains_key(&unicast.to.0), "{unicast:?} is for no client");
        }
        for (&id, client) in &mut self.clients {
            let part = batch.slices_for(ClientId(id), client.is_live);
            if client.is_closed {
                continue;
            }
            client.received.extend(part.slices.iter().flat_map(Slice::bytes));
            client.is_live = part.is_live;
            client.is_closed = part.end.is_some();
            if client.is_closed {
                self.room.release(ClientId(id), self.now);
            }
        }
    }

    fn frames(&self, id: u64) -> Vec<Value> {
        let received = std::str::from_utf8(&self.clients[&id].received).expect("frames are UTF-8");
        assert!(received.is_empty() || received.ends_with('\n'));
        received.lines().map(|line| serde_json::from_str(line).expect("frames are JSON")).collect()
    }

    /// Returns kind and text of each frame after the welcome.
    fn transcript(&self, id: u64) -> Vec<String> {
        let frames = self.frames(id).into_iter().skip(1);
        frames.map(|frame| format!("{}: {}", text(&frame["kind"]), text(&frame["data"]))).collect()
    }

    /// Returns the sequence numbers of the frames after the welcome.
    fn seqs(&self, id: u64) -> Vec<u64> {
        let numbered = self.frames(id).into_iter().skip(1).filter(|frame| frame["kind"] != "bye");
        numbered.filter_map(|frame| frame["seq"].as_u64()).collect()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}
