//! Each line from a client is a request or an error, and what the room sends for it is one line.

use serde_json::{Value, json};
use smolchat::client::sanitize;
use smolchat::protocol::{
    Body, ClientLine, ErrorCode, Frame, MAX_NAME, OtherProtocol, Request, RequestError, case_fold,
    is_valid_name,
};

const MAX_ID: usize = 64;

pub fn run(data: &[u8]) {
    // The line reader never returns a newline.
    let line = data.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let _ = OtherProtocol::detect(line);
    let parsed = ClientLine::parse(line);
    match &parsed {
        Ok(parsed) => check_request(parsed, line),
        Err(error) => check_error(error, line),
    }
    let Ok(text) = str::from_utf8(line) else {
        assert!(matches!(parsed, Err(RequestError { code: ErrorCode::NotUtf8, .. })));
        return;
    };
    let in_json = json!({"data_source": "mallory", "data": text, "id": "7"}).to_string();
    let in_json = ClientLine::parse(in_json.as_bytes());
    if text.starts_with('{') {
        // JSON within `data` is a text.
        assert_eq!(in_json.map(|line| line.request), Ok(Request::Say(text.into())));
    } else {
        let id = Some("7".into());
        let expected = match parsed {
            Ok(line) => Ok(ClientLine { id, ..line }),
            Err(error) => Err(RequestError { id, ..error }),
        };
        assert_eq!(in_json, expected);
    }
}

fn check_request(parsed: &ClientLine, line: &[u8]) {
    let id = parsed.id.as_deref();
    let is_json = line.starts_with(b"{");
    assert!(id.is_none_or(|id| is_json && id.len() <= MAX_ID));
    let body_id = || id.map(Into::into);
    let (seq, time) = (1, 1_790_000_000_000);
    match &parsed.request {
        Request::Say(text) => {
            check_words("", &[text], line);
            // `//` stands for a text that begins with a slash.
            assert!(is_json || text.as_bytes() == line.strip_prefix(b"/").unwrap_or(line));
            check_frame(text, Body::Chat { seq, time, id: body_id() });
        }
        Request::Action(text) => {
            check_words("/me", &[text], line);
            check_frame(text, Body::Action { seq, time, id: body_id() });
        }
        Request::Private { to, text } => {
            let words = [&**to, &**text];
            // In JSON the name may be empty, which is an error of the room.
            check_words("/msg", if is_json { &words[1..] } else { &words }, line);
            check_name(to);
            check_frame(text, Body::Private { time, to: (&**to).into(), id: body_id() });
        }
        Request::Nick(name) => {
            check_words("/nick", &[name], line);
            check_name(name);
            let (from, to) = ("alice".into(), (&**name).into());
            check_frame(name, Body::Name { seq, time, from, to, id: body_id() });
        }
        Request::Hello(hello) => {
            assert!(is_json);
            check_name(hello.name.as_deref().unwrap_or_default());
        }
        Request::Heartbeat => assert!(is_json || line.is_empty()),
        Request::Who | Request::History(_) | Request::Stats | Request::Help | Request::Quit => {
            assert!(is_json || line.starts_with(b"/"));
        }
        request => unreachable!("{request:?} is not checked"),
    }
}

/// Checks that the line has room for the command and the words, with a space before each word.
fn check_words(command: &str, words: &[&str], line: &[u8]) {
    assert!(words.iter().all(|word| !word.is_empty()));
    if !line.starts_with(b"{") {
        assert!(words.iter().all(|word| !word.contains('\n')));
        let spaces = if command.is_empty() { 0 } else { words.len() };
        let length = command.len() + spaces + words.concat().len();
        assert!(length <= line.len());
    }
}

/// Checks that a valid name is shown unchanged, and that its case does not matter.
fn check_name(name: &str) {
    if is_valid_name(name) {
        assert!((1..=MAX_NAME).contains(&name.chars().count()));
        assert!(!name.contains(char::is_whitespace));
        assert_eq!(sanitize(name), name);
        for same in [name.to_lowercase(), name.to_uppercase(), case_fold(name)] {
            assert_eq!(case_fold(&same), case_fold(name), "{name:?} and {same:?}");
        }
    }
}

fn check_error(error: &RequestError, line: &[u8]) {
    let RequestError { code, text, id } = error;
    assert_ne!(*code, ErrorCode::Unknown);
    assert!(!text.is_empty());
    // A quoted character may be longer than in the line, as `\u{202e}` is.
    assert!(text.len() <= 200 + 5 * line.len());
    assert!(id.as_ref().is_none_or(|id| id.len() <= MAX_ID));
    check_frame(text, Body::Error { code: *code, id: id.as_deref().map(Into::into) });
}

/// Checks that a frame becomes one line of JSON that reads back as the same frame.
fn check_frame(data: &str, body: Body<'_>) {
    let frame = Frame { data_source: "alice".into(), data: data.into(), body };
    let mut line = Vec::new();
    frame.encode(&mut line);
    assert_eq!(line.iter().position(|&byte| byte == b'\n'), Some(line.len() - 1));
    assert!(line.starts_with(br#"{"data_source":"alice","data":""#));
    assert_eq!(Frame::decode(&line).unwrap(), frame);
    let value: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(value["data"], data);
    assert_eq!(value["id"].as_str(), frame.body.id());
}
