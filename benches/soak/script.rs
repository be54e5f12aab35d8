//! The random scripts of the clients. A seed repeats them.

use std::time::Duration;

/// A SplitMix64 generator (<https://prng.di.unimi.it/splitmix64.c>).
pub struct Rng(u64);

impl Rng {
    /// Returns one of the generators of a seed. Generators of different streams are independent.
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

    /// Returns a number from `low` to below `high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low) as u64) as usize
    }

    /// Returns true with a probability of one in `count`.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.between(0, count) == 0
    }

    /// Returns a duration from `low` to below `high` milliseconds.
    pub fn millis(&mut self, low: usize, high: usize) -> Duration {
        Duration::from_millis(self.between(low, high) as u64)
    }

    /// Returns one of several values.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.between(0, all.len())]
    }
}

/// How a member ends a connection.
#[derive(Clone, Copy, Debug)]
pub enum DisconnectKind {
    /// A reset (over TCP).
    Reset,
    /// A close of the socket.
    Close,
    /// A reset inside a line.
    ResetInLine,
    /// A close of the sending direction; the member reads to the end.
    HalfClose,
    /// The same inside a line.
    HalfCloseInLine,
    /// A reset, and another one after the next hello, so that its welcome is lost.
    ResetAfterHello,
}

/// One action of a member.
#[derive(Debug)]
pub enum Action {
    /// Sends lines of about `bytes` bytes.
    Chat { lines: usize, bytes: usize },
    /// Sends `/me`.
    Emote,
    /// Sends `/nick`.
    Nick,
    /// Sends a private message to the member with this number, modulo the number of members.
    Private(usize),
    /// Sends a query, which only the member itself gets a reply to.
    Query(Query),
    /// Sends invalid lines, of which `kind` is the first one.
    InvalidLines { kind: usize, lines: usize },
    /// Reads nothing for some time.
    Stall(Duration),
    /// Sends lines, disconnects, and reconnects after `away`.
    Disconnect { how: DisconnectKind, lines_before: usize, away: Duration, keep_name: bool },
    /// Sends lines, and takes over its own session on another connection.
    TakeOver { lines_before: usize },
    /// Leaves with `/quit`, and joins as a new member after `away`.
    Quit { away: Duration, history_frames: usize },
}

/// A query with a reply to its sender only.
#[derive(Clone, Copy, Debug)]
pub enum Query {
    /// `/history N`.
    History(usize),
    /// `/help`.
    Help,
    /// Empty `data` with an `id`.
    Heartbeat,
}

impl Action {
    /// Returns the next action of a script.
    pub fn draw(rng: &mut Rng) -> Self {
        let keep_name = !rng.one_in(3);
        let lines_before = rng.between(0, 4);
        // Most reconnect soon; some after more frames than the history has.
        let away = match rng.between(0, 10) {
            0..5 => rng.millis(0, 50),
            5..9 => rng.millis(50, 3_000),
            _ => rng.millis(8_000, 25_000),
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
            72..76 => Action::Stall(rng.millis(500, 30_000)),
            76..91 => {
                let how = rng.pick(&[
                    DisconnectKind::Reset,
                    DisconnectKind::Close,
                    DisconnectKind::ResetInLine,
                    DisconnectKind::HalfClose,
                    DisconnectKind::HalfCloseInLine,
                    DisconnectKind::ResetAfterHello,
                ]);
                Action::Disconnect { how, lines_before, away, keep_name }
            }
            91..96 => Action::TakeOver { lines_before },
            _ => Action::Quit { away, history_frames: rng.between(0, 30) },
        }
    }
}
