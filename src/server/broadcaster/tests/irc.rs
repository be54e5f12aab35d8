//! IRC clients beside JSON clients.

mod crowd;
mod takeover;

use std::collections::BTreeMap;
use std::rc::Rc;

use super::*;
use crate::server::edge::irc::parse_line;

/// The variants of clients, by their capabilities.
const REQUESTS: [&str; 5] = [
    "",
    "CAP REQ :server-time",
    "CAP REQ :echo-message message-tags batch",
    "CAP REQ :server-time message-tags",
    "CAP REQ :echo-message labeled-response batch",
];

impl BroadcasterHarness {
    fn irc(&mut self, id: u64, lines: &[&str]) {
        let lines = lines.iter().map(|line| parse_line(line.as_bytes())).collect();
        let input = Input::Lines { id: ClientId(id), lines };
        self.turn(Some(Event::Input { input, bytes: 0, answer: None }));
    }

    /// Connects an IRC client, which becomes a member.
    fn join_irc(&mut self, lines: &[&str]) -> u64 {
        let id = self.connect_with(ListenerProtocol::Irc);
        let name = format!("NICK irc-{id}");
        self.irc(id, &[lines, &[&name, "USER u 0 * :Real Name", "CAP END"]].concat());
        id
    }

    /// Returns the lines that a client has received since the last call.
    fn lines(&mut self, id: u64) -> Vec<String> {
        loop {
            let remote = self.remotes.get_mut(&id).expect("a client");
            let before = remote.received.len();
            remote.read();
            if remote.received.len() == before {
                break;
            }
            self.turn(Some(Event::Writable(ClientId(id))));
        }
        let remote = self.remotes.get_mut(&id).expect("a client");
        let received = String::from_utf8(std::mem::take(&mut remote.received)).expect("UTF-8");
        assert!(received.is_empty() || received.ends_with('\n'), "the last line is cut");
        received.lines().map(Into::into).collect()
    }
}

/// A step of a run with IRC clients. The first field selects a client.
#[derive(Clone, Debug)]
enum IrcStep {
    Say(u8),
    SayLines,
    Act(u8),
    Notice(u8),
    Private(u8),
    Join(u8),
    Part(u8),
    Rename(u8),
    SayAsJson,
    /// Several of these in one batch.
    Together(u8, u8),
}

fn irc_step() -> impl Strategy<Value = IrcStep> {
    prop_oneof![
        6 => any::<u8>().prop_map(IrcStep::Say),
        1 => Just(IrcStep::SayLines),
        1 => any::<u8>().prop_map(IrcStep::Act),
        2 => any::<u8>().prop_map(IrcStep::Notice),
        2 => any::<u8>().prop_map(IrcStep::Private),
        2 => any::<u8>().prop_map(IrcStep::Join),
        1 => any::<u8>().prop_map(IrcStep::Part),
        2 => any::<u8>().prop_map(IrcStep::Rename),
        5 => Just(IrcStep::SayAsJson),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(id, other)| IrcStep::Together(id, other)),
    ]
}

/// An IRC client, and the texts that it should receive.
struct Reader {
    has_echo: bool,
    is_in_channel: bool,
    expected: Vec<String>,
}

struct IrcRun {
    harness: BroadcasterHarness,
    readers: BTreeMap<u64, Reader>,
    texts: u64,
}

impl IrcRun {
    /// The author says a text: all that see the channel get it, and the author if it has an echo.
    fn expect(&mut self, author: u64) -> String {
        self.texts += 1;
        let text = format!("text-{}", self.texts);
        for (id, reader) in &mut self.readers {
            if reader.is_in_channel && (*id != author || reader.has_echo) {
                reader.expected.push(text.clone());
            }
        }
        text
    }

