//! Conversion of day numbers to calendar dates, and times as text.

use std::fmt;
use std::str::FromStr;

/// Returns the year, month (1 to 12) and day (1 to 31) of a day in the Gregorian calendar.
///
/// Day 0 is 1970-01-01; earlier days are negative. The algorithm is `civil_from_days` by Howard
/// Hinnant (<https://howardhinnant.github.io/date_algorithms.html>).
pub(crate) fn civil_from_days(days: i64) -> (i64, u32, u32) {
    /// Days of 400 years, after which the calendar repeats.
    const ERA: i64 = 146_097;
    // Years begin in March, so that the leap day is the last day of a year. Saturating: the limits
    // of i64 are not dates, but must not panic.
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(ERA);
    let day_of_era = days.rem_euclid(ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month as u32, day as u32)
}

/// Returns the day of a date, the reverse of [`civil_from_days`].
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    // Years begin in March.
    let (year, month_from_march) =
        if month > 2 { (year, month - 3) } else { (year.saturating_sub(1), month + 9) };
    let day_of_year = (153 * month_from_march + 2) / 5 + day;
    (365 * year + year / 4 - year / 100 + year / 400 + day_of_year).saturating_sub(719_469)
}

/// A time in seconds since 1970, in the form of RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Utc(pub u64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0;
        let (year, month, day) = civil_from_days((seconds / 86_400) as i64);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl FromStr for Utc {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut numbers = [0; 6];
        let mut parts = text.strip_suffix('Z').ok_or(())?.split(['-', 'T', ':']);
        for (number, max) in numbers.iter_mut().zip([9999, 12, 31, 23, 59, 60]) {
            let part = parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
            *number = part.and_then(|part| part.parse().ok()).filter(|n| *n <= max).ok_or(())?;
        }
        let [year, month, day, hour, minute, second] = numbers;
        let days = days_from_civil(year, month, day);
        let is_valid = parts.next().is_none() && month > 0 && day > 0;
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
        is_valid.then_some(Utc(seconds)).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_and_read_as_rfc_3339() {
        assert_eq!(Utc(1_790_000_000).to_string(), "2026-09-21T14:13:20Z");
        for seconds in
            [0, 951_782_400, 1_709_164_799, 1_709_164_800, 4_107_542_400, u32::MAX.into()]
        {
            assert_eq!(Utc(seconds).to_string().parse(), Ok(Utc(seconds)));
        }
        for text in [
            "",
            "Z",
            "2026-09-21",
            "2026-09-21T14:13:20",
            "2026-13-21T14:13:20Z",
            "2026-09-00T14:13:20Z",
            "2026-09-21T14:13:20:1Z",
            "+2026-09-21T14:13:20Z",
        ] {
            assert_eq!(text.parse::<Utc>(), Err(()), "{text}");
        }
    }

    #[test]
    fn days_have_the_dates_of_the_gregorian_calendar() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (20_779, (2026, 11, 22)),
            (20_819, (2027, 1, 1)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
            (-719_162, (1, 1, 1)),
        ] {
            assert_eq!(civil_from_days(days), date);
        }
    }

    #[test]
    fn consecutive_days_have_consecutive_dates() {
        let mut before = civil_from_days(-200_000);
        for days in -199_999..200_000 {
            let (year, month, day) = civil_from_days(days);
            let is_next_day = (before.0, before.1, before.2 + 1) == (year, month, day);
            let is_next_month = (before.0, before.1 + 1, 1) == (year, month, day);
            let is_next_year = (before.0 + 1, 1, 1) == (year, month, day) && before.1 == 12;
            assert!(is_next_day || is_next_month || is_next_year, "{before:?} {days}");
            before = (year, month, day);
        }
    }

    #[test]
    fn extreme_days_do_not_panic() {
        civil_from_days(i64::MIN);
        civil_from_days(i64::MAX);
    }
}
