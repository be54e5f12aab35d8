//! The server as a child process.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use super::{ChildGuard, TIMEOUT, TempDir, TestClient, long_line, names, wait_until};

/// Returns the server of this build, or the one that the environment variable `SMOLCHATD` names.
fn program() -> OsString {
    env::var_os("SMOLCHATD").unwrap_or_else(|| env!("CARGO_BIN_EXE_smolchatd").into())
}

/// Returns a shell that runs `prelude` and then replaces itself by the server.
fn shell(prelude: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!(r#"{prelude}; exec "$0" "$@""#)).arg(program());
    shell
}

/// Runs the server with options with which it ends by itself.
#[track_caller]
pub fn run_server(options: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(options).stdin(Stdio::null());
    run(command)
}

/// Runs the server as [`run_server`] does, from a shell that runs `prelude` first.
#[track_caller]
pub fn run_server_with_prelude(prelude: &str, stdin: Stdio, options: &[&str]) -> Output {
    let mut command = shell(prelude);
    command.args(options).stdin(stdin);
    run(command)
}

#[track_caller]
fn run(mut command: Command) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = ChildGuard(command.spawn().unwrap());
    let status = child.wait();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    child.0.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
    child.0.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
    Output { status, stdout, stderr }
}

/// A running `smolchatd`. It is killed and reaped when this is dropped.
pub struct TestServer {
    process: ChildGuard,
    addresses: Vec<String>,
    stdout: Mutex<Receiver<String>>,
    log: Arc<Mutex<String>>,
}

impl TestServer {
    /// Starts a server on a free port of `127.0.0.1`, and waits until it listens there and at
    /// each other `--listen` of `options`.
    #[track_caller]
    pub fn start(options: &[&str]) -> Self {
        Self::start_command(Command::new(program()), Stdio::piped(), options)
    }

    /// Starts a server from a shell that runs `prelude` first.
    #[track_caller]
    pub fn start_with_prelude(prelude: &str, options: &[&str]) -> Self {
        Self::start_command(shell(prelude), Stdio::piped(), options)
    }

    /// Starts a server that logs to `stderr`; [`log`](Self::log) stays empty.
    #[track_caller]
    pub fn start_with_stderr(stderr: Stdio, options: &[&str]) -> Self {
        Self::start_command(Command::new(program()), stderr, options)
    }

