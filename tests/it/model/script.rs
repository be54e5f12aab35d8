//! Events of a room, decoded from bytes, so that the fuzzer and proptest share them.

use std::io::ErrorKind;
use std::time::Duration;

use smolchat::protocol::{ErrorCode, OperatorCommand, OtherProtocol, Request, Verb};
use smolchat::room::{Config, DisconnectReason};

/// The bytes of one action. Removing or inserting a block does not change the other actions.
pub const BLOCK: usize = 16;

/// The configuration of a room, and its events.
#[derive(Debug)]
pub struct Script {
    pub config: Config,
    pub actions: Vec<Action>,
}

#[derive(Clone, Debug)]
pub enum Action {
    /// A connection from an address, or over a unix socket.
    Arrive(Option<u8>),
    /// So many members that notices are delayed.
    Crowd,
    /// A line, and how often it is sent.
    Lines(ClientRef, ScriptLine, usize),
    OtherProtocol(ClientRef, OtherProtocol),
    /// Sends the secret of an operator, if it is a member.
    Operate(ClientRef),
    Leave(ClientRef, DisconnectReason),
    /// Leaves if there is a reason, and connects with the token and the state that it had.
    Reconnect {
        who: ClientRef,
        reason: Option<DisconnectReason>,
        uptime: Duration,
        from: Option<u8>,
        hello: HelloTemplate,
    },
    /// Reads bytes of a batch; the rest is more than its outbox holds.
    Overflow(ClientRef, usize),
    /// Stops reading.
    Stall(ClientRef),
    /// Reads bytes of its queue.
    Read(ClientRef, usize),
    /// Lets time pass.
    Advance {
        uptime: Duration,
        unix_ms: u64,
        ticks: bool,
    },
    Announce,
    Shutdown,
    Seal,
}

/// A reference to a client, connected or not: up to 191 one of the eight newest, counted back from
/// the newest; from 192 on one of the first, of which 193 is the very first.
#[derive(Clone, Copy, Debug)]
pub struct ClientRef(pub u8);

#[derive(Clone, Debug)]
pub enum ScriptLine {
    Hello(HelloTemplate),
    Request(Request, Option<Box<str>>),
    RequestError(ErrorCode, Option<Box<str>>),
    Raw(Vec<u8>),
}

/// A hello whose token and number depend on the state of the room.
#[derive(Clone, Debug, Default)]
pub struct HelloTemplate {
    pub name: Option<&'static str>,
    pub history: Option<u64>,
    pub epoch: Option<&'static str>,
    pub after: Option<ResumePoint>,
    pub token: Option<TokenTemplate>,
    pub keep: bool,
    pub quiet: bool,
    pub id: Option<Box<str>>,
}

#[derive(Clone, Copy, Debug)]
pub enum ResumePoint {
    Number(u64),
    /// The last number that a client received, minus some.
    Seen(ClientRef, u64),
    /// The last number of the room, plus some.
    Present(u64),
}

#[derive(Clone, Copy, Debug)]
pub enum TokenTemplate {
    Of(ClientRef),
    Text(&'static str),
}

pub const EPOCH: &str = "epoch";
/// Valid names, some of which are equal without their case.
pub const VALID_NAMES: [&str; 13] = [
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
pub const INVALID_NAMES: [&str; 8] = [
    "",
    "server",
    "SERVER",
    "s\u{435}rver",
    "two words",
    "\u{301}",
    "a\u{200b}",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];
/// Parts of raw lines.
const RAW_PARTS: [&[u8]; 26] = [
    b"{\"data\":\"",
    b"\",\"id\":\"",
    b"\",\"to\":\"",
    b"\"}",
    b"{\"hello\":{\"name\":\"",
    b"\",\"keep\":true",
    b"\",\"quiet\":true",
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
        let mut blocks = bytes.chunks(BLOCK).map(BlockDecoder);
        let config = blocks.next().unwrap_or(BlockDecoder(&[])).config();
        Script { config, actions: blocks.map(BlockDecoder::action).collect() }
    }
}

/// A decoder of one block; after the last byte, all bytes are 0.
struct BlockDecoder<'a>(&'a [u8]);

