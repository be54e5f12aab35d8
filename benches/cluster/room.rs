//! A room: its servers and its members.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::harness::nats::NatsServers;
use crate::harness::server::{Server, smolchatd};
use crate::load::{Load, Pacing};

/// The name of the room, and of the stream with its log.
const NAME: &str = "BENCH";
/// The nodes of a room with a log.
pub const NODES: usize = 3;
/// Time to send before the first window, so that buffers have grown and caches are warm.
const WARM_UP: Duration = Duration::from_millis(500);

/// The servers of a room.
#[derive(Clone, Copy, PartialEq)]
pub enum Servers {
    /// One node without a log.
    Single,
    /// Three nodes, whose log is on this number of NATS servers.
    Cluster(usize),
}

/// The running servers of a room, and its members.
pub struct Room {
    pub nodes: Vec<Server>,
    pub nats: Option<NatsServers>,
    pub load: Load,
}

/// The figures of one window.
pub struct Window {
    /// Lines times the members that received them.
    pub deliveries: f64,
    /// Lines sent.
    pub lines: f64,
    /// Seconds from the first line to the last delivery.
    pub seconds: f64,
    /// CPU microseconds of all nodes.
    pub cpu_us: f64,
    /// Milliseconds from sending a line to its delivery: the median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
}

impl Room {
    /// Starts the servers of a room, whose members join.
    pub fn start(program: &Path, servers: Servers, members: usize) -> io::Result<Self> {
        let (nats, nodes) = match servers {
            Servers::Single => (None, vec![start_node(program, &[])?]),
            Servers::Cluster(replicas) => {
                let nats = NatsServers::start(replicas)?;
                let nodes = (0..NODES).map(|index| {
                    let (list, node) = (nats.addresses(index), format!("n{index}"));
                    let replicas = replicas.to_string();
                    let options = ["--cluster", &list, "--room", NAME, "--node", &node];
                    start_node(
                        program,
                        &[&options[..], &["--cluster-replicas", &replicas]].concat(),
                    )
                });
                let nodes = nodes.collect::<io::Result<Vec<_>>>()?;
                (Some(nats), nodes)
            }
        };
        let load = Load::join(nodes.iter().map(|node| node.addr).collect(), members)?;
        Ok(Self { nodes, nats, load })
    }

    /// Sends until buffers have grown.
    pub fn warm_up(&mut self, pacing: Pacing) -> io::Result<()> {
        self.load.send(pacing, WARM_UP).map(drop)
    }

    /// Sends for `duration`, and returns the figures of that time.
    pub fn window(&mut self, pacing: Pacing, duration: Duration) -> io::Result<Window> {
        let cpu = self.cpu()?;
        let counters = self.load.send(pacing, duration)?;
        let millis = |quantile| counters.latency.value_at_quantile(quantile) as f64 / 1e6;
        let (p50, p99) = (millis(0.5), millis(0.99));
        let deliveries = counters.deliveries as f64;
        let seconds = (counters.last_delivery - counters.start) as f64 / 1e9;
        let lines = deliveries / self.load.members() as f64;
        let cpu_us = (self.cpu()? - cpu).as_secs_f64() * 1e6;
        Ok(Window { deliveries, lines, seconds, cpu_us, p50, p99 })
    }

    /// Kills the server that leads the log.
    pub fn kill_leader(&mut self) -> io::Result<()> {
        let nats = self.nats.as_mut().ok_or_else(|| io::Error::other("a room without a log"))?;
        nats.kill_leader(NAME)
    }

    /// Kills the last node. Its members no longer send.
    pub fn kill_node(&mut self) -> io::Result<()> {
        self.load.stop_senders(self.nodes.len() - 1);
        self.nodes.pop().map_or(Ok(()), |mut node| node.child.kill())
    }

    /// Returns an error if a member did not receive each line once and in one order.
    pub fn check(&self) -> io::Result<()> {
        let check = self.load.check();
        if check.is_as_promised() {
            return Ok(());
        }
        let (lost, reordered, closed) = (check.lost, check.reordered, check.closed);
        Err(io::Error::other(format!(
            "{lost} deliveries lost, {reordered} reordered, {closed} connections closed, one order: {}",
            check.one_order
        )))
    }

    /// Returns the CPU time of all nodes.
    pub fn cpu(&self) -> io::Result<Duration> {
        self.nodes.iter().map(|node| node.process().cpu()).sum()
    }
}

fn start_node(program: &Path, options: &[&str]) -> io::Result<Server> {
    let mut command = smolchatd(program);
    command.args(["--rate", "0", "--address-bytes", "0", "--max-clients", "5000"]);
    command.args(["--log", "error"]).args(options);
    Server::spawn(command)
}
