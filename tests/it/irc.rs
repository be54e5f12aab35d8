//! IRC clients: their registration, and their conversation with other clients.

use std::fs;

use crate::common::{TempDir, TestClient, TestServer};
use crate::password::write_secret;

/// A server with a listener for IRC clients.
fn start(options: &[&str]) -> (TestServer, String) {
    let server = TestServer::start(&[&["--irc", "127.0.0.1:0"], options].concat());
    let address = server.irc_address();
    (server, address)
}

/// An IRC client.
pub struct IrcClient(TestClient);

impl IrcClient {
    pub fn connect(address: &str) -> Self {
        IrcClient(TestClient::connect(address))
    }

    pub fn join(address: &str, name: &str) -> Self {
        let mut client = IrcClient::connect(address);
        client.send(&format!("NICK {name}\r\nUSER {name} 0 * :{name}\r\nJOIN #smol"));
        client.recv_until(" 366 ");
        client
    }

    pub fn send(&mut self, line: &str) {
        self.0.send_raw(format!("{line}\r\n").as_bytes());
    }

    #[track_caller]
    pub fn recv(&mut self) -> String {
        let line = self.0.recv_line().expect("a line");
        line.strip_suffix('\r').expect("CR LF at the end").to_owned()
    }

    /// Reads up to a line with this text, and returns the lines.
    #[track_caller]
    pub fn recv_until(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            lines.push(self.recv());
            if lines.last().is_some_and(|line| line.contains(text)) {
                return lines;
            }
        }
    }

    /// Returns the lines that have arrived.
    #[track_caller]
    pub fn pending(&mut self) -> Vec<String> {
        self.send("PING :test");
        let mut lines = self.recv_until("PONG smolchat.local :test");
        lines.pop();
        lines
    }
}

#[test]
fn pass_is_the_password_of_the_room() {
    let dir = TempDir::new();
    let password = write_secret(&dir, "password", "correct horse battery\n");
    let (server, address) = start(&["--password-file", &password, "--hello-wait", "100"]);
    let mut alice = IrcClient::connect(&address);
    alice.send("NICK alice\r\nUSER alice 0 * :Alice");
    alice.recv_until(" 464 alice :this server has a password");
    alice.send("PASS wrong");
    alice.recv_until(" 464 alice :the password is wrong");
    alice.send("PASS :correct horse battery");
    alice.recv_until(" 422 ");
    let mut bob = IrcClient::connect(&address);
    bob.send("PASS :correct horse battery\r\nNICK bob\r\nUSER bob 0 * :Bob\r\nJOIN #smol");
    bob.recv_until(" 366 ");
    let mut carol = IrcClient::connect(&address);
    carol.send("PASS 1\r\nPASS 2\r\nPASS 3\r\nNICK carol\r\nUSER carol 0 * :Carol");
    carol.recv_until("ERROR :");
    drop(server);
}

#[test]
fn client_without_password_learns_nothing_of_room() {
    let dir = TempDir::new();
    let password = write_secret(&dir, "password", "correct horse battery\n");
    let (_server, address) = start(&["--password-file", &password]);
    let join = |name: &str| {
        let mut client = IrcClient::connect(&address);
        let register = format!("NICK {name}\r\nUSER {name} 0 * :{name}\r\nJOIN #smol");
        client.send(&format!("PASS :correct horse battery\r\n{register}"));
        client
    };
    let mut alice = join("alice");
    alice.recv_until(" 366 ");
    let mut bob = IrcClient::connect(&address);
    let queries = "NAMES #smol\r\nLUSERS\r\nWHO #smol\r\nMOTD\r\nISON alice\r\nWHOIS alice\r\n\
                   USERHOST alice\r\nLIST\r\nTOPIC #smol\r\nMODE #smol\r\nVERSION\r\nSTATS u";
    let names = "NICK alice\r\nUSER bob 0 * :Bob";
    bob.send(&format!("CAP LS 302\r\n{queries}\r\n{names}\r\n{queries}\r\nCAP END\r\nPING end"));
    let mut lines = Vec::new();
    while !lines.last().is_some_and(|line: &String| line.contains("PONG")) {
        lines.push(bob.recv());
    }
    for line in &lines {
        let is_known = ["CAP ", " 451 ", " 464 ", "PONG"].iter().any(|word| line.contains(word));
        assert!(is_known && !line.contains(" 433 "), "{line}");
    }
    // The same answers as for a name that is free.
    bob.send("PASS :correct horse battery");
    bob.recv_until(" 433 ");
    bob.send("NICK bob");
    bob.recv_until(" 001 bob ");
}

