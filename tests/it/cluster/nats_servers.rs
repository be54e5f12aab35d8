//! NATS servers as child processes, with faults.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::wait_until;
use crate::common::TempDir;

/// A server, or three that share their streams.
pub struct NatsServers {
    folder: TempDir,
    servers: Vec<NatsServer>,
}

struct NatsServer {
    port: u16,
    monitor_port: u16,
    child: Option<Child>,
}

impl NatsServers {
    pub fn start(count: usize) -> Self {
        Self::start_with_disk(count, "1GB")
    }

    /// Starts servers whose disk has room for so many bytes, in the units of NATS.
    pub fn start_with_disk(count: usize, disk: &str) -> Self {
        Self::start_with_settings(count, disk, "")
    }

    /// Starts servers with more lines in their settings.
    pub fn start_with_settings(count: usize, disk: &str, more: &str) -> Self {
        let folder = TempDir::new();
        let ports = free_ports(3 * count);
        let routes: Vec<_> = ports
            .iter()
            .skip(2)
            .step_by(3)
            .map(|port| format!("nats://127.0.0.1:{port}"))
            .collect();
        let mut servers = Vec::new();
        for (index, ports) in ports.chunks(3).enumerate() {
            let (port, monitor_port) = (ports[0], ports[1]);
            let cluster = if count > 1 {
                let (listen, routes) = (ports[2], routes.join(", "));
                format!(
                    "cluster {{ name: test, listen: \"127.0.0.1:{listen}\", routes: [{routes}] }}"
                )
            } else {
                String::new()
            };
            let store = folder.path(&format!("store-{index}"));
            let settings = format!(
                "server_name: n{index}\nlisten: \"127.0.0.1:{port}\"\nhttp: \"127.0.0.1:{monitor_port}\"\n\
                 jetstream {{ store_dir: {store:?}, max_memory_store: 64MB, max_file_store: {disk} }}\n\
                 {cluster}\n{more}\n"
            );
            fs::write(folder.path(&format!("n{index}.conf")), settings).unwrap();
            servers.push(NatsServer { port, monitor_port, child: None });
        }
        let mut servers = NatsServers { folder, servers };
        for index in 0..count {
            servers.restart(index);
        }
        servers.wait_until_healthy();
        servers
    }

    pub fn count(&self) -> usize {
        self.servers.len()
    }

    pub fn port(&self, index: usize) -> u16 {
        self.servers[index].port
    }

    /// Returns the addresses, that of the server with this index first.
    pub fn addresses(&self, first: usize) -> Vec<String> {
        let indexes = (0..self.count()).map(|index| (first + index) % self.count());
        indexes.map(|index| format!("nats://127.0.0.1:{}", self.port(index))).collect()
    }

    /// Starts a server that was killed, with the files that it had.
    pub fn restart(&mut self, index: usize) {
        let settings = self.folder.path(&format!("n{index}.conf"));
        let log = File::create(self.folder.path(&format!("n{index}.log"))).unwrap();
        let child = Command::new("nats-server").arg("-c").arg(settings).stderr(log).spawn();
        self.servers[index].child = Some(child.expect("nats-server is installed"));
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

    /// Returns the state of a stream, as the first server has it.
    pub fn stream_state(&self, name: &str) -> Value {
        let mut state = Value::Null;
        wait_until("the stream is there", || {
            let streams = self.servers[0].streams().unwrap_or_default();
            let stream = streams.into_iter().find(|stream| stream["name"] == name);
            state = stream.map_or(Value::Null, |stream| stream["state"].clone());
            !state.is_null()
        });
        state
    }

    /// Sends a request of an administrator to the first server, and checks its answer.
    pub fn request(&self, subject: &str, payload: &str) {
        let stream = TcpStream::connect(("127.0.0.1", self.port(0))).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let length = payload.len();
        write!(
            &stream,
            "CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\nPUB {subject} answer {length}\r\n{payload}\r\n"
        )
        .unwrap();
        let lines = BufReader::new(&stream).lines().map_while(Result::ok);
        let answer = lines.skip_while(|line| !line.starts_with("MSG ")).nth(1).unwrap();
        assert!(answer.contains(r#""success":true"#), "{answer}");
    }

    /// Publishes a message with the first server.
    pub fn publish(&self, subject: &str, payload: &str) {
        let stream = TcpStream::connect(("127.0.0.1", self.port(0))).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let length = payload.len();
        write!(
            &stream,
            "CONNECT {{\"verbose\":false}}\r\nPUB {subject} {length}\r\n{payload}\r\nPING\r\n"
        )
        .unwrap();
        let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
        assert!(lines.any(|line| line == "PONG"), "the server does not answer");
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
        let mut stream = TcpStream::connect(("127.0.0.1", self.monitor_port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
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

/// Returns ports that are free now. The system gives each to one caller at a time.
fn free_ports(count: usize) -> Vec<u16> {
    let bind = |_| TcpListener::bind("127.0.0.1:0").unwrap();
    let listeners: Vec<_> = (0..count).map(bind).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}
