//! What all tests share: a server that is a real process, and a client that is a real socket.
//!
//! Nothing here guesses a port or sleeps until something has probably happened: a test waits for
//! the line, the frame or the fact itself, and [`PATIENCE`] is how long, so that nothing hangs.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, Shutdown, SocketType, sockopt};
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};
use serde_json::{Value, json};

pub mod proxy;
#[cfg(feature = "editor")]
pub mod pty;
pub mod smolchat;
pub mod witnesses;

/// How long a test waits for what should come at once, before it says that it did not.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// The server: that of this build, or another that stands in the environment.
pub fn program() -> OsString {
    env::var_os("SMOLCHATD").unwrap_or_else(|| env!("CARGO_BIN_EXE_smolchatd").into())
}

/// Waits until something is so that no frame and no line tells of.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Lets this process have as many descriptors as it may, for a crowd of clients.
pub fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Runs the server with options with which it should end by itself, until it has.
#[track_caller]
pub fn run_to_end(options: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(options).stdin(Stdio::null());
    to_end(command)
}

/// The same after `prelude` was run by the shell that turns into the server.
#[track_caller]
pub fn run_to_end_after(prelude: &str, stdin: Stdio, options: &[&str]) -> Output {
    let mut command = shell(prelude);
    command.args(options).stdin(stdin);
    to_end(command)
}

/// A shell that runs `prelude` and turns into the server.
fn shell(prelude: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!(r#"{prelude}; exec "$0" "$@""#)).arg(program());
    shell
}

#[track_caller]
fn to_end(mut command: Command) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Reaped(command.spawn().unwrap());
    let status = child.wait(PATIENCE);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    child.0.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
    child.0.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
    Output { status, stdout, stderr }
}

/// A child process that does not outlive the test.
struct Reaped(Child);

