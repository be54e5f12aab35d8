//! The client in a terminal: members that come and go.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::json;

use crate::common::terminal::Terminal;

/// A server that sends the frames of a test.
struct ScriptedServer {
    listener: TcpListener,
    /// The last number of the sequence.
    seq: u64,
}

impl ScriptedServer {
    fn new() -> Self {
        ScriptedServer { listener: TcpListener::bind("127.0.0.1:0").unwrap(), seq: 0 }
    }

    /// Starts alice in a terminal, and returns the connection after its welcome.
    fn start_alice(&self) -> (TcpStream, Terminal) {
        let address = self.listener.local_addr().unwrap().to_string();
        let alice = thread::spawn(move || Terminal::start(&address, "alice", &[]));
        let (mut stream, _) = self.listener.accept().unwrap();
        BufReader::new(&stream).read_line(&mut String::new()).unwrap();
        let limits =
            json!({"max_line": 4096, "rate": 0, "burst": 0, "history": 9, "stored": false});
        let welcome = json!({
            "data_source": "server", "data": "welcome, alice", "kind": "welcome", "name": "alice",
            "epoch": "a", "seq": 0, "token": "t", "resumed": false, "members": 1, "limits": limits,
        });
        writeln!(stream, "{welcome}").unwrap();
        (stream, alice.join().unwrap())
    }

    /// Returns a numbered frame, as a line.
    fn frame(&mut self, source: &str, kind: &str, data: &str, names: &[&str]) -> String {
        self.seq += 1;
        let mut frame = json!({
            "data_source": source, "data": data, "kind": kind, "seq": self.seq, "time": 1,
        });
        if !names.is_empty() {
            frame["names"] = json!(names);
        }
        format!("{}\n", frame)
    }
}

#[test]
fn return_within_a_second_is_not_shown() {
    let mut server = ScriptedServer::new();
    let (mut stream, mut alice) = server.start_alice();
    // In one write, so that all arrive at the same time.
    let lines = [
        server.frame("server", "leave", "erin left", &["erin"]),
        server.frame("server", "join", "erin joined", &["erin"]),
        server.frame("server", "join", "frank joined", &["frank"]),
        server.frame("server", "leave", "frank left", &["frank"]),
        server.frame("server", "leave", "bob left", &["bob"]),
        server.frame("server", "join", "carol joined", &["carol"]),
    ];
    stream.write_all(lines.concat().as_bytes()).unwrap();
    alice.wait_for_text("carol joined");
    let screen = alice.screen_text();
    assert!(!screen.contains("erin") && !screen.contains("frank"), "{screen}");
    assert!(screen.find("bob left") < screen.find("carol joined"), "{screen}");
}
