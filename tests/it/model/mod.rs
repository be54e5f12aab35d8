//! A comparison of the room with a model of it.
//!
//! [`run`] applies a [`Script`] of events to a [`Room`] and to a [`ReferenceRoom`]. It assembles
//! the output for each client as the broadcaster does, and checks it line by line: each client gets
//! the frames that the model expects, in their order in the sequence, and no others.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod expected;
mod receiver;
mod reference;
pub mod script;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

use smolchat::protocol::{ByeCode, ClientLine, Frame, Hello, Request, RequestError};
use smolchat::room::{ClientId, Config, DisconnectReason, Input, Now, Peer, Room, Token};

use expected::{ExpectedUnicast, OwnFrame};
use receiver::{FrameLog, LoggedFrame, Receiver};
use reference::ReferenceRoom;
use script::{
    Action, ClientRef, EPOCH, HelloTemplate, ResumePoint, Script, ScriptLine, TokenTemplate,
    VALID_NAMES,
};

/// Runs the script that these bytes decode to.
pub fn run_bytes(bytes: &[u8]) {
    run(Script::decode(bytes));
}

/// Runs a script, then disconnects all clients and checks that nothing is left.
pub fn run(script: Script) {
    let mut simulation = Simulation::new(script.config);
    for action in script.actions {
        simulation.act(action);
    }
    simulation.finish();
}

/// The room, the model, and the clients.
struct Simulation {
    room: Room,
    model: ReferenceRoom,
    log: FrameLog,
    receivers: BTreeMap<u64, Receiver>,
    now: Now,
    last: u64,
}

