//! The messages of an IRC client cause whole lines, which are not too long, and valid names. Every
//! frame of the room becomes whole lines.

use smolchat::protocol::{Body, Frame, Request, is_valid_name};
use smolchat::room::{ClientId, Token};
use smolchat::server::edge::irc::{
    Action, Config, Context, Directory, Environment, Lines, Member, Message, Profile, Session,
    Settings, Variant,
};

/// The most bytes of the replies to one message. The list of members is bounded by the room.
const MAX_REPLY: usize = 16 * 1024;

/// A room with the member bob, an IRC client, and one frame.
struct Room(Profile);

impl Directory for Room {
    fn find(&self, name: &str) -> Option<Member<'_>> {
        let member = Member { id: ClientId(1), name: "bob", profile: Some(&self.0) };
        name.eq_ignore_ascii_case("bob").then_some(member)
    }

    fn members(&self, each: &mut dyn FnMut(Member<'_>) -> bool) {
        each(Member { id: ClientId(1), name: "bob", profile: Some(&self.0) });
    }

    fn count(&self) -> usize {
        1
    }

    fn most(&self) -> usize {
        1
    }

    fn unregistered(&self) -> usize {
        0
    }

    fn is_taken(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn token_of(&self, _name: &str, password: &str) -> Option<Token> {
        (password == "secret").then_some(Token([7; 16]))
    }

    fn history(&self, _is_newest_first: bool, each: &mut dyn FnMut(&[u8]) -> bool) {
        each(br#"{"data_source":"bob","data":"one","kind":"chat","seq":1,"time":1000}"#);
    }
}

pub fn run(data: &[u8]) {
    let config = Config::default();
    let context = Context {
        server: &config.server,
        channel: &config.channel,
        epoch: "epoch",
        max_bytes: 1000,
        notices: &[],
        departures: &[],
    };
    let mut room = Room(Profile::default());
    let mut session = Session::default();
    for line in data.split(|&byte| byte == b'\n') {
        let Some(message) = Message::parse(line) else { continue };
        let env = Environment {
            settings: Settings { config: &config, motd: None, context },
            directory: &room,
            answer_bytes: 1000,
            max_line: 4096,
            unix_ms: 1_790_000_000_000,
        };
        for action in session.on_line(message, &env) {
            match action {
                Action::Reply { lines, .. } => check_lines(&lines),
                Action::Submit { line, .. } => submit(&mut session, &line.request, context),
                Action::SetProfile(change) => room.0.apply(change),
                Action::Relay { .. } | Action::Show(_) | Action::SetDeparture(_) => {}
            }
        }
    }
}

fn submit(session: &mut Session, request: &Request, context: Context<'_>) {
    let text = match request {
        Request::Hello(hello) => {
            let name = hello.name.as_deref().unwrap_or_default();
            assert!(is_valid_name(name), "{name:?}");
            return session.on_joined(name);
        }
        Request::Nick(name) => return assert!(is_valid_name(name), "{name:?}"),
        Request::Say(text) | Request::Action(text) | Request::Private { text, .. } => text,
        Request::Quit => return,
        request => panic!("{request:?}"),
    };
    assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
    let body = Body::Chat { seq: 1, time: 0, id: None };
    let mut json = Vec::new();
    Frame { data_source: "alice".into(), data: (&**text).into(), body }.encode(&mut json);
    let lines = Lines::encode(&json, Variant { has_time: true, has_id: true }, context);
    assert!(!lines.bytes.is_empty() && lines.spans.len() == 1);
    check_lines(&lines.bytes);
}

fn check_lines(lines: &[u8]) {
    assert!(lines.len() <= MAX_REPLY, "{} bytes", lines.len());
    let text = std::str::from_utf8(lines).expect("lines are UTF-8");
    for line in text.split_inclusive('\n') {
        let line = line.strip_suffix("\r\n").expect("a whole line");
        let untagged = line.strip_prefix('@').and_then(|line| line.split_once(' '));
        let untagged = untagged.map_or(line, |(_, line)| line);
        assert!(untagged.len() <= 510, "{line:?}");
        assert!(!line.contains(['\r', '\0']), "{line:?}");
        assert!(untagged.starts_with(':'), "{line:?}");
    }
}
