//! The identity of the log.

/// The state of the stream, as NATS returns it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StreamInfo {
    /// When the stream was created, in nanoseconds since 1970.
    pub created: i64,
    /// The number of the first message that is kept.
    pub first: u64,
    /// The number of the last message; 0 in a stream that never had one.
    pub last: u64,
}

/// The relation of a stream to the part that was read before a break.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Continuation {
    /// The next message is kept: the node continues.
    Continue,
    /// The next message is gone: the node needs a snapshot.
    Behind,
    /// The stream is another one.
    Replaced,
    /// The stream lost messages that the node has applied.
    Shorter,
}

/// Compares a stream with the one that was read before, up to `position`.
///
/// After [`Continuation::Replaced`] and [`Continuation::Shorter`], the node starts without a state, and
/// the room gets a new epoch.
pub fn continuation(before: StreamInfo, now: StreamInfo, position: u64) -> Continuation {
    if before.created != now.created {
        Continuation::Replaced
    } else if now.last < position {
        Continuation::Shorter
    } else if now.first > position + 1 {
        Continuation::Behind
    } else {
        Continuation::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(created: i64, first: u64, last: u64) -> StreamInfo {
        StreamInfo { created, first, last }
    }

    #[test]
    fn continuation_depends_on_age_and_ends() {
        let before = info(7, 1, 100);
        for (now, position, expected) in [
            (info(7, 1, 100), 100, Continuation::Continue),
            (info(7, 50, 120), 100, Continuation::Continue),
            (info(7, 101, 100), 100, Continuation::Continue),
            (info(7, 102, 120), 100, Continuation::Behind),
            (info(7, 1, 99), 100, Continuation::Shorter),
            (info(7, 0, 0), 100, Continuation::Shorter),
            (info(8, 1, 200), 100, Continuation::Replaced),
            (info(7, 0, 0), 0, Continuation::Continue),
        ] {
            assert_eq!(continuation(before, now, position), expected, "{now:?}");
        }
    }
}
