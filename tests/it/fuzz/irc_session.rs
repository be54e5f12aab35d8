//! The messages of an IRC client cause whole lines, which are not too long, and valid names. Every
//! frame of the room becomes whole lines.

use smolchat::protocol::{Body, ClientLine, Frame, Request, is_valid_name};
use smolchat::room::{ClientId, Token};
use smolchat::server::edge::irc::{
    Channel, ChannelMember, IrcSession, Lines, Notes, Profile, Settings, Variant, ViewChange,
    parse_line,
};

/// The most bytes of the replies to one message. The list of members is bounded by the room.
const MAX_REPLY: usize = 16 * 1024;

/// A room with the member bob, an IRC client, and one frame.
#[derive(Default)]
struct Room {
    bob: Profile,
    own_name: Option<String>,
    own_profile: Profile,
    notes: Notes,
    settings: Settings,
}

impl Channel for Room {
    fn find(&self, name: &str) -> Option<ChannelMember<'_>> {
        let member = ChannelMember { id: ClientId(1), name: "bob", profile: Some(&self.bob) };
        name.eq_ignore_ascii_case("bob").then_some(member)
    }

    fn members(&self, each: &mut dyn FnMut(ChannelMember<'_>) -> bool) {
        each(ChannelMember { id: ClientId(1), name: "bob", profile: Some(&self.bob) });
        let name = self.own_name.as_deref().unwrap_or("alice");
        each(ChannelMember { id: ClientId(2), name, profile: Some(&self.own_profile) });
    }

    fn counts(&self) -> [usize; 3] {
        [1; 3]
    }

    fn is_taken(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn token_of(&mut self, _name: &str, password: &str) -> Option<Token> {
        (password == "secret").then_some(Token([7; 16]))
    }

    fn seq(&self) -> u64 {
        1
    }

    fn frame_count(&self) -> usize {
        1
    }

    fn frame(&self, at: usize) -> Option<&[u8]> {
        let frame = br#"{"data_source":"bob","data":"one","kind":"chat","seq":1,"time":1000}"#;
        (at == 0).then_some(frame)
    }

    fn topic(&self) -> Option<&str> {
        Some("be kind")
    }

    fn is_operator(&self) -> bool {
        true
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
        0
    }

    fn reply(&mut self, lines: Vec<u8>, _view: ViewChange) {
        check_lines(&lines);
    }

    fn submit(&mut self, line: ClientLine, _is_notice: bool) {
        let text = match line.request {
            Request::Hello(hello) => {
                let name = hello.name.unwrap_or_default();
                assert!(is_valid_name(&name), "{name:?}");
                self.own_name = Some(name);
                return;
            }
            Request::Nick(name) => return assert!(is_valid_name(&name), "{name:?}"),
            Request::Say(text) | Request::Action(text) | Request::Private { text, .. } => text,
            Request::Quit | Request::Operator(_) => return,
            request => panic!("{request:?}"),
        };
        assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
        let body = Body::Chat { seq: 1, time: 0, id: None };
        let mut json = Vec::new();
        Frame { data_source: "alice".into(), data: (&*text).into(), body }.encode(&mut json);
        let lines = Lines::encode(&json, Variant::Tags, &self.settings, &self.notes);
        assert!(!lines.bytes.is_empty() && lines.spans.len() == 1);
        check_lines(&lines.bytes);
    }

    fn relay(&mut self, _to: Option<ClientId>, _command: &str, text: &str) {
        assert!(!text.trim_matches('\u{1}').contains(char::is_control), "{text:?}");
    }

    fn show(&mut self, is_shown: bool) -> bool {
        is_shown
    }

    fn set_departure(&mut self, command: &str) {
        assert!(!command.contains(char::is_control), "{command:?}");
    }

    fn keep_name(&mut self, _password: &str) {}
}

pub fn run(data: &[u8]) {
    let settings = || Settings { max_line: 4096, answer_bytes: 1000, ..Settings::default() };
    let mut room = Room { settings: settings(), ..Room::default() };
    let mut session = IrcSession::default();
    for line in data.split(|&byte| byte == b'\n') {
        session.on_line(parse_line(line), &mut room, &settings(), 1_790_000_000_000);
    }
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
