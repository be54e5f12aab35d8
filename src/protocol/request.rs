//! Lines from a client to the server: [`ClientLine`] and its [`Request`].

use std::borrow::Cow;
use std::fmt;

use super::ErrorCode;
use super::json::JsonObject;
use super::operator::OperatorCommand;

/// The longest `id` of a line, in bytes.
const MAX_ID: usize = 64;
/// The most bytes of a password, which fits into a line of a client that has not sent it.
pub const MAX_PASSWORD: usize = 256;

/// The keys that the server reads in a JSON object from a client.
const KEYS: &[&str] = &[
    "after", "data", "epoch", "hello", "history", "id", "keep", "name", "password", "quiet", "to",
    "token",
];

/// A parsed line from a client.
///
/// # Examples
///
/// ```
/// use smolchat::protocol::{ClientLine, Request};
///
/// let line = ClientLine::parse(b"/me waves").unwrap();
/// assert_eq!(line.request, Request::Action("waves".into()));
///
/// let line = ClientLine::parse(br#"{"data":"psst","to":"bob","id":"7"}"#).unwrap();
/// assert_eq!(line.id.as_deref(), Some("7"));
/// assert_eq!(line.request, Request::Private { to: "bob".into(), text: "psst".into() });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub struct ClientLine {
    /// The id that the client gave the line. The frames that the line causes have the same id.
    #[cfg_attr(feature = "cluster", serde(skip_serializing_if = "Option::is_none"))]
    pub id: Option<Box<str>>,
    /// The request in the line.
    pub request: Request,
}

/// The request in a line from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Request {
    /// An empty line or empty `data`. The server answers it only if it has an `id`.
    Heartbeat,
    /// The first line of a client that chooses its name or resumes.
    Hello(Box<Hello>),
    /// A text for all members.
    Say(Box<str>),
    /// A text for all members, which IRC clients see as a `NOTICE`. No line is parsed as this.
    #[cfg(feature = "cluster")]
    Notice(Box<str>),
    /// `/me TEXT`: a text for all members that describes an action.
    Action(Box<str>),
    /// `/msg NAME TEXT`, or `data` with the key `to`: a text for one member.
    Private {
        /// The name of the recipient.
        to: Box<str>,
        /// The text that the recipient gets.
        text: Box<str>,
    },
    /// `/nick NAME`: changes the member's name.
    Nick(Box<str>),
    /// `/who`: lists the members.
    Who,
    /// `/history [N]`: shows the last `N` frames.
    History(Option<u64>),
    /// `/stats`: shows the statistics of the server.
    Stats,
    /// `/help`: lists the commands.
    Help,
    /// `/quit`: leaves the room.
    Quit,
    /// A line of another protocol, which the edge of the connection answers.
    #[cfg(feature = "irc")]
    Edge(Box<str>),
    /// `/pass SECRET`: the password of the server.
    Pass(Secret),
    /// `/op SECRET`: makes the member an operator.
    Op(Secret),
    /// A command of an operator.
    Operator(Box<OperatorCommand>),
}

/// A password. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub struct Secret(pub Box<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A secret must not be written to a log.
        f.write_str("Secret(…)")
    }
}

/// The values of `{"hello": {…}}`. All keys are optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub struct Hello {
    /// The name that the client asks for.
    pub name: Option<String>,
    /// The number of past frames to send to a client that does not resume.
    pub history: Option<u64>,
    /// The epoch of the last welcome, to resume.
    pub epoch: Option<String>,
    /// The number of the last frame that the client received in that epoch.
    pub after: Option<u64>,
    /// The token of the last welcome, to get the same name back.
    // Like the password, it must not be written to a log.
    #[cfg_attr(feature = "cluster", serde(skip))]
    pub token: Option<String>,
    /// The password of the server.
    #[cfg_attr(feature = "cluster", serde(skip))]
    pub password: Option<Secret>,
    /// Whether to reserve the name for a while if the connection is lost.
    pub keep: bool,
    /// Whether the other members are told neither that the client joins nor that it leaves.
    pub quiet: bool,
}

/// The error that answers a line that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub struct RequestError {
    /// The reason why the line was not accepted.
    pub code: ErrorCode,
    /// The reason as a text to show.
    pub text: String,
    /// The id of the line, if it could be parsed.
    pub id: Option<Box<str>>,
}

/// A line from a client, or the error that answers it.
pub(crate) type ParsedLine = Result<ClientLine, RequestError>;

