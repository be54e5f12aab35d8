//! What the server sends.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Stats;

/// The `data_source` of everything that the server says for itself. No member has this name.
pub const SERVER: &str = "server";

/// One line from the server.
///
/// The first two keys are all that a simple client needs: who, and what a person would read.
/// The [`Body`] is for programs, and its first key is `kind`.
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame<'a> {
    /// Who said it: a member's name, or [`SERVER`].
    pub data_source: Cow<'a, str>,
    /// What was said, as a person would read it.
    pub data: Cow<'a, str>,
    /// What programs go by.
    #[serde(flatten)]
    pub body: Body<'a>,
}

/// The kinds of [`Frame`], and what each has beside the first two keys.
///
/// `seq` numbers the room's own sequence: each member sees the same frames in the same order,
/// with consecutive numbers. `time` is Unix time in milliseconds. `id` is the word that the
/// sender of a line gave with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[allow(missing_docs, reason = "the keys that repeat are documented once, above")]
pub enum Body<'a> {
    /// To all, the sender too: somebody spoke.
    Chat {
        seq: u64,
        time: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'a, str>>,
    },
    /// To all, the sender too: `/me`; `data` is what follows the name.
    Action {
        seq: u64,
        time: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'a, str>>,
    },
    /// To all, the new ones too: they came.
    Join { seq: u64, time: u64, names: Vec<Cow<'a, str>> },
    /// To all who stay: they went.
    Leave { seq: u64, time: u64, names: Vec<Cow<'a, str>> },
    /// To all: `from` is now called `to`.
    Name {
        seq: u64,
        time: u64,
        from: Cow<'a, str>,
        to: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'a, str>>,
    },
    /// To one, as the first line: the name it goes by, where the room stands, what it may do.
    Welcome {
        /// The name that this member has now.
        name: Cow<'a, str>,
        /// A random word that tells this sequence from that of any other run.
        epoch: Cow<'a, str>,
        /// The last number given out before this member came.
        seq: u64,
        /// A secret that proves to be this member, later.
        token: Cow<'a, str>,
        /// Whether what follows continues after the number that the hello named.
        resumed: bool,
        /// How many are in the room, this one included.
        members: usize,
        /// What this client must know to stay within bounds.
        limits: Limits,
    },
    /// To one that resumes: the numbers `from` to `to`, both included, are gone for good.
    Gap { from: u64, to: u64 },
    /// To one, and a copy to its sender: `/msg`.
    Private {
        time: u64,
        to: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'a, str>>,
    },
    /// To the one who asked: who is here.
    Who {
        names: Vec<Cow<'a, str>>,
        /// How many others are here, whose names would make the answer too long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        more: Option<usize>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'a, str>>,
    },
    /// To the one who asked, or whom it concerns.
    Info {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'a, str>>,
        /// With the answer to `/stats`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stats: Option<Box<Stats>>,
    },
    /// To the one whose input was not accepted.
    Error {
        code: ErrorCode,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'a, str>>,
    },
    /// To one, as the last line before the server closes.
    Bye {
        code: ByeCode,
        /// The last number of the sequence that this member was sent.
        seq: u64,
    },
    /// A kind that this version does not know. The first two keys say enough to show it.
    #[serde(other)]
    Unknown,
}

/// What a client must know, as the welcome states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The longest line from a client, in bytes without its newline.
    pub max_line: u32,
    /// Lines a second that the server takes from one member; 0 is no limit.
    pub rate: u32,
    /// Lines that may come at once before `rate` counts.
    pub burst: u32,
    /// Frames that the room keeps, for `/history` and for a hello.
    pub history: usize,
    /// Whether what is said is written to a file.
    pub stored: bool,
}

