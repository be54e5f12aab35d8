//! A model of the room, and a run of the real one against it.
//!
//! A [`Script`] says what happens. [`run`] lets it happen to a [`Room`] and to the [`Model`],
//! puts together what each client is sent, as the broadcaster does, and checks it line by line:
//! each client gets what the model says is due to it, at its place in the one sequence that all
//! get, and nothing else.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests state what they expect"
)]

mod expected;
mod news;
pub mod script;
mod seat;

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

use smolchat::protocol::{ByeCode, ClientLine, Frame, Hello, Request, RequestError};
use smolchat::room::{
    Config, DisconnectReason, Input, MemberId, Now, Peer, Room, Slice, SliceKind, Token, Unicast,
};

use expected::Model;
use news::{Due, Own};
use script::{Action, After, EPOCH, Greeting, Line, NAMES, Proof, Script, Who};
use seat::{Record, Seat, Sent};

/// Runs what a fuzzer made up.
pub fn run_bytes(bytes: &[u8]) {
    run(Script::decode(bytes));
}

/// Lets it all happen, then lets everybody go, and sees that nothing remains.
pub fn run(script: Script) {
    let mut world = World::new(script.rules);
    for action in script.actions {
        world.act(action);
    }
    world.end();
}

/// The room, the model of it, and the clients.
struct World {
    room: Room,
    model: Model,
    record: Record,
    seats: BTreeMap<u64, Seat>,
    now: Now,
    last: u64,
}

impl World {
    fn new(rules: Config) -> Self {
        let now = Now { uptime: Duration::from_secs(1), unix_ms: 1_790_000_000_000 };
        World {
            room: Room::new(rules.clone(), EPOCH.into()),
            model: Model::new(rules.clone(), now),
            record: Record { rules, sent: vec![Sent::default()] },
            seats: BTreeMap::new(),
            now,
            last: 0,
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Arrive(from) => self.arrive(from),
            Action::Crowd if self.seats.len() < 200 => {
                for _ in 0..64 {
                    self.arrive(None);
                    self.lines(self.last, Line::Hello(Greeting::default()), 1);
                }
            }
            Action::Crowd => {}
            Action::Lines(who, line, times) => self.lines(self.id(who), line, times),
            Action::OtherProtocol(who, protocol) => {
                let id = self.id(who);
                self.apply(Input::OtherProtocol { id: MemberId(id), protocol });
                self.model.foreign(id, protocol);
            }
            Action::Leave(who, reason) => self.leave(self.id(who), reason),
            Action::Overflow(who, count) => {
                let id = self.id(who);
                self.seats.entry(id).and_modify(|seat| seat.is_stalled = true);
                self.overflow(id, count);
            }
            Action::ComeBack { who, reason, uptime, from, hello } => {
                self.come_back(self.id(who), reason, uptime, from, hello);
            }
            Action::Stall(who) => {
                if let Some(seat) = self.seats.get_mut(&self.id(who)) {
                    seat.is_stalled = true;
                }
            }
            Action::Read(who, count) => {
                if let Some(seat) = self.seats.get_mut(&self.id(who)) {
                    seat.read(count, &self.record);
                    seat.is_stalled = count < usize::MAX;
                }
            }
            Action::Pass { uptime, unix_ms, ticks } => {
                self.now = Now { uptime: self.now.uptime + uptime, unix_ms };
                if ticks {
                    self.tick();
                }
            }
            Action::Announce => {
                self.room.announce("the disk is full");
                self.model.announce();
            }
            Action::Shutdown => {
                self.apply(Input::Shutdown);
                self.model.shutdown();
            }
            Action::Seal => self.seal(),
        }
        self.check();
    }

    fn id(&self, Who(who): Who) -> u64 {
        match u64::from(who) {
            who @ 0..192 => self.last.saturating_sub(who % 8),
            who => who - 192,
        }
    }

    fn apply(&mut self, input: Input) {
        self.model.set_time(self.now);
        self.room.apply(input, self.now);
    }

