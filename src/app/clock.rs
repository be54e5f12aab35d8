//! The time of day, where the user is.

use std::process::{Command, Stdio};

/// Turns the server's Unix time into the time of day on the wall.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// Seconds that the local time is ahead of UTC.
    ahead: i64,
}

impl Clock {
    /// The clock of this machine's time zone, or UTC where that cannot be found out.
    ///
    /// It asks `date`, which each system has and which knows its own zone files; the standard
    /// library does not.
    pub fn local() -> Self {
        let date =
            Command::new("date").arg("+%z").stdin(Stdio::null()).stderr(Stdio::null()).output();
        let offset = date.ok().and_then(|date| parse(std::str::from_utf8(&date.stdout).ok()?));
        Clock { ahead: offset.unwrap_or(0) }
    }

    /// `14:03`, for milliseconds since 1970.
    pub fn time_of_day(&self, unix_ms: u64) -> String {
        let minutes = self.seconds(unix_ms).div_euclid(60).rem_euclid(24 * 60);
        format!("{:02}:{:02}", minutes / 60, minutes % 60)
    }

    /// Which day that is here, counted from the first of 1970.
    pub fn day(&self, unix_ms: u64) -> i64 {
        self.seconds(unix_ms).div_euclid(24 * 3600)
    }

    fn seconds(&self, unix_ms: u64) -> i64 {
        i64::try_from(unix_ms / 1000).unwrap_or(0).saturating_add(self.ahead)
    }
}

/// `+0530` to seconds.
fn parse(offset: &str) -> Option<i64> {
    let (sign, digits) = match offset.trim().split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes: i64 = minutes.parse().ok()?;
    Some(sign * (hours.parse::<i64>().ok()? * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_as_date_writes_them() {
        assert_eq!(parse("+0000\n"), Some(0));
        assert_eq!(parse("+0530\n"), Some(19_800));
        assert_eq!(parse("-0330"), Some(-12_600));
        assert_eq!(parse(""), None);
        assert_eq!(parse("CET"), None);
    }

    #[test]
    fn midnight_is_that_of_the_place() {
        let noon = 12 * 3_600_000;
        assert_eq!(Clock::default().day(noon), 0);
        assert_eq!(Clock { ahead: 12 * 3600 }.day(noon), 1);
        assert_eq!(Clock { ahead: -12 * 3600 - 1 }.day(noon), -1);
    }

    #[test]
    fn the_day_wraps_both_ways() {
        assert_eq!(Clock { ahead: 3600 }.time_of_day(23 * 3_600_000), "00:00");
        assert_eq!(Clock { ahead: -3600 }.time_of_day(0), "23:00");
        assert_eq!(Clock::default().time_of_day(1_790_000_000_000), "14:13");
    }
}