/// Why something that a client sent was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The line was over the limit; its rest is skipped.
    TooLong,
    /// The line was not UTF-8.
    NotUtf8,
    /// The line began with `{` and is not JSON of the form that the protocol knows.
    BadJson,
    /// The JSON object has none of the keys that say what to do.
    NoKnownKey,
    /// The `id` was over its limit.
    BadId,
    /// A private message without a text.
    Empty,
    /// The connection ended inside a line, which was not said.
    Unfinished,
    /// No command has this name.
    UnknownCommand,
    /// The command lacks what it needs.
    Usage,
    /// No member may have this name.
    BadName,
    /// Another member has this name.
    NameTaken,
    /// The name is kept for a member who dropped and may come back.
    NameKept,
    /// No member has this name.
    NoSuchUser,
    /// A hello that was not the first line.
    LateHello,
    /// More lines than the rate allows: they are read more slowly now, and none is lost. Or more
    /// connections than it allows: this one is closed.
    TooFast,
    /// A code that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Why the server closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ByeCode {
    /// The client said `/quit`, or closed its side.
    Quit,
    /// The client read more slowly than its outbox could bear.
    Slow,
    /// The member has come back on another connection.
    Replaced,
    /// The server ends.
    Shutdown,
    /// No place is left, or none for this address.
    Full,
    /// Connections from this address come faster than they may.
    TooFast,
    /// The client sent nothing but errors.
    Errors,
    /// The client began with a TLS handshake, which this port does not speak.
    Tls,
    /// The client began with an HTTP request, which this port does not speak.
    Http,
    /// A code that this version does not know.
    #[serde(other)]
    Unknown,
}

impl Frame<'_> {
    /// Appends this frame as one line of JSON, its newline included.
    pub fn encode(&self, out: &mut Vec<u8>) {
        // Writing to a Vec cannot fail, and neither can any of our types: their keys are
        // strings and none has a serializer of its own.
        let written = serde_json::to_writer(&mut *out, self);
        debug_assert!(written.is_ok());
        out.push(b'\n');
    }

    /// Reads one line from the server, with or without its newline.
    ///
    /// # Errors
    ///
    /// When the line is not a JSON object with at least `data_source`, `data` and the keys
    /// that its kind asks for.
    pub fn decode(line: &[u8]) -> Result<Frame<'static>, serde_json::Error> {
        serde_json::from_slice(line)
    }
}

impl<'a> Frame<'a> {
    /// A frame that the server says for itself.
    pub fn server(data: impl Into<Cow<'a, str>>, body: Body<'a>) -> Self {
        Frame { data_source: SERVER.into(), data: data.into(), body }
    }

    /// The last line before the server closes; `seq` is the last number that was sent.
    pub fn bye(code: ByeCode, seq: u64) -> Self {
        Frame::server(code.text(), Body::Bye { code, seq })
    }
}

impl Body<'_> {
    /// The place in the room's sequence, for the kinds that have one.
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

    /// When it was said, in Unix milliseconds, for the kinds that say so.
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

    /// The word that came with the line that this frame answers or carries.
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
    /// What a person reads.
    pub fn text(self) -> &'static str {
        match self {
            ByeCode::Quit => "goodbye",
            ByeCode::Slow => {
                "you read too slowly, and the room could not wait; come back and resume"
            }
            ByeCode::Replaced => "you have come back on another connection",
            ByeCode::Shutdown => "the server is shutting down",
            ByeCode::Full => "the room is full, or has too many from your address; try again later",
            ByeCode::TooFast => "try again in a moment",
            ByeCode::Errors => "nothing that you sent could be understood",
            ByeCode::Tls => "this port speaks plain text, not TLS",
            ByeCode::Http => "this port speaks the smolchat protocol, not HTTP",
            ByeCode::Unknown => "the server closes the connection",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_keys_of_the_lab_come_first_and_the_kind_is_third() {
        let mut line = Vec::new();
        Frame::bye(ByeCode::Slow, 3).encode(&mut line);
        let line = String::from_utf8(line).unwrap();
        assert!(line.starts_with(r#"{"data_source":"server","data":"you read"#), "{line}");
        assert!(line.ends_with(",\"kind\":\"bye\",\"code\":\"slow\",\"seq\":3}\n"), "{line}");
    }

    #[test]
    fn what_is_said_cannot_break_out_of_its_line() {
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
    fn kinds_and_codes_of_a_later_version_are_still_readable() {
        let line = br#"{"data_source":"server","data":"hi","kind":"poll","seq":9,"options":[1]}"#;
        assert_eq!(Frame::decode(line).unwrap().body, Body::Unknown);
        let line = br#"{"data_source":"server","data":"no","kind":"bye","code":"bored","seq":1}"#;
        let body = Frame::decode(line).unwrap().body;
        assert_eq!(body, Body::Bye { code: ByeCode::Unknown, seq: 1 });
    }
}