#[test]
fn oper_may_kick_ban_mute_and_set_the_topic() {
    let dir = TempDir::new();
    let operators = write_secret(&dir, "operators", "ops 0123456789abcdef\n");
    let (server, address) = start(&["--operators", &operators]);
    let mut bob = server.join("bob");
    let mut alice = IrcClient::join(&address, "alice");
    for (refused, error) in
        [("KICK #smol bob", " 482 "), ("TOPIC #smol :mine", " 482 "), ("OPER ops no", " 464 ")]
    {
        alice.send(refused);
        alice.recv_until(error);
    }
    alice.send("OPER ops 0123456789abcdef");
    alice.recv_until(" 381 alice :");
    alice.send("TOPIC #smol :be kind");
    assert_eq!(bob.recv_until(|frame| frame["topic"] == "be kind")["data_source"], "server");
    alice.recv_until(":smolchat.local TOPIC #smol :be kind");
    let mut carol = IrcClient::connect(&address);
    carol.send("NICK carol\r\nUSER carol 0 * :Carol\r\nJOIN #smol");
    carol.recv_until(" 332 carol #smol :be kind");
    alice.send("TOPIC #smol");
    alice.recv_until(" 332 alice #smol :be kind");
    alice.send("MODE #smol +b 192.0.2.0/24");
    carol.recv_until("NOTICE #smol :alice banned an address");
    alice.send("MODE #smol b");
    alice.recv_until("192.0.2.0/24");
    alice.send("MODE #smol -b *!*@192.0.2.0/24");
    carol.recv_until("NOTICE #smol :alice unbanned an address");
    alice.send("MODE #smol +m");
    alice.recv_until(" 461 ");
    alice.send("KICK #smol bob :spam");
    carol.recv_until("NOTICE #smol :alice kicked bob: spam");
    assert_eq!(bob.recv_kind("bye")["code"], "kicked");
}

#[test]
fn oper_without_operators_is_refused() {
    let (_server, address) = start(&[]);
    let mut alice = IrcClient::join(&address, "alice");
    alice.send("OPER ops 0123456789abcdef");
    alice.recv_until(" 491 ");
}

#[test]
fn irc_and_json_clients_talk() {
    let (server, address) = start(&[]);
    let mut bob = server.join("bob");
    let mut alice = IrcClient::join(&address, "alice");
    assert_eq!(bob.recv_kind("join")["names"][0], "alice");
    alice.send("PRIVMSG #smol :hello \u{2}there\u{2}");
    assert_eq!(bob.recv_kind("chat")["data"], "hello there");
    alice.send("PRIVMSG #smol :\u{1}ACTION waves\u{1}");
    assert_eq!(bob.recv_kind("action")["data"], "waves");
    alice.send("PRIVMSG bob :/psst");
    assert_eq!(bob.recv_kind("private")["data"], "/psst");
    alice.send("NICK alicia");
    assert_eq!(bob.recv_kind("name")["to"], "alicia");
    assert_eq!(alice.recv(), ":alice!user@smolchat NICK :alicia");
    bob.say("hi");
    bob.say("/me nods");
    bob.say("/msg alicia psst");
    bob.say("/nick rob");
    assert_eq!(alice.recv(), ":bob!user@smolchat PRIVMSG #smol :hi");
    assert_eq!(alice.recv(), ":bob!user@smolchat PRIVMSG #smol :\u{1}ACTION nods\u{1}");
    assert_eq!(alice.recv(), ":bob!user@smolchat PRIVMSG alicia :psst");
    assert_eq!(alice.recv(), ":bob!user@smolchat NICK :rob");
    alice.send("QUIT :see you");
    assert_eq!(bob.recv_kind("leave")["names"][0], "alicia");
    assert_eq!(alice.recv(), "ERROR :Closing link: goodbye");
}

#[test]
fn irc_clients_see_notices_and_departures() {
    let (_server, address) = start(&[]);
    let mut alice = IrcClient::join(&address, "alice");
    let mut bob = IrcClient::join(&address, "bob");
    assert_eq!(alice.recv(), ":bob!user@smolchat JOIN #smol");
    bob.send("NOTICE #smol :beep\r\nNOTICE alice :psst\r\nPRIVMSG alice :\u{1}VERSION\u{1}");
    assert_eq!(alice.recv(), ":bob!user@smolchat NOTICE #smol :beep");
    assert_eq!(alice.recv(), ":bob!user@smolchat NOTICE alice :psst");
    assert_eq!(alice.recv(), ":bob!user@smolchat PRIVMSG alice :\u{1}VERSION\u{1}");
    bob.send("PART #smol :lunch");
    assert_eq!(alice.recv(), ":bob!user@smolchat PART #smol :lunch");
    alice.send("PRIVMSG #smol :anyone?");
    alice.send("PRIVMSG bob :there?");
    assert_eq!(bob.recv(), ":bob!user@smolchat PART #smol :lunch");
    assert_eq!(bob.recv(), ":alice!user@smolchat PRIVMSG bob :there?");
    bob.send("JOIN #smol");
    assert_eq!(alice.recv(), ":bob!user@smolchat JOIN #smol");
    bob.send("QUIT :bye");
    assert_eq!(alice.recv(), ":bob!user@smolchat QUIT :Quit: bye");
    assert_eq!(alice.pending(), [""; 0]);
}

