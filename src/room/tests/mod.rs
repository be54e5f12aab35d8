//! Tests of the room through its inputs and batches.

mod absent;
#[cfg(feature = "cluster")]
mod cluster;
mod gate;
mod join;
mod names;
mod operators;
mod presence;
mod quiet;
mod random;
mod requests;
mod resume;
mod sequence;
mod silence;

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
    /// The frames for all members of all batches.
    sequence: Vec<u8>,
}

#[derive(Default)]
struct TestClient {
    is_live: bool,
    is_closed: bool,
    /// Its frames were discarded: it was slow, or another connection replaced it.
    is_cut: bool,
    received: Vec<u8>,
}

impl TestClient {
    fn deliver(&mut self, id: ClientId, batch: &Batch) {
        let part = batch.slices_for(id, self.is_live);
        self.received.extend(part.slices.iter().flat_map(Slice::bytes));
        self.is_live = part.is_live;
        self.is_closed = part.end.is_some();
        self.is_cut = matches!(part.end, Some(End::Abort | End::Evict(_)));
    }
}

impl RoomHarness {
    fn new(config: Config) -> Self {
        let now = Now { uptime: Duration::from_secs(1), unix_ms: 1_790_000_000_000 };
        let room = Room::new(config, "epoch".into());
        RoomHarness { room, now, clients: HashMap::new(), sequence: Vec::new() }
    }

    fn connect(&mut self, id: u64) {
        let peer = Peer::Inet(IpAddr::from([192, 0, 2, 1]), 1000 + id as u16);
        self.connect_from(id, peer);
    }

    fn connect_from(&mut self, id: u64, peer: Peer) {
        self.clients.insert(id, TestClient::default());
        self.room.apply(Input::Connect { id: ClientId(id), peer, token: token(id) }, self.now);
    }

    fn say(&mut self, id: u64, line: &str) {
        let lines = vec![ClientLine::parse(line.as_bytes())];
        self.room.apply(Input::Lines { id: ClientId(id), lines }, self.now);
    }

    fn join(&mut self, id: u64, name: &str) {
        self.connect(id);
        self.say(id, &format!(r#"{{"hello":{{"name":"{name}"}}}}"#));
    }

    fn join_quietly(&mut self, id: u64, name: &str) {
        self.connect(id);
        self.say(id, &format!(r#"{{"hello":{{"name":"{name}","quiet":true}}}}"#));
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
        self.sequence.extend_from_slice(&batch.chunk);
        for unicast in &batch.unicasts {
            assert!(self.clients.contains_key(&unicast.to.0), "{unicast:?} is for no client");
        }
        for (&id, client) in self.clients.iter_mut().filter(|(_, client)| !client.is_closed) {
            client.deliver(ClientId(id), &batch);
            if client.is_closed {
                self.room.release(ClientId(id), self.now);
            }
        }
    }

    fn frames(&self, id: u64) -> Vec<Value> {
        parse(&self.clients[&id].received)
    }

    /// Returns kind and text of each frame after the welcome.
    fn transcript(&self, id: u64) -> Vec<String> {
        self.frames(id).iter().skip(1).map(summary).collect()
    }

    /// Returns kind and text of each frame of the sequence.
    fn sequence(&self) -> Vec<String> {
        parse(&self.sequence).iter().map(summary).collect()
    }

    /// Returns the sequence numbers of the frames after the welcome.
    fn seqs(&self, id: u64) -> Vec<u64> {
        let numbered = self.frames(id).into_iter().skip(1).filter(|frame| frame["kind"] != "bye");
        numbered.filter_map(|frame| frame["seq"].as_u64()).collect()
    }
}

fn parse(frames: &[u8]) -> Vec<Value> {
    let frames = std::str::from_utf8(frames).expect("frames are UTF-8");
    assert!(frames.is_empty() || frames.ends_with('\n'));
    frames.lines().map(|line| serde_json::from_str(line).expect("frames are JSON")).collect()
}

/// Returns kind and text of a frame.
fn summary(frame: &Value) -> String {
    format!("{}: {}", text(&frame["kind"]), text(&frame["data"]))
}

/// Returns the token of a client.
fn token(id: u64) -> Token {
    Token(u128::from(id).to_be_bytes())
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}
