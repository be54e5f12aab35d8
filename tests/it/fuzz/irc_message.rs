//! Every line of an IRC client is a message or an error, and a message can be written again.

use smolchat::protocol::{ClientLine, Request};
use smolchat::server::edge::irc::{MAX_MESSAGE, Message, parse_line};

fn parse(line: &[u8]) -> Option<Box<str>> {
    match parse_line(line) {
        Ok(ClientLine { request: Request::Edge(text), .. }) => Some(text),
        _ => None,
    }
}

pub fn run(data: &[u8]) {
    for line in data.split(|&byte| byte == b'\n') {
        let Some(text) = parse(line) else { continue };
        let Message { name, parameters, .. } = Message::new(&text);
        assert!(parameters.len() <= 15);
        let (middle, last) = match parameters.split_last() {
            Some((last, middle)) => (middle, format!(" :{last}")),
            None => (&[][..], String::new()),
        };
        for parameter in middle {
            assert!(!parameter.is_empty() && !parameter.contains([' ', '\r', '\0', '\n']));
        }
        let middle: String = middle.iter().map(|parameter| format!(" {parameter}")).collect();
        let written = format!("{name}{middle}{last}");
        // `USER` can have bytes that are not UTF-8, each of which becomes three.
        if written.len() > MAX_MESSAGE
            || name.is_empty()
            || name.contains([':', '@', '\t', '\u{c}'])
        {
            continue;
        }
        let again = parse(written.as_bytes()).expect("a message");
        let again = Message::new(&again);
        assert_eq!((again.name, again.parameters), (name, parameters));
    }
}
