//! IRC clients of several servers with one room, beside JSON clients.

use super::link::Link;
use super::nats_servers::NatsServers;
use super::wait_until_open;
use crate::common::{TestClient, TestServer};
use crate::irc::IrcClient;

/// A server with a listener for IRC clients.
struct Node {
    server: TestServer,
    irc: String,
}

impl Node {
    #[track_caller]
    fn start(nats: &[String], name: &str, options: &[&str]) -> Self {
        let nats = nats.join(",");
        let node = ["--irc", "127.0.0.1:0", "--cluster", &nats, "--room", "ROOM", "--node", name];
        let server = TestServer::start(&[&node[..], &["--rate", "0"], options].concat());
        let irc = server.irc_address();
        Node { server, irc }
    }

    fn start_two(nats: &NatsServers) -> [Self; 2] {
        ["n1", "n2"].map(|name| Node::start(&nats.addresses(0), name, &[]))
    }

    /// Joins with capabilities and a password. Returns the client and the lines up to the end of the
    /// names.
    #[track_caller]
    fn join_with(&self, name: &str, capabilities: &str) -> (IrcClient, Vec<String>) {
        let mut client = IrcClient::connect(&self.irc);
        client.send(&format!(
            "CAP REQ :{capabilities}\r\nPASS secret\r\nNICK {name}\r\nUSER u 0 * :Real Name\r\n\
             CAP END\r\nJOIN #smol"
        ));
        let lines = client.recv_until(" 366 ");
        (client, lines)
    }
}

/// Reads up to a line with `end`, and returns the texts of the channel, each with its author.
#[track_caller]
fn recv_texts(client: &mut IrcClient, end: &str) -> Vec<String> {
    let lines = client.recv_until(end);
    let texts = lines.iter().filter_map(|line| {
        let (author, text) = line.split_once("!user@smolchat PRIVMSG #smol :")?;
        let (_, author) = author.rsplit_once(':')?;
        Some(format!("{author}: {text}"))
    });
    texts.collect()
}

#[test]
#[ignore = "needs nats-server"]
fn irc_clients_of_two_nodes_talk() {
    let nats = NatsServers::start(1);
    let [one, two] = Node::start_two(&nats);
    let mut carol = two.server.join("carol");
    let mut alice = IrcClient::join(&one.irc, "alice");
    assert_eq!(carol.recv_kind("join")["names"][0], "alice");
    let mut bob = IrcClient::join(&two.irc, "bob");
    assert_eq!(alice.recv(), ":bob!user@smolchat JOIN #smol");
    bob.send("PRIVMSG #smol :hello\r\nNOTICE #smol :beep\r\nPRIVMSG #smol :\u{1}ACTION waves\u{1}");
    bob.send("PRIVMSG alice :psst\r\nNOTICE alice :note\r\nPRIVMSG alice :\u{1}VERSION\u{1}");
    bob.send("PRIVMSG #smol :\u{1}PING 1\u{1}\r\nPRIVMSG carol :secret\r\nNICK rob");
    for line in [
        "PRIVMSG #smol :hello",
        "NOTICE #smol :beep",
        "PRIVMSG #smol :\u{1}ACTION waves\u{1}",
        "PRIVMSG alice :psst",
        "NOTICE alice :note",
        "PRIVMSG alice :\u{1}VERSION\u{1}",
        "PRIVMSG #smol :\u{1}PING 1\u{1}",
        "NICK :rob",
    ] {
        assert_eq!(alice.recv(), format!(":bob!user@smolchat {line}"));
    }
    assert_eq!(carol.recv_kind("chat")["data"], "hello");
    assert_eq!(carol.recv_kind("chat")["data"], "beep");
    assert_eq!(carol.recv_kind("action")["data"], "waves");
    assert_eq!(carol.recv_kind("private")["data"], "secret");
    assert_eq!(carol.recv_kind("name")["to"], "rob");
    assert_eq!(bob.recv(), ":bob!user@smolchat NICK :rob");
    carol.say("/msg alice hi");
    assert_eq!(alice.recv(), ":carol!user@smolchat PRIVMSG alice :hi");
    alice.send("AWAY :lunch\r\nPING :done");
    alice.recv_until(" 306 ");
    bob.send("PRIVMSG alice :there?\r\nWHO alice\r\nNAMES #smol\r\nLUSERS\r\nWHOIS alice");
    assert_eq!(bob.recv(), ":smolchat.local 301 rob alice :lunch");
    let who = ":smolchat.local 352 rob #smol alice smolchat smolchat.local alice G :0 alice";
    assert_eq!(bob.recv(), who);
    bob.recv();
    let names = bob.recv();
    assert!(["alice", "carol", "rob"].iter().all(|name| names.contains(name)), "{names}");
    bob.recv_until("There are 3 users");
    bob.recv_until(" 318 ");
    alice.send("PART #smol :later");
    assert_eq!(bob.recv(), ":alice!user@smolchat PART #smol :later");
    alice.send("JOIN #smol\r\nQUIT :bye");
    assert_eq!(bob.recv(), ":alice!user@smolchat JOIN #smol");
    assert_eq!(bob.recv(), ":alice!user@smolchat QUIT :Quit: bye");
}

