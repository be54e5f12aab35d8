//! Helpers for all tests: the server and the client as child processes, and a client on a socket.
//!
//! Tests wait for a line, a frame or a fact, for at most [`TIMEOUT`], instead of sleeping. The
//! system chooses all ports.

#[cfg(feature = "web")]
pub mod browser;
pub mod client_process;
pub mod faulty_proxy;
pub mod observers;
pub mod scripted_server;
#[cfg(feature = "tls")]
pub mod scripted_tls_server;
mod server;
#[cfg(feature = "editor")]
pub mod terminal;
mod test_client;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "tls")]
mod tls_peer;
#[cfg(feature = "web")]
pub mod websocket;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::Value;

pub use server::{TestServer, run_server, run_server_with_prelude, server_with_stalled_member};
pub use test_client::TestClient;

/// The time after which a test that waits for something fails.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// The time between two checks of a fact that no line and no frame reports.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Waits until a condition holds that no line and no frame reports.
#[track_caller]
pub fn wait_until(condition: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(Instant::now() < deadline, "not reached in {TIMEOUT:?}: {condition}");
        thread::sleep(POLL_INTERVAL);
    }
}

/// Raises the soft limit of file descriptors of this process to the hard limit.
pub fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// A line that fills the buffers of a connection soon.
pub fn long_line() -> String {
    "x".repeat(4000)
}

/// Returns the JSON of a line, and checks that `data_source` and `data` are its first two keys.
#[track_caller]
pub fn parse(line: &str) -> Value {
    let frame: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    // `Value` does not keep the order of keys.
    let source = line.strip_prefix(r#"{"data_source":"#).expect("data_source as the first key");
    let mut string = serde_json::Deserializer::from_str(source).into_iter::<String>();
    string.next().expect("a value of data_source").expect("a string");
    let rest = &source[string.byte_offset()..];
    assert!(rest.starts_with(r#","data":""#), "data is not the second key: {line}");
    assert!(frame["kind"].is_string(), "{line}");
    frame
}

/// Returns the `names` of a frame, or nothing if it is of another kind.
pub fn names<'a>(frame: &'a Value, kind: &str) -> impl Iterator<Item = &'a str> {
    let names = if frame["kind"] == kind { frame["names"].as_array() } else { None };
    names.into_iter().flatten().map(|name| name.as_str().unwrap())
}

/// Returns the numbers of the frames that belong to the room's sequence.
pub fn seqs(frames: &[Value]) -> Vec<u64> {
    let is_in_sequence = |frame: &&Value| {
        let kind = frame["kind"].as_str().unwrap();
        ["chat", "action", "join", "leave", "name"].contains(&kind)
    };
    frames.iter().filter(is_in_sequence).map(|frame| frame["seq"].as_u64().unwrap()).collect()
}

/// Checks that each number is one more than the number before it.
#[track_caller]
pub fn assert_consecutive(seqs: &[u64]) {
    assert!(seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{seqs:?}");
}

/// Checks that a frame has these keys with these values; it may have others.
#[track_caller]
pub fn assert_has(frame: &Value, expected: Value) {
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&frame[key], value, "{key} of {frame}");
    }
}

/// A child process that is killed and reaped when this is dropped.
pub struct ChildGuard(pub Child);

impl ChildGuard {
    /// Waits until the process has ended.
    #[track_caller]
    fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the process has ended", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An empty directory that is removed when this is dropped.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("smolchat-{}-{count}", std::process::id()));
        fs::create_dir(&path).unwrap();
        TempDir(path)
    }

    /// Returns the path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Returns the address of a unix socket in it, as `--listen` takes it.
    pub fn unix_address(&self, name: &str) -> String {
        format!("unix:{}", self.path(name).display())
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
