//! IRC clients that break the rules: each is answered, and does not affect the others.

use crate::common::{TestClient, TestServer};

/// All capabilities.
pub const CAPABILITIES: &str = "server-time message-tags echo-message batch labeled-response \
    draft/chathistory standard-replies";

/// Starts a server with a listener for IRC clients.
pub fn start(options: &[&str]) -> (TestServer, String) {
    let server = TestServer::start(&[&["--irc", "127.0.0.1:0"], options].concat());
    let address = server.irc_address();
    (server, address)
}

/// An IRC client that sends bytes.
pub struct RawClient(pub TestClient);

impl RawClient {
    pub fn connect(address: &str) -> Self {
        RawClient(TestClient::connect(address))
    }

    /// Registers with capabilities, and joins the channel.
    #[track_caller]
    pub fn join(address: &str, name: &str, capabilities: &str) -> Self {
        let mut client = RawClient::connect(address);
        client.send(&format!("CAP REQ :{capabilities}\r\nNICK {name}\r\nUSER {name} 0 * :{name}"));
        client.send("CAP END\r\nJOIN #smol");
        client.recv_until(" 366 ");
        client
    }

    #[track_caller]
    pub fn send(&mut self, line: &str) {
        self.send_bytes(line.as_bytes());
    }

    #[track_caller]
    pub fn send_bytes(&mut self, line: &[u8]) {
        self.0.send_raw(&[line, b"\r\n"].concat());
    }

    /// Returns the next line, or nothing at the end of the stream.
    #[track_caller]
    pub fn recv(&mut self) -> Option<String> {
        let line = self.0.recv_line()?;
        Some(line.strip_suffix('\r').expect("CR LF at the end").to_owned())
    }

    /// Reads up to a line with this text, and returns the lines.
    #[track_caller]
    pub fn recv_until(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.recv() {
            lines.push(line);
            if lines.last().is_some_and(|line| line.contains(text)) {
                return lines;
            }
        }
        panic!("the stream ended before {text:?}: {:?}", lines.last());
    }

    /// Sends a line, and returns the lines up to the answer to a `PING` after it.
    #[track_caller]
    pub fn ask(&mut self, line: &[u8]) -> Vec<String> {
        self.send_bytes(line);
        self.send("PING :asked");
        let mut lines = self.recv_until(" :asked");
        lines.pop();
        lines
    }
}

/// Checks that a line to a client is one that every client can parse.
#[track_caller]
pub fn assert_well_formed(line: &str) {
    let (tags, rest) = match line.strip_prefix('@') {
        Some(tagged) => tagged.split_once(' ').expect("a space after the tags"),
        None => ("", line),
    };
    assert!(tags.len() < 4096 && rest.len() <= 510, "{} bytes: {line}", line.len());
    let is_control = |c: char| c.is_control() && c != '\u{1}';
    assert!(!rest.contains(is_control), "a control character: {line:?}");
    // Before the last parameter, each is one word.
    let start = rest[1..].split(" :").next().unwrap();
    assert!(!start.contains("  ") && !start.ends_with(' '), "an empty parameter: {line:?}");
}