#[test]
#[ignore = "needs nats-server"]
fn answers_have_the_order_of_the_lines() {
    let nats = NatsServers::start(1);
    let [one, _two] = Node::start_two(&nats);
    let (mut alice, _) = one.join_with("alice", "echo-message labeled-response batch");
    let mut lines = String::new();
    for number in 0..50 {
        lines += &format!(
            "@label=a{number} PRIVMSG #smol :text {number}\r\n@label=b{number} PING :{number}\r\n\
             @label=c{number} NICK alice{number}\r\n@label=d{number} NOTICE alice{number} :x\r\n"
        );
    }
    alice.send(&format!("{lines}PING :end"));
    let answers = alice.recv_until("PONG smolchat.local :end");
    let labels = answers.iter().filter_map(|line| line.strip_prefix("@label=")?.split(' ').next());
    let expected = (0..50).flat_map(|number| ["a", "b", "c", "d"].map(|kind| (kind, number)));
    let expected: Vec<_> = expected.map(|(kind, number)| format!("{kind}{number}")).collect();
    assert_eq!(labels.collect::<Vec<_>>(), expected, "{answers:#?}");
}

#[test]
#[ignore = "needs nats-server"]
fn all_clients_see_one_order() {
    const COUNT: usize = 300;
    let nats = NatsServers::start(1);
    let [one, two] = Node::start_two(&nats);
    let limits = |node: &Node| node.server.address(0).to_owned();
    let mut json = TestClient::connect(&limits(&two));
    json.hello("json");
    let mut readers = [&one, &two].map(|node| {
        let name = if node.irc == one.irc { "reader1" } else { "reader2" };
        node.join_with(name, "server-time").0
    });
    let mut writers =
        [one.join_with("alice", "echo-message").0, two.join_with("bob", "echo-message").0];
    for number in 0..COUNT {
        for writer in &mut writers {
            writer.send(&format!("PRIVMSG #smol :{number}"));
        }
        json.say(&format!("{number}"));
    }
    for writer in &mut writers {
        writer.send("PING :end");
    }
    let mut expected = Vec::new();
    while expected.len() < 3 * COUNT {
        let frame = json.recv_kind("chat");
        let [author, text] = ["data_source", "data"].map(|key| frame[key].as_str().unwrap());
        expected.push(format!("{author}: {text}"));
    }
    json.say("end");
    for client in readers.iter_mut().chain(&mut writers) {
        let mut texts = recv_texts(client, ":json!user@smolchat PRIVMSG #smol :end");
        texts.retain(|text| *text != "json: end");
        assert!(texts == expected, "{texts:?} instead of {expected:?}");
    }
    for author in ["alice", "bob", "json"] {
        let texts = expected.iter().filter_map(|text| text.strip_prefix(&format!("{author}: ")));
        assert!(texts.eq((0..COUNT).map(|number| number.to_string())), "{author}");
    }
}

