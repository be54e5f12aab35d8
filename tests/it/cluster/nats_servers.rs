//! NATS servers as child processes, with faults.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::wait_until;
use crate::common::TempDir;

/// A server, or three that share their streams.
pub struct NatsServers {
    servers: Vec<NatsServer>,
    /// A file system of its own for the first server.
    small_disk: Option<SmallDisk>,
    folder: TempDir,
}

struct NatsServer {
    /// For clients, as `HOST:PORT`.
    address: String,
    /// For [`NatsServer::monitor`].
    monitor: String,
    child: Option<Child>,
}

/// A file system in memory.
struct SmallDisk(PathBuf);

impl NatsServers {
    pub fn start(count: usize) -> Self {
        Self::start_with_disk(count, "1GB")
    }

    /// Starts servers whose disk has room for so many bytes, in the units of NATS.
    pub fn start_with_disk(count: usize, disk: &str) -> Self {
        Self::start_with_settings(count, disk, "")
    }

    /// Starts a server on a small file system of its own, for which the test has to run as root.
    pub fn start_on_small_disk() -> Self {
        let folder = TempDir::new();
        let small_disk = SmallDisk::mount(folder.path("store-0"));
        let mut servers = Self::start_in(folder, 1, "1GB", "");
        servers.small_disk = Some(small_disk);
        servers
    }