/// Lines that no client should send. None of them is a message for the room.
fn hostile_lines() -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = [
        &b":"[..],
        b": ",
        b":only-a-source",
        b"@",
        b"@label=1",
        b"@label=1 ",
        b"@;;=;;label= PONG",
        b"\xFF\xFE",
        b"\0\r\0",
        b"PI\0\rNG",
        b"CAP",
        b"CAP ::x y",
        b"CAP REQ",
        b"CAP REQ :server-time unknown",
        b"CAP LS 99999999999999999999",
        b"CAP END",
        b"NICK :",
        b"NICK :a b!c@d",
        b"NICK \xCC\x81\xCC\x81\xCC\x81\xCC\x81",
        b"NICK server",
        b"USER",
        b"USER a b c :d",
        b"PASS",
        b"JOIN :",
        b"JOIN ,,,,,,,,,,,,,,,,,,,,,",
        b"JOIN #other,#smol,#smol,0x",
        b"PART #other :x",
        b"PRIVMSG",
        b"PRIVMSG :",
        b"PRIVMSG #smol",
        b"PRIVMSG #smol :",
        b"PRIVMSG #smol :\x02\x03\x0F",
        b"PRIVMSG #smol :\x01ACTION \x01",
        b"PRIVMSG #smol,#smol :x",
        b"PRIVMSG $* :x",
        b"PRIVMSG nobody :x",
        b"PRIVMSG #smol :\xFF",
        b"NOTICE nobody :x",
        b"NAMES ,",
        b"WHO **********?*?*?*?*?*?*?*?**********",
        b"WHOIS a b c d e f g h i j k l m n o p q r s t",
        b"WHOWAS x 99999999999999999999",
        b"LIST >99999999999999999999",
        b"MODE #smol +bbbbbbbbbbbb x",
        b"TOPIC #smol :x",
        b"KICK #smol alice :x",
        b"INVITE alice #smol",
        b"OPER a b",
        b"KILL alice :x",
        b"DIE",
        b"ISON :a b c d e f g h i j k l m n o p q r s t u v w x y z",
        b"USERHOST a b c d e f g h i j k l m n o p q r s t u v w x y z",
        b"CHATHISTORY",
        b"CHATHISTORY LATEST #smol * -1",
        b"CHATHISTORY LATEST #smol * 99999999999999999999",
        b"CHATHISTORY BEFORE #smol msgid=x-18446744073709551615 10",
        b"CHATHISTORY AFTER #smol timestamp=9999-99-99T99:99:99.999Z 10",
        b"CHATHISTORY BETWEEN #smol msgid= timestamp= 10",
        b"CHATHISTORY TARGETS * * 10",
        b"BATCH +x chathistory",
        b"TAGMSG #smol",
        b"AUTHENTICATE PLAIN",
    ]
    .map(<[u8]>::to_vec)
    .into();
    lines.push(b"x".repeat(510));
    lines.push(b"x".repeat(511));
    lines.push(b"x".repeat(100_000));
    lines.push([b"@", &b"t".repeat(4094)[..], b" PONG"].concat());
    lines.push([b"@", &b"t".repeat(4095)[..], b" PONG"].concat());
    lines.push([b"@label=", &b"l".repeat(65)[..], b" PONG"].concat());
    lines.push([b"CAP REQ :", &b"x".repeat(490)[..]].concat());
    lines.push([b"NICK ", &b"n".repeat(500)[..]].concat());
    lines.push([b"PONG", &b" p".repeat(200)[..]].concat());
    lines.push([b"WHOIS ", &b"w".repeat(500)[..]].concat());
    lines
}

#[test]
fn hostile_line_ends_no_session_and_tells_nobody() {
    let (server, address) = start(&["--rate", "0"]);
    let mut alice = server.join("alice");
    let mut bob = RawClient::join(&address, "bob", "");
    for capabilities in ["", CAPABILITIES] {
        let mut eve = RawClient::join(&address, "eve", capabilities);
        for line in hostile_lines() {
            for answer in eve.ask(&line) {
                assert_well_formed(&answer);
            }
        }
        eve.send("QUIT");
        while eve.recv().is_some() {}
        bob.recv_until(" QUIT ");
    }
    let heard = bob.ask(b"PONG");
    assert!(heard.is_empty(), "{heard:?}");
    for frame in alice.pending() {
        assert!(["join", "leave"].contains(&frame["kind"].as_str().unwrap()), "{frame}");
    }
}

#[test]
fn hostile_line_before_registration_is_answered() {
    let (_server, address) = start(&["--rate", "0"]);
    for line in hostile_lines() {
        let mut eve = RawClient::connect(&address);
        for answer in eve.ask(&line) {
            assert_well_formed(&answer);
        }
        eve.send("NICK eve\r\nUSER eve 0 * :eve\r\nCAP END");
        eve.recv_until(" 001 ");
        eve.send("QUIT");
        while eve.recv().is_some() {}
    }
}