    /// Starts a server from a shell that runs `prelude` first, on a unix socket alone. Its standard
    /// output goes to `stdout`, its log is discarded.
    #[track_caller]
    pub fn start_with_stdout(
        prelude: &str,
        stdout: Stdio,
        address: &str,
        options: &[&str],
    ) -> Self {
        let mut shell = shell(prelude);
        shell.args(["--listen", address]).args(options);
        shell.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::null());
        let process = ChildGuard(shell.spawn().unwrap());
        let path = address.strip_prefix("unix:").expect("the address of a unix socket");
        wait_until("the server listens", || UnixStream::connect(path).is_ok());
        let (stdout, log) = (Mutex::new(channel().1), Arc::default());
        TestServer { process, addresses: vec![address.to_owned()], stdout, log }
    }

    /// Starts a server with one or two open sockets as descriptors 3 and 4. It listens at other
    /// addresses only if `options` has some. Its log is discarded.
    #[track_caller]
    pub fn start_activated(sockets: Vec<OwnedFd>, options: &[&str]) -> Self {
        let count = sockets.len();
        let mut sockets = sockets.into_iter().map(Stdio::from);
        let close_4 = if count == 1 { "exec 4<&-" } else { ":" };
        let mut shell = shell(&format!(
            "exec 3<&0 4<&2 </dev/null 2>/dev/null; {close_4}; \
             export LISTEN_PID=$$ LISTEN_FDS={count}"
        ));
        shell.args(["--connect-rate", "0"]).args(options);
        shell.stdin(sockets.next().expect("a socket"));
        let stderr = sockets.next().unwrap_or(Stdio::null());
        Self::spawn(shell, stderr, count + listen_options(options))
    }

    #[track_caller]
    fn start_command(mut command: Command, stderr: Stdio, options: &[&str]) -> Self {
        command.args(["--listen", "127.0.0.1:0"]).args(options);
        // All tests connect from one address.
        if !options.contains(&"--connect-rate") {
            command.args(["--connect-rate", "0"]);
        }
        command.stdin(Stdio::null());
        Self::spawn(command, stderr, 1 + listen_options(options))
    }

    #[track_caller]
    fn spawn(mut command: Command, stderr: Stdio, listeners: usize) -> Self {
        command.stdout(Stdio::piped()).stderr(stderr);
        let mut process = ChildGuard(command.spawn().unwrap());
        // Closes the command's copies of the descriptors that the server inherited.
        drop(command);

        let log = Arc::new(Mutex::new(String::new()));
        if let Some(stderr) = process.0.stderr.take() {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    *log.lock().unwrap() += &(line + "\n");
                }
            });
        }
        let (sender, stdout) = channel();
        let lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
        thread::spawn(move || {
            lines.map_while(Result::ok).try_for_each(|line| sender.send(line)).ok()
        });

        let addresses = (0..listeners).map(|_| match stdout.recv_timeout(TIMEOUT) {
            Ok(line) => line.strip_prefix("listening on ").expect("an address").to_owned(),
            Err(error) => {
                // Leaves the thread above the time to read the log of a server that has ended.
                thread::sleep(Duration::from_millis(200));
                panic!("the server does not listen ({error}): {}", log.lock().unwrap());
            }
        });
        let addresses = addresses.collect();
        TestServer { process, addresses, stdout: Mutex::new(stdout), log }
    }

    /// Returns the address of a listener, in the order of the `--listen` options.
    pub fn address(&self, listener: usize) -> &str {
        &self.addresses[listener]
    }

    /// Returns the address of the listener for IRC clients.
    #[cfg(feature = "irc")]
    pub fn irc_address(&self) -> String {
        let stdout = self.stdout.lock().unwrap();
        loop {
            let line = stdout.recv_timeout(TIMEOUT).expect("a listener for IRC clients");
            if let Some(address) = line.strip_prefix("listening for IRC on ") {
                return address.to_owned();
            }
        }
    }

    /// Connects to the first listener, and sends nothing.
    #[track_caller]
    pub fn connect(&self) -> TestClient {
        TestClient::connect(self.address(0))
    }

    /// Joins the room, and reads up to the client's own join.
    #[track_caller]
    pub fn join(&self, name: &str) -> TestClient {
        self.join_at(0, name)
    }

    /// Joins the room through another listener.
    #[track_caller]
    pub fn join_at(&self, listener: usize, name: &str) -> TestClient {
        let mut client = TestClient::connect(self.address(listener));
        let welcome = client.hello(name);
        assert_eq!(welcome["name"], name, "{welcome}");
        client.recv_until(|frame| names(frame, "join").any(|joined| joined == name));
        client
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process.0), signal).unwrap();
    }

    /// Waits until the process has ended.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// Sends SIGTERM, and checks that the server ends with exit code 0.
    #[track_caller]
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.wait().code(), Some(0));
    }

    /// Sends SIGKILL, and waits until the process has ended.
    #[track_caller]
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    pub fn is_running(&mut self) -> bool {
        self.process.0.try_wait().unwrap().is_none()
    }

    /// Returns the lines of standard output after `listening on`, once the server has ended.
    pub fn remaining_stdout(&self) -> Vec<String> {
        self.stdout.lock().unwrap().iter().collect()
    }

    /// Returns the log so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a line of the log that contains all of `parts`.
    #[track_caller]
    pub fn wait_for_log(&self, parts: &[&str]) {
        let has_all = |line: &str| parts.iter().all(|part| line.contains(part));
        wait_until(&format!("the log has {parts:?}"), || self.log().lines().any(has_all));
    }

    /// Returns the resident memory in KiB, without the pages of the program's file. The first
    /// clients bring 1 to 3 MiB of those into memory in a test build with all features.
    pub fn rss(&self) -> u64 {
        self.status("VmRSS:") - self.status("RssFile:")
    }

    /// Returns the largest resident memory so far in KiB, without the pages of the program's file.
    pub fn peak_rss(&self) -> u64 {
        self.status("VmHWM:") - self.status("RssFile:")
    }

    fn status(&self, key: &str) -> u64 {
        kib(&self.read_proc("status"), key)
    }

    /// Returns the number of open file descriptors.
    pub fn fd_count(&self) -> usize {
        fs::read_dir(self.proc_path("fd")).unwrap().count()
    }

    /// Sets the limit of open files.
    pub fn limit_descriptors(&self, limit: u64) {
        let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
        prlimit(Some(Pid::from_child(&self.process.0)), Resource::Nofile, limit).unwrap();
    }

    /// Returns the file of a descriptor, if it is open.
    pub fn fd_target(&self, number: u32) -> Option<PathBuf> {
        fs::read_link(self.proc_path("fd").join(number.to_string())).ok()
    }

    pub fn thread_names(&self) -> Vec<String> {
        let name = |task: PathBuf| fs::read_to_string(task.join("comm")).unwrap();
        self.tasks().map(|task| name(task).trim().to_owned()).collect()
    }

    /// Returns the number of voluntary context switches, which is the number of wake-ups.
    pub fn context_switches(&self) -> u64 {
        let switches = |task: PathBuf| {
            let status = fs::read_to_string(task.join("status")).unwrap();
            let (_, rest) = status.split_once("\nvoluntary_ctxt_switches:").unwrap();
            rest.lines().next().unwrap().trim().parse::<u64>().unwrap()
        };
        self.tasks().map(switches).sum()
    }

    fn tasks(&self) -> impl Iterator<Item = PathBuf> {
        fs::read_dir(self.proc_path("task")).unwrap().map(|task| task.unwrap().path())
    }

    /// Returns the processor time that it has used.
    pub fn cpu_time(&self) -> Duration {
        cpu_time(&self.read_proc("stat"))
    }

    /// Checks that the server uses no processor time once it is idle.
    #[track_caller]
    pub fn assert_idle(&self) {
        assert_idle(Duration::from_millis(200), || self.cpu_time());
    }

    fn read_proc(&self, file: &str) -> String {
        fs::read_to_string(self.proc_path(file)).unwrap()
    }

    fn proc_path(&self, file: &str) -> PathBuf {
        format!("/proc/{}/{file}", self.process.0.id()).into()
    }
}

