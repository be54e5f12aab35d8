//! The model: who is here, whose names are kept, and what each is to be told.
//!
//! It knows of no batches, places in bytes or slices, and holds no history.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use smolchat::protocol::{
    Body, ByeCode, ClientLine, ErrorCode, Frame, Hello, MAX_NAME, OtherProtocol, Request,
    RequestError, SERVER, Stats, case_fold, is_valid_name,
};
use smolchat::room::{Config, DisconnectReason, Now, Peer, Token};

use super::news::{Due, ExpectedFrame, Own};
use super::script::EPOCH;

const MAX_ERRORS: usize = 50;
const HISTORY_SHOWN: u64 = 50;

pub struct Model {
    pub rules: Config,
    pub clients: BTreeMap<u64, Client>,
    pub closed: bool,
    pub now: Now,
    kept: Vec<(String, Token, Duration)>,
    /// What all are to be told.
    pub news: ExpectedFrame,
    /// What some are to be told, for the caller to take.
    pub own: Vec<(u64, Due)>,
    /// When those came who were let in from each address.
    came: BTreeMap<IpAddr, Vec<Duration>>,
    /// Who is to be told the figures, and those of them that the room counts.
    counts: Stats,
    /// The oldest number that the history holds.
    pub held: u64,
    /// The last number of all closed batches.
    pub sealed: u64,
}

pub struct Client {
    pub peer: Peer,
    pub token: Token,
    pub name: Option<String>,
    keeps: bool,
    errors: usize,
    silent_until: Duration,
}

impl Model {
    pub fn new(rules: Config, now: Now) -> Self {
        Model {
            news: ExpectedFrame::new(rules.crowd),
            rules,
            now,
            clients: BTreeMap::new(),
            closed: false,
            kept: Vec::new(),
            own: Vec::new(),
            came: BTreeMap::new(),
            counts: Stats::default(),
            held: 1,
            sealed: 0,
        }
    }

