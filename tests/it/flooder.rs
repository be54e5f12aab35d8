//! One member who sends as fast as its link allows, where nothing limits that: the others wait
//! for a turn of the room, and not for the end of the flood.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{TestClient, TestServer, eventually, raise_descriptor_limit};
use rustix::net::Shutdown;

/// Round trips in one measurement, and the pause between two.
const TRIPS: usize = 1000;
const PAUSE: Duration = Duration::from_millis(2);
/// What the flood may add to 99 of 100 round trips.
const ADDED: Duration = Duration::from_millis(20);
/// Measurements of which the best counts: what other programs of the machine do is no matter of
/// this one, and no flood makes the room quicker.
const ATTEMPTS: usize = 3;

/// Reads a member's lines as they are, and keeps up with a flood where the parser would not.
struct Listener(BufReader<File>);

impl Listener {
    fn new(client: &TestClient) -> Self {
        Listener(BufReader::with_capacity(1 << 18, client.writer()))
    }

    /// Waits for a line that one member says.
    fn until(&mut self, name: &str, text: &str) {
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

/// Ends the threads of a measurement, however that ends.
struct Over<'a>(&'a AtomicBool, [File; 2]);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        for socket in &self.1 {
            let _ = rustix::net::shutdown(socket, Shutdown::Both);
        }
    }
}

/// Of so many lines of alice the time until bob has heard them, that 99 of 100 take at most.
fn percentile_99(alice: &mut TestClient, bob: &mut Listener, said: &mut usize) -> Duration {
    let trips = (0..TRIPS).map(|_| {
        thread::sleep(PAUSE);
        *said += 1;
        let text = format!("ping {said}");
        let start = Instant::now();
        alice.say(&text);
        bob.until("alice", &text);
        start.elapsed()
    });
    let mut trips: Vec<Duration> = trips.collect();
    trips.sort();
    trips[TRIPS * 99 / 100]
}

#[test]
#[ignore = "takes longer than some seconds: make test-slow"]
fn a_flood_without_limits_adds_less_than_twenty_milliseconds_for_others() {
    raise_descriptor_limit();
    let server = TestServer::start(&["--rate", "0", "--outbox", "16M"]);
    let (mut alice, bob) = (server.join("alice"), server.join("bob"));
    let flooder = server.join("carol");
    let mut bob_hears = Listener::new(&bob);
    let (is_flooding, is_over) = (&AtomicBool::new(false), &AtomicBool::new(false));
    let flooded = &AtomicU64::new(0);
    let mut said = 0;
    let mut best = Duration::MAX;
    thread::scope(|scope| {
        let _over = Over(is_over, [alice.writer(), flooder.writer()]);
        // All of them read what comes, or they would be let go.
        for mut socket in [alice.writer(), flooder.writer()] {
            scope.spawn(move || {
                let mut buffer = vec![0; 1 << 18];
                while socket.read(&mut buffer).is_ok_and(|count| count > 0) {}
            });
        }
        let mut flood = flooder.writer();
        scope.spawn(move || {
            let lines = b"a line as people write them, again and again\n".repeat(100);
            while !is_over.load(Ordering::Relaxed) {
                if !is_flooding.load(Ordering::Relaxed) {
                    thread::sleep(PAUSE);
                } else if flood.write_all(&lines).is_ok() {
                    flooded.fetch_add(100, Ordering::Relaxed);
                }
            }
        });
        for attempt in 1..=ATTEMPTS {
            let quiet = percentile_99(&mut alice, &mut bob_hears, &mut said);
            let (start, before) = (Instant::now(), flooded.load(Ordering::Relaxed));
            is_flooding.store(true, Ordering::Relaxed);
            eventually("the flood is there", || flooded.load(Ordering::Relaxed) > before + 10_000);
            let busy = percentile_99(&mut alice, &mut bob_hears, &mut said);
            is_flooding.store(false, Ordering::Relaxed);
            let lines = flooded.load(Ordering::Relaxed) - before;
            let rate = lines as f64 / start.elapsed().as_secs_f64();
            println!("99th percentile: {quiet:?} without, {busy:?} with {rate:.0} lines a second");
            assert!(lines > 10 * TRIPS as u64, "{lines} lines are no flood, in try {attempt}");
            best = best.min(busy.saturating_sub(quiet));
            if best < ADDED {
                break;
            }
        }
    });
    assert!(best < ADDED, "the flood adds {best:?} at least");
}
