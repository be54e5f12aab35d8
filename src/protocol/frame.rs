//! Lines from the server to a client: [`Frame`] and the kinds of its [`Body`].

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::escape::{escape_terminal_controls, write_string};
use super::{ByeCode, ErrorCode, Stats};

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
    /// Sent to the members that stay, when those in `names` have left.
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
        /// The topic of the room.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        topic: Option<Cow<'a, str>>,
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
        /// The names in `names` of members that joined quietly.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        quiet: Vec<Cow<'a, str>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'a, str>>,
    },
    /// Sent to a member as the answer to another command or to a heartbeat with an id, and to all
    /// members as a notice from the server. A notice of the action of an operator has a number.
    Info {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time: Option<u64>,
        /// The new topic of the room, in the notice of its change; empty if it was removed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        topic: Option<Cow<'a, str>>,
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

impl<'a> Body<'a> {
    /// Creates the body of an answer to the line with an id.
    pub fn info(id: Option<Cow<'a, str>>) -> Self {
        Body::Info { seq: None, time: None, topic: None, id, stats: None }
    }

    /// Returns the number in the sequence of the room, for the frames that have one.
    pub fn seq(&self) -> Option<u64> {
        match self {
            Body::Chat { seq, .. }
            | Body::Action { seq, .. }
            | Body::Join { seq, .. }
            | Body::Leave { seq, .. }
            | Body::Name { seq, .. } => Some(*seq),
            Body::Info { seq, .. } => *seq,
            _ => None,
        }
    }

    /// Returns the time in milliseconds since the Unix epoch, for the frames that have one.
    pub fn time(&self) -> Option<u64> {
        match self {
            Body::Chat { time, .. }
            | Body::Action { time, .. }
            | Body::Join { time, .. }
            | Body::Leave { time, .. }
            | Body::Name { time, .. }
            | Body::Private { time, .. } => Some(*time),
            Body::Info { time, .. } => *time,
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
            body: Body::info(None),
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
