//! What a member does next, drawn from a generator of its own: a seed repeats the script.

use std::time::Duration;

/// SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>).
pub struct Rng(u64);

impl Rng {
    /// One of the generators of a seed; each `stream` has nothing to do with the others.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut rng = Rng(seed ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93));
        rng.next();
        rng
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to below `high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low) as u64) as usize
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.between(0, times) == 0
    }

    /// A time from `low` to below `high` milliseconds.
    pub fn pause(&mut self, low: usize, high: usize) -> Duration {
        Duration::from_millis(self.between(low, high) as u64)
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.between(0, all.len())]
    }
}

/// How a connection comes to its end.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// By a reset (over TCP).
    Reset,
    /// By closing the socket.
    Close,
    /// By a reset in the middle of a line.
    InsideLine,
    /// By closing the way out alone, and hearing the server out.
    HalfClose,
    /// The same in the middle of a line.
    HalfCloseInsideLine,
    /// By a reset, and then another right behind the next hello, so that its welcome is lost.
    BehindHello,
}

/// One thing that a member does.
#[derive(Debug)]
pub enum Step {
    /// Says lines of about so many bytes.
    Say { lines: usize, bytes: usize },
    /// `/me`
    Act,
    /// `/nick`
    Nick,
    /// Tells one member; the number says which.
    Private(usize),
    /// Asks for what only the asker gets: `/history`, `/help`, `/who`, a heartbeat.
    Ask(Question),
    /// Sends this many lines that are wrong; the number says of which kind the first is.
    Garbage { kind: usize, lines: usize },
    /// Does not read for a while.
    Stall(Duration),
    /// Says lines, is cut off, and comes back.
    Cut { how: Cut, talk: usize, away: Duration, keep: bool },
    /// Says lines, and takes its own place on another connection.
    TakeOver { talk: usize },
    /// Leaves by `/quit`, and comes back as if it had never been here.
    Quit { away: Duration, history: usize },
}

/// What a member asks.
#[derive(Clone, Copy, Debug)]
pub enum Question {
    /// `/history N`
    History(usize),
    /// `/help`
    Help,
    /// Empty `data` with an `id`
    Heartbeat,
}

impl Step {
    /// The next step of a script.
    pub fn draw(rng: &mut Rng) -> Self {
        let keep = !rng.once_in(3);
        let talk = rng.between(0, 4);
        // Most come back soon; some after more was said than is kept.
        let away = match rng.between(0, 10) {
            0..5 => rng.pause(0, 50),
            5..9 => rng.pause(50, 3_000),
            _ => rng.pause(8_000, 25_000),
        };
        match rng.between(0, 100) {
            0..42 => Step::Say { lines: 1, bytes: rng.between(0, 200) },
            42..45 => Step::Say { lines: rng.between(5, 40), bytes: rng.between(100, 1_500) },
            45..49 => Step::Act,
            49..53 => Step::Nick,
            53..61 => Step::Private(rng.between(0, usize::MAX)),
            61..64 => Step::Ask(Question::History(rng.between(0, 60))),
            64..66 => Step::Ask(rng.pick(&[Question::Help, Question::Heartbeat])),
            66..72 => Step::Garbage { kind: rng.between(0, 100), lines: rng.between(1, 4) },
            72..76 => Step::Stall(rng.pause(500, 30_000)),
            76..91 => {
                let how = [
                    Cut::Reset,
                    Cut::Close,
                    Cut::InsideLine,
                    Cut::HalfClose,
                    Cut::HalfCloseInsideLine,
                    Cut::BehindHello,
                ];
                Step::Cut { how: rng.pick(&how), talk, away, keep }
            }
            91..96 => Step::TakeOver { talk },
            _ => Step::Quit { away, history: rng.between(0, 30) },
        }
    }
}
