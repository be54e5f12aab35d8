//! The state of a room before it starts: an earlier room's sequence, from which it continues.

/// The end of an earlier sequence, which a new room continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The epoch of the next frame: that of the earlier sequence or a new one.
    pub epoch: Box<str>,
    /// The number of the last frame; the next frame has one more.
    pub seq: u64,
    /// The newest frames: the encoded lines that were sent, oldest first.
    pub frames: Vec<u8>,
    /// The count of the last `frames` that belong to `epoch` and have consecutive numbers up to
    /// `seq`, so that a client can resume from them. Only `/history` shows frames before these.
    pub resumable: usize,
}
