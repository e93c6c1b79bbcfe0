//! Reads dates, times, intervals, numbers and GUIDs out of the text between the quotes.
//!
//! Everything ends as whole numbers: days and microseconds since 1970-01-01 in UTC.

use uuid::Uuid;

use crate::model::calendar;

use super::lex::shorten;
use super::{DatePart, Interval, Literal, MAX_SHIFT_DAYS, ParseError, Problem, Type};

pub(super) const SECOND: i64 = 1_000_000;
pub(super) const DAY: i64 = 86_400 * SECOND;

/// Reads a text literal as a value of another type. What is no day but an instant is still good beside days.
fn read(text: &str, target: Type) -> Option<Literal> {
    match target {
        Type::Integer | Type::Double => number(text),
        Type::Boolean => match number(text)? {
            Literal::Integer(value @ (0 | 1)) => Some(Literal::Boolean(value == 1)),
            _ => None,
        },
        Type::Text => Some(Literal::Text(text.to_owned())),
        Type::Guid => guid(text).map(Literal::Guid),
        Type::Timestamp => timestamp(text).map(Literal::Timestamp),
        Type::Date => date(text).map(Literal::Date).or_else(|| timestamp(text).map(Literal::Timestamp)),
        Type::Time => time(text).map(Literal::Time),
    }
}

/// Reads the text of a literal of a given type, as `DATE '…'` or beside a value of that type.
pub(super) fn read_as(text: &str, target: Type, column: usize) -> Result<Literal, ParseError> {
    read(text, target).ok_or_else(|| {
        let example = match target {
            Type::Integer | Type::Double => "a number looks like 12 or -3.5",
            Type::Boolean => "write 1 or 0",
            Type::Text => "write a text in single quotes",
            Type::Guid => "a GUID looks like {8D8B7C2E-0000-4000-8000-00000000000A}",
            Type::Timestamp => "a date and time looks like 2024-01-31 10:00:00",
            Type::Date => "a date looks like 2024-01-31",
            Type::Time => "a time looks like 10:00:00",
        };
        let what = format!("type mismatch: the text '{}' cannot be read as {target}", shorten(text));
        ParseError::new(column, what, example).of(Problem::Meaning)
    })
}

/// Reads `5`, `-2.5` or `1e3`. Numbers that do not fit an integer become doubles; infinite ones are none.
pub(super) fn number(text: &str) -> Option<Literal> {
    let text = text.trim();
    text.parse().map(Literal::Integer).ok().or_else(|| {
        let value: f64 = text.parse().ok()?;
        value.is_finite().then_some(Literal::Double(value))
    })
}

/// Reads a GUID with or without braces and hyphens, in any case.
fn guid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text.trim()).ok()
}

/// Reads `YYYY-MM-DD` as days since 1970-01-01.
fn date(text: &str) -> Option<i64> {
    let mut parts = text.trim().split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if year.len() != 4 || parts.next().is_some() {
        return None;
    }
    calendar::days(digits(year, 4)?, digits(month, 2)?, digits(day, 2)?)
}

/// Reads `HH:MM`, `HH:MM:SS` or `HH:MM:SS.fff` as microseconds since midnight.
fn time(text: &str) -> Option<i64> {
    let mut parts = text.trim().split(':');
    let (hours, minutes) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let microseconds = parts.next().map_or(Some(0), |part| seconds(part, 2))?;
    let valid = hours < 24 && minutes < 60 && microseconds < 60 * SECOND && parts.next().is_none();
    valid.then(|| (hours * 60 + minutes) * 60 * SECOND + microseconds)
}

/// Reads a date, or a date and a time separated by a blank or `T`, maybe followed by `Z` or an offset such as
/// `+02:00`, as microseconds since 1970-01-01T00:00Z. Without an offset the time is in UTC.
fn timestamp(text: &str) -> Option<i64> {
    let text = text.trim();
    let Some((day, clock)) = text.split_once([' ', 'T', 't']) else {
        return Some(date(text)? * DAY);
    };
    let (clock, offset) = match clock.find(['Z', 'z', '+', '-']) {
        Some(end) => {
            let (clock, zone) = clock.split_at(end);
            (clock, zone_offset(zone)?)
        }
        None => (clock, 0),
    };
    Some(date(day)? * DAY + time(clock)? - offset)
}