/// Returns a server with alice, and with carol, for whom more waits than the kernel holds.
pub fn server_with_stalled_member(dir: &TempDir) -> (TestServer, TestClient, TestClient) {
    let options = ["--rate", "0", "--outbox", "16M", "--listen", &dir.unix_address("socket")];
    let server = TestServer::start(&options);
    let mut alice = server.join("alice");
    let stalled = server.join_at(1, "carol");
    for _ in 0..300 {
        alice.say_and_recv(&long_line());
    }
    (server, alice, stalled)
}

fn listen_options(options: &[&str]) -> usize {
    options.iter().filter(|option| **option == "--listen").count()
}

/// Returns a value of `/proc/PID/status`, in KiB.
pub fn kib(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Returns the user and system time of `/proc/PID/stat`.
pub fn cpu_time(stat: &str) -> Duration {
    // The second field, a name in parentheses, may contain spaces. User and system time are fields
    // 14 and 15, in ticks of 10 ms on every Linux.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// Checks that a process uses at most 20 ms of processor time in `period` once it is idle.
#[track_caller]
pub fn assert_idle(period: Duration, cpu_time: impl Fn() -> Duration) {
    let mut used = cpu_time();
    wait_until("the process is idle for 100 ms", || {
        thread::sleep(Duration::from_millis(100));
        let before = std::mem::replace(&mut used, cpu_time());
        used == before
    });
    thread::sleep(period);
    let used = cpu_time() - used;
    assert!(used <= Duration::from_millis(20), "{used:?} of processor time in {period:?}");
}