#[test]
fn user_is_one_word() {
    let (_server, address) = start(&[]);
    let mut alice = RawClient::join(&address, "alice", "");
    for (user, shown) in [("@:evil", "evil"), ("@@!!", "user"), ("a!b@c", "abc"), ("@::", "user")] {
        let mut eve = RawClient::connect(&address);
        eve.send(&format!("NICK eve\r\nUSER {user} 0 * :real\r\nJOIN #smol"));
        eve.recv_until(" 366 ");
        let whois = alice.ask(b"WHOIS eve").join("\n");
        assert!(whois.contains(&format!(" 311 alice eve {shown} smolchat * :real")), "{whois}");
        let who = alice.ask(b"WHO eve").join("\n");
        assert!(who.contains(&format!(" 352 alice #smol {shown} smolchat ")), "{who}");
        eve.send("QUIT");
        alice.recv_until(":eve!user@smolchat QUIT ");
    }
}

#[test]
fn long_names_are_whole_in_names() {
    let name = "a.".repeat(31) + "a";
    let channel = format!("#{}", "c".repeat(49));
    let (server, address) = start(&["--irc-name", &name, "--irc-channel", &channel]);
    let names: Vec<String> = (0..30).map(|n| format!("{}{n:02}", "\u{20000}".repeat(30))).collect();
    let _members: Vec<TestClient> = names.iter().map(|name| server.join(name)).collect();
    for capabilities in ["", CAPABILITIES] {
        let mut alice = RawClient::connect(&address);
        alice.send(&format!("CAP REQ :{capabilities}\r\nNICK {}", "\u{20001}".repeat(32)));
        alice.send(&format!("USER a 0 * :a\r\nCAP END\r\nJOIN {channel}"));
        let lines = alice.recv_until(" 366 ");
        let lists: Vec<&str> = lines
            .iter()
            .filter(|line| line.contains(" 353 "))
            .map(|line| line.rsplit_once(" :").unwrap().1)
            .collect();
        let seen: Vec<&str> = lists.iter().flat_map(|list| list.split(' ')).collect();
        let missing: Vec<_> = names
            .iter()
            .filter(|name| !seen.iter().any(|one| one.split('!').next() == Some(name)))
            .collect();
        assert!(missing.is_empty(), "cut or missing: {missing:?}");
        alice.send("QUIT");
        while alice.recv().is_some() {}
    }
}

/// Joins IRC clients with the longest user and real name.
fn join_wordy(address: &str, count: usize) -> Vec<RawClient> {
    let (user, real_name) = ("u".repeat(32), "r".repeat(150));
    let join = |n| {
        let mut client = RawClient::connect(address);
        client.send(&format!("NICK n{n:02}\r\nUSER {user} 0 * :{real_name}\r\nJOIN #smol"));
        client.recv_until(" 366 ");
        client
    };
    (0..count).map(join).collect()
}

#[test]
fn who_is_at_most_half_an_outbox() {
    const OUTBOX: usize = 16 << 10;
    let (_server, address) = start(&["--outbox", "16K", "--rate", "0", "--max-per-ip", "0"]);
    let _members = join_wordy(&address, 60);
    let mut alice = RawClient::join(&address, &"\u{20000}".repeat(32), "");
    for mask in ["*", "#smol", "n*"] {
        let answer = alice.ask(format!("WHO {mask}").as_bytes());
        // Among them are the notices of joins.
        let listed = answer.iter().filter(|line| line.contains(" 352 "));
        let bytes: usize = listed.map(|line| line.len() + 2).sum();
        assert!(bytes > OUTBOX / 4 && bytes <= OUTBOX / 2 + 512, "WHO {mask}: {bytes} bytes");
        assert!(answer.iter().any(|line| line.contains(" 315 ")), "{answer:?}");
    }
}

