//! The room: who is in it, what they are called, what is said and in which order. It knows no
//! transport.
//!
//! A [`Room`] is pure. It takes an [`Event`] and the time and answers with frames to deliver; it
//! does no I/O, awaits nothing and never reads a clock. Its owner applies the events that wait,
//! [seals](Room::seal) what came of them into a [`Batch`], and delivers that.
//!
//! ```
//! use smolchat::protocol::ClientLine;
//! use smolchat::room::{Event, MemberId, Now, Peer, Room, Rules, Token};
//! use std::time::Duration;
//!
//! let mut room = Room::new(Rules::default(), "epoch".into());
//! let now = Now { uptime: Duration::ZERO, unix_ms: 1_790_000_000_000 };
//! let alice = MemberId(1);
//! let token = Token(*b"sixteen secrets!");
//! room.apply(Event::Arrive { id: alice, peer: Peer::Unix, token }, now);
//! let line = ClientLine::parse(br#"{"hello":{"name":"alice"}}"#);
//! room.apply(Event::Lines { id: alice, lines: vec![line] }, now);
//!
//! let batch = room.seal();
//! assert!(batch.chunk.starts_with(br#"{"data_source":"server","data":"alice joined","#));
//! ```

mod batch;
mod history;
mod names;
mod roster;

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use log::Level;

pub use batch::{Batch, Chunk, Slice, SliceKind, Step, What};
pub use history::History;
pub use roster::Roster;

use names::Names;

use crate::protocol::{
    Body, ByeCode, ClientLine, ErrorCode, Foreign, Frame, Hello, Limits, MAX_NAME, Rejected,
    Request, fold, is_valid,
};

/// Errors in a row after which a client is closed: it is not speaking this protocol.
const MAX_ERRORS: u8 = 50;
/// Frames that `/history` shows when it is not told how many.
const HISTORY_SHOWN: usize = 50;
/// Names that the text of an answer to `/who` spells out; its `names` has all.
const NAMES_SPELLED: usize = 20;

/// With so many members, a notice of who came or went, which costs a delivery to each of them,
/// waits for others to join it, unless one of them says something. How long is a multiple of what
/// it costs, so that a crowd of thousands that comes at once is told of in a few notices.
const CROWD: usize = 64;
const NOTICE_PAUSE_A_MEMBER: Duration = Duration::from_micros(200);
const NOTICE_PAUSE_MAX: Duration = Duration::from_secs(1);

const HELP: &str = "/nick NAME changes your name, /me TEXT says what you do, \
    /msg NAME TEXT tells one member, /who lists the members, /history [N] shows what was said, \
    /quit leaves, // says a literal /, anything else is said to all";

/// A connection's number, in the order in which they came; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

/// A secret of 128 bits, from the operating system, that proves to be a certain member.
#[derive(Clone, Copy)]
pub struct Token(pub [u8; 16]);

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A host and a port.
    Inet(IpAddr, u16),
    /// A unix socket of this machine.
    Unix,
}

/// The time, as the room's owner has it.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Since some fixed moment; never goes back.
    pub uptime: Duration,
    /// Milliseconds since 1970, for people to read; may jump.
    pub unix_ms: u64,
}

/// What can happen to a room.
#[derive(Debug)]
pub enum Event {
    /// A client has connected. It becomes a member with its first line, or when it has been
    /// silent for [`Rules::hello_wait`].
    Arrive {
        /// Its number, larger than any before.
        id: MemberId,
        /// Where it is.
        peer: Peer,
        /// A secret for its welcome.
        token: Token,
    },
    /// It sent these lines.
    Lines {
        /// Who.
        id: MemberId,
        /// What, in order.
        lines: Vec<Result<ClientLine, Rejected>>,
    },
    /// It speaks something else.
    Foreign {
        /// Who.
        id: MemberId,
        /// What it speaks.
        protocol: Foreign,
    },
    /// It will send no more.
    Leave {
        /// Who.
        id: MemberId,
        /// Why.
        departure: Departure,
    },
    /// The server ends: everybody is told.
    Shutdown,
}

/// How a connection came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// The client closed its side. It still gets what is on its way to it.
    Finished,
    /// The connection broke.
    Lost(io::ErrorKind),
    /// It read too slowly.
    Slow,
    /// The task that read from it panicked.
    Panicked,
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Departure::Finished => f.write_str("closed its side"),
            Departure::Lost(kind) => kind.fmt(f),
            Departure::Slow => f.write_str("read too slowly"),
            Departure::Panicked => f.write_str("its task panicked"),
        }
    }
}