impl Reaped {
    #[track_caller]
    fn wait(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server has not ended within {within:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A `smolchatd` of the test's own. It is killed and reaped when this is dropped.
pub struct TestServer {
    process: Reaped,
    addresses: Vec<String>,
    stdout: Mutex<Receiver<String>>,
    log: Arc<Mutex<String>>,
}

impl TestServer {
    /// Starts one on a free port of `127.0.0.1`, and waits until it listens there and at any
    /// other `--listen` among `options`. Its log is kept for [`log`](Self::log).
    #[track_caller]
    pub fn start(options: &[&str]) -> Self {
        Self::start_by(Command::new(program()), Stdio::piped(), options)
    }

    /// The same, after `prelude` was run by the shell that turns into the server.
    #[track_caller]
    pub fn start_after(prelude: &str, options: &[&str]) -> Self {
        Self::start_by(shell(prelude), Stdio::piped(), options)
    }

    /// The same, with a log that goes to `stderr` and is the test's own affair.
    #[track_caller]
    pub fn start_logging_to(stderr: Stdio, options: &[&str]) -> Self {
        Self::start_by(Command::new(program()), stderr, options)
    }

    /// The same at `address` alone and after `prelude`, for a server whose standard output is
    /// not read. What it may have logged to the test is lost.
    #[track_caller]
    pub fn start_unheard(prelude: &str, stdout: Stdio, address: &str, options: &[&str]) -> Self {
        let mut shell = shell(prelude);
        shell.args(["--listen", address]).args(options);
        shell.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::null());
        let process = Reaped(shell.spawn().unwrap());
        let path = address.strip_prefix("unix:").expect("an address that needs no port");
        eventually("it listens", || UnixStream::connect(path).is_ok());
        let (stdout, log) = (Mutex::new(channel().1), Arc::default());
        TestServer { process, addresses: vec![address.to_owned()], stdout, log }
    }

    /// Starts one with sockets that were opened for it: descriptor 3, and 4 if there is another.
    /// It listens at addresses of its own only if `options` has any. Its log is lost.
    #[track_caller]
    pub fn start_activated(sockets: Vec<OwnedFd>, options: &[&str]) -> Self {
        let count = sockets.len();
        let mut sockets = sockets.into_iter().map(Stdio::from);
        let rest = if count == 1 { "exec 4<&-" } else { ":" };
        let mut shell = shell(&format!(
            "exec 3<&0 4<&2 </dev/null 2>/dev/null; {rest}; export LISTEN_PID=$$ LISTEN_FDS={count}"
        ));
        shell.args(["--connect-rate", "0"]).args(options);
        shell.stdin(sockets.next().expect("one at least"));
        let stderr = sockets.next().unwrap_or(Stdio::null());
        let own = options.iter().filter(|option| **option == "--listen").count();
        Self::launch(shell, stderr, count + own)
    }

    #[track_caller]
    fn start_by(mut command: Command, stderr: Stdio, options: &[&str]) -> Self {
        command.args(["--listen", "127.0.0.1:0"]).args(options);
        // All tests come from one address, and most of them in a hurry.
        if !options.contains(&"--connect-rate") {
            command.args(["--connect-rate", "0"]);
        }
        command.stdin(Stdio::null());
        let listeners = 1 + options.iter().filter(|option| **option == "--listen").count();
        Self::launch(command, stderr, listeners)
    }

    #[track_caller]
    fn launch(mut command: Command, stderr: Stdio, listeners: usize) -> Self {
        command.stdout(Stdio::piped()).stderr(stderr);
        let mut process = Reaped(command.spawn().unwrap());
        // The command has an end of the pipe open that belongs to the server alone.
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

        let addresses = (0..listeners).map(|_| match stdout.recv_timeout(PATIENCE) {
            Ok(line) => line.strip_prefix("listening on ").expect("where it listens").to_owned(),
            Err(error) => {
                // If it has ended, what it had to say comes at once.
                thread::sleep(Duration::from_millis(200));
                panic!("the server does not listen ({error}): {}", log.lock().unwrap());
            }
        });
        let addresses = addresses.collect();
        TestServer { process, addresses, stdout: Mutex::new(stdout), log }
    }

    /// What stands behind `listening on`, for each `--listen` in turn.
    pub fn address(&self, listener: usize) -> &str {
        &self.addresses[listener]
    }

    /// A connection to the first listener that has said nothing yet.
    #[track_caller]
    pub fn connect(&self) -> TestClient {
        TestClient::connect(self.address(0))
    }

    /// A member of that name, who has seen itself come.
    #[track_caller]
    pub fn join(&self, name: &str) -> TestClient {
        self.join_at(0, name)
    }

    /// The same, through another listener.
    #[track_caller]
    pub fn join_at(&self, listener: usize, name: &str) -> TestClient {
        let mut client = TestClient::connect(self.address(listener));
        let welcome = client.hello(name);
        assert_eq!(welcome["name"], name, "{welcome}");
        client.until(|frame| names(frame, "join").any(|joined| joined == name));
        client
    }

    /// Sends the process a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// How the process ended, which it does `within` that time.
    #[track_caller]
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        self.process.wait(within)
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.process.0.try_wait().unwrap().is_none()
    }

    /// What an ended server has written to standard output after the lines that say where it
    /// listened.
    pub fn rest_of_stdout(&self) -> Vec<String> {
        self.stdout.lock().unwrap().iter().collect()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a line of the log that has all of these in it.
    #[track_caller]
    pub fn logged(&self, parts: &[&str]) {
        let what = format!("the log says {parts:?}");
        let has_all = |line: &str| parts.iter().all(|part| line.contains(part));
        eventually(&what, || self.log().lines().any(has_all));
    }

    /// Memory that it holds now, in KiB.
    pub fn rss(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most memory that it ever held, in KiB.
    pub fn peak_rss(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, key: &str) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(self.proc_path("fd")).unwrap().count()
    }

    /// The names of its threads.
    pub fn threads(&self) -> Vec<String> {
        let tasks = fs::read_dir(self.proc_path("task")).unwrap();
        let name = |task: PathBuf| fs::read_to_string(task.join("comm")).unwrap();
        tasks.map(|task| name(task.unwrap().path()).trim().to_owned()).collect()
    }

    /// How often its threads have gone to sleep, and so how often they were woken.
    pub fn sleeps(&self) -> u64 {
        let tasks = fs::read_dir(self.proc_path("task")).unwrap();
        let sleeps = |task: PathBuf| {
            let status = fs::read_to_string(task.join("status")).unwrap();
            let key = "\nvoluntary_ctxt_switches:";
            let (_, rest) = status.split_once(key).unwrap();
            rest.lines().next().unwrap().trim().parse::<u64>().unwrap()
        };
        tasks.map(|task| sleeps(task.unwrap().path())).sum()
    }

    /// Processor time that it has used.
    pub fn cpu_time(&self) -> Duration {
        let stat = self.proc("stat");
        // The second field, a name in parentheses, may have spaces in it; user and system time
        // are the 14th and 15th, in ticks, of which Linux counts 100 a second for everybody.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap());
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    /// It uses next to no processor time while nothing happens.
    #[track_caller]
    pub fn assert_idle(&self) {
        const QUIET: Duration = Duration::from_millis(400);
        // What it still has to do is done when a tenth of a second in a row costs nothing.
        let mut used = self.cpu_time();
        eventually("it has nothing to do", || {
            thread::sleep(Duration::from_millis(100));
            let before = std::mem::replace(&mut used, self.cpu_time());
            used == before
        });
        thread::sleep(QUIET);
        let used = self.cpu_time() - used;
        assert!(used <= Duration::from_millis(20), "{used:?} of processor time for nothing");
    }

    /// What one of its descriptors is; nothing if it is not open.
    pub fn descriptor(&self, number: u32) -> Option<PathBuf> {
        fs::read_link(self.proc_path("fd").join(number.to_string())).ok()
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(self.proc_path(file)).unwrap()
    }

    fn proc_path(&self, file: &str) -> PathBuf {
        format!("/proc/{}/{file}", self.process.0.id()).into()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process.0)
    }
}

/// A connection to a server. Each line that it is given is held to the wire's first rule, that
/// `data_source` and `data` are the first keys and in this order.
pub struct TestClient {
    socket: BufReader<File>,
    /// Of its own end; 0 on a unix socket.
    pub port: u16,
    questions: u32,
}

impl TestClient {
    /// Connects to `HOST:PORT` or `unix:PATH`.
    #[track_caller]
    pub fn connect(address: &str) -> Self {
        if let Some(path) = address.strip_prefix("unix:") {
            return Self::new(UnixStream::connect(path).unwrap().into(), 0);
        }
        let address = address.parse().unwrap();
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        let port = stream.local_addr().unwrap().port();
        Self::new(stream.into(), port)
    }

    /// Connects from an address and port of its own choice; nothing if they are not to be had.
    pub fn connect_from(ip: &str, port: u16, to: &str) -> Option<Self> {
        let from = SocketAddr::new(ip.parse::<IpAddr>().unwrap(), port);
        let to: SocketAddr = to.parse().unwrap();
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        sockopt::set_socket_reuseaddr(&socket, true).unwrap();
        rustix::net::bind(&socket, &from).ok()?;
        rustix::net::connect(&socket, &to).ok()?;
        let stream = TcpStream::from(socket);
        let port = stream.local_addr().unwrap().port();
        Some(Self::new(stream.into(), port))
    }

    fn new(socket: OwnedFd, port: u16) -> Self {
        for timeout in [sockopt::Timeout::Recv, sockopt::Timeout::Send] {
            sockopt::set_socket_timeout(&socket, timeout, Some(PATIENCE)).unwrap();
        }
        if port != 0 {
            sockopt::set_tcp_nodelay(&socket, true).unwrap();
        }
        TestClient { socket: BufReader::new(socket.into()), port, questions: 0 }
    }

    /// Says hello with a name, and returns the welcome.
    #[track_caller]
    pub fn hello(&mut self, name: &str) -> Value {
        self.send(&json!({ "hello": { "name": name } }));
        let welcome = self.recv();
        assert_eq!(welcome["kind"], "welcome", "{welcome}");
        welcome
    }

    /// Sends a line as a person types it.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        self.send_raw(format!("{line}\n").as_bytes());
    }

    /// Sends an object as a line.
    #[track_caller]
    pub fn send(&mut self, object: &Value) {
        self.say(&object.to_string());
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.try_send_raw(bytes).unwrap();
    }

    /// Sends bytes as they are, as far as the server takes them.
    pub fn try_send_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.get_ref().write_all(bytes)
    }

