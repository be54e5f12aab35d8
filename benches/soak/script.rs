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
    pub fn one_in(&mut self, times: usize) -> bool {
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
pub enum DisconnectKind {
    /// By a reset (over TCP).
    Reset,
    /// By closing the socket.
    Close,
    /// By a reset in the middle of a line.
    ResetInLine,
    /// By closing the way out alone, and hearing the server out.
    HalfClose,
    /// The same in the middle of a line.
    HalfCloseInLine,
    /// By a reset, and then another right behind the next hello, so that its welcome is lost.
    ResetAfterHello,
}

/// One thing that a member does.
#[derive(Debug)]
pub enum Action {
    /// Says lines of about so many bytes.
    Chat { lines: usize, bytes: usize },
    /// `/me`
    Emote,
    /// `/nick`
    Nick,
    /// Tells one member; the number says which.
    Private(usize),
    /// Asks for what only the asker gets: `/history`, `/help`, `/who`, a heartbeat.
    Query(Query),
    /// Sends this many lines that are wrong; the number says of which kind the first is.
    InvalidLines { kind: usize, lines: usize },
    /// Does not read for a while.
    Stall(Duration),
    /// Says lines, is cut off, and comes back.
    Disconnect { how: DisconnectKind, lines_before: usize, away: Duration, keep: bool },
    /// Says lines, and takes its own place on another connection.
    TakeOver { lines_before: usize },
    /// Leaves by `/quit`, and comes back as if it had never been here.
    Quit { away: Duration, history: usize },
}

/// What a member asks.
#[derive(Clone, Copy, Debug)]
pub enum Query {
    /// `/history N`
    History(usize),
    /// `/help`
    Help,
    /// Empty `data` with an `id`
    Heartbeat,
}

impl Action {
    /// The next step of a script.
    pub fn draw(rng: &mut Rng) -> Self {
        let keep = !rng.one_in(3);
        let lines_before = rng.between(0, 4);
        // Most come back soon; some after more was said than is kept.
        let away = match rng.between(0, 10) {
            0..5 => rng.pause(0, 50),
            5..9 => rng.pause(50, 3_000),
            _ => rng.pause(8_000, 25_000),
        };
        match rng.between(0, 100) {
            0..42 => Action::Chat { lines: 1, bytes: rng.between(0, 200) },
            42..45 => Action::Chat { lines: rng.between(5, 40), bytes: rng.between(100, 1_500) },
            45..49 => Action::Emote,
            49..53 => Action::Nick,
            53..61 => Action::Private(rng.between(0, usize::MAX)),
            61..64 => Action::Query(Query::History(rng.between(0, 60))),
            64..66 => Action::Query(rng.pick(&[Query::Help, Query::Heartbeat])),
            66..72 => Action::InvalidLines { kind: rng.between(0, 100), lines: rng.between(1, 4) },
            72..76 => Action::Stall(rng.pause(500, 30_000)),
            76..91 => {
                let how = [
                    DisconnectKind::Reset,
                    DisconnectKind::Close,
                    DisconnectKind::ResetInLine,
                    DisconnectKind::HalfClose,
                    DisconnectKind::HalfCloseInLine,
                    DisconnectKind::ResetAfterHello,
                ];
                Action::Disconnect { how: rng.pick(&how), lines_before, away, keep }
            }
            91..96 => Action::TakeOver { lines_before },
            _ => Action::Quit { away, history: rng.between(0, 30) },
        }
    }
}
