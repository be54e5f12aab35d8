//! The state from which a room continues after a restart.

/// What a history file held when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The epoch of what is said from now on: that of the file, or a new one.
    pub epoch: Box<str>,
    /// The number before the next frame.
    pub seq: u64,
    /// The newest frames, back to back, as they went out.
    pub frames: Vec<u8>,
    /// How many of the last of them belong to `epoch` and have the numbers up to `seq`, so that
    /// a client can resume with them. Those before are for reading alone: they are of another
    /// epoch, or some are missing between.
    pub resumable: usize,
}