    /// Another hold on the socket, to write from a thread of its own.
    pub fn writer(&self) -> File {
        self.socket.get_ref().try_clone().unwrap()
    }

    /// The next line, unread; nothing at the end of the stream.
    #[track_caller]
    pub fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.socket.read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                panic!("no line came in {PATIENCE:?}")
            }
            Err(error) => panic!("the connection broke: {error}"),
        }
        let line = String::from_utf8(line).expect("a line in UTF-8");
        Some(line.strip_suffix('\n').expect("a line with an end").to_owned())
    }

    /// The next frame.
    #[track_caller]
    pub fn recv(&mut self) -> Value {
        parse(&self.line().expect("a line, but this is the end of the stream"))
    }

    /// The next frame of that kind; those before it are passed over.
    #[track_caller]
    pub fn recv_kind(&mut self, kind: &str) -> Value {
        self.until(|frame| frame["kind"] == kind)
    }

    /// The first frame for which it is so; those before it are passed over.
    #[track_caller]
    pub fn until(&mut self, mut is_so: impl FnMut(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let frame = self.recv();
            if is_so(&frame) {
                return frame;
            }
            assert!(Instant::now() < deadline, "all that came in {PATIENCE:?} was something else");
        }
    }

    /// All that was on its way: the frames before the answer to a question that is asked now.
    #[track_caller]
    pub fn waiting(&mut self) -> Vec<Value> {
        self.ask().0
    }

    /// Who is in the room, by its own account.
    #[track_caller]
    pub fn who(&mut self) -> Vec<String> {
        let (_, who) = self.ask();
        names(&who, "who").map(str::to_owned).collect()
    }

    #[track_caller]
    fn ask(&mut self) -> (Vec<Value>, Value) {
        self.questions += 1;
        let id = format!("question {}", self.questions);
        self.send(&json!({ "data": "/who", "id": id }));
        let mut before = Vec::new();
        let answer = self.until(|frame| {
            let is_answer = frame["id"] == id;
            if !is_answer {
                before.push(frame.clone());
            }
            is_answer
        });
        (before, answer)
    }

    /// All frames up to the end of the stream.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.line()).map(|line| parse(&line)).collect()
    }

    /// The stream ends here, in good order and with no byte before.
    #[track_caller]
    pub fn expect_eof(&mut self) {
        assert_eq!(self.line(), None, "the end of the stream");
    }

    /// A `bye` comes next, with this code, and then the end of the stream.
    #[track_caller]
    pub fn expect_bye(&mut self, code: &str) -> Value {
        let bye = self.recv();
        assert_eq!((&bye["kind"], &bye["code"]), (&json!("bye"), &json!(code)), "{bye}");
        assert!(bye["seq"].is_u64(), "{bye}");
        self.expect_eof();
        bye
    }

    /// Closes its way out and keeps its way in, as `nc -N` does.
    pub fn half_close(&mut self) {
        rustix::net::shutdown(self.socket.get_ref(), Shutdown::Write).unwrap();
    }

    /// Goes with a reset, as a process does that was killed in the middle of things.
    pub fn break_off(self) {
        sockopt::set_socket_linger(self.socket.get_ref(), Some(Duration::ZERO)).unwrap();
    }
}

