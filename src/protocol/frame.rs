//! Lines from the server to a client: [`Frame`] and the kinds of its [`Body`].

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Stats;
use super::escape::{escape_terminal_controls, write_string};

/// The `data_source` of frames that come from the server and not from a member. No member can
/// have this name.
pub const SERVER: &str = "server";

/// A line from the server.
///
/// The first two keys are enough for a simple client: the sender and a text to show. The other
/// keys are those of the [`Body`], which starts with `kind`; they are for programs.
///
/// # Examples
///
/// ```
/// use smolchat::protocol::{Body, Frame};
///
/// let frame = Frame {
///     data_source: "alice".into(),
///     data: "hello".into(),
///     body: Body::Chat { seq: 7, time: 1_790_000_000_000, id: None },
/// };
/// let mut line = Vec::new();
/// frame.encode(&mut line);
/// assert_eq!(
///     line,
///     br#"{"data_source":"alice","data":"hello","kind":"chat","seq":7,"time":1790000000000}
/// "#
/// );
/// assert_eq!(Frame::decode(&line).unwrap(), frame);
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Frame<'a> {
    /// The sender: a member's name or [`SERVER`].
    pub data_source: Cow<'a, str>,
    /// The text to show.
    pub data: Cow<'a, str>,
    /// The kind of the frame and the values for programs.
    #[serde(flatten)]
    pub body: Body<'a>,
}

/// The kind of a [`Frame`], with the keys that follow `data_source` and `data`.
///
/// These keys mean the same in each kind:
///
/// - `seq` is the number of the frame in the sequence of the room. All members get the frames of
///   the sequence in the same order, with consecutive numbers.
/// - `time` is the time at which the server received the line, in milliseconds since the Unix
///   epoch.
/// - `id` is the id of the client's line that caused the frame, if the line had one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
#[allow(missing_docs, reason = "the keys that repeat are documented once, above")]
pub enum Body<'a> {
    /// Sent to all members, the sender included, when a member sends the message `data`.
    Chat {
        seq: u64,
        time: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'a, str>>,
    },
    /// Sent to all members, the sender included, for `/me TEXT`; `data` is the text alone.
    Action {
        seq: u64,
        time: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'a, str>>,
    },
    /// Sent to all members, those in `names` included, when they have joined.
    Join { seq: u64, time: u64, names: Vec<Cow<'a, str>> },
    /// Sent to the members who stay, when those in `names` have left.
    Leave { seq: u64, time: u64, names: Vec<Cow<'a, str>> },
    /// Sent to all members when a member has changed its name.
    Name {
        seq: u64,
        time: u64,
        from: Cow<'a, str>,
        to: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'a, str>>,
    },
    /// Sent to a new member as its first line.
    Welcome {
        /// The name that the server gave the member; it may differ from that in its hello.
        name: Cow<'a, str>,
        /// A random word that is different for each sequence of numbers.
        epoch: Cow<'a, str>,
        /// The number of the last frame before the member joined.
        seq: u64,
        /// A secret with which the member can resume on another connection.
        token: Cow<'a, str>,
        /// Whether the frames that follow continue after the number in the hello.
        resumed: bool,
        /// The number of members, the new one included.
        members: usize,
        /// The limits that the server sets.
        limits: Limits,
        /// The addresses of all servers of the room, if there are several.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        nodes: Vec<Cow<'a, str>>,
    },
    /// Sent to a member that resumes, if the server no longer has the frames with the numbers
    /// `from` to `to`, both included.
    Gap { from: u64, to: u64 },
    /// Sent to the recipient and to the sender, when a member sends a private message.
    Private {
        time: u64,
        to: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'a, str>>,
    },
    /// Sent to a member as the answer to `/who`.
    Who {
        names: Vec<Cow<'a, str>>,
        /// The number of members that are left out of `names`, because the answer would be too
        /// long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        more: Option<usize>,
        /// Those of `names` that joined quietly.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        quiet: Vec<Cow<'a, str>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'a, str>>,
    },
    /// Sent to a member as the answer to another command or to a heartbeat with an id, and to all
    /// members as a notice from the server.
    Info {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'a, str>>,
        /// The statistics of the server, in the answer to `/stats`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stats: Option<Box<Stats>>,
    },
    /// Sent to a client whose line was not accepted.
    Error {
        code: ErrorCode,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'a, str>>,
    },
    /// Sent to a client as the last line before the server closes the connection.
    Bye {
        code: ByeCode,
        /// The number of the last frame of the sequence that this client was sent.
        seq: u64,
    },
    /// A kind that this version does not know; `data_source` and `data` can still be shown.
    #[serde(other)]
    Unknown,
}

/// The limits of a server, as it states them in [`Body::Welcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limits {
    /// The longest line that a client may send, in bytes without the line end.
    pub max_line: u32,
    /// Lines per second that the server reads from one member; 0 = no limit.
    pub rate: u32,
    /// Lines that the server reads at once before `rate` applies.
    pub burst: u32,
    /// Frames that the server keeps, for `/history` and for members that resume.
    pub history: usize,
    /// Whether the server writes the frames to a file.
    pub stored: bool,
}