    fn arrive(&mut self, from: Option<u8>) {
        self.last += 1;
        let id = self.last;
        // Clients of one host may have the same port, when one of them is gone.
        let peer = from.map_or(Peer::Unix, |host| {
            let ip = match host {
                0..2 => IpAddr::from([192, 0, 2, host]),
                _ => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host.into()]),
            };
            Peer::Inet(ip, 1000 + (id % 4) as u16)
        });
        self.seats.insert(id, Seat::default());
        self.apply(Input::Arrive { id: MemberId(id), peer, token: token(id) });
        self.model.arrive(id, peer, token(id));
    }

    fn lines(&mut self, id: u64, line: Line, times: usize) {
        let line = match line {
            Line::Raw(bytes) => ClientLine::parse(&bytes),
            Line::RequestError(code, id) => {
                Err(RequestError { id, ..RequestError::new(code, "no") })
            }
            Line::Request(request, id) => Ok(ClientLine { id, request }),
            Line::Hello(hello) => {
                let id = hello.id.clone();
                Ok(ClientLine { id, request: Request::Hello(Box::new(self.hello(hello))) })
            }
        };
        self.line(id, line, times);
    }

    fn line(&mut self, id: u64, line: Result<ClientLine, RequestError>, times: usize) {
        let lines = vec![line; times];
        self.apply(Input::Lines { id: MemberId(id), lines: lines.clone() });
        self.model.lines(id, lines);
    }

    fn come_back(
        &mut self,
        id: u64,
        reason: Option<DisconnectReason>,
        uptime: Duration,
        from: Option<u8>,
        greeting: Greeting,
    ) {
        if let Some(reason) = reason {
            self.leave(id, reason);
        }
        self.now.uptime += uptime;
        let mut hello = self.hello(greeting);
        hello.token = Some(token(id).to_string());
        hello.after = hello.after.and(self.seats.get(&id).and_then(|seat| seat.seen));
        self.arrive(from);
        let request = Request::Hello(Box::new(hello));
        self.line(self.last, Ok(ClientLine { id: None, request }), 1);
    }

    fn hello(&self, greeting: Greeting) -> Hello {
        let after = greeting.after.map(|after| match after {
            After::Number(number) => number,
            After::Present(past) => self.room.seq() + past,
            After::Seen(who, before) => {
                let seen = self.seats.get(&self.id(who)).and_then(|seat| seat.seen);
                seen.unwrap_or(0).saturating_sub(before)
            }
        });
        let proof = greeting.proof.map(|proof| match proof {
            Proof::TokenOf(who) => token(self.id(who)).to_string(),
            Proof::Other(text) => text.into(),
        });
        Hello {
            name: greeting.name.map(String::from),
            history: greeting.history,
            epoch: greeting.epoch.map(String::from),
            after,
            token: proof,
            keep: greeting.keep,
        }
    }

    fn leave(&mut self, id: u64, reason: DisconnectReason) {
        self.apply(Input::Leave { id: MemberId(id), reason });
        self.model.leave(id, reason);
    }

    /// The outbox of a client turns out to be full, when a batch was delivered to it.
    fn overflow(&mut self, id: u64, count: usize) {
        self.seal();
        let Some(seat) = self.seats.get_mut(&id).filter(|seat| !seat.is_closed) else { return };
        seat.read(count, &self.record);
        let own = Own::Evicted(ByeCode::Slow);
        seat.is_due(Due { own, place: self.record.place() });
        seat.evict(ByeCode::Slow, self.room.seq(), &self.record);
        self.leave(id, DisconnectReason::Slow);
    }

    fn tick(&mut self) {
        self.model.set_time(self.now);
        self.room.tick(self.now);
        self.model.tick();
    }

    /// Closes a batch, and delivers it.
    fn seal(&mut self) {
        self.hand_out();
        let batch = self.room.seal();
        assert_eq!(batch.before, self.record.last());
        for line in batch.chunk.split_inclusive(|&b| b == b'\n') {
            let frame = Frame::decode(line).expect("a frame");
            let place = self.record.place().behind(&frame);
            self.record.sent.push(Sent { bytes: line.to_vec(), place });
            self.model.news.all_are_told(self.record.last(), &frame);
        }
        let all = Slice::new(batch.chunk, 0, u32::MAX, SliceKind::Live { before: batch.before });
        let mut unicasts: HashMap<u64, Vec<Unicast>> = HashMap::new();
        for unicast in batch.unicasts {
            assert!(self.seats.contains_key(&unicast.to.0), "a unicast is for somebody");
            unicasts.entry(unicast.to.0).or_default().push(unicast);
        }
        for (id, seat) in &mut self.seats {
            let own = unicasts.remove(id).unwrap_or_default();
            seat.deliver(&own, &all, batch.before, &self.record);
            seat.is_settled(&self.record);
            assert_eq!(!seat.is_closed, self.model.clients.contains_key(id), "who is here stays");
        }
        self.model.held = self.record.held();
        self.model.sealed = self.record.last();
        assert!(!self.room.has_unicasts() && self.room.pending_bytes() == 0);
        assert_eq!(self.room.seq(), self.record.last());
        let notice_due = self.model.news.is_sealed(self.model.now);
        for due in [notice_due, self.model.silent_until()].into_iter().flatten() {
            assert!(
                self.room.deadline().is_some_and(|deadline| deadline <= due),
                "nobody wakes up"
            );
        }
    }

    /// Gives the seats what the model says is due to them.
    fn hand_out(&mut self) {
        for (id, due) in std::mem::take(&mut self.model.own) {
            self.seats.get_mut(&id).expect("who is told something has come").is_due(due);
        }
    }

    /// Everybody goes, and time passes: then there is room again for as many, each name is free,
    /// and what was said can still be resumed with as far as it is held.
    fn end(&mut self) {
        self.seal();
        for id in self.model.clients.keys().copied().collect::<Vec<_>>() {
            self.leave(id, DisconnectReason::Lost(ErrorKind::BrokenPipe));
        }
        self.wait();
        assert_eq!((self.room.len(), self.room.deadline()), (0, None));
        for name in NAMES {
            self.arrive(None);
            let name = Some(name);
            self.lines(self.last, Line::Hello(Greeting { name, ..Greeting::default() }), 1);
            self.leave(self.last, DisconnectReason::Lost(ErrorKind::BrokenPipe));
        }
        for from in [Some(0), Some(1), Some(2), None] {
            for _ in 0..4 {
                self.arrive(from);
            }
        }
        let (epoch, after) = (Some(EPOCH), Some(After::Number(0)));
        let greeting = Greeting { epoch, after, ..Greeting::default() };
        for id in self.model.clients.keys().copied().collect::<Vec<_>>() {
            self.lines(id, Line::Hello(greeting.clone()), 1);
        }
        self.wait();
        for seat in self.seats.values_mut() {
            seat.read(usize::MAX, &self.record);
            seat.is_settled(&self.record);
        }
        self.act(Action::Shutdown);
        self.arrive(None);
        self.seal();
        assert!(self.room.is_empty());
    }

    fn wait(&mut self) {
        self.seal();
        self.now.uptime += self.record.rules.grace + Duration::from_secs(3);
        self.tick();
        self.seal();
        self.check();
    }

    fn check(&mut self) {
        self.hand_out();
        assert_eq!(self.room.len(), self.model.clients.len());
        assert_eq!(self.room.is_empty(), self.model.clients.is_empty());
        assert!(self.room.len() <= self.record.rules.max_clients);
        assert!(self.room.seq() >= self.record.last());
    }
}

fn token(id: u64) -> Token {
    let mut token = [0xa5; 16];
    token[4..12].copy_from_slice(&id.to_be_bytes());
    Token(token)
}
