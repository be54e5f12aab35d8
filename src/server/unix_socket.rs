//! The listening unix socket, and its file.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Stat, chownat, lstat, unlink};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::umask;

use crate::os::group_id;

/// The file of a unix socket. Dropping it removes the file, unless another file has its path.
///
/// It must be dropped before the socket: the socket keeps the number of the file from being used
/// for another file.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// The device and the number of the file.
    inode: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if lstat(&self.path).is_ok_and(|status| inode_of(&status) == self.inode) {
            // Ignored: there is no caller to report it to.
            let _ = unlink(&self.path);
        }
    }
}

fn inode_of(status: &Stat) -> (u64, u64) {
    (status.st_dev, status.st_ino)
}

/// Creates a socket and binds it to `path`. The file of a socket that no process has open is
/// replaced.
///
/// The socket does not listen yet, so clients cannot connect before its file has the right mode and
/// group.
///
/// # Errors
///
/// Returns an error if the group is unknown or not permitted, or if the file cannot be created:
/// with `EADDRINUSE`, it is the socket of a running process, or not a socket.
pub fn bind(
    path: &Path,
    mode: Option<u32>,
    group: Option<&str>,
) -> io::Result<(OwnedFd, SocketFile)> {
    let group = group.map(find_group).transpose()?;
    let address = SocketAddrUnix::new(path)?;
    let socket = create_socket()?;
    match bind_with_mode(&socket, &address, mode) {
        Err(Errno::ADDRINUSE) if is_abandoned(path, &address)? => {
            unlink(path)?;
            bind_with_mode(&socket, &address, mode)?;
        }
        bound => bound?,
    }
    let status = lstat(path)?;
    let file = SocketFile { path: path.into(), inode: inode_of(&status) };
    // A service may not be permitted to change the group, and have the right one already.
    if let Some(group) = group.filter(|group| group.as_raw() != status.st_gid) {
        chownat(CWD, path, None, Some(group), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| add_context("cannot change the group of the file", error.into()))?;
    }
    Ok((socket, file))
}

fn create_socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// Binds a socket so that its file has `mode` from the beginning.
fn bind_with_mode(
    socket: &OwnedFd,
    address: &SocketAddrUnix,
    mode: Option<u32>,
) -> rustix::io::Result<()> {
    let Some(mode) = mode else { return rustix::net::bind(socket, address) };
    let previous = umask(Mode::from_raw_mode(!mode & 0o777));
    let bound = rustix::net::bind(socket, address);
    umask(previous);
    bound
}

/// Returns whether `path` is a socket that no process has open.
///
/// Connecting does not block: the queue of a server that was stopped may be full.
fn is_abandoned(path: &Path, address: &SocketAddrUnix) -> io::Result<bool> {
    let is_socket = FileType::from_raw_mode(lstat(path)?.st_mode).is_socket();
    Ok(is_socket && connect(create_socket()?, address) == Err(Errno::CONNREFUSED))
}

fn find_group(name: &str) -> io::Result<Gid> {
    // The largest number means "no change" to chown(2).
    let id = group_id(name).filter(|id| *id != u32::MAX);
    id.map(Gid::from_raw).ok_or_else(|| {
        let text = format!("no group {name:?}, expected a name in /etc/group or a number");
        io::Error::new(io::ErrorKind::NotFound, text)
    })
}

/// Adds the failed step to an error.
fn add_context(step: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{step}: {error}"))
}
