//! The model: a room that is as simple as possible.
//!
//! It knows the members, the reserved names and the expected frames. It has no batches, no byte
//! offsets and no history.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use smolchat::protocol::{
    Body, ByeCode, ClientLine, ErrorCode, Frame, Hello, MAX_NAME, OperatorCommand, OtherProtocol,
    Request, RequestError, SERVER, Stats, Verb, case_fold, is_valid_name,
};
use smolchat::room::{Config, DisconnectReason, Now, Peer, Token};

use super::expected::{ExpectedBroadcasts, ExpectedUnicast, OwnFrame};
use super::script::EPOCH;

const MAX_ERRORS: usize = 50;
/// The time after which a member that has said nothing is announced.
const SILENT_NOTICE_DELAY: Duration = Duration::from_secs(2);
/// The number of frames that `/history` without a number repeats.
const DEFAULT_HISTORY: u64 = 50;

pub struct ReferenceRoom {
    pub config: Config,
    pub clients: BTreeMap<u64, ReferenceClient>,
    /// Members without a hello, in the order of joining, and the time at which they are announced.
    silent: Vec<(Duration, u64)>,
    pub is_closed: bool,
    pub now: Now,
    /// The reserved names, the oldest first.
    reserved: Vec<Reserved>,
    pub broadcasts: ExpectedBroadcasts,
    /// Frames for one client that the caller has not taken yet.
    pub unicasts: Vec<(u64, ExpectedUnicast)>,
    /// The times of the connections that were admitted, for each address.
    admitted: BTreeMap<IpAddr, Vec<Duration>>,
    stats: Stats,
    /// The guests that were given a number.
    guests: u64,
    /// The last number of all sealed batches.
    pub sealed: u64,
}

struct Reserved {
    name: String,
    token: Token,
    until: Duration,
    /// The address of the member, or none for a unix socket.
    network: Option<IpAddr>,
}

pub struct ReferenceClient {
    pub peer: Peer,
    pub token: Token,
    /// The name of a member; none before the hello.
    pub name: Option<String>,
    reserves_name: bool,
    is_announced: bool,
    /// There was no place for it.
    is_visitor: bool,
    is_quiet: bool,
    is_operator: bool,
    errors: usize,
    hello_deadline: Duration,
}

impl ReferenceRoom {
    pub fn new(config: Config, now: Now) -> Self {
        ReferenceRoom {
            broadcasts: ExpectedBroadcasts::new(config.crowd),
            config,
            now,
            clients: BTreeMap::new(),
            silent: Vec::new(),
            is_closed: false,
            reserved: Vec::new(),
            unicasts: Vec::new(),
            admitted: BTreeMap::new(),
            stats: Stats::default(),
            guests: 0,
            sealed: 0,
        }
    }

