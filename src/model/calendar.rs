//! The Gregorian calendar, also before it was made.

use std::ops::RangeInclusive;

/// Days of four hundred years, after which the calendar repeats.
const ERA: i64 = 146_097;
/// From the 1st of March of the year 0 to 1970.
const TO_1970: i64 = 719_468;

/// Returns year, month and day of a number of days since 1970. The year before 1 is 0.
pub(crate) fn date(days: i64) -> (i64, i64, i64) {
    // Years are counted from March, so that the leap day is the last one of its year.
    let shifted = days.saturating_add(TO_1970);
    let (era, of_era) = (shifted.div_euclid(ERA), shifted.rem_euclid(ERA));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let since_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * since_march + 2) / 5 + 1;
    let month = (since_march + 2) % 12 + 1;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// The days, as days since 1970, that can be written with a year of four digits: those of the years 1 to 9999.
pub(crate) const WRITABLE_DAYS: RangeInclusive<i64> = -719_162..=2_932_896;

/// Counts the days from 1970 to a day of the years 1 to 9999; none if there is no such day.
pub(crate) fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    let (of_year, since_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = of_year * 365 + of_year / 4 - of_year / 100 + of_year / 400 + (153 * since_march + 2) / 5;
    let days = before + day - 1 - TO_1970;
    // What a month does not have would be a day of the next one.
    (day >= 1 && date(days) == (year, month, day)).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::{WRITABLE_DAYS, date, days};

    #[test]
    fn days_that_can_be_written_are_those_of_the_years_1_to_9999() {
        let (first, last) = (days(1, 1, 1).unwrap(), days(9999, 12, 31).unwrap());
        assert_eq!(WRITABLE_DAYS, first..=last);
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1, 1, 1);
        for n in days(1, 1, 1).unwrap()..=days(9999, 12, 31).unwrap() {
            assert_eq!((date(n), days(year, month, day)), ((year, month, day), Some(n)));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + i64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            assert_eq!(days(year, month, length + 1), None);
            (year, month, day) = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (_, last) if last == length => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
        assert_eq!(year, 10_000);
    }

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!((days(1970, 1, 1), date(0)), (Some(0), (1970, 1, 1)));
        assert_eq!(days(2026, 11, 22), Some(20_779));
        assert_eq!(date(-719_163), (0, 12, 31));
        assert_eq!(date(-719_529), (-1, 12, 31));
    }

    #[test]
    fn what_is_no_day_has_no_number() {
        for (year, month, day) in [(0, 1, 1), (10_000, 1, 1), (2026, 0, 1), (2026, 13, 1), (2026, 1, 0), (2026, 2, -3)]
        {
            assert_eq!(days(year, month, day), None);
        }
        assert_eq!((days(1900, 2, 29), days(2000, 2, 29)), (None, Some(11_016)));
    }
}
