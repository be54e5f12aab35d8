//! Formats dates in words, for the lines between two days.

use crate::calendar::civil_from_days;

/// Returns a date like `Sunday, 22 November 2026`, for a day number since 1970-01-01.
pub fn format_date(days: i64) -> String {
    let (year, month, day) = civil_from_days(days);
    format!("{}, {day} {} {year}", weekday_name(days), month_name(month))
}

fn weekday_name(days: i64) -> &'static str {
    // Day 0 was a Thursday.
    match days.rem_euclid(7) {
        0 => "Thursday",
        1 => "Friday",
        2 => "Saturday",
        3 => "Sunday",
        4 => "Monday",
        5 => "Tuesday",
        _ => "Wednesday",
    }
}

fn month_name(month: u32) -> &'static str {
    debug_assert!((1..=12).contains(&month), "month {month}");
    match month {
        1 => "January",
        2 => "February",
        3 => "March",
        4 => "April",
        5 => "May",
        6 => "June",
        7 => "July",
        8 => "August",
        9 => "September",
        10 => "October",
        11 => "November",
        _ => "December",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_weekday_and_month_names() {
        for (days, text) in [
            (0, "Thursday, 1 January 1970"),
            (-1, "Wednesday, 31 December 1969"),
            (11_016, "Tuesday, 29 February 2000"),
            (20_779, "Sunday, 22 November 2026"),
            (20_819, "Friday, 1 January 2027"),
            (47_540, "Sunday, 28 February 2100"),
            (47_541, "Monday, 1 March 2100"),
        ] {
            assert_eq!(format_date(days), text);
        }
    }
}
