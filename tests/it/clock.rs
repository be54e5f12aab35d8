//! A wall clock that jumps by days: only the `time` of frames depends on it.
//!
//! The room receives the time as an argument, so no test has to set the clock of the machine.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;
use smolchat::protocol::ClientLine;
use smolchat::room::{
    ClientId, Config, DisconnectReason, Input, Now, Op, Peer, Room, Slice, Token,
};

const START: u64 = 1_790_000_000_000;
const DAY: u64 = 24 * 3600 * 1000;
/// Enough members for join and leave notices to be delayed.
const CROWD: u64 = 70;

/// An event of a room; clients are counted back from the newest.
#[derive(Clone, Debug)]
enum Step {
    Arrive,
    Line(u64, &'static str),
    /// Resumes after a number, with the token of the client before.
    Resume(u64, u64),
    /// Leaves, with an error if true.
    Leave(u64, bool),
    /// Lets milliseconds pass.
    Wait(u64),
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
const CHAT: &str = LINES[2];
const WHO: &str = LINES[6];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Arrive),
        6 => (0..8u64, prop::sample::select(&LINES[..])).prop_map(|(id, line)| Step::Line(id, line)),
        1 => (0..8u64, 0..20u64).prop_map(|(id, after)| Step::Resume(id, after)),
        2 => (0..8u64, any::<bool>()).prop_map(|(id, is_lost)| Step::Leave(id, is_lost)),
        2 => (0..90_000u64).prop_map(Step::Wait),
    ]
}

/// Returns times up to a day before or after the start, and times of a machine without a clock.
fn wall_clock() -> impl Strategy<Value = u64> {
    prop_oneof![4 => START - DAY..=START + DAY, 1 => 0..DAY]
}

/// A room with its clock.
struct TimedRoom {
    room: Room,
    clients: u64,
    now: Now,
}

/// The output of one step.
struct Output {
    /// Frames without their `time`, log lines, and the state of the room.
    lines: Vec<String>,
    /// The `time` of each frame.
    times: Vec<u64>,
}

impl TimedRoom {
    /// Returns a room with [`CROWD`] members.
    fn new() -> Self {
        let mut config = Config::default();
        config.history = 20;
        config.max_clients = CROWD as usize + 6;
        config.connect_rate = 1;
        config.connect_burst = 3;
        let now = Now { uptime: Duration::ZERO, unix_ms: START };
        let mut room = TimedRoom { room: Room::new(config, "epoch".into()), clients: 0, now };
        for _ in 0..CROWD {
            room.arrive(Peer::Unix(None));
            room.run(&Step::Line(0, WHO), START);
        }
        room
    }

    fn arrive(&mut self, peer: Peer) {
        self.clients += 1;
        let token = Token([self.clients as u8; 16]);
        let input = Input::Connect { id: ClientId(self.clients), peer, token };
        self.room.apply(input, self.now);
    }

    /// Runs a step at a time of the wall clock.
    fn run(&mut self, step: &Step, unix_ms: u64) -> Output {
        self.now.unix_ms = unix_ms;
        if let Some(input) = self.input(step) {
            self.room.apply(input, self.now);
        }
        self.room.tick(self.now);
        let batch = self.room.seal();

        let mut output = Output { lines: Vec::new(), times: Vec::new() };
        output.add_frames(&batch.chunk);
        for unicast in &batch.unicasts {
            if let Op::Send(slice) = &unicast.op {
                output.add_frames(slice.bytes());
            }
        }
        for unicast in batch.unicasts {
            let op = match unicast.op {
                Op::Send(slice) => format!("{} frames", Slice::frames(&slice)),
                // Offsets in the chunk depend on the number of digits of the time.
                Op::Repeat(..) => "repeat".into(),
                Op::StartLive(start) => format!("start live after {}", start.before),
                other => format!("{other:?}"),
            };
            output.lines.push(format!("to {:?}: {op}", unicast.to));
        }
        output.lines.extend(batch.log.into_iter().map(|(level, text)| format!("{level:?} {text}")));
        let state = (self.room.seq(), self.room.client_count(), batch.before, self.room.deadline());
        output.lines.push(format!("{state:?}"));
        output
    }

    fn input(&mut self, step: &Step) -> Option<Input> {
        let newest = self.clients;
        let id = |back: u64| ClientId(newest.saturating_sub(back));
        let line = |back, line: &str| {
            let lines = vec![ClientLine::parse(line.as_bytes())];
            Some(Input::Lines { id: id(back), lines })
        };
        match step {
            Step::Arrive => {
                self.arrive(Peer::Inet([192, 0, 2, 1].into(), 1000 + self.clients as u16));
                None
            }
            Step::Line(back, text) => line(*back, text),
            Step::Resume(back, after) => {
                let token = Token([id(*back).0.saturating_sub(1) as u8; 16]);
                let hello = format!(
                    r#"{{"hello":{{"epoch":"epoch","after":{after},"token":"{token}","keep":true}}}}"#
                );
                line(*back, &hello)
            }
            Step::Leave(back, is_lost) => {
                let lost = DisconnectReason::Lost(std::io::ErrorKind::ConnectionReset);
                let reason = if *is_lost { lost } else { DisconnectReason::Finished };
                Some(Input::Disconnect { id: id(*back), reason })
            }
            Step::Wait(ms) => {
                self.now.uptime += Duration::from_millis(*ms);
                None
            }
        }
    }
}

impl Output {
    fn add_frames(&mut self, bytes: &[u8]) {
        for line in std::str::from_utf8(bytes).unwrap().lines() {
            let (line, time) = split_time(line);
            self.lines.push(line);
            self.times.extend(time);
        }
    }
}

/// Returns a frame without its `time`, and the time.
fn split_time(line: &str) -> (String, Option<u64>) {
    let frame: Value = serde_json::from_str(line).unwrap();
    let Some(time) = frame.get("time") else { return (line.into(), None) };
    let text = format!(r#""time":{time}"#);
    assert_eq!(line.matches(&text).count(), 1, "{line}");
    (line.replace(&text, r#""time":"#), time.as_u64())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn jumping_clock_changes_only_the_times(
        steps in prop::collection::vec((step(), wall_clock()), 1..120),
    ) {
        let (mut steady, mut jumping) = (TimedRoom::new(), TimedRoom::new());
        let mut times = vec![START];
        for (step, time) in steps {
            times.push(time);
            let expected = steady.run(&step, START);
            let output = jumping.run(&step, time);
            prop_assert_eq!(output.lines, expected.lines);
            // A frame that is sent again has the time of the first time.
            for time in output.times {
                prop_assert!(times.contains(&time), "the clock was never at {}", time);
            }
        }
    }
}

#[test]
fn frame_after_backward_jump_has_earlier_time() {
    let mut room = TimedRoom::new();
    room.run(&Step::Arrive, START);
    for time in [START, START + DAY, START - DAY, 0, u64::MAX, START] {
        let output = room.run(&Step::Line(0, CHAT), time);
        assert_eq!(output.times.last(), Some(&time), "{:?}", output.lines);
    }
}
