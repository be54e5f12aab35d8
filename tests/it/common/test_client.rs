//! A client on a socket, without the session library.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, Shutdown, SocketType, sockopt};
use serde_json::{Value, json};

use super::{TIMEOUT, names, parse};

/// A connection to a server. It checks the order of keys in each line that it reads, see
/// [`parse`].
pub struct TestClient {
    socket: BufReader<File>,
    /// The local port; 0 on a unix socket.
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
        let stream = TcpStream::connect_timeout(&address.parse().unwrap(), TIMEOUT).unwrap();
        let port = stream.local_addr().unwrap().port();
        Self::new(stream.into(), port)
    }

    /// Connects from an address and a port, 0 for any. Returns nothing if the port is in use.
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
            sockopt::set_socket_timeout(&socket, timeout, Some(TIMEOUT)).unwrap();
        }
        if port != 0 {
            sockopt::set_tcp_nodelay(&socket, true).unwrap();
        }
        TestClient { socket: BufReader::new(socket.into()), port, questions: 0 }
    }

    /// Sends a hello with a name, and returns the welcome.
    #[track_caller]
    pub fn hello(&mut self, name: &str) -> Value {
        self.send_hello(name);
        let welcome = self.recv();
        assert_eq!(welcome["kind"], "welcome", "{welcome}");
        welcome
    }

    /// Sends a hello with a name, and reads nothing.
    #[track_caller]
    pub fn send_hello(&mut self, name: &str) {
        self.send_json(&json!({ "hello": { "name": name } }));
    }

    /// Sends a line of text.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        self.send_raw(format!("{line}\n").as_bytes());
    }

    /// Sends a line of text, and reads up to its chat frame.
    #[track_caller]
    pub fn say_and_recv(&mut self, text: &str) -> Value {
        self.say(text);
        self.recv_until(|frame| frame["kind"] == "chat" && frame["data"] == text)
    }

    /// Sends an object as a line.
    #[track_caller]
    pub fn send_json(&mut self, object: &Value) {
        self.say(&object.to_string());
    }

    #[track_caller]
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.try_send_raw(bytes).unwrap();
    }

    pub fn try_send_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.get_ref().write_all(bytes)
    }

    /// Returns another handle of the socket, for another thread.
    pub fn clone_socket(&self) -> File {
        self.socket.get_ref().try_clone().unwrap()
    }

    /// Returns the next line, or nothing at the end of the stream.
    #[track_caller]
    pub fn recv_line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.socket.read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                panic!("no line in {TIMEOUT:?}")
            }
            Err(error) => panic!("the connection broke: {error}"),
        }
        let line = String::from_utf8(line).expect("a line in UTF-8");
        Some(line.strip_suffix('\n').expect("a whole line").to_owned())
    }

    /// Returns the next frame.
    #[track_caller]
    pub fn recv(&mut self) -> Value {
        parse(&self.recv_line().expect("a line instead of the end of the stream"))
    }

    /// Returns the next frame of a kind, and discards those before it.
    #[track_caller]
    pub fn recv_kind(&mut self, kind: &str) -> Value {
        self.recv_until(|frame| frame["kind"] == kind)
    }

    /// Returns the next frame that matches, and discards those before it.
    #[track_caller]
    pub fn recv_until(&mut self, matches: impl FnMut(&Value) -> bool) -> Value {
        find_frame(|| self.recv(), matches)
    }

    /// Reads leave frames until this many members have left. Returns their names.
    #[track_caller]
    pub fn recv_leaves(&mut self, count: usize) -> Vec<String> {
        let mut left = Vec::new();
        while left.len() < count {
            left.extend(names(&self.recv_kind("leave"), "leave").map(str::to_owned));
        }
        left
    }

    /// Returns the frames before the answer to a request that is sent now.
    #[track_caller]
    pub fn pending(&mut self) -> Vec<Value> {
        self.request_who().0
    }

    /// Returns the names of the members, in the order in which they joined.
    #[track_caller]
    pub fn members(&mut self) -> Vec<String> {
        let (_, who) = self.request_who();
        names(&who, "who").map(str::to_owned).collect()
    }

    #[track_caller]
    fn request_who(&mut self) -> (Vec<Value>, Value) {
        self.questions += 1;
        let id = format!("question {}", self.questions);
        self.send_json(&json!({ "data": "/who", "id": id }));
        let mut before = Vec::new();
        let answer = self.recv_until(|frame| {
            let is_answer = frame["id"] == id;
            if !is_answer {
                before.push(frame.clone());
            }
            is_answer
        });
        (before, answer)
    }

    /// Returns all frames up to the end of the stream.
    #[track_caller]
    pub fn recv_rest(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.recv_line()).map(|line| parse(&line)).collect()
    }

    /// Checks that the stream ends here.
    #[track_caller]
    pub fn expect_eof(&mut self) {
        assert_eq!(self.recv_line(), None, "the end of the stream");
    }

    /// Checks that a `bye` with this code is next, and then the end of the stream.
    #[track_caller]
    pub fn expect_bye(&mut self, code: &str) -> Value {
        let bye = self.recv();
        assert_eq!((&bye["kind"], &bye["code"]), (&json!("bye"), &json!(code)), "{bye}");
        assert!(bye["seq"].is_u64(), "{bye}");
        self.expect_eof();
        bye
    }

    /// Closes the sending direction, as `nc -N` does.
    pub fn shutdown_write(&mut self) {
        rustix::net::shutdown(self.socket.get_ref(), Shutdown::Write).unwrap();
    }

    /// Closes the connection with a reset.
    pub fn reset(self) {
        sockopt::set_socket_linger(self.socket.get_ref(), Some(Duration::ZERO)).unwrap();
    }
}

/// Returns the next frame that matches, and discards those before it.
#[track_caller]
pub fn find_frame(
    mut recv: impl FnMut() -> Value,
    mut matches: impl FnMut(&Value) -> bool,
) -> Value {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let frame = recv();
        if matches(&frame) {
            return frame;
        }
        assert!(Instant::now() < deadline, "no such frame in {TIMEOUT:?}");
    }
}
