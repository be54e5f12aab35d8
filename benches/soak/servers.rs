//! The servers under test: one, or the nodes of a cluster with their NATS servers.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::nats::NatsServers;
use crate::monitor::{MonitoredServer, ServerOptions};
use crate::options::Options;

/// The servers, and the NATS servers of a cluster.
pub struct Servers {
    pub servers: Vec<MonitoredServer>,
    logs: Vec<PathBuf>,
    _nats: Option<NatsServers>,
}

impl Servers {
    /// Starts the servers.
    pub fn start(options: &Options) -> io::Result<Self> {
        let is_cluster = options.nodes > 1;
        let nats = if is_cluster { Some(NatsServers::start(options.nats)?) } else { None };
        let (mut servers, mut logs) = (Vec::new(), Vec::new());
        for index in 0..options.nodes {
            let name =
                if is_cluster { format!("soak-{index}.log") } else { "soak-smolchatd.log".into() };
            let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
            logs.push(log.clone());
            let cluster = nats.as_ref().map_or(Vec::new(), |nats| cluster_options(nats, index));
            let options = ServerOptions { program: options.smolchatd.clone(), log, cluster };
            servers.push(MonitoredServer::start(options, index)?);
        }
        Ok(Self { servers, logs, _nats: nats })
    }

    /// Returns the paths of the logs.
    pub fn logs(&self) -> Vec<PathBuf> {
        self.logs.clone()
    }

    /// Measures the usage, and returns a message if a server is over a limit.
    pub fn check_usage(&mut self, max_connections: u64) -> io::Result<Option<String>> {
        for server in &mut self.servers {
            if let Some(text) = server.check_usage(max_connections)? {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// Returns the number of descriptors in addition to those without clients.
    pub fn descriptors_in_use(&self) -> io::Result<i64> {
        self.servers.iter().map(MonitoredServer::descriptors_in_use).sum()
    }

    /// Records the resident memory at a checkpoint.
    pub fn record_checkpoint(&mut self) -> io::Result<()> {
        self.servers.iter_mut().try_for_each(MonitoredServer::record_checkpoint)
    }

    /// Returns the largest growth of memory of a server, in bytes.
    pub fn growth(&self) -> Option<i64> {
        self.servers.iter().filter_map(MonitoredServer::growth).max()
    }

    /// Terminates all servers at once. They must exit with success in time, and have logged no error.
    pub async fn terminate(&mut self, timeout: Duration) -> Result<(), String> {
        for server in &self.servers {
            server.terminate().map_err(|error| error.to_string())?;
        }
        for server in &mut self.servers {
            let status = server.wait(timeout).await.map_err(|error| error.to_string())?;
            let status = status.ok_or("the server did not exit after SIGTERM")?;
            if !status.success() {
                return Err(format!("the server exited with {status}"));
            }
        }
        Ok(())
    }

    /// Returns the errors and panics in the logs.
    pub fn logged_errors(&self) -> io::Result<Vec<String>> {
        let errors: Vec<_> =
            self.servers.iter().map(MonitoredServer::logged_errors).collect::<Result<_, _>>()?;
        Ok(errors.concat())
    }
}

fn cluster_options(nats: &NatsServers, index: usize) -> Vec<String> {
    let (node, replicas) = (format!("node{index}"), nats.count().to_string());
    let options = [
        "--cluster",
        &nats.addresses(index),
        "--room",
        "soak",
        "--node",
        &node,
        "--cluster-replicas",
        &replicas,
    ];
    options.map(str::to_owned).into()
}
