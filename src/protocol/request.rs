//! What a client sends.

use std::borrow::Cow;

use super::frame::ErrorCode;
use super::json::JsonObject;

/// The longest `id` that a client may give a line, in bytes.
const MAX_ID: usize = 64;

/// The keys that the server reads in an object from a client.
const KEYS: &[&str] =
    &["after", "data", "epoch", "hello", "history", "id", "keep", "name", "to", "token"];

/// One line from a client, understood.
///
/// ```
/// use smolchat::protocol::{ClientLine, Request};
///
/// let line = ClientLine::parse(b"/me waves").unwrap();
/// assert_eq!(line.request, Request::Act("waves".into()));
///
/// let line = ClientLine::parse(br#"{"data":"psst","to":"bob","id":"7"}"#).unwrap();
/// assert_eq!(line.id.as_deref(), Some("7"));
/// assert_eq!(line.request, Request::Private { to: "bob".into(), text: "psst".into() });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLine {
    /// A word of the client's own that comes back in the frame that this line becomes.
    pub id: Option<Box<str>>,
    /// What the client wants.
    pub request: Request,
}

/// What a line from a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// An empty line, or empty `data`: I am still here. With an `id` it is answered.
    Heartbeat,
    /// The first line of a client that knows the protocol.
    Hello(Box<Hello>),
    /// Say this to all.
    Say(Box<str>),
    /// `/me TEXT`
    Act(Box<str>),
    /// `/msg NAME TEXT`, or `to` beside `data`.
    Private {
        /// The member it is for.
        to: Box<str>,
        /// What to tell it.
        text: Box<str>,
    },
    /// `/nick NAME`
    Nick(Box<str>),
    /// `/who`
    Who,
    /// `/history [N]`
    History(Option<u64>),
    /// `/stats`
    Stats,
    /// `/help`
    Help,
    /// `/quit`
    Quit,
}

/// `{"hello": {…}}`: who a client wants to be. Every key may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The name it wants.
    pub name: Option<String>,
    /// How many past frames it wants to be shown, if it does not resume.
    pub history: Option<u64>,
    /// The epoch that it was in, to resume there.
    pub epoch: Option<String>,
    /// The last number of the sequence that it saw in that epoch.
    pub after: Option<u64>,
    /// The token of its last welcome, to be who it was.
    pub token: Option<String>,
    /// Keep my name for me if I drop.
    pub keep: bool,
}

/// A line that was not understood, and the error that answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError {
    /// What was wrong, for a program.
    pub code: ErrorCode,
    /// What was wrong, for a person.
    pub text: String,
    /// The `id` of the line, where it could be read.
    pub id: Option<Box<str>>,
}

impl RequestError {
    /// An error that answers no line with an `id`.
    pub fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        RequestError { code, text: text.into(), id: None }
    }
}

/// What speaks another protocol altogether, told by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherProtocol {
    /// A TLS handshake.
    Tls,
    /// An HTTP request.
    Http,
}

impl OtherProtocol {
    /// Recognises a TLS record that holds a handshake, or the request line of HTTP, in the
    /// first line of a connection or as much of it as is there.
    pub fn detect(first: &[u8]) -> Option<OtherProtocol> {
        if first.starts_with(&[0x16, 0x03]) {
            return Some(OtherProtocol::Tls);
        }
        let mut words = first.split(|&b| b == b' ');
        let method = words.next()?;
        let version = words.nth(1)?;
        let is_request = !method.is_empty()
            && method.iter().all(u8::is_ascii_uppercase)
            && version.starts_with(b"HTTP/");
        is_request.then_some(OtherProtocol::Http)
    }
}

impl ClientLine {
    /// Understands one line, given without its line end.
    ///
    /// # Errors
    ///
    /// What is wrong with the line, as the `error` that the client is to be told.
    pub fn parse(line: &[u8]) -> Result<Self, RequestError> {
        let Ok(line) = std::str::from_utf8(line) else {
            return Err(RequestError::new(ErrorCode::NotUtf8, "the line is not UTF-8"));
        };
        if line.starts_with('{') {
            return Self::from_json(line);
        }
        let request = if line.is_empty() { Request::Heartbeat } else { Request::from_text(line)? };
        Ok(ClientLine { id: None, request })
    }

