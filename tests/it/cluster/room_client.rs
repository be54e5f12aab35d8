//! A client on a thread of its own that posts lines with ids, goes to another node after each loss, and
//! keeps a record of all that it receives.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The addresses of the nodes, which change when a node is started again.
pub type Addresses = Arc<Mutex<Vec<String>>>;

/// The wait for a welcome.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(12);
/// The most lines that are not acknowledged.
const MAX_PENDING: usize = 4;

/// The frames that one client received, and the lines that it sent.
#[derive(Default)]
pub struct Record {
    /// The frames of each epoch, by their number.
    pub epochs: Vec<(String, BTreeMap<u64, String>)>,
    /// The ids whose frame came back.
    pub acknowledged: Vec<String>,
    /// The lines that were sent or will be, by id.
    pub pending: Vec<(String, String)>,
    /// The reasons for which connections ended.
    pub losses: Vec<String>,
    /// Frames out of order, and gaps.
    pub mistakes: Vec<String>,
    pub is_live: bool,
    posted: u64,
}

struct Shared {
    record: Mutex<Record>,
    is_posting: AtomicBool,
    is_stopped: AtomicBool,
    addresses: Addresses,
    name: String,
    /// The bytes of a line beside its id.
    padding: String,
    pause: Duration,
}

pub struct RoomClient {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl RoomClient {
    /// Starts a client that prefers the node with the index `first`.
    pub fn start(name: &str, addresses: Addresses, first: usize, padding: usize) -> Self {
        let pause = Duration::from_millis(if padding > 0 { 20 } else { 40 });
        let shared = Arc::new(Shared {
            record: Mutex::default(),
            is_posting: AtomicBool::new(true),
            is_stopped: AtomicBool::new(false),
            addresses,
            name: name.into(),
            padding: "x".repeat(padding),
            pause,
        });
        let for_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || for_thread.run(first));
        RoomClient { shared, thread: Some(thread) }
    }

    pub fn name(&self) -> &str {
        &self.shared.name
    }

    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.shared.record()
    }

    pub fn set_posting(&self, is_posting: bool) {
        self.shared.is_posting.store(is_posting, Ordering::SeqCst);
    }
}

impl Drop for RoomClient {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            if !thread::panicking() {
                result.unwrap();
            }
        }
    }
}

/// A connection of the client.
struct Connection {
    reader: BufReader<TcpStream>,
    line: Vec<u8>,
}