    pub fn set_time(&mut self, now: Now) {
        self.now = now;
        self.broadcasts.set_time(now, self.names().count());
    }

    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.clients.values().filter_map(|client| client.name.as_ref())
    }

    fn member_named(&self, name: &str) -> Option<u64> {
        let name = case_fold(name);
        let has = |client: &ReferenceClient| {
            client.name.as_ref().is_some_and(|other| case_fold(other) == name)
        };
        self.clients.iter().find_map(|(id, client)| has(client).then_some(*id))
    }

    /// Returns the error for a valid name that is not free.
    fn name_error(&self, name: &str) -> Option<ErrorCode> {
        let is_reserved = |reserved: &Reserved| {
            case_fold(&reserved.name) == case_fold(name) && reserved.until > self.now.uptime
        };
        if self.member_named(name).is_some() {
            Some(ErrorCode::NameTaken)
        } else {
            self.reserved.iter().any(is_reserved).then_some(ErrorCode::NameKept)
        }
    }

    /// Returns the name, with a number if it is not free.
    fn free_name(&self, id: u64, name: &str) -> String {
        let numbered = |number: u64| {
            let number = format!("-{number}");
            name.chars().take(MAX_NAME - number.len()).collect::<String>() + &number
        };
        let is_free = |name: &String| self.name_error(name).is_none();
        if is_free(&name.to_string()) {
            return name.to_string();
        }
        // The last of the taken numbers, and the first of the free ones after it.
        let (mut taken, mut free) = (1, 100);
        while taken + 1 < free {
            let next = if taken == 1 && free == 100 { 2 } else { (taken + free) / 2 };
            *(if is_free(&numbered(next)) { &mut free } else { &mut taken }) = next;
        }
        let token = u128::from_be_bytes(self.clients[&id].token.0);
        let secret = token as u64 ^ (token >> 64) as u64;
        let long = (5..15).map(|digits| 10_u64.pow(digits)).map(|base| base + secret % base);
        let numbers = Some(free).filter(|free| *free < 100).into_iter().chain(long);
        numbers.map(numbered).find(is_free).expect("a free name")
    }

    fn send(&mut self, id: u64, frame: OwnFrame) {
        match frame {
            OwnFrame::Error(code, _) | OwnFrame::NameError(code, _) => {
                self.stats.errors.add(code);
            }
            OwnFrame::Bye(ByeCode::Quit | ByeCode::Shutdown) => {}
            OwnFrame::Bye(code) | OwnFrame::Evicted(code) => {
                self.stats.evictions.add(code);
            }
            _ => {}
        }
        let position = self.broadcasts.position;
        self.unicasts.push((id, ExpectedUnicast { frame, position }));
    }

    pub fn arrive(&mut self, id: u64, peer: Peer, token: Token) {
        if self.is_closed {
            return self.send(id, OwnFrame::Bye(ByeCode::Shutdown));
        }
        let (config, now) = (&self.config, self.now.uptime);
        let is_visitor = self.is_full(peer);
        if is_visitor && !self.has_place_for_visitor(peer) {
            return self.send(id, OwnFrame::Bye(ByeCode::Full));
        }
        if let Some(ip) = network(peer) {
            // Since each earlier connection, there were at most a burst and those of the rate.
            let admitted = self.admitted.entry(ip).or_default();
            let burst = config.connect_burst.max(1) as usize;
            let is_too_fast = |(index, then): (usize, &Duration)| {
                let over_burst = (admitted.len() - index + 1).saturating_sub(burst) as u32;
                config.connect_rate > 0
                    && Duration::from_secs(1) / config.connect_rate * over_burst > now - *then
            };
            if admitted.iter().enumerate().any(is_too_fast) {
                if is_visitor {
                    return self.send(id, OwnFrame::Bye(ByeCode::Full));
                }
                self.send(id, OwnFrame::Error(ErrorCode::TooFast, None));
                return self.send(id, OwnFrame::Bye(ByeCode::TooFast));
            }
            admitted.push(now);
        }
        let client = ReferenceClient {
            peer,
            token,
            name: None,
            reserves_name: false,
            is_announced: false,
            is_visitor,
            is_quiet: false,
            is_operator: false,
            errors: 0,
            hello_deadline: now + self.config.hello_wait,
        };
        self.clients.insert(id, client);
    }

    /// Returns the numbers of clients that have a place and of those that have none, of one address
    /// or of all.
    fn count(&self, of: Option<Peer>) -> (usize, usize) {
        let is_counted = |c: &&ReferenceClient| of.is_none_or(|p| network(p) == network(c.peer));
        let (visitors, others): (Vec<_>, Vec<_>) =
            self.clients.values().filter(is_counted).partition(|client| client.is_visitor);
        (others.len(), visitors.len())
    }

    /// Returns whether there is no place for a client.
    fn is_full(&self, peer: Peer) -> bool {
        let max = self.config.max_per_ip;
        self.count(None).0 >= self.config.max_clients
            || (network(peer).is_some() && max > 0 && self.count(Some(peer)).0 >= max)
    }

    fn has_place_for_visitor(&self, peer: Peer) -> bool {
        let max_visitors = self.config.max_visitors();
        let (clients, visitors) = self.count(Some(peer));
        let max = if network(peer).is_none() { 0 } else { self.config.max_per_ip };
        let excess = if max > 0 { clients.saturating_sub(max) } else { 0 };
        self.count(None).1 < max_visitors && visitors + excess < max_visitors / 2
    }

    /// Disconnects a visitor for which there still is no place, and returns whether it did.
    fn refuse_visitor(&mut self, id: u64) -> bool {
        let client = self.clients.get(&id);
        let is_refused = client.is_some_and(|c| c.is_visitor && self.is_full(c.peer));
        if is_refused {
            self.clients.remove(&id);
            self.send(id, OwnFrame::Bye(ByeCode::Full));
        }
        is_refused
    }

    pub fn tick(&mut self) {
        let is_late = |client: &ReferenceClient| {
            client.name.is_none() && client.hello_deadline <= self.now.uptime
        };
        let late = self.clients.iter().filter(|(_, client)| is_late(client));
        for id in late.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.join(id, None, None);
        }
        for (deadline, id) in self.silent.clone() {
            if deadline <= self.now.uptime {
                self.announce_member(id);
            }
        }
    }

    /// Expects the join of a member, unless the member is quiet or it was expected before.
    fn announce_member(&mut self, id: u64) {
        self.silent.retain(|(_, silent)| *silent != id);
        let Some(client) = self.clients.get_mut(&id) else { return };
        if !client.is_quiet && !std::mem::replace(&mut client.is_announced, true) {
            let name = client.name.clone().expect("a member");
            self.broadcasts.expect_join(name, self.names().count(), self.now);
        }
    }

    fn join(&mut self, id: u64, hello: Option<&Hello>, line_id: Option<Box<str>>) {
        let is_silent = hello.is_none();
        let hello = &hello.cloned().unwrap_or_default();
        let token: Option<Token> = hello.token.as_deref().and_then(|text| text.parse().ok());
        let is_same = |other: &Token| token.is_some_and(|token| token.0 == other.0);
        let old = self.clients.iter().find(|(_, c)| c.name.is_some() && is_same(&c.token));
        let old = old.map(|(id, _)| *id);
        if old.is_none() && self.refuse_visitor(id) {
            return;
        }
        let is_valid = |held: &Reserved| is_same(&held.token) && held.until > self.now.uptime;
        let reserved = self.reserved.iter().position(is_valid);
        let is_valid_request = hello.name.as_deref().is_some_and(is_valid_name);
        let is_guest = old.is_none() && reserved.is_none() && !is_valid_request;
        let guest = match self.clients[&id].peer {
            Peer::Inet(_, port) | Peer::Proxy(_, port) => format!("guest-{port}"),
            Peer::Unix(_) => {
                self.guests += u64::from(is_guest);
                format!("guest-{}", self.guests)
            }
        };
        let (mut is_announced, mut is_quiet) = (false, hello.quiet);
        let (name, error) = match (old, reserved, hello.name.as_deref()) {
            (Some(old), ..) => {
                self.send(old, OwnFrame::Evicted(ByeCode::Replaced));
                let old = self.clients.remove(&old).expect("a client");
                is_announced = old.is_announced;
                is_quiet = old.is_quiet || hello.quiet && !old.is_announced;
                (old.name.expect("a name"), None)
            }
            (_, Some(reserved), _) => (self.reserved.remove(reserved).name, None),
            (_, _, None) => (self.free_name(id, &guest), None),
            (_, _, Some(invalid)) if !is_valid_name(invalid) => {
                (self.free_name(id, &guest), Some(ErrorCode::BadName))
            }
            (_, _, Some(requested)) => (self.free_name(id, requested), self.name_error(requested)),
        };
        let client = self.clients.get_mut(&id).expect("a client");
        client.name = Some(name.clone());
        client.reserves_name = hello.keep;
        client.is_announced = is_announced;
        client.is_visitor = false;
        client.is_quiet = is_quiet;
        client.errors = usize::from(error.is_some());
        let welcome = OwnFrame::Welcome {
            name: name.clone(),
            token: client.token.to_string(),
            members: self.names().count(),
            after: hello.after.filter(|_| hello.epoch.as_deref() == Some(EPOCH)),
            history: hello.history.unwrap_or(0),
            sealed: self.sealed,
        };
        self.send(id, welcome);
        if let Some(code) = error {
            self.send(id, OwnFrame::NameError(code, line_id));
        }
        if is_silent {
            self.silent.push((self.now.uptime + SILENT_NOTICE_DELAY, id));
        } else {
            self.announce_member(id);
        }
    }

    pub fn lines(&mut self, id: u64, lines: Vec<Result<ClientLine, RequestError>>) {
        self.stats.lines_in += lines.len() as u64;
        for line in lines {
            self.line(id, line);
        }
    }

    fn line(&mut self, id: u64, line: Result<ClientLine, RequestError>) {
        match (self.clients.get(&id).map(|client| client.name.is_none()), &line) {
            (Some(true), Ok(ClientLine { request: Request::Hello(hello), id: line_id })) => {
                return self.join(id, Some(hello), line_id.clone());
            }
            (Some(true), _) => self.join(id, None, None),
            _ => {}
        }
        let Some(name) = self.clients.get(&id).and_then(|client| client.name.clone()) else {
            return;
        };
        let (line_id, result) = match line {
            Ok(ClientLine { id: line_id, request }) => {
                (line_id.clone(), self.request(id, name, request, line_id))
            }
            Err(error) => (error.id, Err(error.code)),
        };
        if let Err(code) = result {
            self.send(id, OwnFrame::Error(code, line_id));
            let Some(client) = self.clients.get_mut(&id) else { return };
            client.errors += usize::from(code != ErrorCode::TooFast);
            if client.errors >= MAX_ERRORS {
                self.disconnect(id, ByeCode::Errors);
            }
        }
    }

    fn request(
        &mut self,
        id: u64,
        name: String,
        request: Request,
        line_id: Option<Box<str>>,
    ) -> Result<(), ErrorCode> {
        let body_id = line_id.clone().map(|id| String::from(id).into());
        let (seq, time) = (0, self.now.unix_ms);
        let is_heartbeat = request == Request::Heartbeat;
        if !is_heartbeat && !matches!(request, Request::Hello(_)) {
            self.announce_member(id);
        }
        match request {
            Request::Heartbeat if line_id.is_none() => {}
            Request::Heartbeat | Request::Help => self.send(id, OwnFrame::Info(line_id)),
            Request::Hello(_) => return Err(ErrorCode::LateHello),
            Request::Say(text) => {
                self.broadcast(&name, text, Body::Chat { seq, time, id: body_id })
            }
            Request::Action(text) => {
                self.broadcast(&name, text, Body::Action { seq, time, id: body_id });
            }
            Request::Private { to, text } => {
                let recipient = self.member_named(&to).ok_or(ErrorCode::NoSuchUser)?;
                let to = self.clients[&recipient].name.clone().expect("a member").into();
                let body = Body::Private { time, to, id: body_id };
                let data = String::from(text).into();
                let frame = Frame { data_source: name.into(), data, body };
                for id in BTreeSet::from([id, recipient]) {
                    self.send(id, OwnFrame::Private(frame.clone()));
                }
            }
            Request::Nick(nick) if *nick == *name => self.send(id, OwnFrame::Info(line_id)),
            Request::Nick(nick) if !is_valid_name(&nick) => return Err(ErrorCode::BadName),
            Request::Nick(nick) => {
                if let Some(code) = self.name_error(&nick)
                    && self.member_named(&nick) != Some(id)
                {
                    return Err(code);
                }
                let to = String::from(nick);
                self.clients.get_mut(&id).expect("a member").name = Some(to.clone());
                let data = format!("{name} is now {to}");
                let body = Body::Name { seq, time, from: name.into(), to: to.into(), id: body_id };
                self.broadcast(SERVER, data.into(), body);
            }
            Request::Who => {
                let members = self.names().cloned().collect();
                let quiet = self.clients.values().filter(|client| client.is_quiet);
                let quiet = quiet.filter_map(|client| client.name.clone()).collect();
                let answer_bytes = self.config.answer_bytes;
                self.send(id, OwnFrame::Who { members, quiet, answer_bytes, id: line_id });
            }
            Request::History(count) => {
                self.send(id, OwnFrame::Info(line_id));
                let count = count.unwrap_or(DEFAULT_HISTORY);
                self.send(id, OwnFrame::History { count });
            }
            Request::Stats => self.send_stats(id, line_id),
            Request::Quit => self.disconnect(id, ByeCode::Quit),
            Request::Pass(_) => self.send(id, OwnFrame::Info(line_id)),
            Request::Operator(command) => self.operator_command(id, name, *command, line_id)?,
            Request::Op(_) => return Err(ErrorCode::NotOperator),
            _ => unreachable!("the model does not know this request"),
        }
        // A heartbeat does not end a series of errors.
        if let Some(client) = self.clients.get_mut(&id).filter(|_| !is_heartbeat) {
            client.errors = 0;
        }
        Ok(())
    }

    /// Makes a member an operator, and returns whether it is a member.
    pub fn operate(&mut self, id: u64) -> bool {
        let member = self.clients.get_mut(&id).filter(|client| client.name.is_some());
        let Some(member) = member else { return false };
        member.is_operator = true;
        self.send(id, OwnFrame::Info(None));
        true
    }

    /// Knows `/topic` and `/kick` alone.
    fn operator_command(
        &mut self,
        id: u64,
        name: String,
        command: OperatorCommand,
        line_id: Option<Box<str>>,
    ) -> Result<(), ErrorCode> {
        let OperatorCommand { verb, target, text, .. } = command;
        let target_text = &*target;
        if verb == Verb::Topic && text.is_empty() {
            self.send(id, OwnFrame::Info(line_id));
            return Ok(());
        }
        if !self.clients[&id].is_operator {
            return Err(ErrorCode::NotOperator);
        }
        let (data, topic, kicked) = match (verb, &*text) {
            (Verb::Topic, "-") => (format!("{name} removed the topic"), Some(""), None),
            (Verb::Topic, topic) => (format!("{name} set the topic: {topic}"), Some(topic), None),
            (Verb::Kick, reason) => {
                let member = self.member_named(&target);
                let client = member.map(|member| &self.clients[&member]);
                if client.is_some_and(|client| client.is_operator) {
                    return Err(ErrorCode::NotAllowed);
                }
                let target_name = client.and_then(|client| client.name.clone());
                if member.is_none() && self.name_error(&target).is_none() {
                    return Err(ErrorCode::NoSuchUser);
                }
                if member.is_none() {
                    self.reserved.retain(|held| case_fold(&held.name) != case_fold(&target));
                }
                let target = target_name.unwrap_or_else(|| target_text.into());
                let colon = if reason.is_empty() { "" } else { ": " };
                (format!("{name} kicked {target}{colon}{reason}"), None, member)
            }
            _ => unreachable!("the model does not know this command"),
        };
        let body = Body::Info {
            seq: Some(0),
            time: Some(self.now.unix_ms),
            topic: topic.map(|topic| topic.to_owned().into()),
            id: line_id.map(|id| String::from(id).into()),
            stats: None,
        };
        self.broadcast(SERVER, data.into(), body);
        if let Some(kicked) = kicked {
            self.disconnect(kicked, ByeCode::Kicked);
        }
        Ok(())
    }

    fn broadcast(&mut self, source: &str, text: Box<str>, body: Body<'static>) {
        let data = String::from(text).into();
        let frame = Frame { data_source: source.to_string().into(), data, body };
        self.broadcasts.expect_message(frame, self.names().count());
    }

    pub fn other_protocol(&mut self, id: u64, protocol: OtherProtocol) {
        self.disconnect(id, protocol.bye_code());
    }

    fn disconnect(&mut self, id: u64, code: ByeCode) {
        if self.clients.contains_key(&id) {
            self.send(id, OwnFrame::Bye(code));
            self.remove(id);
        }
    }

    pub fn leave(&mut self, id: u64, reason: DisconnectReason) {
        let Some(client) = self.clients.get(&id) else { return };
        if let Some(name) = client.name.clone().filter(|_| client.reserves_name) {
            let until = self.now.uptime + self.config.grace;
            let network = network(client.peer);
            self.reserve(Reserved { name, token: client.token, until, network });
        }
        match reason {
            DisconnectReason::Slow => {
                self.stats.evictions.add(ByeCode::Slow);
                self.remove(id);
            }
            DisconnectReason::Finished if self.refuse_visitor(id) => {}
            DisconnectReason::Finished => self.disconnect(id, ByeCode::Quit),
            _ => self.remove(id),
        }
    }

    /// Reserves a name, for which another name of the same address may be dropped.
    fn reserve(&mut self, new: Reserved) {
        if self.config.grace.is_zero() {
            return;
        }
        self.reserved.retain(|held| held.until > self.now.uptime);
        let counts = |network| self.reserved.iter().filter(|held| held.network == network).count();
        let (max, own) = (self.config.max_clients.min(1000), counts(new.network));
        let max_own = if new.network.is_some() { self.config.max_per_ip } else { 0 };
        let is_full = self.reserved.len() >= max;
        let dropped = if (max_own > 0 && own >= max_own) || (is_full && own > 0) {
            self.reserved.iter().position(|held| held.network == new.network)
        } else if is_full {
            let most = self.reserved.iter().map(|held| counts(held.network)).max().unwrap_or(0);
            let is_most = |held: &Reserved| most > 1 && counts(held.network) == most;
            self.reserved.iter().position(is_most)
        } else {
            None
        };
        if let Some(dropped) = dropped {
            self.reserved.remove(dropped);
        }
        if self.reserved.len() < max {
            self.reserved.push(new);
        }
    }

    fn remove(&mut self, id: u64) {
        let client = self.clients.remove(&id).filter(|client| client.is_announced);
        if let Some(name) = client.and_then(|client| client.name) {
            self.broadcasts.expect_leave(name);
        }
    }

    pub fn shutdown(&mut self) {
        for id in std::mem::take(&mut self.clients).into_keys() {
            self.send(id, OwnFrame::Bye(ByeCode::Shutdown));
        }
        self.is_closed = true;
    }

    /// Expects an info for each member.
    pub fn announce(&mut self) {
        let members = self.clients.iter().filter(|(_, client)| client.name.is_some());
        for id in members.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.send(id, OwnFrame::Info(None));
        }
    }

    fn send_stats(&mut self, id: u64, line_id: Option<Box<str>>) {
        let stats = Stats {
            uptime: self.now.uptime.as_secs(),
            members: self.names().count(),
            connections: self.count(None).0,
            ..self.stats.clone()
        };
        self.send(id, OwnFrame::Stats(line_id, stats));
    }

    /// Returns the time at which the next silent client becomes a member or is announced.
    pub fn silent_deadline(&self) -> Option<Duration> {
        let silent = self.clients.values().filter(|client| client.name.is_none());
        let hellos = silent.map(|client| client.hello_deadline);
        let notices = self.silent.iter().filter(|(_, id)| self.clients.contains_key(id));
        hellos.chain(notices.map(|(deadline, _)| *deadline)).min()
    }
}

/// Returns the part of an address that the limits count.
fn network(peer: Peer) -> Option<IpAddr> {
    match peer {
        Peer::Inet(IpAddr::V6(ip), _) => {
            let [a, b, c, d, ..] = ip.segments();
            Some(IpAddr::from([a, b, c, d, 0, 0, 0, 0]))
        }
        Peer::Inet(ip, _) => Some(ip),
        Peer::Proxy(..) | Peer::Unix(_) => None,
    }
}