impl BlockDecoder<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::from(self.next()) % from.len()].clone()
    }

    fn config(mut self) -> Config {
        let mut config = Config::default();
        config.max_clients = self.pick(&[200, 200, 200, 8, 4, 2, 1, 0]);
        config.max_per_ip = self.pick(&[0, 0, 64, 3, 2, 1]);
        config.connect_rate = self.pick(&[0, 0, 20, 1]);
        config.connect_burst = self.pick(&[100, 3, 1, 0]);
        config.hello_wait = Duration::from_millis(self.pick(&[250, 250, 0]));
        config.crowd = self.pick(&[64, 64, 3, 0]);
        config.answer_bytes = self.pick(&[1 << 17, 1 << 17, 300, 0]);
        config.history = self.pick(&[1000, 1000, 10, 3, 1, 0]);
        config.history_bytes = self.pick(&[1 << 20, 1 << 20, 1000, 300, 100, 0]);
        config.grace = Duration::from_secs(self.pick(&[60, 60, 1, 0]));
        config.is_stored = self.pick(&[false, true]);
        config.max_line = self.next().into();
        config.rate = self.next().into();
        config.burst = self.next().into();
        config
    }

    fn action(mut self) -> Action {
        match self.next() % 64 {
            0..=7 => {
                Action::Arrive(self.pick(&[Some(0), Some(0), Some(1), Some(2), Some(3), None]))
            }
            // Rare, because it is slow.
            8 if self.next() < 64 => Action::Crowd,
            9..=18 => Action::Lines(self.client(), ScriptLine::Hello(self.hello()), 1),
            19..=37 => {
                let (client, times) =
                    (self.client(), self.pick(&[1, 1, 1, 1, 1, 1, 2, 3, 24, 49, 50]));
                Action::Lines(client, self.line(), times)
            }
            38 => Action::OtherProtocol(
                self.client(),
                self.pick(&[OtherProtocol::Tls, OtherProtocol::Http, OtherProtocol::Proxy]),
            ),
            39..=42 => Action::Leave(self.client(), self.reason()),
            43 => Action::Overflow(self.client(), self.size()),
            44 => Action::Stall(self.client()),
            45..=46 => Action::Read(self.client(), self.size()),
            47..=50 => Action::Advance {
                uptime: Duration::from_millis(self.pick(&[0, 1, 12, 249, 250, 999, 1000, 60_000])),
                unix_ms: self.pick(&[0, 1, 1000, 1_790_000_000_000, 1 << 53, u64::MAX]),
                ticks: self.pick(&[true, true, false]),
            },
            51 => Action::Announce,
            52 if self.next() < 16 => Action::Shutdown,
            53..=55 => Action::Reconnect {
                who: self.client(),
                reason: (self.next() % 4 < 3).then(|| self.reason()),
                uptime: Duration::from_millis(self.pick(&[0, 0, 999, 1000, 59_999, 60_000])),
                from: self.host(),
                hello: self.hello(),
            },
            56 => Action::Operate(self.client()),
            _ => Action::Seal,
        }
    }

    fn host(&mut self) -> Option<u8> {
        self.pick(&[Some(0), Some(0), Some(1), Some(2), Some(3), None])
    }

    fn size(&mut self) -> usize {
        self.pick(&[0, 1, 50, 100, 300, 1000, 3000, usize::MAX])
    }

    fn client(&mut self) -> ClientRef {
        ClientRef(self.next())
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

    fn hello(&mut self) -> HelloTemplate {
        let after = match self.next() % 8 {
            0..=2 => None,
            3..=4 => Some(ResumePoint::Seen(self.client(), self.pick(&[0, 0, 1, 5]))),
            5 => Some(ResumePoint::Present(self.pick(&[0, 1]))),
            _ => Some(ResumePoint::Number(self.pick(&[0, 1, 2, 5, u64::MAX - 1, u64::MAX]))),
        };
        let token = match self.next() % 8 {
            0..=2 => None,
            3..=6 => Some(TokenTemplate::Of(self.client())),
            _ => Some(TokenTemplate::Text(self.pick(&[
                "",
                "00",
                "gggggggggggggggggggggggggggggggg",
            ]))),
        };
        let (keep, quiet) = self.pick(&[(true, false), (false, false), (true, true)]);
        HelloTemplate {
            after,
            token,
            keep,
            quiet,
            name: (self.next() % 8 < 7).then(|| self.name()),
            epoch: self.pick(&[Some(EPOCH), Some(EPOCH), Some(EPOCH), None, Some("another")]),
            history: self.pick(&[None, None, Some(0), Some(1), Some(4), Some(u64::MAX)]),
            id: self.id(),
        }
    }

    fn name(&mut self) -> &'static str {
        // Mostly one of four, so that clients request the same name.
        match self.next() % 8 {
            0..5 => self.pick(&VALID_NAMES[..4]),
            5..7 => self.pick(&VALID_NAMES),
            _ => self.pick(&INVALID_NAMES),
        }
    }

    fn text(&mut self) -> Box<str> {
        let text = self.pick(&["hello", "", " ", "\u{0}\"\\\n\u{2028}é小", "/quit", "xxxxxxxxx"]);
        text.repeat(self.pick(&[1, 1, 2, 50])).into()
    }

    fn line(&mut self) -> ScriptLine {
        let request = match self.next() % 24 {
            0..=4 => Request::Say(self.text()),
            5 => Request::Action(self.text()),
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
                return ScriptLine::RequestError(self.pick(&codes), self.id());
            }
            21 => Request::Operator(Box::new(OperatorCommand {
                verb: self.pick(&[Verb::Kick, Verb::Kick, Verb::Topic]),
                target: self.name().into(),
                network: None,
                time: None,
                text: self.pick(&["", "x", "-"]).into(),
            })),
            _ => return ScriptLine::Raw(self.raw()),
        };
        ScriptLine::Request(request, self.id())
    }

    fn raw(&mut self) -> Vec<u8> {
        let part = |&byte: &u8| match byte {
            0..128 => vec![byte],
            _ => RAW_PARTS[usize::from(byte) % RAW_PARTS.len()].to_vec(),
        };
        // A zero ends the line.
        let bytes = self.0.iter().take_while(|&&byte| byte != 0);
        let mut line: Vec<u8> = bytes.flat_map(part).collect();
        // The line reader never returns a newline.
        line.retain(|&byte| byte != b'\n');
        line
    }
}