    /// Fills the small file system, or makes room again.
    pub fn set_disk_full(&self, is_full: bool) {
        let path = self.small_disk.as_ref().unwrap().0.join("ballast");
        if !is_full {
            return fs::remove_file(path).unwrap();
        }
        let mut file = File::create(path).unwrap();
        for size in [64 * 1024, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// Starts servers with more lines in their settings.
    pub fn start_with_settings(count: usize, disk: &str, more: &str) -> Self {
        Self::start_in(TempDir::new(), count, disk, more)
    }

    fn start_in(folder: TempDir, count: usize, disk: &str, more: &str) -> Self {
        let addresses: Vec<_> = (0..count).map(|_| fresh_addresses()).collect();
        let routes: Vec<_> =
            addresses.iter().map(|[.., route]| format!("nats://{route}")).collect();
        let mut servers = Vec::new();
        for (index, [address, monitor, route]) in addresses.into_iter().enumerate() {
            let cluster = if count > 1 {
                let routes = routes.join(", ");
                format!("cluster {{ name: test, listen: {route:?}, routes: [{routes}] }}")
            } else {
                String::new()
            };
            let store = folder.path(&format!("store-{index}"));
            let settings = format!(
                "server_name: n{index}\nlisten: {address:?}\nhttp: {monitor:?}\n\
                 jetstream {{ store_dir: {store:?}, max_memory_store: 64MB, max_file_store: {disk} }}\n\
                 {cluster}\n{more}\n"
            );
            fs::write(folder.path(&format!("n{index}.conf")), settings).unwrap();
            servers.push(NatsServer { address, monitor, child: None });
        }
        let mut servers = NatsServers { servers, small_disk: None, folder };
        for index in 0..count {
            servers.restart(index);
        }
        servers.wait_until_healthy();
        servers
    }

    pub fn count(&self) -> usize {
        self.servers.len()
    }

    pub fn address(&self, index: usize) -> &str {
        &self.servers[index].address
    }

    /// Returns the addresses, that of the server with this index first.
    pub fn addresses(&self, first: usize) -> Vec<String> {
        let indexes = (0..self.count()).map(|index| (first + index) % self.count());
        indexes.map(|index| format!("nats://{}", self.address(index))).collect()
    }

    /// Starts a server that was killed, with the files that it had.
    pub fn restart(&mut self, index: usize) {
        let settings = self.folder.path(&format!("n{index}.conf"));
        let log = File::create(self.folder.path(&format!("n{index}.log"))).unwrap();
        let program = std::env::var_os("NATS_SERVER").unwrap_or("nats-server".into());
        let child = Command::new(program).arg("-c").arg(settings).stderr(log).spawn();
        self.servers[index].child = Some(child.expect("nats-server is installed"));
    }

    /// Deletes the files of a server that was killed.
    pub fn delete_store(&self, index: usize) {
        fs::remove_dir_all(self.folder.path(&format!("store-{index}"))).unwrap();
    }

    pub fn kill(&mut self, index: usize) {
        let mut child = self.servers[index].child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Stops a server with SIGSTOP, or lets it go on with SIGCONT.
    pub fn signal(&self, index: usize, signal: Signal) {
        let child = self.servers[index].child.as_ref().unwrap();
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Waits until each server has all that the others have.
    pub fn wait_until_healthy(&self) {
        for server in &self.servers {
            wait_until("the NATS server is healthy", || {
                server.monitor("/healthz").is_some_and(|answer| answer["status"] == "ok")
            });
        }
    }

    /// Returns the server that leads the stream of a room.
    pub fn leader(&self, room: &str) -> usize {
        let mut leader = None;
        wait_until("the stream has a leader", || {
            leader = self.find_leader(room);
            leader.is_some()
        });
        leader.unwrap()
    }

    /// Returns the state of a stream, as the first server that runs has it.
    pub fn stream_state(&self, name: &str) -> Value {
        let server = self.servers.iter().find(|server| server.child.is_some()).unwrap();
        let mut state = Value::Null;
        wait_until("the stream is there", || {
            let streams = server.streams().unwrap_or_default();
            let stream = streams.into_iter().find(|stream| stream["name"] == name);
            state = stream.map_or(Value::Null, |stream| stream["state"].clone());
            !state.is_null()
        });
        state
    }

    /// Sends a request of an administrator to the first server, and checks its answer.
    pub fn request(&self, subject: &str, payload: &str) {
        let length = payload.len();
        let lines =
            self.send(&format!("SUB answer 1\r\nPUB {subject} answer {length}\r\n{payload}\r\n"));
        let answer = lines.skip_while(|line| !line.starts_with("MSG ")).nth(1).unwrap();
        assert!(!answer.contains(r#""error":"#), "{answer}");
    }

    /// Publishes a message with the first server.
    pub fn publish(&self, subject: &str, payload: &str) {
        let length = payload.len();
        let mut lines = self.send(&format!("PUB {subject} {length}\r\n{payload}\r\nPING\r\n"));
        assert!(lines.any(|line| line == "PONG"), "the server does not answer");
    }

    /// Subscribes to a subject at the first server. The result returns the subjects of the messages up
    /// to now.
    pub fn subscribe(&self, subject: &str) -> impl FnOnce() -> Vec<String> {
        let mut lines = self.send(&format!("SUB {subject} 1\r\nSUB end 1\r\nPING\r\n"));
        assert!(lines.any(|line| line == "PONG"), "the server does not answer");
        move || {
            self.publish("end", "");
            let messages = lines.filter_map(|line| line.strip_prefix("MSG ").map(str::to_owned));
            let subjects = messages.map(|line| line.split(' ').next().unwrap_or("").to_owned());
            subjects.take_while(|subject| subject != "end").collect()
        }
    }

    /// Sends operations of the protocol of NATS to the first server. Returns the lines of its answer.
    fn send(&self, operations: &str) -> impl Iterator<Item = String> + use<> {
        let mut stream = TcpStream::connect(self.address(0)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "CONNECT {{\"verbose\":false}}\r\n{operations}").unwrap();
        BufReader::new(stream).lines().map_while(Result::ok)
    }

    fn find_leader(&self, room: &str) -> Option<usize> {
        let running = self.servers.iter().filter(|server| server.child.is_some());
        let mut names = running.filter_map(|server| {
            let stream = server.streams()?.into_iter().find(|stream| stream["name"] == room)?;
            Some(stream["cluster"]["leader"].as_str()?.to_owned())
        });
        let index: usize = names.next_back()?.strip_prefix('n')?.parse().ok()?;
        self.servers.get(index)?.child.is_some().then_some(index)
    }
}

impl NatsServer {
    /// Returns the streams of the server.
    fn streams(&self) -> Option<Vec<Value>> {
        let answer = self.monitor("/jsz?accounts=true&streams=true")?;
        Some(answer["account_details"][0]["stream_detail"].as_array()?.clone())
    }

    /// Returns the answer of the monitoring port.
    fn monitor(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(&self.monitor).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }
}

impl SmallDisk {
    fn mount(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=32m", "none"]).arg(&path);
        assert!(command.status().unwrap().success(), "no file system can be mounted here");
        SmallDisk(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Returns the loopback address of the servers of this process.
pub fn host() -> String {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    format!("127.{high}.{middle}.{low}")
}

/// Returns three addresses of a server that no other program uses, also while the server does not run:
/// the host is that of this process, and the ports are not those that the system gives to clients.
fn fresh_addresses() -> [String; 3] {
    static NEXT: AtomicU16 = AtomicU16::new(10_000);
    [(); 3].map(|()| format!("{}:{}", host(), NEXT.fetch_add(1, Ordering::Relaxed)))
}