/// What a room holds its members to.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Connections at once.
    pub max_clients: usize,
    /// Connections at once from one address; 0 is no limit.
    pub max_per_ip: usize,
    /// How long a client may be silent before it is a member under a name that it did not choose.
    pub hello_wait: Duration,
    /// Frames kept.
    pub history: usize,
    /// Bytes of frames kept.
    pub history_bytes: usize,
    /// The longest line, for the welcome to tell.
    pub max_line: u32,
    /// Lines a second, for the welcome to tell.
    pub rate: u32,
    /// Lines at once, for the welcome to tell.
    pub burst: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            max_clients: 1000,
            max_per_ip: 64,
            hello_wait: Duration::from_millis(250),
            history: 1000,
            history_bytes: 1 << 20,
            max_line: 4096,
            rate: 10,
            burst: 40,
        }
    }
}

/// The user table, the names, the sequence and the history of one room.
#[derive(Debug)]
pub struct Room {
    rules: Rules,
    epoch: Box<str>,
    clients: Roster<Client>,
    names: Names,
    addresses: HashMap<IpAddr, u32>,
    /// Clients that have said nothing, and when they become members all the same.
    silent: VecDeque<(Duration, MemberId)>,
    /// The last number of the sequence that was given out.
    seq: u64,
    history: History,
    /// The server ends: nobody comes in any more.
    closed: bool,
    now: Now,

    /// The frames of the open batch, and where each ends.
    frames: Vec<u8>,
    ends: Vec<u32>,
    steps: Vec<Step>,
    log: Vec<(Level, String)>,
    /// Names that came, or went, since the last frame: one notice tells of all.
    notice: Notice,
    /// When the next notice may go out on its own.
    notice_due: Duration,
}

#[derive(Debug)]
struct Client {
    peer: Peer,
    /// Errors in a row.
    errors: u8,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Connected, and not a member yet; keeps the token for its welcome.
    Silent(Token),
    Member(Box<str>),
}

