mod history;
mod operators;
mod queries;
mod texts;

use std::cell::Cell;

use super::*;
use crate::room::ClientId;
use crate::server::edge::irc::{ChannelMember, Notes, Profile, ViewChange, parse_line};

/// A change that a session makes to the room.
#[derive(Debug, PartialEq)]
enum Action {
    Reply(String, ViewChange),
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
    topic: Option<&'static str>,
    is_operator: bool,
    actions: Vec<Action>,
}

impl Channel for Room {
    fn find(&self, name: &str) -> Option<ChannelMember<'_>> {
        let at = self.names.iter().position(|other| other.eq_ignore_ascii_case(name))?;
        let is_last = at + 1 == self.names.len();
        let profile = is_last.then_some(&self.profile);
        Some(ChannelMember { id: ClientId(at as u64), name: self.names[at], profile })
    }

    fn members(&self, each: &mut dyn FnMut(ChannelMember<'_>) -> bool) {
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

    fn topic(&self) -> Option<&str> {
        self.topic
    }

    fn is_operator(&self) -> bool {
        self.is_operator
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

    fn reply(&mut self, lines: Vec<u8>, view: ViewChange) {
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
    session: IrcSession,
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
            topic: None,
            is_operator: false,
            actions: Vec::new(),
        };
        Harness { session: IrcSession::default(), room }
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