/// Reads the text of an interval from `first` to `last`, as in `'1 12:30' DAY TO MINUTE`. The two are the same for an
/// interval of one unit.
pub(super) fn interval(text: &str, first: DatePart, last: DatePart) -> Option<Interval> {
    let text = text.trim();
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (months, microseconds) = match (first, last) {
        (DatePart::Year, DatePart::Year) => (digits(text, 9)? * 12, 0),
        (DatePart::Month, DatePart::Month) => (digits(text, 9)?, 0),
        _ => (0, clock_interval(text, first, last)?),
    };
    let small = months / 12 <= MAX_SHIFT_DAYS / 366 && microseconds <= MAX_SHIFT_DAYS * DAY;
    small.then_some(Interval { months: sign * months, microseconds: sign * microseconds })
}

/// Reads days, hours, minutes and seconds; days are set off by a blank, the others by colons.
fn clock_interval(text: &str, first: DatePart, last: DatePart) -> Option<i64> {
    const UNITS: [(DatePart, i64); 4] = [
        (DatePart::Day, DAY),
        (DatePart::Hour, 3_600 * SECOND),
        (DatePart::Minute, 60 * SECOND),
        (DatePart::Second, SECOND),
    ];
    let from = UNITS.iter().position(|(part, _)| *part == first)?;
    let to = UNITS.iter().position(|(part, _)| *part == last)?;
    let mut rest = Some(text);
    let mut total = 0_i64;
    for (part, unit) in UNITS.iter().take(to + 1).skip(from) {
        let separator = if *part == DatePart::Day { ' ' } else { ':' };
        let (here, later) = match rest?.split_once(separator) {
            Some((here, later)) => (here, Some(later)),
            None => (rest?, None),
        };
        let span = if *part == DatePart::Second { seconds(here, 9)? } else { digits(here, 9)?.checked_mul(*unit)? };
        total = total.checked_add(span)?;
        rest = later;
    }
    rest.is_none().then_some(total)
}

/// Reads one to `longest` decimal digits and nothing else.
fn digits(text: &str, longest: usize) -> Option<i64> {
    let valid = (1..=longest).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| text.parse().ok()).flatten()
}

/// Reads `SS` or `SS.fff` as microseconds; what is finer is cut off.
fn seconds(text: &str, longest: usize) -> Option<i64> {
    let Some((whole, fraction)) = text.split_once('.') else {
        return Some(digits(text, longest)? * SECOND);
    };
    digits(fraction, 9)?;
    let microseconds: String = fraction.chars().chain("000000".chars()).take(6).collect();
    Some(digits(whole, longest)? * SECOND + digits(&microseconds, 6)?)
}

/// Reads `Z`, `+02`, `+0200` or `+02:00` as microseconds east of Greenwich.
fn zone_offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, zone) = match zone.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, zone.strip_prefix('+')?),
    };
    let (hours, minutes) = match zone.split_once(':') {
        Some((hours, minutes)) => (digits(hours, 2)?, digits(minutes, 2)?),
        None if zone.len() == 4 => (digits(zone, 4)? / 100, digits(zone, 4)? % 100),
        None => (digits(zone, 2)?, 0),
    };
    (hours < 16 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60 * SECOND)
}

#[cfg(test)]
mod tests {
    use super::{DAY, DatePart, Interval, Literal, SECOND, date, guid, interval, number, time, timestamp};

