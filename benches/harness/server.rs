//! Server processes: started on a free port, and killed when they are dropped.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::harness::process::Process;

/// The longest time from the start of a server until it listens.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A running server. Dropping it kills the process and removes its directory.
pub struct Server {
    pub child: Child,
    /// The address on which it listens.
    pub addr: SocketAddr,
    /// The server to which this one forwards.
    behind: Option<Box<Server>>,
    _dir: Option<ScratchDir>,
}

impl Server {
    /// Starts a server that chooses its port and prints `listening on ADDR`.
    pub fn spawn(command: Command) -> io::Result<Self> {
        Self::spawn_and_find(command, "listening on ")
    }

    /// Starts a server that chooses its port and prints it in a line that begins with `prefix`.
    pub fn spawn_and_find(mut command: Command, prefix: &str) -> io::Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        // Built before the address is known, so that an error kills the child.
        let addr = (Ipv4Addr::LOCALHOST, 0).into();
        let mut server = Self { child, addr, behind: None, _dir: None };
        server.addr = server.read_address(prefix)?;
        Ok(server)
    }

    /// Starts a server that is configured to listen on `port`, and waits until it accepts.
    pub fn spawn_on_port(mut command: Command, port: u16, dir: ScratchDir) -> io::Result<Self> {
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let addr = (Ipv4Addr::LOCALHOST, port).into();
        let mut server = Self { child, addr, behind: None, _dir: Some(dir) };
        let deadline = Instant::now() + START_TIMEOUT;
        while let Err(error) = TcpStream::connect(server.addr) {
            if let Some(status) = server.child.try_wait()? {
                return Err(io::Error::other(format!("the server exited: {status}")));
            }
            if Instant::now() > deadline {
                return Err(error);
            }
            // No event tells when another process starts to listen.
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Returns a server that forwards to another one, and ends it.
    pub fn in_front_of(mut self, behind: Self) -> Self {
        self.behind = Some(Box::new(behind));
        self
    }

    /// Returns the process, to read its figures, with that of a server behind it.
    pub fn process(&self) -> Process {
        let behind = self.behind.as_ref().map(|behind| behind.child.id());
        Process::new(self.child.id()).with(behind)
    }

    /// Reads standard output up to the line with the address. The pipe stays open.
    fn read_address(&mut self, prefix: &str) -> io::Result<SocketAddr> {
        let stdout = self.child.stdout.as_mut().expect("standard output is piped");
        let timeout = Timespec::try_from(START_TIMEOUT).expect("a few seconds fit");
        let mut text = Vec::new();
        loop {
            if poll(&mut [PollFd::new(stdout, PollFlags::IN)], Some(&timeout))? == 0 {
                return Err(ErrorKind::TimedOut.into());
            }
            let mut bytes = [0; 256];
            match stdout.read(&mut bytes)? {
                0 => return Err(io::Error::other("the server exited before it listened")),
                read => text.extend_from_slice(&bytes[..read]),
            }
            let addr = String::from_utf8_lossy(&text)
                .split_inclusive('\n')
                .filter_map(|line| line.strip_suffix('\n'))
                .find_map(|line| line.strip_prefix(prefix)?.parse().ok());
            if let Some(addr) = addr {
                return Ok(addr);
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Errors mean that the process has already exited.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Returns a command that starts smolchatd on a free port of the loopback address, without limits
/// per address: all clients of a bench have the same one.
pub fn smolchatd(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--listen", "127.0.0.1:0", "--max-per-ip", "0", "--connect-rate", "0"]);
    command
}

/// A directory for files of a server. Dropping it removes the directory.
pub struct ScratchDir(PathBuf);

impl ScratchDir {
    /// Creates a directory below the one for temporary files.
    pub fn new(name: &str) -> io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("smolchat-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file and returns its path.
    pub fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // Ignored: a small directory for temporary files is left behind.
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Returns a port of the loopback address that is free now.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Raises the soft limit of open files to the hard limit and returns it. Servers that are started
/// later inherit it.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard })?;
    Ok(hard.unwrap_or(u64::MAX))
}
