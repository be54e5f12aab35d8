//! Counts the system calls and allocations of a delivery.
//!
//! A binary of its own: the executor of these tests also handles the I/O events of all other
//! sockets in the process, so that other tests would add allocations to the count. The allocator
//! that counts is global, too.
//!
//! The members' sockets keep packets apart (`SOCK_SEQPACKET`): a packet is one system call.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed expectation is a failed test"
)]

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use async_channel::Sender;
use futures_lite::future::yield_now;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};
use smol::{Async, LocalExecutor};
use smolchat::protocol::ClientLine;
use smolchat::room::{ClientId, Input, Peer};
use smolchat::server::{Broadcaster, Config, Event, ListenerProtocol};

/// The capacity of the events channel, as in the server.
const EVENTS: usize = 256;

/// A broadcaster, and the members' ends of their sockets.
struct RoomHarness {
    executor: Rc<LocalExecutor<'static>>,
    events: Sender<Event>,
    members: Vec<OwnedFd>,
}

impl RoomHarness {
    fn with_members(count: u64) -> Self {
        let executor = Rc::new(LocalExecutor::new());
        let (events, received) = async_channel::bounded(EVENTS);
        let mut config = Config::default();
        config.outbox = 1 << 20;
        config.room.history = 10;
        let channel = (events.clone(), received);
        let broadcaster = Broadcaster::new(config, channel, Rc::downgrade(&executor)).unwrap();
        executor.spawn(broadcaster.run()).detach();
        let mut harness = RoomHarness { executor, events, members: Vec::new() };
        for id in 1..=count {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let (near, far) =
                socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
            let id = ClientId(id);
            let socket = Arc::new(Async::new(near).unwrap());
            let arrived = Event::Connected {
                id,
                peer: Peer::Unix(None),
                socket,
                protocol: ListenerProtocol::Chat,
                refusal: None,
            };
            harness.events.try_send(arrived).unwrap();
            harness.members.push(far);
            harness.send_lines(id, 1, r#"{"hello":{}}"#);
            harness.run_until_idle();
            harness.receive();
        }
        harness
    }

    fn send_lines(&self, id: ClientId, count: usize, text: &str) {
        let lines = vec![ClientLine::parse(text.as_bytes()); count];
        let input = Input::Lines { id, lines };
        self.events.try_send(Event::Input { input, bytes: 0, answer: None }).unwrap();
    }

    /// Runs the broadcaster until it has handled all events.
    fn run_until_idle(&self) {
        smol::block_on(self.executor.run(async {
            while !self.events.is_empty() {
                yield_now().await;
            }
        }));
    }

    /// Returns the numbers of packets and of frames that each member has received.
    fn receive(&self) -> Vec<(usize, usize)> {
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
fn delivery_allocates_nothing() {
    let allocations = |members| {
        let harness = RoomHarness::with_members(members);
        let count = |rounds| {
            let measured = allocation_counter::measure(|| {
                for _ in 0..rounds {
                    harness.send_lines(ClientId(1), 4, "a line of a usual length, again and again");
                    harness.run_until_idle();
                }
            });
            for (_, frames) in harness.receive() {
                assert_eq!(frames, rounds * 4);
            }
            measured.count_total
        };
        // The first rounds make the allocations that are made once.
        count(20);
        count(20)
    };
    let (few, many) = (allocations(5), allocations(50));
    assert!(few > 0, "nothing was counted");
    // The queue of the executor grows now and then, for any number of members.
    assert!(many.abs_diff(few) < 10, "{few} for 400 deliveries, {many} for 4,000");
}

#[test]
fn lines_of_a_flood_share_system_calls() {
    let harness = RoomHarness::with_members(20);
    for _ in 0..EVENTS {
        harness.send_lines(ClientId(7), 4, &"x".repeat(64));
    }
    harness.run_until_idle();
    for (packets, frames) in harness.receive() {
        assert_eq!(frames, EVENTS * 4);
        assert!(packets * 200 <= frames, "{packets} system calls for {frames} frames");
    }
}

#[test]
fn frame_for_one_member_is_one_system_call() {
    let harness = RoomHarness::with_members(20);
    harness.send_lines(ClientId(7), 1, "/who");
    harness.run_until_idle();
    let received = harness.receive();
    assert_eq!(received.iter().map(|(packets, _)| packets).sum::<usize>(), 1);
    assert_eq!(received[6], (1, 1));
}

#[test]
fn frames_for_one_and_for_all_share_a_system_call() {
    let harness = RoomHarness::with_members(3);
    harness.send_lines(ClientId(1), 1, "before");
    harness.send_lines(ClientId(2), 1, "/who");
    harness.send_lines(ClientId(3), 1, "after");
    harness.run_until_idle();
    assert_eq!(harness.receive(), [(1, 2), (1, 3), (1, 2)]);
}
