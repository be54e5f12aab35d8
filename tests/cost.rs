//! What a delivery costs, counted instead of timed.
//!
//! The broadcaster is run on sockets that keep packets apart (`SOCK_SEQPACKET`), so that what a
//! member receives tells with how many system calls it was sent.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests state what they expect")]

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use async_channel::Sender;
use futures_lite::future::yield_now;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};
use smol::{Async, LocalExecutor};
use smolchat::protocol::ClientLine;
use smolchat::room::{ClientId, Input, Peer};
use smolchat::server::{Broadcaster, Config, Event};

/// Events that may wait, as in the server.
const SIGNALS: usize = 256;

/// A broadcaster and the far ends of its members' sockets.
struct Hall {
    executor: Rc<LocalExecutor<'static>>,
    events: Sender<Event>,
    members: Vec<OwnedFd>,
}

impl Hall {
    fn with(members: u64) -> Self {
        let executor = Rc::new(LocalExecutor::new());
        let (events, received) = async_channel::bounded(SIGNALS);
        let mut config = Config::default();
        config.outbox = 1 << 20;
        config.room.history = 10;
        let channel = (events.clone(), received);
        let broadcaster = Broadcaster::new(config, channel, Rc::downgrade(&executor)).unwrap();
        executor.spawn(broadcaster.run()).detach();
        let mut hall = Hall { executor, events, members: Vec::new() };
        for id in 1..=members {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let (near, far) =
                socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
            let id = ClientId(id);
            let socket = Arc::new(Async::new(near).unwrap());
            let arrived = Event::Connected { id, peer: Peer::Unix, socket };
            hall.events.try_send(arrived).unwrap();
            hall.members.push(far);
            hall.say(id, 1, "");
            hall.settle();
            hall.packets();
        }
        hall
    }

    fn say(&self, id: ClientId, lines: usize, text: &str) {
        let lines = vec![ClientLine::parse(text.as_bytes()); lines];
        self.events.try_send(Event::Input { input: Input::Lines { id, lines }, bytes: 0 }).unwrap();
    }

    /// Lets the broadcaster do all that there is to do.
    fn settle(&self) {
        smol::block_on(self.executor.run(async {
            while !self.events.is_empty() {
                yield_now().await;
            }
        }));
    }

    /// How many packets each member has received, and how many frames in them.
    fn packets(&self) -> Vec<(usize, usize)> {
        let mut buffer = vec![0; 1 << 20];
        let received = self.members.iter().map(|member| {
            let (mut packets, mut frames) = (0, 0);
            while let Ok((length, _)) = recv(member, &mut *buffer, RecvFlags::DONTWAIT) {
                packets += 1;
                frames += buffer[..length].iter().filter(|&&b| b == b'\n').count();
            }
            (packets, frames)
        });
        received.collect()
    }
}

#[test]
fn a_delivery_allocates_nothing() {
    let allocations = |members| {
        let hall = Hall::with(members);
        let count = |rounds| {
            let measured = allocation_counter::measure(|| {
                for _ in 0..rounds {
                    hall.say(ClientId(1), 4, "a line of some length, as people write them");
                    hall.settle();
                }
            });
            for (_, frames) in hall.packets() {
                assert_eq!(frames, rounds * 4);
            }
            measured.count_total
        };
        // Whatever grows once has grown after the first.
        count(20);
        count(20)
    };
    let (few, many) = (allocations(5), allocations(50));
    assert!(few > 0, "nothing was counted at all");
    // The executor's queue grows by a block now and then, whoever is in the room.
    assert!(many.abs_diff(few) < 10, "{few} for 400 deliveries, and {many} for 4,000");
}

#[test]
fn in_a_flood_many_lines_share_a_system_call() {
    let hall = Hall::with(20);
    for _ in 0..SIGNALS {
        hall.say(ClientId(7), 4, &"x".repeat(64));
    }
    hall.settle();
    for (packets, frames) in hall.packets() {
        assert_eq!(frames, SIGNALS * 4);
        assert!(packets * 200 <= frames, "{packets} system calls for {frames} frames");
    }
}

#[test]
fn what_is_for_one_member_is_written_to_nobody_else() {
    let hall = Hall::with(20);
    hall.say(ClientId(7), 1, "/who");
    hall.settle();
    let received = hall.packets();
    assert_eq!(received.iter().map(|(packets, _)| packets).sum::<usize>(), 1);
    assert_eq!(received[6], (1, 1));
}

#[test]
fn frames_for_one_and_frames_for_all_go_out_together() {
    let hall = Hall::with(3);
    hall.say(ClientId(1), 1, "before");
    hall.say(ClientId(2), 1, "/who");
    hall.say(ClientId(3), 1, "after");
    hall.settle();
    assert_eq!(hall.packets(), [(1, 2), (1, 3), (1, 2)]);
}
