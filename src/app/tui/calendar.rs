//! Days by their names.

/// `Sunday, 22 November 2026`, for a day counted from the first of 1970.
pub fn date(day: i64) -> String {
    const WEEKDAYS: [&str; 7] =
        ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    // Years are counted from March, so that the day that some lack is their last, and in turns of
    // 400, after which the calendar repeats.
    let day_of_turn = (day + 719_468).rem_euclid(146_097);
    let turn = (day + 719_468).div_euclid(146_097);
    let year_of_turn =
        (day_of_turn - day_of_turn / 1460 + day_of_turn / 36_524 - day_of_turn / 146_096) / 365;
    let day_of_year = day_of_turn - (365 * year_of_turn + year_of_turn / 4 - year_of_turn / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let year = 400 * turn + year_of_turn + i64::from(month >= 10);
    let name = |names: &[&'static str], place: i64| names.get(place as usize).copied();
    format!(
        "{}, {day_of_month} {} {year}",
        name(&WEEKDAYS, day.rem_euclid(7)).unwrap_or_default(),
        name(&MONTHS, (month + 2) % 12).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_names_in_leap_years_too() {
        for (day, text) in [
            (0, "Thursday, 1 January 1970"),
            (-1, "Wednesday, 31 December 1969"),
            (11_016, "Tuesday, 29 February 2000"),
            (20_779, "Sunday, 22 November 2026"),
            (20_819, "Friday, 1 January 2027"),
            (47_540, "Sunday, 28 February 2100"),
            (47_541, "Monday, 1 March 2100"),
        ] {
            assert_eq!(date(day), text);
        }
    }
}