impl RequestError {
    /// Creates an error for a line without an id.
    pub fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        RequestError { code, text: text.into(), id: None }
    }

    fn bad_json(cause: String) -> Self {
        RequestError::new(ErrorCode::BadJson, format!("the JSON is not understood: {cause}"))
    }
}

impl ClientLine {
    /// Parses one line, which is given without its line end.
    ///
    /// # Errors
    ///
    /// Returns the error to send to the client if the line is not UTF-8, not the JSON of this
    /// protocol, or not a command with valid arguments.
    pub fn parse(line: &[u8]) -> Result<Self, RequestError> {
        let line = str::from_utf8(line)
            .map_err(|_| RequestError::new(ErrorCode::NotUtf8, "the line is not UTF-8"))?;
        if !line.starts_with('{') {
            return Ok(ClientLine { id: None, request: Request::from_text(line)? });
        }
        let object = JsonObject::parse(line, KEYS).map_err(RequestError::bad_json)?;
        let id = object.string("id").map_err(RequestError::bad_json)?.map(Box::<str>::from);
        if id.as_ref().is_some_and(|id| id.len() > MAX_ID) {
            let text = format!("the id is too long; it may have at most {MAX_ID} bytes");
            return Err(RequestError::new(ErrorCode::BadId, text));
        }
        match Request::from_object(&object) {
            Ok(request) => Ok(ClientLine { id, request }),
            Err(error) => Err(RequestError { id, ..error }),
        }
    }
}

impl Hello {
    fn from_object(object: &JsonObject<'_>) -> Result<Self, String> {
        let string = |key| Ok::<_, String>(object.string(key)?.map(Cow::into_owned));
        Ok(Hello {
            name: string("name")?,
            history: object.integer("history")?,
            epoch: string("epoch")?,
            after: object.integer("after")?,
            token: string("token")?,
            password: string("password")?.map(|password| Secret(password.into())),
            keep: object.boolean("keep")?,
            quiet: object.boolean("quiet")?,
        })
    }
}

impl Request {
    fn from_object(object: &JsonObject<'_>) -> Result<Self, RequestError> {
        let hello = object.object("hello").map_err(RequestError::bad_json)?;
        let data = object.string("data").map_err(RequestError::bad_json)?;
        let to = object.string("to").map_err(RequestError::bad_json)?;
        if let Some(hello) = hello {
            let hello = Hello::from_object(&hello).map_err(RequestError::bad_json)?;
            return Ok(Request::Hello(Box::new(hello)));
        }
        let text = data.ok_or_else(|| {
            RequestError::new(ErrorCode::NoKnownKey, "the JSON has neither data nor hello")
        })?;
        match to {
            None => Request::from_text(&text),
            Some(_) if text.is_empty() => {
                Err(RequestError::new(ErrorCode::Empty, "the private message has no text"))
            }
            Some(to) => Ok(Request::Private { to: to.into(), text: text.into() }),
        }
    }

    /// Removes and returns the secret of a request, and whether it is that of an operator.
    pub(crate) fn take_secret(&mut self) -> Option<(Secret, bool)> {
        match self {
            Request::Hello(hello) => hello.password.take().map(|secret| (secret, false)),
            Request::Pass(secret) => Some((Secret(std::mem::take(&mut secret.0)), false)),
            Request::Op(secret) => Some((Secret(std::mem::take(&mut secret.0)), true)),
            _ => None,
        }
    }

    /// Parses a text as a person types it: a command, or a text to say.
    fn from_text(text: &str) -> Result<Self, RequestError> {
        let command = match text.strip_prefix('/') {
            None if text.is_empty() => return Ok(Request::Heartbeat),
            None => return Ok(Request::Say(text.into())),
            Some(text) if text.starts_with('/') => return Ok(Request::Say(text.into())),
            Some(command) => command,
        };
        let (word, rest) = split_word(command);
        let usage =
            |usage: &str| Err(RequestError::new(ErrorCode::Usage, format!("usage: {usage}")));
        match word.to_ascii_lowercase().as_str() {
            "nick" if rest.is_empty() => usage("/nick NAME"),
            "nick" => Ok(Request::Nick(rest.into())),
            "me" if rest.is_empty() => usage("/me TEXT"),
            "me" => Ok(Request::Action(rest.into())),
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
            "pass" if rest.is_empty() => usage("/pass SECRET"),
            "pass" => Ok(Request::Pass(Secret(rest.into()))),
            "op" if rest.is_empty() => usage("/op SECRET"),
            "op" => Ok(Request::Op(Secret(rest.into()))),
            word => match OperatorCommand::parse(word, rest) {
                Some(Ok(command)) => Ok(Request::Operator(Box::new(command))),
                Some(Err(text)) => usage(text),
                None => Err(RequestError::new(
                    ErrorCode::UnknownCommand,
                    format!(
                        "there is no command /{word}; /help lists the commands, and a line that \
                         begins with // is sent with one /"
                    ),
                )),
            },
        }
    }
}

