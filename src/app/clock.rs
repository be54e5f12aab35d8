//! The local time of day.

use std::process::{Command, Stdio};

use crate::calendar::civil_from_days;

/// A converter from Unix time to local time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// Seconds that local time is ahead of UTC.
    utc_offset: i64,
}

impl Clock {
    /// Returns a clock with the current offset of the local time zone, or UTC if it is unknown.
    ///
    /// The offset comes from the command `date`, because the standard library cannot read zone
    /// files.
    pub fn local() -> Self {
        let date =
            Command::new("date").arg("+%z").stdin(Stdio::null()).stderr(Stdio::null()).output();
        let offset =
            date.ok().and_then(|date| parse_offset(std::str::from_utf8(&date.stdout).ok()?));
        Clock { utc_offset: offset.unwrap_or(0) }
    }

    /// Returns the time of day as `14:03`, for milliseconds since 1970.
    pub fn time_of_day(&self, unix_ms: u64) -> String {
        let minutes = self.local_seconds(unix_ms).div_euclid(60).rem_euclid(24 * 60);
        format!("{:02}:{:02}", minutes / 60, minutes % 60)
    }

    /// Returns the local day as days since 1970-01-01, for milliseconds since 1970.
    pub fn day(&self, unix_ms: u64) -> i64 {
        self.local_seconds(unix_ms).div_euclid(24 * 3600)
    }

    /// Returns the date, the time and the offset from UTC, as `2026-11-22 14:03:07 +0100`.
    pub fn timestamp(&self, unix_ms: u64) -> String {
        let (year, month, day) = civil_from_days(self.day(unix_ms));
        let seconds = self.local_seconds(unix_ms).rem_euclid(24 * 3600);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let (sign, offset) = (if self.utc_offset < 0 { '-' } else { '+' }, self.utc_offset.abs());
        let (offset_hours, offset_minutes) = (offset / 3600, offset / 60 % 60);
        format!(
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} \
             {sign}{offset_hours:02}{offset_minutes:02}"
        )
    }

    fn local_seconds(&self, unix_ms: u64) -> i64 {
        i64::try_from(unix_ms / 1000).unwrap_or(0).saturating_add(self.utc_offset)
    }
}

/// Parses an offset in hours and minutes, like `+0530`, and returns it in seconds.
fn parse_offset(text: &str) -> Option<i64> {
    let offset = i64::from(text.trim().parse::<i32>().ok()?);
    Some(offset / 100 * 3600 + offset % 100 * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_of_date_is_parsed() {
        assert_eq!(parse_offset("+0000\n"), Some(0));
        assert_eq!(parse_offset("+0530\n"), Some(19_800));
        assert_eq!(parse_offset("-0330"), Some(-12_600));
        assert_eq!(parse_offset("-0030"), Some(-1800));
        assert_eq!(parse_offset(""), None);
        assert_eq!(parse_offset("CET"), None);
    }

    #[test]
    fn day_begins_at_local_midnight() {
        let noon = 12 * 3_600_000;
        assert_eq!(Clock::default().day(noon), 0);
        assert_eq!(Clock { utc_offset: 12 * 3600 }.day(noon), 1);
        assert_eq!(Clock { utc_offset: -12 * 3600 - 1 }.day(noon), -1);
    }

    #[test]
    fn timestamp_has_date_and_offset() {
        let timestamp = |utc_offset| Clock { utc_offset }.timestamp(1_790_000_000_000);
        assert_eq!(timestamp(0), "2026-09-21 14:13:20 +0000");
        assert_eq!(timestamp(19_800), "2026-09-21 19:43:20 +0530");
        assert_eq!(timestamp(-12_600), "2026-09-21 10:43:20 -0330");
        assert_eq!(timestamp(10 * 3600), "2026-09-22 00:13:20 +1000");
    }

    #[test]
    fn time_of_day_wraps_at_midnight() {
        assert_eq!(Clock { utc_offset: 3600 }.time_of_day(23 * 3_600_000), "00:00");
        assert_eq!(Clock { utc_offset: -3600 }.time_of_day(0), "23:00");
        assert_eq!(Clock::default().time_of_day(1_790_000_000_000), "14:13");
    }
}
