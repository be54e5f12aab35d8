//! What may happen to a room, made from plain bytes, so that a fuzzer and proptest share it.

use std::io::ErrorKind;
use std::time::Duration;

use smolchat::protocol::{ErrorCode, OtherProtocol, Request};
use smolchat::room::{Config, DisconnectReason};

/// Each action is made from so many bytes: one that is cut out or put in leaves the others alone.
pub const BLOCK: usize = 16;

/// The rules of a room, and what happens in it.
#[derive(Debug)]
pub struct Script {
    pub rules: Config,
    pub actions: Vec<Action>,
}

#[derive(Clone, Debug)]
pub enum Action {
    /// From an address, or over a unix socket.
    Arrive(Option<u8>),
    /// So many that notices are gathered.
    Crowd,
    Lines(Who, Line, usize),
    OtherProtocol(Who, OtherProtocol),
    Leave(Who, DisconnectReason),
    /// It dropped perhaps, some time passed, and it comes back with what it had.
    ComeBack {
        who: Who,
        reason: Option<DisconnectReason>,
        uptime: Duration,
        from: Option<u8>,
        hello: Greeting,
    },
    /// It reads so much of a batch and no more, and more waits for it than may.
    Overflow(Who, usize),
    /// It reads no more, or so many bytes of what waits for it.
    Stall(Who),
    Read(Who, usize),
    Pass {
        uptime: Duration,
        unix_ms: u64,
        ticks: bool,
    },
    Announce,
    Shutdown,
    Seal,
}

/// A client, be it here, gone or not yet there: up to 191 one of the last eight that came, counted
/// back from the last; from 192 on one of the first that came, of which 193 is the very first.
#[derive(Clone, Copy, Debug)]
pub struct Who(pub u8);

#[derive(Clone, Debug)]
pub enum Line {
    Hello(Greeting),
    Request(Request, Option<Box<str>>),
    RequestError(ErrorCode, Option<Box<str>>),
    Raw(Vec<u8>),
}

/// A hello, of which some is known only when it is said.
#[derive(Clone, Debug, Default)]
pub struct Greeting {
    pub name: Option<&'static str>,
    pub history: Option<u64>,
    pub epoch: Option<&'static str>,
    pub after: Option<After>,
    pub proof: Option<Proof>,
    pub keep: bool,
    pub id: Option<Box<str>>,
}

#[derive(Clone, Copy, Debug)]
pub enum After {
    Number(u64),
    /// What a client was sent last, or the one before that.
    Seen(Who, u64),
    /// The present, or so much past it.
    Present(u64),
}

