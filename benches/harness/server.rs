//! Starting a server process, finding out where it listens, and making sure that it ends.

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

/// How long a server may take from its start until it listens.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server process. It is killed, and its directory removed, when this goes out of scope, by a
/// panic as by anything else.
pub struct Server {
    /// The process itself.
    pub child: Child,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Kept until the server is gone.
    _dir: Option<ScratchDir>,
}

impl Server {
    /// Starts a server that picks its own port and says `listening on ADDR`.
    pub fn announced(mut command: Command) -> io::Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        // From here on dropping it ends the child, whatever goes wrong.
        let mut server = Self { child, addr: (Ipv4Addr::LOCALHOST, 0).into(), _dir: None };
        server.addr = server.read_announcement()?;
        Ok(server)
    }

    /// Starts a server on a port that it was told, and waits until that accepts.
    pub fn on_port(mut command: Command, port: u16, dir: ScratchDir) -> io::Result<Self> {
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut server = Self { child, addr: (Ipv4Addr::LOCALHOST, port).into(), _dir: Some(dir) };
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = TcpStream::connect(server.addr) {
            if let Some(status) = server.child.try_wait()? {
                return Err(io::Error::other(format!("the server ended: {status}")));
            }
            if Instant::now() > deadline {
                return Err(error);
            }
            // The one thing to wait for is that connect succeeds; there is no event for that.
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// The process, for its figures.
    pub fn process(&self) -> Process {
        Process::new(self.child.id())
    }

    /// Reads the address from the first line that announces one. The pipe stays open after it.
    fn read_announcement(&mut self) -> io::Result<SocketAddr> {
        let stdout = self.child.stdout.as_mut().expect("it was asked for");
        let patience = Timespec::try_from(PATIENCE).expect("a few seconds fit");
        let mut text = Vec::new();
        loop {
            if poll(&mut [PollFd::new(stdout, PollFlags::IN)], Some(&patience))? == 0 {
                return Err(ErrorKind::TimedOut.into());
            }
            let mut bytes = [0; 256];
            match stdout.read(&mut bytes)? {
                0 => return Err(io::Error::other("it ended before it listened")),
                read => text.extend_from_slice(&bytes[..read]),
            }
            let addr = String::from_utf8_lossy(&text)
                .split_inclusive('\n')
                .filter_map(|line| line.strip_suffix('\n'))
                .find_map(|line| line.strip_prefix("listening on ")?.parse().ok());
            if let Some(addr) = addr {
                return Ok(addr);
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A directory for a server's configuration, removed when it goes out of scope.
pub struct ScratchDir(PathBuf);

impl ScratchDir {
    /// Makes one that nobody else has.
    pub fn new(name: &str) -> io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("smolchat-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it.
    pub fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // What is left behind is a small file in the directory for temporary ones.
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A port of the loopback address that is free now.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Raises the soft limit of open files to the hard one, for this process and the servers that it
/// starts, and returns it.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard })?;
    Ok(hard.unwrap_or(u64::MAX))
}