#[test]
fn lists_in_a_row_evict_no_reader() {
    let (_server, address) = start(&["--rate", "0", "--max-per-ip", "0"]);
    let _members = join_wordy(&address, 100);
    let mut alice = RawClient::join(&address, "alice", CAPABILITIES);
    for line in [
        "NAMES #smol",
        "WHO #smol",
        "WHOIS n00",
        "LIST",
        "HELP",
        "VERSION",
        "CHATHISTORY LATEST #smol * 1000",
        "PART #smol\r\nJOIN #smol",
        "CAP LS 302",
        "NAMES\r\nWHO *\r\nWHOIS n00\r\nMOTD\r\nLIST\r\nCHATHISTORY LATEST #smol * 9",
    ] {
        // In one packet.
        alice.ask(format!("{line}\r\n").repeat(40).as_bytes());
    }
}

#[test]
fn right_password_after_many_wrong_is_refused() {
    let (_server, address) = start(&["--rate", "0"]);
    let mut alice = RawClient::connect(&address);
    alice.send("PASS secret\r\nNICK alice\r\nUSER alice 0 * :alice");
    alice.recv_until(" 001 ");
    let mut eve = RawClient::connect(&address);
    let guesses: String = (0..50).map(|n| format!("PASS {n}\r\nNICK alice\r\n")).collect();
    let last = "PASS secret\r\nNICK alice\r\nUSER eve 0 * :eve\r\nPING :asked\r\n";
    // The connection can be closed before all bytes are sent.
    let _ = eve.0.try_send_raw((guesses + last).as_bytes());
    while let Some(line) = eve.recv() {
        assert!(!line.contains(" 001 "), "{line}");
        if line.ends_with(" :asked") {
            break;
        }
    }
    alice.ask(b"PONG");
}

#[test]
fn connection_over_address_limit_is_told() {
    let (_server, address) = start(&["--max-per-ip", "2"]);
    let _members = [(); 2].map(|()| RawClient::connect(&address));
    for start in ["", "NICK alice"] {
        let mut third = RawClient::connect(&address);
        third.send(start);
        let line = third.recv().expect("an error");
        assert!(line.starts_with("ERROR :") && line.contains("too many connections"), "{line}");
        assert_eq!(third.recv(), None);
    }
}

#[test]
fn relayed_request_has_no_control_characters() {
    let (server, address) = start(&[]);
    let mut alice = server.join("alice");
    let mut bob = RawClient::join(&address, "bob", "");
    let mut eve = RawClient::join(&address, "eve", "echo-message");
    bob.recv_until(":eve!user@smolchat JOIN ");
    for line in [
        "PRIVMSG #smol :\u{1}X \u{1b}[2J\u{3}04,05red\u{2}\u{1}",
        "PRIVMSG bob :\u{1}X \u{1b}[2J\u{3}04,05red\u{2}\u{1}",
        "NOTICE bob :\u{1b}[2J\u{3}04,05red\u{2}\u{9b}",
        "NOTICE #smol :\u{1}X \u{1b}[2J\u{7}\u{1}",
    ] {
        for answer in eve.ask(line.as_bytes()) {
            assert_well_formed(&answer);
        }
        let heard = bob.ask(b"PONG");
        assert_eq!(heard.len(), 1, "{line:?}: {heard:?}");
        assert_well_formed(&heard[0]);
    }
    assert!(alice.pending().iter().all(|frame| frame["kind"] == "join"));
}

#[test]
fn name_of_server_is_no_nick() {
    let (_server, address) = start(&["--irc-name", "irc.example.org"]);
    for name in ["irc.example.org", "IRC.Example.Org"] {
        let mut eve = RawClient::connect(&address);
        eve.send(&format!("NICK {name}"));
        let line = eve.recv().unwrap();
        assert!(line.contains(" 432 "), "{line}");
    }
}

#[test]
fn last_value_of_repeated_tag_counts() {
    let (_server, address) = start(&[]);
    let mut alice = RawClient::join(&address, "alice", CAPABILITIES);
    alice.send("@label=1;a=b;label=2 PING :x");
    let line = alice.recv_until(" :x").pop().unwrap();
    assert!(line.starts_with("@label=2 "), "{line}");
}