impl Simulation {
    fn new(config: Config) -> Self {
        let now = Now { uptime: Duration::from_secs(1), unix_ms: 1_790_000_000_000 };
        Simulation {
            room: Room::new(config.clone(), EPOCH.into()),
            model: ReferenceRoom::new(config.clone(), now),
            log: FrameLog { config, frames: vec![LoggedFrame::default()] },
            receivers: BTreeMap::new(),
            now,
            last: 0,
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Arrive(from) => self.arrive(from),
            Action::Crowd if self.receivers.len() < 200 => {
                for _ in 0..64 {
                    self.arrive(None);
                    self.lines(self.last, ScriptLine::Hello(HelloTemplate::default()), 1);
                }
            }
            Action::Crowd => {}
            Action::Lines(who, line, times) => self.lines(self.id(who), line, times),
            Action::OtherProtocol(who, protocol) => {
                let id = self.id(who);
                self.apply(Input::OtherProtocol { id: ClientId(id), protocol });
                self.model.other_protocol(id, protocol);
            }
            Action::Operate(who) => {
                let id = self.id(who);
                if self.model.operate(id) {
                    let (id, label) = (ClientId(id), "ops".into());
                    self.apply(Input::Operator { id, label, line_id: None });
                }
            }
            Action::Leave(who, reason) => self.leave(self.id(who), reason),
            Action::Overflow(who, count) => {
                let id = self.id(who);
                self.receivers.entry(id).and_modify(|receiver| receiver.is_stalled = true);
                self.overflow(id, count);
            }
            Action::Reconnect { who, reason, uptime, from, hello } => {
                self.reconnect(self.id(who), reason, uptime, from, hello);
            }
            Action::Stall(who) => {
                if let Some(receiver) = self.receivers.get_mut(&self.id(who)) {
                    receiver.is_stalled = true;
                }
            }
            Action::Read(who, count) => {
                if let Some(receiver) = self.receivers.get_mut(&self.id(who)) {
                    receiver.read(count, &self.log);
                    receiver.is_stalled = count < usize::MAX;
                }
            }
            Action::Advance { uptime, unix_ms, ticks } => {
                self.now = Now { uptime: self.now.uptime + uptime, unix_ms };
                if ticks {
                    self.tick();
                }
            }
            Action::Announce => {
                self.room.broadcast_info("the disk is full");
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

    fn id(&self, ClientRef(who): ClientRef) -> u64 {
        match u64::from(who) {
            who @ 0..192 => self.last.saturating_sub(who % 8),
            who => who - 192,
        }
    }

    fn apply(&mut self, input: Input) {
        // The model has no places of connections that are ending.
        for id in 1..=self.last {
            self.room.release(ClientId(id), self.now);
        }
        self.model.set_time(self.now);
        self.room.apply(input, self.now);
    }

    fn arrive(&mut self, from: Option<u8>) {
        self.last += 1;
        let id = self.last;
        // Ports repeat, as after a disconnect.
        let peer = from.map_or(Peer::Unix(None), |host| {
            let ip = match host {
                0..2 => IpAddr::from([192, 0, 2, host]),
                _ => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host.into()]),
            };
            Peer::Inet(ip, 1000 + (id % 4) as u16)
        });
        self.receivers.insert(id, Receiver::default());
        self.apply(Input::Connect { id: ClientId(id), peer, token: token(id) });
        self.model.arrive(id, peer, token(id));
    }

    fn lines(&mut self, id: u64, line: ScriptLine, times: usize) {
        let line = match line {
            ScriptLine::Raw(bytes) => ClientLine::parse(&bytes),
            ScriptLine::RequestError(code, id) => {
                Err(RequestError { id, ..RequestError::new(code, "no") })
            }
            ScriptLine::Request(request, id) => Ok(ClientLine { id, request }),
            ScriptLine::Hello(hello) => {
                let id = hello.id.clone();
                Ok(ClientLine { id, request: Request::Hello(Box::new(self.hello(hello))) })
            }
        };
        self.line(id, line, times);
    }

    fn line(&mut self, id: u64, line: Result<ClientLine, RequestError>, times: usize) {
        let lines = vec![line; times];
        self.apply(Input::Lines { id: ClientId(id), lines: lines.clone() });
        self.model.lines(id, lines);
    }

    fn reconnect(
        &mut self,
        id: u64,
        reason: Option<DisconnectReason>,
        uptime: Duration,
        from: Option<u8>,
        template: HelloTemplate,
    ) {
        if let Some(reason) = reason {
            self.leave(id, reason);
        }
        self.now.uptime += uptime;
        let mut hello = self.hello(template);
        hello.token = Some(token(id).to_string());
        hello.after =
            hello.after.and(self.receivers.get(&id).and_then(|receiver| receiver.last_seen));
        self.arrive(from);
        let request = Request::Hello(Box::new(hello));
        self.line(self.last, Ok(ClientLine { id: None, request }), 1);
    }

    fn hello(&self, template: HelloTemplate) -> Hello {
        let after = template.after.map(|after| match after {
            ResumePoint::Number(number) => number,
            ResumePoint::Present(past) => self.room.seq() + past,
            ResumePoint::Seen(who, before) => {
                let seen =
                    self.receivers.get(&self.id(who)).and_then(|receiver| receiver.last_seen);
                seen.unwrap_or(0).saturating_sub(before)
            }
        });
        let token = template.token.map(|of| match of {
            TokenTemplate::Of(who) => token(self.id(who)).to_string(),
            TokenTemplate::Text(text) => text.into(),
        });
        Hello {
            name: template.name.map(String::from),
            history: template.history,
            epoch: template.epoch.map(String::from),
            after,
            token,
            password: None,
            keep: template.keep,
            quiet: template.quiet,
        }
    }

    fn leave(&mut self, id: u64, reason: DisconnectReason) {
        self.apply(Input::Disconnect { id: ClientId(id), reason });
        self.model.leave(id, reason);
    }

    /// Delivers a batch to a client whose outbox is full.
    fn overflow(&mut self, id: u64, count: usize) {
        self.seal();
        let Some(receiver) = self.receivers.get_mut(&id).filter(|receiver| !receiver.is_closed)
        else {
            return;
        };
        receiver.read(count, &self.log);
        let (frame, position) = (OwnFrame::Evicted(ByeCode::Slow), self.log.position());
        receiver.expect(ExpectedUnicast { frame, position });
        receiver.evict(ByeCode::Slow, self.room.seq(), &self.log);
        self.leave(id, DisconnectReason::Slow);
    }

    fn tick(&mut self) {
        self.model.set_time(self.now);
        self.room.tick(self.now);
        self.model.tick();
    }

    /// Seals a batch, delivers it, and checks the result.
    fn seal(&mut self) {
        self.pass_expected();
        let batch = self.room.seal();
        assert_eq!(batch.before, self.log.last());
        for line in batch.chunk.split_inclusive(|&b| b == b'\n') {
            let frame = Frame::decode(line).expect("a frame");
            let position = self.log.position().after(&frame);
            self.log.frames.push(LoggedFrame { bytes: line.to_vec(), position });
            self.model.broadcasts.check(self.log.last(), &frame);
        }
        for unicast in &batch.unicasts {
            assert!(self.receivers.contains_key(&unicast.to.0), "{unicast:?} is for no client");
        }
        for (id, receiver) in &mut self.receivers {
            receiver.deliver(ClientId(*id), &batch, &self.log);
            receiver.check_delivered(&self.log);
            assert_eq!(!receiver.is_closed, self.model.clients.contains_key(id), "client {id}");
        }
        self.model.sealed = self.log.last();
        assert!(!self.room.has_unicasts() && self.room.pending_bytes() == 0);
        assert_eq!(self.room.seq(), self.log.last());
        let notice_deadline = self.model.broadcasts.check_sealed(self.model.now);
        for due in [notice_deadline, self.model.silent_deadline()].into_iter().flatten() {
            assert!(self.room.deadline().is_some_and(|deadline| deadline <= due), "a late timer");
        }
    }

    /// Passes the expected frames of the model to the receivers.
    fn pass_expected(&mut self) {
        for (id, unicast) in std::mem::take(&mut self.model.unicasts) {
            self.receivers.get_mut(&id).expect("a client").expect(unicast);
        }
    }

    /// Disconnects all clients, and lets time pass. Checks that then as many clients are admitted
    /// as before, each name is free, and the frames in the history can be resumed.
    fn finish(&mut self) {
        self.seal();
        for id in self.model.clients.keys().copied().collect::<Vec<_>>() {
            self.leave(id, DisconnectReason::Lost(ErrorKind::BrokenPipe));
        }
        self.wait();
        assert_eq!((self.room.client_count(), self.room.deadline()), (0, None));
        for name in VALID_NAMES {
            self.arrive(None);
            let name = Some(name);
            self.lines(
                self.last,
                ScriptLine::Hello(HelloTemplate { name, ..HelloTemplate::default() }),
                1,
            );
            self.leave(self.last, DisconnectReason::Lost(ErrorKind::BrokenPipe));
        }
        for from in [Some(0), Some(1), Some(2), None] {
            for _ in 0..4 {
                self.arrive(from);
            }
        }
        let (epoch, after) = (Some(EPOCH), Some(ResumePoint::Number(0)));
        let template = HelloTemplate { epoch, after, ..HelloTemplate::default() };
        for id in self.model.clients.keys().copied().collect::<Vec<_>>() {
            self.lines(id, ScriptLine::Hello(template.clone()), 1);
        }
        self.wait();
        for receiver in self.receivers.values_mut() {
            receiver.read(usize::MAX, &self.log);
            receiver.check_delivered(&self.log);
        }
        self.act(Action::Shutdown);
        self.arrive(None);
        self.seal();
        assert!(self.room.client_count() == 0);
    }

    fn wait(&mut self) {
        self.seal();
        self.now.uptime += self.log.config.grace + Duration::from_secs(3);
        self.tick();
        self.seal();
        self.check();
    }

    fn check(&mut self) {
        self.pass_expected();
        assert_eq!(self.room.client_count(), self.model.clients.len());
        assert_eq!(self.room.client_count() == 0, self.model.clients.is_empty());
        let config = &self.log.config;
        assert!(self.room.client_count() <= config.max_clients + config.max_visitors());
        assert!(self.room.seq() >= self.log.last());
    }
}

fn token(id: u64) -> Token {
    let mut token = [0xa5; 16];
    token[4..12].copy_from_slice(&id.to_be_bytes());
    Token(token)
}
