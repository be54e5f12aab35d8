//! A member that sends as fast as its connection allows, without limits: the others wait for a turn
//! of the room, not for the end of the flood.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::Shutdown;

use crate::common::{TestClient, TestServer, raise_descriptor_limit, wait_until};

const ROUND_TRIPS: usize = 1000;
const PAUSE: Duration = Duration::from_millis(2);
/// The limit of the time that the flood adds to the 99th percentile.
const MAX_ADDED: Duration = Duration::from_millis(20);
/// The best of these measurements counts: other programs of the machine disturb some.
const MEASUREMENTS: usize = 3;

/// A reader of unparsed lines, which is fast enough for a flood.
struct RawReader(BufReader<File>);

impl RawReader {
    fn new(client: &TestClient) -> Self {
        RawReader(BufReader::with_capacity(1 << 18, client.clone_socket()))
    }

    /// Reads up to a line of a member.
    fn read_until(&mut self, name: &str, text: &str) {
        let start = format!(r#"{{"data_source":"{name}","data":"{text}","#);
        let mut line = Vec::new();
        loop {
            line.clear();
            assert_ne!(self.0.read_until(b'\n', &mut line).unwrap(), 0, "the end of the stream");
            if line.starts_with(start.as_bytes()) {
                return;
            }
        }
    }
}

/// Ends the threads of the test when it is dropped, also in a panic.
struct StopGuard<'a>(&'a AtomicBool, [File; 2]);

impl Drop for StopGuard<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        for socket in &self.1 {
            let _ = rustix::net::shutdown(socket, Shutdown::Both);
        }
    }
}

/// Returns the 99th percentile of the time from alice to bob.
fn percentile_99(alice: &mut TestClient, bob: &mut RawReader, sent: &mut usize) -> Duration {
    let trips = (0..ROUND_TRIPS).map(|_| {
        thread::sleep(PAUSE);
        *sent += 1;
        let text = format!("ping {sent}");
        let start = Instant::now();
        alice.say(&text);
        bob.read_until("alice", &text);
        start.elapsed()
    });
    let mut trips: Vec<Duration> = trips.collect();
    trips.sort();
    trips[ROUND_TRIPS * 99 / 100]
}

#[test]
#[ignore = "slow, see `make test-slow`"]
fn unlimited_flood_adds_less_than_20_ms() {
    raise_descriptor_limit();
    let server = TestServer::start(&["--rate", "0", "--outbox", "16M"]);
    let (mut alice, bob) = (server.join("alice"), server.join("bob"));
    let flooder = server.join("carol");
    let mut bob_reader = RawReader::new(&bob);
    let (is_flooding, is_stopped) = (&AtomicBool::new(false), &AtomicBool::new(false));
    let flooded = &AtomicU64::new(0);
    let mut sent = 0;
    let mut best = Duration::MAX;
    thread::scope(|scope| {
        let _stop = StopGuard(is_stopped, [alice.clone_socket(), flooder.clone_socket()]);
        // Reads all output: otherwise the server closes the two as slow.
        for mut socket in [alice.clone_socket(), flooder.clone_socket()] {
            scope.spawn(move || {
                let mut buffer = vec![0; 1 << 18];
                while socket.read(&mut buffer).is_ok_and(|count| count > 0) {}
            });
        }
        let mut flood = flooder.clone_socket();
        scope.spawn(move || {
            let lines = b"a line of a usual length, again and again\n".repeat(100);
            while !is_stopped.load(Ordering::Relaxed) {
                if !is_flooding.load(Ordering::Relaxed) {
                    thread::sleep(PAUSE);
                } else if flood.write_all(&lines).is_ok() {
                    flooded.fetch_add(100, Ordering::Relaxed);
                }
            }
        });
        for _ in 0..MEASUREMENTS {
            let quiet = percentile_99(&mut alice, &mut bob_reader, &mut sent);
            let (start, before) = (Instant::now(), flooded.load(Ordering::Relaxed));
            is_flooding.store(true, Ordering::Relaxed);
            wait_until("the flood runs", || flooded.load(Ordering::Relaxed) > before + 10_000);
            let busy = percentile_99(&mut alice, &mut bob_reader, &mut sent);
            is_flooding.store(false, Ordering::Relaxed);
            let lines = flooded.load(Ordering::Relaxed) - before;
            let rate = lines as f64 / start.elapsed().as_secs_f64();
            println!(
                "99th percentile: {quiet:?} without, {busy:?} with {rate:.0} lines per second"
            );
            assert!(lines > 10 * ROUND_TRIPS as u64, "{lines} lines are too few for a flood");
            best = best.min(busy.saturating_sub(quiet));
            if best < MAX_ADDED {
                break;
            }
        }
    });
    assert!(best < MAX_ADDED, "the flood adds {best:?}");
}