#[test]
fn lost_irc_client_gets_its_name_back() {
    let (server, address) = start(&[]);
    let mut bob = server.join("bob");
    let register = "PASS secret\r\nNICK alice\r\nUSER a 0 * :A\r\nJOIN #smol";
    let mut alice = IrcClient::connect(&address);
    alice.send(register);
    alice.recv_until(" 366 ");
    alice.0.reset();
    bob.recv_kind("leave");
    let mut stranger = IrcClient::connect(&address);
    stranger.send("NICK alice");
    assert_eq!(stranger.recv(), ":smolchat.local 433 * alice :Nickname is already in use");
    let mut alice = IrcClient::connect(&address);
    alice.send(register);
    assert!(alice.recv().starts_with(":smolchat.local 001 alice "));
}

#[test]
fn history_is_played_back_with_its_times() {
    let (server, address) = start(&["--irc-playback", "2"]);
    let mut bob = server.join("bob");
    for text in ["one", "two", "three"] {
        bob.say_and_recv(text);
    }
    let mut alice = IrcClient::connect(&address);
    alice.send("CAP REQ server-time\r\nNICK alice\r\nUSER a 0 * :A\r\nCAP END\r\nJOIN #smol");
    alice.recv_until(" 366 ");
    let lines = [alice.recv(), alice.recv()];
    assert!(lines[0].starts_with("@time=20") && lines[0].ends_with(" PRIVMSG #smol :two"));
    assert!(lines[1].ends_with(" PRIVMSG #smol :three"));
    assert_eq!(alice.pending(), [""; 0]);
}

#[test]
fn message_of_the_day_is_shown_to_all() {
    let dir = TempDir::new();
    let path = dir.path("motd");
    fs::write(&path, "Be nice.\nSecond line\n").unwrap();
    let (server, address) = start(&["--motd", path.to_str().unwrap(), "--irc-name", "a.b"]);
    let mut bob = server.connect();
    bob.hello("bob");
    assert_eq!(bob.recv_kind("info")["data"], "Be nice.\nSecond line");
    let mut alice = IrcClient::connect(&address);
    alice.send("NICK alice\r\nUSER a 0 * :A");
    let lines = alice.recv_until(" 376 ");
    assert!(lines.contains(&":a.b 372 alice :- Second line".into()), "{lines:#?}");
}

#[test]
fn other_protocols_are_told_apart() {
    let (server, address) = start(&[]);
    let mut browser = IrcClient::connect(&address);
    browser.send("POST / HTTP/1.1\r\nHost: x\r\n\r\nNICK alice\r\nUSER a 0 * :A");
    assert_eq!(browser.recv(), "ERROR :Closing link: this port speaks IRC, not HTTP");
    browser.0.expect_eof();
    let mut lost = server.connect();
    lost.send_raw(b"NICK alice\r\n");
    let bye = lost.expect_bye("irc");
    assert!(bye["data"].as_str().unwrap().ends_with(&format!("connect to {address}")), "{bye}");
}

#[test]
fn fast_irc_client_is_told_and_loses_nothing() {
    let (server, address) = start(&["--rate", "50/5", "--address-rate", "0"]);
    let mut bob = server.join("bob");
    let mut alice = IrcClient::join(&address, "alice");
    let lines: Vec<String> = (0..20).map(|n| format!("PRIVMSG #smol :{n}")).collect();
    alice.send(&lines.join("\r\n"));
    for n in 0..20 {
        assert_eq!(bob.recv_kind("chat")["data"], n.to_string());
    }
    let notice = ":smolchat.local NOTICE alice :too many lines per second; \
                  the server now reads yours more slowly";
    assert!(alice.pending().contains(&notice.into()));
}

#[test]
fn long_line_is_refused_and_long_text_split() {
    let (server, address) = start(&[]);
    let mut bob = server.join("bob");
    let mut alice = IrcClient::join(&address, "alice");
    alice.send(&format!("PRIVMSG #smol :{}", "x".repeat(600)));
    assert_eq!(alice.recv(), ":smolchat.local 417 alice :Input line was too long");
    alice.send(&"y".repeat(20_000));
    assert_eq!(alice.recv(), ":smolchat.local 417 alice :Input line was too long");
    let text = "word ".repeat(200);
    bob.say(text.trim_end());
    let lines = [alice.recv(), alice.recv(), alice.recv()];
    assert!(lines.iter().all(|line| line.len() <= 510), "{lines:#?}");
    let texts = lines.map(|line| line.split_once(" :").expect("a text").1.to_owned());
    assert_eq!(texts.join(" "), text.trim_end());
}