#[test]
#[ignore = "needs nats-server"]
fn name_is_given_to_one_of_two_nodes() {
    let nats = NatsServers::start(1);
    let nodes = Node::start_two(&nats);
    for round in 0..10 {
        let mut clients = nodes.each_ref().map(|node| IrcClient::connect(&node.irc));
        // Both registrations are on their way before one of them is read.
        for client in &mut clients {
            client.send(&format!("NICK same{round}\r\nUSER u 0 * :u\r\nPING :done"));
        }
        let answers = clients.each_mut().map(|client| client.recv_until(":done").remove(0));
        let numbers = answers.each_ref().map(|line| line.split(' ').nth(1).unwrap().to_owned());
        let loser = numbers.iter().position(|number| number == "433");
        let loser = loser.unwrap_or_else(|| panic!("no client is refused: {answers:?}"));
        assert_eq!(numbers[1 - loser], "001", "{answers:?}");
        clients[loser].send(&format!("NICK other{round}\r\nPING :again"));
        assert!(clients[loser].recv_until(":again")[0].contains(" 001 "));
        for client in &mut clients {
            client.send(&format!("NICK new{round}\r\nPING :done"));
        }
        let [first, second] = clients.each_mut().map(|client| client.recv_until(":done"));
        let has = |lines: &[String], text: &str| lines.iter().any(|line| line.contains(text));
        let is_first = has(&first, " NICK :");
        let (renamed, refused) = if is_first { (&first, &second) } else { (&second, &first) };
        assert!(has(renamed, &format!(" NICK :new{round}")), "{renamed:?} {refused:?}");
        assert_eq!(refused.len(), 2, "{refused:?}");
        assert!(has(refused, " 433 "), "{refused:?}");
        // The client that was refused has the name that it had.
        let loser = if is_first { &mut clients[1] } else { &mut clients[0] };
        loser.send("AWAY :x\r\nPING :done");
        let name = loser.recv().split(' ').nth(2).unwrap().to_owned();
        assert!(name.starts_with("same") || name.starts_with("other"), "{name}");
    }
}

#[test]
#[ignore = "needs nats-server"]
fn irc_client_on_another_node_repeats_nothing() {
    let nats = NatsServers::start(1);
    let [mut one, two] = Node::start_two(&nats);
    let mut carol = two.server.join("carol");
    let capabilities = "echo-message labeled-response batch server-time message-tags";
    let (mut alice, _) = one.join_with("alice", capabilities);
    alice.send("NICK alicia\r\n@label=1 PRIVMSG #smol :first\r\nNOTICE #smol :beep");
    alice.recv_until(":beep");
    alice.send("@label=2 PRIVMSG #smol :second");
    one.server.kill();
    let (mut stranger, lines) = (IrcClient::connect(&two.irc), "PASS wrong\r\nNICK alicia");
    stranger.send(lines);
    assert_eq!(stranger.recv(), ":smolchat.local 433 * alicia :Nickname is already in use");
    let (mut alice, lines) = two.join_with("alicia", capabilities);
    assert!(lines.iter().any(|line| line.contains(" 001 alicia ")), "{lines:?}");
    // Nothing is posted twice.
    for (label, text) in [("1", "first"), ("2", "second"), ("3", "third")] {
        alice.send(&format!("@label={label} PRIVMSG #smol :{text}"));
    }
    let lines = alice.recv_until(":third");
    assert!(lines.iter().any(|line| line.contains("NOTICE #smol :beep")), "{lines:?}");
    carol.say("end");
    let frames = std::iter::from_fn(|| Some(carol.recv()));
    let frames = frames.take_while(|frame| frame["data"] != "end");
    let frames = frames.map(|frame| format!("{} {}", frame["kind"], frame["data"]));
    let texts: Vec<String> = frames.map(|frame| frame.replace('"', "")).collect();
    let expected = [
        "join alice joined",
        "name alice is now alicia",
        "chat first",
        "chat beep",
        "chat second",
        "chat third",
    ];
    assert_eq!(texts, expected);
    // The old node started again, and knows the notice and the profile.
    let one = Node::start(&nats.addresses(0), "n1", &[]);
    let (mut bob, _) = one.join_with("bob", "server-time draft/chathistory");
    bob.send("CHATHISTORY LATEST #smol * 10\r\nWHOIS alicia");
    bob.recv_until("NOTICE #smol :beep");
    bob.recv_until("311 bob alicia u smolchat * :Real Name");
}