/// The reason for which a line from a client was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The line is longer than [`Limits::max_line`]; all of it is skipped.
    TooLong,
    /// The line is not UTF-8.
    NotUtf8,
    /// The line begins with `{` and is not JSON, or a key has a value of the wrong type.
    BadJson,
    /// The JSON object has neither `data` nor `hello`.
    NoKnownKey,
    /// The `id` is longer than 64 bytes.
    BadId,
    /// A private message has no text.
    Empty,
    /// The connection ended inside a line; the line is discarded.
    Unfinished,
    /// No command has this name.
    UnknownCommand,
    /// An argument of the command is missing or invalid.
    Usage,
    /// The name is [not valid](super::is_valid_name).
    BadName,
    /// Another member has the name.
    NameTaken,
    /// The name is reserved for a member whose connection was lost.
    NameKept,
    /// No member has the name.
    NoSuchUser,
    /// A hello came after the first line.
    LateHello,
    /// The member sends more than [`Limits::rate`]: its lines are read more slowly and none is
    /// lost. Or the address opens too many connections: this one is closed.
    TooFast,
    /// A code that this version does not know.
    #[serde(other)]
    Unknown,
}

/// The reason for which the server closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ByeCode {
    /// The client sent `/quit` or closed its side of the connection.
    Quit,
    /// The client read too slowly and its outbox was full.
    Slow,
    /// The member resumed on another connection.
    Replaced,
    /// The server shuts down.
    Shutdown,
    /// The room is out of reach of this server; another server of the same room may reach it.
    Unreachable,
    /// The server has as many connections as it accepts, in all or from this address.
    Full,
    /// This address opens connections faster than the server accepts them.
    TooFast,
    /// The client sent too many invalid lines in a row.
    Errors,
    /// The client sent a TLS handshake, which this port does not accept.
    Tls,
    /// The client sent an HTTP request, which this port does not accept.
    Http,
    /// The address belongs to a proxy, and the connection did not begin with a PROXY header.
    ProxyRequired,
    /// The client sent a PROXY header, which this port does not accept from its address.
    Proxy,
    /// The client sent the version line of SSH, which this port does not accept.
    Ssh,
    /// The client sent an IRC command, which this port does not accept.
    Irc,
    /// The client sent the first bytes of another protocol, which this port does not accept.
    OtherProtocol,
    /// A code that this version does not know.
    #[serde(other)]
    Unknown,
}

impl<'a> Frame<'a> {
    /// Appends this frame to `out` as one line of JSON, with its newline.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"data_source":"#);
        write_string(out, &self.data_source);
        out.extend_from_slice(br#","data":"#);
        write_string(out, &self.data);
        let start = out.len();
        // Neither a write to a Vec nor the serialisation of these types can fail: their keys are
        // strings.
        let result = serde_json::to_writer(&mut *out, &self.body);
        debug_assert!(result.is_ok());
        escape_terminal_controls(out, start);
        // The keys of the body follow in the same object.
        if let Some(brace) = out.get_mut(start) {
            *brace = b',';
        }
        out.push(b'\n');
    }

    /// Parses one line from the server, with or without its newline.
    ///
    /// # Errors
    ///
    /// Returns an error if the line is not a JSON object with `data_source`, `data` and the keys
    /// that its kind requires.
    pub fn decode(line: &[u8]) -> Result<Frame<'static>, serde_json::Error> {
        serde_json::from_slice(line)
    }

    /// Creates a frame whose sender is the server.
    pub fn server(data: impl Into<Cow<'a, str>>, body: Body<'a>) -> Self {
        Frame { data_source: SERVER.into(), data: data.into(), body }
    }

    /// Creates the last frame for a client that was sent the sequence up to the number `seq`.
    pub fn bye(code: ByeCode, seq: u64) -> Self {
        Frame::server(code.text(), Body::Bye { code, seq })
    }
}

