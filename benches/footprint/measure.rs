//! Runs a server and measures it.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::clients::{Clients, Join, SMOLCHAT_WELCOME};
use crate::harness::process::Process;
use crate::harness::server::{Server, smolchatd};
use crate::harness::websocket;
use crate::table::Figures;

/// Members of the full room.
const MEMBERS: usize = 10_000;
/// Number of starts, of which the median counts.
const STARTS: usize = 21;
/// Resident memory is stable after this time without a change.
const STABLE: Duration = Duration::from_millis(1500);
/// The longest time without stable memory.
const STABLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Measures the server `program`. Memory is in KiB. Wake-ups are counted for `silence`.
pub fn measure(program: &Path, silence: Duration) -> io::Result<Figures> {
    let start = || Server::spawn(command(program));
    let mut starts = (0..STARTS)
        .map(|_| {
            let began = Instant::now();
            let _server = start()?;
            Ok(began.elapsed())
        })
        .collect::<io::Result<Vec<Duration>>>()?;
    starts.sort_unstable();

    // These two servers are silent while members of a third one join and leave.
    let (empty, quiet) = (start()?, start()?);
    let (mut no_members, mut quiet_members) = (members(&empty)?, members(&quiet)?);
    quiet_members.join(100)?;
    let silent = [empty.process(), quiet.process()];
    stable_memory(silent[0], &mut no_members)?;
    stable_memory(silent[1], &mut quiet_members)?;
    let wakeups = [silent[0].wakeups()?, silent[1].wakeups()?];
    let began = Instant::now();

    let busy = start()?;
    let process = busy.process();
    let mut members = members(&busy)?;
    let mut kib_with = |count| {
        members.join(count)?;
        stable_memory(process, &mut members).map(|bytes| bytes / 1024)
    };
    let idle = kib_with(0)?;
    let with_100 = kib_with(100)?;
    let with_1000 = kib_with(1000)?;
    let with_all = kib_with(MEMBERS)?;
    let threads = process.threads()?;
    drop(members);
    let after = stable_memory(process, &mut no_members)? / 1024;
    let websocket_bytes = bytes_per_websocket_member(&start()?)?;

    thread::sleep(silence.saturating_sub(began.elapsed()));
    let wakeups_since =
        |index: usize| Ok::<_, io::Error>(silent[index].wakeups()? - wakeups[index]);
    let wakeups = wakeups_since(0)?.max(wakeups_since(1)?);
    drop(quiet_members);
    let start_ms = starts[STARTS / 2].as_millis();
    Ok(vec![
        ("KiB with no members", idle),
        ("KiB with 100 members", with_100),
        ("KiB with 1,000 members", with_1000),
        ("KiB with 10,000 members", with_all),
        ("bytes per member", with_all.saturating_sub(idle) * 1024 / MEMBERS as u64),
        ("bytes per WebSocket member", websocket_bytes),
        ("KiB after all have left", after),
        ("threads", threads),
        ("wake-ups in a silent minute", wakeups),
        ("ms from start to listening", u64::try_from(start_ms).unwrap_or(u64::MAX)),
    ])
}

fn command(program: &Path) -> Command {
    let mut command = smolchatd(program);
    command.args(["--max-clients", "20000", "--log", "error"]).stderr(Stdio::null());
    command
}

/// Returns the members of a server, none of which has joined yet. They join one after another.
fn members(server: &Server) -> io::Result<Clients> {
    members_with(server, hello)
}

/// Returns members that send another request than a hello when they are connected.
fn members_with(server: &Server, request: fn(usize) -> Vec<u8>) -> io::Result<Clients> {
    Clients::new(Join {
        addrs: vec![server.addr],
        request: Box::new(request),
        reply: SMOLCHAT_WELCOME,
        window: 1,
        readers: usize::MAX,
        #[cfg(feature = "tls")]
        tls: None,
    })
}

fn websocket_hello(number: usize) -> Vec<u8> {
    let mut request = websocket::handshake("/ws", "");
    websocket::write_message(&mut request, websocket::TEXT, &hello(number));
    request
}

fn hello(number: usize) -> Vec<u8> {
    format!("{{\"hello\":{{\"name\":\"member-{number}\"}}}}\n").into_bytes()
}

fn bytes_per_websocket_member(server: &Server) -> io::Result<u64> {
    let mut members = members_with(server, websocket_hello)?;
    let empty = stable_memory(server.process(), &mut members)?;
    members.join(MEMBERS)?;
    let full = stable_memory(server.process(), &mut members)?;
    Ok(full.saturating_sub(empty) / MEMBERS as u64)
}

/// Waits until the resident memory of a server is stable, and returns it in bytes. Its members read
/// meanwhile.
fn stable_memory(process: Process, members: &mut Clients) -> io::Result<u64> {
    let (mut resident, mut since) = (process.resident()?, Instant::now());
    let deadline = since + STABLE_TIMEOUT;
    while since.elapsed() < STABLE {
        members.discard_for(STABLE / 10)?;
        let now = process.resident()?;
        if now != resident {
            (resident, since) = (now, Instant::now());
        }
        if since > deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Ok(resident)
}