impl Connection {
    fn connect(address: &str) -> Option<Self> {
        let stream =
            TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(1)).ok()?;
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        Some(Connection { reader: BufReader::new(stream), line: Vec::new() })
    }

    fn send(&mut self, object: &Value) -> Result<(), String> {
        let line = format!("{object}\n");
        self.reader.get_ref().write_all(line.as_bytes()).map_err(|error| error.to_string())
    }

    /// Returns the next frame, or nothing if there is none yet.
    fn receive(&mut self) -> Result<Option<String>, String> {
        match self.reader.read_until(b'\n', &mut self.line) {
            Ok(0) => Err("the end of the stream".into()),
            Ok(_) if self.line.ends_with(b"\n") => {
                let line = String::from_utf8(std::mem::take(&mut self.line)).unwrap();
                Ok(Some(line.trim_end().to_owned()))
            }
            Ok(_) => Err("the end of the stream in a line".into()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(None)
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, first: usize) {
        let mut at = first;
        let mut token = None;
        while !self.is_stopped.load(Ordering::SeqCst) {
            let address = {
                let addresses = self.addresses.lock().unwrap();
                addresses[at % addresses.len()].clone()
            };
            let loss = match Connection::connect(&address) {
                Some(link) => self.join_and_post(link, &mut token),
                None => Err("not reached".into()),
            };
            let mut record = self.record();
            record.is_live = false;
            record.losses.extend(loss.err().map(|loss| format!("{address}: {loss}")));
            drop(record);
            at += 1;
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Joins and posts until the connection ends.
    fn join_and_post(
        &self,
        mut link: Connection,
        token: &mut Option<String>,
    ) -> Result<(), String> {
        let after = {
            let record = self.record();
            let last = |(epoch, frames): &(String, BTreeMap<u64, String>)| {
                (epoch.clone(), frames.keys().next_back().copied().unwrap_or(0))
            };
            record.epochs.last().map(last)
        };
        let mut hello = json!({ "name": self.name, "keep": true, "token": token });
        if let Some((epoch, after)) = &after {
            (hello["epoch"], hello["after"]) = (json!(epoch), json!(after));
        }
        link.send(&json!({ "hello": hello }))?;
        let deadline = Instant::now() + WELCOME_TIMEOUT;
        let welcome = loop {
            if self.is_stopped.load(Ordering::SeqCst) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err("no welcome".into());
            }
            if let Some(line) = link.receive()? {
                break parse(&line)?;
            }
        };
        if welcome["kind"] != "welcome" {
            return Err(welcome.to_string());
        }
        *token = Some(welcome["token"].as_str().unwrap().to_owned());
        self.on_welcome(&welcome);
        let end = welcome["seq"].as_u64().unwrap();
        while self.last_seq() < end {
            self.receive(&mut link)?;
        }
        self.post(&mut link)
    }

    fn on_welcome(&self, welcome: &Value) {
        let mut record = self.record();
        let epoch = welcome["epoch"].as_str().unwrap();
        let is_same = record.epochs.last().is_some_and(|(last, _)| last == epoch);
        if is_same && welcome["resumed"] == false {
            record.mistakes.push(format!("not resumed in the same epoch: {welcome}"));
        }
        if !is_same {
            // The frames before the first one are not replayed.
            let mut frames = BTreeMap::new();
            frames.insert(welcome["seq"].as_u64().unwrap(), String::new());
            record.epochs.push((epoch.to_owned(), frames));
        }
    }

    fn last_seq(&self) -> u64 {
        let record = self.record();
        *record.epochs.last().unwrap().1.keys().next_back().unwrap()
    }

    /// Sends the lines that are pending, and then new ones.
    fn post(&self, link: &mut Connection) -> Result<(), String> {
        let mut record = self.record();
        record.is_live = true;
        let again = record.pending.clone();
        drop(record);
        for (id, text) in again {
            link.send(&json!({ "data": text, "id": id }))?;
        }
        let mut next = Instant::now();
        while !self.is_stopped.load(Ordering::SeqCst) {
            self.receive(link)?;
            let mut record = self.record();
            let is_posting = self.is_posting.load(Ordering::SeqCst);
            if is_posting && Instant::now() >= next && record.pending.len() < MAX_PENDING {
                next = Instant::now() + self.pause;
                record.posted += 1;
                let id = format!("{}-{}", self.name, record.posted);
                let text = format!("{id} {}", self.padding);
                record.pending.push((id.clone(), text.clone()));
                drop(record);
                link.send(&json!({ "data": text, "id": id }))?;
            }
        }
        Ok(())
    }

    /// Receives a frame, if there is one.
    fn receive(&self, link: &mut Connection) -> Result<(), String> {
        if self.is_stopped.load(Ordering::SeqCst) {
            return Err("stopped".into());
        }
        let Some(line) = link.receive()? else { return Ok(()) };
        let frame = parse(&line)?;
        if frame["kind"] == "bye" {
            return Err(line);
        }
        let mut record = self.record();
        if matches!(frame["kind"].as_str(), Some("gap" | "error")) {
            record.mistakes.push(line.clone());
        }
        let Some(seq) = frame["seq"].as_u64() else { return Ok(()) };
        let (_, frames) = record.epochs.last_mut().unwrap();
        let last = *frames.keys().next_back().unwrap();
        frames.insert(seq, line.clone());
        if seq != last + 1 {
            record.mistakes.push(format!("{seq} after {last}: {line}"));
        }
        if let Some(id) = frame["id"].as_str()
            && let Some(at) = record.pending.iter().position(|(pending, _)| pending == id)
        {
            record.pending.remove(at);
            record.acknowledged.push(id.to_owned());
        }
        Ok(())
    }
}

fn parse(line: &str) -> Result<Value, String> {
    serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))
}