#[derive(Clone, Copy, Debug)]
pub enum Proof {
    TokenOf(Who),
    Other(&'static str),
}

pub const EPOCH: &str = "epoch";
/// Names to ask for that are good, if not for everybody at once.
pub const NAMES: [&str; 13] = [
    "alice",
    "bob",
    "carol",
    "ALICE",
    "alice-2",
    "Bob",
    "straße",
    "STRASSE",
    "guest-1001",
    "guest-1",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-2",
    "小明",
];
/// Names that nobody is ever called.
pub const NO_NAMES: [&str; 8] = [
    "",
    "server",
    "SERVER",
    "s\u{435}rver",
    "two words",
    "\u{301}",
    "a\u{200b}",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];
/// What a raw line is put together from, besides ASCII.
const PIECES: [&[u8]; 25] = [
    b"{\"data\":\"",
    b"\",\"id\":\"",
    b"\",\"to\":\"",
    b"\"}",
    b"{\"hello\":{\"name\":\"",
    b"\",\"keep\":true",
    b",\"history\":",
    b"}}",
    b"{\"hello\":{}}",
    b"/nick ",
    b"/msg ",
    b"/me ",
    b"/who",
    b"/history ",
    b"/quit",
    b"/stats",
    b"/help",
    b"alice",
    b"bob ",
    b"guest-1001",
    b"\\u0000\\n\\\"",
    "\u{2028}é".as_bytes(),
    b"\xff",
    b"\xc3",
    b"18446744073709551615",
];

impl Script {
    pub fn decode(bytes: &[u8]) -> Self {
        let mut blocks = bytes.chunks(BLOCK).map(Bytes);
        let rules = blocks.next().unwrap_or(Bytes(&[])).rules();
        Script { rules, actions: blocks.map(Bytes::action).collect() }
    }
}

/// Bytes to make something of; behind the last come zeros without end.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::from(self.next()) % from.len()].clone()
    }

    fn rules(mut self) -> Config {
        Config {
            max_clients: self.pick(&[200, 200, 200, 8, 4, 2, 1, 0]),
            max_per_ip: self.pick(&[0, 0, 64, 3, 2, 1]),
            connect_rate: self.pick(&[0, 0, 20, 1]),
            connect_burst: self.pick(&[100, 3, 1, 0]),
            hello_wait: Duration::from_millis(self.pick(&[250, 250, 0])),
            crowd: self.pick(&[64, 64, 3, 0]),
            answer_bytes: self.pick(&[1 << 17, 1 << 17, 300, 0]),
            history: self.pick(&[1000, 1000, 10, 3, 1, 0]),
            history_bytes: self.pick(&[1 << 20, 1 << 20, 1000, 300, 100, 0]),
            grace: Duration::from_secs(self.pick(&[60, 60, 1, 0])),
            stored: self.pick(&[false, true]),
            max_line: self.next().into(),
            rate: self.next().into(),
            burst: self.next().into(),
        }
    }

    fn action(mut self) -> Action {
        match self.next() % 64 {
            0..=7 => {
                Action::Arrive(self.pick(&[Some(0), Some(0), Some(1), Some(2), Some(3), None]))
            }
            // It takes long, so it is rare.
            8 if self.next() < 64 => Action::Crowd,
            9..=18 => Action::Lines(self.who(), Line::Hello(self.greeting()), 1),
            19..=37 => {
                let (who, times) = (self.who(), self.pick(&[1, 1, 1, 1, 1, 1, 2, 3, 24, 49, 50]));
                Action::Lines(who, self.line(), times)
            }
            38 => Action::OtherProtocol(
                self.who(),
                self.pick(&[OtherProtocol::Tls, OtherProtocol::Http]),
            ),
            39..=42 => Action::Leave(self.who(), self.reason()),
            43 => Action::Overflow(self.who(), self.size()),
            44 => Action::Stall(self.who()),
            45..=46 => Action::Read(self.who(), self.size()),
            47..=50 => Action::Pass {
                uptime: Duration::from_millis(self.pick(&[0, 1, 12, 249, 250, 999, 1000, 60_000])),
                unix_ms: self.pick(&[0, 1, 1000, 1_790_000_000_000, 1 << 53, u64::MAX]),
                ticks: self.pick(&[true, true, false]),
            },
            51 => Action::Announce,
            52 if self.next() < 16 => Action::Shutdown,
            53..=55 => Action::ComeBack {
                who: self.who(),
                reason: (self.next() % 4 < 3).then(|| self.reason()),
                uptime: Duration::from_millis(self.pick(&[0, 0, 999, 1000, 59_999, 60_000])),
                from: self.host(),
                hello: self.greeting(),
            },
            _ => Action::Seal,
        }
    }

    fn host(&mut self) -> Option<u8> {
        self.pick(&[Some(0), Some(0), Some(1), Some(2), Some(3), None])
    }

    fn size(&mut self) -> usize {
        self.pick(&[0, 1, 50, 100, 300, 1000, 3000, usize::MAX])
    }

    fn who(&mut self) -> Who {
        Who(self.next())
    }

    fn id(&mut self) -> Option<Box<str>> {
        self.pick(&[None, Some("1".into()), Some("\"\n\u{0}".into()), Some("é".repeat(32).into())])
    }

    fn reason(&mut self) -> DisconnectReason {
        self.pick(&[
            DisconnectReason::Lost(ErrorKind::ConnectionReset),
            DisconnectReason::Finished,
            DisconnectReason::Slow,
            DisconnectReason::Panicked,
        ])
    }

    fn greeting(&mut self) -> Greeting {
        let after = match self.next() % 8 {
            0..=2 => None,
            3..=4 => Some(After::Seen(self.who(), self.pick(&[0, 0, 1, 5]))),
            5 => Some(After::Present(self.pick(&[0, 1]))),
            _ => Some(After::Number(self.pick(&[0, 1, 2, 5, u64::MAX - 1, u64::MAX]))),
        };
        let proof = match self.next() % 8 {
            0..=2 => None,
            3..=6 => Some(Proof::TokenOf(self.who())),
            _ => Some(Proof::Other(self.pick(&["", "00", "gggggggggggggggggggggggggggggggg"]))),
        };
        Greeting {
            after,
            proof,
            keep: self.pick(&[true, false]),
            name: (self.next() % 8 < 7).then(|| self.name()),
            epoch: self.pick(&[Some(EPOCH), Some(EPOCH), Some(EPOCH), None, Some("another")]),
            history: self.pick(&[None, None, Some(0), Some(1), Some(4), Some(u64::MAX)]),
            id: self.id(),
        }
    }

    fn name(&mut self) -> &'static str {
        // Mostly one of a few, so that they meet.
        match self.next() % 8 {
            0..5 => self.pick(&NAMES[..4]),
            5..7 => self.pick(&NAMES),
            _ => self.pick(&NO_NAMES),
        }
    }

    fn text(&mut self) -> Box<str> {
        let text = self.pick(&["hello", "", " ", "\u{0}\"\\\n\u{2028}é小", "/quit", "xxxxxxxxx"]);
        text.repeat(self.pick(&[1, 1, 2, 50])).into()
    }

    fn line(&mut self) -> Line {
        let request = match self.next() % 24 {
            0..=4 => Request::Say(self.text()),
            5 => Request::Act(self.text()),
            6..=7 => Request::Private { to: self.name().into(), text: self.text() },
            8..=11 => Request::Nick(self.name().into()),
            12 => Request::Who,
            13..=15 => Request::History(self.pick(&[
                None,
                Some(0),
                Some(1),
                Some(3),
                Some(20),
                Some(u64::MAX),
            ])),
            16 => Request::Help,
            17 => Request::Quit,
            18 => Request::Heartbeat,
            19 => Request::Stats,
            20 => {
                let codes = [ErrorCode::Usage, ErrorCode::TooLong, ErrorCode::TooFast];
                return Line::RequestError(self.pick(&codes), self.id());
            }
            _ => return Line::Raw(self.raw()),
        };
        Line::Request(request, self.id())
    }

    fn raw(&mut self) -> Vec<u8> {
        let piece = |&byte: &u8| match byte {
            0..128 => vec![byte],
            _ => PIECES[usize::from(byte) % PIECES.len()].to_vec(),
        };
        // A zero ends it, as a block may be longer than its line.
        let bytes = self.0.iter().take_while(|&&byte| byte != 0);
        let mut line: Vec<u8> = bytes.flat_map(piece).collect();
        // A reader of lines lets none of these through.
        line.retain(|&byte| byte != b'\n');
        line
    }
}
