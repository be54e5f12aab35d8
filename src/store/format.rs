//! The format of the history file.
//!
//! The file has one JSON object per line. A line is a frame or a record. A frame is stored byte
//! for byte as the server sent it. A record has `smolchat` as its first key:
//!
//! ```json
//! {"smolchat":"history","version":1,"epoch":"5b1f…","before":41,"boot":"0f9c…"}
//! {"data_source":"alice","data":"hello","kind":"chat","seq":42,"time":1790000000000}
//! {"smolchat":"end","seq":42}
//! ```
//!
//! - `history` is the header. It states the epoch of the frames that follow, the number before the
//!   first of them, and the id of the boot of the machine during which they were written. It is
//!   the first line of a file, and is repeated when the server restarts or an epoch starts.
//! - `end` is a clean end: all frames before it were on the disk before it was written.
//! - `broken` states that frames are missing after it.
//!
//! When the file reaches its size limit, it is renamed to `PATH.1`, which replaces an older one,
//! and a new file starts. Both files are one history; to delete the history, delete both.
//!
//! # When an epoch continues
//!
//! No number of an epoch may be used twice. Otherwise a client that resumes would miss a frame
//! without notice. So an epoch continues after a restart only if the file has all frames that
//! members have received:
//!
//! - after a clean end;
//! - after any other end of the server on the same boot of the machine. The kernel then has all
//!   that the server wrote, and the header with the boot id was on the disk before the first frame
//!   was written.
//!
//! In all other cases (power loss, a failed disk, a damaged file, or a system without a boot id) a
//! new epoch starts. Its numbers follow those in the file, so that numbers never decrease.

use std::borrow::Cow;
use std::io;

use serde::Serialize;

use crate::protocol::JsonObject;

/// The highest valid number of a frame. JSON parsers that use floating point are exact up to it.
const MAX_SEQ: u64 = 1 << 53;
/// The first bytes of a record.
const RECORD_PREFIX: &[u8] = br#"{"smolchat":"#;
/// The first bytes of a header.
const HEADER_PREFIX: &[u8] = br#"{"smolchat":"history","#;
/// The keys of records and frames.
const KEYS: &[&str] = &[
    "before",
    "boot",
    "data",
    "data_source",
    "epoch",
    "from",
    "id",
    "kind",
    "names",
    "seq",
    "smolchat",
    "time",
    "to",
    "version",
];

/// A line of the history file.
#[derive(Debug)]
pub enum StoredLine<'a> {
    /// A frame with this number.
    Frame(u64),
    /// Any other valid line.
    Record(Record<'a>),
}

/// A line of the history file that is not a frame.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "smolchat", rename_all = "lowercase")]
pub enum Record<'a> {
    /// The header of the lines that follow.
    History {
        /// The version of the format.
        version: u64,
        epoch: Cow<'a, str>,
        /// The number before that of the first frame.
        before: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        boot: Option<Cow<'a, str>>,
    },
    /// A clean end; all frames up to this number are on the disk.
    End { seq: u64 },
    /// Frames are missing after this line.
    Broken,
}

impl<'a> StoredLine<'a> {
    /// Parses a line, or returns `None` if it is damaged.
    ///
    /// A frame that clients could not parse is damaged, too: the room must not send it.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let object = JsonObject::parse(str::from_utf8(line).ok()?, KEYS).ok()?;
        if line.starts_with(RECORD_PREFIX) {
            Record::from_object(&object).map(StoredLine::Record)
        } else {
            frame_seq(&object).map(StoredLine::Frame)
        }
    }
}

impl<'a> Record<'a> {
    fn from_object(object: &JsonObject<'a>) -> Option<Self> {
        let record = match &*object.string("smolchat").ok()?? {
            "history" => Record::History {
                version: object.integer("version").ok()??,
                epoch: object.string("epoch").ok()??,
                before: object.integer("before").ok()??,
                boot: object.string("boot").ok()?,
            },
            "end" => Record::End { seq: object.integer("seq").ok()?? },
            "broken" => Record::Broken,
            _ => return None,
        };
        let is_valid = match record {
            Record::History { version, before, .. } => version == 1 && before <= MAX_SEQ,
            Record::End { seq } => seq <= MAX_SEQ,
            Record::Broken => true,
        };
        is_valid.then_some(record)
    }

    /// Encodes this record as a line, with its newline.
    ///
    /// # Errors
    ///
    /// Returns the error of the serializer; with these types there is none.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// Returns the number of a frame, if the frame has all keys that its kind requires.
fn frame_seq(object: &JsonObject<'_>) -> Option<u64> {
    let kind = object.string("kind").ok()??;
    let has_string = |key| matches!(object.string(key), Ok(Some(_)));
    let has_common_keys = has_string("data_source") && has_string("data");
    let has_keys_of_kind = match &*kind {
        "chat" | "action" => true,
        "join" | "leave" => object.has_string_list("names"),
        "name" => has_string("from") && has_string("to"),
        _ => false,
    };
    let has_valid_id = object.string("id").is_ok();
    let has_time = matches!(object.integer("time"), Ok(Some(_)));
    let seq = object.integer("seq").ok()??;
    let is_frame = has_common_keys && has_keys_of_kind && has_valid_id && has_time;
    (is_frame && (1..=MAX_SEQ).contains(&seq)).then_some(seq)
}

/// Returns whether `line` is the rest of a header that was not written completely.
///
/// After power loss, some file systems fill the bytes that were not written with zeros.
pub fn is_torn_header(line: &[u8]) -> bool {
    line.starts_with(HEADER_PREFIX)
        || HEADER_PREFIX.starts_with(line)
        || line.iter().all(|&byte| byte == 0)
}
