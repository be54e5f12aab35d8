//! The memory that IRC clients take.

use super::output::Departure;
use super::session::{MAX_AWAY, MAX_PASSWORD, MAX_REAL_NAME, MAX_USER, Profile, Session};
use crate::protocol::MAX_NAME;
use crate::room::ClientId;

/// The most bytes of a client, beside those of any connection: its session, its profile in a table
/// that grows by doubling, and their texts.
pub const CLIENT_BYTES: usize = size_of::<Session>()
    + 2 * (size_of::<(ClientId, Profile)>() + size_of::<usize>())
    + 2 * 4 * MAX_NAME
    + MAX_USER
    + MAX_REAL_NAME
    + MAX_AWAY
    + MAX_PASSWORD
    + 7 * 16;

/// The most frames of the history that are known to be a `NOTICE`.
pub const MAX_NOTICES: usize = 256;
/// The most members that have left and for which it is known how.
pub const MAX_DEPARTURES: usize = 64;
/// The most bytes for both, in queues that grow by doubling.
pub const SHARED_BYTES: usize = 2 * MAX_NOTICES * size_of::<u64>()
    + MAX_DEPARTURES
        * (2 * size_of::<(Box<str>, Departure, u64, u32)>() + 4 * MAX_NAME + MAX_AWAY + 64);

/// The most bytes of the lines of one variant, as a multiple of the bytes of the batch as JSON,
/// beside those of one list: after these, a frame becomes at most two lines, with tags and a source.
pub const MAX_GROWTH: usize = 6;
/// The bytes of a line beside its text, by which a text with newlines costs more.
pub const LINE_BYTES: usize = 128;