#[derive(Debug, Default)]
enum Notice {
    #[default]
    None,
    Joined(Vec<Cow<'static, str>>),
    Left(Vec<Cow<'static, str>>),
}

impl Notice {
    /// Whether it is yet to be told that this member came.
    fn tells_of(&self, name: &str) -> bool {
        matches!(self, Notice::Joined(names) if names.iter().any(|joined| joined == name))
    }
}

impl Room {
    /// An empty room. `epoch` tells its sequence from that of any other.
    pub fn new(rules: Rules, epoch: Box<str>) -> Self {
        Room {
            history: History::new(rules.history, rules.history_bytes, 0),
            rules,
            epoch,
            clients: Roster::default(),
            names: Names::default(),
            addresses: HashMap::new(),
            silent: VecDeque::new(),
            seq: 0,
            closed: false,
            now: Now { uptime: Duration::ZERO, unix_ms: 0 },
            frames: Vec::new(),
            ends: Vec::new(),
            steps: Vec::new(),
            log: Vec::new(),
            notice: Notice::None,
            notice_due: Duration::ZERO,
        }
    }

    /// Lets one event happen. What comes of it waits for [`seal`](Self::seal).
    ///
    /// Events of a client that is not, or no longer, here are ignored.
    pub fn apply(&mut self, event: Event, now: Now) {
        self.now = now;
        match event {
            Event::Arrive { id, peer, token } => self.arrive(id, peer, token),
            Event::Lines { id, lines } => {
                for line in lines {
                    self.line(id, line);
                }
            }
            Event::Foreign { id, protocol } => {
                let code = match protocol {
                    Foreign::Tls => ByeCode::Tls,
                    Foreign::Http => ByeCode::Http,
                };
                self.dismiss(id, code, format_args!("it speaks {protocol:?}"));
            }
            Event::Leave { id, departure: departure @ Departure::Finished } => {
                self.dismiss(id, ByeCode::Quit, departure);
            }
            Event::Leave { id, departure } => {
                if self.remove(id, departure) {
                    self.step(id, What::Drop);
                }
            }
            Event::Shutdown => {
                self.flush_notice();
                let everybody: Vec<MemberId> = self.clients.iter().map(|(id, _)| id).collect();
                for id in everybody {
                    self.say_bye(id, ByeCode::Shutdown);
                }
                self.clients = Roster::default();
                self.names.clear();
                self.addresses.clear();
                self.closed = true;
            }
        }
    }

    /// Lets time pass: clients that were silent for long enough become members.
    pub fn tick(&mut self, now: Now) {
        self.now = now;
        while let Some((deadline, id)) = self.silent.front().copied()
            && (deadline <= now.uptime || !self.is_silent(id))
        {
            self.silent.pop_front();
            if self.is_silent(id) {
                self.join(id, Hello::default());
            }
        }
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub fn deadline(&self) -> Option<Duration> {
        let silent = self.silent.front().map(|(deadline, _)| *deadline);
        let notice = (!matches!(self.notice, Notice::None)).then_some(self.notice_due);
        [silent, notice].into_iter().flatten().min()
    }

    /// Bytes of frames that the open batch has so far.
    pub fn pending_bytes(&self) -> usize {
        self.frames.len()
    }

    /// The number of connections that the room knows, members or not.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// The last number of the sequence that was given out.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Closes the open batch and hands it out.
    pub fn seal(&mut self) -> Batch {
        if self.notice_due <= self.now.uptime {
            self.flush_notice();
        }
        let chunk = Chunk::from(std::mem::take(&mut self.frames));
        let before = self.seq - self.ends.len() as u64;
        self.history.extend(&chunk, &self.ends);
        self.ends.clear();
        Batch {
            chunk,
            before,
            steps: std::mem::take(&mut self.steps),
            log: std::mem::take(&mut self.log),
        }
    }

    fn arrive(&mut self, id: MemberId, peer: Peer, token: Token) {
        if self.closed {
            return self.say_bye(id, ByeCode::Shutdown);
        }
        let from_there = match peer {
            Peer::Inet(ip, _) => self.addresses.get(&ip).copied().unwrap_or(0),
            Peer::Unix => 0,
        };
        let per_ip = self.rules.max_per_ip;
        if self.clients.len() >= self.rules.max_clients
            || (per_ip > 0 && from_there as usize >= per_ip)
        {
            self.log.push((Level::Warn, format!("{peer} turned away: full")));
            return self.say_bye(id, ByeCode::Full);
        }
        if let Peer::Inet(ip, _) = peer {
            self.addresses.insert(ip, from_there + 1);
        }
        self.log.push((Level::Debug, format!("{peer} connected")));
        self.clients.insert(id, Client { peer, errors: 0, state: State::Silent(token) });
        self.silent.push_back((self.now.uptime + self.rules.hello_wait, id));
    }

    fn line(&mut self, id: MemberId, line: Result<ClientLine, Rejected>) {
        if self.is_silent(id) {
            match line {
                Ok(ClientLine { request: Request::Hello(hello), .. }) => {
                    return self.join(id, *hello);
                }
                _ => self.join(id, Hello::default()),
            }
        }
        // The line before this one may have been its last.
        let Some(name) = self.member_name(id).map(Box::from) else { return };
        let is_heartbeat = matches!(&line, Ok(line) if line.request == Request::Heartbeat);
        match line.and_then(|line| self.request(id, name, line)) {
            Ok(()) => {
                // A heartbeat shows that somebody is there, not that it speaks the protocol.
                if !is_heartbeat && let Some(client) = self.clients.get_mut(id) {
                    client.errors = 0;
                }
            }
            Err(rejected) => self.reject(id, rejected),
        }
    }

    fn request(&mut self, id: MemberId, name: Box<str>, line: ClientLine) -> Result<(), Rejected> {
        let ClientLine { id: word, request } = line;
        let rejected = |code, text| Err(Rejected { code, text, id: word.clone() });
        // Who does anything that others see has been seen to come.
        let is_seen = request != Request::Heartbeat;
        if is_seen && (self.names.len() < CROWD || self.notice.tells_of(&name)) {
            self.flush_notice();
        }
        match request {
            Request::Heartbeat => {}
            Request::Hello(_) => {
                let text = "a hello is for the first line alone, and soon after connecting";
                return rejected(ErrorCode::LateHello, text.into());
            }
            Request::Say(text) => self.publish(&name, &text, |seq, time| Body::Chat {
                seq,
                time,
                id: word.as_deref().map(Cow::from),
            }),
            Request::Act(text) => self.publish(&name, &text, |seq, time| Body::Action {
                seq,
                time,
                id: word.as_deref().map(Cow::from),
            }),
            Request::Private { to, text } => {
                let recipient = self.names.get(&to);
                let found = recipient.and_then(|id| Some((id, self.member_name(id)?)));
                let Some((recipient, to)) = found.filter(|(_, name)| fold(name) == fold(&to))
                else {
                    return rejected(ErrorCode::NoSuchUser, format!("nobody is called {to}"));
                };
                let time = self.now.unix_ms;
                let body =
                    Body::Private { time, to: to.into(), id: word.as_deref().map(Cow::from) };
                let frame = Frame { data_source: (&*name).into(), data: (&*text).into(), body };
                let slice = Slice::own(&frame);
                if recipient != id {
                    self.step(recipient, What::Send(slice.clone()));
                }
                self.step(id, What::Send(slice));
            }
            Request::Nick(wanted) => return self.rename(id, &name, &wanted, word),
            Request::Who => {
                let names: Vec<_> = self.members().map(Cow::from).collect();
                let data = format!("{} here: {}", names.len(), list(&names, NAMES_SPELLED));
                let body = Body::Who { names, id: word.as_deref().map(Cow::from) };
                let slice = Slice::own(&Frame::server(data, body));
                self.step(id, What::Send(slice));
            }
            Request::History(count) => {
                let from = self.oldest_of(count.unwrap_or(HISTORY_SHOWN));
                let data = match self.seq + 1 - from {
                    0 => "nothing is kept of what was said".into(),
                    1 => "the last line:".into(),
                    count => format!("the last {count} lines:"),
                };
                self.tell(id, data, word);
                let open = self.show_since(id, from);
                self.step(id, What::Again(open.0, self.frames.len() as u32));
            }
            Request::Help => self.tell(id, HELP, word),
            Request::Quit => self.dismiss(id, ByeCode::Quit, "quit"),
        }
        Ok(())
    }

    fn rename(
        &mut self,
        id: MemberId,
        name: &str,
        wanted: &str,
        word: Option<Box<str>>,
    ) -> Result<(), Rejected> {
        if name == wanted {
            self.tell(id, format!("you are {name} already"), word);
            return Ok(());
        }
        if !is_valid(wanted) {
            return Err(Rejected { code: ErrorCode::BadName, text: bad_name(wanted), id: word });
        }
        if self.names.get(wanted).is_some_and(|holder| holder != id) {
            let text = format!("another member is called {wanted}");
            return Err(Rejected { code: ErrorCode::NameTaken, text, id: word });
        }
        // The name may be that of somebody of whom it is yet to be told that they went.
        self.flush_notice();
        self.names.remove(name);
        self.names.insert(wanted, id);
        self.log.push((Level::Info, format!("{} is now {wanted}", self.describe(id))));
        if let Some(client) = self.clients.get_mut(id) {
            client.state = State::Member(wanted.into());
        }
        let data = format!("{name} is now {wanted}");
        self.publish(crate::protocol::SERVER, &data, |seq, time| Body::Name {
            seq,
            time,
            from: name.into(),
            to: wanted.into(),
            id: word.as_deref().map(Cow::from),
        });
        Ok(())
    }

    /// Makes a member of a client that was silent so far.
    fn join(&mut self, id: MemberId, hello: Hello) {
        // Who leaves before the welcome is none of the new member's business.
        if matches!(self.notice, Notice::Left(_)) {
            self.flush_notice();
        }
        let (name, complaint) = self.choose_name(id, hello.name.as_deref());
        let Some(client) = self.clients.get_mut(id) else { return };
        let state = State::Member(name.as_str().into());
        let State::Silent(token) = std::mem::replace(&mut client.state, state) else { return };
        self.names.insert(&name, id);
        self.log.push((Level::Info, format!("{} joined", self.describe(id))));

        let members = self.names.len();
        let data = match members {
            1 => format!("welcome, {name}; nobody else is here"),
            2 => format!("welcome, {name}; one other is here"),
            _ => format!("welcome, {name}; {} others are here", members - 1),
        };
        let welcome = Body::Welcome {
            name: name.as_str().into(),
            epoch: (&*self.epoch).into(),
            seq: self.seq,
            token: token.to_string().into(),
            resumed: false,
            members,
            limits: Limits {
                max_line: self.rules.max_line,
                rate: self.rules.rate,
                burst: self.rules.burst,
                history: self.rules.history,
                stored: false,
            },
        };
        let welcome = Slice::own(&Frame::server(data, welcome));
        self.step(id, What::Send(welcome));
        if let Some(rejected) = complaint {
            self.reject(id, rejected);
        }
        let from = self.oldest_of(hello.history.unwrap_or(0));
        let (from, before) = self.show_since(id, from);
        self.step(id, What::Open { from, before });
        match &mut self.notice {
            Notice::Joined(names) => names.push(name.into()),
            notice => *notice = Notice::Joined(vec![name.into()]),
        }
    }

    /// The name that a new member gets, and what to tell it if that is not the one it wanted.
    fn choose_name(&self, id: MemberId, wanted: Option<&str>) -> (String, Option<Rejected>) {
        let guest = || match self.clients.get(id).map(|client| client.peer) {
            Some(Peer::Inet(_, port)) => format!("guest-{port}"),
            _ => format!("guest-{}", id.0),
        };
        let Some(wanted) = wanted else { return (self.free_name(guest()), None) };
        if !is_valid(wanted) {
            let name = self.free_name(guest());
            let text = format!("{}; you are {name}", bad_name(wanted));
            return (name, Some(Rejected::new(ErrorCode::BadName, text)));
        }
        let name = self.free_name(wanted.into());
        let complaint = (name != wanted).then(|| {
            let text = format!("another member is called {wanted}; you are {name}");
            Rejected::new(ErrorCode::NameTaken, text)
        });
        (name, complaint)
    }

    /// `name` itself, or with the first number behind it that makes it free.
    fn free_name(&self, name: String) -> String {
        if self.names.get(&name).is_none() {
            return name;
        }
        let numbered = (2u64..).map(|number| {
            let number = format!("-{number}");
            let stem: String = name.chars().take(MAX_NAME - number.len()).collect();
            stem + &number
        });
        // The numbers do not run out before the members do.
        numbered.into_iter().find(|name| self.names.get(name).is_none()).unwrap_or(name)
    }

    /// Says bye to a client, and lets it go once it has all that is on its way.
    fn dismiss(&mut self, id: MemberId, code: ByeCode, why: impl fmt::Display) {
        if self.clients.get(id).is_some() {
            self.flush_joined();
            self.say_bye(id, code);
            self.remove(id, why);
        }
    }

    fn say_bye(&mut self, id: MemberId, code: ByeCode) {
        let bye = Slice::own(&Frame::bye(code, self.seq));
        self.step(id, What::Send(bye));
        self.step(id, What::Close);
    }

    /// Takes a client out of the table; if it was a member, the others are told.
    fn remove(&mut self, id: MemberId, why: impl fmt::Display) -> bool {
        let who = self.describe(id);
        let Some(client) = self.clients.remove(id) else { return false };
        if let Peer::Inet(ip, _) = client.peer
            && let Some(count) = self.addresses.get_mut(&ip)
        {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&ip);
            }
        }
        let State::Member(name) = client.state else {
            self.log.push((Level::Debug, format!("{who} went, never a member: {why}")));
            return true;
        };
        self.log.push((Level::Info, format!("{who} left: {why}")));
        self.names.remove(&name);
        self.flush_joined();
        match &mut self.notice {
            Notice::Left(names) => names.push(String::from(name).into()),
            notice => *notice = Notice::Left(vec![String::from(name).into()]),
        }
        true
    }

    fn reject(&mut self, id: MemberId, rejected: Rejected) {
        let Rejected { code, text, id: word } = rejected;
        self.log.push((Level::Debug, format!("{}: {text}", self.describe(id))));
        let body = Body::Error { code, id: word.map(|word| String::from(word).into()) };
        let error = Slice::own(&Frame::server(text, body));
        self.step(id, What::Send(error));
        let Some(client) = self.clients.get_mut(id) else { return };
        // Being too fast is no sign of being wrong.
        if code != ErrorCode::TooFast {
            client.errors += 1;
            if client.errors >= MAX_ERRORS {
                self.dismiss(id, ByeCode::Errors, "nothing but errors");
            }
        }
    }

    fn tell(&mut self, id: MemberId, text: impl Into<Cow<'static, str>>, word: Option<Box<str>>) {
        let body = Body::Info { id: word.map(|word| String::from(word).into()) };
        let info = Slice::own(&Frame::server(text, body));
        self.step(id, What::Send(info));
    }

    /// Shows the frames from number `from` on that former batches have. Those of the open batch
    /// begin at the returned place, after the returned number.
    fn show_since(&mut self, id: MemberId, from: u64) -> (u32, u64) {
        for slice in self.history.since(from) {
            self.step(id, What::Send(slice));
        }
        let sealed = self.seq - self.ends.len() as u64;
        let skip = from.saturating_sub(sealed + 1).min(self.ends.len() as u64);
        let end = skip.checked_sub(1).and_then(|last| self.ends.get(last as usize));
        (end.copied().unwrap_or(0), sealed + skip)
    }

    /// The number of the oldest of the last `count` frames, or as many as are kept.
    fn oldest_of(&self, count: usize) -> u64 {
        let count = count.min(self.history.max_frames()) as u64;
        (self.seq + 1).saturating_sub(count).max(self.history.oldest())
    }

    fn flush_joined(&mut self) {
        if matches!(self.notice, Notice::Joined(_)) {
            self.flush_notice();
        }
    }

    fn flush_notice(&mut self) {
        let members = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let pause = NOTICE_PAUSE_A_MEMBER.saturating_mul(members).min(NOTICE_PAUSE_MAX);
        match std::mem::take(&mut self.notice) {
            Notice::None => return,
            Notice::Joined(names) => {
                let data = format!("{} joined", list(&names, 3));
                self.publish(crate::protocol::SERVER, &data, |seq, time| Body::Join {
                    seq,
                    time,
                    names,
                });
            }
            Notice::Left(names) => {
                let data = format!("{} left", list(&names, 3));
                self.publish(crate::protocol::SERVER, &data, |seq, time| Body::Leave {
                    seq,
                    time,
                    names,
                });
            }
        }
        if self.names.len() >= CROWD {
            self.notice_due = self.now.uptime + pause;
        }
    }

    /// Gives the next number of the sequence to a frame. This alone does.
    fn publish<'a>(
        &mut self,
        source: &'a str,
        data: &'a str,
        body: impl FnOnce(u64, u64) -> Body<'a>,
    ) {
        self.seq += 1;
        let body = body(self.seq, self.now.unix_ms);
        Frame { data_source: source.into(), data: data.into(), body }.encode(&mut self.frames);
        self.ends.push(self.frames.len() as u32);
    }

