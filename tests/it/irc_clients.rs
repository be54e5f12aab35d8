//! Third-party IRC clients, beside `nc`, `smolchat` and a WebSocket: `make test-irc`.

mod programs;

use std::fs;
use std::process::{Command, Stdio};

use crate::common::client_process::ClientProcess;
use crate::common::websocket::WebSocket;
use crate::common::{TempDir, TestServer};
use programs::{
    Start, split, start_hexchat, start_irssi, start_node, start_python, start_rust, start_weechat,
};

/// A history file with lines of the year 2020.
const HISTORY: &str = r#"{"smolchat":"history","version":1,"epoch":"0123456789abcdef","before":0}
{"data_source":"erin","data":"long ago","kind":"chat","seq":1,"time":1577934245000}
{"data_source":"erin","data":"waves","kind":"action","seq":2,"time":1577934246000}
{"smolchat":"end","seq":2}
"#;

/// A server with three members that are no IRC clients: bob, carol and dave.
struct Room {
    irc_address: String,
    bob: ClientProcess,
    carol: ClientProcess,
    dave: WebSocket,
    _server: TestServer,
    _dir: TempDir,
}

impl Room {
    #[track_caller]
    fn start() -> Self {
        let dir = TempDir::new();
        fs::write(dir.path("history"), HISTORY).unwrap();
        let history = dir.path("history").display().to_string();
        let options = ["--irc", "127.0.0.1:0", "--history-file", &history, "--rate", "0"];
        let server = TestServer::start(&options);
        let (host, port) = split(server.address(0));
        let mut nc = Command::new("nc");
        nc.args([host, port]).stdin(Stdio::piped());
        let mut bob = ClientProcess::run(nc);
        bob.write_input("{\"hello\":{\"name\":\"bob\"}}\n");
        bob.wait_for_line("welcome, bob");
        let carol = ClientProcess::start(server.address(0), "carol", &[]);
        bob.wait_for_line("carol joined");
        let (dave, _) = WebSocket::join(server.address(0), "dave");
        bob.wait_for_line("dave joined");
        let irc_address = server.irc_address();
        Room { irc_address, bob, carol, dave, _server: server, _dir: dir }
    }

    /// Waits until bob, carol and dave have received a message of a member.
    #[track_caller]
    fn wait_for(&mut self, name: &str, kind: &str, text: &str) {
        for client in [&mut self.bob, &mut self.carol] {
            let line = client.wait_for_line(text);
            assert!(line.contains(name), "{line}");
        }
        let frame = loop {
            let frame = self.dave.recv();
            if frame["data"].as_str().unwrap().contains(text) {
                break frame;
            }
        };
        assert_eq!((&frame["data_source"], &frame["kind"]), (&name.into(), &kind.into()));
    }

    /// Says a line, or runs a command, as bob, carol and dave. The text ends with the name.
    fn run(&mut self, command: &str) {
        self.bob.write_input(&format!("{command} bob\n"));
        self.carol.write_input(&format!("{command} carol\n"));
        self.dave.send(&format!("{command} dave"));
    }
}

const OTHERS: [&str; 3] = ["bob", "carol", "dave"];

/// Joins as alice, talks, acts, writes privately, changes the name, and is gone and back.
fn check(start: Start) {
    let mut room = Room::start();
    let mut alice = start(&room.irc_address, "alice");
    room.bob.wait_for_line("alice joined");
    alice.wait_for(&["2020-01-02 03:04:05", "erin", "long ago"]);
    alice.wait_for(&["2020-01-02 03:04:06", "* erin waves"]);

    alice.run("hello, grüße, 早上好");
    room.wait_for("alice", "chat", "hello, grüße, 早上好");
    alice.run("/me waves to all");
    room.wait_for("alice", "action", "waves to all");
    room.run("greetings of");
    room.run("/me nods as");
    for name in OTHERS {
        alice.wait_for(&[&format!("{name} greetings of {name}")]);
        alice.wait_for(&[&format!("* {name} nods as {name}")]);
    }

    alice.run("/msg bob only for bob");
    assert!(room.bob.wait_for_line("only for bob").contains(r#""kind":"private""#));
    alice.run("/msg carol only for carol");
    room.carol.wait_for_line("only for carol");
    alice.run("/msg dave only for dave");
    assert_eq!(room.dave.recv_kind("private")["data"], "only for dave");
    room.run("/msg alice in private from");
    for name in OTHERS {
        alice.wait_for(&[&format!("{name} in private from {name}")]);
    }

    alice.run("/nick alicia");
    room.bob.wait_for_line("alice is now alicia");
    room.bob.write_input("/nick rob\n");
    alice.wait_for(&["bob", "now known as rob"]);
    alice.run("as alicia");
    room.wait_for("alicia", "chat", "as alicia");

    // The name is kept while the client is gone, and given to no other one.
    drop(alice);
    room.bob.wait_for_line("alicia left");
    room.bob.write_input("/nick alicia\n");
    assert!(room.bob.wait_for_line(r#""kind":"error""#).contains("alicia"));
    room.carol.write_input("while alicia is away\n");
    room.wait_for("carol", "chat", "while alicia is away");
    let mut alice = start(&room.irc_address, "alicia");
    room.bob.wait_for_line("alicia joined");
    alice.wait_for(&["carol", "while alicia is away"]);
    alice.run("back again");
    room.wait_for("alicia", "chat", "back again");

    // A connection that hangs is taken over.
    alice.suspend();
    let mut next = start(&room.irc_address, "alicia");
    next.wait_for(&["alicia", "back again"]);
    next.run("from a new connection");
    room.wait_for("alicia", "chat", "from a new connection");
    drop(alice);

    next.run("/quit see you");
    room.bob.wait_for_line("alicia left");
}

/// Runs the check with a client, as a test of its own.
macro_rules! with_clients {
    ($($name:ident: $start:ident,)*) => {$(
        #[test]
        #[ignore = "needs IRC clients, see `make test-irc`"]
        fn $name() {
            check($start);
        }
    )*};
}

with_clients! {
    irssi_talks_and_comes_back: start_irssi,
    weechat_talks_and_comes_back: start_weechat,
    hexchat_talks_and_comes_back: start_hexchat,
    irc_of_python_talks_and_comes_back: start_python,
    irc_framework_talks_and_comes_back: start_node,
    irc_of_rust_talks_and_comes_back: start_rust,
}

#[test]
#[ignore = "needs IRC clients, see `make test-irc`"]
fn all_clients_talk_in_one_room() {
    let mut room = Room::start();
    let starts: [(&str, Start); 6] = [
        ("irssi", start_irssi),
        ("weechat", start_weechat),
        ("hexchat", start_hexchat),
        ("python", start_python),
        ("node", start_node),
        ("rust", start_rust),
    ];
    let mut clients = starts.map(|(name, start)| (name, start(&room.irc_address, name)));
    for (_, client) in &clients {
        client.wait_for(&["* erin waves"]);
    }
    for (name, client) in &mut clients {
        client.run(&format!("a line of {name}"));
        room.wait_for(name, "chat", &format!("a line of {name}"));
    }
    room.run("a line of");
    for (own, client) in &clients {
        for name in starts.map(|(name, _)| name).into_iter().chain(OTHERS) {
            if name != *own {
                client.wait_for(&[&format!("{name} a line of {name}")]);
            }
        }
    }
}
