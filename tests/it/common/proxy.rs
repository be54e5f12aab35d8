//! A link that is as bad as a link can be.
//!
//! What it does to a connection depends on a seed and on the number of the connection alone, as
//! far as that is possible where the bytes come in pieces of the kernel's choice.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt;

/// How long the hello of a connection that was [held up](Proxy::hold_up_next) takes.
const HOLD_UP: Duration = Duration::from_millis(300);

/// Passes bytes between clients and a server, and spoils it when it is told to.
pub struct Proxy {
    address: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_rough: AtomicBool,
    faults: AtomicUsize,
    held_up: AtomicUsize,
    links: Mutex<Vec<Weak<TcpStream>>>,
}

impl Proxy {
    /// One in front of `server` that is calm at first.
    pub fn start(server: &str, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared::default());
        let (server, to_share) = (server.to_owned(), Arc::clone(&shared));
        thread::spawn(move || {
            for (number, client) in listener.incoming().map_while(Result::ok).enumerate() {
                // A server that is not there is a connection that is cut.
                let Ok(server) = TcpStream::connect(&server) else { continue };
                join(client, server, Random::new(seed, number as u64), &to_share);
            }
        });
        Proxy { address, shared }
    }

    /// Where clients connect.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// From now on each connection meets with a fault, sooner or later.
    pub fn be_rough(&self) {
        self.shared.is_rough.store(true, Ordering::Relaxed);
    }

    /// How many faults there were.
    pub fn faults(&self) -> usize {
        self.shared.faults.load(Ordering::Relaxed)
    }

    /// The next connection takes its time until its first bytes reach the server.
    pub fn hold_up_next(&self) {
        self.shared.held_up.fetch_add(1, Ordering::Relaxed);
    }

    /// Cuts all connections.
    pub fn cut_all(&self) {
        for link in self.shared.links.lock().unwrap().drain(..) {
            if let Some(link) = link.upgrade() {
                let _ = link.shutdown(Shutdown::Both);
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Both ends are told that the other has closed.
    Cut,
    /// Both ends lose the connection, and what was on its way.
    Reset,
    /// This direction alone is closed; the other goes on.
    HalfClose,
    /// Nothing passes for a while.
    Stall(Duration),
    /// The sender is cut off, and the receiver gets later what was on its way.
    Late(Duration),
}

/// Which faults come, and when.
struct Fate {
    random: Random,
    /// Bytes until the next comes, at most.
    reach: u64,
    /// Bytes until the next comes.
    after: usize,
}

impl Fate {
    fn new(mut random: Random, reach: u64) -> Self {
        let after = random.below(reach) as usize;
        Fate { random, reach, after }
    }

    /// Of so many bytes that come now, how many pass before a fault, and which fault; nothing if
    /// all pass.
    fn strikes(&mut self, count: usize) -> Option<(usize, Fault)> {
        let Some(rest) = self.after.checked_sub(count) else {
            let pause = Duration::from_millis(self.random.below(400));
            let fault = match self.random.below(5) {
                0 => Fault::Cut,
                1 => Fault::Reset,
                2 => Fault::HalfClose,
                3 => Fault::Stall(pause),
                // Long enough for the sender to be back before.
                _ => Fault::Late(pause * 4),
            };
            let next = self.random.below(self.reach) as usize;
            return Some((std::mem::replace(&mut self.after, next), fault));
        };
        self.after = rest;
        None
    }
}

/// Passes bytes both ways; one of the two meets with faults.
fn join(client: TcpStream, server: TcpStream, mut random: Random, shared: &Arc<Shared>) {
    let (client, server) = (Arc::new(client), Arc::new(server));
    for link in [&client, &server] {
        link.set_nodelay(true).unwrap();
        shared.links.lock().unwrap().push(Arc::downgrade(link));
    }
    let held_up = shared.held_up.load(Ordering::Relaxed);
    let hold_up = held_up > 0;
    if hold_up {
        shared.held_up.store(held_up - 1, Ordering::Relaxed);
    }
    // Much more comes down than goes up.
    let goes_up = random.below(2) == 0;
    let reach = if goes_up { 2_000 } else { 40_000 };
    let mut random = Some(random);
    for (is_up, from, to) in [(true, &client, &server), (false, &server, &client)] {
        let pump = Pump {
            from: Arc::clone(from),
            to: Arc::clone(to),
            fate: if is_up == goes_up { random.take().map(|r| Fate::new(r, reach)) } else { None },
            shared: Arc::clone(shared),
        };
        thread::spawn(move || {
            if is_up && hold_up {
                thread::sleep(HOLD_UP);
            }
            pump.run()
        });
    }
}

/// One direction of a connection.
struct Pump {
    from: Arc<TcpStream>,
    to: Arc<TcpStream>,
    fate: Option<Fate>,
    shared: Arc<Shared>,
}

impl Pump {
    fn run(mut self) {
        let (mut from, mut to) = (&*self.from, &*self.to);
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let bytes = &buffer[..count];
            let is_rough = self.shared.is_rough.load(Ordering::Relaxed);
            let fate = self.fate.as_mut().filter(|_| is_rough);
            let Some((passing, fault)) = fate.and_then(|fate| fate.strikes(count)) else {
                // Who is gone does not close the way of what is on its way to the other.
                let _ = to.write_all(bytes);
                continue;
            };
            self.shared.faults.fetch_add(1, Ordering::Relaxed);
            // A fault comes in the middle of a line, most of the time.
            let (before, rest) = bytes.split_at(passing);
            let _ = to.write_all(before);
            match fault {
                Fault::Cut => {}
                Fault::Reset => {
                    for socket in [from, to] {
                        sockopt::set_socket_linger(socket, Some(Duration::ZERO)).unwrap();
                    }
                }
                Fault::HalfClose => {
                    let _ = to.shutdown(Shutdown::Write);
                    // The other end may go on talking, to nobody.
                    while let Ok(1..) = from.read(&mut buffer) {}
                    return;
                }
                Fault::Stall(pause) => {
                    thread::sleep(pause);
                    let _ = to.write_all(rest);
                    continue;
                }
                Fault::Late(pause) => {
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

/// Enough chance for a proxy (SplitMix64).
pub struct Random(u64);

impl Random {
    /// The same again for the same seed and stream.
    pub fn new(seed: u64, stream: u64) -> Self {
        Random(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95))
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