    fn from_json(line: &str) -> Result<Self, RequestError> {
        let bad_json = |why: String| {
            RequestError::new(ErrorCode::BadJson, format!("the JSON is not understood: {why}"))
        };
        let mut object = JsonObject::parse(line, KEYS).map_err(bad_json)?;
        let id = object.take_string("id").map_err(bad_json)?;
        let id = id.map(|id| id.into_owned().into_boxed_str());
        if id.as_ref().is_some_and(|id| id.len() > MAX_ID) {
            let text = format!("an id has at most {MAX_ID} bytes");
            return Err(RequestError::new(ErrorCode::BadId, text));
        }
        match Request::from_object(object).unwrap_or_else(|why| Err(bad_json(why))) {
            Ok(request) => Ok(ClientLine { id, request }),
            Err(rejected) => Err(RequestError { id, ..rejected }),
        }
    }
}

impl Hello {
    fn from_object(mut object: JsonObject<'_>) -> Result<Self, String> {
        let mut text = |key| Ok::<_, String>(object.take_string(key)?.map(Cow::into_owned));
        let (name, epoch, token) = (text("name")?, text("epoch")?, text("token")?);
        Ok(Hello {
            name,
            epoch,
            token,
            history: object.take_integer("history")?,
            after: object.take_integer("after")?,
            keep: object.take_bool("keep")?,
        })
    }
}

impl Request {
    /// What an object asks for; or else what is wrong with its values.
    fn from_object(mut object: JsonObject<'_>) -> Result<Result<Self, RequestError>, String> {
        let hello = object.take_object("hello")?.map(Hello::from_object).transpose()?;
        let (data, to) = (object.take_string("data")?, object.take_string("to")?);
        Ok(match (hello, data, to) {
            (Some(hello), _, _) => Ok(Request::Hello(Box::new(hello))),
            (_, Some(text), None) if text.is_empty() => Ok(Request::Heartbeat),
            (_, Some(text), Some(_)) if text.is_empty() => {
                Err(RequestError::new(ErrorCode::Empty, "there is nothing to say"))
            }
            (_, Some(text), Some(to)) => {
                Ok(Request::Private { to: (*to).into(), text: (*text).into() })
            }
            (_, Some(text), None) => Request::from_text(&text),
            (None, None, _) => {
                Err(RequestError::new(ErrorCode::NoKnownKey, "the JSON has neither data nor hello"))
            }
        })
    }

    /// A text as a person types it, commands included.
    fn from_text(text: &str) -> Result<Self, RequestError> {
        let Some(command) = text.strip_prefix('/') else {
            return Ok(Request::Say(text.into()));
        };
        if command.starts_with('/') {
            return Ok(Request::Say(command.into()));
        }
        let (word, rest) = split_word(command);
        let usage =
            |usage: &str| Err(RequestError::new(ErrorCode::Usage, format!("usage: {usage}")));
        match word.to_ascii_lowercase().as_str() {
            "nick" if rest.is_empty() => usage("/nick NAME"),
            "nick" => Ok(Request::Nick(rest.into())),
            "me" if rest.is_empty() => usage("/me TEXT"),
            "me" => Ok(Request::Act(rest.into())),
            "msg" => match split_word(rest) {
                (_, "") => usage("/msg NAME TEXT"),
                (to, text) => Ok(Request::Private { to: to.into(), text: text.into() }),
            },
            "who" => Ok(Request::Who),
            "history" if rest.is_empty() => Ok(Request::History(None)),
            "history" => match rest.parse() {
                Ok(count) => Ok(Request::History(Some(count))),
                Err(_) => usage("/history [N]"),
            },
            "stats" => Ok(Request::Stats),
            "help" => Ok(Request::Help),
            "quit" => Ok(Request::Quit),
            word => Err(RequestError::new(
                ErrorCode::UnknownCommand,
                format!("there is no command /{word}; /help lists them, // says a literal /"),
            )),
        }
    }
}

