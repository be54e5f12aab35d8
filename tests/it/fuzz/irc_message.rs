//! Every line of an IRC client is a message or an error, and a message can be written again.

use smolchat::server::edge::irc::{MAX_MESSAGE, Message};

pub fn run(data: &[u8]) {
    for line in data.split(|&byte| byte == b'\n') {
        let Some(Ok(message)) = Message::parse(line) else { continue };
        let (command, parameters) = (message.name(), message.parameters());
        assert!(!command.is_empty() && parameters.len() <= 15);
        let (middle, last) = match parameters.split_last() {
            Some((last, middle)) => (middle, format!(" :{last}")),
            None => (&[][..], String::new()),
        };
        for parameter in middle {
            assert!(!parameter.is_empty() && !parameter.contains([' ', '\r', '\0', '\n']));
        }
        let middle: String = middle.iter().map(|parameter| format!(" {parameter}")).collect();
        let written = format!("{command}{middle}{last}");
        // `USER` can have bytes that are not UTF-8, each of which becomes three.
        if written.len() > MAX_MESSAGE || command.contains(':') {
            continue;
        }
        let again = Message::parse(written.as_bytes());
        let Some(Ok(again)) = again else { panic!("{written:?}: {again:?}") };
        assert_eq!((again.name(), again.parameters()), (command, parameters));
    }
}