    #[test]
    fn dates_count_days_from_1970() {
        let known = [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-02-29", 11_016),
            ("2024-01-31", 19_753),
            ("2024-1-5", 19_727),
            ("0001-01-01", -719_162),
            ("9999-12-31", 2_932_896),
        ];
        for (text, days) in known {
            assert_eq!(date(text), Some(days), "{text}");
        }
        for text in [
            "",
            "2024",
            "2023-02-29",
            "2024-13-01",
            "2024-00-10",
            "2024-01-00",
            "24-01-01",
            "2024-01-01-01",
            "0000-01-01",
            "2024-01-+1",
            "now",
            "infinity",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn times_and_timestamps_are_microseconds() {
        assert_eq!(time("10:00:00.25"), Some(36_000 * SECOND + 250_000));
        assert_eq!(time("23:59"), Some(86_340 * SECOND));
        for text in ["24:00:00", "10", "10:60", "10:00:60", "10:00:00:00", "10:00:00.", "-1:00", "١٠:٠٠"] {
            assert_eq!(time(text), None, "{text}");
        }
        let ten = 19_753 * DAY + 36_000 * SECOND;
        for text in [
            "2024-01-31 10:00:00",
            "2024-01-31T10:00:00Z",
            "2024-01-31 12:00:00+02:00",
            "2024-01-31 05:30-0430",
            "2024-01-31T11:00:00.000+01",
            " 2024-01-31 10:00 ",
        ] {
            assert_eq!(timestamp(text), Some(ten), "{text}");
        }
        assert_eq!(timestamp("2024-01-31"), Some(19_753 * DAY));
        for text in ["10:00:00", "2024-01-31 10:00:00 Europe/Paris", "2024-01-31 ", "2024-01-31 10:00+99:00", "now()"] {
            let read = timestamp(text);
            assert_eq!(read, if text == "2024-01-31 " { Some(19_753 * DAY) } else { None }, "{text}");
        }
    }

    #[test]
    fn intervals_of_one_unit_and_of_several() {
        use DatePart::{Day, Hour, Minute, Month, Second, Year};
        let clock = |days: i64, seconds: i64| Some(Interval { months: 0, microseconds: days * DAY + seconds * SECOND });
        let months = |months| Some(Interval { months, microseconds: 0 });
        assert_eq!(interval("7", Day, Day), clock(7, 0));
        assert_eq!(interval("-7", Day, Day), clock(-7, 0));
        assert_eq!(interval("2", Year, Year), months(24));
        assert_eq!(interval("3", Month, Month), months(3));
        assert_eq!(interval("1 12", Day, Hour), clock(1, 43_200));
        assert_eq!(interval("1 12:30", Day, Minute), clock(1, 45_000));
        assert_eq!(interval("1 12:30:15", Day, Second), clock(1, 45_015));
        assert_eq!(interval("36:00", Hour, Minute), clock(1, 43_200));
        assert_eq!(interval("90:30", Minute, Second), clock(0, 5_430));
        for (text, first, last) in [
            ("1 12", Day, Day),
            ("1", Day, Hour),
            ("1:2", Day, Hour),
            ("x", Day, Day),
            ("", Day, Day),
            ("1.5", Day, Day),
            ("99999999", Day, Day),
            ("5000", Year, Year),
            ("1", Hour, Day),
        ] {
            assert_eq!(interval(text, first, last), None, "{text}");
        }
    }

    #[test]
    fn numbers_and_guids() {
        assert_eq!(number(" 5 "), Some(Literal::Integer(5)));
        assert_eq!(number("-2.5"), Some(Literal::Double(-2.5)));
        assert_eq!(number("99999999999999999999"), Some(Literal::Double(1e20)));
        for text in ["", "five", "1e999", "NaN", "inf", "1 2", "0x10"] {
            assert_eq!(number(text), None, "{text}");
        }
        let plain = guid("8d8b7c2e-0000-4000-8000-00000000000a");
        assert!(plain.is_some());
        assert_eq!(guid("{8D8B7C2E-0000-4000-8000-00000000000A}"), plain);
        assert_eq!(guid("8D8B7C2E00004000800000000000000A"), plain);
        assert_eq!(guid("{8D8B7C2E}"), None);
    }
}
