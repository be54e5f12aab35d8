//! The appender: gathers the commands of a node while one of its entries is on the way to the log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::entry::{Head, LogEntry, LogEvent, MAX_ENTRY, VERSION};

/// The most bytes of commands that wait before the node holds back its clients.
pub const MAX_PENDING: usize = 1024 * 1024;
/// The most bytes of an entry around its events: seven keys and six numbers of up to 20 digits.
const ENVELOPE: usize = 192;
/// The most bytes of events in an entry.
const MAX_EVENTS: usize = MAX_ENTRY - ENVELOPE;
/// The wait before an entry that failed is sent again. It is doubled with each failure.
const RETRY_MIN: Duration = Duration::from_millis(50);
/// The longest such wait, which adds to the pause after the election of a leader.
const RETRY_MAX: Duration = Duration::from_millis(200);
/// The wait for an entry to be read before it is sent again. NATS can lose an acknowledged entry in
/// a power failure.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// An entry for the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// The number of the entry, for [`Appender::on_failed`].
    pub n: u64,
    /// The entry.
    pub bytes: Arc<[u8]>,
}

/// An event that does not fit into an entry of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EventTooLong(
    /// The bytes of the event.
    pub usize,
);

/// The entries of one incarnation of a node, of which one is on the way at a time.
///
/// The same entry, with the same number, is sent again until it is read back. Readers ignore the
/// copies by their number.
#[derive(Debug)]
pub struct Appender {
    inc: u64,
    /// The number of the next entry.
    next_n: u64,
    /// Encoded events, separated by commas: one element an entry.
    pending: VecDeque<Vec<u8>>,
    pending_bytes: usize,
    in_flight: Option<EntryInFlight>,
}

#[derive(Debug)]
struct EntryInFlight {
    entry: Outgoing,
    /// When to send the entry, unless it is read before.
    send_at: Duration,
    retry_after: Duration,
}

impl Appender {
    /// Creates an appender of a node that is not in the room yet.
    pub fn new(inc: u64) -> Self {
        Appender { inc, next_n: 0, pending: VecDeque::new(), pending_bytes: 0, in_flight: None }
    }

    /// Returns the incarnation of the node.
    pub fn inc(&self) -> u64 {
        self.inc
    }

    /// Adds an event behind those that wait.
    ///
    /// # Errors
    ///
    /// Returns an error if no entry can hold the event.
    pub fn push<C: Serialize>(&mut self, event: &LogEvent<C>) -> Result<(), EventTooLong> {
        let encoded = serde_json::to_vec(event).map_err(|_| EventTooLong(0))?;
        if encoded.len() > MAX_EVENTS {
            return Err(EventTooLong(encoded.len()));
        }
        match self.pending.back_mut() {
            Some(events) if events.len() + 1 + encoded.len() <= MAX_EVENTS => {
                events.push(b',');
                events.extend_from_slice(&encoded);
                self.pending_bytes += 1 + encoded.len();
            }
            _ => {
                self.pending_bytes += encoded.len();
                self.pending.push_back(encoded);
            }
        }
        Ok(())
    }

    /// Discards the events that are in no entry yet.
    pub fn discard_waiting(&mut self) {
        self.pending.clear();
        self.pending_bytes = 0;
    }

    /// Returns whether the node must hold back its clients.
    pub fn is_full(&self) -> bool {
        self.pending_bytes >= MAX_PENDING
    }

    /// Starts an entry of a node that is not in the room: [`LogEvent::Reset`], [`LogEvent::Ask`] or
    /// [`LogEvent::Up`]. It replaces an entry on the way.
    pub fn start_outside<C: Serialize>(&mut self, event: &LogEvent<C>, head: Head) {
        self.next_n = 0;
        let events = serde_json::to_vec(event).unwrap_or_default();
        self.start(&events, head);
    }

    /// Counts the entries from 1, because the node is in the room.
    pub fn enter(&mut self) {
        self.next_n = 1;
    }

