//! A server that follows the script of a test, in place of the real one.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

/// The answer to the heartbeat after the hello.
pub const HEARTBEAT_ANSWER: &str =
    r#"{"data_source":"server","data":"","kind":"info","id":"heartbeat"}"#;

/// A listener that runs a script for each connection, in a thread of its own.
pub struct ScriptedServer {
    address: String,
    connections: Arc<AtomicUsize>,
}

/// A connection of the client to a scripted server.
pub struct ScriptedConnection {
    /// The number of the connection, from 0.
    pub number: usize,
    pub stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl ScriptedServer {
    pub fn start(script: impl Fn(ScriptedConnection) + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let reader = BufReader::new(stream.try_clone().unwrap());
                let script = script.clone();
                thread::spawn(move || script(ScriptedConnection { number, stream, reader }));
            }
        });
        ScriptedServer { address, connections }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the number of connections so far.
    pub fn connection_count(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl ScriptedConnection {
    /// Answers the lines of a client that has the password in its hello, and refuses others.
    pub fn serve_with_password(mut self, password: &str) {
        let hello = self.recv().unwrap();
        self.recv();
        if hello["hello"]["password"] != password {
            self.refuse(match hello["hello"]["password"].is_null() {
                true => "password-required",
                false => "wrong-password",
            });
            while self.recv().is_some() {}
            return;
        }
        self.accept("alice");
        self.answer_lines();
    }

    /// Returns the next line of the client, or nothing at the end.
    pub fn recv(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap_or(json!(line.trim_end()))),
        }
    }

    /// Sends a line. Returns false if the connection has ended.
    pub fn send(&mut self, line: &str) -> bool {
        self.stream.write_all(format!("{line}\n").as_bytes()).is_ok()
    }

    /// Reads the hello and the heartbeat, and answers both. Returns the hello.
    pub fn welcome(&mut self, name: &str) -> Value {
        let hello = self.recv().unwrap_or_default();
        self.recv();
        self.accept(name);
        hello
    }

    /// Answers the hello and the heartbeat, which were read.
    pub fn accept(&mut self, name: &str) {
        let welcome = welcome(name, self.number);
        self.send(&format!("{welcome}\n{HEARTBEAT_ANSWER}"));
    }

    /// Answers the hello and the heartbeat with an error.
    pub fn refuse(&mut self, code: &str) {
        let error = refusal(code);
        self.send(&format!("{error}\n{}", refusal("password-required")));
    }

    /// Answers each line with an `info`, and `/quit` with the end.
    pub fn answer_lines(&mut self) {
        while let Some(line) = self.recv().filter(|line| line != "/quit") {
            let info = json!({
                "data_source": "server", "data": line["data"], "kind": "info", "id": line["id"],
            });
            self.send(&info.to_string());
        }
        self.send(r#"{"data_source":"server","data":"bye","kind":"bye","code":"quit","seq":0}"#);
    }
}

/// Returns the welcome of a connection, which does not resume.
pub fn welcome(name: &str, number: usize) -> Value {
    let limits = json!({"max_line": 99, "rate": 0, "burst": 0, "history": 0, "stored": false});
    json!({
        "data_source": "server", "data": "welcome", "kind": "welcome", "name": name,
        "epoch": format!("epoch {number}"), "seq": 0, "token": format!("token {number}"),
        "resumed": false, "members": 1, "limits": limits,
    })
}

/// Returns an error as a line.
pub fn refusal(code: &str) -> String {
    json!({"data_source": "server", "data": "no", "kind": "error", "code": code}).to_string()
}
