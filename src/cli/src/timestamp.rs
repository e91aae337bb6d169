//! Times as people write and read them: UTC, milliseconds since 1970 inside.

use std::time::{SystemTime, UNIX_EPOCH};

const SECOND: i64 = 1_000;
const DAY: i64 = 86_400 * SECOND;

/// Now.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// As `2026-01-31T12:00:00.000Z`; a time that has no such form as its number.
pub(crate) fn format(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(DAY), ms.rem_euclid(DAY));
    let (year, month, day) = civil_from_days(days);
    if ms < 0 || year > 9999 {
        return ms.to_string();
    }
    let (seconds, millis) = (rest / SECOND, rest % SECOND);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Reads a date, a date and time (UTC unless a zone follows), or an age such as `90s`, `15m`, `2h`, `7d`.
pub(crate) fn parse(text: &str, now_ms: i64) -> Option<i64> {
    parse_age(text).and_then(|age| now_ms.checked_sub(age)).or_else(|| parse_date_time(text))
}

fn parse_age(text: &str) -> Option<i64> {
    let unit = match text.chars().last()? {
        's' => SECOND,
        'm' => 60 * SECOND,
        'h' => 3600 * SECOND,
        'd' => DAY,
        _ => return None,
    };
    number(&text[..text.len() - 1])?.checked_mul(unit)
}

fn parse_date_time(text: &str) -> Option<i64> {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let days = parse_date(date)?;
    let time = time.map_or(Some(0), parse_time)?;
    Some(days * DAY + time)
}

fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let (year, month, day) = (fixed(parts.next()?, 4)?, fixed(parts.next()?, 2)?, fixed(parts.next()?, 2)?);
    let days = days_from_civil(year, month, day);
    // 31 February would become a day of March.
    let exists = parts.next().is_none() && civil_from_days(days) == (year, month, day);
    exists.then_some(days)
}

/// `12:00`, `12:00:00`, `12:00:00.123`, each with nothing, `Z` or `+01:00` behind: milliseconds of the day.
fn parse_time(text: &str) -> Option<i64> {
    let (time, zone) = match text.find(['Z', 'z', '+', '-']) {
        Some(at) => (&text[..at], parse_zone(&text[at..])?),
        None => (text, 0),
    };
    let (time, millis) = match time.split_once('.') {
        Some((time, fraction)) if fraction.len() <= 9 => {
            number(fraction)?;
            (time, number(&format!("{fraction:0<3}")[..3])?)
        }
        Some(_) => return None,
        None => (time, 0),
    };
    let mut parts = time.split(':');
    let (hour, minute) = (fixed(parts.next()?, 2)?, fixed(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |second| fixed(second, 2))?;
    let valid = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    valid.then_some((hour * 3600 + minute * 60 + second - zone * 60) * SECOND + millis)
}

/// Minutes east of UTC.
fn parse_zone(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text[1..].split_once(':')?;
    let (hours, minutes) = (fixed(hours, 2)?, fixed(minutes, 2)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// Digits only.
fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn fixed(text: &str, digits: usize) -> Option<i64> {
    if text.len() == digits { number(text) } else { None }
}

/// Days since 1970 of a date of the Gregorian calendar. Years begin in March here, so that the leap day is
/// the last one.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a number of days since 1970.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        for (text, ms) in [
            ("1970-01-01", 0),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("2026-01-31T12:34:56.789Z", 1_769_862_896_789),
            ("2026-01-31 13:34:56.789+01:00", 1_769_862_896_789),
            ("2026-01-31T07:04:56.789-05:30", 1_769_862_896_789),
            ("2026-01-31T12:34", 1_769_862_840_000),
        ] {
            assert_eq!(parse(text, 0), Some(ms), "{text}");
        }
        assert_eq!(format(1_769_862_896_789), "2026-01-31T12:34:56.789Z");
        assert_eq!(format(-1), "-1");
        assert_eq!(format(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn ages_count_back_from_now() {
        let now = 10 * DAY;
        assert_eq!(parse("90s", now), Some(now - 90_000));
        assert_eq!(parse("2h", now), Some(now - 7_200_000));
        assert_eq!(parse("10d", now), Some(0));
        assert_eq!(parse("9999999999999999999d", now), None);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "x",
            "s",
            "-5m",
            "2026-02-29",
            "2026-13-01",
            "2026-1-1",
            "2026-01-01T",
            "2026-01-01T24:00",
            "2026-01-01T12:00:00.",
            "2026-01-01T12:00+1",
            "2026-01-01-01",
            "yesterday",
        ] {
            assert_eq!(parse(text, 0), None, "{text}");
        }
    }

    #[test]
    fn dates_there_and_back() {
        for days in (-800_000..2_900_000).step_by(13) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
            assert!((1..=12).contains(&month) && (1..=31).contains(&day));
        }
    }
}