impl Body<'_> {
    /// Returns the number in the sequence of the room, for the kinds that have one.
    pub fn seq(&self) -> Option<u64> {
        match self {
            Body::Chat { seq, .. }
            | Body::Action { seq, .. }
            | Body::Join { seq, .. }
            | Body::Leave { seq, .. }
            | Body::Name { seq, .. } => Some(*seq),
            _ => None,
        }
    }

    /// Returns the time in milliseconds since the Unix epoch, for the kinds that have one.
    pub fn time(&self) -> Option<u64> {
        match self {
            Body::Chat { time, .. }
            | Body::Action { time, .. }
            | Body::Join { time, .. }
            | Body::Leave { time, .. }
            | Body::Name { time, .. }
            | Body::Private { time, .. } => Some(*time),
            _ => None,
        }
    }

    /// Returns the id of the client's line that caused this frame, if it had one.
    pub fn id(&self) -> Option<&str> {
        match self {
            Body::Chat { id, .. }
            | Body::Action { id, .. }
            | Body::Name { id, .. }
            | Body::Private { id, .. }
            | Body::Who { id, .. }
            | Body::Info { id, .. }
            | Body::Error { id, .. } => id.as_deref(),
            _ => None,
        }
    }
}

impl ByeCode {
    /// Returns the text that the server sends with this code.
    pub fn text(self) -> &'static str {
        match self {
            ByeCode::Quit => "goodbye",
            ByeCode::Slow => "you read too slowly and your queue is full; reconnect to resume",
            ByeCode::Replaced => "you resumed on another connection",
            ByeCode::Shutdown => "the server is shutting down",
            ByeCode::Unreachable => "the room is out of reach of this server; try another server",
            ByeCode::Full => "the server is full, or your address has too many connections",
            ByeCode::TooFast => "too many connections from your address; try again in a moment",
            ByeCode::Errors => "you sent too many invalid lines",
            ByeCode::Tls => "this port speaks plain text, not TLS",
            ByeCode::Http => "this port speaks the smolchat protocol, not HTTP",
            ByeCode::ProxyRequired => {
                "connections from your address must begin with a PROXY header"
            }
            ByeCode::Proxy => "this port does not accept a PROXY header from your address",
            ByeCode::Ssh => "this port speaks the smolchat protocol, not SSH",
            ByeCode::Irc => "this port speaks the smolchat protocol, not IRC",
            ByeCode::OtherProtocol => {
                "this port speaks the smolchat protocol, and your client another one"
            }
            ByeCode::Unknown => "the server closes the connection",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encode_writes_sender_text_and_kind_first() {
        let mut line = Vec::new();
        Frame::bye(ByeCode::Slow, 3).encode(&mut line);
        let line = String::from_utf8(line).unwrap();
        assert!(line.starts_with(r#"{"data_source":"server","data":"you read"#), "{line}");
        assert!(line.ends_with(",\"kind\":\"bye\",\"code\":\"slow\",\"seq\":3}\n"), "{line}");
    }

    #[test]
    fn encode_escapes_newlines_and_quotes() {
        let mut line = Vec::new();
        Frame {
            data_source: "a".into(),
            data: "\"}\n{\"data_source\":\"server\"\u{1b}[2J\u{0}".into(),
            body: Body::Info { id: None, stats: None },
        }
        .encode(&mut line);
        assert_eq!(line.iter().filter(|&&b| b < 0x20).count(), 1);
        assert_eq!(line.last(), Some(&b'\n'));
    }

    #[test]
    fn decode_accepts_unknown_kinds_and_codes() {
        let line = br#"{"data_source":"server","data":"hi","kind":"poll","seq":9,"options":[1]}"#;
        assert_eq!(Frame::decode(line).unwrap().body, Body::Unknown);
        let line = br#"{"data_source":"server","data":"no","kind":"bye","code":"bored","seq":1}"#;
        let body = Frame::decode(line).unwrap().body;
        assert_eq!(body, Body::Bye { code: ByeCode::Unknown, seq: 1 });
    }
}