#[test]
#[ignore = "needs nats-server"]
fn irc_client_is_told_that_the_room_is_out_of_reach() {
    let nats = NatsServers::start(1);
    let link = Link::start(nats.address(0));
    let one = Node::start(&nats.addresses(0), "n1", &[]);
    let cut = Node::start(&[link.address()], "n2", &[]);
    let mut bob = IrcClient::join(&one.irc, "bob");
    let (mut alice, _) = cut.join_with("alice", "echo-message");
    bob.recv_until("alice!user@smolchat JOIN");
    link.cut();
    alice.send("PRIVMSG #smol :waits\r\nPING :behind");
    let text = "NOTICE alice :the room is out of reach; your lines wait until it is back";
    assert_eq!(alice.recv(), format!(":smolchat.local {text}"));
    assert_eq!(
        alice.recv(),
        "ERROR :Closing link: the room is out of reach of this server; try another server"
    );
    let (mut alice, lines) = one.join_with("alice", "");
    assert!(lines.iter().any(|line| line.contains(" 001 alice ")), "{lines:?}");
    link.mend();
    // Behind all that the node had for the log when it was cut.
    wait_until_open(&cut.server);
    alice.send("PRIVMSG #smol :end");
    // The text was said before the client was on the other node, or not at all.
    let lines = bob.recv_until("PRIVMSG #smol :end");
    assert!(lines.iter().all(|line| !line.contains("alice!user@smolchat QUIT")), "{lines:?}");
    assert!(lines.iter().filter(|line| line.contains("waits")).count() <= 1, "{lines:?}");
}

#[test]
#[ignore = "needs nats-server"]
fn shutdown_of_a_node_sends_its_irc_clients_away() {
    let nats = NatsServers::start(1);
    let [mut one, two] = Node::start_two(&nats);
    let mut bob = IrcClient::join(&two.irc, "bob");
    let mut alice = IrcClient::join(&one.irc, "alice");
    assert_eq!(bob.recv(), ":alice!user@smolchat JOIN #smol");
    one.server.stop();
    alice.recv_until("ERROR :Closing link: the server is shutting down");
    assert_eq!(bob.recv(), ":alice!user@smolchat QUIT :left");
}

#[test]
#[ignore = "needs nats-server"]
fn lines_in_one_write_are_said_before_the_end() {
    let nats = NatsServers::start(1);
    let [one, two] = Node::start_two(&nats);
    let mut carol = two.server.join("carol");
    for number in 0..10 {
        let mut script = TestClient::connect(&one.irc);
        let lines = format!(
            "NICK s{number}\r\nUSER u 0 * :u\r\nJOIN #smol\r\nPRIVMSG #smol :a\r\nPRIVMSG #smol :b\r\n"
        );
        script.send_raw(lines.as_bytes());
        script.shutdown_write();
        assert_eq!(carol.recv_kind("chat")["data"], "a");
        assert_eq!(carol.recv_kind("chat")["data"], "b");
        assert_eq!(carol.recv_kind("leave")["names"][0], format!("s{number}"));
    }
}