    fn step(&mut self, to: MemberId, what: What) {
        self.steps.push(Step { to, at: self.frames.len() as u32, what });
    }

    fn is_silent(&self, id: MemberId) -> bool {
        self.clients.get(id).is_some_and(|client| matches!(client.state, State::Silent(_)))
    }

    fn member_name(&self, id: MemberId) -> Option<&str> {
        match &self.clients.get(id)?.state {
            State::Member(name) => Some(name),
            State::Silent(_) => None,
        }
    }

    fn members(&self) -> impl Iterator<Item = &str> {
        self.clients.iter().filter_map(|(_, client)| match &client.state {
            State::Member(name) => Some(&**name),
            State::Silent(_) => None,
        })
    }

    fn describe(&self, id: MemberId) -> String {
        match self.clients.get(id) {
            Some(Client { state: State::Member(name), peer, .. }) => format!("{name} {peer}"),
            Some(Client { peer, .. }) => peer.to_string(),
            None => format!("client {}", id.0),
        }
    }
}

fn bad_name(wanted: &str) -> String {
    format!(
        "{wanted:?} cannot be a name: it takes 1 to {MAX_NAME} letters, digits, - _ or . \
         and cannot be server"
    )
}

/// `alice`, `alice and bob`, or `alice, bob and 10 more` when there are more than `spelled`.
fn list(names: &[Cow<'_, str>], spelled: usize) -> String {
    match names {
        [] => String::new(),
        [name] => name.to_string(),
        [first @ .., last] if names.len() <= spelled => format!("{} and {last}", first.join(", ")),
        _ => {
            let first = names.get(..spelled - 1).unwrap_or(names);
            format!("{} and {} more", first.join(", "), names.len() - first.len())
        }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A secret has no business in a log.
        f.write_str("Token(…)")
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        // A client of IPv4 that came through a socket of IPv6 is still a client of IPv4.
        Peer::Inet(address.ip().to_canonical(), address.port())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Peer::Inet(ip, port) => SocketAddr::new(ip, port).fmt(f),
            Peer::Unix => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests;
