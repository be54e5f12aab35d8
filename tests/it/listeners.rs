//! The addresses on which the server listens, and the files of unix sockets.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv6Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::common::{TIMEOUT, TempDir, TestClient, TestServer, run_server};

/// Returns a port that is free on all addresses. It is outside of the ports that the system
/// chooses, and each call returns another one.
fn free_port() -> u16 {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + ((std::process::id() * 64 + u32::from(count)) % 20_000) as u16;
        if TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
}

/// Returns whether the system has IPv6, and prints that the test is skipped otherwise.
fn has_ipv6() -> bool {
    let bound = TcpListener::bind((Ipv6Addr::LOCALHOST, 0));
    if let Err(error) = &bound {
        eprintln!("skipped: no IPv6: {error}");
    }
    bound.is_ok()
}

/// Checks that clients of both families are in one room, at a port of the local host.
#[track_caller]
fn assert_serves_both_families(port: u16) {
    let mut alice = TestClient::connect(&format!("127.0.0.1:{port}"));
    alice.hello("alice");
    let mut bob = TestClient::connect(&format!("[::1]:{port}"));
    bob.hello("bob");
    bob.say("hello");
    assert_eq!(alice.recv_kind("chat")["data"], "hello");
}

fn port_of(address: &str) -> u16 {
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

#[test]
fn port_or_wildcard_alone_serves_both_families() {
    if !has_ipv6() {
        return;
    }
    let addresses = ["0".to_owned(), ":0".to_owned(), "[::]:0".to_owned(), free_port().to_string()];
    for address in addresses {
        let server = TestServer::start(&["--listen", &address]);
        let port = port_of(server.address(1));
        assert_eq!(server.address(1), format!("[::]:{port}"));
        assert_serves_both_families(port);
        server.wait_for_log(&["listens on", &format!("[::]:{port} (IPv6 and IPv4)")]);
    }
}

#[test]
fn addresses_of_both_families_share_a_port() {
    if !has_ipv6() {
        return;
    }
    for ips in [
        ["[::]", "0.0.0.0"],
        ["0.0.0.0", "[::]"],
        ["[::]", "127.0.0.1"],
        ["127.0.0.1", "[::]"],
        ["[::1]", "127.0.0.1"],
    ] {
        let port = free_port();
        let [first, second] = ips.map(|ip| format!("{ip}:{port}"));
        let server = TestServer::start(&["--listen", &first, "--listen", &second]);
        assert_eq!([server.address(1), server.address(2)], [first, second]);
        assert_serves_both_families(port);
    }
}

#[test]
fn activated_socket_shares_its_port() {
    if !has_ipv6() {
        return;
    }
    let other_family = |ip: &str| {
        let socket = TcpListener::bind((ip, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        (OwnedFd::from(socket), port)
    };
    let (socket, port) = other_family("0.0.0.0");
    let server = TestServer::start_activated(vec![socket], &["--listen", &format!("[::]:{port}")]);
    assert_eq!(server.address(1), format!("[::]:{port}"));
    assert_serves_both_families(port);

    // A socket for both families serves each address with its port already.
    for ip in ["0.0.0.0", "127.0.0.1", "[::1]", ""] {
        let (socket, port) = other_family("::");
        let options = [format!("--listen={ip}:{port}")];
        let _server = TestServer::start_activated(vec![socket], &[&options[0]]);
        assert_serves_both_families(port);
    }
}

/// The first socket that the server creates is for `--listen 127.0.0.1:0`.
#[test]
fn port_is_ipv4_alone_without_ipv6() {
    for error in ["EAFNOSUPPORT", "EADDRNOTAVAIL"] {
        let strace = format!("strace -Dqqf -o /dev/null -e inject=socket:error={error}:when=2");
        let trial = Command::new("sh").args(["-c", &format!("{strace} true")]).output().unwrap();
        if !trial.status.success() {
            eprintln!("skipped: {}", String::from_utf8_lossy(&trial.stderr).trim());
            return;
        }
        let prelude = format!(r#"exec {strace} "$0" "$@""#);
        let server = TestServer::start_with_prelude(&prelude, &["--listen", "0"]);
        assert_eq!(server.address(1), format!("0.0.0.0:{}", port_of(server.address(1))));
        server.join_at(1, "alice");
    }
}

/// Returns the permissions of a file.
fn mode_of(path: &Path) -> Option<u32> {
    Some(fs::symlink_metadata(path).ok()?.permissions().mode() & 0o7777)
}

#[test]
fn socket_file_has_its_mode_from_the_beginning() {
    for (umask, mode) in [("077", 0o660), ("000", 0o600), ("777", 0o777), ("022", 0o000)] {
        let dir = TempDir::new();
        let (path, option) = (dir.path("socket"), format!(",mode={mode:03o}"));
        let address = dir.unix_address("socket");
        let (is_started, start) = (AtomicBool::new(false), Instant::now());
        let modes = thread::scope(|scope| {
            let observer = scope.spawn(|| {
                let mut modes = BTreeSet::new();
                while !is_started.load(Ordering::Relaxed) && start.elapsed() < TIMEOUT {
                    modes.extend(mode_of(&path));
                }
                modes
            });
            let options = ["--listen", &(address.clone() + &option)];
            let server = TestServer::start_with_prelude(&format!("umask {umask}"), &options);
            assert_eq!(server.address(1), address);
            assert_eq!(mode_of(&path), Some(mode));
            is_started.store(true, Ordering::Relaxed);
            observer.join().unwrap()
        });
        assert!(modes.iter().all(|seen| *seen == mode), "{modes:?} instead of {mode:o}");
    }
    // Without the option, the umask determines it.
    let dir = TempDir::new();
    let options = ["--listen", &dir.unix_address("socket")];
    let _server = TestServer::start_with_prelude("umask 027", &options);
    assert_eq!(mode_of(&dir.path("socket")), Some(0o750));
}

#[test]
fn socket_file_has_its_group() {
    let dir = TempDir::new();
    fs::write(dir.path("file"), "").unwrap();
    let own = fs::metadata(dir.path("file")).unwrap().gid();
    let groups = fs::read_to_string("/etc/group").unwrap();
    let named = groups.lines().rev().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let gid: u32 = fields.get(2)?.parse().ok()?;
        // Without rights, a user can give a file to a group of its own alone.
        let is_permitted = chown(dir.path("file"), None, Some(gid)).is_ok();
        is_permitted.then(|| (fields[0].to_owned(), gid))
    });
    let by_number = (own.to_string(), own);
    for (group, gid) in named.into_iter().chain([by_number]) {
        let option = format!("{},group={group},mode=0660", dir.unix_address("socket"));
        let server = TestServer::start(&["--listen", &option]);
        server.join_at(1, "alice");
        assert_eq!(fs::metadata(dir.path("socket")).unwrap().gid(), gid, "{group}");
        assert_eq!(mode_of(&dir.path("socket")), Some(0o660));
    }
}

#[test]
fn socket_file_of_another_server_is_kept() {
    let dir = TempDir::new();
    let address = dir.unix_address("socket");
    for change in ["removed", "renamed"] {
        let mut first = TestServer::start(&["--listen", &address]);
        match change {
            "removed" => fs::remove_file(dir.path("socket")).unwrap(),
            _ => fs::rename(dir.path("socket"), dir.path("old")).unwrap(),
        }
        let mut second = TestServer::start(&["--listen", &address]);
        first.stop();
        second.join_at(1, "alice");
        second.stop();
        assert!(!dir.path("socket").exists(), "{change}");
    }
    assert!(dir.path("old").exists());
}

#[test]
fn socket_of_stopped_process_is_in_use() {
    let dir = TempDir::new();
    let path = dir.path("socket");
    let listener = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&listener, 1).unwrap();
    let address = SocketAddrUnix::new(&path).unwrap();
    let mut queue = Vec::new();
    loop {
        let flags = SocketFlags::NONBLOCK;
        let client = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        match connect(&client, &address) {
            Ok(()) => queue.push(client),
            Err(error) => break assert_eq!(error, Errno::AGAIN),
        }
    }
    assert_in_use(&dir);
}

#[test]
fn datagram_socket_is_in_use() {
    let dir = TempDir::new();
    let _socket = UnixDatagram::bind(dir.path("socket")).unwrap();
    assert_in_use(&dir);
}

/// Checks that the server does not start at a path that another process uses, and keeps its file.
#[track_caller]
fn assert_in_use(dir: &TempDir) {
    let output = run_server(&["--listen", &dir.unix_address("socket")]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("in use"), "{error}");
    assert!(dir.path("socket").exists());
}
