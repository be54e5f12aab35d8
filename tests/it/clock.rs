//! A wall clock that jumps, by days and back again: nothing depends on it but the time that frames
//! tell.
//!
//! A test cannot set the clock of the machine, and a name space of its own for it takes rights
//! that few have. But the room reads no clock, it is told the time: so what a jump does to it can
//! be tried without one.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;
use smolchat::protocol::ClientLine;
use smolchat::room::{
    Config, DisconnectReason, Input, MemberId, Now, Op, Peer, Room, Slice, Token,
};

const START: u64 = 1_790_000_000_000;
const DAY: u64 = 24 * 3600 * 1000;
/// Members with whom notices wait for one another.
const CROWD: u64 = 70;

/// What happens next to a room of a few who come and go.
#[derive(Clone, Debug)]
enum Act {
    Arrive,
    Say(u64, &'static str),
    /// Comes back with its token, the number that it saw last, and the room's epoch.
    Return(u64, u64),
    Leave(u64, bool),
    Pass(u64),
}

const LINES: [&str; 9] = [
    r#"{"hello":{"name":"alice","keep":true}}"#,
    r#"{"hello":{"name":"bob","history":5}}"#,
    r#"{"data":"hello","id":"1"}"#,
    "/nick carol",
    "/history 10",
    "/msg alice psst",
    "/who",
    "/quit",
    "/nonsense",
];

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => Just(Act::Arrive),
        6 => (0..8u64, prop::sample::select(&LINES[..])).prop_map(|(who, line)| Act::Say(who, line)),
        1 => (0..8u64, 0..20u64).prop_map(|(who, after)| Act::Return(who, after)),
        2 => (0..8u64, any::<bool>()).prop_map(|(who, lost)| Act::Leave(who, lost)),
        2 => (0..90_000u64).prop_map(Act::Pass),
    ]
}

/// A day ahead or back at each step, or where a machine stands that has lost the time.
fn wall_clock() -> impl Strategy<Value = u64> {
    prop_oneof![4 => START - DAY..=START + DAY, 1 => 0..DAY]
}

/// A room, the last number it gave a client, and the wall clock by which it lives.
struct Life {
    room: Room,
    clients: u64,
    now: Now,
}

impl Life {
    /// One that is a crowd already, whose notices have to wait, and that lets nobody hurry in.
    fn new() -> Self {
        let rules = Config {
            history: 20,
            max_clients: CROWD as usize + 6,
            connect_rate: 1,
            connect_burst: 3,
            ..Config::default()
        };
        let now = Now { uptime: Duration::ZERO, unix_ms: START };
        let room = Room::new(rules, "epoch".into());
        let mut life = Life { room, clients: 0, now };
        for _ in 0..CROWD {
            life.arrive(Peer::Unix);
            life.unicast(&Act::Say(0, LINES[6]), START);
        }
        life
    }

    fn arrive(&mut self, peer: Peer) {
        self.clients += 1;
        let token = Token([self.clients as u8; 16]);
        let event = Input::Arrive { id: MemberId(self.clients), peer, token };
        self.room.apply(event, self.now);
    }

    /// Lets something happen at a time that the wall clock makes that of `unix_ms`, and returns
    /// all that came of it: the frames for all and those for some, with the `time` that each
    /// tells taken out of it, and those times.
    fn unicast(&mut self, act: &Act, unix_ms: u64) -> (Vec<String>, Vec<u64>) {
        self.now.unix_ms = unix_ms;
        // The newest eight are of interest; the others are the crowd, or gone.
        let newest = self.clients;
        let id = |who: u64| MemberId(newest.saturating_sub(who));
        let say = |who, line: &str| {
            let lines = vec![ClientLine::parse(line.as_bytes())];
            Input::Lines { id: id(who), lines }
        };
        let event = match act {
            Act::Arrive => {
                self.arrive(Peer::Inet([192, 0, 2, 1].into(), 1000 + self.clients as u16));
                None
            }
            Act::Say(who, line) => Some(say(*who, line)),
            Act::Return(who, after) => {
                let token = Token([id(*who).0.saturating_sub(1) as u8; 16]);
                let hello = format!(
                    r#"{{"hello":{{"epoch":"epoch","after":{after},"token":"{token}","keep":true}}}}"#
                );
                Some(say(*who, &hello))
            }
            Act::Leave(who, lost) => {
                let lost_link = DisconnectReason::Lost(std::io::ErrorKind::ConnectionReset);
                let reason = if *lost { lost_link } else { DisconnectReason::Finished };
                Some(Input::Leave { id: id(*who), reason })
            }
            Act::Pass(ms) => {
                self.now.uptime += Duration::from_millis(*ms);
                None
            }
        };
        if let Some(event) = event {
            self.room.apply(event, self.now);
        }
        self.room.tick(self.now);
        let batch = self.room.seal();

        let (mut told, mut times) = (Vec::new(), Vec::new());
        let mut take = |bytes: &[u8]| {
            for line in std::str::from_utf8(bytes).unwrap().lines() {
                let (line, time) = without_time(line);
                told.push(line);
                times.extend(time);
            }
        };
        take(&batch.chunk);
        for unicast in &batch.unicasts {
            if let Op::Send(slice) = &unicast.op {
                take(slice.bytes());
            }
        }
        for unicast in batch.unicasts {
            let what = match unicast.op {
                Op::Send(slice) => format!("{} frames", Slice::frames(&slice)),
                // Places in the chunk differ where a time has more digits; their order does not.
                Op::Repeat(..) => "again".into(),
                Op::StartLive { before, .. } => format!("open after {before}"),
                other => format!("{other:?}"),
            };
            told.push(format!("to {:?}: {what}", unicast.to));
        }
        told.extend(batch.log.into_iter().map(|(level, text)| format!("{level} {text}")));
        let state = (self.room.seq(), self.room.len(), batch.before, self.room.deadline());
        told.push(format!("{state:?}"));
        (told, times)
    }
}

fn without_time(line: &str) -> (String, Option<u64>) {
    let frame: Value = serde_json::from_str(line).unwrap();
    let Some(time) = frame.get("time") else { return (line.into(), None) };
    let text = format!(r#""time":{time}"#);
    assert_eq!(line.matches(&text).count(), 1, "{line}");
    (line.replace(&text, r#""time":"#), time.as_u64())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn a_room_whose_clock_jumps_does_the_same_as_one_whose_clock_does_not(
        acts in prop::collection::vec((act(), wall_clock()), 1..120),
    ) {
        let (mut steady, mut jumping) = (Life::new(), Life::new());
        let mut jumps = vec![START];
        for (act, time) in acts {
            jumps.push(time);
            let (expected, _) = steady.unicast(&act, START);
            let (told, times) = jumping.unicast(&act, time);
            prop_assert_eq!(told, expected);
            // What is shown again tells the time it told before.
            for time in times {
                prop_assert!(jumps.contains(&time), "{} is no time it ever was", time);
            }
        }
    }
}

#[test]
fn the_time_of_a_frame_is_the_wall_clocks_even_where_that_went_back() {
    let mut life = Life::new();
    life.unicast(&Act::Arrive, START);
    for time in [START, START + DAY, START - DAY, 0, u64::MAX, START] {
        let (told, times) = life.unicast(&Act::Say(0, LINES[2]), time);
        assert_eq!(times.last(), Some(&time), "{told:?}");
    }
}