/// Reads a line from the server.
#[track_caller]
pub fn parse(line: &str) -> Value {
    let frame: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    // `Value` does not keep the order of keys, so this goes by the text itself.
    let source = line.strip_prefix(r#"{"data_source":"#).expect("data_source as the first key");
    let mut string = serde_json::Deserializer::from_str(source).into_iter::<String>();
    string.next().expect("who said it").expect("a string");
    let rest = &source[string.byte_offset()..];
    assert!(rest.starts_with(r#","data":""#), "data is not the second key: {line}");
    assert!(frame["kind"].is_string(), "{line}");
    frame
}

/// The `names` of a frame, if it is of that kind.
pub fn names<'a>(frame: &'a Value, kind: &str) -> impl Iterator<Item = &'a str> {
    let names = if frame["kind"] == kind { frame["names"].as_array() } else { None };
    names.into_iter().flatten().map(|name| name.as_str().unwrap())
}

/// The numbers of those frames that are part of the room's sequence.
pub fn seqs(frames: &[Value]) -> Vec<u64> {
    let is_sequel = |frame: &&Value| {
        let kind = frame["kind"].as_str().unwrap();
        ["chat", "action", "join", "leave", "name"].contains(&kind)
    };
    frames.iter().filter(is_sequel).map(|frame| frame["seq"].as_u64().unwrap()).collect()
}

/// Each number is one more than the one before it.
#[track_caller]
pub fn assert_consecutive(seqs: &[u64]) {
    assert!(seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{seqs:?}");
}

/// A directory for the sockets of one test, which goes with it.
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty one.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("smolchat-{}-{count}", std::process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The same as an address for `--listen`.
    pub fn address(&self, name: &str) -> String {
        format!("unix:{}", self.path(name).display())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
