//! One server, run and measured.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, Task};

use crate::harness::process::Process;
use crate::harness::server::Server;
use crate::table::Figures;

/// Members, when all are in.
const MEMBERS: usize = 10_000;
/// Starts of which the median counts.
const STARTS: usize = 21;
/// How long a figure has to stay as it is to count as settled.
const SETTLED: Duration = Duration::from_millis(1500);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The figures, in KiB where they are resident memory. `silence` is how long nothing is said while
/// wake-ups are counted; the figure is for that time.
pub fn measure(program: &Path, silence: Duration) -> io::Result<Figures> {
    let start = || Server::announced(command(program));
    let mut starts = (0..STARTS)
        .map(|_| {
            let began = Instant::now();
            let _server = start()?;
            Ok(began.elapsed())
        })
        .collect::<io::Result<Vec<Duration>>>()?;
    starts.sort_unstable();

    // These two are silent while others come and go elsewhere.
    let (empty, quiet) = (start()?, start()?);
    let quiet_members = crowd(&quiet, 0..100)?;
    let silent = [empty.process(), quiet.process()];
    for process in silent {
        settled(process)?;
    }
    let woken = [silent[0].wakeups()?, silent[1].wakeups()?];
    let began = Instant::now();

    let busy = start()?;
    let process = busy.process();
    let kib = || settled(process).map(|bytes| bytes / 1024);
    let idle = kib()?;
    let mut members = crowd(&busy, 0..100)?;
    let with_100 = kib()?;
    members.extend(crowd(&busy, 100..1000)?);
    let with_1000 = kib()?;
    members.extend(crowd(&busy, 1000..MEMBERS)?);
    let with_all = kib()?;
    let threads = process.threads()?;
    drop(members);
    let after = kib()?;

    thread::sleep(silence.saturating_sub(began.elapsed()));
    let wakeups = |place: usize| Ok::<_, io::Error>(silent[place].wakeups()? - woken[place]);
    let wakeups = wakeups(0)?.max(wakeups(1)?);
    drop(quiet_members);
    let a_member = with_all.saturating_sub(idle) * 1024 / MEMBERS as u64;
    Ok(vec![
        ("KiB with nobody in", idle),
        ("KiB with 100 members", with_100),
        ("KiB with 1,000", with_1000),
        ("KiB with 10,000", with_all),
        ("bytes for each of these", a_member),
        ("KiB when they have left", after),
        ("threads", threads),
        ("wake-ups in a silent minute", wakeups),
        (
            "ms from start to listening",
            u64::try_from(starts[STARTS / 2].as_millis()).unwrap_or(u64::MAX),
        ),
    ])
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--listen", "127.0.0.1:0", "--max-clients", "20000", "--max-per-ip", "0"])
        .args(["--connect-rate", "0", "--log", "error"])
        .stderr(Stdio::null());
    command
}

/// A member, who reads all that it is sent, and leaves when this is dropped.
type Member = Task<()>;

/// Lets members in, each of whom was welcomed.
fn crowd(server: &Server, numbers: Range<usize>) -> io::Result<Vec<Member>> {
    let address = server.addr;
    smol::block_on(async {
        let mut members = Vec::new();
        for number in numbers {
            members.push(join(address, number).await?);
        }
        Ok(members)
    })
}

async fn join(address: SocketAddr, number: usize) -> io::Result<Member> {
    let mut stream = Async::<TcpStream>::connect(address).await?;
    let hello = format!("{{\"hello\":{{\"name\":\"member-{number}\"}}}}\n");
    stream.write_all(hello.as_bytes()).await?;
    let mut welcome = [0; 128];
    stream.read_exact(&mut welcome).await?;
    if !String::from_utf8_lossy(&welcome).contains("welcome, member-") {
        return Err(io::Error::other("no welcome"));
    }
    Ok(smol::spawn(async move {
        while stream.readable().await.is_ok() {
            // Not kept while there is nothing to read: there are thousands of these.
            let mut bytes = [0; 16 << 10];
            match stream.get_ref().read(&mut bytes) {
                Ok(0) => return,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
                _ => {}
            }
        }
    }))
}

/// Resident memory, once it does not change any more.
fn settled(process: Process) -> io::Result<u64> {
    let (mut resident, mut since) = (process.resident()?, Instant::now());
    let deadline = since + PATIENCE;
    while since.elapsed() < SETTLED {
        thread::sleep(SETTLED / 10);
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
