use std::cell::Cell;

use super::*;
use crate::room::ClientId;
use crate::server::edge::irc::{Member, Notes, Profile, View, parse_line};

/// A change that a session makes to the room.
#[derive(Debug, PartialEq)]
enum Action {
    Reply(String, View),
    Submit(ClientLine, bool),
    Relay(Option<ClientId>, String, String),
    Show(bool),
    Departure(String),
    KeepName(String),
}

/// A room of these members. Only the last is an IRC client.
struct Room {
    names: Vec<&'static str>,
    profile: Profile,
    own_name: Option<String>,
    own_profile: Profile,
    history: Vec<&'static str>,
    /// The frames of the history that were looked at.
    frames_read: Cell<usize>,
    notes: Notes,
    unread_bytes: usize,
    actions: Vec<Action>,
}

impl Channel for Room {
    fn find(&self, name: &str) -> Option<Member<'_>> {
        let at = self.names.iter().position(|other| other.eq_ignore_ascii_case(name))?;
        let is_last = at + 1 == self.names.len();
        let profile = is_last.then_some(&self.profile);
        Some(Member { id: ClientId(at as u64), name: self.names[at], profile })
    }

    fn members(&self, each: &mut dyn FnMut(Member<'_>) -> bool) {
        let _ = self.names.iter().all(|name| each(self.find(name).unwrap()));
    }

    fn counts(&self) -> [usize; 3] {
        [self.names.len(), 9, 1]
    }

    fn is_taken(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn token_of(&mut self, name: &str, password: &str) -> Option<Token> {
        (name == "bob" && password == "secret").then_some(Token([7; 16]))
    }

    fn seq(&self) -> u64 {
        4
    }

    fn frame_count(&self) -> usize {
        self.history.len()
    }

    fn frame(&self, at: usize) -> Option<&[u8]> {
        self.frames_read.update(|count| count + 1);
        self.history.get(at).map(|frame| frame.as_bytes())
    }

    fn notes(&self) -> &Notes {
        &self.notes
    }

    fn own_name(&self) -> Option<&str> {
        self.own_name.as_deref()
    }

    fn own_profile(&mut self) -> &mut Profile {
        &mut self.own_profile
    }

    fn unread_bytes(&self) -> usize {
        self.unread_bytes
    }

    fn reply(&mut self, lines: Vec<u8>, view: View) {
        let text = String::from_utf8(lines).unwrap();
        assert!(text.split_inclusive('\n').all(|line| line.ends_with("\r\n")));
        self.actions.push(Action::Reply(text, view));
    }

    fn submit(&mut self, line: ClientLine, is_notice: bool) {
        match &line.request {
            Request::Hello(hello) => self.own_name.clone_from(&hello.name),
            Request::Nick(name) => self.own_name = Some(name.to_string()),
            _ => {}
        }
        self.actions.push(Action::Submit(line, is_notice));
    }

    fn relay(&mut self, to: Option<ClientId>, command: &str, text: &str) {
        self.actions.push(Action::Relay(to, command.into(), text.into()));
    }

    fn show(&mut self, is_shown: bool) -> bool {
        self.actions.push(Action::Show(is_shown));
        is_shown
    }

    fn set_departure(&mut self, command: &str) {
        self.actions.push(Action::Departure(command.into()));
    }

    fn keep_name(&mut self, password: &str) {
        self.actions.push(Action::KeepName(password.into()));
    }
}

/// A session, and the room that it asks.
struct Harness {
    session: Session,
    room: Room,
}

impl Harness {
    fn new() -> Self {
        let profile = Profile {
            user: "carl".into(),
            real_name: "Carol C".into(),
            away: "out".into(),
            is_in_channel: true,
        };
        let history = vec![
            r#"{"data_source":"bob","data":"one","kind":"chat","seq":1,"time":1000}"#,
            r#"{"data_source":"server","data":"x joined","kind":"join","seq":2,"time":2000,"names":["x"]}"#,
            r#"{"data_source":"bob","data":"two","kind":"action","seq":3,"time":3000}"#,
            r#"{"data_source":"carol","data":"three","kind":"chat","seq":4,"time":4000}"#,
        ];
        let room = Room {
            names: vec!["bob", "carol"],
            profile,
            own_name: None,
            own_profile: Profile::default(),
            history,
            frames_read: Cell::default(),
            notes: Notes::default(),
            unread_bytes: 0,
            actions: Vec::new(),
        };
        Harness { session: Session::default(), room }
    }

    /// Creates a session of the member alice.
    fn member(capabilities: &str) -> Self {
        let mut harness = Harness::new();
        harness.send(&format!("CAP REQ :{capabilities}"));
        harness.send("NICK alice");
        harness.send("USER u 0 * :A");
        let actions = harness.send("CAP END");
        assert!(matches!(submitted(&actions)[..], [Request::Hello(_)]), "{actions:?}");
        harness
    }

    fn send(&mut self, line: &str) -> Vec<Action> {
        self.send_bytes(line.as_bytes())
    }

    fn send_bytes(&mut self, line: &[u8]) -> Vec<Action> {
        let settings = Settings {
            motd: Some("hi\nthere".into()),
            epoch: "epoch".into(),
            max_line: 4096,
            answer_bytes: 2000,
            ..Settings::default()
        };
        let line = parse_line(line);
        self.session.on_line(line, &mut self.room, &settings, 1_790_000_000_000);
        std::mem::take(&mut self.room.actions)
    }

    /// Sends a line, and returns the replies.
    fn ask(&mut self, line: &str) -> Vec<String> {
        replies(&self.send(line))
    }
}

fn replies(actions: &[Action]) -> Vec<String> {
    let mut lines = Vec::new();
    for action in actions {
        if let Action::Reply(text, _) = action {
            lines.extend(text.lines().map(String::from));
        }
    }
    lines
}

fn submitted(actions: &[Action]) -> Vec<&Request> {
    let mut requests = Vec::new();
    for action in actions {
        if let Action::Submit(line, _) = action {
            requests.push(&line.request);
        }
    }
    requests
}

const S: &str = ":smolchat.local";

#[test]
fn commands_before_registration_are_refused() {
    let mut harness = Harness::new();
    for command in ["JOIN #smol", "JOIN :", "OPER", "PRIVMSG bob :x", "WHO", "NONSENSE"] {
        assert_eq!(harness.ask(command), [format!("{S} 451 * :You have not registered")]);
    }
    assert_eq!(harness.ask("PING x"), [format!("{S} PONG smolchat.local :x")]);
    assert_eq!(harness.ask("NICK"), [format!("{S} 431 * :No nickname given")]);
    assert_eq!(harness.ask("USER a"), [format!("{S} 461 * USER :Not enough parameters")]);
}

#[test]
fn hello_needs_name_user_and_end_of_negotiation() {
    let mut harness = Harness::new();
    assert!(harness.ask("CAP LS 302")[0].contains("CAP * LS :server-time message-tags"));
    assert!(submitted(&harness.send("NICK alice")).is_empty());
    assert!(submitted(&harness.send("USER u 0 * :A")).is_empty());
    let actions = harness.send("CAP END");
    let [Request::Hello(hello)] = submitted(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!((hello.name.as_deref(), hello.keep), (Some("alice"), false));
}

#[test]
fn usual_characters_of_nicks_are_mapped() {
    let mut harness = Harness::new();
    assert_eq!(
        harness.ask("NICK [al]ice^"),
        [format!("{S} NOTICE * :[al]ice^ cannot be a name here; you are _al_ice_")]
    );
    assert_eq!(harness.session.name(), "_al_ice_");
    assert!(harness.ask("NICK {}")[0].ends_with("you are irc__"));
    for name in ["*", "a b!", "server", "a/b"] {
        let lines = harness.ask(&format!("NICK :{name}"));
        assert!(lines[0].contains(" 432 "), "{lines:?}");
    }
}

#[test]
fn taken_name_needs_the_password() {
    let mut harness = Harness::new();
    assert_eq!(harness.ask("NICK BOB"), [format!("{S} 433 * BOB :Nickname is already in use")]);
    harness.send("PASS secret");
    assert_eq!(harness.ask("NICK bob"), [""; 0]);
    let actions = harness.send("USER u 0 * :A");
    let [Request::Hello(hello)] = submitted(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!((hello.keep, hello.token.as_deref()), (true, Some(&*"07".repeat(16))));
}

#[test]
fn join_shows_names_and_playback() {
    let mut harness = Harness::member("server-time");
    harness.room.names.insert(0, "alice");
    let lines = harness.ask("JOIN #SMOL");
    assert_eq!(
        lines[..3],
        [
            ":alice!user@smolchat JOIN #smol".to_owned(),
            format!("{S} 353 alice = #smol :alice bob carol"),
            format!("{S} 366 alice #smol :End of /NAMES list."),
        ]
    );
    assert_eq!(
        lines[3..],
        [
            "@time=1970-01-01T00:00:01.000Z :bob!user@smolchat PRIVMSG #smol :one",
            "@time=1970-01-01T00:00:03.000Z :bob!user@smolchat PRIVMSG #smol :\u{1}ACTION two\u{1}",
            "@time=1970-01-01T00:00:04.000Z :carol!user@smolchat PRIVMSG #smol :three",
        ]
    );
    assert_eq!(harness.ask("JOIN #smol"), [""; 0]);
    assert_eq!(harness.ask("JOIN #other"), [format!("{S} 403 alice #other :No such channel")]);
    // Bots without `server-time` would take old lines for new ones.
    assert_eq!(Harness::member("").ask("JOIN #smol").len(), 3);
    assert_eq!(Harness::member("server-time draft/chathistory").ask("JOIN #smol").len(), 3);
}

#[test]
fn chat_history_selects_by_id_and_time() {
    let mut harness = Harness::member("message-tags draft/chathistory batch");
    let mut texts = |request: &str| {
        let lines = harness.ask(&format!("CHATHISTORY {request}"));
        let text = |line: &String| {
            let (_, text) = line.split_once(" PRIVMSG #smol :")?;
            assert!(line.starts_with("@batch=h"), "{line}");
            Some(text.trim_matches('\u{1}').trim_start_matches("ACTION ").to_owned())
        };
        lines.iter().filter_map(text).collect::<Vec<_>>().join(" ")
    };
    for (request, expected) in [
        ("LATEST #smol * 10", "one two three"),
        ("LATEST #smol * 2", "two three"),
        ("LATEST #smol msgid=epoch-1 10", "two three"),
        ("BEFORE #smol msgid=epoch-4 1", "two"),
        ("BEFORE #smol timestamp=1970-01-01T00:00:03.000Z 5", "one"),
        ("AFTER #smol msgid=epoch-1 1", "two"),
        ("AFTER #smol timestamp=1970-01-01T00:00:01.000Z 5", "two three"),
        ("BETWEEN #smol msgid=epoch-1 msgid=epoch-4 5", "two"),
        ("BETWEEN #smol msgid=epoch-1 timestamp=1970-01-01T00:00:04.000Z 5", "two"),
        (
            "BETWEEN #smol timestamp=1970-01-01T00:00:04.000Z timestamp=1970-01-01T00:00:00.000Z 1",
            "two",
        ),
        ("BETWEEN #smol msgid=epoch-9 msgid=epoch-0 1", "three"),
    ] {
        assert_eq!(texts(request), expected, "{request}");
    }
    for (request, code) in [
        ("LATEST #smol", "INVALID_PARAMS"),
        ("LATEST #other * 5", "INVALID_TARGET"),
        ("BEFORE #smol msgid=other-1 5", "INVALID_PARAMS"),
        ("AROUND #smol * 5", "INVALID_PARAMS"),
        ("LATEST", "INVALID_PARAMS"),
    ] {
        let lines = harness.ask(&format!("CHATHISTORY {request}"));
        assert!(lines[0].starts_with(&format!("{S} FAIL CHATHISTORY {code}")), "{lines:?}");
    }
}

#[test]
fn chat_history_reads_few_frames_of_many() {
    let mut harness = Harness::member("message-tags draft/chathistory");
    let frame = |seq: u64, data: &str| -> &'static str {
        let kind = if seq.is_multiple_of(5000) { "chat" } else { "join" };
        format!(
            r#"{{"data_source":"bob","data":"{data}","kind":"{kind}","seq":{seq},"time":{seq}}}"#
        )
        .leak()
    };
    harness.room.history = (1..=20_000).map(|seq| frame(seq, &seq.to_string())).collect();
    for (request, messages) in [
        ("AFTER #smol msgid=epoch-9000 10", 1),
        ("AFTER #smol timestamp=9999-01-01T00:00:00.000Z 10", 0),
        ("BEFORE #smol timestamp=1970-01-01T00:00:00.000Z 10", 0),
        ("BETWEEN #smol msgid=epoch-4999 msgid=epoch-6000 10", 1),
        ("LATEST #smol * 10", 1),
    ] {
        harness.room.frames_read.set(0);
        let lines = harness.ask(&format!("CHATHISTORY {request}"));
        assert_eq!(lines.len(), messages, "{request}: {lines:?}");
        assert!(harness.room.frames_read.get() < 2100, "{request}: {:?}", harness.room.frames_read);
    }
}

#[test]
fn chat_history_targets_are_an_empty_batch() {
    let mut harness = Harness::member("batch draft/chathistory");
    let times = "timestamp=2026-11-25T12:00:00.000Z timestamp=2026-11-26T12:00:00.000Z";
    let lines = harness.ask(&format!("CHATHISTORY TARGETS {times} 10"));
    let start = format!("{S} BATCH +t draft/chathistory-targets");
    assert_eq!(lines, [start, format!("{S} BATCH -t")]);
}

#[test]
fn answers_have_the_label() {
    let mut harness = Harness::member("labeled-response batch message-tags");
    let lines = harness.ask("@label=a;x=y PING 1");
    assert_eq!(lines, [format!("@label=a {S} PONG smolchat.local :1")]);
    assert_eq!(harness.ask("@label=b PONG 1"), [format!("@label=b {S} ACK")]);
    let lines = harness.ask("@label=c JOIN #smol");
    assert!(lines[0].starts_with(&format!("@label=c {S} BATCH +l")), "{lines:?}");
    assert!(lines[1].starts_with("@batch=l") && lines[1].ends_with("JOIN #smol"), "{lines:?}");
    assert!(lines.last().unwrap().starts_with(&format!("{S} BATCH -l")), "{lines:?}");
    let lines = harness.ask("@label=p PART #smol");
    assert_eq!(lines, ["@label=p :alice!user@smolchat PART #smol"]);
    harness.send("JOIN #smol");
    // Without an echo there is no other answer.
    let actions = harness.send("@label=d PRIVMSG #smol :hello");
    assert_eq!(replies(&actions), [format!("@label=d {S} ACK")]);
    let Action::Submit(line, _) = &actions[0] else { panic!("{actions:?}") };
    assert_eq!(line.id.as_deref(), Some("d"));
    assert_eq!(Harness::member("").ask("@label=e PONG 1"), [""; 0]);
}

#[test]
fn text_is_sent_without_formatting() {
    let mut harness = Harness::member("");
    assert_eq!(
        harness.ask("PRIVMSG #smol :x"),
        [format!("{S} 404 alice #smol :Cannot send to channel")]
    );
    harness.send("JOIN #smol");
    for (line, expected) in [
        ("PRIVMSG #smol :/quit \u{2}b\u{3}4,5c", Request::Say("/quit bc".into())),
        ("NOTICE #smol :hi", Request::Say("hi".into())),
        ("PRIVMSG #smol :\u{1}ACTION waves\u{1}", Request::Action("waves".into())),
        ("PRIVMSG bob :hi", Request::Private { to: "bob".into(), text: "hi".into() }),
        (
            "PRIVMSG BOB :\u{1}ACTION w\u{1}",
            Request::Private { to: "bob".into(), text: "* w".into() },
        ),
    ] {
        let actions = harness.send(line);
        assert_eq!(submitted(&actions), [&expected], "{line:?}");
    }
    // Requests of CTCP are for IRC clients: carol is one.
    for (line, to) in [
        ("PRIVMSG #smol :\u{1}VERSION\u{1}", Some(None)),
        ("PRIVMSG carol :\u{1}VERSION\u{1}", Some(Some(ClientId(1)))),
        ("NOTICE carol :\u{1}VERSION x\u{1}", Some(Some(ClientId(1)))),
        ("PRIVMSG #smol :\u{1}ACTIONS x\u{1}", Some(None)),
        ("PRIVMSG bob :\u{1}VERSION\u{1}", None),
    ] {
        let actions = harness.send(line);
        assert!(submitted(&actions).is_empty(), "{actions:?}");
        let relayed = actions.iter().find_map(|action| match action {
            Action::Relay(to, ..) => Some(*to),
            _ => None,
        });
        assert_eq!(relayed, to, "{line:?}");
    }
    for (line, code) in [
        ("PRIVMSG", 411),
        ("PRIVMSG bob", 412),
        ("PRIVMSG bob :\u{2}", 412),
        ("PRIVMSG dave :x", 401),
        ("PRIVMSG #x :x", 403),
        ("PRIVMSG bob,carol :x", 407),
    ] {
        let lines = harness.ask(line);
        assert!(lines[0].starts_with(&format!("{S} {code} alice ")), "{line}: {lines:?}");
    }
    assert_eq!(harness.ask("NOTICE dave :x"), [""; 0]);
}

#[test]
fn questions_are_answered() {
    let mut harness = Harness::member("");
    for (line, expected) in [
        ("ISON bob dave CAROL", "303 alice :bob carol"),
        ("USERHOST carol", "302 alice :carol=-user@smolchat"),
        ("WHO carol", "352 alice #smol carl smolchat smolchat.local carol G :0 Carol C"),
        ("WHOIS bob", "311 alice bob user smolchat * :not an IRC client"),
        ("WHOIS dave", "401 alice dave :No such nick/channel"),
        ("WHOWAS dave", "406 alice dave :There was no such nickname"),
        ("MODE #smol", "324 alice #smol +n"),
        ("MODE #smol +o bob", "482 alice #smol :You're not channel operator"),
        ("MODE alice", "221 alice +i"),
        ("OPER a b", "491 alice :No operators for your host"),
        ("INVITE bob #smol", "442 alice #smol :You're not on that channel"),
        ("MOTD", "375 alice :- smolchat.local Message of the day -"),
        ("TIME", "391 alice smolchat.local :2026-09-21T14:13:20.000Z"),
        ("NONSENSE", "421 alice NONSENSE :Unknown command"),
        ("JOIN", "461 alice JOIN :Not enough parameters"),
        ("USER a b c d", "462 alice :You may not reregister"),
        ("AWAY :out", "306 alice :You have been marked as being away"),
        ("AWAY", "305 alice :You are no longer marked as being away"),
        ("HELP nothing", "524 alice nothing :Help not found"),
    ] {
        assert_eq!(harness.ask(line)[0], format!("{S} {expected}"), "{line}");
    }
    assert_eq!(harness.ask("LIST")[1], format!("{S} 322 alice #smol 2 :"));
    assert!(harness.ask("PRIVMSG carol :x").contains(&format!("{S} 301 alice carol :out")));
}

#[test]
fn found_names_are_whole() {
    let mut harness = Harness::member("");
    harness.room.names = vec!["a-member-with-a-long-name", "carol"];
    for (command, mask) in [("ISON", ""), ("USERHOST", "=+user@smolchat")] {
        let names = ["a-member-with-a-long-name"; 15].join(" ");
        let lines = harness.ask(&format!("{command} {names} :{}", &names[..60]));
        let (_, found) = lines[0].split_once(" alice :").unwrap();
        let whole = format!("a-member-with-a-long-name{mask}");
        assert!(found.split(' ').count() > 10 && found.split(' ').all(|word| word == whole));
    }
}

#[test]
fn lists_are_bounded() {
    let mut harness = Harness::member("");
    let name: &str = "\u{20000}".repeat(32).leak();
    harness.room.names = vec![name; 3000];
    harness.room.profile.real_name = "r".repeat(MAX_REAL_NAME).into();
    for question in ["NAMES #smol", "WHO *", "WHO #smol"] {
        let lines = harness.ask(question);
        let bytes: usize = lines.iter().map(|line| line.len() + 2).sum();
        assert!((1500..2600).contains(&bytes), "{question}: {bytes}");
        // No name is cut.
        assert!(lines.iter().all(|line| line.matches('\u{20000}').count() % 32 == 0), "{lines:?}");
    }
    harness.room.unread_bytes = 1001;
    for question in ["NAMES #smol", "WHO *", "CHATHISTORY LATEST #smol * 5"] {
        let lines = harness.ask(question);
        let command = question.split(' ').next().unwrap();
        let expected = format!("{S} 263 alice {command} :Please wait a while and try again");
        assert_eq!(lines[0], expected);
        assert!(lines.iter().map(String::len).sum::<usize>() < 200, "{lines:?}");
    }
}

#[test]
fn names_have_user_and_host_if_requested() {
    let mut harness = Harness::member("userhost-in-names multi-prefix");
    let names = "bob!user@smolchat carol!user@smolchat";
    assert_eq!(harness.ask("NAMES #smol")[0], format!("{S} 353 alice = #smol :{names}"));
}

#[test]
fn user_is_one_word() {
    for (user, expected) in [("@:evil", "evil"), ("@@@", "user"), (":", "user"), ("ann", "ann")] {
        let mut harness = Harness::new();
        harness.send(&format!("USER {user} 0 * :real"));
        if user != ":" {
            assert_eq!(&*harness.room.own_profile.user, expected);
        }
    }
}

#[test]
fn name_of_the_server_is_refused() {
    let refused = |name: &str| format!("{S} 432 {name} Smolchat.LOCAL :Erroneous nickname");
    assert_eq!(Harness::new().ask("NICK Smolchat.LOCAL"), [refused("*")]);
    assert_eq!(Harness::member("").ask("NICK Smolchat.LOCAL"), [refused("alice")]);
}

#[test]
fn repeated_label_after_reconnecting_posts_once() {
    let mut harness = Harness::new();
    harness.room.history.push(
        r#"{"data_source":"bob","data":"hello","kind":"chat","seq":4,"time":5000,"id":"l1"}"#,
    );
    for line in ["CAP REQ :labeled-response", "PASS secret", "NICK bob", "USER u 0 * :B"] {
        harness.send(line);
    }
    harness.send("CAP END");
    harness.send("JOIN #smol");
    assert_eq!(harness.ask("@label=l1 PRIVMSG #smol :hello"), [format!("@label=l1 {S} ACK")]);
    for line in ["@label=l1 PRIVMSG #smol :other", "@label=l2 PRIVMSG #smol :hello"] {
        assert_eq!(submitted(&harness.send(line)).len(), 1, "{line}");
    }
    // A long history is not searched whole.
    harness.room.history.extend([r#"{"kind":"join","seq":4}"#; 20_000]);
    harness.room.frames_read.set(0);
    assert_eq!(submitted(&harness.send("@label=l1 PRIVMSG #smol :hello")).len(), 1);
    assert!(harness.room.frames_read.get() < 2100);
    // The names of clients that have not reconnected may have been those of others.
    let mut harness = Harness::member("labeled-response");
    harness.send("JOIN #smol");
    harness.room.history.push(
        r#"{"data_source":"alice","data":"hello","kind":"chat","seq":4,"time":5000,"id":"l1"}"#,
    );
    assert_eq!(submitted(&harness.send("@label=l1 PRIVMSG #smol :hello")).len(), 1);
}

#[test]
fn relayed_text_has_no_controls() {
    let mut harness = Harness::member("");
    harness.send("JOIN #smol");
    for (line, expected) in [
        ("PRIVMSG #smol :\u{1}X \u{1b}[2J\u{3}4\u{2}\u{1}y", "\u{1}X [2J\u{1}"),
        ("NOTICE carol :\u{1b}[2J\u{3}04red", "[2Jred"),
        ("NOTICE carol :\u{1}VERSION x\u{1}", "\u{1}VERSION x\u{1}"),
    ] {
        let actions = harness.send(line);
        let Action::Relay(_, _, text) = &actions[0] else { panic!("{actions:?}") };
        assert_eq!(text, expected, "{line:?}");
    }
    for text in ["\u{1}", "\u{1}ACTION\u{1}", "\u{1}ACTION \u{1}", "\u{2}"] {
        let lines = harness.ask(&format!("PRIVMSG #smol :{text}"));
        assert_eq!(lines, [format!("{S} 412 alice :No text to send")], "{text:?}");
    }
}

#[test]
fn long_echo_of_relayed_text_is_complete() {
    let mut harness = Harness::member("echo-message");
    harness.send("NICK a-member-with-a-long-name");
    let text = format!("{} end", "word ".repeat(97));
    let start = ":a-member-with-a-long-name!user@smolchat NOTICE carol :";
    let lines = harness.ask(&format!("NOTICE carol :{text}"));
    assert_eq!(lines, [format!("{start}{}", &text[..454]), format!("{start}{}", &text[455..])]);
}

#[test]
fn quit_and_part_say_why() {
    let mut harness = Harness::member("");
    harness.send("JOIN #smol");
    let actions = harness.send("PART #smol :off \u{2}now");
    assert_eq!(actions[0], Action::Departure("PART #smol :off now".into()));
    let part = ":alice!user@smolchat PART #smol :off now\r\n";
    assert_eq!(actions[1], Action::Reply(part.into(), View::Closed));
    assert_eq!(actions[2], Action::Show(false));
    let actions = harness.send("QUIT :bye");
    assert_eq!(actions[0], Action::Departure("QUIT :Quit: bye".into()));
    assert_eq!(submitted(&actions), [&Request::Quit]);
}

#[test]
fn invalid_lines_are_told() {
    let mut harness = Harness::member("labeled-response");
    let long = format!("PRIVMSG bob :{}", "x".repeat(600));
    assert_eq!(harness.ask(&long), [format!("{S} 417 alice :Input line was too long")]);
    let lines = replies(&harness.send_bytes(b"@label=1 PRIVMSG bob \xFF"));
    assert!(lines[0].starts_with(&format!("@label=1 {S} FAIL PRIVMSG INVALID_UTF8 ")));
}

#[test]
fn capabilities_are_named_and_refused_whole() {
    let mut harness = Harness::member("batch");
    assert_eq!(harness.ask("CAP LIST"), [format!("{S} CAP alice LIST :batch")]);
    assert_eq!(
        harness.ask("CAP REQ :echo-message sasl"),
        [format!("{S} CAP alice NAK :echo-message sasl")]
    );
    assert_eq!(harness.ask("CAP REQ :-batch"), [format!("{S} CAP alice ACK :-batch")]);
    assert_eq!(harness.session.capabilities, Capabilities::default());
    assert_eq!(
        harness.ask("CAP NONSENSE"),
        [format!("{S} 410 alice NONSENSE :Invalid CAP command")]
    );
}