/// Returns the first word and the text after it, both without the white space around them.
pub(crate) fn split_word(text: &str) -> (&str, &str) {
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
    fn text_is_said_and_empty_line_is_heartbeat() {
        assert_eq!(request("hello there"), Request::Say("hello there".into()));
        assert_eq!(request(" {not json"), Request::Say(" {not json".into()));
        assert_eq!(request("//etc is a path"), Request::Say("/etc is a path".into()));
        assert_eq!(request(""), Request::Heartbeat);
        assert_eq!(request(r#"{"data":"","id":"1"}"#), Request::Heartbeat);
    }

    #[test]
    fn command_in_json_equals_command_in_text() {
        let private = Request::Private { to: "bob".into(), text: "a  b".into() };
        for (text, expected) in [
            ("/nick alice", Request::Nick("alice".into())),
            ("/ME waves", Request::Action("waves".into())),
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
    fn unknown_keys_may_have_any_value() {
        let line = r#"{"data":"hi","data_source":5,"seq":"x","seq":1e999}"#;
        assert_eq!(request(line), Request::Say("hi".into()));
    }

    #[test]
    fn wrong_type_or_repeated_key_is_named() {
        for (line, expected) in [
            (r#"{"data":5}"#, "data must be a Unicode string"),
            (r#"{"data":"a","data":"b"}"#, "data is repeated"),
            (r#"{"hello":[]}"#, "hello must be an object"),
            (r#"{"hello":{"keep":1}}"#, "keep must be true or false"),
            (r#"{"hello":{"after":-1}}"#, "after must be an integer of at least 0"),
        ] {
            let error = ClientLine::parse(line.as_bytes()).unwrap_err();
            assert_eq!(error.text, format!("the JSON is not understood: {expected}"));
        }
    }

    #[test]
    fn invalid_line_is_rejected_with_its_code() {
        assert_eq!(code(b"\xff\xfe"), ErrorCode::NotUtf8);
        assert_eq!(code(b"{"), ErrorCode::BadJson);
        assert_eq!(code(b"{\"data\":5}"), ErrorCode::BadJson);
        assert_eq!(code(b"{\"text\":\"hi\"}"), ErrorCode::NoKnownKey);
        assert_eq!(code(b"{\"to\":\"bob\"}"), ErrorCode::NoKnownKey);
        assert_eq!(code(b"{\"data\":\"\",\"to\":\"bob\"}"), ErrorCode::Empty);
        assert_eq!(code(b"/dance"), ErrorCode::UnknownCommand);
        assert_eq!(code(b"/"), ErrorCode::UnknownCommand);
        for usage in
            ["/nick", "/me", "/msg", "/msg bob", "/history x", "/history -1", "/pass", "/op "]
        {
            assert_eq!(code(usage.as_bytes()), ErrorCode::Usage, "{usage}");
        }
    }

    #[test]
    fn error_has_id_of_line_within_limit() {
        let error = ClientLine::parse(br#"{"data":"/dance","id":"a1"}"#).unwrap_err();
        assert_eq!(error.id.as_deref(), Some("a1"));
        let error = ClientLine::parse(br#"{"data":5,"id":"a2"}"#).unwrap_err();
        assert_eq!((error.code, error.id.as_deref()), (ErrorCode::BadJson, Some("a2")));
        let id = "x".repeat(MAX_ID);
        assert!(ClientLine::parse(format!(r#"{{"data":"a","id":"{id}"}}"#).as_bytes()).is_ok());
        assert_eq!(code(format!(r#"{{"data":"a","id":"{id}x"}}"#).as_bytes()), ErrorCode::BadId);
    }

    proptest! {
        #[test]
        fn parse_any_line_never_panics(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ClientLine::parse(&line);
        }

        #[test]
        fn parse_json_like_line_never_panics(line in r#"\{[{}\[\]",:0-9a-z\\ ]{0,100}"#) {
            let _ = ClientLine::parse(line.as_bytes());
        }
    }
}