    /// Returns the entry that has to be sent now, or `None`. `head` is that of the own replica. A
    /// `beat` is sent if nothing else waits.
    pub fn poll(&mut self, now: Duration, head: Head, beat: bool) -> Option<Outgoing> {
        if self.in_flight.is_none() && self.next_n > 0 {
            if let Some(events) = self.pending.pop_front() {
                self.pending_bytes -= events.len();
                self.start(&events, head);
            } else if beat {
                self.start(&[], head);
            }
        }
        let in_flight = self.in_flight.as_mut()?;
        if in_flight.send_at <= now {
            in_flight.send_at = now + READ_TIMEOUT;
            return Some(in_flight.entry.clone());
        }
        None
    }

    /// Returns when the entry on the way has to be sent again, unless it is read before.
    pub fn deadline(&self) -> Option<Duration> {
        self.in_flight.as_ref().map(|in_flight| in_flight.send_at)
    }

    /// Handles a failure of the engine. The entry may be in the log.
    pub fn on_failed(&mut self, n: u64, now: Duration) {
        let Some(in_flight) = self.in_flight.as_mut().filter(|in_flight| in_flight.entry.n == n)
        else {
            return;
        };
        in_flight.send_at = now + in_flight.retry_after;
        in_flight.retry_after = (in_flight.retry_after * 2).min(RETRY_MAX);
    }

    /// Handles an entry of this incarnation that was read from the log.
    pub fn on_read(&mut self, n: u64) {
        if self.in_flight.as_ref().is_some_and(|in_flight| in_flight.entry.n == n) {
            self.in_flight = None;
        }
    }

