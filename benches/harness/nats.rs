//! NATS servers as child processes.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::server::{ScratchDir, Server};

/// The longest time until the servers have elected a leader.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest time for an answer of a server.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A server, or several that share their streams.
pub struct NatsServers {
    servers: Vec<Server>,
    /// The ports for clients and for monitoring.
    ports: Vec<(u16, u16)>,
}

impl NatsServers {
    /// Starts servers with an empty log, and waits until they are ready.
    pub fn start(count: usize) -> io::Result<Self> {
        let ports = free_ports(3 * count)?;
        let routes: Vec<String> =
            ports.chunks(3).map(|ports| format!("nats://127.0.0.1:{}", ports[2])).collect();
        let mut servers = Self { servers: Vec::new(), ports: Vec::new() };
        for (index, ports) in ports.chunks(3).enumerate() {
            let (port, monitor_port, route) = (ports[0], ports[1], ports[2]);
            let dir = ScratchDir::new(&format!("nats-{port}"))?;
            let mut settings = format!(
                "server_name: n{index}\nlisten: \"127.0.0.1:{port}\"\n\
                 http: \"127.0.0.1:{monitor_port}\"\n\
                 jetstream {{ store_dir: {:?}, max_memory_store: 64MB, max_file_store: 2GB }}\n",
                dir.path()
            );
            if count > 1 {
                settings += &format!(
                    "cluster {{ name: bench, listen: \"127.0.0.1:{route}\", routes: [{}] }}\n",
                    routes.join(", ")
                );
            }
            let mut command = Command::new("nats-server");
            command.arg("-c").arg(dir.write("nats.conf", &settings)?);
            let server = Server::spawn_on_port(command, port, dir)
                .map_err(|error| io::Error::other(format!("nats-server: {error}")))?;
            servers.servers.push(server);
            servers.ports.push((port, monitor_port));
        }
        servers.wait_until_ready()?;
        Ok(servers)
    }

    /// Returns the number of servers.
    pub fn count(&self) -> usize {
        self.servers.len()
    }

    /// Returns the value of `--cluster`, with the server of this index first.
    pub fn addresses(&self, first: usize) -> String {
        let order = (0..self.count()).map(|index| (first + index) % self.count());
        let addresses = order.map(|index| format!("nats://127.0.0.1:{}", self.ports[index].0));
        addresses.collect::<Vec<_>>().join(",")
    }

    /// Kills the server that leads a stream.
    pub fn kill_leader(&mut self, stream: &str) -> io::Result<()> {
        let is_named = |it: &&Value| it["name"] == stream;
        let answer = self.monitor(0, "/jsz?accounts=true&streams=true")?;
        let streams = answer["account_details"][0]["stream_detail"].as_array();
        let leader = streams
            .and_then(|streams| streams.iter().find(is_named)?["cluster"]["leader"].as_str())
            .and_then(|name| name.strip_prefix('n')?.parse::<usize>().ok())
            .ok_or_else(|| io::Error::other("the log has no leader"))?;
        self.servers[leader].child.kill()
    }

    fn wait_until_ready(&self) -> io::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        for index in 0..self.count() {
            while !self.monitor(index, "/healthz").is_ok_and(|answer| answer["status"] == "ok") {
                if Instant::now() > deadline {
                    return Err(io::Error::other("the NATS servers are not ready"));
                }
                // No event tells when another process is ready.
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Returns the answer of a monitoring port.
    fn monitor(&self, index: usize, path: &str) -> io::Result<Value> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports[index].1))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        Ok(serde_json::from_str(body)?)
    }
}

/// Returns ports that are free now. The system gives each to one caller at a time.
fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listeners = (0..count).map(bind).collect::<io::Result<Vec<_>>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
