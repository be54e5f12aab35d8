//! A TCP proxy that injects faults.
//!
//! The faults of a connection depend on a seed and on the number of the connection, except that the
//! kernel chooses the size of each read.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt;

/// Bytes until the next fault, at most. The server sends much more than a client.
const MAX_BYTES_TO_SERVER: u64 = 2_000;
const MAX_BYTES_TO_CLIENT: u64 = 40_000;

/// A proxy between clients and a server.
pub struct FaultyProxy {
    address: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    has_faults: AtomicBool,
    fault_count: AtomicUsize,
    /// The number of coming connections whose hello is held back.
    held: AtomicUsize,
    sockets: Mutex<Vec<Weak<TcpStream>>>,
}

impl FaultyProxy {
    /// Starts a proxy without faults in front of `server`.
    pub fn start(server: &str, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared::default());
        let (server, for_relays) = (server.to_owned(), Arc::clone(&shared));
        thread::spawn(move || {
            for (number, client) in listener.incoming().map_while(Result::ok).enumerate() {
                // Without a server, the client's connection is closed.
                let Ok(server) = TcpStream::connect(&server) else { continue };
                relay(client, server, Random::new(seed, number as u64), &for_relays);
            }
        });
        FaultyProxy { address, shared }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Injects faults into all connections, also those that are open.
    pub fn enable_faults(&self) {
        self.shared.has_faults.store(true, Ordering::Relaxed);
    }

    pub fn fault_count(&self) -> usize {
        self.shared.fault_count.load(Ordering::Relaxed)
    }

    /// Holds back the hello of the next connection until the server has sent a welcome without it.
    pub fn hold_next_hello(&self) {
        self.shared.held.fetch_add(1, Ordering::Relaxed);
    }

    pub fn disconnect_all(&self) {
        for socket in self.shared.sockets.lock().unwrap().drain(..) {
            if let Some(socket) = socket.upgrade() {
                let _ = socket.shutdown(Shutdown::Both);
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Closes both connections.
    Close,
    /// Resets both connections, with the loss of unread bytes.
    Reset,
    /// Closes one direction.
    HalfClose,
    /// Pauses one direction.
    Stall(Duration),
    /// Closes the connection to the sender, and delivers its last bytes later.
    DeliverLate(Duration),
}

/// The faults of one direction of a connection.
struct FaultSchedule {
    random: Random,
    /// Bytes between two faults, at most.
    max_bytes: u64,
    /// Bytes until the next fault.
    remaining: usize,
}

impl FaultSchedule {
    fn new(mut random: Random, max_bytes: u64) -> Self {
        let remaining = random.below(max_bytes) as usize;
        FaultSchedule { random, max_bytes, remaining }
    }

    /// Counts bytes that arrived. If a fault is due, returns it and the number of bytes before it.
    fn advance(&mut self, count: usize) -> Option<(usize, Fault)> {
        let Some(remaining) = self.remaining.checked_sub(count) else {
            let pause = Duration::from_millis(self.random.below(200));
            let fault = match self.random.below(5) {
                0 => Fault::Close,
                1 => Fault::Reset,
                2 => Fault::HalfClose,
                3 => Fault::Stall(pause),
                // Long enough for the sender to reconnect before.
                _ => Fault::DeliverLate(pause * 4),
            };
            let next = self.random.below(self.max_bytes) as usize;
            return Some((std::mem::replace(&mut self.remaining, next), fault));
        };
        self.remaining = remaining;
        None
    }
}

/// Starts the relays of a connection. One of the two directions has faults.
fn relay(client: TcpStream, server: TcpStream, mut random: Random, shared: &Arc<Shared>) {
    let (client, server) = (Arc::new(client), Arc::new(server));
    for socket in [&client, &server] {
        socket.set_nodelay(true).unwrap();
        shared.sockets.lock().unwrap().push(Arc::downgrade(socket));
    }
    let one_less = |held: usize| held.checked_sub(1);
    let is_held = shared.held.try_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok();
    // Closed by the first bytes from the server.
    let (unanswered, answer) = channel();
    let (mut unanswered, mut answer) = (Some(unanswered), Some(answer));
    let fault_is_to_server = random.below(2) == 0;
    let max_bytes = if fault_is_to_server { MAX_BYTES_TO_SERVER } else { MAX_BYTES_TO_CLIENT };
    let mut schedule = Some(FaultSchedule::new(random, max_bytes));
    for (is_to_server, from, to) in [(true, &client, &server), (false, &server, &client)] {
        let relay = Relay {
            from: Arc::clone(from),
            to: Arc::clone(to),
            faults: if is_to_server == fault_is_to_server { schedule.take() } else { None },
            unanswered: if is_to_server { None } else { unanswered.take() },
            shared: Arc::clone(shared),
        };
        let answer = answer.take_if(|_| is_to_server && is_held);
        thread::spawn(move || {
            if let Some(answer) = answer {
                let _ = answer.recv();
            }
            relay.run()
        });
    }
}

/// One direction of a connection.
struct Relay {
    from: Arc<TcpStream>,
    to: Arc<TcpStream>,
    faults: Option<FaultSchedule>,
    /// Dropped after the first bytes.
    unanswered: Option<Sender<()>>,
    shared: Arc<Shared>,
}

impl Relay {
    fn run(mut self) {
        let (mut from, mut to) = (&*self.from, &*self.to);
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let bytes = &buffer[..count];
            self.unanswered = None;
            let has_faults = self.shared.has_faults.load(Ordering::Relaxed);
            let faults = self.faults.as_mut().filter(|_| has_faults);
            let Some((passing, fault)) = faults.and_then(|faults| faults.advance(count)) else {
                // A failure is ignored: the other direction may still have bytes to deliver.
                let _ = to.write_all(bytes);
                continue;
            };
            self.shared.fault_count.fetch_add(1, Ordering::Relaxed);
            let (before, rest) = bytes.split_at(passing);
            let _ = to.write_all(before);
            match fault {
                Fault::Close => {}
                Fault::Reset => {
                    for socket in [from, to] {
                        sockopt::set_socket_linger(socket, Some(Duration::ZERO)).unwrap();
                    }
                }
                Fault::HalfClose => {
                    let _ = to.shutdown(Shutdown::Write);
                    // Discards the rest: the sender does not see the fault.
                    while let Ok(1..) = from.read(&mut buffer) {}
                    return;
                }
                Fault::Stall(pause) => {
                    thread::sleep(pause);
                    let _ = to.write_all(rest);
                    continue;
                }
                Fault::DeliverLate(pause) => {
                    let _ = from.shutdown(Shutdown::Both);
                    thread::sleep(pause);
                    let _ = to.write_all(rest);
                }
            }
            for socket in [from, to] {
                let _ = socket.shutdown(Shutdown::Both);
            }
            return;
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}

/// A generator of random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn new(seed: u64, stream: u64) -> Self {
        Random(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95))
    }

    /// Returns a number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
