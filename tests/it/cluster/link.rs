//! A TCP proxy between a node and a NATS server, which can cut and delay.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::stepped_clock::SteppedClock;

/// The time between two checks of a cut.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// A link that can be cut.
pub struct Link {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_cut: AtomicBool,
    delay_ms: AtomicU64,
    sockets: Mutex<Vec<TcpStream>>,
    /// The clock of the log, if it steps.
    clock: Option<Arc<SteppedClock>>,
}

impl Link {
    pub fn start(server: &str) -> Self {
        Self::start_with(server, Shared::default())
    }

    /// Starts a link that changes the times of the log.
    pub fn start_with_clock(server: &str, clock: &Arc<SteppedClock>) -> Self {
        Self::start_with(server, Shared { clock: Some(Arc::clone(clock)), ..Shared::default() })
    }

    fn start_with(server: &str, shared: Shared) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(shared);
        let (server, for_relays) = (server.to_owned(), Arc::clone(&shared));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                for_relays.wait();
                let Ok(server) = TcpStream::connect(&server) else { continue };
                relay(&client, &server, &for_relays);
            }
        });
        Link { port, shared }
    }

    pub fn address(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Holds back all bytes of both directions, like a network that loses its packets. Bytes that
    /// were sent before the end of the cut arrive after it, unless a side gave up.
    pub fn cut(&self) {
        self.shared.is_cut.store(true, Ordering::SeqCst);
    }

    pub fn mend(&self) {
        self.shared.is_cut.store(false, Ordering::SeqCst);
    }

    /// Closes all connections.
    pub fn close(&self) {
        for socket in self.shared.sockets.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Delays all bytes of both directions.
    pub fn delay(&self, delay: Duration) {
        self.shared.delay_ms.store(delay.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Shared {
    fn wait(&self) {
        thread::sleep(Duration::from_millis(self.delay_ms.load(Ordering::SeqCst)));
        while self.is_cut.load(Ordering::SeqCst) {
            thread::sleep(CHECK_INTERVAL);
        }
    }

    fn copy(&self, mut from: &TcpStream, mut to: &TcpStream) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            self.wait();
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
    }
}

fn relay(client: &TcpStream, server: &TcpStream, shared: &Arc<Shared>) {
    for (is_to_server, from, to) in [(true, client, server), (false, server, client)] {
        from.set_nodelay(true).unwrap();
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        shared.sockets.lock().unwrap().push(from.try_clone().unwrap());
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            match &shared.clock {
                // An error is the end of a connection.
                Some(clock) if !is_to_server => drop(clock.copy(&from, &to, || shared.wait())),
                _ => shared.copy(&from, &to),
            }
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}