    pub fn set_time(&mut self, now: Now) {
        self.now = now;
        self.news.set_time(now, self.names().count());
    }

    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.clients.values().filter_map(|client| client.name.as_ref())
    }

    fn named(&self, name: &str) -> Option<u64> {
        let name = case_fold(name);
        let has =
            |client: &Client| client.name.as_ref().is_some_and(|other| case_fold(other) == name);
        self.clients.iter().find_map(|(id, client)| has(client).then_some(*id))
    }

    fn why_not(&self, name: &str) -> Option<ErrorCode> {
        let is_kept = |(n, _, until): &(String, _, _)| {
            case_fold(n) == case_fold(name) && *until > self.now.uptime
        };
        if self.named(name).is_some() {
            Some(ErrorCode::NameTaken)
        } else {
            self.kept.iter().any(is_kept).then_some(ErrorCode::NameKept)
        }
    }

    /// The name itself, or with a number that makes it free, of which this is the room's choice.
    fn free_name(&self, id: u64, name: &str) -> String {
        let numbered = (2..100).chain(id.max(100)..).map(|number| {
            let number = format!("-{number}");
            name.chars().take(MAX_NAME - number.len()).collect::<String>() + &number
        });
        let mut names = [name.to_string()].into_iter().chain(numbered);
        names.find(|name| self.why_not(name).is_none()).expect("some name is free")
    }

    fn tell(&mut self, id: u64, own: Own) {
        match own {
            Own::Error(code, _) | Own::Complaint(code, _) => {
                self.counts.errors.add(code);
            }
            Own::Bye(ByeCode::Quit | ByeCode::Shutdown) => {}
            Own::Bye(code) | Own::Evicted(code) => {
                self.counts.evictions.add(code);
            }
            _ => {}
        }
        self.own.push((id, Due { own, place: self.news.place }));
    }

    pub fn arrive(&mut self, id: u64, peer: Peer, token: Token) {
        if self.closed {
            return self.tell(id, Own::Bye(ByeCode::Shutdown));
        }
        let (rules, now) = (&self.rules, self.now.uptime);
        if self.clients.len() >= rules.max_clients {
            return self.tell(id, Own::Bye(ByeCode::Full));
        }
        if let Some(ip) = network(peer) {
            let there = self.clients.values().filter(|c| network(c.peer) == Some(ip));
            if rules.max_per_ip > 0 && there.count() >= rules.max_per_ip {
                return self.tell(id, Own::Bye(ByeCode::Full));
            }
            // From each that came to now there were no more than a burst, and those of the rate.
            let came = self.came.entry(ip).or_default();
            let burst = rules.connect_burst.max(1) as usize;
            let too_many = |(place, then): (usize, &Duration)| {
                let beyond = (came.len() - place + 1).saturating_sub(burst) as u32;
                rules.connect_rate > 0
                    && Duration::from_secs(1) / rules.connect_rate * beyond > now - *then
            };
            if came.iter().enumerate().any(too_many) {
                self.tell(id, Own::Error(ErrorCode::TooFast, None));
                return self.tell(id, Own::Bye(ByeCode::TooFast));
            }
            came.push(now);
        }
        let silent_until = now + self.rules.hello_wait;
        let client = Client { peer, token, name: None, keeps: false, errors: 0, silent_until };
        self.clients.insert(id, client);
    }

    pub fn tick(&mut self) {
        let over =
            |client: &Client| client.name.is_none() && client.silent_until <= self.now.uptime;
        let over = self.clients.iter().filter(|(_, client)| over(client));
        for id in over.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.join(id, &Hello::default(), None);
        }
    }

    fn join(&mut self, id: u64, hello: &Hello, word: Option<Box<str>>) {
        let proof: Option<Token> = hello.token.as_deref().and_then(|text| text.parse().ok());
        let fits = |token: &Token| proof.is_some_and(|proof| proof.0 == token.0);
        let ghost = self.clients.iter().find(|(_, c)| c.name.is_some() && fits(&c.token));
        let ghost = ghost.map(|(id, _)| *id);
        let kept = |(_, token, until): &(_, Token, _)| fits(token) && *until > self.now.uptime;
        let kept = self.kept.iter().position(kept);
        let guest = match self.clients[&id].peer {
            Peer::Inet(_, port) => format!("guest-{port}"),
            Peer::Unix => format!("guest-{id}"),
        };
        let (name, complaint) = match (ghost, kept, hello.name.as_deref()) {
            (Some(ghost), ..) => {
                self.tell(ghost, Own::Evicted(ByeCode::Replaced));
                (self.clients.remove(&ghost).and_then(|ghost| ghost.name).expect("a name"), None)
            }
            (_, Some(kept), _) => (self.kept.remove(kept).0, None),
            (_, _, None) => (self.free_name(id, &guest), None),
            (_, _, Some(bad)) if !is_valid_name(bad) => {
                (self.free_name(id, &guest), Some(ErrorCode::BadName))
            }
            (_, _, Some(wanted)) => (self.free_name(id, wanted), self.why_not(wanted)),
        };
        let client = self.clients.get_mut(&id).expect("who joins is here");
        client.name = Some(name.clone());
        client.keeps = hello.keep;
        client.errors = usize::from(complaint.is_some());
        let welcome = Own::Welcome {
            name: name.clone(),
            token: client.token.to_string(),
            members: self.names().count(),
            after: hello.after.filter(|_| hello.epoch.as_deref() == Some(EPOCH)),
            history: hello.history.unwrap_or(0),
            held: self.held,
            sealed: self.sealed,
        };
        self.tell(id, welcome);
        if let Some(code) = complaint {
            self.tell(id, Own::Complaint(code, word));
        }
        if ghost.is_none() {
            self.news.came(name, self.names().count(), self.now);
        }
    }

    pub fn lines(&mut self, id: u64, lines: Vec<Result<ClientLine, RequestError>>) {
        self.counts.lines_in += lines.len() as u64;
        for line in lines {
            self.line(id, line);
        }
    }

    fn line(&mut self, id: u64, line: Result<ClientLine, RequestError>) {
        match (self.clients.get(&id).map(|client| client.name.is_none()), &line) {
            (Some(true), Ok(ClientLine { request: Request::Hello(hello), id: word })) => {
                return self.join(id, hello, word.clone());
            }
            (Some(true), _) => self.join(id, &Hello::default(), None),
            _ => {}
        }
        let Some(name) = self.clients.get(&id).and_then(|client| client.name.clone()) else {
            return;
        };
        let (word, error) = match line {
            Ok(ClientLine { id: word, request }) => {
                (word.clone(), self.request(id, name, request, word))
            }
            Err(rejected) => (rejected.id, Err(rejected.code)),
        };
        if let Err(code) = error {
            self.tell(id, Own::Error(code, word));
            let Some(client) = self.clients.get_mut(&id) else { return };
            client.errors += usize::from(code != ErrorCode::TooFast);
            if client.errors >= MAX_ERRORS {
                self.dismiss(id, ByeCode::Errors);
            }
        }
    }

    fn request(
        &mut self,
        id: u64,
        name: String,
        request: Request,
        word: Option<Box<str>>,
    ) -> Result<(), ErrorCode> {
        let told = word.clone().map(|word| String::from(word).into());
        let (seq, time) = (0, self.now.unix_ms);
        let is_heartbeat = request == Request::Heartbeat;
        match request {
            Request::Heartbeat if word.is_none() => {}
            Request::Heartbeat | Request::Help => self.tell(id, Own::Info(word)),
            Request::Hello(_) => return Err(ErrorCode::LateHello),
            Request::Say(text) => self.say(&name, text, Body::Chat { seq, time, id: told }),
            Request::Act(text) => self.say(&name, text, Body::Action { seq, time, id: told }),
            Request::Private { to, text } => {
                let recipient = self.named(&to).ok_or(ErrorCode::NoSuchUser)?;
                let to = self.clients[&recipient].name.clone().expect("a member").into();
                let body = Body::Private { time, to, id: told };
                let data = String::from(text).into();
                let frame = Frame { data_source: name.into(), data, body };
                for id in BTreeSet::from([id, recipient]) {
                    self.tell(id, Own::Private(frame.clone()));
                }
            }
            Request::Nick(wanted) if *wanted == *name => self.tell(id, Own::Info(word)),
            Request::Nick(wanted) if !is_valid_name(&wanted) => return Err(ErrorCode::BadName),
            Request::Nick(wanted) => {
                if let Some(code) = self.why_not(&wanted)
                    && self.named(&wanted) != Some(id)
                {
                    return Err(code);
                }
                let to = String::from(wanted);
                self.clients.get_mut(&id).expect("who renames is here").name = Some(to.clone());
                let data = format!("{name} is now {to}");
                let body = Body::Name { seq, time, from: name.into(), to: to.into(), id: told };
                self.say(SERVER, data.into(), body);
            }
            Request::Who => {
                let here = self.names().cloned().collect();
                let answer_bytes = self.rules.answer_bytes;
                self.tell(id, Own::Who { here, answer_bytes, word });
            }
            Request::History(count) => {
                self.tell(id, Own::Info(word));
                let count = count.unwrap_or(HISTORY_SHOWN);
                self.tell(id, Own::Past { count, held: self.held });
            }
            Request::Stats => self.tell_stats(id, word),
            Request::Quit => self.dismiss(id, ByeCode::Quit),
        }
        // To be there is not yet to speak the protocol.
        if let Some(client) = self.clients.get_mut(&id).filter(|_| !is_heartbeat) {
            client.errors = 0;
        }
        Ok(())
    }

    fn say(&mut self, source: &str, text: Box<str>, body: Body<'static>) {
        let data = String::from(text).into();
        let frame = Frame { data_source: source.to_string().into(), data, body };
        self.news.said(frame, self.names().count());
    }

    pub fn foreign(&mut self, id: u64, protocol: OtherProtocol) {
        let code = match protocol {
            OtherProtocol::Tls => ByeCode::Tls,
            OtherProtocol::Http => ByeCode::Http,
        };
        self.dismiss(id, code);
    }

    fn dismiss(&mut self, id: u64, code: ByeCode) {
        if self.clients.contains_key(&id) {
            self.tell(id, Own::Bye(code));
            self.remove(id);
        }
    }

    pub fn leave(&mut self, id: u64, reason: DisconnectReason) {
        let Some(client) = self.clients.get(&id) else { return };
        if let Some(name) = client.name.clone().filter(|_| client.keeps) {
            self.kept.push((name, client.token, self.now.uptime + self.rules.grace));
        }
        match reason {
            DisconnectReason::Slow => {
                self.counts.evictions.add(ByeCode::Slow);
                self.remove(id);
            }
            DisconnectReason::Finished => self.dismiss(id, ByeCode::Quit),
            _ => self.remove(id),
        }
    }

    fn remove(&mut self, id: u64) {
        if let Some(name) = self.clients.remove(&id).and_then(|client| client.name) {
            self.news.went(name);
        }
    }

    pub fn shutdown(&mut self) {
        for id in std::mem::take(&mut self.clients).into_keys() {
            self.tell(id, Own::Bye(ByeCode::Shutdown));
        }
        self.closed = true;
    }

    pub fn announce(&mut self) {
        let members = self.clients.iter().filter(|(_, client)| client.name.is_some());
        for id in members.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.tell(id, Own::Info(None));
        }
    }

    fn tell_stats(&mut self, id: u64, word: Option<Box<str>>) {
        let stats = Stats {
            uptime: self.now.uptime.as_secs(),
            members: self.names().count(),
            connections: self.clients.len(),
            ..self.counts.clone()
        };
        self.tell(id, Own::Stats(word, stats));
    }

    /// When the first of the silent becomes a member.
    pub fn silent_until(&self) -> Option<Duration> {
        let silent = self.clients.values().filter(|client| client.name.is_none());
        silent.map(|client| client.silent_until).min()
    }
}

/// What of an address counts.
fn network(peer: Peer) -> Option<IpAddr> {
    match peer {
        Peer::Inet(IpAddr::V6(ip), _) => {
            let [a, b, c, d, ..] = ip.segments();
            Some(IpAddr::from([a, b, c, d, 0, 0, 0, 0]))
        }
        Peer::Inet(ip, _) => Some(ip),
        Peer::Unix => None,
    }
}