    fn start(&mut self, events: &[u8], head: Head) {
        let Head { log, at, sum } = head;
        let (inc, n) = (self.inc, self.next_n);
        let empty = LogEntry::<()> { v: VERSION, inc, n, log, at, sum, events: Vec::new() };
        let mut bytes = serde_json::to_vec(&empty).unwrap_or_default();
        // The list of events is the last field.
        bytes.truncate(bytes.len().saturating_sub(2));
        bytes.extend_from_slice(events);
        bytes.extend_from_slice(b"]}");
        let entry = Outgoing { n, bytes: bytes.into() };
        let send_at = Duration::ZERO;
        self.in_flight = Some(EntryInFlight { entry, send_at, retry_after: RETRY_MIN });
        self.next_n += u64::from(self.next_n > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::decode;
    use super::*;

    const HEAD: Head = Head { log: i64::MIN, at: u64::MAX, sum: u64::MAX };
    const START: Duration = Duration::from_secs(100);

    fn appender() -> Appender {
        let mut appender = Appender::new(u64::MAX);
        appender.enter();
        appender
    }

    fn command(text: &str) -> LogEvent<String> {
        LogEvent::Do(text.into())
    }

    fn poll(appender: &mut Appender, now: Duration) -> Option<LogEntry<String>> {
        let outgoing = appender.poll(now, HEAD, false)?;
        assert!(outgoing.bytes.len() <= MAX_ENTRY);
        Some(decode(&outgoing.bytes).unwrap())
    }

    #[test]
    fn commands_gather_while_an_entry_is_in_flight() {
        let mut appender = appender();
        appender.push(&command("a")).unwrap();
        assert_eq!(poll(&mut appender, START).unwrap().events, [command("a")]);
        appender.push(&command("b")).unwrap();
        appender.push(&command("c")).unwrap();
        assert_eq!(poll(&mut appender, START), None);
        appender.on_read(1);
        let second = poll(&mut appender, START).unwrap();
        assert_eq!((second.n, second.events), (2, vec![command("b"), command("c")]));
        appender.on_read(2);
        assert!(appender.pending.is_empty() && appender.in_flight.is_none());
        assert_eq!(appender.pending_bytes, 0);
    }

    #[test]
    fn entry_is_sent_again_until_it_is_read() {
        let mut appender = appender();
        appender.push(&command("a")).unwrap();
        let first = poll(&mut appender, START).unwrap();
        let mut now = START;
        for _ in 0..10 {
            assert_eq!(poll(&mut appender, now), None);
            appender.on_failed(1, now);
            let deadline = appender.deadline().unwrap();
            assert!(deadline - now <= RETRY_MAX);
            now = deadline;
            assert_eq!(poll(&mut appender, now).as_ref(), Some(&first));
        }
        assert_eq!(appender.deadline(), Some(now + READ_TIMEOUT));
        assert_eq!(poll(&mut appender, now + READ_TIMEOUT).as_ref(), Some(&first));
        appender.on_read(1);
        appender.on_failed(1, now);
        assert_eq!(appender.deadline(), None);
    }

    #[test]
    fn entries_are_split_below_64_kib() {
        let mut appender = appender();
        let longest = "x".repeat(MAX_EVENTS - r#"{"do":""}"#.len());
        appender.push(&command(&longest)).unwrap();
        let error = appender.push(&command(&format!("{longest}x"))).unwrap_err();
        assert_eq!(error, EventTooLong(MAX_EVENTS + 1));
        let mut expected = vec![longest];
        for number in 0..3000 {
            expected.push(format!("{number:0100}"));
            appender.push(&command(expected.last().unwrap())).unwrap();
        }
        let mut found = Vec::new();
        while let Some(entry) = poll(&mut appender, START) {
            appender.on_read(entry.n);
            found.extend(entry.events);
        }
        assert_eq!(found, expected.iter().map(|text| command(text)).collect::<Vec<_>>());
        assert_eq!(appender.pending_bytes, 0);
    }

    #[test]
    fn discarded_events_are_in_no_entry() {
        let mut appender = appender();
        appender.push(&command("a")).unwrap();
        let first = poll(&mut appender, START).unwrap();
        appender.push(&command("b")).unwrap();
        appender.discard_waiting();
        appender.push(&LogEvent::<String>::Down).unwrap();
        appender.on_read(first.n);
        assert_eq!(poll(&mut appender, START).unwrap().events, [LogEvent::Down]);
        assert_eq!(appender.pending_bytes, 0);
    }

    #[test]
    fn full_appender_holds_back() {
        let mut appender = appender();
        while !appender.is_full() {
            appender.push(&command(&"x".repeat(10_000))).unwrap();
        }
        assert!(appender.pending_bytes < MAX_PENDING + MAX_ENTRY);
        let entry = poll(&mut appender, START).unwrap();
        appender.on_read(entry.n);
        assert!(!appender.is_full());
    }

    #[test]
    fn beat_is_sent_only_when_nothing_waits() {
        let mut appender = appender();
        let beat = appender.poll(START, HEAD, true).unwrap();
        assert!(decode::<String>(&beat.bytes).unwrap().events.is_empty());
        assert_eq!(appender.poll(START, HEAD, true), None);
        appender.on_read(1);
        appender.push(&command("a")).unwrap();
        let entry = appender.poll(START, HEAD, true).unwrap();
        assert_eq!(decode::<String>(&entry.bytes).unwrap().events.len(), 1);
    }

    #[test]
    fn commands_wait_until_the_node_is_in_the_room() {
        let mut appender = Appender::new(5);
        appender.push(&command("a")).unwrap();
        assert_eq!(appender.poll(START, HEAD, true), None);
        appender.start_outside(&LogEvent::<String>::Ask, HEAD);
        let ask = poll(&mut appender, START).unwrap();
        let head = Head { log: ask.log, at: ask.at, sum: ask.sum };
        assert_eq!((ask.n, head, ask.events), (0, HEAD, vec![LogEvent::Ask]));
        appender.on_read(0);
        appender.enter();
        assert_eq!(poll(&mut appender, START).unwrap().n, 1);
    }
}