/// The first word, and what follows it, both without the white space around them.
fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(line: &str) -> Request {
        ClientLine::parse(line.as_bytes()).unwrap().request
    }

    fn code(line: &[u8]) -> ErrorCode {
        ClientLine::parse(line).unwrap_err().code
    }

    #[test]
    fn plain_text_is_said_and_an_empty_line_is_a_heartbeat() {
        assert_eq!(request("hello there"), Request::Say("hello there".into()));
        assert_eq!(request(" {not json"), Request::Say(" {not json".into()));
        assert_eq!(request("//etc is a path"), Request::Say("/etc is a path".into()));
        assert_eq!(request(""), Request::Heartbeat);
        assert_eq!(request(r#"{"data":"","id":"1"}"#), Request::Heartbeat);
    }

    #[test]
    fn commands_are_the_same_in_text_and_in_json() {
        let private = Request::Private { to: "bob".into(), text: "a  b".into() };
        for (text, expected) in [
            ("/nick alice", Request::Nick("alice".into())),
            ("/ME waves", Request::Act("waves".into())),
            ("/msg bob a  b", private),
            ("/who", Request::Who),
            ("/history", Request::History(None)),
            ("/history 5", Request::History(Some(5))),
            ("/stats", Request::Stats),
            ("/help", Request::Help),
            ("/quit", Request::Quit),
        ] {
            assert_eq!(request(text), expected);
            let json = serde_json::json!({"data": text, "data_source": "mallory"}).to_string();
            assert_eq!(request(&json), expected);
        }
    }

    #[test]
    fn what_is_not_understood_says_why() {
        assert_eq!(code(b"\xff\xfe"), ErrorCode::NotUtf8);
        assert_eq!(code(b"{"), ErrorCode::BadJson);
        assert_eq!(code(b"{\"data\":5}"), ErrorCode::BadJson);
        assert_eq!(code(b"{\"text\":\"hi\"}"), ErrorCode::NoKnownKey);
        assert_eq!(code(b"{\"to\":\"bob\"}"), ErrorCode::NoKnownKey);
        assert_eq!(code(b"{\"data\":\"\",\"to\":\"bob\"}"), ErrorCode::Empty);
        assert_eq!(
            request(r#"{"data":"hi","data_source":5,"seq":"x"}"#),
            Request::Say("hi".into())
        );
        assert_eq!(code(b"/dance"), ErrorCode::UnknownCommand);
        assert_eq!(code(b"/"), ErrorCode::UnknownCommand);
        for usage in ["/nick", "/me", "/msg", "/msg bob", "/history x", "/history -1"] {
            assert_eq!(code(usage.as_bytes()), ErrorCode::Usage, "{usage}");
        }
    }

    #[test]
    fn an_id_comes_back_with_the_error_too_and_has_a_limit() {
        let rejected = ClientLine::parse(br#"{"data":"/dance","id":"a1"}"#).unwrap_err();
        assert_eq!(rejected.id.as_deref(), Some("a1"));
        let rejected = ClientLine::parse(br#"{"data":5,"id":"a2"}"#).unwrap_err();
        assert_eq!((rejected.code, rejected.id.as_deref()), (ErrorCode::BadJson, Some("a2")));
        let id = "x".repeat(MAX_ID);
        assert!(ClientLine::parse(format!(r#"{{"data":"a","id":"{id}"}}"#).as_bytes()).is_ok());
        assert_eq!(code(format!(r#"{{"data":"a","id":"{id}x"}}"#).as_bytes()), ErrorCode::BadId);
    }

    #[test]
    fn other_protocols_are_told_by_their_first_bytes() {
        assert_eq!(OtherProtocol::detect(b"\x16\x03\x01\x02\x00\x01"), Some(OtherProtocol::Tls));
        assert_eq!(OtherProtocol::detect(b"GET / HTTP/1.1"), Some(OtherProtocol::Http));
        assert_eq!(OtherProtocol::detect(b"PRI * HTTP/2.0"), Some(OtherProtocol::Http));
        for line in ["GET", "GET /", "get / HTTP/1.1", "hello HTTP/1.1", ""] {
            assert_eq!(OtherProtocol::detect(line.as_bytes()), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ClientLine::parse(&line);
        }

        #[test]
        fn no_json_like_line_panics(line in r#"\{[{}\[\]",:0-9a-z\\ ]{0,100}"#) {
            let _ = ClientLine::parse(line.as_bytes());
        }
    }
}
