//! A TCP proxy between a node and a NATS server, which can cut and delay.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The time between two looks at a cut.
const LOOK: Duration = Duration::from_millis(20);

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
}

impl Link {
    pub fn start(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let for_relays = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                for_relays.wait();
                let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)) else { continue };
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
            thread::sleep(LOOK);
        }
    }
}

fn relay(client: &TcpStream, server: &TcpStream, shared: &Arc<Shared>) {
    for (from, to) in [(client, server), (server, client)] {
        from.set_nodelay(true).unwrap();
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        shared.sockets.lock().unwrap().push(from.try_clone().unwrap());
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                shared.wait();
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}