    fn apply(&mut self, step: &IrcStep) {
        let ids: Vec<u64> = self.readers.keys().copied().collect();
        let pick = |pick: u8| ids[usize::from(pick) % ids.len()];
        match *step {
            IrcStep::SayAsJson => {
                let text = self.expect(OBSERVER);
                self.harness.say(OBSERVER, &text);
            }
            IrcStep::Join(id) => {
                self.harness.irc(pick(id), &["JOIN #smol"]);
                self.readers.get_mut(&pick(id)).expect("a reader").is_in_channel = true;
            }
            IrcStep::Part(id) => {
                self.harness.irc(pick(id), &["PART #smol"]);
                self.readers.get_mut(&pick(id)).expect("a reader").is_in_channel = false;
            }
            IrcStep::Rename(id) => {
                self.texts += 1;
                let line = format!("@label=1 NICK name-{}", self.texts);
                self.harness.irc(pick(id), &[&line]);
            }
            IrcStep::Private(id) => self.harness.irc(pick(id), &["PRIVMSG observer :psst"]),
            IrcStep::Say(id) => self.speak(pick(id), "@label=x PRIVMSG #smol :"),
            IrcStep::Act(id) => self.speak(pick(id), "PRIVMSG #smol :\u{1}ACTION "),
            IrcStep::Notice(id) => self.speak(pick(id), "NOTICE #smol :"),
            IrcStep::SayLines => {
                let text = self.expect(OBSERVER);
                let line = format!(r#"{{"data":"{text}\n\n\u0001\rPRIVMSG #smol :text-0"}}"#);
                self.harness.say(OBSERVER, &line);
            }
            IrcStep::Together(id, other) => {
                // All are in the channel of events when the turn begins.
                let (id, other) = (pick(id), pick(other));
                let mut lines = Vec::new();
                for id in [id, other, OBSERVER, id] {
                    let is_in_channel = self.readers.get(&id).is_none_or(|one| one.is_in_channel);
                    let text = if is_in_channel { self.expect(id) } else { "nothing".into() };
                    lines.push((id, text));
                }
                for (id, text) in lines {
                    let line = match id {
                        OBSERVER => ClientLine::parse(text.as_bytes()),
                        _ => parse_line(format!("PRIVMSG #smol {text}").as_bytes()),
                    };
                    let input = Input::Lines { id: ClientId(id), lines: vec![line] };
                    let event = Event::Input { input, bytes: 0, answer: None };
                    self.harness.broadcaster.clients.send_event(event);
                }
                self.harness.turn(None);
            }
        }
    }

    fn speak(&mut self, id: u64, start: &str) {
        let reader = &self.readers[&id];
        if reader.is_in_channel {
            let text = self.expect(id);
            self.harness.irc(id, &[&format!("{start}{text}")]);
        } else {
            self.harness.irc(id, &[&format!("{start}nothing")]);
        }
    }

    /// Compares what each client has received with what it should have.
    fn check(&mut self) {
        let ids: Vec<u64> = self.readers.keys().copied().collect();
        for id in ids {
            let lines = self.harness.lines(id);
            let texts = lines.iter().filter_map(|line| {
                let (start, text) = line.split_once(" #smol :")?;
                let is_chat = start.ends_with(" PRIVMSG") || start.ends_with(" NOTICE");
                let text = text.trim_matches('\u{1}').trim_start_matches("ACTION ");
                (is_chat && text.starts_with("text-")).then(|| text.to_owned())
            });
            let texts: Vec<String> = texts.collect();
            let reader = self.readers.get_mut(&id).expect("a reader");
            assert_eq!(texts, std::mem::take(&mut reader.expected), "client {id}: {lines:#?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Each IRC client sees exactly the chat frames that JSON clients see while it is in the
    /// channel, without its own unless it asked for an echo, in the same order.
    #[test]
    fn irc_clients_see_the_chat_of_json_clients(
        steps in proptest::collection::vec(irc_step(), 0..60),
    ) {
        let mut harness = BroadcasterHarness::with_max_clients(20);
        // Played back lines are not new.
        let settings = &mut harness.broadcaster.clients.irc.settings;
        Rc::get_mut(settings).expect("unshared").config.playback = 0;
        let mut readers = BTreeMap::new();
        for request in REQUESTS {
            let id = harness.join_irc(&[request]);
            harness.irc(id, &["JOIN #smol"]);
            let has_echo = request.contains("echo-message");
            readers.insert(id, Reader { has_echo, is_in_channel: true, expected: Vec::new() });
        }
        let mut run = IrcRun { harness, readers, texts: 0 };
        run.check();
        for step in steps {
            run.apply(&step);
            run.check();
        }
    }
}

#[test]
fn registration_that_takes_too_long_is_ended() {
    let mut harness = BroadcasterHarness::with_max_clients(20);
    // The server has been running for an hour.
    harness.advance(Duration::from_secs(3600));
    let id = harness.connect_with(ListenerProtocol::Irc);
    harness.irc(id, &["NICK alice"]);
    harness.advance(Duration::from_secs(1));
    harness.advance(Duration::from_secs(50));
    assert_eq!(harness.lines(id), [""; 0]);
    harness.advance(Duration::from_secs(11));
    assert_eq!(harness.lines(id), ["ERROR :Closing link: the registration took too long"]);
    assert_eq!(harness.broadcaster.room.client_count(), 1);
}

#[test]
fn silent_client_joins_beside_a_registration() {
    let mut harness = BroadcasterHarness::with_max_clients(20);
    harness.connect_with(ListenerProtocol::Irc);
    harness.advance(Duration::from_secs(1));
    harness.connect();
    harness.advance(Duration::from_millis(300));
    assert_eq!(harness.broadcaster.room.member_count(), 2);
}

#[test]
fn slow_irc_client_is_cut_at_a_line() {
    let mut harness = BroadcasterHarness::with_max_clients(20);
    let id = harness.join_irc(&[]);
    harness.irc(id, &["JOIN #smol"]);
    harness.make_all_slow();
    while harness.remotes[&id].stream.is_some() {
        harness.remotes.get_mut(&id).expect("a client").read();
        harness.turn(Some(Event::Writable(ClientId(id))));
    }
    let lines = harness.lines(id);
    assert!(lines.last().is_some_and(|line| line.starts_with("ERROR :Closing link: you read")));
    assert!(lines.iter().all(|line| line.starts_with(':') || line.starts_with("ERROR ")));
}

#[test]
fn long_relayed_text_is_split_or_keeps_its_end() {
    let mut harness = BroadcasterHarness::with_max_clients(20);
    let [from, to] = [(); 2].map(|()| harness.join_irc(&[]));
    harness.irc(from, &["NICK a-member-with-a-long-name"]);
    harness.lines(to);
    let text = format!("{} end", "word ".repeat(96));
    let start = ":a-member-with-a-long-name!user@smolchat";
    harness.irc(from, &[&format!("NOTICE irc-{to} :{text}")]);
    let start_of_notice = format!("{start} NOTICE irc-{to} :");
    let lines = harness.lines(to);
    let parts: Vec<&str> =
        lines.iter().map(|line| line.strip_prefix(&start_of_notice).expect("a notice")).collect();
    assert_eq!(parts.join(" "), text);
    harness.irc(from, &[&format!("PRIVMSG irc-{to} :\u{1}PING {text}\u{1}")]);
    let lines = harness.lines(to);
    assert_eq!(lines.len(), 1, "a request is not split: {lines:?}");
    assert!(lines[0].starts_with(&format!("{start} PRIVMSG irc-{to} :\u{1}PING word word")));
    assert!(lines[0].ends_with('\u{1}'), "{lines:?}");
}

#[test]
fn muted_irc_client_shows_no_text_to_others() {
    let mut harness = BroadcasterHarness::with_max_clients(20);
    let alice = harness.join_irc(&[]);
    let bob = harness.join_irc(&[]);
    harness.irc(alice, &["JOIN #smol"]);
    harness.irc(bob, &["JOIN #smol"]);
    let root = harness.connect_peer(ListenerProtocol::Chat, Peer::Unix(Some(0)));
    harness.say(root, r#"{"hello":{"name":"root"}}"#);
    harness.say(root, &format!("/mute irc-{alice}"));
    harness.lines(alice);
    harness.lines(bob);
    let name = format!("irc-{bob}");
    for line in [
        "PRIVMSG #smol :evade",
        "PRIVMSG #smol :\u{1}ACTION evade\u{1}",
        "PRIVMSG #smol :\u{1}FOO evade\u{1}",
        "NOTICE #smol :\u{1}FOO evade\u{1}",
        &format!("NOTICE {name} :evade"),
        &format!("PRIVMSG {name} :\u{1}PING evade\u{1}"),
        "AWAY :evade",
        "NICK evade",
    ] {
        harness.irc(alice, &[line]);
        let expected = format!(":smolchat.local NOTICE irc-{alice} :an operator has muted you");
        assert_eq!(harness.lines(alice), [expected], "{line}");
    }
    harness.irc(alice, &["PART #smol :evade", "JOIN #smol", "QUIT :evade"]);
    harness.irc(bob, &[&format!("WHOIS irc-{alice}")]);
    let seen = harness.lines(bob).join("\n");
    assert!(seen.contains(" QUIT\n") && !seen.contains("evade"), "{seen}");
}
