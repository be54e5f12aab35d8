//! The client in a terminal: members that come and go.

use std::fs;
use std::net::TcpListener;

use serde_json::json;

use crate::common::faulty_proxy::FaultyProxy;
use crate::common::scripted_server::ScriptedServer;
use crate::common::terminal::Terminal;
use crate::common::{TempDir, TestServer, wait_until};

#[test]
fn return_within_a_second_is_not_shown() {
    let server = ScriptedServer::start(|mut connection| {
        connection.welcome("alice");
        let changes = [
            ("leave", "erin"),
            ("join", "erin"),
            ("join", "frank"),
            ("leave", "frank"),
            ("leave", "bob"),
            ("join", "carol"),
        ];
        let notices = (1..).zip(changes).map(|(seq, (kind, name))| {
            let notice = json!({
                "data_source": "server", "data": "", "kind": kind, "seq": seq, "time": 1,
                "names": [name],
            });
            notice.to_string()
        });
        // In one write, so that all arrive at the same time.
        connection.send(&notices.collect::<Vec<_>>().join("\n"));
        while connection.recv().is_some() {}
    });
    let mut alice = Terminal::start(server.address(), "alice", &[]);
    alice.wait_for_text("carol joined");
    let screen = alice.screen_text();
    assert!(!screen.contains("erin") && !screen.contains("frank"), "{screen}");
    assert!(screen.find("bob left") < screen.find("carol joined"), "{screen}");
}

#[test]
fn reconnect_causes_no_leave_and_no_missed_line() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    bob.recv_until(|frame| frame["data"] == "alice joined");
    let again = format!("/connect {}", server.address(0));
    // Another address of the same server.
    let mapped = again.replace("127.0.0.1", "[::ffff:127.0.0.1]");
    for (number, command) in ["/reconnect", &again, &mapped].into_iter().enumerate() {
        alice.type_keys(&format!("{command}\r"));
        let notices = "-!- reconnecting\n      -!- reconnected after 0 s, up to date again; no line was missed";
        alice.wait_for_screen("two notices", |screen| {
            screen.contents().matches(notices).count() == number + 1
        });
        alice.type_keys("hello\r");
        let line = bob.recv();
        assert_eq!((&line["data_source"], &line["data"]), (&json!("alice"), &json!("hello")));
        alice.wait_for_screen("its own line", |screen| {
            screen.contents().matches(" alice> hello").count() == number + 1
        });
    }
    assert_eq!(bob.members(), ["bob", "alice"]);
}

#[test]
fn connect_to_unreachable_server_stays_in_the_room() {
    let server = TestServer::start(&[]);
    let mut bob = server.join("bob");
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    alice.type_keys("/nick carol\r");
    bob.recv_until(|frame| frame["kind"] == "name");
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    alice.type_keys(&format!("/connect {refused}\r"));
    alice.wait_for_text(&format!("; you stay at {}", server.address(0)));
    bob.say("still here?");
    alice.wait_for_text(" still here?");
    alice.type_keys("bo\t");
    alice.wait_for_text("> bob:");
    alice.type_keys("yes\r");
    let line = bob.recv_until(|frame| frame["data"] == "bob: yes");
    assert_eq!(line["data_source"], "carol");
}

#[test]
fn connect_asks_for_the_wanted_name() {
    let (server, other) = (TestServer::start(&[]), TestServer::start(&[]));
    let _alice = server.join("alice");
    let mut bob = other.join("bob");
    let mut alice = Terminal::start(server.address(0), "alice", &[]);
    alice.wait_for_text("you are alice-2");
    alice.type_keys(&format!("/connect {}\r", other.address(0)));
    assert_eq!(bob.recv_kind("join")["names"], json!(["alice"]));
    alice.wait_for_text("welcome, alice; one other is here");
    alice.type_keys("/nick dave\r");
    alice.wait_for_text("alice is now dave");
    alice.type_keys(&format!("/connect {}\r", server.address(0)));
    alice.wait_for_text("welcome, dave; one other is here");
}

#[test]
fn lost_connection_is_reported_in_two_lines() {
    let server = TestServer::start(&[]);
    let proxy = FaultyProxy::start(server.address(0), 0);
    let mut bob = server.join("bob");
    let mut alice = Terminal::start(proxy.address(), "alice", &[]);
    bob.recv_until(|frame| frame["data"] == "alice joined");
    proxy.disconnect_all();
    bob.recv_until(|frame| frame["data"] == "alice left");
    bob.say("are you there?");
    bob.recv_until(|frame| frame["data"] == "alice joined");
    alice.wait_for_text(" up to date again; ");
    let screen = alice.screen_text();
    let (_, shown) = screen.split_once("welcome, alice").unwrap();
    assert_eq!(shown.matches("; reconnecting").count(), 1, "{screen}");
    let end = " s, up to date again; one line was missed";
    assert!(screen.contains(end), "{screen}");
    let count = shown.matches("!!!").count() + shown.matches("-!-").count();
    assert_eq!(count, 2, "{screen}");
    assert!(!screen.contains("alice left"), "{screen}");
}

#[test]
fn restarted_server_is_reported_in_two_lines() {
    let dir = TempDir::new();
    let address = dir.unix_address("room");
    let mut server = TestServer::start(&["--listen", &address]);
    let mut alice = Terminal::start(&address, "alice", &[]);
    server.stop();
    alice.wait_for_text("no connection for ");
    let _server = TestServer::start(&["--listen", &address]);
    alice.wait_for_text("cannot be shown");
    let screen = alice.screen_text();
    let (_, shown) = screen.split_once("welcome, alice").unwrap();
    let count = shown.matches("!!!").count() + shown.matches("-!-").count();
    assert_eq!(count, 2, "{screen}");
}

#[test]
fn ignored_member_stays_hidden_until_unignored() {
    let server = TestServer::start(&["--rate", "0"]);
    let (mut bob, mut carol) = (server.join("bob"), server.join("carol"));
    let terminal = Terminal::prepare(server.address(0), "alice", &["--history", "0"]);
    let config = terminal.home.path("config/smolchat/config");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&config, "# kept\nignore = carol\n").unwrap();
    let mut alice = terminal.start();
    bob.recv_until(|frame| frame["data"] == "alice joined");
    alice.type_keys("/ignore nadia forever\r");
    alice.wait_for_text("!!! no member here is called nadia");
    alice.type_keys("/ignore bob forever\r");
    alice.wait_for_text("messages of bob are hidden, now and later");
    alice.type_keys("/ignore\r");
    alice.wait_for_text("ignored: carol, nadia, bob");
    assert!(!alice.screen_text().contains("called bob"));
    assert_eq!(fs::read_to_string(&config).unwrap(), "# kept\nignore = carol, nadia, bob\n");

    bob.say("/nick dave");
    for client in [&mut bob, &mut carol] {
        for line in ["hidden", "/me hidden", "/msg alice hidden"] {
            client.say(line);
            client.recv_until(|frame| frame["data"] == "hidden");
        }
    }
    let mut erin = server.join("erin");
    erin.say("shown");
    alice.wait_for_text("erin  shown");
    assert!(!alice.screen_text().contains(" hidden\n"), "{}", alice.screen_text());
    alice.type_keys("/r hello\r");
    alice.wait_for_text("there is no private message yet");

    alice.type_keys("/unignore dave\r");
    alice.wait_for_text("messages of dave are shown again");
    bob.say("back again");
    alice.wait_for_text("dave  back again");
    wait_until("the name is removed", || {
        fs::read_to_string(&config).unwrap() == "# kept\nignore = carol, nadia\n"
    });
}
