//! The memory that IRC clients take.

use super::channel::Profile;
use super::config::MAX_CHANNEL;
use super::notes::{Departure, MAX_DEPARTURES};
use super::session::{IrcSession, MAX_PASSWORD};
use crate::protocol::MAX_NAME;
use crate::room::{MAX_AWAY, MAX_NOTICES, MAX_REAL_NAME, MAX_USER};

/// The most bytes of a client, beside those of any connection: its session, its profile, and their
/// texts.
pub const CLIENT_BYTES: usize = size_of::<IrcSession>()
    + size_of::<Profile>()
    + 2 * 4 * MAX_NAME
    + MAX_USER
    + MAX_REAL_NAME
    + MAX_AWAY
    + MAX_PASSWORD
    + 8 * 16;

/// The most bytes of the [`Notes`](super::Notes), in queues that grow by doubling.
pub const SHARED_BYTES: usize = 2 * MAX_NOTICES * size_of::<u64>()
    + MAX_DEPARTURES * (2 * size_of::<Departure>() + 4 * MAX_NAME + MAX_CHANNEL + MAX_AWAY + 64);

/// The most bytes of the lines of one variant, as a multiple of the bytes of the batch as JSON,
/// beside those of one list: after these, a frame becomes at most two lines, with tags and a source.
pub const MAX_GROWTH: usize = 6;
/// The bytes of a line beside its text, by which a text with newlines costs more.
pub const LINE_BYTES: usize = 128;
